//! What is to be done, and all that it takes: an act carries its own arguments.

use crate::ids::hexed;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::fleet::terms::Action;

/// How much a wipe removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// What the organisation put there.
    Selective,
    /// Everything.
    Full,
}

/// See the module. A program that does not know one refuses the store by its layout: a new one is a new layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// See [`Action::Wipe`].
    Wipe {
        /// How much goes.
        scope: Scope,
        /// A Mac's six digits, sealed.
        #[serde(with = "hexed::option")]
        pin: Option<String>,
    },
    /// See [`Action::Lock`].
    Lock {
        /// A Mac's six digits, sealed.
        #[serde(with = "hexed::option")]
        pin: Option<String>,
        /// What its screen says to who finds it.
        #[serde(default)]
        message: Option<String>,
        /// The number that it shows them.
        #[serde(default)]
        phone: Option<String>,
    },
    /// See [`Action::ClearPasscode`].
    ClearPasscode,
    /// See [`Action::Restart`].
    Restart,
    /// See [`Action::Refresh`].
    #[serde(rename = "sync")]
    Refresh,
    /// See [`Action::Policy`].
    Policy {
        /// The parts of the policy that are on the way with it.
        parts: Vec<String>,
    },
    /// See [`Action::Rename`].
    Rename {
        /// What it is to be called.
        name: String,
    },
}

impl Act {
    /// Of which kind it is.
    pub fn action(&self) -> Action {
        match self {
            Self::Wipe { .. } => Action::Wipe,
            Self::Lock { .. } => Action::Lock,
            Self::ClearPasscode => Action::ClearPasscode,
            Self::Restart => Action::Restart,
            Self::Refresh => Action::Refresh,
            Self::Policy { .. } => Action::Policy,
            Self::Rename { .. } => Action::Rename,
        }
    }

    /// How much a wipe removes; none of other acts.
    pub fn scope(&self) -> Option<Scope> {
        match self {
            Self::Wipe { scope, .. } => Some(*scope),
            _ => None,
        }
    }

    /// The digits that go with it, sealed.
    pub fn pin(&self) -> Option<&String> {
        match self {
            Self::Wipe { pin, .. } | Self::Lock { pin, .. } => pin.as_ref(),
            _ => None,
        }
    }

    /// The parts of the policy that are on the way with it.
    pub fn parts(&self) -> &[String] {
        match self {
            Self::Policy { parts } => parts,
            _ => &[],
        }
    }
}

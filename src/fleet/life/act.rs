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

/// How a full wipe erases an Apple device, where more is said than that it does. Other channels know nothing of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasing {
    /// An iPhone or iPad keeps its eSIM.
    #[serde(default)]
    pub preserve_data_plan: bool,
    /// An iPhone or iPad sets itself up again without a person.
    #[serde(default)]
    pub return_to_service: bool,
    /// What a Mac does that cannot erase itself the quick way.
    #[serde(default)]
    pub obliteration: Option<Obliteration>,
}

impl Erasing {
    /// Whether anything is said.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// In words; none where nothing is said.
    pub fn words(&self) -> Option<String> {
        let plan = self.preserve_data_plan.then(|| "keeping its data plan".to_string());
        let service = self
            .return_to_service
            .then(|| "returning to service by itself (with Apple's automated enrolment alone)".to_string());
        let obliteration = self.obliteration.map(|one| format!("obliteration {}", one.as_str()));
        let all: Vec<String> = plan.into_iter().chain(service).chain(obliteration).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }
}

/// What a Mac does where "Erase All Content and Settings" cannot run: Apple's ObliterationBehavior, in Apple's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Obliteration {
    /// It answers Error, and obliterates itself all the same.
    Default,
    /// It answers Error, and nothing is erased.
    DoNotObliterate,
    /// It acknowledges, and obliterates itself.
    ObliterateWithWarning,
    /// It obliterates itself from the start.
    Always,
}

impl Obliteration {
    const ALL: [Self; 4] = [Self::Default, Self::DoNotObliterate, Self::ObliterateWithWarning, Self::Always];

    /// As Apple spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "Default",
            Self::DoNotObliterate => "DoNotObliterate",
            Self::ObliterateWithWarning => "ObliterateWithWarning",
            Self::Always => "Always",
        }
    }

    /// All of them, for who named none.
    pub fn names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }

    /// The one of this name, without case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str().eq_ignore_ascii_case(text))
    }
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
        /// How an Apple device erases itself.
        #[serde(default)]
        how: Erasing,
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
    /// See [`Action::Renew`].
    Renew,
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
            Self::Renew => Action::Renew,
        }
    }

    /// How much a wipe removes; none of other acts.
    pub fn scope(&self) -> Option<Scope> {
        match self {
            Self::Wipe { scope, .. } => Some(*scope),
            _ => None,
        }
    }

    /// How a full wipe erases an Apple device, where more is said than that it does.
    pub fn how(&self) -> Option<Erasing> {
        match self {
            Self::Wipe { how, .. } => Some(*how).filter(|how| !how.is_plain()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn obliteration_is_named_as_apple_does_whatever_the_case() {
        for (text, want) in [
            ("Default", Some(Obliteration::Default)),
            ("donotobliterate", Some(Obliteration::DoNotObliterate)),
            ("OBLITERATEWITHWARNING", Some(Obliteration::ObliterateWithWarning)),
            ("Always", Some(Obliteration::Always)),
            ("never", None),
            ("", None),
        ] {
            assert_eq!(Obliteration::parse(text), want, "{text}");
        }
    }

    #[test]
    fn a_wipe_from_before_it_said_how_is_read() {
        let act: Act = serde_json::from_str(r#"{"wipe":{"scope":"full","pin":null}}"#).unwrap();
        assert_eq!(act, Act::Wipe { scope: Scope::Full, pin: None, how: Erasing::default() });
    }
}

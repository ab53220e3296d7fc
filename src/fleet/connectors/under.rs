//! Under which mailbox policy of Exchange's a mailbox is, and is to be: plain values.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Under which mailbox policy a mailbox is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Assigned {
    /// None of its own: Exchange's default.
    Default,
    /// The one of this name.
    Named(String),
}

/// What the names of policies of ours begin with.
pub const OURS: &str = "Lanyard ";

impl Assigned {
    /// One that was made here: it may have been assigned by an order whose end was never heard.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Named(name) if name.starts_with(OURS))
    }
}

/// A mailbox policy as a mailbox is to be under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// What it is called: of the same rules always the same.
    pub name: String,
    /// Its parameters, in Exchange's words.
    pub settings: BTreeMap<String, String>,
    /// What it cannot say as it was asked for, and what it says instead.
    pub near: Vec<String>,
}

/// Under which policy a mailbox is put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Under {
    /// One that says this.
    Ours(Rules),
    /// The one that it was under before ours.
    Former(Assigned),
}

impl Under {
    /// Under which it is then.
    pub fn assigned(&self) -> Assigned {
        match self {
            Self::Ours(rules) => Assigned::Named(rules.name.clone()),
            Self::Former(assigned) => assigned.clone(),
        }
    }
}

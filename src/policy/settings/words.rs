//! Kinds of values that several settings have.

use super::super::error::PolicyError;
use super::super::node::Node;
use super::super::reading::{cut, text};

/// What can only be asked for: `true`, or `required`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Required;

/// `allowed` or `blocked`. `Blocked` is the stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Permission {
    Allowed,
    Blocked,
}

impl Permission {
    /// As the page on policies says it.
    #[cfg(test)]
    pub(super) const TAKES: &'static str = "`allowed`, `blocked`";

    /// Whether it may be used.
    pub fn is_allowed(self) -> bool {
        self == Permission::Allowed
    }

    pub(super) fn read(node: Node, place: &str) -> Result<Option<Permission>, PolicyError> {
        match text(node, place)?.as_str() {
            "allowed" => Ok(Some(Permission::Allowed)),
            "blocked" => Ok(Some(Permission::Blocked)),
            other => PolicyError::refused(place, format!("takes `allowed` or `blocked`, not `{}`", cut(other))),
        }
    }

    pub(super) fn print(self) -> String {
        if self.is_allowed() { "allowed" } else { "blocked" }.to_owned()
    }

    #[cfg(test)]
    pub(super) fn all() -> Vec<Permission> {
        vec![Permission::Allowed, Permission::Blocked]
    }
}

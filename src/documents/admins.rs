//! Administrators and their tokens.

use super::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An administrator.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Admin")]
pub(crate) struct AdminView {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) created: At,
    /// When wipes and approvals of this person count.
    pub(crate) counts_from: At,
}

/// An administrator to make.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "NewAdmin")]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAdminBody {
    pub(crate) name: String,
}

/// A token.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Token")]
pub(crate) struct TokenView {
    pub(crate) id: String,
    /// Whose.
    pub(crate) admin: String,
    pub(crate) created: At,
}

/// A token with its secret.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "NewToken")]
pub(crate) struct NewTokenView {
    pub(crate) id: String,
    pub(crate) admin: String,
    /// The secret: not shown again.
    pub(crate) token: String,
    pub(crate) created: At,
}

/// Whose token to make.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Whose")]
#[serde(deny_unknown_fields)]
pub(crate) struct WhoseBody {
    /// Id or name; the asker's own where nobody is named.
    pub(crate) admin: Option<String>,
}

/// What was ended.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Ended")]
pub(crate) struct EndedView {
    pub(crate) id: String,
}

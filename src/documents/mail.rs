//! The way to the mail server.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// With whose login the way is tried, where with any.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "MailCheck")]
#[serde(deny_unknown_fields)]
pub(crate) struct MailCheckBody {
    /// As they log in at the mail server.
    pub(crate) user: Option<String>,
    /// Their password; kept nowhere.
    pub(crate) password: Option<String>,
}

/// One step of the way to the mail server, in the order address, name, connection, activesync, login, proof. The last is the one that
/// fails, where one does.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MailCheckStep")]
pub(crate) struct MailStep {
    pub(crate) step: &'static str,
    pub(crate) ok: bool,
    /// What was found.
    pub(crate) detail: String,
}

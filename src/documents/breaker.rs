//! What waits for a second person, and the emergency stop.

use super::At;
pub(crate) use crate::fleet::wipe::approvals::Stage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What waits for a second person.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Approval")]
pub(crate) struct ApprovalView {
    pub(crate) id: String,
    /// Grows with what is added: what a token has not read as it stands it does not release.
    pub(crate) revision: u64,
    pub(crate) state: Stage,
    /// commands, stop.off, admin.remove or device.ownership.
    pub(crate) subject: Cow<'static, str>,
    pub(crate) requested_by: String,
    pub(crate) decided_by: Option<String>,
    /// Ids of the commands that it holds.
    pub(crate) commands: Vec<String>,
    pub(crate) detail: String,
    pub(crate) created: At,
}

/// The emergency stop as it stands.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Stop")]
pub(crate) struct StopView {
    pub(crate) on: bool,
    pub(crate) since: Option<At>,
    /// Who set it.
    pub(crate) by: Option<String>,
    /// How many commands were cancelled with it; null where that was not asked for.
    pub(crate) cancelled: Option<usize>,
}

/// What is wanted of the emergency stop.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Wanted")]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedBody {
    pub(crate) on: bool,
    /// Cancel every wipe, retire and lock that has not been sent, in the same act.
    #[serde(default)]
    pub(crate) cancel_all: bool,
}

/// The stop, or the approval that lifting it waits for.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Answer")]
#[serde(untagged)]
pub(crate) enum StopAnswer {
    Stop(StopView),
    Approval(ApprovalView),
}

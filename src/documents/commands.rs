//! Commands: what was asked for and how it stands, and how it is taken back.

use super::At;
pub(crate) use crate::fleet::life::{Action, Channel, Scope, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing to be done once on one device.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Command")]
pub(crate) struct CommandView {
    pub(crate) id: String,
    pub(crate) device: String,
    pub(crate) channel: Channel,
    pub(crate) action: Action,
    /// Null for all but wipes.
    pub(crate) scope: Option<Scope>,
    /// A wipe is never acknowledged: it ends confirmed, presumed, failed, cancelled or expired.
    pub(crate) state: State,
    pub(crate) reason: Option<String>,
    pub(crate) requested_by: String,
    /// What to wait on while the breaker holds it.
    pub(crate) approval: Option<String>,
    pub(crate) created: At,
    /// When its undo window ends; null where none holds it.
    pub(crate) leaves_at: Option<At>,
    pub(crate) sent: Option<At>,
    pub(crate) finished: Option<At>,
    pub(crate) expires: Option<At>,
    /// By when the device can be expected to hear of it, if it is on and has a network.
    pub(crate) expected_by: Option<At>,
    /// How often it was handed out.
    pub(crate) attempts: u32,
    /// Six digits that unlock a Mac; shown to `local` and to who asked.
    pub(crate) pin: Option<String>,
    pub(crate) evidence: Vec<EvidenceView>,
    pub(crate) error: Option<FailureView>,
    /// How an Apple device erases itself; null where nothing was said of that.
    pub(crate) erasing: Option<ErasingView>,
}

/// How an Apple device erases itself.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Erasing")]
pub(crate) struct ErasingView {
    pub(crate) preserve_data_plan: bool,
    pub(crate) return_to_service: bool,
    /// Apple's word for what a Mac does that cannot erase itself the quick way.
    pub(crate) obliteration: Option<String>,
}

/// What was answered that proves something.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Evidence")]
pub(crate) struct EvidenceView {
    pub(crate) time: At,
    pub(crate) enrolment: String,
    pub(crate) channel: Channel,
    pub(crate) kind: String,
    pub(crate) detail: String,
}

/// Why a command failed.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Failure")]
pub(crate) struct FailureView {
    pub(crate) code: String,
    pub(crate) text: String,
}

/// How a command is taken back.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Cancel")]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelBody {
    /// Whether mail that the wipe shut opens again; it does where nothing is said.
    // Left out where it says what counts anyway: so the API's description, too, leaves the default to the words above.
    #[serde(default, skip_serializing_if = "MailAfterwards::opens")]
    pub(crate) mail: MailAfterwards,
}

// Without a docstring: the API's description has none of it.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Mail")]
#[serde(rename_all = "lowercase")]
pub(crate) enum MailAfterwards {
    #[default]
    Allow,
    Block,
}

impl MailAfterwards {
    /// Whether it opens again.
    pub(crate) fn opens(&self) -> bool {
        matches!(self, Self::Allow)
    }
}

/// A wipe that waits, for tests of what is made of one.
#[cfg(test)]
pub(crate) fn sample() -> CommandView {
    CommandView {
        id: "1".into(),
        device: "2".into(),
        channel: Channel::Apple,
        action: Action::Wipe,
        scope: Some(Scope::Full),
        state: State::Queued,
        reason: Some("lost".into()),
        requested_by: "eve".into(),
        approval: None,
        created: At(crate::clock::Timestamp(1_764_000_000_000)),
        leaves_at: None,
        sent: None,
        finished: None,
        expires: None,
        expected_by: None,
        attempts: 0,
        pin: None,
        evidence: Vec::new(),
        error: None,
        erasing: None,
    }
}

//! Invitations.

use super::At;
pub(crate) use crate::fleet::life::{Channel, Ownership};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whom to invite.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Invite")]
#[serde(deny_unknown_fields)]
pub(crate) struct InviteBody {
    /// apple, windows (or omadm) or activesync.
    pub(crate) channel: String,
    /// The user's name, as the mail server or the directory has it.
    pub(crate) user: String,
    /// corporate where nothing is said.
    pub(crate) ownership: Option<Ownership>,
    /// How long it is good, such as 7d, which is the default.
    pub(crate) expires: Option<String>,
}

/// An invitation.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Invitation")]
pub(crate) struct InvitationView {
    pub(crate) id: String,
    /// What the person opens.
    pub(crate) url: String,
    /// What the person types.
    pub(crate) code: String,
    pub(crate) channel: Channel,
    pub(crate) user: String,
    pub(crate) ownership: Ownership,
    pub(crate) expires: At,
}

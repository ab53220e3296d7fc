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
    /// The user's name, as the mail server or the directory has it; none where `uses` is given.
    #[serde(default)]
    pub(crate) user: Option<String>,
    /// By so many devices (1 to 100000) it can be used, for nobody in particular.
    #[serde(default)]
    pub(crate) uses: Option<u32>,
    /// With `uses`: what enrols by it comes into this group.
    #[serde(default)]
    pub(crate) group: Option<String>,
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
    /// What the person opens; shown once, when it is made.
    pub(crate) url: Option<String>,
    /// What the person types; likewise.
    pub(crate) code: Option<String>,
    pub(crate) channel: Channel,
    pub(crate) user: Option<String>,
    /// What enrols by it comes into this group.
    pub(crate) group: Option<String>,
    pub(crate) ownership: Ownership,
    /// How many devices may enrol by it.
    pub(crate) uses: u32,
    /// How many have.
    pub(crate) used: u32,
    pub(crate) revoked: bool,
    pub(crate) expires: At,
}

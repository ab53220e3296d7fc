//! Invitations: the secrets are shown in the answer to this one call.

use super::{
    call::Call,
    devices::span,
    route::{Route, post},
    views::At,
};
use crate::{
    error::{Error, Result},
    fleet::{
        enrol::invitation,
        life::{Channel, Ownership},
    },
    store::Tx,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) fn routes() -> Vec<Route> {
    vec![post("/api/v1/invitations", "Invite a user to enrol one device", create)]
}

/// Whom to invite.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Invite {
    /// apple, windows (or omadm) or activesync.
    channel: String,
    /// The user's name, as the mail server or the directory has it.
    user: String,
    /// corporate where nothing is said.
    ownership: Option<Ownership>,
    /// How long it is good, such as 7d, which is the default.
    expires: Option<String>,
}

/// An invitation.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Invitation")]
struct InvitationView {
    id: String,
    /// What the person opens.
    url: String,
    /// What the person types.
    code: String,
    channel: Channel,
    user: String,
    ownership: Ownership,
    expires: At,
}

fn create(tx: &mut Tx<'_>, call: &Call, body: Invite) -> Result<InvitationView> {
    let channel = match body.channel.as_str() {
        "apple" => Channel::Apple,
        "windows" | "omadm" => Channel::Omadm,
        "activesync" => Channel::Activesync,
        _ => return Err(Error::invalid("channel", "apple, windows or activesync is needed")),
    };
    let lifetime = body.expires.map(|text| span("expires", &text)).transpose()?;
    let ownership = body.ownership.unwrap_or(Ownership::Corporate);
    let made = invitation::create(tx, &call.actor, channel, &body.user, ownership, lifetime)?;
    Ok(InvitationView {
        id: made.invitation.id.to_string(),
        url: format!("{}/enroll/{}", call.server.enrol_url, made.key),
        code: made.code,
        channel,
        user: made.invitation.user,
        ownership,
        expires: At(made.invitation.expires),
    })
}

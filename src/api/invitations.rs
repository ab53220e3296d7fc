//! Invitations: the secrets are shown in the answer to this one call.

use super::{
    call::Call,
    devices::span,
    route::{Route, post},
};
use crate::{
    documents::{
        At,
        invitations::{InvitationView, InviteBody},
    },
    error::{Error, Result},
    fleet::{
        enrol::invitation,
        life::{Channel, Ownership},
    },
    store::Tx,
};

pub(super) fn routes() -> Vec<Route> {
    vec![post("/api/v1/invitations", "Invite a user to enrol one device", create)]
}

fn create(tx: &mut Tx<'_>, call: &Call, body: InviteBody) -> Result<InvitationView> {
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

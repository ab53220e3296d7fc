//! Invitations: the secrets are shown in the answer to this one call.

use super::{
    call::Call,
    devices::span,
    route::{Route, get, post},
};
use crate::{
    documents::{
        At, Empty, Page,
        invitations::{InvitationView, InviteBody},
    },
    error::{Error, Result},
    fleet::{
        enrol::{
            invitation::{self, Invitation},
            under_way,
        },
        life::{Channel, Ownership},
    },
    ids::InvitationId,
    store::{Record, Tx},
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/invitations", "All invitations, without their secrets", list).paged().beside(),
        post("/api/v1/invitations", "Invite a user to enrol one device", create),
        post("/api/v1/invitations/{id}/revoke", "Take one back: nobody enrols by it any more", revoke),
    ]
}

impl From<Invitation> for InvitationView {
    fn from(made: Invitation) -> Self {
        let used = made.used();
        Self {
            id: made.id.to_string(),
            url: None,
            code: None,
            channel: made.channel,
            user: Some(made.user),
            group: None,
            ownership: made.ownership,
            uses: made.uses,
            used,
            revoked: made.revoked,
            expires: At(made.expires),
        }
    }
}

fn list(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<Page<InvitationView>> {
    let (after, limit) = call.page()?;
    let found = tx.scan::<Invitation>("", after, limit)?;
    let next = found.last().filter(|_| found.len() == limit).map(Record::key);
    Ok(Page { items: found.into_iter().map(InvitationView::from).collect(), next })
}

fn revoke(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<InvitationView> {
    let id = call.named("id")?;
    let id: InvitationId = id.parse().map_err(|_| Error::not_found("invitation", id))?;
    Ok(under_way::revoke(tx, &call.actor, id)?.into())
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
    let url = Some(format!("{}/enroll/{}", call.server.enrol_url, made.key));
    Ok(InvitationView { url, code: Some(made.code), ..made.invitation.into() })
}

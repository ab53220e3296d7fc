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
        post(
            "/api/v1/invitations",
            "Invite a user to enrol one device, or many devices of nobody in particular",
            create,
        ),
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
            user: Some(made.user).filter(|user| !user.is_empty()),
            group: made.group,
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
    let id: InvitationId = call.id::<Invitation, _>(tx, "id", "invitation")?;
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
    let made = match (body.user, body.uses, body.group) {
        (Some(user), None, None) => invitation::create(tx, &call.actor, channel, &user, ownership, lifetime)?,
        (None, Some(uses), group) => {
            invitation::create_for_many(tx, &call.actor, channel, uses, group, ownership, lifetime)?
        }
        (Some(_), None, Some(_)) => {
            return Err(Error::invalid(
                "group",
                "goes with uses: a user's device is put into a group once it is there",
            ));
        }
        (Some(_), Some(_), _) => return Err(Error::invalid("uses", "an invitation for many names no user")),
        (None, None, _) => return Err(Error::invalid("user", "a user, or uses, is needed")),
    };
    let url = Some(format!("{}/enroll/{}", call.server.enrol_url, made.key));
    Ok(InvitationView { url, code: Some(made.code), ..made.invitation.into() })
}

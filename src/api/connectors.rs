//! Connectors: relays beside Exchange organisations.

use super::{
    call::Call,
    devices::span,
    route::{Route, delete, get, post},
};
use crate::{
    documents::{
        At, Empty, Page,
        connectors::{ConnectorInvitationView, ConnectorView, InstanceView, InviteConnectorBody},
    },
    error::{Error, Result},
    fleet::connectors::{self, Organisation, partnerships},
    store::Tx,
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/connectors", "All Exchange organisations and their connectors", list).paged(),
        post("/api/v1/connectors/invitations", "Invite one more connector for an organisation", invite),
        get("/api/v1/connectors/{org}", "An organisation and its connectors", show),
        delete("/api/v1/connectors/{org}", "End all its connectors at once; what they told of devices stays", remove),
    ]
}

fn view(tx: &mut Tx<'_>, org: Organisation) -> Result<ConnectorView> {
    let leader = org.leads(tx.steady());
    let state = match leader {
        Some(_) => "leading",
        None if org.exchange.is_none() => "new",
        None => "silent",
    };
    let partnerships = partnerships::count(tx, &org.name)?;
    let instances = org.instances.into_iter().map(|one| InstanceView {
        id: one.id.to_string(),
        version: one.version,
        last_seen: one.last_seen.map(At),
    });
    Ok(ConnectorView {
        org: org.name,
        kind: org.kind,
        state: state.into(),
        leader: leader.map(|leader| leader.to_string()),
        instances: instances.collect(),
        partnerships,
        last_full: org.last_full.map(At),
        last_delta: org.last_delta.map(At),
    })
}

/// Few: one page holds them.
fn list(tx: &mut Tx<'_>, _: &Call, _: Empty) -> Result<Page<ConnectorView>> {
    let all = connectors::all(tx)?;
    let items = all.into_iter().map(|org| view(tx, org)).collect::<Result<_>>()?;
    Ok(Page { items, next: None })
}

fn show(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<ConnectorView> {
    let org = connectors::find(tx, call.named("org")?)?;
    view(tx, org)
}

fn invite(tx: &mut Tx<'_>, call: &Call, body: InviteConnectorBody) -> Result<ConnectorInvitationView> {
    if !matches!(body.kind.as_str(), "online" | "onprem") {
        return Err(Error::invalid("kind", "online or onprem is needed"));
    }
    let lifetime = body.expires.map(|text| span("expires", &text)).transpose()?;
    let made = connectors::invite(tx, &call.actor, &body.org, &body.kind, lifetime)?;
    let (id, expires) = (made.id.to_string(), At(made.expires));
    Ok(ConnectorInvitationView { id, code: made.code, org: made.org, kind: made.kind, expires })
}

fn remove(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<ConnectorView> {
    let org = connectors::remove(tx, &call.actor, call.named("org")?)?;
    view(tx, org)
}

//! Connectors: relays beside Exchange organisations.

use super::{
    call::Call,
    devices::span,
    route::{Route, delete, get, post, previewed},
};
use crate::{
    documents::{
        At, Empty, Page,
        connectors::{
            ConnectorInvitationView, ConnectorView, ExchangeAccessBody, ExchangeAccessChangeView, ExchangeAccessView,
            ExchangeRule, InstanceView, InviteConnectorBody, MailboxPolicyView,
        },
    },
    error::{Error, Result},
    fleet::connectors::{
        self, Organisation,
        access::{Document, Rule, Which},
        exchange, mailboxes, partnerships,
    },
    store::Tx,
};
use axum::http::Method;

const ACCESS: &str = "/api/v1/connectors/{org}/access";

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/connectors", "All Exchange organisations and their connectors", list).paged(),
        post("/api/v1/connectors/invitations", "Invite one more connector for an organisation", invite),
        get("/api/v1/connectors/{org}", "An organisation and its connectors", show),
        delete("/api/v1/connectors/{org}", "End all its connectors at once; what they told of devices stays", remove),
        previewed(Method::PUT, ACCESS, "Show, and with apply=true set, what Exchange decides by itself", look, set),
        delete(ACCESS, "Leave what Exchange decides by itself to it, as it is", release),
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
    let access = access(exchange::of(tx, &org.name)?);
    let (policies, policy_error) = policies(tx, &org.name)?;
    Ok(ConnectorView {
        org: org.name,
        kind: org.kind,
        state: state.into(),
        leader: leader.map(|leader| leader.to_string()),
        instances: instances.collect(),
        partnerships,
        last_full: org.last_full.map(At),
        last_delta: org.last_delta.map(At),
        access,
        policies,
        policy_error,
    })
}

fn policies(tx: &mut Tx<'_>, org: &str) -> Result<(Vec<MailboxPolicyView>, Option<String>)> {
    let (counts, error) = mailboxes::counts(tx, org)?;
    let mut near = connectors::near(tx, org)?;
    let view = |(name, mailboxes): (String, u64)| {
        let near = near.remove(&name).unwrap_or_default();
        MailboxPolicyView { name, mailboxes, near }
    };
    Ok((counts.into_iter().map(view).collect(), error))
}

fn access(kept: exchange::Kept) -> Option<ExchangeAccessView> {
    let (lacking, others) = (kept.lacking(), kept.others().into_iter().map(ExchangeRule::from).collect());
    let (found, read) = (kept.found?, kept.read?);
    Some(ExchangeAccessView {
        read: At(read),
        default: found.default,
        recipients: found.recipients,
        insert: found.insert,
        rules: found.rules.iter().map(ExchangeRule::from).collect(),
        document: kept.document.map(ExchangeAccessBody::from),
        lacking,
        others,
        error: kept.error,
    })
}

impl From<&Rule> for ExchangeRule {
    fn from(rule: &Rule) -> Self {
        let Which { characteristic, query } = rule.which.clone();
        Self { characteristic, query, level: rule.level.clone() }
    }
}

impl From<ExchangeRule> for Rule {
    fn from(rule: ExchangeRule) -> Self {
        let ExchangeRule { characteristic, query, level } = rule;
        Self { which: Which { characteristic, query }, level }
    }
}

impl From<Document> for ExchangeAccessBody {
    fn from(document: Document) -> Self {
        let rules = document.rules.iter().map(ExchangeRule::from).collect();
        let Document { default, recipients, insert, .. } = document;
        Self { default, recipients, insert, rules, cuts: None }
    }
}

impl From<&ExchangeAccessBody> for Document {
    fn from(body: &ExchangeAccessBody) -> Self {
        let ExchangeAccessBody { default, recipients, insert, rules, .. } = body.clone();
        Self { default, recipients, insert, rules: rules.into_iter().map(Rule::from).collect() }
    }
}

fn look(tx: &mut Tx<'_>, call: &Call, body: &ExchangeAccessBody) -> Result<ExchangeAccessChangeView> {
    let org = call.named("org")?;
    let change = exchange::look(tx, org, &body.into())?;
    let org = connectors::find(tx, org)?.name;
    Ok(ExchangeAccessChangeView { org, changes: change.changes, cuts: change.cuts, applied: false })
}

fn set(
    tx: &mut Tx<'_>,
    call: &Call,
    body: ExchangeAccessBody,
    seen: ExchangeAccessChangeView,
) -> Result<ExchangeAccessChangeView> {
    let change = exchange::set(tx, &call.actor, call.named("org")?, &Document::from(&body), body.cuts)?;
    Ok(ExchangeAccessChangeView { changes: change.changes, cuts: change.cuts, applied: true, ..seen })
}

fn release(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<ConnectorView> {
    let name = call.named("org")?;
    exchange::release(tx, &call.actor, name)?;
    show(tx, call, Empty {})
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

//! Policies: applying a file, with a look at what it would do first, and how well it holds.

use super::{
    call::Call,
    route::{Route, get, previewed},
};
use crate::{
    clock::Timestamp,
    documents::{
        At, Empty, Page,
        policies::{ApplyBody, Assigned, ChangeView, CoverageView, PolicyView, SettingCoverageView},
    },
    error::{Error, Result},
    fleet::policies::{self, Change, Policy, Source},
    policy,
    store::Tx,
};
use axum::http::Method;

const NAMED: &str = "/api/v1/policies/{name}";

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/policies", "All policies", list).paged().beside(),
        get("/api/v1/policies/{name}", "A policy", show).beside(),
        previewed(Method::PUT, NAMED, "Show, and with apply=true make, a change", look, apply),
        previewed(Method::DELETE, NAMED, "Show, and with apply=true make, its end", look_at_end, end),
        get(
            "/api/v1/policies/{name}/coverage",
            "How well it holds, device by device; also what is left of one that was deleted",
            coverage,
        )
        .paged()
        .beside(),
    ]
}

impl PolicyView {
    fn of(policy: &Policy, devices: u64) -> Result<Self> {
        let assign = match &policies::file(policy)?.assign {
            policy::Assign::All => Assigned::All("all"),
            policy::Assign::Groups(groups) => Assigned::Groups(groups.clone()),
        };
        let (name, text) = (policy.name.clone(), policy.text.clone());
        Ok(Self { name, revision: policy.revision, assign, devices, text })
    }
}

fn list(tx: &mut Tx<'_>, _: &Call, _: Empty) -> Result<Page<PolicyView>> {
    let all = policies::list(tx)?;
    let counts = policies::devices_of(tx, &all)?;
    Ok(Page::whole(
        all.iter().zip(counts).map(|(policy, devices)| PolicyView::of(policy, devices)).collect::<Result<_>>()?,
    ))
}

fn show(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<PolicyView> {
    let policy = policies::find(tx, call.named("name")?)?;
    let count = policies::devices_of(tx, std::slice::from_ref(&policy))?.into_iter().sum();
    PolicyView::of(&policy, count)
}

impl From<Change> for ChangeView {
    fn from(change: Change) -> Self {
        let Change { name, revision, applied, diff, devices } = change;
        Self { name, revision, applied, diff, devices }
    }
}

impl From<ChangeView> for Change {
    fn from(view: ChangeView) -> Self {
        let ChangeView { name, revision, applied, diff, devices } = view;
        Self { name, revision, applied, diff, devices }
    }
}

fn look(tx: &mut Tx<'_>, call: &Call, body: &ApplyBody<Source>) -> Result<ChangeView> {
    let (name, asked) = (&body.text.file().name, call.named("name")?);
    if name != asked {
        return Err(Error::invalid("name", format!("the file's name is {name:?}, the address says {asked:?}")));
    }
    Ok(policies::look(tx, &body.text)?.into())
}

fn apply(tx: &mut Tx<'_>, call: &Call, body: ApplyBody<Source>, seen: ChangeView) -> Result<ChangeView> {
    Ok(policies::apply(tx, &call.actor, &body.text, seen.into())?.into())
}

fn look_at_end(tx: &mut Tx<'_>, call: &Call, _: &Empty) -> Result<ChangeView> {
    Ok(policies::look_at_end(tx, call.named("name")?)?.into())
}

fn end(tx: &mut Tx<'_>, call: &Call, _: Empty, seen: ChangeView) -> Result<ChangeView> {
    Ok(policies::delete(tx, &call.actor, call.named("name")?, seen.into())?.into())
}

fn coverage(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<Page<CoverageView>> {
    let (after, limit) = call.page()?;
    let (covered, next) = policies::coverage_page(tx, call.named("name")?, after, limit)?;
    let at = |at: time::OffsetDateTime| At(Timestamp::from_unix(at.unix_timestamp()));
    let items = covered.into_iter().map(|row| CoverageView {
        device: row.device.to_string(),
        state: row.state,
        verified: row.verified.map(at),
        settings: row
            .settings
            .into_iter()
            .map(|s| SettingCoverageView {
                setting: s.setting,
                state: s.state.as_str(),
                channel: s.channel.map(policy::Channel::as_str),
                why: s.why,
                verified: s.verified.map(at),
                since: s.since.map(at),
            })
            .collect(),
    });
    Ok(Page { items: items.collect(), next })
}

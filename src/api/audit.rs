//! The audit log: reading it, and checking that nothing in it was changed. A check takes as many store operations as it needs.

use super::{
    call::{Asked, Call},
    problem::Problem,
    route::{Empty, Page, Route, described, get},
    views::At,
};
use crate::{
    audit::{self, Printed, Verdict},
    error::Result,
    queue::timers,
    registry::lookup,
    server::Server,
    store::Tx,
};
use axum::{
    Json, Router,
    extract::Request,
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

const VERIFY: &str = "/api/v1/audit/verify";
/// Entries looked through for one page of a device's.
const LOOK: usize = 20_000;

pub(super) fn routes() -> Vec<Route> {
    let device = &[("device", "only entries on this device, its enrolments and its commands")];
    let head = &[("head", "a hash kept elsewhere: it must occur")];
    vec![
        get("/api/v1/audit", "What was done, by whom and when", list).paged().query(device).beside(),
        described::<Empty, VerdictView>(Method::GET, VERIFY, "Recompute the chains", StatusCode::OK).query(head),
    ]
}

pub(super) fn router(server: &Arc<Server>) -> Router {
    let server = server.clone();
    Router::new().route(VERIFY, axum::routing::get(move |request: Request| verify(server.clone(), request)))
}

/// One entry of a node's chain.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AuditEntry")]
struct EntryView {
    /// Whose chain.
    node: String,
    /// Place in it.
    seq: u64,
    time: At,
    /// An administrator's id, device, system or stranger.
    actor: String,
    action: String,
    /// On what: an id.
    subject: String,
    outcome: String,
    /// In words; null where there is nothing to say, or where it was erased.
    detail: Option<String>,
    hash: String,
}

impl From<Printed> for EntryView {
    fn from(printed: Printed) -> Self {
        let Printed { entry, detail } = printed;
        Self {
            node: entry.node,
            seq: entry.seq,
            time: At(entry.time),
            actor: entry.actor,
            action: entry.action,
            subject: entry.subject,
            outcome: entry.outcome,
            detail,
            hash: entry.hash,
        }
    }
}

fn list(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<Page<EntryView>> {
    let (after, limit) = call.page()?;
    let Some(device) = call.query.get("device") else {
        let page = audit::list(tx, after, limit)?;
        let next = page.last().filter(|_| page.len() == limit).map(|p| audit::cursor(&p.entry));
        return Ok(Page { items: page.into_iter().map(EntryView::from).collect(), next });
    };
    let names = names_of(tx, device)?;
    let (mut items, mut next, mut after) = (Vec::new(), None, after.map(str::to_string));
    for _ in 0..LOOK / 1000 {
        let page = audit::list(tx, after.as_deref(), 1000)?;
        let whole = page.len() == 1000;
        next = None;
        for printed in page {
            after = Some(audit::cursor(&printed.entry));
            if concerns(&printed, &names) {
                items.push(EntryView::from(printed));
                if items.len() == limit {
                    return Ok(Page { items, next: after });
                }
            }
        }
        if !whole {
            return Ok(Page { items, next });
        }
        next.clone_from(&after);
    }
    Ok(Page { items, next })
}

/// The ids under which entries speak of a device.
fn names_of(tx: &mut Tx<'_>, device: &str) -> Result<BTreeSet<String>> {
    let device = lookup::device(tx, device)?;
    let commands = timers::of_device(tx, &device)?;
    let ids = device.enrolments.iter().map(|e| e.id.to_string()).chain(commands.iter().map(|c| c.id.to_string()));
    Ok(ids.chain([device.id.to_string()]).collect())
}

fn concerns(printed: &Printed, names: &BTreeSet<String>) -> bool {
    let words = printed.detail.as_deref().unwrap_or_default();
    names.contains(&printed.entry.subject) || words.split([' ', ':', ',', ';']).any(|word| names.contains(word))
}

/// What a check of the chains found.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Verdict")]
struct VerdictView {
    ok: bool,
    /// The end of each chain, as recomputed: keep one elsewhere to see a cut tail.
    heads: Vec<HeadView>,
    /// What does not fit, in words.
    broken: Vec<String>,
}

/// The end of a node's chain.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Head")]
struct HeadView {
    node: String,
    seq: u64,
    hash: String,
}

impl From<Verdict> for VerdictView {
    fn from(verdict: Verdict) -> Self {
        let heads = verdict.heads.into_iter().map(|h| HeadView { node: h.node, seq: h.seq, hash: h.hash });
        Self { ok: verdict.ok, heads: heads.collect(), broken: verdict.broken }
    }
}

async fn verify(server: Arc<Server>, request: Request) -> Response {
    let asked = match Asked::read(&server, BTreeMap::new(), request).await {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    let query = match asked.admit().await {
        Ok((_, _, query)) => query,
        Err(refusal) => return refusal,
    };
    match server.store.read(move |tx| audit::verify(tx, query.get("head").map(String::as_str))).await {
        Ok(verdict) => Json(VerdictView::from(verdict)).into_response(),
        Err(error) => Problem::from(error).into_response(),
    }
}

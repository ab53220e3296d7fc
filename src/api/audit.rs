//! The audit log: reading it, and checking that nothing in it was changed. A check takes as many store operations as it needs.

use super::{
    asked::Asked,
    call::Call,
    problem::Problem,
    route::{Route, described, get},
};
use crate::{
    clock::Timestamp,
    documents::{
        At, Empty, Page,
        audit::{EntryView, HeadView, VerdictView},
    },
    error::{Error, Result},
    fleet::{
        admins,
        audit::{self, ACTIONS, Entry, Printed, Verdict},
        registry::lookup,
    },
    policy::nearest::nearest,
    server::Server,
    store::Tx,
};
use axum::{
    Json, Router,
    extract::Request,
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use uuid::Uuid;

const VERIFY: &str = "/api/v1/audit/verify";

pub(super) fn routes() -> Vec<Route> {
    let which = &[
        ("device", "only entries on this device, its enrolments and its commands"),
        ("since", "only entries from this moment on, RFC 3339"),
        ("actor", "only what this administrator did, by name or id, or device, system, stranger"),
        ("action", "only entries of this action, such as wipe.asked, or of all that begin so: wipe"),
    ];
    let head = &[("head", "a hash kept elsewhere: it must occur")];
    vec![
        get("/api/v1/audit", "What was done, by whom and when", list).paged().query(which).beside(),
        described::<Empty, VerdictView>(Method::GET, VERIFY, "Recompute the chains", StatusCode::OK).query(head),
    ]
}

pub(super) fn router(server: &Arc<Server>) -> Router {
    let server = server.clone();
    Router::new().route(VERIFY, axum::routing::get(move |request: Request| verify(server.clone(), request)))
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
            device: entry.device.map(|id| id.to_string()),
            outcome: entry.outcome,
            detail,
            hash: entry.hash,
        }
    }
}

fn list(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<Page<EntryView>> {
    let (after, limit) = call.page()?;
    let wanted = Wanted::read(tx, call)?;
    let page = match call.query.get("device") {
        Some(device) => {
            let ids = ids_of(tx, device)?;
            audit::list_of(tx, &ids, after, limit)?
        }
        None => audit::list(tx, after, limit)?,
    };
    let next = page.last().filter(|_| page.len() == limit).map(|p| audit::cursor(&p.entry));
    let shown = page.into_iter().filter(|printed| wanted.has(&printed.entry));
    Ok(Page { items: shown.map(EntryView::from).collect(), next })
}

/// What is left of a page.
struct Wanted {
    since: Option<Timestamp>,
    /// As the entries name them.
    actor: Option<String>,
    action: Option<String>,
}

impl Wanted {
    fn read(tx: &mut Tx<'_>, call: &Call) -> Result<Self> {
        let moment = |text: &String| {
            text.parse().map_err(|_| Error::invalid("since", format!("{text:?} is no moment as 2026-11-30T03:00:00Z")))
        };
        let actor = match call.query.get("actor") {
            Some(name) => Some(admins::ever(tx, name)?.map_or_else(|| name.clone(), |admin| admin.id)),
            None => None,
        };
        let since = call.query.get("since").map(moment).transpose()?;
        let action = call.query.get("action").map(|text| action(text)).transpose()?;
        Ok(Self { since, actor, action })
    }

    fn has(&self, entry: &Entry) -> bool {
        let of_action = |wanted: &String| is_of(&entry.action, wanted);
        self.since.is_none_or(|since| entry.time >= since)
            && self.actor.as_ref().is_none_or(|actor| entry.actor == *actor)
            && self.action.as_ref().is_none_or(of_action)
    }
}

/// A whole word, or the part before a point: `wipe` is no beginning of `wipes.x`.
fn is_of(action: &str, wanted: &str) -> bool {
    action.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// An action, or what several begin with. A mistyped one would find nothing, and say that nothing was done.
fn action(wanted: &str) -> Result<String> {
    if ACTIONS.iter().any(|action| is_of(action, wanted)) {
        return Ok(wanted.into());
    }
    let kinds: BTreeSet<&str> = ACTIONS.iter().filter_map(|action| action.split('.').next()).collect();
    let near = nearest(wanted, kinds.iter().chain(&ACTIONS).copied()).unwrap_or_default();
    let kinds = kinds.into_iter().collect::<Vec<_>>().join(", ");
    Err(Error::invalid(
        "action",
        format!("no action is {wanted:?}; the nearest is {near}, and each begins with one of {kinds}"),
    ))
}

/// The ids under which entries are found that concern a device. Entries outlive its record: then its id alone is known.
fn ids_of(tx: &mut Tx<'_>, device: &str) -> Result<Vec<Uuid>> {
    match lookup::ever(tx, device) {
        Ok(device) => Ok(device.enrolments.iter().map(|e| e.id.0).chain([device.id.0]).collect()),
        Err(error) => device.parse().map(|id| vec![id]).map_err(|_| error),
    }
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

//! The wipe breaker's surface: what waits for a second person, and the emergency stop.

use super::{
    call::Call,
    route::{Route, get, post, put},
};
use crate::{
    documents::{
        At, Empty, Page,
        breaker::{ApprovalView, StopAnswer, StopView, WantedBody},
    },
    error::{Error, Result},
    fleet::{
        policies::rollout,
        wipe::{
            approvals::{self, Approval, Subject},
            stop::{self, Stop},
        },
    },
    ids::ApprovalId,
    store::Tx,
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/approvals", "What waits or waited for a second person, oldest first", list).paged(),
        get("/api/v1/approvals/{id}", "One of them", show)
            .query(&[("unread", "true: this does not count as having read it, which approving needs")]),
        post("/api/v1/approvals/{id}/approve", "Let it pass; not who asked, and no newcomer", approve).ok(),
        post("/api/v1/approvals/{id}/reject", "Cancel all that it holds, in one act", reject).ok(),
        get("/api/v1/stop", "The emergency stop", status),
        put("/api/v1/stop", "Set it, or ask a second person to lift it", set),
    ]
}

fn list(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<Page<ApprovalView>> {
    let (after, limit) = call.page()?;
    let page = approvals::list(tx, &call.actor, after, limit)?;
    let mut items = Vec::new();
    for approval in &page {
        items.push(ApprovalView::of(tx, approval)?);
    }
    Ok(Page::of(items, limit, |a| a.id.clone()))
}

fn named(tx: &mut Tx<'_>, call: &Call) -> Result<ApprovalId> {
    call.id::<Approval, _>(tx, "id", "approval")
}

fn show(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<ApprovalView> {
    let id = named(tx, call)?;
    let approval = match call.query.get("unread").map(String::as_str) {
        None | Some("false") => approvals::look(tx, &call.actor, id)?,
        Some("true") => approvals::find(tx, id)?,
        Some(_) => return Err(Error::invalid("unread", "true or false is needed")),
    };
    ApprovalView::of(tx, &approval)
}

fn approve(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<ApprovalView> {
    let id = named(tx, call)?;
    let approval = approvals::approve(tx, &call.actor, id)?;
    if let Subject::DeviceOwnership(device) = approval.subject {
        // What is asked of it by policy goes by whose it is.
        rollout::nudge(tx, device)?;
    }
    ApprovalView::of(tx, &approval)
}

fn reject(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<ApprovalView> {
    let id = named(tx, call)?;
    let approval = approvals::reject(tx, &call.actor, id)?;
    ApprovalView::of(tx, &approval)
}

impl StopView {
    fn of(stop: &Stop, cancelled: Option<usize>) -> Self {
        Self { on: stop.on, since: stop.since.map(At), by: stop.by.clone(), cancelled }
    }
}

fn status(tx: &mut Tx<'_>, _: &Call, _: Empty) -> Result<StopView> {
    Ok(StopView::of(&stop::status(tx)?, None))
}

fn set(tx: &mut Tx<'_>, call: &Call, body: WantedBody) -> Result<StopAnswer> {
    if !body.on {
        let approval = stop::ask_off(tx, &call.actor)?;
        return Ok(StopAnswer::Approval(ApprovalView::of(tx, &approval)?));
    }
    let (stop, cancelled) = stop::set(tx, &call.actor, body.cancel_all)?;
    Ok(StopAnswer::Stop(StopView::of(&stop, body.cancel_all.then_some(cancelled))))
}

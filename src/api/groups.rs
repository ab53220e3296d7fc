//! Groups of devices, by which policies are assigned.

use super::{
    call::Call,
    route::{Route, delete, get, post, put},
};
use crate::{
    documents::{
        Empty, Page,
        groups::{GroupView, NewGroupBody},
    },
    error::{Error, Result},
    fleet::{groups, policies::rollout},
    store::Tx,
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/groups", "All groups", list).paged().beside(),
        post("/api/v1/groups", "Make one", create),
        get("/api/v1/groups/{name}", "A group", show),
        delete("/api/v1/groups/{name}", "Remove it; its devices stay", end),
        get("/api/v1/groups/{name}/devices", "The ids of its devices", members).paged().beside(),
        put("/api/v1/groups/{name}/devices/{id}", "Put a device in", add),
        delete("/api/v1/groups/{name}/devices/{id}", "Take a device out", remove),
    ]
}

impl GroupView {
    fn of(tx: &mut Tx<'_>, name: &str) -> Result<Self> {
        Ok(Self { name: name.into(), size: groups::size(tx, name)? })
    }
}

fn list(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<Page<GroupView>> {
    let (after, limit) = call.page()?;
    let mut items = Vec::new();
    let page = groups::page(tx, after, limit)?;
    let next = page.last().filter(|_| page.len() == limit).map(|group| group.name.clone());
    for group in page {
        match GroupView::of(tx, &group.name) {
            // Deleted while the list was read.
            Err(Error::NotFound { .. }) => {}
            view => items.push(view?),
        }
    }
    Ok(Page { items, next })
}

fn members(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<Page<String>> {
    let (after, limit) = call.page()?;
    let members = groups::members(tx, call.named("name")?, after, limit)?;
    Ok(Page::of(members.iter().map(ToString::to_string).collect(), limit, String::clone))
}

fn create(tx: &mut Tx<'_>, call: &Call, body: NewGroupBody) -> Result<GroupView> {
    let group = groups::create(tx, &call.actor, &body.name)?;
    GroupView::of(tx, &group.name)
}

fn show(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<GroupView> {
    GroupView::of(tx, call.named("name")?)
}

fn end(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<GroupView> {
    let name = call.named("name")?;
    let view = GroupView::of(tx, name)?;
    for device in groups::delete(tx, &call.actor, name)? {
        rollout::nudge(tx, device)?;
    }
    Ok(view)
}

fn add(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<GroupView> {
    set(tx, call, true)
}

fn remove(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<GroupView> {
    set(tx, call, false)
}

fn set(tx: &mut Tx<'_>, call: &Call, inside: bool) -> Result<GroupView> {
    let name = call.named("name")?;
    let device = groups::set(tx, &call.actor, name, call.named("id")?, inside)?;
    rollout::nudge(tx, device)?;
    GroupView::of(tx, name)
}

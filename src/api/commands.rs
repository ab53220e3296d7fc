//! Commands: what was asked for, how it stands, and taking it back.

use super::{
    call::Call,
    route::{Route, get, post},
};
use crate::{
    documents::{
        Empty, Page,
        commands::{CancelBody, CommandView},
    },
    error::Result,
    fleet::{
        keeper::timers,
        life::Command,
        queue::{self},
        registry::lookup,
        wipe,
    },
    ids::CommandId,
    store::Tx,
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/commands", "All commands, oldest first", list)
            .paged()
            .query(&[("device", "only those of this device, by id or name")])
            .beside(),
        get("/api/v1/commands/{id}", "A command", show),
        post("/api/v1/commands/{id}/cancel", "Take it back; refused for a wipe that was sent already", cancel).ok(),
    ]
}

fn list(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<Page<CommandView>> {
    let (after, limit) = call.page()?;
    let commands = match call.query.get("device") {
        Some(device) => {
            let device = lookup::ever(tx, device)?;
            timers::page_of_device(tx, &device, after, limit)?
        }
        None => tx.scan::<Command>("", after, limit)?,
    };
    Ok(Page::of(CommandView::all(tx, call, &commands)?, limit, |c| c.id.clone()))
}

fn named(tx: &mut Tx<'_>, call: &Call) -> Result<CommandId> {
    call.id::<Command, _>(tx, "id", "command")
}

fn show(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<CommandView> {
    let id = named(tx, call)?;
    let command = queue::find(tx, id)?;
    CommandView::of(tx, call, &command)
}

fn cancel(tx: &mut Tx<'_>, call: &Call, body: CancelBody) -> Result<CommandView> {
    let open_mail = body.mail.opens();
    let id = named(tx, call)?;
    let command = wipe::cancel(tx, &call.actor, id, open_mail)?;
    CommandView::of(tx, call, &command)
}

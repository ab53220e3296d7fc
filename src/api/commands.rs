//! Commands: what was asked for, how it stands, and taking it back.

use super::{
    call::Call,
    route::{Empty, Page, Route, get, post},
    views::CommandView,
};
use crate::{
    error::Result,
    fleet::{
        keeper::timers,
        life::Command,
        queue::{self},
        registry::lookup,
        wipe,
    },
    store::Tx,
};
use schemars::JsonSchema;
use serde::Deserialize;

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/commands", "All commands, oldest first", list)
            .paged()
            .query(&[("device", "only those of this device, by id or name")])
            .beside(),
        get("/api/v1/commands/{id}", "A command", show),
        post("/api/v1/commands/{id}/cancel", "Take it back; refused where it was sent already", cancel).ok(),
    ]
}

fn list(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<Page<CommandView>> {
    let (after, limit) = call.page()?;
    let commands = match call.query.get("device") {
        Some(device) => {
            let device = lookup::device(tx, device)?;
            timers::page_of_device(tx, &device, after, limit)?
        }
        None => tx.scan::<Command>("", after, limit)?,
    };
    Ok(Page::of(CommandView::all(tx, call, &commands)?, limit, |c| c.id.clone()))
}

fn show(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<CommandView> {
    let command = queue::find(tx, call.id("id", "command")?)?;
    CommandView::of(tx, call, &command)
}

/// How a command is taken back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Cancel {
    /// Whether mail that the wipe shut opens again; it does where nothing is said.
    #[serde(default)]
    mail: Mail,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mail {
    #[default]
    Allow,
    Block,
}

fn cancel(tx: &mut Tx<'_>, call: &Call, body: Cancel) -> Result<CommandView> {
    let open_mail = matches!(body.mail, Mail::Allow);
    let command = wipe::cancel(tx, &call.actor, call.id("id", "command")?, open_mail)?;
    CommandView::of(tx, call, &command)
}

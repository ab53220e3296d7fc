//! Commands: what was asked for, how it stands, and taking it back.

use super::{
    call::Call,
    devices::one_of,
    route::{Route, get, post},
};
use crate::{
    documents::{
        Empty, Page,
        commands::{CancelBody, CommandView},
    },
    error::{Error, Result},
    fleet::{
        keeper::timers,
        life::{Action, Command, Device, State},
        queue::{self},
        registry::lookup,
        wipe::{self, Approval, approvals},
    },
    ids::CommandId,
    store::Tx,
};
use serde::de::DeserializeOwned;

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/commands", "All commands, oldest first", list)
            .paged()
            .query(&[
                ("device", "only those of this device, by id or name"),
                ("approval", "only those that this approval holds or held, by its id"),
                ("state", "only those in this state"),
                ("action", "only those of this action"),
                ("user", "only those on devices of this user"),
            ])
            .beside(),
        get("/api/v1/commands/{id}", "A command", show),
        post("/api/v1/commands/{id}/cancel", "Take it back; refused for a wipe that was sent already", cancel).ok(),
    ]
}

fn list(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<Page<CommandView>> {
    let wanted = Wanted::read(call)?;
    let (after, limit) = call.page()?;
    let commands = match (call.query.get("device"), call.query.get("approval")) {
        (Some(device), _) => {
            let device = lookup::ever(tx, device)?;
            timers::page_of_device(tx, &device, after, limit)?
        }
        (None, Some(approval)) => of_approval(tx, approval, after, limit)?,
        (None, None) => tx.scan::<Command>("", after, limit)?,
    };
    let next = commands.last().filter(|_| commands.len() >= limit).map(|c| c.id.to_string());
    let commands = wanted.of(tx, commands)?;
    Ok(Page { items: CommandView::all(tx, call, &commands)?, next })
}

fn of_approval(tx: &mut Tx<'_>, approval: &str, after: Option<&str>, limit: usize) -> Result<Vec<Command>> {
    let id = lookup::id::<Approval, _>(tx, "approval", approval)?;
    let mut ids = approvals::find(tx, id)?.commands;
    ids.sort_unstable();
    let after = after.and_then(|after| after.parse::<CommandId>().ok());
    let ids = ids.into_iter().filter(|id| after.is_none_or(|after| *id > after)).take(limit);
    Ok(tx.get_many::<Command>(ids)?.into_iter().flatten().collect())
}

/// What is left of a page.
struct Wanted {
    state: Option<State>,
    action: Option<Action>,
    user: Option<String>,
}

impl Wanted {
    fn read(call: &Call) -> Result<Self> {
        Ok(Self {
            state: word(call, "state", &State::ALL.map(State::as_str))?,
            action: word(call, "action", &Action::ALL.map(Action::as_str))?,
            user: call.query.get("user").map(|user| user.trim().to_lowercase()),
        })
    }

    fn of(&self, tx: &mut Tx<'_>, mut commands: Vec<Command>) -> Result<Vec<Command>> {
        commands.retain(|c| self.state.is_none_or(|s| c.state == s) && self.action.is_none_or(|a| c.action() == a));
        let Some(user) = &self.user else { return Ok(commands) };
        let devices = tx.get_many::<Device>(commands.iter().map(|c| c.device))?;
        let is_theirs = |device: &Option<Device>| device.as_ref().is_some_and(|d| d.user.to_lowercase() == *user);
        Ok(commands.into_iter().zip(devices).filter(|(_, device)| is_theirs(device)).map(|(c, _)| c).collect())
    }
}

/// A word of the query that is one of these.
fn word<T: DeserializeOwned>(call: &Call, name: &'static str, words: &[&str]) -> Result<Option<T>> {
    let read = |text: &String| {
        let known = serde_json::from_value(one_of(name, text, words)?.into());
        known.map_err(|e| Error::Internal(e.to_string()))
    };
    call.query.get(name).map(read).transpose()
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

//! The command queue: what is to be done once on one device, from asked to evidence.
//!
//! `held` → `queued` → `sent` → an end. Each step is one transaction, durable before anybody hears of it. Delivery is at least
//! once; a repeated answer changes nothing; evidence beats every other end.

pub mod act;
pub mod command;
pub mod ending;
pub mod exchange;
pub mod stop;
pub mod timers;

pub use act::{Act, Action, Scope};
pub use command::{Command, Evidence, State};
pub use exchange::{Outcome, Talk, note_unasked, settle, take_next};

use crate::{
    error::{Error, Result},
    fleet::{
        actor::Actor,
        audit::{self, By, Event, Pass},
        registry::{Channel, Device, Enrolment, EnrolmentState},
    },
    ids::CommandId,
    store::Tx,
};

/// Sealed under this label: the six digits for a Mac.
pub const PIN: &str = "command pin";

/// How well a channel can do an action on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Support {
    /// It can.
    Yes,
    /// It cannot, for this reason.
    No(String),
}

/// Asks a channel, for one of the device's enrolments.
pub type Ask<'a> = &'a dyn Fn(&Device, &Enrolment, Action, Option<Scope>) -> Support;

/// The command of this id.
pub fn command(tx: &mut Tx<'_>, id: CommandId) -> Result<Command> {
    tx.get::<Command>(id)?.ok_or_else(|| Error::not_found("command", id))
}

/// Who asks what the server asks by itself: facts and policies. Its commands are no entries of the audit log, which is of people's
/// acts and of devices' answers to them; a fleet's change of policy would drown those.
pub(crate) const SYSTEM: &str = "system";

/// Adds a new command to its device, as it stands. Both are written.
pub fn add(tx: &mut Tx<'_>, device: &mut Device, command: &Command) -> Result<()> {
    device.open.push(command.id);
    timers::reset(tx, None, command)?;
    tell(command);
    tx.put(command)?;
    tx.put(device)?;
    if command.asked_by == SYSTEM {
        return Ok(());
    }
    let (action, reason) = (command.action(), command.reason.clone());
    let pass = if command.state == State::Held { Pass::Held } else { Pass::Free };
    let event = Event::CommandAsked { command: command.id, device: device.id, action, pass, reason };
    audit::note(tx, By::Admin(command.asked_by.clone()), event)
}

/// Writes a command and when it next needs looking at. Marks its device as changed.
pub fn save(tx: &mut Tx<'_>, command: &Command) -> Result<()> {
    let before = tx.get::<Command>(command.id)?;
    timers::reset(tx, before.as_ref(), command)?;
    if before.is_none_or(|before| (before.state, before.enrolment) != (command.state, command.enrolment)) {
        tell(command);
    }
    tx.put(command)?;
    Ok(())
}

/// A step of a command, for the log, by ids alone: whose device it is and why it was asked for are no business of the log's. It counts
/// with the commit of its batch, and where that fails a line says so.
fn tell(command: &Command) {
    let Command { id, device, enrolment, state, .. } = command;
    tracing::debug!(command = %id, %device, %enrolment, action = command.action().as_str(), state = state.as_str(), "command");
}

/// Queues something that needs no guard. What does is asked for through the breaker (`wipe::ask`, `wipe::ask_lock`).
pub fn ask(tx: &mut Tx<'_>, actor: &Actor, device: &mut Device, act: Act, support: Ask<'_>) -> Result<Command> {
    let action = act.action();
    if action.is_guarded() {
        return Err(Error::Internal(format!("{} was asked for past the breaker", action.as_str())));
    }
    let carrier = carrier(device)?.clone();
    if let Support::No(why) = support(device, &carrier, action, None) {
        return Err(Error::refused("unsupported", why));
    }
    let mut command = Command::new(tx, device.id, &carrier, act);
    command.asked_by = actor.id.clone();
    command.requested_by = actor.name.clone();
    command.wake_at = Some(tx.steady());
    add(tx, device, &command)?;
    Ok(command)
}

/// The enrolment that carries a command; refused where the device has none that lives, or none that would be told.
pub fn carrier(device: &Device) -> Result<&Enrolment> {
    let none = || Error::refused("not_enrolled", format!("device {} has no enrolment left", device.id));
    let carrier = device.carrier().ok_or_else(none)?;
    if matches!(carrier.state, EnrolmentState::Blocked | EnrolmentState::Quarantined) && !carrier.hears() {
        let text = format!("enrolment {} is shut out and would not be told: allow it first", carrier.id);
        return Err(Error::refused("blocked", text));
    }
    Ok(carrier)
}

/// Commands of the system's own making: what a channel asks a device after enrolment, and policies.
pub fn ask_by_system(tx: &mut Tx<'_>, device: &mut Device, enrolment: &Enrolment, act: Act) -> Result<Command> {
    let mut command = Command::new(tx, device.id, enrolment, act);
    command.asked_by = SYSTEM.into();
    command.requested_by = SYSTEM.into();
    add(tx, device, &command)?;
    Ok(command)
}

/// The commands of one channel that a device has open, wipes first, then by age.
pub fn open(tx: &mut Tx<'_>, device: &Device, channel: Channel) -> Result<Vec<Command>> {
    let mut found = Vec::new();
    for id in &device.open {
        found.extend(tx.get::<Command>(id)?.filter(|c| c.channel == channel && !c.state.is_final()));
    }
    found.sort_by_key(|c| (c.action() != Action::Wipe, c.id));
    Ok(found)
}

//! The command queue: what is to be done once on one device, from asked to evidence.
//!
//! `held` → `queued` → `sent` → an end. Each step is one transaction, durable before anybody hears of it. Delivery is at least
//! once; a repeated answer changes nothing; evidence beats every other end.

pub mod stop;

use crate::{
    error::{Error, Result},
    fleet::{
        actor::Actor,
        keeper,
        life::{
            Act, Action, Asker, Command, Contact, Device, Enrolment, EnrolmentState, Event, Managed, Order, Outcome,
            Scope, State, command::SYSTEM,
        },
        settings,
    },
    ids::{CommandId, EnrolmentId},
    store::Tx,
};
use std::collections::BTreeSet;

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
pub fn find(tx: &mut Tx<'_>, id: CommandId) -> Result<Command> {
    tx.get::<Command>(id)?.ok_or_else(|| Error::not_found("command", id))
}

/// Queues something that needs no guard; what is asked for again while it is open answers the first command. What does is asked for through the breaker (`wipe::ask`, `wipe::ask_lock`, `wipe::ask_clear_passcode`).
pub fn ask(tx: &mut Tx<'_>, actor: &Actor, device: &mut Managed, act: Act, support: Ask<'_>) -> Result<Command> {
    let action = act.action();
    if action.is_guarded() {
        return Err(Error::Internal(format!("{} was asked for past the breaker", action.as_str())));
    }
    let carrier = able(device, act.action(), None, support)?;
    if let Some(first) = asked_before(carrier, device, &act) {
        return again(tx, device, first, None);
    }
    let by = Asker::Person { id: actor.id.clone(), name: actor.name.clone() };
    let order = order(tx, carrier, act, by);
    place(tx, device, order)
}

/// The open command that answers an act which is asked for again: to do it twice has no use. What is held answers nobody, since it has
/// no effect yet.
pub(in crate::fleet) fn asked_before(carrier: &Enrolment, device: &Managed, act: &Act) -> Option<CommandId> {
    let once = matches!(act.action(), Action::Refresh | Action::Lock | Action::Restart | Action::ClearPasscode);
    let same = |c: &&Command| c.action() == act.action() && c.enrolment == carrier.id && c.state != State::Held;
    device.open().filter(|_| once).find(same).map(|command| command.id)
}

/// The first command, woken again. `also`: who asks sees its PIN too.
pub(in crate::fleet) fn again(
    tx: &mut Tx<'_>,
    device: &mut Managed,
    command: CommandId,
    also: Option<String>,
) -> Result<Command> {
    keeper::happen(tx, device, Event::WokenAgain { command, also })?;
    find(tx, command)
}

/// The enrolment that carries an act; refused where it cannot.
pub(in crate::fleet) fn able<'d>(
    device: &'d Device,
    action: Action,
    scope: Option<Scope>,
    support: Ask<'_>,
) -> Result<&'d Enrolment> {
    let carrier = carrier(device)?;
    match support(device, carrier, action, scope) {
        Support::Yes => Ok(carrier),
        Support::No(why) => Err(Error::refused("unsupported", why)),
    }
}

/// An order for this enrolment, without a wait and held by nobody.
pub(in crate::fleet) fn order(tx: &mut Tx<'_>, carrier: &Enrolment, act: Act, by: Asker) -> Order {
    let (enrolment, channel, reason) = (carrier.id, carrier.channel, String::new());
    Order { id: tx.new_id(), act, enrolment, channel, by, reason, delay: 0, expires: None, held: None }
}

/// The new command, as it stands.
pub(in crate::fleet) fn place(tx: &mut Tx<'_>, device: &mut Managed, order: Order) -> Result<Command> {
    let id = order.id;
    keeper::happen(tx, device, Event::Asked(Box::new(order)))?;
    device.command(id).cloned().ok_or_else(|| Error::not_found("command", id))
}

/// The enrolment that carries a command; refused where the device has none that lives, or none that would be told.
fn carrier(device: &Device) -> Result<&Enrolment> {
    let none = || Error::refused("not_enrolled", format!("device {} has no enrolment left", device.id));
    let carrier = device.carrier().ok_or_else(none)?;
    if matches!(carrier.state, EnrolmentState::Blocked | EnrolmentState::Quarantined) && !carrier.hears() {
        let text = format!("enrolment {} is shut out and would not be told: allow it first", carrier.id);
        return Err(Error::refused("blocked", text));
    }
    Ok(carrier)
}

/// Commands of the system's own making: what a channel asks a device after enrolment, and policies.
pub fn ask_by_system(tx: &mut Tx<'_>, device: &mut Managed, enrolment: EnrolmentId, act: Act) -> Result<Command> {
    let carrier = device.enrolment(enrolment).ok_or_else(|| Error::not_found("enrolment", enrolment))?;
    let order = order(tx, carrier, act, Asker::System);
    place(tx, device, order)
}

/// Files what came of a command ([`Event::Answered`]). Returns the command as it stands then; none where it is not the device's, or
/// was never sent.
pub fn settle(
    tx: &mut Tx<'_>,
    device: &mut Managed,
    enrolment: EnrolmentId,
    id: CommandId,
    outcome: Outcome,
) -> Result<Option<Command>> {
    if device.command(id).is_none()
        && let Some(command) = tx.get::<Command>(id)?
    {
        device.know(command);
    }
    keeper::happen(tx, device, Event::Answered { enrolment, command: id, outcome })?;
    Ok(device.command(id).filter(|command| command.sent.is_some()).cloned())
}

/// The command that this enrolment gets now ([`Managed::next`]), marked as sent.
pub fn take_next(
    tx: &mut Tx<'_>,
    device: &mut Managed,
    enrolment: EnrolmentId,
    contact: Contact,
) -> Result<Option<Command>> {
    take_due(tx, device, enrolment, contact, &BTreeSet::new(), |_, _| Ok(()))
}

/// The same without those that have had their turn in this session; a wipe that had keeps the others back. Where nothing waits, or nothing
/// but what lets others pass, `ask` may queue first what nobody had to ask for: it shall not wait behind what a device never answers.
pub fn take_due(
    tx: &mut Tx<'_>,
    device: &mut Managed,
    enrolment: EnrolmentId,
    contact: Contact,
    done: &BTreeSet<CommandId>,
    ask: impl FnOnce(&mut Tx<'_>, &mut Managed) -> Result<()>,
) -> Result<Option<Command>> {
    give_up(tx, device, enrolment)?;
    let stopped = stop::is_on(tx)?;
    let next = device.next_but(enrolment, contact, stopped, tx.steady(), done);
    if next.is_none_or(|command| command.lets_pass()) {
        ask(tx, device)?;
    }
    let next = device.next_but(enrolment, contact, stopped, tx.steady(), done);
    let Some(command) = next.map(|command| command.id) else { return Ok(None) };
    keeper::happen(tx, device, Event::HandedOut { enrolment, command })?;
    Ok(device.command(command).cloned())
}

/// Ends what this enrolment has not answered for as long as `queue.give_up` says. Where nothing is left unanswered nothing is read.
fn give_up(tx: &mut Tx<'_>, device: &mut Managed, enrolment: EnrolmentId) -> Result<()> {
    if device.open().any(|command| command.enrolment == enrolment && command.may_be_given_up()) {
        let give_up = settings::span(tx, "queue.give_up")?;
        keeper::happen(tx, device, Event::Unanswered { enrolment, give_up })?;
    }
    Ok(())
}

/// Whether the server asked for it by itself.
pub fn is_systems(command: &Command) -> bool {
    command.asked_by == SYSTEM
}

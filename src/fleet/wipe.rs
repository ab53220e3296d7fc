//! The wipe breaker: what stands between an administrator's word and a device that is erased.
//!
//! Made for an administrator's account in a thief's hands: limits in any 60 minutes, newcomers who count for nothing, a second
//! person, an undo window, an emergency stop. The count and the queueing are one store operation.

pub mod approvals;
pub(crate) mod limits;
pub mod loss;
pub mod stop;
pub mod sweep;

pub use approvals::{Approval, Subject};
pub use limits::Kind;
pub use sweep::{Wake, sweep};

use crate::{
    clock::Steady,
    error::{Error, Result},
    fleet::{
        actor::Actor,
        audit::{self, By, Cancelled, Event, Pass},
        queue::{self, Act, Action, Ask, Command, Scope, State, Support, command::Hold},
        registry::{Device, Life, Ownership, Platform, lookup},
        settings,
    },
    ids::CommandId,
    store::Tx,
};
use std::time::Duration;

/// The longest undo window, as for the setting `wipe.delay`.
const MAX_DELAY: Duration = Duration::from_secs(30 * 86_400);

/// What an administrator asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// How much.
    pub scope: Scope,
    /// Why; required.
    pub reason: String,
    /// Six digits for a Mac; already sealed by the caller.
    pub pin: Option<String>,
    /// The undo window; the setting `wipe.delay` where nothing is said.
    pub delay: Option<Duration>,
    /// After so long without being sent it comes to nothing.
    pub expires: Option<Duration>,
}

/// Asks for a wipe. Asked again it answers the first command; what is over a limit, from a newcomer or under the stop is held.
pub fn ask(tx: &mut Tx<'_>, actor: &Actor, device: &str, request: Request, support: Ask<'_>) -> Result<Command> {
    let request = Request { reason: reason(&request.reason)?, ..request };
    let mut device = lookup::device(tx, device)?;
    if let Some(first) = asked_before(tx, actor, &mut device, &request)? {
        return Ok(first);
    }
    if device.ownership == Ownership::Personal && request.scope == Scope::Full {
        return Err(Error::refused(
            "personal",
            "the device is its user's own: only the organisation's data can be removed (a selective wipe)",
        ));
    }
    let carrier = queue::carrier(&device)?.clone();
    if let Support::No(why) = support(&device, &carrier, Action::Wipe, Some(request.scope)) {
        return Err(Error::refused("unsupported", why));
    }
    let act = Act::Wipe { scope: request.scope, pin: None };
    let mut command = Command::new(tx, device.id, &carrier, act);
    terms(tx, &mut command, &request)?;
    let kind = if request.scope == Scope::Full { Kind::Full } else { Kind::Other };
    guarded(tx, actor, &mut device, command, kind)
}

/// What goes with a wipe, as this request says it.
fn terms(tx: &mut Tx<'_>, command: &mut Command, request: &Request) -> Result<()> {
    let delay = match request.delay {
        Some(delay) => delay,
        None => settings::span(tx, "wipe.delay")?,
    };
    check_times(delay, request.expires)?;
    command.reason.clone_from(&request.reason);
    if let Act::Wipe { pin, .. } = &mut command.act {
        pin.clone_from(&request.pin);
    }
    command.expires = request.expires.map(|expires| tx.now().plus(expires));
    command.delay = delay.as_secs();
    Ok(())
}

/// A wipe that its undo window holds back for ever, or until it has expired, would only look like one.
fn check_times(delay: Duration, expires: Option<Duration>) -> Result<()> {
    if delay > MAX_DELAY {
        return Err(Error::invalid("delay", "an undo window is at most 30d long"));
    }
    if expires.is_some_and(|expires| expires <= delay) {
        let text = format!("the undo window of {} s must end before the wipe expires", delay.as_secs());
        return Err(Error::invalid("delay", text));
    }
    Ok(())
}

/// Asks for a lock of the screen: guarded like a retire.
pub fn ask_lock(
    tx: &mut Tx<'_>,
    actor: &Actor,
    device: &str,
    reason: &str,
    pin: Option<String>,
    support: Ask<'_>,
) -> Result<Command> {
    let mut device = lookup::device(tx, device)?;
    let carrier = queue::carrier(&device)?.clone();
    if let Support::No(why) = support(&device, &carrier, Action::Lock, None) {
        return Err(Error::refused("unsupported", why));
    }
    let mut command = Command::new(tx, device.id, &carrier, Act::Lock { pin });
    command.reason = reason.trim().to_string();
    guarded(tx, actor, &mut device, command, Kind::Other)
}

/// Takes back a command that has not been sent; says so where that comes too late.
pub fn cancel(tx: &mut Tx<'_>, actor: &Actor, id: CommandId, open_mail: bool) -> Result<Command> {
    let mut found = queue::command(tx, id)?;
    match found.state {
        State::Cancelled => return Ok(found),
        State::Held | State::Queued | State::NotNow => {}
        State::Sent => {
            let when = found.sent.map(|t| t.to_string()).unwrap_or_default();
            return Err(Error::refused(
                "cancel_too_late",
                format!("too late: it was sent at {when} and may be done already"),
            ));
        }
        ended => return Err(Error::refused("ended", format!("it has ended: {}", ended.as_str()))),
    }
    queue::ending::end(tx, &mut found, State::Cancelled, open_mail)?;
    let event = Event::CommandCancelled { command: id, device: found.device, why: Cancelled::ByHand };
    audit::note(tx, actor, event)?;
    if let Some(approval) = found.approval {
        approvals::close_if_empty(tx, actor, approval)?;
    }
    Ok(found)
}

/// Counts an act that is not a command (revoking a certificate); refused where it would have to be held.
pub fn count_act(tx: &mut Tx<'_>, actor: &Actor) -> Result<()> {
    match hindrance(tx, actor, Kind::Other)? {
        None => limits::count(tx, &actor.id, Kind::Other),
        Some(why) => Err(Error::refused("held", format!("not done: {why}"))),
    }
}

/// Whether a Mac's six digits have to come with it.
pub fn needs_pin(platform: Platform) -> bool {
    platform == Platform::Macos
}

fn reason(text: &str) -> Result<String> {
    let text = text.trim();
    if text.is_empty() || text.len() > 1000 {
        return Err(Error::invalid("reason", "a wipe needs a reason, at most 1000 bytes long"));
    }
    Ok(text.to_string())
}

/// The command that answers a wipe asked for again; `None`: a new one is to be made. What the breaker holds has no effect yet, so
/// it answers nobody who asks for another scope, and nobody whose word counts.
fn asked_before(tx: &mut Tx<'_>, actor: &Actor, device: &mut Device, request: &Request) -> Result<Option<Command>> {
    let scope = request.scope;
    let enough = |c: &Command| c.wipes(Scope::Full) || c.wipes(scope);
    let open = open_wipes(tx, device)?;
    if let Some(first) = open.iter().find(|c| enough(c) && c.hold != Some(Hold::Breaker)) {
        return Ok(Some(first.clone()));
    }
    if let Some(held) = open.iter().find(|c| c.wipes(scope) && c.hold == Some(Hold::Breaker)) {
        return ask_again(tx, actor, device, held.clone(), request).map(Some);
    }
    if let Some(id) = device.wipe.filter(|_| matches!(device.life, Life::Wiped | Life::Retired))
        && let Some(ended) = tx.get::<Command>(id)?.filter(enough)
        && device.carrier().is_none()
    {
        return Ok(Some(ended));
    }
    Ok(None)
}

fn open_wipes(tx: &mut Tx<'_>, device: &Device) -> Result<Vec<Command>> {
    let mut open = Vec::new();
    for id in &device.open {
        open.extend(tx.get::<Command>(*id)?.filter(|c| c.action() == Action::Wipe));
    }
    Ok(open)
}

/// A held wipe goes its way when somebody asks for it whom nothing hinders: who asked first, once the hour has room, or another.
fn ask_again(
    tx: &mut Tx<'_>,
    actor: &Actor,
    device: &mut Device,
    mut held: Command,
    request: &Request,
) -> Result<Command> {
    let kind = if held.scope() == Some(Scope::Full) { Kind::Full } else { Kind::Other };
    if hindrance(tx, actor, kind)?.is_some() {
        return Ok(held);
    }
    limits::count(tx, &actor.id, kind)?;
    approvals::withdraw(tx, &held)?;
    held.approval = None;
    if held.asked_by != actor.id {
        // Nothing of what the other chose holds: an undo window of weeks, or a PIN that they know.
        (held.asked_by, held.requested_by) = (actor.id.clone(), actor.name.clone());
        terms(tx, &mut held, request)?;
        let (command, device, reason) = (held.id, device.id, held.reason.clone());
        let event = Event::CommandAsked { command, device, action: Action::Wipe, pass: Pass::Free, reason };
        audit::note(tx, actor, event)?;
    }
    pass(tx, device, &mut held)?;
    queue::save(tx, &held)?;
    tx.put(device)?;
    Ok(held)
}

/// Why an act of this person must wait for a second one; `None`: it need not.
fn hindrance(tx: &mut Tx<'_>, actor: &Actor, kind: Kind) -> Result<Option<String>> {
    if stop::is_on(tx)? {
        return Ok(Some("the emergency stop is on".into()));
    }
    if let Some(until) = actor.newcomer_until {
        return Ok(Some(format!("{} is new here and counts from {until}", actor.name)));
    }
    limits::over(tx, &actor.id, kind)
}

fn guarded(tx: &mut Tx<'_>, actor: &Actor, device: &mut Device, mut command: Command, kind: Kind) -> Result<Command> {
    command.asked_by = actor.id.clone();
    command.requested_by = actor.name.clone();
    match hindrance(tx, actor, kind)? {
        None => {
            limits::count(tx, &actor.id, kind)?;
            pass(tx, device, &mut command)?;
        }
        Some(why) => {
            command.state = State::Held;
            command.hold = Some(Hold::Breaker);
            command.approval = Some(approvals::hold(tx, actor, command.id, &why)?);
        }
    }
    queue::add(tx, device, &command)?;
    Ok(command)
}

/// Past the breaker: into the undo window where there is one, else to the queue. Mail closes at once. A full wipe replaces a
/// selective one that has not left yet, and follows one that has.
fn pass(tx: &mut Tx<'_>, device: &mut Device, command: &mut Command) -> Result<()> {
    if command.wipes(Scope::Full) {
        let replaced = |c: &Command| c.id != command.id && c.is_wipe_under_way() && c.state != State::Sent;
        for mut selective in open_wipes(tx, device)?.into_iter().filter(replaced) {
            queue::ending::end_on(tx, device, &mut selective, State::Cancelled, true)?;
            let (id, device) = (selective.id, device.id);
            let event = Event::CommandCancelled { command: id, device, why: Cancelled::ReplacedByFullWipe };
            audit::note(tx, By::Admin(command.asked_by.clone()), event)?;
        }
    }
    if command.delay > 0 {
        command.state = State::Held;
        command.hold = Some(Hold::Delay);
        command.release_at = Some(tx.steady().plus(Duration::from_secs(command.delay)));
        if command.action() == Action::Wipe {
            queue::ending::under(device, command);
        }
    } else {
        to_queue(tx.steady(), device, command);
    }
    Ok(())
}

fn to_queue(now: Steady, device: &mut Device, command: &mut Command) {
    command.state = State::Queued;
    command.hold = None;
    command.release_at = None;
    command.wake_at = Some(now);
    if command.action() == Action::Wipe {
        queue::ending::under(device, command);
    }
}

/// Ends an undo window. The command is the caller's to write.
fn release(tx: &mut Tx<'_>, command: &mut Command) -> Result<()> {
    let mut device = lookup::by_id(tx, command.device)?;
    to_queue(tx.steady(), &mut device, command);
    tx.put(&device)?;
    audit::note(tx, By::System, Event::CommandReleased { command: command.id, device: command.device })
}

/// Lets pass what a second person approved: its undo window, where it has one, begins now.
fn approve_command(tx: &mut Tx<'_>, id: crate::ids::CommandId) -> Result<()> {
    let mut command = queue::command(tx, id)?;
    if command.hold != Some(Hold::Breaker) || command.state != State::Held {
        return Ok(());
    }
    let mut device = lookup::by_id(tx, command.device)?;
    let overtaken = |c: &Command| c.wipes(Scope::Full) && c.is_wipe_under_way();
    if command.wipes(Scope::Selective) && open_wipes(tx, &device)?.iter().any(overtaken) {
        queue::ending::end_on(tx, &mut device, &mut command, State::Cancelled, false)?;
        let event = Event::CommandCancelled { command: id, device: device.id, why: Cancelled::FullWipeUnderWay };
        return audit::note(tx, By::System, event);
    }
    // Its time was to begin with the asking, and begins with the approval.
    let waited = tx.steady().since(command.asked);
    command.expires = command.expires.map(|expires| expires.plus(waited));
    pass(tx, &mut device, &mut command)?;
    queue::save(tx, &command)?;
    Ok(tx.put(&device)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::parse_duration;

    #[test]
    fn an_undo_window_ends_before_the_wipe_expires() {
        let span = |text: &str| Some(parse_duration(text).unwrap());
        for (row, delay, expires, part) in [
            ("none", span("0s"), span("1s"), ""),
            ("alone", span("30d"), None, ""),
            ("too long", span("31d"), None, "at most 30d"),
            ("shorter", span("1h"), span("2h"), ""),
            ("as long", span("1h"), span("60m"), "before the wipe expires"),
        ] {
            let wrong = check_times(delay.unwrap(), expires).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(wrong.contains(part) && wrong.is_empty() == part.is_empty(), "{row}: {wrong}");
        }
    }
}

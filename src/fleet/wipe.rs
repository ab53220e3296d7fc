//! The wipe breaker: what stands between an administrator's word and a device that is erased.
//!
//! Made for an administrator's account in a thief's hands: limits in any 60 minutes, newcomers who count for nothing, a second
//! person, an undo window, an emergency stop. The count and the queueing are one store operation.

pub mod approvals;
pub(crate) mod limits;
pub mod loss;
pub mod stop;
pub mod sweep;
pub mod upstream;

pub use approvals::{Approval, Subject};
pub use limits::Kind;
pub use sweep::{Wake, sweep};

use crate::{
    error::{Error, Result},
    fleet::{
        actor::Actor,
        audit::Cancelled,
        keeper,
        life::{
            Act, Action, Asker, Channel, Command, Device, Enrolment, Erasing, Event, Life, Managed, Order, Ownership,
            Platform, Scope, State, Terms, Withdrawal, command::Hold,
        },
        queue::{self, Ask},
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
    /// How an Apple device erases itself.
    pub how: Erasing,
    /// The undo window; the setting `wipe.delay` where nothing is said.
    pub delay: Option<Duration>,
    /// After so long without being sent it comes to nothing.
    pub expires: Option<Duration>,
}

/// Asks for a wipe. Asked again it answers the first command; what is over a limit, from a newcomer or under the stop is held.
pub fn ask(tx: &mut Tx<'_>, actor: &Actor, device: &str, request: Request, support: Ask<'_>) -> Result<Command> {
    let request = Request { reason: reason(&request.reason)?, ..request };
    if request.scope == Scope::Selective && !request.how.is_plain() {
        return Err(unsupported("a selective wipe erases nothing: how to erase goes with a full one"));
    }
    let mut device = keeper::find(tx, device)?;
    if let Some(first) = asked_before(tx, actor, &mut device, &request)? {
        return Ok(first);
    }
    if device.ownership == Ownership::Personal && request.scope == Scope::Full {
        return Err(Error::refused(
            "personal",
            "the device is its user's own: only the organisation's data can be removed (a selective wipe)",
        ));
    }
    let carrier = queue::able(&device, Action::Wipe, Some(request.scope), support)?.clone();
    check_how(&device, request.how)?;
    let terms = terms(tx, actor, &request)?;
    let act = Act::Wipe { scope: request.scope, pin: terms.pin, how: terms.how };
    let order = Order {
        reason: terms.reason,
        delay: terms.delay,
        expires: terms.expires,
        ..queue::order(tx, &carrier, act, person(actor))
    };
    let kind = if request.scope == Scope::Full { Kind::Full } else { Kind::Other };
    guarded(tx, actor, &mut device, order, kind)
}

fn person(actor: &Actor) -> Asker {
    Asker::Person { id: actor.id.clone(), name: actor.name.clone() }
}

/// What goes with a wipe, as this request says it.
fn terms(tx: &mut Tx<'_>, actor: &Actor, request: &Request) -> Result<Terms> {
    let delay = match request.delay {
        Some(delay) => delay,
        None => settings::span(tx, "wipe.delay")?,
    };
    check_times(delay, request.expires)?;
    Ok(Terms {
        id: actor.id.clone(),
        name: actor.name.clone(),
        reason: request.reason.clone(),
        pin: request.pin.clone(),
        how: request.how,
        delay: delay.as_secs(),
        expires: request.expires.map(|expires| tx.now().plus(expires)),
    })
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

/// That what would carry the wipe can erase the device in this way. What it cannot it would ignore, and erase all the same.
fn check_how(device: &Device, how: Erasing) -> Result<()> {
    if how.is_plain() {
        return Ok(());
    }
    if device.carrier().is_some_and(|carrier| carrier.channel != Channel::Apple) {
        return Err(unsupported("only a device that Apple's MDM manages can be told how to erase itself"));
    }
    if how.obliteration.is_some() && device.platform != Platform::Macos {
        return Err(unsupported("obliteration is a Mac's alone"));
    }
    let is_phone = matches!(device.platform, Platform::Ios | Platform::Ipados);
    if how.preserve_data_plan && !is_phone {
        return Err(unsupported("only an iPhone or iPad keeps its data plan"));
    }
    if how.return_to_service && !is_phone {
        return Err(unsupported("only an iPhone or iPad is told to return to service"));
    }
    Ok(())
}

fn unsupported(text: &str) -> Error {
    Error::refused("unsupported", text)
}

/// What a locked screen shows, and what opens it.
#[derive(Debug, Clone, Default)]
pub struct Screen {
    /// Six digits for a Mac; already sealed by the caller.
    pub pin: Option<String>,
    /// For who finds it.
    pub message: Option<String>,
    /// The number that they may call.
    pub phone: Option<String>,
}

/// Asks for a lock of the screen: guarded like a retire.
pub fn ask_lock(
    tx: &mut Tx<'_>,
    actor: &Actor,
    device: &str,
    reason: &str,
    screen: Screen,
    support: Ask<'_>,
) -> Result<Command> {
    let mut device = keeper::find(tx, device)?;
    let carrier = queue::able(&device, Action::Lock, None, support)?.clone();
    let Screen { pin, message, phone } = screen;
    if carrier.channel != Channel::Apple && (message.is_some() || phone.is_some()) {
        return Err(Error::refused(
            "unsupported",
            "only an Apple device shows a message or a number when it is locked",
        ));
    }
    let act = Act::Lock { pin, message, phone };
    if let Some(first) = answered_by_first(tx, actor, &mut device, &carrier, &act)? {
        return Ok(first);
    }
    let order = queue::order(tx, &carrier, act, person(actor));
    let order = Order { reason: reason.trim().to_string(), ..order };
    guarded(tx, actor, &mut device, order, Kind::Other)
}

/// Asks for the removal of a passcode: guarded like a lock, since who holds the phone is in then.
pub fn ask_clear_passcode(tx: &mut Tx<'_>, actor: &Actor, device: &str, support: Ask<'_>) -> Result<Command> {
    let mut device = keeper::find(tx, device)?;
    if device.ownership == Ownership::Personal {
        return Err(Error::refused(
            "personal",
            "the device is its user's own, and so is its passcode: only they remove it",
        ));
    }
    let carrier = queue::able(&device, Action::ClearPasscode, None, support)?.clone();
    if let Some(first) = answered_by_first(tx, actor, &mut device, &carrier, &Act::ClearPasscode)? {
        return Ok(first);
    }
    let order = queue::order(tx, &carrier, Act::ClearPasscode, person(actor));
    guarded(tx, actor, &mut device, order, Kind::Other)
}

/// Takes back a command that has not been sent; says so where that comes too late.
pub fn cancel(tx: &mut Tx<'_>, actor: &Actor, id: CommandId, open_mail: bool) -> Result<Command> {
    let command = queue::find(tx, id)?;
    if command.asked_by != actor.id {
        actor.must_count("cancel what others asked for")?;
    }
    match command.state {
        State::Cancelled => return Ok(command),
        _ if command.may_be_taken_back() => {}
        State::Sent => {
            let when = command.sent.map(|t| t.to_string()).unwrap_or_default();
            return Err(Error::refused(
                "cancel_too_late",
                format!("too late: it was sent at {when} and may be done already"),
            ));
        }
        ended => return Err(Error::refused("ended", format!("it has ended: {}", ended.as_str()))),
    }
    let mut device = keeper::by_id(tx, command.device)?;
    let told = Some((actor.id.clone(), Cancelled::ByHand));
    let end = Withdrawal::Cancelled;
    keeper::happen(tx, &mut device, Event::Withdrawn { command: id, end, open_mail, told })?;
    if let Some(approval) = command.approval {
        approvals::close_if_empty(tx, actor, approval)?;
    }
    queue::find(tx, id)
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
fn asked_before(tx: &mut Tx<'_>, actor: &Actor, device: &mut Managed, request: &Request) -> Result<Option<Command>> {
    let scope = request.scope;
    let enough = |c: &&Command| c.wipes(Scope::Full) || c.wipes(scope);
    let held = |c: &Command| c.hold == Some(Hold::Breaker);
    // One that is owed to a former enrolment alone is no answer to who wants the present one wiped.
    let of_now = |c: &&Command| device.carrier().is_none_or(|carrier| c.is_owed_to(carrier));
    let first = device.open().filter(enough).filter(of_now).find(|c| !held(c)).map(|c| c.id);
    if let Some(first) = first {
        return woken_again(tx, device, first).map(Some);
    }
    let of_this_scope = device.open().find(|c| c.wipes(scope) && held(c)).cloned();
    if let Some(held) = of_this_scope {
        return ask_again(tx, actor, device, &held, request).map(Some);
    }
    let ended =
        device.wipe.filter(|_| matches!(device.life, Life::Wiped | Life::Retired) && device.carrier().is_none());
    match ended.and_then(|id| device.command(id)).filter(enough).cloned() {
        // Nothing contradicts it so far: it is asked for once more, by a wake.
        Some(presumed) if presumed.state == State::Presumed => woken_again(tx, device, presumed.id).map(Some),
        ended => Ok(ended),
    }
}

fn woken_again(tx: &mut Tx<'_>, device: &mut Managed, id: CommandId) -> Result<Command> {
    queue::again(tx, device, id, None)
}

/// The first command, where the same act is asked for again. The PIN of it is for those alone whose word would count for a new one: a
/// newcomer must not unlock what another locked.
fn answered_by_first(
    tx: &mut Tx<'_>,
    actor: &Actor,
    device: &mut Managed,
    carrier: &Enrolment,
    act: &Act,
) -> Result<Option<Command>> {
    let Some(first) = queue::asked_before(carrier, device, act) else { return Ok(None) };
    let counts = hindrance(tx, actor, Kind::Other)?.is_none();
    queue::again(tx, device, first, counts.then(|| actor.id.clone())).map(Some)
}

/// A held wipe goes its way when somebody asks for it whom nothing hinders: who asked first, once the hour has room, or another.
fn ask_again(
    tx: &mut Tx<'_>,
    actor: &Actor,
    device: &mut Managed,
    held: &Command,
    request: &Request,
) -> Result<Command> {
    let kind = if held.scope() == Some(Scope::Full) { Kind::Full } else { Kind::Other };
    // At the mail server's word it may wait for an approval, and for nothing else.
    if device.ownership == Ownership::Personal && kind == Kind::Full {
        return Ok(held.clone());
    }
    if hindrance(tx, actor, kind)?.is_some() {
        return Ok(held.clone());
    }
    limits::count(tx, &actor.id, kind)?;
    approvals::withdraw(tx, held)?;
    let over = match held.asked_by == actor.id {
        true => None,
        false => {
            check_how(device, request.how)?;
            Some(Box::new(terms(tx, actor, request)?))
        }
    };
    keeper::happen(tx, device, Event::AskedAgain { command: held.id, over })?;
    queue::find(tx, held.id)
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

fn guarded(tx: &mut Tx<'_>, actor: &Actor, device: &mut Managed, mut order: Order, kind: Kind) -> Result<Command> {
    match hindrance(tx, actor, kind)? {
        None => limits::count(tx, &actor.id, kind)?,
        Some(why) => order.held = Some(approvals::hold(tx, actor, order.id, &why)?),
    }
    queue::place(tx, device, order)
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

//! Settings on a device: set, then read back, since a Status says that a node was set and not that it is in force.
//!
//! A policy command carries its parts, each with what is next for it and the hash it was sent with (`policy::OnTheWay`). So a part goes
//! its way over messages, sessions and nodes.

use super::answers::{Answer, op};
use crate::{
    error::Result,
    fleet::{
        keeper,
        life::{self, Command, Event, Fate, Leaving, Managed},
        policies, queue,
    },
    ids::{CommandId, EnrolmentId},
    policy::{Applied, CspFormat, Difference, Next, OnTheWay, Outcome, Part, PartContent, PartId, Value, bounds},
    store::Tx,
};
use lanyard_omadm::{
    csp,
    session::{Accepts, Due, Format, Op},
    syncml::{GroupKind, Verb},
};
use std::collections::BTreeMap;

/// The names of the groups of a command's operations, beyond all its parts (48 at most): the rules of passwords, and what goes apart from them.
const RULES: usize = 1_000;
const RULES_OFF: usize = 1_001;
/// And of one rule that goes alone, with its part's number added.
const RULE_ALONE: usize = 1_100;
/// Of what is in an Atomic that failed: not begun, undone again, or not undone though it should be.
const NOT_BEGUN: u16 = 215;
const UNDONE: u16 = 216;
const NOT_UNDONE: u16 = 516;
/// Of an Atomic that failed itself, for something in it.
const ATOMIC_FAILED: u16 = 507;

/// Of a value that was asked for: the device broke the session off over it, or left it out.
const NO_VALUE: &str = "the device gave no value";

/// Parts of one command: their answers all fit a message.
const MOST: usize = 48;
/// Bytes of their values.
const ROOM: usize = 256 * 1024;

fn all(command: &Command) -> Vec<OnTheWay> {
    command.act.parts().iter().filter_map(|text| text.parse().ok()).collect()
}

fn save(tx: &mut Tx<'_>, device: &mut Managed, command: &Command, parts: &[OnTheWay]) -> Result<()> {
    let parts = parts.iter().map(OnTheWay::to_string).collect();
    keeper::happen(tx, device, Event::OnTheWay { command: command.id, parts })?;
    Ok(())
}

/// The parts of a new command: as many of what is due as one message holds. The rest follows with the next command.
pub(super) fn begin(wanted: &BTreeMap<PartId, Part>, todo: &Difference, accepts: Accepts) -> Vec<OnTheWay> {
    // One for a user who is not there would keep all that comes after it waiting.
    let [install, remove, look] = [&todo.install, &todo.remove, &todo.look]
        .map(|ids| ids.iter().filter(|id| is_taken(id, accepts)).collect::<Vec<_>>());
    let mut room = ROOM;
    let fits = |id: &&PartId| {
        let length = wanted.get(*id).map_or(0, |part| length(&part.content));
        // Always at least one: alone, the largest fits.
        let fits = room == ROOM || length <= room;
        room = if fits { room.saturating_sub(length) } else { 0 };
        fits
    };
    let install = install.into_iter().take(MOST).take_while(fits).map(|id| (Next::Install, id));
    let hash = |id: &PartId| wanted.get(id).map(|part| part.hash.clone()).unwrap_or_default();
    let sent = install.chain(remove.into_iter().map(|id| (Next::Remove, id)));
    let sent = sent.map(|(next, id)| OnTheWay::new(next, id.clone()));
    let read = look.into_iter().map(|id| OnTheWay { hash: hash(id), ..OnTheWay::new(Next::ReadBack, id.clone()) });
    sent.chain(read).take(MOST).collect()
}

/// Whether a session takes a part: those of the user need the user there, and a session for the user takes no other.
fn is_taken(id: &PartId, accepts: Accepts) -> bool {
    let of_user = id.place().starts_with("./User/");
    match accepts {
        Accepts::Nothing => false,
        Accepts::Device => !of_user,
        Accepts::User => of_user,
        Accepts::DeviceAndUser => true,
    }
}

/// Whether a session has a use for a policy command: it takes something of what is still to go, or nothing is, and the command is at its end.
/// One that is for others waits for theirs; taken for done here it would be made anew with each session.
pub(super) fn is_here(command: &Command, accepts: Accepts) -> bool {
    let parts = all(command);
    let mut open = parts.iter().filter(|part| part.next != Next::Nothing).peekable();
    open.peek().is_none() || open.any(|part| is_taken(&part.id, accepts))
}

fn length(content: &PartContent) -> usize {
    match content {
        PartContent::WindowsCsp { path, data, .. } => 2 * path.len() + data.len(),
        _ => 256,
    }
}

/// A node with what it is to hold.
struct Node {
    path: String,
    format: Format,
    data: String,
}

fn node(part: &Part) -> Option<Node> {
    match &part.content {
        PartContent::Settings(values) => {
            let setting = setting(values.first()?)?;
            Some(Node { path: setting.node(), format: Format::Int, data: setting.value().to_string() })
        }
        PartContent::WindowsCsp { path, format, data } => {
            Some(Node { path: path.clone(), format: wire_format(*format), data: data.clone() })
        }
        _ => None,
    }
}

fn wire_format(format: CspFormat) -> Format {
    match format {
        CspFormat::Int => Format::Int,
        CspFormat::Chr => Format::Chr,
        CspFormat::Bool => Format::Bool,
        CspFormat::B64 => Format::B64,
        CspFormat::Xml => Format::Xml,
    }
}

/// How each typed setting is said to a PC. `None` where Windows has no node for it; the setting says so as well, and no part is made.
fn setting(value: &Value) -> Option<csp::Setting> {
    Some(match *value {
        Value::PasscodeRequired(_) => csp::Setting::PasswordRequired,
        Value::PasscodeMinLength(length) => csp::Setting::MinLength(length.into()),
        Value::PasscodeAlphanumeric(_) => csp::Setting::Alphanumeric,
        Value::PasscodeMaxFailed(tries) => csp::Setting::MaxFailed(tries.into()),
        Value::PasscodeMaxIdleMinutes(minutes) => csp::Setting::MaxIdleMinutes(minutes.into()),
        Value::PasscodeExpireDays(days) => csp::Setting::ExpireDays(days.into()),
        Value::PasscodeHistory(count) => csp::Setting::History(count.into()),
        Value::Encryption(_) => csp::Setting::Encryption,
        Value::Camera(camera) => csp::Setting::Lowest("Camera/AllowCamera", camera.is_allowed().into()),
        // 1 is reserved.
        Value::Bluetooth(bluetooth) => {
            csp::Setting::Lowest("Connectivity/AllowBluetooth", if bluetooth.is_allowed() { 2 } else { 0 })
        }
    })
}

/// The node of a part that is to go, whatever it held.
fn node_of(id: &PartId) -> Option<String> {
    match id {
        PartId::Csp(_) => Some(csp::removal_node(&id.place()).to_owned()),
        PartId::Setting(setting) => setting.nodes().first().map(|path| (*path).to_owned()),
        PartId::Settings | PartId::Profile(_) | PartId::Document => None,
    }
}

/// The operations that are next. What cannot be sent, or is no longer wanted, is done with here.
pub(super) fn prepare(tx: &mut Tx<'_>, device: &mut Managed, command: &Command, accepts: Accepts) -> Result<Vec<Due>> {
    let (wanted, _) = policies::due(tx, device, command.enrolment)?;
    let (mut parts, mut due, mut leaving) = (all(command), Vec::new(), Vec::new());
    let (mut rules, mut alone, mut apart) = (Vec::new(), Vec::new(), None);
    for (index, part) in parts.iter_mut().enumerate() {
        let known = kept(device, command.enrolment, &part.id);
        let by_itself = part.next.is_look() && breaks_off(part, known);
        let op = match known {
            // Unanswered, and forgotten meanwhile: another part has its place.
            None if part.next == Next::Remove => Ok(None),
            // It comes with another command, in another session.
            _ if !is_taken(&part.id, accepts) => Ok(None),
            kept => prepare_part(&wanted, part, kept, op(command.id, index)),
        };
        match op {
            Ok(Some(op)) => {
                leaving.extend(leaves(part, &wanted));
                match rule(&part.id).filter(|_| op.verb == Verb::Replace) {
                    _ if by_itself => drop(apart.get_or_insert(op)),
                    Some(order) if part.next == Next::Alone => alone.push((order, index, op)),
                    Some(order) => rules.push((order, op)),
                    None => due.push(op.into()),
                }
            }
            Ok(None) => part.next = Next::Nothing,
            Err(why) => {
                record(tx, device, command.enrolment, part, Outcome::unsupported(&why))?;
                part.next = Next::Nothing;
            }
        }
    }
    keeper::happen(tx, device, Event::PartsLeave { enrolment: command.enrolment, parts: leaving })?;
    save(tx, device, command, &parts)?;
    alone.sort_by_key(|(order, ..)| *order);
    let alone = alone.into_iter().map(|(_, index, rule)| {
        let id = op(command.id, RULE_ALONE + index);
        Due::Group { id, kind: GroupKind::Atomic, ops: vec![rule] }
    });
    let due: Vec<Due> = together(command.id, rules).chain(alone).chain(due).collect();
    Ok(if due.is_empty() { apart.into_iter().map(Due::from).collect() } else { due })
}

/// Whether a device broke off over a part, or may have: with another in the same message it would not be known over which.
fn breaks_off(part: &OnTheWay, kept: Option<&Applied>) -> bool {
    let did = kept.is_some_and(|kept| match &kept.outcome {
        Outcome::Unread(text) => text == NO_VALUE,
        _ => kept.unread.as_deref() == Some(NO_VALUE),
    });
    did || part.next == Next::ReadApart
}

/// Which rule of passwords a part is, by their order.
fn rule(part: &PartId) -> Option<usize> {
    csp::password_rule(&part.place())
}

/// The rules of passwords as they must go: in one Atomic, first of all that a password is needed. That none is needed goes by itself,
/// since it takes the other rules away.
fn together(command: CommandId, mut rules: Vec<(usize, Op)>) -> impl Iterator<Item = Due> + use<> {
    rules.sort_by_key(|(order, _)| *order);
    let is_off =
        |op: &Op| op.items.first().and_then(|item| item.data.as_deref()).is_some_and(|data| data.trim() != "0");
    let (off, on): (Vec<_>, Vec<_>) = rules.into_iter().partition(|(order, op)| *order == 0 && is_off(op));
    let groups = [(RULES_OFF, off), (RULES, on)].map(|(name, rules)| {
        let ops: Vec<Op> = rules.into_iter().map(|(_, op)| op).collect();
        (!ops.is_empty()).then(|| Due::Group { id: op(command, name), kind: GroupKind::Atomic, ops })
    });
    groups.into_iter().flatten()
}

fn kept<'d>(device: &'d Managed, enrolment: EnrolmentId, part: &PartId) -> Option<&'d Applied> {
    device.enrolment(enrolment)?.applied.get(part)
}

/// What changes at the device by sending this.
fn leaves(part: &OnTheWay, wanted: &BTreeMap<PartId, Part>) -> Option<Leaving> {
    match part.next {
        Next::Install | Next::Add | Next::Alone => {
            let of = wanted.get(&part.id).map(|wanted| wanted.of.clone()).unwrap_or_default();
            Some(Leaving::Set { part: part.id.clone(), hash: part.hash.clone(), of })
        }
        Next::Remove => Some(Leaving::Away(part.id.clone())),
        Next::ReadBack | Next::ReadApart | Next::Nothing => None,
    }
}

fn prepare_part(
    wanted: &BTreeMap<PartId, Part>,
    part: &mut OnTheWay,
    kept: Option<&Applied>,
    name: String,
) -> std::result::Result<Option<Op>, String> {
    let still_wanted = wanted.get(&part.id).and_then(|wanted| Some((wanted, node(wanted)?)));
    Ok(match (part.next, still_wanted) {
        _ if !part.is_due(wanted) => None,
        (Next::Nothing, _) => None,
        (Next::Remove, _) => {
            bounds::check_remove(&part.id).map_err(|refused| refused.to_string())?;
            node_of(&part.id).map(|path| Op::delete(name, path))
        }
        (Next::Install | Next::Add | Next::Alone, Some((wanted, node))) => {
            // The hash of what is really sent is what the answer will be about.
            part.hash.clone_from(&wanted.hash);
            // Checked when it was applied, and again now: nothing that acts leaves as a setting.
            policies::may_be_sent(wanted).map_err(|refused| refused.to_string())?;
            Some(match part.next {
                Next::Add => Op::add(name, node.path, node.format, node.data),
                _ => Op::replace(name, node.path, node.format, node.data),
            })
        }
        (Next::ReadBack | Next::ReadApart, Some((wanted, node))) if wanted.hash == part.hash => {
            Some(Op::get(name, csp::result_node(&node.path)))
        }
        // What the device refused to let go may have gone since, and what it said that it let go may be there.
        (Next::ReadBack | Next::ReadApart, None)
            if kept.is_some_and(|kept| matches!(kept.outcome, Outcome::Stuck(_) | Outcome::Away)) =>
        {
            node_of(&part.id).map(|path| Op::get(name, path))
        }
        // The policy changed meanwhile: the next command brings what is wanted now.
        (Next::Install | Next::Add | Next::Alone | Next::ReadBack | Next::ReadApart, _) => None,
    })
}

/// What the answers say of the parts.
pub(super) fn file(
    tx: &mut Tx<'_>,
    device: &mut Managed,
    command: &Command,
    answers: &BTreeMap<usize, Answer>,
) -> Result<()> {
    let (wanted, _) = policies::due(tx, device, command.enrolment)?;
    let (before, mut parts) = (all(command), all(command));
    let blamed = one_was_refused_for_itself(&parts, answers);
    let unclear = Unclear { rules: nobody_is_to_blame(&parts, answers), values: several_broke_off(&parts, answers) };
    for (index, answer) in answers {
        let Some(part) = parts.get_mut(*index) else { continue };
        // Others in its Atomic were to blame: it goes again without them.
        if blamed && is_rule_to_set(part) && answer.code.is_some_and(is_for_another) {
            continue;
        }
        let node = wanted.get(&part.id).filter(|wanted| wanted.hash == part.hash).and_then(|w| Some((w, node(w)?)));
        let kept = kept(device, command.enrolment, &part.id);
        let (next, fate) = answered(part, answer, node.as_ref().map(|(part, node)| (*part, node)), kept, unclear);
        if let Some(fate) = fate {
            let (enrolment, part) = (command.enrolment, part.id.clone());
            keeper::happen(tx, device, Event::Part { enrolment, part, fate })?;
        }
        part.next = next;
    }
    keeper::happen(tx, device, Event::Heard(command.enrolment))?;
    save(tx, device, command, &parts)?;
    if parts != before {
        queue::settle(tx, device, command.enrolment, command.id, life::Outcome::Step)?;
    }
    Ok(())
}

/// Of what it is not known which one it was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Unclear {
    /// An Atomic of several rules came to nothing.
    rules: bool,
    /// The device broke off over one of several.
    values: bool,
}

/// The Status of each rule of passwords that was to be set and is not.
fn not_set(parts: &[OnTheWay], answers: &BTreeMap<usize, Answer>) -> Vec<u16> {
    let rules = answers.iter().filter(|(index, _)| parts.get(**index).is_some_and(is_rule_to_set));
    rules.filter(|(_, answer)| !answer.is_good()).filter_map(|(_, answer)| answer.code).collect()
}

/// Whether some rules of passwords were refused for themselves, and the others for them.
fn one_was_refused_for_itself(parts: &[OnTheWay], answers: &BTreeMap<usize, Answer>) -> bool {
    let codes = not_set(parts, answers);
    let (for_another, for_itself): (Vec<u16>, Vec<u16>) =
        codes.into_iter().filter(|code| *code != NOT_UNDONE).partition(|code| is_for_another(*code));
    !for_itself.is_empty() && (!for_another.is_empty() || for_itself.len() == 1)
}

/// Whether several rules of passwords came to nothing together, and nothing tells for which: the Atomic alone was answered, or each of them in
/// the same way. One by one they tell.
fn nobody_is_to_blame(parts: &[OnTheWay], answers: &BTreeMap<usize, Answer>) -> bool {
    not_set(parts, answers).iter().filter(|code| **code != NOT_UNDONE).count() > 1
        && !one_was_refused_for_itself(parts, answers)
}

/// Whether the device broke off over one of several things that it had not answered.
fn several_broke_off(parts: &[OnTheWay], answers: &BTreeMap<usize, Answer>) -> bool {
    let open = |index: &usize| parts.get(*index).is_some_and(|part| part.next != Next::Nothing);
    answers.iter().filter(|(index, answer)| open(index) && answer.is_broken_off()).count() > 1
}

fn is_rule_to_set(part: &OnTheWay) -> bool {
    part.next == Next::Install && rule(&part.id).is_some()
}

/// Whether a Status says no more than that the Atomic came to nothing. What is in it gets the Atomic's own where it has none.
fn is_for_another(code: u16) -> bool {
    matches!(code, NOT_BEGUN | UNDONE | ATOMIC_FAILED)
}

/// Whether a Status says that a node is not there: Windows says either.
fn is_absent(code: u16) -> bool {
    matches!(code, 404 | 406)
}

/// What is next for a part after this answer, and what became of it where that is known now.
fn answered(
    part: &OnTheWay,
    answer: &Answer,
    node: Option<(&Part, &Node)>,
    kept: Option<&Applied>,
    unclear: Unclear,
) -> (Next, Option<Fate>) {
    let sent = |outcome| Some(Fate::Sent { hash: part.hash.clone(), outcome });
    if part.next.is_look()
        && node.is_none()
        && let Some(kept) = kept.filter(|kept| kept.outcome == Outcome::Away)
    {
        return match answer.code {
            None if !answer.is_broken_off() => (part.next, None),
            // Where it cannot be read its word is all there is.
            _ if answer.is_good() && stays(&part.id, kept, answer.value()) => (Next::Nothing, Some(Fate::Stays)),
            _ => (Next::Nothing, Some(Fate::Gone)),
        };
    }
    if part.next.is_look() && answer.is_broken_off() {
        // It would do so again. Which of several it was for, each alone will tell.
        return match kept {
            _ if unclear.values => (Next::ReadApart, None),
            Some(kept) if !kept.out => (Next::Nothing, kept.tells().then(|| Fate::Unread(NO_VALUE.to_owned()))),
            _ => (Next::Nothing, sent(Outcome::unread(NO_VALUE))),
        };
    }
    // Asked again in the next session.
    let Some(code) = answer.code else { return (part.next, None) };
    match part.next {
        // What was not undone is as it was set; the reading will tell.
        Next::Install if unclear.rules && is_rule_to_set(part) && !answer.is_good() && code != NOT_UNDONE => {
            (Next::Alone, None)
        }
        Next::Install | Next::Add | Next::Alone if answer.is_good() || matches!(code, 418 | NOT_UNDONE) => {
            (Next::ReadBack, None)
        }
        // A rule of passwords is never added.
        Next::Install if is_absent(code) && matches!(part.id, PartId::Csp(_)) && rule(&part.id).is_none() => {
            (Next::Add, None)
        }
        Next::Install | Next::Add | Next::Alone => {
            let text = format!("Status {code}");
            (Next::Nothing, sent(if is_absent(code) { Outcome::unsupported(&text) } else { Outcome::failed(&text) }))
        }
        Next::Remove if is_absent(code) => (Next::Nothing, Some(Fate::Gone)),
        Next::Remove if answer.is_good() => (Next::Nothing, Some(Fate::Away)),
        Next::Remove => (Next::Nothing, Some(Fate::Stuck(format!("Status {code}")))),
        Next::ReadBack | Next::ReadApart => {
            let read = node.map(|(part, node)| read(part, node, code, answer.value()));
            let fate = match (read, kept) {
                (Some(read), Some(kept)) if !kept.out => looked_at(read, code, part, kept),
                (Some(read), _) => sent(just_set(read)),
                // Asked for no more.
                (None, Some(_)) if is_absent(code) => Some(Fate::Gone),
                (None, _) => None,
            };
            (Next::Nothing, fate)
        }
        Next::Nothing => (Next::Nothing, None),
    }
}

/// Whether what reads so after its removal is what was set. A policy's node and a network or certificate are there only as long as they are
/// set; other nodes may go back to a value of their own.
fn stays(id: &PartId, kept: &Applied, value: Option<&str>) -> bool {
    let path = id.place();
    if csp::removal_node(&path) != &*path {
        return true;
    }
    let Some(value) = value.filter(|value| !value.trim().is_empty()) else { return false };
    let there_while_set = csp::result_node(&path) != *path || csp::is_rewritten(&path);
    there_while_set
        || id.held(&kept.hash, value)
        || id.held(&kept.hash, value.trim())
        // BitLocker's, which is 1 or nothing.
        || (matches!(id, PartId::Setting(_)) && csp::truth(value) == Some(true))
}

/// Characters of a value that is shown as it is.
const LONG: usize = 60;

/// What a node tells when it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Read {
    /// What was wanted, or stricter.
    Met,
    /// Something else.
    Other(String),
    /// Nothing, though such a node tells what is in force. In words.
    Silent(String),
    /// Nothing, and such a node may be there to be set alone. In words.
    WriteOnly(String),
    /// Something that the device keeps in its own way: it cannot be compared.
    There,
}

fn read(part: &Part, node: &Node, code: u16, value: Option<&str>) -> Read {
    let is_policy = csp::result_node(&node.path) != node.path;
    let Some(value) = value.map(str::trim) else {
        let (typed, why) = (matches!(part.content, PartContent::Settings(_)), format!("Status {code}"));
        return if is_policy || typed { Read::Silent(why) } else { Read::WriteOnly(why) };
    };
    let met = match &part.content {
        PartContent::Settings(values) => values.first().and_then(setting).is_some_and(|wanted| wanted.is_met_by(value)),
        _ => csp::is_same(node.format, &node.data, value),
    };
    match value {
        _ if met => Read::Met,
        "" => Read::Other("nothing".to_owned()),
        _ if csp::is_rewritten(&node.path) && value.starts_with('<') => Read::There,
        _ if value.len() > LONG => Read::Other("another value".to_owned()),
        _ => Read::Other(value.to_owned()),
    }
}

/// What was set just now, by what it reads.
fn just_set(read: Read) -> Outcome {
    match read {
        Read::Met => Outcome::Enforced,
        Read::Other(value) => Outcome::partly(&format!("in force is {value}")),
        Read::Silent(why) => Outcome::unread(&why),
        // The device's Status has said that it was.
        Read::WriteOnly(_) => Outcome::Taken,
        Read::There => Outcome::There,
    }
}

/// What was in force, by what it reads now. What never told anything has not lost anything by saying nothing: it is not sent again, so
/// that a node that cannot be read is no endless task.
fn looked_at(read: Read, code: u16, part: &OnTheWay, kept: &Applied) -> Option<Fate> {
    let told = kept.tells();
    match read {
        Read::Met => Some(Fate::Seen),
        Read::Other(_) => Some(Fate::Lost),
        Read::There => Some(Fate::Sent { hash: part.hash.clone(), outcome: Outcome::There }),
        Read::Silent(_) if told && is_absent(code) => Some(Fate::Lost),
        // One of an older version may have been taken at its word.
        Read::WriteOnly(_)
            if told && is_absent(code) && (kept.verified.is_some() || kept.outcome == Outcome::There) =>
        {
            Some(Fate::Lost)
        }
        Read::Silent(why) | Read::WriteOnly(why) => told.then_some(Fate::Unread(why)),
    }
}

/// Notes what became of a part.
fn record(
    tx: &mut Tx<'_>,
    device: &mut Managed,
    enrolment: EnrolmentId,
    part: &OnTheWay,
    outcome: Outcome,
) -> Result<()> {
    let fate = match (part.next, outcome) {
        (Next::Remove, Outcome::Stuck(text) | Outcome::Unsupported(text)) => Fate::Stuck(text),
        (Next::Remove, _) => Fate::Gone,
        (_, outcome) => Fate::Sent { hash: part.hash.clone(), outcome },
    };
    keeper::happen(tx, device, Event::Part { enrolment, part: part.id.clone(), fate })?;
    Ok(())
}

/// A part that can never go out.
pub(super) fn unsendable(
    tx: &mut Tx<'_>,
    device: &mut Managed,
    command: &Command,
    index: usize,
    why: &str,
) -> Result<()> {
    let mut parts = all(command);
    let in_group = |part: &OnTheWay| (RULES..RULE_ALONE).contains(&index) && is_rule_to_set(part);
    let is_it = |number: usize| number == index || number + RULE_ALONE == index;
    let unsent = parts.iter_mut().enumerate().filter(|(number, part)| is_it(*number) || in_group(part));
    for (_, part) in unsent {
        record(tx, device, command.enrolment, part, Outcome::unsupported(why))?;
        part.next = Next::Nothing;
    }
    save(tx, device, command, &parts)
}

#[cfg(test)]
mod tests;

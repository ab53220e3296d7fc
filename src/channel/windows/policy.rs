//! Settings on a device: set, then read back, since a Status says that a node was set and not that it is in force.
//!
//! A policy command carries its parts, each with what is next for it and the hash it was sent with (`policy::OnTheWay`). So a part goes
//! its way over messages, sessions and nodes.

use super::answers::{Answer, Loss, op};
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
/// Of what is in an Atomic that failed: not begun, undone again, or not undone though it should be.
const NOT_BEGUN: u16 = 215;
const UNDONE: u16 = 216;
const NOT_UNDONE: u16 = 516;
/// Of an Atomic that failed itself, for something in it.
const ATOMIC_FAILED: u16 = 507;

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
    let mut rules = Vec::new();
    for (index, part) in parts.iter_mut().enumerate() {
        let op = match kept(device, command.enrolment, &part.id) {
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
    Ok(together(command.id, rules).chain(due).collect())
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
        Next::Install | Next::Add => {
            let of = wanted.get(&part.id).map(|wanted| wanted.of.clone()).unwrap_or_default();
            Some(Leaving::Set { part: part.id.clone(), hash: part.hash.clone(), of })
        }
        Next::Remove => Some(Leaving::Away(part.id.clone())),
        Next::ReadBack | Next::Nothing => None,
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
        (Next::Install | Next::Add, Some((wanted, node))) => {
            // The hash of what is really sent is what the answer will be about.
            part.hash.clone_from(&wanted.hash);
            // Checked when it was applied, and again now: nothing that acts leaves as a setting.
            policies::may_be_sent(wanted).map_err(|refused| refused.to_string())?;
            Some(match part.next {
                Next::Add => Op::add(name, node.path, node.format, node.data),
                _ => Op::replace(name, node.path, node.format, node.data),
            })
        }
        (Next::ReadBack, Some((wanted, node))) if wanted.hash == part.hash => {
            Some(Op::get(name, csp::result_node(&node.path)))
        }
        // What the device refused to let go may have gone since.
        (Next::ReadBack, None) if kept.is_some_and(|kept| matches!(kept.outcome, Outcome::Stuck(_))) => {
            node_of(&part.id).map(|path| Op::get(name, path))
        }
        // The policy changed meanwhile: the next command brings what is wanted now.
        (Next::Install | Next::Add | Next::ReadBack, _) => None,
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
    for (index, answer) in answers {
        let Some(part) = parts.get_mut(*index) else { continue };
        // Others in its Atomic were to blame: it goes again without them.
        if blamed && is_rule_to_set(part) && answer.code.is_some_and(is_for_another) {
            continue;
        }
        let node = wanted.get(&part.id).filter(|wanted| wanted.hash == part.hash).and_then(|w| Some((w, node(w)?)));
        let kept = kept(device, command.enrolment, &part.id);
        let (next, fate) = answered(part, answer, node.as_ref().map(|(part, node)| (*part, node)), kept);
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

/// Whether a rule of passwords was refused for itself, and not for another in its Atomic.
fn one_was_refused_for_itself(parts: &[OnTheWay], answers: &BTreeMap<usize, Answer>) -> bool {
    answers.iter().any(|(index, answer)| {
        let for_itself =
            answer.code.is_some_and(|code| !is_for_another(code) && code != NOT_UNDONE) && !answer.is_good();
        for_itself && parts.get(*index).is_some_and(is_rule_to_set)
    })
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
) -> (Next, Option<Fate>) {
    let sent = |outcome| Some(Fate::Sent { hash: part.hash.clone(), outcome });
    let Some(code) = answer.code else {
        // Asked again in the next session, unless the device broke off over a value that it would not give.
        return match (part.next, answer.lost) {
            (Next::ReadBack, Some(Loss::Refused)) => {
                let just_set = kept.is_none_or(|kept| kept.out);
                let unread = || sent(Outcome::unread("the device gave no value"));
                (Next::Nothing, just_set.then(unread).flatten())
            }
            _ => (part.next, None),
        };
    };
    match part.next {
        // What was not undone is as it was set; the reading will tell.
        Next::Install | Next::Add if answer.is_good() || matches!(code, 418 | NOT_UNDONE) => (Next::ReadBack, None),
        // A rule of passwords is never added.
        Next::Install if is_absent(code) && matches!(part.id, PartId::Csp(_)) && rule(&part.id).is_none() => {
            (Next::Add, None)
        }
        Next::Install | Next::Add => {
            let text = format!("Status {code}");
            (Next::Nothing, sent(if is_absent(code) { Outcome::unsupported(&text) } else { Outcome::failed(&text) }))
        }
        Next::Remove if answer.is_good() || is_absent(code) => (Next::Nothing, Some(Fate::Gone)),
        Next::Remove => (Next::Nothing, Some(Fate::Stuck(format!("Status {code}")))),
        Next::ReadBack => {
            let read = node.map(|(part, node)| read(part, node, code, answer.values.first().map(|(_, v)| v)));
            let fate = match (read, kept) {
                (Some(read), Some(kept)) if !kept.out => looked_at(read, code, kept),
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

/// What a node tells when it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Read {
    /// What was wanted, or stricter.
    Met,
    /// Something else.
    Other(String),
    /// Nothing, though such a node tells what is in force. In words.
    Silent(String),
    /// Nothing, and such a node may be there to be set alone.
    WriteOnly,
}

fn read(part: &Part, node: &Node, code: u16, value: Option<&String>) -> Read {
    let is_policy = csp::result_node(&node.path) != node.path;
    let is_number = matches!(node.format, Format::Int | Format::Bool);
    let Some(value) = value.map(|value| value.trim()) else {
        let typed = matches!(part.content, PartContent::Settings(_));
        return if is_policy || typed { Read::Silent(format!("Status {code}")) } else { Read::WriteOnly };
    };
    let met = match &part.content {
        PartContent::Settings(values) => values.first().and_then(setting).is_some_and(|wanted| wanted.is_met_by(value)),
        _ => value == node.data.trim() || !is_policy && !is_number,
    };
    if met { Read::Met } else { Read::Other(value.to_owned()) }
}

/// What was set just now, by what it reads.
fn just_set(read: Read) -> Outcome {
    match read {
        Read::Met => Outcome::Enforced,
        Read::Other(value) => Outcome::partly(&format!("in force is {value}")),
        Read::Silent(why) => Outcome::unread(&why),
        // The device's Status has said that it was.
        Read::WriteOnly => Outcome::Taken,
    }
}

/// What was in force, by what it reads now. What never told anything has not lost anything by saying nothing: it is not sent again, so
/// that a node that cannot be read is no endless task.
fn looked_at(read: Read, code: u16, kept: &Applied) -> Option<Fate> {
    let told = kept.outcome == Outcome::Enforced;
    match read {
        Read::Met => Some(Fate::Seen),
        Read::Other(_) => Some(Fate::Lost),
        Read::Silent(_) if told && is_absent(code) => Some(Fate::Lost),
        // One of an older version may have been taken at its word.
        Read::WriteOnly if told && is_absent(code) && kept.verified.is_some() => Some(Fate::Lost),
        Read::Silent(_) | Read::WriteOnly => None,
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
    let in_group = |part: &OnTheWay| index >= RULES && part.next == Next::Install && rule(&part.id).is_some();
    let unsent = parts.iter_mut().enumerate().filter(|(number, part)| *number == index || in_group(part));
    for (_, part) in unsent {
        record(tx, device, command.enrolment, part, Outcome::unsupported(why))?;
        part.next = Next::Nothing;
    }
    save(tx, device, command, &parts)
}

#[cfg(test)]
mod tests;

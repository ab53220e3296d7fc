//! Settings on a device: set, then read back, since a Status says that a node was set and not that it is in force.
//!
//! A policy command carries its parts, each with what is next for it and the hash it was sent with (`policy::OnTheWay`). So a part goes
//! its way over messages, sessions and nodes.

use super::answers::{Answer, Loss, op};
use crate::{
    error::Result,
    fleet::{
        keeper,
        life::{self, Command, Event, Fate, Managed},
        policies, queue,
    },
    ids::EnrolmentId,
    policy::{CspFormat, Next, OnTheWay, Outcome, Part, PartContent, PartId, Value, bounds},
    store::Tx,
};
use lanyard_omadm::{
    csp,
    session::{Due, Format, Op},
};
use std::collections::BTreeMap;

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
pub(super) fn begin(wanted: &BTreeMap<PartId, Part>, install: &[PartId], remove: &[PartId]) -> Vec<String> {
    let mut room = ROOM;
    let fits = |id: &&PartId| {
        let length = wanted.get(*id).map_or(0, |part| length(&part.content));
        // Always at least one: alone, the largest fits.
        let fits = room == ROOM || length <= room;
        room = if fits { room.saturating_sub(length) } else { 0 };
        fits
    };
    let install = install.iter().take(MOST).take_while(fits).map(|id| (Next::Install, id));
    let parts = install.chain(remove.iter().map(|id| (Next::Remove, id))).take(MOST);
    parts.map(|(next, id)| OnTheWay::new(next, id.clone()).to_string()).collect()
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
        PartId::Csp(path) => Some(path.clone()),
        PartId::Setting(setting) => setting.nodes().first().map(|path| (*path).to_owned()),
        PartId::Settings | PartId::Profile(_) | PartId::Document => None,
    }
}

/// The operations that are next. What cannot be sent, or is no longer wanted, is done with here.
pub(super) fn prepare(tx: &mut Tx<'_>, device: &mut Managed, command: &Command) -> Result<Vec<Due>> {
    let (wanted, _) = policies::due(tx, device, command.enrolment)?;
    let (mut parts, mut due) = (all(command), Vec::new());
    for (index, part) in parts.iter_mut().enumerate() {
        match prepare_part(&wanted, part, op(command.id, index)) {
            Ok(Some(op)) => due.push(op.into()),
            Ok(None) => {}
            Err(why) => {
                record(tx, device, command.enrolment, part, Outcome::unsupported(&why))?;
                part.next = Next::Nothing;
            }
        }
    }
    save(tx, device, command, &parts)?;
    Ok(due)
}

fn prepare_part(
    wanted: &BTreeMap<PartId, Part>,
    part: &mut OnTheWay,
    name: String,
) -> std::result::Result<Option<Op>, String> {
    let still_wanted = wanted.get(&part.id).and_then(|wanted| Some((wanted, node(wanted)?)));
    let op = match (part.next, still_wanted) {
        (Next::Nothing, _) => return Ok(None),
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
        // The policy changed meanwhile: the next command brings what is wanted now.
        (Next::Install | Next::Add | Next::ReadBack, _) => None,
    };
    if op.is_none() {
        part.next = Next::Nothing;
    }
    Ok(op)
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
    for (index, answer) in answers {
        let Some(part) = parts.get_mut(*index) else { continue };
        let node = wanted.get(&part.id).filter(|wanted| wanted.hash == part.hash).and_then(|w| Some((w, node(w)?)));
        let (next, outcome) = answered(part, answer, node.as_ref().map(|(part, node)| (*part, node)));
        if let Some(outcome) = outcome {
            record(tx, device, command.enrolment, part, outcome)?;
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

/// What is next for a part after this answer, and what became of it where that is known now.
fn answered(part: &OnTheWay, answer: &Answer, node: Option<(&Part, &Node)>) -> (Next, Option<Outcome>) {
    let Some(code) = answer.code else {
        // Asked again in the next session, unless the device broke off over a value that it would not give.
        return match (part.next, answer.lost) {
            (Next::ReadBack, Some(Loss::Refused)) => (Next::Nothing, Some(unread("the device broke the session off"))),
            _ => (part.next, None),
        };
    };
    match part.next {
        Next::Install | Next::Add if answer.is_good() || code == 418 => (Next::ReadBack, None),
        Next::Install if code == 404 && matches!(part.id, PartId::Csp(_)) => (Next::Add, None),
        Next::Install | Next::Add => {
            let text = format!("Status {code}");
            let missing = matches!(code, 404 | 406);
            (Next::Nothing, Some(if missing { Outcome::unsupported(&text) } else { Outcome::failed(&text) }))
        }
        Next::Remove if answer.is_good() || code == 404 => (Next::Nothing, Some(Outcome::Enforced)),
        Next::Remove => (Next::Nothing, Some(Outcome::stuck(&format!("Status {code}")))),
        Next::ReadBack => {
            (Next::Nothing, node.map(|(part, node)| in_force(part, node, code, answer.values.first().map(|(_, v)| v))))
        }
        Next::Nothing => (Next::Nothing, None),
    }
}

fn unread(why: &str) -> Outcome {
    Outcome::partly(&format!("set, but it could not be read back: {why}"))
}

/// Whether what was read back is what was wanted, or stricter.
fn in_force(part: &Part, node: &Node, code: u16, value: Option<&String>) -> Outcome {
    let is_policy = csp::result_node(&node.path) != node.path;
    let is_number = matches!(node.format, Format::Int | Format::Bool);
    let Some(value) = value.map(|value| value.trim()) else {
        // Other nodes than those of policies may be there to be set alone; the device's Status has said that it was.
        let typed = matches!(part.content, PartContent::Settings(_));
        return if is_policy || typed { unread(&format!("Status {code}")) } else { Outcome::Enforced };
    };
    let met = match &part.content {
        PartContent::Settings(values) => values.first().and_then(setting).is_some_and(|wanted| wanted.is_met_by(value)),
        _ => value == node.data.trim() || !is_policy && !is_number,
    };
    if met { Outcome::Enforced } else { Outcome::partly(&format!("in force is {value}")) }
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
    if let Some(part) = parts.get_mut(index) {
        record(tx, device, command.enrolment, part, Outcome::unsupported(why))?;
        part.next = Next::Nothing;
    }
    save(tx, device, command, &parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{
        Channel as PolicyChannel, Permission, Platform, PolicyFile, Setting, Target, desired, effective,
    };

    const LOCK: &str = "./Device/Vendor/MSFT/Policy/Config/Wifi/AllowInternetSharing";
    const WIFI: &str = "./Device/Vendor/MSFT/WiFi/Profile/Office net/WlanXml";

    fn wanted() -> BTreeMap<PartId, Part> {
        let text = format!(
            "name: a\nassign: all\npasscode: {{min_length: 8}}\nwindows: {{csp: [{{path: {LOCK}, data: 0}}, {{path: '{WIFI}', data: <a/>}}]}}\n"
        );
        desired(&effective([&PolicyFile::parse(&text).unwrap()]), PolicyChannel::Omadm, &Target::of(Platform::Windows))
    }

    fn on_its_way(next: Next, id: &str) -> OnTheWay {
        OnTheWay { next, id: id.parse().unwrap(), hash: "ab".into() }
    }

    fn answer(code: u16, value: Option<&str>) -> Answer {
        let values = value.map(|value| ("./X".to_owned(), value.to_owned())).into_iter().collect();
        Answer { code: Some(code), values, lost: None }
    }

    #[test]
    fn every_typed_setting_has_the_node_of_its_value() {
        for value in Setting::ALL.into_iter().flat_map(Setting::all_values) {
            let sent = value.support(PolicyChannel::Omadm, &Target::of(Platform::Windows)).is_sent();
            let said = setting(&value).map(csp::Setting::node);
            assert_eq!(said, node_of(&PartId::Setting(value.setting())), "{value:?}");
            assert_eq!(said.is_some(), sent, "{value:?}");
        }
    }

    #[test]
    fn a_command_takes_as_much_as_a_message_holds() {
        let wanted = wanted();
        let ids: Vec<PartId> = wanted.keys().cloned().collect();
        let parts = begin(&wanted, &ids, &["csp:./gone".parse().unwrap()]);
        assert_eq!(parts.len(), 5);
        assert!(parts[0].starts_with("+setting:passcode.required ") && parts[4].starts_with("-csp:./gone "));
        let many: Vec<PartId> = (0..100).map(|n| format!("csp:./{n}").parse().unwrap()).collect();
        assert_eq!(begin(&BTreeMap::new(), &many, &many).len(), MOST);
        let id = PartId::Csp(WIFI.into());
        let mut large = wanted[&id].clone();
        large.content = PartContent::WindowsCsp { path: WIFI.into(), format: CspFormat::Chr, data: "x".repeat(ROOM) };
        let wanted = BTreeMap::from([(id.clone(), large.clone()), (ids[0].clone(), large)]);
        let both = [id, ids[0].clone()];
        assert_eq!(begin(&wanted, &both, &[]).len(), 1, "alone, the largest fits");
    }

    #[test]
    fn each_answer_has_its_consequence() {
        let (raw, typed) = (format!("csp:{WIFI}"), "setting:camera");
        for (row, part, answer, want) in [
            ("set", on_its_way(Next::Install, typed), answer(200, None), (Next::ReadBack, None)),
            ("no node yet", on_its_way(Next::Install, &raw), answer(404, None), (Next::Add, None)),
            ("made", on_its_way(Next::Add, &raw), answer(200, None), (Next::ReadBack, None)),
            ("there already", on_its_way(Next::Add, &raw), answer(418, None), (Next::ReadBack, None)),
            (
                "no such thing",
                on_its_way(Next::Install, typed),
                answer(404, None),
                (Next::Nothing, Some(Outcome::unsupported("Status 404"))),
            ),
            (
                "refused",
                on_its_way(Next::Add, &raw),
                answer(500, None),
                (Next::Nothing, Some(Outcome::failed("Status 500"))),
            ),
            ("gone", on_its_way(Next::Remove, typed), answer(404, None), (Next::Nothing, Some(Outcome::Enforced))),
            (
                "stuck",
                on_its_way(Next::Remove, typed),
                answer(405, None),
                (Next::Nothing, Some(Outcome::stuck("Status 405"))),
            ),
            ("nothing said", on_its_way(Next::Install, typed), Answer::default(), (Next::Install, None)),
            (
                "broken off over its value",
                on_its_way(Next::ReadBack, typed),
                Answer { lost: Some(Loss::Refused), ..Answer::default() },
                (Next::Nothing, Some(unread("the device broke the session off"))),
            ),
        ] {
            assert_eq!(answered(&part, &answer, None), want, "{row}");
        }
    }

    #[test]
    fn bluetooth_is_0_or_2_and_met_by_what_is_stricter() {
        for (permission, number, in_force, met) in [
            (Permission::Blocked, 0, "0", true),
            (Permission::Blocked, 0, "2", false),
            (Permission::Allowed, 2, "2", true),
            (Permission::Allowed, 2, "0", true),
        ] {
            let said = setting(&Value::Bluetooth(permission)).unwrap();
            assert_eq!((said.value(), said.is_met_by(in_force)), (number, met), "{permission:?} {in_force}");
        }
    }

    #[test]
    fn what_was_set_is_in_force_when_it_reads_back() {
        let wanted = wanted();
        let of = |id: &str, value: Option<&str>| {
            let part = &wanted[&id.parse().unwrap()];
            in_force(
                part,
                &node(part).unwrap(),
                if value.is_some() { 200 } else { 404 },
                value.map(str::to_owned).as_ref(),
            )
        };
        let (raw, other) = (format!("csp:{LOCK}"), format!("csp:{WIFI}"));
        for (id, value, want) in [
            ("setting:passcode.min_length", Some("8"), Outcome::Enforced),
            ("setting:passcode.min_length", Some("12"), Outcome::Enforced),
            ("setting:passcode.min_length", Some("4"), Outcome::partly("in force is 4")),
            ("setting:passcode.min_length", None, unread("Status 404")),
            (&raw, Some(" 0 "), Outcome::Enforced),
            (&raw, Some("1"), Outcome::partly("in force is 1")),
            (&raw, None, unread("Status 404")),
            (&other, Some("<a />"), Outcome::Enforced),
            (&other, None, Outcome::Enforced),
        ] {
            assert_eq!(of(id, value), want, "{id} {value:?}");
        }
    }
}

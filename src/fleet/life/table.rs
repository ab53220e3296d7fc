//! What becomes of a wipe when …: every state of a wipe by every event, for each channel. The table is a page for administrators too
//! (docs/wipe-table.md), made from what the code does; `cargo xtask test --bless` rewrites it.

use super::{
    Act, Asker, Channel, Effect, Enrolment, EnrolmentState, Erasing, Event, Managed, Order, Outcome, Ownership,
    Platform, Scope, State, Terms, Withdrawal, device::Certificate,
};
use crate::{
    clock::{Steady, Timestamp},
    fleet::{
        audit::Cancelled,
        terms::{EvidenceKind, FailureCode},
    },
    ids::{ApprovalId, CommandId, DeviceId, EnrolmentId, Fingerprint},
    store::Time,
};
use std::{collections::BTreeMap, fmt::Write as _, time::Duration};
use uuid::Uuid;

const HOUR: Duration = Duration::from_secs(3600);
const WIPE: CommandId = CommandId(Uuid::from_u128(1));
const OTHER: CommandId = CommandId(Uuid::from_u128(2));
const HELD_UNDER: ApprovalId = ApprovalId(Uuid::from_u128(3));
const CARRIER: EnrolmentId = EnrolmentId(Uuid::from_u128(4));
const MAIL: EnrolmentId = EnrolmentId(Uuid::from_u128(5));
const LATER: EnrolmentId = EnrolmentId(Uuid::from_u128(6));
const LATEST: EnrolmentId = EnrolmentId(Uuid::from_u128(7));

/// An hour passes between the steps.
fn at(hours: i64) -> Time {
    let ms = hours * 3_600_000;
    Time { now: Timestamp(ms), steady: Steady(ms), doubted: false }
}

fn happen(device: Managed, event: Event, hours: i64) -> Managed {
    device.on(event, at(hours)).0
}

fn enrolment(id: EnrolmentId, channel: Channel, state: EnrolmentState, hours: i64) -> Box<Enrolment> {
    let sha256 = Fingerprint([id.0.as_bytes()[15]; 32]);
    let certificate = Certificate { serial: "01".into(), sha256, not_before: at(0).now, not_after: at(99_999).now };
    let new = Enrolment::new(id, channel, "NAME", state, at(hours).now);
    Box::new(Enrolment { certificate: Some(certificate), ..new })
}

/// A device that a table row is about: by which channel it is managed, and whether its user reads mail on it too.
#[derive(Debug, Clone, Copy)]
struct Kind {
    name: &'static str,
    channel: Channel,
    mail: bool,
}

const KINDS: [Kind; 4] = [
    Kind { name: "Apple device", channel: Channel::Apple, mail: false },
    Kind { name: "Apple device with mail", channel: Channel::Apple, mail: true },
    Kind { name: "Windows PC", channel: Channel::Omadm, mail: false },
    Kind { name: "mail client", channel: Channel::Activesync, mail: false },
];

fn order(id: CommandId, channel: Channel, scope: Scope) -> Order {
    let act = Act::Wipe { scope, pin: None, how: Erasing::default() };
    let by = Asker::Person { id: "ann".into(), name: "Ann".into() };
    Order { id, act, enrolment: CARRIER, channel, by, reason: "lost".into(), delay: 0, expires: None, held: None }
}

fn answered(outcome: Outcome) -> Event {
    Event::Answered { enrolment: CARRIER, command: WIPE, outcome }
}

fn done() -> Outcome {
    Outcome::Done { kind: EvidenceKind::Acknowledged, detail: "Acknowledged".into() }
}

fn accepted() -> Outcome {
    Outcome::Presumed { kind: EvidenceKind::Status, detail: "accepted".into() }
}

fn failed() -> Outcome {
    Outcome::Failed { code: FailureCode::Protocol("500".into()), text: "no".into() }
}

fn contact(enrolment: EnrolmentId) -> Event {
    Event::Contact { enrolment, grace: HOUR / 4, seen: Vec::new() }
}

fn cancelled(command: CommandId) -> Event {
    let told = Some(("bob".into(), Cancelled::ByHand));
    Event::Withdrawn { command, end: Withdrawal::Cancelled, open_mail: true, told }
}

/// Where a wipe can stand, as people call it, and the way there.
const STATES: [&str; 15] = [
    "held",
    "in its undo window",
    "queued",
    "sent",
    "not now",
    "confirmed",
    "presumed",
    "failed",
    "cancelled",
    "expired",
    "contradicted",
    "contradicted and sent again",
    "cancelled after it was sent",
    "owed to a former enrolment",
    "owed to a former enrolment (the newer one answered)",
];

/// Its time runs out with this; the functions below ask first.
const OUT_OF_TIME: &str = "its time (`--expires`) runs out";

fn stands(kind: Kind, scope: Scope, state: &str, expires: Option<i64>) -> Managed {
    let mut device = Managed::new(DeviceId(Uuid::from_u128(9)), "nurse", Ownership::Corporate, Platform::Ios, at(0));
    let enrolled = enrolment(CARRIER, kind.channel, EnrolmentState::Enrolled, 0);
    device = happen(device, Event::Begun { enrolment: enrolled, personal: false }, 0);
    if kind.mail {
        let mail = enrolment(MAIL, Channel::Activesync, EnrolmentState::Enrolled, 0);
        device = happen(device, Event::Begun { enrolment: mail, personal: false }, 0);
    }
    let expires = expires.map(|hours| at(hours).now);
    let order = Order { expires, ..order(WIPE, kind.channel, scope) };
    let order = match state {
        "held" => Order { held: Some(HELD_UNDER), ..order },
        "in its undo window" => Order { delay: 2 * HOUR.as_secs(), ..order },
        "expired" => Order { expires: Some(at(2).now), ..order },
        _ => order,
    };
    device = happen(device, Event::Asked(Box::new(order)), 1);
    let sent = |device| happen(device, Event::HandedOut { enrolment: CARRIER, command: WIPE }, 2);
    let anew = |device| {
        let enrolment = enrolment(LATER, kind.channel, EnrolmentState::Pending, 3);
        let begun = happen(device, Event::Begun { enrolment, personal: false }, 3);
        happen(begun, Event::Completed { enrolment: LATER, shown: Fingerprint([6; 32]) }, 3)
    };
    let contradicted = |device| {
        let presumed = happen(sent(device), answered(accepted()), 2);
        happen(presumed, contact(CARRIER), 3)
    };
    let again = |device| happen(contradicted(device), Event::HandedOut { enrolment: CARRIER, command: WIPE }, 3);
    match state {
        "held" | "in its undo window" | "queued" => device,
        "sent" => sent(device),
        "not now" => happen(sent(device), answered(Outcome::NotNow), 2),
        "confirmed" => happen(sent(device), answered(done()), 2),
        "presumed" => happen(sent(device), answered(accepted()), 2),
        "failed" => happen(sent(device), answered(failed()), 2),
        "cancelled" => happen(device, cancelled(WIPE), 2),
        "expired" => happen(device, Event::Due(WIPE), 2),
        "contradicted" => contradicted(device),
        "contradicted and sent again" => again(device),
        "cancelled after it was sent" => happen(again(device), cancelled(WIPE), 3),
        "owed to a former enrolment" => anew(sent(device)),
        "owed to a former enrolment (the newer one answered)" => {
            let told = happen(anew(sent(device)), Event::HandedOut { enrolment: LATER, command: WIPE }, 3);
            happen(told, Event::Answered { enrolment: LATER, command: WIPE, outcome: done() }, 3)
        }
        other => panic!("{other}"),
    }
}

/// What may happen then, as people call it.
fn events(kind: Kind, scope: Scope) -> Vec<(&'static str, Vec<Event>)> {
    let begun = |personal, state| {
        let enrolment = enrolment(LATEST, kind.channel, state, 3);
        Event::Begun { enrolment, personal }
    };
    let terms = Terms {
        id: "cy".into(),
        name: "Cy".into(),
        reason: "stolen".into(),
        pin: None,
        how: Erasing::default(),
        delay: 0,
        expires: None,
    };
    let shown = Fingerprint([7; 32]);
    let anew = Event::Completed { enrolment: LATEST, shown };
    let left = |kind| Event::Left { enrolment: CARRIER, kind, detail: "left".into() };
    let word = if kind.channel == Channel::Omadm { EvidenceKind::Unenrolled } else { EvidenceKind::Checkout };
    let access = |access| Event::Access { enrolments: vec![CARRIER], access, by: "bob".into(), reason: String::new() };
    let mut events = vec![
        (
            "somebody whom nothing hinders asks for the same",
            vec![Event::AskedAgain { command: WIPE, over: Some(Box::new(terms)) }],
        ),
        ("a second person approves", vec![Event::Approved(WIPE)]),
        ("somebody cancels it", vec![cancelled(WIPE)]),
        ("its undo window ends", vec![Event::Due(WIPE)]),
        (OUT_OF_TIME, vec![Event::Due(WIPE)]),
        ("the device asks what is due", vec![Event::HandedOut { enrolment: CARRIER, command: WIPE }]),
        ("the device answers: done", vec![answered(done())]),
        ("the device accepts, and cannot answer after the deed", vec![answered(accepted())]),
        ("the device answers: failed", vec![answered(failed())]),
        ("the device answers: not now", vec![answered(Outcome::NotNow)]),
        ("the device is heard under a certificate of then", vec![contact(CARRIER)]),
        ("such a certificate is refused, since the wipe is proved", vec![Event::HeardAfterEnd(CARRIER)]),
        ("what enrolled since asks what is due", vec![Event::HandedOut { enrolment: LATER, command: WIPE }]),
        (
            "what enrolled since answers: done",
            vec![Event::Answered { enrolment: LATER, command: WIPE, outcome: done() }],
        ),
        (
            "what enrolled since answers: failed",
            vec![Event::Answered { enrolment: LATER, command: WIPE, outcome: failed() }],
        ),
        ("all certificates of then were silent for 30 days", vec![Event::Due(WIPE)]),
        ("the device says that it leaves management", vec![left(word)]),
        ("the device enrols anew", vec![begun(false, EnrolmentState::Pending), anew]),
        ("an enrolment begins that makes it its user's own", vec![begun(true, EnrolmentState::Pending)]),
        (
            "its certificate is revoked",
            vec![Event::Revoked { only: Some(CARRIER), by: "bob".into(), reason: String::new() }],
        ),
        ("a full wipe is asked for", vec![Event::Asked(Box::new(order(OTHER, kind.channel, Scope::Full)))]),
        ("the store is taken back to an older state", vec![Event::Suspended { command: WIPE, approval: HELD_UNDER }]),
    ];
    if scope == Scope::Full {
        events.retain(|(name, _)| *name != "a full wipe is asked for");
    }
    if kind.channel == Channel::Activesync {
        events.retain(|(name, _)| *name != "the device says that it leaves management");
        events.push(("an administrator lets its mail in", vec![access(super::Access::Allow)]));
        events.push(("an administrator shuts its mail out", vec![access(super::Access::Block)]));
    }
    events
}

/// What only happens to a wipe that stands so: the functions that let it happen ask first.
fn can_happen(state: &str, event: &str, scope: Scope) -> bool {
    let unsent = matches!(state, "held" | "in its undo window" | "queued" | "not now" | "contradicted");
    let sent = !matches!(state, "held" | "in its undo window" | "queued" | "cancelled" | "expired");
    let later = state.starts_with("owed to a former");
    match event {
        "somebody whom nothing hinders asks for the same" | "a second person approves" => state == "held",
        "its undo window ends" => state == "in its undo window",
        "the device asks what is due" => is_out(state) || later,
        "the store is taken back to an older state" => unsent,
        "such a certificate is refused, since the wipe is proved" => state == "confirmed",
        "what enrolled since asks what is due" => state == "owed to a former enrolment",
        _ if event.starts_with("what enrolled since answers") => state == "owed to a former enrolment",
        "all certificates of then were silent for 30 days" => later,
        "an administrator lets its mail in" => state != "in its undo window" && !is_out(state) && !later,
        "an administrator shuts its mail out" => !later,
        _ if event.starts_with("the device answers") || event.starts_with("the device accepts") => sent,
        "a full wipe is asked for" => scope == Scope::Selective,
        _ => true,
    }
}

/// Past the breaker and its undo window, and not at an end.
fn is_out(state: &str) -> bool {
    matches!(state, "queued" | "sent" | "not now" | "contradicted" | "contradicted and sent again")
}

/// When it happens: an hour after all that was before, or a month.
fn when(event: &str) -> i64 {
    if event.ends_with("30 days") { 4 + 24 * 30 } else { 4 }
}

/// A wipe and its device, as they stand.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    state: State,
    in_undo: bool,
    device: &'static str,
    mail_shut: bool,
    carrier: Option<EnrolmentId>,
    other: Option<State>,
}

fn see(device: &Managed) -> Seen {
    let wipe = device.command(WIPE).expect("the wipe");
    Seen {
        state: wipe.state,
        in_undo: wipe.hold == Some(super::command::Hold::Delay),
        device: device.state(),
        mail_shut: device.mail_shut.is_some(),
        carrier: Some(wipe.enrolment),
        other: device.command(OTHER).map(|c| c.state),
    }
}

/// What an event does, in a few words; nothing: a dash.
fn cell(before: &Managed, after: &Managed, effects: &[Effect]) -> String {
    let (was, is) = (see(before), see(after));
    let mut words: Vec<String> = Vec::new();
    if (was.state, was.in_undo) != (is.state, is.in_undo) {
        let name = if is.in_undo { "in its undo window" } else { is.state.as_str() };
        words.push(format!("**{}**", name.replace('_', " ")));
    }
    if was.carrier != is.carrier {
        words.push("goes on by its mail".into());
    }
    if was.device != is.device {
        words.push(format!("device {}", is.device));
    }
    if was.mail_shut != is.mail_shut {
        words.push(if is.mail_shut { "mail shuts" } else { "mail opens" }.into());
    }
    if let Some(other) = is.other {
        words.push(format!("the other {}", other.as_str()));
    }
    let proofs = |device: &Managed| device.command(WIPE).map_or(0, |wipe| wipe.evidence.len());
    if proofs(before) < proofs(after) && was.state == is.state {
        words.push("noted as evidence".into());
    }
    let ends = |pause: Duration| effects.iter().any(|e| matches!(e, Effect::Revoke(_, p) if *p == pause));
    if ends(Duration::ZERO) {
        words.push("certificates end".into());
    }
    if ends(Duration::from_secs(600)) {
        words.push("its certificate ends in 10 minutes".into());
    }
    if words.is_empty() { "–".into() } else { words.join(", ") }
}

type Row = (&'static str, Vec<BTreeMap<&'static str, String>>);

fn rows(scope: Scope, each: &mut impl FnMut(Kind, &str, &str, &Managed, &Managed, &[Effect])) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for kind in KINDS {
        for (name, events) in events(kind, scope) {
            let row = match rows.iter_mut().find(|(known, _)| *known == name) {
                Some(row) => row,
                None => {
                    rows.push((name, vec![BTreeMap::new(); STATES.len()]));
                    rows.last_mut().expect("just pushed")
                }
            };
            for (at_state, state) in STATES.into_iter().enumerate() {
                let before = stands(kind, scope, state, (name == OUT_OF_TIME).then_some(4));
                let said = if can_happen(state, name, scope) {
                    let (mut after, mut effects) = (before.clone(), Vec::new());
                    // What answers was told before.
                    if name.starts_with("what enrolled since answers") {
                        drop(after.happen(Event::HandedOut { enrolment: LATER, command: WIPE }, at(3)));
                    }
                    for event in events.clone() {
                        effects.extend(after.happen(event, at(when(name))));
                    }
                    each(kind, state, name, &before, &after, &effects);
                    cell(&before, &after, &effects)
                } else {
                    String::new()
                };
                row.1[at_state].insert(kind.name, said);
            }
        }
    }
    rows
}

/// One line for all kinds of devices where they agree, else one for each that differs.
fn joined(cell: &BTreeMap<&'static str, String>) -> String {
    let mut by_words: Vec<(&str, Vec<&str>)> = Vec::new();
    for kind in KINDS.iter().filter(|kind| cell.contains_key(kind.name)) {
        let words = cell[kind.name].as_str();
        match by_words.iter_mut().find(|(known, _)| *known == words) {
            Some((_, kinds)) => kinds.push(kind.name),
            None => by_words.push((words, vec![kind.name])),
        }
    }
    match by_words.as_slice() {
        [(words, _)] => (*words).into(),
        many => {
            many.iter().map(|(words, kinds)| format!("{}: {words}", kinds.join(", "))).collect::<Vec<_>>().join("; ")
        }
    }
}

fn page() -> String {
    let mut page = String::from(
        "# What becomes of a wipe when …\n\nThis page is made from the code, so it says what the server does. Each line is something that may happen, \
         with what it does to a wipe\nthat stands so: the state in bold is the wipe's new one, `–` means that nothing changes, and a state that a line \
         does not name is one in\nwhich that does not come about. Of answers a channel may have fewer: a mail client says neither failed nor not now, a PC \
         never not now,\nand of a full wipe it only accepts. Kinds of devices are named where they differ. What the states mean: \
         [wiping.md](wiping.md);\n*contradicted* is a presumed wipe whose device was heard again and that is to be sent again (at\nonce, after an hour, then daily; within `wipe.grace` of its end a contact contradicts nothing), *owed to a former \
         enrolment* one that was sent\nand whose device enrolled anew since.\n\n\"Mail shuts\" holds for all mail of the device at once; \"certificates end\" for those of the enrolments that end. \
         A Mac's `Error` to a full\nwipe is an acceptance (`presumed`); a mail client before ActiveSync 16.1 accepts a selective wipe by asking.\n",
    );
    for (scope, title) in [(Scope::Full, "A full wipe"), (Scope::Selective, "A selective wipe (retire)")] {
        let _ = write!(page, "\n## {title}\n");
        for (event, cells) in rows(scope, &mut |_, _, _, _, _, _| {}) {
            let _ = write!(page, "\n### When {event}\n\n| the wipe is | what happens |\n| --- | --- |\n");
            // States for which the same is said stand together.
            let mut lines: Vec<(Vec<&str>, String)> = Vec::new();
            for (state, cell) in STATES.iter().zip(&cells) {
                let said = joined(cell);
                if said.is_empty() {
                    continue;
                }
                match lines.iter_mut().find(|(_, known)| *known == said) {
                    Some((states, _)) => states.push(state),
                    None => lines.push((vec![state], said)),
                }
            }
            for (states, said) in lines {
                let _ = writeln!(page, "| {} | {said} |", states.join("; "));
            }
        }
    }
    page
}

#[test]
fn the_page_says_what_the_code_does() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/wipe-table.md");
    let made = page();
    if std::env::var_os("LANYARD_BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    for (number, (made, kept)) in made.lines().zip(kept.lines()).enumerate() {
        assert_eq!(made, kept, "docs/wipe-table.md:{}; cargo xtask test --bless rewrites it", number + 1);
    }
    assert_eq!(made.len(), kept.len(), "cargo xtask test --bless rewrites it");
}

/// What must hold whatever happens.
#[test]
fn no_event_breaks_the_promises_of_a_wipe() {
    let mut cells = 0;
    for scope in [Scope::Full, Scope::Selective] {
        rows(scope, &mut |kind, state, event, before, after, effects| {
            cells += 1;
            let case = format!("{}, {scope:?}, {state}, {event}", kind.name);
            let (was, is) = (see(before), see(after));
            let now = after.command(WIPE).unwrap();
            // Proved is proved.
            assert!(was.state != State::Confirmed || is.state == State::Confirmed, "{case}");
            // Silence, and people, confirm nothing.
            let proof = event == "the device answers: done"
                || event == "the device says that it leaves management" && scope == Scope::Selective;
            assert!(is.state != State::Confirmed || was.state == State::Confirmed || proof, "{case}");
            assert!(now.evidence.iter().len() > 0 || !matches!(is.state, State::Confirmed | State::Presumed), "{case}");
            // What was sent may be done already.
            let taken_back = matches!(is.state, State::Cancelled | State::Expired);
            let may_be = before.command(WIPE).unwrap().may_be_taken_back();
            assert!(was.state == is.state || !taken_back || may_be, "{case}");
            // What enrolled later ends nothing, and what it says is on record.
            if event.starts_with("what enrolled since answers") {
                assert!(
                    was.state == is.state && now.evidence.last().unwrap().kind == EvidenceKind::LaterEnrolment,
                    "{case}"
                );
            }
            // Nothing rests on a presumption: who is heard under a certificate of then hears of the wipe, and nobody else does.
            if event == "the device is heard under a certificate of then" && was.state == State::Presumed {
                let accepted_by_gateway = !before.command(WIPE).unwrap().can_be_contradicted();
                assert!(is.state == State::Queued || accepted_by_gateway, "{case}");
                let due = after.next(CARRIER, super::Contact::Fresh, false, at(4).steady).map(|c| c.id);
                assert!(due == Some(WIPE) || accepted_by_gateway, "{case}");
                assert!(
                    after.next(CARRIER, super::Contact::Fresh, true, at(4).steady).is_none(),
                    "{case}: under the stop"
                );
            }
            // Every end is on record.
            if is.state.is_final() && was.state != is.state {
                let ended = |e: &Effect| matches!(e, Effect::Note(_, crate::fleet::audit::Event::WipeEnded { command, .. }) if *command == WIPE);
                assert!(effects.iter().any(ended), "{case}");
            }
            // A wipe that is under way keeps all mail shut, and the device knows of it.
            let enrolled = after.live().next().is_some();
            if now.is_wipe_under_way() && enrolled {
                assert!(after.mail_shut.is_some() && after.wipe.is_some(), "{case}");
            }
            // What has ended is not among the open ones, and what has not is.
            assert_eq!(after.device().open.contains(&WIPE), !is.state.is_final(), "{case}");
            assert_eq!(now.finished.is_some(), is.state.is_final(), "{case}");
            // Nobody is told of an end that has not come, nor twice.
            let told =
                effects.iter().filter(|e| matches!(e, Effect::WipeEnded(id, end) if (*id, *end) == (WIPE, is.state)));
            assert!(told.count() <= usize::from(was.state != is.state), "{case}");
            // An event that changes nothing writes nothing.
            let (again, effects) = (after.clone().on(Event::Heard(EnrolmentId::NONE), at(5)), effects.len());
            assert!(again.1.is_empty() && effects < 20, "{case}");
        });
    }
    assert!(cells > 400, "{cells}");
}

//! Orders before an organisation in memory that is busy, loses answers, lags, and is changed behind our back.

use super::*;
use crate::cmdlet::Argument;
use crate::organisation::{Rule, Which};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::collections::VecDeque;
use time::macros::datetime;

const NOW: OffsetDateTime = datetime!(2026-12-01 12:00 UTC);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Well,
    Busy,
    LostBefore,
    LostAfter,
    Refused,
    Forbidden,
}

#[derive(Clone)]
struct World {
    default: String,
    recipients: Vec<String>,
    insert: String,
    rules: Vec<(String, String, String)>,
    fates: VecDeque<Fate>,
    calls: Vec<Cmdlet>,
    /// So many reads still see what was before the last write.
    lag: u32,
    stale: Option<(u32, Box<World>)>,
    /// Somebody makes this rule just before the first write.
    meanwhile: Option<(String, String, String)>,
}

fn three(a: &str, b: &str, c: &str) -> (String, String, String) {
    (a.into(), b.into(), c.into())
}

impl World {
    fn new() -> Self {
        Self {
            default: "Allow".into(),
            recipients: vec![],
            insert: String::new(),
            rules: vec![three("DeviceType", "Palm", "Block")],
            fates: VecDeque::new(),
            calls: vec![],
            lag: 0,
            stale: None,
            meanwhile: None,
        }
    }

    fn play(&mut self, wanted: Access) -> Outcome {
        self.play_until(wanted, None)
    }

    fn play_until(&mut self, wanted: Access, deadline: Option<OffsetDateTime>) -> Outcome {
        let mut next = Steps::begin(Uuid::from_u128(9), wanted, deadline);
        for _ in 0..300 {
            next = match next {
                Next::End(outcome) => return *outcome,
                Next::Pause(_, steps) => steps.resume(),
                Next::Call(cmdlet, steps) => {
                    assert!(cmdlet.is_allowed(), "{cmdlet:?}");
                    if cmdlet.writes() {
                        assert_eq!(steps.ahead(&cmdlet).first(), Some(&cmdlet));
                    }
                    let answer = self.call(cmdlet);
                    steps.step(answer, NOW)
                }
            };
        }
        panic!("without end: {:#?}", self.calls);
    }

    fn call(&mut self, cmdlet: Cmdlet) -> Result<Vec<Row>, Failure> {
        self.calls.push(cmdlet.clone());
        match self.fates.pop_front().unwrap_or(Fate::Well) {
            Fate::Well => self.answer(&cmdlet),
            Fate::Busy => Err(Failure::Busy { text: "429".into(), after: Some(7) }),
            Fate::Refused => Err(Failure::Refused("no".into())),
            Fate::Forbidden => Err(Failure::Forbidden("no role".into())),
            Fate::LostBefore => Err(Failure::Unread("cut".into())),
            Fate::LostAfter => {
                let _ = self.answer(&cmdlet);
                Err(Failure::Unread("cut".into()))
            }
        }
    }

    fn answer(&mut self, cmdlet: &Cmdlet) -> Result<Vec<Row>, Failure> {
        if cmdlet.writes() {
            let before = Self { stale: None, calls: vec![], ..self.clone() };
            self.rules.extend(self.meanwhile.take());
            self.write(cmdlet)?;
            self.stale = (self.lag > 0).then(|| (self.lag, Box::new(before)));
            return Ok(vec![]);
        }
        match &mut self.stale {
            Some((left, before)) if *left > 0 => {
                *left -= 1;
                Ok(before.read(cmdlet))
            }
            _ => Ok(self.read(cmdlet)),
        }
    }

    fn read(&self, cmdlet: &Cmdlet) -> Vec<Row> {
        let rows = match cmdlet.name {
            "Get-ActiveSyncOrganizationSettings" => {
                let (default, recipients, insert) = (&self.default, &self.recipients, &self.insert);
                vec![
                    json!({ "DefaultAccessLevel": default, "AdminMailRecipients": recipients, "UserMailInsert": insert }),
                ]
            }
            "Get-ActiveSyncDeviceAccessRule" => {
                let row = |(characteristic, query, level): &(String, String, String)| json!({ "Name": format!("{query} ({characteristic})"), "Characteristic": characteristic, "QueryString": query, "AccessLevel": level });
                self.rules.iter().map(row).collect()
            }
            other => panic!("{other}"),
        };
        let row = |value: Json| match value {
            Json::Object(row) => row,
            _ => panic!("an object"),
        };
        rows.into_iter().map(row).collect()
    }

    fn write(&mut self, cmdlet: &Cmdlet) -> Result<(), Failure> {
        let given =
            |name: &str| cmdlet.parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        let text = |name: &str| match given(name) {
            Some(Argument::Text(text)) => text,
            _ => String::new(),
        };
        let at = self.rules.iter().position(|(a, b, _)| format!("{b} ({a})") == text("Identity"));
        match (cmdlet.name, at) {
            ("New-ActiveSyncDeviceAccessRule", _) => {
                let new = (text("Characteristic"), text("QueryString"), text("AccessLevel"));
                if self.rules.iter().any(|(a, b, _)| *a == new.0 && *b == new.1) {
                    return Err(Failure::Refused("it exists".into()));
                }
                self.rules.push(new);
            }
            ("Set-ActiveSyncDeviceAccessRule", Some(at)) => self.rules[at].2 = text("AccessLevel"),
            ("Remove-ActiveSyncDeviceAccessRule", Some(at)) => drop(self.rules.remove(at)),
            ("Set-ActiveSyncOrganizationSettings", _) => {
                if given("DefaultAccessLevel").is_some() {
                    self.default = text("DefaultAccessLevel");
                }
                if given("UserMailInsert").is_some() {
                    self.insert = text("UserMailInsert");
                }
                match given("AdminMailRecipients") {
                    Some(Argument::Texts(all)) => self.recipients = all,
                    Some(Argument::Null) => self.recipients.clear(),
                    _ => {}
                }
            }
            _ => return Err(Failure::NotFound(text("Identity"))),
        }
        Ok(())
    }

    fn written(&self) -> Vec<&'static str> {
        self.calls.iter().filter(|cmdlet| cmdlet.writes()).map(|cmdlet| cmdlet.name).collect()
    }
}

fn which(characteristic: &str, query: &str) -> Which {
    Which { characteristic: characteristic.into(), query: query.into() }
}

fn rule(characteristic: &str, query: &str, level: Level) -> Rule {
    Rule { which: which(characteristic, query), level, name: None }
}

fn wanted() -> Access {
    Access {
        default: Some(Level::Quarantine),
        recipients: Some(vec!["it@example.org".into()]),
        insert: Some("wait".into()),
        rules: vec![rule("DeviceModel", "Old", Level::Block), rule("DeviceType", "iPhone", Level::Allow)],
        without: vec![],
    }
}

fn code(outcome: &Outcome) -> Option<&Reason> {
    outcome.error.as_ref().map(|error| &error.code)
}

#[test]
fn who_is_let_in_by_a_rule_is_before_the_default_leaves_allow() {
    let mut world = World::new();
    let outcome = world.play(wanted());
    assert_eq!((outcome.outcome, code(&outcome)), (Ending::Done, None));
    let (new, set) = ("New-ActiveSyncDeviceAccessRule", "Set-ActiveSyncOrganizationSettings");
    assert_eq!(world.written(), [new, new, set]);
    let levels: Vec<&str> = world.rules.iter().map(|(_, _, level)| level.as_str()).collect();
    assert_eq!(levels, ["Block", "Allow", "Block"], "another's, then the one that lets in");
    let told = outcome.organisation.unwrap();
    assert_eq!((told.default, told.rules.len()), (Some(Level::Quarantine), 3));
    assert_eq!(world.play(wanted()).outcome, Ending::Already);
    assert_eq!(world.written().len(), 3, "nothing a second time");
}

#[test]
fn only_what_the_order_speaks_of_is_touched() {
    for (what, wanted, want) in [
        ("nothing", Access::default(), &[][..]),
        ("what is so", Access { default: Some(Level::Allow), ..Access::default() }, &[]),
        ("words that are so", Access { insert: Some(" ".into()), ..Access::default() }, &[]),
        (
            "other words",
            Access { insert: Some("wait".into()), ..Access::default() },
            &["Set-ActiveSyncOrganizationSettings"],
        ),
        (
            "somebody who is told",
            Access { recipients: Some(vec!["it@example.org".into()]), ..Access::default() },
            &["Set-ActiveSyncOrganizationSettings"],
        ),
        ("nobody told, and nobody is", Access { recipients: Some(vec![]), ..Access::default() }, &[]),
        (
            "a level",
            Access { rules: vec![rule("DeviceType", "palm", Level::Allow)], ..Access::default() },
            &["Set-ActiveSyncDeviceAccessRule"],
        ),
        (
            "one that is to go",
            Access { without: vec![which("DeviceType", "Palm")], ..Access::default() },
            &["Remove-ActiveSyncDeviceAccessRule"],
        ),
        ("one that is gone", Access { without: vec![which("DeviceType", "x")], ..Access::default() }, &[]),
        ("a rule for nobody", Access { rules: vec![rule("DeviceType", "", Level::Allow)], ..Access::default() }, &[]),
    ] {
        let mut world = World::new();
        let outcome = world.play(wanted);
        assert_eq!((code(&outcome), &world.written()[..]), (None, want), "{what}");
    }
}

#[test]
fn each_answer_that_is_lost_late_or_contradicted_is_looked_at_before_it_is_written_again() {
    let reads = [Fate::Well, Fate::Well];
    let one = || Access { rules: vec![rule("DeviceType", "iPhone", Level::Allow)], ..Access::default() };
    for (fate, writes) in [(Fate::LostAfter, 1), (Fate::LostBefore, 2), (Fate::Busy, 2), (Fate::Refused, 2)] {
        let mut world = World { fates: reads.into_iter().chain([fate]).collect(), ..World::new() };
        let outcome = world.play(one());
        assert_eq!((outcome.outcome, world.written().len()), (Ending::Done, writes), "{fate:?}");
        assert_eq!(world.rules.len(), 2, "{fate:?}");
    }
    for lag in [2, 6] {
        let mut world = World { lag, ..World::new() };
        assert_eq!((world.play(one()).outcome, world.written().len()), (Ending::Done, 1), "late by {lag}");
    }
    // Another hand makes the same rule in between: ours is refused, and it is so.
    for (level, writes) in [("Allow", 1), ("Block", 2)] {
        let mut world = World { meanwhile: Some(three("DeviceType", "iPhone", level)), ..World::new() };
        assert_eq!((world.play(one()).outcome, world.written().len()), (Ending::Done, writes), "{level}");
        assert_eq!(world.rules.last().map(|(_, _, level)| level.as_str()), Some("Allow"));
    }
}

#[test]
fn what_cannot_be_done_is_said_and_ends() {
    for (fates, want) in [
        (vec![Fate::Forbidden], Reason::Forbidden),
        (vec![Fate::Well, Fate::Well, Fate::Forbidden], Reason::Forbidden),
        (vec![Fate::Well, Fate::Well, Fate::Refused, Fate::Well, Fate::Well, Fate::Refused], Reason::Refused),
        (vec![Fate::Busy; 50], Reason::Unavailable),
    ] {
        let mut world = World { fates: fates.into(), ..World::new() };
        assert_eq!(code(&world.play(wanted())), Some(&want));
        assert_eq!(world.default, "Allow");
    }
    let mut world = World { default: String::new(), ..World::new() };
    assert_eq!(code(&world.play(wanted())), Some(&Reason::Unavailable), "its default is not told");
    let mut world = World::new();
    let over = Some(NOW - time::Duration::seconds(1));
    assert_eq!((code(&world.play_until(wanted(), over)), world.written()), (Some(&Reason::Late), vec![]));
}

#[test]
fn a_time_that_ends_now_is_not_over() {
    assert_eq!(World::new().play_until(wanted(), Some(NOW)).outcome, Ending::Done);
}

#[test]
fn who_is_busy_is_asked_again_after_pauses_that_grow_and_six_times_at_most() {
    let busy = |after| Err(Failure::Busy { text: "429".into(), after });
    let mut next = Steps::begin(Uuid::from_u128(9), wanted(), None);
    for seconds in [3, 6, 9, 12, 15, 18] {
        let Next::Call(_, steps) = next else { panic!("a call") };
        let Next::Pause(pause, steps) = steps.step(busy(None), NOW) else { panic!("a pause") };
        assert_eq!(pause, Duration::from_secs(seconds));
        next = steps.resume();
    }
    let Next::Call(_, steps) = next else { panic!("a call") };
    assert!(matches!(steps.step(busy(None), NOW), Next::End(_)), "the seventh time");
    for (after, seconds) in [(1, 1), (40, 40), (9000, 300)] {
        let Next::Call(_, steps) = Steps::begin(Uuid::from_u128(9), wanted(), None) else { panic!("a call") };
        let Next::Pause(pause, _) = steps.step(busy(Some(after)), NOW) else { panic!("a pause") };
        assert_eq!(pause, Duration::from_secs(seconds), "as Exchange says");
    }
    // What may have been written is not looked at before it can be seen.
    let mut world = World::new();
    let mut next = Steps::begin(Uuid::from_u128(9), wanted(), None);
    for _ in 0..2 {
        let Next::Call(cmdlet, steps) = next else { panic!("a call") };
        next = steps.step(world.call(cmdlet), NOW);
    }
    let Next::Call(_, steps) = next else { panic!("a write") };
    let Next::Pause(pause, _) = steps.step(busy(Some(1)), NOW) else { panic!("a pause") };
    assert_eq!(pause, LOOK);
}

#[test]
fn all_that_is_ahead_is_known_before_the_first_write() {
    let mut world = World::new();
    let mut next = Steps::begin(Uuid::from_u128(9), wanted(), None);
    for _ in 0..2 {
        let Next::Call(cmdlet, steps) = next else { panic!("a call") };
        next = steps.step(world.call(cmdlet), NOW);
    }
    let Next::Call(cmdlet, steps) = next else { panic!("a write") };
    assert_eq!(steps.ahead(&cmdlet).len(), 3);
}

proptest! {
    /// Whatever is lost: an end comes, others' rules stay, what is said to be so is so, and the default never goes before the rules.
    #[test]
    fn whatever_is_lost_what_ends_as_done_is_so(
        fates in proptest::collection::vec(
            prop_oneof![6 => Just(Fate::Well), 1 => Just(Fate::Busy), 1 => Just(Fate::LostBefore), 1 => Just(Fate::LostAfter), 1 => Just(Fate::Refused)],
            0..40,
        ),
        lag in 0u32..5,
    ) {
        let mut world = World { fates: fates.into(), lag, ..World::new() };
        let outcome = world.play(wanted());
        prop_assert!(world.rules.contains(&three("DeviceType", "Palm", "Block")));
        let ours = world.rules.iter().filter(|(_, query, _)| query != "Palm").count();
        prop_assert!(ours <= 2, "none is made twice");
        if outcome.outcome != Ending::Failed {
            prop_assert_eq!((world.default.as_str(), ours), ("Quarantine", 2));
        }
        if world.default != "Allow" {
            prop_assert!(world.rules.contains(&three("DeviceType", "iPhone", "Allow")));
        }
    }
}

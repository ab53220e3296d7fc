//! Orders before an Exchange in memory that lags, is busy, loses answers, and is changed behind our back.

use super::*;
use crate::calls::{Policy, Wipe};
use crate::cmdlet::Argument;
use crate::partnership::Listed;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, VecDeque};
use time::macros::datetime;
use uuid::Uuid;

const NOW: OffsetDateTime = datetime!(2026-12-01 12:00 UTC);
const SINCE: OffsetDateTime = datetime!(2026-12-01 11:59 UTC);

fn key() -> Key {
    Key { guid: Uuid::from_u128(1), device_id: "ApplF9".into(), mailbox: Uuid::from_u128(2) }
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Well,
    Busy,
    /// Not done, and no answer.
    LostBefore,
    /// Done, and no answer.
    LostAfter,
}

struct World {
    there: bool,
    guid: Uuid,
    device_id: &'static str,
    under: &'static str,
    kind: &'static str,
    version: &'static str,
    access: &'static str,
    default: &'static str,
    allowed: Vec<String>,
    blocked: Vec<String>,
    wipe: Option<OffsetDateTime>,
    account_wipe: Option<OffsetDateTime>,
    acked: bool,
    policy: String,
    /// By name, what each says.
    policies: BTreeMap<String, BTreeMap<String, Json>>,
    /// Somebody makes this policy just before the next write.
    meanwhile: Option<&'static str>,
    /// So many reads still see what was before the last write to a list or of a wipe.
    lag: u32,
    stale: Option<(u32, Box<World>)>,
    fates: VecDeque<Fate>,
    calls: Vec<Cmdlet>,
    slept: Duration,
    /// Requests for a wipe that came to Exchange.
    taken: u32,
    account_only: bool,
    resumed: bool,
    /// Objects come for an identity that is none.
    all_for_none: bool,
}

impl World {
    fn new() -> Self {
        Self {
            there: true,
            guid: key().guid,
            device_id: "ApplF9",
            under: "CN=Ann,DC=example",
            kind: "iPhone",
            version: "16.1",
            access: "Allowed",
            default: "Quarantine",
            allowed: vec![],
            blocked: vec![],
            wipe: None,
            account_wipe: None,
            acked: false,
            policy: "Default".into(),
            policies: [("Default".to_string(), BTreeMap::new())].into(),
            meanwhile: None,
            lag: 0,
            stale: None,
            fates: VecDeque::new(),
            calls: vec![],
            slept: Duration::ZERO,
            taken: 0,
            account_only: true,
            resumed: false,
            all_for_none: false,
        }
    }

    fn same(&self) -> Self {
        Self {
            allowed: self.allowed.clone(),
            blocked: self.blocked.clone(),
            policies: self.policies.clone(),
            policy: self.policy.clone(),
            stale: None,
            fates: VecDeque::new(),
            calls: vec![],
            meanwhile: None,
            ..*self
        }
    }

    fn play(&mut self, order: Order) -> Outcome {
        self.play_until(order, None)
    }

    fn play_until(&mut self, order: Order, deadline: Option<OffsetDateTime>) -> Outcome {
        let work = Work { seq: 1, id: Uuid::from_u128(9), order, deadline };
        let mut next = Steps::begin(work, self.account_only, self.resumed);
        for _ in 0..200 {
            next = match next {
                Next::End(outcome) => return *outcome,
                Next::Pause(wait, steps) => {
                    self.slept += wait;
                    steps.resume()
                }
                Next::Call(cmdlet, steps) => {
                    assert!(cmdlet.is_allowed(), "{cmdlet:?}");
                    let answer = self.call(cmdlet);
                    steps.step(answer, NOW)
                }
            };
        }
        panic!("without end: {:#?}", self.calls);
    }

    fn call(&mut self, cmdlet: Cmdlet) -> Result<Vec<Row>, Failure> {
        let fate = self.fates.pop_front().unwrap_or(Fate::Well);
        self.calls.push(cmdlet.clone());
        match fate {
            Fate::Busy => Err(Failure::Busy { text: "429".into(), after: Some(7) }),
            Fate::LostBefore => Err(Failure::Unread("cut".into())),
            Fate::LostAfter => {
                let _ = self.answer(&cmdlet);
                Err(Failure::Unread("cut".into()))
            }
            Fate::Well => self.answer(&cmdlet),
        }
    }

    fn answer(&mut self, cmdlet: &Cmdlet) -> Result<Vec<Row>, Failure> {
        if cmdlet.writes() {
            let before = self.same();
            if let Some(name) = self.meanwhile.take() {
                self.policies.insert(name.into(), rules());
            }
            self.write(cmdlet)?;
            self.stale = (self.lag > 0).then(|| (self.lag, Box::new(before)));
            return Ok(vec![]);
        }
        let stale = match &mut self.stale {
            Some((left, before)) if *left > 0 => {
                *left -= 1;
                Some(before)
            }
            _ => None,
        };
        match stale {
            Some(before) => before.read(cmdlet),
            None => self.read(cmdlet),
        }
    }

    fn read(&self, cmdlet: &Cmdlet) -> Result<Vec<Row>, Failure> {
        let asks = |what: &str| {
            let text = Argument::Text(what.into());
            cmdlet.parameters.iter().any(|(name, value)| *name == what || *value == text)
        };
        let missing = !self.there || !asks(&self.guid.to_string());
        let row = match cmdlet.name {
            "Get-MobileDevice" if asks("Mailbox") && self.there => return Ok(vec![another(), object(self.device())]),
            "Get-MobileDevice" if asks("Mailbox") => return Ok(vec![another()]),
            "Get-MobileDevice" | "Get-MobileDeviceStatistics" if missing && self.all_for_none => {
                return Ok(vec![another()]);
            }
            "Get-MobileDevice" | "Get-MobileDeviceStatistics" if missing => {
                return Err(Failure::NotFound("no".into()));
            }
            "Get-MobileDevice" => self.device(),
            "Get-MobileDeviceStatistics" => self.statistics(),
            "Get-CASMailbox" => self.mailbox(),
            "Get-ActiveSyncOrganizationSettings" => json!({ "DefaultAccessLevel": self.default }),
            "Get-MobileDeviceMailboxPolicy" => {
                let [(_, Argument::Text(name))] = &cmdlet.parameters[..] else { panic!("{cmdlet:?}") };
                let Some(says) = self.policies.get(name) else { return Err(Failure::NotFound(name.clone())) };
                let mut row = object(json!({ "Name": name }));
                row.extend(says.clone());
                return Ok(vec![row]);
            }
            other => panic!("{other}"),
        };
        Ok(vec![object(row)])
    }

    fn device(&self) -> Json {
        json!({
            "Guid": self.guid, "DeviceId": self.device_id, "DeviceType": self.kind, "ClientVersion": self.version,
            "DistinguishedName": format!("CN=x,CN=ExchangeActiveSyncDevices,{}", self.under), "DeviceAccessState": self.access,
            "ClientType": if self.kind == "Outlook" { "REST" } else { "EAS" },
        })
    }

    fn statistics(&self) -> Json {
        let text = |time: Option<OffsetDateTime>| {
            time.map(|time| time.format(&time::format_description::well_known::Rfc3339).unwrap())
        };
        let acked = |time: Option<OffsetDateTime>| if self.acked { text(time) } else { None };
        json!({
            "Guid": self.guid, "DeviceWipeRequestTime": text(self.wipe), "DeviceWipeAckTime": acked(self.wipe),
            "AccountOnlyDeviceWipeRequestTime": text(self.account_wipe), "AccountOnlyDeviceWipeAckTime": acked(self.account_wipe),
        })
    }

    fn mailbox(&self) -> Json {
        json!({
            "Guid": key().mailbox, "PrimarySmtpAddress": "ann@example.org", "DistinguishedName": "CN=Ann,DC=example",
            "ActiveSyncAllowedDeviceIDs": self.allowed, "ActiveSyncBlockedDeviceIDs": self.blocked, "ActiveSyncMailboxPolicy": self.policy,
            "ActiveSyncMailboxPolicyIsDefaulted": self.policy == "Default",
        })
    }

    fn write(&mut self, cmdlet: &Cmdlet) -> Result<(), Failure> {
        self.taken += u32::from(cmdlet.name == "Clear-MobileDevice");
        let given = |wanted: &str| cmdlet.parameters.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value);
        match cmdlet.name {
            "Set-CASMailbox" => {
                edit(&mut self.allowed, given("ActiveSyncAllowedDeviceIDs"));
                edit(&mut self.blocked, given("ActiveSyncBlockedDeviceIDs"));
                match given("ActiveSyncMailboxPolicy") {
                    Some(Argument::Text(name)) => self.policy = name.clone(),
                    Some(_) => self.policy = "Default".into(),
                    None => {}
                }
            }
            "Clear-MobileDevice" if given("Cancel").is_some() => (self.wipe, self.account_wipe) = (None, None),
            "Clear-MobileDevice" if given("AccountOnly").is_some() => self.account_wipe = Some(NOW),
            "Clear-MobileDevice" => self.wipe = Some(NOW),
            "Remove-MobileDevice" => self.there = false,
            "New-MobileDeviceMailboxPolicy" | "Set-MobileDeviceMailboxPolicy" => {
                let json = cmdlet.json(|_, _| Json::Null);
                let name = json.get("Name").or(json.get("Identity")).and_then(Json::as_str).unwrap().to_string();
                let new = cmdlet.name.starts_with("New");
                if new == self.policies.contains_key(&name) {
                    return Err(Failure::Refused("it exists, or it does not".into()));
                }
                self.policies.entry(name).or_default().extend(json);
            }
            other => panic!("{other}"),
        }
        Ok(())
    }

    fn written(&self) -> Vec<&'static str> {
        self.calls.iter().filter(|cmdlet| cmdlet.writes()).map(|cmdlet| cmdlet.name).collect()
    }

    fn clears(&self) -> usize {
        self.written().iter().filter(|name| **name == "Clear-MobileDevice").count()
    }
}

fn edit(list: &mut Vec<String>, change: Option<&Argument>) {
    let Some(Argument::Edit { add, remove }) = change else { return };
    list.retain(|id| !remove.contains(id) && !add.contains(id));
    list.extend(add.clone());
}

fn object(value: Json) -> Row {
    let Json::Object(row) = value else { panic!("an object") };
    row
}

/// Somebody else's client.
fn another() -> Row {
    object(
        json!({ "Guid": Uuid::from_u128(77), "DeviceId": "Other", "DistinguishedName": "CN=x,CN=ExchangeActiveSyncDevices,CN=Bob" }),
    )
}

fn wipe(account_only: bool) -> Order {
    Order::Wipe(Wipe { key: key(), account_only, since: SINCE })
}

fn code(outcome: &Outcome) -> Option<&Reason> {
    outcome.error.as_ref().map(|error| &error.code)
}

#[test]
fn lists_are_written_once_and_only_where_they_are_not_so() {
    for (order, want) in [(Order::Allow(key()), Listed::Allowed), (Order::Block(key()), Listed::Blocked)] {
        let mut world = World::new();
        let first = world.play(order.clone());
        assert_eq!((first.outcome, world.written().len()), (Ending::Done, 1), "{order:?}");
        assert_eq!(first.observed.unwrap().listed, Some(want));
        let again = world.play(order.clone());
        assert_eq!((again.outcome, world.written().len()), (Ending::Already, 1), "{order:?}");
    }
}

#[test]
fn a_list_that_lags_is_looked_at_again_and_not_written_again() {
    let mut world = World { lag: 6, ..World::new() };
    let outcome = world.play(Order::Block(key()));
    assert_eq!((outcome.outcome, world.written().len()), (Ending::Done, 1));
    assert!(world.slept >= LOOK * 2, "{:?}", world.slept);
}

#[test]
fn nothing_is_written_for_another_client_or_mailbox_or_for_nobody() {
    let moved = || World { under: "CN=Bob,DC=example", ..World::new() };
    let renamed = || World { device_id: "Other", ..World::new() };
    let gone = || World { there: false, ..World::new() };
    let all = || World { there: false, all_for_none: true, ..World::new() };
    for order in
        [wipe(false), wipe(true), Order::Block(key()), Order::Cancel(key()), Order::Allow(key()), Order::Look(key())]
    {
        for (mut world, want) in
            [(moved(), Reason::Another), (renamed(), Reason::Another), (gone(), Reason::Gone), (all(), Reason::Gone)]
        {
            let outcome = world.play(order.clone());
            assert_eq!((code(&outcome), world.written()), (Some(&want), vec![]), "{order:?}");
            assert_eq!(outcome.observed, None);
        }
    }
}

#[test]
fn a_wipe_takes_it_off_the_blocked_list_first_and_is_asked_for_once() {
    let mut world = World { blocked: vec!["applf9".into()], ..World::new() };
    world.blocked = vec!["ApplF9".into()];
    let outcome = world.play(wipe(false));
    assert_eq!((outcome.outcome, world.written()), (Ending::Done, vec!["Set-CASMailbox", "Clear-MobileDevice"]));
    assert_eq!(outcome.observed.unwrap().wipe.unwrap().requested, Some(NOW));
    assert_eq!(world.play(wipe(false)).outcome, Ending::Already);
    assert_eq!(world.clears(), 1);
}

#[test]
fn an_object_that_was_made_anew_is_the_same_client() {
    for order in [wipe(false), Order::Block(key()), Order::Remove(key())] {
        let mut world = World { guid: Uuid::from_u128(42), ..World::new() };
        let outcome = world.play(order.clone());
        assert_eq!((outcome.outcome, code(&outcome)), (Ending::Done, None), "{order:?}");
        if let Some(observed) = outcome.observed {
            assert_eq!(observed.key.guid, world.guid);
        }
    }
}

#[test]
fn a_wipe_from_before_the_decision_is_no_answer_to_it() {
    let mut world = World { wipe: Some(SINCE - time::Duration::hours(1)), acked: true, ..World::new() };
    assert_eq!(world.play(wipe(false)).outcome, Ending::Done);
    assert_eq!(world.clears(), 1);
    // Nor is one of the account an answer to one of all, or the other way round.
    let mut world = World { account_wipe: Some(NOW), ..World::new() };
    assert_eq!(world.play(wipe(false)).outcome, Ending::Done);
    let mut world = World { wipe: Some(NOW), ..World::new() };
    assert_eq!(world.play(wipe(true)).outcome, Ending::Done);
    assert!(world.calls.iter().any(|call| call.parameters.contains(&("AccountOnly", Argument::Switch))));
}

#[test]
fn a_clock_of_exchanges_that_is_behind_makes_no_second_wipe() {
    let late = Order::Wipe(Wipe { key: key(), account_only: false, since: NOW + time::Duration::hours(2) });
    let mut world = World::new();
    assert_eq!((world.play(late).outcome, world.clears()), (Ending::Done, 1));
}

#[test]
fn an_order_that_was_broken_off_takes_an_open_wipe_for_its_own_and_an_old_one_not() {
    let long_ago = Some(SINCE - time::Duration::hours(3));
    for (acked, clears) in [(false, 0), (true, 1)] {
        let mut world = World { wipe: long_ago, acked, resumed: true, ..World::new() };
        world.play(wipe(false));
        assert_eq!(world.clears(), clears, "acknowledged: {acked}");
    }
}

#[test]
fn a_wipe_whose_answer_was_lost_is_looked_for_before_it_is_asked_for_again() {
    for (fate, clears) in [(Fate::LostAfter, 1), (Fate::LostBefore, 2), (Fate::Busy, 2)] {
        let mut world = World::new();
        world.fates = [Fate::Well, Fate::Well, Fate::Well, fate].into();
        let outcome = world.play(wipe(false));
        assert_eq!((outcome.outcome, world.clears()), (Ending::Done, clears), "{fate:?}");
    }
}

#[test]
fn what_the_client_or_this_exchange_cannot_is_said_and_not_tried() {
    for (what, kind, version, account_only, order) in [
        ("Outlook, all", "Outlook", "161", true, wipe(false)),
        ("an old client's account", "iPhone", "14.1", true, wipe(true)),
        ("an old Exchange", "iPhone", "16.1", false, wipe(true)),
    ] {
        let mut world = World { kind, version, account_only, ..World::new() };
        let outcome = world.play(order);
        assert_eq!((code(&outcome), world.written()), (Some(&Reason::Unsupported), vec![]), "{what}");
    }
    let mut world = World { kind: "Outlook", version: "161", account_only: false, ..World::new() };
    assert_eq!(world.play(wipe(true)).outcome, Ending::Done, "Outlook's account, by a plain one");
    assert_eq!(world.calls.iter().flat_map(|call| &call.parameters).find(|(name, _)| *name == "AccountOnly"), None);
}

#[test]
fn a_quarantine_that_the_default_makes_an_entry_is_no_quarantine() {
    for (access, default, want) in [
        ("Quarantined", "Allow", None),
        ("Allowed", "Quarantine", None),
        ("Allowed", "Allow", Some(Reason::NotExpressible)),
    ] {
        let mut world = World { access, default, allowed: vec!["ApplF9".into()], ..World::new() };
        let outcome = world.play(Order::Quarantine(key()));
        assert_eq!((code(&outcome), world.allowed.len()), (want.as_ref(), 0), "{access} by {default}");
    }
}

#[test]
fn a_removal_blocks_first_and_loses_no_wipe() {
    let mut world = World::new();
    assert_eq!(world.play(Order::Remove(key())).outcome, Ending::Done);
    assert_eq!(world.written(), ["Set-CASMailbox", "Remove-MobileDevice"]);
    assert_eq!(world.play(Order::Remove(key())).outcome, Ending::Already);
    let mut world = World { wipe: Some(NOW), ..World::new() };
    assert_eq!(code(&world.play(Order::Remove(key()))), Some(&Reason::Refused));
    assert_eq!(world.written(), [""; 0]);
    let mut world = World { wipe: Some(NOW), acked: true, ..World::new() };
    assert_eq!(world.play(Order::Remove(key())).outcome, Ending::Done);
}

#[test]
fn a_wipe_is_taken_back_once_and_only_while_it_is_open() {
    let mut world = World { wipe: Some(NOW), ..World::new() };
    assert_eq!((world.play(Order::Cancel(key())).outcome, world.clears()), (Ending::Done, 1));
    for acked in [true, false] {
        let mut world = World { wipe: acked.then_some(NOW), acked, ..World::new() };
        assert_eq!((world.play(Order::Cancel(key())).outcome, world.clears()), (Ending::Already, 0));
    }
}

fn rules() -> BTreeMap<String, Json> {
    [("MinPasswordLength".to_string(), json!(8)), ("MaxInactivityTimeLock".into(), json!("00:05:00"))].into()
}

fn policy(name: Option<&str>) -> Order {
    Order::Policy(Policy { key: key(), name: name.map(Into::into), settings: rules() })
}

const NEW: &str = "New-MobileDeviceMailboxPolicy";
const SET: &str = "Set-MobileDeviceMailboxPolicy";
const ASSIGN: &str = "Set-CASMailbox";

#[test]
fn a_policy_is_made_once_set_where_it_says_something_else_and_the_mailbox_put_under_it() {
    let mut world = World::new();
    assert_eq!((world.play(policy(Some("nurses"))).outcome, world.written()), (Ending::Done, vec![NEW, ASSIGN]));
    assert_eq!((world.play(policy(Some("nurses"))).outcome, world.written().len()), (Ending::Already, 2));
    let policy_then = world.play(policy(Some("nurses"))).observed.unwrap().policy;
    assert_eq!(policy_then, Some(crate::partnership::Assigned::Named("nurses".into())));
    // Another mailbox under the same one: it is made no second time.
    world.policy = "Default".into();
    assert_eq!((world.play(policy(Some("nurses"))).outcome, world.written().len()), (Ending::Done, 3));
    // Somebody changed what it says.
    world.policies.get_mut("nurses").unwrap().insert("MinPasswordLength".into(), json!(1));
    assert_eq!((world.play(policy(Some("nurses"))).outcome, world.written().last()), (Ending::Done, Some(&SET)));
    assert_eq!(world.policies["nurses"]["MinPasswordLength"], json!(8));
    assert_eq!(code(&world.play(policy(Some(" ")))), Some(&Reason::Refused));
}

#[test]
fn a_policy_of_others_is_assigned_and_not_written_and_none_is_the_default() {
    let mut world = World { policy: "nurses".into(), ..World::new() };
    let anothers = |name: Option<&str>| {
        Order::Policy(Policy { key: key(), name: name.map(Into::into), settings: BTreeMap::new() })
    };
    assert_eq!((world.play(anothers(None)).outcome, world.policy.as_str()), (Ending::Done, "Default"));
    assert_eq!(world.play(anothers(None)).outcome, Ending::Already);
    assert_eq!((world.play(anothers(Some("theirs"))).outcome, world.policy.as_str()), (Ending::Done, "theirs"));
    assert_eq!(world.written(), [ASSIGN, ASSIGN]);
}

#[test]
fn a_policy_whose_answers_are_lost_late_or_contradicted_is_looked_at_before_it_is_written_again() {
    // Device, mailbox, policy; then the first write.
    let reads = [Fate::Well; 3];
    for (fate, want) in [
        (Fate::LostAfter, vec![NEW, ASSIGN]),
        (Fate::LostBefore, vec![NEW, NEW, ASSIGN]),
        (Fate::Busy, vec![NEW, NEW, ASSIGN]),
    ] {
        let mut world = World { fates: reads.into_iter().chain([fate]).collect(), ..World::new() };
        assert_eq!((world.play(policy(Some("nurses"))).outcome, world.written()), (Ending::Done, want), "{fate:?}");
    }
    // The second write: device, mailbox and policy are read before it.
    for (fate, want) in [(Fate::LostAfter, vec![NEW, ASSIGN]), (Fate::LostBefore, vec![NEW, ASSIGN, ASSIGN])] {
        let fates = reads.into_iter().chain([Fate::Well]).chain(reads).chain([fate]);
        let mut world = World { fates: fates.collect(), ..World::new() };
        assert_eq!((world.play(policy(Some("nurses"))).outcome, world.written()), (Ending::Done, want), "{fate:?}");
    }
    let mut world = World { lag: 4, ..World::new() };
    assert_eq!((world.play(policy(Some("nurses"))).outcome, world.written()), (Ending::Done, vec![NEW, ASSIGN]));
    let mut world = World { meanwhile: Some("nurses"), ..World::new() };
    assert_eq!(
        (world.play(policy(Some("nurses"))).outcome, world.policy.as_str()),
        (Ending::Done, "nurses"),
        "made by another order"
    );
}

#[test]
fn a_dry_run_knows_all_that_a_policy_would_write() {
    for (under, ahead) in [("Default", vec![NEW, ASSIGN]), ("nurses", vec![NEW])] {
        let mut world = World { policy: under.into(), ..World::new() };
        let work = Work { seq: 1, id: Uuid::from_u128(9), order: policy(Some("nurses")), deadline: None };
        let mut next = Steps::begin(work, true, false);
        for _ in 0..3 {
            let Next::Call(cmdlet, steps) = next else { panic!("a call") };
            next = steps.step(world.call(cmdlet), NOW);
        }
        let Next::Call(cmdlet, steps) = next else { panic!("a write") };
        let names: Vec<&str> = steps.ahead(&cmdlet).iter().map(|cmdlet| cmdlet.name).collect();
        assert_eq!(names, ahead, "{under}");
    }
}

#[test]
fn what_is_for_no_client_is_no_clients_order() {
    let work = Work { seq: 1, id: Uuid::from_u128(9), order: Order::Access(Default::default()), deadline: None };
    let Next::End(outcome) = Steps::begin(work, true, false) else { panic!("an end") };
    assert_eq!(code(&outcome), Some(&Reason::Unsupported));
}

#[test]
fn what_is_late_is_not_begun_and_what_only_looks_is_never_late() {
    let mut world = World::new();
    let over = Some(NOW - time::Duration::seconds(1));
    assert_eq!(code(&world.play_until(wipe(false), over)), Some(&Reason::Late));
    assert_eq!(world.play_until(Order::Look(key()), over).outcome, Ending::Done);
    assert_eq!(world.written(), [""; 0]);
    assert_eq!(world.play_until(wipe(false), Some(NOW)).outcome, Ending::Done);
}

#[test]
fn failures_that_last_are_said_in_their_own_words() {
    for (failure, want) in [
        (Failure::Forbidden("no role".into()), Reason::Forbidden),
        (Failure::Refused("bad".into()), Reason::Refused),
        (Failure::Login("expired".into()), Reason::Unavailable),
    ] {
        let work = Work { seq: 1, id: Uuid::from_u128(9), order: wipe(false), deadline: None };
        let Next::Call(_, steps) = Steps::begin(work, true, false) else { panic!("a call") };
        let Next::End(outcome) = steps.step(Err(failure.clone()), NOW) else { panic!("an end") };
        assert_eq!(outcome.error, Some(Failed { code: want, text: failure.to_string() }));
    }
    let mut world = World { fates: vec![Fate::Busy; 50].into(), ..World::new() };
    assert_eq!(code(&world.play(wipe(false))), Some(&Reason::Unavailable));
    assert!(world.calls.len() < 10 && world.slept >= Duration::from_secs(7 * 6), "as long as Exchange said");
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![6 => Just(Fate::Well), 1 => Just(Fate::Busy), 1 => Just(Fate::LostBefore), 1 => Just(Fate::LostAfter)];
    proptest::collection::vec(fate, 0..40)
}

fn orders() -> impl Strategy<Value = Order> {
    prop_oneof![
        Just(wipe(false)),
        Just(wipe(true)),
        Just(Order::Block(key())),
        Just(Order::Allow(key())),
        Just(Order::Remove(key())),
        Just(Order::Cancel(key())),
        Just(Order::Quarantine(key())),
        Just(policy(Some("nurses"))),
    ]
}

proptest! {
    /// Whatever is lost: the client and its mailbox are read before each write, no wipe is asked for twice that Exchange took, and
    /// what ends as done is so.
    #[test]
    fn whatever_is_lost_nothing_is_written_unread(fates in fates(), order in orders(), lag in 0u32..4, blocked: bool) {
        let mut world = World { lag, fates: fates.into(), ..World::new() };
        if blocked {
            world.blocked = vec!["ApplF9".into()];
        }
        let outcome = world.play(order.clone());
        for (at, call) in world.calls.iter().enumerate().filter(|(_, call)| call.writes()) {
            let read: Vec<&str> = world.calls[..at].iter().rev().take_while(|call| !call.writes()).map(|call| call.name).collect();
            prop_assert!(read.contains(&"Get-MobileDevice") && read.contains(&"Get-CASMailbox"), "{} after {:?}", call.name, read);
        }
        prop_assert!(world.taken <= 2);
        if outcome.outcome != Ending::Failed {
            match order {
                Order::Wipe(wipe) if wipe.account_only => prop_assert!(world.account_wipe.is_some()),
                Order::Wipe(_) => prop_assert!(world.wipe.is_some()),
                Order::Block(_) => prop_assert_eq!(world.blocked.len(), 1),
                Order::Allow(_) => prop_assert!(world.blocked.is_empty() && world.allowed.len() == 1),
                Order::Policy(_) => prop_assert!(world.policy == "nurses" && world.policies["nurses"]["MinPasswordLength"] == json!(8)),
                Order::Remove(_) => prop_assert!(!world.there && world.blocked.len() == 1),
                _ => {}
            }
        }
    }

    /// Whatever Exchange answers: an end comes.
    #[test]
    fn no_rows_panic(names in proptest::collection::vec("[A-Za-z]{1,12}", 0..6), texts in proptest::collection::vec(".{0,40}", 0..6)) {
        let row: Row = names.iter().cloned().zip(texts.iter().map(|text| json!(text))).collect();
        let _ = (rows::device(&row), rows::mailbox(&row), rows::statistics(&row));
        let work = Work { seq: 1, id: Uuid::from_u128(9), order: wipe(false), deadline: None };
        let Next::Call(_, steps) = Steps::begin(work, true, false) else { panic!("a call") };
        let _ = steps.step(Ok(vec![row]), NOW);
    }
}

//! Promises about connectors: whose word counts, what a report is worth, what a client lacks, and that an order counts once.

use crate::fixture::{Fixture, request};
use lanyard::{
    channel,
    clock::Timestamp,
    error::{Denial, Error},
    fleet::{
        connectors::{
            self, Hello, Issued, Organisation, Refused, Run,
            due::{self, Watched},
            orders::{self, Ended, Order, Read, What},
            partnerships::{self, Listed, Partnership, Seen, Times, Told, Treated},
            results,
        },
        enrol::access,
        life::{Access, Channel, Device, EnrolmentState, Scope, State},
        queue,
        registry::lookup,
        wipe::{self, stop},
    },
    ids::{CommandId, Fingerprint},
    store::{Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

const ORG: &str = "clinic";
const ANN: &str = "ann@example.org";

/// Codes by their keys alone.
#[derive(Serialize, Deserialize)]
struct AnyCode;
impl Record for AnyCode {
    const KIND: &'static str = "connector-code";
    fn key(&self) -> String {
        String::new()
    }
}

fn print(number: u8) -> Fingerprint {
    Fingerprint([number; 32])
}

fn issued(number: u8, not_after: Timestamp) -> Issued {
    Issued { sha256: print(number), not_after, der: format!("{number:02x}") }
}

/// Another installation, by a code of its own; its certificate is `print(number)`.
async fn joins(fixture: &Fixture, number: u8) -> Uuid {
    let local = fixture.local().await;
    let instance = Uuid::from_u128(number.into());
    let join = move |tx: &mut Tx<'_>| {
        let made = connectors::invite(tx, &local, ORG, "online", None)?;
        let good = issued(number, tx.now().plus(Duration::from_secs(90 * 86_400)));
        let joined = connectors::join(tx, &made.code, instance, "key", "online", good);
        assert!(matches!(joined, Ok(opened) if opened.before.is_none()));
        Ok(())
    };
    fixture.store.run(join).await.unwrap();
    instance
}

async fn org(fixture: &Fixture) -> Organisation {
    fixture.store.run(|tx| connectors::find(tx, ORG)).await.unwrap()
}

async fn leads(fixture: &Fixture, instance: Uuid, epoch: Option<u64>) -> Result<u64, Option<Uuid>> {
    let lead = move |tx: &mut Tx<'_>| {
        let org = connectors::find(tx, ORG)?;
        Ok(connectors::lead(tx, org, instance, epoch)?.map(|org| org.epoch))
    };
    fixture.store.run(lead).await.unwrap()
}

fn told(number: u128) -> Told {
    Told {
        guid: Uuid::from_u128(1000 + number),
        device_id: format!("PHONE{number}"),
        mailbox: Uuid::from_u128(7),
        address: ANN.into(),
        device_type: "iPhone".into(),
        name: None,
        model: None,
        os: None,
        agent: None,
        version: Some("16.1".into()),
        outlook: false,
        takes_account_wipe: true,
        treated: Treated::Allowed,
        listed: Some(Listed::Neither),
        wipe: None,
        account_wipe: None,
        last_sync: None,
        by_rule: false,
        policy: None,
    }
}

async fn reports(fixture: &Fixture, rows: Vec<Told>) {
    let note = move |tx: &mut Tx<'_>| {
        let org = connectors::find(tx, ORG)?;
        let seen = Seen { run: None, read: tx.now() };
        rows.iter().try_for_each(|row| results::note(tx, &org, row, seen))
    };
    fixture.store.run(note).await.unwrap();
}

/// A whole run that told of these, which began as the first of them was read.
async fn whole_run(fixture: &Fixture, id: u128, rows: Vec<Told>) -> u64 {
    let id = Uuid::from_u128(id);
    let note = move |tx: &mut Tx<'_>| {
        let mut org = connectors::find(tx, ORG)?;
        let seen = Seen { run: Some(id), read: tx.now() };
        rows.iter().try_for_each(|row| results::note(tx, &org, row, seen))?;
        let run = Run { id, full: true, began: tx.now(), n: 1 };
        partnerships::ended(tx, &mut org, &run)?;
        tx.put(&org)?;
        Ok(org.missing)
    };
    fixture.store.run(note).await.unwrap()
}

async fn kept(fixture: &Fixture, number: u128) -> Partnership {
    let key = partnerships::key(ORG, Uuid::from_u128(7), &format!("PHONE{number}"));
    fixture.store.run(move |tx| Ok(tx.get::<Partnership>(key)?.unwrap())).await.unwrap()
}

async fn device(fixture: &Fixture, number: u128) -> Device {
    let id = format!("PHONE{number}");
    let look = move |tx: &mut Tx<'_>| lookup::claimants(tx, Channel::Exchange.as_str(), &id);
    fixture.store.run(look).await.unwrap().pop().unwrap()
}

/// What all clients lack, and the orders that are open for it.
async fn orders(fixture: &Fixture) -> Vec<Order> {
    let look = |tx: &mut Tx<'_>| {
        let mut org = connectors::find(tx, ORG)?;
        let keys = due::some(tx, ORG, None, 100)?;
        let _: Vec<Watched> = due::look(tx, &mut org, &keys, &|_| None)?;
        tx.put(&org)?;
        orders::after(tx, ORG, 0)
    };
    fixture.store.run(look).await.unwrap()
}

async fn one_order(fixture: &Fixture) -> Order {
    let mut open = orders(fixture).await;
    assert_eq!(open.len(), 1, "{open:?}");
    open.remove(0)
}

async fn ends(fixture: &Fixture, order: Uuid, ended: Ended, observed: Option<Told>) {
    let file = move |tx: &mut Tx<'_>| {
        let org = connectors::find(tx, ORG)?;
        results::file(tx, &org, order, ended, Read { client: observed, organisation: None })
    };
    fixture.store.run(file).await.unwrap();
}

async fn decides(fixture: &Fixture, number: u128, wanted: Access) {
    let (id, actor) = (device(fixture, number).await.id, fixture.local().await);
    let decide = move |tx: &mut Tx<'_>| access::set(tx, &actor, &id.to_string(), None, wanted, "lost").map(drop);
    fixture.store.run(decide).await.unwrap();
}

async fn wiped(fixture: &Fixture, number: u128, scope: Scope) -> CommandId {
    let (id, actor) = (device(fixture, number).await.id, fixture.local().await);
    let ask = move |tx: &mut Tx<'_>| wipe::ask(tx, &actor, &id.to_string(), request(scope), &channel::support);
    fixture.store.run(ask).await.unwrap().id
}

async fn state(fixture: &Fixture, id: CommandId) -> State {
    fixture.store.run(move |tx| queue::find(tx, id)).await.unwrap().state
}

fn after(at: Timestamp, seconds: u64) -> Timestamp {
    at.plus(Duration::from_secs(seconds))
}

// Who may speak

pub async fn a_connectors_code_is_good_for_one_installation(fixture: Fixture) {
    let local = fixture.local().await;
    let by = |tx: &mut Tx<'_>, code: &str, instance: u128, key: &str, kind: &str| {
        let good = issued(1, tx.now().plus(Duration::from_secs(3600)));
        match connectors::join(tx, code, Uuid::from_u128(instance), key, kind, good) {
            Ok(opened) => Ok(opened.before),
            Err(Denial::Refused(refused)) => Err(refused),
            Err(Denial::Failed(error)) => panic!("{error}"),
        }
    };
    let join = move |tx: &mut Tx<'_>| {
        let code = connectors::invite(tx, &local, ORG, "online", None)?.code;
        assert!(matches!(by(tx, &code, 1, "key", "onprem"), Err(Refused::Kind(kind)) if kind == "online"));
        assert!(matches!(by(tx, "ABCD-EFGH-IJKL-MNOP", 1, "key", "online"), Err(Refused::Code(_))));
        assert!(matches!(by(tx, &code, 1, "key", "online"), Ok(None)));
        let again = by(tx, &code.to_lowercase(), 1, "key", "online");
        assert!(matches!(again, Ok(Some(der)) if der == "01"), "its answer was lost");
        assert!(matches!(by(tx, &code, 1, "another key", "online"), Err(Refused::Used)));
        assert!(matches!(by(tx, &code, 2, "key", "online"), Err(Refused::Used)));
        Ok(())
    };
    fixture.store.run(join).await.unwrap();
    assert_eq!(org(&fixture).await.instances.len(), 1);
}

pub async fn a_connectors_code_ends_and_is_forgotten(fixture: Fixture) {
    let local = fixture.local().await;
    let hour = Duration::from_secs(3600);
    let invite = move |tx: &mut Tx<'_>| connectors::invite(tx, &local, ORG, "online", Some(hour)).map(|made| made.code);
    let code = fixture.store.run(invite).await.unwrap();
    if !fixture.pass(hour) {
        return;
    }
    let joins = |tx: &mut Tx<'_>, code: &str| {
        let good = issued(1, tx.now().plus(Duration::from_secs(3600)));
        connectors::join(tx, code, Uuid::from_u128(1), "key", "online", good).is_ok()
    };
    assert!(!fixture.store.run(move |tx| Ok(joins(tx, &code))).await.unwrap());
    let local = fixture.local().await;
    assert!(fixture.live_through(Duration::from_secs(31 * 86_400)).await);
    fixture.store.run(move |tx| connectors::invite(tx, &local, ORG, "online", None).map(drop)).await.unwrap();
    let left = fixture.store.run(|tx| Ok(tx.scan_keys::<AnyCode>("", None, 9)?.len())).await;
    assert_eq!(left.unwrap(), 1, "the new one alone");
}

pub async fn a_connectors_certificate_speaks_for_its_own_organisation_until_it_is_removed(fixture: Fixture) {
    let instance = joins(&fixture, 1).await;
    let who = |number| move |tx: &mut Tx<'_>| Ok(connectors::who(tx, &print(number))?.map(|(org, id)| (org.name, id)));
    assert_eq!(fixture.store.run(who(1)).await.unwrap(), Some((ORG.into(), instance)));
    assert_eq!(fixture.store.run(who(2)).await.unwrap(), None);
    // It renews: both are good until the new one is shown.
    let renew = move |tx: &mut Tx<'_>| {
        let good = issued(2, tx.now().plus(Duration::from_secs(90 * 86_400)));
        let org = connectors::find(tx, ORG)?;
        connectors::renew(tx, org, instance, &good)
    };
    fixture.store.run(renew).await.unwrap();
    for number in [1, 2] {
        assert!(fixture.store.run(who(number)).await.unwrap().is_some(), "{number}");
    }
    let greet = |exchange: u128, shown: u8| {
        move |tx: &mut Tx<'_>| {
            let org = connectors::find(tx, ORG)?;
            let exchange = Uuid::from_u128(exchange);
            let hello =
                Hello { exchange, kind: "online".into(), version: "1".into(), account_only: true, settings: true };
            connectors::greet(tx, org, instance, &print(shown), hello).map(drop)
        }
    };
    fixture.store.run(greet(5, 2)).await.unwrap();
    assert_eq!(fixture.store.run(who(1)).await.unwrap(), None, "the former one has had its time");
    let refused = fixture.store.run(greet(6, 2)).await.unwrap_err();
    assert!(matches!(refused, Error::Forbidden { code: "other_exchange", .. }), "{refused}");
    let local = fixture.local().await;
    fixture.store.run(move |tx| connectors::remove(tx, &local, ORG).map(drop)).await.unwrap();
    assert_eq!(fixture.store.run(who(2)).await.unwrap(), None);
}

pub async fn a_connectors_former_certificate_counts_to_its_own_end_and_no_longer(fixture: Fixture) {
    let instance = joins(&fixture, 1).await;
    let day = Duration::from_secs(86_400);
    if !fixture.live_through(day * 60).await {
        return;
    }
    let renew = move |tx: &mut Tx<'_>| {
        let (org, good) = (connectors::find(tx, ORG)?, issued(2, tx.now().plus(day * 90)));
        connectors::renew(tx, org, instance, &good)
    };
    fixture.store.run(renew).await.unwrap();
    assert!(fixture.live_through(day * 31).await);
    let who = |number| move |tx: &mut Tx<'_>| Ok(connectors::who(tx, &print(number))?.is_some());
    assert!(!fixture.store.run(who(1)).await.unwrap(), "91 days");
    assert!(fixture.store.run(who(2)).await.unwrap());
}

pub async fn one_connector_leads_at_a_time(fixture: Fixture) {
    let [one, two] = [joins(&fixture, 1).await, joins(&fixture, 2).await];
    assert_eq!(leads(&fixture, one, None).await, Ok(1));
    assert_eq!(leads(&fixture, two, None).await, Err(Some(one)));
    assert_eq!(leads(&fixture, one, Some(1)).await, Ok(1), "and goes on");
    if !fixture.pass(Duration::from_secs(61)) {
        return;
    }
    assert_eq!(leads(&fixture, two, None).await, Ok(2), "the lease lapsed");
    assert_eq!(leads(&fixture, one, Some(1)).await, Err(Some(two)), "its epoch is of the past");
    let now = fixture.store.run(|tx| Ok(tx.steady())).await.unwrap();
    let org = org(&fixture).await;
    assert!(org.is_led(two, 2, now) && !org.is_led(one, 1, now) && !org.is_led(two, 1, now));
}

// What a report is worth

pub async fn a_report_is_kept_once_and_joins_the_same_users_device_alone(fixture: Fixture) {
    joins(&fixture, 1).await;
    reports(&fixture, vec![told(1)]).await;
    let first = kept(&fixture, 1).await;
    reports(&fixture, vec![told(1)]).await;
    assert_eq!(kept(&fixture, 1).await, first, "the same again");
    let phone = device(&fixture, 1).await;
    assert_eq!((phone.enrolments.len(), phone.enrolments[0].state), (1, EnrolmentState::Enrolled));
    // The same name in another mailbox is another person's.
    let another = Told { mailbox: Uuid::from_u128(8), address: "bob@example.org".into(), ..told(1) };
    reports(&fixture, vec![another]).await;
    assert_eq!(device(&fixture, 1).await.enrolments.len(), 1);
    let all = fixture.store.run(|tx| lookup::claimants(tx, Channel::Exchange.as_str(), "PHONE1")).await.unwrap();
    assert_eq!(all.len(), 2, "two devices");
    let nobody = Told { device_id: String::new(), ..told(3) };
    reports(&fixture, vec![nobody]).await;
    assert_eq!(fixture.store.run(|tx| partnerships::count(tx, ORG)).await.unwrap(), 2);
}

pub async fn a_whole_run_ends_what_it_did_not_tell_of_and_never_many(fixture: Fixture) {
    joins(&fixture, 1).await;
    let rows = |numbers: std::ops::Range<u128>| numbers.map(told).collect::<Vec<_>>();
    assert_eq!(whole_run(&fixture, 1, rows(0..30)).await, 0);
    if !fixture.pass(Duration::from_secs(10)) {
        return;
    }
    // A tenth is believed.
    assert_eq!(whole_run(&fixture, 2, rows(3..30)).await, 0);
    assert!(kept(&fixture, 0).await.gone && !kept(&fixture, 3).await.gone);
    assert!(!device(&fixture, 0).await.enrolments[0].is_live());
    fixture.pass(Duration::from_secs(10));
    // A few are asked for one by one, more are not believed.
    assert_eq!(whole_run(&fixture, 3, rows(6..30)).await, 0);
    assert!(orders(&fixture).await.iter().all(|order| order.what == What::Look));
    assert_eq!(orders(&fixture).await.len(), 3);
    let order = orders(&fixture).await.remove(0);
    ends(&fixture, order.id, Ended::Gone, None).await;
    assert_eq!(fixture.store.run(|tx| partnerships::count(tx, ORG)).await.unwrap(), 26);
    fixture.pass(Duration::from_secs(10));
    assert_eq!(whole_run(&fixture, 4, rows(20..30)).await, 16);
    assert_eq!(fixture.store.run(|tx| partnerships::count(tx, ORG)).await.unwrap(), 26);
    // One that is told of again begins anew.
    reports(&fixture, vec![told(0)]).await;
    assert!(!kept(&fixture, 0).await.gone);
}

pub async fn what_came_while_a_run_went_on_is_not_missing_from_it(fixture: Fixture) {
    joins(&fixture, 1).await;
    let began = fixture.store.run(|tx| Ok(tx.now())).await.unwrap();
    if !fixture.pass(Duration::from_secs(10)) {
        return;
    }
    reports(&fixture, (0..20).map(told).collect()).await;
    let end = move |tx: &mut Tx<'_>| {
        let mut org = connectors::find(tx, ORG)?;
        partnerships::ended(tx, &mut org, &Run { id: Uuid::from_u128(1), full: true, began, n: 0 })?;
        Ok((org.missing, org.last_full, org.last_delta))
    };
    assert_eq!(fixture.store.run(end).await.unwrap(), (0, Some(began), Some(began)));
    assert_eq!(fixture.store.run(|tx| partnerships::count(tx, ORG)).await.unwrap(), 20);
}

pub async fn what_was_changed_behind_our_back_is_told_once_and_set_right(fixture: Fixture) {
    joins(&fixture, 1).await;
    reports(&fixture, vec![told(1)]).await;
    assert_eq!(orders(&fixture).await, [], "the first report asks for nothing");
    decides(&fixture, 1, Access::Block).await;
    let order = one_order(&fixture).await;
    assert_eq!((order.what, one_order(&fixture).await.id), (What::Block, order.id), "one at a time");
    let blocked = Told { treated: Treated::Blocked, listed: Some(Listed::Blocked), ..told(1) };
    ends(&fixture, order.id, Ended::Done, Some(blocked.clone())).await;
    assert_eq!(orders(&fixture).await, []);
    fixture.pass(Duration::from_secs(1));
    if !fixture.owns_clock {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let drifts = |tx: &mut Tx<'_>| Ok(partnerships::drifts(tx, ORG)?.map_or(0, |(count, _)| count));
    for _ in 0..2 {
        reports(&fixture, vec![told(1)]).await;
        assert_eq!(fixture.store.run(drifts).await.unwrap(), 1);
    }
    assert_eq!(one_order(&fixture).await.what, What::Block);
    // What was read before it was written tells nothing.
    let order = one_order(&fixture).await;
    ends(&fixture, order.id, Ended::Done, Some(blocked)).await;
    let stale = |tx: &mut Tx<'_>| {
        let org = connectors::find(tx, ORG)?;
        let read = tx.now().minus(Duration::from_secs(3600));
        results::note(tx, &org, &told(1), Seen { run: None, read })
    };
    fixture.store.run(stale).await.unwrap();
    assert_eq!((fixture.store.run(drifts).await.unwrap(), orders(&fixture).await.len()), (1, 0));
}

// Orders

pub async fn an_orders_end_counts_once_and_is_tried_again_after_pauses_that_grow(fixture: Fixture) {
    joins(&fixture, 1).await;
    reports(&fixture, vec![told(1)]).await;
    decides(&fixture, 1, Access::Block).await;
    let order = one_order(&fixture).await;
    let later = || Ended::Later { text: "busy".into() };
    ends(&fixture, order.id, later(), None).await;
    ends(&fixture, order.id, Ended::Done, None).await;
    let after_both = kept(&fixture, 1).await;
    assert_eq!((after_both.failed, after_both.wrote, after_both.order), (1, None, None), "the first word counts");
    assert_eq!(orders(&fixture).await, []);
    for pause in [30, 60, 120] {
        if !fixture.pass(Duration::from_secs(pause - 1)) {
            return;
        }
        assert_eq!(orders(&fixture).await, [], "{pause}");
        fixture.pass(Duration::from_secs(1));
        let order = one_order(&fixture).await;
        ends(&fixture, order.id, later(), None).await;
    }
    fixture.pass(Duration::from_secs(3600));
    let order = one_order(&fixture).await;
    ends(&fixture, order.id, Ended::Cannot { code: "denied".into(), text: "no right".into() }, None).await;
    fixture.pass(Duration::from_secs(3599));
    assert_eq!(orders(&fixture).await, []);
    fixture.pass(Duration::from_secs(1));
    let order = one_order(&fixture).await;
    ends(&fixture, order.id, Ended::Done, None).await;
    assert_eq!(kept(&fixture, 1).await.failed, 0);
}

pub async fn a_decision_that_is_taken_back_is_not_carried_out(fixture: Fixture) {
    joins(&fixture, 1).await;
    reports(&fixture, vec![told(1)]).await;
    decides(&fixture, 1, Access::Block).await;
    decides(&fixture, 1, Access::Allow).await;
    assert_eq!(one_order(&fixture).await.what, What::Allow);
}

pub async fn an_order_of_a_connector_that_was_removed_is_given_to_the_next(fixture: Fixture) {
    joins(&fixture, 1).await;
    reports(&fixture, vec![told(1)]).await;
    decides(&fixture, 1, Access::Block).await;
    let former = one_order(&fixture).await;
    let local = fixture.local().await;
    fixture.store.run(move |tx| connectors::remove(tx, &local, ORG).map(drop)).await.unwrap();
    joins(&fixture, 2).await;
    let next = one_order(&fixture).await;
    assert_ne!(next.id, former.id);
    assert_eq!(next.what, What::Block);
    ends(&fixture, former.id, Ended::Done, None).await;
    assert_eq!(kept(&fixture, 1).await.order, Some(next.id), "a late word of the former counts for nothing");
}

// Wipes

/// A wipe that Exchange has taken, and when it was asked for.
async fn taken(fixture: &Fixture, scope: Scope) -> (CommandId, Timestamp) {
    joins(fixture, 1).await;
    let instance = Uuid::from_u128(1);
    let hello = move |tx: &mut Tx<'_>| {
        let org = connectors::find(tx, ORG)?;
        let hello = Hello {
            exchange: Uuid::from_u128(5),
            kind: "online".into(),
            version: "1".into(),
            account_only: true,
            settings: true,
        };
        connectors::greet(tx, org, instance, &print(1), hello).map(drop)
    };
    fixture.store.run(hello).await.unwrap();
    leads(fixture, instance, None).await.unwrap();
    reports(fixture, vec![told(1)]).await;
    let id = wiped(fixture, 1, scope).await;
    let order = one_order(fixture).await;
    let What::Wipe { account_only, since } = order.what else { panic!("{order:?}") };
    assert_eq!(account_only, scope == Scope::Selective);
    assert_eq!(state(fixture, id).await, State::Sent);
    ends(fixture, order.id, Ended::Done, None).await;
    (id, since)
}

pub async fn an_exchange_wipe_ends_by_an_acknowledgement_later_than_its_request_alone(fixture: Fixture) {
    let (id, since) = taken(&fixture, Scope::Full).await;
    let times = |requested: Option<Timestamp>, acked| Times { requested, sent: None, acked };
    let old = since.minus(Duration::from_secs(86_400));
    for (row, full, account) in [
        ("none", None, None),
        ("requested", Some(times(Some(since), None)), None),
        ("of an older request", Some(times(Some(old), Some(after(old, 5)))), None),
        ("from before the request", Some(times(Some(since), Some(old))), None),
        ("of the account's wipe", None, Some(times(Some(since), Some(after(since, 9))))),
    ] {
        reports(&fixture, vec![Told { wipe: full, account_wipe: account, ..told(1) }]).await;
        assert_eq!(state(&fixture, id).await, State::Sent, "{row}");
    }
    // Another mailbox's client of that name proves nothing.
    let done = Some(times(Some(since), Some(after(since, 9))));
    let another = Told { mailbox: Uuid::from_u128(8), address: "bob@example.org".into(), wipe: done, ..told(1) };
    reports(&fixture, vec![another]).await;
    assert_eq!(state(&fixture, id).await, State::Sent);
    reports(&fixture, vec![Told { wipe: done, ..told(1) }]).await;
    assert_eq!(state(&fixture, id).await, State::Confirmed);
    assert!(kept(&fixture, 1).await.wiping.is_none());
}

pub async fn what_was_acknowledged_before_exchange_took_the_wipe_is_no_evidence(fixture: Fixture) {
    joins(&fixture, 1).await;
    reports(&fixture, vec![told(1)]).await;
    let id = wiped(&fixture, 1, Scope::Full).await;
    let order = one_order(&fixture).await;
    let What::Wipe { since, .. } = order.what else { panic!("{order:?}") };
    let times = Some(Times { requested: Some(since), sent: None, acked: Some(after(since, 1)) });
    reports(&fixture, vec![Told { wipe: times, ..told(1) }]).await;
    assert_eq!(state(&fixture, id).await, State::Sent, "somebody else's wipe, as far as is known");
    ends(&fixture, order.id, Ended::Done, Some(Told { wipe: times, ..told(1) })).await;
    assert_eq!(state(&fixture, id).await, State::Confirmed);
}

pub async fn an_account_wipe_ends_by_its_own_times(fixture: Fixture) {
    let (id, since) = taken(&fixture, Scope::Selective).await;
    let times = Some(Times { requested: Some(since), sent: None, acked: Some(after(since, 9)) });
    reports(&fixture, vec![Told { wipe: times, ..told(1) }]).await;
    assert_eq!(state(&fixture, id).await, State::Sent, "a full wipe of somebody's");
    reports(&fixture, vec![Told { account_wipe: times, ..told(1) }]).await;
    assert_eq!(state(&fixture, id).await, State::Confirmed);
    // Then it is blocked, and its object goes.
    let mut seen = Vec::new();
    while let Some(order) = orders(&fixture).await.pop() {
        seen.push(order.what);
        ends(&fixture, order.id, Ended::Done, None).await;
    }
    assert_eq!(seen, [What::Block, What::Remove]);
    assert!(kept(&fixture, 1).await.gone);
}

pub async fn a_client_that_went_under_its_wipe_was_not_wiped(fixture: Fixture) {
    joins(&fixture, 1).await;
    let instance = Uuid::from_u128(1);
    let hello = move |tx: &mut Tx<'_>| {
        let org = connectors::find(tx, ORG)?;
        let (exchange, kind, version) = (Uuid::from_u128(5), "online".into(), "1".into());
        let hello = Hello { exchange, kind, version, account_only: true, settings: true };
        connectors::greet(tx, org, instance, &print(1), hello).map(drop)
    };
    fixture.store.run(hello).await.unwrap();
    leads(&fixture, instance, None).await.unwrap();
    reports(&fixture, (0..40).map(told).collect()).await;
    for (number, scope, taken) in
        [(1, Scope::Full, false), (2, Scope::Selective, false), (3, Scope::Full, true), (4, Scope::Selective, true)]
    {
        let id = wiped(&fixture, number, scope).await;
        let order = one_order(&fixture).await;
        if taken {
            ends(&fixture, order.id, Ended::Done, None).await;
            assert_eq!(state(&fixture, id).await, State::Sent);
            let gone = kept(&fixture, number).await;
            let vanish = move |tx: &mut Tx<'_>| {
                let mut gone = gone;
                partnerships::vanished(tx, &mut gone)?;
                Ok(tx.put(&gone)?)
            };
            fixture.store.run(vanish).await.unwrap();
        } else {
            ends(&fixture, order.id, Ended::Gone, None).await;
        }
        assert_eq!(state(&fixture, id).await, State::Failed, "{scope:?} {taken}");
        assert!(!device(&fixture, number).await.enrolments[0].is_live());
    }
    // One that had failed before is not done by that.
    let id = wiped(&fixture, 5, Scope::Selective).await;
    let order = one_order(&fixture).await;
    ends(&fixture, order.id, Ended::Cannot { code: "refused".into(), text: "no role".into() }, None).await;
    assert_eq!(state(&fixture, id).await, State::Failed);
    let gone = kept(&fixture, 5).await;
    let vanish = move |tx: &mut Tx<'_>| partnerships::vanished(tx, &mut { gone });
    fixture.store.run(vanish).await.unwrap();
    assert_eq!(state(&fixture, id).await, State::Failed);
}

pub async fn what_exchange_took_is_ours_by_whatever_clock(fixture: Fixture) {
    joins(&fixture, 1).await;
    reports(&fixture, vec![told(1)]).await;
    let id = wiped(&fixture, 1, Scope::Full).await;
    let order = one_order(&fixture).await;
    let What::Wipe { since, .. } = order.what else { panic!("{order:?}") };
    // Exchange's clock is an hour behind.
    let behind = since.minus(Duration::from_secs(3600));
    let times = |acked| Some(Times { requested: Some(behind), sent: None, acked });
    ends(&fixture, order.id, Ended::Done, Some(Told { wipe: times(None), ..told(1) })).await;
    assert_eq!(state(&fixture, id).await, State::Sent);
    reports(&fixture, vec![Told { wipe: times(Some(after(behind, 60))), ..told(1) }]).await;
    assert_eq!(state(&fixture, id).await, State::Confirmed);
}

pub async fn a_report_joins_no_device_that_nothing_but_mail_would_wipe(fixture: Fixture) {
    joins(&fixture, 1).await;
    let by_gateway = fixture.device("PHONE1", &[Channel::Activesync]).await;
    let row = || Told { address: by_gateway.user.clone(), ..told(1) };
    reports(&fixture, vec![row()]).await;
    assert_eq!(fixture.again(by_gateway.id).await.enrolments.len(), 1, "it would carry the gateway's wipe");
    // Nor one that another organisation told of.
    reports(&fixture, vec![told(2)]).await;
    let first = device(&fixture, 2).await;
    reports(&fixture, vec![Told { mailbox: Uuid::from_u128(8), ..told(2) }]).await;
    assert_eq!(fixture.again(first.id).await.enrolments.len(), 1);
    // What the phone itself said of its name is joined: its own management carries the wipe.
    let phone = fixture.device("u1", &[Channel::Apple]).await;
    let id = phone.id;
    let tell = move |tx: &mut Tx<'_>| crate::fixture::tells_mail_id(tx, id, "PHONE3").map(drop);
    fixture.store.run(tell).await.unwrap();
    reports(&fixture, vec![Told { address: phone.user.clone(), ..told(3) }]).await;
    assert_eq!(fixture.again(id).await.enrolments.len(), 2);
}

pub async fn what_was_read_before_a_client_was_removed_brings_nothing_back(fixture: Fixture) {
    let (_, since) = taken(&fixture, Scope::Full).await;
    let done = Some(Times { requested: Some(since), sent: None, acked: Some(after(since, 9)) });
    reports(&fixture, vec![Told { wipe: done, ..told(1) }]).await;
    while let Some(order) = orders(&fixture).await.pop() {
        ends(&fixture, order.id, Ended::Done, None).await;
    }
    let stale = |tx: &mut Tx<'_>| {
        let org = connectors::find(tx, ORG)?;
        let read = tx.now().minus(Duration::from_secs(60));
        results::note(tx, &org, &told(1), Seen { run: None, read })
    };
    fixture.store.run(stale).await.unwrap();
    assert!(kept(&fixture, 1).await.gone);
}

pub async fn no_exchange_wipe_leaves_under_the_stop_and_all_do_after_it(fixture: Fixture) {
    let bob = fixture.second("bob").await;
    joins(&fixture, 1).await;
    reports(&fixture, vec![told(1)]).await;
    let id = wiped(&fixture, 1, Scope::Full).await;
    let first = one_order(&fixture).await;
    let local = fixture.local().await;
    let who = local.clone();
    fixture.store.run(move |tx| stop::set(tx, &who, false)).await.unwrap();
    assert_eq!(orders(&fixture).await, [], "it had not been heard of: it is taken back");
    ends(&fixture, first.id, Ended::Done, None).await;
    assert!(!kept(&fixture, 1).await.wiping.unwrap().taken);
    let lift = move |tx: &mut Tx<'_>| {
        let asked = stop::ask_off(tx, &local)?;
        crate::fixture::reads_and_approves(tx, &bob, asked.id).map(drop)
    };
    fixture.store.run(lift).await.unwrap();
    assert!(matches!(one_order(&fixture).await.what, What::Wipe { account_only: false, .. }));
    assert_eq!(state(&fixture, id).await, State::Sent);
}

pub async fn a_pending_exchange_wipe_is_looked_at_often_then_seldom(fixture: Fixture) {
    let (id, _) = taken(&fixture, Scope::Full).await;
    let mut looks = 0;
    for second in 0..700 {
        if !fixture.pass(Duration::from_secs(1)) {
            return;
        }
        if let Some(order) = orders(&fixture).await.pop() {
            assert_eq!(order.what, What::Look, "after {second} s");
            looks += 1;
            ends(&fixture, order.id, Ended::Done, Some(told(1))).await;
        }
    }
    assert_eq!(looks, 6 + 10, "six within the first minute, then one a minute");
    assert_eq!(state(&fixture, id).await, State::Sent);
}

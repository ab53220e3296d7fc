//! History ends: what is over is forgotten after its time, and a store does not grow by the days alone.

use super::*;
use lanyard::{
    clock::{Steady, Timestamp},
    fleet::{
        enrol::invitation::{Invitation, Way},
        life::Action,
        registry::{
            credential::Revocation,
            journal::{self, Journal, Said},
        },
        retention::{self, Ends},
        wipe::approvals::Stage,
    },
    ids::ApprovalId,
};
use std::collections::BTreeSet;

const DAY: Duration = Duration::from_secs(86_400);
const MINUTE: Duration = Duration::from_secs(60);

/// One round over all that may be over.
async fn tidy(fixture: &Fixture) {
    walk::<Command>(fixture).await;
    walk::<Invitation>(fixture).await;
    walk::<Way>(fixture).await;
    walk::<Approval>(fixture).await;
    walk::<Revocation>(fixture).await;
    walk::<Journal>(fixture).await;
}

async fn walk<R: Ends + 'static>(fixture: &Fixture) {
    let mut after = None;
    loop {
        let from: Option<String> = after.take();
        let (over, next) = fixture.store.read(move |tx| retention::look::<R>(tx, from.as_deref())).await.unwrap();
        fixture.store.run(move |tx| retention::forget::<R>(tx, &over)).await.unwrap();
        let Some(next) = next else { return };
        after = Some(next);
    }
}

/// A day of a small fleet: facts asked for, restarts, a lock, an invitation that nobody uses, a request that is rejected; and once
/// a month a retire.
async fn a_day(fixture: &Fixture, day: u32, devices: &[DeviceId]) {
    let local = fixture.local().await;
    for id in devices {
        for act in [Act::Refresh, Act::Restart] {
            let asked = ask(fixture, *id, act).await;
            take(fixture, *id, Contact::Fresh).await.unwrap();
            settle(fixture, *id, asked.id, done()).await;
        }
    }
    let (actor, id) = (local.clone(), devices[0]);
    let lock =
        move |tx: &mut Tx<'_>| wipe::ask_lock(tx, &actor, &id.to_string(), "daily", wipe::Screen::default(), &able);
    let lock = fixture.store.run(lock).await.unwrap();
    take(fixture, id, Contact::Fresh).await.unwrap();
    settle(fixture, id, lock.id, done()).await;
    let invite = move |tx: &mut Tx<'_>| {
        invitation::create(tx, &local, Channel::Apple, "new@example.org", Ownership::Corporate, None).map(drop)
    };
    fixture.store.run(invite).await.unwrap();
    if day.is_multiple_of(30) {
        let local = fixture.local().await;
        let leaver = fixture.device(&format!("leaver {day}"), &[Channel::Apple]).await;
        let retire = fixture.wipe(&local, leaver.id, Scope::Selective).await.unwrap();
        take(fixture, leaver.id, Contact::Fresh).await.unwrap();
        settle(fixture, leaver.id, retire.id, done()).await;
        assert_eq!(fixture.command(retire.id).await.state, State::Confirmed);
    }
}

/// Records by kind, those left out that stay as long as the audit log.
async fn counted(fixture: &Fixture) -> BTreeMap<&'static str, usize> {
    let count = |tx: &mut Tx<'_>| {
        let commands = tx.all::<Command>("")?.into_iter().filter(|c| c.action() != Action::Wipe).count();
        let counts = [
            ("command", commands),
            ("invitation", tx.all::<Invitation>("")?.len()),
            ("way", tx.all::<Way>("")?.len()),
            ("approval", tx.all::<Approval>("")?.len()),
        ];
        Ok(BTreeMap::from(counts))
    };
    fixture.store.run(count).await.unwrap()
}

pub async fn a_store_is_of_one_size_after_thirty_days_and_after_ninety(fixture: Fixture) {
    let local = fixture.local().await;
    let keep = move |tx: &mut Tx<'_>| settings::set(tx, &local, "keep.commands", "30d").map(drop);
    fixture.store.run(keep).await.unwrap();
    let mut devices = Vec::new();
    for number in 0..3 {
        devices.push(fixture.device(&format!("u{number}"), &[Channel::Apple]).await.id);
    }
    let mut sizes = Vec::new();
    for day in 0..150 {
        if [70, 130].contains(&day) {
            sizes.push(counted(&fixture).await);
        }
        a_day(&fixture, day, &devices).await;
        if !fixture.pass(DAY) {
            return;
        }
        fixture.store.run(admins::look_at_clock).await.unwrap();
        tidy(&fixture).await;
    }
    assert_eq!(sizes[0], sizes[1]);
    assert!(sizes[0]["command"] > 3 * 30, "what is younger is kept: {sizes:?}");
    let wipes = |tx: &mut Tx<'_>| Ok(tx.all::<Command>("")?.into_iter().filter(|c| c.action() == Action::Wipe).count());
    assert_eq!(fixture.store.run(wipes).await.unwrap(), 5, "wipes stay");
    assert!(fixture.store.run(|tx| audit::verify(tx, None)).await.unwrap().ok);
}

pub async fn what_the_server_asked_by_itself_is_kept_for_a_time_of_its_own(fixture: Fixture) {
    let local = fixture.local().await;
    let keep = move |tx: &mut Tx<'_>| settings::set(tx, &local, "keep.system", "7d").map(drop);
    fixture.store.run(keep).await.unwrap();
    let device = fixture.device("u1", &[Channel::Apple]).await.id;
    let facts = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, device)?;
        let enrolment = device.enrolments[0].id;
        queue::ask_by_system(tx, &mut device, enrolment, Act::Refresh)
    };
    let facts = fixture.store.run(facts).await.unwrap().id;
    take(&fixture, device, Contact::Fresh).await.unwrap();
    settle(&fixture, device, facts, done()).await;
    let restart = ask(&fixture, device, Act::Restart).await.id;
    take(&fixture, device, Contact::Fresh).await.unwrap();
    settle(&fixture, device, restart, done()).await;
    let left = async |id: CommandId| fixture.store.run(move |tx| Ok(tx.get::<Command>(id)?.is_some())).await.unwrap();
    for (hours, want) in [(7 * 24 - 1, (true, true)), (2, (false, true))] {
        if !fixture.pass(hours * HOUR) {
            return;
        }
        fixture.store.run(admins::look_at_clock).await.unwrap();
        tidy(&fixture).await;
        assert_eq!((left(facts).await, left(restart).await), want, "{hours} hours later");
    }
}

async fn is_kept<R: Record>(fixture: &Fixture, key: impl ToString) -> bool {
    let key = key.to_string();
    fixture.store.run(move |tx| Ok(tx.get::<R>(&key)?.is_some())).await.unwrap()
}

pub async fn an_invitation_is_kept_for_its_time_and_its_ways_with_it(fixture: Fixture) {
    let local = fixture.local().await;
    let make = move |tx: &mut Tx<'_>| {
        settings::set(tx, &local, "keep.commands", "30d")?;
        invitation::create(tx, &local, Channel::Apple, "new@example.org", Ownership::Corporate, None)
    };
    let made = fixture.store.run(make).await.unwrap().invitation;
    let ways = async || fixture.store.run(|tx| Ok(tx.all::<Way>("")?.len())).await.unwrap();
    let (lasts, all) = (made.expires.since(made.created), ways().await);
    assert!(all > 0);
    tidy(&fixture).await;
    assert!(is_kept::<Invitation>(&fixture, made.id).await && ways().await == all, "as good as new");
    // A clock that nobody believes ends nothing.
    if fixture.jump(24 * 1095 * HOUR_MS).await {
        tidy(&fixture).await;
        assert!(is_kept::<Invitation>(&fixture, made.id).await && ways().await == all, "the clock is doubted");
        fixture.jump(-24 * 1095 * HOUR_MS).await;
    }
    for (row, by, kept) in [("a minute before", lasts + 30 * DAY - MINUTE, true), ("then", MINUTE, false)] {
        if !fixture.pass(by) {
            return;
        }
        fixture.store.run(admins::look_at_clock).await.unwrap();
        tidy(&fixture).await;
        assert_eq!((is_kept::<Invitation>(&fixture, made.id).await, ways().await > 0), (kept, kept), "{row}");
    }
}

pub async fn what_a_device_said_is_kept_for_its_time(fixture: Fixture) {
    let (local, device) = (fixture.local().await, fixture.device("u1", &[Channel::Omadm]).await.id);
    let say = move |tx: &mut Tx<'_>| {
        settings::set(tx, &local, "keep.commands", "30d")?;
        let alert = Said::Alert { kind: "com.example:disk".into(), text: "full".into() };
        journal::note(tx, device, [alert])?;
        journal::unreadable(tx, device, "byte 7 of a message", None)
    };
    fixture.store.run(say).await.unwrap();
    for (row, by, kept) in [("a minute before", 30 * DAY - MINUTE, true), ("then", MINUTE, false)] {
        if !fixture.pass(by) {
            return;
        }
        fixture.store.run(admins::look_at_clock).await.unwrap();
        tidy(&fixture).await;
        assert_eq!(is_kept::<Journal>(&fixture, device).await, kept, "{row}");
    }
}

pub async fn what_else_answers_the_same_command_does_not_end_what_could_not_be_read(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Omadm]).await.id;
    let spoilt = move |by: u128, at: &'static str| {
        let by = Some(CommandId(uuid::Uuid::from_u128(by)));
        move |tx: &mut Tx<'_>| journal::unreadable(tx, device, &format!("the answer to sync: {at}"), by)
    };
    let well = move |by: u128| {
        let by = CommandId(uuid::Uuid::from_u128(by));
        move |tx: &mut Tx<'_>| {
            journal::read_well(tx, device, "the answer to sync", by)?;
            let found = journal::of(tx, &[device])?.pop().flatten();
            Ok(found.map_or(0, |journal| journal.unreadable(tx.steady()).count()))
        }
    };
    fixture.store.run(spoilt(1, "byte 3")).await.unwrap();
    assert_eq!(fixture.store.run(well(1)).await.unwrap(), 1, "another step of the same");
    fixture.store.run(spoilt(2, "byte 7")).await.unwrap();
    assert_eq!(fixture.store.run(well(2)).await.unwrap(), 1, "it came again with the next");
    assert_eq!(fixture.store.run(well(3)).await.unwrap(), 0, "the one after that is whole");
}

pub async fn a_page_shows_each_device_what_that_device_said(fixture: Fixture) {
    // Enough that what is kept is walked; ids in no order, of which some have a journal, and so have others between and beyond them.
    let id = |n: u128| DeviceId(uuid::Uuid::from_u128(n));
    let said: Vec<u128> = (0..600).filter(|n| n % 3 == 0).collect();
    for chunk in said.chunks(50).map(<[u128]>::to_vec) {
        let say = move |tx: &mut Tx<'_>| {
            let alert = |n: &u128| Said::Alert { kind: "com.example:disk".into(), text: n.to_string() };
            chunk.iter().try_for_each(|n| journal::note(tx, id(*n), [alert(n)]))
        };
        fixture.store.run(say).await.unwrap();
    }
    for (row, from, to, step) in
        [("from one with", 3, 590, 1), ("from one without", 4, 500, 2), ("few", 0, 40, 2), ("few of many", 1, 600, 9)]
    {
        let page: Vec<u128> = (from..to).step_by(step).collect::<Vec<_>>().into_iter().rev().collect();
        let ids: Vec<DeviceId> = page.iter().map(|n| id(*n)).collect();
        let found = fixture.store.run(move |tx| journal::of(tx, &ids)).await.unwrap();
        let texts: Vec<Option<String>> =
            found.iter().map(|j| j.as_ref().and_then(|j| j.events().next().map(|e| e.text.clone()))).collect();
        let wanted: Vec<Option<String>> = page.iter().map(|n| (n % 3 == 0).then(|| n.to_string())).collect();
        assert_eq!(texts, wanted, "{row}");
    }
}

pub async fn a_certificate_stands_on_the_list_until_it_has_ended_by_itself(fixture: Fixture) {
    let (local, device) = (fixture.local().await, fixture.device("u1", &[Channel::Apple]).await);
    let sha256 = fixture.credential(&device).await;
    let revoke = move |tx: &mut Tx<'_>| {
        settings::set(tx, &local, "keep.system", "7d")?;
        // One that ends tomorrow: its place on the list ends a week later.
        let mut credential = tx.get::<Credential>(sha256)?.unwrap();
        credential.certificate.not_after = tx.now().plus(DAY);
        tx.put(&credential)?;
        credential::revoke(tx, &sha256)?;
        Ok(tx.all::<Revocation>("")?[0].key())
    };
    let key = fixture.store.run(revoke).await.unwrap();
    tidy(&fixture).await;
    assert!(is_kept::<Revocation>(&fixture, &key).await);
    if fixture.jump(24 * 1095 * HOUR_MS).await {
        tidy(&fixture).await;
        assert!(is_kept::<Revocation>(&fixture, &key).await, "the clock is doubted");
        fixture.jump(-24 * 1095 * HOUR_MS).await;
    }
    for (row, by, kept) in [("a minute before", 8 * DAY - MINUTE, true), ("then", MINUTE, false)] {
        if !fixture.pass(by) {
            return;
        }
        fixture.store.run(admins::look_at_clock).await.unwrap();
        tidy(&fixture).await;
        assert_eq!(is_kept::<Revocation>(&fixture, &key).await, kept, "{row}");
    }
}

pub async fn an_approval_stays_while_it_waits_and_as_long_as_its_commands(fixture: Fixture) {
    let local = fixture.local().await;
    let device = fixture.device("u1", &[Channel::Apple]).await.id;
    let wipe = fixture.wipe(&local, device, Scope::Full).await.unwrap();
    let make = move |tx: &mut Tx<'_>| {
        settings::set(tx, &local, "keep.commands", "30d")?;
        let made = |commands: &[CommandId], stage| Approval {
            id: ApprovalId::from(uuid::Uuid::nil()),
            stage,
            subject: approvals::Subject::Commands,
            asked_by: "somebody".into(),
            decided_by: None,
            commands: commands.to_vec(),
            detail: "why".into(),
            created: Timestamp(0),
            asked: Steady(0),
            seen: BTreeSet::new(),
            outdated: BTreeSet::new(),
            sponsors: BTreeSet::new(),
            revision: 1,
            joined: Vec::new(),
            read: Default::default(),
        };
        let (created, asked) = (tx.now(), tx.steady());
        let all = [
            made(&[], Stage::Waiting),
            made(&[], Stage::Rejected),
            made(&[], Stage::Approved),
            made(&[wipe.id], Stage::Approved),
        ];
        let all = all.map(|approval| Approval { id: tx.new_id(), created, asked, ..approval });
        all.iter().try_for_each(|approval| tx.put(approval))?;
        Ok(all.map(|approval| approval.id))
    };
    let ids = fixture.store.run(make).await.unwrap();
    let kept = async || {
        let mut kept = Vec::new();
        for id in ids {
            kept.push(is_kept::<Approval>(&fixture, id).await);
        }
        kept
    };
    tidy(&fixture).await;
    assert_eq!(kept().await, [true; 4], "decided today");
    for (row, by, want) in
        [("a minute before", 30 * DAY - MINUTE, [true; 4]), ("then", MINUTE, [true, false, false, true])]
    {
        if !fixture.pass(by) {
            return;
        }
        fixture.store.run(admins::look_at_clock).await.unwrap();
        tidy(&fixture).await;
        assert_eq!(kept().await, want, "{row}");
    }
}

pub async fn what_is_over_is_found_on_every_page(fixture: Fixture) {
    let local = fixture.local().await;
    let make = move |tx: &mut Tx<'_>| {
        let new = "new@example.org";
        (0..=retention::PAGE)
            .try_for_each(|_| invitation::create(tx, &local, Channel::Apple, new, Ownership::Corporate, None).map(drop))
    };
    fixture.store.run(make).await.unwrap();
    if !fixture.pass(500 * DAY) {
        return;
    }
    fixture.store.run(admins::look_at_clock).await.unwrap();
    walk::<Invitation>(&fixture).await;
    assert_eq!(fixture.store.run(|tx| Ok(tx.all::<Invitation>("")?.len())).await.unwrap(), 0);
}

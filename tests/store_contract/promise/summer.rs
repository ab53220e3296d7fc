//! The summer of a school: its iPads are retired, reset, and enrolled anew for others by one invitation. Half of them are off for forty
//! days, and their certificates end meanwhile.

use super::*;
use lanyard::{
    fleet::{
        enrol::{invitation::Way, succession::Succession, under_way::Key},
        keeper::timers::Timer,
        life::{Action, Event as Happens, Fate, Leaving},
        owners,
        policies::Source,
        registry::{credential::Revocation, lookup::Name, sights, users::User},
        retention::{self, Ends},
    },
    policy::{Next, OnTheWay, Outcome as Went},
};
use std::collections::BTreeSet;

const DAY: Duration = Duration::from_secs(86_400);
const POLICY: &str = "name: school\nassign: [school]\npasscode:\n  required: true\n  min_length: 6\n";
/// Devices in one call on the store.
const TOGETHER: usize = 50;

async fn tidy(fixture: &Fixture) {
    fixture.store.run(admins::look_at_clock).await.unwrap();
    while fixture.store.run(wipe::sweep).await.unwrap().1 {}
    walk::<Command>(fixture).await;
    walk::<Invitation>(fixture).await;
    walk::<Way>(fixture).await;
    walk::<Key>(fixture).await;
    walk::<Succession>(fixture).await;
    walk::<Approval>(fixture).await;
    walk::<Revocation>(fixture).await;
    while fixture.store.run(|tx| tries::forget(tx, None)).await.unwrap().is_some() {}
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

/// For each of these numbers, some in one call.
async fn each<F>(fixture: &Fixture, numbers: impl IntoIterator<Item = usize>, what: F)
where
    F: Fn(&mut Tx<'_>, usize) -> Result<()> + Clone + Send + 'static,
{
    let numbers: Vec<usize> = numbers.into_iter().collect();
    for some in numbers.chunks(TOGETHER) {
        let (some, what) = (some.to_vec(), what.clone());
        fixture.store.run(move |tx| some.iter().try_for_each(|number| what(tx, *number))).await.unwrap();
    }
}

fn ipad(number: usize) -> life::Claim {
    life::Claim {
        identity: format!("UDID-{number}"),
        platform: Some(Platform::Ipados),
        serial: Some(format!("SERIAL-{number}")),
        model: Some("iPad13,18".into()),
        os_version: Some("26.1".into()),
        ..life::Claim::default()
    }
}

/// From a key to a device that is complete and has its policy. Some installs break off first, before Authenticate or after it.
fn installs(tx: &mut Tx<'_>, id: InvitationId, number: usize) -> Result<Credential> {
    let tries = if number.is_multiple_of(10) { 3 } else { 1 };
    for attempt in 1..=tries {
        let credential = spend(tx, id, &format!("{number}-{attempt}"))?;
        let sha256 = credential.certificate.sha256;
        if attempt == 1 && tries > 1 {
            continue;
        }
        let (mut device, enrolment) = enrol::bind(tx, &sha256, &ipad(number))?;
        if attempt == tries {
            assert!(enrol::complete(tx, &mut device, enrolment, &sha256)?);
            takes_its_policy(tx, &mut device, enrolment)?;
            return Ok(credential);
        }
    }
    unreachable!("the last try is whole")
}

fn takes_its_policy(tx: &mut Tx<'_>, device: &mut life::Managed, enrolment: EnrolmentId) -> Result<()> {
    let (wanted, todo) = policies::due(tx, device, enrolment)?;
    policies::keep_books(tx, device, enrolment, &wanted, &todo)?;
    for id in todo.install {
        let part = wanted[&id].clone();
        let on_the_way = OnTheWay { next: Next::Install, hash: part.hash.clone(), id: id.clone() };
        policies::ask_for(tx, device, enrolment, &[on_the_way])?;
        let leaves = vec![Leaving::Set { part: id.clone(), hash: part.hash.clone(), of: part.of.clone() }];
        keeper::happen(tx, device, Happens::PartsLeave { enrolment, parts: leaves })?;
        let fate = Fate::Sent { hash: part.hash, outcome: Went::Enforced };
        keeper::happen(tx, device, Happens::Part { enrolment, part: id, fate })?;
    }
    Ok(())
}

/// A store of a school with a policy, whose limits let so many be retired in a day.
async fn school(fixture: &Fixture) {
    let local = fixture.local().await;
    let begin = move |tx: &mut Tx<'_>| {
        for (key, value) in [
            ("wipe.other.per_admin", "100000"),
            ("wipe.other.per_tenant", "100000"),
            ("keep.commands", "30d"),
            ("keep.system", "7d"),
        ] {
            assert_eq!(settings::set(tx, &local, key, value)?.value, value);
        }
        groups::create(tx, &local, "school")?;
        let source = Source::try_from(POLICY.to_string()).unwrap();
        let seen = policies::look(tx, &source)?;
        policies::apply(tx, &local, &source, seen).map(drop)
    };
    fixture.store.run(begin).await.unwrap();
}

async fn one_link(fixture: &Fixture, count: usize) -> InvitationId {
    let local = fixture.local().await;
    let make = move |tx: &mut Tx<'_>| {
        let (uses, group) = (u32::try_from(count).unwrap(), Some("school".to_string()));
        invitation::create_for_many(tx, &local, Channel::Apple, uses, group, Ownership::Corporate, Some(90 * DAY))
    };
    fixture.store.run(make).await.unwrap().invitation.id
}

/// What lives, by UDID.
async fn living(fixture: &Fixture) -> BTreeMap<String, Vec<Device>> {
    let look = |tx: &mut Tx<'_>| {
        let mut living = BTreeMap::<String, Vec<Device>>::new();
        for device in tx.all::<Device>("")?.into_iter().filter(|device| device.live().next().is_some()) {
            living.entry(device.enrolments[0].identity.clone()).or_default().push(device);
        }
        Ok(living)
    };
    fixture.store.run(look).await.unwrap()
}

/// Every iPad is heard by what it enrolled with last, and so many days pass. What was last year's is off, or gone.
async fn days(fixture: &Fixture, number: u32) {
    let hear = |tx: &mut Tx<'_>| {
        let this_year = |d: &&Device| d.live().next().is_some() && !d.user.contains(".last@");
        let all = tx.all::<Device>("")?;
        all.iter().filter(this_year).try_for_each(|device| sights::note_seen(tx, device.enrolments[0].id))
    };
    fixture.store.run(hear).await.unwrap();
    fixture.pass(DAY * number);
    tidy(fixture).await;
}

fn weight<R: Record>(of: &[R]) -> usize {
    of.iter().map(|record| record.key().len() + serde_json::to_string(record).unwrap().len()).sum()
}

/// Bytes of all that is kept, without the audit log, wipes, and ended records with what belongs to these.
async fn size(fixture: &Fixture) -> BTreeMap<&'static str, usize> {
    let look = |tx: &mut Tx<'_>| {
        let (alive, ended): (Vec<Device>, Vec<Device>) =
            tx.all::<Device>("")?.into_iter().partition(|device| device.live().next().is_some());
        let ended: BTreeSet<DeviceId> = ended.iter().map(|device| device.id).collect();
        let wipe = |c: &Command| c.action() == Action::Wipe;
        let credentials: Vec<Credential> = tx.all("")?;
        let commands: Vec<Command> = tx.all("")?;
        // What a retired device's certificate was is kept as its record is; one of an install that broke off is counted.
        let counted = |c: &&Credential| c.device.is_none_or(|device| !ended.contains(&device));
        let gone: BTreeSet<String> = ended.iter().map(|device| device.short()).collect();
        let of_ended = |name: &Name| name.key().rsplit('/').next().is_some_and(|device| gone.contains(device));
        let names = tx.all::<Name>("")?.into_iter().filter(|name| !of_ended(name));
        let all = BTreeMap::from([
            ("device", weight(&alive)),
            ("credential", weight(&credentials.iter().filter(counted).cloned().collect::<Vec<_>>())),
            ("command", weight(&commands.into_iter().filter(|c| !wipe(c)).collect::<Vec<_>>())),
            ("name", weight(&names.collect::<Vec<_>>())),
            ("user", weight(&tx.all::<User>("")?)),
            (
                "invitation",
                weight(&tx.all::<Invitation>("")?) + weight(&tx.all::<Way>("")?) + weight(&tx.all::<Key>("")?),
            ),
            ("succession", weight(&tx.all::<Succession>("")?)),
            ("revocation", weight(&tx.all::<Revocation>("")?)),
            ("timer", weight(&tx.all::<Timer>("")?)),
            ("tries", weight(&tx.all::<tries::Tries>("")?)),
            ("approval", weight(&tx.all::<Approval>("")?)),
            ("notice", weight(&tx.all::<Notice>("")?)),
        ]);
        Ok(all)
    };
    fixture.store.run(look).await.unwrap()
}

/// A school that has just enrolled so many.
pub async fn fresh(fixture: &Fixture, count: usize) -> usize {
    school(fixture).await;
    let link = one_link(fixture, count).await;
    each(fixture, 0..count, move |tx, number| installs(tx, link, number).map(drop)).await;
    given_out(fixture).await;
    for _ in 0..8 {
        days(fixture, 5).await;
    }
    size(fixture).await.values().sum()
}

/// Each gets its person for the new year.
async fn given_out(fixture: &Fixture) {
    let local = fixture.local().await;
    let give = move |tx: &mut Tx<'_>| {
        for device in tx.all::<Device>("")?.into_iter().filter(|d| d.user.is_empty() && d.live().next().is_some()) {
            let user = format!("{}.next@example.org", device.enrolments[0].identity);
            owners::give(tx, &local, &device.id.to_string(), &user)?;
        }
        Ok(())
    };
    fixture.store.run(give).await.unwrap();
}

/// The year before: each for its user, by an invitation of their own. The certificates end in three weeks.
async fn a_year_ago(fixture: &Fixture, count: usize) {
    let local = fixture.local().await;
    each(fixture, 0..count, move |tx, number| {
        let user = format!("UDID-{number}.last@example.org");
        let made = invitation::create(tx, &local, Channel::Apple, &user, Ownership::Corporate, None)?;
        let credential = spend(tx, made.invitation.id, &format!("last year's {number}"))?;
        let mut kept = tx.get::<Credential>(credential.certificate.sha256)?.unwrap();
        kept.certificate.not_after = tx.now().plus(22 * DAY);
        tx.put(&kept)?;
        let sha256 = kept.certificate.sha256;
        let (mut device, enrolment) = enrol::bind(tx, &sha256, &ipad(number))?;
        enrol::complete(tx, &mut device, enrolment, &sha256)?;
        groups::set(tx, &local, "school", &device.id.to_string(), true)?;
        let mut device = keeper::by_id(tx, device.id)?;
        takes_its_policy(tx, &mut device, enrolment)
    })
    .await;
}

async fn summer(fixture: &Fixture, count: usize) -> Option<BTreeMap<&'static str, usize>> {
    school(fixture).await;
    a_year_ago(fixture, count).await;
    if !fixture.pass(HOUR) {
        return None;
    }
    let former: Vec<DeviceId> = living(fixture).await.into_values().map(|devices| devices[0].id).collect();
    assert_eq!(former.len(), count);
    // The first day: all are retired. Half of them are on: they say that it is done, are reset, and enrol by the link.
    let local = fixture.local().await;
    let ids: Vec<String> = former.iter().map(ToString::to_string).collect();
    each(fixture, 0..count, move |tx, at| wipe::ask(tx, &local, &ids[at], request(Scope::Selective), &able).map(drop))
        .await;
    let off: BTreeSet<String> =
        (0..count).filter(|number| number % 2 == 1).map(|number| format!("UDID-{number}")).collect();
    let obey = move |tx: &mut Tx<'_>| {
        for device in tx.all::<Device>("")?.into_iter().filter(|d| !off.contains(&d.enrolments[0].identity)) {
            let mut device = keeper::load(tx, device)?;
            let enrolment = device.enrolments[0].id;
            let retire = queue::take_next(tx, &mut device, enrolment, Contact::Fresh)?.unwrap();
            assert_eq!(queue::settle(tx, &mut device, enrolment, retire.id, done())?.unwrap().state, State::Confirmed);
        }
        Ok(())
    };
    fixture.store.run(obey).await.unwrap();
    let link = one_link(fixture, count).await;
    each(fixture, (0..count).step_by(2), move |tx, number| installs(tx, link, number).map(drop)).await;
    for _ in 0..8 {
        days(fixture, 5).await;
    }
    // The others are switched on: their certificates have ended, so that they cannot even be told. They are reset by hand.
    let look = |tx: &mut Tx<'_>| {
        let all = tx.all::<Credential>("")?;
        let mut refused = 0;
        for credential in all.iter().filter(|c| c.user.contains(".last@")) {
            refused += usize::from(identity::judge(tx, &credential.certificate.sha256)?.0 == Standing::Expired);
        }
        Ok(refused)
    };
    assert_eq!(fixture.store.run(look).await.unwrap(), count / 2);
    each(fixture, (1..count).step_by(2), move |tx, number| installs(tx, link, number).map(drop)).await;
    given_out(fixture).await;
    for number in [1, 1, 1, 7, 10, 10, 10, 10, 10, 10, 10] {
        days(fixture, number).await;
    }
    Some(size(fixture).await)
}

/// One living record each, its own person's, in its group and under its policy; and no retire that is lost.
async fn holds(fixture: &Fixture, count: usize) {
    let living = living(fixture).await;
    assert_eq!(living.len(), count);
    for (name, devices) in &living {
        let states: Vec<_> = devices.iter().map(|d| (d.id, d.state(), d.user.clone())).collect();
        assert_eq!(devices.len(), 1, "{name}: {states:?}");
        let device = &devices[0];
        assert_eq!((device.state(), device.user.clone()), ("enrolled", format!("{name}.next@example.org")), "{name}");
        assert!(device.groups.contains("school"), "{name}");
        let only = device.live().next().unwrap();
        assert!(only.applied.values().all(|part| part.outcome == Went::Enforced) && !only.applied.is_empty(), "{name}");
    }
    let look = |tx: &mut Tx<'_>| {
        let mut ends = BTreeMap::<&str, usize>::new();
        for wipe in tx.all::<Command>("")?.iter().filter(|c| c.action() == Action::Wipe) {
            *ends.entry(wipe.state.as_str()).or_default() += 1;
        }
        Ok((ends, tx.all::<Key>("")?.len(), tx.all::<Succession>("")?.len(), groups::size(tx, "school")?))
    };
    let (ends, keys, successions, size) = fixture.store.run(look).await.unwrap();
    assert_eq!(
        ends,
        BTreeMap::from([("confirmed", count / 2), ("presumed", count / 2)]),
        "proved, or silent for a month"
    );
    assert_eq!((keys, successions), (0, 0), "nothing is under way, and nothing left to look at");
    assert!(size as usize >= count);
}

/// The whole of it: at the end the store is about as large as that of a school which has just begun.
pub async fn a_summer_leaves_one_living_record_each(one: Fixture, other: Fixture, count: usize) {
    let Some(after) = summer(&one, count).await else { return };
    holds(&one, count).await;
    let (after_all, fresh) = (after.values().sum::<usize>(), fresh(&other, count).await);
    println!("{count} iPads: {after_all} bytes after the summer, {fresh} fresh: {after:?}");
    assert!(after_all * 10 <= fresh * 12, "{after_all} bytes are more than 1.2 times {fresh}: {after:?}");
}

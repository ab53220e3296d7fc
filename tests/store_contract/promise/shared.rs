//! One invitation for many devices of nobody in particular, and what was managed before by the same names.

use super::{
    installs::{asks, completes, is_revoked, now_of, shows},
    *,
};
use lanyard::fleet::{enrol::succession::Succession, owners, registry::sights, retention};

const ANN: &str = "ann@example.org";

async fn for_many(fixture: &Fixture, channel: Channel, uses: u32) -> InvitationId {
    let local = fixture.local().await;
    let make = move |tx: &mut Tx<'_>| {
        if groups::size(tx, "school").is_err() {
            groups::create(tx, &local, "school")?;
        }
        let group = Some("school".to_string());
        invitation::create_for_many(tx, &local, channel, uses, group, Ownership::Corporate, None)
    };
    fixture.store.run(make).await.unwrap().invitation.id
}

/// One device, whole.
async fn joins(fixture: &Fixture, id: InvitationId, key: &'static str, name: &'static str) -> (DeviceId, Credential) {
    let credential = asks(fixture, id, key).await.unwrap();
    let device = shows(fixture, &credential, name).await;
    assert!(completes(fixture, &credential).await.unwrap());
    (device, credential)
}

pub async fn one_invitation_enrols_so_many_devices_of_nobody_in_particular(fixture: Fixture) {
    let id = for_many(&fixture, Channel::Apple, 3).await;
    let names = ["UDID-1", "UDID-2", "UDID-3", "UDID-4", "UDID-5"];
    let mut begun = Vec::new();
    for name in names {
        let credential = asks(&fixture, id, name).await.unwrap();
        let device = shows(&fixture, &credential, name).await;
        begun.push((device, credential));
    }
    let sixth = asks(&fixture, id, "one too many").await;
    assert_eq!(code(sixth), "invitation_busy", "no more are under way than may be complete, and two");
    for (at, (device, credential)) in begun.iter().enumerate().take(3) {
        assert!(completes(&fixture, credential).await.unwrap());
        assert_eq!(now_of(&fixture, id).await.used() as usize, at + 1);
        let record = fixture.again(*device).await;
        assert_eq!((record.user.as_str(), record.groups.contains("school")), ("", true));
        assert_ne!(credential.enrolment, now_of(&fixture, id).await.enrolment);
    }
    for (_, credential) in &begun[3..] {
        assert!(is_revoked(&fixture, credential).await);
        assert_eq!(code(completes(&fixture, credential).await), "refused");
    }
    assert_eq!(code(asks(&fixture, id, "late").await), "invitation_spent");
    let members = |tx: &mut Tx<'_>| Ok((groups::size(tx, "school")?, groups::members(tx, "school", None, 9)?));
    let (size, members) = fixture.store.run(members).await.unwrap();
    assert_eq!((size, members), (3, begun[..3].iter().map(|(device, _)| *device).collect()));
    // Whose each is, an administrator says; until then they are nobody's, and have nothing in common by that.
    let (local, given) = (fixture.local().await, begun[0].0);
    let give = move |tx: &mut Tx<'_>| owners::give(tx, &local, &given.to_string(), ANN);
    assert_eq!(fixture.store.run(give).await.unwrap().user, ANN);
    let hers = fixture.store.run(|tx| users::devices(tx, ANN)).await.unwrap();
    assert_eq!((hers, fixture.store.run(|tx| users::devices(tx, "")).await.unwrap()), (vec![given], vec![]));
}

pub async fn what_an_invitation_for_many_enrols_joins_and_replaces_nothing(fixture: Fixture) {
    let (anns, ..) = enrolled(&fixture, Channel::Apple, ANN, claim("UDID-1")).await;
    let id = for_many(&fixture, Channel::Apple, 10).await;
    let (one, _) = joins(&fixture, id, "one", "UDID-1").await;
    let (two, _) = joins(&fixture, id, "two", "UDID-1").await;
    assert!(one != anns && two != anns && one != two, "a name is a claim, and nobody is not the same as nobody");
    for device in [anns, one, two] {
        assert_eq!(fixture.again(device).await.state(), "enrolled");
    }
    // Nor does mail of nobody's come to it.
    let told = move |tx: &mut Tx<'_>| crate::fixture::tells_mail_id(tx, one, "APPL1").map(drop);
    fixture.store.run(told).await.unwrap();
    let (mail, ..) = enrolled(&fixture, Channel::Activesync, ANN, claim("APPL1")).await;
    assert_ne!(mail, one);
    assert_eq!(fixture.again(one).await.enrolments.len(), 1);
}

pub async fn an_invitation_for_many_takes_whatever_name_is_typed(fixture: Fixture) {
    let local = fixture.local().await;
    let make = move |tx: &mut Tx<'_>| {
        let made = invitation::create_for_many(tx, &local, Channel::Omadm, 2, None, Ownership::Corporate, None)?;
        for typed in [Some("mallory@example.org"), Some(""), None] {
            assert!(invitation::by_code(tx, &made.code, Channel::Omadm, typed, None).is_ok(), "{typed:?}");
        }
        assert!(invitation::by_code(tx, &made.code, Channel::Apple, None, None).is_err());
        let wrong = |tx: &mut Tx<'_>, channel, uses, group: Option<&str>| {
            let group = group.map(str::to_string);
            code(invitation::create_for_many(tx, &local, channel, uses, group, Ownership::Corporate, None).map(|_| ()))
        };
        assert_eq!(wrong(tx, Channel::Omadm, 0, None), "uses");
        assert_eq!(wrong(tx, Channel::Omadm, invitation::MOST + 1, None), "uses");
        assert_eq!(wrong(tx, Channel::Activesync, 5, None), "uses", "mail is somebody's");
        assert_eq!(wrong(tx, Channel::Apple, 5, Some("nowhere")), "group");
        Ok(())
    };
    fixture.store.run(make).await.unwrap();
}

pub async fn a_group_that_is_no_more_keeps_nobody_from_enrolling(fixture: Fixture) {
    let id = for_many(&fixture, Channel::Apple, 2).await;
    let local = fixture.local().await;
    fixture.store.run(move |tx| groups::delete(tx, &local, "school").map(drop)).await.unwrap();
    let (device, _) = joins(&fixture, id, "one", "UDID-1").await;
    assert!(fixture.again(device).await.groups.is_empty());
}

async fn heard(fixture: &Fixture, device: DeviceId) {
    let enrolment = fixture.again(device).await.enrolments[0].id;
    fixture.store.run(move |tx| sights::note_seen(tx, enrolment)).await.unwrap();
}

async fn tidied(fixture: &Fixture) {
    let (over, _) = fixture.store.read(|tx| retention::look::<Succession>(tx, None)).await.unwrap();
    fixture.store.run(move |tx| retention::forget::<Succession>(tx, &over)).await.unwrap();
}

async fn state(fixture: &Fixture, device: DeviceId) -> EnrolmentState {
    fixture.again(device).await.enrolments[0].state
}

pub async fn a_former_record_ends_when_it_is_silent_for_a_day_while_the_new_one_is_heard(fixture: Fixture) {
    let (quiet, _, former) = enrolled(&fixture, Channel::Apple, ANN, claim("UDID-1")).await;
    let speaks = life::Claim { serial: Some("OTHER".into()), ..claim("UDID-2") };
    let (speaks, ..) = enrolled(&fixture, Channel::Apple, ANN, speaks).await;
    let unlike = life::Claim { serial: Some("ANOTHER".into()), ..claim("UDID-3") };
    let (unlike, ..) = enrolled(&fixture, Channel::Apple, ANN, unlike).await;
    let id = for_many(&fixture, Channel::Apple, 10).await;
    // One by the same UDID and one by the same serial number, and one of each that is silent itself.
    let (first, _) = joins(&fixture, id, "one", "UDID-1").await;
    let credential = asks(&fixture, id, "two").await.unwrap();
    let sha256 = credential.certificate.sha256;
    let as_the_other = move |tx: &mut Tx<'_>| {
        let claim = life::Claim { serial: Some("OTHER".into()), ..claim("UDID-4") };
        Ok(enrol::bind(tx, &sha256, &claim)?.0.id)
    };
    let second = fixture.store.run(as_the_other).await.unwrap();
    assert!(completes(&fixture, &credential).await.unwrap());
    assert_eq!(fixture.store.run(|tx| Ok(tx.all::<Succession>("")?.len())).await.unwrap(), 2);
    for _ in 0..30 {
        if !fixture.live_through(HOUR).await {
            return;
        }
        heard(&fixture, speaks).await;
        heard(&fixture, second).await;
        tidied(&fixture).await;
    }
    assert_eq!(state(&fixture, quiet).await, EnrolmentState::Enrolled, "the new one has not been heard since");
    heard(&fixture, first).await;
    fixture.live_through(HOUR).await;
    tidied(&fixture).await;
    assert_eq!(state(&fixture, quiet).await, EnrolmentState::Revoked);
    assert_eq!(standing(&fixture, former).await, Standing::Revoked, "refused in plain words, and never unenrolled");
    assert_eq!(state(&fixture, speaks).await, EnrolmentState::Enrolled, "whoever is heard stays");
    assert_eq!(state(&fixture, unlike).await, EnrolmentState::Enrolled);
    for device in [first, second] {
        assert_eq!(state(&fixture, device).await, EnrolmentState::Enrolled);
    }
    // Falls silent, and is over a day later.
    for _ in 0..26 {
        fixture.live_through(HOUR).await;
        heard(&fixture, second).await;
        tidied(&fixture).await;
    }
    assert_eq!(state(&fixture, speaks).await, EnrolmentState::Revoked);
    assert_eq!(
        fixture.store.run(|tx| Ok(tx.all::<Succession>("")?.len())).await.unwrap(),
        0,
        "nothing is left to look at"
    );
    let log = fixture.store.run(|tx| audit::list(tx, None, 1000)).await.unwrap();
    assert_eq!(log.iter().filter(|e| e.entry.action == "enrolment.succeeded").count(), 2);
}

pub async fn an_open_wipe_of_a_former_record_is_not_lost_by_its_succession(fixture: Fixture) {
    let (former, _, sha256) = enrolled(&fixture, Channel::Apple, ANN, claim("UDID-1")).await;
    let local = fixture.local().await;
    let wipe = fixture.wipe(&local, former, Scope::Full).await.unwrap().id;
    let id = for_many(&fixture, Channel::Apple, 2).await;
    let (new, _) = joins(&fixture, id, "one", "UDID-1").await;
    for _ in 0..50 {
        if !fixture.live_through(HOUR).await {
            return;
        }
        heard(&fixture, new).await;
        tidied(&fixture).await;
    }
    assert_eq!(
        (state(&fixture, former).await, standing(&fixture, sha256).await),
        (EnrolmentState::Enrolled, Standing::Good)
    );
    assert_eq!(take(&fixture, new, Contact::Fresh).await.map(|c| c.id), None, "by nobody else");
    assert_eq!(take(&fixture, former, Contact::Fresh).await.map(|c| c.id), Some(wipe));
    settle(&fixture, former, wipe, done()).await;
    assert_eq!(fixture.command(wipe).await.state, State::Confirmed);
    fixture.live_through(2 * HOUR).await;
    tidied(&fixture).await;
    assert_eq!(fixture.again(former).await.state(), "wiped");
    assert_eq!(fixture.store.run(|tx| Ok(tx.all::<Succession>("")?.len())).await.unwrap(), 0);
}

pub async fn an_open_retire_of_a_former_record_is_owed_to_its_certificate_alone(fixture: Fixture) {
    let (former, _, sha256) = enrolled(&fixture, Channel::Apple, ANN, claim("UDID-1")).await;
    let local = fixture.local().await;
    let retire = fixture.wipe(&local, former, Scope::Selective).await.unwrap().id;
    let id = for_many(&fixture, Channel::Apple, 2).await;
    let (new, _) = joins(&fixture, id, "one", "UDID-1").await;
    for _ in 0..30 {
        if !fixture.live_through(HOUR).await {
            return;
        }
        heard(&fixture, new).await;
        tidied(&fixture).await;
    }
    assert_eq!(
        (state(&fixture, former).await, standing(&fixture, sha256).await),
        (EnrolmentState::Former, Standing::Good)
    );
    assert_eq!(take(&fixture, new, Contact::Fresh).await.map(|c| c.id), None, "by nobody else");
    assert_eq!(take(&fixture, former, Contact::Fresh).await.map(|c| c.id), Some(retire), "it is heard for that");
    fixture.live_through(31 * 24 * HOUR).await;
    while fixture.store.run(wipe::sweep).await.unwrap().1 {}
    assert_eq!(fixture.command(retire).await.state, State::Presumed, "after a month of its silence");
    assert_eq!(fixture.again(former).await.state(), "retired");
    assert_eq!(fixture.again(new).await.state(), "enrolled");
}

pub async fn a_newcomers_invitation_for_many_ends_nothing(fixture: Fixture) {
    let (former, ..) = enrolled(&fixture, Channel::Apple, ANN, claim("UDID-1")).await;
    let eve = fixture.second("eve").await;
    assert!(eve.newcomer_until.is_some());
    let make = move |tx: &mut Tx<'_>| {
        invitation::create_for_many(tx, &eve, Channel::Apple, 5, None, Ownership::Corporate, None)
    };
    let id = fixture.store.run(make).await.unwrap().invitation.id;
    let (new, _) = joins(&fixture, id, "one", "UDID-1").await;
    assert_ne!(new, former);
    assert_eq!(fixture.store.run(|tx| Ok(tx.all::<Succession>("")?.len())).await.unwrap(), 0);
}

pub async fn pcs_that_share_a_serial_number_alone_are_not_one_machine(fixture: Fixture) {
    let pc = |name: &str, hardware: &str| life::Claim {
        platform: Some(Platform::Windows),
        serial: Some("To be filled by O.E.M.".into()),
        hardware_id: Some(hardware.into()),
        ..claim(name)
    };
    enrolled(&fixture, Channel::Omadm, ANN, pc("PC-1", "HW-1")).await;
    let id = for_many(&fixture, Channel::Omadm, 5).await;
    let begun = async |name: &'static str, hardware: &'static str| {
        let credential = asks(&fixture, id, name).await.unwrap();
        let (sha256, claim) = (credential.certificate.sha256, pc(name, hardware));
        fixture.store.run(move |tx| enrol::bind(tx, &sha256, &claim).map(drop)).await.unwrap();
        assert!(completes(&fixture, &credential).await.unwrap());
        fixture.store.run(|tx| Ok(tx.all::<Succession>("")?.len())).await.unwrap()
    };
    if !fixture.pass(Duration::from_secs(1)) {
        return;
    }
    assert_eq!(begun("PC-2", "HW-2").await, 0);
    fixture.pass(Duration::from_secs(1));
    assert_eq!(begun("PC-3", "HW-1").await, 1, "reset, it has another name");
}

/// A shared iPad, given to ann, beside the record that was hers before and is silent by now.
async fn given_beside_her_own(fixture: &Fixture) -> (DeviceId, DeviceId) {
    let (hers, ..) = enrolled(fixture, Channel::Apple, ANN, claim("UDID-1")).await;
    fixture.pass(Duration::from_secs(1));
    let id = for_many(fixture, Channel::Apple, 2).await;
    let (shared, _) = joins(fixture, id, "one", "UDID-1").await;
    let local = fixture.local().await;
    let give = move |tx: &mut Tx<'_>| owners::give(tx, &local, &shared.to_string(), ANN).map(drop);
    fixture.store.run(give).await.unwrap();
    fixture.pass(Duration::from_secs(1));
    (hers, shared)
}

pub async fn of_two_records_of_one_user_a_new_enrolment_joins_that_under_a_wipe(fixture: Fixture) {
    for under_wipe in [false, true] {
        let (hers, shared) = given_beside_her_own(&fixture).await;
        let local = fixture.local().await;
        let wipe = match under_wipe {
            true => Some(fixture.wipe(&local, hers, Scope::Full).await.unwrap().id),
            false => None,
        };
        let (joined, enrolment, _) = enrolled(&fixture, Channel::Apple, ANN, claim("UDID-1")).await;
        if !fixture.owns_clock {
            return;
        }
        assert_eq!(joined, if under_wipe { hers } else { shared }, "the newest, but no wipe is left behind");
        let next = move |tx: &mut Tx<'_>| {
            let mut device = keeper::by_id(tx, joined)?;
            Ok(queue::take_next(tx, &mut device, enrolment, Contact::Fresh)?.map(|command| command.id))
        };
        assert_eq!(fixture.store.run(next).await.unwrap(), wipe, "it follows");
        // The other one is of the past as soon as it is silent.
        let other = if under_wipe { shared } else { hers };
        for _ in 0..30 {
            fixture.live_through(HOUR).await;
            fixture.store.run(move |tx| sights::note_seen(tx, enrolment)).await.unwrap();
            tidied(&fixture).await;
        }
        assert_eq!(state(&fixture, other).await, EnrolmentState::Revoked);
        // The next round begins with neither of them.
        for device in [hers, shared] {
            let local = fixture.local().await;
            let end = move |tx: &mut Tx<'_>| {
                for command in keeper::by_id(tx, device)?.open().map(|c| c.id).collect::<Vec<_>>() {
                    wipe::cancel(tx, &local, command, true)?;
                }
                enrol::revoke(tx, &local.id, device, None, "the test is over").map(drop)
            };
            fixture.store.run(end).await.unwrap();
        }
    }
}

pub async fn a_record_that_another_took_the_place_of_is_removed_while_that_is_managed(fixture: Fixture) {
    let (former, ..) = enrolled(&fixture, Channel::Apple, ANN, claim("UDID-1")).await;
    let id = for_many(&fixture, Channel::Apple, 2).await;
    fixture.pass(Duration::from_secs(1));
    let (new, _) = joins(&fixture, id, "one", "UDID-1").await;
    let local = fixture.local().await;
    let remove = async |device: DeviceId| {
        let local = local.clone();
        fixture.store.run(move |tx| owners::remove(tx, &local, &device.to_string())).await
    };
    for _ in 0..30 {
        if !fixture.live_through(HOUR).await {
            return;
        }
        heard(&fixture, new).await;
        tidied(&fixture).await;
    }
    assert_eq!(state(&fixture, former).await, EnrolmentState::Revoked);
    // Of both that are gone nobody knows what became.
    let revoke = async |device: DeviceId| {
        let by = local.id.clone();
        fixture.store.run(move |tx| enrol::revoke(tx, &by, device, None, "lost").map(drop)).await.unwrap();
    };
    let (third, _) = joins(&fixture, id, "two", "UDID-1").await;
    for _ in 0..30 {
        fixture.live_through(HOUR).await;
        heard(&fixture, third).await;
        tidied(&fixture).await;
    }
    assert_eq!(state(&fixture, new).await, EnrolmentState::Revoked);
    assert!(remove(former).await.unwrap().removed.is_some(), "by way of the one between");
    revoke(third).await;
    assert_eq!(code(remove(new).await), "not_proved");
    assert_eq!(code(remove(third).await), "not_proved");
    let log = fixture.store.run(|tx| audit::list(tx, None, 1000)).await.unwrap();
    let removed: Vec<_> = log.iter().filter(|e| e.entry.action == "device.removed").collect();
    assert_eq!(removed.len(), 1);
    assert_eq!(removed[0].detail.as_deref(), Some(format!("device {new} took its place").as_str()));
}

pub async fn a_former_record_whose_presumed_wipe_is_taken_back_ends_as_any_other(fixture: Fixture) {
    let (former, _, sha256) = enrolled(&fixture, Channel::Omadm, ANN, claim("PC-1")).await;
    let local = fixture.local().await;
    let wipe = fixture.wipe(&local, former, Scope::Full).await.unwrap().id;
    take(&fixture, former, Contact::Fresh).await.unwrap();
    settle(&fixture, former, wipe, Outcome::Presumed { kind: EvidenceKind::Status, detail: "200".into() }).await;
    fixture.pass(Duration::from_secs(1));
    let id = for_many(&fixture, Channel::Omadm, 2).await;
    let (new, _) = joins(&fixture, id, "one", "PC-1").await;
    if !fixture.live_through(2 * HOUR).await {
        return;
    }
    // It was not wiped, and is heard; whoever asked takes it back.
    let speaks = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, former)?;
        let enrolment = device.enrolments[0].id;
        keeper::contact(tx, &mut device, enrolment)?;
        sights::note_seen(tx, enrolment)?;
        wipe::cancel(tx, &local, wipe, true).map(drop)
    };
    fixture.store.run(speaks).await.unwrap();
    assert_eq!(state(&fixture, former).await, EnrolmentState::Enrolled);
    for _ in 0..60 {
        fixture.live_through(HOUR).await;
        heard(&fixture, new).await;
        tidied(&fixture).await;
    }
    assert_eq!(
        (state(&fixture, former).await, standing(&fixture, sha256).await),
        (EnrolmentState::Revoked, Standing::Revoked)
    );
    assert_eq!(fixture.store.run(|tx| Ok(tx.all::<Succession>("")?.len())).await.unwrap(), 0);
}

pub async fn which_of_two_is_older_does_not_go_by_the_wall_clock(fixture: Fixture) {
    let (former, ..) = enrolled(&fixture, Channel::Apple, ANN, claim("UDID-1")).await;
    if !fixture.jump(-3 * HOUR_MS).await {
        return;
    }
    fixture.pass(Duration::from_secs(60));
    let id = for_many(&fixture, Channel::Apple, 2).await;
    let (new, _) = joins(&fixture, id, "one", "UDID-1").await;
    let [older, newer] = [fixture.again(former).await, fixture.again(new).await];
    assert!(older.enrolments[0].created > newer.enrolments[0].created, "as the clock says");
    assert!(older.enrolments[0].is_older_than(&newer.enrolments[0]));
    assert!(!newer.enrolments[0].is_older_than(&older.enrolments[0]));
    assert_eq!(fixture.store.run(|tx| Ok(tx.all::<Succession>("")?.len())).await.unwrap(), 1);
}

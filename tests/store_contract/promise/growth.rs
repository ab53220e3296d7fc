//! No device makes the store grow without bound: whatever one does a thousand times leaves some records, not a thousand.

use super::*;
use lanyard::fleet::{audit::recurring::Recurring, registry::lookup::Name, retention, terms::Ground};

const TIMES: usize = 1000;

/// How often the log tells of this.
async fn told(fixture: &Fixture, action: &'static str) -> usize {
    let count = move |tx: &mut Tx<'_>| {
        let log = tx.all::<audit::Entry>("")?;
        Ok(log.iter().filter(|entry| entry.action == action).count())
    };
    fixture.store.run(count).await.unwrap()
}

async fn count<R: Record + 'static>(fixture: &Fixture) -> usize {
    fixture.store.run(|tx| Ok(tx.all::<R>("")?.len())).await.unwrap()
}

pub async fn a_device_is_found_by_what_it_is_called_now_and_keeps_one_name_of_each_kind(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let (id, before) = (device.id, count::<Name>(&fixture).await);
    let tell = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, id)?;
        for n in 0..TIMES {
            let said = |what: &str| Some(format!("{what} {n}"));
            let (name, serial) = (said("Ann's iPad"), said("S"));
            let claim =
                life::Claim { name, serial, mail_id: said("APPL"), hardware_id: said("H"), ..Default::default() };
            keeper::happen(tx, &mut device, life::Event::Told(Box::new(claim)))?;
        }
        Ok(())
    };
    fixture.store.run(tell).await.unwrap();
    assert_eq!(
        count::<Name>(&fixture).await,
        before + 3,
        "a name, a mail id and a hardware id; it had a serial number"
    );
    let find = |name: &'static str| fixture.store.run(move |tx| lookup::device(tx, name));
    assert_eq!(code(find("Ann's iPad 998").await), "device");
    assert_eq!([find("Ann's iPad 999").await.unwrap().id, find("S 999").await.unwrap().id], [id, id]);
    // The same in other letters is the same name.
    let shout = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, id)?;
        let claim = life::Claim { name: Some("ANN'S IPAD 999".into()), ..Default::default() };
        keeper::happen(tx, &mut device, life::Event::Told(Box::new(claim))).map(drop)
    };
    fixture.store.run(shout).await.unwrap();
    assert_eq!(find("ann's ipad 999").await.unwrap().id, id);
}

/// An older version left each device all names that it ever had.
pub async fn former_names_go_and_those_that_are_borne_stay(fixture: Fixture) {
    let id = fixture.device("u1", &[Channel::Apple, Channel::Activesync]).await.id;
    let other = fixture.device("u2", &[Channel::Omadm]).await.id;
    // Compared by its letters and digits.
    let mail = fixture.device("{A1-B2}", &[Channel::Activesync]).await.id;
    let tell = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, id)?;
        let said = |what: &str| Some(what.to_string());
        let claim = life::Claim { name: said("Ann/s iPad"), mail_id: said("APPL1"), ..Default::default() };
        keeper::happen(tx, &mut device, life::Event::Told(Box::new(claim))).map(drop)
    };
    fixture.store.run(tell).await.unwrap();
    let before = count::<Name>(&fixture).await;
    let pile = move |tx: &mut Tx<'_>| {
        for n in 0..700 {
            for kind in [lookup::NAMED, lookup::SERIAL, lookup::MAIL_ID, Channel::Apple.as_str()] {
                lookup::claim(tx, kind, &format!("former {n}"), id)?;
            }
        }
        lookup::claim(tx, lookup::NAMED, "of no device", DeviceId::NONE)?;
        // A name of another kind is another name.
        lookup::claim(tx, lookup::SERIAL, "Ann/s iPad", id)
    };
    fixture.store.run(pile).await.unwrap();
    let mut after = None;
    loop {
        let from: Option<String> = after.clone();
        let (over, next) = fixture.store.run(move |tx| retention::look::<Name>(tx, from.as_deref())).await.unwrap();
        fixture.store.run(move |tx| retention::forget::<Name>(tx, &over)).await.unwrap();
        after = next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(count::<Name>(&fixture).await, before);
    for (name, of) in [("ann/s ipad", id), ("u1", id), ("u2", other), ("a1b2", mail), ("{a1-b2}", mail)] {
        assert_eq!(fixture.store.run(move |tx| lookup::device(tx, name)).await.unwrap().id, of, "{name}");
    }
}

pub async fn what_a_device_brings_about_again_and_again_is_noted_ever_more_seldom(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Omadm]).await;
    let (id, enrolment, command) = (device.id, device.enrolments[0].id, CommandId(Uuid::from_u128(7)));
    // One that tries often, a thousand times in a quarter of an hour, and one that tries each hour, for two weeks.
    for (pause, rounds, most) in [(Duration::from_secs(1), TIMES, 5), (HOUR, 340, 13)] {
        let before = [told(&fixture, "command.repeated").await, told(&fixture, "wipe.declined").await];
        for _ in 0..rounds {
            let round = move |tx: &mut Tx<'_>| {
                let (action, device) = (life::Action::Wipe, id);
                audit::note(tx, By::Device, Event::CommandRepeated { command, device, action, enrolment })?;
                audit::note(tx, By::Device, Event::WipeDeclined { command: Some(command), device })?;
                audit::note(tx, By::System, Event::PushRetired { enrolment, device })
            };
            fixture.store.run(round).await.unwrap();
            if !fixture.pass(pause) {
                return;
            }
        }
        for (action, before) in ["command.repeated", "wipe.declined"].into_iter().zip(before) {
            let noted = told(&fixture, action).await - before;
            assert!((1..=most).contains(&noted), "{action}, each {pause:?}: {noted}");
        }
        assert!(told(&fixture, "push.retired").await <= 20);
    }
    // It is forgotten, and begins anew.
    let before = told(&fixture, "command.repeated").await;
    fixture.live_through(15 * 24 * HOUR).await;
    let (over, _) = fixture.store.read(|tx| retention::look::<Recurring>(tx, None)).await.unwrap();
    assert_eq!(over.len(), 3);
    fixture.store.run(move |tx| retention::forget::<Recurring>(tx, &over)).await.unwrap();
    assert_eq!(count::<Recurring>(&fixture).await, 0);
    let again = move |tx: &mut Tx<'_>| {
        audit::note(
            tx,
            By::Device,
            Event::CommandRepeated { command, device: id, action: life::Action::Wipe, enrolment },
        )
    };
    fixture.store.run(again).await.unwrap();
    assert_eq!(told(&fixture, "command.repeated").await, before + 1);
}

pub async fn a_refused_device_that_asks_without_end_writes_the_log_not_full(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Activesync]).await;
    let (id, enrolment) = (Some(device.id), device.enrolments[0].id);
    for minute in 0..TIMES {
        let refuse = move |tx: &mut Tx<'_>| {
            for ground in [Ground::OtherDevice, Ground::OtherUser] {
                identity::note_refusal_of(tx, id, enrolment, ground)?;
            }
            Ok(())
        };
        fixture.store.run(refuse).await.unwrap();
        assert_eq!(told(&fixture, "enrolment.refused").await.min(2), 2, "each ground at once: {minute}");
        if !fixture.pass(Duration::from_secs(60)) {
            return;
        }
    }
    let noted = told(&fixture, "enrolment.refused").await;
    assert!((4..=12).contains(&noted), "{noted} in 17 hours");
}

pub async fn answers_that_nobody_asked_for_are_noted_ever_more_seldom(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let restart = ask(&fixture, device.id, Act::Restart).await;
    for _ in 0..TIMES {
        settle(&fixture, device.id, restart.id, done()).await;
        if !fixture.pass(HOUR) {
            return;
        }
    }
    let noted = told(&fixture, "answer.unasked").await;
    assert!((10..=24).contains(&noted), "{noted} in six weeks");
}

pub async fn what_is_put_off_without_end_is_told_of_ever_more_seldom(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let restart = ask(&fixture, device.id, Act::Restart).await;
    for _ in 0..TIMES {
        assert_eq!(take(&fixture, device.id, Contact::Fresh).await.unwrap().id, restart.id);
        settle(&fixture, device.id, restart.id, Outcome::NotNow).await;
    }
    assert_eq!(told(&fixture, "command.sent").await, 10, "with the hand-outs 1, 2, 4 … 512");
}

pub async fn evidence_of_one_kind_has_a_bound(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    let wipe = fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    take(&fixture, device.id, Contact::Fresh).await.unwrap();
    for n in 0..TIMES {
        let detail = format!("the Mac answered Error and may erase itself all the same: {n}");
        settle(&fixture, device.id, wipe.id, Outcome::Presumed { kind: EvidenceKind::Error, detail }).await;
    }
    let presumed = fixture.command(wipe.id).await;
    assert_eq!((presumed.state, presumed.evidence.len()), (State::Presumed, 10));
    settle(&fixture, device.id, wipe.id, done()).await;
    let proved = fixture.command(wipe.id).await;
    assert_eq!((proved.state, proved.evidence.len()), (State::Confirmed, 11), "proof of another kind still counts");
}

pub async fn a_certificate_is_renewed_at_most_daily_by_who_renews_without_end(fixture: Fixture) {
    let (id, enrolment, mut shown) = enrolled(&fixture, Channel::Omadm, "ann@example.org", claim("PC-1")).await;
    let mut renewed = 0;
    for _ in 0..TIMES {
        let renew = move |tx: &mut Tx<'_>| {
            let new = certificate(tx);
            let credential = enrol::renew(tx, &shown, new, String::new())?;
            let (mut device, sha256) = (keeper::by_id(tx, id)?, credential.certificate.sha256);
            enrol::complete(tx, &mut device, enrolment, &sha256)?;
            Ok(sha256)
        };
        match fixture.store.run(renew).await {
            Ok(sha256) => (shown, renewed) = (sha256, renewed + 1),
            refused => assert_eq!(code(refused), "too_many_renewals"),
        }
        if !fixture.pass(HOUR) {
            return;
        }
    }
    assert!((40..=60).contains(&renewed), "{renewed} in 42 days, and never none");
    assert_eq!(count::<Credential>(&fixture).await, renewed + 1);
}

pub async fn who_has_a_link_gets_no_certificates_without_end(fixture: Fixture) {
    let local = fixture.local().await;
    let make = move |tx: &mut Tx<'_>| {
        invitation::create(tx, &local, Channel::Apple, "ann@example.org", Ownership::Corporate, None)
    };
    let id = fixture.store.run(make).await.unwrap().invitation.id;
    let mut refused = 0;
    for n in 0..TIMES {
        let asked = fixture.store.run(move |tx| spend(tx, id, &format!("{n:032}"))).await;
        refused += usize::from(asked.is_err());
    }
    assert_eq!((refused, count::<Credential>(&fixture).await), (TIMES - 23, 23));
    if fixture.pass(HOUR) {
        assert!(fixture.store.run(move |tx| spend(tx, id, "later")).await.is_ok(), "and the person can go on");
    }
}

//! Invitations, certificates, enrolments, and the device they make.

use super::*;

pub async fn an_invitation_is_found_by_each_of_its_secrets(fixture: Fixture) {
    let local = fixture.local().await;
    let make = move |tx: &mut Tx<'_>| {
        let made = invitation::create(tx, &local, Channel::Omadm, " Nurse@example.org ", Ownership::Corporate, None)?;
        Ok((made.invitation.id, made.key, made.code))
    };
    let (id, key, code) = fixture.store.run(make).await.unwrap();
    assert_eq!(code.len(), 19, "{code}");
    let find = move |tx: &mut Tx<'_>| {
        let typed = code.to_lowercase().replace('-', " ");
        let by_code = invitation::by_code(tx, &typed, Channel::Omadm, Some("NURSE@example.org"), Some("192.0.2.1"));
        let ids: Vec<Option<InvitationId>> = vec![
            invitation::by_url(tx, &key)?.map(|i| i.id),
            invitation::by_challenge(tx, &invitation::challenge(&key))?.map(|i| i.id),
            by_code.ok().map(|i| i.id),
        ];
        let refused = |by_code| matches!(by_code, Err(Denial::Refused(invitation::WrongCode::Wrong)));
        let wrong = [
            invitation::by_url(tx, "nope")?.is_some(),
            !refused(invitation::by_code(tx, &code, Channel::Apple, None, Some("192.0.2.1"))),
            !refused(invitation::by_code(tx, &code, Channel::Omadm, Some("other@example.org"), Some("192.0.2.1"))),
        ];
        Ok((ids, wrong))
    };
    let (ids, wrong) = fixture.store.run(find).await.unwrap();
    assert_eq!(ids, [Some(id); 3]);
    assert_eq!(wrong, [false; 3]);
}

fn refused<T>(judged: Judged<T, invitation::WrongCode>) -> Option<invitation::WrongCode> {
    match judged {
        Err(Denial::Refused(why)) => Some(why),
        _ => None,
    }
}

pub async fn wrong_codes_are_counted(fixture: Fixture) {
    for _ in 0..10 {
        let tried = |tx: &mut Tx<'_>| invitation::by_code(tx, "0000", Channel::Omadm, Some("a@b"), Some("192.0.2.9"));
        assert_eq!(refused(fixture.store.judge(tried).await), Some(invitation::WrongCode::Wrong));
    }
    for (user, address, want) in [
        ("a@b", "192.0.2.8", invitation::WrongCode::TooMany),
        ("c@d", "192.0.2.9", invitation::WrongCode::TooMany),
        ("c@d", "192.0.2.7", invitation::WrongCode::Wrong),
        // The same user to those who compare names.
        (" A@B ", "192.0.2.6", invitation::WrongCode::TooMany),
        ("e@f", "", invitation::WrongCode::Wrong),
    ] {
        // A proxy's address is everybody's and counts for nobody.
        let who = Some(address).filter(|address| !address.is_empty());
        let tried = move |tx: &mut Tx<'_>| invitation::by_code(tx, "0000", Channel::Omadm, Some(user), who);
        assert_eq!(refused(fixture.store.judge(tried).await), Some(want), "{user} {address}");
    }
    // Three users, two addresses.
    assert_eq!(fixture.store.run(kept).await.unwrap(), 5);
    fixture.store.run(|tx| tries::forget(tx, None)).await.unwrap();
    assert_eq!(fixture.store.run(kept).await.unwrap(), 5, "they count still");
    if fixture.pass(Duration::from_secs(3601)) {
        assert_eq!(fixture.store.run(|tx| tries::forget(tx, None)).await.unwrap(), None);
        assert_eq!(fixture.store.run(kept).await.unwrap(), 0);
    }
}

pub async fn a_right_code_is_taken_however_many_wrong_ones_there_were(fixture: Fixture) {
    let local = fixture.local().await;
    let make = move |tx: &mut Tx<'_>| {
        Ok(invitation::create(tx, &local, Channel::Omadm, "a@b", Ownership::Corporate, None)?.code)
    };
    let code = fixture.store.run(make).await.unwrap();
    let try_one = async |code: &str| {
        let code = code.to_string();
        let tried =
            move |tx: &mut Tx<'_>| invitation::by_code(tx, &code, Channel::Omadm, Some("a@b"), Some("192.0.2.9"));
        fixture.store.judge(tried).await
    };
    for number in 0..30 {
        let want = if number < 10 { invitation::WrongCode::Wrong } else { invitation::WrongCode::TooMany };
        assert_eq!(refused(try_one("0000-0000-0000-0000").await), Some(want), "{number}");
        assert!(try_one(&code).await.is_ok(), "{number}");
    }
    // Neither user nor address holds more than its limit.
    let mut times = fixture.store.run(|tx| Ok(tx.scan::<tries::Tries>("", None, 100)?)).await.unwrap().into_iter();
    assert!(times.all(|tries| tries.times() == 10));
}

fn kept(tx: &mut Tx<'_>) -> Result<usize> {
    Ok(tx.scan::<tries::Tries>("", None, 100)?.len())
}

pub async fn a_name_that_many_bore_still_finds_who_bears_it(fixture: Fixture) {
    let one = fixture.device("one", &[Channel::Apple]).await.id;
    let serial = |device: DeviceId| {
        move |tx: &mut Tx<'_>| {
            let mut device = keeper::by_id(tx, device)?;
            let claim = life::Claim { serial: Some("S-1".into()), ..life::Claim::default() };
            crate::fixture::happen(tx, &mut device, life::Event::Told(Box::new(claim)))
        }
    };
    fixture.store.run(serial(one)).await.unwrap();
    // More than are read at a time, and none of them bears it now.
    for number in 0..120 {
        let other = fixture.device(&format!("other {number}"), &[Channel::Apple]).await.id;
        fixture.store.run(move |tx| lookup::claim(tx, lookup::SERIAL, "S-1", other)).await.unwrap();
    }
    let found = async || fixture.store.run(|tx| lookup::device(tx, "s-1")).await;
    assert_eq!(found().await.unwrap().id, one);
    let last = fixture.device("last", &[Channel::Apple]).await.id;
    fixture.store.run(serial(last)).await.unwrap();
    assert_eq!(code(found().await), "ambiguous", "a wipe by that name would reach one of two");
}

pub async fn a_name_means_the_one_that_lives_and_else_tells_whom_it_fits(fixture: Fixture) {
    let one = fixture.device("twin", &[Channel::Apple]).await.id;
    let found = async |name: &'static str| fixture.store.run(move |tx| lookup::device(tx, name)).await;
    let retired = async |id: DeviceId| {
        let local = fixture.local().await;
        let command = fixture.wipe(&local, id, Scope::Selective).await.unwrap();
        take(&fixture, id, Contact::Fresh).await.unwrap();
        settle(&fixture, id, command.id, done()).await.unwrap();
    };
    retired(one).await;
    assert_eq!(found("Stwin").await.unwrap().id, one, "the only one, though it has ended");
    let two = fixture.device("twin", &[Channel::Apple]).await.id;
    assert_eq!(found("Stwin").await.unwrap().id, two, "what has ended is in nobody's way");
    let three = fixture.device("twin", &[Channel::Apple]).await.id;
    let Err(Error::Ambiguous { candidates, .. }) = found("Stwin").await else { panic!("two live") };
    let ids = |of: &[lanyard::error::Candidate]| of.iter().map(|c| c.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&candidates), [two, three, one].map(|id| id.to_string()), "those that live come first");
    let states: Vec<_> = candidates.iter().map(|c| (c.user.as_deref(), c.state)).collect();
    assert_eq!(
        states,
        [
            (Some("nurse@example.org"), "enrolled"),
            (Some("nurse@example.org"), "enrolled"),
            (Some("nurse@example.org"), "retired")
        ]
    );
    let seen = fixture.store.run(move |tx| lookup::by_id(tx, two)).await.unwrap().enrolments[0].id;
    fixture.store.run(move |tx| lanyard::fleet::registry::sights::note_seen(tx, seen)).await.unwrap();
    let Err(refusal) = found("Stwin").await else { panic!("two live") };
    let text = refusal.to_string();
    assert!(text.contains(&format!("{two} (nurse@example.org, enrolled, last seen 2")), "{text}");
    retired(two).await;
    retired(three).await;
    assert_eq!(code(found("Stwin").await), "ambiguous", "three that have ended, and none that lives");
}

pub async fn a_name_that_fits_two_devices_is_refused(fixture: Fixture) {
    let one = fixture.device("twin", &[Channel::Apple]).await.id;
    let found = fixture.store.run(|tx| lookup::device(tx, "sTWIN")).await.unwrap();
    assert_eq!(found.id, one);
    fixture.device("twin", &[Channel::Apple]).await;
    assert_eq!(code(fixture.store.run(|tx| lookup::device(tx, "Stwin")).await), "ambiguous");
    assert_eq!(code(fixture.store.run(|tx| lookup::device(tx, "nobody")).await), "device");
    let local = fixture.local().await;
    let group = move |tx: &mut Tx<'_>| {
        groups::create(tx, &local, "ward 3")?;
        groups::set(tx, &local, "ward 3", &one.to_string(), true)?;
        groups::members(tx, "ward 3", None, 100)
    };
    assert_eq!(fixture.store.run(group).await.unwrap(), [one]);
}

pub async fn an_id_is_taken_by_its_beginning_where_that_is_one_devices_alone(fixture: Fixture) {
    let (one, two) =
        (fixture.device("one", &[Channel::Apple]).await.id, fixture.device("two", &[Channel::Apple]).await.id);
    let found = async |name: String| fixture.store.run(move |tx| lookup::device(tx, &name)).await;
    let (text, other) = (one.to_string(), two.to_string());
    let alike = text.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    assert_eq!(found(text[..=alike].to_uppercase()).await.unwrap().id, one);
    assert_eq!(found(other[..35].into()).await.unwrap().id, two);
    let Err(Error::Ambiguous { candidates, .. }) = found(text[..6].into()).await else { panic!("both begin so") };
    assert_eq!(candidates.iter().map(|c| c.id.clone()).collect::<Vec<_>>(), [text.clone(), other.clone()]);
    for (row, name) in
        [("too short", &text[..5]), ("no part of one", "019d1a x"), ("nobody's", "ffffffff"), ("its end", &text[20..])]
    {
        assert_eq!(code(found(name.into()).await), "device", "{row}");
    }
    // A device says itself what it is called: it does not stand before one whose id begins so, nor as the screen shows that.
    let begins = text[..=alike].to_string();
    let shown = format!("{begins}…");
    for name in [begins.clone(), shown.clone()] {
        fixture.store.run(move |tx| lookup::claim(tx, "apple", &name, two)).await.unwrap();
    }
    for name in [begins.clone(), shown] {
        let Err(Error::Ambiguous { candidates, .. }) = found(name.clone()).await else { panic!("{name}") };
        assert_eq!(
            candidates.iter().map(|c| c.id.clone()).collect::<Vec<_>>(),
            [other.clone(), text.clone()],
            "{name}"
        );
    }
    // What was shown of a device that is in no list any more means none beside it.
    let (three, four) =
        (fixture.device("three", &[Channel::Apple]).await.id, fixture.device("four", &[Channel::Apple]).await.id);
    let alike = three.to_string().bytes().zip(four.to_string().bytes()).take_while(|(a, b)| a == b).count();
    let both = three.to_string()[..alike].to_string();
    let remove = move |tx: &mut Tx<'_>| {
        let mut gone = serde_json::to_value(tx.get::<Device>(three)?.unwrap()).unwrap();
        gone["removed"] = serde_json::to_value(tx.now()).unwrap();
        Ok(tx.put(&serde_json::from_value::<Device>(gone).unwrap())?)
    };
    fixture.store.run(remove).await.unwrap();
    assert!(matches!(found(both).await, Err(Error::Ambiguous { .. })));
    assert_eq!(code(found(three.to_string()[..35].into()).await), "device", "it is gone");
    let local = fixture.local().await;
    let command = fixture.wipe(&local, one, Scope::Full).await.unwrap().id;
    let of_command = async |given: String| {
        fixture.store.run(move |tx| lookup::id::<life::Command, lanyard::ids::CommandId>(tx, "command", &given)).await
    };
    assert_eq!(of_command(command.to_string()[..13].into()).await.unwrap(), command);
    fixture.wipe(&local, two, Scope::Full).await.unwrap();
    assert_eq!(code(of_command(command.to_string()[..6].into()).await), "ambiguous");
    assert_eq!(code(of_command(one.to_string()[..35].into()).await), "command", "a device's is none of a command's");
}

pub async fn no_administrators_name_stands_before_anothers_id(fixture: Fixture) {
    let (ann, local) = (fixture.second("ann").await.id, fixture.local().await);
    let begins = ann[..13].to_string();
    let found = async |who: &str| {
        let who = who.to_string();
        fixture.store.run(move |tx| lanyard::fleet::admins::find(tx, &who)).await
    };
    assert_eq!(found(&begins).await.unwrap().id, ann);
    let name = begins.clone();
    fixture.store.run(move |tx| lanyard::fleet::admins::add(tx, &local, &name).map(drop)).await.unwrap();
    assert_eq!(code(found(&begins).await), "ambiguous");
    assert_eq!((found(&ann).await.unwrap().id, found("ann").await.unwrap().id), (ann.clone(), ann));
}

pub async fn a_certificate_of_ours_that_the_store_does_not_know_is_named_once(fixture: Fixture) {
    for shown in [1, 1, 2, 1] {
        let judge = move |tx: &mut Tx<'_>| identity::judge(tx, &Fingerprint([shown; 32]));
        assert_eq!(fixture.store.run(judge).await.unwrap().0, Standing::Unknown);
    }
    let log = fixture.store.run(|tx| audit::list(tx, None, 1000)).await.unwrap();
    let named: Vec<String> =
        log.into_iter().filter(|e| e.entry.action == "certificate.unknown").map(|e| e.entry.subject).collect();
    assert_eq!(named, [1, 2].map(|byte| Fingerprint([byte; 32]).to_string()));
}

pub async fn a_revoked_certificate_is_listed(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    let sha256 = fixture.credential(&device).await;
    let (serial, id) = (device.enrolments[0].certificate.clone().unwrap().serial, device.id);
    let judge = move |tx: &mut Tx<'_>| {
        let credential = tx.get::<Credential>(sha256)?.unwrap();
        Ok(credential::judge(tx.time(), &credential, Some(&lookup::by_id(tx, id)?)))
    };
    let good = fixture.store.run(judge).await.unwrap();
    assert_eq!(good, credential::Standing::Good);
    let wipe = fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    take(&fixture, device.id, Contact::Fresh).await.unwrap();
    settle(&fixture, device.id, wipe.id, done()).await;
    let judge = move |tx: &mut Tx<'_>| {
        let credential = tx.get::<credential::Credential>(sha256)?.unwrap();
        let standing = credential::judge(tx.time(), &credential, Some(&lookup::by_id(tx, id)?));
        Ok((standing, credential::revoked(tx)?))
    };
    let (standing, revoked) = fixture.store.run(judge).await.unwrap();
    assert_eq!(standing, credential::Standing::Ended, "the one case in which an Apple device is told to unenrol");
    assert_eq!(revoked.iter().map(|r| r.serial.clone()).collect::<Vec<_>>(), [serial]);
    assert_eq!(fixture.actor(SECRET).await.id, admins::LOCAL);
}

pub async fn an_invitation_is_spent_once(fixture: Fixture) {
    let local = fixture.local().await;
    let make = move |tx: &mut Tx<'_>| {
        let made = invitation::create(tx, &local, Channel::Apple, "a@b", Ownership::Corporate, Some(HOUR))?;
        let late = invitation::create(tx, &local, Channel::Apple, "a@b", Ownership::Corporate, Some(HOUR))?;
        Ok((made.invitation.id, late.invitation.id))
    };
    let (id, late) = fixture.store.run(make).await.unwrap();
    let spend = |id: InvitationId, key: &'static str| {
        fixture.store.run(move |tx| Ok(super::spend(tx, id, key)?.certificate.sha256))
    };
    let first = spend(id, "key one").await.unwrap();
    assert_eq!(spend(id, "key one").await.unwrap(), first, "the same key gets the same certificate");
    let complete = move |tx: &mut Tx<'_>| {
        let (mut device, enrolment) = enrol::bind(tx, &first, &claim("UDID-1"))?;
        enrol::complete(tx, &mut device, enrolment, &first)
    };
    assert!(fixture.store.run(complete).await.unwrap());
    assert_eq!(code(spend(id, "key two").await), "invitation_spent");
    if fixture.pass(2 * HOUR) {
        assert_eq!(code(spend(late, "key").await), "invitation_expired");
    }
}

pub async fn enrolments_join_one_device_for_the_same_user_only(fixture: Fixture) {
    let phone = life::Claim { mail_id: Some("APPL1".into()), ..claim("UDID-1") };
    let (phone, ..) = enrolled(&fixture, Channel::Apple, "ann@example.org", phone).await;
    let (mail, ..) = enrolled(&fixture, Channel::Activesync, "ANN@example.org", claim("appl1")).await;
    assert_eq!(mail, phone, "joined by the mail client's name");
    let (thief, ..) = enrolled(&fixture, Channel::Activesync, "eve@example.org", claim("APPL1")).await;
    let (copy, ..) = enrolled(&fixture, Channel::Apple, "eve@example.org", claim("UDID-1")).await;
    assert!(thief != phone && copy != phone, "a name is a claim");
    assert_eq!(fixture.again(phone).await.enrolments.len(), 2);
    assert!(fixture.again(phone).await.enrolments.iter().all(|e| e.state == EnrolmentState::Enrolled));
}

pub async fn a_users_devices_are_found_without_reading_all(fixture: Fixture) {
    let (mail, ..) = enrolled(&fixture, Channel::Activesync, "Ann@example.org", claim("appl1")).await;
    let (pc, ..) = enrolled(&fixture, Channel::Omadm, "ann@EXAMPLE.org", claim("PC-1")).await;
    let (other, ..) = enrolled(&fixture, Channel::Omadm, "ann@example.org/x", claim("PC-2")).await;
    let devices = async |name: &'static str| fixture.store.run(|tx| users::devices(tx, name)).await.unwrap();
    assert_eq!(devices("ANN@example.org").await, [mail, pc]);
    assert_eq!(devices("ann@example.org/x").await, [other]);
    assert_eq!(devices("ann@example").await, []);
    let called = |tx: &mut Tx<'_>| {
        users::note(tx, Channel::Activesync, "ann@example.org", "EXAMPLE\\ann")?;
        users::note(tx, Channel::Activesync, "ann@example.org", "EXAMPLE\\ann")?;
        for n in 0..100 {
            users::note(tx, Channel::Omadm, "ann@example.org", &format!("ann{n}"))?;
        }
        users::of(tx, "ANN@example.org")
    };
    let ann = fixture.store.run(called).await.unwrap().unwrap();
    assert_eq!(ann.name, "Ann@example.org", "as first written");
    assert_eq!(ann.names[&Channel::Activesync].iter().collect::<Vec<_>>(), ["EXAMPLE\\ann"]);
    assert_eq!(ann.names[&Channel::Omadm].len(), 16, "there is an end to what a device can make up");
    // The phone tells the mail client's name: what was a device of its own joins it.
    let (phone, ..) = enrolled(&fixture, Channel::Apple, "ann@example.org", claim("UDID-1")).await;
    let adopt = move |tx: &mut Tx<'_>| crate::fixture::tells_mail_id(tx, phone, "APPL1").map(drop);
    fixture.store.run(adopt).await.unwrap();
    assert_eq!(devices("ann@example.org").await, [pc, phone]);
}

pub async fn a_certificate_never_speaks_for_another_device(fixture: Fixture) {
    let (_, _, sha256) = enrolled(&fixture, Channel::Apple, "a@b", claim("UDID-1")).await;
    let other = fixture.store.run(move |tx| enrol::bind(tx, &sha256, &claim("UDID-2"))).await;
    assert_eq!(code(other), "other_identity");
    let unknown = fixture.store.run(|tx| enrol::bind(tx, &Fingerprint([7; 32]), &claim("UDID-1"))).await;
    assert_eq!(code(unknown), "not_pinned");
    fixture.store.run(move |tx| enrol::bind(tx, &sha256, &claim("udid-1"))).await.unwrap();
}

pub async fn a_new_enrolment_takes_the_formers_place_with_an_empty_queue(fixture: Fixture) {
    let (device, old, old_certificate) = enrolled(&fixture, Channel::Apple, "a@b", claim("UDID-1")).await;
    let local = fixture.local().await;
    let refresh = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, device)?;
        queue::ask(tx, &local, &mut device, Act::Refresh, &able)
    };
    let refresh = fixture.store.run(refresh).await.unwrap();
    let (again, _, new_certificate) = enrolled(&fixture, Channel::Apple, "a@b", claim("UDID-1")).await;
    assert_eq!(again, device);
    let record = fixture.again(device).await;
    assert_eq!((record.life, record.open.len(), record.mail_shut), (Life::Enrolled, 0, None));
    assert_eq!(record.enrolment(old).unwrap().state, EnrolmentState::Revoked);
    assert_eq!(fixture.command(refresh.id).await.state, State::Cancelled);
    assert_eq!(standing(&fixture, old_certificate).await, Standing::Revoked);
    assert_eq!(standing(&fixture, new_certificate).await, Standing::Good);
}

pub async fn a_wiped_pc_that_enrols_anew_proves_nothing(fixture: Fixture) {
    let pc = || life::Claim { platform: Some(Platform::Windows), hardware_id: Some("HW-1".into()), ..claim("DEV-1") };
    let (device, ..) = enrolled(&fixture, Channel::Omadm, "a@b", pc()).await;
    let local = fixture.local().await;
    let wipe = fixture.wipe(&local, device, Scope::Full).await.unwrap();
    take(&fixture, device, Contact::Fresh).await.unwrap();
    let accepted = Outcome::Presumed { kind: EvidenceKind::Status, detail: "200 on the Exec".into() };
    assert_eq!(settle(&fixture, device, wipe.id, accepted).await.unwrap().state, State::Presumed);
    assert_eq!(fixture.again(device).await.state(), "wiped");
    let (again, ..) = enrolled(&fixture, Channel::Omadm, "a@b", life::Claim { identity: "DEV-2".into(), ..pc() }).await;
    assert_eq!(again, device, "joined by its hardware");
    let ended = fixture.command(wipe.id).await;
    let kinds: Vec<&str> = ended.evidence.iter().map(|e| e.kind.as_str()).collect();
    assert_eq!((ended.state, kinds), (State::Presumed, vec!["status", "enrolled_anew"]));
    let record = fixture.again(device).await;
    assert_eq!(record.state(), "enrolled", "the device is back, and not wiped again");
    assert_eq!(record.carrier().unwrap().identity, "DEV-2");
}

pub async fn a_renewed_certificate_overlaps_the_old_one(fixture: Fixture) {
    let (device, enrolment, old) = enrolled(&fixture, Channel::Apple, "a@b", claim("UDID-1")).await;
    let renew = move |tx: &mut Tx<'_>| {
        let certificate = certificate(tx);
        Ok(enrol::renew(tx, &old, certificate, String::new())?.certificate.sha256)
    };
    let new = fixture.store.run(renew).await.unwrap();
    assert_eq!((standing(&fixture, old).await, standing(&fixture, new).await), (Standing::Good, Standing::Good));
    let use_it = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, device)?;
        enrol::complete(tx, &mut device, enrolment, &new)
    };
    assert!(!fixture.store.run(use_it).await.unwrap(), "no new enrolment");
    assert_eq!((standing(&fixture, old).await, standing(&fixture, new).await), (Standing::Revoked, Standing::Good));
}

pub async fn a_revoked_enrolment_is_refused_and_its_wipe_says_so(fixture: Fixture) {
    let (device, _, sha256) = enrolled(&fixture, Channel::Apple, "a@b", claim("UDID-1")).await;
    let local = fixture.local().await;
    let wipe = fixture.wipe(&local, device, Scope::Full).await.unwrap();
    fixture.store.run(move |tx| enrol::revoke(tx, "local", device, None, "")).await.unwrap();
    assert_eq!(standing(&fixture, sha256).await, Standing::Revoked, "refused, and not told to unenrol");
    let ended = fixture.command(wipe.id).await;
    assert_eq!((ended.state, ended.error.as_ref().unwrap().code.as_str()), (State::Failed, "device_left"));
}

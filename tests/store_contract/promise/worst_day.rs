//! Promises about thieves and bad luck: one stolen token, enrolments that begin and never end, answers that come at the wrong moment.

use crate::{
    fixture::{Fixture, able, request},
    promise::{certificate, claim, code, done, enrolled, settle, spend, standing, take},
};
use lanyard::{
    error::{Error, Result},
    fleet::{
        actor::Actor,
        admins::{self},
        enrol::{self, access, invitation},
        groups, keeper,
        life::{
            self, Act, Channel, Command, Contact, Device, EnrolmentState, Erasing, Life, Outcome, Ownership, Scope,
            State,
        },
        queue::{self},
        registry::{Standing, lookup},
        terms::EvidenceKind,
        wipe::{self, approvals, stop},
    },
    ids::{ApprovalId, CommandId, DeviceId, EnrolmentId, Fingerprint},
    store::Tx,
};
use std::{collections::BTreeSet, time::Duration};

const HOUR: Duration = Duration::from_secs(3600);
const ANN: &str = "ann@example.org";

/// A token that this person makes for that one, and what authentication makes of it.
async fn by_new_token(fixture: &Fixture, maker: &Actor, of: &str) -> Actor {
    let (maker, of) = (maker.clone(), of.to_string());
    let secret = fixture.store.run(move |tx| Ok(admins::create_token(tx, &maker, Some(&of))?.1)).await.unwrap();
    fixture.actor(&secret).await
}

/// A person that this one makes, by a token of theirs.
async fn newcomer(fixture: &Fixture, maker: &Actor, name: &str) -> Actor {
    let (by, new) = (maker.clone(), name.to_string());
    fixture.store.run(move |tx| admins::add(tx, &by, &new)).await.unwrap();
    by_new_token(fixture, maker, name).await
}

async fn approve(fixture: &Fixture, by: &Actor, id: ApprovalId) -> Result<approvals::Approval> {
    let by = by.clone();
    fixture.store.run(move |tx| crate::fixture::reads_and_approves(tx, &by, id)).await
}

async fn cancel(fixture: &Fixture, id: CommandId) -> Command {
    let local = fixture.local().await;
    fixture.store.run(move |tx| wipe::cancel(tx, &local, id, true)).await.unwrap()
}

/// An enrolment that has shown its certificate and is not complete.
async fn begun(
    fixture: &Fixture,
    channel: Channel,
    ownership: Ownership,
    claim: life::Claim,
) -> (EnrolmentId, Fingerprint) {
    let local = fixture.local().await;
    let begin = move |tx: &mut Tx<'_>| {
        let made = invitation::create(tx, &local, channel, ANN, ownership, None)?;
        let sha256 = spend(tx, made.invitation.id, "key")?.certificate.sha256;
        Ok((enrol::bind(tx, &sha256, &claim)?.1, sha256))
    };
    fixture.store.run(begin).await.unwrap()
}

async fn completed(fixture: &Fixture, device: DeviceId, enrolment: EnrolmentId, sha256: Fingerprint) {
    let complete = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, device)?;
        enrol::complete(tx, &mut device, enrolment, &sha256)
    };
    assert!(fixture.store.run(complete).await.unwrap());
}

async fn mail_is_open(fixture: &Fixture, id: DeviceId) -> bool {
    fixture.again(id).await.mail_shut.is_none()
}

pub async fn whoever_stands_behind_a_newcomer_is_no_second_person(fixture: Fixture) {
    let (alice, bob) = (fixture.second("alice").await, fixture.second("bob").await);
    let phone = fixture.device("u1", &[Channel::Apple]).await;
    let as_bob = by_new_token(&fixture, &alice, "bob").await;
    let first = newcomer(&fixture, &alice, "first").await;
    let second = newcomer(&fixture, &first, "second").await;
    // By a token that she made for bob, somebody is made: bob is not behind that, she is.
    let third = newcomer(&fixture, &as_bob, "third").await;
    let rows = [
        ("a token for bob", as_bob),
        ("one made by one that she made", second),
        ("one made by her token for bob", third),
    ];
    for (row, asker) in rows {
        let held = fixture.wipe(&asker, phone.id, Scope::Full).await.unwrap();
        assert_eq!(held.state, State::Held, "{row}");
        let id = held.approval.unwrap();
        assert_eq!(code(approve(&fixture, &alice, id).await), "own_newcomer", "{row}");
        let local = fixture.local().await;
        let approved = approve(&fixture, &local, id).await.unwrap();
        assert_eq!(approved.decided_by.as_deref(), Some(admins::LOCAL), "{row}");
        cancel(&fixture, held.id).await;
    }
    let asked = fixture.wipe(&bob, phone.id, Scope::Full).await.unwrap();
    assert_eq!(asked.state, State::Queued, "bob himself counts as ever");
}

pub async fn who_saw_an_approval_before_it_grew_looks_again(fixture: Fixture) {
    let (eve, carl) = (fixture.second("eve").await, fixture.second("carl").await);
    let [one, two] = [fixture.device("u1", &[Channel::Apple]).await, fixture.device("u2", &[Channel::Apple]).await];
    let local = fixture.local().await;
    fixture.store.run(move |tx| stop::set(tx, &local, false)).await.unwrap();
    let id = fixture.wipe(&eve, one.id, Scope::Selective).await.unwrap().approval.unwrap();
    let own = async || {
        let who = eve.clone();
        fixture.store.run(move |tx| approvals::unseen(tx, &who)).await.unwrap()
    };
    assert_eq!(own().await, 0, "who asked was told by the answer");
    let look = |carl: Actor| {
        move |tx: &mut Tx<'_>| {
            approvals::look(tx, &carl, id)?;
            approvals::unseen(tx, &carl)
        }
    };
    assert_eq!(fixture.store.run(look(carl.clone())).await.unwrap(), 0);
    assert_eq!(fixture.wipe(&eve, two.id, Scope::Full).await.unwrap().approval, Some(id));
    assert_eq!(own().await, 0);
    let who = carl.clone();
    assert_eq!(fixture.store.run(move |tx| approvals::unseen(tx, &who)).await.unwrap(), 1, "told again");
    let who = carl.clone();
    let unread = fixture.store.run(move |tx| approvals::approve(tx, &who, id)).await;
    assert!(matches!(&unread, Err(Error::Refused { added, .. }) if added.len() == 1), "what was added is named");
    assert_eq!(code(unread), "approval_grew");
    // What one token of theirs has read, another one has not.
    let other = by_new_token(&fixture, &carl, "carl").await;
    let other = Actor { newcomer_until: None, ..other };
    let never = fixture.store.run(move |tx| approvals::approve(tx, &other, id)).await;
    assert!(
        matches!(&never, Err(Error::Refused { code: "approval_grew", added, .. }) if added.len() == 2),
        "{never:?}"
    );
    fixture.store.run(look(carl.clone())).await.unwrap();
    assert_eq!(code(approve(&fixture, &carl, id).await), "stopped", "what is left is the stop");
}

pub async fn a_request_to_lift_a_stop_is_about_that_stop(fixture: Fixture) {
    let (alice, bob) = (fixture.second("alice").await, fixture.second("bob").await);
    let set = |who: Actor| move |tx: &mut Tx<'_>| stop::set(tx, &who, false).map(drop);
    let off = |who: Actor| move |tx: &mut Tx<'_>| stop::ask_off(tx, &who);
    fixture.store.run(set(alice.clone())).await.unwrap();
    let first = fixture.store.run(off(alice.clone())).await.unwrap().id;
    assert_eq!(fixture.store.run(off(alice.clone())).await.unwrap().id, first, "asked again it is the same");
    let bobs = fixture.store.run(off(bob.clone())).await.unwrap().id;
    approve(&fixture, &bob, first).await.unwrap();
    fixture.store.run(set(alice.clone())).await.unwrap();
    assert_eq!(code(approve(&fixture, &alice, bobs).await), "decided", "it was about the former stop");
    assert!(fixture.store.run(stop::is_on).await.unwrap());
}

pub async fn a_wipe_goes_to_the_enrolment_that_hears(fixture: Fixture) {
    let (device, old, _) = enrolled(&fixture, Channel::Apple, ANN, claim("UDID-1")).await;
    let (new, sha256) = begun(&fixture, Channel::Apple, Ownership::Corporate, claim("UDID-1")).await;
    let local = fixture.local().await;
    let wipe = fixture.wipe(&local, device, Scope::Full).await.unwrap();
    assert_eq!(wipe.enrolment, old, "the new one may never be completed");
    assert_eq!(take(&fixture, device, Contact::Fresh).await.map(|c| c.id), Some(wipe.id));
    completed(&fixture, device, new, sha256).await;
    let goes_on = fixture.command(wipe.id).await;
    assert_eq!(
        (goes_on.state, goes_on.enrolment),
        (State::Queued, new),
        "it had its certificate when the wipe was asked for"
    );
    assert_eq!(fixture.again(device).await.state(), "wiping");
    let done = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, device)?;
        queue::take_next(tx, &mut device, new, Contact::Fresh)?;
        queue::settle(tx, &mut device, new, wipe.id, done())
    };
    fixture.store.run(done).await.unwrap();
    let (device, new, _) = enrolled(&fixture, Channel::Apple, ANN, claim("UDID-2")).await;

    let block = move |tx: &mut Tx<'_>| {
        let local = admins::authenticate(tx, crate::fixture::SECRET, true)?.unwrap();
        access::set(tx, &local, &device.to_string(), Some(new), life::Access::Block, "")
    };
    let open = fixture.wipe(&local, device, Scope::Full).await.unwrap();
    assert_eq!(code(fixture.store.run(block).await), "under_wipe", "it would not hear of it");
    cancel(&fixture, open.id).await;
    fixture.store.run(block).await.unwrap();
    assert_eq!(code(fixture.wipe(&local, device, Scope::Full).await), "blocked", "nobody would be told");
}

pub async fn a_wipe_of_an_enrolment_not_complete_yet_is_there_when_it_is(fixture: Fixture) {
    let (enrolment, sha256) = begun(&fixture, Channel::Omadm, Ownership::Corporate, claim("PC-1")).await;
    let found = fixture.store.run(|tx| lookup::claimants(tx, "omadm", "PC-1")).await.unwrap();
    let (device, local) = (found[0].id, fixture.local().await);
    let wipe = fixture.wipe(&local, device, Scope::Full).await.unwrap();
    completed(&fixture, device, enrolment, sha256).await;
    let record = fixture.again(device).await;
    assert_eq!((record.life, record.wipe, record.mail_shut), (Life::Wiping, Some(wipe.id), Some(wipe.id)));
    assert_eq!(take(&fixture, device, Contact::Fresh).await.map(|c| c.id), Some(wipe.id));
}

pub async fn what_another_channel_carries_outlives_a_new_enrolment(fixture: Fixture) {
    let (device, ..) = enrolled(&fixture, Channel::Activesync, ANN, claim("MAIL1")).await;
    let local = fixture.local().await;
    let wipe = fixture.wipe(&local, device, Scope::Full).await.unwrap();
    take(&fixture, device, Contact::Fresh).await.unwrap();
    let phone = life::Claim { mail_id: Some("MAIL1".into()), ..claim("UDID-1") };
    let (joined, ..) = enrolled(&fixture, Channel::Apple, ANN, phone).await;
    assert_eq!(joined, device);
    assert_eq!(fixture.command(wipe.id).await.state, State::Sent, "mail has not answered, and nothing is presumed");
    let record = fixture.again(device).await;
    assert_eq!((record.life, record.mail_shut), (Life::Wiping, Some(wipe.id)));
}

pub async fn a_proved_wipe_ends_what_joined_meanwhile(fixture: Fixture) {
    for (row, scope, life) in [("full", Scope::Full, Life::Wiped), ("selective", Scope::Selective, Life::Retired)] {
        let phone = life::Claim { mail_id: Some(format!("MAIL-{row}")), ..claim(&format!("UDID-{row}")) };
        let (device, _, sha256) = enrolled(&fixture, Channel::Apple, ANN, phone).await;
        let local = fixture.local().await;
        let wipe = fixture.wipe(&local, device, scope).await.unwrap();
        take(&fixture, device, Contact::Fresh).await.unwrap();
        let (joined, ..) = enrolled(&fixture, Channel::Activesync, ANN, claim(&format!("mail-{row}"))).await;
        assert_eq!(joined, device, "{row}");
        begun(&fixture, Channel::Apple, Ownership::Corporate, claim(&format!("UDID-{row}"))).await;
        assert_eq!(settle(&fixture, device, wipe.id, done()).await.unwrap().state, State::Confirmed);
        let record = fixture.again(device).await;
        assert_eq!((record.life, record.live().count()), (life, 0), "{row}");
        let last_word = if scope == Scope::Full { Standing::Ended } else { Standing::Good };
        assert_eq!(standing(&fixture, sha256).await, last_word, "{row}: a retired iPhone has its CheckOut to send");
    }
}

pub async fn what_the_breaker_holds_undoes_nothing(fixture: Fixture) {
    let (bob, device) =
        (fixture.second("bob").await, fixture.device("u1", &[Channel::Apple, Channel::Activesync]).await);
    let eve = newcomer(&fixture, &bob, "eve").await;
    let retire = fixture.wipe(&bob, device.id, Scope::Selective).await.unwrap();
    let held = fixture.wipe(&eve, device.id, Scope::Full).await.unwrap();
    assert_eq!(held.state, State::Held);
    assert_eq!(fixture.command(retire.id).await.state, State::Queued, "the retire goes on");
    assert!(!mail_is_open(&fixture, device.id).await);
    cancel(&fixture, held.id).await;
    assert_eq!(take(&fixture, device.id, Contact::Fresh).await.map(|c| c.id), Some(retire.id));

    let other = fixture.device("u2", &[Channel::Apple]).await;
    let held = fixture.wipe(&eve, other.id, Scope::Full).await.unwrap();
    let retire = fixture.wipe(&bob, other.id, Scope::Selective).await.unwrap();
    assert_ne!(retire.id, held.id, "another scope is another wipe");
    assert_eq!(retire.state, State::Queued);
    let full = fixture.wipe(&bob, other.id, Scope::Full).await.unwrap();
    assert_eq!((full.id, full.state, full.requested_by.as_str()), (held.id, State::Queued, "bob"), "his word counts");
    assert_eq!(fixture.command(retire.id).await.state, State::Cancelled, "replaced, now that the full one passed");
}

pub async fn a_cancelled_full_wipe_leaves_the_device_under_the_retire(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple, Channel::Activesync]).await;
    let local = fixture.local().await;
    let retire = fixture.wipe(&local, device.id, Scope::Selective).await.unwrap();
    take(&fixture, device.id, Contact::Fresh).await.unwrap();
    let full = fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    cancel(&fixture, full.id).await;
    let record = fixture.again(device.id).await;
    assert_eq!((record.life, record.wipe, record.mail_shut), (Life::Retiring, Some(retire.id), Some(retire.id)));
    assert_eq!(settle(&fixture, device.id, retire.id, done()).await.unwrap().state, State::Confirmed);
    assert_eq!(fixture.again(device.id).await.state(), "retired");
}

pub async fn further_proof_changes_nothing_about_who_was_let_in_again(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Activesync]).await;
    let local = fixture.local().await;
    let retire = fixture.wipe(&local, device.id, Scope::Selective).await.unwrap();
    take(&fixture, device.id, Contact::Fresh).await.unwrap();
    settle(&fixture, device.id, retire.id, done()).await.unwrap();
    let id = device.id;
    let allow = move |tx: &mut Tx<'_>| access::set(tx, &local, &id.to_string(), None, life::Access::Allow, "");
    fixture.store.run(allow).await.unwrap();
    let more = Outcome::Done { kind: EvidenceKind::Checkout, detail: "CheckOut".into() };
    assert_eq!(settle(&fixture, id, retire.id, more).await.unwrap().evidence.len(), 2, "it is kept");
    let record = fixture.again(id).await;
    assert_eq!((record.state(), record.enrolments[0].state), ("enrolled", EnrolmentState::Enrolled));
}

pub async fn a_device_that_turns_personal_is_not_erased(fixture: Fixture) {
    let (device, ..) = enrolled(&fixture, Channel::Apple, ANN, claim("UDID-1")).await;
    let local = fixture.local().await;
    let full = fixture.wipe(&local, device, Scope::Full).await.unwrap();
    // An invitation is no shield: while a wipe is open nothing makes the device its user's own.
    begun(&fixture, Channel::Apple, Ownership::Personal, claim("UDID-1")).await;
    assert_eq!(fixture.command(full.id).await.state, State::Queued);
    assert_eq!(fixture.again(device).await.ownership, Ownership::Corporate);
    assert_eq!(take(&fixture, device, Contact::Fresh).await.map(|c| c.id), Some(full.id));
    let (device, ..) = enrolled(&fixture, Channel::Apple, ANN, claim("UDID-2")).await;
    // Nor does one that is begun and never finished: whoever has a link must not keep a lost phone from its wipe.
    let (enrolment, sha256) = begun(&fixture, Channel::Apple, Ownership::Personal, claim("UDID-2")).await;
    assert_eq!(fixture.again(device).await.ownership, Ownership::Corporate);
    completed(&fixture, device, enrolment, sha256).await;
    assert_eq!(code(fixture.wipe(&local, device, Scope::Full).await), "personal");
}

pub async fn what_is_begun_and_never_complete_tells_nothing_of_a_living_device(fixture: Fixture) {
    let known = life::Claim { serial: Some("C02".into()), name: Some("ward 3".into()), ..claim("UDID-1") };
    let (device, ..) = enrolled(&fixture, Channel::Apple, ANN, known).await;
    let (before, mac) = (fixture.again(device).await, Some(life::Platform::Macos));
    let said = life::Claim { serial: Some("X".into()), name: Some("x".into()), platform: mac, ..claim("UDID-1") };
    let told = said.clone();
    let (enrolment, _) = begun(&fixture, Channel::Apple, Ownership::Corporate, said).await;
    let again = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, device)?;
        enrol::tell(tx, &mut device, enrolment, told)
    };
    fixture.store.run(again).await.unwrap();
    let after = fixture.again(device).await;
    assert_eq!((&after.serial, &after.name, after.platform), (&before.serial, &before.name, before.platform));
    let found = fixture.store.run(|tx| lookup::claimants(tx, lookup::SERIAL, "C02")).await.unwrap();
    assert_eq!(found.len(), 1);
}

pub async fn a_mail_device_brings_along_what_it_was(fixture: Fixture) {
    let (enrolment, sha256) = begun(&fixture, Channel::Activesync, Ownership::Personal, claim("MAIL1")).await;
    let found = fixture.store.run(|tx| lookup::claimants(tx, "activesync", "MAIL1")).await.unwrap();
    let (mail, local) = (found[0].id, fixture.local().await);
    completed(&fixture, mail, enrolment, sha256).await;
    let wipe = fixture.wipe(&local, mail, Scope::Selective).await.unwrap().id;
    let prepare = move |tx: &mut Tx<'_>| {
        wipe::cancel(tx, &local, wipe, false)?;
        groups::create(tx, &local, "ward")?;
        groups::set(tx, &local, "ward", &mail.to_string(), true)
    };
    fixture.store.run(prepare).await.unwrap();
    let (phone, ..) = enrolled(&fixture, Channel::Apple, ANN, claim("UDID-1")).await;
    let tell = move |tx: &mut Tx<'_>| {
        let device = crate::fixture::tells_mail_id(tx, phone, "MAIL1")?;
        Ok((groups::members(tx, "ward", None, 100)?, keeper::timers::of_device(tx, &device)?))
    };
    let (members, commands) = fixture.store.run(tell).await.unwrap();
    assert_eq!(members, [phone]);
    assert_eq!(commands.iter().map(|c| c.id).collect::<BTreeSet<_>>(), BTreeSet::from([wipe]));
    let record: Device = fixture.again(phone).await;
    assert_eq!((record.ownership, record.mail_shut), (Ownership::Personal, Some(wipe)), "shut as it was");
}

pub async fn a_wiped_pcs_old_certificate_is_heard_for_its_wipe_alone(fixture: Fixture) {
    let pc = |name: &str| life::Claim { hardware_id: Some("HW-1".into()), ..claim(name) };
    let (device, _, old) = enrolled(&fixture, Channel::Omadm, ANN, pc("PC-1")).await;
    let local = fixture.local().await;
    let wipe = fixture.wipe(&local, device, Scope::Full).await.unwrap();
    take(&fixture, device, Contact::Fresh).await.unwrap();
    let accepted = Outcome::Presumed { kind: EvidenceKind::Status, detail: "200".into() };
    settle(&fixture, device, wipe.id, accepted).await.unwrap();
    assert_eq!(standing(&fixture, old).await, Standing::Good, "the wipe is only presumed: it may contradict");
    enrolled(&fixture, Channel::Omadm, ANN, pc("PC-2")).await;
    assert_eq!(fixture.again(device).await.enrolments[0].state, EnrolmentState::Former);
    let renew = move |tx: &mut Tx<'_>| {
        let certificate = certificate(tx);
        enrol::renew(tx, &old, certificate, String::new())
    };
    assert_eq!(code(fixture.store.run(renew).await), "not_good");
}

pub async fn nothing_guarded_passes_the_breaker_by(fixture: Fixture) {
    let (device, local) = (fixture.device("u1", &[Channel::Apple]).await, fixture.local().await);
    for act in [
        Act::Wipe { scope: Scope::Selective, pin: None, how: Default::default() },
        Act::Lock { pin: None, message: None, phone: None },
    ] {
        let (id, local, action) = (device.id, local.clone(), act.action());
        let ask = move |tx: &mut Tx<'_>| {
            let mut device = keeper::by_id(tx, id)?;
            queue::ask(tx, &local, &mut device, act, &able)
        };
        assert!(fixture.store.run(ask).await.is_err(), "{action:?}");
    }
    let id = device.id.to_string();
    let through = move |tx: &mut Tx<'_>| wipe::ask(tx, &local, &id, request(Scope::Full), &able);
    assert_eq!(fixture.store.run(through).await.unwrap().state, State::Queued);
}

pub async fn an_approved_retire_does_not_overtake_a_full_wipe(fixture: Fixture) {
    let (bob, device) = (fixture.second("bob").await, fixture.device("u1", &[Channel::Apple]).await);
    let eve = newcomer(&fixture, &bob, "eve").await;
    let held = fixture.wipe(&eve, device.id, Scope::Selective).await.unwrap();
    let full = fixture.wipe(&bob, device.id, Scope::Full).await.unwrap();
    let local = fixture.local().await;
    approve(&fixture, &local, held.approval.unwrap()).await.unwrap();
    assert_eq!(fixture.command(held.id).await.state, State::Cancelled);
    let record = fixture.again(device.id).await;
    assert_eq!((record.life, record.wipe, record.mail_shut), (Life::Wiping, Some(full.id), Some(full.id)));
    assert_eq!(take(&fixture, device.id, Contact::Fresh).await.map(|c| c.id), Some(full.id));
}

pub async fn whose_word_counts_says_how(fixture: Fixture) {
    let (bob, device) = (fixture.second("bob").await, fixture.device("u1", &[Channel::Apple]).await);
    let eve = newcomer(&fixture, &bob, "eve").await;
    let weeks = wipe::Request { delay: Some(720 * HOUR), pin: Some("hers".into()), ..request(Scope::Full) };
    let held = fixture.wipe_with(&eve, device.id, weeks).await.unwrap();
    let mine =
        wipe::Request { reason: "stolen".into(), pin: Some("his".into()), expires: Some(HOUR), ..request(Scope::Full) };
    let passed = fixture.wipe_with(&bob, device.id, mine).await.unwrap();
    assert_eq!((passed.id, passed.state, passed.delay), (held.id, State::Queued, 0));
    assert_eq!((passed.reason.as_str(), passed.pin().map(String::as_str)), ("stolen", Some("his")));
    assert!(passed.expires.is_some());
    let other = fixture.device("u3", &[Channel::Apple]).await;
    let how = |preserve_data_plan| Erasing { preserve_data_plan, return_to_service: true, ..Erasing::default() };
    let held = wipe::Request { how: how(true), ..request(Scope::Full) };
    let held = fixture.wipe_with(&eve, other.id, held).await.unwrap();
    let mine = || wipe::Request { how: how(false), ..request(Scope::Full) };
    let passed = fixture.wipe_with(&bob, other.id, mine()).await.unwrap();
    assert_eq!((passed.id, &passed.act), (held.id, &Act::Wipe { scope: Scope::Full, pin: None, how: how(false) }));
    let again = wipe::Request { how: how(true), ..request(Scope::Full) };
    assert_eq!(fixture.wipe_with(&bob, other.id, again).await.unwrap().act, passed.act, "the first one's word counts");
    let never = wipe::Request { delay: Some(HOUR), expires: Some(HOUR), ..request(Scope::Full) };
    let other = fixture.device("u2", &[Channel::Apple]).await;
    assert_eq!(code(fixture.wipe_with(&bob, other.id, never).await), "delay", "it could never be sent");
}

pub async fn an_unknown_mail_app_says_nothing_of_a_managed_phone(fixture: Fixture) {
    let phone = life::Claim { mail_id: Some("MAIL1".into()), ..claim("UDID-1") };
    let (device, ..) = enrolled(&fixture, Channel::Apple, ANN, phone).await;
    let adopt = move |tx: &mut Tx<'_>| {
        crate::fixture::owned_by(tx, ANN, "MAIL1", &[Channel::Activesync], Ownership::Personal)?;
        let mut device = keeper::by_id(tx, device)?;
        enrol::adopt_mail(tx, &mut device)
    };
    fixture.store.run(adopt).await.unwrap();
    let record = fixture.again(device).await;
    assert_eq!((record.enrolments.len(), record.ownership), (2, Ownership::Corporate));
}

pub async fn a_held_wipe_keeps_its_enrolment_from_being_shut_out(fixture: Fixture) {
    let bob = fixture.second("bob").await;
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let (enrolment, id) = (device.enrolments[0].id, device.id);
    let set = |access: life::Access| {
        let bob = bob.clone();
        move |tx: &mut Tx<'_>| access::set(tx, &bob, &id.to_string(), Some(enrolment), access, "")
    };
    fixture.store.run(set(life::Access::Block)).await.unwrap();
    fixture.store.run(set(life::Access::Allow)).await.unwrap();
    let eve = newcomer(&fixture, &bob, "eve").await;
    let held = fixture.wipe(&eve, device.id, Scope::Full).await.unwrap();
    assert_eq!(code(fixture.store.run(set(life::Access::Block)).await), "under_wipe");
    let local = fixture.local().await;
    approve(&fixture, &local, held.approval.unwrap()).await.unwrap();
    fixture.store.run(set(life::Access::Allow)).await.unwrap();
    assert!(!mail_is_open(&fixture, device.id).await, "to let the phone in is not to let mail in");
}

pub async fn a_sent_full_wipe_goes_on_by_mail_though_a_personal_enrolment_began(fixture: Fixture) {
    let phone = life::Claim { mail_id: Some("MAIL1".into()), ..claim("UDID-1") };
    let (device, old, _) = enrolled(&fixture, Channel::Apple, ANN, phone).await;
    enrolled(&fixture, Channel::Activesync, ANN, claim("MAIL1")).await;
    let local = fixture.local().await;
    let full = fixture.wipe(&local, device, Scope::Full).await.unwrap();
    take(&fixture, device, Contact::Fresh).await.unwrap();
    begun(&fixture, Channel::Apple, Ownership::Personal, claim("UDID-1")).await;
    let leave = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, device)?;
        crate::fixture::left(tx, &mut device, old)
    };
    fixture.store.run(leave).await.unwrap();
    let goes_on = fixture.command(full.id).await;
    assert_eq!((goes_on.state, goes_on.channel), (State::Queued, Channel::Activesync));
}

pub async fn mail_is_shut_by_the_wipe_that_ended_it(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Activesync]).await;
    let local = fixture.local().await;
    let account = fixture.wipe(&local, device.id, Scope::Selective).await.unwrap();
    take(&fixture, device.id, Contact::Fresh).await.unwrap();
    let full = fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    settle(&fixture, device.id, account.id, done()).await.unwrap();
    assert_eq!(fixture.command(full.id).await.state, State::Failed, "the device was retired");
    assert_eq!(fixture.again(device.id).await.mail_shut, Some(account.id), "and not by one that came to nothing");
}

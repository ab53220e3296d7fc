//! A fleet changes hands: records that are removed and come back, whose a device is, and to whom a shared one is given.

use super::*;
use crate::fixture::{left, reads_and_approves};
use lanyard::fleet::{
    enrol::many::{self, Which},
    life::{Access, Event as Happens, MAIL_AGENT, MAIL_TYPE},
    owners::{self, Set},
};

fn removes(actor: &Actor, device: DeviceId) -> impl FnOnce(&mut Tx<'_>) -> Result<Device> + Clone + Send + use<> {
    let actor = actor.clone();
    move |tx| owners::remove(tx, &actor, &device.to_string())
}

fn sets(
    actor: &Actor,
    device: DeviceId,
    to: Ownership,
) -> impl FnOnce(&mut Tx<'_>) -> Result<Option<Approval>> + Clone + Send + use<> {
    let actor = actor.clone();
    move |tx| {
        Ok(match owners::own(tx, &actor, &device.to_string(), to)? {
            Set::Done(_) => None,
            Set::Waits(approval) => Some(*approval),
        })
    }
}

/// A wipe is asked for, handed out and answered.
async fn ended(fixture: &Fixture, id: DeviceId, scope: Scope, outcome: Outcome) -> CommandId {
    let local = fixture.local().await;
    let command = fixture.wipe(&local, id, scope).await.unwrap().id;
    take(fixture, id, Contact::Fresh).await.unwrap();
    settle(fixture, id, command, outcome).await.unwrap();
    command
}

pub async fn what_has_ended_and_was_proved_is_removed_and_nothing_else(fixture: Fixture) {
    let local = fixture.local().await;
    let remove = async |id: DeviceId| fixture.store.run(removes(&local, id)).await;
    let living = fixture.device("living", &[Channel::Apple]).await.id;
    assert_eq!(code(remove(living).await), "not_ended");

    let revoked = fixture.device("revoked", &[Channel::Apple]).await.id;
    fixture.store.run(move |tx| enrol::revoke(tx, "local", revoked, None, "lost")).await.unwrap();
    assert_eq!(code(remove(revoked).await), "not_proved");

    let presumed = fixture.device("presumed", &[Channel::Omadm]).await.id;
    let accepted = Outcome::Presumed { kind: EvidenceKind::Status, detail: "accepted".into() };
    ended(&fixture, presumed, Scope::Full, accepted).await;
    assert_eq!(code(remove(presumed).await), "presumed");

    let gone = fixture.device("gone", &[Channel::Apple]).await.id;
    let leave = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, gone)?;
        let enrolment = device.enrolments[0].id;
        left(tx, &mut device, enrolment)
    };
    fixture.store.run(leave).await.unwrap();
    assert!(remove(gone).await.is_ok(), "it said so itself");

    let device = fixture.device("retired", &[Channel::Apple]).await;
    let (id, sha256) = (device.id, fixture.credential(&device).await);
    let in_group = {
        let local = local.clone();
        move |tx: &mut Tx<'_>| {
            groups::create(tx, &local, "ward 3")?;
            groups::set(tx, &local, "ward 3", &id.to_string(), true)
        }
    };
    fixture.store.run(in_group).await.unwrap();
    let retire = ended(&fixture, id, Scope::Selective, done()).await;
    remove(id).await.unwrap();
    remove(id).await.expect("asked for again it is so");
    assert_eq!(fixture.store.run(|tx| groups::size(tx, "ward 3")).await.unwrap(), 0);
    for name in [id.to_string(), "Sretired".into()] {
        assert_eq!(code(fixture.store.run(move |tx| lookup::device(tx, &name)).await), "device");
    }
    let kept = fixture.store.run(move |tx| lookup::ever(tx, &id.to_string())).await.unwrap();
    assert_eq!(kept.wipe, Some(retire), "by its id it is still found, with what it did");
    assert_eq!(fixture.command(retire).await.evidence.len(), 1);

    // It is heard again: refused as before, and seen.
    let heard = move |tx: &mut Tx<'_>| {
        let (standing, credential, _) = identity::judge(tx, &sha256)?;
        identity::note_refusal(tx, &credential.unwrap(), standing.into())
    };
    fixture.pass(HOUR);
    fixture.store.run(heard).await.unwrap();
    assert_eq!(fixture.store.run(|tx| lookup::device(tx, "Sretired")).await.unwrap().id, id);
    remove(id).await.unwrap();
    fixture.store.run(heard).await.unwrap();
    assert!(fixture.again(id).await.removed.is_none(), "at once, however lately its refusal was noted");
}

pub async fn a_removed_device_that_enrols_anew_is_its_record_again(fixture: Fixture) {
    let (id, ..) = enrolled(&fixture, Channel::Apple, "nurse", claim("UDID")).await;
    ended(&fixture, id, Scope::Selective, done()).await;
    let local = fixture.local().await;
    fixture.store.run(removes(&local, id)).await.unwrap();
    let (again, ..) = enrolled(&fixture, Channel::Apple, "nurse", claim("UDID")).await;
    assert_eq!(again, id);
    assert_eq!(fixture.store.run(|tx| lookup::device(tx, "UDID")).await.unwrap().state(), "enrolled");
}

pub async fn to_remove_is_guarded_like_a_retire(fixture: Fixture) {
    let first = fixture.device("first", &[Channel::Apple]).await.id;
    ended(&fixture, first, Scope::Selective, done()).await;
    let newcomer = fixture.second("bob").await;
    assert_eq!(code(fixture.store.run(removes(&newcomer, first)).await), "held", "a newcomer counts for nothing");
    let local = fixture.local().await;
    let stop = {
        let local = local.clone();
        move |tx: &mut Tx<'_>| stop::set(tx, &local, false)
    };
    fixture.store.run(stop).await.unwrap();
    assert_eq!(code(fixture.store.run(removes(&local, first)).await), "held", "under the stop nothing guarded is done");
}

pub async fn a_users_own_device_becomes_the_organisations_with_a_second_person(fixture: Fixture) {
    let second = fixture.second("bob").await;
    let local = fixture.local().await;
    let id = fixture.device("phone", &[Channel::Apple]).await.id;
    assert!(fixture.store.run(sets(&local, id, Ownership::Personal)).await.unwrap().is_none(), "at once");
    assert_eq!(code(fixture.wipe(&local, id, Scope::Full).await), "personal");
    let asked = fixture.store.run(sets(&local, id, Ownership::Corporate)).await.unwrap().unwrap();
    assert_eq!((asked.subject.as_str(), asked.stage), ("device.ownership", approvals::Stage::Waiting));
    let twice = fixture.store.run(sets(&local, id, Ownership::Corporate)).await.unwrap().unwrap();
    assert_eq!(twice.id, asked.id);
    assert_eq!(fixture.again(id).await.ownership, Ownership::Personal, "nothing is changed yet");
    let own = {
        let local = local.clone();
        move |tx: &mut Tx<'_>| reads_and_approves(tx, &local, asked.id)
    };
    assert_eq!(code(fixture.store.run(own).await), "own_request");
    fixture.store.run(move |tx| reads_and_approves(tx, &second, asked.id)).await.unwrap();
    assert_eq!(fixture.again(id).await.ownership, Ownership::Corporate);

    // A wipe that is open is not undone so.
    let wipe = fixture.wipe(&local, id, Scope::Full).await.unwrap();
    assert_eq!(code(fixture.store.run(sets(&local, id, Ownership::Personal)).await), "under_wipe");
    let cancel = {
        let local = local.clone();
        move |tx: &mut Tx<'_>| wipe::cancel(tx, &local, wipe.id, true)
    };
    fixture.store.run(cancel).await.unwrap();
    fixture.store.run(sets(&local, id, Ownership::Personal)).await.unwrap();
    let newcomer = fixture.second("eve").await;
    let other = fixture.device("other", &[Channel::Apple]).await.id;
    assert_eq!(code(fixture.store.run(sets(&newcomer, other, Ownership::Personal)).await), "newcomer");
}

pub async fn what_is_asked_of_an_ownership_lapses_when_that_is_said_anew(fixture: Fixture) {
    let second = fixture.second("bob").await;
    let local = fixture.local().await;
    let id = fixture.device("phone", &[Channel::Apple]).await.id;
    let flip = async |to| fixture.store.run(sets(&local, id, to)).await.unwrap();
    flip(Ownership::Personal).await;
    let asked = flip(Ownership::Corporate).await.unwrap();
    {
        let second = second.clone();
        fixture.store.run(move |tx| reads_and_approves(tx, &second, asked.id)).await.unwrap();
    }
    flip(Ownership::Personal).await;
    let again = flip(Ownership::Corporate).await.unwrap();
    assert_ne!(again.id, asked.id, "the first was decided");
    assert_eq!(fixture.again(id).await.ownership, Ownership::Personal);
}

pub async fn a_device_that_somebody_was_invited_for_is_given_to_nobody_else(fixture: Fixture) {
    let (id, ..) = enrolled(&fixture, Channel::Apple, "nurse", claim("UDID")).await;
    let local = fixture.local().await;
    let give = move |tx: &mut Tx<'_>| owners::give(tx, &local, &id.to_string(), "eve");
    assert_eq!(code(fixture.store.run(give).await), "not_shared");
    let happens = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, id)?;
        crate::fixture::happen(tx, &mut device, Happens::Back)
    };
    fixture.store.run(happens).await.expect("what was not removed is not brought back");
}

pub async fn mail_clients_are_let_in_by_what_they_call_themselves(fixture: Fixture) {
    let (local, mut clients) = (fixture.local().await, Vec::new());
    for (name, kind, agent) in [
        ("one", "iPhone", "Apple-iPhone15C2/2107.98"),
        ("two", "iPhone", "Outlook-iOS/2.0"),
        ("three", "Android", "Android-Mail/2026"),
        ("four", "iPhone", "Apple-iPhone12C1/2001.1"),
    ] {
        let id = fixture.device(name, &[Channel::Activesync]).await.id;
        let notes = move |tx: &mut Tx<'_>| {
            let mut device = keeper::by_id(tx, id)?;
            let enrolment = device.enrolments[0].id;
            for (name, value) in [(MAIL_TYPE, kind), (MAIL_AGENT, agent)] {
                let value = Some(value.to_string());
                crate::fixture::happen(tx, &mut device, Happens::Noted { enrolment, name, value })?;
            }
            Ok(())
        };
        fixture.store.run(notes).await.unwrap();
        clients.push(id);
    }
    // A phone that another channel manages: only its mail is meant, and it has none.
    fixture.device("managed", &[Channel::Apple]).await;
    let page = async |conditions: &[&str], access: Option<Access>, after: Option<DeviceId>, limit| {
        let conditions: Vec<String> = conditions.iter().map(ToString::to_string).collect();
        let (local, after) = (local.clone(), after.map(|id| id.to_string()));
        let asked = move |tx: &mut Tx<'_>| {
            let which = Which::parse(&conditions)?;
            many::page(tx, &local, &which, access.map(|access| (access, "bulk")), (after.as_deref(), limit))
        };
        fixture.store.run(asked).await.unwrap()
    };
    let ids = |page: &many::Page| page.devices.iter().map(|device| device.id).collect::<Vec<_>>();
    let apple = ["type=iphone", "agent=apple-iphone*"];
    let shown = page(&apple, None, None, 100).await;
    assert_eq!((ids(&shown), shown.next.is_none()), (vec![clients[0], clients[3]], true));
    assert_eq!(fixture.again(clients[0]).await.state(), "enrolled", "without a word nothing is changed");
    // One that is under a wipe keeps its door; the others are shut out all the same.
    fixture.wipe(&local, clients[3], Scope::Selective).await.unwrap();
    let first = page(&apple, Some(Access::Block), None, 2).await;
    assert_eq!((ids(&first), first.refused.len()), (vec![clients[0]], 0));
    let next: DeviceId = first.next.unwrap().parse().unwrap();
    let second = page(&apple, Some(Access::Block), Some(next), 100).await;
    assert_eq!(ids(&second), [clients[3]]);
    assert_eq!(fixture.again(clients[0]).await.state(), "blocked");
    assert_eq!(fixture.again(clients[1]).await.state(), "enrolled", "another agent");
    let allowed = page(&["state=blocked"], Some(Access::Allow), None, 100).await;
    assert_eq!(ids(&allowed)[0], clients[0]);
    assert_eq!(fixture.again(clients[0]).await.state(), "enrolled");
    let refused = page(&apple, Some(Access::Allow), None, 100).await.refused;
    assert!(
        matches!(&refused[..], [(id, Error::Refused { code: "under_wipe", .. })] if *id == clients[3]),
        "{refused:?}"
    );
}

pub async fn who_leaves_unasked_is_told_of_and_who_was_retired_is_not(fixture: Fixture) {
    let hook = |tx: &mut Tx<'_>| {
        let local = admins::authenticate(tx, SECRET, true)?.unwrap();
        settings::set(tx, &local, "notify.webhook", "https://example.org/hook").map(drop)
    };
    fixture.store.run(hook).await.unwrap();
    let leaves = async |id: DeviceId| {
        let leave = move |tx: &mut Tx<'_>| {
            let mut device = keeper::by_id(tx, id)?;
            let enrolment = device.enrolments[0].id;
            left(tx, &mut device, enrolment)
        };
        fixture.store.run(leave).await.unwrap();
        let take = |tx: &mut Tx<'_>| Ok(notices::take(tx, 100)?.map(|(_, notices)| notices).unwrap_or_default());
        let told: Vec<Notice> = fixture.store.run(take).await.unwrap();
        told.into_iter().filter(|notice| notice.event == "device.left").map(|notice| notice.subject).collect::<Vec<_>>()
    };
    let user = fixture.device("user", &[Channel::Apple]).await.id;
    assert_eq!(leaves(user).await, [user.to_string()]);
    assert!(leaves(user).await.is_empty(), "a repeat tells nothing new");
    let (local, retired) = (fixture.local().await, fixture.device("retired", &[Channel::Apple]).await.id);
    fixture.wipe(&local, retired, Scope::Selective).await.unwrap();
    take(&fixture, retired, Contact::Fresh).await.unwrap();
    assert!(leaves(retired).await.is_empty(), "its CheckOut answers the retire");
}

pub async fn a_users_own_device_keeps_its_passcode(fixture: Fixture) {
    let local = fixture.local().await;
    let id = fixture.device("phone", &[Channel::Apple]).await.id;
    fixture.store.run(sets(&local, id, Ownership::Personal)).await.unwrap();
    let clear = move |tx: &mut Tx<'_>| wipe::ask_clear_passcode(tx, &local, &id.to_string(), &able);
    assert_eq!(code(fixture.store.run(clear).await), "personal");
}

pub async fn a_locked_screen_says_what_it_was_asked_to_where_that_is_shown(fixture: Fixture) {
    let screen =
        || wipe::Screen { message: Some("Call us".into()), phone: Some("+44 20".into()), ..Default::default() };
    let lock = async |id: DeviceId, screen: wipe::Screen| {
        let local = fixture.local().await;
        let asked = move |tx: &mut Tx<'_>| wipe::ask_lock(tx, &local, &id.to_string(), "lost", screen, &able);
        fixture.store.run(asked).await
    };
    let phone = fixture.device("phone", &[Channel::Apple]).await.id;
    let command = lock(phone, screen()).await.unwrap().id;
    let kept = Act::Lock { pin: None, message: Some("Call us".into()), phone: Some("+44 20".into()) };
    assert_eq!(fixture.command(command).await.act, kept, "as it lies in the store");
    let pc = fixture.device("pc", &[Channel::Omadm]).await.id;
    assert_eq!(code(lock(pc, screen()).await), "unsupported");
    assert!(lock(pc, wipe::Screen::default()).await.is_ok());
}

pub async fn who_approves_what_is_no_more_is_told_so_and_it_ends(fixture: Fixture) {
    let (local, second) = (fixture.local().await, fixture.second("ann").await);
    let mine = |tx: &mut Tx<'_>| crate::fixture::device(tx, "u1", &[Channel::Apple], Ownership::Personal);
    let device = fixture.store.run(mine).await.unwrap();
    let id = device.id;
    let ask = move |tx: &mut Tx<'_>| match owners::own(tx, &local, &id.to_string(), Ownership::Corporate)? {
        owners::Set::Waits(approval) => Ok(approval.id),
        owners::Set::Done(_) => panic!("without a second person"),
    };
    let approval = fixture.store.run(ask).await.unwrap();
    let approve = move |tx: &mut Tx<'_>| {
        tx.delete(&device)?;
        crate::fixture::reads_and_approves(tx, &second, approval)
    };
    let decided = fixture.store.run(approve).await.unwrap();
    assert_eq!(decided.stage, wipe::approvals::Stage::Rejected);
    assert!(decided.detail.ends_with("; nothing was done: the device's record is no more"), "{}", decided.detail);
    assert_eq!(fixture.store.run(approvals::open).await.unwrap().len(), 0);
}

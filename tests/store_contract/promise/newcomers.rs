//! Promises about who is new here: they hold nothing back and take nothing over.

use crate::{
    fixture::{Fixture, SECRET, able},
    promise::{claim, code, done, enrolled, spend, take},
};
use lanyard::{
    channel::apple::push_cert,
    error::Result,
    fleet::{
        actor::Actor,
        admins::{self},
        audit::Entry,
        enrol::{self, invitation, under_way},
        life::{Channel, Contact, Ownership, Scope, State},
        queue,
        registry::Credential,
        settings,
        wipe::{self, approvals, stop},
    },
    store::Tx,
};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const ANN: &str = "ann@example.org";

/// Two who count, and one who is new.
async fn people(fixture: &Fixture) -> [Actor; 3] {
    let (ann, bob) = (fixture.second("ann").await, fixture.second("bob").await);
    fixture.device("first", &[Channel::Apple]).await;
    let eve = fixture.second("eve").await;
    assert!(ann.newcomer_until.is_none() && eve.newcomer_until.is_some());
    [ann, bob, eve]
}

pub async fn a_newcomer_cancels_and_rejects_their_own_alone(fixture: Fixture) {
    let [ann, bob, eve] = people(&fixture).await;
    let (one, two) =
        (fixture.device("u1", &[Channel::Apple]).await.id, fixture.device("u2", &[Channel::Apple]).await.id);
    let anns =
        fixture.wipe_with(&ann, one, wipe::Request { delay: Some(HOUR), ..crate::fixture::request(Scope::Full) });
    let anns = anns.await.unwrap();
    let eves = fixture.wipe(&eve, two, Scope::Selective).await.unwrap();
    let cancel = |who: &Actor, id| {
        let who = who.clone();
        fixture.store.run(move |tx| wipe::cancel(tx, &who, id, true).map(|c| c.state))
    };
    assert_eq!(code(cancel(&eve, anns.id).await), "newcomer");
    assert_eq!(fixture.command(anns.id).await.state, State::Held);
    // What bob's limit held back is not hers to end either.
    let bobs = {
        let bob = bob.clone();
        let limit = move |tx: &mut Tx<'_>| settings::set(tx, &bob, "wipe.other.per_admin", "0").map(drop);
        fixture.store.run(limit).await.unwrap();
        let device = fixture.device("u3", &[Channel::Apple]).await.id;
        fixture.wipe(&ann, device, Scope::Selective).await.unwrap().approval.unwrap()
    };
    let reject = |who: &Actor, id| {
        let who = who.clone();
        fixture.store.run(move |tx| approvals::reject(tx, &who, id).map(|a| a.stage))
    };
    assert_eq!(code(reject(&eve, bobs).await), "newcomer");
    reject(&eve, eves.approval.unwrap()).await.unwrap();
    assert_eq!(fixture.command(eves.id).await.state, State::Cancelled, "her own");
    assert_eq!(cancel(&bob, anns.id).await.unwrap(), State::Cancelled, "and who counts may");
}

pub async fn a_newcomers_stop_is_lifted_by_one_who_counts(fixture: Fixture) {
    let [ann, _, eve] = people(&fixture).await;
    let device = fixture.device("u1", &[Channel::Apple]).await.id;
    let wipe = fixture.wipe(&ann, device, Scope::Full).await.unwrap();
    let set = |who: &Actor, all| {
        let who = who.clone();
        fixture.store.run(move |tx| stop::set(tx, &who, all).map(|(_, cancelled)| cancelled))
    };
    assert_eq!(set(&eve, true).await.unwrap(), 0, "the stop is anyone's, others' wipes are not");
    assert_eq!(fixture.command(wipe.id).await.state, State::Queued);
    let off = |who: &Actor| {
        let who = who.clone();
        fixture.store.run(move |tx| stop::ask_off(tx, &who).map(|a| a.stage))
    };
    assert_eq!(off(&eve).await.unwrap(), approvals::Stage::Waiting);
    assert!(fixture.store.run(stop::is_on).await.unwrap());
    assert_eq!(off(&ann).await.unwrap(), approvals::Stage::Approved, "one person");
    assert!(!fixture.store.run(stop::is_on).await.unwrap());
    // One that somebody who counts has set as well is theirs.
    set(&eve, false).await.unwrap();
    set(&ann, false).await.unwrap();
    assert_eq!(off(&ann).await.unwrap(), approvals::Stage::Waiting);
    assert!(fixture.store.run(stop::is_on).await.unwrap());
}

pub async fn what_a_newcomer_tightened_is_set_back_at_once(fixture: Fixture) {
    let [ann, _, eve] = people(&fixture).await;
    let set = |who: &Actor, key: &'static str, value: &'static str| {
        let who = who.clone();
        fixture.store.run(move |tx| settings::set(tx, &who, key, value))
    };
    for (key, was, tight, tighter) in [
        ("wipe.full.per_admin", "10", "5", "0"),
        ("wipe.newcomer", "24h", "2d", "7d"),
        ("wipe.delay", "0s", "1d", "30d"),
        ("windows.poll", "60m", "30m", "1m"),
    ] {
        assert_eq!(set(&eve, key, tight).await.unwrap().value, tight, "{key}: it counts at once");
        assert_eq!(set(&eve, key, tighter).await.unwrap().value, tighter, "{key}");
        let back = set(&ann, key, was).await.unwrap();
        assert_eq!((back.value.as_str(), back.pending), (was, None), "{key}");
    }
    // What was tightened by who counts waits to be loosened, by them too.
    set(&ann, "wipe.full.per_admin", "5").await.unwrap();
    let looser = set(&ann, "wipe.full.per_admin", "10").await.unwrap();
    assert_eq!((looser.value.as_str(), looser.pending.as_deref()), ("5", Some("10")));
    let beyond =
        set(&eve, "wipe.full.per_tenant", "1").await.and(set(&ann, "wipe.full.per_tenant", "21").await).unwrap();
    assert_eq!((beyond.value.as_str(), beyond.pending.as_deref()), ("1", Some("21")), "looser than it was waits");
}

pub async fn a_newcomers_invitation_joins_no_device(fixture: Fixture) {
    let (phone, ..) = enrolled(&fixture, Channel::Apple, ANN, claim("UDID-1")).await;
    let local = fixture.local().await;
    let eve = fixture.second("eve").await;
    assert!(eve.newcomer_until.is_some());
    let wipe = fixture.wipe(&local, phone, Scope::Full).await.unwrap().id;
    let claims = move |tx: &mut Tx<'_>| {
        let made = invitation::create(tx, &eve, Channel::Apple, ANN, Ownership::Personal, None)?;
        let sha256 = spend(tx, made.invitation.id, "key")?.certificate.sha256;
        let (mut device, enrolment) = enrol::bind(tx, &sha256, &claim("UDID-1"))?;
        enrol::complete(tx, &mut device, enrolment, &sha256)?;
        Ok(device.id)
    };
    let script = fixture.store.run(claims).await.unwrap();
    assert_ne!(script, phone, "a record of its own");
    let record = fixture.again(phone).await;
    assert_eq!((record.ownership, record.enrolments.len()), (Ownership::Corporate, 1));
    assert_eq!(take(&fixture, phone, Contact::Fresh).await.map(|c| c.id), Some(wipe));
    assert_eq!(take(&fixture, script, Contact::Fresh).await.map(|c| c.id), None);
    let settled = move |tx: &mut Tx<'_>| {
        let mut device = lanyard::fleet::keeper::by_id(tx, script)?;
        let enrolment = device.enrolments[0].id;
        queue::settle(tx, &mut device, enrolment, wipe, done())
    };
    assert!(fixture.store.run(settled).await.unwrap().is_none(), "it is no command of its own");
    assert_eq!(fixture.command(wipe).await.state, State::Sent);
}

pub async fn a_newcomers_phone_adopts_no_mail_that_is_there(fixture: Fixture) {
    let (mail, ..) = enrolled(&fixture, Channel::Activesync, ANN, claim("MAIL-1")).await;
    let eve = fixture.second("eve").await;
    let claims = move |tx: &mut Tx<'_>| {
        let made = invitation::create(tx, &eve, Channel::Apple, ANN, Ownership::Corporate, None)?;
        let sha256 = spend(tx, made.invitation.id, "key")?.certificate.sha256;
        let (mut device, enrolment) = enrol::bind(tx, &sha256, &claim("UDID-1"))?;
        enrol::complete(tx, &mut device, enrolment, &sha256)?;
        crate::fixture::tells_mail_id(tx, device.id, "MAIL-1").map(|device| device.enrolments.len())
    };
    assert_eq!(fixture.store.run(claims).await.unwrap(), 1);
    assert_eq!(fixture.again(mail).await.enrolments.len(), 1, "it is a record of its own still");
}

pub async fn a_passcode_is_cleared_under_the_same_guard_as_a_lock(fixture: Fixture) {
    let [ann, _, eve] = people(&fixture).await;
    let device = fixture.device("u1", &[Channel::Apple]).await.id;
    let clear = |who: &Actor| {
        let who = who.clone();
        fixture.store.run(move |tx| wipe::ask_clear_passcode(tx, &who, &device.to_string(), &able))
    };
    assert_eq!(clear(&eve).await.unwrap().state, State::Held);
    assert_eq!(clear(&ann).await.unwrap().state, State::Queued);
    let who = ann.clone();
    fixture.store.run(move |tx| stop::set(tx, &who, false)).await.unwrap();
    assert_eq!(
        take(&fixture, device, Contact::Fresh).await.map(|c| c.id),
        None,
        "under the stop nothing guarded leaves"
    );
}

pub async fn a_newcomer_sets_no_other_push_certificate(fixture: Fixture) {
    let [ann, _, eve] = people(&fixture).await;
    let set = |who: &Actor| {
        let who = who.clone();
        let kept = move |tx: &mut Tx<'_>| -> Result<()> {
            let topic = push_cert::topic(tx)?;
            let (not_before, not_after) = (tx.now(), tx.now().plus(HOUR));
            let (sha256, sealed) = (String::new(), String::new());
            let kept = push_cert::Kept { topic, sha256, not_before, not_after, set: tx.now(), sealed };
            push_cert::set(tx, &who, kept).map(drop)
        };
        fixture.store.run(kept)
    };
    set(&ann).await.unwrap();
    assert_eq!(code(set(&eve).await), "newcomer");
    set(&ann).await.unwrap();
    assert!(fixture.store.run(|tx| admins::authenticate(tx, SECRET, true)).await.unwrap().is_some());
}

pub async fn a_newcomer_has_no_fewer_connections_served_and_changes_nothing_that_waits(fixture: Fixture) {
    let [ann, _, eve] = people(&fixture).await;
    let set = async |who: &Actor, key: &'static str, value: &'static str| {
        let who = who.clone();
        fixture.store.run(move |tx| settings::set(tx, &who, key, value)).await
    };
    let connections = "limit.connections_per_address";
    for fewer in ["1", "999"] {
        assert_eq!(code(set(&eve, connections, fewer).await), "newcomer", "{fewer}");
    }
    set(&eve, connections, "2000").await.unwrap();
    set(&eve, connections, "0").await.unwrap();
    assert_eq!(code(set(&eve, connections, "5000").await), "newcomer", "0 is no limit");
    set(&ann, connections, "500").await.unwrap();
    let waits = set(&ann, "wipe.grace", "1h").await.unwrap();
    for value in ["1h", "15m", "2h"] {
        assert_eq!(code(set(&eve, "wipe.grace", value).await), "newcomer", "{value}");
    }
    let now = fixture.store.run(|tx| settings::show(tx, "wipe.grace")).await.unwrap();
    assert_eq!((now.pending.as_deref(), waits.pending.as_deref()), (Some("1h"), Some("1h")));
}

pub async fn nobody_has_a_name_that_cannot_be_seen(fixture: Fixture) {
    let local = fixture.local().await;
    for name in ["\u{202e}ecilA", "Ali\u{200b}ce", "Al\u{ad}ice", "Ali\nce", "\u{feff}Alice\u{2066}"] {
        let (who, name) = (local.clone(), name.to_string());
        let made = fixture.store.run(move |tx| {
            assert!(invitation::user_name(&name).is_err(), "{name:?}");
            admins::add(tx, &who, &name)
        });
        assert_eq!(code(made.await), "name");
    }
    for name in ["Zoë", "王芳", "محمد", "O’Brien-Smith"] {
        let (who, name) = (local.clone(), name.to_string());
        fixture.store.run(move |tx| admins::add(tx, &who, &name)).await.unwrap();
    }
}

pub async fn a_revoked_invitation_enrols_nobody(fixture: Fixture) {
    let [ann, _, eve] = people(&fixture).await;
    let (local, who) = (fixture.local().await, ann);
    let make = move |tx: &mut Tx<'_>| {
        let mut made = Vec::new();
        for _ in ["open", "spent, and not enrolled with", "enrolled with"] {
            made.push(invitation::create(tx, &local, Channel::Apple, ANN, Ownership::Corporate, None)?);
        }
        let [unused, used] = [1, 2].map(|at: usize| spend(tx, made[at].invitation.id, "key").unwrap());
        let (mut device, enrolment) = enrol::bind(tx, &used.certificate.sha256, &claim("UDID-7"))?;
        enrol::complete(tx, &mut device, enrolment, &used.certificate.sha256)?;
        Ok((made, unused.certificate.sha256, used.certificate.sha256))
    };
    let (made, unused, used) = fixture.store.run(make).await.unwrap();
    let ids: Vec<_> = made.iter().map(|made| made.invitation.id).collect();
    let id = ids[0];
    assert_eq!(code(fixture.store.run(move |tx| under_way::revoke(tx, &eve, id)).await), "newcomer");
    for id in ids.iter().copied().chain([ids[0]]) {
        let who = who.clone();
        let revoked = fixture.store.run(move |tx| under_way::revoke(tx, &who, id)).await.unwrap();
        assert!(revoked.revoked, "twice is once");
    }
    let again = move |tx: &mut Tx<'_>| {
        for id in ids {
            assert_eq!(code(spend(tx, id, "key")), "invitation_revoked", "by the same key too");
        }
        for made in &made {
            assert!(invitation::by_code(tx, &made.code, Channel::Apple, Some(ANN), None).is_err());
        }
        let of = |tx: &mut Tx<'_>, sha256| tx.get::<Credential>(sha256).map(|c| c.unwrap().revoked.is_some());
        assert_eq!((of(tx, unused)?, of(tx, used)?), (true, false), "what has enrolled stays");
        Ok(())
    };
    fixture.store.once(again).await.unwrap();
    let entries = fixture.store.run(|tx| Ok(tx.all::<Entry>("")?)).await.unwrap();
    assert_eq!(entries.iter().filter(|entry| entry.action == "invitation.revoked").count(), 3);
}

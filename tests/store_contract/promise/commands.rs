//! Commands: their order, their answers and their ends.

use super::*;

pub async fn a_wipe_overtakes_the_queue(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let first = ask(&fixture, device.id, Act::Refresh).await;
    let sent = take(&fixture, device.id, Contact::Fresh).await.unwrap();
    assert_eq!(sent.id, first.id);
    ask(&fixture, device.id, Act::Restart).await;
    let local = fixture.local().await;
    let wipe = fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    assert_eq!(take(&fixture, device.id, Contact::Fresh).await.unwrap().id, wipe.id);
    settle(&fixture, device.id, wipe.id, done()).await;
    assert_eq!(
        take(&fixture, device.id, Contact::Continued).await.map(|c| c.id),
        None,
        "a wiped device gets nothing else"
    );
    assert_eq!(fixture.again(device.id).await.life, Life::Wiped);
    assert_eq!(fixture.command(first.id).await.state, State::Cancelled);
}

pub async fn a_wipe_asked_for_again_answers_the_first(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    let first = fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    for scope in [Scope::Full, Scope::Selective] {
        assert_eq!(fixture.wipe(&local, device.id, scope).await.unwrap().id, first.id);
    }
    take(&fixture, device.id, Contact::Fresh).await.unwrap();
    settle(&fixture, device.id, first.id, done()).await;
    assert_eq!(fixture.wipe(&local, device.id, Scope::Full).await.unwrap().id, first.id, "ended ones too");
}

pub async fn a_repeated_answer_changes_nothing(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    let wipe = fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    take(&fixture, device.id, Contact::Fresh).await.unwrap();
    let once = settle(&fixture, device.id, wipe.id, done()).await.unwrap();
    assert_eq!((once.state, once.evidence.len()), (State::Confirmed, 1));
    for outcome in [done(), failed(), Outcome::NotNow, Outcome::Step] {
        let again = settle(&fixture, device.id, wipe.id, outcome).await.unwrap();
        assert_eq!((again.state, again.evidence.len(), again.finished), (State::Confirmed, 1, once.finished));
    }
}

pub async fn evidence_beats_every_end(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    let wipe = fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    take(&fixture, device.id, Contact::Fresh).await.unwrap();
    assert_eq!(settle(&fixture, device.id, wipe.id, failed()).await.unwrap().state, State::Failed);
    let late = settle(&fixture, device.id, wipe.id, done()).await.unwrap();
    assert_eq!((late.state, &late.error), (State::Confirmed, &None));
    assert_eq!(fixture.again(device.id).await.life, Life::Wiped);
}

pub async fn an_answer_never_asked_for_ends_nothing(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let other = fixture.device("u2", &[Channel::Apple]).await;
    let local = fixture.local().await;
    let wipe = fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    assert_eq!(settle(&fixture, device.id, wipe.id, done()).await.map(|c| c.id), None, "it has not been sent");
    take(&fixture, device.id, Contact::Fresh).await.unwrap();
    assert_eq!(settle(&fixture, other.id, wipe.id, done()).await.map(|c| c.id), None, "another device's command");
    assert_eq!(fixture.command(wipe.id).await.state, State::Sent);
}

pub async fn a_command_is_repeated_until_it_is_answered(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let sync = ask(&fixture, device.id, Act::Refresh).await;
    ask(&fixture, device.id, Act::Restart).await;
    for _ in 0..2 {
        assert_eq!(take(&fixture, device.id, Contact::Fresh).await.unwrap().id, sync.id);
    }
    settle(&fixture, device.id, sync.id, done()).await;
    assert_ne!(take(&fixture, device.id, Contact::Continued).await.unwrap().id, sync.id);
}

pub async fn what_was_put_off_is_asked_again_in_the_next_session(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let sync = ask(&fixture, device.id, Act::Refresh).await;
    take(&fixture, device.id, Contact::Fresh).await.unwrap();
    settle(&fixture, device.id, sync.id, Outcome::NotNow).await;
    assert_eq!(take(&fixture, device.id, Contact::Continued).await.map(|c| c.id), None, "else the session never ends");
    assert_eq!(take(&fixture, device.id, Contact::Fresh).await.unwrap().id, sync.id);
}

pub async fn a_full_wipe_replaces_a_selective_one_that_has_not_left(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    let selective = fixture.wipe(&local, device.id, Scope::Selective).await.unwrap();
    let full = fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    assert_eq!(fixture.command(selective.id).await.state, State::Cancelled);
    assert_eq!(take(&fixture, device.id, Contact::Fresh).await.unwrap().id, full.id);

    let device = fixture.device("u2", &[Channel::Apple]).await;
    let selective = fixture.wipe(&local, device.id, Scope::Selective).await.unwrap();
    take(&fixture, device.id, Contact::Fresh).await.unwrap();
    let full = fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    assert_eq!(take(&fixture, device.id, Contact::Fresh).await.unwrap().id, selective.id, "it follows one that has");
    settle(&fixture, device.id, selective.id, failed()).await;
    assert_eq!(take(&fixture, device.id, Contact::Continued).await.unwrap().id, full.id);
}

pub async fn a_cancel_that_comes_too_late_says_so(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    let wipe = fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    take(&fixture, device.id, Contact::Fresh).await.unwrap();
    assert_eq!(code(fixture.store.run(move |tx| wipe::cancel(tx, &local, wipe.id, true)).await), "cancel_too_late");
}

pub async fn a_wipe_goes_on_by_the_next_enrolment_or_fails(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple, Channel::Activesync]).await;
    let local = fixture.local().await;
    let wipe = fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    let leave = |id: DeviceId, enrolment: EnrolmentId| {
        fixture.store.run(move |tx| {
            let mut device = keeper::by_id(tx, id)?;
            crate::fixture::left(tx, &mut device, enrolment)
        })
    };
    leave(device.id, device.enrolments[0].id).await.unwrap();
    let carried = fixture.command(wipe.id).await;
    assert_eq!((carried.state, carried.channel), (State::Queued, Channel::Activesync));
    leave(device.id, device.enrolments[1].id).await.unwrap();
    let lost = fixture.command(wipe.id).await;
    assert_eq!((lost.state, lost.error.as_ref().unwrap().code.as_str()), (State::Failed, "device_left"));
}

pub async fn a_wipe_names_the_mail_that_it_closed(fixture: Fixture) {
    let local = fixture.local().await;
    let presumed = || Outcome::Presumed { kind: EvidenceKind::Status, detail: "it begins".into() };
    for (name, outcome, first) in [("u1", done(), EvidenceKind::Acknowledged), ("u2", presumed(), EvidenceKind::Status)]
    {
        let device = fixture.device(name, &[Channel::Apple, Channel::Activesync]).await;
        let wipe = fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
        take(&fixture, device.id, Contact::Fresh).await.unwrap();
        for _ in 0..2 {
            settle(&fixture, device.id, wipe.id, outcome.clone()).await;
        }
        let ended = fixture.command(wipe.id).await;
        let named: Vec<_> = ended.evidence.iter().map(|entry| (entry.enrolment, entry.channel, entry.kind)).collect();
        let (phone, mail) = (device.enrolments[0].id, device.enrolments[1].id);
        let closed = (mail, Channel::Activesync, EvidenceKind::AccessBlocked);
        assert_eq!(named, [(phone, Channel::Apple, first), closed], "{name}");
        assert!(ended.can_be_contradicted(), "{name}: the phone is heard for itself");
    }
    let alone = fixture.device("u3", &[Channel::Apple]).await;
    let wipe = fixture.wipe(&local, alone.id, Scope::Full).await.unwrap();
    take(&fixture, alone.id, Contact::Fresh).await.unwrap();
    settle(&fixture, alone.id, wipe.id, done()).await;
    assert_eq!(fixture.command(wipe.id).await.evidence.len(), 1);
}

pub async fn a_checkout_confirms_a_retire(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    let retire = fixture.wipe(&local, device.id, Scope::Selective).await.unwrap();
    take(&fixture, device.id, Contact::Fresh).await.unwrap();
    let (id, enrolment) = (device.id, device.enrolments[0].id);
    let leave = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, id)?;
        crate::fixture::left(tx, &mut device, enrolment)
    };
    fixture.store.run(leave).await.unwrap();
    let ended = fixture.command(retire.id).await;
    assert_eq!((ended.state, ended.evidence[0].kind.as_str()), (State::Confirmed, "checkout"));
    assert_eq!(fixture.again(id).await.state(), "retired");
}

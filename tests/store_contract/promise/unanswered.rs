//! Nobody blocks the line: what a device does not answer lets others pass, comes behind them, and has an end.

use super::*;
use lanyard::{
    fleet::life::{Action, Event, Fate, Managed, parts_on_the_way},
    policy::{Outcome as PartOutcome, PartId, Said},
};
use std::collections::BTreeSet;

const DAY: Duration = Duration::from_secs(86_400);

async fn lock(fixture: &Fixture, id: DeviceId) -> Command {
    let local = fixture.local().await;
    let ask = move |tx: &mut Tx<'_>| wipe::ask_lock(tx, &local, &id.to_string(), "", wipe::Screen::default(), &able);
    fixture.store.run(ask).await.unwrap()
}

pub async fn what_is_never_answered_lets_others_pass_after_its_second_hand_out(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let sync = ask(&fixture, device.id, Act::Refresh).await;
    let lock = lock(&fixture, device.id).await;
    let restart = ask(&fixture, device.id, Act::Restart).await;
    for _ in 0..2 {
        assert_eq!(take(&fixture, device.id, Contact::Fresh).await.unwrap().id, sync.id, "one answer may be lost");
    }
    assert_eq!(take(&fixture, device.id, Contact::Fresh).await.unwrap().id, lock.id);
    settle(&fixture, device.id, lock.id, done()).await;
    assert_eq!(take(&fixture, device.id, Contact::Continued).await.unwrap().id, restart.id);
    settle(&fixture, device.id, restart.id, done()).await;
    let still = fixture.command(sync.id).await;
    assert_eq!((still.state, still.attempts), (State::Sent, 2));
    assert_eq!(take(&fixture, device.id, Contact::Fresh).await.map(|c| c.id), None, "it pauses");
    assert_eq!(
        settle(&fixture, device.id, sync.id, done()).await.unwrap().state,
        State::Acknowledged,
        "late is as good"
    );
}

pub async fn what_is_never_answered_is_asked_again_after_pauses_that_grow(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Omadm]).await;
    let sync = ask(&fixture, device.id, Act::Refresh).await;
    let mut asked = Vec::new();
    // A PC that comes every half hour, for two days.
    for round in 0..96 {
        if take(&fixture, device.id, Contact::Fresh).await.is_some_and(|c| c.id == sync.id) {
            asked.push(round);
        }
        if !fixture.pass(HOUR / 2) {
            return;
        }
    }
    assert_eq!(asked, [0, 1, 2, 3, 5, 17, 65]);
}

pub async fn what_is_never_answered_while_the_device_is_heard_ends_as_failed(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let (sync, lock) = (ask(&fixture, device.id, Act::Refresh).await, lock(&fixture, device.id).await);
    for day in 0..7 {
        for _ in 0..4 {
            take(&fixture, device.id, Contact::Fresh).await;
        }
        assert_eq!(fixture.command(sync.id).await.state, State::Sent, "day {day}");
        if !fixture.pass(DAY) {
            return;
        }
    }
    take(&fixture, device.id, Contact::Fresh).await;
    let ended = fixture.command(sync.id).await;
    assert_eq!((ended.state, ended.error.as_ref().unwrap().code.as_str()), (State::Failed, "no_answer"));
    assert_eq!(fixture.command(lock.id).await.state, State::Sent, "a lock is never given up");
    assert_eq!(settle(&fixture, device.id, sync.id, done()).await.unwrap().state, State::Acknowledged);
}

pub async fn a_device_that_was_off_for_a_month_is_asked_again(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let sync = ask(&fixture, device.id, Act::Refresh).await;
    for _ in 0..2 {
        take(&fixture, device.id, Contact::Fresh).await;
    }
    if fixture.pass(DAY * 30) {
        assert_eq!(
            take(&fixture, device.id, Contact::Fresh).await.unwrap().id,
            sync.id,
            "a month off is one day heard"
        );
    }
}

pub async fn how_long_an_answer_is_waited_for_is_a_setting(fixture: Fixture) {
    let local = fixture.local().await;
    fixture.store.run(move |tx| settings::set(tx, &local, "queue.give_up", "1h").map(drop)).await.unwrap();
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let restart = ask(&fixture, device.id, Act::Restart).await;
    for _ in 0..2 {
        take(&fixture, device.id, Contact::Fresh).await;
    }
    if fixture.pass(HOUR) {
        assert_eq!(take(&fixture, device.id, Contact::Fresh).await.map(|c| c.id), None);
        assert_eq!(fixture.command(restart.id).await.state, State::Failed);
    }
}

pub async fn what_comes_up_by_itself_does_not_wait_behind_what_is_never_answered(fixture: Fixture) {
    for (channel, identity) in [(Channel::Apple, "u1"), (Channel::Omadm, "u2")] {
        let device = fixture.device(identity, &[channel]).await;
        let (id, enrolment) = (device.id, device.enrolments[0].id);
        let lock = lock(&fixture, id).await;
        let due = || async {
            let take = move |tx: &mut Tx<'_>| {
                let mut device = keeper::by_id(tx, id)?;
                let ask = |tx: &mut Tx<'_>, device: &mut Managed| {
                    let facts = Act::Refresh;
                    queue::ask_by_system(tx, device, enrolment, facts).map(drop)
                };
                queue::take_due(tx, &mut device, enrolment, Contact::Fresh, &BTreeSet::new(), ask)
            };
            fixture.store.run(take).await.unwrap().map(|command| command.id)
        };
        assert_eq!([due().await, due().await], [Some(lock.id); 2], "its two rounds are its own");
        let facts = due().await.unwrap();
        assert_ne!(facts, lock.id);
        assert_eq!(due().await, Some(facts), "one is asked for, and not with each hand-out");
    }
}

pub async fn a_part_that_is_put_off_for_ever_keeps_no_other_waiting(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let (id, enrolment) = (device.id, device.enrolments[0].id);
    let parts = ["+profile:a ab", "+profile:b ab"].map(str::to_string).to_vec();
    let begin = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, id)?;
        queue::ask_by_system(tx, &mut device, enrolment, Act::Policy { parts })
    };
    let policy = fixture.store.run(begin).await.unwrap();
    take(&fixture, id, Contact::Fresh).await;
    settle(&fixture, id, policy.id, Outcome::NotNow).await;
    let look = move |tx: &mut Tx<'_>| {
        let device = keeper::by_id(tx, id)?;
        Ok((parts_on_the_way(device.open(), enrolment).0.len(), device.waits_for(Channel::Apple, Action::Policy)))
    };
    assert_eq!(fixture.store.run(look).await.unwrap(), (1, false), "the rest is free to go with another command");
}

pub async fn what_is_never_answered_takes_turns_with_its_like(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let (lock, restart) = (lock(&fixture, device.id).await, ask(&fixture, device.id, Act::Restart).await);
    for _ in 0..12 * 24 {
        take(&fixture, device.id, Contact::Fresh).await;
        if !fixture.pass(HOUR) {
            return;
        }
    }
    let ended = fixture.command(restart.id).await;
    assert_eq!((ended.state, ended.error.as_ref().unwrap().code.as_str()), (State::Failed, "no_answer"));
    assert!(fixture.command(lock.id).await.attempts > 100, "a lock is due each hour");
}

pub async fn a_wipe_is_neither_overtaken_nor_given_up(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    ask(&fixture, device.id, Act::Restart).await;
    let wipe = fixture.wipe(&local, device.id, Scope::Selective).await.unwrap();
    for _ in 0..40 {
        assert_eq!(take(&fixture, device.id, Contact::Fresh).await.unwrap().id, wipe.id);
        fixture.pass(DAY);
    }
    assert_eq!(fixture.command(wipe.id).await.state, State::Sent);
}

pub async fn a_part_of_a_policy_that_is_never_answered_counts_as_refused_and_holds_no_other_back(fixture: Fixture) {
    for (channel, identity) in [(Channel::Apple, "u1"), (Channel::Omadm, "u2")] {
        let device = fixture.device(identity, &[channel]).await;
        let (id, enrolment) = (device.id, device.enrolments[0].id);
        let parts = ["+profile:a ab", "+profile:b ab", "+profile:c ab"].map(str::to_string).to_vec();
        let begin = move |tx: &mut Tx<'_>| {
            let mut device = keeper::by_id(tx, id)?;
            queue::ask_by_system(tx, &mut device, enrolment, Act::Policy { parts })
        };
        let policy = fixture.store.run(begin).await.unwrap();
        let with_it = || async {
            let look = move |tx: &mut Tx<'_>| {
                let device = keeper::by_id(tx, id)?;
                Ok((parts_on_the_way(device.open(), enrolment).0.len(), device.waits_for(channel, Action::Policy)))
            };
            fixture.store.run(look).await.unwrap()
        };
        assert_eq!(with_it().await, (3, true));
        take(&fixture, id, Contact::Fresh).await;
        assert_eq!(with_it().await, (3, true));
        take(&fixture, id, Contact::Fresh).await;
        let kept = if channel == Channel::Apple { 1 } else { 2 };
        assert_eq!(with_it().await, (kept, false), "the rest is free to go with another command");
        for _ in 0..8 {
            if !fixture.pass(DAY) {
                return;
            }
            take(&fixture, id, Contact::Fresh).await;
        }
        assert_eq!(with_it().await, (0, false));
        assert_eq!(fixture.command(policy.id).await.error.as_ref().unwrap().code.as_str(), "no_answer");
        let applied = fixture.again(id).await.enrolments[0].applied.clone();
        let said: Vec<String> = applied.into_iter().map(|(part, a)| format!("{part} {:?}", a.outcome)).collect();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with("profile:a Failed"), "{said:?}");
    }
}

/// What is read back in vain until that is given up stands as it was, and says so; what was set anew meanwhile is another matter.
pub async fn what_is_never_read_back_says_so(fixture: Fixture) {
    let said = "heard again and again and never answered this";
    for (channel, identity, steps) in [(Channel::Apple, "u1", 0), (Channel::Apple, "u2", 1), (Channel::Omadm, "u3", 0)]
    {
        let device = fixture.device(identity, &[channel]).await;
        let (id, enrolment) = (device.id, device.enrolments[0].id);
        let begin = move |tx: &mut Tx<'_>| {
            let mut device = keeper::by_id(tx, id)?;
            for (part, hash) in [("profile:a", "ab"), ("profile:b", "cd")] {
                let part: PartId = part.parse().unwrap();
                let fate = Fate::Sent { hash: hash.into(), outcome: PartOutcome::Enforced };
                keeper::happen(tx, &mut device, Event::Part { enrolment, part: part.clone(), fate })?;
                let parts = vec![(part, Some(Said::Met))];
                keeper::happen(tx, &mut device, Event::PasscodeTold { enrolment, parts })?;
            }
            let parts = ["=profile:a ab", "=profile:b ab"].map(str::to_string).to_vec();
            queue::ask_by_system(tx, &mut device, enrolment, Act::Policy { parts })
        };
        let look = fixture.store.run(begin).await.unwrap();
        take(&fixture, id, Contact::Fresh).await;
        for _ in 0..steps {
            settle(&fixture, id, look.id, Outcome::Step).await;
        }
        for _ in 0..10 {
            take(&fixture, id, Contact::Fresh).await;
            if !fixture.pass(DAY) {
                return;
            }
        }
        assert_eq!(fixture.command(look.id).await.error.as_ref().unwrap().code.as_str(), "no_answer");
        let applied = fixture.again(id).await.enrolments[0].applied.clone();
        let [a, b] = ["profile:a", "profile:b"].map(|part| applied[&part.parse().unwrap()].clone());
        let silent = |text: &Option<String>| text.as_ref().is_some_and(|text| text.contains(said));
        assert_eq!((&a.outcome, a.verified.is_some()), (&PartOutcome::Enforced, true));
        assert_eq!((silent(&a.unread), b.unread.is_some()), (steps == 0, false), "{identity}");
        assert_eq!(silent(&a.passcode.unwrap().unread), steps == 1, "{identity}");
    }
}

pub async fn what_was_sent_and_is_no_wipe_can_be_cancelled(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    let restart = ask(&fixture, device.id, Act::Restart).await.id;
    take(&fixture, device.id, Contact::Fresh).await.unwrap();
    fixture.store.run(move |tx| wipe::cancel(tx, &local, restart, true)).await.unwrap();
    assert_eq!(fixture.command(restart).await.state, State::Cancelled);
    assert_eq!(take(&fixture, device.id, Contact::Fresh).await.map(|c| c.id), None);
    let late = settle(&fixture, device.id, restart, done()).await.unwrap();
    assert_eq!(late.state, State::Acknowledged, "evidence beats every end");
}

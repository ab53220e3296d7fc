//! What every store promises.

use crate::fixture::{Fixture, SECRET, able, device, request};
pub use crate::worst_day::*;
use lanyard::{
    admins::{self, Actor},
    audit,
    error::{Error, Result},
    ids::{CommandId, DeviceId, EnrolmentId, Fingerprint, InvitationId},
    notices::{self, Notice},
    queue::{self, Action, Command, Outcome, Scope, State, Talk},
    registry::{
        Channel, Credential, Device, EnrolmentState, Life, Ownership, Platform, Standing, credential,
        device::Certificate, enrol, groups, invitation, lookup, tries,
    },
    settings,
    store::{Record, Tx},
    wipe::{self, Approval, approvals, stop},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Note {
    name: String,
    text: String,
}
impl Record for Note {
    const KIND: &'static str = "test-note";
    fn key(&self) -> String {
        self.name.clone()
    }
}

fn note(name: &str) -> Note {
    Note { name: name.into(), text: "x".into() }
}

const HOUR: Duration = Duration::from_secs(3600);

pub fn code<T: std::fmt::Debug>(result: Result<T>) -> &'static str {
    match result.expect_err("it should be refused") {
        Error::Refused { code, .. } | Error::Forbidden { code, .. } => code,
        Error::Invalid { field, .. } => field,
        Error::NotFound { what, .. } => what,
        other => panic!("{other}"),
    }
}

pub async fn take(fixture: &Fixture, id: DeviceId, session: Talk) -> Option<Command> {
    let take = move |tx: &mut Tx<'_>| {
        let device = lookup::by_id(tx, id)?;
        queue::take_next(tx, &device, device.enrolments[0].id, session)
    };
    fixture.store.run(take).await.unwrap()
}

pub async fn settle(fixture: &Fixture, id: DeviceId, command: CommandId, outcome: Outcome) -> Option<Command> {
    let settle = move |tx: &mut Tx<'_>| {
        let mut device = lookup::by_id(tx, id)?;
        let enrolment = device.enrolments[0].id;
        queue::settle(tx, &mut device, enrolment, command, outcome)
    };
    fixture.store.run(settle).await.unwrap()
}

pub fn done() -> Outcome {
    Outcome::Done { kind: "acknowledged", detail: "Acknowledged".into() }
}

fn failed() -> Outcome {
    Outcome::Failed { code: "12021".into(), text: "unknown command".into() }
}

async fn ask(fixture: &Fixture, id: DeviceId, action: Action) -> Command {
    let local = fixture.local().await;
    let ask = move |tx: &mut Tx<'_>| {
        let mut device = lookup::by_id(tx, id)?;
        queue::ask(tx, &local, &mut device, action, &able)
    };
    fixture.store.run(ask).await.unwrap()
}

pub async fn a_refused_call_leaves_nothing_behind(fixture: Fixture) {
    let refused: Result<()> = fixture
        .store
        .run(|tx| {
            tx.put(&note("a"))?;
            Err(Error::refused("no", "no"))
        })
        .await;
    assert_eq!(code(refused), "no");
    assert_eq!(fixture.store.run(|tx| Ok(tx.get::<Note>("a")?)).await.unwrap(), None);
}

pub async fn calls_in_one_batch_see_each_other(fixture: Fixture) {
    let held = fixture.gate.lock().unwrap();
    let calls: Vec<_> = (0..20)
        .map(|i| {
            let store = fixture.store.clone();
            tokio::spawn(async move {
                let add = move |tx: &mut Tx<'_>| {
                    tx.put(&note(&format!("n{i:02}")))?;
                    Ok(tx.all::<Note>("n")?.len())
                };
                store.run(add).await.unwrap()
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(50));
    drop(held);
    let mut seen = Vec::new();
    for call in calls {
        seen.push(call.await.unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=20).collect::<Vec<_>>(), "each sees all before it");
}

pub async fn a_scan_sees_what_is_not_committed_yet(fixture: Fixture) {
    let seed = |tx: &mut Tx<'_>| {
        for name in ["a", "b", "c", "d"] {
            tx.put(&note(name))?;
        }
        Ok(())
    };
    fixture.store.run(seed).await.unwrap();
    let names = |notes: Vec<Note>| notes.into_iter().map(|n| n.name).collect::<String>();
    let scan = move |tx: &mut Tx<'_>| {
        tx.delete(&note("b"));
        tx.put(&note("bb"))?;
        let all = names(tx.all::<Note>("")?);
        let two = names(tx.scan::<Note>("", Some("a"), 2)?);
        Ok((all, two))
    };
    assert_eq!(fixture.store.run(scan).await.unwrap(), ("abbcd".to_string(), "bbc".to_string()));
    let rest = fixture.store.run(|tx| Ok(tx.scan::<Note>("b", Some("bb"), 9)?)).await.unwrap();
    assert_eq!(rest, []);
}

pub async fn nothing_leaves_before_its_commit(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    let gate = fixture.gate.clone();
    let held = tokio::task::spawn_blocking(move || {
        let held = gate.lock().unwrap();
        std::thread::sleep(Duration::from_millis(400));
        drop(held);
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (store, id) = (fixture.store.clone(), device.id);
    let handing = tokio::spawn(async move {
        let take = move |tx: &mut Tx<'_>| {
            let device = lookup::by_id(tx, id)?;
            queue::take_next(tx, &device, device.enrolments[0].id, Talk::Fresh)
        };
        store.run(take).await.unwrap()
    });
    // A read must not see what is not on disk yet either.
    let store = fixture.store.clone();
    let reading = tokio::spawn(async move { store.run(move |tx| lookup::by_id(tx, id)).await.unwrap() });
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(!handing.is_finished(), "a command left before its commit");
    assert!(!reading.is_finished(), "an answer left before the commit it may rest on");
    held.await.unwrap();
    assert_eq!(handing.await.unwrap().unwrap().state, State::Sent);
    reading.await.unwrap();
}

pub async fn a_panic_in_one_call_harms_no_other(fixture: Fixture) {
    let lost = fixture.store.run(|tx| -> Result<()> {
        tx.put(&note("lost"))?;
        panic!("on purpose");
    });
    assert!(matches!(lost.await, Err(Error::Internal(_))));
    assert_eq!(fixture.store.run(|tx| Ok(tx.get::<Note>("lost")?)).await.unwrap(), None);
}

pub async fn a_wipe_overtakes_the_queue(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let first = ask(&fixture, device.id, Action::Sync).await;
    let sent = take(&fixture, device.id, Talk::Fresh).await.unwrap();
    assert_eq!(sent.id, first.id);
    ask(&fixture, device.id, Action::Restart).await;
    let local = fixture.local().await;
    let wipe = fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    assert_eq!(take(&fixture, device.id, Talk::Fresh).await.unwrap().id, wipe.id);
    settle(&fixture, device.id, wipe.id, done()).await;
    assert_eq!(
        take(&fixture, device.id, Talk::Continued).await.map(|c| c.id),
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
    take(&fixture, device.id, Talk::Fresh).await.unwrap();
    settle(&fixture, device.id, first.id, done()).await;
    assert_eq!(fixture.wipe(&local, device.id, Scope::Full).await.unwrap().id, first.id, "ended ones too");
}

pub async fn a_repeated_answer_changes_nothing(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    let wipe = fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    take(&fixture, device.id, Talk::Fresh).await.unwrap();
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
    take(&fixture, device.id, Talk::Fresh).await.unwrap();
    assert_eq!(settle(&fixture, device.id, wipe.id, failed()).await.unwrap().state, State::Failed);
    let late = settle(&fixture, device.id, wipe.id, done()).await.unwrap();
    assert_eq!((late.state, late.error), (State::Confirmed, None));
    assert_eq!(fixture.again(device.id).await.life, Life::Wiped);
}

pub async fn an_answer_never_asked_for_ends_nothing(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let other = fixture.device("u2", &[Channel::Apple]).await;
    let local = fixture.local().await;
    let wipe = fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    assert_eq!(settle(&fixture, device.id, wipe.id, done()).await.map(|c| c.id), None, "it has not been sent");
    take(&fixture, device.id, Talk::Fresh).await.unwrap();
    assert_eq!(settle(&fixture, other.id, wipe.id, done()).await.map(|c| c.id), None, "another device's command");
    assert_eq!(fixture.command(wipe.id).await.state, State::Sent);
}

pub async fn a_command_is_repeated_until_it_is_answered(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let sync = ask(&fixture, device.id, Action::Sync).await;
    ask(&fixture, device.id, Action::Restart).await;
    for _ in 0..3 {
        assert_eq!(take(&fixture, device.id, Talk::Fresh).await.unwrap().id, sync.id);
    }
    settle(&fixture, device.id, sync.id, done()).await;
    assert_ne!(take(&fixture, device.id, Talk::Continued).await.unwrap().id, sync.id);
}

pub async fn what_was_put_off_is_asked_again_in_the_next_session(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let sync = ask(&fixture, device.id, Action::Sync).await;
    take(&fixture, device.id, Talk::Fresh).await.unwrap();
    settle(&fixture, device.id, sync.id, Outcome::NotNow).await;
    assert_eq!(take(&fixture, device.id, Talk::Continued).await.map(|c| c.id), None, "else the session never ends");
    assert_eq!(take(&fixture, device.id, Talk::Fresh).await.unwrap().id, sync.id);
}

pub async fn a_full_wipe_replaces_a_selective_one_that_has_not_left(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    let selective = fixture.wipe(&local, device.id, Scope::Selective).await.unwrap();
    let full = fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    assert_eq!(fixture.command(selective.id).await.state, State::Cancelled);
    assert_eq!(take(&fixture, device.id, Talk::Fresh).await.unwrap().id, full.id);

    let device = fixture.device("u2", &[Channel::Apple]).await;
    let selective = fixture.wipe(&local, device.id, Scope::Selective).await.unwrap();
    take(&fixture, device.id, Talk::Fresh).await.unwrap();
    let full = fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    assert_eq!(take(&fixture, device.id, Talk::Fresh).await.unwrap().id, selective.id, "it follows one that has");
    settle(&fixture, device.id, selective.id, failed()).await;
    assert_eq!(take(&fixture, device.id, Talk::Continued).await.unwrap().id, full.id);
}

pub async fn a_personal_device_is_never_fully_wiped(fixture: Fixture) {
    let make = |tx: &mut Tx<'_>| device(tx, "own", &[Channel::Apple], Ownership::Personal);
    let own = fixture.store.run(make).await.unwrap();
    let local = fixture.local().await;
    assert_eq!(code(fixture.wipe(&local, own.id, Scope::Full).await), "personal");
    assert_eq!(fixture.wipe(&local, own.id, Scope::Selective).await.unwrap().state, State::Queued);
}

pub async fn a_wipe_needs_a_reason(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    let mut request = request(Scope::Full);
    request.reason = "  ".into();
    assert_eq!(code(fixture.wipe_with(&local, device.id, request).await), "reason");
}

async fn fleet(fixture: &Fixture, count: usize) -> Vec<Device> {
    let make = move |tx: &mut Tx<'_>| {
        (0..count).map(|i| device(tx, &format!("f{i}"), &[Channel::Apple], Ownership::Corporate)).collect()
    };
    fixture.store.run(make).await.unwrap()
}

pub async fn the_limits_hold_and_one_approval_holds_the_rest(fixture: Fixture) {
    let (ann, bob) = (fixture.second("ann").await, fixture.second("bob").await);
    let fleet = fleet(&fixture, 40).await;
    let mut commands = Vec::new();
    for device in &fleet[..15] {
        commands.push(fixture.wipe(&ann, device.id, Scope::Full).await.unwrap());
    }
    assert!(commands[..10].iter().all(|c| c.state == State::Queued && c.approval.is_none()));
    assert!(commands[10..].iter().all(|c| c.state == State::Held && c.approval == commands[10].approval));
    for device in &fleet[15..30] {
        commands.push(fixture.wipe(&bob, device.id, Scope::Full).await.unwrap());
    }
    let queued = commands.iter().filter(|c| c.state == State::Queued).count();
    assert_eq!(queued, 20, "ten for each administrator, twenty for the tenant");
    let local = fixture.local().await;
    assert_eq!(fixture.wipe(&local, fleet[30].id, Scope::Full).await.unwrap().state, State::Held);
    assert_eq!(
        fixture.wipe(&local, fleet[31].id, Scope::Selective).await.unwrap().state,
        State::Queued,
        "counted apart"
    );

    let (id, decider) = (commands[10].approval.unwrap(), bob.clone());
    let approved: Approval = fixture.store.run(move |tx| approvals::approve(tx, &decider, id)).await.unwrap();
    assert_eq!(approved.commands.len(), 5);
    assert_eq!(fixture.command(commands[14].id).await.state, State::Queued);
    let id = commands.last().unwrap().approval.unwrap();
    fixture.store.run(move |tx| approvals::reject(tx, &bob, id)).await.unwrap();
    assert_eq!(
        fixture.command(commands.last().unwrap().id).await.state,
        State::Cancelled,
        "who asked can take it back"
    );

    if fixture.live_through(HOUR + Duration::from_secs(1)).await {
        assert_eq!(
            fixture.wipe(&ann, fleet[35].id, Scope::Full).await.unwrap().state,
            State::Queued,
            "the hour has room again"
        );
    }
}

pub async fn a_newcomer_counts_for_nothing(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let eve = fixture.second("eve").await;
    assert!(eve.newcomer_until.is_some());
    let held = fixture.wipe(&eve, device.id, Scope::Full).await.unwrap();
    assert_eq!(held.state, State::Held);
    assert_eq!(take(&fixture, device.id, Talk::Fresh).await.map(|c| c.id), None);
    let other = fixture.second("other").await;
    let id = held.approval.unwrap();
    assert_eq!(code(fixture.store.run(move |tx| approvals::approve(tx, &other, id)).await), "newcomer");
    let local = fixture.local().await;
    let refused = fixture.store.run(move |tx| approvals::approve(tx, &local, id)).await;
    assert_eq!(code(refused), "own_newcomer", "whom one made lately is no second person");
}

pub async fn a_newcomer_ends_their_own_tokens_alone(fixture: Fixture) {
    let ann = fixture.second("ann").await;
    fixture.device("u1", &[Channel::Apple]).await;
    let eve = fixture.second("eve").await;
    let tokens = fixture.store.run(admins::list_tokens).await.unwrap();
    let of = |name: &str| tokens.iter().find(|token| token.admin == name).unwrap().id;
    let end = |actor: &Actor, id| {
        let actor = actor.clone();
        fixture.store.run(move |tx| admins::revoke_token(tx, &actor, id))
    };
    assert_eq!(code(end(&eve, of("ann")).await), "newcomer");
    end(&eve, of("eve")).await.unwrap();
    end(&ann, of("ann")).await.unwrap();
    let left = fixture.store.run(admins::list_tokens).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

pub async fn a_loosened_limit_waits(fixture: Fixture) {
    fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    let set = |value: &'static str| {
        let local = local.clone();
        fixture.store.run(move |tx| settings::set(tx, &local, "wipe.full.per_admin", value))
    };
    let looser = set("500").await.unwrap();
    assert_eq!((looser.value.as_str(), looser.pending.as_deref()), ("10", Some("500")));
    let tighter = set("3").await.unwrap();
    assert_eq!((tighter.value.as_str(), tighter.pending), ("3", None));
    set("50").await.unwrap();
    if fixture.live_through(25 * HOUR).await {
        let now = fixture.store.run(|tx| settings::show(tx, "wipe.full.per_admin")).await.unwrap();
        assert_eq!((now.value.as_str(), now.pending), ("50", None));
    }
}

pub async fn nobody_approves_their_own_request(fixture: Fixture) {
    let ann = fixture.second("ann").await;
    fixture.device("u1", &[Channel::Apple]).await;
    let asker = ann.clone();
    let asked = move |tx: &mut Tx<'_>| {
        stop::set(tx, &asker, false)?;
        stop::ask_off(tx, &asker)
    };
    let id = fixture.store.run(asked).await.unwrap().id;
    assert_eq!(code(fixture.store.run(move |tx| approvals::approve(tx, &ann, id)).await), "own_request");
    let local = fixture.local().await;
    fixture.store.run(move |tx| approvals::approve(tx, &local, id)).await.unwrap();
    assert!(!fixture.store.run(stop::is_on).await.unwrap());
}

pub async fn the_stop_holds_and_cancels_in_one_act(fixture: Fixture) {
    let fleet = fleet(&fixture, 4).await;
    let local = fixture.local().await;
    let queued = fixture.wipe(&local, fleet[0].id, Scope::Full).await.unwrap();
    let sent = fixture.wipe(&local, fleet[1].id, Scope::Full).await.unwrap();
    take(&fixture, fleet[1].id, Talk::Fresh).await.unwrap();
    let who = local.clone();
    fixture.store.run(move |tx| stop::set(tx, &who, false)).await.unwrap();
    assert_eq!(take(&fixture, fleet[0].id, Talk::Fresh).await.map(|c| c.id), None, "none is handed out");
    let held = fixture.wipe(&local, fleet[2].id, Scope::Selective).await.unwrap();
    assert_eq!(held.state, State::Held);
    let (_, cancelled) = fixture.store.run(move |tx| stop::set(tx, &local, true)).await.unwrap();
    assert_eq!(cancelled, 2);
    for (id, state) in [(queued.id, State::Cancelled), (held.id, State::Cancelled), (sent.id, State::Sent)] {
        assert_eq!(fixture.command(id).await.state, state);
    }
}

pub async fn the_undo_window_can_be_used_and_ends(fixture: Fixture) {
    let fleet = fleet(&fixture, 2).await;
    let local = fixture.local().await;
    let delayed = || wipe::Request { delay: Some(Duration::from_secs(600)), ..request(Scope::Full) };
    let undone = fixture.wipe_with(&local, fleet[0].id, delayed()).await.unwrap();
    let left = fixture.wipe_with(&local, fleet[1].id, delayed()).await.unwrap();
    assert_eq!(take(&fixture, fleet[0].id, Talk::Fresh).await.map(|c| c.id), None);
    fixture.store.run(move |tx| queue::cancel(tx, &local, undone.id, true)).await.unwrap();
    if fixture.live_through(Duration::from_secs(601)).await {
        let (wakes, _) = fixture.store.run(queue::timers::sweep).await.unwrap();
        assert_eq!(wakes.iter().map(|w| w.device).collect::<Vec<_>>(), [fleet[1].id]);
        assert_eq!(take(&fixture, fleet[1].id, Talk::Fresh).await.unwrap().id, left.id);
        assert_eq!(take(&fixture, fleet[0].id, Talk::Fresh).await.map(|c| c.id), None);
    }
}

pub async fn a_cancel_that_comes_too_late_says_so(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    let wipe = fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    take(&fixture, device.id, Talk::Fresh).await.unwrap();
    assert_eq!(code(fixture.store.run(move |tx| queue::cancel(tx, &local, wipe.id, true)).await), "cancel_too_late");
}

pub async fn a_wipe_shuts_mail_at_once_unless_held(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple, Channel::Activesync]).await;
    let eve = fixture.second("eve").await;
    fixture.wipe(&eve, device.id, Scope::Full).await.unwrap();
    assert_eq!(fixture.again(device.id).await.mail_shut, None, "the breaker holds it");
    let local = fixture.local().await;
    let device = fixture.device("u2", &[Channel::Apple, Channel::Activesync]).await;
    let wipe = fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    assert_eq!(fixture.again(device.id).await.mail_shut, Some(wipe.id));
    fixture.store.run(move |tx| queue::cancel(tx, &local, wipe.id, true)).await.unwrap();
    let after = fixture.again(device.id).await;
    assert_eq!((after.mail_shut, after.life), (None, Life::Enrolled));
}

pub async fn a_wipe_goes_on_by_the_next_enrolment_or_fails(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple, Channel::Activesync]).await;
    let local = fixture.local().await;
    let wipe = fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    let leave = |id: DeviceId, enrolment: EnrolmentId| {
        fixture.store.run(move |tx| {
            let mut device = lookup::by_id(tx, id)?;
            queue::ending::left(tx, &mut device, enrolment, "checkout", "CheckOut")
        })
    };
    leave(device.id, device.enrolments[0].id).await.unwrap();
    let carried = fixture.command(wipe.id).await;
    assert_eq!((carried.state, carried.channel), (State::Queued, Channel::Activesync));
    leave(device.id, device.enrolments[1].id).await.unwrap();
    let lost = fixture.command(wipe.id).await;
    assert_eq!((lost.state, lost.error.unwrap().code.as_str()), (State::Failed, "device_left"));
}

pub async fn a_checkout_confirms_a_retire(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    let retire = fixture.wipe(&local, device.id, Scope::Selective).await.unwrap();
    take(&fixture, device.id, Talk::Fresh).await.unwrap();
    let (id, enrolment) = (device.id, device.enrolments[0].id);
    let leave = move |tx: &mut Tx<'_>| {
        let mut device = lookup::by_id(tx, id)?;
        queue::ending::left(tx, &mut device, enrolment, "checkout", "CheckOut")
    };
    fixture.store.run(leave).await.unwrap();
    let ended = fixture.command(retire.id).await;
    assert_eq!((ended.state, ended.evidence[0].kind.as_str()), (State::Confirmed, "checkout"));
    assert_eq!(fixture.again(id).await.state(), "retired");
}

pub async fn a_jump_of_the_clock_is_not_counted(fixture: Fixture) {
    fixture.device("u1", &[Channel::Apple]).await;
    let eve = fixture.second("eve").await;
    assert!(eve.newcomer_until.is_some());
    if fixture.pass(30 * HOUR) {
        let local = fixture.local().await;
        let all = fixture.store.run(admins::list).await.unwrap();
        let eve = all.iter().find(|a| a.name == "eve").unwrap();
        assert!(eve.counts_from > eve.created.plus(30 * HOUR), "{eve:?} as {} sees it", local.name);
        fixture.live_through(25 * HOUR).await;
        let all = fixture.store.run(admins::list).await.unwrap();
        let now = fixture.store.run(|tx| Ok(tx.now())).await.unwrap();
        assert!(all.iter().find(|a| a.name == "eve").unwrap().counts_from <= now);
    }
}

pub async fn a_clock_set_back_shortens_nothing(fixture: Fixture) {
    let before = fixture.store.run(|tx| Ok(tx.now())).await.unwrap();
    fixture.time.fetch_sub(7_200_000, std::sync::atomic::Ordering::SeqCst);
    let after = fixture.store.run(|tx| Ok(tx.now())).await.unwrap();
    assert!(after >= before);
}

pub async fn the_audit_chain_shows_what_was_altered(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    fixture.store.run(audit::checkpoint).await.unwrap();
    let good = fixture.store.run(|tx| audit::verify(tx, None)).await.unwrap();
    assert!(good.ok, "{good:?}");
    let head = good.heads[0].hash.clone();
    assert!(fixture.store.run(move |tx| audit::verify(tx, Some(&head))).await.unwrap().ok);
    assert!(!fixture.store.run(|tx| audit::verify(tx, Some("00"))).await.unwrap().ok);
    let asked = |tx: &mut Tx<'_>| {
        let entries = audit::list(tx, None, 100)?;
        Ok(entries.into_iter().find(|e| e.entry.action == "wipe.asked").unwrap().entry)
    };
    let whole = fixture.store.run(asked).await.unwrap();
    let other = fixture.store.run(|tx| audit::list(tx, None, 100)).await.unwrap();
    let other = other.into_iter().find_map(|e| e.entry.text.filter(|text| Some(text) != whole.text.as_ref())).unwrap();
    for (row, altered, ok) in [
        ("another actor", audit::Entry { actor: "somebody else".into(), ..whole.clone() }, false),
        ("another text", audit::Entry { text: Some(other), ..whole.clone() }, false),
        ("an erased text", audit::Entry { text: None, ..whole.clone() }, true),
    ] {
        fixture.store.run(move |tx| Ok(tx.put(&altered)?)).await.unwrap();
        let found = fixture.store.run(|tx| audit::verify(tx, None)).await.unwrap();
        assert_eq!((found.ok, found.broken.len()), (ok, usize::from(!ok)), "{row}: {found:?}");
    }
}

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
        let by_code = invitation::by_code(tx, &typed, Channel::Omadm, Some("NURSE@example.org"), Some("192.0.2.1"))?;
        let ids: Vec<Option<InvitationId>> = vec![
            invitation::by_url(tx, &key)?.map(|i| i.id),
            invitation::by_challenge(tx, &invitation::challenge(&key))?.map(|i| i.id),
            by_code.ok().map(|i| i.id),
        ];
        let wrong = [
            invitation::by_url(tx, "nope")?.is_some(),
            invitation::by_code(tx, &code, Channel::Apple, None, Some("192.0.2.1"))?.is_ok(),
            invitation::by_code(tx, &code, Channel::Omadm, Some("other@example.org"), Some("192.0.2.1"))?.is_ok(),
        ];
        Ok((ids, wrong))
    };
    let (ids, wrong) = fixture.store.run(find).await.unwrap();
    assert_eq!(ids, [Some(id); 3]);
    assert_eq!(wrong, [false; 3]);
}

pub async fn wrong_codes_are_counted(fixture: Fixture) {
    for _ in 0..10 {
        let tried = |tx: &mut Tx<'_>| invitation::by_code(tx, "0000", Channel::Omadm, Some("a@b"), Some("192.0.2.9"));
        assert_eq!(fixture.store.run(tried).await.unwrap().err(), Some(invitation::WrongCode::Wrong));
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
        assert_eq!(fixture.store.run(tried).await.unwrap().err(), Some(want), "{user} {address}");
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

fn kept(tx: &mut Tx<'_>) -> Result<usize> {
    Ok(tx.scan::<tries::Tries>("", None, 100)?.len())
}

pub async fn a_name_that_fits_two_devices_is_refused(fixture: Fixture) {
    let one = fixture.device("twin", &[Channel::Apple]).await;
    let found = fixture.store.run(|tx| lookup::device(tx, "sTWIN")).await.unwrap();
    assert_eq!(found.id, one.id);
    fixture.device("twin", &[Channel::Apple]).await;
    assert_eq!(code(fixture.store.run(|tx| lookup::device(tx, "Stwin")).await), "ambiguous");
    assert_eq!(code(fixture.store.run(|tx| lookup::device(tx, "nobody")).await), "device");
    let local = fixture.local().await;
    let group = move |tx: &mut Tx<'_>| {
        groups::create(tx, &local, "ward 3")?;
        groups::set(tx, &local, "ward 3", &one.id.to_string(), true)?;
        groups::members(tx, "ward 3")
    };
    assert_eq!(fixture.store.run(group).await.unwrap(), [one.id]);
}

pub async fn a_revoked_certificate_is_listed(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    let enrolment = device.enrolments[0].clone();
    let certificate = enrolment.certificate.unwrap();
    let (serial, id) = (certificate.serial.clone(), device.id);
    let make = move |tx: &mut Tx<'_>| {
        let credential = credential::Credential {
            certificate,
            der: String::new(),
            enrolment: enrolment.id,
            device: Some(id),
            channel: Channel::Apple,
            user: "nurse@example.org".into(),
            ownership: Ownership::Corporate,
            invitation: tx.new_id(),
            revoked: None,
        };
        tx.put(&credential)?;
        let good = credential::judge(tx.now(), &credential, Some(&lookup::by_id(tx, id)?));
        Ok((good, credential.certificate.sha256))
    };
    let (good, sha256) = fixture.store.run(make).await.unwrap();
    assert_eq!(good, credential::Standing::Good);
    let wipe = fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    take(&fixture, device.id, Talk::Fresh).await.unwrap();
    settle(&fixture, device.id, wipe.id, done()).await;
    let judge = move |tx: &mut Tx<'_>| {
        let credential = tx.get::<credential::Credential>(sha256)?.unwrap();
        let standing = credential::judge(tx.now(), &credential, Some(&lookup::by_id(tx, id)?));
        Ok((standing, credential::revoked(tx)?))
    };
    let (standing, revoked) = fixture.store.run(judge).await.unwrap();
    assert_eq!(standing, credential::Standing::Ended, "the one case in which an Apple device is told to unenrol");
    assert_eq!(revoked.iter().map(|r| r.serial.clone()).collect::<Vec<_>>(), [serial]);
    assert_eq!(fixture.actor(SECRET).await.id, admins::LOCAL);
}

pub fn certificate(tx: &mut Tx<'_>) -> Certificate {
    let (not_before, not_after) = (tx.now(), tx.now().plus(Duration::from_secs(63_072_000)));
    Certificate {
        serial: lanyard::ids::hex(&tx.random::<16>()),
        sha256: Fingerprint(tx.random()),
        not_before,
        not_after,
    }
}

pub fn claim(identity: &str) -> enrol::Claim {
    enrol::Claim {
        identity: identity.into(),
        platform: Platform::Ios,
        serial: Some("C0FFEE".into()),
        name: None,
        model: None,
        os_version: None,
        mail_id: None,
        hardware_id: None,
    }
}

/// Invites, issues, binds and completes in one call.
pub async fn enrolled(
    fixture: &Fixture,
    channel: Channel,
    user: &str,
    claim: enrol::Claim,
) -> (DeviceId, EnrolmentId, Fingerprint) {
    let (local, user) = (fixture.local().await, user.to_string());
    let enrol = move |tx: &mut Tx<'_>| {
        let made = invitation::create(tx, &local, channel, &user, Ownership::Corporate, None)?;
        let certificate = certificate(tx);
        let credential = enrol::spend(tx, made.invitation.id, "key", certificate, String::new())?;
        let sha256 = credential.certificate.sha256;
        let (mut device, id) = enrol::bind(tx, &sha256, &claim)?;
        assert!(enrol::complete(tx, &mut device, id, &sha256)?);
        Ok((device.id, id, sha256))
    };
    fixture.store.run(enrol).await.unwrap()
}

pub async fn standing(fixture: &Fixture, sha256: Fingerprint) -> Standing {
    let judge = move |tx: &mut Tx<'_>| {
        let credential = tx.get::<Credential>(sha256)?.unwrap();
        let device = lookup::by_id(tx, credential.device.unwrap())?;
        Ok(credential::judge(tx.now(), &credential, Some(&device)))
    };
    fixture.store.run(judge).await.unwrap()
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
        fixture.store.run(move |tx| {
            let certificate = certificate(tx);
            Ok(enrol::spend(tx, id, key, certificate, String::new())?.certificate.sha256)
        })
    };
    let first = spend(id, "key one").await.unwrap();
    assert_eq!(spend(id, "key one").await.unwrap(), first, "the same key gets the same certificate");
    assert_eq!(code(spend(id, "key two").await), "invitation_spent");
    if fixture.pass(2 * HOUR) {
        assert_eq!(code(spend(late, "key").await), "invitation_expired");
    }
}

pub async fn enrolments_join_one_device_for_the_same_user_only(fixture: Fixture) {
    let phone = enrol::Claim { mail_id: Some("APPL1".into()), ..claim("UDID-1") };
    let (phone, ..) = enrolled(&fixture, Channel::Apple, "ann@example.org", phone).await;
    let (mail, ..) = enrolled(&fixture, Channel::Activesync, "ANN@example.org", claim("appl1")).await;
    assert_eq!(mail, phone, "joined by the mail client's name");
    let (thief, ..) = enrolled(&fixture, Channel::Activesync, "eve@example.org", claim("APPL1")).await;
    let (copy, ..) = enrolled(&fixture, Channel::Apple, "eve@example.org", claim("UDID-1")).await;
    assert!(thief != phone && copy != phone, "a name is a claim");
    assert_eq!(fixture.again(phone).await.enrolments.len(), 2);
    assert!(fixture.again(phone).await.enrolments.iter().all(|e| e.state == EnrolmentState::Enrolled));
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
    let wipe = fixture.wipe(&local, device, Scope::Full).await.unwrap();
    let (again, _, new_certificate) = enrolled(&fixture, Channel::Apple, "a@b", claim("UDID-1")).await;
    assert_eq!(again, device);
    let record = fixture.again(device).await;
    assert_eq!((record.life, record.open.len(), record.mail_shut), (Life::Enrolled, 0, None));
    assert_eq!(record.enrolment(old).unwrap().state, EnrolmentState::Revoked);
    assert_eq!(fixture.command(wipe.id).await.state, State::Cancelled, "it had not been sent");
    assert_eq!(standing(&fixture, old_certificate).await, Standing::Revoked);
    assert_eq!(standing(&fixture, new_certificate).await, Standing::Good);
}

pub async fn a_wiped_pc_that_enrols_anew_confirms_its_wipe(fixture: Fixture) {
    let pc = || enrol::Claim { platform: Platform::Windows, hardware_id: Some("HW-1".into()), ..claim("DEV-1") };
    let (device, ..) = enrolled(&fixture, Channel::Omadm, "a@b", pc()).await;
    let local = fixture.local().await;
    let wipe = fixture.wipe(&local, device, Scope::Full).await.unwrap();
    take(&fixture, device, Talk::Fresh).await.unwrap();
    let accepted = Outcome::Presumed { kind: "status", detail: "200 on the Exec".into() };
    assert_eq!(settle(&fixture, device, wipe.id, accepted).await.unwrap().state, State::Presumed);
    assert_eq!(fixture.again(device).await.state(), "wiped");
    let (again, ..) =
        enrolled(&fixture, Channel::Omadm, "a@b", enrol::Claim { identity: "DEV-2".into(), ..pc() }).await;
    assert_eq!(again, device, "joined by its hardware");
    let ended = fixture.command(wipe.id).await;
    assert_eq!((ended.state, ended.evidence.len()), (State::Confirmed, 2));
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
        let mut device = lookup::by_id(tx, device)?;
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
    assert_eq!((ended.state, ended.error.unwrap().code.as_str()), (State::Failed, "device_left"));
}

pub async fn a_rejected_notice_silences_no_other(fixture: Fixture) {
    let local = fixture.local().await;
    let tell = move |tx: &mut Tx<'_>| {
        settings::set(tx, &local, "notify.webhook", "https://hook.example.org/")?;
        (0..5).try_for_each(|number| notices::tell(tx, "approval.waiting", number, "why"))
    };
    fixture.store.run(tell).await.unwrap();
    let take = |count| fixture.store.run(move |tx| Ok(notices::take(tx, count)?.map(|(_, taken)| taken)));
    let subjects = |taken: &[Notice]| taken.iter().map(|n| n.subject.clone()).collect::<Vec<_>>();
    let first = take(3).await.unwrap().unwrap();
    assert_eq!(subjects(&first), ["0", "1", "2"]);
    let younger = take(3).await.unwrap().unwrap();
    assert_eq!(subjects(&younger), ["3", "4"], "the first three wait for their next try");
    assert!(take(3).await.unwrap().is_none());
    let done = move |tx: &mut Tx<'_>| {
        younger.iter().chain(&first[..1]).for_each(|notice| notices::done(tx, notice));
        Ok(())
    };
    fixture.store.run(done).await.unwrap();
    if fixture.pass(Duration::from_secs(31)) {
        assert_eq!(subjects(&take(20).await.unwrap().unwrap()), ["1", "2"]);
    }
}

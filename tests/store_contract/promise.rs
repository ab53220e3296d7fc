//! What every store promises.

use crate::bench::{Bench, SECRET, able, device, request};
use lanyard::{
    admins, audit,
    error::{Error, Result},
    ids::{CommandId, DeviceId, EnrolmentId, Fingerprint, InvitationId},
    queue::{self, Action, Command, Outcome, Scope, Session, State},
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

fn code<T: std::fmt::Debug>(result: Result<T>) -> &'static str {
    match result.expect_err("it should be refused") {
        Error::Refused { code, .. } | Error::Forbidden { code, .. } => code,
        Error::Invalid { field, .. } => field,
        Error::NotFound { what, .. } => what,
        other => panic!("{other}"),
    }
}

async fn take(bench: &Bench, id: DeviceId, session: Session) -> Option<Command> {
    let take = move |tx: &mut Tx<'_>| {
        let device = lookup::by_id(tx, id)?;
        queue::take_next(tx, &device, device.enrolments[0].id, session)
    };
    bench.store.run(take).await.unwrap()
}

async fn settle(bench: &Bench, id: DeviceId, command: CommandId, outcome: Outcome) -> Option<Command> {
    let settle = move |tx: &mut Tx<'_>| {
        let mut device = lookup::by_id(tx, id)?;
        let enrolment = device.enrolments[0].id;
        queue::settle(tx, &mut device, enrolment, command, outcome)
    };
    bench.store.run(settle).await.unwrap()
}

fn done() -> Outcome {
    Outcome::Done { kind: "acknowledged", detail: "Acknowledged".into() }
}

fn failed() -> Outcome {
    Outcome::Failed { code: "12021".into(), text: "unknown command".into() }
}

async fn ask(bench: &Bench, id: DeviceId, action: Action) -> Command {
    let local = bench.local().await;
    let ask = move |tx: &mut Tx<'_>| {
        let mut device = lookup::by_id(tx, id)?;
        queue::ask(tx, &local, &mut device, action, &able)
    };
    bench.store.run(ask).await.unwrap()
}

pub async fn a_refused_call_leaves_nothing_behind(bench: Bench) {
    let refused: Result<()> = bench
        .store
        .run(|tx| {
            tx.put(&note("a"))?;
            Err(Error::refused("no", "no"))
        })
        .await;
    assert_eq!(code(refused), "no");
    assert_eq!(bench.store.run(|tx| Ok(tx.get::<Note>("a")?)).await.unwrap(), None);
}

pub async fn calls_in_one_batch_see_each_other(bench: Bench) {
    let held = bench.gate.lock().unwrap();
    let calls: Vec<_> = (0..20)
        .map(|i| {
            let store = bench.store.clone();
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

pub async fn a_scan_sees_what_is_not_committed_yet(bench: Bench) {
    let seed = |tx: &mut Tx<'_>| {
        for name in ["a", "b", "c", "d"] {
            tx.put(&note(name))?;
        }
        Ok(())
    };
    bench.store.run(seed).await.unwrap();
    let names = |notes: Vec<Note>| notes.into_iter().map(|n| n.name).collect::<String>();
    let scan = move |tx: &mut Tx<'_>| {
        tx.delete(&note("b"));
        tx.put(&note("bb"))?;
        let all = names(tx.all::<Note>("")?);
        let two = names(tx.scan::<Note>("", Some("a"), 2)?);
        Ok((all, two))
    };
    assert_eq!(bench.store.run(scan).await.unwrap(), ("abbcd".to_string(), "bbc".to_string()));
    let rest = bench.store.run(|tx| Ok(tx.scan::<Note>("b", Some("bb"), 9)?)).await.unwrap();
    assert_eq!(rest, []);
}

pub async fn nothing_leaves_before_its_commit(bench: Bench) {
    let device = bench.device("u1", &[Channel::Apple]).await;
    let local = bench.local().await;
    bench.wipe(&local, device.id, Scope::Full).await.unwrap();
    let gate = bench.gate.clone();
    let held = tokio::task::spawn_blocking(move || {
        let held = gate.lock().unwrap();
        std::thread::sleep(Duration::from_millis(400));
        drop(held);
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let (store, id) = (bench.store.clone(), device.id);
    let handing = tokio::spawn(async move {
        let take = move |tx: &mut Tx<'_>| {
            let device = lookup::by_id(tx, id)?;
            queue::take_next(tx, &device, device.enrolments[0].id, Session::Fresh)
        };
        store.run(take).await.unwrap()
    });
    // A read must not see what is not on disk yet either.
    let store = bench.store.clone();
    let reading = tokio::spawn(async move { store.run(move |tx| lookup::by_id(tx, id)).await.unwrap() });
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(!handing.is_finished(), "a command left before its commit");
    assert!(!reading.is_finished(), "an answer left before the commit it may rest on");
    held.await.unwrap();
    assert_eq!(handing.await.unwrap().unwrap().state, State::Sent);
    reading.await.unwrap();
}

pub async fn a_panic_in_one_call_harms_no_other(bench: Bench) {
    let lost = bench.store.run(|tx| -> Result<()> {
        tx.put(&note("lost"))?;
        panic!("on purpose");
    });
    assert!(matches!(lost.await, Err(Error::Internal(_))));
    assert_eq!(bench.store.run(|tx| Ok(tx.get::<Note>("lost")?)).await.unwrap(), None);
}

pub async fn a_wipe_overtakes_the_queue(bench: Bench) {
    let device = bench.device("u1", &[Channel::Apple]).await;
    let first = ask(&bench, device.id, Action::Sync).await;
    let sent = take(&bench, device.id, Session::Fresh).await.unwrap();
    assert_eq!(sent.id, first.id);
    ask(&bench, device.id, Action::Restart).await;
    let local = bench.local().await;
    let wipe = bench.wipe(&local, device.id, Scope::Full).await.unwrap();
    assert_eq!(take(&bench, device.id, Session::Fresh).await.unwrap().id, wipe.id);
    settle(&bench, device.id, wipe.id, done()).await;
    assert_eq!(
        take(&bench, device.id, Session::Continued).await.map(|c| c.id),
        None,
        "a wiped device gets nothing else"
    );
    assert_eq!(bench.again(device.id).await.life, Life::Wiped);
    assert_eq!(bench.command(first.id).await.state, State::Cancelled);
}

pub async fn a_wipe_asked_for_again_answers_the_first(bench: Bench) {
    let device = bench.device("u1", &[Channel::Apple]).await;
    let local = bench.local().await;
    let first = bench.wipe(&local, device.id, Scope::Full).await.unwrap();
    for scope in [Scope::Full, Scope::Selective] {
        assert_eq!(bench.wipe(&local, device.id, scope).await.unwrap().id, first.id);
    }
    take(&bench, device.id, Session::Fresh).await.unwrap();
    settle(&bench, device.id, first.id, done()).await;
    assert_eq!(bench.wipe(&local, device.id, Scope::Full).await.unwrap().id, first.id, "ended ones too");
}

pub async fn a_repeated_answer_changes_nothing(bench: Bench) {
    let device = bench.device("u1", &[Channel::Apple]).await;
    let local = bench.local().await;
    let wipe = bench.wipe(&local, device.id, Scope::Full).await.unwrap();
    take(&bench, device.id, Session::Fresh).await.unwrap();
    let once = settle(&bench, device.id, wipe.id, done()).await.unwrap();
    assert_eq!((once.state, once.evidence.len()), (State::Confirmed, 1));
    for outcome in [done(), failed(), Outcome::NotNow, Outcome::Step] {
        let again = settle(&bench, device.id, wipe.id, outcome).await.unwrap();
        assert_eq!((again.state, again.evidence.len(), again.finished), (State::Confirmed, 1, once.finished));
    }
}

pub async fn evidence_beats_every_end(bench: Bench) {
    let device = bench.device("u1", &[Channel::Apple]).await;
    let local = bench.local().await;
    let wipe = bench.wipe(&local, device.id, Scope::Full).await.unwrap();
    take(&bench, device.id, Session::Fresh).await.unwrap();
    assert_eq!(settle(&bench, device.id, wipe.id, failed()).await.unwrap().state, State::Failed);
    let late = settle(&bench, device.id, wipe.id, done()).await.unwrap();
    assert_eq!((late.state, late.error), (State::Confirmed, None));
    assert_eq!(bench.again(device.id).await.life, Life::Wiped);
}

pub async fn an_answer_never_asked_for_ends_nothing(bench: Bench) {
    let device = bench.device("u1", &[Channel::Apple]).await;
    let other = bench.device("u2", &[Channel::Apple]).await;
    let local = bench.local().await;
    let wipe = bench.wipe(&local, device.id, Scope::Full).await.unwrap();
    assert_eq!(settle(&bench, device.id, wipe.id, done()).await.map(|c| c.id), None, "it has not been sent");
    take(&bench, device.id, Session::Fresh).await.unwrap();
    assert_eq!(settle(&bench, other.id, wipe.id, done()).await.map(|c| c.id), None, "another device's command");
    assert_eq!(bench.command(wipe.id).await.state, State::Sent);
}

pub async fn a_command_is_repeated_until_it_is_answered(bench: Bench) {
    let device = bench.device("u1", &[Channel::Apple]).await;
    let sync = ask(&bench, device.id, Action::Sync).await;
    ask(&bench, device.id, Action::Restart).await;
    for _ in 0..3 {
        assert_eq!(take(&bench, device.id, Session::Fresh).await.unwrap().id, sync.id);
    }
    settle(&bench, device.id, sync.id, done()).await;
    assert_ne!(take(&bench, device.id, Session::Continued).await.unwrap().id, sync.id);
}

pub async fn what_was_put_off_is_asked_again_in_the_next_session(bench: Bench) {
    let device = bench.device("u1", &[Channel::Apple]).await;
    let sync = ask(&bench, device.id, Action::Sync).await;
    take(&bench, device.id, Session::Fresh).await.unwrap();
    settle(&bench, device.id, sync.id, Outcome::NotNow).await;
    assert_eq!(take(&bench, device.id, Session::Continued).await.map(|c| c.id), None, "else the session never ends");
    assert_eq!(take(&bench, device.id, Session::Fresh).await.unwrap().id, sync.id);
}

pub async fn a_full_wipe_replaces_a_selective_one_that_has_not_left(bench: Bench) {
    let device = bench.device("u1", &[Channel::Apple]).await;
    let local = bench.local().await;
    let selective = bench.wipe(&local, device.id, Scope::Selective).await.unwrap();
    let full = bench.wipe(&local, device.id, Scope::Full).await.unwrap();
    assert_eq!(bench.command(selective.id).await.state, State::Cancelled);
    assert_eq!(take(&bench, device.id, Session::Fresh).await.unwrap().id, full.id);

    let device = bench.device("u2", &[Channel::Apple]).await;
    let selective = bench.wipe(&local, device.id, Scope::Selective).await.unwrap();
    take(&bench, device.id, Session::Fresh).await.unwrap();
    let full = bench.wipe(&local, device.id, Scope::Full).await.unwrap();
    assert_eq!(take(&bench, device.id, Session::Fresh).await.unwrap().id, selective.id, "it follows one that has");
    settle(&bench, device.id, selective.id, failed()).await;
    assert_eq!(take(&bench, device.id, Session::Continued).await.unwrap().id, full.id);
}

pub async fn a_personal_device_is_never_fully_wiped(bench: Bench) {
    let make = |tx: &mut Tx<'_>| device(tx, "own", &[Channel::Apple], Ownership::Personal);
    let own = bench.store.run(make).await.unwrap();
    let local = bench.local().await;
    assert_eq!(code(bench.wipe(&local, own.id, Scope::Full).await), "personal");
    assert_eq!(bench.wipe(&local, own.id, Scope::Selective).await.unwrap().state, State::Queued);
}

pub async fn a_wipe_needs_a_reason(bench: Bench) {
    let device = bench.device("u1", &[Channel::Apple]).await;
    let local = bench.local().await;
    let mut request = request(Scope::Full);
    request.reason = "  ".into();
    assert_eq!(code(bench.wipe_with(&local, device.id, request).await), "reason");
}

async fn fleet(bench: &Bench, count: usize) -> Vec<Device> {
    let make = move |tx: &mut Tx<'_>| {
        (0..count).map(|i| device(tx, &format!("f{i}"), &[Channel::Apple], Ownership::Corporate)).collect()
    };
    bench.store.run(make).await.unwrap()
}

pub async fn the_limits_hold_and_one_approval_holds_the_rest(bench: Bench) {
    let (ann, bob) = (bench.second("ann").await, bench.second("bob").await);
    let fleet = fleet(&bench, 40).await;
    let mut commands = Vec::new();
    for device in &fleet[..15] {
        commands.push(bench.wipe(&ann, device.id, Scope::Full).await.unwrap());
    }
    assert!(commands[..10].iter().all(|c| c.state == State::Queued && c.approval.is_none()));
    assert!(commands[10..].iter().all(|c| c.state == State::Held && c.approval == commands[10].approval));
    for device in &fleet[15..30] {
        commands.push(bench.wipe(&bob, device.id, Scope::Full).await.unwrap());
    }
    let queued = commands.iter().filter(|c| c.state == State::Queued).count();
    assert_eq!(queued, 20, "ten for each administrator, twenty for the tenant");
    let local = bench.local().await;
    assert_eq!(bench.wipe(&local, fleet[30].id, Scope::Full).await.unwrap().state, State::Held);
    assert_eq!(bench.wipe(&local, fleet[31].id, Scope::Selective).await.unwrap().state, State::Queued, "counted apart");

    let (id, decider) = (commands[10].approval.unwrap(), bob.clone());
    let approved: Approval = bench.store.run(move |tx| approvals::approve(tx, &decider, id)).await.unwrap();
    assert_eq!(approved.commands.len(), 5);
    assert_eq!(bench.command(commands[14].id).await.state, State::Queued);
    let id = commands.last().unwrap().approval.unwrap();
    bench.store.run(move |tx| approvals::reject(tx, &bob, id)).await.unwrap();
    assert_eq!(bench.command(commands.last().unwrap().id).await.state, State::Cancelled, "who asked can take it back");

    if bench.live_through(HOUR + Duration::from_secs(1)).await {
        assert_eq!(
            bench.wipe(&ann, fleet[35].id, Scope::Full).await.unwrap().state,
            State::Queued,
            "the hour has room again"
        );
    }
}

pub async fn a_newcomer_counts_for_nothing(bench: Bench) {
    let device = bench.device("u1", &[Channel::Apple]).await;
    let eve = bench.second("eve").await;
    assert!(eve.newcomer_until.is_some());
    let held = bench.wipe(&eve, device.id, Scope::Full).await.unwrap();
    assert_eq!(held.state, State::Held);
    assert_eq!(take(&bench, device.id, Session::Fresh).await.map(|c| c.id), None);
    let other = bench.second("other").await;
    let id = held.approval.unwrap();
    assert_eq!(code(bench.store.run(move |tx| approvals::approve(tx, &other, id)).await), "newcomer");
    let local = bench.local().await;
    let refused = bench.store.run(move |tx| approvals::approve(tx, &local, id)).await;
    assert_eq!(code(refused), "own_newcomer", "whom one made lately is no second person");
}

pub async fn a_loosened_limit_waits(bench: Bench) {
    bench.device("u1", &[Channel::Apple]).await;
    let local = bench.local().await;
    let set = |value: &'static str| {
        let local = local.clone();
        bench.store.run(move |tx| settings::set(tx, &local, "wipe.full.per_admin", value))
    };
    let looser = set("500").await.unwrap();
    assert_eq!((looser.value.as_str(), looser.pending.as_deref()), ("10", Some("500")));
    let tighter = set("3").await.unwrap();
    assert_eq!((tighter.value.as_str(), tighter.pending), ("3", None));
    set("50").await.unwrap();
    if bench.live_through(25 * HOUR).await {
        let now = bench.store.run(|tx| settings::show(tx, "wipe.full.per_admin")).await.unwrap();
        assert_eq!((now.value.as_str(), now.pending), ("50", None));
    }
}

pub async fn nobody_approves_their_own_request(bench: Bench) {
    let ann = bench.second("ann").await;
    bench.device("u1", &[Channel::Apple]).await;
    let asker = ann.clone();
    let asked = move |tx: &mut Tx<'_>| {
        stop::set(tx, &asker, false)?;
        stop::ask_off(tx, &asker)
    };
    let id = bench.store.run(asked).await.unwrap().id;
    assert_eq!(code(bench.store.run(move |tx| approvals::approve(tx, &ann, id)).await), "own_request");
    let local = bench.local().await;
    bench.store.run(move |tx| approvals::approve(tx, &local, id)).await.unwrap();
    assert!(!bench.store.run(stop::is_on).await.unwrap());
}

pub async fn the_stop_holds_and_cancels_in_one_act(bench: Bench) {
    let fleet = fleet(&bench, 4).await;
    let local = bench.local().await;
    let queued = bench.wipe(&local, fleet[0].id, Scope::Full).await.unwrap();
    let sent = bench.wipe(&local, fleet[1].id, Scope::Full).await.unwrap();
    take(&bench, fleet[1].id, Session::Fresh).await.unwrap();
    let who = local.clone();
    bench.store.run(move |tx| stop::set(tx, &who, false)).await.unwrap();
    assert_eq!(take(&bench, fleet[0].id, Session::Fresh).await.map(|c| c.id), None, "none is handed out");
    let held = bench.wipe(&local, fleet[2].id, Scope::Selective).await.unwrap();
    assert_eq!(held.state, State::Held);
    let (_, cancelled) = bench.store.run(move |tx| stop::set(tx, &local, true)).await.unwrap();
    assert_eq!(cancelled, 2);
    for (id, state) in [(queued.id, State::Cancelled), (held.id, State::Cancelled), (sent.id, State::Sent)] {
        assert_eq!(bench.command(id).await.state, state);
    }
}

pub async fn the_undo_window_can_be_used_and_ends(bench: Bench) {
    let fleet = fleet(&bench, 2).await;
    let local = bench.local().await;
    let delayed = || wipe::Request { delay: Some(Duration::from_secs(600)), ..request(Scope::Full) };
    let undone = bench.wipe_with(&local, fleet[0].id, delayed()).await.unwrap();
    let left = bench.wipe_with(&local, fleet[1].id, delayed()).await.unwrap();
    assert_eq!(take(&bench, fleet[0].id, Session::Fresh).await.map(|c| c.id), None);
    bench.store.run(move |tx| queue::cancel(tx, &local, undone.id, true)).await.unwrap();
    if bench.live_through(Duration::from_secs(601)).await {
        let (wakes, _) = bench.store.run(queue::timers::sweep).await.unwrap();
        assert_eq!(wakes.iter().map(|w| w.device).collect::<Vec<_>>(), [fleet[1].id]);
        assert_eq!(take(&bench, fleet[1].id, Session::Fresh).await.unwrap().id, left.id);
        assert_eq!(take(&bench, fleet[0].id, Session::Fresh).await.map(|c| c.id), None);
    }
}

pub async fn a_cancel_that_comes_too_late_says_so(bench: Bench) {
    let device = bench.device("u1", &[Channel::Apple]).await;
    let local = bench.local().await;
    let wipe = bench.wipe(&local, device.id, Scope::Full).await.unwrap();
    take(&bench, device.id, Session::Fresh).await.unwrap();
    assert_eq!(code(bench.store.run(move |tx| queue::cancel(tx, &local, wipe.id, true)).await), "cancel_too_late");
}

pub async fn a_wipe_shuts_mail_at_once_unless_held(bench: Bench) {
    let device = bench.device("u1", &[Channel::Apple, Channel::Activesync]).await;
    let eve = bench.second("eve").await;
    bench.wipe(&eve, device.id, Scope::Full).await.unwrap();
    assert_eq!(bench.again(device.id).await.mail_shut, None, "the breaker holds it");
    let local = bench.local().await;
    let device = bench.device("u2", &[Channel::Apple, Channel::Activesync]).await;
    let wipe = bench.wipe(&local, device.id, Scope::Full).await.unwrap();
    assert_eq!(bench.again(device.id).await.mail_shut, Some(wipe.id));
    bench.store.run(move |tx| queue::cancel(tx, &local, wipe.id, true)).await.unwrap();
    let after = bench.again(device.id).await;
    assert_eq!((after.mail_shut, after.life), (None, Life::Enrolled));
}

pub async fn a_wipe_goes_on_by_the_next_enrolment_or_fails(bench: Bench) {
    let device = bench.device("u1", &[Channel::Apple, Channel::Activesync]).await;
    let local = bench.local().await;
    let wipe = bench.wipe(&local, device.id, Scope::Full).await.unwrap();
    let leave = |id: DeviceId, enrolment: EnrolmentId| {
        bench.store.run(move |tx| {
            let mut device = lookup::by_id(tx, id)?;
            queue::ending::left(tx, &mut device, enrolment, "checkout", "CheckOut")
        })
    };
    leave(device.id, device.enrolments[0].id).await.unwrap();
    let carried = bench.command(wipe.id).await;
    assert_eq!((carried.state, carried.channel), (State::Queued, Channel::Activesync));
    leave(device.id, device.enrolments[1].id).await.unwrap();
    let lost = bench.command(wipe.id).await;
    assert_eq!((lost.state, lost.error.unwrap().code.as_str()), (State::Failed, "device_left"));
}

pub async fn a_checkout_confirms_a_retire(bench: Bench) {
    let device = bench.device("u1", &[Channel::Apple]).await;
    let local = bench.local().await;
    let retire = bench.wipe(&local, device.id, Scope::Selective).await.unwrap();
    take(&bench, device.id, Session::Fresh).await.unwrap();
    let (id, enrolment) = (device.id, device.enrolments[0].id);
    let leave = move |tx: &mut Tx<'_>| {
        let mut device = lookup::by_id(tx, id)?;
        queue::ending::left(tx, &mut device, enrolment, "checkout", "CheckOut")
    };
    bench.store.run(leave).await.unwrap();
    let ended = bench.command(retire.id).await;
    assert_eq!((ended.state, ended.evidence[0].kind.as_str()), (State::Confirmed, "checkout"));
    assert_eq!(bench.again(id).await.state(), "retired");
}

pub async fn a_jump_of_the_clock_is_not_counted(bench: Bench) {
    bench.device("u1", &[Channel::Apple]).await;
    let eve = bench.second("eve").await;
    assert!(eve.newcomer_until.is_some());
    if bench.pass(30 * HOUR) {
        let local = bench.local().await;
        let all = bench.store.run(admins::list).await.unwrap();
        let eve = all.iter().find(|a| a.name == "eve").unwrap();
        assert!(eve.counts_from > eve.created.plus(30 * HOUR), "{eve:?} as {} sees it", local.name);
        bench.live_through(25 * HOUR).await;
        let all = bench.store.run(admins::list).await.unwrap();
        let now = bench.store.run(|tx| Ok(tx.now())).await.unwrap();
        assert!(all.iter().find(|a| a.name == "eve").unwrap().counts_from <= now);
    }
}

pub async fn a_clock_set_back_shortens_nothing(bench: Bench) {
    let before = bench.store.run(|tx| Ok(tx.now())).await.unwrap();
    bench.time.fetch_sub(7_200_000, std::sync::atomic::Ordering::SeqCst);
    let after = bench.store.run(|tx| Ok(tx.now())).await.unwrap();
    assert!(after >= before);
}

pub async fn the_audit_chain_shows_what_was_altered(bench: Bench) {
    let device = bench.device("u1", &[Channel::Apple]).await;
    let local = bench.local().await;
    bench.wipe(&local, device.id, Scope::Full).await.unwrap();
    bench.store.run(audit::checkpoint).await.unwrap();
    let good = bench.store.run(|tx| audit::verify(tx, None)).await.unwrap();
    assert!(good.ok, "{good:?}");
    let head = good.heads[0].hash.clone();
    assert!(bench.store.run(move |tx| audit::verify(tx, Some(&head))).await.unwrap().ok);
    assert!(!bench.store.run(|tx| audit::verify(tx, Some("00"))).await.unwrap().ok);
    let asked = |tx: &mut Tx<'_>| {
        let entries = audit::list(tx, None, 100)?;
        Ok(entries.into_iter().find(|e| e.entry.action == "wipe.asked").unwrap().entry)
    };
    let whole = bench.store.run(asked).await.unwrap();
    let other = bench.store.run(|tx| audit::list(tx, None, 100)).await.unwrap();
    let other = other.into_iter().find_map(|e| e.entry.text.filter(|text| Some(text) != whole.text.as_ref())).unwrap();
    for (row, altered, ok) in [
        ("another actor", audit::Entry { actor: "somebody else".into(), ..whole.clone() }, false),
        ("another text", audit::Entry { text: Some(other), ..whole.clone() }, false),
        ("an erased text", audit::Entry { text: None, ..whole.clone() }, true),
    ] {
        bench.store.run(move |tx| Ok(tx.put(&altered)?)).await.unwrap();
        let found = bench.store.run(|tx| audit::verify(tx, None)).await.unwrap();
        assert_eq!((found.ok, found.broken.len()), (ok, usize::from(!ok)), "{row}: {found:?}");
    }
}

pub async fn an_invitation_is_found_by_each_of_its_secrets(bench: Bench) {
    let local = bench.local().await;
    let make = move |tx: &mut Tx<'_>| {
        let made = invitation::create(tx, &local, Channel::Omadm, " Nurse@example.org ", Ownership::Corporate, None)?;
        Ok((made.invitation.id, made.key, made.code))
    };
    let (id, key, code) = bench.store.run(make).await.unwrap();
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
    let (ids, wrong) = bench.store.run(find).await.unwrap();
    assert_eq!(ids, [Some(id); 3]);
    assert_eq!(wrong, [false; 3]);
}

pub async fn wrong_codes_are_counted(bench: Bench) {
    for _ in 0..10 {
        let tried = |tx: &mut Tx<'_>| invitation::by_code(tx, "0000", Channel::Omadm, Some("a@b"), Some("192.0.2.9"));
        assert_eq!(bench.store.run(tried).await.unwrap().err(), Some(invitation::WrongCode::Wrong));
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
        assert_eq!(bench.store.run(tried).await.unwrap().err(), Some(want), "{user} {address}");
    }
    // Three users, two addresses.
    assert_eq!(bench.store.run(kept).await.unwrap(), 5);
    bench.store.run(|tx| tries::forget(tx, None)).await.unwrap();
    assert_eq!(bench.store.run(kept).await.unwrap(), 5, "they count still");
    if bench.pass(Duration::from_secs(3601)) {
        assert_eq!(bench.store.run(|tx| tries::forget(tx, None)).await.unwrap(), None);
        assert_eq!(bench.store.run(kept).await.unwrap(), 0);
    }
}

fn kept(tx: &mut Tx<'_>) -> Result<usize> {
    Ok(tx.scan::<tries::Tries>("", None, 100)?.len())
}

pub async fn a_name_that_fits_two_devices_is_refused(bench: Bench) {
    let one = bench.device("twin", &[Channel::Apple]).await;
    let found = bench.store.run(|tx| lookup::device(tx, "sTWIN")).await.unwrap();
    assert_eq!(found.id, one.id);
    bench.device("twin", &[Channel::Apple]).await;
    assert_eq!(code(bench.store.run(|tx| lookup::device(tx, "Stwin")).await), "ambiguous");
    assert_eq!(code(bench.store.run(|tx| lookup::device(tx, "nobody")).await), "device");
    let local = bench.local().await;
    let group = move |tx: &mut Tx<'_>| {
        groups::create(tx, &local, "ward 3")?;
        groups::set(tx, &local, "ward 3", &one.id.to_string(), true)?;
        groups::members(tx, "ward 3")
    };
    assert_eq!(bench.store.run(group).await.unwrap(), [one.id]);
}

pub async fn a_revoked_certificate_is_listed(bench: Bench) {
    let device = bench.device("u1", &[Channel::Apple]).await;
    let local = bench.local().await;
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
    let (good, sha256) = bench.store.run(make).await.unwrap();
    assert_eq!(good, credential::Standing::Good);
    let wipe = bench.wipe(&local, device.id, Scope::Full).await.unwrap();
    take(&bench, device.id, Session::Fresh).await.unwrap();
    settle(&bench, device.id, wipe.id, done()).await;
    let judge = move |tx: &mut Tx<'_>| {
        let credential = tx.get::<credential::Credential>(sha256)?.unwrap();
        let standing = credential::judge(tx.now(), &credential, Some(&lookup::by_id(tx, id)?));
        Ok((standing, credential::revoked(tx)?))
    };
    let (standing, revoked) = bench.store.run(judge).await.unwrap();
    assert_eq!(standing, credential::Standing::Ended, "the one case in which an Apple device is told to unenrol");
    assert_eq!(revoked.iter().map(|r| r.serial.clone()).collect::<Vec<_>>(), [serial]);
    assert_eq!(bench.actor(SECRET).await.id, admins::LOCAL);
}

fn certificate(tx: &mut Tx<'_>) -> Certificate {
    let (not_before, not_after) = (tx.now(), tx.now().plus(Duration::from_secs(63_072_000)));
    Certificate {
        serial: lanyard::ids::hex(&tx.random::<16>()),
        sha256: Fingerprint(tx.random()),
        not_before,
        not_after,
    }
}

fn claim(identity: &str) -> enrol::Claim {
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
async fn enrolled(
    bench: &Bench,
    channel: Channel,
    user: &str,
    claim: enrol::Claim,
) -> (DeviceId, EnrolmentId, Fingerprint) {
    let (local, user) = (bench.local().await, user.to_string());
    let enrol = move |tx: &mut Tx<'_>| {
        let made = invitation::create(tx, &local, channel, &user, Ownership::Corporate, None)?;
        let certificate = certificate(tx);
        let credential = enrol::spend(tx, made.invitation.id, "key", certificate, String::new())?;
        let sha256 = credential.certificate.sha256;
        let (mut device, id) = enrol::bind(tx, &sha256, &claim)?;
        assert!(enrol::complete(tx, &mut device, id, &sha256)?);
        Ok((device.id, id, sha256))
    };
    bench.store.run(enrol).await.unwrap()
}

async fn standing(bench: &Bench, sha256: Fingerprint) -> Standing {
    let judge = move |tx: &mut Tx<'_>| {
        let credential = tx.get::<Credential>(sha256)?.unwrap();
        let device = lookup::by_id(tx, credential.device.unwrap())?;
        Ok(credential::judge(tx.now(), &credential, Some(&device)))
    };
    bench.store.run(judge).await.unwrap()
}

pub async fn an_invitation_is_spent_once(bench: Bench) {
    let local = bench.local().await;
    let make = move |tx: &mut Tx<'_>| {
        let made = invitation::create(tx, &local, Channel::Apple, "a@b", Ownership::Corporate, Some(HOUR))?;
        let late = invitation::create(tx, &local, Channel::Apple, "a@b", Ownership::Corporate, Some(HOUR))?;
        Ok((made.invitation.id, late.invitation.id))
    };
    let (id, late) = bench.store.run(make).await.unwrap();
    let spend = |id: InvitationId, key: &'static str| {
        bench.store.run(move |tx| {
            let certificate = certificate(tx);
            Ok(enrol::spend(tx, id, key, certificate, String::new())?.certificate.sha256)
        })
    };
    let first = spend(id, "key one").await.unwrap();
    assert_eq!(spend(id, "key one").await.unwrap(), first, "the same key gets the same certificate");
    assert_eq!(code(spend(id, "key two").await), "invitation_spent");
    if bench.pass(2 * HOUR) {
        assert_eq!(code(spend(late, "key").await), "invitation_expired");
    }
}

pub async fn enrolments_join_one_device_for_the_same_user_only(bench: Bench) {
    let phone = enrol::Claim { mail_id: Some("APPL1".into()), ..claim("UDID-1") };
    let (phone, ..) = enrolled(&bench, Channel::Apple, "ann@example.org", phone).await;
    let (mail, ..) = enrolled(&bench, Channel::Activesync, "ANN@example.org", claim("appl1")).await;
    assert_eq!(mail, phone, "joined by the mail client's name");
    let (thief, ..) = enrolled(&bench, Channel::Activesync, "eve@example.org", claim("APPL1")).await;
    let (copy, ..) = enrolled(&bench, Channel::Apple, "eve@example.org", claim("UDID-1")).await;
    assert!(thief != phone && copy != phone, "a name is a claim");
    assert_eq!(bench.again(phone).await.enrolments.len(), 2);
    assert!(bench.again(phone).await.enrolments.iter().all(|e| e.state == EnrolmentState::Enrolled));
}

pub async fn a_certificate_never_speaks_for_another_device(bench: Bench) {
    let (_, _, sha256) = enrolled(&bench, Channel::Apple, "a@b", claim("UDID-1")).await;
    let other = bench.store.run(move |tx| enrol::bind(tx, &sha256, &claim("UDID-2"))).await;
    assert_eq!(code(other), "other_identity");
    let unknown = bench.store.run(|tx| enrol::bind(tx, &Fingerprint([7; 32]), &claim("UDID-1"))).await;
    assert_eq!(code(unknown), "not_pinned");
    bench.store.run(move |tx| enrol::bind(tx, &sha256, &claim("udid-1"))).await.unwrap();
}

pub async fn a_new_enrolment_takes_the_formers_place_with_an_empty_queue(bench: Bench) {
    let (device, old, old_certificate) = enrolled(&bench, Channel::Apple, "a@b", claim("UDID-1")).await;
    let local = bench.local().await;
    let wipe = bench.wipe(&local, device, Scope::Full).await.unwrap();
    let (again, _, new_certificate) = enrolled(&bench, Channel::Apple, "a@b", claim("UDID-1")).await;
    assert_eq!(again, device);
    let record = bench.again(device).await;
    assert_eq!((record.life, record.open.len(), record.mail_shut), (Life::Enrolled, 0, None));
    assert_eq!(record.enrolment(old).unwrap().state, EnrolmentState::Revoked);
    assert_eq!(bench.command(wipe.id).await.state, State::Cancelled, "it had not been sent");
    assert_eq!(standing(&bench, old_certificate).await, Standing::Revoked);
    assert_eq!(standing(&bench, new_certificate).await, Standing::Good);
}

pub async fn a_wiped_pc_that_enrols_anew_confirms_its_wipe(bench: Bench) {
    let pc = || enrol::Claim { platform: Platform::Windows, hardware_id: Some("HW-1".into()), ..claim("DEV-1") };
    let (device, ..) = enrolled(&bench, Channel::Omadm, "a@b", pc()).await;
    let local = bench.local().await;
    let wipe = bench.wipe(&local, device, Scope::Full).await.unwrap();
    take(&bench, device, Session::Fresh).await.unwrap();
    let accepted = Outcome::Presumed { kind: "status", detail: "200 on the Exec".into() };
    assert_eq!(settle(&bench, device, wipe.id, accepted).await.unwrap().state, State::Presumed);
    assert_eq!(bench.again(device).await.state(), "wiped");
    let (again, ..) = enrolled(&bench, Channel::Omadm, "a@b", enrol::Claim { identity: "DEV-2".into(), ..pc() }).await;
    assert_eq!(again, device, "joined by its hardware");
    let ended = bench.command(wipe.id).await;
    assert_eq!((ended.state, ended.evidence.len()), (State::Confirmed, 2));
    let record = bench.again(device).await;
    assert_eq!(record.state(), "enrolled", "the device is back, and not wiped again");
    assert_eq!(record.carrier().unwrap().identity, "DEV-2");
}

pub async fn a_renewed_certificate_overlaps_the_old_one(bench: Bench) {
    let (device, enrolment, old) = enrolled(&bench, Channel::Apple, "a@b", claim("UDID-1")).await;
    let renew = move |tx: &mut Tx<'_>| {
        let certificate = certificate(tx);
        Ok(enrol::renew(tx, &old, certificate, String::new())?.certificate.sha256)
    };
    let new = bench.store.run(renew).await.unwrap();
    assert_eq!((standing(&bench, old).await, standing(&bench, new).await), (Standing::Good, Standing::Good));
    let use_it = move |tx: &mut Tx<'_>| {
        let mut device = lookup::by_id(tx, device)?;
        enrol::complete(tx, &mut device, enrolment, &new)
    };
    assert!(!bench.store.run(use_it).await.unwrap(), "no new enrolment");
    assert_eq!((standing(&bench, old).await, standing(&bench, new).await), (Standing::Revoked, Standing::Good));
}

pub async fn a_revoked_enrolment_is_refused_and_its_wipe_says_so(bench: Bench) {
    let (device, _, sha256) = enrolled(&bench, Channel::Apple, "a@b", claim("UDID-1")).await;
    let local = bench.local().await;
    let wipe = bench.wipe(&local, device, Scope::Full).await.unwrap();
    bench.store.run(move |tx| enrol::revoke(tx, "local", device, None, "")).await.unwrap();
    assert_eq!(standing(&bench, sha256).await, Standing::Revoked, "refused, and not told to unenrol");
    let ended = bench.command(wipe.id).await;
    assert_eq!((ended.state, ended.error.unwrap().code.as_str()), (State::Failed, "device_left"));
}

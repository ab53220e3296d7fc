//! Promises about when a wipe is over: by proof from the certificates that it was asked for, and by nothing else.

use crate::{
    fixture::{Fixture, SECRET, happen, request},
    promise::{claim, done, enrolled, settle, spend, standing, take},
};
use lanyard::{
    error::Result,
    fleet::{
        admins::{self},
        audit,
        enrol::{self, invitation},
        keeper,
        life::{
            self, Act, Channel, Command, Contact, EnrolmentState, Event, Life, Outcome, Ownership, Scope, State,
            device::Device,
        },
        notices, queue,
        registry::{Standing, sights},
        settings,
        terms::EvidenceKind,
        wipe::{self, Request, approvals, stop},
    },
    ids::{CommandId, DeviceId, EnrolmentId},
    store::Tx,
};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const ANN: &str = "ann@example.org";

fn accepted() -> Outcome {
    Outcome::Presumed { kind: EvidenceKind::Status, detail: "Status 200".into() }
}

/// An authenticated message of this enrolment, and what it gets.
async fn heard(fixture: &Fixture, device: DeviceId, enrolment: EnrolmentId) -> Option<CommandId> {
    let hear = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, device)?;
        sights::note_seen(tx, enrolment)?;
        keeper::contact(tx, &mut device, enrolment)?;
        Ok(queue::take_next(tx, &mut device, enrolment, Contact::Fresh)?.map(|command| command.id))
    };
    fixture.store.run(hear).await.unwrap()
}

async fn says(fixture: &Fixture, device: DeviceId, enrolment: EnrolmentId, command: CommandId, outcome: Outcome) {
    let say = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, device)?;
        queue::settle(tx, &mut device, enrolment, command, outcome)
    };
    fixture.store.run(say).await.unwrap();
}

fn kinds(command: &Command) -> Vec<&'static str> {
    command.evidence.iter().map(|entry| entry.kind.as_str()).collect()
}

async fn told(fixture: &Fixture) -> Vec<String> {
    let take = |tx: &mut Tx<'_>| Ok(notices::take(tx, 100)?.map(|(_, notices)| notices).unwrap_or_default());
    fixture.store.run(take).await.unwrap().into_iter().map(|notice| notice.event).collect()
}

pub async fn contact_contradicts_a_presumed_wipe(fixture: Fixture) {
    let local = fixture.local().await;
    let hook = |tx: &mut Tx<'_>| {
        let local = admins::authenticate(tx, SECRET, true)?.unwrap();
        settings::set(tx, &local, "notify.webhook", "https://example.org/hook").map(drop)
    };
    fixture.store.run(hook).await.unwrap();
    let (device, pc, certificate) = enrolled(&fixture, Channel::Omadm, ANN, claim("PC-1")).await;
    let wipe = fixture.wipe(&local, device, Scope::Full).await.unwrap().id;
    assert_eq!(heard(&fixture, device, pc).await, Some(wipe));
    says(&fixture, device, pc, wipe, accepted()).await;
    assert_eq!(fixture.command(wipe).await.state, State::Presumed);
    assert_eq!(standing(&fixture, certificate).await, Standing::Good, "it is not told to unenrol");
    if !fixture.pass(14 * MINUTE) {
        return;
    }
    assert_eq!(heard(&fixture, device, pc).await, None, "it may say its last words");
    assert_eq!(fixture.command(wipe).await.state, State::Presumed);
    fixture.pass(2 * MINUTE);
    // What enrols meanwhile, an old disk image's new owner, never gets it.
    let (again, other, _) =
        enrolled(&fixture, Channel::Omadm, ANN, life::Claim { hardware_id: None, ..claim("PC-1") }).await;
    assert_eq!(again, device);
    assert_eq!(heard(&fixture, device, pc).await, Some(wipe), "it is sent again, at once");
    let contradicted = fixture.command(wipe).await;
    assert_eq!((contradicted.state, kinds(&contradicted).last()), (State::Sent, Some(&"contact")));
    assert_ne!(heard(&fixture, device, other).await, Some(wipe));
    assert!(told(&fixture).await.contains(&"wipe.contradicted".to_string()));
    // Accepted again and heard again: after an hour, then daily. It can be taken back though it was sent.
    says(&fixture, device, pc, wipe, accepted()).await;
    for (row, pause) in [("an hour", HOUR), ("a day", DAY), ("a day again", DAY)] {
        fixture.pass(16 * MINUTE);
        assert_eq!(heard(&fixture, device, pc).await, None, "{row}");
        assert_eq!(fixture.command(wipe).await.state, State::Queued, "{row}");
        fixture.pass(pause - MINUTE);
        assert_eq!(heard(&fixture, device, pc).await, None, "{row}");
        fixture.pass(2 * MINUTE);
        assert_eq!(heard(&fixture, device, pc).await, Some(wipe), "{row}");
        if row != "a day again" {
            says(&fixture, device, pc, wipe, accepted()).await;
        }
    }
    let entries = fixture.command(wipe).await;
    assert_eq!(kinds(&entries).iter().filter(|kind| **kind == "contact").count(), 1, "one entry, which counts");
    assert!(entries.evidence.iter().any(|e| e.detail.ends_with("times: 4")), "{:?}", entries.evidence);
    let set = |tx: &mut Tx<'_>| {
        let local = admins::authenticate(tx, SECRET, true)?.unwrap();
        stop::set(tx, &local, false).map(drop)
    };
    fixture.store.run(set).await.unwrap();
    assert_eq!(heard(&fixture, device, pc).await, None, "it waits under the stop");
    let cancel = move |tx: &mut Tx<'_>| wipe::cancel(tx, &local, wipe, true).map(|c| c.state);
    assert_eq!(fixture.store.run(cancel).await.unwrap(), State::Cancelled);
}

pub async fn who_is_heard_after_a_proved_wipe_is_on_record(fixture: Fixture) {
    let local = fixture.local().await;
    let (device, phone, certificate) = enrolled(&fixture, Channel::Apple, ANN, claim("UDID-1")).await;
    let wipe = fixture.wipe(&local, device, Scope::Full).await.unwrap().id;
    take(&fixture, device, Contact::Fresh).await.unwrap();
    settle(&fixture, device, wipe, done()).await.unwrap();
    assert_eq!(standing(&fixture, certificate).await, Standing::Ended);
    for times in 1..=2 {
        let hear = move |tx: &mut Tx<'_>| {
            let mut device = keeper::by_id(tx, device)?;
            happen(tx, &mut device, Event::HeardAfterEnd(phone))
        };
        fixture.store.run(hear).await.unwrap();
        let proved = fixture.command(wipe).await;
        assert_eq!((proved.state, kinds(&proved)), (State::Confirmed, vec!["acknowledged", "contact"]));
        assert!(proved.evidence[1].detail.ends_with(&format!("times: {times}")));
    }
}

pub async fn what_enrols_later_ends_nothing_and_is_served(fixture: Fixture) {
    let local = fixture.local().await;
    for (row, channel) in [("an iPhone", Channel::Apple), ("a PC", Channel::Omadm)] {
        let (device, phone, certificate) = enrolled(&fixture, channel, ANN, claim(row)).await;
        let wipe = fixture.wipe(&local, device, Scope::Full).await.unwrap().id;
        // A script enrols under the phone's name.
        let (again, script, _) = enrolled(&fixture, channel, ANN, claim(row)).await;
        assert_eq!(again, device, "{row}");
        let record: Device = fixture.again(device).await;
        assert_eq!((record.state(), record.ownership), ("wiping", Ownership::Corporate), "{row}");
        assert_eq!(fixture.command(wipe).await.state, State::Queued, "{row}");
        assert_eq!(heard(&fixture, device, script).await, Some(wipe), "{row}: it gets it once");
        says(&fixture, device, script, wipe, done()).await;
        let open = fixture.command(wipe).await;
        assert_eq!((open.state, kinds(&open)), (State::Queued, vec!["enrolled_anew", "later_enrolment"]), "{row}");
        assert_eq!(heard(&fixture, device, script).await, None, "{row}: then it is served");
        let served = move |tx: &mut Tx<'_>| Ok(keeper::by_id(tx, device)?.is_served(script));
        assert!(fixture.store.run(served).await.unwrap(), "{row}");
        // It leaves, it says what it likes: the wipe is the phone's.
        says(&fixture, device, script, wipe, done()).await;
        let leave = move |tx: &mut Tx<'_>| {
            let mut device = keeper::by_id(tx, device)?;
            crate::fixture::left(tx, &mut device, script)
        };
        fixture.store.run(leave).await.unwrap();
        assert_eq!(fixture.command(wipe).await.state, State::Queued, "{row}");
        assert_eq!(standing(&fixture, certificate).await, Standing::Good, "{row}: good for its wipe");
        assert_eq!(heard(&fixture, device, phone).await, Some(wipe), "{row}");
        says(&fixture, device, phone, wipe, done()).await;
        assert_eq!(fixture.command(wipe).await.state, State::Confirmed, "{row}");
    }
}

pub async fn what_enrolled_later_can_be_wiped_itself(fixture: Fixture) {
    let local = fixture.local().await;
    let (device, phone, _) = enrolled(&fixture, Channel::Apple, ANN, claim("UDID-1")).await;
    let first = fixture.wipe(&local, device, Scope::Selective).await.unwrap().id;
    let (_, newer, _) = enrolled(&fixture, Channel::Apple, ANN, claim("UDID-1")).await;
    heard(&fixture, device, newer).await;
    says(&fixture, device, newer, first, done()).await;
    let second = fixture.wipe(&local, device, Scope::Full).await.unwrap().id;
    assert_ne!(second, first, "the first is not owed to it");
    assert_eq!(fixture.command(first).await.state, State::Queued, "nor is it replaced");
    assert_eq!(heard(&fixture, device, newer).await, Some(second));
    assert_eq!(heard(&fixture, device, phone).await, Some(first));
    says(&fixture, device, newer, second, done()).await;
    assert_eq!(fixture.again(device).await.state(), "wiped");
    says(&fixture, device, phone, first, done()).await;
    assert_eq!(fixture.command(first).await.state, State::Confirmed);
}

/// Anybody with an invitation can begin an enrolment.
pub async fn an_enrolment_that_only_begins_makes_no_wipe_presumed(fixture: Fixture) {
    let local = fixture.local().await;
    let (device, phone, _) = enrolled(&fixture, Channel::Apple, ANN, claim("UDID-1")).await;
    let wipe = fixture.wipe(&local, device, Scope::Full).await.unwrap().id;
    let begin = move |tx: &mut Tx<'_>| {
        let made = invitation::create(tx, &local, Channel::Apple, ANN, Ownership::Corporate, None)?;
        let sha256 = spend(tx, made.invitation.id, "key")?.certificate.sha256;
        enrol::bind(tx, &sha256, &claim("UDID-1")).map(drop)
    };
    fixture.store.run(begin).await.unwrap();
    if !fixture.live_through(40 * DAY).await {
        return;
    }
    fixture.store.run(|tx| wipe::sweep(tx).map(drop)).await.unwrap();
    assert_eq!(fixture.command(wipe).await.state, State::Queued);
    assert_eq!(heard(&fixture, device, phone).await, Some(wipe));
}

pub async fn a_wipe_owed_to_a_silent_certificate_is_presumed_after_a_month(fixture: Fixture) {
    let local = fixture.local().await;
    let (device, phone, _) = enrolled(&fixture, Channel::Apple, ANN, claim("UDID-1")).await;
    let wipe = fixture.wipe(&local, device, Scope::Full).await.unwrap().id;
    assert_eq!(heard(&fixture, device, phone).await, Some(wipe));
    let (_, script, _) = enrolled(&fixture, Channel::Apple, ANN, claim("UDID-1")).await;
    heard(&fixture, device, script).await;
    says(&fixture, device, script, wipe, done()).await;
    let sweep = |tx: &mut Tx<'_>| wipe::sweep(tx).map(drop);
    if !fixture.live_through(20 * DAY).await {
        return;
    }
    assert_eq!(heard(&fixture, device, phone).await, Some(wipe), "and heard once more");
    fixture.live_through(29 * DAY).await;
    fixture.store.run(sweep).await.unwrap();
    assert_eq!(fixture.command(wipe).await.state, State::Sent);
    fixture.live_through(2 * DAY).await;
    fixture.store.run(sweep).await.unwrap();
    let presumed = fixture.command(wipe).await;
    assert_eq!((presumed.state, kinds(&presumed).last()), (State::Presumed, Some(&"silence")));
    let record = fixture.again(device).await;
    assert_eq!((record.life, record.enrolment(script).unwrap().state), (Life::Enrolled, EnrolmentState::Enrolled));
    // And that too is contradicted by who is heard.
    fixture.pass(HOUR);
    assert_eq!(heard(&fixture, device, phone).await, Some(wipe));
    assert_eq!(heard(&fixture, device, script).await, None);
}

pub async fn a_clone_does_not_end_the_first_while_that_is_heard(fixture: Fixture) {
    let pc = |name: &str| life::Claim { hardware_id: Some("HW-1".into()), ..claim(name) };
    let (device, first, _) = enrolled(&fixture, Channel::Omadm, ANN, pc("PC-1")).await;
    let (again, clone, _) = enrolled(&fixture, Channel::Omadm, ANN, pc("PC-2")).await;
    assert_eq!(again, device, "one device by its hardware");
    let live = async || {
        let record = fixture.again(device).await;
        [first, clone].map(|id| record.enrolment(id).unwrap().is_live())
    };
    assert_eq!(live().await, [true, true]);
    for _ in 0..5 {
        if !fixture.live_through(12 * HOUR).await {
            return;
        }
        heard(&fixture, device, first).await;
        heard(&fixture, device, clone).await;
    }
    assert_eq!(live().await, [true, true], "both are heard");
    fixture.live_through(23 * HOUR).await;
    heard(&fixture, device, clone).await;
    assert_eq!(live().await, [true, true]);
    fixture.live_through(2 * HOUR).await;
    heard(&fixture, device, clone).await;
    assert_eq!(live().await, [false, true], "silent for a day while the newer one is heard");
}

pub async fn each_end_of_a_wipe_is_on_record(fixture: Fixture) {
    let local = fixture.local().await;
    let ends: [(&str, State); 4] = [
        ("cancelled", State::Cancelled),
        ("revoked", State::Failed),
        ("left", State::Failed),
        ("wiped", State::Confirmed),
    ];
    for (row, end) in ends {
        let (device, enrolment, _) = enrolled(&fixture, Channel::Apple, ANN, claim(row)).await;
        let wipe = fixture.wipe(&local, device, Scope::Full).await.unwrap().id;
        let local = local.clone();
        let act = move |tx: &mut Tx<'_>| -> Result<()> {
            let mut record = keeper::by_id(tx, device)?;
            match row {
                "cancelled" => wipe::cancel(tx, &local, wipe, true).map(drop),
                "revoked" => lanyard::fleet::enrol::revoke(tx, &local.id, device, None, "").map(drop),
                "left" => crate::fixture::left(tx, &mut record, enrolment),
                _ => {
                    queue::take_next(tx, &mut record, enrolment, Contact::Fresh)?;
                    queue::settle(tx, &mut record, enrolment, wipe, done()).map(drop)
                }
            }
        };
        fixture.store.run(act).await.unwrap();
        assert_eq!(fixture.command(wipe).await.state, end, "{row}");
        let log = fixture.store.run(move |tx| audit::list_of(tx, &[device.0], None, 100)).await.unwrap();
        let of_this = |e: &&audit::Printed| e.entry.action == "wipe.ended" && e.entry.subject == wipe.to_string();
        let outcomes: Vec<&str> = log.iter().filter(of_this).map(|e| e.entry.outcome.as_str()).collect();
        assert_eq!(outcomes, [end.as_str()], "{row}");
    }
}

pub async fn who_was_sent_something_and_is_silent_is_woken_again(fixture: Fixture) {
    let (device, phone, _) = enrolled(&fixture, Channel::Apple, ANN, claim("UDID-1")).await;
    let wakes = async || {
        let (wakes, _) = fixture.store.run(wipe::sweep).await.unwrap();
        wakes.iter().filter(|wake| wake.device == device).count()
    };
    let local = fixture.local().await;
    let ask = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, device)?;
        queue::ask(tx, &local, &mut device, Act::Refresh, &crate::fixture::able)
    };
    fixture.store.run(ask).await.unwrap();
    assert_eq!(wakes().await, 1, "at once");
    heard(&fixture, device, phone).await.unwrap();
    assert_eq!(wakes().await, 0);
    for (row, pause) in
        [("10 s", 10), ("a minute", 60), ("10 minutes", 600), ("an hour", 3600), ("an hour again", 3600)]
    {
        if !fixture.pass(Duration::from_secs(pause - 1)) {
            return;
        }
        assert_eq!(wakes().await, 0, "{row}");
        fixture.pass(Duration::from_secs(2));
        assert_eq!(wakes().await, 1, "{row}: the answer may have been lost");
    }
    let refresh = fixture.again(device).await.open[0];
    says(&fixture, device, phone, refresh, done()).await;
    fixture.pass(2 * HOUR);
    assert_eq!(wakes().await, 0, "answered");
}

pub async fn a_wipe_asked_for_again_wakes_again(fixture: Fixture) {
    let local = fixture.local().await;
    let (device, pc, _) = enrolled(&fixture, Channel::Omadm, ANN, claim("PC-1")).await;
    let wipe = fixture.wipe(&local, device, Scope::Full).await.unwrap().id;
    let wakes = async || fixture.store.run(wipe::sweep).await.unwrap().0.len();
    assert_eq!(wakes().await, 1);
    assert_eq!(wakes().await, 0);
    assert_eq!(fixture.wipe(&local, device, Scope::Full).await.unwrap().id, wipe);
    assert_eq!(wakes().await, 1, "queued");
    assert_eq!(heard(&fixture, device, pc).await, Some(wipe));
    says(&fixture, device, pc, wipe, accepted()).await;
    assert_eq!(fixture.wipe(&local, device, Scope::Full).await.unwrap().id, wipe, "nothing contradicts it");
    assert_eq!(wakes().await, 1, "presumed");
    assert_eq!(wakes().await, 0, "once");
    assert_eq!(fixture.wipe(&local, device, Scope::Selective).await.unwrap().id, wipe, "the full one answers");
}

pub async fn what_has_ended_does_not_expire(fixture: Fixture) {
    let (local, bob) = (fixture.local().await, fixture.second("bob").await);
    let (device, pc, _) = enrolled(&fixture, Channel::Omadm, ANN, claim("PC-1")).await;
    let hour = Request { expires: Some(HOUR), ..request(Scope::Full) };
    let wipe = fixture.wipe_with(&local, device, hour).await.unwrap().id;
    assert_eq!(heard(&fixture, device, pc).await, Some(wipe));
    says(&fixture, device, pc, wipe, accepted()).await;
    if !fixture.pass(2 * HOUR) {
        return;
    }
    // Asked for again it has a timer again, for the wake.
    assert_eq!(fixture.wipe(&local, device, Scope::Full).await.unwrap().id, wipe);
    let sweep = async || fixture.store.run(|tx| wipe::sweep(tx).map(drop)).await.unwrap();
    sweep().await;
    assert_eq!(fixture.command(wipe).await.state, State::Presumed);
    // Nor does what is contradicted: under the stop it waits, and after the next contact for an hour.
    let who = local.clone();
    fixture.store.run(move |tx| stop::set(tx, &who, false).map(drop)).await.unwrap();
    assert_eq!(heard(&fixture, device, pc).await, None);
    sweep().await;
    assert_eq!(fixture.command(wipe).await.state, State::Queued, "under the stop");
    let lift = move |tx: &mut Tx<'_>| {
        let asked = stop::ask_off(tx, &local)?;
        crate::fixture::reads_and_approves(tx, &bob, asked.id).map(drop)
    };
    fixture.store.run(lift).await.unwrap();
    assert_eq!(heard(&fixture, device, pc).await, Some(wipe));
    says(&fixture, device, pc, wipe, accepted()).await;
    fixture.pass(HOUR / 2);
    assert_eq!(heard(&fixture, device, pc).await, None, "it pauses");
    sweep().await;
    assert_eq!(fixture.command(wipe).await.state, State::Queued, "in its pause");
    fixture.pass(HOUR);
    assert_eq!(heard(&fixture, device, pc).await, Some(wipe));
}

pub async fn a_former_enrolment_that_is_owed_two_wipes_gets_the_second(fixture: Fixture) {
    let (local, bob) = (fixture.local().await, fixture.second("bob").await);
    for row in ["the first is taken back", "the second takes its place"] {
        let (device, phone, certificate) = enrolled(&fixture, Channel::Apple, ANN, claim(row)).await;
        let newcomer = fixture.second(row).await;
        let first = fixture.wipe(&local, device, Scope::Selective).await.unwrap().id;
        let second = fixture.wipe(&newcomer, device, Scope::Full).await.unwrap();
        assert_eq!(second.state, State::Held, "{row}");
        enrolled(&fixture, Channel::Apple, ANN, claim(row)).await;
        let (local, bob, approval, second) = (local.clone(), bob.clone(), second.approval, second.id);
        let act = move |tx: &mut Tx<'_>| {
            if row == "the first is taken back" {
                wipe::cancel(tx, &local, first, true)?;
            }
            let id = approval.unwrap();
            approvals::look(tx, &bob, id)?;
            approvals::approve(tx, &bob, id).map(drop)
        };
        fixture.store.run(act).await.unwrap();
        assert_eq!(fixture.command(first).await.state, State::Cancelled, "{row}");
        assert_eq!(standing(&fixture, certificate).await, Standing::Good, "{row}");
        assert_eq!(heard(&fixture, device, phone).await, Some(second), "{row}");
        says(&fixture, device, phone, second, done()).await;
        assert_eq!(fixture.command(second).await.state, State::Confirmed, "{row}");
    }
}

pub async fn a_held_wipe_that_another_asks_for_is_about_the_device_as_it_is(fixture: Fixture) {
    let local = fixture.local().await;
    let (device, _, certificate) = enrolled(&fixture, Channel::Apple, ANN, claim("UDID-1")).await;
    let newcomer = fixture.second("newcomer").await;
    let held = fixture.wipe(&newcomer, device, Scope::Full).await.unwrap();
    assert_eq!(held.state, State::Held);
    let (_, anew, _) = enrolled(&fixture, Channel::Apple, ANN, claim("UDID-1")).await;
    let asked = fixture.wipe(&local, device, Scope::Full).await.unwrap();
    assert_eq!((asked.id, asked.state, asked.enrolment), (held.id, State::Queued, anew));
    assert_ne!(standing(&fixture, certificate).await, Standing::Good, "it is owed nothing any more");
    assert_eq!(heard(&fixture, device, anew).await, Some(held.id));
    says(&fixture, device, anew, held.id, done()).await;
    assert_eq!(fixture.command(held.id).await.state, State::Confirmed);
}

pub async fn a_month_of_silence_begins_with_what_enrols_later(fixture: Fixture) {
    let local = fixture.local().await;
    let (device, pc, _) = enrolled(&fixture, Channel::Omadm, ANN, claim("PC-1")).await;
    let wipe = fixture.wipe(&local, device, Scope::Full).await.unwrap().id;
    assert_eq!(heard(&fixture, device, pc).await, Some(wipe));
    says(&fixture, device, pc, wipe, accepted()).await;
    // It is contradicted, and heard again and again.
    for _ in 0..40 {
        if !fixture.live_through(DAY).await {
            return;
        }
        assert_eq!(heard(&fixture, device, pc).await, Some(wipe));
    }
    enrolled(&fixture, Channel::Omadm, ANN, claim("PC-1")).await;
    let state_after = async |days: u32| {
        fixture.live_through(days * DAY).await;
        fixture.store.run(|tx| wipe::sweep(tx).map(drop)).await.unwrap();
        fixture.command(wipe).await.state
    };
    assert_eq!(state_after(29).await, State::Sent, "it was heard the day before");
    assert_eq!(state_after(2).await, State::Presumed);
}

pub async fn who_was_heard_before_another_enrols_was_not_silent(fixture: Fixture) {
    let local = fixture.local().await;
    let pc = |name: &str| life::Claim { hardware_id: Some("HW-1".into()), ..claim(name) };
    let (device, first, _) = enrolled(&fixture, Channel::Omadm, ANN, pc("PC-1")).await;
    let (_, clone, _) = enrolled(&fixture, Channel::Omadm, ANN, pc("PC-2")).await;
    let wipe = fixture.wipe(&local, device, Scope::Selective).await.unwrap().id;
    if !fixture.live_through(2 * DAY).await {
        return;
    }
    // The clone takes the place of the first, which was silent for two days and is heard again.
    heard(&fixture, device, clone).await;
    for _ in 0..40 {
        fixture.live_through(DAY).await;
        heard(&fixture, device, first).await;
    }
    enrolled(&fixture, Channel::Omadm, ANN, pc("PC-3")).await;
    fixture.live_through(HOUR).await;
    fixture.store.run(|tx| wipe::sweep(tx).map(drop)).await.unwrap();
    assert_ne!(fixture.command(wipe).await.state, State::Presumed, "it was heard an hour before");
}

pub async fn what_the_end_of_another_wipe_ended_is_not_released(fixture: Fixture) {
    let local = fixture.local().await;
    let (device, phone, _) = enrolled(&fixture, Channel::Apple, ANN, claim("UDID-1")).await;
    let retire = fixture.wipe(&local, device, Scope::Selective).await.unwrap().id;
    assert_eq!(heard(&fixture, device, phone).await, Some(retire));
    let later = Request { delay: Some(HOUR), ..request(Scope::Full) };
    let full = fixture.wipe_with(&local, device, later).await.unwrap().id;
    assert_eq!(fixture.wipe(&local, device, Scope::Full).await.unwrap().id, full, "asked for again, for its wake");
    says(&fixture, device, phone, retire, done()).await;
    assert_eq!(fixture.command(full).await.state, State::Failed);
    if !fixture.pass(2 * HOUR) {
        return;
    }
    let wakes = fixture.store.run(wipe::sweep).await.unwrap().0;
    assert_eq!((fixture.command(full).await.state, wakes), (State::Failed, vec![]));
}

pub async fn a_presumed_wipe_is_contradicted_beside_one_that_is_held(fixture: Fixture) {
    let local = fixture.local().await;
    let (device, pc, _) = enrolled(&fixture, Channel::Omadm, ANN, claim("PC-1")).await;
    let eve = fixture.second("eve").await;
    assert!(eve.newcomer_until.is_some());
    let held = fixture.wipe(&eve, device, Scope::Selective).await.unwrap();
    assert_eq!(held.state, State::Held);
    let wipe = fixture.wipe(&local, device, Scope::Full).await.unwrap().id;
    enrolled(&fixture, Channel::Omadm, ANN, claim("PC-1")).await;
    assert_eq!(heard(&fixture, device, pc).await, Some(wipe));
    says(&fixture, device, pc, wipe, accepted()).await;
    assert_eq!(fixture.command(wipe).await.state, State::Presumed);
    if fixture.pass(HOUR) {
        assert_eq!(heard(&fixture, device, pc).await, Some(wipe), "though it is owed another one too");
    }
}

/// Somebody who proved no login says that it is done: nothing ends by that, and after a month without a contact it is presumed.
pub async fn what_is_said_without_a_login_ends_a_wipe_only_after_a_month_of_silence(fixture: Fixture) {
    let local = fixture.local().await;
    let phone = fixture.device("ApplSTOLEN", &[Channel::Activesync]).await;
    let (device, mail) = (phone.id, phone.enrolments[0].id);
    let wipe = fixture.wipe(&local, device, Scope::Full).await.unwrap().id;
    let say = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, device)?;
        keeper::happen(tx, &mut device, Event::DoneUnproved(wipe)).map(drop)
    };
    fixture.store.run(say).await.unwrap();
    assert_eq!(fixture.command(wipe).await.unproved, None, "it was not told of it yet");
    assert_eq!(heard(&fixture, device, mail).await, Some(wipe));
    fixture.store.run(say).await.unwrap();
    assert_eq!(fixture.command(wipe).await.state, State::Sent);
    if !fixture.live_through(20 * DAY).await {
        return;
    }
    fixture.store.run(say).await.unwrap();
    // A proved login is a contact: what was said counts no more.
    heard(&fixture, device, mail).await;
    assert_eq!(fixture.command(wipe).await.unproved, None);
    let sweep = |tx: &mut Tx<'_>| wipe::sweep(tx).map(drop);
    fixture.live_through(40 * DAY).await;
    fixture.store.run(sweep).await.unwrap();
    assert_eq!(fixture.command(wipe).await.state, State::Sent, "nobody has said anything since");
    fixture.store.run(say).await.unwrap();
    fixture.live_through(29 * DAY).await;
    fixture.store.run(sweep).await.unwrap();
    assert_eq!(fixture.command(wipe).await.state, State::Sent);
    fixture.live_through(2 * DAY).await;
    fixture.store.run(sweep).await.unwrap();
    let ended = fixture.command(wipe).await;
    assert_eq!((ended.state, kinds(&ended)), (State::Presumed, vec!["silence"]));
    assert!(ended.evidence[0].detail.contains("proved no login"), "{:?}", ended.evidence);
}

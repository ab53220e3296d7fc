//! A store that was taken back to an older state: nothing guarded leaves before people have looked.

use super::*;
use lanyard::{
    fleet::{life::command::Hold, wipe::loss},
    store::Checked,
};

fn behind() -> Checked {
    Checked {
        ok: false,
        store: "a store".into(),
        commit: Some(3),
        expected: Some(9),
        records: 7,
        missing: 2,
        damaged: vec!["default/device/1".into()],
        why: Some("behind".into()),
    }
}

pub async fn an_accepted_loss_begins_with_the_stop_on_and_all_that_is_unsent_held(fixture: Fixture) {
    let local = fixture.local().await;
    let alice = fixture.second("alice").await;
    let mut devices = Vec::new();
    for name in ["queued", "waiting", "sent", "asked", "restarted"] {
        devices.push(fixture.device(name, &[Channel::Apple]).await.id);
    }
    let queued = fixture.wipe(&local, devices[0], Scope::Full).await.unwrap();
    let delayed = Request { delay: Some(HOUR), ..request(Scope::Full) };
    let waiting = fixture.wipe_with(&alice, devices[1], delayed).await.unwrap();
    let sent = fixture.wipe(&local, devices[2], Scope::Full).await.unwrap();
    take(&fixture, devices[2], Contact::Fresh).await.unwrap();
    let enrolled = devices[3];
    let facts = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, enrolled)?;
        let enrolment = device.enrolments[0].id;
        queue::ask_by_system(tx, &mut device, enrolment, Act::Refresh)
    };
    let facts = fixture.store.run(facts).await.unwrap();
    let restart = ask(&fixture, devices[4], Act::Restart).await;

    let held = fixture.store.run(|tx| loss::accept(tx, &behind(), 3)).await.unwrap();
    assert_eq!(held, 3);
    assert!(fixture.store.run(stop::is_on).await.unwrap());
    let mut approvals = Vec::new();
    for id in [queued.id, waiting.id, restart.id] {
        let command = fixture.command(id).await;
        assert_eq!(
            (command.state, command.hold),
            (State::Held, Some(Hold::Breaker)),
            "{}",
            command.act.action().as_str()
        );
        assert_eq!(command.release_at, None, "no undo window lets it go");
        approvals.push(command.approval.unwrap());
    }
    assert_ne!(approvals[0], approvals[1], "each person's is another request");
    assert_eq!(fixture.command(facts.id).await.state, State::Queued, "what the server asks by itself does no harm");
    assert_eq!(fixture.command(sent.id).await.state, State::Sent, "it may be done already");
    fixture.pass(2 * HOUR);
    fixture.store.run(wipe::sweep).await.unwrap();
    for id in devices {
        let taken = take(&fixture, id, Contact::Fresh).await;
        assert!(taken.is_none_or(|command| command.id == facts.id), "nothing guarded leaves");
    }
    let log = fixture.store.run(|tx| audit::list(tx, None, 1000)).await.unwrap();
    let entry = log.into_iter().find(|e| e.entry.action == "store.loss_accepted").unwrap();
    let detail = entry.detail.unwrap();
    assert!(
        detail.contains("commit 3, of 9") && detail.contains("default/device/1") && detail.contains("3 commands"),
        "{detail}"
    );
}

pub async fn an_accepted_loss_counts_what_is_left(fixture: Fixture) {
    for user in ["a", "b", "c"] {
        fixture.device(user, &[Channel::Apple]).await;
    }
    fixture.store.run(|tx| Ok(tx.count_all::<Device>()?)).await.unwrap();
    // As if devices had gone with the disk, or their counts.
    let lost = |tx: &mut Tx<'_>| {
        for count in tx.all::<Count>("")? {
            tx.delete(&count)?;
        }
        Ok(())
    };
    fixture.store.run(lost).await.unwrap();
    fixture.store.run(|tx| loss::accept(tx, &behind(), 3)).await.unwrap();
    let [kept, found] = fixture.store.run(counts).await.unwrap();
    assert_eq!((&kept, kept.values().sum::<u64>()), (&found, 3));
}

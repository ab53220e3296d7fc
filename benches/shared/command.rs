//! A command's way, three durable calls, again and again: what several benches time.

use lanyard::{
    fleet::{
        actor::Actor,
        keeper,
        life::{Act, Channel, Contact, Enrolment, EnrolmentState, Event, Managed, Outcome, Ownership, Platform},
        queue,
        terms::EvidenceKind,
    },
    ids::{DeviceId, EnrolmentId},
    store::{Store, Tx},
};
use std::{collections::BTreeSet, process::Command, time::Instant};

/// One statement on the database.
pub(crate) fn psql(url: &str, statement: &str) {
    assert!(Command::new("psql").args([url, "-qc", statement]).status().unwrap().success());
}

/// A device that can be asked for something.
pub(crate) fn add_device(tx: &mut Tx<'_>) -> lanyard::error::Result<(DeviceId, EnrolmentId)> {
    let mut device = Managed::new(tx.new_id(), "u@example.org", Ownership::Corporate, Platform::Ios, tx.time());
    let enrolment = tx.new_id();
    let (identity, enrolled) = (device.id.to_string(), EnrolmentState::Enrolled);
    let new = Box::new(Enrolment::new(enrolment, Channel::Apple, &identity, enrolled, tx.now()));
    keeper::happen(tx, &mut device, Event::Begun { enrolment: new, personal: false })?;
    Ok((device.id, enrolment))
}

/// Commands that one device has done until then, each asked for, handed out and acknowledged.
pub(crate) async fn one_device(store: Store, id: DeviceId, enrolment: EnrolmentId, end: Instant) -> u64 {
    let mut done = 0;
    while Instant::now() < end {
        let asked = store.run(move |tx| {
            let actor = Actor {
                id: "bench".into(),
                name: "bench".into(),
                token: String::new(),
                newcomer_until: None,
                sponsors: BTreeSet::new(),
            };
            let mut device = keeper::by_id(tx, id)?;
            queue::ask(tx, &actor, &mut device, Act::Refresh, &lanyard::channel::support)
        });
        let asked = asked.await.unwrap().id;
        let sent = store.run(move |tx| {
            let mut device = keeper::by_id(tx, id)?;
            queue::take_next(tx, &mut device, enrolment, Contact::Fresh)
        });
        assert_eq!(sent.await.unwrap().map(|c| c.id), Some(asked));
        let settled = store.run(move |tx| {
            let mut device = keeper::by_id(tx, id)?;
            let outcome = Outcome::Done { kind: EvidenceKind::Acknowledged, detail: "Acknowledged".into() };
            queue::settle(tx, &mut device, enrolment, asked, outcome)
        });
        settled.await.unwrap().unwrap();
        done += 1;
    }
    done
}

//! Promises about what coverage says: it is what the device said last, and no more.

use super::*;
use lanyard::{
    fleet::life::{Event as Happening, Fate, Leaving, Managed},
    policy::{Compliance, Outcome as PartOutcome, PartId, Said, SettingCoverage, State as Stands},
};

/// Assigns a policy to everybody.
pub(super) async fn policy(fixture: &Fixture, text: &str) {
    let (local, text) = (fixture.local().await, format!("name: a\nassign: all\n{text}\n"));
    let apply = move |tx: &mut Tx<'_>| {
        let source = policies::Source::try_from(text).unwrap();
        let seen = policies::look(tx, &source)?;
        policies::apply(tx, &local, &source, seen).map(drop)
    };
    fixture.store.run(apply).await.unwrap();
}

/// What happens to a device over its first enrolment.
pub(super) async fn happens_to(
    fixture: &Fixture,
    id: DeviceId,
    what: impl FnOnce(&Managed, EnrolmentId) -> Happening + Send + 'static,
) {
    let happen = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, id)?;
        let event = what(&device, device.enrolments[0].id);
        keeper::happen(tx, &mut device, event).map(drop)
    };
    fixture.store.once(happen).await.unwrap();
}

/// Takes what is due to be set, as a device does that refuses nothing.
pub(super) async fn takes_all(fixture: &Fixture, id: DeviceId) {
    let take = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, id)?;
        let enrolment = device.enrolments[0].id;
        let (wanted, todo) = policies::due(tx, &device, enrolment)?;
        for part in todo.install {
            let (hash, of) = (wanted[&part].hash.clone(), wanted[&part].of.clone());
            let parts = vec![Leaving::Set { part: part.clone(), hash: hash.clone(), of }];
            keeper::happen(tx, &mut device, Happening::PartsLeave { enrolment, parts })?;
            let fate = Fate::Sent { hash, outcome: PartOutcome::Enforced };
            keeper::happen(tx, &mut device, Happening::Part { enrolment, part, fate })?;
        }
        Ok(())
    };
    fixture.store.run(take).await.unwrap();
}

/// What is to be read back now.
async fn to_look_at(fixture: &Fixture, id: DeviceId) -> Vec<PartId> {
    let due = move |tx: &mut Tx<'_>| {
        let device = keeper::by_id(tx, id)?;
        Ok(policies::due(tx, &device, device.enrolments[0].id)?.1.look)
    };
    fixture.store.run(due).await.unwrap()
}

/// The row of a setting, and the device's compliance.
async fn row(fixture: &Fixture, id: DeviceId, setting: &'static str) -> (SettingCoverage, Option<Compliance>) {
    let look = move |tx: &mut Tx<'_>| {
        let (device, assigned) = (lookup::by_id(tx, id)?, policies::Assigned::load(tx)?);
        let row = assigned.coverage(&device).into_iter().find(|row| row.setting == setting).unwrap();
        Ok((row, assigned.compliance(&device)))
    };
    fixture.store.run(look).await.unwrap()
}

/// A phone that installs the rules is asked whether its passcode keeps to them, at once and then with pauses, until it does; and what it
/// says is what coverage says, whatever it said before.
pub async fn rules_for_the_passcode_hold_when_the_device_says_so(fixture: Fixture) {
    let id = fixture.device("u1", &[Channel::Apple]).await.id;
    policy(&fixture, "passcode: {min_length: 8}\ncamera: blocked").await;
    takes_all(&fixture, id).await;
    let says = |said: Option<Said>| {
        happens_to(&fixture, id, move |_, enrolment| Happening::PasscodeTold {
            enrolment,
            parts: vec![(PartId::Settings, said)],
        })
    };
    let length = "passcode.min_length";

    let (unsaid, compliance) = row(&fixture, id, length).await;
    assert_eq!((unsaid.state, unsaid.since, unsaid.verified), (Stands::Pending, None, None));
    assert_eq!(compliance, Some(Compliance::Pending));
    assert!(unsaid.why.unwrap().contains("has not said yet whether its passcode complies"));
    assert_eq!(row(&fixture, id, "camera").await.0.state, Stands::Enforced, "a camera waits for nobody");
    assert_eq!(to_look_at(&fixture, id).await, [PartId::Settings], "it is asked at once");

    says(None).await;
    assert_eq!(row(&fixture, id, length).await.0.state, Stands::Pending, "it does not say");
    assert_eq!(to_look_at(&fixture, id).await, [], "and is not asked on end");
    let ours = fixture.pass(Duration::from_secs(61));
    assert!(!ours || to_look_at(&fixture, id).await == [PartId::Settings]);

    says(Some(Said::Unmet)).await;
    let (unmet, compliance) = row(&fixture, id, length).await;
    assert_eq!((unmet.state, unmet.state.as_str(), unmet.since), (Stands::Unmet, "pending", None));
    assert_eq!(compliance, Some(Compliance::Noncompliant), "by its own word");
    assert!(unmet.why.unwrap().contains("says that its passcode does not comply yet"));
    assert_eq!(to_look_at(&fixture, id).await, []);
    let ours = fixture.pass(Duration::from_secs(61));
    assert!(!ours || to_look_at(&fixture, id).await == [PartId::Settings]);

    says(Some(Said::Met)).await;
    let (met, compliance) = row(&fixture, id, length).await;
    assert_eq!((met.state, met.why), (Stands::Enforced, None));
    assert_eq!(compliance, Some(Compliance::Compliant));
    assert!(met.since.is_some() && met.since == met.verified, "since it says so, not since it was installed");
    let camera = row(&fixture, id, "camera").await.0;
    assert!(!ours || camera.since < met.since);
    assert_eq!(to_look_at(&fixture, id).await, []);

    let ours = fixture.pass(25 * HOUR);
    assert!(!ours || to_look_at(&fixture, id).await == [PartId::Settings], "as often as anything");
    says(Some(Said::Absent)).await;
    let (absent, compliance) = row(&fixture, id, length).await;
    assert_eq!((absent.state, absent.since, absent.verified), (Stands::Unmet, None, met.verified));
    assert_eq!(compliance, Some(Compliance::Noncompliant));
    assert!(absent.why.unwrap().contains("says that it has no passcode yet"));
    says(None).await;
    assert_eq!(row(&fixture, id, length).await.0.state, Stands::Unmet, "silence takes nothing back");
    says(Some(Said::Met)).await;

    policy(&fixture, "passcode: {min_length: 10}\ncamera: blocked").await;
    takes_all(&fixture, id).await;
    let changed = row(&fixture, id, length).await.0;
    assert_eq!((changed.state, changed.verified), (Stands::Pending, None), "what it said was of other rules");
    assert_eq!(to_look_at(&fixture, id).await, [PartId::Settings]);
}

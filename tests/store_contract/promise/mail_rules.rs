//! Promises about the rules of who may read mail.

use super::truth::{happens_to, policy, takes_all};
use super::*;
use lanyard::{
    fleet::{
        enrol::{
            access,
            many::{self, Which},
        },
        life::{Access, Claim, Event as Happening},
        mail_rules::{self, Changed, Gate, Source},
    },
    policy::MailAccess::{self, Allow, Block, Quarantine},
};

const DAY: Duration = Duration::from_secs(86_400);

fn source(text: &str) -> Source {
    Source::try_from(text.to_owned()).unwrap()
}

async fn look(fixture: &Fixture, text: &str) -> Vec<Changed> {
    let source = source(text);
    fixture.store.run(move |tx| mail_rules::look(tx, &source)).await.unwrap().changes
}

async fn set(fixture: &Fixture, actor: &Actor, text: &str) -> Result<()> {
    let (actor, source) = (actor.clone(), source(text));
    fixture.store.run(move |tx| mail_rules::apply(tx, &actor, &source)).await
}

/// The client asks for something over the device's last enrolment: where it stands then, and how long yet.
async fn asks(fixture: &Fixture, id: DeviceId) -> (EnrolmentState, Option<Duration>) {
    let ask = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, id)?;
        let mail = device.enrolments.last().unwrap().id;
        let left = mail_rules::ask(tx, &mut device, mail)?;
        Ok((device.enrolment(mail).unwrap().state, left))
    };
    fixture.store.run(ask).await.unwrap()
}

async fn told(fixture: &Fixture, id: DeviceId, os: &'static str) {
    let claim = Claim { os_version: Some(os.into()), ..Claim::default() };
    happens_to(fixture, id, move |_, _| Happening::Told(Box::new(claim))).await;
}

async fn decided(fixture: &Fixture, id: DeviceId, access: Access) {
    let local = fixture.local().await;
    let set = move |tx: &mut Tx<'_>| access::set(tx, &local, &id.to_string(), None, access, "by hand").map(drop);
    fixture.store.run(set).await.unwrap();
}

const NEW_IN: &str =
    "default: quarantine\nrules:\n- when: {os: '<17.2'}\n  then: block\n- when: {os: '>=17.2'}\n  then: allow\n";
const OLD_OUT: &str = "default: allow\nrules:\n- when: {os: '<17.2'}\n  then: block\n";

pub async fn rules_of_mail_are_shown_before_they_count_and_a_persons_word_stands_above(fixture: Fixture) {
    let local = fixture.local().await;
    let mut ids = Vec::new();
    for (name, os) in [("old", "iOS 17.1 21B74"), ("new", "iOS 17.10"), ("spared", "17.1"), ("wiped", "16.0")] {
        let id = fixture.device(name, &[Channel::Activesync]).await.id;
        told(&fixture, id, os).await;
        ids.push(id);
    }
    let [old, new, spared, wiped] = ids.try_into().unwrap();
    fixture.device("managed", &[Channel::Apple]).await;
    decided(&fixture, spared, Access::Allow).await;
    fixture.wipe(&local, wiped, Scope::Selective).await.unwrap();
    let told_of = |changes: &[Changed]| -> Vec<(DeviceId, MailAccess, MailAccess)> {
        changes.iter().map(|change| (change.device, change.from, change.to)).collect()
    };
    let changes = look(&fixture, NEW_IN).await;
    assert_eq!(told_of(&changes), [(old, Allow, Block)]);
    assert_eq!(changes[0].rule, "rule 1: os <17.2");
    assert_eq!(asks(&fixture, old).await.0, EnrolmentState::Enrolled, "a look changes nothing");

    set(&fixture, &local, NEW_IN).await.unwrap();
    assert_eq!(told_of(&look(&fixture, NEW_IN).await), [], "what counts already changes nothing");
    let blocked = |tx: &mut Tx<'_>| {
        let (local, which) =
            (admins::authenticate(tx, SECRET, true)?.unwrap(), Which::parse(&["state=blocked".into()])?);
        let page = many::page(tx, &local, &which, None, (None, 100))?;
        Ok(page.devices.iter().map(|device| device.id).collect::<Vec<_>>())
    };
    assert_eq!(fixture.store.run(blocked).await.unwrap(), [old], "though it has not asked since");
    assert_eq!(asks(&fixture, old).await.0, EnrolmentState::Blocked);
    assert_eq!(asks(&fixture, new).await.0, EnrolmentState::Enrolled);
    assert_eq!(asks(&fixture, spared).await.0, EnrolmentState::Enrolled, "a person let it in");
    told(&fixture, old, "iOS 17.2").await;
    assert_eq!(asks(&fixture, old).await.0, EnrolmentState::Enrolled, "it was updated");
    decided(&fixture, old, Access::Block).await;
    assert_eq!(asks(&fixture, old).await.0, EnrolmentState::Blocked, "a person shut it out");

    let log: Vec<audit::Entry> = fixture.store.run(|tx| Ok(tx.all("")?)).await.unwrap();
    assert_eq!(log.iter().filter(|entry| entry.action == "mail_rules.set").count(), 1);
}

pub async fn a_rule_gives_its_time_once_and_who_comes_and_goes_gets_no_more(fixture: Fixture) {
    let local = fixture.local().await;
    let id = fixture.device("slow", &[Channel::Activesync]).await.id;
    told(&fixture, id, "17.1").await;
    let rules = "default: allow\nrules:\n- when: {os: '<17.2'}\n  then: block\n  grace: 3d\n";
    let changes = look(&fixture, rules).await;
    assert!(changes[0].to == Block && changes[0].until.is_some(), "it is shown with the day");
    set(&fixture, &local, rules).await.unwrap();
    let (state, left) = asks(&fixture, id).await;
    assert_eq!(state, EnrolmentState::Enrolled);
    assert!(left.is_some_and(|left| left > DAY * 2 && left <= DAY * 3));
    if !fixture.pass(DAY * 2) {
        return;
    }
    told(&fixture, id, "17.2").await;
    assert_eq!(asks(&fixture, id).await, (EnrolmentState::Enrolled, None));
    fixture.pass(HOUR);
    told(&fixture, id, "17.1").await;
    let (state, left) = asks(&fixture, id).await;
    assert!(state == EnrolmentState::Enrolled && left.is_some_and(|left| left < DAY), "{left:?}");
    fixture.pass(DAY);
    assert_eq!(asks(&fixture, id).await, (EnrolmentState::Blocked, None));
    told(&fixture, id, "17.2").await;
    assert_eq!(asks(&fixture, id).await.0, EnrolmentState::Enrolled);
    told(&fixture, id, "17.1").await;
    assert_eq!(asks(&fixture, id).await, (EnrolmentState::Blocked, None), "its time is used up");
    told(&fixture, id, "17.2").await;
    asks(&fixture, id).await;
    fixture.pass(DAY * 4);
    told(&fixture, id, "17.1").await;
    assert_eq!(asks(&fixture, id).await.0, EnrolmentState::Enrolled, "a long time after it is given anew");
}

pub async fn a_default_that_lets_everybody_in_waits_and_a_newcomer_sets_no_rules(fixture: Fixture) {
    let local = fixture.local().await;
    let id = fixture.device("any", &[Channel::Activesync]).await.id;
    let eve = fixture.second("eve").await;
    assert_eq!(code(set(&fixture, &eve, "default: block").await), "newcomer");
    set(&fixture, &local, "default: quarantine").await.unwrap();
    assert_eq!(asks(&fixture, id).await.0, EnrolmentState::Quarantined);
    set(&fixture, &local, OLD_OUT).await.unwrap();
    assert_eq!(asks(&fixture, id).await.0, EnrolmentState::Quarantined, "not yet");
    let shown = |tx: &mut Tx<'_>| Gate::load(tx).map(|gate| (gate.default(), gate.counts_from()));
    let (default, counts_from) = fixture.store.run(shown).await.unwrap();
    assert!(default == Quarantine && counts_from.is_some());
    // The rules themselves count at once, and a change of them does not begin the wait anew.
    told(&fixture, id, "17.1").await;
    assert_eq!(asks(&fixture, id).await.0, EnrolmentState::Blocked);
    if !fixture.pass(DAY / 2) {
        return;
    }
    set(&fixture, &local, "default: allow").await.unwrap();
    assert_eq!(asks(&fixture, id).await.0, EnrolmentState::Quarantined);
    fixture.pass(DAY / 2 + HOUR);
    assert_eq!(asks(&fixture, id).await.0, EnrolmentState::Enrolled);
}

pub async fn a_phone_that_keeps_to_no_policy_over_its_management_loses_its_mail(fixture: Fixture) {
    let local = fixture.local().await;
    let phone = fixture.device("phone", &[Channel::Apple, Channel::Activesync]).await.id;
    let alone = fixture.device("alone", &[Channel::Activesync]).await.id;
    policy(&fixture, "camera: blocked").await;
    let rules = "default: block\nrules:\n- {when: {compliance: compliant}, then: allow}\n\
                 - {when: {compliance: unknown}, then: quarantine}\n";
    set(&fixture, &local, rules).await.unwrap();
    assert_eq!(asks(&fixture, phone).await.0, EnrolmentState::Quarantined, "it has not answered yet");
    assert_eq!(asks(&fixture, alone).await.0, EnrolmentState::Quarantined, "mail's own word counts for nothing");
    takes_all(&fixture, phone).await;
    assert_eq!(asks(&fixture, phone).await.0, EnrolmentState::Enrolled);
    happens_to(&fixture, phone, |device, enrolment| {
        let part = device.enrolments[0].applied.keys().next().unwrap().clone();
        let hash = device.enrolments[0].applied[&part].hash.clone();
        let outcome = lanyard::policy::Outcome::failed("no");
        Happening::Part { enrolment, part, fate: life::Fate::Sent { hash, outcome } }
    })
    .await;
    assert_eq!(asks(&fixture, phone).await.0, EnrolmentState::Blocked);
}

//! What every store promises, and with it the queue, the breaker and the registry, which are functions over it. What they share
//! stands here.

mod again;
mod breaker;
mod commands;
mod connectors;
mod growth;
mod history;
mod installs;
mod letters;
mod loss;
mod mail_rules;
mod newcomers;
mod owners;
mod proof;
mod registry;
mod renewals;
mod shared;
mod status;
mod store;
mod summer;
mod texts;
mod truth;
mod unanswered;
mod worst_day;

pub use self::{
    again::*, breaker::*, commands::*, connectors::*, growth::*, history::*, installs::*, letters::*, loss::*,
    mail_rules::*, newcomers::*, owners::*, proof::*, registry::*, renewals::*, shared::*, status::*, store::*,
    summer::a_summer_leaves_one_living_record_each, texts::*, truth::*, unanswered::*, worst_day::*,
};

use crate::fixture::{Fixture, SECRET, able, counts, device, request};
use lanyard::{
    channel::identity,
    error::{Denial, Error, Judged, Result},
    fleet::{
        actor::Actor,
        admins::{self},
        audit::{self, By, Event},
        enrol::{
            self, Issued,
            invitation::{self, Invitation},
            under_way::{self, Whose},
        },
        groups, keeper,
        life::{
            self, Act, Channel, Command, Contact, Device, EnrolmentState, Life, Outcome, Ownership, Platform, Scope,
            State, device::Certificate,
        },
        notices::{self, News, Notice},
        policies,
        queue::{self},
        registry::{Credential, Standing, credential, lookup, tries, users},
        settings,
        terms::{EvidenceKind, FailureCode},
        wipe::{self, Approval, Request, approvals, stop},
    },
    ids::{ApprovalId, CommandId, DeviceId, EnrolmentId, Fingerprint, InvitationId},
    store::{Count, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};
use uuid::Uuid;

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
const HOUR_MS: i64 = 3_600_000;

pub fn code<T: std::fmt::Debug>(result: Result<T>) -> &'static str {
    match result.expect_err("it should be refused") {
        Error::Refused { code, .. } | Error::Forbidden { code, .. } => code,
        Error::Invalid { field, .. } => field,
        Error::Ambiguous { .. } => "ambiguous",
        Error::NotFound { what, .. } => what,
        other => panic!("{other}"),
    }
}

pub async fn take(fixture: &Fixture, id: DeviceId, session: Contact) -> Option<Command> {
    let take = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, id)?;
        let enrolment = device.enrolments[0].id;
        queue::take_next(tx, &mut device, enrolment, session)
    };
    fixture.store.run(take).await.unwrap()
}

pub async fn settle(fixture: &Fixture, id: DeviceId, command: CommandId, outcome: Outcome) -> Option<Command> {
    let settle = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, id)?;
        let enrolment = device.enrolments[0].id;
        queue::settle(tx, &mut device, enrolment, command, outcome)
    };
    fixture.store.run(settle).await.unwrap()
}

pub fn done() -> Outcome {
    Outcome::Done { kind: EvidenceKind::Acknowledged, detail: "Acknowledged".into() }
}

fn failed() -> Outcome {
    Outcome::Failed { code: FailureCode::Protocol("12021".into()), text: "unknown command".into() }
}

async fn ask(fixture: &Fixture, id: DeviceId, act: Act) -> Command {
    let local = fixture.local().await;
    let ask = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, id)?;
        queue::ask(tx, &local, &mut device, act, &able)
    };
    fixture.store.run(ask).await.unwrap()
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

pub fn claim(identity: &str) -> life::Claim {
    life::Claim {
        identity: identity.into(),
        platform: Some(Platform::Ios),
        serial: Some("C0FFEE".into()),
        ..life::Claim::default()
    }
}

/// A certificate for a key of an invitation, made as the channels make it.
pub fn spend(tx: &mut Tx<'_>, id: InvitationId, key: &str) -> Result<Credential> {
    let invitation = tx.get::<Invitation>(id)?.unwrap();
    let enrolment = match under_way::whose(tx, &invitation, key)? {
        Whose::Before(credential) => return Ok(*credential),
        Whose::New(enrolment) => enrolment,
    };
    let issued = Issued { enrolment, certificate: certificate(tx), der: String::new() };
    enrol::spend(tx, id, key, issued)
}

/// Invites, issues, binds and completes in one call.
pub async fn enrolled(
    fixture: &Fixture,
    channel: Channel,
    user: &str,
    claim: life::Claim,
) -> (DeviceId, EnrolmentId, Fingerprint) {
    let (local, user) = (fixture.local().await, user.to_string());
    let enrol = move |tx: &mut Tx<'_>| {
        let made = invitation::create(tx, &local, channel, &user, Ownership::Corporate, None)?;
        let credential = spend(tx, made.invitation.id, "key")?;
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
        Ok(credential::judge(tx.time(), &credential, Some(&device)))
    };
    fixture.store.run(judge).await.unwrap()
}

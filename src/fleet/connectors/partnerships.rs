//! What connectors report of mobile clients, kept: each is an enrolment of the channel `exchange`. What they say is a claim: it joins a device of
//! the same user alone, and proves no other enrolment's wipe.

use super::{Organisation, Run, under::Assigned};
use crate::{
    clock::{Steady, Timestamp},
    error::Result,
    fleet::{
        audit::{self, By, Drifted, Event as Entry, Proof},
        keeper,
        life::{
            Access, Channel, Claim, Device, Enrolment, EnrolmentState, Event, Life, MAIL_AGENT, MAIL_TYPE, Managed,
            Outcome, Ownership, Platform,
        },
        queue,
        registry::{lookup, lookup::part, users},
        settings,
        terms::EvidenceKind,
    },
    ids::{CommandId, DeviceId, EnrolmentId, packed},
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

/// The subject of a change of one client is this and its key.
pub const PARTNERSHIP: &str = "partnership ";
/// And of one that concerns all.
pub const PARTNERSHIPS: &str = "partnerships";
/// Drift is told of for so long.
const DAY: Duration = Duration::from_secs(86_400);
/// Where more than one in so many are missing from a whole run, that is not believed.
const MISSING: u64 = 10;
/// So few are asked for one by one all the same: a tenth of a small organisation is soon reached.
const FEW: usize = 3;
/// So far the clocks of Exchange and of this server may be apart.
const APART: Duration = Duration::from_secs(120);
/// Characters of what is said of a change in Exchange.
const TOLD: usize = 500;
/// Characters of what a client calls itself.
const LONGEST: usize = 256;

/// How Exchange treats a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Treated {
    /// Not told, or by a word that is not known.
    Unknown,
    /// Mail is given.
    Allowed,
    /// None is.
    Blocked,
    /// Somebody is to decide.
    Quarantined,
}

/// On which of its mailbox's lists it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Listed {
    Allowed,
    Blocked,
    Neither,
}

/// How far a wipe has come, by Exchange's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Times {
    pub requested: Option<Timestamp>,
    pub sent: Option<Timestamp>,
    pub acked: Option<Timestamp>,
}

/// A report of one client.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Told {
    pub guid: Uuid,
    pub device_id: String,
    pub mailbox: Uuid,
    pub address: String,
    pub device_type: String,
    pub name: Option<String>,
    pub model: Option<String>,
    pub os: Option<String>,
    pub agent: Option<String>,
    /// The ActiveSync version that it speaks.
    pub version: Option<String>,
    /// It only ever loses its account.
    pub outlook: bool,
    /// It understands a wipe of its account alone.
    pub takes_account_wipe: bool,
    pub treated: Treated,
    /// By an access rule.
    pub by_rule: bool,
    /// Under which policy its mailbox is.
    pub policy: Option<Assigned>,
    pub listed: Option<Listed>,
    pub wipe: Option<Times>,
    pub account_wipe: Option<Times>,
    pub last_sync: Option<Timestamp>,
}

/// What a report is worth.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// The whole run that it is of.
    pub run: Option<Uuid>,
    /// When it was read at the earliest, by ours.
    pub read: Timestamp,
}

/// What is kept of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Partnership {
    pub org: String,
    pub mailbox: Uuid,
    #[serde(with = "packed")]
    pub device_id: String,
    /// Exchange's name for it, until its object is made anew.
    pub guid: Uuid,
    pub enrolment: EnrolmentId,
    pub outlook: bool,
    pub takes_account_wipe: bool,
    pub treated: Treated,
    pub listed: Option<Listed>,
    pub wipe: Times,
    pub account_wipe: Times,
    /// When it was first reported.
    pub since: Timestamp,
    /// The last whole run that told of it.
    pub seen: Option<Uuid>,
    /// Exchange has it no more.
    pub gone: bool,
    /// The list on which we put it, and Exchange said so.
    pub wrote: Option<Listed>,
    /// Where it stood before a wipe shut it out.
    pub before: Option<Listed>,
    /// It was found elsewhere than we put it, and that is on record.
    pub drifted: bool,
    /// The order that is under way for it.
    pub order: Option<Uuid>,
    pub wiping: Option<Wiping>,
    /// Somebody wants to know how it stands.
    pub asked: Option<CommandId>,
    /// When it is looked at next.
    pub look_at: Option<Steady>,
    pub looks: u32,
    /// Orders that failed in a row, and until when none is tried.
    pub failed: u32,
    pub not_before: Option<Steady>,
    /// When the last order for it ended: what was read before tells nothing of the lists.
    pub written: Option<Timestamp>,
    /// Exchange treats it so by an access rule.
    #[serde(default)]
    pub by_rule: bool,
}

/// The wipe that Exchange carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Wiping {
    pub command: CommandId,
    /// When it was marked as sent.
    pub since: Timestamp,
    /// The account alone, by that name.
    pub account_only: bool,
    /// Exchange has taken it.
    pub taken: bool,
    /// When, by Exchange's clock.
    pub requested: Option<Timestamp>,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 2] = [Kind::of::<Partnership>(), Kind::of::<Drift>()];

/// That clients were found otherwise than was decided: set right within seconds, and worth a look all the same.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Drift {
    org: String,
    count: u64,
    last: Timestamp,
}

impl Record for Drift {
    const KIND: &'static str = "exchange-drift";
    fn key(&self) -> String {
        part(&self.org)
    }
}

impl Record for Partnership {
    const KIND: &'static str = "partnership";
    fn key(&self) -> String {
        key(&self.org, self.mailbox, &self.device_id)
    }
    fn subject(&self) -> Option<String> {
        Some(format!("{PARTNERSHIP}{}", self.key()))
    }
    const COUNTED: bool = true;
    fn counted(&self) -> Option<String> {
        (!self.gone).then(|| part(&self.org))
    }
}

/// Under which key a client is kept: its own name and its mailbox, which outlive its object in Exchange.
pub fn key(org: &str, mailbox: Uuid, device_id: &str) -> String {
    format!("{}/{mailbox}/{}", part(org), part(device_id))
}

/// How many an organisation has.
pub fn count(tx: &mut Tx<'_>, org: &str) -> Result<u64> {
    let counts = tx.counts::<Partnership>()?;
    Ok(counts.into_iter().find(|(name, _)| *name == part(org)).map_or(0, |(_, count)| count))
}

/// How often clients of an organisation were found otherwise than was decided within the last day, and when the last time was.
pub fn drifts(tx: &mut Tx<'_>, org: &str) -> Result<Option<(u64, Timestamp)>> {
    let now = tx.now();
    let found = tx.get::<Drift>(part(org))?.filter(|drift| now.since(drift.last) < DAY);
    Ok(found.map(|drift| (drift.count, drift.last)))
}

/// Files a report; what is kept then.
pub(super) fn note(
    tx: &mut Tx<'_>,
    org: &Organisation,
    told: &Told,
    seen: Seen,
) -> Result<Option<(Partnership, DeviceId)>> {
    if told.device_id.is_empty() || told.device_id.len() > LONGEST || told.device_id.chars().any(char::is_control) {
        return Ok(None);
    }
    let known = tx.get::<Partnership>(key(&org.name, told.mailbox, &told.device_id))?;
    let before = known.clone();
    if known.as_ref().is_some_and(|kept| kept.gone && kept.written.is_some_and(|written| seen.read < written)) {
        // Read before it was removed.
        return Ok(None);
    }
    let mut kept = match known {
        Some(kept) if !kept.gone => kept,
        // Its enrolment ended with it; one that comes again begins anew.
        known => begin(tx, org, told, known)?,
    };
    kept.guid = told.guid;
    (kept.outlook, kept.takes_account_wipe) = (told.outlook, told.takes_account_wipe);
    (kept.treated, kept.by_rule) = (told.treated, told.by_rule);
    let stale = kept.order.is_some() || kept.written.is_some_and(|written| seen.read < written);
    kept.listed = told.listed.filter(|_| !stale || kept.listed.is_none()).or(kept.listed);
    kept.wipe = told.wipe.unwrap_or(kept.wipe);
    kept.account_wipe = told.account_wipe.unwrap_or(kept.account_wipe);
    kept.seen = seen.run.or(kept.seen);
    let Some(device) = owner(tx, &kept)? else {
        tx.put(&kept)?;
        return Ok(None);
    };
    let mut device = keeper::load(tx, device)?;
    found(tx, &mut device, &kept, told)?;
    drift(tx, &device, &mut kept)?;
    prove(tx, &mut device, &mut kept)?;
    if before.as_ref() != Some(&kept) {
        tx.put(&kept)?;
    }
    Ok(Some((kept, device.id)))
}

/// The device whose enrolment it is.
pub fn owner(tx: &mut Tx<'_>, kept: &Partnership) -> Result<Option<Device>> {
    let found = lookup::claimants(tx, Channel::Exchange.as_str(), &kept.device_id)?;
    Ok(found.into_iter().find(|device| device.enrolment(kept.enrolment).is_some()))
}

fn begin(tx: &mut Tx<'_>, org: &Organisation, told: &Told, former: Option<Partnership>) -> Result<Partnership> {
    let enrolment: EnrolmentId = tx.new_id();
    let mut device = match join(tx, told, enrolment)? {
        Some(device) => keeper::load(tx, device)?,
        None => {
            let ownership = match settings::text(tx, "eas.unknown_ownership")?.as_deref() {
                Some("personal") => Ownership::Personal,
                _ => Ownership::Corporate,
            };
            Managed::new(tx.new_id(), &told.address, ownership, Platform::of_mail(&told.device_type), tx.time())
        }
    };
    let alone = device.enrolments.is_empty();
    let state = match told.treated {
        Treated::Allowed => EnrolmentState::Enrolled,
        Treated::Blocked => EnrolmentState::Blocked,
        Treated::Quarantined | Treated::Unknown => EnrolmentState::Quarantined,
    };
    let new = Enrolment::new(enrolment, Channel::Exchange, &told.device_id, state, tx.now());
    let said = [(MAIL_TYPE, Some(told.device_type.clone())), (MAIL_AGENT, told.agent.clone())];
    let said = said.into_iter().filter_map(|(name, value)| Some((name.to_string(), value.filter(|v| !v.is_empty())?)));
    let new = Enrolment { last_seen: told.last_sync, channel_state: said.collect(), ..new };
    keeper::happen(tx, &mut device, Event::Begun { enrolment: Box::new(new), personal: false })?;
    lookup::claim(tx, Channel::Exchange.as_str(), &told.device_id, device.id)?;
    users::join(tx, &device)?;
    if alone {
        // A managed device says itself what it is.
        let claim = Claim {
            identity: told.device_id.clone(),
            platform: Some(Platform::of_mail(&told.device_type)),
            name: told.name.clone(),
            model: told.model.clone(),
            os_version: told.os.clone(),
            ..Claim::default()
        };
        keeper::happen(tx, &mut device, Event::Told(Box::new(claim)))?;
    }
    let proof = Proof::Reported(device.enrolment(enrolment).map_or("", |e| e.state_within(device.life)));
    audit::note(tx, By::System, Entry::EnrolmentComplete { enrolment, device: device.id, proof })?;
    Ok(Partnership {
        org: org.name.clone(),
        mailbox: told.mailbox,
        device_id: told.device_id.clone(),
        guid: told.guid,
        enrolment,
        outlook: told.outlook,
        takes_account_wipe: told.takes_account_wipe,
        treated: told.treated,
        listed: told.listed,
        wipe: Times::default(),
        account_wipe: Times::default(),
        since: tx.now(),
        seen: None,
        gone: false,
        // What we put it on outlives its object.
        wrote: former.and_then(|former| former.wrote).filter(|_| state == EnrolmentState::Blocked),
        before: None,
        drifted: false,
        order: None,
        wiping: None,
        asked: None,
        look_at: None,
        looks: 0,
        failed: 0,
        not_before: None,
        written: None,
        by_rule: told.by_rule,
    })
}

/// The same user's device that goes by this name for mail, or told it over another channel. Another user's is noted. One that nothing but mail
/// would wipe stays as it is: whoever reports the same name would carry its wipe, and say that it is done.
fn join(tx: &mut Tx<'_>, told: &Told, enrolment: EnrolmentId) -> Result<Option<Device>> {
    let mut found = Vec::new();
    for kind in [lookup::MAIL_ID, Channel::Activesync.as_str(), Channel::Exchange.as_str()] {
        found.extend(lookup::claimants(tx, kind, &told.device_id)?);
    }
    if found.iter().any(|device| !device.is_of(&told.address)) {
        audit::note(tx, By::System, Entry::DeviceNameTaken { enrolment })?;
    }
    let lives = |device: &Device| device.live().next().is_some() && !matches!(device.life, Life::Retired | Life::Wiped);
    let managed = |device: &Device| device.carrier().is_some_and(|carrier| !carrier.channel.is_mail());
    Ok(found.into_iter().find(|device| device.is_of(&told.address) && lives(device) && managed(device)))
}

/// What Exchange does with it, where nobody decided otherwise, and when it was heard there.
fn found(tx: &mut Tx<'_>, device: &mut Managed, kept: &Partnership, told: &Told) -> Result<()> {
    let access = match told.treated {
        Treated::Allowed => Access::Allow,
        Treated::Blocked => Access::Block,
        Treated::Quarantined => Access::Quarantine,
        Treated::Unknown => return Ok(()),
    };
    let seen = told.last_sync;
    keeper::happen(tx, device, Event::Found { enrolment: kept.enrolment, access, seen }).map(drop)
}

/// Somebody changed in Exchange what was decided here.
fn drift(tx: &mut Tx<'_>, device: &Managed, kept: &mut Partnership) -> Result<()> {
    let away = kept.order.is_none() && kept.wrote.is_some() && kept.listed.is_some() && kept.listed != kept.wrote;
    // A wipe takes it off the list by our own order.
    let away = away && kept.wiping.is_none();
    if away && !kept.drifted {
        let event = Entry::ExchangeDrift(Drifted::Client { enrolment: kept.enrolment, device: device.id });
        audit::note(tx, By::System, event)?;
        count_drift(tx, &kept.org)?;
    }
    kept.drifted = away;
    Ok(())
}

/// Once more something was found otherwise than it was left.
pub(super) fn count_drift(tx: &mut Tx<'_>, org: &str) -> Result<()> {
    let before = drifts(tx, org)?.map_or(0, |(count, _)| count);
    Ok(tx.put(&Drift { org: org.into(), count: before + 1, last: tx.now() })?)
}

/// Somebody changed in Exchange what was set of the organisation's own.
pub(super) fn altered(tx: &mut Tx<'_>, org: &str, what: &str) -> Result<()> {
    let what = what.chars().take(TOLD).collect();
    audit::note(tx, By::System, Entry::ExchangeDrift(Drifted::Organisation { org: org.into(), what }))?;
    count_drift(tx, org)
}

/// An acknowledgement from after our request ends the wipe. It is the kind that was asked for, or none.
fn prove(tx: &mut Tx<'_>, device: &mut Managed, kept: &mut Partnership) -> Result<()> {
    let Some(wiping) = &mut kept.wiping else { return Ok(()) };
    let times = if wiping.account_only { kept.account_wipe } else { kept.wipe };
    let ours = |at: Timestamp| at.plus(APART) >= wiping.since;
    wiping.requested = times.requested.filter(|at| ours(*at)).or(wiping.requested);
    let (Some(requested), Some(acked)) = (wiping.requested, times.acked) else { return Ok(()) };
    if !wiping.taken || acked < requested {
        return Ok(());
    }
    let name = if wiping.account_only { "AccountOnlyDeviceWipeAckTime" } else { "DeviceWipeAckTime" };
    let what = if kept.outlook { "; the Outlook app, which loses its account alone" } else { "" };
    let detail =
        format!("Exchange says that the client acknowledged at {acked} ({name}; asked for at {requested}){what}");
    let outcome = Outcome::Done { kind: EvidenceKind::Acknowledged, detail };
    queue::settle(tx, device, kept.enrolment, wiping.command, outcome)?;
    (kept.wiping, kept.look_at, kept.looks) = (None, None, 0);
    Ok(())
}

/// A run was read to its end. One that was not proves nothing of what it did not tell.
pub fn ended(tx: &mut Tx<'_>, org: &mut Organisation, run: &Run) -> Result<()> {
    if run.full {
        if org.last_full.is_none() {
            // From now on mailboxes are put under policies.
            tx.touch(PARTNERSHIPS);
        }
        org.missing = missing(tx, &org.name, run)?;
        org.last_full = Some(run.began);
    }
    org.last_delta = org.last_delta.max(Some(run.began));
    Ok(())
}

/// What a whole run did not tell of that was known before it began is gone; unless that is more than a tenth of all. Then a few are asked for,
/// and more are not believed: so many are missing.
fn missing(tx: &mut Tx<'_>, org: &str, run: &Run) -> Result<u64> {
    let all = tx.all::<Partnership>(&format!("{}/", part(org)))?;
    let known = all.iter().filter(|kept| !kept.gone).count() as u64;
    // What was reported otherwise since the run began need not have been there when it looked.
    let absent = |kept: &Partnership| !kept.gone && kept.seen != Some(run.id) && kept.since < run.began;
    let absent: Vec<Partnership> = all.into_iter().filter(absent).collect();
    if absent.len() as u64 * MISSING > known {
        if absent.len() > FEW {
            return Ok(absent.len() as u64);
        }
        let now = tx.steady();
        absent.into_iter().try_for_each(|kept| tx.put(&Partnership { look_at: Some(now), ..kept }))?;
        return Ok(0);
    }
    for mut kept in absent {
        vanished(tx, &mut kept)?;
        tx.put(&kept)?;
    }
    Ok(0)
}

/// Exchange has it no more: its enrolment is over, unless that was our doing.
pub fn vanished(tx: &mut Tx<'_>, kept: &mut Partnership) -> Result<()> {
    kept.gone = true;
    (kept.order, kept.look_at, kept.not_before) = (None, None, None);
    let Some(device) = owner(tx, kept)? else { return Ok(()) };
    let mut device = keeper::load(tx, device)?;
    if device.enrolment(kept.enrolment).is_some_and(Enrolment::is_live) {
        let detail = "Exchange has no such partnership any more".into();
        let event = Event::Left { enrolment: kept.enrolment, kind: EvidenceKind::Status, detail };
        keeper::happen(tx, &mut device, event)?;
    }
    Ok(())
}

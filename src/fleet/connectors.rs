//! Connectors: relays beside Exchange organisations. Which organisations there are, by which certificate an instance speaks for its own and for
//! no other, and which of them leads.
//!
//! A connector orders nothing: it reports (`partnerships.rs`; `mailboxes.rs` under which policy, `exchange.rs` what the organisation decides by
//! itself) and carries out (`orders.rs`, `results.rs`).

pub mod access;
pub mod due;
pub mod exchange;
pub mod mailboxes;
pub mod orders;
pub mod partnerships;
pub mod results;
pub mod under;
mod written;

#[cfg(test)]
mod tests;

use crate::{
    clock::{Steady, Timestamp},
    error::{Denial, Error, Judged, Result},
    fleet::{
        actor::Actor,
        audit::{self, By, Event},
        enrol::invitation::{self, WrongCode},
        registry::lookup::part,
        settings,
    },
    ids::{Fingerprint, digest, hexed},
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

/// Instances of one organisation.
const INSTANCES: usize = 50;
/// Characters of an organisation's name.
const NAME: usize = 64;
/// A code is kept for so long after its end.
const KEPT: Duration = Duration::from_secs(30 * 86_400);
/// The subject of changes that concern connectors: a poll that is held looks again.
pub const CHANGED: &str = "connectors";

/// One Exchange organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Organisation {
    /// As the administrator called it.
    pub name: String,
    /// `online` or `onprem`.
    pub kind: String,
    /// What Exchange calls it, from the first hello on. Another one is another organisation.
    pub exchange: Option<Uuid>,
    pub created: Timestamp,
    pub instances: Vec<Instance>,
    /// Rises with each new leader: what a former one says counts for nothing.
    pub epoch: u64,
    pub leader: Option<Uuid>,
    /// Until when it leads.
    pub until: Steady,
    /// The last order's number.
    pub seq: u64,
    /// When the last whole run began, and the last of what may have changed.
    pub last_full: Option<Timestamp>,
    pub last_delta: Option<Timestamp>,
    /// The run under way, and the last one that ended.
    pub run: Option<Run>,
    pub ended: Option<Uuid>,
    /// So many partnerships were missing from a whole run, too many to be believed.
    pub missing: u64,
}

/// One installation of the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Instance {
    pub id: Uuid,
    /// The certificates by which it may speak: the present one, and another that it got and has not shown yet.
    pub certificate: Fingerprint,
    pub renewed: Option<Fingerprint>,
    pub version: Option<String>,
    pub last_seen: Option<Timestamp>,
    /// What its Exchange can do.
    pub account_only: bool,
    /// It knows mailbox policies and the organisation's settings.
    #[serde(default)]
    pub settings: bool,
}

/// A run of reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Run {
    pub id: Uuid,
    pub full: bool,
    /// When it began to read, by our clock: whatever its own says, and however that is set while it runs.
    pub began: Timestamp,
    /// The last batch that was kept.
    pub n: u32,
}

/// Leads from a certificate to who shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Pin {
    sha256: Fingerprint,
    org: String,
    instance: Uuid,
    not_after: Timestamp,
}

/// A permission for one installation to join.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Code {
    #[serde(with = "hexed")]
    digest: String,
    org: String,
    kind: String,
    expires: Timestamp,
    /// Who used it: the installation, its key's digest, and what it got.
    used: Option<Used>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Used {
    instance: Uuid,
    #[serde(with = "hexed")]
    key: String,
    /// The certificate's DER.
    #[serde(with = "hexed")]
    der: String,
}

/// What `written.rs` keeps in the store.
pub(crate) use written::KINDS as WRITTEN;
pub use written::near;

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 3] = [Kind::of::<Organisation>(), Kind::of::<Pin>(), Kind::of::<Code>()];

impl Record for Organisation {
    const KIND: &'static str = "connector";
    fn key(&self) -> String {
        part(&self.name)
    }
    fn subject(&self) -> Option<String> {
        Some(CHANGED.into())
    }
}
impl Record for Pin {
    const KIND: &'static str = "connector-pin";
    fn key(&self) -> String {
        self.sha256.to_string()
    }
}
impl Record for Code {
    const KIND: &'static str = "connector-code";
    fn key(&self) -> String {
        self.digest.clone()
    }
}

/// A code that was made, shown this once.
pub struct Made {
    /// The invitation's id.
    pub id: Uuid,
    /// Sixteen letters and digits in fours.
    pub code: String,
    /// The organisation.
    pub org: String,
    /// Its kind.
    pub kind: String,
    /// Until when it is good.
    pub expires: Timestamp,
}

/// All organisations.
pub fn all(tx: &mut Tx<'_>) -> Result<Vec<Organisation>> {
    Ok(tx.all::<Organisation>("")?)
}

/// The organisation of this name.
pub fn find(tx: &mut Tx<'_>, name: &str) -> Result<Organisation> {
    tx.get::<Organisation>(part(name))?.ok_or_else(|| Error::not_found("connector", name))
}

/// Invites one more installation for an organisation, which is made with the first.
pub fn invite(tx: &mut Tx<'_>, actor: &Actor, name: &str, kind: &str, lifetime: Option<Duration>) -> Result<Made> {
    actor.must_count("invite a connector")?;
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME || crate::fleet::actor::has_hidden(name) {
        return Err(Error::invalid("org", format!("1 to {NAME} characters, none that cannot be seen")));
    }
    let lifetime = lifetime.unwrap_or(invitation::LIFETIME);
    if lifetime.is_zero() || lifetime > Duration::from_secs(366 * 86_400) {
        return Err(Error::invalid("expires", "more than nothing and at most a year"));
    }
    let org = match tx.get::<Organisation>(part(name))? {
        Some(org) if org.kind != kind => {
            return Err(Error::refused("other_kind", format!("{} is {}: remove it first", org.name, org.kind)));
        }
        Some(org) => org,
        None => Organisation::new(name, kind, tx.now()),
    };
    if org.instances.len() >= INSTANCES {
        return Err(Error::refused("too_many", format!("{name} has {INSTANCES} connectors already")));
    }
    tx.put(&org)?;
    tidy(tx)?;
    let (code, expires) = (invitation::letters(&tx.random::<16>()), tx.now().plus(lifetime));
    tx.put(&Code { digest: hidden(&code), org: org.name.clone(), kind: org.kind.clone(), expires, used: None })?;
    let id = tx.new_id();
    audit::note(tx, actor, Event::ConnectorInvited { org: org.name.clone(), invitation: id })?;
    Ok(Made { id, code, org: org.name, kind: org.kind, expires })
}

/// Codes that nobody will come by any more go. One that was used is an answer that may have been lost.
fn tidy(tx: &mut Tx<'_>) -> Result<()> {
    let now = tx.now();
    let over = |code: &Code| now.since(code.expires) > KEPT;
    let codes = tx.all::<Code>("")?;
    codes.iter().filter(|code| over(code)).try_for_each(|code| tx.delete(code)).map_err(Into::into)
}

/// A code as it is kept.
fn hidden(code: &str) -> String {
    digest(format!("connector code {}", invitation::normal(code)).as_bytes())
}

/// What a code is good for.
pub struct Opened {
    /// The organisation.
    pub org: String,
    /// The certificate (DER, hexadecimal) that the same installation got for the same key.
    pub before: Option<String>,
}

/// Why a code was not taken.
pub enum Refused {
    /// See there.
    Code(WrongCode),
    /// Another installation, or another key, used it.
    Used,
    /// It is for the other kind of Exchange.
    Kind(String),
}

/// Looks whether this installation may join by a code. Wrong ones are counted.
pub fn open(
    tx: &mut Tx<'_>,
    code: &str,
    instance: Uuid,
    key: &str,
    kind: &str,
    address: Option<&str>,
) -> Judged<Opened, Refused> {
    let Some(found) = tx.get::<Code>(hidden(code))? else { return Err(wrong(tx, address)?) };
    match &found.used {
        // A lost answer is given again, whatever the time.
        Some(used) if used.instance == instance && used.key == key => {
            return Ok(Opened { org: found.org, before: Some(used.der.clone()) });
        }
        Some(_) => return Err(Denial::Refused(Refused::Used)),
        None => {}
    }
    if found.expires <= tx.now() || tx.get::<Organisation>(part(&found.org))?.is_none() {
        return Err(wrong(tx, address)?);
    }
    if found.kind != kind {
        return Err(Denial::Refused(Refused::Kind(found.kind)));
    }
    Ok(Opened { org: found.org, before: None })
}

fn wrong(tx: &mut Tx<'_>, address: Option<&str>) -> Result<Denial<Refused>> {
    Ok(Denial::Refused(Refused::Code(invitation::count_wrong(tx, None, address)?)))
}

/// A certificate that was made for a connector.
#[derive(Clone)]
pub struct Issued {
    /// Its fingerprint.
    pub sha256: Fingerprint,
    /// Its end.
    pub not_after: Timestamp,
    /// Its DER, hexadecimal.
    pub der: String,
}

/// Spends a code on an installation, or answers the certificate that it got before. Two that come at once are judged one after the other.
pub fn join(
    tx: &mut Tx<'_>,
    code: &str,
    instance: Uuid,
    key: &str,
    kind: &str,
    issued: Issued,
) -> Judged<Opened, Refused> {
    let opened = open(tx, code, instance, key, kind, None)?;
    if opened.before.is_some() {
        return Ok(opened);
    }
    let mut org = find(tx, &opened.org)?;
    let Some(mut found) = tx.get::<Code>(hidden(code))? else { return Err(wrong(tx, None)?) };
    // One that was here before under another code has a new certificate, and the former counts no more.
    if let Some(former) = org.instances.iter().position(|one| one.id == instance) {
        unpin(tx, &org.instances.swap_remove(former))?;
    }
    if org.instances.len() >= INSTANCES {
        return Err(Error::refused("too_many", format!("{} has {INSTANCES} connectors already", org.name)).into());
    }
    found.used = Some(Used { instance, key: key.into(), der: issued.der });
    tx.put(&found)?;
    tx.put(&Pin { sha256: issued.sha256, org: org.name.clone(), instance, not_after: issued.not_after })?;
    org.instances.push(Instance {
        id: instance,
        certificate: issued.sha256,
        renewed: None,
        version: None,
        last_seen: None,
        account_only: false,
        settings: false,
    });
    tx.put(&org)?;
    audit::note(tx, By::Device, Event::ConnectorEnrolled { org: org.name, instance })?;
    Ok(opened)
}

fn unpin(tx: &mut Tx<'_>, instance: &Instance) -> Result<()> {
    for sha256 in [Some(instance.certificate), instance.renewed].into_iter().flatten() {
        if let Some(pin) = tx.get::<Pin>(sha256)? {
            tx.delete(&pin)?;
        }
    }
    Ok(())
}

/// Who shows a certificate, and its organisation; none where it is no connector's, or one that was removed, or is past its end.
pub fn who(tx: &mut Tx<'_>, shown: &Fingerprint) -> Result<Option<(Organisation, Uuid)>> {
    let Some(pin) = tx.get::<Pin>(*shown)? else { return Ok(None) };
    let Some(org) = tx.get::<Organisation>(part(&pin.org))? else { return Ok(None) };
    let is = |one: &Instance| one.id == pin.instance && (one.certificate == *shown || one.renewed == Some(*shown));
    let good = pin.not_after > tx.now() && org.instances.iter().any(is);
    Ok(good.then_some((org, pin.instance)))
}

/// Another certificate for a connector that shows its present one. Both are good until the new one is shown.
pub fn renew(tx: &mut Tx<'_>, mut org: Organisation, instance: Uuid, issued: &Issued) -> Result<()> {
    let name = org.name.clone();
    let Some(mine) = org.instance_mut(instance) else { return Err(Error::not_found("connector", instance)) };
    // One that was never shown is nobody's any more.
    let former = mine.renewed.replace(issued.sha256);
    tx.put(&Pin { sha256: issued.sha256, org: name, instance, not_after: issued.not_after })?;
    if let Some(former) = former
        && let Some(pin) = tx.get::<Pin>(former)?
    {
        tx.delete(&pin)?;
    }
    Ok(tx.put(&org)?)
}

/// What a connector says of itself as it begins.
#[derive(Debug, Clone)]
pub struct Hello {
    /// What its Exchange calls itself.
    pub exchange: Uuid,
    /// `online` or `onprem`.
    pub kind: String,
    /// The program's version.
    pub version: String,
    /// Whether its Exchange knows a wipe of the account alone.
    pub account_only: bool,
    /// Whether it knows mailbox policies and the organisation's settings.
    pub settings: bool,
}

/// A connector begins. Refused where its Exchange is another than the organisation's.
pub fn greet(
    tx: &mut Tx<'_>,
    mut org: Organisation,
    instance: Uuid,
    shown: &Fingerprint,
    hello: Hello,
) -> Result<Organisation> {
    if org.kind != hello.kind || org.exchange.is_some_and(|known| known != hello.exchange) {
        let text = "this Exchange is another than the one that the organisation's first connector spoke of";
        return Err(Error::forbidden("other_exchange", text));
    }
    org.exchange = Some(hello.exchange);
    let now = tx.now();
    let former = org.instance_mut(instance).and_then(|mine| {
        mine.version = Some(hello.version.chars().filter(|c| !c.is_control()).take(NAME).collect());
        (mine.account_only, mine.settings, mine.last_seen) = (hello.account_only, hello.settings, Some(now));
        (mine.renewed == Some(*shown)).then(|| {
            mine.renewed = None;
            std::mem::replace(&mut mine.certificate, *shown)
        })
    });
    if let Some(former) = former
        && let Some(pin) = tx.get::<Pin>(former)?
    {
        tx.delete(&pin)?;
    }
    tx.put(&org)?;
    Ok(org)
}

/// Asks to lead, or to go on leading by `epoch`. The organisation as it is then; `None`: another leads.
pub fn lead(
    tx: &mut Tx<'_>,
    mut org: Organisation,
    instance: Uuid,
    epoch: Option<u64>,
) -> Result<std::result::Result<Organisation, Option<Uuid>>> {
    let (now, steady) = (tx.now(), tx.steady());
    let lives = org.until > steady;
    if org.leader.is_some_and(|leader| leader != instance) && lives {
        return Ok(Err(org.leader));
    }
    let goes_on = org.leader == Some(instance) && epoch == Some(org.epoch);
    if epoch.is_some() && !goes_on {
        // What it did by that epoch is of the past: it begins anew, by asking to lead.
        return Ok(Err(org.leader.filter(|_| lives)));
    }
    if !goes_on {
        (org.epoch, org.leader, org.run) = (org.epoch + 1, Some(instance), None);
        let event = Event::ConnectorLeads { org: org.name.clone(), instance };
        audit::note(tx, By::System, event)?;
    }
    org.until = steady.plus(settings::span(tx, "exchange.lease")?);
    if let Some(mine) = org.instance_mut(instance) {
        mine.last_seen = Some(now);
    }
    tx.put(&org)?;
    Ok(Ok(org))
}

/// Ends all of an organisation's connectors at once, with what they were to do. What they told of devices stays.
pub fn remove(tx: &mut Tx<'_>, actor: &Actor, name: &str) -> Result<Organisation> {
    actor.must_count("remove a connector")?;
    let org = find(tx, name)?;
    for instance in &org.instances {
        unpin(tx, instance)?;
    }
    orders::forget(tx, &org.name)?;
    exchange::forget(tx, &org.name)?;
    for code in tx.all::<Code>("")?.into_iter().filter(|code| code.org == org.name) {
        tx.delete(&code)?;
    }
    tx.delete(&org)?;
    audit::note(tx, actor, Event::ConnectorRemoved { org: org.name.clone() })?;
    Ok(org)
}

impl Organisation {
    fn new(name: &str, kind: &str, now: Timestamp) -> Self {
        Self {
            name: name.into(),
            kind: kind.into(),
            exchange: None,
            created: now,
            instances: Vec::new(),
            epoch: 0,
            leader: None,
            until: Steady(0),
            seq: 0,
            last_full: None,
            last_delta: None,
            run: None,
            ended: None,
            missing: 0,
        }
    }

    fn instance_mut(&mut self, id: Uuid) -> Option<&mut Instance> {
        self.instances.iter_mut().find(|one| one.id == id)
    }

    /// Who leads now.
    pub fn leads(&self, now: Steady) -> Option<Uuid> {
        self.leader.filter(|_| self.until > now)
    }

    /// Whether who says so leads by this epoch.
    pub fn is_led(&self, instance: Uuid, epoch: u64, now: Steady) -> bool {
        self.leads(now) == Some(instance) && self.epoch == epoch
    }

    /// Whether the leader's Exchange knows a wipe of the account alone.
    pub fn account_only(&self) -> bool {
        self.instances.iter().any(|one| Some(one.id) == self.leader && one.account_only)
    }

    /// Whether the leader knows mailbox policies and the organisation's settings: others are asked for none.
    pub fn settings(&self) -> bool {
        self.instances.iter().any(|one| Some(one.id) == self.leader && one.settings)
    }
}

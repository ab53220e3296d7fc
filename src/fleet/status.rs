//! What is wrong now, and what will be within 90 days, worst first: facts come in, a list comes out.
//!
//! The facts are read beside the writer ([`read`]); what the store does not know (files, the channels' certificates) is handed in.
//! Devices are many: what takes a look at each of them is a [`Survey`], which its caller may keep for a while.

mod lines;
pub mod reminders;

use crate::{
    clock::Timestamp,
    error::Result,
    fleet::{
        admins,
        connectors::{self, Organisation, partnerships},
        enrol::{
            invitation::Invitation,
            under_way::{self, Jam},
        },
        keeper::{
            failed::FailedWipe,
            timers::{Timer, Unsent},
        },
        life::{Channel, Command, Device, Enrolment},
        notices,
        queue::stop::{self, Stop},
        settings::{self, Setting},
        terms::Lasting,
        wipe::{
            Approval, approvals,
            loss::{self, TakenBack},
            upstream::Untold,
        },
    },
    ids::{CommandId, DeviceId},
    store::{Record, Tx},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, time::Duration};

const DAY: Duration = Duration::from_secs(86_400);
/// What ends within this is told of …
const NOTED: Duration = DAY.saturating_mul(90);
/// … within this it is time to act, also for devices' certificates …
const SOON: Duration = DAY.saturating_mul(30);
/// … and within this something will break.
const NOW: Duration = DAY.saturating_mul(7);
/// A wipe that waits for longer is no matter of course.
const PATIENCE: Duration = Duration::from_secs(3600);
/// That a store was taken back is told for so long.
const TAKEN_BACK: Duration = SOON;
/// Records read at a time where all are looked at.
const PAGE: usize = 1000;
/// Devices that are named one by one.
const NAMED: usize = 20;

/// How bad it is; the worst comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something does not work, or will not within days.
    Error,
    /// Somebody must act.
    Warning,
    /// To know.
    Note,
}

impl Severity {
    /// As it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// What is wrong. Of what is equally bad the first of these comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Code {
    StopOn,
    WipeContradicted,
    StoreTakenBack,
    ClockDoubted,
    PushCertExpired,
    PushCertMissing,
    ServerCertExpired,
    ServerCertUnfit,
    CaExpired,
    MailServer,
    ConnectorSilent,
    ApprovalStuck,
    ApprovalWaits,
    WipeFailed,
    WipeUnanswered,
    WipeWaits,
    WipeUntold,
    PartnershipsMissing,
    ExchangeDrift,
    ServerCertRefused,
    PushCertEnds,
    ServerCertEnds,
    CaEnds,
    InvitationUnpushed,
    InstallsStuck,
    RenewalRefused,
    DeviceCertExpired,
    DeviceCertEnds,
    WebhookUnreached,
    NoticesUnsent,
    SettingPending,
    FirstHour,
}

impl Code {
    /// As scripts know it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StopOn => "stop_on",
            Self::WipeContradicted => "wipe_contradicted",
            Self::StoreTakenBack => "store_taken_back",
            Self::ClockDoubted => "clock_doubted",
            Self::PushCertExpired => "push_cert_expired",
            Self::PushCertMissing => "push_cert_missing",
            Self::ServerCertExpired => "server_cert_expired",
            Self::ServerCertUnfit => "server_cert_unfit",
            Self::CaExpired => "ca_expired",
            Self::MailServer => "mail_server",
            Self::ConnectorSilent => "connector_silent",
            Self::ApprovalStuck => "approval_stuck",
            Self::ApprovalWaits => "approval_waits",
            Self::WipeFailed => "wipe_failed",
            Self::WipeUnanswered => "wipe_unanswered",
            Self::WipeWaits => "wipe_waits",
            Self::WipeUntold => "wipe_untold",
            Self::PartnershipsMissing => "partnerships_missing",
            Self::ExchangeDrift => "exchange_drift",
            Self::ServerCertRefused => "server_cert_refused",
            Self::PushCertEnds => "push_cert_ends",
            Self::ServerCertEnds => "server_cert_ends",
            Self::CaEnds => "ca_ends",
            Self::InvitationUnpushed => "invitation_unpushed",
            Self::InstallsStuck => "installs_stuck",
            Self::RenewalRefused => "renewal_refused",
            Self::DeviceCertExpired => "device_cert_expired",
            Self::DeviceCertEnds => "device_cert_ends",
            Self::WebhookUnreached => "webhook_unreached",
            Self::NoticesUnsent => "notices_unsent",
            Self::SettingPending => "setting_pending",
            Self::FirstHour => "first_hour",
        }
    }
}

/// One thing that is wrong or will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub code: Code,
    /// Of what: an id or a name.
    pub subject: String,
    /// In words.
    pub text: String,
    /// Since when it is so.
    pub since: Option<Timestamp>,
    /// When it ends, by itself or with a certificate.
    pub until: Option<Timestamp>,
}

impl Line {
    fn of(severity: Severity, code: Code, subject: impl ToString, text: impl Into<String>) -> Self {
        Self { severity, code, subject: subject.to_string(), text: text.into(), since: None, until: None }
    }
    fn since(self, since: Timestamp) -> Self {
        Self { since: Some(since), ..self }
    }
    fn until(self, until: Timestamp) -> Self {
        Self { until: Some(until), ..self }
    }
}

/// What the store does not know, or what this room may not read there.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// What ends, and when. No push certificate among it: none is set.
    pub ends: Vec<(Lasting, Timestamp)>,
    /// For how long the server's certificate was made: whoever makes them for 90 days has another long before, and need not be told all that
    /// time.
    pub server_cert_for: Option<Duration>,
    /// What is wrong with the mail server behind the gateway, and since when.
    pub mail_server: Option<(String, Timestamp)>,
    /// Why the last notice to somebody whose mail client waits was not taken by the server of `--smtp`, and since when.
    pub smtp: Option<(String, Timestamp)>,
    /// Why clients will not take the certificate that the devices' port shows.
    pub unfit: Vec<String>,
    /// Why what lies in that certificate's files now was not taken.
    pub refused: Option<String>,
}

impl Known {
    fn end_of(&self, what: Lasting) -> Option<Timestamp> {
        self.ends.iter().find(|(known, _)| *known == what).map(|(_, until)| *until)
    }
}

/// What is found by looking at every device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Some device is managed by Apple's protocol, which cannot be woken without a push certificate.
    pub apple: bool,
    /// Devices with a certificate that has ended, and that which ended first.
    pub ended: (usize, Option<First>),
    /// Likewise with one that ends within 30 days.
    pub ending: (usize, Option<First>),
    /// Of these the first whose devices were asked to renew it, in vain.
    pub stuck: Vec<Stuck>,
}

/// The first of several devices.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct First {
    pub until: Timestamp,
    pub device: DeviceId,
    pub user: String,
}

/// A device whose certificate ends soon, and which was asked in vain to get another.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Stuck {
    pub until: Timestamp,
    pub device: DeviceId,
    /// Its name and its user's.
    pub called: String,
    pub tries: u32,
    pub why: String,
}

impl Survey {
    fn asked_in_vain(device: &Device, enrolment: &Enrolment, now: Timestamp) -> Option<Stuck> {
        let until = enrolment.newest()?.not_after;
        let (tries, why) = enrolment.renewal.as_ref()?.refused()?;
        let ends = until > now && until <= now.plus(SOON);
        let (device, called, why) = (device.id, called(device), why.to_string());
        ends.then_some(Stuck { until, device, called, tries, why })
    }

    fn look(&mut self, device: &Device, now: Timestamp) {
        self.apple |= device.live().any(|e| e.channel == Channel::Apple);
        let ends = device.live().filter_map(|e| e.newest().map(|certificate| certificate.not_after));
        let stuck = device.live().filter_map(|e| Self::asked_in_vain(device, e, now)).min_by_key(|stuck| stuck.until);
        if let Some(stuck) = stuck {
            let at = self.stuck.partition_point(|other| other.until <= stuck.until);
            self.stuck.insert(at, stuck);
            self.stuck.truncate(NAMED);
        }
        let Some(until) = ends.min().filter(|until| *until <= now.plus(SOON)) else { return };
        let (count, first) = if until <= now { &mut self.ended } else { &mut self.ending };
        *count += 1;
        if first.as_ref().is_none_or(|first| until < first.until) {
            let user = if device.user.is_empty() { "nobody in particular" } else { &device.user };
            *first = Some(First { until, device: device.id, user: user.into() });
        }
    }
}

/// Looks at every device. Beside the writer, and not at every call: of 50,000 devices it takes a second.
pub fn survey(tx: &mut Tx<'_>) -> Result<Survey> {
    let (mut survey, mut after, now) = (Survey::default(), None::<String>, tx.now());
    loop {
        let page = tx.scan::<Device>("", after.as_deref(), PAGE)?;
        page.iter().for_each(|device| survey.look(device, now));
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last.key()),
            _ => return Ok(survey),
        }
    }
}

/// A wipe that is open, and whose device it is to remove something from.
#[derive(Debug, Clone)]
struct OpenWipe {
    command: Command,
    device: String,
}

/// What waits for a second person, and who that may be.
#[derive(Debug, Clone)]
struct Waiting {
    approval: Approval,
    until: Timestamp,
    asked_by: String,
    deciders: Vec<String>,
}

/// An Exchange organisation: whether one of its connectors leads, how often clients drifted lately, and when last.
type OfConnectors = (Organisation, bool, Option<(u64, Timestamp)>);

/// All that the list is made of.
#[derive(Debug, Default)]
struct Facts {
    now: Timestamp,
    doubted: bool,
    stop: Stop,
    waiting: Vec<Waiting>,
    wipes: Vec<OpenWipe>,
    /// Those that came to nothing, and since when.
    failed: Vec<(OpenWipe, Timestamp)>,
    /// Those of which the mail server that ordered them has not heard the end, and since when.
    untold_wipes: Vec<(OpenWipe, Timestamp)>,
    /// Invitations by which nobody can begin.
    jams: Vec<Jam>,
    /// Of Apple's devices, open: how many, and the one that ends first.
    invitations: (usize, Option<(String, Timestamp)>),
    settings: Vec<Setting>,
    /// Notices that the webhook did not take, and since when.
    untold: Option<(usize, Timestamp)>,
    taken_back: Option<TakenBack>,
    /// Exchange organisations: whether one of their connectors leads, how often clients drifted lately.
    connectors: Vec<OfConnectors>,
    /// Until when a second administrator would count at once.
    second_until: Option<Timestamp>,
}

/// What is wrong, worst first. Reads alone.
pub fn read(tx: &mut Tx<'_>, known: &Known, survey: &Survey) -> Result<Vec<Line>> {
    let now = tx.now();
    let pushes = known.end_of(Lasting::PushCert).is_some_and(|until| until > now);
    let facts = Facts {
        now,
        doubted: tx.time().doubted,
        stop: stop::status(tx)?,
        waiting: waiting(tx)?,
        wipes: open_wipes(tx)?,
        failed: failed_wipes(tx)?,
        untold_wipes: untold_wipes(tx)?,
        jams: under_way::jams(tx)?,
        invitations: if pushes { (0, None) } else { apple_invitations(tx)? },
        settings: settings::list(tx)?.into_iter().filter(|setting| setting.pending.is_some()).collect(),
        untold: notices::untaken(tx)?,
        taken_back: loss::last(tx)?,
        connectors: connectors(tx)?,
        second_until: admins::second_until(tx)?,
    };
    Ok(lines::list(&facts, known, survey))
}

fn connectors(tx: &mut Tx<'_>) -> Result<Vec<OfConnectors>> {
    let mut found = Vec::new();
    for org in connectors::all(tx)? {
        let (leads, drifted) = (org.leads(tx.steady()).is_some(), partnerships::drifts(tx, &org.name)?);
        found.push((org, leads, drifted));
    }
    Ok(found)
}

fn waiting(tx: &mut Tx<'_>) -> Result<Vec<Waiting>> {
    let (people, now) = (admins::with_token(tx)?, tx.now());
    let mut found = Vec::new();
    for approval in approvals::open(tx)? {
        let until = tx.wall_of(approval.lapses());
        let deciders = approvals::may_decide(&people, now, &approval.asked_by, &approval.sponsors);
        let deciders = deciders.into_iter().map(|person| person.name).collect();
        let asked_by = admins::name_of(tx, &approval.asked_by)?;
        found.push(Waiting { approval, until, asked_by, deciders });
    }
    Ok(found)
}

/// Each is found by a timer, which it has until it ends, or as unsent.
fn open_wipes(tx: &mut Tx<'_>) -> Result<Vec<OpenWipe>> {
    let mut ids: BTreeSet<CommandId> = tx.all::<Unsent>("")?.into_iter().map(|unsent| unsent.command).collect();
    ids.extend(tx.all::<Timer>("")?.into_iter().map(|timer| timer.command));
    let ids: Vec<CommandId> = ids.into_iter().collect();
    let mut found = Vec::new();
    for ids in ids.chunks(PAGE) {
        let commands = tx.get_many::<Command>(ids)?.into_iter().flatten();
        let wipes: Vec<Command> = commands.filter(|command| command.is_wipe_under_way()).collect();
        let devices = tx.get_many::<Device>(wipes.iter().map(|wipe| wipe.device))?;
        let named = wipes.into_iter().zip(devices).map(|(command, device)| {
            let device = device.map_or_else(|| "a device that is no more".into(), |device| called(&device));
            OpenWipe { command, device }
        });
        found.extend(named);
    }
    Ok(found)
}

/// Those of the last 30 days after which no wipe of the device was asked for, and none proved.
fn failed_wipes(tx: &mut Tx<'_>) -> Result<Vec<(OpenWipe, Timestamp)>> {
    let (now, mut found) = (tx.now(), Vec::new());
    for failed in tx.all::<FailedWipe>("")?.into_iter().filter(|failed| now.since(failed.at) < SOON) {
        found.extend(wipe_of(tx, failed.command, failed.device)?.map(|wipe| (wipe, failed.at)));
    }
    Ok(found)
}

fn untold_wipes(tx: &mut Tx<'_>) -> Result<Vec<(OpenWipe, Timestamp)>> {
    let mut found = Vec::new();
    for untold in tx.all::<Untold>("")? {
        found.extend(wipe_of(tx, untold.command, untold.device)?.map(|wipe| (wipe, untold.since)));
    }
    Ok(found)
}

/// As long as the device's record is shown.
fn wipe_of(tx: &mut Tx<'_>, command: CommandId, device: DeviceId) -> Result<Option<OpenWipe>> {
    let Some(command) = tx.get::<Command>(command)? else { return Ok(None) };
    let device = tx.get::<Device>(device)?.filter(|device| device.removed.is_none());
    Ok(device.map(|device| OpenWipe { command, device: called(&device) }))
}

fn called(device: &Device) -> String {
    let name = device.name.as_ref().or(device.serial.as_ref()).cloned().unwrap_or_else(|| device.id.to_string());
    if device.user.is_empty() { name } else { format!("{name} of {}", device.user) }
}

fn apple_invitations(tx: &mut Tx<'_>) -> Result<(usize, Option<(String, Timestamp)>)> {
    let (mut count, mut first, mut after, now) = (0, None, None::<String>, tx.now());
    loop {
        let page = tx.scan::<Invitation>("", after.as_deref(), PAGE)?;
        let open = |i: &&Invitation| i.channel == Channel::Apple && !i.is_spent() && i.expires > now;
        for invitation in page.iter().filter(open) {
            count += 1;
            if first.as_ref().is_none_or(|(_, until)| invitation.expires < *until) {
                first = Some((invitation.id.to_string(), invitation.expires));
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last.key()),
            _ => return Ok((count, first)),
        }
    }
}

#[cfg(test)]
mod tests;

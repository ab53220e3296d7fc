//! What is wrong now, and what will be within 90 days, worst first: facts come in, a list comes out.
//!
//! The facts are read beside the writer ([`read`]); what the store does not know (files, the channels' certificates) is handed in.
//! Devices are many: what takes a look at each of them is a [`Survey`], which its caller may keep for a while.

pub mod reminders;

use crate::{
    clock::Timestamp,
    error::Result,
    fleet::{
        admins,
        enrol::{
            invitation::Invitation,
            under_way::{self, Jam},
        },
        keeper::{
            failed::FailedWipe,
            timers::{Timer, Unsent},
        },
        life::{Channel, Command, Device, Enrolment, Scope, State, command::Hold},
        notices,
        queue::stop::{self, Stop},
        settings::{self, Setting},
        terms::{EvidenceKind, Lasting},
        wipe::{
            Approval, approvals,
            loss::{self, TakenBack},
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
    ApprovalStuck,
    ApprovalWaits,
    WipeFailed,
    WipeUnanswered,
    WipeWaits,
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
            Self::ApprovalStuck => "approval_stuck",
            Self::ApprovalWaits => "approval_waits",
            Self::WipeFailed => "wipe_failed",
            Self::WipeUnanswered => "wipe_unanswered",
            Self::WipeWaits => "wipe_waits",
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
    /// Invitations by which nobody can begin.
    jams: Vec<Jam>,
    /// Of Apple's devices, open: how many, and the one that ends first.
    invitations: (usize, Option<(String, Timestamp)>),
    settings: Vec<Setting>,
    /// Notices that the webhook did not take, and since when.
    untold: Option<(usize, Timestamp)>,
    taken_back: Option<TakenBack>,
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
        jams: under_way::jams(tx)?,
        invitations: if pushes { (0, None) } else { apple_invitations(tx)? },
        settings: settings::list(tx)?.into_iter().filter(|setting| setting.pending.is_some()).collect(),
        untold: notices::untaken(tx)?,
        taken_back: loss::last(tx)?,
        second_until: admins::second_until(tx)?,
    };
    Ok(list(&facts, known, survey))
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
        let Some(command) = tx.get::<Command>(failed.command)? else { continue };
        let Some(device) = tx.get::<Device>(failed.device)?.filter(|device| device.removed.is_none()) else { continue };
        found.push((OpenWipe { command, device: called(&device) }, failed.at));
    }
    Ok(found)
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

/// The list itself: pure.
fn list(facts: &Facts, known: &Known, survey: &Survey) -> Vec<Line> {
    let mut lines = Vec::new();
    lines.extend(of_stop(&facts.stop));
    lines.extend(facts.waiting.iter().map(of_approval));
    lines.extend(facts.wipes.iter().map(|wipe| of_wipe(wipe, facts)));
    lines.extend(facts.failed.iter().map(|(wipe, at)| of_failed(wipe, *at)));
    lines.extend(facts.jams.iter().map(of_jam));
    lines.extend(of_push(facts, known, survey));
    lines.extend(
        known
            .ends
            .iter()
            .filter(|end| is_told(end, known, facts.now))
            .filter_map(|(what, until)| of_end(*what, *until, facts.now)),
    );
    lines.extend(of_files(facts, known));
    lines.extend(known.mail_server.as_ref().map(|(text, since)| {
        Line::of(Severity::Error, Code::MailServer, "mail server", format!("the mail server: {text}")).since(*since)
    }));
    lines.extend(known.smtp.as_ref().map(|(text, since)| {
        let text = format!("who is in quarantine is not told by mail: {text}; it is tried again");
        Line::of(Severity::Warning, Code::NoticesUnsent, "--smtp", text).since(*since)
    }));
    // A survey may be of a while ago.
    let stuck = survey.stuck.iter().filter(|stuck| stuck.until > facts.now);
    lines.extend(stuck.map(|stuck| of_stuck(stuck, facts.now)));
    lines.extend(of_devices(survey));
    lines.extend(of_store(facts));
    lines.extend(facts.settings.iter().map(of_setting));
    lines.extend(facts.second_until.map(of_first_hour));
    lines.sort_by_key(|line| (line.severity, line.code, line.since.or(line.until)));
    lines
}

fn of_stop(stop: &Stop) -> Option<Line> {
    let by = stop.by.as_deref().unwrap_or("nobody known");
    let text = format!("the emergency stop is on, set by {by}: no wipe, retire or lock leaves until it is lifted");
    let line = Line { since: stop.since, ..Line::of(Severity::Error, Code::StopOn, "stop", text) };
    stop.on.then_some(line)
}

fn of_approval(waiting: &Waiting) -> Line {
    let Waiting { approval, until, asked_by, deciders } = waiting;
    let what = match approval.commands.len() {
        0 => approval.detail.clone(),
        1 => format!("1 command is held ({})", approval.detail),
        count => format!("{count} commands are held ({})", approval.detail),
    };
    let (severity, code, who) = match deciders.as_slice() {
        [] => (Severity::Error, Code::ApprovalStuck, "nobody may decide it: a second administrator is needed".into()),
        people => (Severity::Warning, Code::ApprovalWaits, format!("it waits for {}", people.join(" or "))),
    };
    let text = format!("asked for by {asked_by}: {what}; {who}");
    Line::of(severity, code, approval.id, text).since(approval.created).until(*until)
}

fn of_wipe(wipe: &OpenWipe, facts: &Facts) -> Line {
    let OpenWipe { command, device } = wipe;
    let scope = if command.wipes(Scope::Full) { "full" } else { "selective" };
    let wipe = format!("the {scope} wipe of {device}");
    let waits_long = |since: Timestamp| facts.now.since(since) >= PATIENCE;
    if command.contradicted > 0 {
        let contact = command.evidence.iter().rev().find(|e| e.kind == EvidenceKind::Contact).map(|e| e.time);
        let text = format!("{wipe} was presumed done, and the device is heard: it is tried again");
        let since = contact.unwrap_or(command.created);
        return Line::of(Severity::Error, Code::WipeContradicted, command.id, text).since(since);
    }
    if let Some(sent) = command.sent.filter(|_| command.state == State::Sent) {
        let (severity, code) = match waits_long(sent) {
            true => (Severity::Warning, Code::WipeUnanswered),
            false => (Severity::Note, Code::WipeWaits),
        };
        return Line::of(severity, code, command.id, format!("{wipe} was sent and is not answered")).since(sent);
    }
    let (text, until) = match (command.hold, facts.stop.on) {
        (_, true) => (format!("{wipe} is held back by the emergency stop"), None),
        (Some(Hold::Delay), _) => (format!("{wipe} is in its undo window"), None),
        _ => (format!("{wipe} waits for its device"), command.expires),
    };
    let ahead = command.hold == Some(Hold::Delay) && !facts.stop.on;
    let severity = if waits_long(command.created) && !ahead { Severity::Warning } else { Severity::Note };
    Line { until, ..Line::of(severity, Code::WipeWaits, command.id, text).since(command.created) }
}

fn of_failed(wipe: &OpenWipe, at: Timestamp) -> Line {
    let OpenWipe { command, device } = wipe;
    let scope = if command.wipes(Scope::Full) { "full" } else { "selective" };
    let why = command.error.as_ref().map(|error| format!(": {}", error.text)).unwrap_or_default();
    let text = format!("the {scope} wipe of {device} came to nothing, and no other was asked for since{why}");
    Line::of(Severity::Error, Code::WipeFailed, command.id, text).since(at)
}

fn of_jam(jam: &Jam) -> Line {
    let whom = if jam.user.is_empty() { "nobody in particular" } else { &jam.user };
    let text = format!(
        "{} installs by the invitation for {whom} are under way and none has been completed for over an hour: nobody else can begin by it",
        jam.installs
    );
    Line::of(Severity::Warning, Code::InstallsStuck, jam.invitation, text).since(jam.since)
}

/// Apple devices without a push certificate, and those who are invited to be some.
fn of_push(facts: &Facts, known: &Known, survey: &Survey) -> Vec<Line> {
    let mut lines = Vec::new();
    let (count, first) = &facts.invitations;
    if known.end_of(Lasting::PushCert).is_none() && (survey.apple || *count > 0) {
        let text = "no push certificate of Apple's is set: no Apple device can be woken (lanyard apple push-cert set)";
        lines.push(Line::of(Severity::Error, Code::PushCertMissing, Lasting::PushCert.as_str(), text));
    }
    if let Some((id, until)) = first {
        let text = match count {
            1 => "an invitation for an Apple device is open, and there is no push certificate to wake it".into(),
            count => {
                format!("{count} invitations for Apple devices are open, and there is no push certificate to wake them")
            }
        };
        lines.push(Line::of(Severity::Warning, Code::InvitationUnpushed, id, text).until(*until));
    }
    lines
}

/// The server's certificate is told of in its last 30 days, and before that in the last third of its time, in which it should have been renewed:
/// other ends all of 90 days before.
fn is_told((what, until): &(Lasting, Timestamp), known: &Known, now: Timestamp) -> bool {
    match (what, known.server_cert_for) {
        (Lasting::ServerCert, Some(lasts)) => *until <= now.plus(SOON.max(lasts / 3)),
        _ => true,
    }
}

fn of_end(what: Lasting, until: Timestamp, now: Timestamp) -> Option<Line> {
    let (expired, ends) = match what {
        Lasting::PushCert => (Code::PushCertExpired, Code::PushCertEnds),
        Lasting::ServerCert => (Code::ServerCertExpired, Code::ServerCertEnds),
        Lasting::CaRoot | Lasting::CaIssuing => (Code::CaExpired, Code::CaEnds),
    };
    let name = what.words();
    if until <= now {
        let text = format!("{name} has ended: {}", what.advice());
        return Some(Line::of(Severity::Error, expired, what.as_str(), text).since(until).until(until));
    }
    let left = until.since(now);
    let severity = match left {
        left if left <= NOW => Severity::Error,
        left if left <= SOON => Severity::Warning,
        left if left <= NOTED => Severity::Note,
        _ => return None,
    };
    let text = format!("{name} ends within {}: {}", days(left), what.advice());
    Some(Line::of(severity, ends, what.as_str(), text).until(until))
}

/// The server's certificate where it comes from files.
fn of_files(facts: &Facts, known: &Known) -> Vec<Line> {
    let (mut lines, subject) = (Vec::new(), Lasting::ServerCert.as_str());
    // That it has ended is told by itself.
    let ended = known.end_of(Lasting::ServerCert).is_some_and(|until| until <= facts.now);
    if !known.unfit.is_empty() && !ended {
        let text = format!("devices will not take the server's certificate: {}", known.unfit.join("; "));
        lines.push(Line::of(Severity::Error, Code::ServerCertUnfit, subject, text));
    }
    if let Some(why) = &known.refused {
        let text =
            format!("what lies in the files of --tls-cert was not taken, and the former certificate stays: {why}");
        lines.push(Line::of(Severity::Warning, Code::ServerCertRefused, subject, text));
    }
    lines
}

/// Rounded up: what ends in some hours ends within a day.
fn days(left: Duration) -> String {
    match left.as_secs().div_ceil(DAY.as_secs()) {
        1 => "a day".into(),
        days => format!("{days} days"),
    }
}

fn of_stuck(stuck: &Stuck, now: Timestamp) -> Line {
    let left = stuck.until.since(now);
    let severity = if left <= NOW { Severity::Error } else { Severity::Warning };
    let text = format!("the certificate of {} ends within {}: {}", stuck.called, days(left), in_vain(stuck));
    Line::of(severity, Code::RenewalRefused, stuck.device, text).until(stuck.until)
}

fn in_vain(Stuck { tries, why, .. }: &Stuck) -> String {
    let times = if *tries == 1 { "once".into() } else { format!("{tries} times") };
    let why = if why.is_empty() { "it did not say why" } else { why };
    format!("it was asked {times} in vain to get another ({why}); once it has ended the device must enrol anew")
}

fn of_devices(survey: &Survey) -> Vec<Line> {
    let (mut lines, advice) = (
        Vec::new(),
        "a device that was not renewed by then is heard no more and must enrol anew (lanyard devices list --expiring 30d)",
    );
    let told = |count: usize| {
        if count == 1 { "the certificate of 1 device".into() } else { format!("the certificates of {count} devices") }
    };
    if let (count, Some(First { until, device, user })) = &survey.ended {
        let verb = if *count == 1 { "has" } else { "have" };
        let text = format!("{} {verb} ended, first that of {user}: {advice}", told(*count));
        lines.push(Line::of(Severity::Warning, Code::DeviceCertExpired, device, text).since(*until).until(*until));
    }
    if let (count, Some(First { until, device, user })) = &survey.ending {
        let verb = if *count == 1 { "ends" } else { "end" };
        let text = format!("{} {verb} within 30 days, first that of {user}: {advice}", told(*count));
        lines.push(Line::of(Severity::Warning, Code::DeviceCertEnds, device, text).until(*until));
    }
    lines
}

fn of_store(facts: &Facts) -> Vec<Line> {
    let mut lines = Vec::new();
    if facts.doubted {
        let text = "the clock moved by over a day and is not believed: nothing is issued or renewed (set it right, or lanyard clock accept)";
        lines.push(Line::of(Severity::Error, Code::ClockDoubted, "clock", text));
    }
    if let Some(back) = facts.taken_back.as_ref().filter(|back| facts.now.since(back.at) < TAKEN_BACK) {
        let text = format!(
            "the store was taken back to commit {}: what was done since may be undone in it, and {} commands were held",
            back.commit, back.held
        );
        let line = Line::of(Severity::Warning, Code::StoreTakenBack, "store", text).since(back.at);
        lines.push(line.until(back.at.plus(TAKEN_BACK)));
    }
    if let Some((count, since)) = facts.untold {
        let notices = if count == 1 { "1 notice".into() } else { format!("{count} notices") };
        let text = format!("the webhook did not take {notices} so far; each is tried again for a day");
        lines.push(Line::of(Severity::Warning, Code::WebhookUnreached, "notify.webhook", text).since(since));
    }
    lines
}

fn of_setting(setting: &Setting) -> Line {
    let text = format!("{} will count instead of {}", setting.pending.as_deref().unwrap_or_default(), setting.value);
    Line { until: setting.counts_from, ..Line::of(Severity::Note, Code::SettingPending, &setting.key, text) }
}

fn of_first_hour(until: Timestamp) -> Line {
    let text = "make a second administrator now, with a token: they count at once, later after wipe.newcomer";
    Line::of(Severity::Note, Code::FirstHour, admins::LOCAL, text).until(until)
}

#[cfg(test)]
mod tests;

//! What is wrong, line by line: pure, of the facts that were read.

use super::{
    Code, DAY, Facts, First, Known, Line, NOTED, NOW, OpenWipe, PATIENCE, SOON, Severity, Stuck, Survey, TAKEN_BACK,
    Waiting,
};
use crate::{
    clock::Timestamp,
    fleet::{
        admins,
        connectors::Organisation,
        enrol::under_way::Jam,
        life::{Scope, State, command::Hold},
        queue::stop::Stop,
        settings::Setting,
        terms::{EvidenceKind, Lasting},
    },
};
use std::time::Duration;

/// The list itself: pure.
pub(super) fn list(facts: &Facts, known: &Known, survey: &Survey) -> Vec<Line> {
    let mut lines = Vec::new();
    lines.extend(of_stop(&facts.stop));
    lines.extend(facts.waiting.iter().map(of_approval));
    lines.extend(facts.wipes.iter().map(|wipe| of_wipe(wipe, facts)));
    lines.extend(facts.failed.iter().map(|(wipe, at)| of_failed(wipe, *at)));
    lines.extend(facts.untold_wipes.iter().map(|(wipe, since)| of_untold(wipe, *since, facts.now)));
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
    lines.extend(facts.connectors.iter().flat_map(|(org, leads, drifted)| of_connectors(org, *leads, *drifted)));
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

/// Before its first hello an organisation has nobody to be missed.
fn of_connectors(org: &Organisation, leads: bool, drifted: Option<(u64, Timestamp)>) -> Vec<Line> {
    let mut lines = Vec::new();
    if !leads && org.exchange.is_some() {
        let text = format!("no connector of {} is heard: nothing is decided or wiped through its Exchange", org.name);
        let line = Line::of(Severity::Error, Code::ConnectorSilent, &org.name, text);
        let since = org.instances.iter().filter_map(|one| one.last_seen).max();
        lines.push(Line { since, ..line });
    }
    if org.missing > 0 {
        let text = format!(
            "{} mobile clients of {} were not in its last whole report, too many to be believed: nothing is taken for gone until a report \
             misses fewer than a tenth",
            org.missing, org.name
        );
        lines.push(Line::of(Severity::Warning, Code::PartnershipsMissing, &org.name, text));
    }
    if let Some((count, last)) = drifted {
        let times = if count == 1 { "once" } else { "more than once" };
        let text = format!(
            "in the Exchange of {} something was otherwise than was decided or set here, {times} within the day: it was set right; the audit \
             log has what (exchange.drift)",
            org.name
        );
        lines.push(Line::of(Severity::Note, Code::ExchangeDrift, &org.name, text).since(last));
    }
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

fn of_untold(wipe: &OpenWipe, since: Timestamp, now: Timestamp) -> Line {
    let OpenWipe { command, device } = wipe;
    let text = format!(
        "the wipe of {device} was ordered at the mail server, which has not taken the device's answer so far: it is told again when the \
         device asks for mail; where it never will, close the order there"
    );
    let severity = if now.since(since) >= PATIENCE { Severity::Warning } else { Severity::Note };
    Line::of(severity, Code::WipeUntold, command.id, text).since(since)
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
pub(super) fn is_told((what, until): &(Lasting, Timestamp), known: &Known, now: Timestamp) -> bool {
    match (what, known.server_cert_for) {
        (Lasting::ServerCert, Some(lasts)) => *until <= now.plus(SOON.max(lasts / 3)),
        _ => true,
    }
}

pub(super) fn of_end(what: Lasting, until: Timestamp, now: Timestamp) -> Option<Line> {
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
pub(super) fn days(left: Duration) -> String {
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

pub(super) fn in_vain(Stuck { tries, why, .. }: &Stuck) -> String {
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

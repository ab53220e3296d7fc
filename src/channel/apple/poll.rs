//! The command channel: a device reports on its last command and asks for the next.

use super::{
    Answer, Shown,
    delivery::{self, Delivery},
    heard, is_complete, is_set_apart, signature_counts,
};
use crate::{
    channel::span,
    error::{Denial, Judged, Result},
    fleet::{
        enrol::{self},
        keeper,
        life::{
            Act, Action, Channel, Claim, Command, Contact, Event, Fate, Managed, Obliteration, Outcome, Platform, Scope,
        },
        policies, queue,
        registry::{Credential, Standing, journal, presence::Idle, sights},
        terms::{EvidenceKind, FailureCode},
    },
    ids::CommandId,
    policy::{Applied, Next, OnTheWay, Outcome as PartOutcome, Part, PartId, Said},
    server::Server,
    store::Tx,
};
use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use lanyard_apple::report::{Report, SecurityInfo, Status};
use std::{sync::Arc, time::Duration};

/// The enrolment has not the right to erase: so nothing was erased, whatever the device is (MCMDMErrorDomain).
const NO_RIGHT: &str = "12007";
/// How often a device is asked what it is.
const FACTS: Duration = Duration::from_secs(7 * 86_400);

/// One report, from certificate to the next command.
pub(super) async fn take(server: &Server, shown: Shown, report: Report) -> Answer {
    let name = report.channel.device_name();
    if report.status == Status::Idle && report.channel.user.is_none() {
        let known = server.presence.idle(&shown.certificate, None, server.now());
        let mine = |idle: &Arc<Idle>| {
            idle.channel == Channel::Apple && idle.identity.eq_ignore_ascii_case(name) && shown.counts_for(idle)
        };
        if let Some(idle) = known.filter(mine) {
            span::whose(idle.enrolment, Some(idle.device));
            return Ok(StatusCode::OK.into_response()); // the idle poll ends here
        }
    }
    let Some(delivery) = server.store.judge(move |tx| exchange(tx, &shown, &report)).await? else {
        return Ok(StatusCode::OK.into_response());
    };
    let body = delivery::encode(server, delivery)?;
    Ok(command(body))
}

fn command(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/xml")], body).into_response()
}

/// Files the report and takes what is next, in one call on the store.
fn exchange(tx: &mut Tx<'_>, shown: &Shown, report: &Report) -> Judged<Option<Delivery>, Standing> {
    let (credential, device) = heard(tx, shown, report.channel.device_name())?;
    let Some(mut device) = device else { return Err(Denial::Refused(Standing::Unknown)) };
    if report.channel.user.is_some() {
        return Ok(None);
    }
    let apart = is_set_apart(&device, shown);
    if apart && !shows_itself(&device, &credential, report) {
        return Ok(told_of_a_wipe(tx, &mut device, &credential, report)?);
    }
    let answered = match &report.command_uuid {
        Some(uuid) => file(tx, &mut device, &credential, report, uuid)?,
        None => None,
    };
    told_whole(tx, &device, report, answered)?;
    let mine = device.enrolment(credential.enrolment);
    if apart && mine.and_then(|mine| mine.newest()).is_none_or(|newest| newest.sha256 != shown.certificate) {
        return Ok(None);
    }
    let complete = is_complete(&device, &credential);
    let session = if report.status == Status::Idle { Contact::Fresh } else { Contact::Continued };
    let delivery = if complete { next(tx, &mut device, &credential, session)? } else { None };
    // Who is remembered is seen by that; who is not must be seen here, or would count as silent.
    if delivery.is_some() || !complete || !remember(tx, &device, &credential, shown, session)? {
        sights::note_seen(tx, credential.enrolment)?;
    }
    Ok(delivery)
}

/// Whether a report under a certificate that is set apart shows that this is the device: it names the command that brought the challenge, and
/// its id went to the device alone.
fn shows_itself(device: &Managed, credential: &Credential, report: &Report) -> bool {
    let named = report.command_uuid.as_deref().and_then(|uuid| uuid.parse::<CommandId>().ok());
    let renewal = device.enrolment(credential.enrolment).and_then(|mine| mine.renewal.as_ref());
    named.zip(renewal).is_some_and(|(named, renewal)| renewal.is_of(named))
}

/// Who has a certificate that is set apart gets a wipe and nothing else: it may be the device, whose word on its renewal was lost. What it says
/// of the wipe is on record and ends nothing: the former certificate gets it as before.
fn told_of_a_wipe(
    tx: &mut Tx<'_>,
    device: &mut Managed,
    credential: &Credential,
    report: &Report,
) -> Result<Option<Delivery>> {
    let enrolment = credential.enrolment;
    let named = report.command_uuid.as_deref().and_then(|uuid| uuid.parse::<CommandId>().ok());
    let wipe = named.and_then(|id| device.open().find(|command| command.id == id && command.action() == Action::Wipe));
    if let Some(id) = wipe.map(|wipe| wipe.id) {
        // It is told once in a session: what puts it off or refuses it hears of it in the next.
        let said =
            format!("{} under a renewed certificate that nothing has shown to be the device's", report.status.name());
        keeper::happen(tx, device, Event::SaidApart { enrolment, command: id, said })?;
        return Ok(None);
    }
    let session = if report.status == Status::Idle { Contact::Fresh } else { Contact::Continued };
    let not_now = device.open().filter(|command| command.action() != Action::Wipe).map(|command| command.id).collect();
    let Some(command) = queue::take_due(tx, device, enrolment, session, &not_now, |_, _| Ok(()))? else {
        return Ok(None);
    };
    match delivery::prepare(tx, device, &command)? {
        delivery::Prepared::Go(delivery) => Ok(Some(delivery)),
        _ => Ok(None),
    }
}

/// The next delivery. Where nothing waits that must go first, what the policy or the calendar asks for is queued first; none where they ask for
/// nothing either.
fn next(tx: &mut Tx<'_>, device: &mut Managed, credential: &Credential, session: Contact) -> Result<Option<Delivery>> {
    // By a clock that is doubted no certificate is issued.
    let doubted = tx.time().doubted;
    let renewals = device.open().filter(|command| doubted && command.action() == Action::Renew);
    let not_now = renewals.map(|command| command.id).collect();
    // Each round ends a command or hands one out; a policy has a bounded number of parts.
    for _ in 0..64 {
        let ask = |tx: &mut Tx<'_>, device: &mut Managed| ask_what_is_due(tx, device, credential);
        let taken = queue::take_due(tx, device, credential.enrolment, session, &not_now, ask)?;
        let Some(command) = taken else { return Ok(None) };
        match delivery::prepare(tx, device, &command)? {
            delivery::Prepared::Go(delivery) => return Ok(Some(delivery)),
            delivery::Prepared::Skip => {
                step(tx, device, credential, &command)?;
            }
            delivery::Prepared::Unsupported(text) => {
                let command = queue::find(tx, command.id)?;
                applied(tx, device, &command, PartOutcome::unsupported(&text))?;
                step(tx, device, credential, &command)?;
            }
            delivery::Prepared::Cannot(text) => {
                let outcome = Outcome::Failed { code: FailureCode::Unsupported, text };
                queue::settle(tx, device, credential.enrolment, command.id, outcome)?;
            }
        }
    }
    Ok(None)
}

/// Remembers a device that nothing is due for as idle, and says whether it does. What was put off is due again in the next session, so
/// that one must ask the store.
fn remember(
    tx: &mut Tx<'_>,
    device: &Managed,
    credential: &Credential,
    shown: &Shown,
    session: Contact,
) -> Result<bool> {
    let Some(enrolment) = device.enrolment(credential.enrolment) else { return Ok(false) };
    if session != Contact::Fresh || !device.may_rest(enrolment.id) || credential.revoked.is_some() {
        return Ok(false);
    }
    let asked = device.asked.map_or(tx.now(), |at| tx.wall_of(at.plus(FACTS)));
    let Some(due) = policies::quiet_until(tx, device, enrolment.id)? else { return Ok(false) };
    let again = enrolment.renewal.as_ref().and_then(|renewal| renewal.again()).map(|at| tx.wall_of(at));
    let renews = enrolment.renews_from().map_or(due, |from| again.map_or(from, |again| again.max(from)));
    let until = asked.min(credential.certificate.not_after).min(due).min(renews);
    let idle =
        Idle::new(shown.certificate, device.id, enrolment.id, Channel::Apple, &enrolment.identity, until, tx.now());
    let signs = signature_counts(tx, credential)?;
    tx.remember(Box::new(idle.signing(signs)));
    Ok(true)
}

/// Queues what nobody had to ask for.
fn ask_what_is_due(tx: &mut Tx<'_>, device: &mut Managed, credential: &Credential) -> Result<()> {
    let enrolment = credential.enrolment;
    if !device.is_served(enrolment) {
        return Ok(());
    }
    let is_open = |action| device.find_open(Channel::Apple, action).is_some();
    if device.enrolment(enrolment).is_some_and(|mine| mine.renewal_is_due(tx.time())) && !is_open(Action::Renew) {
        return queue::ask_by_system(tx, device, enrolment, Act::Renew).map(drop);
    }
    if device.asked.is_none_or(|at| at.plus(FACTS) <= tx.steady()) && !is_open(Action::Refresh) {
        return queue::ask_by_system(tx, device, enrolment, Act::Refresh).map(drop);
    }
    if device.waits_for(Channel::Apple, Action::Policy) {
        return Ok(());
    }
    let (wanted, todo) = policies::to_ask(tx, device, enrolment)?;
    policies::keep_books(tx, device, enrolment, &wanted, &todo)?;
    let install = todo.install.into_iter().map(|id| OnTheWay::new(Next::Install, id));
    let sent = install.chain(todo.remove.into_iter().map(|id| OnTheWay::new(Next::Remove, id)));
    let mut parts: Vec<OnTheWay> = sent.collect();
    if parts.is_empty() {
        // One list of profiles tells of all parts: that is a command of its own.
        let hash = |id: &PartId| wanted.get(id).map(|part| part.hash.clone()).unwrap_or_default();
        let read = todo.look.into_iter().map(|id| OnTheWay { hash: hash(&id), ..OnTheWay::new(Next::ReadBack, id) });
        parts = read.collect();
    }
    if parts.is_empty() {
        return Ok(());
    }
    policies::ask_for(tx, device, enrolment, &parts)?;
    let parts = parts.iter().map(ToString::to_string).collect();
    queue::ask_by_system(tx, device, enrolment, Act::Policy { parts }).map(drop)
}

/// Notes what of a report cannot be read while the rest counts, or that the answers to such a command are read again.
fn told_whole(tx: &mut Tx<'_>, device: &Managed, report: &Report, answered: Option<(CommandId, Action)>) -> Result<()> {
    let what = answered.map_or_else(|| "a report".into(), |(_, action)| format!("the answer to {}", action.as_str()));
    let by = answered.map(|(id, _)| id);
    match (&report.spoilt, answered) {
        (Some(error), _) => journal::unreadable(tx, device.id, &format!("{what}: {error}"), by),
        (None, Some((id, Action::Refresh | Action::Policy))) => journal::read_well(tx, device.id, &what, id),
        (None, _) => Ok(()),
    }
}

/// What a result says of the command it names, which comes back. One about a step that is past, or about nothing of ours, says nothing.
fn file(
    tx: &mut Tx<'_>,
    device: &mut Managed,
    credential: &Credential,
    report: &Report,
    uuid: &str,
) -> Result<Option<(CommandId, Action)>> {
    let (id, step_of) = match uuid.split_once('.') {
        Some((id, step)) => (id, step.parse().unwrap_or(u32::MAX)),
        None => (uuid, 0),
    };
    let Ok(id) = id.parse::<CommandId>() else { return Ok(None) };
    let Some(command) = tx.get::<Command>(id)?.filter(|c| c.device == device.id) else { return Ok(None) };
    if command.step != step_of && !command.state.is_final() {
        return Ok(None);
    }
    match report.status {
        Status::Idle => return Ok(None),
        Status::NotNow => {
            not_told(tx, device, &command, report.status.name())?;
            queue::settle(tx, device, credential.enrolment, id, Outcome::NotNow)?;
            return Ok(None);
        }
        Status::Acknowledged => match report.refused_setting() {
            Some(refused) if command.action() == Action::Rename => failed(tx, device, credential, &command, &refused)?,
            _ => acknowledged(tx, device, credential, &command, report)?,
        },
        Status::Error | Status::CommandFormatError => failed(tx, device, credential, &command, report)?,
    }
    Ok(Some((command.id, command.action())))
}

fn acknowledged(
    tx: &mut Tx<'_>,
    device: &mut Managed,
    credential: &Credential,
    command: &Command,
    report: &Report,
) -> Result<()> {
    match command.action() {
        Action::Refresh => told(tx, device, command, report)?,
        Action::Policy if delivery::is_look(command) => look(tx, device, command, report)?,
        Action::Policy => applied(tx, device, command, PartOutcome::Enforced)?,
        _ => {
            if let Act::Rename { name } = &command.act {
                renamed(tx, device, command, name)?;
            }
            let outcome = Outcome::Done { kind: EvidenceKind::Acknowledged, detail: "Acknowledged".into() };
            queue::settle(tx, device, credential.enrolment, command.id, outcome)?;
            return Ok(());
        }
    }
    step(tx, device, credential, command)
}

/// Takes over the name, which else would be the former one until the device is next asked for facts.
fn renamed(tx: &mut Tx<'_>, device: &mut Managed, command: &Command, name: &str) -> Result<()> {
    // A repeat may come after a later name, and what was never sent was not done.
    if command.sent.is_none() || command.state.is_final() {
        return Ok(());
    }
    let claim = Claim { name: Some(name.to_owned()), ..Claim::default() };
    keeper::happen(tx, device, Event::Told(Box::new(claim)))?;
    Ok(())
}

fn failed(
    tx: &mut Tx<'_>,
    device: &mut Managed,
    credential: &Credential,
    command: &Command,
    report: &Report,
) -> Result<()> {
    let text = match report.error_text() {
        text if text.is_empty() => report.status.name().to_string(),
        text => text,
    };
    let code =
        report.errors.first().and_then(|e| e.code).map_or_else(|| report.status.name().to_string(), |c| c.to_string());
    let outcome = match command.action() {
        // Facts that a device does not tell are no failure, and one refused part does not keep the others back.
        Action::Refresh => {
            says_of_its_passcode(tx, device, command, report)?;
            not_told(tx, device, command, &text)?;
            return step(tx, device, credential, command);
        }
        // What it does not tell is not lost.
        Action::Policy if delivery::is_look(command) => {
            says_of_its_passcode(tx, device, command, report)?;
            not_told(tx, device, command, &text)?;
            return step(tx, device, credential, command);
        }
        Action::Policy => {
            applied(tx, device, command, PartOutcome::failed(&text))?;
            return step(tx, device, credential, command);
        }
        // Whatever ObliterationBehavior says, but that it must not, a Mac may answer Error and erase itself all the same; not where it did not understand.
        Action::Wipe
            if command.scope() == Some(Scope::Full)
                && device.platform == Platform::Macos
                && report.status == Status::Error
                && code != NO_RIGHT
                && !must_not_obliterate(command) =>
        {
            Outcome::Presumed {
                kind: EvidenceKind::Error,
                detail: format!("the Mac answered Error and may erase itself all the same: {text}"),
            }
        }
        _ => Outcome::Failed { code: FailureCode::Protocol(code), text },
    };
    queue::settle(tx, device, credential.enrolment, command.id, outcome)?;
    Ok(())
}

/// Whether an Error in answer to it means that nothing was erased.
fn must_not_obliterate(command: &Command) -> bool {
    matches!(&command.act, Act::Wipe { how, .. } if how.obliteration == Some(Obliteration::DoNotObliterate))
}

/// The next step of a command of several, or its end after the last.
fn step(tx: &mut Tx<'_>, device: &mut Managed, credential: &Credential, command: &Command) -> Result<()> {
    let steps = delivery::steps(command);
    let outcome = if command.step + 1 < steps {
        Outcome::Step
    } else {
        if command.action() == Action::Refresh {
            keeper::happen(tx, device, Event::FactsTold)?;
        }
        Outcome::Done { kind: EvidenceKind::Acknowledged, detail: "Acknowledged".into() }
    };
    queue::settle(tx, device, credential.enrolment, command.id, outcome)?;
    Ok(())
}

/// Notes what became of the part that the command's present step brought or took away.
fn applied(tx: &mut Tx<'_>, device: &mut Managed, command: &Command, outcome: PartOutcome) -> Result<()> {
    let Some(OnTheWay { next, id, hash }) = delivery::part(command) else { return Ok(()) };
    let fate = match (next, outcome) {
        (Next::Remove, PartOutcome::Enforced) => Fate::Away,
        (Next::Remove, PartOutcome::Failed(text) | PartOutcome::Unsupported(text)) => Fate::Stuck(text),
        (_, outcome) => Fate::Sent { hash, outcome },
    };
    keeper::happen(tx, device, Event::Part { enrolment: command.enrolment, part: id, fate })?;
    Ok(())
}

/// What the device tells of what it has: which profiles, and how it is protected.
fn look(tx: &mut Tx<'_>, device: &mut Managed, command: &Command, report: &Report) -> Result<()> {
    if command.step > 0 {
        return told(tx, device, command, report);
    }
    let Some(installed) = report.profile_list() else {
        return not_told(tx, device, command, "no list of profiles");
    };
    let (wanted, _) = policies::due(tx, device, command.enrolment)?;
    for part in delivery::parts(command) {
        let Some(identifier) = delivery::identifier(&part.id) else { continue };
        let enrolment = command.enrolment;
        let Some(kept) = device.enrolment(enrolment).and_then(|mine| mine.applied.get(&part.id)) else { continue };
        let is_there = installed.iter().any(|profile| profile.identifier == identifier);
        // What was sent or changed since it was asked for is not what the list tells of.
        let same = kept.hash == part.hash && !kept.out;
        let fate = match wanted.get(&part.id) {
            Some(_) if !same => continue,
            Some(_) if is_there => Fate::Seen,
            Some(_) => Fate::Lost,
            None if matches!(kept.outcome, PartOutcome::Stuck(_) | PartOutcome::Away) && !is_there => Fate::Gone,
            None if kept.outcome == PartOutcome::Away => Fate::Stays,
            None => continue,
        };
        keeper::happen(tx, device, Event::Part { enrolment, part: part.id, fate })?;
    }
    Ok(())
}

/// It was asked what it has, or how its passcode is, and answered this instead: what it had it may have still, and nobody has seen it.
fn not_told(tx: &mut Tx<'_>, device: &mut Managed, command: &Command, instead: &str) -> Result<()> {
    let looks = delivery::is_look(command);
    if command.state.is_final() || !(looks || command.action() == Action::Refresh) {
        return Ok(());
    }
    let enrolment = command.enrolment;
    let of_passcodes = command.step > 0;
    let fate = |(part, fate)| Event::Part { enrolment, part, fate };
    let fates: Vec<Event> = match device.enrolment(enrolment) {
        Some(mine) if of_passcodes => {
            let asked = mine.applied.iter().filter(|(_, kept)| kept.passcode.is_some());
            asked.map(|(id, _)| fate((id.clone(), Fate::PasscodeUnread(instead.into())))).collect()
        }
        Some(mine) if looks => {
            let as_asked = |part: &OnTheWay| {
                mine.applied.get(&part.id).is_some_and(|kept| kept.hash == part.hash && !kept.out && kept.tells())
            };
            let asked = delivery::parts(command).filter(as_asked);
            asked.map(|part| fate((part.id, Fate::Unread(instead.into())))).collect()
        }
        _ => Vec::new(),
    };
    fates.into_iter().try_for_each(|event| keeper::happen(tx, device, event).map(drop))
}

/// What a device says of itself, and with that how its passcode is.
fn told(tx: &mut Tx<'_>, device: &mut Managed, command: &Command, report: &Report) -> Result<()> {
    learn(tx, device, report)?;
    says_of_its_passcode(tx, device, command, report)
}

/// An answer to SecurityInfo, the second step of all that asks for it, says whether the passcode keeps to the rules that are installed. Not
/// one that the device took since: it has been asked before.
fn says_of_its_passcode(tx: &mut Tx<'_>, device: &mut Managed, command: &Command, report: &Report) -> Result<()> {
    if command.step == 0 || command.state.is_final() {
        return Ok(());
    }
    let enrolment = command.enrolment;
    let Some(mine) = device.enrolment(enrolment) else { return Ok(()) };
    let (wanted, _) = policies::due(tx, device, enrolment)?;
    let said = report.security_info().unwrap_or_default();
    let is_held = |part: &Part, kept: &Applied| kept.hash == part.hash && kept.outcome.holds() && !kept.out;
    let installed = wanted
        .values()
        .filter(|part| part.passcode && mine.applied.get(&part.id).is_some_and(|kept| is_held(part, kept)));
    let parts: Vec<_> = installed.map(|part| (part.id.clone(), passcode(part, &said))).collect();
    let silent: Vec<PartId> = parts.iter().filter(|(_, said)| said.is_none()).map(|(id, _)| id.clone()).collect();
    keeper::happen(tx, device, Event::PasscodeTold { enrolment, parts })?;
    silent.into_iter().try_for_each(|part| {
        let fate = Fate::PasscodeUnread("its SecurityInfo says nothing of it".into());
        keeper::happen(tx, device, Event::Part { enrolment, part, fate }).map(drop)
    })
}

/// The device's word on its passcode under a part. Our own rules ask for one; of a raw profile's the device is the judge.
fn passcode(part: &Part, said: &SecurityInfo) -> Option<Said> {
    match (said.passcode_present, said.passcode_complies()) {
        (Some(false), _) if part.id == PartId::Settings => Some(Said::Absent),
        (Some(false), Some(false)) => Some(Said::Absent),
        (_, Some(true)) => Some(Said::Met),
        (_, Some(false)) => Some(Said::Unmet),
        (_, None) => None,
    }
}

/// What a device says of itself.
fn learn(tx: &mut Tx<'_>, device: &mut Managed, report: &Report) -> Result<()> {
    let mut claim = Claim::default();
    if let Some(said) = report.device_information() {
        let names = [said.product_name.as_deref(), said.model.as_deref(), said.model_name.as_deref()];
        claim = Claim {
            platform: Some(super::checkin::platform_of(&names)),
            serial: said.serial_number,
            name: said.device_name,
            model: said.product_name.or(said.model),
            os_version: said.os_version,
            mail_id: said.eas_device_identifier,
            facts: fact("supervised", said.is_supervised).collect(),
            ..Claim::default()
        };
    }
    if let Some(said) = report.security_info() {
        claim.facts.extend(fact("encrypted", said.encrypted()));
        claim.facts.extend(fact("passcode", said.passcode_present.or(said.passcode_compliant)));
        claim.facts.extend(fact("passcode_compliant", said.passcode_complies()));
    }
    keeper::happen(tx, device, Event::Told(Box::new(claim)))?;
    enrol::adopt_mail(tx, device)
}

fn fact(name: &'static str, value: Option<bool>) -> impl Iterator<Item = (&'static str, String)> {
    value.map(|value| (name, value.to_string())).into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PartContent;

    #[test]
    fn of_its_own_rules_a_device_without_a_passcode_keeps_none() {
        let content = PartContent::Settings(Vec::new());
        let part = |id| Part {
            id,
            hash: String::new(),
            settings: Vec::new(),
            content: content.clone(),
            of: Default::default(),
            passcode: true,
        };
        let (ours, raw) = (part(PartId::Settings), part(PartId::Profile("com.example.p".into())));
        let (yes, no) = (Some(true), Some(false));
        for (row, present, profiles, want) in [
            ("it has one that complies", yes, yes, [Some(Said::Met); 2]),
            ("it has one that does not", yes, no, [Some(Said::Unmet); 2]),
            ("it has none", no, no, [Some(Said::Absent); 2]),
            ("it has none, and a profile asks for none", no, yes, [Some(Said::Absent), Some(Said::Met)]),
            ("user enrolment tells no more", None, no, [Some(Said::Unmet); 2]),
            ("it has one, of which it says nothing", yes, None, [None; 2]),
            ("it has none, of which it says nothing", no, None, [Some(Said::Absent), None]),
            ("it says nothing", None, None, [None; 2]),
        ] {
            let said = SecurityInfo {
                passcode_present: present,
                passcode_compliant_with_profiles: profiles,
                ..SecurityInfo::default()
            };
            assert_eq!([&ours, &raw].map(|part| passcode(part, &said)), want, "{row}");
        }
    }
}

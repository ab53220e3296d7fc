//! What the API shows of devices, commands and approvals, made from the records.

use super::call::Call;
use crate::{
    clock::{Steady, Timestamp},
    documents::{
        At,
        breaker::ApprovalView,
        commands::{CommandView, ErasingView, EvidenceView, FailureView},
        devices::{CertificateView, DeviceView, EnrolmentView, EventView, ProblemView},
    },
    error::{Error, Result},
    fleet::{
        enrol::waiting::Waiting,
        life::{
            Action, Channel, Command, Device, Enrolment, MAIL_AGENT, MAIL_TYPE, State, command::Hold,
            device::Certificate,
        },
        mail_rules::Gate,
        policies::Assigned,
        queue::{self},
        registry::{
            journal::{self, Alerted, Journal, Unreadable},
            presence::Presence,
            sights::{last_seen, seen},
        },
        settings,
        wipe::{approvals::Approval, stop},
    },
    ids::DeviceId,
    policy::Problem,
    store::Tx,
};
use std::{collections::BTreeSet, time::Duration};

/// A push is there within this, if it comes at all.
const PUSH: Duration = Duration::from_secs(60);
/// The longest a mail client holds its Ping open: at its end, if not before, it asks.
const PING: Duration = Duration::from_secs(3600);
/// A Ping that is held at this node is ended at once, and its client asks why.
const HELD: Duration = Duration::from_secs(10);

/// A device that was not heard for so long is off, or gone: nobody can say by when it will hear.
const LOST: Duration = Duration::from_secs(2 * 86_400);

/// Said where rules would where no person had decided.
const BY_HAND: &str = "an administrator";

impl CertificateView {
    fn of(certificate: &Certificate) -> Self {
        Self {
            serial: certificate.serial.clone(),
            sha256: certificate.sha256.to_string(),
            not_before: At(certificate.not_before),
            not_after: At(certificate.not_after),
        }
    }
}

impl EnrolmentView {
    fn of(device: &Device, enrolment: &Enrolment, seen: Option<Timestamp>, (gate, now): (&Gate, Timestamp)) -> Self {
        let stand = gate.stand(device, enrolment);
        let by_hand = || (gate.text().is_some() && enrolment.is_decided()).then(|| BY_HAND.to_string());
        Self {
            id: enrolment.id.to_string(),
            channel: enrolment.channel,
            state: Enrolment::shown(gate.state(device, enrolment), device.life).into(),
            identity: enrolment.identity.clone(),
            kind: enrolment.channel_state.get(MAIL_TYPE).cloned(),
            agent: enrolment.channel_state.get(MAIL_AGENT).cloned(),
            certificate: enrolment.certificate.as_ref().map(CertificateView::of),
            last_seen: seen.max(enrolment.last_seen).map(At),
            until: stand.as_ref().and_then(|stand| stand.left).map(|left| At(now.plus(left))),
            rule: stand.map(|stand| stand.rule).or_else(by_hand),
            claimed: Waiting::of(device, enrolment.id).filter(|w| !w.over).and_then(|w| w.claimed).map(At),
        }
    }
}

impl ProblemView {
    fn of(problem: Problem) -> Self {
        Self {
            since: At(Timestamp::from_unix(problem.since.unix_timestamp())),
            code: problem.code.into(),
            text: problem.text,
        }
    }

    fn of_unreadable(found: &Unreadable) -> Self {
        Self { since: At(found.since), code: "unreadable".into(), text: found.text.clone() }
    }
}

impl EventView {
    fn of(event: &Alerted) -> Self {
        Self { time: At(event.time), kind: event.kind.clone(), text: event.text.clone() }
    }
}

impl DeviceView {
    /// `assigned`: the policies, read once for all devices of a call.
    pub(super) fn of(tx: &mut Tx<'_>, device: &Device, assigned: &Assigned) -> Result<Self> {
        let mut views = Self::all(tx, std::slice::from_ref(device), assigned)?;
        views.pop().ok_or_else(|| Error::Internal("a device without a view".into()))
    }

    /// Several, with one question for when they were seen, and one for what they said.
    pub(super) fn all(tx: &mut Tx<'_>, devices: &[Device], assigned: &Assigned) -> Result<Vec<Self>> {
        let seen = seen(tx, devices.iter().flat_map(|device| device.enrolments.iter().map(|e| e.id)))?;
        let (mut seen, now) = (seen.into_iter(), tx.steady());
        let ids: Vec<DeviceId> = devices.iter().map(|device| device.id).collect();
        let (journals, gate, today) = (journal::of(tx, &ids)?, Gate::load(tx)?, tx.now());
        let views = devices.iter().zip(journals).map(|(device, journal)| {
            let of = |enrolment| EnrolmentView::of(device, enrolment, seen.next().flatten(), (&gate, today));
            let enrolments = device.enrolments.iter().map(of).collect();
            Self::with(device, enrolments, (assigned, &gate), journal.as_ref(), now)
        });
        Ok(views.collect())
    }

    fn with(
        device: &Device,
        enrolments: Vec<EnrolmentView>,
        (assigned, gate): (&Assigned, &Gate),
        journal: Option<&Journal>,
        now: Steady,
    ) -> Self {
        let refused = assigned.problems(device).into_iter().map(ProblemView::of);
        let unreadable =
            journal.into_iter().flat_map(|journal| journal.unreadable(now)).map(ProblemView::of_unreadable);
        Self {
            id: device.id.to_string(),
            channel: device.channel(),
            platform: device.platform,
            state: device.state_with(|enrolment| gate.state(device, enrolment)).into(),
            user: Some(device.user.clone()).filter(|user| !user.is_empty()),
            ownership: device.ownership,
            serial: device.serial.clone(),
            name: device.name.clone(),
            model: device.model.clone(),
            os_version: device.os_version.clone(),
            facts: device.facts.clone(),
            last_seen: enrolments.iter().filter_map(|e| e.last_seen).max(),
            compliance: assigned.compliance(device),
            enrolments,
            problems: refused.chain(unreadable).collect(),
            events: journal.into_iter().flat_map(Journal::events).map(EventView::of).collect(),
        }
    }
}

impl CommandView {
    pub(super) fn of(tx: &mut Tx<'_>, call: &Call, command: &Command) -> Result<Self> {
        let shown = call.actor.id == crate::fleet::admins::LOCAL || command.was_asked_by(&call.actor.id);
        let pin = match command.pin().filter(|_| shown) {
            Some(sealed) => {
                let plain = call.server.unseal(queue::PIN, sealed)?;
                Some(String::from_utf8(plain).map_err(|e| Error::Internal(e.to_string()))?)
            }
            None => None,
        };
        let evidence = command.evidence.iter().map(|e| EvidenceView {
            time: At(e.time),
            enrolment: e.enrolment.to_string(),
            channel: e.channel,
            kind: e.kind.as_str().into(),
            detail: e.detail.clone(),
        });
        let error = command.error.as_ref().map(|e| FailureView { code: e.code.as_str().into(), text: e.text.clone() });
        Ok(Self {
            id: command.id.to_string(),
            device: command.device.to_string(),
            channel: command.channel,
            action: command.action(),
            scope: command.scope(),
            state: command.state,
            reason: Some(command.reason.clone()).filter(|r| !r.is_empty()),
            requested_by: command.requested_by.clone(),
            approval: command.approval.map(|a| a.to_string()),
            created: At(command.created),
            leaves_at: leaves_at(tx, command).map(At),
            sent: command.sent.map(At),
            finished: command.finished.map(At),
            expires: command.expires.map(At),
            expected_by: expected_by(tx, &call.server.presence, command)?.map(At),
            attempts: command.attempts,
            pin,
            evidence: evidence.collect(),
            error,
            erasing: command.act.how().map(|how| ErasingView {
                preserve_data_plan: how.preserve_data_plan,
                return_to_service: how.return_to_service,
                obliteration: how.obliteration.map(|one| one.as_str().into()),
            }),
        })
    }

    pub(super) fn all(tx: &mut Tx<'_>, call: &Call, commands: &[Command]) -> Result<Vec<Self>> {
        commands.iter().map(|command| Self::of(tx, call, command)).collect()
    }
}

/// When the undo window that holds it ends. One that waits for a second person has none yet: it begins with the approval.
fn leaves_at(tx: &Tx<'_>, command: &Command) -> Option<Timestamp> {
    let undo = command.state == State::Held && command.hold == Some(Hold::Delay);
    command.release_at.filter(|_| undo).map(|at| tx.wall_of(at))
}

/// By when a device that is on hears of it: Apple devices by a push, PCs by their poll, mail clients when their Ping is answered or ends.
/// Unknown while the breaker or the emergency stop holds it, where nothing will wake the device, once that time has passed, and of a device
/// that was not heard for [`LOST`].
fn expected_by(tx: &mut Tx<'_>, presence: &Presence, command: &Command) -> Result<Option<Timestamp>> {
    let waits = match command.state {
        State::Held => command.hold == Some(Hold::Delay),
        State::Queued | State::NotNow => true,
        _ => false,
    };
    if !waits || command.action() == Action::Policy && command.sent.is_some() {
        return Ok(None);
    }
    if command.action().is_guarded() && stop::is_on(tx)? {
        return Ok(None);
    }
    let released = command.release_at.map_or(command.created, |at| tx.wall_of(at));
    let contradicted = command.not_before.map_or(released, |at| tx.wall_of(at));
    let from = released.max(contradicted).max(command.put_off.unwrap_or_default());
    let Some(device) = tx.get::<Device>(command.device)? else { return Ok(None) };
    let Some(enrolment) = device.enrolment(command.enrolment) else { return Ok(None) };
    let seen = last_seen(tx, enrolment)?;
    if seen.is_some_and(|seen| tx.now().since(seen) >= LOST) {
        return Ok(None);
    }
    let by = match command.channel {
        Channel::Apple => {
            let woken =
                enrolment.push.as_ref().is_some_and(|p| !p.retired) && crate::channel::apple::push_cert::is_set(tx)?;
            woken.then(|| from.plus(PUSH))
        }
        Channel::Omadm => {
            let poll = settings::span(tx, "windows.poll")?;
            let next = seen.map(|seen| seen.plus(poll));
            Some(next.filter(|at| *at > from).unwrap_or(from.plus(poll)))
        }
        Channel::Activesync if presence.is_watched(device.id) => Some(from.max(tx.now()).plus(HELD)),
        Channel::Activesync => Some(from.plus(PING)),
        Channel::Exchange => None,
    };
    let now = tx.now();
    Ok(by.filter(|by| *by > now))
}

/// What is asked for, and how devices would erase themselves by it: nobody shall agree to what they were not told.
fn told(tx: &mut Tx<'_>, approval: &Approval) -> Result<String> {
    let mut ways = BTreeSet::new();
    // More than a person can read, of which all may be alike.
    for commands in approval.commands.chunks(500) {
        let commands = tx.get_many::<Command>(commands)?.into_iter().flatten();
        ways.extend(commands.filter_map(|command| command.act.how()?.words()));
    }
    let mut detail = approval.detail.clone();
    for way in ways {
        detail.push_str(&format!("; erasing so: {way}"));
    }
    Ok(detail)
}

impl ApprovalView {
    pub(super) fn of(tx: &mut Tx<'_>, approval: &Approval) -> Result<Self> {
        let requested_by = crate::fleet::admins::name_of(tx, &approval.asked_by)?;
        let decided_by = match &approval.decided_by {
            Some(id) => Some(crate::fleet::admins::name_of(tx, id)?),
            None => None,
        };
        Ok(Self {
            id: approval.id.to_string(),
            revision: approval.revision,
            state: approval.stage,
            subject: approval.subject.as_str().into(),
            requested_by,
            decided_by,
            commands: approval.commands.iter().map(ToString::to_string).collect(),
            detail: told(tx, approval)?,
            created: At(approval.created),
        })
    }
}

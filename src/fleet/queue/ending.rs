//! How a command ends, and what its end does to the device.

use super::{Act, Action, Command, Scope, State, command::Failure};
use crate::{
    error::Result,
    fleet::{
        audit::{self, By, Event},
        registry::{Channel, Device, Enrolment, EnrolmentState, Life, Ownership, credential, lookup},
        terms::{EvidenceKind, FailureCode},
    },
    ids::{EnrolmentId, Fingerprint},
    store::Tx,
};
use std::time::Duration;

/// An iPhone that acknowledged its RemoveProfile gets so long for its CheckOut.
const CHECKOUT: Duration = Duration::from_secs(600);

/// Ends a command whose device is not at hand. `open_mail`: what a wipe shut is opened again.
pub(crate) fn end(tx: &mut Tx<'_>, command: &mut Command, end: State, open_mail: bool) -> Result<()> {
    let mut device = lookup::by_id(tx, command.device)?;
    end_on(tx, &mut device, command, end, open_mail)
}

/// Ends a command on its device; both are written.
pub(crate) fn end_on(
    tx: &mut Tx<'_>,
    device: &mut Device,
    command: &mut Command,
    end: State,
    open_mail: bool,
) -> Result<()> {
    // What was presumed and is proved now has had its effect.
    let had_ended = matches!(command.state, State::Confirmed | State::Presumed);
    command.state = end;
    command.hold = None;
    (command.finished, command.ended) = (Some(tx.now()), Some(tx.steady()));
    if matches!(end, State::Confirmed | State::Acknowledged) {
        command.error = None;
    }
    // What became of each part stands with the enrolment. One that ended otherwise may still be answered.
    if let (State::Acknowledged, Act::Policy { parts }) = (end, &mut command.act) {
        parts.clear();
    }
    device.open.retain(|id| *id != command.id);
    if command.action() == Action::Wipe {
        match end {
            State::Confirmed | State::Presumed if !had_ended => wiped(tx, device, command)?,
            State::Confirmed | State::Presumed => {}
            _ => not_wiped(tx, device, command, open_mail)?,
        }
    }
    super::save(tx, command)?;
    tx.put(device)?;
    Ok(())
}

/// A wipe came to nothing: the device is as it was, or under the wipe that this one stood before. Mail stays shut unless the
/// administrator took the wipe back.
fn not_wiped(tx: &mut Tx<'_>, device: &mut Device, command: &Command, open_mail: bool) -> Result<()> {
    if device.wipe != Some(command.id) {
        return Ok(());
    }
    if matches!(device.life, Life::Wiping | Life::Retiring) {
        device.life = Life::Enrolled;
    }
    for id in device.open.clone() {
        if let Some(other) = tx.get::<Command>(id)?.filter(Command::is_wipe_under_way) {
            under(device, &other);
            return Ok(());
        }
    }
    if open_mail && device.mail_shut == Some(command.id) {
        device.mail_shut = None;
    }
    Ok(())
}

/// The device is under this wipe: mail is shut, and once the undo window is over the device's state says so.
pub(crate) fn under(device: &mut Device, wipe: &Command) {
    device.wipe = Some(wipe.id);
    device.mail_shut = Some(wipe.id);
    if wipe.state != State::Held {
        device.life = if wipe.scope() == Some(Scope::Full) { Life::Wiping } else { Life::Retiring };
    }
}

/// The device was wiped: all its enrolments end, those too that joined it meanwhile.
fn wiped(tx: &mut Tx<'_>, device: &mut Device, command: &Command) -> Result<()> {
    let full = command.scope() == Some(Scope::Full);
    let (life, state) =
        if full { (Life::Wiped, EnrolmentState::Wiped) } else { (Life::Retired, EnrolmentState::Retired) };
    let (now, carrier) = (tx.now(), command.enrolment);
    if !device.enrolment(carrier).is_some_and(Enrolment::is_live) {
        // Evidence of the past about a device that is back: it ends the command and nothing else.
        return Ok(());
    }
    // Who proves a wipe by enrolling anew goes on.
    let witness = command.evidence.last().map(|e| e.enrolment).filter(|witness| *witness != carrier);
    device.life = life;
    device.wipe = Some(command.id);
    // By this wipe, and no more by one that was to follow it.
    device.mail_shut = device.mail_shut.map(|_| command.id);
    let later = if full { Duration::ZERO } else { CHECKOUT };
    let mut ended: Vec<(Fingerprint, Duration)> = Vec::new();
    for enrolment in device.enrolments.iter_mut().filter(|e| e.is_live() && witness != Some(e.id)) {
        enrolment.end(state);
        let at = if enrolment.id == carrier && enrolment.channel == Channel::Apple { later } else { Duration::ZERO };
        // A mail client whose wipe is acknowledged may ask for the answer again; a PC reports once more after unenrolment.
        let keep = enrolment.id == carrier && enrolment.channel != Channel::Apple;
        if !keep {
            ended.extend([&enrolment.certificate, &enrolment.renewed].into_iter().flatten().map(|c| (c.sha256, at)));
        }
    }
    for (certificate, pause) in ended {
        credential::revoke_after(tx, &certificate, pause)?;
    }
    // What else was open can no longer be done, save by the witness.
    for id in std::mem::take(&mut device.open) {
        let other = tx.get::<Command>(id)?.filter(|c| c.id != command.id && !c.state.is_final());
        if let Some(mut other) = other {
            if Some(other.enrolment) == witness {
                device.open.push(id);
                continue;
            }
            other.state = if other.action() == Action::Wipe { State::Failed } else { State::Cancelled };
            (other.finished, other.ended) = (Some(now), Some(tx.steady()));
            let text = if full { "the device was wiped" } else { "the device was retired" };
            other.error = Some(Failure { code: FailureCode::DeviceGone, text: text.into() });
            super::save(tx, &other)?;
        }
    }
    Ok(())
}

/// An enrolment ended by the device's own word (CheckOut, unenrolment alert). A wipe that it carried ends with it or goes on by
/// another enrolment; the rest is cancelled.
pub fn left(
    tx: &mut Tx<'_>,
    device: &mut Device,
    enrolment: EnrolmentId,
    kind: EvidenceKind,
    detail: &str,
) -> Result<()> {
    let Some(channel) = device.enrolment(enrolment).map(|e| e.channel) else { return Ok(()) };
    for command in super::open(tx, device, channel)?.into_iter().filter(|c| c.enrolment == enrolment) {
        if command.wipes(Scope::Selective) && command.sent.is_some() {
            let outcome = super::Outcome::Done { kind, detail: detail.into() };
            super::settle(tx, device, enrolment, command.id, outcome)?;
        }
    }
    // Evidence that comes after the end (the Acknowledged was first) is kept as well.
    if let Some(id) = device.wipe
        && let Some(command) = tx.get::<Command>(id)?.filter(|c| c.enrolment == enrolment && c.wipes(Scope::Selective))
        && command.sent.is_some()
    {
        super::settle(tx, device, enrolment, id, super::Outcome::Done { kind, detail: detail.into() })?;
    }
    let mut certificates = Vec::new();
    if let Some(gone) = device.enrolment_mut(enrolment) {
        if gone.is_live() {
            gone.end(EnrolmentState::Retired);
        }
        certificates.extend([&gone.certificate, &gone.renewed].into_iter().flatten().map(|c| c.sha256));
    }
    for certificate in certificates {
        credential::revoke(tx, &certificate)?;
    }
    audit::note(tx, By::Device, Event::EnrolmentLeft { enrolment, device: device.id, kind })?;
    hand_over(tx, device, enrolment)?;
    if device.life == Life::Enrolled && device.live().next().is_none() {
        device.life = Life::Retired;
    }
    tx.put(device)?;
    Ok(())
}

/// What an ended enrolment carried: an open wipe goes to the next strongest enrolment, or fails and says so.
pub fn hand_over(tx: &mut Tx<'_>, device: &mut Device, gone: EnrolmentId) -> Result<()> {
    let heir = device.carrier().map(|e| (e.id, e.channel));
    for id in device.open.clone() {
        let Some(mut command) = tx.get::<Command>(id)?.filter(|c| c.enrolment == gone && !c.state.is_final()) else {
            continue;
        };
        match heir {
            // What began as the organisation's device may be its user's own by now.
            Some((enrolment, channel))
                if command.action() == Action::Wipe
                    && !(command.wipes(Scope::Full) && device.ownership == Ownership::Personal) =>
            {
                (command.enrolment, command.channel) = (enrolment, channel);
                // It was sent to one that is gone, and not to this one: nothing follows from that any more.
                if command.state == State::Sent {
                    command.state = State::Queued;
                    command.sent = None;
                    command.step = 0;
                    command.wake_at = Some(tx.steady());
                }
                super::save(tx, &command)?;
                let (to, from) = (enrolment, gone);
                let event = Event::WipeHandedOver { command: id, device: device.id, to, channel, from };
                audit::note(tx, By::System, event)?;
            }
            _ => {
                let wipe = command.action() == Action::Wipe;
                let end = if wipe { State::Failed } else { State::Cancelled };
                let text = "the device left management before this reached it";
                command.error = Some(Failure { code: FailureCode::DeviceLeft, text: text.into() });
                end_on(tx, device, &mut command, end, false)?;
            }
        }
    }
    Ok(())
}

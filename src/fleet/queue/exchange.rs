//! The device's side of the queue: what it reports, and what it gets next.

use super::{Action, Command, Evidence, State, command::Failure, ending, stop};
use crate::{
    error::Result,
    fleet::{
        audit::{self, By, Event, Unasked},
        notices::{self, News},
        registry::{Channel, Device, tries},
        terms::{EvidenceKind, FailureCode},
    },
    ids::{CommandId, EnrolmentId},
    store::Tx,
};

/// Answers about what was never sent that are noted in an hour, of one enrolment.
const UNASKED: usize = 10;

/// Whether a device begins to talk or goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Talk {
    /// Its first message: what it put off before may be asked again, what was sent may be sent again.
    Fresh,
    /// It reported on something: what it just put off is not repeated, else the session never ends.
    Continued,
}

/// What a device (or the protocol, by its silence after the deed) says of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done, with proof of this kind and in these words.
    Done {
        /// See [`Evidence::kind`].
        kind: EvidenceKind,
        /// In words.
        detail: String,
    },
    /// Accepted, and the protocol cannot answer after the deed; on this ground it counts as done.
    Presumed {
        /// See [`Evidence::kind`].
        kind: EvidenceKind,
        /// The ground.
        detail: String,
    },
    /// Refused or failed.
    Failed {
        /// The protocol's code, or ours.
        code: FailureCode,
        /// In words.
        text: String,
    },
    /// Not now; it will be asked again.
    NotNow,
    /// One message of several is through; the next is due.
    Step,
}

/// Files what came of a command. A repeat changes nothing; evidence beats every end; an answer about something that was
/// never sent to this device is noted and ends nothing. Returns the command where it is the device's.
pub fn settle(
    tx: &mut Tx<'_>,
    device: &mut Device,
    enrolment: EnrolmentId,
    id: CommandId,
    outcome: Outcome,
) -> Result<Option<Command>> {
    let Some(mut command) = tx.get::<Command>(id)?.filter(|c| c.device == device.id) else { return Ok(None) };
    let channel = device.enrolment(enrolment).map_or(command.channel, |e| e.channel);
    if command.sent.is_none() {
        note_unasked(tx, enrolment, Unasked::Command(id))?;
        return Ok(None);
    }
    let now = tx.now();
    let open = !command.state.is_final();
    let evidence = |kind: EvidenceKind, detail: String, command: &mut Command| {
        let entry = Evidence { time: now, enrolment, channel, kind, detail };
        let known = command
            .evidence
            .iter()
            .any(|e| e.kind == entry.kind && e.detail == entry.detail && e.enrolment == enrolment);
        if !known {
            command.evidence.push(entry);
        }
        !known
    };
    let wiped = command.action() == Action::Wipe;
    let end = match outcome {
        Outcome::Done { kind, detail } => {
            let news = evidence(kind, detail, &mut command);
            let end = if wiped { State::Confirmed } else { State::Acknowledged };
            if command.state == end && !news {
                return Ok(Some(command));
            }
            end
        }
        Outcome::Presumed { kind, detail } => {
            let news = evidence(kind, detail, &mut command);
            match command.state {
                State::Confirmed => State::Confirmed,
                State::Presumed if !news => return Ok(Some(command)),
                _ => State::Presumed,
            }
        }
        Outcome::Failed { .. } | Outcome::NotNow | Outcome::Step if !open => return Ok(Some(command)),
        Outcome::Failed { code, text } => {
            command.error = Some(Failure { code, text });
            State::Failed
        }
        Outcome::NotNow => {
            command.put_off = Some(now);
            command.state = State::NotNow;
            command.wake_at = Some(tx.steady().plus(std::time::Duration::from_secs(600)));
            super::save(tx, &command)?;
            return Ok(Some(command));
        }
        Outcome::Step => {
            command.step = command.step.saturating_add(1);
            super::save(tx, &command)?;
            return Ok(Some(command));
        }
    };
    if command.state == end {
        // Further proof of what has ended so changes nothing about the device, which may have been let in again since.
        super::save(tx, &command)?;
        return Ok(Some(command));
    }
    if wiped {
        audit::note(tx, By::Device, Event::WipeEnded { command: id, device: device.id, end })?;
        notices::tell(tx, News::WipeEnded(id, end))?;
    }
    ending::end_on(tx, device, &mut command, end, false)?;
    Ok(Some(command))
}

/// Notes an answer about something that was never sent. A device that says so without end must not write the log full.
pub fn note_unasked(tx: &mut Tx<'_>, enrolment: EnrolmentId, answer: Unasked) -> Result<()> {
    match tries::within(tx, &format!("unasked {enrolment}"), UNASKED)? {
        Some(tries) => tries.count(tx)?,
        None => return Ok(()),
    }
    audit::note(tx, By::Device, Event::AnswerUnasked { enrolment, answer })
}

/// The command that this enrolment gets now, marked as sent. A wipe goes before all others and alone; what is in flight
/// is repeated until it is answered; while the stop is on, nothing guarded leaves.
pub fn take_next(tx: &mut Tx<'_>, device: &Device, enrolment: EnrolmentId, session: Talk) -> Result<Option<Command>> {
    let Some(channel) = device.enrolment(enrolment).map(|e| e.channel) else { return Ok(None) };
    let open = super::open(tx, device, channel)?;
    let under_wipe = open_wipe(tx, device)?;
    let stopped = stop::is_on(tx)?;
    let ready = |c: &&Command| match c.state {
        State::Queued | State::Sent => true,
        State::NotNow => session == Talk::Fresh,
        _ => false,
    };
    let mine = open.iter().filter(|c| c.enrolment == enrolment).filter(ready);
    let mine =
        mine.filter(|c| !(stopped && c.action().is_guarded())).filter(|c| !under_wipe || c.action() == Action::Wipe);
    // A selective wipe that is in flight goes before the full one that follows it.
    let Some(next) = mine.min_by_key(|c| (c.action() != Action::Wipe, c.state != State::Sent, c.id)) else {
        return Ok(None);
    };
    let mut next = next.clone();
    if next.state != State::Sent {
        next.state = State::Sent;
        next.sent.get_or_insert(tx.now());
        super::save(tx, &next)?;
        if next.asked_by != super::SYSTEM {
            let (action, device) = (next.action(), device.id);
            audit::note(tx, By::Device, Event::CommandSent { command: next.id, device, action, enrolment })?;
        }
    }
    Ok(Some(next))
}

/// Whether a wipe that the breaker does not hold is open on the device, on any channel, and past its undo window.
fn open_wipe(tx: &mut Tx<'_>, device: &Device) -> Result<bool> {
    for id in &device.open {
        let open = tx.get::<Command>(id)?;
        if open.is_some_and(|c| c.is_wipe_under_way() && c.state != State::Held) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The open command of this kind on a channel, where there is one.
pub fn find_open(tx: &mut Tx<'_>, device: &Device, channel: Channel, action: Action) -> Result<Option<Command>> {
    Ok(super::open(tx, device, channel)?.into_iter().find(|c| c.action() == action))
}

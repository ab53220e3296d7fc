//! What goes out: a command of the queue as operations on a device's tree, whether a device can be asked for it, and what the answers
//! mean.

use super::{
    PROVIDER_ID,
    answers::{Answer, Loss, is_good, op},
    facts, policy, provision,
};
use crate::{
    error::Result,
    fleet::{
        keeper,
        life::{Act, Action, Command, Device, Event, Managed, Outcome, Platform, Scope},
        queue::{self, Support},
        terms::{EvidenceKind, FailureCode},
    },
    ids::EnrolmentId,
    store::Tx,
};
use lanyard_omadm::{
    csp,
    session::{Accepts, Due, Op},
};
use std::collections::BTreeMap;

/// What became of the attempt to turn a command into operations.
pub(super) enum Prepared {
    Go(Vec<Due>),
    /// Nothing of it is left to do.
    Finished,
    /// Such a device cannot.
    Cannot(&'static str),
}

/// The operation that asks for facts, and the one that sets the schedule.
const FACTS: usize = 0;
const SCHEDULE: usize = 1;

const NO_CLEARING: &str = "Windows has no way to clear a passcode";
const NO_RENAMING: &str = "only Apple devices can be renamed from here";
const NO_RENEWING: &str = "a PC renews its certificate by itself";

/// Whether a device can do an action.
pub(in crate::channel) fn support(device: &Device, action: Action) -> Support {
    match action {
        Action::Lock if device.platform == Platform::Windows => {
            Support::No("Windows 10 and 11 PCs cannot be locked from afar: RemoteLock exists on phones only".into())
        }
        Action::Wipe | Action::Lock | Action::Restart | Action::Refresh | Action::Policy => Support::Yes,
        Action::ClearPasscode => Support::No(NO_CLEARING.into()),
        Action::Rename => Support::No(NO_RENAMING.into()),
        Action::Renew => Support::No(NO_RENEWING.into()),
    }
}

/// Turns a command, as far as it has come, into operations.
pub(super) fn prepare(tx: &mut Tx<'_>, device: &mut Managed, command: &Command, accepts: Accepts) -> Result<Prepared> {
    let one = |op: Op| Prepared::Go(vec![op.into()]);
    let name = op(command.id, 0);
    Ok(match &command.act {
        Act::Wipe { scope: Scope::Full, .. } => one(csp::wipe(name)),
        Act::Wipe { scope: Scope::Selective, .. } => one(csp::unenroll(name, PROVIDER_ID)),
        Act::Lock { .. } if device.platform == Platform::Windows => Prepared::Cannot("a PC has no RemoteLock"),
        Act::Lock { .. } => one(csp::lock(name)),
        Act::ClearPasscode => Prepared::Cannot(NO_CLEARING),
        Act::Rename { .. } => Prepared::Cannot(NO_RENAMING),
        Act::Renew => Prepared::Cannot(NO_RENEWING),
        Act::Restart => one(csp::restart(name)),
        Act::Refresh => {
            // One Item in each command, as Intune sends: clients that know Intune alone break on several. Their answers count as one.
            let mut due: Vec<Due> =
                facts::nodes().into_iter().map(|node| Op::get(op(command.id, FACTS), node).into()).collect();
            let minutes = provision::poll(tx)?;
            if told_schedule(device, command) != Some(minutes) {
                due.push(csp::endless_poll(op(command.id, SCHEDULE), PROVIDER_ID, minutes).into());
            }
            Prepared::Go(due)
        }
        Act::Policy { .. } => match policy::prepare(tx, device, command, accepts)? {
            due if due.is_empty() => Prepared::Finished,
            due => Prepared::Go(due),
        },
    })
}

/// The schedule that the device was last told, in minutes.
fn told_schedule(device: &Device, command: &Command) -> Option<u32> {
    device.enrolment(command.enrolment)?.channel_state.get(provision::POLL)?.parse().ok()
}

/// What this enrolment's answers to a command's operations mean: it need not be the one that carries the command. True where the command
/// goes on with another message of this session.
pub(super) fn file(
    tx: &mut Tx<'_>,
    device: &mut Managed,
    enrolment: EnrolmentId,
    command: &Command,
    answers: &BTreeMap<usize, Answer>,
) -> Result<bool> {
    match command.action() {
        Action::Refresh => {
            synced(tx, device, command, answers)?;
            return Ok(false);
        }
        Action::Policy => {
            policy::file(tx, device, command, answers)?;
            return Ok(true);
        }
        _ => {}
    }
    // Silence confirms nothing: what was not answered is asked again in the next session.
    let Some(code) = answers.values().find_map(|answer| answer.code) else { return Ok(false) };
    let good = is_good(code);
    let outcome = match &command.act {
        Act::Wipe { scope: Scope::Full, .. } if good => Outcome::Presumed {
            kind: EvidenceKind::Status,
            detail: format!("the PC accepted the reset (Status {code}); nothing can be heard from it after the deed"),
        },
        // The session is broken off and no Status comes; should one, the alert of the next session is still the proof.
        Act::Wipe { scope: Scope::Selective, .. } if good => return Ok(false),
        _ if good => Outcome::Done { kind: EvidenceKind::Status, detail: format!("Status {code}") },
        _ => Outcome::Failed {
            code: FailureCode::Protocol(code.to_string()),
            text: format!("the device answered Status {code}"),
        },
    };
    queue::settle(tx, device, enrolment, command.id, outcome)?;
    Ok(false)
}

/// Takes over what the device told. Facts that it does not tell are no failure, but a session that broke is: it is asked again.
fn synced(tx: &mut Tx<'_>, device: &mut Managed, command: &Command, answers: &BTreeMap<usize, Answer>) -> Result<()> {
    let Some(told) = answers.get(&FACTS) else { return Ok(()) };
    facts::learn(tx, device, &told.values)?;
    if told.lost == Some(Loss::Silent) {
        return Ok(());
    }
    keeper::happen(tx, device, Event::FactsTold)?;
    let enrolment = command.enrolment;
    keeper::happen(tx, device, Event::Heard(enrolment))?;
    let minutes = provision::poll(tx)?;
    // One that the device refused is not sent again and again, nor one that it does not answer.
    if told_schedule(device, command) != Some(minutes) {
        let answered = answers.get(&SCHEDULE).is_some_and(|answer| answer.code.is_some());
        let told = provision::told(tx, enrolment, minutes, answered);
        keeper::happen(tx, device, told)?;
    }
    let outcome = Outcome::Done { kind: EvidenceKind::Status, detail: "answered".into() };
    queue::settle(tx, device, command.enrolment, command.id, outcome)?;
    Ok(())
}

/// An operation that can never go out to this enrolment, as far as its session tells. A wipe stays due all the same: the next session may take
/// it, and nothing was refused.
pub(super) fn unsendable(
    tx: &mut Tx<'_>,
    device: &mut Managed,
    enrolment: EnrolmentId,
    command: &Command,
    index: usize,
    why: &str,
) -> Result<()> {
    if command.action() == Action::Policy {
        return policy::unsendable(tx, device, command, index, why);
    }
    if stays_due(command.action()) {
        let (device, command, why) = (device.id, command.id, why.to_owned());
        tx.log(
            move || tracing::warn!(%device, %command, why, "a wipe could not be sent in this session; it stays due"),
        );
        return Ok(());
    }
    let outcome = Outcome::Failed { code: FailureCode::NotSent, text: why.to_owned() };
    queue::settle(tx, device, enrolment, command.id, outcome)?;
    Ok(())
}

/// Whether a command is none the less due where a session cannot carry it.
fn stays_due(action: Action) -> bool {
    action == Action::Wipe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_wipe_ends_by_not_being_sent() {
        for (action, stays) in
            [(Action::Wipe, true), (Action::Lock, false), (Action::Restart, false), (Action::Refresh, false)]
        {
            assert_eq!(stays_due(action), stays, "{action:?}");
        }
    }
}

//! The emergency stop: anyone may set it; a second person must agree to lift it. While it is on nothing guarded leaves.

pub use crate::fleet::queue::stop::{Stop, is_on, status};

use super::approvals::{self, Approval, Subject};
use crate::{
    error::{Error, Result},
    fleet::{
        actor::Actor,
        audit::{self, Cancelled, Event},
        queue::{self, State, stop, timers::Unsent},
    },
    store::Tx,
};
use std::collections::BTreeSet;

/// Sets it. With `cancel_all` every guarded command that has not been sent is cancelled in the same act; says how many.
pub fn set(tx: &mut Tx<'_>, actor: &Actor, cancel_all: bool) -> Result<(Stop, usize)> {
    let mut stop = status(tx)?;
    if !stop.on {
        stop = stop::set(tx, actor)?;
        // Asked about a former stop; this one is another.
        approvals::lapse(tx, actor, &Subject::StopOff)?;
    }
    let mut cancelled = 0;
    if cancel_all {
        let mut approvals = BTreeSet::new();
        for unsent in tx.all::<Unsent>("")? {
            let mut command = queue::command(tx, unsent.command)?;
            queue::ending::end(tx, &mut command, State::Cancelled, true)?;
            let (id, device) = (command.id, command.device);
            let event = Event::CommandCancelled { command: id, device, why: Cancelled::EmergencyStop };
            audit::note(tx, actor, event)?;
            approvals.extend(command.approval);
            cancelled += 1;
        }
        for approval in approvals {
            approvals::close_if_empty(tx, actor, approval)?;
        }
    }
    Ok((stop, cancelled))
}

/// Asks a second person to lift it.
pub fn ask_off(tx: &mut Tx<'_>, actor: &Actor) -> Result<Approval> {
    if !is_on(tx)? {
        return Err(Error::refused("not_stopped", "the emergency stop is not on"));
    }
    approvals::ask_once(tx, actor, Subject::StopOff, "lift the emergency stop")
}

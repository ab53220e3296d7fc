//! The emergency stop: anyone may set it; a second person must agree to lift it. While it is on nothing guarded leaves.

pub use crate::fleet::queue::stop::{Stop, is_on, status};

use super::approvals::{self, Approval, Subject};
use crate::{
    error::{Error, Result},
    fleet::{
        actor::Actor,
        audit::Cancelled,
        keeper::{self, timers::Unsent},
        life::{Event, Withdrawal},
        queue::stop,
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
            let Some(mut device) = keeper::of_command(tx, unsent.command)? else { continue };
            approvals.extend(device.command(unsent.command).and_then(|command| command.approval));
            let (end, told) = (Withdrawal::Cancelled, Some((actor.id.clone(), Cancelled::EmergencyStop)));
            keeper::happen(tx, &mut device, Event::Withdrawn { command: unsent.command, end, open_mail: true, told })?;
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

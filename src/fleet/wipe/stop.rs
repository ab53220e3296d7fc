//! The emergency stop: anyone may set it; a second person must agree to lift it. While it is on nothing guarded leaves.

pub use crate::fleet::queue::stop::{Stop, is_on, status};

use super::approvals::{self, Approval, Stage, Subject};
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

/// Sets it: anyone may. With `cancel_all` every guarded command that has not been sent is cancelled in the same act, by a newcomer
/// their own alone; says how many. A newcomer's stop that somebody who counts sets too is theirs from then on.
pub fn set(tx: &mut Tx<'_>, actor: &Actor, cancel_all: bool) -> Result<(Stop, usize)> {
    let mut stop = status(tx)?;
    if !stop.on || stop.by_newcomer && actor.newcomer_until.is_none() {
        stop = stop::set(tx, actor)?;
        // Asked about a former stop; this one is another.
        approvals::lapse(tx, actor, &Subject::StopOff)?;
    }
    let mut cancelled = 0;
    if cancel_all {
        let mut approvals = BTreeSet::new();
        for unsent in tx.all::<Unsent>("")? {
            let Some(mut device) = keeper::of_command(tx, unsent.command)? else { continue };
            let Some(command) = device.command(unsent.command) else { continue };
            if actor.newcomer_until.is_some() && command.asked_by != actor.id {
                continue;
            }
            approvals.extend(command.approval);
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

/// Asks a second person to lift it. One that a newcomer set is lifted by who counts, at once.
pub fn ask_off(tx: &mut Tx<'_>, actor: &Actor) -> Result<Approval> {
    let stop = status(tx)?;
    if !stop.on {
        return Err(Error::refused("not_stopped", "the emergency stop is not on"));
    }
    let asked = approvals::ask_once(tx, actor, Subject::StopOff, "lift the emergency stop")?;
    if stop.by_newcomer && actor.newcomer_until.is_none() {
        stop::lift(tx, &actor.id)?;
        let lifted = approvals::decide(tx, actor, asked, Stage::Approved)?;
        approvals::lapse(tx, actor, &Subject::StopOff)?;
        return Ok(lifted);
    }
    Ok(asked)
}

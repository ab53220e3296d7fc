//! The emergency stop: anyone may set it; a second person must agree to lift it. While it is on nothing guarded leaves.

use super::approvals::{self, Approval, Subject};
use crate::{
    admins::Actor,
    audit,
    clock::Timestamp,
    error::{Error, Result},
    queue::{self, State, timers::Unsent},
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The stop as it stands.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Stop {
    pub on: bool,
    pub since: Option<Timestamp>,
    /// The administrator's name.
    pub by: Option<String>,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 1] = [Kind::of::<Stop>()];

impl Record for Stop {
    const KIND: &'static str = "stop";
    fn key(&self) -> String {
        String::new()
    }
    fn subject(&self) -> Option<String> {
        Some("*".into())
    }
}

/// How it stands.
pub fn status(tx: &mut Tx<'_>) -> Result<Stop> {
    Ok(tx.get::<Stop>("")?.unwrap_or_default())
}

/// Whether it is on.
pub fn is_on(tx: &mut Tx<'_>) -> Result<bool> {
    Ok(status(tx)?.on)
}

/// Sets it. With `cancel_all` every guarded command that has not been sent is cancelled in the same act; says how many.
pub fn set(tx: &mut Tx<'_>, actor: &Actor, cancel_all: bool) -> Result<(Stop, usize)> {
    let mut stop = status(tx)?;
    if !stop.on {
        stop = Stop { on: true, since: Some(tx.now()), by: Some(actor.name.clone()) };
        tx.put(&stop)?;
        audit::Event::of(&actor.id, "stop.on", "stop").note(tx)?;
        // Asked about a former stop; this one is another.
        approvals::lapse(tx, actor, &Subject::StopOff)?;
    }
    let mut cancelled = 0;
    if cancel_all {
        let mut approvals = BTreeSet::new();
        for unsent in tx.all::<Unsent>("")? {
            let mut command = queue::command(tx, unsent.command)?;
            queue::ending::end(tx, &mut command, State::Cancelled, true)?;
            audit::Event::of(&actor.id, "command.cancelled", command.id)
                .on(command.device)
                .detail("emergency stop")
                .note(tx)?;
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

/// Lifts it, once a second person agreed.
pub(super) fn lift(tx: &mut Tx<'_>, actor: &str) -> Result<()> {
    tx.put(&Stop::default())?;
    audit::Event::of(actor, "stop.off", "stop").note(tx)
}

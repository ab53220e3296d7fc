//! A store that was taken back to an older state: a backup, a disk that forgot, records that cannot be read.
//!
//! What was cancelled since may be alive again, and what was done since may be done again, on a phone that is somebody else's by
//! now. So nothing guarded leaves before people have looked: the emergency stop is on, and all that people asked for and that has
//! not been sent waits for a second person.

use super::{approvals, stop};
use crate::{
    clock::Timestamp,
    error::Result,
    fleet::{
        actor::Actor,
        admins::LOCAL,
        audit::{self, Loss},
        keeper,
        life::{Command, Device, Event, State, command::Hold},
        queue,
    },
    store::{Checked, Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Commands looked at in one step.
const PAGE: usize = 1000;
/// Of damaged records so many are named in the audit log.
const NAMED: usize = 20;

/// The last loss that was accepted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TakenBack {
    /// When.
    pub at: Timestamp,
    /// The commit that the store went on from.
    pub commit: u64,
    /// How many commands were held by it.
    pub held: usize,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 1] = [Kind::of::<TakenBack>()];

impl Record for TakenBack {
    const KIND: &'static str = "taken-back";
    fn key(&self) -> String {
        String::new()
    }
}

/// When the store was last taken back, if ever.
pub fn last(tx: &mut Tx<'_>) -> Result<Option<TakenBack>> {
    Ok(tx.get::<TakenBack>("")?)
}

/// Accepts the loss; says how many commands are held by it.
pub fn accept(tx: &mut Tx<'_>, checked: &Checked, commit: u64) -> Result<usize> {
    let local = person(LOCAL, LOCAL);
    stop::set(tx, &local, false)?;
    let (mut held, mut after) = (0, None::<String>);
    loop {
        let page = tx.scan::<Command>("", after.as_deref(), PAGE)?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.to_string());
        for command in page {
            held += usize::from(hold(tx, &command)?);
        }
    }
    tx.count_anew::<Device>()?;
    let Checked { expected, records, missing, ref damaged, .. } = *checked;
    let named = damaged.iter().take(NAMED).cloned().collect();
    let loss = Loss { commit, expected, records, missing, unreadable: damaged.len(), named, held };
    tx.put(&TakenBack { at: tx.now(), commit, held })?;
    audit::note(tx, &local, audit::Event::StoreLossAccepted { loss })?;
    Ok(held)
}

fn hold(tx: &mut Tx<'_>, command: &Command) -> Result<bool> {
    let unsent = match command.state {
        State::Queued | State::NotNow => true,
        State::Held => command.hold == Some(Hold::Delay),
        _ => false,
    };
    if !unsent || queue::is_systems(command) {
        return Ok(false);
    }
    // Without its device it can never leave.
    let Some(mut device) = keeper::of_command(tx, command.id)? else { return Ok(false) };
    let asker = person(&command.asked_by, &command.requested_by);
    let approval = approvals::hold(tx, &asker, command.id, "the store was taken back to an older state")?;
    keeper::happen(tx, &mut device, Event::Suspended { command: command.id, approval })?;
    Ok(true)
}

fn person(id: &str, name: &str) -> Actor {
    Actor { id: id.into(), name: name.into(), token: String::new(), newcomer_until: None, sponsors: BTreeSet::new() }
}

//! What becomes due by the passing of time: undo windows that end, commands that expire, wakes to repeat. One index, one sweep.

use super::{
    Command, State,
    command::{Hold, OfDevice},
    ending,
};
use crate::{
    audit,
    clock::Timestamp,
    error::Result,
    ids::{CommandId, DeviceId},
    registry::Device,
    store::{Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A wake is repeated so long after the one before until the command is sent; pushes get lost as well.
const WAKES: [Duration; 4] =
    [Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(600), Duration::from_secs(3600)];
/// Timers handled in one call at most.
const SWEEP: usize = 200;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Timer {
    at: Timestamp,
    command: CommandId,
}

impl Record for Timer {
    const KIND: &'static str = "timer";
    fn key(&self) -> String {
        format!("{:016x}/{}", self.at.0.max(0), self.command)
    }
}

/// A guarded command that has not been sent, for the emergency stop.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Unsent {
    /// Its id.
    pub command: CommandId,
}

impl Record for Unsent {
    const KIND: &'static str = "unsent";
    fn key(&self) -> String {
        self.command.to_string()
    }
}

fn next(command: &Command) -> Option<Timer> {
    if command.state.is_final() {
        return None;
    }
    let release = command.release_at.filter(|_| command.hold == Some(Hold::Delay));
    let wake = command.wake_at.filter(|_| matches!(command.state, State::Queued | State::NotNow));
    let at = [release, wake, command.expires].into_iter().flatten().min()?;
    Some(Timer { at, command: command.id })
}

fn unsent(command: &Command) -> bool {
    command.action.is_guarded() && matches!(command.state, State::Held | State::Queued | State::NotNow)
}

/// Keeps the indexes in step with a command that is written.
pub(super) fn reset(tx: &mut Tx<'_>, before: Option<&Command>, after: &Command) -> Result<()> {
    let (old, new) = (before.and_then(next), next(after));
    if let Some(timer) = old {
        tx.delete(&timer);
    }
    if let Some(timer) = new {
        tx.put(&timer)?;
    }
    match (before.is_some_and(unsent), unsent(after)) {
        (false, true) => tx.put(&Unsent { command: after.id })?,
        (true, false) => tx.delete(&Unsent { command: after.id }),
        _ => {}
    }
    if before.is_none() {
        tx.put(&OfDevice { device: after.device, command: after.id })?;
    }
    Ok(())
}

/// A device to wake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wake {
    /// Whom.
    pub device: DeviceId,
}

/// Does what is due by now: releases, expires, and says whom to wake. Many due: call again until none comes back.
pub fn sweep(tx: &mut Tx<'_>) -> Result<(Vec<Wake>, bool)> {
    let mut wakes = Vec::new();
    let now = tx.now();
    let due: Vec<Timer> = tx.scan::<Timer>("", None, SWEEP)?.into_iter().take_while(|t| t.at <= now).collect();
    for timer in &due {
        let Some(mut command) = tx.get::<Command>(timer.command)? else {
            tx.delete(timer);
            continue;
        };
        if command.expires.is_some_and(|at| at <= now) && command.state != State::Sent {
            ending::end(tx, &mut command, State::Expired, true)?;
            audit::note(tx, "system", "command.expired", command.id, "ok", "")?;
            continue;
        }
        if command.hold == Some(Hold::Delay) && command.release_at.is_some_and(|at| at <= now) {
            crate::wipe::release(tx, &mut command)?;
        }
        if command.wake_at.is_some_and(|at| at <= now) {
            let pause = WAKES.get(command.wakes as usize).or(WAKES.last()).copied().unwrap_or_default();
            command.wakes = command.wakes.saturating_add(1);
            command.wake_at = Some(now.plus(pause));
            wakes.push(Wake { device: command.device });
        }
        if command.expires.is_some_and(|at| at <= now) {
            // Sent: it may be done already, so it ends only when it is answered.
            command.expires = None;
        }
        super::save(tx, &command)?;
    }
    wakes.dedup();
    Ok((wakes, due.len() == SWEEP))
}

/// All commands of a device, ended ones too, oldest first.
pub fn of_device(tx: &mut Tx<'_>, device: &Device) -> Result<Vec<Command>> {
    let mut found = Vec::new();
    for entry in tx.all::<OfDevice>(&format!("{}/", device.id))? {
        found.extend(tx.get::<Command>(entry.command)?);
    }
    Ok(found)
}

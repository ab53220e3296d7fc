//! What becomes due by the passing of time: undo windows that end, commands that expire, wakes to repeat. One index, one sweep.

use crate::{
    clock::{Steady, Timestamp},
    error::{Error, Result},
    fleet::life::{
        Command, Device, State,
        command::{Hold, OfDevice, SILENCE},
    },
    ids::CommandId,
    store::{Kind, Record, Time, Tx},
};
use serde::{Deserialize, Serialize};

/// Timers handled in one call at most.
const SWEEP: usize = 200;

/// When a command needs looking at next, by one of the two times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Due {
    /// Wakes and undo windows.
    Steady(Steady),
    /// What expires at a time of day.
    Wall(Timestamp),
}

impl Due {
    const STEADY: &'static str = "s";
    const WALL: &'static str = "w";

    fn key(self) -> String {
        match self {
            Self::Steady(at) => format!("{}{:016x}", Self::STEADY, at.0.max(0)),
            Self::Wall(at) => format!("{}{:016x}", Self::WALL, at.0.max(0)),
        }
    }

    fn is_past(self, time: Time) -> bool {
        match self {
            Self::Steady(at) => at <= time.steady,
            Self::Wall(at) => at <= time.now,
        }
    }
}

/// One for each of the two times by which a command may become due.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Timer {
    at: Due,
    /// Its id.
    pub command: CommandId,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 2] = [Kind::of::<Timer>(), Kind::of::<Unsent>()];

impl Record for Timer {
    const KIND: &'static str = "timer";
    fn key(&self) -> String {
        format!("{}/{}", self.at.key(), self.command)
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

fn next(command: &Command) -> Vec<Timer> {
    let timer = |at| Timer { at, command: command.id };
    if command.state.is_final() {
        // One that is presumed may be asked for again: its device is woken once more.
        return command.wake_at.map(Due::Steady).map(timer).into_iter().collect();
    }
    let release = command.release_at.filter(|_| command.hold == Some(Hold::Delay));
    let wake = command.wake_at.filter(|_| command.state != State::Held);
    let presumed = command.silent_since().map(|at| at.plus(SILENCE));
    let steady = [release, wake, presumed].into_iter().flatten().min().map(Due::Steady);
    let due = steady.into_iter().chain(command.expires.map(Due::Wall));
    due.map(timer).collect()
}

fn unsent(command: &Command) -> bool {
    command.action().is_guarded() && matches!(command.state, State::Held | State::Queued | State::NotNow)
}

/// Keeps the indexes in step with a command that is written.
pub(super) fn reset(tx: &mut Tx<'_>, before: Option<&Command>, after: &Command) -> Result<()> {
    for timer in before.map(next).unwrap_or_default() {
        tx.delete(&timer)?;
    }
    for timer in next(after) {
        tx.put(&timer)?;
    }
    match (before.is_some_and(unsent), unsent(after)) {
        (false, true) => tx.put(&Unsent { command: after.id })?,
        (true, false) => tx.delete(&Unsent { command: after.id })?,
        _ => {}
    }
    if before.is_none() {
        tx.put(&OfDevice { device: after.device, command: after.id })?;
    }
    Ok(())
}

/// What is due by now, some of it, and whether there may be more.
pub(in crate::fleet) fn due(tx: &mut Tx<'_>) -> Result<(Vec<Timer>, bool)> {
    let (mut due, time) = (Vec::new(), tx.time());
    for kind in [Due::STEADY, Due::WALL] {
        due.extend(tx.scan::<Timer>(kind, None, SWEEP)?.into_iter().take_while(|timer| timer.at.is_past(time)));
    }
    let more = due.len() >= SWEEP;
    Ok((due, more))
}

/// All commands of a device, ended ones too, oldest first.
pub fn of_device(tx: &mut Tx<'_>, device: &Device) -> Result<Vec<Command>> {
    page_of_device(tx, device, None, usize::MAX)
}

/// Those after the command `after`, at most `limit`.
pub fn page_of_device(tx: &mut Tx<'_>, device: &Device, after: Option<&str>, limit: usize) -> Result<Vec<Command>> {
    let prefix = format!("{}/", device.id.short());
    let no_page = |_| Error::invalid("after", "the `next` of the page before");
    let after = after.map(|after| after.parse::<CommandId>()).transpose().map_err(no_page)?;
    let after = after.map(|after| format!("{prefix}{}", after.short()));
    let entries = tx.scan::<OfDevice>(&prefix, after.as_deref(), limit)?;
    let found = tx.get_many::<Command>(entries.into_iter().map(|entry| entry.command))?;
    Ok(found.into_iter().flatten().collect())
}

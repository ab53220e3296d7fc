//! Wipes that came to nothing, one for each device: so that somebody sees them until the device is wiped, or asked to be again.

use crate::{
    clock::Timestamp,
    error::Result,
    fleet::life::{Action, Command, State},
    ids::{CommandId, DeviceId},
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};

/// The last thing that happened to a wipe of this device is that it failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FailedWipe {
    /// The device.
    pub device: DeviceId,
    /// The wipe.
    pub command: CommandId,
    /// When it failed.
    pub at: Timestamp,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 1] = [Kind::of::<FailedWipe>()];

impl Record for FailedWipe {
    const KIND: &'static str = "failed-wipe";
    fn key(&self) -> String {
        self.device.to_string()
    }
}

/// A command is written.
pub(super) fn note(tx: &mut Tx<'_>, before: Option<&Command>, command: &Command) -> Result<()> {
    if command.action() != Action::Wipe || before.is_some_and(|before| before.state == command.state) {
        return Ok(());
    }
    if command.state == State::Failed {
        tx.put(&FailedWipe { device: command.device, command: command.id, at: tx.now() })?;
        return Ok(());
    }
    match tx.get::<FailedWipe>(command.device)? {
        Some(failed) => Ok(tx.delete(&failed)?),
        None => Ok(()),
    }
}

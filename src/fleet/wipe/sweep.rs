//! What the passing of time does: undo windows end, commands expire, devices are woken again.

use super::release;
use crate::{
    error::Result,
    fleet::{
        audit::{self, By, Event},
        queue::{self, Command, State, command::Hold, ending, timers},
    },
    ids::DeviceId,
    store::Tx,
};

/// A device to wake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wake {
    /// Whom.
    pub device: DeviceId,
}

/// Does what is due by now: releases, expires, and says whom to wake. Many due: call again until none comes back.
pub fn sweep(tx: &mut Tx<'_>) -> Result<(Vec<Wake>, bool)> {
    let mut wakes = Vec::new();
    let (now, steady) = (tx.now(), tx.steady());
    let (due, more) = timers::due(tx)?;
    for timer in &due {
        let Some(mut command) = tx.get::<Command>(timer.command)? else {
            tx.delete(timer)?;
            continue;
        };
        let expired = command.expires.is_some_and(|at| at <= now);
        if expired && command.state != State::Sent {
            ending::end(tx, &mut command, State::Expired, true)?;
            let event = Event::CommandExpired { command: command.id, device: command.device };
            audit::note(tx, By::System, event)?;
            continue;
        }
        if command.hold == Some(Hold::Delay) && command.release_at.is_some_and(|at| at <= steady) {
            release(tx, &mut command)?;
        }
        if timers::wakes(&mut command, steady) {
            wakes.push(Wake { device: command.device });
        }
        if expired {
            // Sent: it may be done already, so it ends only when it is answered.
            command.expires = None;
        }
        queue::save(tx, &command)?;
    }
    wakes.dedup();
    Ok((wakes, more))
}

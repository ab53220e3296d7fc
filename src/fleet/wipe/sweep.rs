//! What the passing of time does: undo windows end, commands expire, devices are woken again.

use crate::{
    error::Result,
    fleet::{
        keeper::{self, timers},
        life::Event,
    },
    ids::DeviceId,
    store::Tx,
};
use std::collections::BTreeSet;

/// A device to wake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wake {
    /// Whom.
    pub device: DeviceId,
}

/// Does what is due by now: releases, expires, and says whom to wake. Many due: call again until none comes back.
pub fn sweep(tx: &mut Tx<'_>) -> Result<(Vec<Wake>, bool)> {
    let mut wakes = Vec::new();
    let (due, more) = timers::due(tx)?;
    for timer in &due {
        let Some(mut device) = keeper::of_command(tx, timer.command)? else {
            tx.delete(timer)?;
            continue;
        };
        if keeper::happen(tx, &mut device, Event::Due(timer.command))? {
            wakes.push(Wake { device: device.id });
        }
    }
    let mut seen = BTreeSet::new();
    wakes.retain(|wake: &Wake| seen.insert(wake.device));
    Ok((wakes, more))
}

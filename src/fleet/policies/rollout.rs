//! After a change of policy, devices are woken at a paced rate: whoever has something due. Where this stands is one record, and one
//! more for each device that changed groups; whichever node looks next goes on.

use super::Assigned;
use crate::{
    error::Result,
    fleet::life::Device,
    ids::DeviceId,
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};

/// How far a rollout has come.
#[derive(Debug, Serialize, Deserialize)]
struct Rollout {
    after: Option<String>,
}

/// One device to look at.
#[derive(Debug, Serialize, Deserialize)]
struct Nudge {
    device: DeviceId,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 2] = [Kind::of::<Rollout>(), Kind::of::<Nudge>()];

impl Record for Rollout {
    const KIND: &'static str = "rollout";
    fn key(&self) -> String {
        String::new()
    }
}
impl Record for Nudge {
    const KIND: &'static str = "nudge";
    fn key(&self) -> String {
        self.device.to_string()
    }
}

/// Begins anew with the first device.
pub(super) fn begin(tx: &mut Tx<'_>) -> Result<()> {
    Ok(tx.put(&Rollout { after: None })?)
}

/// Looks at one device soon.
pub fn nudge(tx: &mut Tx<'_>, device: DeviceId) -> Result<()> {
    Ok(tx.put(&Nudge { device })?)
}

/// Looks at the next `count` devices and says which of them to wake.
pub fn next(tx: &mut Tx<'_>, count: usize) -> Result<Vec<DeviceId>> {
    let mut devices = Vec::new();
    for nudge in tx.scan::<Nudge>("", None, count)? {
        devices.extend(tx.get::<Device>(nudge.device)?);
        tx.delete(&nudge)?;
    }
    if let Some(rollout) = tx.get::<Rollout>("")? {
        let page = tx.scan::<Device>("", rollout.after.as_deref(), count)?;
        match page.last().filter(|_| page.len() == count) {
            Some(last) => tx.put(&Rollout { after: Some(last.key()) })?,
            None => tx.delete(&rollout)?,
        }
        devices.extend(page);
    }
    if devices.is_empty() {
        return Ok(Vec::new());
    }
    let assigned = Assigned::load(tx)?;
    let has_due = |device: &&Device| device.live().any(|e| !assigned.due(device, e).1.is_empty());
    Ok(devices.iter().filter(has_due).map(|d| d.id).collect())
}

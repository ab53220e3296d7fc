//! What goes on by itself: timers, wakes, sights written in batches, looks at the clock, checkpoints of the audit log.

use super::{Server, tidying, webhook};
use crate::{
    admins, audit,
    clock::Timestamp,
    error::{Error, Result},
    ids::{DeviceId, EnrolmentId},
    policies::rollout,
    queue::timers::{self, Wake},
    registry::tries,
    store::{Fault, Kind, Record, Seldom, Tx},
    wipe::approvals,
};
use serde::{Deserialize, Serialize};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The change feed is read to its end within a second everywhere; then the device may come.
const SPREAD: Duration = Duration::from_secs(2);
/// Devices looked at in a second after a change of policy.
const PACE: usize = 200;

/// When an enrolment last had nothing to do: apart from the device's record, since a sight changes nothing about it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Seen {
    enrolment: EnrolmentId,
    /// When.
    pub at: Timestamp,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 1] = [Kind::of::<Seen>()];

impl Record for Seen {
    const KIND: &'static str = "seen";
    fn key(&self) -> String {
        self.enrolment.to_string()
    }
    fn lean(&self) -> Option<Self> {
        Some(Self { enrolment: EnrolmentId::NONE, at: self.at })
    }
    fn whole(self, rest: &str) -> Option<Self> {
        Some(Self { enrolment: rest.parse().ok()?, at: self.at })
    }
}

/// The later of what the device's record says and what was written since.
pub fn last_seen(tx: &mut Tx<'_>, enrolment: &crate::registry::Enrolment) -> Result<Option<Timestamp>> {
    Ok(tx.get::<Seen>(enrolment.id)?.map(|s| s.at).max(enrolment.last_seen))
}

/// What was written of these enrolments since their devices' records, in their order.
pub fn seen(tx: &mut Tx<'_>, enrolments: impl IntoIterator<Item = EnrolmentId>) -> Result<Vec<Option<Timestamp>>> {
    Ok(tx.get_many::<Seen>(enrolments)?.into_iter().map(|seen| Some(seen?.at)).collect())
}

/// Writes that an enrolment was seen just now: for messages that memory does not answer.
pub fn note_seen(tx: &mut Tx<'_>, enrolment: EnrolmentId) -> Result<()> {
    let at = tx.now();
    Ok(tx.put(&Seen { enrolment, at })?)
}

/// Starts all of it; ends with the runtime.
pub fn start(server: &Arc<Server>) {
    every(server, Duration::from_secs(1), |server| async move { sweep(&server).await });
    every(server, Duration::from_secs(1), |server| async move { webhook::send(&server).await });
    every(server, Duration::from_secs(20), |server| async move { write_seen(&server).await });
    tidying::start(server);
    every(server, Duration::from_secs(60), |server| async move {
        server.strangers.write(&server.store).await?;
        server.store.run(admins::look_at_clock).await
    });
    every(server, Duration::from_secs(3600), |server| async move {
        server.store.run(audit::checkpoint).await?;
        server.store.run(approvals::expire).await?;
        let mut after: Option<String> = None;
        loop {
            after = server.store.run(move |tx| tries::forget(tx, after.as_deref())).await?;
            if after.is_none() {
                return Ok(());
            }
        }
    });
}

/// Does something at each pause, for as long as the runtime lives. What fails is put off to the next time.
pub fn every<F, W>(server: &Arc<Server>, pause: Duration, work: F)
where
    F: Fn(Arc<Server>) -> W + Send + 'static,
    W: Future<Output = Result<()>> + Send,
{
    let server = server.clone();
    tokio::spawn(async move {
        let mut failures = Seldom::default();
        let mut ticks = tokio::time::interval(pause);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match work(server.clone()).await {
                Ok(()) => drop(failures.well()),
                // The store tells of its own absence.
                Err(Error::Store(Fault::Away(_) | Fault::Busy)) => {}
                Err(error) => {
                    if let Some(untold) = failures.failed(Instant::now()) {
                        tracing::warn!(%error, untold, "background work was put off");
                    }
                }
            }
        }
    });
}

/// Timers that are due; whom they wake is told to the channels.
async fn sweep(server: &Server) -> Result<()> {
    loop {
        let (wakes, more) = server.store.run(due).await?;
        wake_all(server, wakes);
        if !more {
            return Ok(());
        }
    }
}

fn due(tx: &mut Tx<'_>) -> Result<(Vec<DeviceId>, bool)> {
    // Before anything expires by it.
    admins::look_at_clock(tx)?;
    let (wakes, more) = timers::sweep(tx)?;
    let mut devices: Vec<DeviceId> = wakes.into_iter().map(|Wake { device }| device).collect();
    devices.extend(rollout::next(tx, PACE)?);
    Ok((devices, more))
}

/// With several nodes a wake waits until each of them knows or asks: a device that was woken and finds nothing sleeps again.
fn wake_all(server: &Server, wakes: Vec<DeviceId>) {
    if wakes.is_empty() {
        return;
    }
    let (sender, pause) = (server.wakes.clone(), if server.presence.is_shared() { SPREAD } else { Duration::ZERO });
    tokio::spawn(async move {
        tokio::time::sleep(pause).await;
        for device in wakes {
            drop(sender.send(device));
        }
    });
}

/// Tells the channels that a device has something to do. Nobody listening is no fault.
pub fn wake(server: &Server, device: DeviceId) {
    drop(server.wakes.send(device));
}

/// Writes who was seen; also at the end, before the store closes.
pub async fn write_seen(server: &Server) -> Result<()> {
    let seen = server.presence.take_seen();
    if seen.is_empty() {
        return Ok(());
    }
    let write = move |tx: &mut Tx<'_>| {
        for (enrolment, at) in seen {
            tx.put(&Seen { enrolment, at })?;
        }
        Ok(())
    };
    server.store.run(write).await
}

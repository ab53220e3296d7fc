//! What goes on by itself: timers, wakes, sights written in batches, looks at the clock, checkpoints of the audit log.

use super::{Server, rounds::every, smtp, tidying, webhook};
use crate::{
    error::Result,
    fleet::{
        admins, audit,
        policies::rollout,
        registry::{sights, tries},
        wipe::{self, Wake, approvals},
    },
    ids::DeviceId,
    store::Tx,
};
use std::{sync::Arc, time::Duration};

/// The change feed is read to its end within a second everywhere; then the device may come.
const SPREAD: Duration = Duration::from_secs(2);
/// Devices looked at in a second after a change of policy.
const PACE: usize = 200;

/// Starts all of it; ends with the runtime.
pub fn start(server: &Arc<Server>) {
    every(server, "due timers", Duration::from_secs(1), |server| async move { sweep(&server).await });
    every(server, "follow-ups", Duration::from_secs(1), |server| async move { follow_up(&server).await });
    every(server, "round", Duration::from_secs(1), |server| async move {
        let wakes = server.store.run(|tx| rollout::round(tx, PACE)).await?;
        wake_all(&server, wakes);
        Ok(())
    });
    every(server, "webhook", Duration::from_secs(1), |server| async move { webhook::send(&server).await });
    if server.smtp.is_some() {
        every(server, "notices by mail", Duration::from_secs(2), |server| async move { smtp::send(&server).await });
    }
    every(server, "last seen", Duration::from_secs(20), |server| async move { write_seen(&server).await });
    tidying::start(server);
    every(server, "strangers and clock", Duration::from_secs(60), |server| async move {
        server.told.say_what_was_left_out();
        server.strangers.write(&server.store).await?;
        server.store.run(admins::look_at_clock).await
    });
    every(server, "hourly", Duration::from_secs(3600), |server| async move {
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

/// Timers that are due; whom they wake is told to the channels.
async fn sweep(server: &Server) -> Result<()> {
    loop {
        let (wakes, rolled, more) = server.store.run(due).await?;
        rolled.iter().for_each(|device| server.follow_ups.note(*device));
        wake_all(server, wakes.into_iter().chain(rolled).collect());
        if !more {
            return Ok(());
        }
    }
}

/// Who was woken a while ago and still has something due.
async fn follow_up(server: &Server) -> Result<()> {
    let waiting = server.follow_ups.take(PACE);
    if waiting.is_empty() {
        return Ok(());
    }
    let devices: Vec<DeviceId> = waiting.iter().map(|(_, device)| *device).collect();
    let due = server.store.run(move |tx| rollout::still_due(tx, &devices)).await?;
    for (tries, device) in waiting.into_iter().filter(|(_, device)| due.contains(device)) {
        server.follow_ups.again(tries, device);
    }
    wake_all(server, due);
    Ok(())
}

/// Whom timers wake, whom a change of policy does, and whether there may be more.
fn due(tx: &mut Tx<'_>) -> Result<(Vec<DeviceId>, Vec<DeviceId>, bool)> {
    // Before anything expires by it.
    admins::look_at_clock(tx)?;
    let (wakes, more) = wipe::sweep(tx)?;
    let devices = wakes.into_iter().map(|Wake { device }| device).collect();
    Ok((devices, rollout::next(tx, PACE)?, more))
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

/// Tells the channels that a device has something to do, now and as long as it has. Nobody listening is no fault.
pub fn wake(server: &Server, device: DeviceId) {
    server.follow_ups.note(device);
    drop(server.wakes.send(device));
}

/// Writes who was seen; also at the end, before the store closes.
pub async fn write_seen(server: &Server) -> Result<()> {
    let seen = server.presence.take_seen();
    if seen.is_empty() {
        return Ok(());
    }
    server.store.run(move |tx| sights::note_all(tx, seen)).await
}

//! After a change of policy, devices are woken at a paced rate: whoever has something due. Where this stands is one record, and one
//! more for each device that changed groups; whichever node looks next goes on.

use super::Assigned;
use crate::{
    clock::Steady,
    error::Result,
    fleet::{
        life::{Action, Channel, Command, Device, Enrolment, EnrolmentState, State, parts_on_the_way},
        registry::sights,
        settings,
    },
    ids::DeviceId,
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

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
pub(crate) const KINDS: [Kind; 3] = [Kind::of::<Rollout>(), Kind::of::<Nudge>(), Kind::of::<Round>()];

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
    let mut due = Vec::new();
    for device in devices {
        let open = open(tx, &device)?;
        if asks(&assigned, &device, &open) {
            due.push(device.id);
        }
    }
    Ok(due)
}

/// Of these devices those that have something due: by their policies, in the queue, facts that were never told, or another certificate.
pub fn still_due(tx: &mut Tx<'_>, devices: &[DeviceId]) -> Result<Vec<DeviceId>> {
    let assigned = Assigned::load(tx)?;
    let mut due = Vec::new();
    for device in tx.get_many::<Device>(devices)?.into_iter().flatten() {
        if waits(tx, &assigned, &device)? {
            due.push(device.id);
        }
    }
    Ok(due)
}

fn waits(tx: &mut Tx<'_>, assigned: &Assigned, device: &Device) -> Result<bool> {
    let apple = device.live().any(|e| e.channel == Channel::Apple && e.state == EnrolmentState::Enrolled);
    if apple && device.asked.is_none() {
        return Ok(true);
    }
    let (open, now, time) = (open(tx, device)?, tx.steady(), tx.time());
    let renews =
        |e: &Enrolment| e.channel == Channel::Apple && e.state == EnrolmentState::Enrolled && e.renewal_is_due(time);
    if device.live().any(renews) && !open.iter().any(|c| c.action() == Action::Renew) {
        return Ok(true);
    }
    let is_due = |c: &Command| {
        matches!(c.state, State::Queued | State::Sent | State::NotNow) && c.not_before.is_none_or(|at| at <= now)
    };
    Ok(open.iter().any(is_due) || asks(assigned, device, &open))
}

fn open(tx: &mut Tx<'_>, device: &Device) -> Result<Vec<Command>> {
    Ok(tx.get_many::<Command>(&device.open)?.into_iter().flatten().collect())
}

/// Whether policies ask something of the device that is not with it already: what it was given and does not answer has its own time.
fn asks(assigned: &Assigned, device: &Device, open: &[Command]) -> bool {
    device.live().any(|enrolment| {
        let (_, mut todo) = assigned.due(device, enrolment);
        if !todo.is_empty() {
            let (sent, looked_at) = parts_on_the_way(open.iter(), enrolment.id);
            todo.leave_out(&sent, &looked_at);
        }
        !todo.is_empty()
    })
}

/// How far the hourly round has come. One for all nodes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Round {
    after: Option<String>,
    begun: Steady,
    /// When the one before began.
    before: Steady,
    done: bool,
}

impl Record for Round {
    const KIND: &'static str = "round";
    fn key(&self) -> String {
        String::new()
    }
}

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Each device is looked at once an hour, `count` at a time: woken is who has something due, and each Apple device that was not heard for
/// a day, once a day, so that what is said of when it was last heard is true.
pub fn round(tx: &mut Tx<'_>, count: usize) -> Result<Vec<DeviceId>> {
    let now = tx.steady();
    let mut round = tx.get::<Round>("")?.unwrap_or(Round { begun: now, before: now, ..Round::default() });
    if round.done && now.since(round.begun) < HOUR {
        return Ok(Vec::new());
    }
    if round.done {
        round = Round { after: None, begun: now, before: round.begun, done: false };
    }
    let page = tx.scan::<Device>("", round.after.as_deref(), count)?;
    let last = page.last().filter(|_| page.len() == count).map(Record::key);
    // Where rounds were left out, those are woken whose hour has passed meanwhile.
    let hour = round.begun.since(round.before).max(HOUR) + HOUR / 6;
    (round.done, round.after) = (last.is_none(), last);
    let daily = settings::text(tx, "apple.daily_wake")?.as_deref() != Some("off");
    let assigned = Assigned::load(tx)?;
    let mut wake = Vec::new();
    for device in page {
        if waits(tx, &assigned, &device)? || daily && is_silent(tx, &device, hour)? {
            wake.push(device.id);
        }
    }
    tx.put(&round)?;
    Ok(wake)
}

/// Whether an Apple device has been silent for a whole number of days, give or take the time between two looks.
fn is_silent(tx: &mut Tx<'_>, device: &Device, hour: Duration) -> Result<bool> {
    let apple = device.live().filter(|e| e.channel == Channel::Apple && e.state == EnrolmentState::Enrolled);
    for enrolment in apple {
        let heard = sights::last_seen(tx, enrolment)?.unwrap_or(enrolment.created);
        let silent = tx.now().since(heard);
        let beyond = silent.as_secs() % DAY.as_secs();
        if silent >= DAY && (hour >= DAY || beyond < hour.as_secs()) {
            return Ok(true);
        }
    }
    Ok(false)
}

//! What a device can bring about again and again by itself is noted at first and then ever more seldom: nobody writes the log full, and
//! what goes on for a year is still told of.

use super::Event;
use crate::{
    clock::Steady,
    error::Result,
    ids::digest,
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
/// Between two entries of one thing; the last for all that follow.
const PAUSES: [Duration; 6] = [
    Duration::from_secs(60),
    Duration::from_secs(600),
    HOUR,
    HOUR.saturating_mul(6),
    HOUR.saturating_mul(24),
    HOUR.saturating_mul(24 * 7),
];
/// What was not noted for so long begins anew.
const OVER: Duration = HOUR.saturating_mul(24 * 14);

/// How often one thing was noted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Recurring {
    /// A digest of what it is.
    what: String,
    times: u32,
    last: Steady,
}

impl Record for Recurring {
    const KIND: &'static str = "recurring";
    fn key(&self) -> String {
        self.what.clone()
    }
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 1] = [Kind::of::<Recurring>()];

impl Recurring {
    /// Whether it is of the past.
    pub fn is_of_the_past(&self, now: Steady) -> bool {
        now.since(self.last) >= OVER
    }

    /// After so many entries without a pause the next waits so long.
    fn pause(&self, free: u32) -> Duration {
        let Some(pauses) = self.times.checked_sub(free) else { return Duration::ZERO };
        PAUSES.get(pauses as usize).or(PAUSES.last()).copied().unwrap_or_default()
    }
}

/// Whether an event is to be noted; then it is counted.
pub(super) fn is_noted(tx: &mut Tx<'_>, event: &Event) -> Result<bool> {
    match what(event) {
        Some((what, free)) => is_due(tx, &what, free, Duration::MAX),
        None => Ok(true),
    }
}

/// Whether something may happen once more; then it is counted. So often it is `free`, then with pauses that grow, to the `longest`. What is
/// too soon reads one record and writes nothing.
pub fn is_due(tx: &mut Tx<'_>, what: &str, free: u32, longest: Duration) -> Result<bool> {
    let (what, now) = (digest(what.as_bytes()), tx.steady());
    let before = tx.get::<Recurring>(&what)?.filter(|before| !before.is_of_the_past(now));
    if before.as_ref().is_some_and(|before| now.since(before.last) < before.pause(free).min(longest)) {
        return Ok(false);
    }
    let times = before.map_or(0, |before| before.times).saturating_add(1);
    tx.put(&Recurring { what, times, last: now })?;
    Ok(true)
}

/// What a device brings about by itself, as often as it likes: under one name what is alike, and how often it is noted before pauses begin.
fn what(event: &Event) -> Option<(String, u32)> {
    Some(match event {
        Event::CommandRepeated { command, enrolment, .. } => (format!("repeated {command} {enrolment}"), 3),
        Event::WipeDeclined { command, device } => (format!("declined {command:?} {device}"), 3),
        Event::WipeToldUpstream { command, .. } => (format!("told upstream {command}"), 3),
        Event::EnrolmentClaimed { enrolment, .. } => (format!("claimed {enrolment}"), 3),
        // Which commands it names is the device's to say.
        Event::AnswerUnasked { enrolment, .. } => (format!("unasked {enrolment}"), 10),
        Event::EnrolmentRefused { enrolment, ground, .. } => (format!("refused {enrolment} {}", ground.as_str()), 1),
        Event::CertificateUnknown { sha256 } => (format!("unknown {sha256}"), 1),
        Event::PushRetired { enrolment, .. } => (format!("push retired {enrolment}"), 3),
        _ => return None,
    })
}

//! What ends is told of in time through the webhook: within 30 days of its end, within 7 and within 1, once each, whichever node looks.

use super::{
    DAY, First, Known, Survey,
    lines::{days, in_vain, of_end},
};
use crate::{
    clock::Timestamp,
    error::Result,
    fleet::{
        notices::{self, News},
        settings,
    },
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Days before an end; the nearest that applies is told.
const STEPS: [u32; 3] = [1, 7, 30];
/// What was told of an end is forgotten so long after it.
const KEPT: Duration = DAY.saturating_mul(30);

/// An end that was told of: by what ends and when, so that two nodes with certificates of their own do not take turns.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reminder {
    subject: String,
    until: Timestamp,
    /// The last step that was told, in days.
    step: u32,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 1] = [Kind::of::<Reminder>()];

impl Record for Reminder {
    const KIND: &'static str = "reminder";
    fn key(&self) -> String {
        key(&self.subject, self.until)
    }
}

fn key(subject: &str, until: Timestamp) -> String {
    format!("{subject}/{}", until.0)
}

/// Tells what is due, where a webhook is set. By a clock that is doubted nothing ends. To be called every hour, with what a look
/// beside the writer found.
pub fn tell(tx: &mut Tx<'_>, known: &Known, survey: &Survey) -> Result<()> {
    if settings::text(tx, "notify.webhook")?.is_none() || tx.time().doubted {
        return Ok(());
    }
    let now = tx.now();
    for old in tx.all::<Reminder>("")?.iter().filter(|old| old.until.plus(KEPT) < now) {
        tx.delete(old)?;
    }
    for (subject, until, detail) in ends(known, survey, now) {
        let Some(step) = step(until.since(now)).filter(|_| until.plus(KEPT) >= now) else { continue };
        if tx.get::<Reminder>(&key(&subject, until))?.is_some_and(|last| last.step <= step) {
            continue;
        }
        tx.put(&Reminder { subject: subject.clone(), until, step })?;
        notices::tell(tx, News::ExpirySoon(subject, detail))?;
    }
    Ok(())
}

/// The nearest step that an end so far away has come within.
fn step(left: Duration) -> Option<u32> {
    STEPS.into_iter().find(|step| left <= DAY.saturating_mul(*step))
}

/// What ends, when, and how that is said: without names of people.
fn ends(known: &Known, survey: &Survey, now: Timestamp) -> Vec<(String, Timestamp, String)> {
    let ours = known.ends.iter().filter_map(|(what, until)| {
        let line = of_end(*what, *until, now)?;
        Some((line.subject, *until, line.text))
    });
    let stuck = survey.stuck.iter().map(|stuck| {
        let text = format!("the device's certificate ends within {}: {}", days(stuck.until.since(now)), in_vain(stuck));
        (stuck.device.to_string(), stuck.until, text)
    });
    // Of one that is told of above nothing is told twice.
    let device = survey.ending.1.as_ref().map(|First { until, device, .. }| {
        let others = match survey.ending.0 {
            0 | 1 => String::new(),
            count => format!("; {} more end within 30 days", count - 1),
        };
        let left = days(until.since(now));
        let text =
            format!("the device's certificate ends within {left}: if it does not renew it must enrol anew{others}");
        (device.to_string(), *until, text)
    });
    ours.chain(stuck).chain(device).collect()
}

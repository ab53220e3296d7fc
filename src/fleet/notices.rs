//! What administrators are told through the webhook: written in the act's own transaction, sent until it is taken.
//! Ids only: names of people and devices stay here.

use crate::{
    clock::{Steady, Timestamp},
    error::Result,
    fleet::{
        settings,
        terms::{Jump, State},
    },
    ids::{ApprovalId, CommandId, DeviceId},
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

/// After so long a notice is of no use any more.
const KEPT: Duration = Duration::from_secs(86_400);
/// The node that took a notice has so long to send it.
const LEASE: Duration = Duration::from_secs(30);
/// The longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_secs(600);

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Something waits for a second person; the detail says what, and why.
    ApprovalWaiting(ApprovalId, String),
    /// A wipe ended so, by what a device answered.
    WipeEnded(CommandId, State),
    /// A device whose wipe was presumed is heard: it is sent again.
    WipeContradicted(CommandId),
    /// A device ended its management by itself, without being asked to.
    DeviceLeft(DeviceId),
    /// A mail client that waits to be let in was claimed by its user.
    DeviceClaimed(DeviceId),
    /// A device that was erased is heard; it stays refused.
    HeardAfterWipe(CommandId),
    /// Something ends soon: its name or a device's id, and in words what and when.
    ExpirySoon(String, String),
    /// The clock shows another time than what has passed.
    ClockJumped(Jump),
}

impl News {
    /// Event, subject and detail, as receivers know them.
    fn words(self) -> (&'static str, String, String) {
        match self {
            Self::ApprovalWaiting(approval, detail) => ("approval.waiting", approval.to_string(), detail),
            Self::WipeEnded(command, end) => ("wipe.ended", command.to_string(), end.as_str().into()),
            Self::WipeContradicted(command) => {
                ("wipe.contradicted", command.to_string(), "the device is heard: the wipe is sent again".into())
            }
            Self::DeviceLeft(device) => {
                ("device.left", device.to_string(), "its management was ended on the device itself".into())
            }
            Self::DeviceClaimed(device) => (
                "device.claimed",
                device.to_string(),
                "its user signed in with the code of its notice; it waits to be let in".into(),
            ),
            Self::HeardAfterWipe(command) => {
                ("device.heard_after_wipe", command.to_string(), "the device was erased, and is heard".into())
            }
            Self::ExpirySoon(subject, detail) => ("expiry.soon", subject, detail),
            Self::ClockJumped(jump) => ("clock.jumped", "clock".into(), jump.words()),
        }
    }
}

/// One thing to tell, as it waits for its receiver.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Notice {
    /// Its id: a receiver that gets it twice knows it by this.
    pub id: Uuid,
    /// `approval.waiting`, `wipe.ended` …
    pub event: String,
    /// When, by the store's time.
    pub at: Timestamp,
    /// The id of what it is about.
    pub subject: String,
    /// In words.
    pub detail: String,
    /// Not to be tried before.
    next: Steady,
    /// Of no use after.
    until: Steady,
    tries: u32,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 1] = [Kind::of::<Notice>()];

/// By the time they are next due: those that a receiver rejects stand in the way of no others.
impl Record for Notice {
    const KIND: &'static str = "notice";
    fn key(&self) -> String {
        format!("{:016x}/{}", self.next.0.max(0), self.id)
    }
}

/// Tells it, where a webhook is set.
pub fn tell(tx: &mut Tx<'_>, news: News) -> Result<()> {
    if settings::text(tx, "notify.webhook")?.is_none() {
        return Ok(());
    }
    let (event, subject, detail) = news.words();
    let event = event.to_string();
    let (id, at, next) = (tx.new_id(), tx.now(), tx.steady());
    Ok(tx.put(&Notice { id, event, at, subject, detail, next, until: next.plus(KEPT), tries: 0 })?)
}

/// Takes those that are due, with the address to send them to. What is not [`done`] in time is due again, later each time.
pub fn take(tx: &mut Tx<'_>, count: usize) -> Result<Option<(String, Vec<Notice>)>> {
    let waiting = tx.scan::<Notice>("", None, count)?;
    if waiting.is_empty() {
        return Ok(None);
    }
    let (now, url) = (tx.steady(), settings::text(tx, "notify.webhook")?);
    let mut taken = Vec::new();
    for notice in waiting {
        if url.is_none() || now > notice.until {
            tx.delete(&notice)?;
        } else if notice.next <= now {
            let pause = LEASE.saturating_mul(1 << notice.tries.min(8)).min(MAX_PAUSE);
            tx.delete(&notice)?;
            let later = Notice { next: now.plus(pause), tries: notice.tries.saturating_add(1), ..notice };
            tx.put(&later)?;
            taken.push(later);
        }
    }
    Ok(url.filter(|_| !taken.is_empty()).map(|url| (url, taken)))
}

/// How many waiting notices the webhook did not take at the first try, and when the oldest of them was made.
pub fn untaken(tx: &mut Tx<'_>) -> Result<Option<(usize, Timestamp)>> {
    // One that was tried once may be on its way.
    let waiting: Vec<Notice> = tx.all::<Notice>("")?.into_iter().filter(|notice| notice.tries > 1).collect();
    Ok(waiting.iter().map(|notice| notice.at).min().map(|oldest| (waiting.len(), oldest)))
}

/// The receiver has it: this notice, as [`take`] gave it.
pub fn done(tx: &mut Tx<'_>, notice: &Notice) -> Result<()> {
    Ok(tx.delete(notice)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> [(News, &'static str, &'static str, &'static str); 8] {
        let (id, text) = (Uuid::from_u128(0xa), "00000000-0000-0000-0000-00000000000a");
        let moved = "the clock shows 7200 s more than before; waits count what has passed, not this";
        [
            (News::ApprovalWaiting(ApprovalId(id), "too many".into()), "approval.waiting", text, "too many"),
            (News::WipeEnded(CommandId(id), State::Confirmed), "wipe.ended", text, "confirmed"),
            (
                News::WipeContradicted(CommandId(id)),
                "wipe.contradicted",
                text,
                "the device is heard: the wipe is sent again",
            ),
            (News::DeviceLeft(DeviceId(id)), "device.left", text, "its management was ended on the device itself"),
            (
                News::DeviceClaimed(DeviceId(id)),
                "device.claimed",
                text,
                "its user signed in with the code of its notice; it waits to be let in",
            ),
            (
                News::HeardAfterWipe(CommandId(id)),
                "device.heard_after_wipe",
                text,
                "the device was erased, and is heard",
            ),
            (News::ExpirySoon("ca_root".into(), "in a day".into()), "expiry.soon", "ca_root", "in a day"),
            (News::ClockJumped(Jump::Moved(7_200_000)), "clock.jumped", "clock", moved),
        ]
    }

    #[test]
    fn receivers_read_what_they_always_read() {
        for (news, event, subject, detail) in all() {
            assert_eq!(news.words(), (event, subject.to_string(), detail.to_string()));
        }
    }

    #[test]
    fn the_documentation_lists_every_notice_and_no_other() {
        let page = include_str!("../../docs/operations.md");
        let (_, section) = page.split_once("\n### The webhook\n").unwrap();
        let (section, _) = section.split_once("\n## ").unwrap();
        let listed = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        assert_eq!(listed.collect::<Vec<_>>(), all().map(|row| row.1));
    }
}

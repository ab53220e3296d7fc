//! What a device said that changes nothing about it: the alerts it sent, and what of its messages could not be read. It is kept apart from
//! the device's record, within bounds, and is there for people alone: nothing is decided by it. A device that says the same again and
//! again is written down once in a while, and most have no such record at all.

use crate::{
    clock::{Steady, Timestamp},
    error::Result,
    ids::{CommandId, DeviceId},
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// Alerts kept of a device; the oldest goes first.
const EVENTS: usize = 50;
/// The same alert within this time is one.
const SAME: Duration = Duration::from_secs(3600);
/// Kinds of what cannot be read that are kept of a device; the one that is longest ago goes first.
const PROBLEMS: usize = 10;
/// What comes again is written, and logged, no more often than this.
const AGAIN: Duration = Duration::from_secs(86_400);
/// What has not come again for so long is over.
const OVER: Duration = Duration::from_secs(30 * 86_400);
/// Of so many devices at once what is kept is walked, in steps of as many.
const WALKED: usize = 64;
/// Bytes of an alert's type, and of a text.
const LONGEST_KIND: usize = 128;
const LONGEST_TEXT: usize = 256;

/// What is kept of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    device: DeviceId,
    /// The last alerts, oldest first.
    events: VecDeque<Alerted>,
    /// What could not be read, in the order in which it first came.
    unreadable: Vec<Unreadable>,
}

/// An alert of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alerted {
    /// When it came; where it came again soon after, the first time.
    pub time: Timestamp,
    at: Steady,
    /// As the device names it.
    pub kind: String,
    /// What it says.
    pub text: String,
}

/// A kind of message, or part of one, that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// When it first came.
    pub since: Timestamp,
    /// When it last came, to a day.
    last: Steady,
    /// What it was, and what is wrong with it.
    pub text: String,
    /// The command in whose answer it last came: what else answers that one, in another message or step, does not show that it is over.
    #[serde(default)]
    by: Option<CommandId>,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 1] = [Kind::of::<Journal>()];

impl Record for Journal {
    const KIND: &'static str = "journal";
    fn key(&self) -> String {
        self.device.to_string()
    }
    fn lean(&self) -> Option<Self> {
        Some(Self { device: DeviceId::NONE, ..self.clone() })
    }
    fn whole(self, rest: &str) -> Option<Self> {
        Some(Self { device: rest.parse().ok()?, ..self })
    }
}

impl Journal {
    fn new(device: DeviceId) -> Self {
        Self { device, events: VecDeque::new(), unreadable: Vec::new() }
    }

    /// The last alerts, oldest first.
    pub fn events(&self) -> impl Iterator<Item = &Alerted> {
        self.events.iter()
    }

    /// What could not be read and is not over.
    pub fn unreadable(&self, now: Steady) -> impl Iterator<Item = &Unreadable> {
        self.unreadable.iter().filter(move |problem| now.since(problem.last) < OVER)
    }

    /// When it was last added to.
    pub fn last(&self) -> Option<Steady> {
        let problems = self.unreadable.iter().map(|problem| problem.last);
        self.events.iter().map(|event| event.at).chain(problems).max()
    }

    /// Whether it is in it now, and was not before. What could not be read and is news goes to `news`.
    fn add(&mut self, now: Timestamp, at: Steady, said: Said, news: &mut Vec<String>) -> bool {
        match said {
            Said::Alert { kind, text } => {
                let secret = kind.to_ascii_lowercase().contains("token");
                let text = if secret { String::new() } else { cut(&text, LONGEST_TEXT) };
                self.add_event(Alerted { time: now, at, kind: cut(&kind, LONGEST_KIND), text })
            }
            Said::Unreadable { what, by } => {
                let text = cut(&what, LONGEST_TEXT);
                let added = self.add_problem(now, at, text.clone(), by);
                if added == Added::News {
                    news.push(text);
                }
                added != Added::Nothing
            }
            Said::ReadWell { beginning, by } => {
                let before = self.unreadable.len();
                self.unreadable.retain(|known| !known.text.starts_with(&beginning) || known.by == Some(by));
                self.unreadable.len() < before
            }
        }
    }

    /// Whether the alert is news, and is in it now.
    fn add_event(&mut self, event: Alerted) -> bool {
        let same = |known: &&Alerted| known.kind == event.kind && known.text == event.text;
        if self.events.iter().rev().find(same).is_some_and(|known| event.at.since(known.at) < SAME) {
            return false;
        }
        self.events.push_back(event);
        while self.events.len() > EVENTS {
            self.events.pop_front();
        }
        true
    }

    /// It is in it now. Where a number alone differs, as the place in a message, it is the same.
    fn add_problem(&mut self, now: Timestamp, at: Steady, text: String, by: Option<CommandId>) -> Added {
        self.unreadable.retain(|known| at.since(known.last) < OVER);
        if let Some(known) = self.unreadable.iter_mut().find(|known| alike(&known.text, &text)) {
            let (again, another) = (at.since(known.last) >= AGAIN, known.by != by);
            known.by = by;
            if again {
                (known.last, known.text) = (at, text);
            }
            return if again {
                Added::News
            } else if another {
                Added::Quietly
            } else {
                Added::Nothing
            };
        }
        self.unreadable.push(Unreadable { since: now, last: at, text, by });
        while self.unreadable.len() > PROBLEMS {
            let oldest = self.unreadable.iter().enumerate().min_by_key(|(_, problem)| problem.last);
            let Some((oldest, _)) = oldest else { break };
            self.unreadable.remove(oldest);
        }
        Added::News
    }
}

/// What became of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Added {
    /// It is news, or comes again after a while.
    News,
    /// It is known, and came in another command's answer.
    Quietly,
    /// It is known.
    Nothing,
}

fn alike(one: &str, other: &str) -> bool {
    let words = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    words(one) == words(other)
}

/// What a device may say in it: so many bytes, and nothing that cannot be seen.
fn cut(text: &str, longest: usize) -> String {
    let mut cut = String::with_capacity(text.len().min(longest));
    for c in text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if cut.len() + c.len_utf8() > longest {
            break;
        }
        cut.push(c);
    }
    cut
}

/// What a message tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// An alert came. One that carries a token is known by its type alone: a token is a secret.
    Alert {
        /// As the device names it.
        kind: String,
        /// What it says.
        text: String,
    },
    /// The message, or a part of it, could not be read. It is logged where it is news, and then once a day.
    Unreadable {
        /// What it was, and what is wrong with it.
        what: String,
        /// The command in whose answer it came.
        by: Option<CommandId>,
    },
    /// What such texts begin with came again, in the answer to this command, and could be read: what another command's answer was spoilt by
    /// is over.
    ReadWell {
        /// The beginning.
        beginning: String,
        /// The command.
        by: CommandId,
    },
}

/// Takes down all that a message tells, in its order: read once, and written once where something of it is news.
pub fn note(tx: &mut Tx<'_>, device: DeviceId, said: impl IntoIterator<Item = Said>) -> Result<()> {
    let mut said = said.into_iter().peekable();
    if said.peek().is_none() {
        return Ok(());
    }
    let kept = tx.get::<Journal>(device)?;
    let (now, at, mut changed) = (tx.now(), tx.steady(), false);
    let mut journal = kept.unwrap_or_else(|| Journal::new(device));
    let mut news = Vec::new();
    said.for_each(|said| changed |= journal.add(now, at, said, &mut news));
    for what in news {
        tx.log(move || tracing::warn!(%device, what, "a message of a device cannot be read, or not all of it"));
    }
    if changed { Ok(tx.put(&journal)?) } else { Ok(()) }
}

/// A message of a device of ours, or a part of one, could not be read.
pub fn unreadable(tx: &mut Tx<'_>, device: DeviceId, what: &str, by: Option<CommandId>) -> Result<()> {
    note(tx, device, [Said::Unreadable { what: what.into(), by }])
}

/// What such texts begin with could be read.
pub fn read_well(tx: &mut Tx<'_>, device: DeviceId, beginning: &str, by: CommandId) -> Result<()> {
    note(tx, device, [Said::ReadWell { beginning: beginning.into(), by }])
}

/// What is kept of these devices, in their order. Most have nothing: what is kept between the first and the last of a page is walked, which
/// costs no more than the page did, where asking for each would double it.
pub fn of(tx: &mut Tx<'_>, devices: &[DeviceId]) -> Result<Vec<Option<Journal>>> {
    if devices.len() < WALKED {
        return Ok(tx.get_many::<Journal>(devices.iter().copied())?);
    }
    let keys: Vec<String> = devices.iter().map(ToString::to_string).collect();
    let (Some(first), Some(last)) = (keys.iter().min(), keys.iter().max()) else { return Ok(Vec::new()) };
    let mut kept: BTreeMap<String, Journal> = tx.get::<Journal>(first)?.map(|j| (j.key(), j)).into_iter().collect();
    let mut after = first.clone();
    while after < *last {
        let more = tx.scan::<Journal>("", Some(&after), WALKED)?;
        // Fewer than asked for: there are no others.
        after = more.last().filter(|_| more.len() == WALKED).map_or_else(|| last.clone(), Record::key);
        kept.extend(more.into_iter().map(|journal| (journal.key(), journal)));
    }
    Ok(keys.iter().map(|key| kept.remove(key)).collect())
}

/// Forgets what is kept of a device that is in no list any more.
pub fn forget(tx: &mut Tx<'_>, device: DeviceId) -> Result<()> {
    Ok(tx.delete(&Journal::new(device))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn event(at: i64, text: &str) -> Alerted {
        Alerted { time: Timestamp(at), at: Steady(at), kind: "k".into(), text: text.into() }
    }

    fn journal() -> Journal {
        Journal::new(DeviceId::NONE)
    }

    #[test]
    fn the_last_alerts_are_kept_and_the_same_within_the_hour_is_one() {
        let mut kept = journal();
        assert!(kept.add_event(event(0, "a")) && kept.add_event(event(1, "b")));
        assert!(!kept.add_event(event(2, "a")) && !kept.add_event(event(HOUR - 1, "a")));
        assert!(kept.add_event(event(HOUR, "a")));
        for n in 0..200 {
            kept.add_event(event(2 * HOUR, &format!("{n}")));
        }
        let texts: Vec<&str> = kept.events().map(|e| e.text.as_str()).collect();
        assert_eq!((texts.len(), texts.first(), texts.last()), (EVENTS, Some(&"150"), Some(&"199")));
    }

    #[test]
    fn what_cannot_be_read_is_kept_by_its_kind_and_ends() {
        let mut kept = journal();
        let mut add =
            |at: i64, text: &str| kept.add_problem(Timestamp(at), Steady(at), text.into(), None) == Added::News;
        assert!(add(0, "byte 3 of Data"));
        assert!(!add(1, "byte 77 of Data") && !add(24 * HOUR - 1, "byte 3 of Data"));
        assert!(add(24 * HOUR, "byte 9 of Data"));
        for c in 'a'..='z' {
            assert!(add(25 * HOUR, &format!("in {c}")));
        }
        let texts: Vec<&str> = kept.unreadable(Steady(25 * HOUR)).map(|p| p.text.as_str()).collect();
        assert_eq!((texts.len(), texts[0], texts[9]), (PROBLEMS, "in q", "in z"));
        assert_eq!(kept.unreadable(Steady(25 * HOUR + 30 * 24 * HOUR)).count(), 0);
        assert_eq!(kept.last(), Some(Steady(25 * HOUR)));
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        assert_eq!(cut("  a\u{7}b\n", 10), "a b");
        assert_eq!(cut("äöü", 5), "äö");
        let mut kept = journal();
        for n in 0..100 {
            let text = cut(&format!("{}{n}", "x".repeat(LONGEST_TEXT - 3)), LONGEST_TEXT);
            kept.add_event(Alerted { kind: "k".repeat(LONGEST_KIND), ..event(n, &text) });
            kept.add_problem(
                Timestamp(n),
                Steady(n),
                format!("{text}{}", "y".repeat(usize::try_from(n).unwrap())),
                None,
            );
        }
        assert!(serde_json::to_vec(&kept).unwrap().len() < 32 * 1024);
    }
}

//! What an organisation is to decide of clients that no list names, carried out as a value, likewise to [`crate::steps`]: what it has is read,
//! one thing that is lacking is written, and it is read again. Only what the order speaks of is touched.

use crate::calls::{Access, Ending, Failed, Outcome, Reason};
use crate::cmdlet::{Cmdlet, Failure, Row};
use crate::cmdlets;
use crate::organisation::{Level, Organisation};
use crate::steps::{Machine, Next};
use std::time::Duration;
use time::OffsetDateTime;
use uuid::Uuid;

/// A question that Exchange is too busy for is put so often.
const TRIES: u32 = 6;
/// So often it is read anew whether a write has come about.
const LOOKS: u32 = 6;
/// Likewise of one whose answer was lost: then it is made again.
const LOST: u32 = 3;
/// Nothing is written more often for one order.
const WRITES: usize = 3;
/// Between two such looks.
const LOOK: Duration = Duration::from_secs(10);
const WORDS: usize = 1000;

/// An order for the organisation under way.
#[derive(Debug, Clone, PartialEq)]
pub struct Steps {
    id: Uuid,
    wanted: Access,
    deadline: Option<OffsetDateTime>,
    at: At,
    settings: Option<Row>,
    told: Option<Organisation>,
    /// What was written, in turn.
    written: Vec<Cmdlet>,
    accepted: bool,
    looks: u32,
    busy: u32,
}

/// Which answer is waited for.
#[derive(Debug, Clone, PartialEq)]
enum At {
    Settings,
    Rules,
    Write(Box<Cmdlet>),
}

impl Machine for Steps {
    fn resume(self) -> Next<Self> {
        match self.at {
            At::Write(_) => self.read(),
            At::Settings => self.read(),
            At::Rules => Next::Call(cmdlets::rules(), Box::new(self)),
        }
    }

    fn step(mut self, answer: Result<Vec<Row>, Failure>, now: OffsetDateTime) -> Next<Self> {
        let rows = match answer {
            Ok(rows) => rows,
            Err(failure) => return self.failed(failure),
        };
        self.busy = 0;
        match self.at.clone() {
            At::Settings => {
                self.settings = rows.into_iter().next();
                self.at = At::Rules;
                Next::Call(cmdlets::rules(), Box::new(self))
            }
            At::Rules => {
                let settings = self.settings.take().unwrap_or_default();
                self.told = Organisation::read(&settings, &rows);
                self.decide(now)
            }
            At::Write(cmdlet) => {
                self.note(*cmdlet, true);
                self.read()
            }
        }
    }

    fn ahead(&self, _: &Cmdlet) -> Vec<Cmdlet> {
        self.told.as_ref().map(|told| self.lacking(told)).unwrap_or_default()
    }
}

impl Steps {
    /// The first thing to do.
    pub fn begin(id: Uuid, wanted: Access, deadline: Option<OffsetDateTime>) -> Next<Self> {
        let (settings, told, written) = (None, None, Vec::new());
        Self { id, wanted, deadline, at: At::Settings, settings, told, written, accepted: false, looks: 0, busy: 0 }
            .read()
    }

    fn read(mut self) -> Next<Self> {
        (self.at, self.settings) = (At::Settings, None);
        Next::Call(cmdlets::organisation_settings(), Box::new(self))
    }

    /// What is to be written, in this order: rules that let in, other rules, then the default, so that nobody is cut off for a moment whom a
    /// rule lets in.
    fn lacking(&self, told: &Organisation) -> Vec<Cmdlet> {
        let lax = |level: &Level| *level == Level::Allow;
        let mut rules: Vec<_> = self.wanted.rules.iter().collect();
        rules.sort_by_key(|rule| !lax(&rule.level));
        let rules = rules.into_iter().filter_map(|rule| match told.rule(&rule.which) {
            None => cmdlets::new_rule(&rule.which, &rule.level),
            Some(has) if has.level != rule.level => cmdlets::set_rule(has, &rule.level),
            Some(_) => None,
        });
        let without = self.wanted.without.iter().filter_map(|which| cmdlets::remove_rule(told.rule(which)?));
        let default = self.wanted.default.as_ref().filter(|wanted| told.default.as_ref() != Some(wanted));
        let recipients = self.wanted.recipients.as_deref().filter(|wanted| !same(wanted, &told.recipients));
        let insert = self.wanted.insert.as_deref().filter(|wanted| wanted.trim() != told.insert.trim());
        let set = cmdlets::set_organisation(default, recipients, insert);
        rules.chain(without).chain((!set.parameters.is_empty()).then_some(set)).collect()
    }

    fn decide(mut self, now: OffsetDateTime) -> Next<Self> {
        let Some(told) = &self.told else {
            return self.end_failed(Reason::Unavailable, "Exchange does not say what its default is");
        };
        let lacking = self.lacking(told);
        let Some(next) = lacking.first() else {
            let outcome = if self.written.is_empty() { Ending::Already } else { Ending::Done };
            return self.end(outcome, None);
        };
        let before = self.written.iter().filter(|cmdlet| *cmdlet == next).count();
        self.looks += 1;
        if before > 0 && self.looks <= if self.accepted { LOOKS } else { LOST } {
            self.at = At::Settings;
            return Next::Pause(LOOK, Box::new(self));
        }
        if before >= WRITES {
            return self.end_failed(Reason::Unavailable, "Exchange does not show what was written");
        }
        if self.deadline.is_some_and(|deadline| now > deadline) {
            return self.end_failed(Reason::Late, "its time was over before it was begun");
        }
        self.at = At::Write(Box::new(next.clone()));
        Next::Call(next.clone(), Box::new(self))
    }

    fn note(&mut self, cmdlet: Cmdlet, accepted: bool) {
        self.written.push(cmdlet);
        (self.accepted, self.looks) = (accepted, 0);
    }

    fn failed(mut self, failure: Failure) -> Next<Self> {
        let text = failure.to_string();
        match (self.at.clone(), failure) {
            // What was to be changed is not there, or what was to be made is: read again, what is there says so.
            (At::Write(cmdlet), Failure::NotFound(_) | Failure::Refused(_)) if !self.written.contains(&cmdlet) => {
                self.note(*cmdlet, false);
                self.looks = LOST;
                self.read()
            }
            (_, Failure::NotFound(_) | Failure::Refused(_)) => self.end_failed(Reason::Refused, &text),
            (_, Failure::Forbidden(_)) => self.end_failed(Reason::Forbidden, &text),
            (_, Failure::Login(_)) => self.end_failed(Reason::Unavailable, &text),
            (_, Failure::Busy { after, .. }) => self.again(after, &text),
            (at, Failure::Unread(_)) => {
                if let At::Write(cmdlet) = at {
                    self.note(*cmdlet, false);
                }
                self.again(None, &text)
            }
        }
    }

    fn again(mut self, after: Option<u64>, text: &str) -> Next<Self> {
        self.busy += 1;
        if self.busy > TRIES {
            return self.end_failed(Reason::Unavailable, text);
        }
        let least = if matches!(self.at, At::Write(_)) { LOOK } else { Duration::ZERO };
        let wait = after.map_or(Duration::from_secs(3) * self.busy, Duration::from_secs);
        Next::Pause(wait.max(least).min(Duration::from_secs(300)), Box::new(self))
    }

    fn end_failed(self, code: Reason, text: &str) -> Next<Self> {
        let text = text.chars().take(WORDS).collect();
        self.end(Ending::Failed, Some(Failed { code, text }))
    }

    fn end(self, outcome: Ending, error: Option<Failed>) -> Next<Self> {
        Next::End(Box::new(Outcome { id: self.id, outcome, error, observed: None, organisation: self.told }))
    }
}

/// The same addresses, in whatever order and letter case.
fn same(one: &[String], other: &[String]) -> bool {
    let sorted = |all: &[String]| {
        let mut all: Vec<String> = all.iter().map(|address| address.to_lowercase()).collect();
        all.sort();
        all
    };
    sorted(one) == sorted(other)
}

#[cfg(test)]
mod tests;

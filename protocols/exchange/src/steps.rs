//! One order carried out, as a value: what Exchange said last comes in, what it is asked next comes out. No order is taken for done because
//! a cmdlet returned: what is there is read before and after each write, and a write whose answer was lost is never made again unread.
//!
//! Begin with [`Steps::begin`]; do as [`Next`] says, and hand what came back to [`Machine::step`], until [`Next::End`].

use crate::calls::{Ending, Failed, Order, Outcome, Reason, Work};
use crate::cmdlet::{Cmdlet, Failure, Row};
use crate::cmdlets;
use crate::mailbox_policy::{self, MailboxPolicy};
use crate::partnership::{Key, Partnership};
use crate::rows::{self, Device, Mailbox, Statistics};
use std::time::Duration;
use time::OffsetDateTime;
use uuid::Uuid;

mod decide;
#[cfg(test)]
mod tests;

/// A question that Exchange is too busy for is put so often.
const TRIES: u32 = 6;
/// So often it is read anew whether a write has come about: domain controllers agree within minutes, mostly at once.
const LOOKS: u32 = 6;
/// Likewise of a write whose answer was lost: then it is made again.
const LOST: u32 = 3;
/// Between two such looks.
const LOOK: Duration = Duration::from_secs(10);
/// What Exchange said is cut at so many characters.
const WORDS: usize = 1000;

/// What is to be done next.
#[derive(Debug, PartialEq)]
pub enum Next<S = Steps> {
    /// Call this, and hand in what comes back. Before a cmdlet that writes ([`Cmdlet::writes`]) it must be on disk that this order writes.
    Call(Cmdlet, Box<S>),
    /// Wait, then [`Machine::resume`].
    Pause(Duration, Box<S>),
    /// It is over.
    End(Box<Outcome>),
}

/// An order under way, whomever it is for: a client ([`Steps`]) or the organisation ([`crate::access::Steps`]).
pub trait Machine: Sized {
    /// After a pause.
    fn resume(self) -> Next<Self>;
    /// What Exchange answered.
    fn step(self, answer: Result<Vec<Row>, Failure>, now: OffsetDateTime) -> Next<Self>;
    /// All that it would write from here on, if each went well: `next`, which is about to be called, among them.
    fn ahead(&self, next: &Cmdlet) -> Vec<Cmdlet> {
        vec![next.clone()]
    }
}

/// An order under way.
#[derive(Debug, Clone, PartialEq)]
pub struct Steps {
    work: Work,
    /// Whom it is for; it follows a client whose object was made anew.
    key: Key,
    /// Whether this Exchange knows `-AccountOnly`.
    account_only: bool,
    /// It may have written before, and nobody knows what came of it.
    resumed: bool,
    at: At,
    seen: Seen,
    done: Done,
    /// How often in a row Exchange was too busy.
    busy: u32,
    /// It was looked for under another Guid.
    searched: bool,
}

/// Which answer is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Device,
    /// No such Guid: whether its mailbox has the client under another.
    Search,
    Mailbox,
    Statistics,
    DefaultAccess,
    Policy,
    Write(Deed),
}

/// A write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Lists(cmdlets::Lists),
    Clear { account_only: bool },
    Cancel,
    Remove,
    Policy { new: bool },
    Assign,
}

/// What was read since the last write.
#[derive(Debug, Clone, Default, PartialEq)]
struct Seen {
    device: Option<Device>,
    mailbox: Option<Mailbox>,
    statistics: Option<Statistics>,
    default: Option<String>,
    /// The mailbox policy of that name; none: there is none.
    policy: Option<Option<MailboxPolicy>>,
}

/// What was written so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Done {
    lists: u32,
    clears: u32,
    others: u32,
    /// The request for a wipe that was there before ours.
    before: Option<OffsetDateTime>,
    /// Looks since the last write.
    looks: u32,
    /// Exchange answered the last write: what it does not show yet it will.
    accepted: bool,
    policies: u32,
}

impl Machine for Steps {
    fn resume(self) -> Next {
        match self.at {
            // What was asked was not answered: again, unless it may have been done.
            At::Write(_) => self.read(),
            at => self.ask(at),
        }
    }

    fn step(mut self, answer: Result<Vec<Row>, Failure>, now: OffsetDateTime) -> Next {
        match answer {
            Ok(rows) => {
                self.busy = 0;
                self.take(&rows, now)
            }
            Err(failure) => self.failed(failure, now),
        }
    }

    fn ahead(&self, next: &Cmdlet) -> Vec<Cmdlet> {
        let then = matches!(self.at, At::Write(Deed::Policy { .. })) && !self.is_assigned();
        let then = then.then(|| self.write(Deed::Assign)).flatten();
        [next.clone()].into_iter().chain(then).collect()
    }
}

impl Steps {
    /// The first thing to do. `account_only`: whether this Exchange knows a wipe of the account alone; `resumed`: this order may have written
    /// before, and was broken off.
    pub fn begin(work: Work, account_only: bool, resumed: bool) -> Next {
        let Some(key) = work.order.key().cloned() else {
            let error = Failed { code: Reason::Unsupported, text: "an order that is for no client".into() };
            return Next::End(Box::new(failed(work.id, error)));
        };
        Self {
            work,
            key,
            account_only,
            resumed,
            at: At::Device,
            seen: Seen::default(),
            done: Done::default(),
            busy: 0,
            searched: false,
        }
        .read()
    }

    /// Whom it is for.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// What is there is read from the beginning.
    fn read(mut self) -> Next {
        self.seen = Seen::default();
        self.ask(At::Device)
    }

    fn ask(mut self, at: At) -> Next {
        self.at = at;
        let key = self.key();
        let cmdlet = match at {
            At::Device => Some(cmdlets::device(key.guid)),
            At::Search => Some(cmdlets::devices_of(key.mailbox)),
            At::Mailbox => Some(cmdlets::mailbox(key.mailbox)),
            At::Statistics => Some(cmdlets::statistics(key.guid)),
            At::DefaultAccess => Some(cmdlets::default_access()),
            At::Policy => self.policy_name().and_then(cmdlets::policy),
            At::Write(deed) => self.write(deed),
        };
        match cmdlet {
            Some(cmdlet) => Next::Call(cmdlet, Box::new(self)),
            None => self.end_failed(Reason::Refused, "a mailbox policy needs a name"),
        }
    }

    fn write(&self, deed: Deed) -> Option<Cmdlet> {
        let key = self.key();
        match deed {
            Deed::Lists(lists) => Some(cmdlets::set_lists(key, lists)),
            Deed::Clear { account_only } => Some(cmdlets::clear(key.guid, account_only)),
            Deed::Cancel => Some(cmdlets::cancel(key.guid)),
            Deed::Remove => Some(cmdlets::remove(key.guid)),
            Deed::Policy { new } => match &self.work.order {
                Order::Policy(policy) => cmdlets::write_policy(policy.name.as_deref()?, &policy.settings, new),
                _ => None,
            },
            Deed::Assign => Some(cmdlets::assign_policy(key.mailbox, self.policy_name())),
        }
    }

    fn policy_name(&self) -> Option<&str> {
        match &self.work.order {
            Order::Policy(policy) => policy.name.as_deref(),
            _ => None,
        }
    }

    /// What came back goes to its place.
    fn take(mut self, rows: &[Row], now: OffsetDateTime) -> Next {
        match self.at {
            At::Device => {
                // A Guid that is not there may bring all objects: only its own counts.
                let guid = self.key().guid;
                let Some(device) = rows.iter().filter_map(rows::device).find(|device| device.guid() == guid) else {
                    return self.gone();
                };
                self.seen.device = Some(device);
                self.ask(At::Mailbox)
            }
            At::Search => {
                let id = &self.key().device_id;
                let found = rows.iter().filter_map(rows::device).find(|device| device.is_called(id));
                match found.map(|device| device.guid()) {
                    // An object that was made anew is the same client: what was meant is its name in its mailbox.
                    Some(guid) => {
                        self.key.guid = guid;
                        self.read()
                    }
                    None => self.gone_for_good(),
                }
            }
            At::Mailbox => {
                let guid = self.key().mailbox;
                let Some(mailbox) = rows.iter().filter_map(rows::mailbox).find(|mailbox| mailbox.guid == guid) else {
                    return self.half_seen();
                };
                self.seen.mailbox = Some(mailbox);
                self.compare(now)
            }
            At::Statistics => {
                let guid = self.key().guid;
                self.seen.statistics = rows.iter().filter_map(rows::statistics).find(|told| told.guid == guid);
                if self.seen.statistics.is_none() {
                    return self.half_seen();
                }
                self.decide(now)
            }
            At::DefaultAccess => {
                let level = rows.first().and_then(|row| row.get("DefaultAccessLevel")).and_then(|level| level.as_str());
                self.seen.default = Some(level.unwrap_or_default().to_string());
                self.decide(now)
            }
            At::Policy => {
                // A name that is not there may bring all policies.
                let named = |policy: &MailboxPolicy| {
                    self.policy_name().is_some_and(|name| policy.name.eq_ignore_ascii_case(name))
                };
                self.seen.policy = Some(rows.iter().filter_map(mailbox_policy::read).find(named));
                self.decide(now)
            }
            At::Write(deed) => {
                self.note(deed, true);
                self.read()
            }
        }
    }

    /// A write that was made, or may have been.
    fn note(&mut self, deed: Deed, accepted: bool) {
        (self.done.looks, self.done.accepted) = (0, accepted);
        match deed {
            Deed::Lists(_) => self.done.lists += 1,
            Deed::Clear { .. } => self.done.clears += 1,
            Deed::Policy { .. } => self.done.policies += 1,
            Deed::Cancel | Deed::Remove | Deed::Assign => self.done.others += 1,
        }
    }

    /// Whether it is the very client of the very mailbox that is meant; nothing is written else.
    fn compare(self, now: OffsetDateTime) -> Next {
        match self.observed() {
            Some(told) if told.key == *self.key() => {
                if self.needs_statistics() {
                    self.ask(At::Statistics)
                } else {
                    self.decide(now)
                }
            }
            _ => self.end_failed(Reason::Another, "what has that Guid is another client, or another mailbox's"),
        }
    }

    /// The partnership as it was read last.
    fn observed(&self) -> Option<Partnership> {
        let device = self.seen.device.clone()?;
        device.of(self.seen.mailbox.as_ref()?, self.seen.statistics.as_ref())
    }

    fn needs_statistics(&self) -> bool {
        match self.work.order {
            Order::Wipe(_) | Order::Cancel(_) | Order::Remove(_) => true,
            // Those of other clients have nothing to tell.
            Order::Look(_) => self.seen.device.as_ref().is_some_and(|device| device.is_eas() || self.is_outlook()),
            Order::Allow(_) | Order::Block(_) | Order::Quarantine(_) | Order::Policy(_) | Order::Access(_) => false,
        }
    }

    fn is_outlook(&self) -> bool {
        self.observed().is_some_and(|told| told.is_outlook())
    }

    fn failed(mut self, failure: Failure, now: OffsetDateTime) -> Next {
        let text = failure.to_string();
        match (self.at, failure) {
            (At::Policy, Failure::NotFound(_)) => {
                self.seen.policy = Some(None);
                self.decide(now)
            }
            // Another order, or another hand, made it meanwhile: what is there then says so.
            (At::Write(deed @ Deed::Policy { new: true }), Failure::Refused(_)) if self.done.policies == 0 => {
                self.note(deed, false);
                self.read()
            }
            (At::Write(deed), Failure::NotFound(_)) => {
                self.note(deed, true);
                self.read()
            }
            (At::Mailbox | At::Statistics, Failure::NotFound(_)) => self.half_seen(),
            (_, Failure::NotFound(_)) => self.gone(),
            (_, Failure::Forbidden(_)) => self.end_failed(Reason::Forbidden, &text),
            (_, Failure::Refused(_)) => self.end_failed(Reason::Refused, &text),
            (_, Failure::Login(_)) => self.end_failed(Reason::Unavailable, &text),
            (at, Failure::Busy { after, .. }) => self.again(at, after, false, &text),
            (at, Failure::Unread(_)) => self.again(at, None, true, &text),
        }
    }

    /// Later. A write may have been made: what is there is read first, and never before Exchange had time to show it.
    fn again(mut self, at: At, after: Option<u64>, lost: bool, text: &str) -> Next {
        self.busy += 1;
        if self.busy > TRIES {
            return self.end_failed(Reason::Unavailable, text);
        }
        // What Exchange was too busy for was not done.
        if let (At::Write(deed), true) = (at, lost) {
            self.note(deed, false);
        }
        let least = if matches!(at, At::Write(_)) { LOOK } else { Duration::ZERO };
        let told = after.map(Duration::from_secs);
        let wait = told.unwrap_or(Duration::from_secs(3) * self.busy).max(least).min(Duration::from_secs(300));
        Next::Pause(wait, Box::new(self))
    }

    /// Read again after a while, as long as a write may still come about; `None` where it was waited for long enough.
    fn look_again(&mut self) -> bool {
        self.done.looks += 1;
        self.done.looks <= if self.done.accepted { LOOKS } else { LOST }
    }

    fn pause_and_read(mut self) -> Next {
        // So that `resume` reads from the beginning.
        self.at = At::Device;
        self.seen = Seen::default();
        Next::Pause(LOOK, Box::new(self))
    }

    /// Exchange has just shown the client, and now not what belongs to it: its servers disagree for a while, or the mailbox is about to go. Neither
    /// says that the client is gone.
    fn half_seen(self) -> Next {
        self.end_failed(Reason::Unavailable, "Exchange shows the client, and not its mailbox or its statistics")
    }

    fn gone(mut self) -> Next {
        if self.at == At::Device && !self.searched && self.done.others == 0 {
            self.searched = true;
            return self.ask(At::Search);
        }
        self.gone_for_good()
    }

    fn gone_for_good(self) -> Next {
        if let Order::Remove(_) = self.work.order {
            let outcome = if self.done.others > 0 { Ending::Done } else { Ending::Already };
            return self.end(outcome, None, None);
        }
        self.end_failed(Reason::Gone, "Exchange has no such partnership")
    }

    fn end_as(self, ending: Ending) -> Next {
        let observed = self.observed();
        self.end(ending, None, observed)
    }

    fn end_failed(self, code: Reason, text: &str) -> Next {
        let observed = self.observed().filter(|told| told.key == *self.key());
        let text = text.chars().take(WORDS).collect();
        self.end(Ending::Failed, Some(Failed { code, text }), observed)
    }

    fn end(self, outcome: Ending, error: Option<Failed>, observed: Option<Partnership>) -> Next {
        Next::End(Box::new(Outcome { id: self.work.id, outcome, error, observed, organisation: None }))
    }
}

fn failed(id: Uuid, error: Failed) -> Outcome {
    Outcome { id, outcome: Ending::Failed, error: Some(error), observed: None, organisation: None }
}

//! What goes out next.

use super::{
    Command, Managed,
    act::Action,
    command::State,
    device::{Enrolment, EnrolmentState},
};
use crate::{
    clock::Steady,
    ids::{CommandId, EnrolmentId},
};
use std::collections::BTreeSet;

/// Whether a device begins to talk or goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact {
    /// Its first message: what it put off before may be asked again, what was sent may be sent again.
    Fresh,
    /// It reported on something: what it just put off is not repeated, else the session never ends.
    Continued,
}

impl Managed {
    /// The command that this enrolment gets now. A wipe goes before all others and alone; what is in flight is repeated until it is
    /// answered, but lets others pass where it is [no wipe](super::unanswered); while the stop is on, nothing guarded leaves. A former enrolment gets the wipe that it is owed and nothing else, and what
    /// enrolled while a wipe was open gets that once.
    pub fn next(&self, enrolment: EnrolmentId, contact: Contact, stopped: bool, now: Steady) -> Option<&Command> {
        self.next_but(enrolment, contact, stopped, now, &BTreeSet::new())
    }

    /// The same without those that are `done` for now. A wipe among them is not repeated, and nothing goes before it.
    pub fn next_but(
        &self,
        enrolment: EnrolmentId,
        contact: Contact,
        stopped: bool,
        now: Steady,
        done: &BTreeSet<CommandId>,
    ) -> Option<&Command> {
        let mine = self.enrolment(enrolment)?;
        let (under_wipe, former) = (self.is_under_wipe(mine), mine.state == EnrolmentState::Former);
        let ready = |c: &&Command| match c.state {
            State::Queued | State::Sent => true,
            State::NotNow => contact == Contact::Fresh,
            _ => false,
        };
        let due = |c: &&Command| match c.later(enrolment) {
            Some(later) => later.is_due(),
            None => c.enrolment == enrolment && c.not_before.is_none_or(|at| at <= now),
        };
        let found = self.open().filter(ready).filter(due).filter(|c| !(stopped && c.action().is_guarded()));
        let found = found.filter(|c| !(under_wipe || former) || c.action() == Action::Wipe);
        let found = found.filter(|c| c.action() == Action::Wipe || !done.contains(&c.id));
        // A selective wipe that is in flight goes before the full one that follows it.
        // Of those that let others pass the one that has waited longest: a lock is due so often that it would be the only one.
        let behind = |c: &Command| c.lets_pass().then_some(c.not_before).flatten();
        let next =
            found.min_by_key(|c| (c.action() != Action::Wipe, c.lets_pass(), behind(c), c.state != State::Sent, c.id));
        next.filter(|c| !done.contains(&c.id))
    }

    /// Whether a wipe that nothing holds is open and concerns this enrolment: it gets nothing else then.
    fn is_under_wipe(&self, enrolment: &Enrolment) -> bool {
        self.open().any(|c| c.is_wipe_under_way() && c.state != State::Held && c.binds(enrolment))
    }

    /// Whether an enrolment is asked for facts, and gets policies.
    pub fn is_served(&self, enrolment: EnrolmentId) -> bool {
        let mine = self.enrolment(enrolment).filter(|mine| mine.state == EnrolmentState::Enrolled);
        mine.is_some_and(|mine| !self.is_under_wipe(mine))
    }

    /// Whether nothing has to be looked at when this enrolment is heard again: it is whole, nothing is open, and no other that might be its
    /// clone lives beside it.
    pub fn may_rest(&self, enrolment: EnrolmentId) -> bool {
        let Some(mine) = self.enrolment(enrolment).filter(|mine| mine.state == EnrolmentState::Enrolled) else {
            return false;
        };
        self.device.open.is_empty() && self.live().all(|e| e.id == mine.id || e.channel != mine.channel)
    }

    /// Whether mail is shut for this enrolment by a wipe, one that has ended or one that concerns it.
    pub fn mail_is_shut(&self, enrolment: EnrolmentId) -> Option<CommandId> {
        let mine = self.enrolment(enrolment)?;
        self.mail_shut.filter(|id| self.command(*id).is_none_or(|c| c.state.is_final() || c.binds(mine)))
    }
}

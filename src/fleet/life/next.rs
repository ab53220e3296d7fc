//! What goes out next.

use super::{Command, Managed, act::Action, command::State};
use crate::ids::EnrolmentId;

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
    /// answered; while the stop is on, nothing guarded leaves.
    pub fn next(&self, enrolment: EnrolmentId, contact: Contact, stopped: bool) -> Option<&Command> {
        let channel = self.enrolment(enrolment)?.channel;
        // One that the breaker holds, or that may still be undone, keeps nothing back.
        let under_wipe = self.open().any(|c| c.is_wipe_under_way() && c.state != State::Held);
        let ready = |c: &&Command| match c.state {
            State::Queued | State::Sent => true,
            State::NotNow => contact == Contact::Fresh,
            _ => false,
        };
        let mine = self.open().filter(|c| c.channel == channel && c.enrolment == enrolment).filter(ready);
        let mine = mine
            .filter(|c| !(stopped && c.action().is_guarded()))
            .filter(|c| !under_wipe || c.action() == Action::Wipe);
        // A selective wipe that is in flight goes before the full one that follows it.
        mine.min_by_key(|c| (c.action() != Action::Wipe, c.state != State::Sent, c.id))
    }
}

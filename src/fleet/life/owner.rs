//! Whose a device is, and whether anybody wants to see more of it.

use super::{
    Effect, Managed,
    command::State,
    device::{Enrolment, EnrolmentState, GIVEN_UP, Life, Ownership, SUCCEEDED},
};
use crate::{
    fleet::audit::{self, By},
    ids::DeviceId,
    store::Time,
};

/// Why a record stays in the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stays {
    /// It is managed, or something is under way.
    Lives,
    /// It counts as ended on a ground that the device may yet contradict.
    Presumed,
    /// Its certificates were revoked, and nothing says what became of the device.
    Unproved,
    /// This record goes by the same name and was heard while it was silent: it may go, where that one is managed or may go.
    Succeeded(DeviceId),
}

impl Managed {
    /// Whether its record may go: it has ended, and that was proved.
    pub fn may_be_removed(&self) -> Result<(), Stays> {
        if self.live().next().is_some() || self.open().next().is_some() {
            return Err(Stays::Lives);
        }
        let presumed = self.wipe.and_then(|id| self.command(id)).is_some_and(|wipe| wipe.state == State::Presumed);
        if presumed || self.enrolments.iter().any(|e| e.owed.is_some()) {
            return Err(Stays::Presumed);
        }
        match self.life {
            Life::Retired | Life::Wiped => Ok(()),
            Life::Enrolled | Life::Retiring | Life::Wiping => {
                Err(self.newer().map_or(Stays::Unproved, Stays::Succeeded))
            }
        }
    }

    /// The record that took the place of all that was not ended otherwise.
    fn newer(&self) -> Option<DeviceId> {
        let mut revoked = self.enrolments.iter().filter(|e| e.state == EnrolmentState::Revoked);
        let last = revoked.clone().filter_map(|e| e.channel_state.get(SUCCEEDED)?.parse().ok()).next_back();
        let is_told_of = |e: &Enrolment| {
            let replaced = self.enrolments.iter().any(|later| later.takes_the_place_of(e) && e.is_older_than(later));
            replaced || [SUCCEEDED, GIVEN_UP].iter().any(|mark| e.channel_state.contains_key(*mark))
        };
        let all = revoked.all(is_told_of);
        last.filter(|_| all)
    }

    pub(super) fn removed(&mut self, by: &str, time: Time, effects: &mut Vec<Effect>) {
        let newer = match self.may_be_removed() {
            Ok(()) => None,
            Err(Stays::Succeeded(newer)) => Some(newer),
            Err(_) => return,
        };
        if self.device.removed.is_none() {
            self.write().removed = Some(time.now);
            effects.push(Effect::Note(By::Admin(by.into()), audit::Event::DeviceRemoved { device: self.id, newer }));
        }
    }

    /// It is heard, or enrols anew: it is shown again, with all that was kept of it.
    pub(super) fn back(&mut self, effects: &mut Vec<Effect>) {
        if self.device.removed.is_some() {
            self.write().removed = None;
            effects.push(Effect::Note(By::Device, audit::Event::DeviceBack { device: self.id }));
        }
    }

    pub(super) fn owned(&mut self, ownership: Ownership, by: &str, time: Time, effects: &mut Vec<Effect>) {
        if self.ownership == ownership {
            return;
        }
        match ownership {
            Ownership::Personal => self.make_personal(time, effects),
            Ownership::Corporate => self.write().ownership = Ownership::Corporate,
        }
        let event = audit::Event::DeviceOwned { device: self.id, ownership: ownership.as_str() };
        effects.push(Effect::Note(By::Admin(by.into()), event));
    }

    pub(super) fn given(&mut self, user: String, by: &str, effects: &mut Vec<Effect>) {
        if self.user != user {
            self.write().user.clone_from(&user);
            let event = audit::Event::DeviceGiven { device: self.id, user };
            effects.push(Effect::Note(By::Admin(by.into()), event));
        }
    }
}

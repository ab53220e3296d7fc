//! A device's life: the one value through which a device and its commands change.
//!
//! [`Managed`] is a device with its open commands and its last wipe. What happens comes in as an [`Event`], with the time; the new value
//! and a list of [`Effect`]s come out ([`Managed::on`]). No store, no clock, no channel: `keeper.rs` loads a value, lets events happen
//! to it and writes what came of them. Fields of [`Device`] and [`Command`] are written in this folder alone (`kept.rs`).

pub mod act;
mod answered;
mod asked;
pub mod command;
mod contact;
pub mod device;
pub mod effect;
mod ended;
mod enrolled;
pub mod event;
mod kept;
mod next;
mod owner;
mod parts;
mod renewal;
#[cfg(test)]
mod table;
mod told;
mod unanswered;

pub use act::{Act, Action, Erasing, Obliteration, Scope};
pub use command::{Command, Evidence, State};
pub use device::renewal::{Offer, Renewal, Shown};
pub use device::{
    Channel, Device, Enrolment, EnrolmentState, GIVEN_UP, Grace, Life, MacUser, Ownership, Platform, STATES,
};
pub use effect::Effect;
pub use enrolled::{MAIL_AGENT, MAIL_TYPE, PROVISIONING};
pub use event::{Access, Asker, Claim, Event, Fate, Leaving, Order, Outcome, Terms, Withdrawal};
pub use next::Contact;
pub use owner::Stays;
pub use unanswered::parts_on_the_way;

use crate::{
    ids::{CommandId, DeviceId},
    store::Time,
};
use command::CommandFields;
use device::DeviceFields;
use kept::Kept;
use std::{collections::BTreeSet, ops::Deref};

/// See the module.
#[derive(Debug, Clone)]
pub struct Managed {
    device: Device,
    /// The open ones, the last wipe and the one that shut mail; others as far as they were made [known](Self::know).
    commands: Vec<Command>,
    changed: Changed,
}

/// What is to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// The device.
    pub device: bool,
    /// These of its commands.
    pub commands: BTreeSet<CommandId>,
    /// Those among them that nobody has written yet.
    pub new: BTreeSet<CommandId>,
}

impl Deref for Managed {
    type Target = Device;

    fn deref(&self) -> &Device {
        &self.device
    }
}

impl Managed {
    /// A device that is new here.
    pub fn new(id: DeviceId, user: &str, ownership: Ownership, platform: Platform, time: Time) -> Self {
        let device = Kept::new(DeviceFields::new(id, user, ownership, platform, time.now));
        Self { device, commands: Vec::new(), changed: Changed { device: true, ..Changed::default() } }
    }

    /// A device as it is kept, with those of the commands that are its own: all of [`Self::needs`] must be among them.
    pub fn of(device: Device, commands: impl IntoIterator<Item = Command>) -> Self {
        let mut managed = Self { device, commands: Vec::new(), changed: Changed::default() };
        commands.into_iter().for_each(|command| managed.know(command));
        managed
    }

    /// The commands without which nothing can be said of a device.
    pub fn needs(device: &Device) -> BTreeSet<CommandId> {
        let owed = device.enrolments.iter().filter_map(|enrolment| enrolment.owed);
        device.open.iter().copied().chain(device.wipe).chain(device.mail_shut).chain(owed).collect()
    }

    /// A further command of the device, one that has ended: an answer may still come for it.
    pub fn know(&mut self, command: Command) {
        if command.device == self.device.id && self.command(command.id).is_none() {
            self.commands.push(command);
        }
    }

    /// The device as it stands.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// One of its commands.
    pub fn command(&self, id: CommandId) -> Option<&Command> {
        self.commands.iter().find(|command| command.id == id)
    }

    /// Those that have not ended, oldest first.
    pub fn open(&self) -> impl Iterator<Item = &Command> {
        self.device.open.iter().filter_map(|id| self.command(*id)).filter(|command| !command.state.is_final())
    }

    /// What is to be written; from then on nothing is, until something changes.
    pub fn take_changed(&mut self) -> Changed {
        std::mem::take(&mut self.changed)
    }

    /// The device after an event, and what follows from it elsewhere.
    pub fn on(mut self, event: Event, time: Time) -> (Self, Vec<Effect>) {
        let effects = self.happen(event, time);
        (self, effects)
    }

    /// The same where the value lies.
    pub fn happen(&mut self, event: Event, time: Time) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.take(event, time, &mut effects);
        effects
    }

    fn take(&mut self, event: Event, time: Time, effects: &mut Vec<Effect>) {
        match event {
            Event::Begun { enrolment, personal } => self.begun(*enrolment, personal, time, effects),
            Event::Completed { enrolment, shown } => self.completed(enrolment, &shown, time, effects),
            Event::GivenUp { enrolment, why } => self.given_up(enrolment, why, time, effects),
            Event::Succeeded { enrolment, by } => self.succeeded(enrolment, by, time, effects),
            Event::RenewalOffered { enrolment, command, challenge } => {
                self.renewal_offered(enrolment, command, challenge, time);
            }
            Event::Renewed { enrolment, certificate, shown } => self.renewed(enrolment, *certificate, shown, effects),
            Event::SaidApart { enrolment, command, said } => self.said_apart(enrolment, command, said, time),
            Event::ToldAside { enrolment, push, noted } => self.told_aside(enrolment, push, noted, time),
            Event::Left { enrolment, kind, detail } => self.left(enrolment, kind, &detail, time, effects),
            Event::Revoked { only, by, reason } => self.revoked(only, &by, &reason, time, effects),
            Event::Access { enrolments, access, by, reason } => {
                self.admitted(&enrolments, access, &by, &reason, effects);
            }
            Event::Ruled { enrolment, access, graces } => self.ruled(enrolment, access, graces),
            Event::Found { enrolment, access, seen } => self.found(enrolment, access, seen),
            Event::MailClosed { enrolment } => self.mail_closed(enrolment, time),
            Event::Adopted(other) => self.adopted(*other, time, effects),
            Event::Asked(order) => self.asked(*order, time, effects),
            Event::AskedAgain { command, over } => self.asked_again(command, over.map(|terms| *terms), time, effects),
            Event::Approved(command) => self.approved(command, time, effects),
            Event::Withdrawn { command, end, open_mail, told } => {
                self.withdrawn(command, end, open_mail, told, time, effects);
            }
            Event::Suspended { command, approval } => self.suspended(command, approval),
            Event::Contact { enrolment, grace, seen } => self.contact(enrolment, grace, &seen, time, effects),
            Event::DoneUnproved(command) => self.done_unproved(command, time),
            Event::HeardAfterEnd(enrolment) => self.heard_after_end(enrolment, time, effects),
            Event::WokenAgain { command, also } => self.woken_again(command, also, time),
            Event::Due(command) => self.due(command, time, effects),
            Event::Unanswered { enrolment, give_up } => self.unanswered(enrolment, give_up, time, effects),
            Event::HandedOut { enrolment, command } => self.handed_out(enrolment, command, time, effects),
            Event::Answered { enrolment, command, outcome } => {
                self.answered(enrolment, command, outcome, time, effects)
            }
            Event::OnTheWay { command, parts } => self.on_the_way(command, parts),
            Event::Part { enrolment, part, fate } => self.part(enrolment, part, fate, time),
            Event::PartsLeave { enrolment, parts } => self.parts_leave(enrolment, parts, time),
            Event::PartsForgotten { enrolment, parts } => self.parts_forgotten(enrolment, &parts),
            Event::PartsAdopted { enrolment, parts } => self.parts_adopted(enrolment, parts),
            Event::PartsAsked { enrolment, parts } => self.parts_asked(enrolment, &parts, time),
            Event::PasscodeTold { enrolment, parts } => self.passcode_told(enrolment, parts, time),
            Event::LookAgain => self.look_again(),
            Event::FactsTold => self.write().asked = Some(time.steady),
            Event::Told(claim) => self.told(*claim, effects),
            Event::Heard(enrolment) => self.heard(enrolment, time),
            Event::PushTold { enrolment, push } => self.push_told(enrolment, push, time),
            Event::PushRetired { enrolment, token, since } => self.push_retired(enrolment, &token, since, effects),
            Event::UserTold { enrolment, id, name, push } => self.user_told(enrolment, &id, name, push, time),
            Event::Noted { enrolment, name, value } => self.noted(enrolment, name, value),
            Event::Grouped { group, inside } => self.grouped(group, inside),
            Event::Removed { by } => self.removed(&by, time, effects),
            Event::Back => self.back(effects),
            Event::Owned { ownership, by } => self.owned(ownership, &by, time, effects),
            Event::Given { user, by } => self.given(user, &by, effects),
        }
    }

    /// The device's fields, to change them.
    fn write(&mut self) -> &mut DeviceFields {
        self.changed.device = true;
        self.device.write()
    }

    /// Takes a command out, to change it; it must be [put](Self::put) back.
    fn lift(&mut self, id: CommandId) -> Option<Command> {
        let at = self.commands.iter().position(|command| command.id == id)?;
        Some(self.commands.remove(at))
    }

    /// Puts a command in, to be written.
    fn put(&mut self, command: Command) {
        self.changed.commands.insert(command.id);
        self.commands.push(command);
    }

    /// Changes a command where it stands.
    fn change(&mut self, id: CommandId, how: impl FnOnce(&mut CommandFields)) {
        if let Some(command) = self.commands.iter_mut().find(|command| command.id == id) {
            how(command.write());
            self.changed.commands.insert(id);
        }
    }
}

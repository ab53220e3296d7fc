//! A command as it is kept.

use super::{
    act::{Act, Action, Scope},
    device::{Channel, Enrolment},
    kept::Kept,
};
use crate::{
    clock::{Steady, Timestamp},
    fleet::terms::{EvidenceKind, FailureCode},
    ids::{ApprovalId, CommandId, DeviceId, EnrolmentId, packed},
    store::{Kind, Record},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

pub use crate::fleet::terms::State;

/// Why a command is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hold {
    /// By the breaker: a second person must approve.
    Breaker,
    /// In its undo window.
    Delay,
}

/// What was answered that proves something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// When, by the store's time.
    pub time: Timestamp,
    /// Through which enrolment.
    pub enrolment: EnrolmentId,
    /// Through which channel.
    pub channel: Channel,
    /// What kind.
    pub kind: EvidenceKind,
    /// In words.
    pub detail: String,
}

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The protocol's code, or ours.
    pub code: FailureCode,
    /// In words.
    pub text: String,
}

/// One thing to be done once on one device. Where it stands changes by events on its device alone ([`super::Managed::on`]).
pub type Command = Kept<CommandFields>;

/// See [`Command`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct CommandFields {
    pub id: CommandId,
    pub device: DeviceId,
    pub channel: Channel,
    /// The enrolment that carries it.
    pub enrolment: EnrolmentId,
    pub act: Act,
    pub state: State,
    pub hold: Option<Hold>,
    pub reason: String,
    /// The administrator's id, or `system`.
    #[serde(with = "packed")]
    pub asked_by: String,
    /// The administrator's name.
    pub requested_by: String,
    pub approval: Option<ApprovalId>,
    pub created: Timestamp,
    /// The same by the time that counts for waits.
    pub asked: Steady,
    /// End of the undo window.
    pub release_at: Option<Steady>,
    /// The length of the undo window, in seconds, for when it begins with an approval.
    pub delay: u64,
    pub sent: Option<Timestamp>,
    pub finished: Option<Timestamp>,
    pub expires: Option<Timestamp>,
    pub evidence: Vec<Evidence>,
    pub error: Option<Failure>,
    /// The next wake-up, and how many there were.
    pub wake_at: Option<Steady>,
    pub wakes: u32,
    /// Where several messages make one command: which is due, from 0.
    pub step: u32,
    /// When the device last said NotNow.
    pub put_off: Option<Timestamp>,
    /// When it ended, by the time that counts for waits.
    #[serde(default)]
    pub ended: Option<Steady>,
    /// How often it was handed out.
    #[serde(default)]
    pub attempts: u32,
    /// Of a wipe: the enrolments that the device had when it was asked for. It belongs to their certificates. Empty in older records.
    #[serde(default)]
    pub owed_to: Vec<EnrolmentId>,
    /// Of a wipe: what enrolled while it was open.
    #[serde(default)]
    pub later: Vec<Later>,
    /// Of a wipe: how often its presumed end was contradicted.
    #[serde(default)]
    pub contradicted: u32,
    /// It is not handed out before.
    #[serde(default)]
    pub not_before: Option<Steady>,
    /// When one of those that it is owed to was last heard, to the hour; kept from when a newer enrolment took such a one's place.
    #[serde(default)]
    pub heard: Option<Steady>,
    /// Hand-outs since it was last answered. Not of a wipe, which nothing overtakes.
    #[serde(default)]
    pub silent: u32,
    /// The last of them.
    #[serde(default)]
    pub given: Option<Steady>,
    /// For how long, in milliseconds, the device was heard between them.
    #[serde(default)]
    pub heard_for: u64,
    /// Who asked for the same while it was open, and whose word counts: they see its PIN.
    #[serde(default)]
    pub also_asked: Vec<String>,
    /// Of a wipe: when somebody who proved no login said that it is done, and none that it is owed to was heard since.
    #[serde(default)]
    pub unproved: Option<Steady>,
}

/// What enrolled while a wipe was open gets it once. What it answers proves nothing of the certificates that the wipe is owed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Later {
    /// Which.
    pub enrolment: EnrolmentId,
    /// How often it was told.
    pub told: u32,
    /// It has answered.
    pub answered: bool,
}

impl Later {
    /// One that takes it and says nothing is told a second time, since answers get lost, and then served.
    const TOLD: u32 = 2;

    /// Whether it is to be told.
    pub fn is_due(&self) -> bool {
        !self.answered && self.told < Self::TOLD
    }
}

/// Who asks what the server asks by itself: facts and policies. Its commands are no entries of the audit log, which is of people's
/// acts and of devices' answers to them; a fleet's change of policy would drown those.
pub(crate) const SYSTEM: &str = "system";

/// After so long a silence of all that a wipe is owed to it is presumed, where something tells that it was heard or will not be
/// ([`CommandFields::silent_since`]).
pub const SILENCE: Duration = Duration::from_secs(30 * 86_400);

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 2] = [Kind::of::<Command>(), Kind::of::<OfDevice>()];

impl Record for Command {
    const KIND: &'static str = "command";
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn lean(&self) -> Option<Self> {
        let mut lean = self.clone();
        let fields = lean.write();
        fields.id = CommandId::NONE;
        for evidence in fields.evidence.iter_mut().filter(|e| e.enrolment == self.enrolment) {
            evidence.enrolment = EnrolmentId::NONE;
        }
        if self.requested_by == self.asked_by {
            fields.requested_by.clear();
        }
        Some(lean)
    }
    fn whole(mut self, rest: &str) -> Option<Self> {
        let fields = self.write();
        fields.id = rest.parse().ok()?;
        for evidence in fields.evidence.iter_mut().filter(|e| e.enrolment == EnrolmentId::NONE) {
            evidence.enrolment = fields.enrolment;
        }
        if fields.requested_by.is_empty() {
            fields.requested_by.clone_from(&fields.asked_by);
        }
        Some(self)
    }
    fn subject(&self) -> Option<String> {
        Some(self.device.to_string())
    }
}

/// Leads from a device to its commands, ended ones too.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OfDevice {
    /// The device.
    pub device: DeviceId,
    /// One of its commands.
    pub command: CommandId,
}

impl Record for OfDevice {
    const KIND: &'static str = "device-command";
    fn key(&self) -> String {
        format!("{}/{}", self.device.short(), self.command.short())
    }
    fn lean(&self) -> Option<Self> {
        Some(Self { device: DeviceId::NONE, command: CommandId::NONE })
    }
    fn whole(self, rest: &str) -> Option<Self> {
        let (device, command) = rest.split_once('/')?;
        Some(Self { device: DeviceId::of_short(device)?, command: CommandId::of_short(command)? })
    }
}

impl CommandFields {
    /// What kind of act it is.
    pub fn action(&self) -> Action {
        self.act.action()
    }

    /// How much a wipe removes; none of other acts.
    pub fn scope(&self) -> Option<Scope> {
        self.act.scope()
    }

    /// The digits that go with it, sealed.
    pub fn pin(&self) -> Option<&String> {
        self.act.pin()
    }

    /// Whether this administrator asked for it, first or again.
    pub fn was_asked_by(&self, admin: &str) -> bool {
        self.asked_by == admin || self.also_asked.iter().any(|also| also == admin)
    }

    /// What leads to it from its device.
    pub(crate) fn of_device(&self) -> OfDevice {
        OfDevice { device: self.device, command: self.id }
    }

    /// Whether it is owed to this enrolment, which was there when it was asked for.
    pub fn is_owed_to(&self, enrolment: &Enrolment) -> bool {
        match self.owed_to.as_slice() {
            // Of a version that did not keep it.
            [] => enrolment.id == self.enrolment || enrolment.created <= self.created,
            owed_to => owed_to.contains(&enrolment.id),
        }
    }

    /// What enrolled later, as far as this wipe concerns it.
    pub fn later(&self, enrolment: EnrolmentId) -> Option<&Later> {
        self.later.iter().find(|later| later.enrolment == enrolment)
    }

    /// Since when all that it is owed to has been silent, where that counts: where something that enrolled since took such a one's place,
    /// or somebody who proved no login said that it is done.
    pub fn silent_since(&self) -> Option<Steady> {
        let waits = matches!(self.state, State::Queued | State::Sent | State::NotNow);
        let replaced = self.heard.filter(|_| !self.later.is_empty());
        [replaced, self.unproved].into_iter().flatten().min().filter(|_| waits)
    }

    /// Whether it counts when those that it is owed to are heard: a month of their silence may begin at any time, with the next that
    /// enrols.
    pub fn minds_silence(&self) -> bool {
        (self.heard.is_some() || self.unproved.is_some()) && !self.state.is_final()
    }

    /// Whether this enrolment gets nothing else while it is open.
    pub fn binds(&self, enrolment: &Enrolment) -> bool {
        self.is_owed_to(enrolment) || self.later(enrolment.id).is_some_and(Later::is_due)
    }

    /// Whether both are owed to one and the same enrolment.
    pub fn shares_with(&self, other: &CommandFields) -> bool {
        let legacy = self.owed_to.is_empty() || other.owed_to.is_empty();
        legacy || self.owed_to.iter().any(|enrolment| other.owed_to.contains(enrolment))
    }

    /// Whether somebody may still take it back. A wipe that was sent may be done already, unless something proves that it is not, or it
    /// went to others than those that are heard.
    pub fn may_be_taken_back(&self) -> bool {
        match self.state {
            State::Held | State::Queued | State::NotNow => true,
            State::Sent => self.action() != Action::Wipe || self.contradicted > 0 || !self.later.is_empty(),
            _ => false,
        }
    }

    /// Whether a device that is heard contradicts its presumed end. A mail client that was shut out, and nothing more, asks on, and is shut
    /// out; that of a device which another enrolment was to erase says nothing of it.
    pub fn can_be_contradicted(&self) -> bool {
        let shut_out =
            |entry: &Evidence| (entry.kind, entry.enrolment) == (EvidenceKind::AccessBlocked, self.enrolment);
        !self.evidence.iter().any(shut_out)
    }

    /// Whether it is a wipe of this scope.
    pub fn wipes(&self, scope: Scope) -> bool {
        self.scope() == Some(scope)
    }

    /// Whether it is a wipe that the breaker does not hold: mail is shut, other commands wait.
    pub fn is_wipe_under_way(&self) -> bool {
        self.action() == Action::Wipe && !self.state.is_final() && self.hold != Some(Hold::Breaker)
    }
}

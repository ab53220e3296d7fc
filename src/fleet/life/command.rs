//! A command as it is kept.

use super::{
    act::{Act, Action, Scope},
    device::Channel,
    kept::Kept,
};
use crate::{
    clock::{Steady, Timestamp},
    fleet::terms::{EvidenceKind, FailureCode},
    ids::{ApprovalId, CommandId, DeviceId, EnrolmentId, packed},
    store::{Kind, Record},
};
use serde::{Deserialize, Serialize};

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
}

/// Who asks what the server asks by itself: facts and policies. Its commands are no entries of the audit log, which is of people's
/// acts and of devices' answers to them; a fleet's change of policy would drown those.
pub(crate) const SYSTEM: &str = "system";

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

    /// What leads to it from its device.
    pub(crate) fn of_device(&self) -> OfDevice {
        OfDevice { device: self.device, command: self.id }
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

//! What may happen to a device, whoever is behind it: people, the device itself, its mail server, the passing of time.

use super::{
    Managed,
    act::{Act, Erasing},
    command::State,
    device::{Certificate, Channel, Enrolment, EnrolmentState, Grace, Ownership, Platform, Push, renewal::Shown},
};
use crate::{
    clock::Timestamp,
    fleet::{
        audit::Cancelled,
        terms::{EvidenceKind, FailureCode},
    },
    ids::{ApprovalId, CommandId, DeviceId, EnrolmentId, Fingerprint},
    policy::{self, Origins, PartId, Said},
};

use std::{collections::BTreeMap, time::Duration};

/// See the module. An event about a command or an enrolment that the device does not have changes nothing.
#[derive(Debug, Clone)]
pub enum Event {
    /// An enrolment joined: its certificate was shown for the first time, or its mail server took its login.
    Begun {
        /// As it begins.
        enrolment: Box<Enrolment>,
        /// By it the device is its user's own: what must not be erased cannot be.
        personal: bool,
    },
    /// The enrolment is whole (TokenUpdate, first session, first request): it takes the place of a former one of its channel, and the
    /// device begins with an empty queue. For one that was whole before nothing changes, save a renewed certificate that is now in use.
    Completed {
        /// Which.
        enrolment: EnrolmentId,
        /// The certificate that it came with.
        shown: Fingerprint,
    },
    /// An enrolment that never was complete will not be: another one completed the invitation, or its time is over. Of one that is
    /// complete by now nothing changes.
    GivenUp {
        /// Which.
        enrolment: EnrolmentId,
        /// Why, for the audit log.
        why: &'static str,
    },
    /// Another record goes by the same name and is heard, and this enrolment has been silent for long. While a full wipe of it is open it
    /// stays.
    Succeeded {
        /// Which.
        enrolment: EnrolmentId,
        /// The other device, and its enrolment.
        by: (DeviceId, EnrolmentId),
    },
    /// Who has a certificate of which nothing shows that it is the device's says something of a wipe.
    SaidApart {
        /// For which enrolment it was made.
        enrolment: EnrolmentId,
        /// Of which.
        command: CommandId,
        /// In words.
        said: String,
    },
    /// A challenge leaves, for a certificate before the present one ends.
    RenewalOffered {
        /// For which enrolment.
        enrolment: EnrolmentId,
        /// With which command.
        command: CommandId,
        /// The challenge's digest.
        challenge: String,
    },
    /// A certificate for a new key was issued.
    Renewed {
        /// For which enrolment.
        enrolment: EnrolmentId,
        /// The new one. Both are good until it is the pin.
        certificate: Box<Certificate>,
        /// To who showed a challenge; none: the present certificate.
        shown: Option<Shown>,
    },
    /// Something was said under a certificate that is [set apart](Enrolment::is_set_apart).
    ToldAside {
        /// Of which enrolment.
        enrolment: EnrolmentId,
        /// How a push reaches who said it.
        push: Option<Push>,
        /// What the channel keeps; none: nothing more under that name.
        noted: Vec<(&'static str, Option<String>)>,
    },
    /// The enrolment ended by the device's own word (CheckOut, unenrolment alert).
    Left {
        /// Which.
        enrolment: EnrolmentId,
        /// See [`super::command::Evidence::kind`].
        kind: EvidenceKind,
        /// In words.
        detail: String,
    },
    /// An administrator ended certificates: the device gets plain refusals and must enrol anew.
    Revoked {
        /// One enrolment's; none: those of all that live.
        only: Option<EnrolmentId>,
        /// The administrator's id.
        by: String,
        /// Why.
        reason: String,
    },
    /// An administrator opened or shut the door to enrolments. Whether that is allowed was asked before.
    Access {
        /// To which.
        enrolments: Vec<EnrolmentId>,
        /// What is wanted.
        access: Access,
        /// The administrator's id.
        by: String,
        /// Why.
        reason: String,
    },
    /// What the rules of mail say of a mail client on which no person decided.
    Ruled {
        /// Which.
        enrolment: EnrolmentId,
        /// Whether it is let in.
        access: Access,
        /// The rules that give it time.
        graces: BTreeMap<String, Grace>,
    },
    /// A connector told what its Exchange does with a client.
    Found {
        /// Which.
        enrolment: EnrolmentId,
        /// Whether it is given mail there.
        access: Access,
        /// When it was last heard there.
        seen: Option<Timestamp>,
    },
    /// Exchange has shut a client out, as was decided here.
    MailClosed {
        /// Which.
        enrolment: EnrolmentId,
    },
    /// A mail client's record turned out to be this device's.
    Adopted(Box<Managed>),
    /// Something is to be done, and nothing hinders it; or the breaker holds it.
    Asked(Box<Order>),
    /// A command that the breaker holds was asked for again, by somebody whom nothing hinders.
    AskedAgain {
        /// Which.
        command: CommandId,
        /// Another person's: their terms take the place of the former's.
        over: Option<Box<Terms>>,
    },
    /// A second person agreed to a command that the breaker holds.
    Approved(CommandId),
    /// A command came to nothing before it was sent.
    Withdrawn {
        /// Which.
        command: CommandId,
        /// As what it ends.
        end: Withdrawal,
        /// What it shut is opened again.
        open_mail: bool,
        /// Who took it back, for the audit log, and why; none where that is told as a whole.
        told: Option<(String, Cancelled)>,
    },
    /// The store was taken back to an older state: what has not been sent waits for a second person.
    Suspended {
        /// Which command.
        command: CommandId,
        /// Where that person finds it.
        approval: ApprovalId,
    },
    /// An authenticated message came.
    Contact {
        /// By which enrolment.
        enrolment: EnrolmentId,
        /// So long after a presumed end a device may still speak.
        grace: Duration,
        /// When others of the device's enrolments were last heard, as far as that was written apart.
        seen: Vec<(EnrolmentId, Timestamp)>,
    },
    /// Somebody who proved no login says that a wipe is done: it may be, and nothing follows until a month has passed without a contact.
    DoneUnproved(CommandId),
    /// A message came under a certificate whose wipe is proved; it was refused.
    HeardAfterEnd(EnrolmentId),
    /// The same was asked for again while this is open, or of a wipe presumed: its device is to be woken again.
    WokenAgain {
        /// Which command.
        command: CommandId,
        /// The administrator's id, where they are to see its PIN too.
        also: Option<String>,
    },
    /// A time that a command waits for has come.
    Due(CommandId),
    /// The device asks what is due, and has not answered what it was given: what it was heard for so long without answering ends.
    Unanswered {
        /// Which enrolment asks.
        enrolment: EnrolmentId,
        /// The setting `queue.give_up`.
        give_up: Duration,
    },
    /// A command is handed out.
    HandedOut {
        /// To which enrolment.
        enrolment: EnrolmentId,
        /// Which.
        command: CommandId,
    },
    /// The device, or the protocol by its silence after the deed, says what became of a command.
    Answered {
        /// Through which enrolment.
        enrolment: EnrolmentId,
        /// Which.
        command: CommandId,
        /// What.
        outcome: Outcome,
    },
    /// What of the policy is on the way with a command, as far as it has come.
    OnTheWay {
        /// Which.
        command: CommandId,
        /// The parts.
        parts: Vec<String>,
    },
    /// A part of the policy was answered.
    Part {
        /// Over which enrolment.
        enrolment: EnrolmentId,
        /// Which.
        part: PartId,
        /// What became of it.
        fate: Fate,
    },
    /// Parts leave for the device, to be set or to be taken away. From then on nobody knows how they stand, until they are answered.
    PartsLeave {
        /// Over which enrolment.
        enrolment: EnrolmentId,
        /// Which, and what for.
        parts: Vec<Leaving>,
    },
    /// What is in place of these parts concerns nobody any more.
    PartsForgotten {
        /// Over which enrolment.
        enrolment: EnrolmentId,
        /// Which.
        parts: Vec<PartId>,
    },
    /// These parts are other policies' from now on.
    PartsAdopted {
        /// Over which enrolment.
        enrolment: EnrolmentId,
        /// Which, and whose.
        parts: Vec<(PartId, Origins)>,
    },
    /// The device is asked whether it still has these parts. It is not asked again before it is time, whatever it says.
    PartsAsked {
        /// Over which enrolment.
        enrolment: EnrolmentId,
        /// Which.
        parts: Vec<PartId>,
    },
    /// The device was asked whether its passcode keeps to the rules of these parts.
    PasscodeTold {
        /// Over which enrolment.
        enrolment: EnrolmentId,
        /// Which, and its word on each; none: it did not say.
        parts: Vec<(PartId, Option<Said>)>,
    },
    /// Somebody wants to know how the device stands: what was refused is tried again, a renewal too, and all that is set is read back.
    LookAgain,
    /// The device answered what it is and how it stands: that is asked again after a while.
    FactsTold,
    /// The device said something of itself.
    Told(Box<Claim>),
    /// The enrolment was heard, with something to write anyway.
    Heard(EnrolmentId),
    /// How a push reaches it (Apple's TokenUpdate).
    PushTold {
        /// Of which enrolment.
        enrolment: EnrolmentId,
        /// Where to.
        push: Push,
    },
    /// APNs says that the token is good for nothing since then (milliseconds since 1970): no more pushes, unless another came since.
    PushRetired {
        /// Of which enrolment.
        enrolment: EnrolmentId,
        /// The token.
        token: String,
        /// Since when.
        since: Option<u64>,
    },
    /// A Mac told of one of its users.
    UserTold {
        /// By which enrolment.
        enrolment: EnrolmentId,
        /// The user's id on the channel.
        id: String,
        /// What the Mac calls them.
        name: Option<String>,
        /// How a push reaches them.
        push: Push,
    },
    /// What the channel keeps about an enrolment.
    Noted {
        /// Which.
        enrolment: EnrolmentId,
        /// Under which name.
        name: &'static str,
        /// None: nothing more.
        value: Option<String>,
    },
    /// The device was put into a group, or taken out.
    Grouped {
        /// Which.
        group: String,
        /// Whether it is in it from now on.
        inside: bool,
    },
    /// An administrator wants to see no more of what has ended ([`Managed::may_be_removed`]).
    Removed {
        /// The administrator's id.
        by: String,
    },
    /// A device whose record was removed is heard.
    Back,
    /// An administrator says whose the device is: the organisation's, or its user's own.
    Owned {
        /// Whose.
        ownership: Ownership,
        /// The administrator's id.
        by: String,
    },
    /// A device that nobody had got its person.
    Given {
        /// The user's name.
        user: String,
        /// The administrator's id.
        by: String,
    },
}

/// What an administrator lets an enrolment do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Come in; frees one that was blocked, quarantined, retired or wiped.
    Allow,
    /// Stay out.
    Block,
    /// Wait at the door.
    Quarantine,
}

impl Access {
    /// Where the enrolment stands by it.
    pub(super) fn state(self) -> EnrolmentState {
        match self {
            Self::Allow => EnrolmentState::Enrolled,
            Self::Block => EnrolmentState::Blocked,
            Self::Quarantine => EnrolmentState::Quarantined,
        }
    }
}

/// How a command comes to nothing before it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawal {
    /// Somebody took it back.
    Cancelled,
    /// Nobody decided in time.
    Expired,
}

impl Withdrawal {
    pub(super) fn state(self) -> State {
        match self {
            Self::Cancelled => State::Cancelled,
            Self::Expired => State::Expired,
        }
    }
}

/// What is to be done, and for whom.
#[derive(Debug, Clone)]
pub struct Order {
    /// The new command's id.
    pub id: CommandId,
    /// The act.
    pub act: Act,
    /// The enrolment that carries it.
    pub enrolment: EnrolmentId,
    /// Its channel.
    pub channel: Channel,
    /// Who asks.
    pub by: Asker,
    /// Why.
    pub reason: String,
    /// The undo window, in seconds.
    pub delay: u64,
    /// It comes to nothing then.
    pub expires: Option<Timestamp>,
    /// The breaker holds it: the approval that it waits for.
    pub held: Option<ApprovalId>,
}

/// Who asks for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asker {
    /// The server itself: facts and policies.
    System,
    /// An administrator.
    Person {
        /// Their id.
        id: String,
        /// Their name.
        name: String,
    },
}

/// What a wipe that is asked for by another takes from their request: nothing of what the first chose holds, be it an undo window of
/// weeks or a PIN that they know.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The administrator's id.
    pub id: String,
    /// Their name.
    pub name: String,
    /// Why.
    pub reason: String,
    /// A Mac's six digits, sealed.
    pub pin: Option<String>,
    /// How an Apple device erases itself.
    pub how: Erasing,
    /// The undo window, in seconds.
    pub delay: u64,
    /// It comes to nothing then.
    pub expires: Option<Timestamp>,
}

/// What a device (or the protocol, by its silence after the deed) says of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Done, with proof of this kind and in these words.
    Done {
        /// See [`super::command::Evidence::kind`].
        kind: EvidenceKind,
        /// In words.
        detail: String,
    },
    /// Accepted, and the protocol cannot answer after the deed; on this ground it counts as done.
    Presumed {
        /// See [`super::command::Evidence::kind`].
        kind: EvidenceKind,
        /// The ground.
        detail: String,
    },
    /// Refused or failed.
    Failed {
        /// The protocol's code.
        code: FailureCode,
        /// In words.
        text: String,
    },
    /// Not now; it will be asked again.
    NotNow,
    /// One message of several is through; the next is due.
    Step,
}

/// A part on its way to the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaving {
    /// To be set.
    Set {
        /// Which.
        part: PartId,
        /// Its hash.
        hash: String,
        /// Whose it is.
        of: Origins,
    },
    /// To be taken away.
    Away(PartId),
}

/// What became of a part of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It was sent with this hash, and so answered.
    Sent {
        /// Of the part as it was sent.
        hash: String,
        /// The answer.
        outcome: policy::Outcome,
    },
    /// It is gone: it was looked for, or the device knows no such thing.
    Gone,
    /// The device says that it took it away. That is looked into when it is next read back.
    Away,
    /// It was looked for after that, and is there.
    Stays,
    /// It was to go, and the device refused that; in its words.
    Stuck(String),
    /// It was read back, and holds.
    Seen,
    /// It was read back, and does not.
    Lost,
    /// It was to be read back, and the device answered this instead.
    Unread(String),
    /// It was asked whether its passcode keeps to this, and answered this instead.
    PasscodeUnread(String),
}

/// What a device says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claim {
    /// Its own name in the protocol.
    pub identity: String,
    /// Its kind, where it can be told.
    pub platform: Option<Platform>,
    /// Serial number.
    pub serial: Option<String>,
    /// The name people gave it.
    pub name: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// Version of its system.
    pub os_version: Option<String>,
    /// The name of its mail client (EASDeviceIdentifier, ExchangeID).
    pub mail_id: Option<String>,
    /// The hardware's own id.
    pub hardware_id: Option<String>,
    /// How it stands (encryption, passcode …), for compliance.
    pub facts: Vec<(&'static str, String)>,
}

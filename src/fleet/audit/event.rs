//! All that the audit log tells of, and who did it. How each is said stands in `words.rs` alone; the log's chain knows nothing of it.

mod words;

pub(crate) use words::ACTIONS;
pub use words::UNKNOWN_CERTIFICATE;
pub(super) use words::Words;

use super::Head;
use crate::{
    clock::Timestamp,
    fleet::terms::{Action, Channel, EvidenceKind, Ground, Jump, State},
    ids::{ApprovalId, CommandId, DeviceId, EnrolmentId, Fingerprint, InvitationId, TokenId},
};
use std::net::IpAddr;
use uuid::Uuid;

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// An administrator, by the id.
    Admin(String),
    /// A device that is known, or shows a certificate of ours.
    Device,
    /// The server by itself.
    System,
    /// Somebody who proves nothing.
    Stranger,
}

/// What happened. Free texts in it are what somebody typed, or a device said.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Event {
    /// A person asked for a command, or took one over that another had asked for.
    CommandAsked {
        command: CommandId,
        device: DeviceId,
        action: Action,
        pass: Pass,
        reason: String,
    },
    /// It was handed out.
    CommandSent {
        command: CommandId,
        device: DeviceId,
        action: Action,
        enrolment: EnrolmentId,
    },
    /// It was handed out again, unanswered in an earlier session: the device may do it twice.
    CommandRepeated {
        command: CommandId,
        device: DeviceId,
        action: Action,
        enrolment: EnrolmentId,
    },
    CommandCancelled {
        command: CommandId,
        device: DeviceId,
        why: Cancelled,
    },
    /// Its undo window ended.
    CommandReleased {
        command: CommandId,
        device: DeviceId,
    },
    CommandExpired {
        command: CommandId,
        device: DeviceId,
    },
    /// By what a device answered.
    WipeEnded {
        command: CommandId,
        device: DeviceId,
        end: State,
    },
    /// A device whose wipe was presumed is heard: it is sent again.
    WipeContradicted {
        command: CommandId,
        device: DeviceId,
        enrolment: EnrolmentId,
    },
    /// The enrolment that carried it is gone, and another carries it now.
    WipeHandedOver {
        command: CommandId,
        device: DeviceId,
        to: EnrolmentId,
        channel: Channel,
        from: EnrolmentId,
    },
    /// A mail client answered that it failed.
    WipeDeclined {
        command: Option<CommandId>,
        device: DeviceId,
    },
    /// The mail server that ordered a wipe took what the device said of it.
    WipeToldUpstream {
        command: CommandId,
        device: DeviceId,
        erases: bool,
    },
    /// An answer about what was never sent.
    AnswerUnasked {
        enrolment: EnrolmentId,
        answer: Unasked,
    },
    /// A wipe's acknowledgement of somebody without a login.
    AnswerUnproved {
        enrolment: EnrolmentId,
        device: DeviceId,
    },
    CertificateIssued {
        enrolment: EnrolmentId,
        invitation: InvitationId,
    },
    CertificateRenewed {
        enrolment: EnrolmentId,
        device: DeviceId,
    },
    CertificateRevoked {
        enrolment: EnrolmentId,
        device: Option<DeviceId>,
    },
    /// One of our CA that is not in the store.
    CertificateUnknown {
        sha256: Fingerprint,
    },
    /// A certificate was shown for the first time.
    EnrolmentBegun {
        enrolment: EnrolmentId,
        device: DeviceId,
    },
    /// Another record goes by its name and is heard, and it was silent for long.
    EnrolmentSucceeded {
        enrolment: EnrolmentId,
        device: DeviceId,
        by: DeviceId,
    },
    /// One that never was complete will not be.
    EnrolmentGivenUp {
        enrolment: EnrolmentId,
        device: DeviceId,
        why: &'static str,
    },
    EnrolmentComplete {
        enrolment: EnrolmentId,
        device: DeviceId,
        proof: Proof,
    },
    EnrolmentRefused {
        enrolment: EnrolmentId,
        device: Option<DeviceId>,
        ground: Ground,
    },
    /// By the device's own word, of this kind.
    EnrolmentLeft {
        enrolment: EnrolmentId,
        device: DeviceId,
        kind: EvidenceKind,
    },
    EnrolmentRevoked {
        enrolment: EnrolmentId,
        device: DeviceId,
        reason: String,
    },
    /// A mail enrolment turned out to be this device's; what was its own device is gone.
    EnrolmentJoined {
        enrolment: EnrolmentId,
        device: DeviceId,
        former: DeviceId,
    },
    EnrolmentAllowed {
        enrolment: EnrolmentId,
        device: DeviceId,
        reason: String,
    },
    EnrolmentBlocked {
        enrolment: EnrolmentId,
        device: DeviceId,
        reason: String,
    },
    EnrolmentQuarantined {
        enrolment: EnrolmentId,
        device: DeviceId,
        reason: String,
    },
    /// Its person signed in and said the code of its notice.
    EnrolmentClaimed {
        enrolment: EnrolmentId,
        device: DeviceId,
    },
    ConnectorInvited {
        org: String,
        invitation: Uuid,
    },
    ConnectorEnrolled {
        org: String,
        instance: Uuid,
    },
    /// It leads its organisation's connectors from now on.
    ConnectorLeads {
        org: String,
        instance: Uuid,
    },
    ConnectorRemoved {
        org: String,
    },
    /// Exchange has something otherwise than was decided or set here.
    ExchangeDrift(Drifted),
    /// What Exchange is to decide by itself was set; none: it is left as it is from now on.
    ExchangeAccessSet {
        org: String,
        access: Option<String>,
    },
    /// Another user's device goes by the name that this enrolment's device tells.
    DeviceNameTaken {
        enrolment: EnrolmentId,
    },
    /// An administrator wants to see no more of one that has ended.
    DeviceRemoved {
        device: DeviceId,
        /// The record that took its place, where its end is not proved.
        newer: Option<DeviceId>,
    },
    /// It was heard again.
    DeviceBack {
        device: DeviceId,
    },
    /// Somebody said whose it is: `corporate` or `personal`.
    DeviceOwned {
        device: DeviceId,
        ownership: &'static str,
    },
    /// A device that nobody had got its person.
    DeviceGiven {
        device: DeviceId,
        user: String,
    },
    GroupMade {
        group: String,
    },
    GroupDeleted {
        group: String,
    },
    /// A device was put into a group.
    GroupAdded {
        group: String,
        device: DeviceId,
    },
    /// A device was taken out of a group.
    GroupRemoved {
        group: String,
        device: DeviceId,
    },
    PolicyApplied {
        policy: String,
        diff: String,
    },
    PolicyDeleted {
        policy: String,
    },
    InvitationRevoked {
        invitation: InvitationId,
    },
    InvitationMade {
        invitation: InvitationId,
        whom: Invited,
    },
    /// The name is empty for `local`, which is made with the store.
    AdminMade {
        admin: String,
        name: String,
    },
    AdminRemoved {
        admin: String,
        name: String,
    },
    TokenMade {
        token: TokenId,
        admin: String,
    },
    TokenRevoked {
        token: TokenId,
    },
    SettingSet {
        key: String,
        value: String,
        counts: Counts,
    },
    MailRulesSet {
        rules: String,
        counts: Counts,
    },
    StopSet,
    StopLifted,
    ApprovalAsked {
        approval: ApprovalId,
        detail: String,
    },
    ApprovalDecided {
        approval: ApprovalId,
        decision: Decision,
    },
    ClockJumped {
        jump: Jump,
    },
    /// A person says that the clock is right.
    ClockAccepted {
        wall: Timestamp,
    },
    /// APNs takes its push token no more.
    PushRetired {
        enrolment: EnrolmentId,
        device: DeviceId,
    },
    PushCertificateSet {
        topic: String,
        sha256: String,
    },
    StoreLossAccepted {
        loss: Loss,
    },
    /// Refused within a minute; without an address: those beyond what is counted by address.
    StrangerRefused {
        address: Option<IpAddr>,
        count: u64,
    },
    /// Ties the chains of all nodes together.
    Checkpoint {
        node: String,
        heads: Vec<Head>,
    },
}

/// What somebody changed in Exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Drifted {
    /// On which list a client stands, or under which policy its mailbox is.
    Client { enrolment: EnrolmentId, device: DeviceId },
    /// What was set of the organisation: its settings, a rule, or what a mailbox policy says.
    Organisation { org: String, what: String },
}

/// Whether what was asked for goes its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// To its device.
    Free,
    /// It waits: for a second person, or in its undo window.
    Held,
}

/// From when on a setting counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// At once.
    Now,
    /// After the newcomers' wait: it loosens a guard.
    Later,
}

/// Why a command was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// A person wanted it so.
    ByHand,
    /// With all that was unsent.
    EmergencyStop,
    /// A full wipe takes its place.
    ReplacedByFullWipe,
    /// It was approved when a full wipe had overtaken it.
    FullWipeUnderWay,
    /// The mail server that ordered it does so no more.
    AtMailServer,
}

/// What was answered though nobody had asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unasked {
    /// The outcome of a command that was never sent.
    Command(CommandId),
    /// A mail client's acknowledgement of a wipe.
    MailWipe,
}

/// Whom an invitation is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invited {
    /// The user of this name.
    User(String),
    /// So many devices of nobody in particular, which come into this group.
    Many(u32, Option<String>),
}

/// What an enrolment was completed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The certificate that it is pinned to.
    Certificate,
    /// A login that the mail server took; the enrolment then stands so, as the API shows it.
    Password(&'static str),
    /// A connector's report; likewise.
    Reported(&'static str),
}

/// What became of an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Decision {
    Approved,
    Rejected,
    /// Nobody decided in time.
    Expired,
}

/// What was there when the loss of records was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The commit that the store is taken as of.
    pub commit: u64,
    /// The last commit that was acknowledged, where that is known.
    pub expected: Option<u64>,
    /// Records that can be read.
    pub records: u64,
    /// Records that are not there.
    pub missing: u64,
    /// Records that cannot be read.
    pub unreadable: usize,
    /// The first of those, by name.
    pub named: Vec<String>,
    /// Commands that are held because of it.
    pub held: usize,
}

#[cfg(test)]
mod tests;

//! The words of each event, as an operator reads them in the audit log: the only place that knows them, save those of values that
//! others say too (`terms.rs`).

use super::{By, Cancelled, Counts, Decision, Drifted, Event, Invited, Loss, Pass, Proof, Unasked};
use crate::{
    fleet::terms::Action,
    ids::{DeviceId, EnrolmentId},
};

/// Every action that there is.
pub(crate) const ACTIONS: [&str; 72] = [
    "admin.made",
    "admin.removed",
    "answer.unasked",
    "answer.unproved",
    "approval.asked",
    "approval.decided",
    "certificate.issued",
    "certificate.renewed",
    "certificate.revoked",
    "certificate.unknown",
    "checkpoint",
    "clear_passcode.asked",
    "clock.accepted",
    "clock.jump",
    "command.cancelled",
    "command.expired",
    "command.released",
    "command.repeated",
    "command.sent",
    "connector.enrolled",
    "connector.invited",
    "connector.led",
    "connector.removed",
    "device.back",
    "device.name_taken",
    "device.ownership",
    "device.removed",
    "device.user",
    "enrolment.allowed",
    "enrolment.begun",
    "enrolment.blocked",
    "enrolment.claimed",
    "enrolment.complete",
    "enrolment.given_up",
    "enrolment.joined",
    "enrolment.left",
    "enrolment.quarantined",
    "enrolment.refused",
    "enrolment.revoked",
    "enrolment.succeeded",
    "exchange.access",
    "exchange.drift",
    "group.added",
    "group.deleted",
    "group.made",
    "group.removed",
    "invitation.made",
    "invitation.revoked",
    "lock.asked",
    "mail_rules.set",
    "policy.applied",
    "policy.asked",
    "policy.deleted",
    "push.retired",
    "push_cert.set",
    "rename.asked",
    "renew.asked",
    "restart.asked",
    "setting.set",
    "stop.off",
    "stop.on",
    "store.loss_accepted",
    "stranger.refused",
    "sync.asked",
    "token.made",
    "token.revoked",
    "wipe.asked",
    "wipe.contradicted",
    "wipe.declined",
    "wipe.ended",
    "wipe.handed_over",
    "wipe.told_upstream",
];

/// An event as the log keeps it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) action: &'static str,
    pub(crate) subject: String,
    /// The device that it concerns: found by it, and kept when the device's record is gone.
    pub(crate) device: Option<DeviceId>,
    /// An enrolment that may not be bound to a device yet: found by the device that it is bound to then.
    pub(crate) enrolment: Option<EnrolmentId>,
    pub(crate) outcome: &'static str,
    /// What is personal belongs here alone.
    pub(crate) detail: String,
}

impl Words {
    /// With the outcome `ok` where nothing else is said.
    fn of(action: &'static str, subject: &dyn ToString) -> Self {
        let subject = subject.to_string();
        Self { action, subject, device: None, enrolment: None, outcome: "ok", detail: String::new() }
    }
    fn on(self, device: impl Into<Option<DeviceId>>) -> Self {
        Self { device: device.into(), ..self }
    }
    fn by(self, enrolment: EnrolmentId) -> Self {
        Self { enrolment: Some(enrolment), ..self }
    }
    fn outcome(self, outcome: &'static str) -> Self {
        Self { outcome, ..self }
    }
    fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }
}

impl Event {
    /// What an operator reads: docs/operations.md lists the actions. They are kept for ever, so that they are never renamed.
    pub(crate) fn words(self) -> Words {
        let of = Words::of;
        match self {
            Self::CommandAsked { command, device, action, pass, reason } => {
                of(asked(action), &command).on(device).outcome(pass.as_str()).detail(reason)
            }
            Self::CommandSent { command, device, action, enrolment } => of("command.sent", &command)
                .on(device)
                .outcome(action.as_str())
                .detail(format!("enrolment {enrolment}")),
            Self::CommandRepeated { command, device, action, enrolment } => {
                let detail = format!("enrolment {enrolment}");
                of("command.repeated", &command).on(device).outcome(action.as_str()).detail(detail)
            }
            Self::CommandCancelled { command, device, why } => {
                of("command.cancelled", &command).on(device).detail(why.words())
            }
            Self::CommandReleased { command, device } => {
                of("command.released", &command).on(device).detail("its undo window ended")
            }
            Self::CommandExpired { command, device } => of("command.expired", &command).on(device),
            Self::WipeEnded { command, device, end } => of("wipe.ended", &command).on(device).outcome(end.as_str()),
            Self::WipeContradicted { command, device, enrolment } => {
                of("wipe.contradicted", &command).on(device).detail(format!("heard by enrolment {enrolment}"))
            }
            Self::WipeHandedOver { command, device, to, channel, from } => {
                let detail = format!("from {from} to {to}");
                of("wipe.handed_over", &command).on(device).outcome(channel.as_str()).detail(detail)
            }
            Self::WipeDeclined { command, device } => {
                let detail = "the client answered status 2; it is told again";
                let subject = command.map(|id| id.to_string()).unwrap_or_default();
                of("wipe.declined", &subject).on(device).outcome("pending").detail(detail)
            }
            Self::WipeToldUpstream { command, device, erases } => {
                let detail = format!("the device's own acknowledgement, status {}", if erases { 1 } else { 2 });
                of("wipe.told_upstream", &command).on(device).detail(detail)
            }
            Self::AnswerUnasked { enrolment, answer } => {
                let (subject, detail) = match answer {
                    Unasked::Command(id) => (id.to_string(), format!("enrolment {enrolment}")),
                    Unasked::MailWipe => (enrolment.to_string(), "a wipe's acknowledgement".into()),
                };
                of("answer.unasked", &subject).by(enrolment).outcome("ignored").detail(detail)
            }
            Self::AnswerUnproved { enrolment, device } => {
                let detail = "a wipe's acknowledgement without a login";
                of("answer.unproved", &enrolment).on(device).outcome("ignored").detail(detail)
            }
            Self::CertificateIssued { enrolment, invitation } => {
                of("certificate.issued", &enrolment).by(enrolment).detail(format!("invitation {invitation}"))
            }
            Self::CertificateRenewed { enrolment, device } => of("certificate.renewed", &enrolment).on(device),
            Self::CertificateRevoked { enrolment, device } => of("certificate.revoked", &enrolment).on(device),
            Self::CertificateUnknown { sha256 } => {
                of("certificate.unknown", &sha256).outcome("refused").detail(UNKNOWN_CERTIFICATE)
            }
            Self::EnrolmentBegun { enrolment, device } => of("enrolment.begun", &enrolment).on(device),
            Self::EnrolmentComplete { enrolment, device, proof } => {
                let complete = of("enrolment.complete", &enrolment).on(device);
                match proof {
                    Proof::Certificate => complete,
                    Proof::Reported(state) => {
                        complete.outcome(state).detail(format!("device {device}, reported by a connector"))
                    }
                    Proof::Password(state) => complete.outcome(state).detail(format!("device {device}, by password")),
                }
            }
            Self::EnrolmentGivenUp { enrolment, device, why } => {
                of("enrolment.given_up", &enrolment).on(device).detail(why)
            }
            Self::EnrolmentSucceeded { enrolment, device, by } => {
                let detail =
                    format!("device {by} goes by the same name and is heard, and this one has been silent for a day");
                of("enrolment.succeeded", &enrolment).on(device).detail(detail)
            }
            Self::EnrolmentRefused { enrolment, device, ground } => {
                of("enrolment.refused", &enrolment).on(device).by(enrolment).outcome("refused").detail(ground.as_str())
            }
            Self::EnrolmentLeft { enrolment, device, kind } => {
                of("enrolment.left", &enrolment).on(device).detail(kind.as_str())
            }
            Self::EnrolmentRevoked { enrolment, device, reason } => {
                of("enrolment.revoked", &enrolment).on(device).detail(reason)
            }
            Self::EnrolmentJoined { enrolment, device, former } => {
                of("enrolment.joined", &enrolment).on(device).detail(format!("device {former} joins {device}"))
            }
            Self::EnrolmentAllowed { enrolment, device, reason } => {
                of("enrolment.allowed", &enrolment).on(device).detail(reason)
            }
            Self::EnrolmentBlocked { enrolment, device, reason } => {
                of("enrolment.blocked", &enrolment).on(device).detail(reason)
            }
            Self::EnrolmentQuarantined { enrolment, device, reason } => {
                of("enrolment.quarantined", &enrolment).on(device).detail(reason)
            }
            Self::EnrolmentClaimed { enrolment, device } => {
                let detail = "its user signed in with the code of its notice; it still waits";
                of("enrolment.claimed", &enrolment).on(device).by(enrolment).outcome("noted").detail(detail)
            }
            Self::ConnectorInvited { org, invitation } => {
                of("connector.invited", &org).detail(format!("invitation {invitation}"))
            }
            Self::ConnectorEnrolled { org, instance } => {
                of("connector.enrolled", &org).detail(format!("instance {instance}"))
            }
            Self::ConnectorLeads { org, instance } => of("connector.led", &org).detail(format!("instance {instance}")),
            Self::ConnectorRemoved { org } => of("connector.removed", &org),
            Self::ExchangeDrift(Drifted::Client { enrolment, device }) => {
                let detail = "Exchange treats it otherwise than was decided here; it is set right";
                of("exchange.drift", &enrolment).on(device).by(enrolment).outcome("noted").detail(detail)
            }
            Self::ExchangeDrift(Drifted::Organisation { org, what }) => of("exchange.drift", &org)
                .outcome("noted")
                .detail(format!("otherwise than was set here: {what}; it is set right")),
            Self::ExchangeAccessSet { org, access } => {
                of("exchange.access", &org).detail(access.unwrap_or_else(|| "left as it is from now on".into()))
            }
            Self::DeviceNameTaken { enrolment } => {
                let detail = "another user's device goes by the same name; nothing was joined";
                of("device.name_taken", &enrolment).by(enrolment).outcome("noted").detail(detail)
            }
            Self::DeviceRemoved { device, newer } => {
                let detail = newer.map(|newer| format!("device {newer} took its place")).unwrap_or_default();
                of("device.removed", &device).on(device).detail(detail)
            }
            Self::DeviceBack { device } => of("device.back", &device).on(device),
            Self::DeviceOwned { device, ownership } => of("device.ownership", &device).on(device).detail(ownership),
            Self::DeviceGiven { device, user } => of("device.user", &device).on(device).detail(user),
            Self::GroupMade { group } => of("group.made", &group),
            Self::GroupDeleted { group } => of("group.deleted", &group),
            Self::GroupAdded { group, device } => of("group.added", &device).on(device).detail(group),
            Self::GroupRemoved { group, device } => of("group.removed", &device).on(device).detail(group),
            Self::PolicyApplied { policy, diff } => of("policy.applied", &policy).detail(diff),
            Self::PolicyDeleted { policy } => of("policy.deleted", &policy),
            Self::InvitationRevoked { invitation } => of("invitation.revoked", &invitation),
            Self::InvitationMade { invitation, whom } => {
                let detail = match whom {
                    Invited::User(user) => user,
                    Invited::Many(uses, group) => {
                        let group = group.map(|group| format!(", group {group}")).unwrap_or_default();
                        format!("for {uses} devices of nobody in particular{group}")
                    }
                };
                of("invitation.made", &invitation).detail(detail)
            }
            Self::AdminMade { admin, name } => of("admin.made", &admin).detail(name),
            Self::AdminRemoved { admin, name } => of("admin.removed", &admin).detail(name),
            Self::TokenMade { token, admin } => of("token.made", &token).detail(admin),
            Self::TokenRevoked { token } => of("token.revoked", &token),
            Self::SettingSet { key, value, counts } => of("setting.set", &key).outcome(counts.as_str()).detail(value),
            Self::MailRulesSet { rules, counts } => {
                of("mail_rules.set", &"mail").outcome(counts.as_str()).detail(rules)
            }
            Self::StopSet => of("stop.on", &"stop"),
            Self::StopLifted => of("stop.off", &"stop"),
            Self::ApprovalAsked { approval, detail } => {
                of("approval.asked", &approval).outcome("waiting").detail(detail)
            }
            Self::ApprovalDecided { approval, decision } => {
                of("approval.decided", &approval).outcome(decision.as_str())
            }
            Self::ClockJumped { jump } => of("clock.jump", &"clock").outcome(jump.outcome()).detail(jump.words()),
            Self::ClockAccepted { wall } => of("clock.accepted", &"clock").detail(wall.to_string()),
            Self::PushRetired { enrolment, device } => of("push.retired", &enrolment).on(device),
            Self::PushCertificateSet { topic, sha256 } => of("push_cert.set", &topic).detail(sha256),
            Self::StoreLossAccepted { loss } => of("store.loss_accepted", &"store").detail(loss.words()),
            Self::StrangerRefused { address, count } => {
                let subject = address.map_or_else(|| "others".to_string(), |address| address.to_string());
                of("stranger.refused", &subject).outcome("refused").detail(count.to_string())
            }
            Self::Checkpoint { node, heads } => {
                let heads: Vec<String> = heads.iter().map(|h| format!("{} {} {}", h.node, h.seq, h.hash)).collect();
                of("checkpoint", &node).detail(heads.join("; "))
            }
        }
    }
}

/// The log of the server says it as well.
pub const UNKNOWN_CERTIFICATE: &str =
    "a certificate of our CA that the store does not know: is the store an older copy? (docs/backup.md)";

fn asked(action: Action) -> &'static str {
    match action {
        Action::Wipe => "wipe.asked",
        Action::Lock => "lock.asked",
        Action::ClearPasscode => "clear_passcode.asked",
        Action::Restart => "restart.asked",
        Action::Refresh => "sync.asked",
        Action::Policy => "policy.asked",
        Action::Rename => "rename.asked",
        Action::Renew => "renew.asked",
    }
}

impl Pass {
    fn as_str(self) -> &'static str {
        match self {
            Self::Free => "ok",
            Self::Held => "held",
        }
    }
}

impl Counts {
    fn as_str(self) -> &'static str {
        match self {
            Self::Now => "ok",
            Self::Later => "pending",
        }
    }
}

impl Cancelled {
    fn words(self) -> &'static str {
        match self {
            Self::ByHand => "",
            Self::EmergencyStop => "emergency stop",
            Self::ReplacedByFullWipe => "replaced by a full wipe",
            Self::FullWipeUnderWay => "a full wipe is under way",
            Self::AtMailServer => "at the mail server that ordered it",
        }
    }
}

impl Decision {
    fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }
}

impl Loss {
    fn words(&self) -> String {
        let Self { commit, records, missing, unreadable, held, .. } = self;
        let expected = self.expected.map_or("unknown".into(), |n| n.to_string());
        format!(
            "taken as of commit {commit}, of {expected}; {records} records, {missing} missing, {unreadable} unreadable {}; {held} \
             commands are held",
            self.named.join(" "),
        )
    }
}

impl By {
    /// As the log keeps it.
    pub(crate) fn into_text(self) -> String {
        match self {
            Self::Admin(id) => id,
            Self::Device => "device".into(),
            Self::System => "system".into(),
            Self::Stranger => "stranger".into(),
        }
    }
}

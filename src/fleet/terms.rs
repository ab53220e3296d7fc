//! What all of the fleet names: kinds of acts, states, channels, grounds. Plain values without records, so that the audit log, on
//! which everything else rests, can say them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Remove the organisation's data, or everything.
    Wipe,
    /// Lock the screen.
    Lock,
    /// Remove the passcode.
    ClearPasscode,
    /// Restart.
    Restart,
    /// Ask the device what it is and how it stands.
    #[serde(rename = "sync")]
    Refresh,
    /// Bring its settings to the policy.
    Policy,
    /// Give it a name.
    Rename,
    /// Let it get a new certificate before the present one ends.
    Renew,
}

impl Action {
    /// Each of them.
    pub const ALL: [Self; 8] = [
        Self::Wipe,
        Self::Lock,
        Self::ClearPasscode,
        Self::Restart,
        Self::Rename,
        Self::Refresh,
        Self::Policy,
        Self::Renew,
    ];
    /// As it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wipe => "wipe",
            Self::Lock => "lock",
            Self::ClearPasscode => "clear_passcode",
            Self::Restart => "restart",
            Self::Refresh => "sync",
            Self::Policy => "policy",
            Self::Rename => "rename",
            Self::Renew => "renew",
        }
    }
    /// Whether the breaker stands before it.
    pub fn is_guarded(self) -> bool {
        match self {
            Self::Wipe | Self::Lock | Self::ClearPasscode => true,
            Self::Restart | Self::Refresh | Self::Policy | Self::Rename | Self::Renew => false,
        }
    }
}

/// Where a command stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum State {
    Held,
    Queued,
    Sent,
    NotNow,
    Acknowledged,
    Confirmed,
    Presumed,
    Failed,
    Cancelled,
    Expired,
}

impl State {
    /// Each of them.
    pub const ALL: [Self; 10] = [
        Self::Held,
        Self::Queued,
        Self::Sent,
        Self::NotNow,
        Self::Acknowledged,
        Self::Confirmed,
        Self::Presumed,
        Self::Failed,
        Self::Cancelled,
        Self::Expired,
    ];
    /// As it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::NotNow => "not_now",
            Self::Acknowledged => "acknowledged",
            Self::Confirmed => "confirmed",
            Self::Presumed => "presumed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
    /// Whether nothing more is to come, save evidence.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Held | Self::Queued | Self::Sent | Self::NotNow)
    }
}

/// A management protocol as the queue sees it, strongest first: that order decides which one carries a wipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Apple MDM.
    Apple,
    /// OMA-DM, with Windows enrolment.
    Omadm,
    /// Exchange through a connector.
    Exchange,
    /// ActiveSync through our gateway.
    Activesync,
}

impl Channel {
    /// As it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Apple => "apple",
            Self::Omadm => "omadm",
            Self::Exchange => "exchange",
            Self::Activesync => "activesync",
        }
    }

    /// Whether it is a mail client's way: a gateway's, or a connector's.
    pub fn is_mail(self) -> bool {
        matches!(self, Self::Activesync | Self::Exchange)
    }

    /// As policy knows it; none where a channel carries no policy.
    pub fn for_policy(self) -> Option<crate::policy::Channel> {
        match self {
            Self::Apple => Some(crate::policy::Channel::Apple),
            Self::Omadm => Some(crate::policy::Channel::Omadm),
            Self::Activesync => Some(crate::policy::Channel::Activesync),
            Self::Exchange => None,
        }
    }
}

/// How a request with a certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It speaks for its enrolment.
    Good,
    /// The enrolment's retire or wipe is final: the one case in which an Apple device is told to unenrol.
    Ended,
    /// No certificate of ours, or one that nobody is pinned to.
    Unknown,
    /// Revoked.
    Revoked,
    /// Past its end.
    Expired,
    /// The enrolment is blocked by an administrator.
    Blocked,
    /// Its enrolment was replaced by a newer one.
    Superseded,
}

impl Standing {
    /// For the audit log and the log.
    pub fn ground(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Ended => "its retire or wipe is final",
            Self::Unknown => "the certificate is no enrolment's",
            Self::Revoked => "the certificate is revoked",
            Self::Expired => "the certificate has expired",
            Self::Blocked => "the enrolment is blocked",
            Self::Superseded => "a newer enrolment has taken its place",
        }
    }
}

/// Why an enrolment that is known was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// By how its certificate stands.
    Standing(Standing),
    /// The certificate is another enrolment's, or one of another channel.
    SpeaksForAnother,
    /// At the mail gateway: the certificate was issued for another channel.
    OtherChannel,
    /// The mail client's name is not the one that the certificate is bound to.
    OtherDevice,
    /// The login beside the certificate is somebody else's.
    OtherUser,
    /// Nothing says whose the login beside the certificate is.
    UnknownUser,
    /// An enrolment with a certificate came with a login alone, or with a signature that its profile did not ask for.
    NoCertificate,
    /// It has no certificate, and was revoked by itself.
    EnrolmentRevoked,
}

impl From<Standing> for Ground {
    fn from(standing: Standing) -> Self {
        Self::Standing(standing)
    }
}

impl Ground {
    /// For the audit log and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standing(standing) => standing.ground(),
            Self::SpeaksForAnother => "it speaks for another device, or on another channel",
            Self::OtherChannel => "the certificate is another channel's",
            Self::OtherDevice => "the certificate belongs to another device",
            Self::OtherUser => "the login is another user's",
            Self::UnknownUser => "nothing says whether the login is the same user's (eas.domain, --eas-users)",
            Self::NoCertificate => "no certificate was shown",
            Self::EnrolmentRevoked => "the enrolment is revoked",
        }
    }
}

/// The clock jumped: by so many milliseconds, and what that means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jump {
    /// Little enough to be believed at once.
    Moved(i64),
    /// Too far: doubted from now on.
    Doubted(i64),
    /// The doubt has lasted long enough.
    Believed(i64),
}

impl Jump {
    /// By how many milliseconds.
    pub fn by(self) -> i64 {
        let (Self::Moved(by) | Self::Doubted(by) | Self::Believed(by)) = self;
        by
    }
    /// Whether the clock counts.
    pub fn outcome(self) -> &'static str {
        match self {
            Self::Moved(_) | Self::Believed(_) => "believed",
            Self::Doubted(_) => "doubted",
        }
    }
    /// What follows from it.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Moved(_) => "waits count what has passed, not this",
            Self::Doubted(_) => "nothing expires and nothing is issued for an hour, or until `lanyard clock accept`",
            Self::Believed(_) => "it has lasted for an hour",
        }
    }
    /// All of it, for people.
    pub fn words(self) -> String {
        let (by, than) = (self.by().abs() / 1000, if self.by() < 0 { "less" } else { "more" });
        format!("the clock shows {by} s {than} than before; {}", self.meaning())
    }
}

/// What kind of answer proves something; docs/wiping.md says what each is worth. Records keep the name: as with acts, a new one is a
/// new layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// The device says that it has done it, or begins.
    Acknowledged,
    /// Apple's CheckOut after the profile was removed.
    Checkout,
    /// A PC's alert 1226: it left management.
    Unenrolled,
    /// A PC's Status.
    Status,
    /// A Mac answered Error to a full wipe.
    Error,
    /// The same hardware enrolled again.
    EnrolledAnew,
    /// A mail client was shut out, since it cannot remove its account.
    AccessBlocked,
    /// A mail client asked for mail.
    Seen,
    /// Heard under a certificate that it was asked for, after its end.
    Contact,
    /// What enrolled while it was open said of it: that proves nothing.
    LaterEnrolment,
    /// The certificates that it was asked for were not heard for long, while something else is.
    Silence,
}

impl EvidenceKind {
    /// As it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Checkout => "checkout",
            Self::Unenrolled => "unenrolled",
            Self::Status => "status",
            Self::Error => "error",
            Self::EnrolledAnew => "enrolled_anew",
            Self::AccessBlocked => "access_blocked",
            Self::Seen => "seen",
            Self::Contact => "contact",
            Self::LaterEnrolment => "later_enrolment",
            Self::Silence => "silence",
        }
    }
}

/// Why a command failed, or came to nothing: a code of ours, or the protocol's own. Records keep the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum FailureCode {
    /// The device left management before it got it.
    DeviceLeft,
    /// A wipe or retire ended the device meanwhile.
    DeviceGone,
    /// The device enrolled anew before it got it.
    EnrolledAnew,
    /// The device is its user's own since: it must not be erased.
    Personal,
    /// The device, or its channel, cannot do it.
    Unsupported,
    /// It can be said in no message.
    NotSent,
    /// The device was heard for long enough, and never answered.
    NoAnswer,
    /// What the device answered, in its protocol's words.
    Protocol(String),
}

impl FailureCode {
    const OURS: [Self; 7] = [
        Self::DeviceLeft,
        Self::DeviceGone,
        Self::EnrolledAnew,
        Self::Personal,
        Self::Unsupported,
        Self::NotSent,
        Self::NoAnswer,
    ];

    /// As it is written everywhere.
    pub fn as_str(&self) -> &str {
        match self {
            Self::DeviceLeft => "device_left",
            Self::DeviceGone => "device_gone",
            Self::EnrolledAnew => "enrolled_anew",
            Self::Personal => "personal",
            Self::Unsupported => "unsupported",
            Self::NotSent => "not_sent",
            Self::NoAnswer => "no_answer",
            Self::Protocol(code) => code,
        }
    }
}

impl From<String> for FailureCode {
    fn from(code: String) -> Self {
        Self::OURS.into_iter().find(|ours| ours.as_str() == code).unwrap_or(Self::Protocol(code))
    }
}

impl From<FailureCode> for String {
    fn from(code: FailureCode) -> Self {
        match code {
            FailureCode::Protocol(code) => code,
            ours => ours.as_str().into(),
        }
    }
}

/// What has an end, and takes something along with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lasting {
    /// Apple's push certificate.
    PushCert,
    /// The certificate that the devices' port shows.
    ServerCert,
    /// The device CA's root.
    CaRoot,
    /// The device CA's issuing certificate.
    CaIssuing,
}

impl Lasting {
    /// As it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PushCert => "push_cert",
            Self::ServerCert => "server_cert",
            Self::CaRoot => "ca_root",
            Self::CaIssuing => "ca_issuing",
        }
    }

    /// As people call it.
    pub fn words(self) -> &'static str {
        match self {
            Self::PushCert => "Apple's push certificate",
            Self::ServerCert => "the server's own certificate",
            Self::CaRoot => "the root of the device CA",
            Self::CaIssuing => "the issuing certificate of the device CA",
        }
    }

    /// What is to be done about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::PushCert => "renew it with Apple, under the same topic; without it no Apple device can be woken",
            Self::ServerCert => "put another in the files of --tls-cert and --tls-key; without it no device connects",
            Self::CaRoot | Self::CaIssuing => "every device must enrol anew, on a new server, before it ends",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// All kinds, each with its name in records and in the API, and whether it is evidence of a wipe.
    const KINDS: [(EvidenceKind, &str, bool); 11] = [
        (EvidenceKind::Acknowledged, "acknowledged", true),
        (EvidenceKind::Checkout, "checkout", true),
        (EvidenceKind::Unenrolled, "unenrolled", true),
        (EvidenceKind::Status, "status", true),
        (EvidenceKind::Error, "error", true),
        (EvidenceKind::EnrolledAnew, "enrolled_anew", true),
        (EvidenceKind::AccessBlocked, "access_blocked", true),
        (EvidenceKind::Seen, "seen", false),
        (EvidenceKind::Contact, "contact", true),
        (EvidenceKind::LaterEnrolment, "later_enrolment", true),
        (EvidenceKind::Silence, "silence", true),
    ];

    #[test]
    fn kinds_and_codes_lie_in_records_as_the_texts_that_they_were() {
        for (kind, name, _) in KINDS {
            assert_eq!(kind.as_str(), name);
            let bytes = rmp_serde::to_vec(name).unwrap();
            assert_eq!(rmp_serde::to_vec(&kind).unwrap(), bytes, "{name}");
            assert_eq!(rmp_serde::from_slice::<EvidenceKind>(&bytes).unwrap(), kind);
            assert_eq!(serde_json::to_value(kind).unwrap(), name);
        }
        let codes = ["device_left", "device_gone", "enrolled_anew", "personal", "unsupported", "not_sent"];
        let protocol = |code: &str| FailureCode::Protocol(code.into());
        let ours = FailureCode::OURS.into_iter().zip(codes);
        let theirs = ["12021", "Error", "404", ""].map(|code| (protocol(code), code));
        for (code, text) in ours.chain(theirs) {
            assert_eq!(code.as_str(), text);
            let bytes = rmp_serde::to_vec(text).unwrap();
            assert_eq!(rmp_serde::to_vec(&code).unwrap(), bytes, "{text}");
            assert_eq!(rmp_serde::from_slice::<FailureCode>(&bytes).unwrap(), code);
            assert_eq!(serde_json::to_value(&code).unwrap(), text);
        }
    }

    #[test]
    fn the_documentation_lists_every_kind_of_evidence_and_no_other() {
        let page = include_str!("../../docs/wiping.md");
        let (_, section) = page.split_once("\n### Evidence\n").unwrap();
        let section = section.split("\n#").next().unwrap();
        let listed: BTreeSet<&str> =
            section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        assert_eq!(listed, KINDS.iter().filter(|kind| kind.2).map(|kind| kind.1).collect());
    }
}

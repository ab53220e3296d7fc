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
    Sync,
    /// Bring its settings to the policy.
    Policy,
}

impl Action {
    /// As it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wipe => "wipe",
            Self::Lock => "lock",
            Self::ClearPasscode => "clear_passcode",
            Self::Restart => "restart",
            Self::Sync => "sync",
            Self::Policy => "policy",
        }
    }
    /// Whether the breaker stands before it.
    pub fn is_guarded(self) -> bool {
        match self {
            Self::Wipe | Self::Lock => true,
            Self::ClearPasscode | Self::Restart | Self::Sync | Self::Policy => false,
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
    /// An enrolment with a certificate came with a login alone.
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

//! A device and its enrolments, as they are kept and as the API shows them.

use crate::{
    clock::Timestamp,
    ids::{CommandId, DeviceId, EnrolmentId, Fingerprint},
    policy::{Applied, PartId},
    store::Record,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The kind of device.
pub use crate::policy::Platform;

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

/// Whose the device is. A personal one cannot be fully wiped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ownership {
    /// The organisation's.
    Corporate,
    /// The user's own.
    Personal,
}

/// Where a device stands as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Life {
    /// Managed.
    Enrolled,
    /// A selective wipe is under way.
    Retiring,
    /// It ended.
    Retired,
    /// A full wipe is under way.
    Wiping,
    /// It ended.
    Wiped,
}

/// Where one enrolment stands by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EnrolmentState {
    /// Certificate shown, enrolment not complete (no TokenUpdate yet).
    Pending,
    /// Good.
    Enrolled,
    /// Ended by a selective wipe, its own CheckOut or unenrolment.
    Retired,
    /// Ended by a full wipe.
    Wiped,
    /// Refused by an administrator.
    Blocked,
    /// Unknown mail client, waiting for an administrator.
    Quarantined,
    /// Its certificate was revoked, or a newer enrolment took its place.
    Revoked,
}

/// What an enrolment's certificate says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Serial number, hexadecimal.
    pub serial: String,
    /// SHA-256 of the DER.
    pub sha256: Fingerprint,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
}

/// The binding of a device to a user, a channel and a certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Enrolment {
    /// Its id.
    pub id: EnrolmentId,
    /// The protocol.
    pub channel: Channel,
    /// The device's own name in it, as sent.
    pub identity: String,
    /// See there.
    pub state: EnrolmentState,
    /// What it is pinned to; none for mail by password.
    pub certificate: Option<Certificate>,
    /// A renewed certificate not used yet.
    #[serde(default)]
    pub renewed: Option<Certificate>,
    /// When made.
    pub created: Timestamp,
    /// Last check-in, as last written.
    pub last_seen: Option<Timestamp>,
    /// How a push reaches it (Apple).
    #[serde(default)]
    pub push: Option<Push>,
    /// What the channel keeps about it (sealed where secret): the mail gateway's provisioning, Apple's unlock token …
    #[serde(default)]
    pub channel_state: BTreeMap<String, String>,
}

/// Where to push to wake a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// The token, hexadecimal.
    pub token: String,
    /// Apple's PushMagic.
    pub magic: String,
    /// The topic it was given under.
    pub topic: String,
    /// APNs said 410: no pushes until a new token comes.
    pub retired: bool,
    /// When the device told it.
    #[serde(default)]
    pub told: Option<Timestamp>,
}

/// One phone, tablet or PC.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Device {
    pub id: DeviceId,
    pub user: String,
    pub ownership: Ownership,
    pub platform: Platform,
    pub life: Life,
    pub serial: Option<String>,
    pub name: Option<String>,
    pub model: Option<String>,
    pub os_version: Option<String>,
    /// The name the device's mail client goes by, where another channel told us.
    #[serde(default)]
    pub mail_id: Option<String>,
    /// The hardware's own id (Windows), for telling that a wiped PC is back.
    #[serde(default)]
    pub hardware_id: Option<String>,
    pub created: Timestamp,
    pub enrolments: Vec<Enrolment>,
    #[serde(default)]
    pub groups: BTreeSet<String>,
    /// Commands that have not ended, oldest first.
    #[serde(default)]
    pub open: Vec<CommandId>,
    /// The wipe that is under way or was the last to end.
    #[serde(default)]
    pub wipe: Option<CommandId>,
    /// Mail is shut by a wipe that was asked for (this command), whatever its enrolments say.
    #[serde(default)]
    pub mail_shut: Option<CommandId>,
    /// What of the policy is in place, by channel and part.
    #[serde(default)]
    pub applied: BTreeMap<Channel, BTreeMap<PartId, Applied>>,
    /// Facts the device told (encryption, passcode …), for compliance.
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
    /// When the facts were last asked for.
    #[serde(default)]
    pub asked: Option<Timestamp>,
}

impl Record for Device {
    const KIND: &'static str = "device";
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn subject(&self) -> Option<String> {
        Some(self.id.to_string())
    }
}

impl Device {
    /// A new record.
    pub fn new(id: DeviceId, user: &str, ownership: Ownership, platform: Platform, now: Timestamp) -> Self {
        Self {
            id,
            user: user.into(),
            ownership,
            platform,
            life: Life::Enrolled,
            serial: None,
            name: None,
            model: None,
            os_version: None,
            mail_id: None,
            hardware_id: None,
            created: now,
            enrolments: Vec::new(),
            groups: BTreeSet::new(),
            open: Vec::new(),
            wipe: None,
            mail_shut: None,
            applied: BTreeMap::new(),
            facts: BTreeMap::new(),
            asked: None,
        }
    }

    /// One of its enrolments.
    pub fn enrolment(&self, id: EnrolmentId) -> Option<&Enrolment> {
        self.enrolments.iter().find(|e| e.id == id)
    }

    /// One of its enrolments, to change it.
    pub fn enrolment_mut(&mut self, id: EnrolmentId) -> Option<&mut Enrolment> {
        self.enrolments.iter_mut().find(|e| e.id == id)
    }

    /// The enrolments that still bind the device.
    pub fn live(&self) -> impl Iterator<Item = &Enrolment> {
        self.enrolments.iter().filter(|e| e.is_live())
    }

    /// The strongest live enrolment: the one that would carry a wipe. One that hears us goes before one that does not: a new
    /// enrolment may never be completed, and a blocked one is refused.
    pub fn carrier(&self) -> Option<&Enrolment> {
        self.live().min_by_key(|e| (!e.hears(), e.channel, std::cmp::Reverse(e.created)))
    }

    /// The channel the API names: the carrier's, or that of the last enrolment where none lives.
    pub fn channel(&self) -> Option<Channel> {
        self.carrier().or(self.enrolments.last()).map(|e| e.channel)
    }

    /// The state the API shows.
    pub fn state(&self) -> &'static str {
        let mail_only = self.enrolments.iter().all(|e| e.channel == Channel::Activesync);
        let ends = |state| !self.enrolments.is_empty() && self.enrolments.iter().all(|e| e.state == state);
        match self.life {
            Life::Retiring => "retiring",
            Life::Retired => "retired",
            Life::Wiping => "wiping",
            Life::Wiped => "wiped",
            Life::Enrolled if mail_only && ends(EnrolmentState::Blocked) => "blocked",
            Life::Enrolled if mail_only && ends(EnrolmentState::Quarantined) => "quarantined",
            Life::Enrolled if self.live().next().is_none() && !self.enrolments.is_empty() => "retired",
            Life::Enrolled => "enrolled",
        }
    }

    /// The latest of its enrolments' check-ins.
    pub fn last_seen(&self) -> Option<Timestamp> {
        self.enrolments.iter().filter_map(|e| e.last_seen).max()
    }
}

impl Enrolment {
    /// Whether it still binds: a blocked or quarantined one does, an ended one does not.
    pub fn is_live(&self) -> bool {
        !matches!(self.state, EnrolmentState::Retired | EnrolmentState::Wiped | EnrolmentState::Revoked)
    }

    /// Whether it can be told something. Mail that is blocked or quarantined is still told of a wipe.
    pub fn hears(&self) -> bool {
        match self.state {
            EnrolmentState::Enrolled => true,
            EnrolmentState::Blocked | EnrolmentState::Quarantined => self.channel == Channel::Activesync,
            EnrolmentState::Pending | EnrolmentState::Retired | EnrolmentState::Wiped | EnrolmentState::Revoked => {
                false
            }
        }
    }

    /// The state the API shows: a wipe that is under way shows on every enrolment that still binds.
    pub fn state_within(&self, life: Life) -> &'static str {
        match (self.state, life) {
            (EnrolmentState::Blocked, _) => "blocked",
            (EnrolmentState::Quarantined, _) => "quarantined",
            (EnrolmentState::Revoked, _) => "revoked",
            (EnrolmentState::Retired, _) => "retired",
            (EnrolmentState::Wiped, _) => "wiped",
            (_, Life::Retiring) => "retiring",
            (_, Life::Wiping) => "wiping",
            (EnrolmentState::Pending, _) => "pending",
            (EnrolmentState::Enrolled, _) => "enrolled",
        }
    }

    /// Whether this certificate is its own, in use or just renewed.
    pub fn is_pinned_to(&self, sha256: &Fingerprint) -> bool {
        [&self.certificate, &self.renewed].into_iter().flatten().any(|c| c.sha256 == *sha256)
    }
}

//! Devices with their enrolments, and what acts on them are asked with.

use super::{At, breaker::ApprovalView};
pub(crate) use crate::fleet::life::{Channel, Obliteration, Ownership, Platform, STATES, Scope};
use crate::policy::Compliance;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::{borrow::Cow, collections::BTreeMap};

/// One phone, tablet or PC.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Device")]
pub(crate) struct DeviceView {
    pub(crate) id: String,
    /// The one that would carry a wipe: apple, omadm, exchange or activesync.
    pub(crate) channel: Option<Channel>,
    pub(crate) platform: Platform,
    /// enrolled, retiring, retired, wiping, wiped, blocked or quarantined.
    pub(crate) state: Cow<'static, str>,
    /// Null: a shared one that is nobody's yet.
    pub(crate) user: Option<String>,
    pub(crate) ownership: Ownership,
    pub(crate) serial: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) os_version: Option<String>,
    /// What else it told of itself when it was last asked: supervised, encrypted, passcode, edition …
    pub(crate) facts: BTreeMap<String, String>,
    pub(crate) last_seen: Option<At>,
    /// Null without a policy.
    pub(crate) compliance: Option<Compliance>,
    pub(crate) enrolments: Vec<EnrolmentView>,
    /// What it refuses of its policies, and what of its messages could not be read, until that is over.
    pub(crate) problems: Vec<ProblemView>,
    /// The last 50 alerts that it sent, oldest first; what comes again within the hour is one.
    pub(crate) events: Vec<EventView>,
}

/// Something that is wrong with a device and stays so.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct ProblemView {
    pub(crate) since: At,
    /// setting_refused, removal_refused, unreadable.
    pub(crate) code: Cow<'static, str>,
    /// For people.
    pub(crate) text: String,
}

/// An alert of the device: something happened there.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "DeviceEvent")]
pub(crate) struct EventView {
    /// When it came.
    pub(crate) time: At,
    /// As the device names it.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// What it is about, and what it says.
    pub(crate) text: String,
}

/// Policy itself is told nothing from outside; a device's `compliance` is read by who asks the API.
#[derive(Deserialize)]
#[serde(remote = "Compliance", rename_all = "lowercase")]
enum ComplianceRead {
    Compliant,
    Noncompliant,
    Pending,
}

impl<'de> Deserialize<'de> for Compliance {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ComplianceRead::deserialize(deserializer)
    }
}

/// The binding of a device to a user, a channel and a certificate.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Enrolment")]
pub(crate) struct EnrolmentView {
    pub(crate) id: String,
    pub(crate) channel: Channel,
    /// As a device's, and pending and revoked.
    pub(crate) state: Cow<'static, str>,
    /// The device's own name in the protocol, as it was sent.
    pub(crate) identity: String,
    /// A mail client's DeviceType.
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    /// A mail client's User-Agent.
    pub(crate) agent: Option<String>,
    /// Null for mail by password.
    pub(crate) certificate: Option<CertificateView>,
    pub(crate) last_seen: Option<At>,
    /// A mail client's: which access rule says whether it is let in, as `rule 2: os >=17.2`, `default`, or an administrator. Null where there are
    /// no rules.
    pub(crate) rule: Option<String>,
    /// Until when that rule lets it keep what it has.
    pub(crate) until: Option<At>,
    /// A mail client's that waits to be let in: when its user signed in with the code of its notice.
    #[serde(default)]
    pub(crate) claimed: Option<At>,
}

/// What an enrolment is pinned to.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Certificate")]
pub(crate) struct CertificateView {
    pub(crate) serial: String,
    pub(crate) sha256: String,
    pub(crate) not_before: At,
    pub(crate) not_after: At,
}

/// What a wipe is asked with.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Wipe")]
#[serde(deny_unknown_fields)]
pub(crate) struct WipeBody {
    /// What the organisation put there (selective), or everything (full).
    pub(crate) scope: Scope,
    /// Why; kept with the command and in the audit log.
    pub(crate) reason: String,
    /// Six digits for a Mac, made where none are given.
    pub(crate) pin: Option<String>,
    /// Undo window, such as 10m; the setting wipe.delay where nothing is said.
    pub(crate) delay: Option<String>,
    /// After so long without being sent it comes to nothing.
    pub(crate) expires: Option<String>,
    /// A full wipe of an iPhone or iPad that keeps its eSIM.
    #[serde(default)]
    pub(crate) preserve_data_plan: bool,
    /// A full wipe of an iPhone or iPad that sets itself up again without a person, by a network that needs no password and Apple's automated
    /// enrolment: it is given no Wi-Fi and no enrolment profile.
    #[serde(default)]
    pub(crate) return_to_service: bool,
    /// What a Mac does that cannot erase itself the quick way: Default, DoNotObliterate, ObliterateWithWarning or Always, without case.
    pub(crate) obliteration: Option<String>,
}

/// What a lock is asked with.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Lock")]
#[serde(deny_unknown_fields)]
pub(crate) struct LockBody {
    /// Six digits for a Mac, made where none are given.
    pub(crate) pin: Option<String>,
    /// Why.
    pub(crate) reason: Option<String>,
    /// What an Apple device's locked screen says to who finds it, in 500 bytes at most; shown where it has a passcode.
    pub(crate) message: Option<String>,
    /// The number that it shows them.
    pub(crate) phone: Option<String>,
}

/// What a device is renamed with.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Rename")]
#[serde(deny_unknown_fields)]
pub(crate) struct RenameBody {
    /// 1 to 63 characters and no control characters; blanks at its ends are left out.
    pub(crate) name: String,
}

/// Which mail clients are let in or shut out, many at once.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Where")]
#[serde(deny_unknown_fields)]
pub(crate) struct WhereBody {
    /// allow or block.
    pub(crate) access: Door,
    /// FIELD=VALUE each, and all of them must hold: user, type, model, os, agent, state. Without case; a `*` at the end stands for any end.
    #[serde(rename = "where")]
    pub(crate) which: Vec<String>,
    /// Carry it out; else it is only shown whom it would concern.
    #[serde(default)]
    pub(crate) apply: bool,
    /// Why; kept in the audit log.
    pub(crate) reason: Option<String>,
}

/// What becomes of the door.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Door {
    Allow,
    Block,
}

/// A page of those whom it concerns.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Concerned")]
pub(crate) struct ConcernedView {
    pub(crate) items: Vec<DeviceView>,
    /// Those of them for which it was refused, and why; such are as they were.
    pub(crate) refused: Vec<RefusedView>,
    /// Give it as `after`; null is the end.
    pub(crate) next: Option<String>,
}

/// A device for which an act on many was refused.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RefusedDevice")]
pub(crate) struct RefusedView {
    pub(crate) id: String,
    pub(crate) code: String,
    pub(crate) text: String,
}

/// What is set of a device; what is absent stays.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "SetDevice")]
#[serde(deny_unknown_fields)]
pub(crate) struct SetBody {
    /// Whose it is. From personal to corporate takes a second person.
    pub(crate) ownership: Option<Ownership>,
    /// The person to whom a shared one is given.
    pub(crate) user: Option<String>,
}

/// The device, or the approval that its ownership waits for.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SetAnswer")]
#[serde(untagged)]
pub(crate) enum SetAnswer {
    Device(Box<DeviceView>),
    Approval(ApprovalView),
}

/// Whom an act on enrolments is for, and why.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Which")]
#[serde(deny_unknown_fields)]
pub(crate) struct WhichBody {
    /// One enrolment; all that the act is meant for where none is named.
    pub(crate) enrolment: Option<String>,
    /// Why; kept in the audit log.
    pub(crate) reason: Option<String>,
}

#[test]
fn compliance_is_read_as_it_was_written() {
    for compliance in [Compliance::Compliant, Compliance::Noncompliant, Compliance::Pending] {
        let text = serde_json::to_string(&compliance).unwrap();
        assert_eq!(serde_json::from_str::<Compliance>(&text).unwrap(), compliance);
    }
}

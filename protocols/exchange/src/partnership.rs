//! One mobile client of one mailbox, as Exchange keeps it: the row that a connector reports and by which an order names whom it is for.
//! Fields follow `Get-MobileDevice`, `Get-MobileDeviceStatistics` and `Get-CASMailbox` of Exchange's PowerShell reference.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

/// Whom an order is for. All three are compared with what Exchange has before anything is written there: a `Guid` alone may
/// have been given to nobody, or its object made anew.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key {
    /// The device object's `Guid`. A client whose object was removed and which came again has another.
    pub guid: Uuid,
    /// The client's own name for itself, as it was sent (ActiveSync's DeviceId).
    pub device_id: String,
    /// The mailbox object's `Guid`, which survives renaming.
    pub mailbox: Uuid,
}

/// What Exchange says of a partnership. What was not asked for, or is not told, is absent; unknown words of Exchange's are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partnership {
    /// Who it is.
    #[serde(flatten)]
    pub key: Key,
    /// The mailbox's primary address.
    pub address: String,
    /// `DeviceType`: `iPhone`, `Outlook` …
    #[serde(default, rename = "type")]
    pub device_type: String,
    /// `FriendlyName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `DeviceModel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// `DeviceOS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// `DeviceUserAgent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// `ClientType`: `EAS`, `Outlook`, `REST` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// `ClientVersion`: the ActiveSync version that it speaks (`16.1`). Rows of Outlook have `161`, which is no version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `DeviceAccessState`.
    #[serde(default)]
    pub access: Access,
    /// `DeviceAccessStateReason`: `Global`, `Individual`, `DeviceRule` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// On which of the mailbox's lists it stands; absent where they were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<Listed>,
    /// `Status`: `DeviceOk`, `DeviceWipePending`, `AccountOnlyDeviceWipeSucceeded` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// `FirstSyncTime`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    pub first_sync: Option<OffsetDateTime>,
    /// `LastSuccessSync`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    pub last_sync: Option<OffsetDateTime>,
    /// Times of a full wipe (`DeviceWipe…Time`); absent where the statistics were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wipe: Option<WipeTimes>,
    /// Times of a wipe of the account alone (`AccountOnlyDeviceWipe…Time`), a triple of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_wipe: Option<WipeTimes>,
    /// Under which policy its mailbox is; absent where that was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Assigned>,
}

impl Partnership {
    /// Whether it is the Outlook app, which only ever loses its own account: a plain `Clear-MobileDevice` takes that and never erases
    /// the phone, `-AccountOnly` is not supported.
    pub fn is_outlook(&self) -> bool {
        let outlook = |text: &str| text.eq_ignore_ascii_case("Outlook");
        outlook(&self.device_type) || self.client.as_deref().is_some_and(outlook)
    }

    /// Whether the client understands a wipe of the account alone: ActiveSync 16.1 and later.
    pub fn takes_account_wipe(&self) -> bool {
        !self.is_outlook() && self.version.as_deref().and_then(version).is_some_and(|version| version >= (16, 1))
    }
}

fn version(text: &str) -> Option<(u8, u8)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `DeviceAccessState`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub enum Access {
    /// Not told.
    #[default]
    Unknown,
    /// Mail is given.
    Allowed,
    /// None is.
    Blocked,
    /// It waits for somebody's decision.
    Quarantined,
    /// Exchange does not know yet what it is (up to 14 minutes).
    DeviceDiscovery,
    /// A word that we do not know.
    #[serde(untagged)]
    Other(String),
}

/// The mailbox's own lists, which go before all rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Listed {
    /// `ActiveSyncAllowedDeviceIDs`.
    Allowed,
    /// `ActiveSyncBlockedDeviceIDs`, which is asked first.
    Blocked,
    /// Neither: rules and default decide.
    Neither,
}

/// `ActiveSyncMailboxPolicy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assigned {
    /// None of its own: the one that is Exchange's default just then.
    Default,
    /// The one of this name.
    Named(String),
}

/// How far a wipe has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WipeTimes {
    /// When Exchange was asked.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    pub requested: Option<OffsetDateTime>,
    /// When it was handed to the client.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    pub sent: Option<OffsetDateTime>,
    /// When the client acknowledged it. That comes before the deed ([MS-ASPROV] 3.1.5.1.2).
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    pub acked: Option<OffsetDateTime>,
}

//! What cmdlets return, read: three kinds of objects that together make a partnership. Forms differ between Exchange Online's REST,
//! PowerShell 5.1 and PowerShell 7; what cannot be read counts as not told.

use crate::cmdlet::Row;
use crate::partnership::{Access, Assigned, Key, Listed, Partnership, WipeTimes};
use serde_json::Value as Json;
use time::{OffsetDateTime, PrimitiveDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

/// The container between a mailbox and its clients.
const BETWEEN: &str = ",cn=exchangeactivesyncdevices,";
/// Longer texts are cut: a client says of itself what it likes.
const LONGEST: usize = 256;

/// A device object, of `Get-MobileDevice`.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// What it says of itself and how it stands; its mailbox's id and address are not known yet.
    told: Partnership,
    /// Under which mailbox it lies.
    mailbox: String,
}

/// A mailbox's lists, of `Get-CASMailbox`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Its `Guid`.
    pub guid: Uuid,
    /// Its primary address.
    pub address: String,
    /// Under which mailbox policy it is.
    pub policy: Option<Assigned>,
    name: String,
    allowed: Vec<String>,
    blocked: Vec<String>,
}

/// When a client synchronised and how its wipe stands, of `Get-MobileDeviceStatistics`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// Whose.
    pub guid: Uuid,
    /// `Status`.
    pub status: Option<String>,
    /// `LastSuccessSync`.
    pub last_sync: Option<OffsetDateTime>,
    /// Of a full wipe.
    pub wipe: WipeTimes,
    /// Of a wipe of the account alone.
    pub account_wipe: WipeTimes,
}

/// A row of `Get-MobileDevice`; none where it has no `Guid`, no `DeviceId` or lies under no mailbox.
pub fn device(row: &Row) -> Option<Device> {
    let key = Key { guid: guid(row, "Guid")?, device_id: whole(row, "DeviceId")?, mailbox: Uuid::nil() };
    let told = Partnership {
        key,
        address: String::new(),
        device_type: text(row, "DeviceType").unwrap_or_default(),
        name: text(row, "FriendlyName"),
        model: text(row, "DeviceModel"),
        os: text(row, "DeviceOS"),
        agent: text(row, "DeviceUserAgent"),
        client: text(row, "ClientType"),
        version: text(row, "ClientVersion"),
        access: access(text(row, "DeviceAccessState")),
        reason: text(row, "DeviceAccessStateReason"),
        listed: None,
        status: None,
        first_sync: moment(row, "FirstSyncTime"),
        last_sync: None,
        wipe: None,
        account_wipe: None,
        policy: None,
    };
    let name = whole(row, "DistinguishedName")?.to_lowercase();
    let (_, mailbox) = name.split_once(BETWEEN)?;
    Some(Device { told, mailbox: mailbox.to_string() })
}

/// A row of `Get-CASMailbox`; none where it cannot be told whose it is.
pub fn mailbox(row: &Row) -> Option<Mailbox> {
    Some(Mailbox {
        guid: guid(row, "Guid")?,
        address: whole(row, "PrimarySmtpAddress").or_else(|| nested(row, "PrimarySmtpAddress", "Address"))?,
        policy: assigned(row),
        name: whole(row, "DistinguishedName")?.to_lowercase(),
        allowed: list(row, "ActiveSyncAllowedDeviceIDs"),
        blocked: list(row, "ActiveSyncBlockedDeviceIDs"),
    })
}

/// Whose organisation it is, of `Get-OrganizationConfig`: its `Guid`, and whether it knows a wipe of the account alone (2016 and later; one that
/// does not tell its version is taken for one that does).
pub fn organisation(row: &Row) -> Option<(Uuid, bool)> {
    let old =
        text(row, "AdminDisplayVersion").is_some_and(|version| version.contains("15.0") || version.contains("(14."));
    Some((guid(row, "Guid")?, !old))
}

/// A row of `Get-MobileDeviceStatistics`.
pub fn statistics(row: &Row) -> Option<Statistics> {
    let times = |before: &str| WipeTimes {
        requested: moment(row, &format!("{before}DeviceWipeRequestTime")),
        sent: moment(row, &format!("{before}DeviceWipeSentTime")),
        acked: moment(row, &format!("{before}DeviceWipeAckTime")),
    };
    Some(Statistics {
        guid: guid(row, "Guid")?,
        status: text(row, "Status"),
        last_sync: moment(row, "LastSuccessSync"),
        wipe: times(""),
        account_wipe: times("AccountOnly"),
    })
}

impl Device {
    /// The device object's `Guid`.
    pub fn guid(&self) -> Uuid {
        self.told.key.guid
    }

    /// Whether the client calls itself so.
    pub fn is_called(&self, device_id: &str) -> bool {
        self.told.key.device_id.eq_ignore_ascii_case(device_id)
    }

    /// By which name its mailbox is found: equal to [`Mailbox::name`] of its own, and of no other.
    pub fn mailbox(&self) -> &str {
        &self.mailbox
    }

    /// Whether its statistics have anything to tell: the others synchronise by other ways than ActiveSync.
    pub fn is_eas(&self) -> bool {
        self.told.client.as_deref().is_none_or(|client| client.eq_ignore_ascii_case("EAS"))
    }

    /// All that is known; none where it lies under another mailbox, or the statistics are another client's.
    pub fn of(self, mailbox: &Mailbox, statistics: Option<&Statistics>) -> Option<Partnership> {
        if self.mailbox != mailbox.name || statistics.is_some_and(|told| told.guid != self.told.key.guid) {
            return None;
        }
        let listed = mailbox.listed(&self.told.key.device_id);
        let key = Key { mailbox: mailbox.guid, ..self.told.key };
        let (address, policy) = (mailbox.address.clone(), mailbox.policy.clone());
        let told = Partnership { key, address, policy, listed: Some(listed), ..self.told };
        Some(match statistics {
            None => told,
            Some(statistics) => Partnership {
                status: statistics.status.clone(),
                last_sync: statistics.last_sync,
                wipe: Some(statistics.wipe),
                account_wipe: Some(statistics.account_wipe),
                ..told
            },
        })
    }
}

impl Mailbox {
    /// Its distinguished name, in small letters.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// On which list a client stands. The blocked one is asked first.
    pub fn listed(&self, device_id: &str) -> Listed {
        if self.blocks(device_id) {
            Listed::Blocked
        } else if self.allows(device_id) {
            Listed::Allowed
        } else {
            Listed::Neither
        }
    }

    /// Whether the client stands on the allowed list.
    pub fn allows(&self, device_id: &str) -> bool {
        self.allowed.iter().any(|id| id.eq_ignore_ascii_case(device_id))
    }

    /// Whether the client stands on the blocked list.
    pub fn blocks(&self, device_id: &str) -> bool {
        self.blocked.iter().any(|id| id.eq_ignore_ascii_case(device_id))
    }
}

/// The last part of a path is its name (`dc1/Default`, on premises).
fn assigned(row: &Row) -> Option<Assigned> {
    let defaulted = match row.get("ActiveSyncMailboxPolicyIsDefaulted") {
        Some(Json::Bool(defaulted)) => *defaulted,
        Some(Json::String(word)) => word.eq_ignore_ascii_case("true"),
        _ => false,
    };
    if defaulted {
        return Some(Assigned::Default);
    }
    let path = text(row, "ActiveSyncMailboxPolicy")?;
    let name = path.rsplit('/').next().unwrap_or_default().trim();
    (!name.is_empty()).then(|| Assigned::Named(name.to_string()))
}

fn access(word: Option<String>) -> Access {
    match word.as_deref() {
        None | Some("Unknown") => Access::Unknown,
        Some("Allowed") => Access::Allowed,
        Some("Blocked") => Access::Blocked,
        Some("Quarantined") => Access::Quarantined,
        Some("DeviceDiscovery") => Access::DeviceDiscovery,
        Some(other) => Access::Other(other.into()),
    }
}

/// A text that names something: all of it, or none.
fn whole(row: &Row, name: &str) -> Option<String> {
    match row.get(name)? {
        Json::String(text) if !text.trim().is_empty() && !text.chars().any(char::is_control) => Some(text.clone()),
        _ => None,
    }
}

/// A text for people, or an enumeration's word (which `ConvertTo-Json` may write as `{"value":1,"Value":"Allowed"}`).
fn text(row: &Row, name: &str) -> Option<String> {
    let value = match row.get(name)? {
        Json::Object(inner) => inner.get("Value").or_else(|| inner.get("Name"))?,
        value => value,
    };
    let text: String = value.as_str()?.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    (!text.trim().is_empty()).then_some(text)
}

fn nested(row: &Row, name: &str, inner: &str) -> Option<String> {
    row.get(name)?.get(inner)?.as_str().map(ToString::to_string)
}

fn guid(row: &Row, name: &str) -> Option<Uuid> {
    let text = whole(row, name).or_else(|| nested(row, name, "Guid"))?;
    text.parse().ok().filter(|guid: &Uuid| !guid.is_nil())
}

/// A list of texts. One entry may come by itself, none as null.
fn list(row: &Row, name: &str) -> Vec<String> {
    match row.get(name) {
        Some(Json::Array(all)) => all.iter().filter_map(|one| one.as_str().map(ToString::to_string)).collect(),
        Some(Json::String(one)) if !one.is_empty() => vec![one.clone()],
        _ => Vec::new(),
    }
}

/// A time in any of its forms: RFC 3339, the same without a zone (UTC then: scripts are told to convert), or PowerShell 5.1's `/Date(ms)/`.
fn moment(row: &Row, name: &str) -> Option<OffsetDateTime> {
    let value = match row.get(name)? {
        Json::Object(inner) => inner.get("value").or_else(|| inner.get("DateTime"))?,
        value => value,
    };
    let text = value.as_str()?.trim();
    if let Some(ms) = text.strip_prefix("/Date(").and_then(|rest| rest.strip_suffix(")/")) {
        let ms: i64 = ms.split(['+']).next()?.parse().ok()?;
        return OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok();
    }
    OffsetDateTime::parse(text, &Rfc3339).ok().or_else(|| {
        let form =
            time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second][optional [.[subsecond]]]");
        PrimitiveDateTime::parse(text, form).ok().map(PrimitiveDateTime::assume_utc)
    })
}

#[cfg(test)]
mod tests;

//! The policy profile: passcode and restrictions, as far as a platform has keys for them. What it has none for is left
//! out, and to say so is the caller's. Encryption has no payload here: a Mac's FileVault is not turned on from afar, and
//! the others' storage is always encrypted.

use std::collections::BTreeMap;

use super::ProfileMeta;
use crate::{
    error::Error,
    plist::Dict,
    profile::raw::LEAST_FAILED_ATTEMPTS,
    support::{Platform, availability},
};

/// The payload of restrictions.
pub const RESTRICTIONS: &str = "com.apple.applicationaccess";
/// The payload of passcode rules.
pub const PASSCODE: &str = "com.apple.mobiledevice.passwordpolicy";

/// The most wrong tries that devices take (maxFailedAttempts).
pub const MOST_FAILED_ATTEMPTS: u32 = 11;
/// The most minutes until a Mac locks (maxInactivity).
pub const MOST_IDLE_MINUTES_OF_A_MAC: u32 = 60;
/// The most minutes until any other device locks.
pub const MOST_IDLE_MINUTES: u32 = 15;

/// What a device must have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicySettings {
    /// None: no word on passcodes.
    pub passcode: Option<Passcode>,
    /// Keys of [`RESTRICTIONS`]: what is said of each, and no word on the others. `allowCamera` to false.
    pub restrictions: BTreeMap<&'static str, bool>,
}

/// What a passcode must be. None everywhere: no word on it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Passcode {
    /// There must be one.
    pub required: bool,
    /// Characters.
    pub min_length: Option<u32>,
    /// Letters as well as digits.
    pub alphanumeric: bool,
    /// Wrong tries after which an iPhone **erases** itself and a Mac locks the user out.
    pub max_failed: Option<u32>,
    /// Minutes without use until the device locks.
    pub max_idle_minutes: Option<u32>,
    /// Days until a new one is needed.
    pub expire_days: Option<u32>,
    /// How many former ones must not come back.
    pub history: Option<u32>,
    /// Whether 1234 and 1111 will do.
    pub allow_simple: Option<bool>,
}

impl PolicySettings {
    /// The profile for a platform, unsigned; none where no payload is left to install. Where a device takes only part
    /// of a range, the nearest stricter value is set; where there is none, the nearest value.
    pub fn profile(&self, meta: &ProfileMeta, platform: Platform) -> Result<Option<Vec<u8>>, Error> {
        let mut payloads = Vec::new();
        if let Some(passcode) = &self.passcode {
            payloads.extend(passcode.payload(meta, platform)?);
        }
        payloads.extend(self.restricted(meta, platform));
        if payloads.is_empty() { Ok(None) } else { Ok(Some(meta.profile(payloads)?.to_xml())) }
    }

    fn restricted(&self, meta: &ProfileMeta, platform: Platform) -> Option<Dict> {
        let there = |key: &str| availability(RESTRICTIONS, key, platform).is_some();
        let said: Vec<_> = self.restrictions.iter().filter(|(key, _)| there(key)).collect();
        let payload = meta.payload(RESTRICTIONS, "restrictions", "Restrictions");
        (!said.is_empty())
            .then(|| said.into_iter().fold(payload, |payload, (key, allowed)| payload.with(key, *allowed)))
    }
}

impl Passcode {
    fn payload(&self, meta: &ProfileMeta, platform: Platform) -> Result<Option<Dict>, Error> {
        if self.max_failed.is_some_and(|most| i64::from(most) < LEAST_FAILED_ATTEMPTS) {
            return Err(Error::BadValue { field: "passcode.max_failed", why: "under 4 erases devices by mistake" });
        }
        if matches!(platform, Platform::TvOs | Platform::Other) {
            return Ok(None);
        }
        let most_idle = if platform == Platform::MacOs { MOST_IDLE_MINUTES_OF_A_MAC } else { MOST_IDLE_MINUTES };
        let payload = meta
            .payload(PASSCODE, "passcode", "Passcode")
            .with_flag("forcePIN", self.required)
            .with_opt("allowSimple", self.allow_simple)
            .with_opt("minLength", self.min_length.map(|least| least.min(16)))
            // A watch knows digits only.
            .with_flag("requireAlphanumeric", self.alphanumeric && platform != Platform::WatchOs)
            .with_opt("maxFailedAttempts", self.max_failed.map(|tries| tries.min(MOST_FAILED_ATTEMPTS)))
            .with_opt("maxInactivity", self.max_idle_minutes.map(|minutes| minutes.clamp(1, most_idle)))
            .with_opt("maxPINAgeInDays", self.expire_days.filter(|&days| days > 0).map(|days| days.min(730)))
            .with_opt("pinHistory", self.history.filter(|&count| count > 0).map(|count| count.min(50)));
        Ok(Some(payload))
    }
}

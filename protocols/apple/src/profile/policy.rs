//! The policy profile: passcode, camera and encryption as far as a platform has payloads for them. What it has none
//! for is said, not dropped in silence.

use super::ProfileMeta;
use crate::{error::Error, plist::Dict, profile::raw::LEAST_FAILED_ATTEMPTS, support::Platform};

/// What a device must have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicySettings {
    /// None: no word on passcodes.
    pub passcode: Option<Passcode>,
    /// None: no word on the camera.
    pub camera_allowed: Option<bool>,
    /// Storage must be encrypted.
    pub encryption_required: bool,
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

/// A policy for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyProfile {
    /// The profile, unsigned; none where no payload is left to install.
    pub bytes: Option<Vec<u8>>,
    /// Settings that it does not enforce, or not as asked.
    pub left_out: Vec<LeftOut>,
}

/// One setting that the profile does not enforce as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut {
    /// By its name in the policy: `passcode.min_length`, `camera`, `encryption`.
    pub setting: &'static str,
    /// Why, for people.
    pub why: &'static str,
}

impl PolicySettings {
    /// The profile for a platform. Where a device takes only part of a range, the nearest stricter value is set; where
    /// there is none, the nearest value, and the setting stands in `left_out`.
    pub fn profile(&self, meta: &ProfileMeta, platform: Platform) -> Result<PolicyProfile, Error> {
        let mut left_out = Vec::new();
        let mut payloads = Vec::new();
        if let Some(passcode) = &self.passcode {
            payloads.extend(passcode.payload(meta, platform, &mut left_out)?);
        }
        payloads.extend(self.camera(meta, platform, &mut left_out));
        payloads.extend(self.encryption(meta, platform, &mut left_out));
        let bytes = if payloads.is_empty() { None } else { Some(meta.profile(payloads)?.to_xml()) };
        Ok(PolicyProfile { bytes, left_out })
    }

    fn camera(&self, meta: &ProfileMeta, platform: Platform, left_out: &mut Vec<LeftOut>) -> Option<Dict> {
        let allowed = self.camera_allowed?;
        if matches!(platform, Platform::WatchOs | Platform::Other) {
            if !allowed {
                left_out.push(LeftOut { setting: "camera", why: "this platform has no such restriction" });
            }
            return None;
        }
        let payload = meta.payload("com.apple.applicationaccess", "restrictions", "Restrictions");
        Some(payload.with("allowCamera", allowed))
    }

    fn encryption(&self, meta: &ProfileMeta, platform: Platform, left_out: &mut Vec<LeftOut>) -> Vec<Dict> {
        if !self.encryption_required {
            return Vec::new();
        }
        let mut miss = |why| left_out.push(LeftOut { setting: "encryption", why });
        match platform {
            Platform::MacOs => return file_vault(meta),
            // Their storage is always encrypted; a passcode makes it worth something.
            Platform::Ios | Platform::IpadOs | Platform::VisionOs | Platform::WatchOs => {
                if !self.passcode.as_ref().is_some_and(|passcode| passcode.required) {
                    miss("takes effect once there is a passcode, which this policy does not require");
                }
            }
            Platform::TvOs | Platform::Other => miss("this platform has no such setting"),
        }
        Vec::new()
    }
}

/// FileVault, put off until someone who may turn it on logs in, and then not to be put off again; and not to be turned
/// off. Needs a user-approved enrolment from macOS 10.15 on.
fn file_vault(meta: &ProfileMeta) -> Vec<Dict> {
    let enable = meta
        .payload("com.apple.MCX.FileVault2", "filevault", "FileVault")
        .with("Enable", "On")
        .with("Defer", true)
        .with("DeferForceAtUserLoginMaxBypassAttempts", 0_u32)
        .with("UseRecoveryKey", true)
        .with("ShowRecoveryKey", true);
    let keep =
        meta.payload("com.apple.MCX", "filevault-options", "FileVault options").with("dontAllowFDEDisable", true);
    vec![enable, keep]
}

impl Passcode {
    fn payload(
        &self,
        meta: &ProfileMeta,
        platform: Platform,
        left_out: &mut Vec<LeftOut>,
    ) -> Result<Option<Dict>, Error> {
        if self.max_failed.is_some_and(|most| i64::from(most) < LEAST_FAILED_ATTEMPTS) {
            return Err(Error::BadValue { field: "passcode.max_failed", why: "under 4 erases devices by mistake" });
        }
        let mut miss = |setting, why| left_out.push(LeftOut { setting, why });
        if matches!(platform, Platform::TvOs | Platform::Other) {
            miss("passcode", "this platform has no passcode policy");
            return Ok(None);
        }
        let mac = platform == Platform::MacOs;
        if self.alphanumeric && platform == Platform::WatchOs {
            miss("passcode.alphanumeric", "a watch knows digits only");
        }
        if self.min_length.is_some_and(|least| least > 16) {
            miss("passcode.min_length", "at most 16 can be asked for");
        }
        if self.max_failed.is_some_and(|most| most > 11) {
            miss("passcode.max_failed", "at most 11 can be set");
        }
        if self.history.is_some_and(|count| count > 50) {
            miss("passcode.history", "at most 50 are remembered");
        }
        let idle = self.max_idle_minutes.map(|minutes| minutes.clamp(1, if mac { 60 } else { 15 }));
        let payload = meta
            .payload("com.apple.mobiledevice.passwordpolicy", "passcode", "Passcode")
            .with_flag("forcePIN", self.required)
            .with_opt("allowSimple", self.allow_simple)
            .with_opt("minLength", self.min_length.map(|least| least.min(16)))
            .with_flag("requireAlphanumeric", self.alphanumeric && platform != Platform::WatchOs)
            .with_opt("maxFailedAttempts", self.max_failed.filter(|&most| most <= 11))
            .with_opt("maxInactivity", idle)
            .with_opt("maxPINAgeInDays", self.expire_days.filter(|&days| days > 0).map(|days| days.min(730)))
            .with_opt("pinHistory", self.history.filter(|&count| count > 0).map(|count| count.min(50)));
        Ok(Some(payload))
    }
}

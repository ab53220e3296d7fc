//! The answer to SecurityInfo: passcode and encryption, from which compliance follows.

use crate::plist::Dict;

/// How a device is protected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecurityInfo {
    /// PasscodePresent. Not on a Mac, and not in user enrolment.
    pub passcode_present: Option<bool>,
    /// PasscodeCompliant: with all requirements, those of mail accounts too. Not on a Mac.
    pub passcode_compliant: Option<bool>,
    /// PasscodeCompliantWithProfiles. Not on a Mac, and not in user enrolment.
    pub passcode_compliant_with_profiles: Option<bool>,
    /// HardwareEncryptionCaps: 1 by block, 2 by file, 3 both. Not on a Mac.
    pub hardware_encryption_caps: Option<i64>,
    /// FDE_Enabled: FileVault is on. A Mac's device channel alone.
    pub fde_enabled: Option<bool>,
    /// FDE_HasPersonalRecoveryKey (macOS).
    pub fde_has_personal_recovery_key: Option<bool>,
    /// FDE_HasInstitutionalRecoveryKey (macOS).
    pub fde_has_institutional_recovery_key: Option<bool>,
    /// SystemIntegrityProtectionEnabled (macOS).
    pub system_integrity_protection: Option<bool>,
    /// FirewallSettings.FirewallEnabled (macOS).
    pub firewall_enabled: Option<bool>,
    /// ManagementStatus.EnrolledViaDEP.
    pub enrolled_via_dep: Option<bool>,
    /// ManagementStatus.UserApprovedEnrollment (macOS).
    pub user_approved_enrolment: Option<bool>,
    /// ManagementStatus.IsUserEnrollment.
    pub is_user_enrolment: Option<bool>,
}

impl SecurityInfo {
    pub(super) fn read(dict: &Dict) -> Self {
        let management = |key| dict.dict("ManagementStatus")?.bool(key);
        Self {
            passcode_present: dict.bool("PasscodePresent"),
            passcode_compliant: dict.bool("PasscodeCompliant"),
            passcode_compliant_with_profiles: dict.bool("PasscodeCompliantWithProfiles"),
            hardware_encryption_caps: dict.int("HardwareEncryptionCaps"),
            fde_enabled: dict.bool("FDE_Enabled"),
            fde_has_personal_recovery_key: dict.bool("FDE_HasPersonalRecoveryKey"),
            fde_has_institutional_recovery_key: dict.bool("FDE_HasInstitutionalRecoveryKey"),
            system_integrity_protection: dict.bool("SystemIntegrityProtectionEnabled"),
            firewall_enabled: dict.dict("FirewallSettings").and_then(|firewall| firewall.bool("FirewallEnabled")),
            enrolled_via_dep: management("EnrolledViaDEP"),
            user_approved_enrolment: management("UserApprovedEnrollment"),
            is_user_enrolment: management("IsUserEnrollment"),
        }
    }

    /// Whether the passcode keeps to what profiles ask of it. In user enrolment no more is told than that it keeps to all requirements. None
    /// where the device did not say.
    pub fn passcode_complies(&self) -> Option<bool> {
        self.passcode_compliant_with_profiles.or(self.passcode_compliant)
    }

    /// Whether what is stored cannot be read without the user's secret: FileVault on a Mac, elsewhere both kinds of
    /// hardware encryption and a passcode. None where the device did not say enough.
    pub fn encrypted(&self) -> Option<bool> {
        if self.fde_enabled.is_some() {
            return self.fde_enabled;
        }
        match (self.hardware_encryption_caps?, self.passcode_present) {
            (3, present) => present,
            _ => Some(false),
        }
    }
}

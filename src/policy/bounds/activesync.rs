//! The elements of an ActiveSync policy document that a raw part may set. [MS-ASPROV] 2.2.2.

use super::{Refused, number_allowed};

/// Name, numbers allowed, whether an empty value (no rule) is as well.
#[rustfmt::skip]
static ELEMENTS: &[(&str, &str, bool)] = &[
    ("AllowBluetooth", "0-2", false),
    ("AllowBrowser", "0|1", false),
    ("AllowCamera", "0|1", false),
    ("AllowConsumerEmail", "0|1", false),
    ("AllowDesktopSync", "0|1", false),
    ("AllowHTMLEmail", "0|1", false),
    ("AllowInternetSharing", "0|1", false),
    ("AllowIrDA", "0|1", false),
    ("AllowPOPIMAPEmail", "0|1", false),
    ("AllowRemoteDesktop", "0|1", false),
    ("AllowSMIMEEncryptionAlgorithmNegotiation", "0-2", false),
    ("AllowSMIMESoftCerts", "0|1", false),
    ("AllowSimpleDevicePassword", "0|1", false),
    ("AllowStorageCard", "0|1", false),
    ("AllowTextMessaging", "0|1", false),
    ("AllowUnsignedApplications", "0|1", false),
    ("AllowUnsignedInstallationPackages", "0|1", false),
    ("AllowWiFi", "0|1", false),
    ("AlphanumericDevicePasswordRequired", "0|1", false),
    ("AttachmentsEnabled", "0|1", false),
    ("DevicePasswordEnabled", "0|1", false),
    ("DevicePasswordExpiration", "0-730", true),
    ("DevicePasswordHistory", "0-50", false),
    ("MaxAttachmentSize", "0-2147483647", true),
    ("MaxCalendarAgeFilter", "0|4-7", false),
    ("MaxDevicePasswordFailedAttempts", "4-16", true),
    ("MaxEmailAgeFilter", "0-5", false),
    ("MaxEmailBodyTruncationSize", "-1|0-2147483647", false),
    ("MaxEmailHTMLBodyTruncationSize", "-1|0-2147483647", false),
    ("MaxInactivityTimeDeviceLock", "1-9999", true),
    ("MinDevicePasswordComplexCharacters", "1-4", false),
    ("MinDevicePasswordLength", "1-16", true),
    ("PasswordRecoveryEnabled", "0|1", false),
    ("RequireDeviceEncryption", "0|1", false),
    ("RequireEncryptedSMIMEMessages", "0|1", false),
    ("RequireEncryptionSMIMEAlgorithm", "0-4", false),
    ("RequireManualSyncWhenRoaming", "0|1", false),
    ("RequireSignedSMIMEAlgorithm", "0|1", false),
    ("RequireSignedSMIMEMessages", "0|1", false),
    ("RequireStorageCardEncryption", "0|1", false),
];

/// Names that are refused with a ground of their own.
static SPOKEN: &[(&str, &str)] = &[
    ("RemoteWipe", "this is a command: wipes go through `lanyard wipe` and its limits"),
    ("AccountOnlyRemoteWipe", "this is a command: wipes go through `lanyard wipe` and its limits"),
    ("ApprovedApplicationList", "this takes a list, which policies do not carry yet"),
    ("UnapprovedInROMApplicationList", "this takes a list, which policies do not carry yet"),
];

/// Whether a name is neither an element nor one that is refused with its own words: a slip of the pen.
pub(in crate::policy) fn is_unheard_of(name: &str) -> bool {
    !SPOKEN.iter().map(|(spoken, _)| *spoken).chain(element_names()).any(|known| known == name)
}

/// The elements a policy may name, sorted.
pub fn element_names() -> impl Iterator<Item = &'static str> {
    ELEMENTS.iter().map(|(name, _, _)| *name)
}

/// An element and its value in the one spelling that is sent. Names keep their case, as on the wire.
pub fn element(name: &str, value: &str) -> Result<String, Refused> {
    let Some((_, allowed, empty)) = ELEMENTS.iter().find(|(known, _, _)| *known == name) else {
        let spoken = SPOKEN.iter().find(|(refused, _)| *refused == name);
        return Refused::because(spoken.map_or("ActiveSync has no such policy element", |(_, why)| why));
    };
    if value.is_empty() && *empty {
        return Ok(String::new());
    }
    match value.parse::<i64>() {
        Ok(number) if number_allowed(allowed, number) => Ok(number.to_string()),
        Ok(number) if name == "MaxDevicePasswordFailedAttempts" => {
            Refused::because(format!("{number} is out of range: 4 to 16, since so many wrong tries erase the device"))
        }
        _ => Refused::because(format!("takes one of {}", allowed.replace('|', ", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_sorted_and_bounded() {
        assert!(element_names().is_sorted());
        for (name, value, ok) in [
            ("AllowBluetooth", "2", true),
            ("AllowBluetooth", "3", false),
            ("AllowBluetooth", "", false),
            ("MinDevicePasswordLength", "", true),
            ("MinDevicePasswordLength", "+6", true),
            ("MaxDevicePasswordFailedAttempts", "3", false),
            ("MaxDevicePasswordFailedAttempts", "4", true),
            ("MaxCalendarAgeFilter", "1", false),
            ("MaxEmailBodyTruncationSize", "-1", true),
            ("MaxEmailBodyTruncationSize", "-2", false),
            ("RemoteWipe", "", false),
            ("allowbluetooth", "1", false),
            ("AllowBluetooth", "1<RemoteWipe/>", false),
        ] {
            assert_eq!(element(name, value).is_ok(), ok, "{name}={value}");
        }
        assert_eq!(element("MinDevicePasswordLength", "+6").unwrap(), "6");
    }
}

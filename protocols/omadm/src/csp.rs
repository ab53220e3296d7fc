//! The nodes of Windows that the server asks, sets and runs, by their LocURIs, and what their values mean.
//! Configuration service provider reference; values as in the Policy CSP.

mod value;

pub use value::{is_same, truth};

use crate::session::{Format, Op};

/// What kind of device: `Desktop` and the like.
pub const DEVICE_TYPE: &str = "./DevDetail/DevTyp";
/// The version of Windows, as `10.0.26200.9278`.
pub const SOFTWARE_VERSION: &str = "./DevDetail/SwV";
/// The computer's name.
pub const DEVICE_NAME: &str = "./DevDetail/Ext/Microsoft/DeviceName";
/// As `Windows 11 Enterprise`.
pub const OS_PLATFORM: &str = "./DevDetail/Ext/Microsoft/OSPlatform";
/// The serial number, from the firmware.
pub const SERIAL: &str = "./DevDetail/Ext/Microsoft/SMBIOSSerialNumber";
/// The product type, in decimal.
pub const EDITION: &str = "./Device/Vendor/MSFT/DeviceStatus/OS/Edition";
/// Whether the system's drive is encrypted, a [`truth`]: `0` not encrypted, `1` encrypted.
pub const ENCRYPTION: &str = "./Device/Vendor/MSFT/DeviceStatus/Compliance/EncryptionCompliance";

const POLICY_CONFIG: &str = "./Device/Vendor/MSFT/Policy/Config/";
const POLICY_RESULT: &str = "./Device/Vendor/MSFT/Policy/Result/";

/// A node of the DM client that belongs to our account.
pub fn dm_client(provider_id: &str, node: &str) -> String {
    format!("./Device/Vendor/MSFT/DMClient/Provider/{provider_id}/{node}")
}

/// The name that the mail client of Windows goes by.
pub fn exchange_id(provider_id: &str) -> String {
    dm_client(provider_id, "ExchangeID")
}

/// Hash over the hardware.
pub fn hardware_id(provider_id: &str) -> String {
    dm_client(provider_id, "HWDevID")
}

/// How far apart polls are for ever, in minutes.
pub fn endless_poll(id: impl Into<String>, provider_id: &str, minutes: u32) -> Op {
    let uri = dm_client(provider_id, "Poll/IntervalForRemainingScheduledRetries");
    Op::replace(id, uri, Format::Int, minutes.to_string())
}

/// Ends the enrolment, and with it what the organisation put there. No Status comes: a new session brings an alert.
pub fn unenroll(id: impl Into<String>, provider_id: &str) -> Op {
    Op::exec(id, dm_client(provider_id, "Unenroll"), provider_id)
}

/// Resets the device. 200 means accepted, not done.
pub fn wipe(id: impl Into<String>) -> Op {
    Op::exec(id, "./Device/Vendor/MSFT/RemoteWipe/doWipe", "")
}

/// Locks the screen; phones only.
pub fn lock(id: impl Into<String>) -> Op {
    Op::exec(id, "./Device/Vendor/MSFT/RemoteLock/Lock", "")
}

/// Restarts within five minutes.
pub fn restart(id: impl Into<String>) -> Op {
    Op::exec(id, "./Device/Vendor/MSFT/Reboot/RebootNow", "")
}

/// The least length of a password that Windows can be asked for (DeviceLock/MinDevicePasswordLength).
pub const LEAST_PASSWORD_LENGTH: u32 = 4;

/// A setting that a policy may ask for, in the terms of Windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// A password is needed. The other rules of DeviceLock hold only with it.
    PasswordRequired,
    /// Characters, 4 to 16.
    MinLength(u32),
    /// A password, or a PIN with letters.
    Alphanumeric,
    /// Wrong tries until a PC asks for its recovery key.
    MaxFailed(u32),
    /// Minutes until the screen locks.
    MaxIdleMinutes(u32),
    /// Days until a password is too old.
    ExpireDays(u32),
    /// Former passwords that cannot be used again.
    History(u32),
    /// BitLocker.
    Encryption,
    /// A policy of another area, `Camera/AllowCamera`, of whose numbers the lowest is the strictest.
    Lowest(&'static str, u32),
}

impl Setting {
    /// The node that is set. It does not depend on the number.
    pub fn node(self) -> String {
        match self {
            Setting::PasswordRequired => device_lock("DevicePasswordEnabled"),
            Setting::MinLength(_) => device_lock("MinDevicePasswordLength"),
            Setting::Alphanumeric => device_lock("AlphanumericDevicePasswordRequired"),
            Setting::MaxFailed(_) => device_lock("MaxDevicePasswordFailedAttempts"),
            Setting::MaxIdleMinutes(_) => device_lock("MaxInactivityTimeDeviceLock"),
            Setting::ExpireDays(_) => device_lock("DevicePasswordExpiration"),
            Setting::History(_) => device_lock("DevicePasswordHistory"),
            Setting::Encryption => "./Device/Vendor/MSFT/BitLocker/RequireDeviceEncryption".to_owned(),
            Setting::Lowest(policy, _) => format!("{POLICY_CONFIG}{policy}"),
        }
    }

    /// The value, an int. On and off are the wrong way round in DeviceLock: 0 asks for a password.
    pub fn value(self) -> u32 {
        match self {
            Setting::PasswordRequired | Setting::Alphanumeric => 0,
            Setting::MinLength(length) => length.clamp(LEAST_PASSWORD_LENGTH, 16),
            Setting::MaxFailed(tries) => tries.min(999),
            Setting::MaxIdleMinutes(minutes) => minutes.min(999),
            Setting::ExpireDays(days) => days.min(730),
            Setting::History(count) => count.min(50),
            Setting::Encryption => 1,
            Setting::Lowest(_, number) => number,
        }
    }

    /// Whether what is in force is this, or stricter: of several sources Windows lets the strictest win.
    pub fn is_met_by(self, in_force: &str) -> bool {
        let Ok(in_force) = in_force.parse::<u32>() else { return false };
        let wanted = self.value();
        match self {
            Setting::MinLength(_) | Setting::History(_) => in_force >= wanted,
            // 0 means no limit.
            Setting::MaxFailed(_) | Setting::MaxIdleMinutes(_) | Setting::ExpireDays(_) if wanted > 0 => {
                in_force > 0 && in_force <= wanted
            }
            Setting::Lowest(..) => in_force <= wanted,
            _ => in_force == wanted,
        }
    }
}

fn device_lock(policy: &str) -> String {
    format!("{POLICY_CONFIG}DeviceLock/{policy}")
}

/// The rules of passwords: they go to a PC together, in one Atomic and by Replace, the first of them first. The others work only while that
/// is on (0), and its being set sets length and complexity back. (Policy CSP, DeviceLock.)
const PASSWORD_RULES: [&str; 9] = [
    "DevicePasswordEnabled",
    "AllowSimpleDevicePassword",
    "AlphanumericDevicePasswordRequired",
    "DevicePasswordExpiration",
    "DevicePasswordHistory",
    "MaxDevicePasswordFailedAttempts",
    "MaxInactivityTimeDeviceLock",
    "MinDevicePasswordComplexCharacters",
    "MinDevicePasswordLength",
];

/// Which rule of passwords a node sets, by the order in which they go; none where it sets another thing.
pub fn password_rule(node: &str) -> Option<usize> {
    PASSWORD_RULES.iter().position(|rule| node.eq_ignore_ascii_case(&device_lock(rule)))
}

/// Where a node that was set tells what is in force: the Policy CSP has a tree of its own for that, others do not.
pub fn result_node(node: &str) -> String {
    let rest = node.get(..POLICY_CONFIG.len()).filter(|head| head.eq_ignore_ascii_case(POLICY_CONFIG));
    match rest.and_then(|head| node.get(head.len()..)) {
        Some(rest) => format!("{POLICY_RESULT}{rest}"),
        None => node.to_owned(),
    }
}

/// Whether Windows keeps a node in its own way, so that what it reads is no proof of what was set: a network's profile, with its key sealed
/// and elements of the system's own.
pub fn is_rewritten(node: &str) -> bool {
    let node = node.to_ascii_lowercase();
    node.contains("/wifi/profile/") && node.ends_with("/wlanxml")
}

/// A name within a LocURI, as it is sent: names are parts of a URI, UTF-8 and `%XX` for all but letters, digits and `-._~`. What is escaped
/// already stays so. None for what could be read as a separator, a query or a step upwards.
pub fn name(given: &str) -> Option<String> {
    let name = String::from_utf8(unescaped(given)).ok()?;
    let bad = |c: char| c.is_control() || matches!(c, '/' | '\\' | '?');
    if name.is_empty() || name.starts_with('.') || name.chars().any(bad) {
        return None;
    }
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    Some(out)
}

/// A percent sign that escapes nothing stands for itself.
fn unescaped(given: &str) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(given.len()), given.as_bytes());
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).filter(|_| *first == b'%').and_then(|two| std::str::from_utf8(two).ok());
        let digits = digits.filter(|two| two.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match digits.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

/// The node that is removed for one that was set. A trusted certificate is a folder by its SHA-1, which alone takes Delete.
pub fn removal_node(node: &str) -> &str {
    let certificate = |folder: &&str| folder.to_ascii_lowercase().contains("/rootcatrustedcertificates/");
    node.strip_suffix("/EncodedCertificate").filter(certificate).unwrap_or(node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syncml::Verb;

    #[test]
    fn names_are_escaped_once() {
        for (given, want) in [
            ("Office net", Some("Office%20net")),
            ("Office%20net", Some("Office%20net")),
            ("plain-Name_1.2~", Some("plain-Name_1.2~")),
            ("{7F0A}", Some("%7B7F0A%7D")),
            ("B\u{fc}ro", Some("B%C3%BCro")),
            ("Tom's & Co+", Some("Tom%27s%20%26%20Co%2B")),
            ("100%", Some("100%25")),
            ("100%25", Some("100%25")),
            ("%2a", Some("%2A")),
            ("a/b", None),
            ("a%2Fb", None),
            ("a%5cb", None),
            ("..", None),
            ("%2e%2e", None),
            ("a%00", None),
            ("a?b", None),
            ("%FF", None),
            ("", None),
        ] {
            assert_eq!(name(given).as_deref(), want, "{given}");
            if let Some(sent) = want {
                assert_eq!(name(sent).as_deref(), Some(sent), "{given}: once");
            }
        }
    }

    #[test]
    fn a_certificate_is_removed_with_its_folder() {
        let root = "./Device/Vendor/MSFT/RootCATrustedCertificates/Root/00AA";
        let wifi = "./Device/Vendor/MSFT/WiFi/Profile/a/WlanXml";
        assert_eq!(removal_node(&format!("{root}/EncodedCertificate")), root);
        assert_eq!((removal_node(wifi), removal_node("./X/EncodedCertificate")), (wifi, "./X/EncodedCertificate"));
    }

    #[test]
    fn settings_have_their_nodes_and_values() {
        const LOCK: &str = "./Device/Vendor/MSFT/Policy/Config/DeviceLock/";
        for (setting, node, value) in [
            (Setting::PasswordRequired, format!("{LOCK}DevicePasswordEnabled"), 0),
            (Setting::MinLength(2), format!("{LOCK}MinDevicePasswordLength"), 4),
            (Setting::MinLength(40), format!("{LOCK}MinDevicePasswordLength"), 16),
            (Setting::Alphanumeric, format!("{LOCK}AlphanumericDevicePasswordRequired"), 0),
            (Setting::MaxFailed(8), format!("{LOCK}MaxDevicePasswordFailedAttempts"), 8),
            (Setting::MaxIdleMinutes(10), format!("{LOCK}MaxInactivityTimeDeviceLock"), 10),
            (Setting::ExpireDays(9_999), format!("{LOCK}DevicePasswordExpiration"), 730),
            (Setting::History(3), format!("{LOCK}DevicePasswordHistory"), 3),
            (Setting::Encryption, "./Device/Vendor/MSFT/BitLocker/RequireDeviceEncryption".into(), 1),
            (
                Setting::Lowest("Camera/AllowCamera", 0),
                "./Device/Vendor/MSFT/Policy/Config/Camera/AllowCamera".into(),
                0,
            ),
        ] {
            assert_eq!((setting.node(), setting.value()), (node, value));
        }
    }

    #[test]
    fn what_is_stricter_is_enough() {
        for (setting, in_force, met) in [
            (Setting::PasswordRequired, "0", true),
            (Setting::PasswordRequired, "1", false),
            (Setting::MinLength(8), "8", true),
            (Setting::MinLength(8), "12", true),
            (Setting::MinLength(8), "6", false),
            (Setting::MaxFailed(8), "5", true),
            (Setting::MaxFailed(8), "0", false),
            (Setting::MaxFailed(0), "0", true),
            (Setting::Lowest("Camera/AllowCamera", 1), "0", true),
            (Setting::Lowest("Camera/AllowCamera", 0), "1", false),
            (Setting::Encryption, "", false),
        ] {
            assert_eq!(setting.is_met_by(in_force), met, "{setting:?} {in_force}");
        }
    }

    #[test]
    fn what_is_in_force_stands_elsewhere_for_policies_alone() {
        let node = "./device/vendor/msft/policy/config/Camera/AllowCamera";
        assert_eq!(result_node(node), "./Device/Vendor/MSFT/Policy/Result/Camera/AllowCamera");
        for node in ["./Device/Vendor/MSFT/BitLocker/RequireDeviceEncryption", "", "é"] {
            assert_eq!(result_node(node), node);
        }
    }

    #[test]
    fn acts_are_execs_on_nodes_of_the_device() {
        for (op, uri, data) in [
            (unenroll("x", "P"), "./Device/Vendor/MSFT/DMClient/Provider/P/Unenroll", "P"),
            (wipe("x"), "./Device/Vendor/MSFT/RemoteWipe/doWipe", ""),
            (lock("x"), "./Device/Vendor/MSFT/RemoteLock/Lock", ""),
            (restart("x"), "./Device/Vendor/MSFT/Reboot/RebootNow", ""),
        ] {
            assert_eq!((op.verb, op.items[0].uri.as_str()), (Verb::Exec, uri));
            assert_eq!(op.items[0].data.as_deref(), Some(data));
        }
    }
}

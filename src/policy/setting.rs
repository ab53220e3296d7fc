//! The typed settings, their values, and whom they are for. Names here are those of the policy file.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A management protocol as policy sees it; an `exchange` connector carries no policy of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Apple MDM.
    Apple,
    /// OMA-DM, with the Windows CSPs.
    Omadm,
    /// Exchange ActiveSync through the gateway.
    Activesync,
}

impl Channel {
    /// The name in JSON and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Apple => "apple",
            Channel::Omadm => "omadm",
            Channel::Activesync => "activesync",
        }
    }
}

/// What a device runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Platform {
    Ios,
    Ipados,
    Macos,
    Tvos,
    Watchos,
    Visionos,
    Windows,
    WindowsPhone,
    Android,
    Other,
}

macro_rules! settings {
    ($($setting:ident = $name:literal),+ $(,)?) => {
        /// A typed setting. The order is the order in which parts are sent: Windows ignores the other passcode rules until
        /// `DevicePasswordEnabled` is set.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "the names say it")]
        pub enum Setting { $($setting),+ }

        impl Setting {
            /// All of them, in order.
            pub const ALL: [Setting; [$($name),+].len()] = [$(Setting::$setting),+];

            /// The name as in the policy file, with its section: `passcode.min_length`.
            pub fn name(self) -> &'static str {
                match self { $(Setting::$setting => $name),+ }
            }
        }
    };
}

settings! {
    PasscodeRequired = "passcode.required",
    PasscodeMinLength = "passcode.min_length",
    PasscodeAlphanumeric = "passcode.alphanumeric",
    PasscodeMaxFailed = "passcode.max_failed",
    PasscodeMaxIdleMinutes = "passcode.max_idle_minutes",
    PasscodeExpireDays = "passcode.expire_days",
    PasscodeHistory = "passcode.history",
    Encryption = "encryption",
    Camera = "camera",
}

impl Setting {
    /// The setting of that name.
    pub fn from_name(name: &str) -> Option<Setting> {
        Setting::ALL.into_iter().find(|s| s.name() == name)
    }
}

/// A setting with its value, as a device is to have it. What is not required has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// A passcode must be set.
    PasscodeRequired,
    /// 1..=16 characters.
    PasscodeMinLength(u8),
    /// Letters as well as digits.
    PasscodeAlphanumeric,
    /// 4..=16 wrong tries, after which many devices erase themselves.
    PasscodeMaxFailed(u8),
    /// 1..=60 minutes until the device locks itself.
    PasscodeMaxIdleMinutes(u8),
    /// 1..=730 days until the passcode must be changed.
    PasscodeExpireDays(u16),
    /// 1..=50 former passcodes that may not be used again.
    PasscodeHistory(u8),
    /// Storage must be encrypted.
    Encryption,
    /// Whether the camera may be used.
    Camera(Camera),
}

impl Value {
    /// One of each setting, for tests that look at all.
    #[cfg(test)]
    pub const EXAMPLES: [Value; Setting::ALL.len()] = [
        Value::PasscodeRequired,
        Value::PasscodeMinLength(6),
        Value::PasscodeAlphanumeric,
        Value::PasscodeMaxFailed(6),
        Value::PasscodeMaxIdleMinutes(5),
        Value::PasscodeExpireDays(90),
        Value::PasscodeHistory(3),
        Value::Encryption,
        Value::Camera(Camera::Blocked),
    ];

    /// Which setting this is a value of.
    pub fn setting(self) -> Setting {
        match self {
            Value::PasscodeRequired => Setting::PasscodeRequired,
            Value::PasscodeMinLength(_) => Setting::PasscodeMinLength,
            Value::PasscodeAlphanumeric => Setting::PasscodeAlphanumeric,
            Value::PasscodeMaxFailed(_) => Setting::PasscodeMaxFailed,
            Value::PasscodeMaxIdleMinutes(_) => Setting::PasscodeMaxIdleMinutes,
            Value::PasscodeExpireDays(_) => Setting::PasscodeExpireDays,
            Value::PasscodeHistory(_) => Setting::PasscodeHistory,
            Value::Encryption => Setting::Encryption,
            Value::Camera(_) => Setting::Camera,
        }
    }
}

/// The value alone, as the policy file has it.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::PasscodeRequired | Value::PasscodeAlphanumeric => f.write_str("true"),
            Value::PasscodeMinLength(n)
            | Value::PasscodeMaxFailed(n)
            | Value::PasscodeMaxIdleMinutes(n)
            | Value::PasscodeHistory(n) => n.fmt(f),
            Value::PasscodeExpireDays(n) => n.fmt(f),
            Value::Encryption => f.write_str("required"),
            Value::Camera(Camera::Allowed) => f.write_str("allowed"),
            Value::Camera(Camera::Blocked) => f.write_str("blocked"),
        }
    }
}

/// The passcode rules; `None` and `false` ask for nothing. Any rule asks for a passcode as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "ranges and units stand at `Value`")]
pub struct Passcode {
    pub required: bool,
    pub min_length: Option<u8>,
    pub alphanumeric: bool,
    pub max_failed: Option<u8>,
    pub max_idle_minutes: Option<u8>,
    pub expire_days: Option<u16>,
    pub history: Option<u8>,
}

impl Passcode {
    /// Whether any rule stands beside `required`.
    pub fn has_rules(&self) -> bool {
        self.alphanumeric
            || self.min_length.is_some()
            || self.max_failed.is_some()
            || self.max_idle_minutes.is_some()
            || self.expire_days.is_some()
            || self.history.is_some()
    }

    /// The strictest of both.
    #[must_use]
    pub fn strictest(self, other: Passcode) -> Passcode {
        Passcode {
            required: self.required || other.required,
            min_length: self.min_length.max(other.min_length),
            alphanumeric: self.alphanumeric || other.alphanumeric,
            max_failed: lower(self.max_failed, other.max_failed),
            max_idle_minutes: lower(self.max_idle_minutes, other.max_idle_minutes),
            expire_days: lower(self.expire_days, other.expire_days),
            history: self.history.max(other.history),
        }
    }

    /// The values that are asked for, in the order of [`Setting`].
    pub fn values(&self) -> impl Iterator<Item = Value> {
        [
            self.required.then_some(Value::PasscodeRequired),
            self.min_length.map(Value::PasscodeMinLength),
            self.alphanumeric.then_some(Value::PasscodeAlphanumeric),
            self.max_failed.map(Value::PasscodeMaxFailed),
            self.max_idle_minutes.map(Value::PasscodeMaxIdleMinutes),
            self.expire_days.map(Value::PasscodeExpireDays),
            self.history.map(Value::PasscodeHistory),
        ]
        .into_iter()
        .flatten()
    }
}

/// The lower of two limits, where none is no limit.
fn lower<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// `encryption: required`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the name says it")]
pub enum Encryption {
    Required,
}

/// `camera: allowed|blocked`. `Blocked` is the stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Camera {
    Allowed,
    Blocked,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_both_ways_and_each_has_its_example() {
        for (setting, example) in Setting::ALL.into_iter().zip(Value::EXAMPLES) {
            assert_eq!(Setting::from_name(setting.name()), Some(setting));
            assert_eq!(example.setting(), setting, "{setting:?}");
        }
    }

    #[test]
    fn each_passcode_rule_asks_for_a_passcode() {
        let none = Passcode::default();
        assert!(!none.has_rules() && none.values().next().is_none());
        for example in Value::EXAMPLES.into_iter().filter(|value| value.setting().name().starts_with("passcode.")) {
            let rule = example.setting().name().trim_start_matches("passcode.");
            let text = format!("name: a\nassign: all\npasscode: {{{rule}: {example}}}\n");
            let passcode = crate::policy::PolicyFile::parse(&text).unwrap().passcode.unwrap();
            assert!(passcode.has_rules() || passcode.required, "{rule}");
            assert!(passcode.values().any(|value| value == example), "{rule}");
            assert_eq!(none.strictest(passcode), passcode, "{rule}");
        }
    }

    #[test]
    fn no_limit_is_the_weakest_limit() {
        let strict = Passcode { max_failed: Some(6), history: Some(3), ..Passcode::default() };
        let lax = Passcode { max_failed: None, history: Some(1), required: true, ..Passcode::default() };
        let both = strict.strictest(lax);
        assert_eq!((both.max_failed, both.history, both.required), (Some(6), Some(3), true));
    }
}

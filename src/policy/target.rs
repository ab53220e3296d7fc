//! Whom settings are for: a channel, and a device with what it told of itself.

use super::version::Version;
use lanyard_apple::support;
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

impl Platform {
    /// As a mail client calls its kind (ActiveSync's DeviceType): a claim.
    pub fn of_mail(device_type: &str) -> Self {
        let said = device_type.to_ascii_lowercase();
        let names = [
            ("ipad", Platform::Ipados),
            ("iphone", Platform::Ios),
            ("ipod", Platform::Ios),
            ("android", Platform::Android),
            ("samsung", Platform::Android),
            ("windowsmail", Platform::Windows),
            ("windowsoutlook", Platform::Windows),
            ("wp8", Platform::WindowsPhone),
            ("windowsphone", Platform::WindowsPhone),
        ];
        names.iter().find(|(name, _)| said.contains(name)).map_or(Platform::Other, |(_, platform)| *platform)
    }

    /// As Apple's tables name it; none for what is not Apple's, or not known.
    pub fn of_apple(self) -> Option<support::Platform> {
        Some(match self {
            Platform::Ios => support::Platform::Ios,
            Platform::Ipados => support::Platform::IpadOs,
            Platform::Macos => support::Platform::MacOs,
            Platform::Tvos => support::Platform::TvOs,
            Platform::Watchos => support::Platform::WatchOs,
            Platform::Visionos => support::Platform::VisionOs,
            Platform::Windows | Platform::WindowsPhone | Platform::Android | Platform::Other => return None,
        })
    }

    /// Each of them.
    pub const ALL: [Platform; 10] = [
        Platform::Ios,
        Platform::Ipados,
        Platform::Macos,
        Platform::Tvos,
        Platform::Watchos,
        Platform::Visionos,
        Platform::Windows,
        Platform::WindowsPhone,
        Platform::Android,
        Platform::Other,
    ];

    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Platform::Ios => "ios",
            Platform::Ipados => "ipados",
            Platform::Macos => "macos",
            Platform::Tvos => "tvos",
            Platform::Watchos => "watchos",
            Platform::Visionos => "visionos",
            Platform::Windows => "windows",
            Platform::WindowsPhone => "windows_phone",
            Platform::Android => "android",
            Platform::Other => "other",
        }
    }

    /// The system's name, for people.
    pub(super) fn system(self) -> &'static str {
        match self {
            Platform::Ios => "iOS",
            Platform::Ipados => "iPadOS",
            Platform::Macos => "macOS",
            Platform::Tvos => "tvOS",
            Platform::Watchos => "watchOS",
            Platform::Visionos => "visionOS",
            Platform::Windows | Platform::WindowsPhone => "Windows",
            Platform::Android => "Android",
            Platform::Other => "this system",
        }
    }
}

/// A device, as far as it decides which settings it keeps. `None`: it has not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// What it runs.
    pub platform: Platform,
    /// Of its system.
    pub version: Option<Version>,
    /// Apple: whether it is supervised.
    pub supervised: Option<bool>,
    /// Windows: the product type, which tells Home from Pro.
    pub edition: Option<u32>,
    /// Whether it is its user's own.
    pub personal: bool,
}

impl Target {
    /// A device that has told no more than what it runs.
    pub fn of(platform: Platform) -> Target {
        Target { platform, version: None, supervised: None, edition: None, personal: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_types_name_platforms() {
        for (text, want) in [
            ("iPhone", Platform::Ios),
            ("iPad", Platform::Ipados),
            ("SAMSUNGSMG991B", Platform::Android),
            ("Android", Platform::Android),
            ("WindowsMail", Platform::Windows),
            ("TbSync", Platform::Other),
        ] {
            assert_eq!(Platform::of_mail(text), want, "{text}");
        }
    }
}

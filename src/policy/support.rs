//! How well a setting is kept: the words for it, and what the makers' tables say by version, supervision and edition. What each setting
//! says of the platforms by itself stands in its room in `settings/`.

use std::fmt;

use super::target::{Channel, Platform, Target};
use super::windows::{Lack, lacks};
use lanyard_apple::support::{Heed, OsVersion, heeds};

/// How well a platform enforces a value over a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// As it stands.
    Full,
    /// As it stands or stricter, with something to know.
    Noted(&'static str),
    /// In part; what is missing.
    Limited(&'static str),
    /// Always so, with no policy; why.
    Always(&'static str),
    /// Always so in part, with no policy; what is missing.
    InPart(&'static str),
    /// Not at all; why. No part is made of it.
    No(&'static str),
    /// Not on this device; what it lacks. No part is made of it.
    Lacks(Gap),
    /// As it stands, but the device reports of itself that it is not so (yet).
    Unmet(&'static str),
    /// As it stands, but whether it is so only the device's own report would tell, which has not come.
    Untold(&'static str),
    /// What it would take, and it is not known whether the device has that. It is sent; whether it is kept, no answer tells.
    Unknown(Gap),
}

/// What a device lacks for a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// Its system has no such setting.
    System(Platform),
    /// It came with this version.
    Version(Platform, OsVersion),
    /// It went with this version.
    Gone(Platform, OsVersion),
    /// Supervision.
    Supervision,
    /// It came with this build of Windows 10.0.
    Build(&'static str),
    /// It takes this edition of Windows.
    Edition(&'static str),
}

/// For people.
impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gap::System(platform) => write!(f, "the setting does not exist on {}", platform.system()),
            Gap::Version(platform, needs) => write!(f, "it needs {} {needs}", platform.system()),
            Gap::Gone(platform, since) => write!(f, "it is gone since {} {since}", platform.system()),
            Gap::Supervision => f.write_str("it needs a supervised device"),
            Gap::Build(build) => write!(f, "it needs Windows 10.0.{build}"),
            Gap::Edition(edition) => write!(f, "it needs Windows {edition}"),
        }
    }
}

impl Support {
    /// Whether a part is made of the value: not where it is always so, or cannot be.
    pub fn is_sent(self) -> bool {
        match self {
            Support::Full | Support::Noted(_) | Support::Limited(_) => true,
            Support::Unmet(_) | Support::Untold(_) | Support::Unknown(_) => true,
            Support::Always(_) | Support::InPart(_) | Support::No(_) | Support::Lacks(_) => false,
        }
    }
}

/// What a device lacks for what says a setting on the wire, by Apple's table of keys and by that of Windows nodes. `None`: nothing, or
/// nothing that the tables tell.
pub(super) fn gap(
    channel: Channel,
    target: &Target,
    key: Option<(&str, &str)>,
    nodes: &[&'static str],
) -> Option<Support> {
    match channel {
        Channel::Apple => apple(target, key?),
        Channel::Omadm if target.platform == Platform::Windows => {
            let lack = lacks(nodes.first()?, target.version, target.edition)?;
            Some(Support::Lacks(match lack {
                Lack::Build(build) => Gap::Build(build),
                Lack::Edition(edition) => Gap::Edition(edition.name()),
            }))
        }
        Channel::Omadm | Channel::Activesync => None,
    }
}

fn apple(target: &Target, (payload, key): (&str, &str)) -> Option<Support> {
    let version = target.version.and_then(|version| version.of_apple());
    let platform = target.platform;
    Some(match heeds(payload, key, platform.of_apple()?, version, target.supervised) {
        Heed::Yes => return None,
        Heed::NoSuchKey => Support::Lacks(Gap::System(platform)),
        Heed::OsTooOld(needs) => Support::Lacks(Gap::Version(platform, needs)),
        Heed::Gone(since) => Support::Lacks(Gap::Gone(platform, since)),
        Heed::NotSupervised => Support::Lacks(Gap::Supervision),
        Heed::VersionUnknown(needs) => Support::Unknown(Gap::Version(platform, needs)),
        Heed::SupervisionUnknown => Support::Unknown(Gap::Supervision),
    })
}

/// What a device reports of itself, and what else is asked of it, as far as that bears on a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Whether its storage is encrypted; `None`: not heard.
    pub encrypted: Option<bool>,
    /// Whether a passcode is asked for.
    pub passcode_required: bool,
}

/// Whether so many wrong tries erase the device, rather than lock it.
pub fn erases(channel: Channel, platform: Platform, personal: bool) -> bool {
    match channel {
        // A Mac locks the account; what is its user's own is not told how many tries there are.
        Channel::Apple => !personal && !matches!(platform, Platform::Macos | Platform::Tvos),
        // A PC asks for its BitLocker recovery key.
        Channel::Omadm => platform != Platform::Windows,
        // What a mail client does is not known: count it.
        Channel::Activesync => true,
    }
}

#[cfg(test)]
mod tests {
    use super::super::version::Version;
    use super::*;

    #[test]
    fn what_a_device_lacks_is_said_in_words() {
        let version = Version::parse;
        let camera = ("com.apple.applicationaccess", "allowCamera");
        let airdrop = ("com.apple.applicationaccess", "allowAirDrop");
        let node = ["./Device/Vendor/MSFT/Policy/Config/Camera/AllowCamera"];
        let of = |platform, told| Target { version: version(told), ..Target::of(platform) };
        let supervised = |supervised| Target { supervised, ..of(Platform::Ios, "18.1") };
        let pc = |edition| Target { edition: Some(edition), ..of(Platform::Windows, "10.0.26200.9278") };
        for (row, channel, target, key, want) in [
            ("there", Channel::Apple, of(Platform::Tvos, "17.4"), camera, None),
            ("too old", Channel::Apple, of(Platform::Tvos, "16.6"), camera, Some("lacks: it needs tvOS 17.0")),
            ("not told", Channel::Apple, of(Platform::Tvos, ""), camera, Some("unknown: it needs tvOS 17.0")),
            (
                "none there",
                Channel::Apple,
                of(Platform::Watchos, "11.0"),
                camera,
                Some("lacks: the setting does not exist on watchOS"),
            ),
            ("supervised", Channel::Apple, supervised(Some(true)), airdrop, None),
            (
                "not supervised",
                Channel::Apple,
                supervised(Some(false)),
                airdrop,
                Some("lacks: it needs a supervised device"),
            ),
            ("not known", Channel::Apple, supervised(None), airdrop, Some("unknown: it needs a supervised device")),
            ("not Apple's", Channel::Apple, of(Platform::Other, "1.0"), camera, None),
            ("Pro", Channel::Omadm, pc(48), camera, None),
            ("Home", Channel::Omadm, pc(101), camera, Some("lacks: it needs Windows Pro")),
            (
                "an old build",
                Channel::Omadm,
                of(Platform::Windows, "10.0.9600.1"),
                camera,
                Some("lacks: it needs Windows 10.0.10240"),
            ),
            ("a phone", Channel::Omadm, of(Platform::WindowsPhone, "10.0.9600.1"), camera, None),
            ("mail", Channel::Activesync, of(Platform::Ios, ""), airdrop, None),
        ] {
            let said = gap(channel, &target, Some(key), &node).map(|support| match support {
                Support::Lacks(gap) => format!("lacks: {gap}"),
                Support::Unknown(gap) => format!("unknown: {gap}"),
                other => panic!("{row}: {other:?}"),
            });
            assert_eq!(said.as_deref(), want, "{row}");
        }
    }

    #[test]
    fn what_erases_is_counted_when_in_doubt() {
        assert!(erases(Channel::Apple, Platform::Ios, false) && !erases(Channel::Apple, Platform::Macos, false));
        assert!(
            !erases(Channel::Omadm, Platform::Windows, false) && erases(Channel::Omadm, Platform::WindowsPhone, true)
        );
        assert!(erases(Channel::Activesync, Platform::Other, true));
        assert!(!erases(Channel::Apple, Platform::Ios, true), "it is not told how many tries there are");
    }
}

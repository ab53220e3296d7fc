//! How the tables say where something exists; and whether a device heeds a key of a configuration profile. Devices acknowledge a profile
//! with keys that they do not heed, so that their answer proves nothing of such a key; this does.

use super::{OsVersion, Platform, Right, START, column, keys::PAYLOADS};

/// Keys of one payload with where they exist, by system.
pub(super) type Keys = [(&'static str, [On; 5])];

/// A command, or one item of Settings.
pub(super) struct Row {
    pub(super) command: &'static str,
    pub(super) right: Option<Right>,
    pub(super) on: [On; 5],
    /// Allowed in user enrolment on iOS and visionOS, and on macOS.
    pub(super) user_enrolment: (bool, bool),
    /// Goes over a Mac's user channel.
    pub(super) mac_user: bool,
}

pub(super) const fn row(
    command: &'static str,
    right: Option<Right>,
    on: [On; 5],
    user_enrolment: (bool, bool),
    mac_user: bool,
) -> Row {
    Row { command, right, on, user_enrolment, mac_user }
}

/// Something on one system; the versions as Apple writes them, empty where there is none.
#[derive(Debug, Clone, Copy)]
pub(super) struct On {
    since: &'static str,
    supervised: bool,
    deprecated: &'static str,
    removed: &'static str,
}

impl On {
    /// It works still, and will not for ever.
    pub(super) const fn old(self, deprecated: &'static str) -> Self {
        Self { deprecated, ..self }
    }

    /// It is gone with this version.
    pub(super) const fn until(self, removed: &'static str) -> Self {
        Self { removed, ..self }
    }
}

impl On {
    /// With its versions as such; none where it does not exist.
    pub(super) fn there(self) -> Option<Availability> {
        Some(Availability {
            since: OsVersion::parse(self.since)?,
            supervised: self.supervised,
            deprecated: OsVersion::parse(self.deprecated),
            removed: OsVersion::parse(self.removed),
        })
    }
}

/// Nowhere on this system.
pub(super) const fn n() -> On {
    a("")
}

/// On any device, from a version on.
pub(super) const fn a(since: &'static str) -> On {
    On { since, supervised: false, deprecated: "", removed: "" }
}

/// On supervised devices, from a version on.
pub(super) const fn s(since: &'static str) -> On {
    On { supervised: true, ..a(since) }
}

/// Where something exists on one system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Availability {
    /// From this version on.
    pub since: OsVersion,
    /// On supervised devices alone.
    pub supervised: bool,
    /// From this version on it is to be given up.
    pub deprecated: Option<OsVersion>,
    /// From this version on it is gone.
    pub removed: Option<OsVersion>,
}

/// Whether a device heeds a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heed {
    /// It does.
    Yes,
    /// Its system has no such key.
    NoSuchKey,
    /// The key came with this later version.
    OsTooOld(OsVersion),
    /// The key went with this version.
    Gone(OsVersion),
    /// The key is for supervised devices, and this is none.
    NotSupervised,
    /// The key came with this version, and it is not known which the device has.
    VersionUnknown(OsVersion),
    /// The key is for supervised devices, and it is not known whether this is one.
    SupervisionUnknown,
}

/// Where a key at the top of a payload exists on a platform; none where it does not, or the table does not hold it.
pub fn availability(payload: &str, key: &str, platform: Platform) -> Option<Availability> {
    let (_, keys) = PAYLOADS.iter().find(|(known, _)| *known == payload)?;
    let at = keys.binary_search_by(|(known, _)| (*known).cmp(key)).ok()?;
    let (_, systems) = keys.get(at)?;
    systems.get(column(platform)?)?.there()
}

/// Whether a device heeds a key. What is certain comes before what is not known.
pub fn heeds(
    payload: &str,
    key: &str,
    platform: Platform,
    os_version: Option<OsVersion>,
    supervised: Option<bool>,
) -> Heed {
    let Some(there) = availability(payload, key, platform) else { return Heed::NoSuchKey };
    match (os_version, there.removed) {
        (Some(has), _) if has < there.since => return Heed::OsTooOld(there.since),
        (Some(has), Some(removed)) if has >= removed => return Heed::Gone(removed),
        _ => {}
    }
    match supervised {
        Some(false) if there.supervised => Heed::NotSupervised,
        None if there.supervised => Heed::SupervisionUnknown,
        // What has been there from the start of management needs no version.
        _ if os_version.is_none() && (there.since > from_the_start(platform) || there.removed.is_some()) => {
            Heed::VersionUnknown(there.since)
        }
        _ => Heed::Yes,
    }
}

fn from_the_start(platform: Platform) -> OsVersion {
    let start = column(platform).and_then(|column| START.get(column).copied().flatten());
    start.map_or(OsVersion::new(0, 0, 0), |(major, minor)| OsVersion::new(major, minor, 0))
}

#[cfg(test)]
mod tests {
    use super::super::commands::COMMANDS;
    use super::*;

    const RESTRICTIONS: &str = "com.apple.applicationaccess";

    #[test]
    fn a_key_is_heeded_by_system_version_and_supervision() {
        let version = |text: &str| OsVersion::parse(text);
        let needs = |major, minor| OsVersion::new(major, minor, 0);
        for (row, key, platform, has, supervised, want) in [
            ("an iPhone", "allowCamera", Platform::Ios, version("18.1"), Some(false), Heed::Yes),
            ("from the start", "allowCamera", Platform::IpadOs, None, None, Heed::Yes),
            ("Apple TV", "allowCamera", Platform::TvOs, version("16.6"), Some(true), Heed::OsTooOld(needs(17, 0))),
            ("Apple TV", "allowCamera", Platform::TvOs, version("17.0"), Some(true), Heed::Yes),
            ("not told", "allowCamera", Platform::TvOs, None, None, Heed::VersionUnknown(needs(17, 0))),
            ("a watch", "allowCamera", Platform::WatchOs, version("11.0"), Some(true), Heed::NoSuchKey),
            ("supervised", "allowAirDrop", Platform::Ios, version("18.1"), Some(true), Heed::Yes),
            ("not supervised", "allowAirDrop", Platform::Ios, version("18.1"), Some(false), Heed::NotSupervised),
            ("nor in doubt", "allowAirDrop", Platform::Ios, None, Some(false), Heed::NotSupervised),
            ("not known", "allowAirDrop", Platform::Ios, version("18.1"), None, Heed::SupervisionUnknown),
            ("a Mac needs none", "allowAirDrop", Platform::MacOs, version("15.0"), None, Heed::Yes),
            ("no such key", "allowCamel", Platform::Ios, version("18.1"), Some(true), Heed::NoSuchKey),
            ("no such system", "allowCamera", Platform::Other, None, None, Heed::NoSuchKey),
        ] {
            assert_eq!(heeds(RESTRICTIONS, key, platform, has, supervised), want, "{row}: {key}");
        }
    }

    #[test]
    fn the_tables_are_sorted_and_their_versions_are_versions() {
        assert!(COMMANDS.is_sorted_by_key(|row| row.command));
        for on in COMMANDS.iter().flat_map(|row| row.on) {
            assert!(on.since.is_empty() || on.there().is_some(), "{on:?}");
        }
        for (payload, keys) in PAYLOADS {
            assert!(keys.is_sorted_by_key(|(key, _)| key), "{payload}");
            for on in keys.iter().flat_map(|(_, systems)| systems) {
                for version in [on.since, on.deprecated, on.removed] {
                    assert!(version.is_empty() || OsVersion::parse(version).is_some(), "{payload}: {version}");
                }
            }
        }
    }
}

//! Which device can do which command: by platform, OS version, access rights, supervision, kind of enrolment and
//! channel. To be asked when a command is queued and again when it is sent, since all of these change.
//!
//! The table holds facts of Apple's published schema (apple/device-management, the state for OS 27 of November 2026);
//! a test compares it with a copy of them where there is one. Which keys of profiles a device heeds is in `key.rs`, over a table
//! that `cargo xtask tables` writes.

mod key;
mod keys;
mod platform;

pub use key::{Availability, Heed, availability, heeds};
pub use platform::{OsVersion, Platform};

use crate::{command::CommandKind, error::Error};

/// One bit of AccessRights in the enrolment profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Right {
    /// List installed configuration profiles.
    InspectProfiles = 1,
    /// Install and remove them.
    InstallProfiles = 2,
    /// Lock the device, remove its passcode.
    LockAndPasscode = 4,
    /// Erase the device.
    Erase = 8,
    /// Ask for device information.
    QueryDevice = 16,
    /// Ask for network information.
    QueryNetwork = 32,
    /// List provisioning profiles.
    InspectProvisioning = 64,
    /// Install and remove them.
    InstallProvisioning = 128,
    /// List applications.
    QueryApplications = 256,
    /// Ask for restrictions.
    QueryRestrictions = 512,
    /// Ask for the state of security.
    QuerySecurity = 1024,
    /// Change settings.
    ChangeSettings = 2048,
    /// Manage applications.
    ManageApplications = 4096,
}

/// AccessRights of an enrolment. They may shrink later, but never grow without enrolling anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccessRights(u32);

impl AccessRights {
    /// Everything: devices of the organisation.
    pub const ALL: Self = Self(8191);
    /// Everything but the erase: devices of its people.
    pub const PERSONAL: Self = Self(8191 - Right::Erase as u32);

    /// Refuses what devices refuse: 0, unknown bits, 2 without 1, 128 without 64.
    pub fn new(bits: u32) -> Result<Self, Error> {
        let rights = Self(bits);
        let lacks = |has: Right, needs: Right| rights.has(has) && !rights.has(needs);
        if bits == 0
            || bits > Self::ALL.0
            || lacks(Right::InstallProfiles, Right::InspectProfiles)
            || lacks(Right::InstallProvisioning, Right::InspectProvisioning)
        {
            return Err(Error::BadValue { field: "AccessRights", why: "a sum that devices refuse" });
        }
        Ok(rights)
    }

    /// The sum, as in the profile.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether a right is among them.
    pub fn has(self, right: Right) -> bool {
        self.0 & right as u32 != 0
    }
}

/// What the answer depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Of the device.
    pub platform: Platform,
    /// None: not known, and then taken as new enough for whatever has been there for years.
    pub os_version: Option<OsVersion>,
    /// Of its enrolment.
    pub rights: AccessRights,
    /// None: not known, which counts as no. Ask for IsSupervised first.
    pub supervised: Option<bool>,
    /// A user enrolled it: the device named itself by EnrollmentID.
    pub user_enrolment: bool,
    /// The command would go over a user's channel.
    pub user_channel: bool,
}

impl Target {
    /// A device's own channel, enrolled as a device.
    pub fn device(platform: Platform, os_version: Option<OsVersion>, rights: AccessRights) -> Self {
        Self { platform, os_version, rights, supervised: None, user_enrolment: false, user_channel: false }
    }
}

/// Whether a command can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It can.
    Yes,
    /// It would be refused or do harm.
    No(Reason),
}

/// Why a command cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It does not exist there.
    Platform,
    /// It came with a later version, this one.
    OsTooOld(OsVersion),
    /// The enrolment does not give this right.
    Right(Right),
    /// The device is not supervised, or we do not know.
    NotSupervised,
    /// Not where a user enrolled the device.
    UserEnrolment,
    /// Not over a user's channel.
    UserChannel,
    /// DeviceLock deactivates a Mac with Apple silicon before macOS 11.5.
    Harmful,
}

/// For people: the end of "not possible: …".
impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Platform => f.write_str("this platform has no such command"),
            Self::OsTooOld(needs) => write!(f, "it needs version {needs} of the system"),
            Self::Right(Right::Erase) => f.write_str("the enrolment leaves out the right to erase"),
            Self::Right(right) => write!(f, "the enrolment leaves out the right {} ({right:?})", *right as u32),
            Self::NotSupervised => f.write_str("the device is not known to be supervised"),
            Self::UserEnrolment => f.write_str("the device was enrolled by its user"),
            Self::UserChannel => f.write_str("not over a user's channel"),
            Self::Harmful => f.write_str("it would deactivate a Mac with Apple silicon before macOS 11.5"),
        }
    }
}

/// One row: where a command exists from which version on, and under what conditions.
struct Row {
    command: CommandKind,
    right: Option<Right>,
    /// First versions on iOS (and iPadOS), macOS, tvOS, visionOS, watchOS; none where it does not exist.
    since: [Option<(u16, u16)>; 5],
    /// Needs supervision on iOS, macOS, tvOS, visionOS, watchOS.
    supervised: [bool; 5],
    /// Allowed in user enrolment on iOS and visionOS, and on macOS.
    user_enrolment: (bool, bool),
    /// Goes over a Mac's user channel.
    mac_user: bool,
}

const NOWHERE: [bool; 5] = [false; 5];
/// iOS 4, macOS 10.7, tvOS 9, visionOS 1.1, watchOS 10: what was there from each system's start.
const START: [Option<(u16, u16)>; 5] = [Some((4, 0)), Some((10, 7)), Some((9, 0)), Some((1, 1)), Some((10, 0))];

const fn row(command: CommandKind, right: Right, since: [Option<(u16, u16)>; 5]) -> Row {
    Row { command, right: Some(right), since, supervised: NOWHERE, user_enrolment: (true, true), mac_user: false }
}

const fn both_channels(row: Row) -> Row {
    Row { mac_user: true, ..row }
}

const fn user_enrolment(row: Row, mobile: bool, mac: bool) -> Row {
    Row { user_enrolment: (mobile, mac), ..row }
}

const TABLE: [Row; 14] = {
    use CommandKind as C;
    // Its right is decided key by key: without QueryDevice a device still answers with its UDID.
    let information = Row { right: None, ..row(C::DeviceInformation, Right::QueryDevice, START) };
    let restart = [Some((10, 3)), Some((10, 13)), Some((10, 2)), None, None];
    let shut_down = [Some((10, 3)), Some((10, 13)), None, None, None];
    let lock = [Some((4, 0)), Some((10, 7)), None, Some((2, 0)), Some((10, 0))];
    let clear = [Some((4, 0)), None, None, Some((1, 1)), Some((10, 0))];
    let erase = [Some((4, 0)), Some((10, 7)), Some((10, 2)), Some((1, 1)), Some((10, 0))];
    let apps = [Some((5, 0)), Some((10, 7)), Some((10, 2)), Some((1, 1)), Some((10, 0))];
    let managed = [Some((5, 0)), Some((11, 0)), Some((10, 2)), Some((1, 1)), Some((10, 0))];
    let configured = [Some((9, 0)), Some((10, 11)), Some((10, 2)), Some((2, 0)), None];
    let mobile_supervised = [true, false, true, false, false];
    [
        both_channels(information),
        both_channels(row(C::SecurityInfo, Right::QuerySecurity, START)),
        both_channels(row(C::ProfileList, Right::InspectProfiles, START)),
        both_channels(row(C::InstallProfile, Right::InstallProfiles, START)),
        both_channels(row(C::RemoveProfile, Right::InstallProfiles, START)),
        user_enrolment(row(C::DeviceLock, Right::LockAndPasscode, lock), true, false),
        user_enrolment(row(C::ClearPasscode, Right::LockAndPasscode, clear), false, false),
        user_enrolment(row(C::EraseDevice, Right::Erase, erase), false, false),
        Row {
            supervised: mobile_supervised,
            ..user_enrolment(row(C::RestartDevice, Right::LockAndPasscode, restart), false, false)
        },
        Row {
            supervised: mobile_supervised,
            ..user_enrolment(row(C::ShutDownDevice, Right::LockAndPasscode, shut_down), false, false)
        },
        user_enrolment(both_channels(row(C::InstalledApplicationList, Right::QueryApplications, apps)), true, false),
        both_channels(row(C::ManagedApplicationList, Right::ManageApplications, managed)),
        row(C::RemoveApplication, Right::ManageApplications, managed),
        Row {
            right: None,
            supervised: [true, false, true, true, false],
            ..user_enrolment(row(C::DeviceConfigured, Right::QueryDevice, configured), false, false)
        },
    ]
};

/// Whether a device can be sent a command. The first ground found is given, the most final one first.
pub fn supports(target: &Target, command: CommandKind) -> Support {
    match refusal(target, command) {
        None => Support::Yes,
        Some(reason) => Support::No(reason),
    }
}

fn refusal(target: &Target, command: CommandKind) -> Option<Reason> {
    let row = TABLE.iter().find(|row| row.command == command);
    let Some((row, column)) = row.zip(column(target.platform)) else { return Some(Reason::Platform) };
    let Some(&Some((major, minor))) = row.since.get(column) else { return Some(Reason::Platform) };
    let since = OsVersion::new(major, minor, 0);
    if target.os_version.is_some_and(|has| has < since) {
        return Some(Reason::OsTooOld(since));
    }
    let mac = target.platform == Platform::MacOs;
    let (mobile_users, mac_users) = row.user_enrolment;
    if target.user_enrolment && !(if mac { mac_users } else { mobile_users }) {
        return Some(Reason::UserEnrolment);
    }
    if target.user_channel && !(mac && row.mac_user) {
        return Some(Reason::UserChannel);
    }
    // AccessRights say nothing in user enrolment: devices ignore them there.
    if let Some(right) = row.right
        && !target.user_enrolment
        && !target.rights.has(right)
    {
        return Some(Reason::Right(right));
    }
    if row.supervised.get(column) == Some(&true) && target.supervised != Some(true) {
        return Some(Reason::NotSupervised);
    }
    let deactivates = OsVersion::new(11, 0, 0)..OsVersion::new(11, 5, 0);
    let harmful = mac && command == CommandKind::DeviceLock;
    if harmful && target.os_version.is_some_and(|has| deactivates.contains(&has)) {
        return Some(Reason::Harmful);
    }
    None
}

fn column(platform: Platform) -> Option<usize> {
    Some(match platform {
        Platform::Ios | Platform::IpadOs => 0,
        Platform::MacOs => 1,
        Platform::TvOs => 2,
        Platform::VisionOs => 3,
        Platform::WatchOs => 4,
        Platform::Other => return None,
    })
}

#[cfg(test)]
mod tests;

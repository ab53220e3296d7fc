//! Which device can do which command: by platform, OS version, access rights, supervision, kind of enrolment and
//! channel. To be asked when a command is queued and again when it is sent, since all of these change.
//!
//! The tables hold facts of Apple's published schema (apple/device-management, the state for OS 27 of November 2026), written by
//! `cargo xtask tables`: every command there is, and the keys of some profiles. Which keys a device heeds is in `key.rs`.

mod commands;
mod key;
mod keys;
mod platform;

pub use key::{Availability, Heed, availability, heeds};
pub use platform::{OsVersion, Platform};

use crate::{command::CommandKind, error::Error};
use commands::COMMANDS;

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
    /// It went with this version.
    Gone(OsVersion),
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
            Self::Gone(since) => write!(f, "it is gone since version {since} of the system"),
            Self::Right(Right::Erase) => f.write_str("the enrolment leaves out the right to erase"),
            Self::Right(right) => write!(f, "the enrolment leaves out the right {} ({right:?})", *right as u32),
            Self::NotSupervised => f.write_str("the device is not known to be supervised"),
            Self::UserEnrolment => f.write_str("the device was enrolled by its user"),
            Self::UserChannel => f.write_str("not over a user's channel"),
            Self::Harmful => f.write_str("it would deactivate a Mac with Apple silicon before macOS 11.5"),
        }
    }
}

/// iOS 4, macOS 10.7, tvOS 9, visionOS 1.1, watchOS 10: what was there from each system's start.
const START: [Option<(u16, u16)>; 5] = [Some((4, 0)), Some((10, 7)), Some((9, 0)), Some((1, 1)), Some((10, 0))];

/// Whether a device can be sent a command. The first ground found is given, the most final one first.
pub fn supports(target: &Target, command: CommandKind) -> Support {
    supports_item(target, command.request_type())
}

/// The same by name: a RequestType, or one item of Settings, `Settings.DeviceName`.
pub fn supports_item(target: &Target, command: &str) -> Support {
    match refusal(target, command) {
        None => Support::Yes,
        Some(reason) => Support::No(reason),
    }
}

fn refusal(target: &Target, command: &str) -> Option<Reason> {
    let row = COMMANDS.binary_search_by(|row| row.command.cmp(command)).ok().and_then(|at| COMMANDS.get(at));
    let there = row.zip(row.and_then(|row| row.on.get(column(target.platform)?)?.there()));
    let Some((row, there)) = there else { return Some(Reason::Platform) };
    match (target.os_version, there.removed) {
        (Some(has), _) if has < there.since => return Some(Reason::OsTooOld(there.since)),
        (Some(has), Some(removed)) if has >= removed => return Some(Reason::Gone(removed)),
        _ => {}
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
    if there.supervised && target.supervised != Some(true) {
        return Some(Reason::NotSupervised);
    }
    let deactivates = OsVersion::new(11, 0, 0)..OsVersion::new(11, 5, 0);
    let harmful = mac && command == CommandKind::DeviceLock.request_type();
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

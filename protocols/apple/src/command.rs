//! Commands: what we ask of a device. S mdm/commands of apple/device-management. One file per family; `support.rs`
//! says where each exists.

mod application;
mod erase;
mod lock;
mod power;
mod profile;
mod query;
mod settings;

pub use application::{InstalledApplicationList, ManagedApplicationList, RemoveApplication};
pub use erase::{EraseDevice, ObliterationBehavior};
pub use lock::{ClearPasscode, DeviceLock, Pin};
pub use power::RestartDevice;
pub use profile::{InstallProfile, ProfileList, RemoveProfile};
pub use query::DeviceInformationQuery;
pub use settings::Settings;

use crate::{
    error::{Error, cut},
    plist::{self, Dict},
};

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Facts about the device.
    DeviceInformation(DeviceInformationQuery),
    /// Passcode and encryption.
    SecurityInfo,
    /// What is installed.
    ProfileList(ProfileList),
    /// Install or replace a profile.
    InstallProfile(InstallProfile),
    /// Remove a profile; of the enrolment profile: everything we put there goes.
    RemoveProfile(RemoveProfile),
    /// Lock the screen, or on a Mac the machine.
    DeviceLock(DeviceLock),
    /// Remove the passcode.
    ClearPasscode(ClearPasscode),
    /// Erase the device.
    EraseDevice(EraseDevice),
    /// Restart it.
    RestartDevice(RestartDevice),
    /// Shut it down.
    ShutDownDevice,
    /// All applications.
    InstalledApplicationList(InstalledApplicationList),
    /// Those that we manage.
    ManagedApplicationList(ManagedApplicationList),
    /// Remove a managed application with its data.
    RemoveApplication(RemoveApplication),
    /// Setup Assistant may go on.
    DeviceConfigured,
    /// Set the device to something, once.
    Settings(Settings),
}

macro_rules! kinds {
    ($($kind:ident),+ $(,)?) => {
        /// The kinds of commands, for tables. Each has the meaning of its [`Command`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        pub enum CommandKind { $($kind),+ }

        impl CommandKind {
            /// All of them.
            pub const ALL: [Self; [$(stringify!($kind)),+].len()] = [$(Self::$kind),+];

            /// RequestType on the wire: the same.
            pub fn request_type(self) -> &'static str {
                match self { $(Self::$kind => stringify!($kind)),+ }
            }
        }
    };
}

kinds! {
    DeviceInformation,
    SecurityInfo,
    ProfileList,
    InstallProfile,
    RemoveProfile,
    DeviceLock,
    ClearPasscode,
    EraseDevice,
    RestartDevice,
    ShutDownDevice,
    InstalledApplicationList,
    ManagedApplicationList,
    RemoveApplication,
    DeviceConfigured,
    Settings,
}

impl Command {
    /// As the body of our answer. `uuid` is ours to choose; the device repeats it in its report, and a command keeps
    /// one for good.
    pub fn encode(&self, uuid: &str) -> Vec<u8> {
        let dict = Dict::new().with("RequestType", self.kind().request_type());
        let command = match self {
            Self::SecurityInfo | Self::ShutDownDevice | Self::DeviceConfigured => dict,
            Self::DeviceInformation(command) => command.write(dict),
            Self::ProfileList(command) => command.write(dict),
            Self::InstallProfile(command) => command.write(dict),
            Self::RemoveProfile(command) => command.write(dict),
            Self::DeviceLock(command) => command.write(dict),
            Self::ClearPasscode(command) => command.write(dict),
            Self::EraseDevice(command) => command.write(dict),
            Self::RestartDevice(command) => command.write(dict),
            Self::InstalledApplicationList(command) => command.write(dict),
            Self::ManagedApplicationList(command) => command.write(dict),
            Self::RemoveApplication(command) => command.write(dict),
            Self::Settings(command) => command.write(dict),
        };
        Dict::new().with("Command", command).with("CommandUUID", uuid).to_xml()
    }

    /// Reads a command as a device would: its UUID and what to do. For simulators and tests; a real device knows
    /// more commands than these.
    pub fn parse(bytes: &[u8]) -> Result<(String, Self), Error> {
        let body = plist::parse_dict(bytes)?;
        let uuid = body.need_text("CommandUUID")?.to_owned();
        let dict = body.need_dict("Command")?;
        let name = dict.need_text("RequestType")?;
        let kind = CommandKind::ALL.into_iter().find(|kind| kind.request_type() == name);
        let command = match kind.ok_or_else(|| Error::UnknownRequestType(cut(name)))? {
            CommandKind::SecurityInfo => Self::SecurityInfo,
            CommandKind::ShutDownDevice => Self::ShutDownDevice,
            CommandKind::DeviceConfigured => Self::DeviceConfigured,
            CommandKind::DeviceInformation => Self::DeviceInformation(DeviceInformationQuery::read(dict)?),
            CommandKind::ProfileList => Self::ProfileList(ProfileList::read(dict)?),
            CommandKind::InstallProfile => Self::InstallProfile(InstallProfile::read(dict)?),
            CommandKind::RemoveProfile => Self::RemoveProfile(RemoveProfile::read(dict)?),
            CommandKind::DeviceLock => Self::DeviceLock(DeviceLock::read(dict)?),
            CommandKind::ClearPasscode => Self::ClearPasscode(ClearPasscode::read(dict)?),
            CommandKind::EraseDevice => Self::EraseDevice(EraseDevice::read(dict)?),
            CommandKind::RestartDevice => Self::RestartDevice(RestartDevice::read(dict)?),
            CommandKind::InstalledApplicationList => {
                Self::InstalledApplicationList(InstalledApplicationList::read(dict)?)
            }
            CommandKind::ManagedApplicationList => Self::ManagedApplicationList(ManagedApplicationList::read(dict)?),
            CommandKind::RemoveApplication => Self::RemoveApplication(RemoveApplication::read(dict)?),
            CommandKind::Settings => Self::Settings(Settings::read(dict)?),
        };
        Ok((uuid, command))
    }

    /// Which kind it is.
    pub fn kind(&self) -> CommandKind {
        match self {
            Self::DeviceInformation(_) => CommandKind::DeviceInformation,
            Self::SecurityInfo => CommandKind::SecurityInfo,
            Self::ProfileList(_) => CommandKind::ProfileList,
            Self::InstallProfile(_) => CommandKind::InstallProfile,
            Self::RemoveProfile(_) => CommandKind::RemoveProfile,
            Self::DeviceLock(_) => CommandKind::DeviceLock,
            Self::ClearPasscode(_) => CommandKind::ClearPasscode,
            Self::EraseDevice(_) => CommandKind::EraseDevice,
            Self::RestartDevice(_) => CommandKind::RestartDevice,
            Self::ShutDownDevice => CommandKind::ShutDownDevice,
            Self::InstalledApplicationList(_) => CommandKind::InstalledApplicationList,
            Self::ManagedApplicationList(_) => CommandKind::ManagedApplicationList,
            Self::RemoveApplication(_) => CommandKind::RemoveApplication,
            Self::DeviceConfigured => CommandKind::DeviceConfigured,
            Self::Settings(_) => CommandKind::Settings,
        }
    }
}

#[cfg(test)]
mod tests;

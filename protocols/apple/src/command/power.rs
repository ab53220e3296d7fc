//! RestartDevice. ShutDownDevice has no keys, so it has no file.

use crate::{error::Error, plist::Dict};

/// Restart now. A locked iPhone does not rejoin Wi-Fi afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RestartDevice {
    /// Ask the user to do it when it suits (macOS 11.4), and do nothing else.
    pub notify_user: bool,
}

impl RestartDevice {
    pub(super) fn write(&self, dict: Dict) -> Dict {
        dict.with_flag("NotifyUser", self.notify_user)
    }

    pub(super) fn read(dict: &Dict) -> Result<Self, Error> {
        Ok(Self { notify_user: dict.flag("NotifyUser")? })
    }
}

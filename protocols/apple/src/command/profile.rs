//! InstallProfile, RemoveProfile, ProfileList.

use crate::{error::Error, plist::Dict, secret::Secret};

/// Install a profile; one with the same PayloadIdentifier is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallProfile {
    /// The profile, plain or signed. It may hold a challenge or a password.
    pub payload: Secret<Vec<u8>>,
}

/// Remove a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoveProfile {
    /// Its PayloadIdentifier.
    pub identifier: String,
}

/// List profiles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProfileList {
    /// Only those that we installed (iOS 13, macOS 10.15).
    pub managed_only: bool,
}

impl InstallProfile {
    pub(super) fn write(&self, dict: Dict) -> Dict {
        dict.with("Payload", self.payload.expose().as_slice())
    }

    pub(super) fn read(dict: &Dict) -> Result<Self, Error> {
        Ok(Self { payload: Secret::new(dict.need_data("Payload")?.to_vec()) })
    }
}

impl RemoveProfile {
    pub(super) fn write(&self, dict: Dict) -> Dict {
        dict.with("Identifier", self.identifier.as_str())
    }

    pub(super) fn read(dict: &Dict) -> Result<Self, Error> {
        Ok(Self { identifier: dict.need_text("Identifier")?.to_owned() })
    }
}

impl ProfileList {
    pub(super) fn write(&self, dict: Dict) -> Dict {
        dict.with_flag("ManagedOnly", self.managed_only)
    }

    pub(super) fn read(dict: &Dict) -> Result<Self, Error> {
        Ok(Self { managed_only: dict.flag("ManagedOnly")? })
    }
}

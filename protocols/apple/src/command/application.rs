//! InstalledApplicationList, ManagedApplicationList, RemoveApplication.

use crate::{error::Error, plist::Dict};

/// List applications.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InstalledApplicationList {
    /// Only these bundle identifiers; empty means all.
    pub identifiers: Vec<String>,
    /// Only those that we manage (iOS 7, macOS 10.15). In user enrolment always so.
    pub managed_apps_only: bool,
    /// Only these facts, since some cost the device much; empty means all that are cheap (iOS 14).
    pub items: Vec<String>,
}

/// List the applications that we manage, and how far their installation is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ManagedApplicationList {
    /// Only these bundle identifiers; empty means all.
    pub identifiers: Vec<String>,
}

/// Remove a managed application with its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoveApplication {
    /// Its bundle identifier.
    pub identifier: String,
}

/// An empty list is left out: devices would take it for "none".
fn list(texts: &[String]) -> Option<&[String]> {
    Some(texts).filter(|texts| !texts.is_empty())
}

impl InstalledApplicationList {
    pub(super) fn write(&self, dict: Dict) -> Dict {
        dict.with_opt("Identifiers", list(&self.identifiers))
            .with_flag("ManagedAppsOnly", self.managed_apps_only)
            .with_opt("Items", list(&self.items))
    }

    pub(super) fn read(dict: &Dict) -> Result<Self, Error> {
        Ok(Self {
            identifiers: dict.opt_texts("Identifiers")?,
            managed_apps_only: dict.flag("ManagedAppsOnly")?,
            items: dict.opt_texts("Items")?,
        })
    }
}

impl ManagedApplicationList {
    pub(super) fn write(&self, dict: Dict) -> Dict {
        dict.with_opt("Identifiers", list(&self.identifiers))
    }

    pub(super) fn read(dict: &Dict) -> Result<Self, Error> {
        Ok(Self { identifiers: dict.opt_texts("Identifiers")? })
    }
}

impl RemoveApplication {
    pub(super) fn write(&self, dict: Dict) -> Dict {
        dict.with("Identifier", self.identifier.as_str())
    }

    pub(super) fn read(dict: &Dict) -> Result<Self, Error> {
        Ok(Self { identifier: dict.need_text("Identifier")?.to_owned() })
    }
}

//! The answers to InstalledApplicationList and ManagedApplicationList.

use crate::plist::{Dict, Value};

/// One application on the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledApplication {
    /// Its bundle identifier.
    pub identifier: String,
    /// Its name.
    pub name: Option<String>,
    /// ShortVersion, else Version.
    pub version: Option<String>,
}

/// One application that we manage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedApplication {
    /// Its bundle identifier.
    pub identifier: String,
    /// `Managed`, `Installing`, `Failed` …
    pub status: String,
    /// 1: it goes with the MDM profile. 4: no backup of its data.
    pub management_flags: i64,
}

impl InstalledApplication {
    pub(super) fn read(dict: &Dict) -> Option<Self> {
        Some(Self {
            identifier: dict.text("Identifier")?.to_owned(),
            name: dict.text("Name").map(str::to_owned),
            version: dict.text("ShortVersion").or_else(|| dict.text("Version")).map(str::to_owned),
        })
    }
}

impl ManagedApplication {
    pub(super) fn read(identifier: &str, app: &Value) -> Option<Self> {
        let app = app.as_dict()?;
        Some(Self {
            identifier: identifier.to_owned(),
            status: app.text("Status")?.to_owned(),
            management_flags: app.int("ManagementFlags").unwrap_or(0),
        })
    }
}

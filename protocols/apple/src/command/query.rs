//! DeviceInformation. SecurityInfo has no keys, so it has no file.

use crate::{error::Error, plist::Dict, report::DeviceInformation};

/// Which facts to ask for, by Apple's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInformationQuery {
    /// Queries. What a device does not know it leaves out.
    pub queries: Vec<String>,
}

impl DeviceInformationQuery {
    /// All that [`DeviceInformation`] holds.
    pub fn all() -> Self {
        Self { queries: DeviceInformation::QUERIES.map(str::to_owned).to_vec() }
    }

    pub(super) fn write(&self, dict: Dict) -> Dict {
        dict.with("Queries", self.queries.as_slice())
    }

    pub(super) fn read(dict: &Dict) -> Result<Self, Error> {
        Ok(Self { queries: dict.opt_texts("Queries")? })
    }
}

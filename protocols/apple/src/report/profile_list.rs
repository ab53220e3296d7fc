//! The answer to ProfileList: what is installed, whoever installed it.

use crate::plist::{Dict, Value};

/// One installed profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledProfile {
    /// PayloadIdentifier: what RemoveProfile wants.
    pub identifier: String,
    /// PayloadUUID.
    pub uuid: Option<String>,
    /// PayloadDisplayName.
    pub display_name: Option<String>,
    /// IsManaged: we installed it. Not told by Macs and supervised devices.
    pub is_managed: Option<bool>,
    /// Types of its payloads; empty where it is encrypted.
    pub payload_types: Vec<String>,
}

impl InstalledProfile {
    pub(super) fn read(dict: &Dict) -> Option<Self> {
        let payloads = dict.array("PayloadContent").iter().filter_map(Value::as_dict);
        Some(Self {
            identifier: dict.text("PayloadIdentifier")?.to_owned(),
            uuid: dict.text("PayloadUUID").map(str::to_owned),
            display_name: dict.text("PayloadDisplayName").map(str::to_owned),
            is_managed: dict.bool("IsManaged"),
            payload_types: payloads.filter_map(|payload| payload.text("PayloadType")).map(str::to_owned).collect(),
        })
    }
}

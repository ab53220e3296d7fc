//! Settings: what a device is set to once, and its user may change again. Of its items we send one.

use crate::{
    error::{Error, cut},
    plist::Dict,
};

/// One item goes in a command, so that the answer is about nothing else ([`crate::report::Report::refused_setting`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settings {
    /// The device's name. iPhones, iPads and Apple TVs must be supervised for it, Macs (10.10) need not.
    DeviceName(String),
}

impl Settings {
    pub(super) fn write(&self, dict: Dict) -> Dict {
        let item = match self {
            Self::DeviceName(name) => Dict::new().with("Item", "DeviceName").with("DeviceName", name.as_str()),
        };
        dict.with("Settings", vec![item])
    }

    pub(super) fn read(dict: &Dict) -> Result<Self, Error> {
        let [item] = dict.array("Settings") else {
            return Err(Error::BadValue { field: "Settings", why: "not a list of one item" });
        };
        let item = item.as_dict().ok_or(Error::BadValue { field: "Settings", why: "not a dictionary" })?;
        match item.need_text("Item")? {
            "DeviceName" => Ok(Self::DeviceName(item.need_text("DeviceName")?.to_owned())),
            other => Err(Error::UnknownRequestType(cut(&format!("Settings.{other}")))),
        }
    }
}

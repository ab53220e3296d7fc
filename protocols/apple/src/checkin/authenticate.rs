//! Authenticate: the first message of an enrolment, and of a renewal of its certificate. The profile is not wholly
//! installed yet; an answer other than 200 stops it.

use crate::{error::Error, plist::Dict, sender::Channel};

/// What the device says of itself. Much of it depends on platform, rights and kind of enrolment (a user enrolment has
/// no serial number), and mdmb leaves out the OS version: hence all of it may be absent. Nothing here is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticate {
    /// Who.
    pub channel: Channel,
    /// The push topic of the profile.
    pub topic: Option<String>,
    /// Twelve letters and digits; ten on newer devices.
    pub serial_number: Option<String>,
    /// On an iPhone an order number's stem; on a Mac `MacBookPro18,3`.
    pub model: Option<String>,
    /// `iPhone`, `MacBook Pro`.
    pub model_name: Option<String>,
    /// `iPhone14,2`, `Mac14,7`: the platform follows from it.
    pub product_name: Option<String>,
    /// What its owner calls it.
    pub device_name: Option<String>,
    /// `26.0.1`.
    pub os_version: Option<String>,
    /// `23A345`.
    pub build_version: Option<String>,
    /// Of its modem.
    pub imei: Option<String>,
    /// Of its modem.
    pub meid: Option<String>,
}

impl Authenticate {
    /// One that says nothing but who it is from.
    pub fn new(channel: Channel) -> Self {
        Self {
            channel,
            topic: None,
            serial_number: None,
            model: None,
            model_name: None,
            product_name: None,
            device_name: None,
            os_version: None,
            build_version: None,
            imei: None,
            meid: None,
        }
    }

    pub(super) fn read(channel: Channel, dict: &Dict) -> Result<Self, Error> {
        // An empty text says as little as none.
        let text = |field| Ok(dict.opt_text(field)?.filter(|text| !text.is_empty()).map(str::to_owned));
        Ok(Self {
            channel,
            topic: text("Topic")?,
            serial_number: text("SerialNumber")?,
            model: text("Model")?,
            model_name: text("ModelName")?,
            product_name: text("ProductName")?,
            device_name: text("DeviceName")?,
            os_version: text("OSVersion")?,
            build_version: text("BuildVersion")?,
            imei: text("IMEI")?,
            meid: text("MEID")?,
        })
    }

    pub(super) fn write(&self, dict: Dict) -> Dict {
        dict.with_opt("Topic", self.topic.as_deref())
            .with_opt("SerialNumber", self.serial_number.as_deref())
            .with_opt("Model", self.model.as_deref())
            .with_opt("ModelName", self.model_name.as_deref())
            .with_opt("ProductName", self.product_name.as_deref())
            .with_opt("DeviceName", self.device_name.as_deref())
            .with_opt("OSVersion", self.os_version.as_deref())
            .with_opt("BuildVersion", self.build_version.as_deref())
            .with_opt("IMEI", self.imei.as_deref())
            .with_opt("MEID", self.meid.as_deref())
    }
}

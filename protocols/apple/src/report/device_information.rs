//! The answer to DeviceInformation (QueryResponses). A device leaves out what it does not know, what its platform or
//! kind of enrolment does not tell, and what AccessRights do not cover.

use crate::plist::Dict;

/// Facts about a device; on a user's channel they are the user's and must not overwrite the device's.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeviceInformation {
    /// UDID.
    pub udid: Option<String>,
    /// SerialNumber.
    pub serial_number: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// ModelName.
    pub model_name: Option<String>,
    /// ProductName: the platform follows from it.
    pub product_name: Option<String>,
    /// DeviceName.
    pub device_name: Option<String>,
    /// OSVersion.
    pub os_version: Option<String>,
    /// BuildVersion.
    pub build_version: Option<String>,
    /// EASDeviceIdentifier: the DeviceId that its mail client shows over ActiveSync. iOS alone.
    pub eas_device_identifier: Option<String>,
    /// IMEI; from iOS 26 on only in ServiceSubscriptions, the first of which stands in here.
    pub imei: Option<String>,
    /// IsSupervised.
    pub is_supervised: Option<bool>,
    /// IsAppleSilicon.
    pub is_apple_silicon: Option<bool>,
    /// IsActivationLockEnabled.
    pub is_activation_lock_enabled: Option<bool>,
    /// IsMultiUser: a Shared iPad.
    pub is_multi_user: Option<bool>,
    /// AwaitingConfiguration.
    pub awaiting_configuration: Option<bool>,
    /// PINRequiredForEraseDevice (macOS).
    pub pin_required_for_erase: Option<bool>,
    /// PINRequiredForDeviceLock (macOS).
    pub pin_required_for_lock: Option<bool>,
    /// WiFiMAC.
    pub wifi_mac: Option<String>,
}

impl DeviceInformation {
    /// The queries to ask for all of the above.
    pub const QUERIES: [&'static str; 18] = [
        "UDID",
        "SerialNumber",
        "Model",
        "ModelName",
        "ProductName",
        "DeviceName",
        "OSVersion",
        "BuildVersion",
        "EASDeviceIdentifier",
        "ServiceSubscriptions",
        "IsSupervised",
        "IsAppleSilicon",
        "IsActivationLockEnabled",
        "IsMultiUser",
        "AwaitingConfiguration",
        "PINRequiredForEraseDevice",
        "PINRequiredForDeviceLock",
        "WiFiMAC",
    ];

    pub(super) fn read(dict: &Dict) -> Self {
        let text = |key| dict.text(key).filter(|text| !text.is_empty()).map(str::to_owned);
        let subscription = dict.array("ServiceSubscriptions").iter().find_map(|one| one.as_dict()?.text("IMEI"));
        Self {
            udid: text("UDID"),
            serial_number: text("SerialNumber"),
            model: text("Model"),
            model_name: text("ModelName"),
            product_name: text("ProductName"),
            device_name: text("DeviceName"),
            os_version: text("OSVersion"),
            build_version: text("BuildVersion"),
            eas_device_identifier: text("EASDeviceIdentifier"),
            imei: text("IMEI").or_else(|| subscription.map(str::to_owned)),
            is_supervised: dict.bool("IsSupervised"),
            is_apple_silicon: dict.bool("IsAppleSilicon"),
            is_activation_lock_enabled: dict.bool("IsActivationLockEnabled"),
            is_multi_user: dict.bool("IsMultiUser"),
            awaiting_configuration: dict.bool("AwaitingConfiguration"),
            pin_required_for_erase: dict.bool("PINRequiredForEraseDevice"),
            pin_required_for_lock: dict.bool("PINRequiredForDeviceLock"),
            wifi_mac: text("WiFiMAC"),
        }
    }
}

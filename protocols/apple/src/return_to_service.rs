//! ReturnToService: with what a device comes back after an erase. Part of EraseDevice (iOS 17, tvOS 18), and from
//! OS 26 the answer to the check-in of the same name.

use crate::{error::Error, plist::Dict, secret::Secret};

/// How a device is set up again without a person.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReturnToService {
    /// False: a plain erase.
    pub enabled: bool,
    /// The profile that brings it on a network; needed where there is no cable or mobile network.
    pub wifi_profile: Option<Secret<Vec<u8>>>,
    /// The enrolment profile; needed without automated enrolment, or where that leads through a web page.
    pub mdm_profile: Option<Secret<Vec<u8>>>,
    /// Without the escrowed one apps are lost (OS 26).
    pub bootstrap_token: Option<Secret<Vec<u8>>>,
    /// Try to enrol again where it fails at first (iOS 27).
    pub should_retry_enrolment: bool,
}

impl ReturnToService {
    /// The answer to the check-in ReturnToService. With `enabled` false where policy does not allow it: an error
    /// would leave the device waiting.
    pub fn answer(&self) -> Vec<u8> {
        Dict::new().with("ReturnToService", self.to_dict()).to_xml()
    }

    pub(crate) fn to_dict(&self) -> Dict {
        Dict::new()
            .with("Enabled", self.enabled)
            .with_opt("WiFiProfileData", data(&self.wifi_profile))
            .with_opt("MDMProfileData", data(&self.mdm_profile))
            .with_opt("BootstrapToken", data(&self.bootstrap_token))
            .with_flag("ShouldRetryEnrollment", self.should_retry_enrolment)
    }

    pub(crate) fn read(dict: &Dict) -> Result<Self, Error> {
        let data = |field| Ok(dict.opt_data(field)?.map(|data| Secret::new(data.to_vec())));
        Ok(Self {
            enabled: dict.flag("Enabled")?,
            wifi_profile: data("WiFiProfileData")?,
            mdm_profile: data("MDMProfileData")?,
            bootstrap_token: data("BootstrapToken")?,
            should_retry_enrolment: dict.flag("ShouldRetryEnrollment")?,
        })
    }
}

fn data(secret: &Option<Secret<Vec<u8>>>) -> Option<&[u8]> {
    secret.as_ref().map(|secret| secret.expose().as_slice())
}

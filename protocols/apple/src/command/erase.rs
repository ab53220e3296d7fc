//! EraseDevice: everything on the device goes, at once and without a question. Acknowledged comes before the deed; the
//! device does not try again where it fails.

use super::lock::Pin;
use crate::{error::Error, plist::Dict, return_to_service::ReturnToService};

/// Erase a device. Keys that a platform does not know it ignores.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EraseDevice {
    /// A Mac's alone.
    pub pin: Option<Pin>,
    /// Keep the eSIM (iOS 11).
    pub preserve_data_plan: bool,
    /// No Proximity Setup afterwards (iOS 11.3; before 14 with no other option).
    pub disallow_proximity_setup: bool,
    /// What a Mac does where "Erase All Content and Settings" cannot run (macOS 12). None is [`ObliterationBehavior::Default`].
    pub obliteration_behavior: Option<ObliterationBehavior>,
    /// Come back enrolled (iOS 17, tvOS 18, visionOS 26).
    pub return_to_service: Option<ReturnToService>,
}

/// What a Mac does where the quick way of erasing cannot run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObliterationBehavior {
    /// Answers Error **and then erases all the same**: an Error under it proves nothing.
    Default,
    /// Answers Error, and does not.
    DoNotObliterate,
    /// Answers Acknowledged, and erases the slow way.
    ObliterateWithWarning,
    /// Erases the slow way from the start.
    Always,
}

impl EraseDevice {
    pub(super) fn write(&self, dict: Dict) -> Dict {
        dict.with_opt("PIN", self.pin.as_ref().map(Pin::expose))
            .with_flag("PreserveDataPlan", self.preserve_data_plan)
            .with_flag("DisallowProximitySetup", self.disallow_proximity_setup)
            .with_opt("ObliterationBehavior", self.obliteration_behavior.map(ObliterationBehavior::name))
            .with_opt("ReturnToService", self.return_to_service.as_ref().map(ReturnToService::to_dict))
    }

    pub(super) fn read(dict: &Dict) -> Result<Self, Error> {
        Ok(Self {
            pin: Pin::read(dict)?,
            preserve_data_plan: dict.flag("PreserveDataPlan")?,
            disallow_proximity_setup: dict.flag("DisallowProximitySetup")?,
            obliteration_behavior: dict
                .opt_text("ObliterationBehavior")?
                .map(ObliterationBehavior::parse)
                .transpose()?,
            return_to_service: dict.opt_dict("ReturnToService")?.map(ReturnToService::read).transpose()?,
        })
    }

    /// Whether an Error in answer to this may be followed by the erase (on a Mac).
    pub fn may_erase_after_error(&self) -> bool {
        matches!(self.obliteration_behavior, None | Some(ObliterationBehavior::Default))
    }
}

impl ObliterationBehavior {
    fn name(self) -> &'static str {
        match self {
            Self::Default => "Default",
            Self::DoNotObliterate => "DoNotObliterate",
            Self::ObliterateWithWarning => "ObliterateWithWarning",
            Self::Always => "Always",
        }
    }

    fn parse(text: &str) -> Result<Self, Error> {
        [Self::Default, Self::DoNotObliterate, Self::ObliterateWithWarning, Self::Always]
            .into_iter()
            .find(|behavior| behavior.name() == text)
            .ok_or(Error::BadValue { field: "ObliterationBehavior", why: "not one of the four" })
    }
}

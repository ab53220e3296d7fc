//! DeviceLock and ClearPasscode.

use crate::{error::Error, plist::Dict, secret::Secret};

/// Lock a device now. On an iPhone that has a passcode it asks for it; a Mac restarts into a screen that wants the PIN.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceLock {
    /// For the lock screen; shown only where a passcode is set.
    pub message: Option<String>,
    /// For the lock screen.
    pub phone_number: Option<String>,
    /// A Mac's alone, and a Mac needs one.
    pub pin: Option<Pin>,
}

/// Remove the passcode of an iPhone or iPad (not of a Mac).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClearPasscode {
    /// From the device's TokenUpdate.
    pub unlock_token: Secret<Vec<u8>>,
}

/// Six digits that open a Mac after a lock or an erase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin(Secret<String>);

impl Pin {
    /// Six ASCII digits and nothing else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self(text.into()))
        } else {
            Err(Error::BadValue { field: "PIN", why: "not six digits" })
        }
    }

    /// The digits.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    pub(super) fn read(dict: &Dict) -> Result<Option<Self>, Error> {
        dict.opt_text("PIN")?.map(Self::parse).transpose()
    }
}

impl DeviceLock {
    pub(super) fn write(&self, dict: Dict) -> Dict {
        dict.with_opt("Message", self.message.as_deref())
            .with_opt("PhoneNumber", self.phone_number.as_deref())
            .with_opt("PIN", self.pin.as_ref().map(Pin::expose))
    }

    pub(super) fn read(dict: &Dict) -> Result<Self, Error> {
        let text = |field| Ok(dict.opt_text(field)?.map(str::to_owned));
        Ok(Self { message: text("Message")?, phone_number: text("PhoneNumber")?, pin: Pin::read(dict)? })
    }
}

impl ClearPasscode {
    pub(super) fn write(&self, dict: Dict) -> Dict {
        dict.with("UnlockToken", self.unlock_token.expose().as_slice())
    }

    pub(super) fn read(dict: &Dict) -> Result<Self, Error> {
        Ok(Self { unlock_token: Secret::new(dict.need_data("UnlockToken")?.to_vec()) })
    }
}

//! GetToken: a token that one of Apple's services takes as our word for the device. An unknown service is answered
//! with 400.

use crate::{error::Error, plist::Dict, sender::Channel};

/// Make a token for a service. Answer: [`token_answer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetToken {
    /// For whom.
    pub channel: Channel,
    /// TokenServiceType: `com.apple.maid` or `com.apple.watch.pairing`.
    pub service: String,
    /// Of a watch that is being paired: the random text from our refusal of it.
    pub security_token: Option<String>,
    /// Of a watch that is being paired: its phone.
    pub phone_udid: Option<String>,
    /// Of a watch that is being paired: the watch.
    pub watch_udid: Option<String>,
}

/// The answer to GetToken.
pub fn token_answer(token: &[u8]) -> Vec<u8> {
    Dict::new().with("TokenData", token).to_xml()
}

impl GetToken {
    pub(super) fn read(channel: Channel, dict: &Dict) -> Result<Self, Error> {
        let none = Dict::new();
        let parameters = dict.opt_dict("TokenParameters")?.unwrap_or(&none);
        let text = |field| Ok(parameters.opt_text(field)?.map(str::to_owned));
        Ok(Self {
            channel,
            service: dict.need_text("TokenServiceType")?.to_owned(),
            security_token: text("SecurityToken")?,
            phone_udid: text("PhoneUDID")?,
            watch_udid: text("WatchUDID")?,
        })
    }

    pub(super) fn write(&self, dict: Dict) -> Dict {
        let parameters = Dict::new()
            .with_opt("SecurityToken", self.security_token.as_deref())
            .with_opt("PhoneUDID", self.phone_udid.as_deref())
            .with_opt("WatchUDID", self.watch_udid.as_deref());
        let parameters = Some(parameters).filter(|parameters| !parameters.is_empty());
        dict.with("TokenServiceType", self.service.as_str()).with_opt("TokenParameters", parameters)
    }
}

//! UserAuthenticate: a network or mobile user logs in to a Mac. 410 says that we do not manage this user; the one
//! place of the protocol where 410 is an answer.

use crate::{error::Error, plist::Dict, secret::Secret, sender::Channel};

/// A user at a Mac, on the user's channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserAuthenticate {
    /// Who; always with a user.
    pub channel: Channel,
    /// What the Mac made of our challenge. None in the first of the two messages.
    pub digest_response: Option<Secret<String>>,
}

/// The answer to the first message that lets the user in without a digest.
pub fn no_digest_needed() -> Vec<u8> {
    Dict::new().with("DigestChallenge", "").to_xml()
}

impl UserAuthenticate {
    pub(super) fn read(channel: Channel, dict: &Dict) -> Result<Self, Error> {
        if channel.user.is_none() {
            return Err(Error::Missing { field: "UserID" });
        }
        let digest = dict.opt_text("DigestResponse")?.filter(|digest| !digest.is_empty());
        Ok(Self { channel, digest_response: digest.map(Secret::from) })
    }

    pub(super) fn write(&self, dict: Dict) -> Dict {
        dict.with_opt("DigestResponse", self.digest_response.as_ref().map(|digest| digest.expose().as_str()))
    }
}

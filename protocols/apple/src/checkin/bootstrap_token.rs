//! SetBootstrapToken and GetBootstrapToken: a Mac (from OS 26 others too, at setup) leaves with us what it needs to
//! authorise itself later.

use crate::{error::Error, plist::Dict, secret::Secret, sender::Channel};

/// Keep this token, or forget the one had before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetBootstrapToken {
    /// Whose.
    pub channel: Channel,
    /// None: forget it. An empty one on the wire means the same.
    pub token: Option<Secret<Vec<u8>>>,
    /// Setup Assistant waits.
    pub awaiting_configuration: bool,
}

/// Give it back. Answer: [`bootstrap_token_answer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetBootstrapToken {
    /// Whose.
    pub channel: Channel,
    /// Setup Assistant waits.
    pub awaiting_configuration: bool,
}

/// The answer to GetBootstrapToken; without a token an empty dictionary, which is no error.
pub fn bootstrap_token_answer(token: Option<&Secret<Vec<u8>>>) -> Vec<u8> {
    Dict::new().with_opt("BootstrapToken", token.map(|token| token.expose().as_slice())).to_xml()
}

impl SetBootstrapToken {
    pub(super) fn read(channel: Channel, dict: &Dict) -> Result<Self, Error> {
        let token = dict.opt_data("BootstrapToken")?.filter(|token| !token.is_empty());
        if token.is_some_and(|token| token.len() > 64 * 1024) {
            return Err(Error::BadValue { field: "BootstrapToken", why: "longer than 64 kB" });
        }
        let token = token.map(|token| Secret::new(token.to_vec()));
        Ok(Self { channel, token, awaiting_configuration: dict.flag("AwaitingConfiguration")? })
    }

    pub(super) fn write(&self, dict: Dict) -> Dict {
        dict.with_opt("BootstrapToken", self.token.as_ref().map(|token| token.expose().as_slice()))
            .with_flag("AwaitingConfiguration", self.awaiting_configuration)
    }
}

impl GetBootstrapToken {
    pub(super) fn read(channel: Channel, dict: &Dict) -> Result<Self, Error> {
        Ok(Self { channel, awaiting_configuration: dict.flag("AwaitingConfiguration")? })
    }

    pub(super) fn write(&self, dict: Dict) -> Dict {
        dict.with_flag("AwaitingConfiguration", self.awaiting_configuration)
    }
}

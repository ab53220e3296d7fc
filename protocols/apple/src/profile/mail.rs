//! The mail profile: an Exchange ActiveSync account and the identity it shows. iPhone, iPad and Apple Vision only.

use super::{ProfileMeta, Scep, raw::EXCHANGE_ACCOUNT, written};
use crate::{error::Error, plist::Dict};

/// An account by way of our gateway. The device asks the user for the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailProfile {
    /// Its names.
    pub meta: ProfileMeta,
    /// Host, with `:port` where it is not 443.
    pub host: String,
    /// EmailAddress.
    pub email: String,
    /// UserName.
    pub username: String,
    /// The certificate it shows to the gateway; without one it has the password alone.
    pub scep: Option<Scep>,
    /// Our CA, DER, where the device would not trust the gateway without.
    pub root: Option<Vec<u8>>,
}

impl MailProfile {
    /// The profile, unsigned.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        for (field, text) in [("Host", &self.host), ("EmailAddress", &self.email), ("UserName", &self.username)] {
            if text.is_empty() || text.chars().any(|c| c.is_control() || c.is_whitespace() && field != "UserName") {
                return Err(Error::BadValue { field, why: "empty, or with spaces" });
            }
        }
        let identity = self.scep.as_ref().map(|_| written(self.meta.payload_uuid("scep")));
        let account = self
            .meta
            .payload(EXCHANGE_ACCOUNT, "eas", &self.email)
            .with("Host", self.host.as_str())
            .with("EmailAddress", self.email.as_str())
            .with("UserName", self.username.as_str())
            .with("SSL", true)
            .with_opt("PayloadCertificateUUID", identity);
        let root = self.root.as_deref().map(|der| self.meta.root_payload(der));
        let scep = self.scep.as_ref().map(|scep| scep.payload(&self.meta)).transpose()?;
        let payloads: Vec<Dict> = root.into_iter().chain(scep).chain([account]).collect();
        Ok(self.meta.profile(payloads)?.to_xml())
    }
}

//! The payload com.apple.security.scep: by which a device gets its certificate. Its keys lie in a nested
//! PayloadContent.

use super::{ProfileMeta, need_https};
use crate::{
    error::Error,
    plist::{Dict, Value},
    secret::Secret,
};

/// How a device gets its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scep {
    /// Where. May be plain HTTP: requests and answers are sealed in themselves.
    pub url: String,
    /// Which CA, where a server has several.
    pub name: Option<String>,
    /// Serves for one certificate.
    pub challenge: Secret<String>,
    /// The name that the device asks for, such as `[("O", "Example"), ("CN", "…")]`; the CA decides. macOS cuts a CN
    /// at 64 bytes.
    pub subject: Vec<(String, String)>,
    /// A digest of the CA's certificate, by which the device knows it.
    pub ca_fingerprint: Option<Vec<u8>>,
}

impl Scep {
    pub(super) fn payload(&self, meta: &ProfileMeta) -> Result<Dict, Error> {
        if !self.url.starts_with("http://") {
            need_https("URL", &self.url)?;
        }
        // Each attribute is a set of its own, of one pair: macOS forgives another nesting, iOS does not (micromdm#40).
        let attribute = |(oid, value): &(String, String)| {
            let pair = Value::Array(vec![oid.as_str().into(), value.as_str().into()]);
            Value::Array(vec![pair])
        };
        let content = Dict::new()
            .with("URL", self.url.as_str())
            .with_opt("Name", self.name.as_deref())
            .with("Subject", self.subject.iter().map(attribute).collect::<Vec<_>>())
            .with("Challenge", self.challenge.expose().as_str())
            .with("Key Type", "RSA")
            .with("Keysize", 2048_u32)
            // 1 to sign, 4 to encrypt: SCEP's answer is encrypted to this key.
            .with("Key Usage", 5_u32)
            .with("Retries", 3_u32)
            .with("RetryDelay", 10_u32)
            // False keeps the private key in the keychain.
            .with("KeyIsExtractable", false)
            .with_opt("CAFingerprint", self.ca_fingerprint.as_deref());
        Ok(meta.payload("com.apple.security.scep", "scep", "Device identity").with("PayloadContent", content))
    }
}

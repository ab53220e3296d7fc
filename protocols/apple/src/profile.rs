//! Configuration profiles: what a device installs. Built here as plain XML; signing is another crate's.
//!
//! A profile's identifier and UUID are arguments, and stay for ever: a device that sees another identifier installs a
//! second profile beside the first. Those of its payloads follow from them, so the same input gives the same bytes.

mod enrolment;
mod mail;
mod policy;
mod raw;
mod scep;

pub use enrolment::{Capability, EnrolmentProfile, Scope};
pub use mail::MailProfile;
pub use policy::{
    MOST_FAILED_ATTEMPTS, MOST_IDLE_MINUTES, MOST_IDLE_MINUTES_OF_A_MAC, PASSCODE, Passcode, PolicySettings,
    RESTRICTIONS,
};
pub use raw::{EXCHANGE_ACCOUNT, LEAST_FAILED_ATTEMPTS, RawProfile, inspect_raw};
pub use scep::Scep;
pub use uuid::Uuid;

use crate::{error::Error, plist::Dict};

/// Content-Type under which profiles are served.
pub const CONTENT_TYPE: &str = "application/x-apple-aspen-config";

/// What every profile has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileMeta {
    /// PayloadIdentifier, in reversed domain order: `com.example.lanyard.policy`. Names the profile for ever.
    pub identifier: String,
    /// PayloadUUID.
    pub uuid: Uuid,
    /// What people read as its name.
    pub display_name: String,
    /// What people read as its purpose.
    pub description: Option<String>,
    /// Whose it is.
    pub organisation: Option<String>,
}

impl ProfileMeta {
    /// The UUID of a payload of this profile: name-based (RFC 9562, version 5) in the profile's own.
    pub fn payload_uuid(&self, payload: &str) -> Uuid {
        Uuid::new_v5(&self.uuid, payload.as_bytes())
    }

    /// A payload's common keys. `part` is unique in the profile and short: `mdm`, `scep`.
    fn payload(&self, payload_type: &str, part: &str, display_name: &str) -> Dict {
        Dict::new()
            .with("PayloadType", payload_type)
            .with("PayloadVersion", 1_u32)
            .with("PayloadIdentifier", format!("{}.{part}", self.identifier))
            .with("PayloadUUID", written(self.payload_uuid(part)))
            .with("PayloadDisplayName", display_name)
    }

    /// The profile around its payloads.
    fn profile(&self, payloads: Vec<Dict>) -> Result<Dict, Error> {
        let identifier = &self.identifier;
        if identifier.is_empty() || !identifier.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b)) {
            return Err(Error::BadValue { field: "PayloadIdentifier", why: "not letters, digits, dots and dashes" });
        }
        Ok(Dict::new()
            .with("PayloadType", "Configuration")
            .with("PayloadVersion", 1_u32)
            .with("PayloadIdentifier", identifier.as_str())
            .with("PayloadUUID", written(self.uuid))
            .with("PayloadDisplayName", self.display_name.as_str())
            .with_opt("PayloadDescription", self.description.as_deref())
            .with_opt("PayloadOrganization", self.organisation.as_deref())
            .with("PayloadContent", payloads))
    }

    /// The payload that makes a device trust a CA; DER.
    fn root_payload(&self, der: &[u8]) -> Dict {
        self.payload("com.apple.security.root", "root", "Certificate authority")
            .with("PayloadCertificateFileName", "ca.cer")
            .with("PayloadContent", der)
    }
}

/// UUIDs as Apple writes them.
fn written(uuid: Uuid) -> String {
    uuid.hyphenated().to_string().to_uppercase()
}

/// Devices refuse anything else, and only after the profile is installed.
fn need_https(field: &'static str, url: &str) -> Result<(), Error> {
    if url.starts_with("https://") { Ok(()) } else { Err(Error::BadValue { field, why: "not an https:// URL" }) }
}

//! Apple's push certificate.

use super::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A push certificate with its key.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Set")]
#[serde(deny_unknown_fields)]
pub(crate) struct PushCertBody {
    /// The PEM or PKCS#12 file in base64.
    pub(crate) file: String,
    /// Its password, where it has one.
    pub(crate) password: Option<String>,
}

/// The push certificate.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "PushCertificate")]
pub(crate) struct PushCertView {
    /// Whether one is set; without one simulated devices work and real ones are never woken.
    pub(crate) set: bool,
    /// The topic that enrolment profiles name.
    pub(crate) topic: String,
    pub(crate) sha256: Option<String>,
    pub(crate) not_before: Option<At>,
    pub(crate) not_after: Option<At>,
    /// What real devices still need.
    pub(crate) missing: Option<&'static str>,
}

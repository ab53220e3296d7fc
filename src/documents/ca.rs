//! The device CA.

use schemars::JsonSchema;
use serde::Serialize;

/// The device CA.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Ca")]
pub(crate) struct CaView {
    pub(crate) root: CaPart,
    pub(crate) issuing: CaPart,
    /// Where the revocation list is.
    pub(crate) crl: String,
}

/// One of its certificates.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "CaCertificate")]
pub(crate) struct CaPart {
    pub(crate) subject: String,
    pub(crate) sha256: String,
    pub(crate) not_before: String,
    pub(crate) not_after: String,
    pub(crate) pem: String,
}

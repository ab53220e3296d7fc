//! What a certificate says of itself, and whether clients will take it.

use crate::clock::Timestamp;
use x509_parser::prelude::{ASN1Time, FromDer as _, X509Certificate};

/// When a certificate ends; none where it cannot be read.
pub fn end_of(der: &[u8]) -> Option<Timestamp> {
    let (_, read) = X509Certificate::from_der(der).ok()?;
    Some(moment(read.validity().not_after))
}

fn moment(at: ASN1Time) -> Timestamp {
    Timestamp::from_unix(at.timestamp())
}

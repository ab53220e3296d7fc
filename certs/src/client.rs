//! The certificate that a device presents: what the registry and the handshake want to know of it.

use openssl::nid::Nid;
use openssl::x509::X509NameRef;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::error::{Error, limit};
use crate::issue::Serial;
use crate::{Authority, Result, ca::When, keys, providers};

/// The largest certificate that is read.
pub const MAX_CERTIFICATE: usize = 32 * 1024;

const WHAT: &str = "client certificate";

/// What a presented certificate says. None of it is checked but by [`Presented::check`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// SHA-256 of the whole certificate: the pin.
    pub sha256: [u8; 32],
    /// Its serial number.
    pub serial: Serial,
    /// The first valid second.
    pub not_before: OffsetDateTime,
    /// The last valid second.
    pub not_after: OffsetDateTime,
    /// The subject's common name, if it has one.
    pub common_name: Option<String>,
    /// The whole subject, as people read it.
    pub subject: String,
    /// The issuer, likewise.
    pub issuer: String,
}

impl Presented {
    /// Reads a DER certificate (cheap: no signature is checked).
    pub fn parse(der: &[u8]) -> Result<Self> {
        limit(WHAT, der, MAX_CERTIFICATE)?;
        let malformed = |why| Error::Malformed { what: WHAT, why };
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| malformed("cannot be read"))?;
        if !rest.is_empty() {
            return Err(malformed("bytes follow it"));
        }
        let validity = certificate.validity();
        let common_name = certificate.subject().iter_common_name().last();
        Ok(Self {
            sha256: fingerprint(der)?,
            serial: Serial::from_bytes(certificate.raw_serial())?,
            not_before: validity.not_before.to_datetime(),
            not_after: validity.not_after.to_datetime(),
            common_name: common_name.and_then(|name| name.as_str().ok()).map(str::to_owned),
            subject: certificate.subject().to_string(),
            issuer: certificate.issuer().to_string(),
        })
    }

    /// Reads a certificate and checks that our CA issued it, and its time if asked.
    pub fn check(der: &[u8], authority: &Authority, when: When) -> Result<Self> {
        let presented = Self::parse(der)?;
        authority.check_issued(der, when)?;
        Ok(presented)
    }
}

/// SHA-256 of a whole certificate.
pub fn fingerprint(der: &[u8]) -> Result<[u8; 32]> {
    providers::init()?;
    keys::sha256(der)
}

/// A name for error messages: its common name, or a placeholder.
pub(crate) fn show_name(name: &X509NameRef) -> String {
    let text = name.entries_by_nid(Nid::COMMONNAME).last().map(|entry| entry.data().as_slice());
    let text = String::from_utf8_lossy(text.unwrap_or(b"without a common name"));
    text.chars().take(64).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::Duration;

    use super::*;
    use crate::testing::{self, NOW, authority, device};

    #[test]
    fn a_presented_certificate_says_what_was_issued() {
        let identity = device(authority(), "phone-1");
        let presented = Presented::check(&identity.certificate_der, authority(), When::At(NOW)).unwrap();
        assert_eq!(presented.common_name.as_deref(), Some("phone-1"));
        assert_eq!(presented.not_after, NOW + Duration::days(730));
        assert_eq!(presented.sha256, keys::sha256(&identity.certificate_der).unwrap());
        assert!(presented.issuer.contains("Lanyard Issuing CA"), "{}", presented.issuer);
        assert_eq!(presented.serial.as_bytes().len(), 16);
    }

    #[test]
    fn a_strangers_certificate_is_named_as_one() {
        let other = Authority::create(NOW, &[7; 32]).unwrap();
        let refused = Presented::check(&device(&other, "x").certificate_der, authority(), When::Any).unwrap_err();
        assert!(refused.is_stranger(), "{refused}");
        let mut longer = device(authority(), "x").certificate_der;
        longer.push(0);
        assert!(Presented::parse(&longer).unwrap_err().is_malformed());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Presented::parse(&bytes);
            let _ = authority().check_issued(&bytes, When::Any);
        }

        #[test]
        fn no_change_of_a_certificate_passes(at in 0_usize..1000, bit in 0_u8..8) {
            let mut der = testing::phone().certificate_der.clone();
            let at = at % der.len();
            der[at] ^= 1 << bit;
            let _ = Presented::parse(&der);
            prop_assert!(authority().check_issued(&der, When::Any).is_err());
        }
    }
}

//! Renewal of a Windows enrolment, [MS-MDE2] 3.6: the token `#PKCS7` is a PKCS#10 request with a new key, signed
//! (CMS SignedData) by the certificate that is being renewed.

use crate::ca::{Authority, When};
use crate::csr::{self, Csr};
use crate::error::limit;
use crate::{Result, cms};

/// The largest token that is read, decoded.
pub const MAX_TOKEN: usize = 256 * 1024;

/// A renewal whose both signatures hold and whose old certificate is ours.
#[derive(Clone, Debug)]
pub struct Renewal {
    /// The certificate being renewed, DER. It must be the one pinned to the enrolment, and not revoked.
    pub signer_der: Vec<u8>,
    /// The request for the new key.
    pub csr: Csr,
}

/// Reads a renewal token (decoded from base64), checks both signatures and that the old certificate is ours.
///
/// `presented` is the certificate of the TLS connection, for clients that leave it out of the message.
pub fn read_renewal(token: &[u8], presented: Option<&[u8]>, authority: &Authority, when: When) -> Result<Renewal> {
    limit("renewal token", token, MAX_TOKEN)?;
    let signed = cms::verify_attached(token, presented.as_slice())?;
    authority.check_issued(&signed.signer_der, when)?;
    Ok(Renewal { signer_der: signed.signer_der, csr: csr::parse(&signed.content)? })
}

/// The token's text in the SOAP message: base64, in which line breaks occur. For `#PKCS10` tokens as well.
pub fn decode_token(text: &str) -> Result<Vec<u8>> {
    limit("renewal token", text.as_bytes(), MAX_TOKEN * 3 / 2)?;
    cms::decode_base64("security token", text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::Duration;

    use super::*;
    use crate::Error;
    use crate::keys::PrivateKey;
    use crate::testing::{self, NOW, authority, fixture};

    fn token(ca: &Authority, content: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let old = testing::device(ca, "pc");
        (cms::sign_with(ca, &old, content).unwrap(), old.certificate_der)
    }

    #[test]
    fn a_renewal_by_the_old_key_names_both() {
        let (token, old) = token(authority(), &fixture("csr-windows11.der"));
        let renewal = read_renewal(&token, None, authority(), When::At(NOW)).unwrap();
        assert_eq!(renewal.signer_der, old);
        assert_eq!(renewal.csr.public_key_der, csr::parse(&fixture("csr-windows11.der")).unwrap().public_key_der);
    }

    #[test]
    fn a_message_without_its_certificate_needs_the_connections() {
        let old = testing::device(authority(), "pc");
        let bare = testing::sign_without_certificates(&old, &fixture("csr-windows11.der"));
        assert!(read_renewal(&bare, None, authority(), When::Any).unwrap_err().is_malformed());
        let other = testing::device(authority(), "other");
        assert!(read_renewal(&bare, Some(&other.certificate_der), authority(), When::Any).is_err());
        let renewal = read_renewal(&bare, Some(&old.certificate_der), authority(), When::At(NOW)).unwrap();
        assert_eq!(renewal.signer_der, old.certificate_der);
    }

    #[test]
    fn strangers_late_comers_and_no_requests_are_refused() {
        let request = fixture("csr-windows11.der");
        let other = Authority::create(NOW, &[5; 32]).unwrap();
        let strange = read_renewal(&token(&other, &request).0, None, authority(), When::At(NOW));
        assert!(matches!(strange, Err(Error::NotOurs { .. })));
        let late = NOW + Duration::days(731);
        let late = read_renewal(&token(authority(), &request).0, None, authority(), When::At(late));
        assert!(matches!(late, Err(Error::OutsideValidity { .. })));
        let empty = read_renewal(&token(authority(), b"no request").0, None, authority(), When::At(NOW));
        assert!(empty.unwrap_err().is_malformed());
        assert!(PrivateKey::from_pkcs8_der(b"no key").is_err());
    }

    #[test]
    fn tokens_are_read_with_line_breaks() {
        assert_eq!(decode_token("AAEC\r\n  AwQ=\n").unwrap(), [0, 1, 2, 3, 4]);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read_renewal(&bytes, None, authority(), When::Any);
        }
    }
}

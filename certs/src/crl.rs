//! The revocation list of the issuing CA, RFC 5280 section 5.

use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::x509::extension::{AuthorityKeyIdentifier, CrlNumber};
use openssl::x509::{X509, X509CrlBuilder, X509RevokedBuilder};
use time::OffsetDateTime;

use crate::error::Doing as _;
use crate::issue::Serial;
use crate::{Authority, Result, instant};

/// The content type under which it is served, as DER.
pub const CONTENT_TYPE: &str = "application/pkix-crl";

const DOING: &str = "writing a revocation list";

/// A certificate that is revoked, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Its serial number.
    pub serial: Serial,
    /// When it was revoked.
    pub at: OffsetDateTime,
}

/// What a list says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Grows with each list.
    pub number: u64,
    /// When it was made.
    pub this_update: OffsetDateTime,
    /// When the next one is there at the latest: until then clients keep this one.
    pub next_update: OffsetDateTime,
}

/// Writes and signs a list; DER. One RSA signature, and some 40 bytes for each entry.
pub fn encode(authority: &Authority, issue: Issue, revoked: &[Revoked]) -> Result<Vec<u8>> {
    let mut list = X509CrlBuilder::new().doing(DOING)?;
    list.set_issuer_name(authority.issuing.subject_name()).doing(DOING)?;
    list.set_last_update(&*instant::to_asn1(issue.this_update)?).doing(DOING)?;
    list.set_next_update(&*instant::to_asn1(issue.next_update)?).doing(DOING)?;
    for entry in revoked {
        let mut line = X509RevokedBuilder::new().doing(DOING)?;
        line.set_serial_number(&*entry.serial.to_asn1()?).doing(DOING)?;
        line.set_revocation_date(&*instant::to_asn1(entry.at)?).doing(DOING)?;
        list.add_revoked(line.build()).doing(DOING)?;
    }
    // The key identifier is taken from an issuer; a certificate under construction is what OpenSSL asks for there.
    let context = X509::builder().doing(DOING)?;
    let context = context.x509v3_context(Some(&authority.issuing), None);
    list.append_extension(AuthorityKeyIdentifier::new().keyid(true).build(&context).doing(DOING)?).doing(DOING)?;
    let number = BigNum::from_slice(&issue.number.to_be_bytes()).doing(DOING)?;
    list.append_extension(CrlNumber::new(number).and_then(CrlNumber::build).doing(DOING)?).doing(DOING)?;
    list.sort().doing(DOING)?;
    list.sign(&authority.issuing_key.0, MessageDigest::sha256()).doing(DOING)?;
    list.build().and_then(|list| list.to_der()).doing(DOING)
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;
    use crate::client::Presented;
    use crate::testing::{self, NOW, authority, device};

    fn issue(number: u64) -> Issue {
        Issue { number, this_update: NOW, next_update: NOW + Duration::days(7) }
    }

    fn revoked(der: &[u8]) -> Revoked {
        Revoked { serial: Presented::parse(der).unwrap().serial, at: NOW - Duration::hours(1) }
    }

    #[test]
    fn openssl_reads_it_and_refuses_who_stands_there() {
        let ca = authority();
        let (lost, kept) = (device(ca, "lost"), device(ca, "kept"));
        let der = encode(ca, issue(258), &[revoked(&lost.certificate_der)]).unwrap();
        let file = testing::file("crl", &der);
        let issuer = testing::file("pem", ca.issuing_pem().as_bytes());
        let arguments =
            ["crl", "-inform", "DER", "-noout", "-text", "-verify", "-CAfile", issuer.text(), "-in", file.text()];
        let told = testing::openssl(&arguments);
        for part in ["verify OK", "Version 2", "258", "Revoked Certificates", "sha256WithRSAEncryption"] {
            assert!(told.contains(part), "{part} is missing in {told}");
        }
        let pem = testing::file("crl.pem", testing::openssl(&["crl", "-inform", "DER", "-in", file.text()]).as_bytes());
        let checked = ["-crl_check", "-CRLfile", pem.text()];
        testing::openssl_verify(ca, &kept.certificate_der, &checked);
        let refused = testing::openssl_try_verify(ca, &lost.certificate_der, &checked).unwrap_err();
        assert!(refused.contains("certificate revoked"), "{refused}");
    }

    #[test]
    fn an_empty_and_a_long_list_can_be_written() {
        let long: Vec<_> = (1..=20_000_u32)
            .map(|n| Revoked { serial: Serial::from_bytes(&n.to_be_bytes()).unwrap(), at: NOW })
            .collect();
        for list in [&[][..], &long] {
            let der = encode(authority(), issue(1), list).unwrap();
            let read = openssl::x509::X509Crl::from_der(&der).unwrap();
            assert_eq!(read.get_revoked().map_or(0, |entries| entries.len()), list.len());
            assert!(read.verify(&crate::ca::public_of(&authority().issuing).unwrap()).unwrap());
        }
    }
}

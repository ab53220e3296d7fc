//! Certificate requests, PKCS#10 (RFC 2986), read leniently.
//!
//! Windows 10 sends a common name that is a PrintableString with '!' and a trailing NUL (neither is allowed), names
//! its signature by 1.3.14.3.2.29, and asks for an extension whose value is no DER at all. So a request is not
//! parsed beyond what is used: the key, the signature over the bytes as they were sent, and a SCEP challenge. The
//! name is for logs; what goes into the certificate comes from the invitation.

use der::asn1::ObjectIdentifier;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Public};
use openssl::sign::Verifier;
use secrecy::SecretString;

use crate::error::{Error, limit};
use crate::keys::{self, KeyKind};
use crate::tlv::{self, Walk};
use crate::{Result, oid, providers};

/// The largest request that is read. One for an RSA-2048 key has under 1 kB.
pub const MAX_REQUEST: usize = 64 * 1024;

const WHAT: &str = "certificate request";

/// A request whose signature was checked: who sent it holds the key.
#[derive(Clone, Debug)]
pub struct Csr {
    /// The key, SubjectPublicKeyInfo DER as OpenSSL writes it.
    pub public_key_der: Vec<u8>,
    /// Its kind and size.
    pub key: KeyKind,
    /// SHA-256 of `public_key_der`: the same key asking again is known by it.
    pub key_sha256: [u8; 32],
    /// The challengePassword, if there is one. `Debug` hides it.
    pub challenge: Option<SecretString>,
    /// The common name it asks for. Unchecked and possibly shortened by the sender: for logs alone.
    pub common_name: Option<String>,
}

/// Reads a DER request and checks its signature. SHA-1 is accepted here, MD5 is not.
///
/// # Errors
/// [`Error::Malformed`], [`Error::Key`], [`Error::Algorithm`] or [`Error::Signature`].
pub fn parse(bytes: &[u8]) -> Result<Csr> {
    providers::init()?;
    limit(WHAT, bytes, MAX_REQUEST)?;
    let mut request = Walk::new(WHAT, bytes).enter(tlv::SEQUENCE, "not a sequence")?;
    let info = request.expect(tlv::SEQUENCE, "no request info")?;
    let algorithm = request.algorithm("no signature algorithm")?;
    let signature = request.expect(tlv::BIT_STRING, "no signature")?;
    let Some((0, signature)) = signature.body.split_first() else {
        return Err(request.error("the signature is not whole bytes"));
    };

    let mut fields = request.inside(info);
    fields.expect(tlv::INTEGER, "no version")?;
    let subject = fields.enter(tlv::SEQUENCE, "no subject")?;
    let spki = fields.expect(tlv::SEQUENCE, "no public key")?;
    let (key, kind) = keys::read_public(WHAT, spki.raw)?;
    verify(&key, kind, algorithm, info.raw, signature)?;

    let attributes = fields.optional(tlv::CONTEXT_0)?.map(|item| fields.inside(item));
    let public_key_der = key.public_key_to_der().map_err(|_| fields.error("the public key cannot be written"))?;
    Ok(Csr {
        key_sha256: keys::sha256(&public_key_der)?,
        public_key_der,
        key: kind,
        challenge: attributes.and_then(challenge),
        common_name: common_name(subject),
    })
}

/// Checks the signature over the request info exactly as it was sent.
fn verify(key: &PKey<Public>, kind: KeyKind, algorithm: ObjectIdentifier, info: &[u8], signature: &[u8]) -> Result<()> {
    let (digest, rsa) = match algorithm {
        oid::RSA_SHA1 | oid::RSA_SHA1_OIW => (MessageDigest::sha1(), true),
        oid::RSA_SHA256 => (MessageDigest::sha256(), true),
        oid::RSA_SHA384 => (MessageDigest::sha384(), true),
        oid::RSA_SHA512 => (MessageDigest::sha512(), true),
        oid::ECDSA_SHA1 => (MessageDigest::sha1(), false),
        oid::ECDSA_SHA256 => (MessageDigest::sha256(), false),
        oid::ECDSA_SHA384 => (MessageDigest::sha384(), false),
        oid::ECDSA_SHA512 => (MessageDigest::sha512(), false),
        other => return Err(Error::Algorithm { what: WHAT, oid: other.to_string() }),
    };
    let fits = rsa == matches!(kind, KeyKind::Rsa(_));
    let check = || Verifier::new(digest, key)?.verify_oneshot(signature, info);
    if fits && check().unwrap_or(false) {
        return Ok(());
    }
    drop(ErrorStack::get());
    Err(Error::Signature { what: WHAT })
}

/// The last common name: the most specific one, as in a certificate's subject.
fn common_name(mut subject: Walk<'_>) -> Option<String> {
    let mut found = None;
    while let Ok(mut set) = subject.enter(tlv::SET, "no relative name") {
        while let Ok(mut pair) = set.enter(tlv::SEQUENCE, "no attribute") {
            if pair.oid("no attribute type").is_ok_and(|kind| kind == oid::COMMON_NAME) {
                found = pair.next().ok().and_then(tlv::text).or(found);
            }
        }
    }
    found
}

/// The challengePassword attribute. What cannot be read among the attributes is passed over: an extension that is no
/// DER is none of our business.
fn challenge(mut attributes: Walk<'_>) -> Option<SecretString> {
    while let Ok(mut attribute) = attributes.enter(tlv::SEQUENCE, "no attribute") {
        if attribute.oid("no attribute type").is_ok_and(|kind| kind == oid::CHALLENGE_PASSWORD) {
            let value = attribute.enter(tlv::SET, "no value").ok()?.next().ok()?;
            return tlv::text(value).map(SecretString::from);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use openssl::sign::Signer;
    use openssl::x509::{X509NameBuilder, X509Req};
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::keys::PrivateKey;
    use crate::testing::{RequestParts, fixture, windows_10_request};

    #[test]
    fn what_windows_10_sends_is_read() {
        let csr = parse(&fixture("csr-windows10.der")).unwrap();
        assert_eq!(csr.key, KeyKind::Rsa(2048));
        assert_eq!(csr.common_name.as_deref(), Some("3C7F9E51-0D42-4B6A-9E1F-5A2D8B!7A0D5F6E2C914B3A8F10D2E4C6B89753"));
        assert!(csr.challenge.is_none());
    }

    #[test]
    fn a_changed_request_of_windows_10_is_refused() {
        let bytes = fixture("csr-windows10.der");
        let bang = bytes.iter().position(|byte| *byte == b'!').unwrap();
        let mut changed = bytes.clone();
        changed[bang] = b'.';
        assert!(matches!(parse(&changed), Err(Error::Signature { .. })));
    }

    #[test]
    fn what_windows_11_and_apple_send_is_read() {
        let windows = "3C7F9E51-0D42-4B6A-9E1F-5A2D8B!7A0D5F6E2C914B3A8F10D2E4C6B89753";
        for (row, name, key, cn) in [
            ("Windows 11", "csr-windows11.der", KeyKind::Rsa(2048), windows),
            ("P-384", "csr-p384.der", KeyKind::P384, "phone"),
        ] {
            let csr = parse(&fixture(name)).unwrap();
            assert_eq!((csr.key, csr.common_name.as_deref()), (key, Some(cn)), "{row}");
        }
        let csr = parse(&fixture("csr-challenge.der")).unwrap();
        assert_eq!(csr.challenge.unwrap().expose_secret(), "ABCD-EFGH-JKMN-PQRS");
    }

    #[test]
    fn a_request_that_openssl_made_is_read() {
        let key = PrivateKey::p256().unwrap();
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_text("CN", "Zoë").unwrap();
        let mut request = X509Req::builder().unwrap();
        request.set_subject_name(&name.build()).unwrap();
        request.set_pubkey(&key.0).unwrap();
        request.sign(&key.0, MessageDigest::sha256()).unwrap();
        let csr = parse(&request.build().to_der().unwrap()).unwrap();
        assert_eq!((csr.key, csr.common_name.as_deref()), (KeyKind::P256, Some("Zoë")));
        assert_eq!(csr.public_key_der, key.public_der().unwrap());
    }

    #[test]
    fn md5_and_mismatched_algorithms_are_refused() {
        let key = PrivateKey::rsa_2048().unwrap();
        let signed = |digest, algorithm: &str| {
            let parts = RequestParts { algorithm: algorithm.parse().unwrap(), ..windows_10_request() };
            parts.build(&key.public_der().unwrap(), |info| {
                let mut signer = Signer::new(digest, &key.0).unwrap();
                signer.sign_oneshot_to_vec(info).unwrap()
            })
        };
        let md5 = parse(&signed(MessageDigest::md5(), "1.2.840.113549.1.1.4"));
        assert!(matches!(md5, Err(Error::Algorithm { .. })));
        let named_otherwise = parse(&signed(MessageDigest::sha1(), "1.2.840.113549.1.1.11"));
        assert!(matches!(named_otherwise, Err(Error::Signature { .. })));
        let ecdsa_name = parse(&signed(MessageDigest::sha256(), "1.2.840.10045.4.3.2"));
        assert!(matches!(ecdsa_name, Err(Error::Signature { .. })));
        parse(&signed(MessageDigest::sha1(), "1.3.14.3.2.29")).unwrap();
    }

    #[test]
    fn a_request_of_another_size_or_kind_is_refused() {
        assert!(matches!(parse(&vec![0x30; MAX_REQUEST + 1]), Err(Error::TooLarge { .. })));
        for bytes in [&b""[..], b"\x30\x00", b"-----BEGIN CERTIFICATE REQUEST-----"] {
            assert!(parse(bytes).unwrap_err().is_malformed());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn no_change_of_a_real_request_passes(at in 0_usize..600, bit in 0_u8..8) {
            let mut bytes = fixture("csr-windows10.der");
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            // Changes that leave the signed bytes and the signature alone (the algorithm's parameters) may pass.
            if let Ok(csr) = parse(&bytes) {
                prop_assert_eq!(csr.key_sha256, parse(&fixture("csr-windows10.der")).unwrap().key_sha256);
            }
        }
    }
}

//! The certificate by which Apple's push service knows an MDM server: read from what the administrator has.

use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::x509::X509;
use secrecy::SecretSlice;
use time::OffsetDateTime;

use crate::ca::public_of;
use crate::error::{Doing as _, Error, limit};
use crate::keys::{PrivateKey, digest, hex};
use crate::{Result, instant, pkcs12, providers};

const WHAT: &str = "push certificate";
/// Every MDM topic begins so.
const TOPIC_PREFIX: &str = "com.apple.mgmt.";

/// A push certificate with its key. It has no `Debug`.
pub struct PushCertificate {
    /// The topic: the certificate's user id, `com.apple.mgmt.External.` and a UUID.
    pub topic: String,
    /// The first valid second.
    pub not_before: OffsetDateTime,
    /// The last valid second: a year later. It must be renewed, not replaced, or every device must enrol anew.
    pub not_after: OffsetDateTime,
    /// SHA-256 of the certificate, lower hex.
    pub sha256: String,
    /// The certificate, then whatever else came along, DER: the chain for TLS.
    pub chain_der: Vec<Vec<u8>>,
    /// The key, PKCS#8 DER.
    pub key_pkcs8: SecretSlice<u8>,
}

/// Reads a PEM file with certificate and key in any order, or a PKCS#12 file. The password opens either's key.
///
/// # Errors
/// [`Error::Password`] where one is needed or another one; [`Error::KeyMismatch`] where no certificate belongs to
/// the key; [`Error::Field`] where the certificate names no MDM topic: it is one for apps, say.
pub fn read(file: &[u8], password: Option<&str>) -> Result<PushCertificate> {
    providers::init()?;
    limit(WHAT, file, pkcs12::MAX_FILE)?;
    if file.windows(11).any(|part| part == b"-----BEGIN ") {
        return read_pem(file, password);
    }
    let opened = pkcs12::open(file, password.unwrap_or_default())?;
    let mut certificates = vec![opened.certificate];
    certificates.extend(opened.chain);
    assemble(certificates, &opened.key)
}

fn read_pem(file: &[u8], password: Option<&str>) -> Result<PushCertificate> {
    let malformed = |why| Error::Malformed { what: WHAT, why };
    let certificates = X509::stack_from_pem(file).map_err(|_| malformed("a certificate cannot be read"))?;
    let mut asked = false;
    // Without a callback OpenSSL would ask at the terminal.
    let key = PKey::private_key_from_pem_callback(file, |buffer| {
        asked = true;
        let password = password.unwrap_or_default().as_bytes();
        Ok(buffer.get_mut(..password.len()).map_or(0, |place| {
            place.copy_from_slice(password);
            password.len()
        }))
    });
    drop(ErrorStack::get());
    match key {
        Ok(key) => assemble(certificates, &PrivateKey(key)),
        Err(_) if asked => Err(Error::Password { what: WHAT }),
        Err(_) => Err(malformed("it holds no private key")),
    }
}

fn assemble(mut certificates: Vec<X509>, key: &PrivateKey) -> Result<PushCertificate> {
    if certificates.is_empty() {
        return Err(Error::Malformed { what: WHAT, why: "it holds no certificate" });
    }
    let belongs = |certificate: &X509| public_of(certificate).is_ok_and(|public| public.public_eq(&key.0));
    let at = certificates.iter().position(belongs).ok_or(Error::KeyMismatch { what: WHAT })?;
    let leaf = certificates.remove(at);
    let der = leaf.to_der().doing("writing a certificate")?;
    let mut chain_der = vec![der.clone()];
    for certificate in certificates {
        chain_der.push(certificate.to_der().doing("writing a certificate")?);
    }
    Ok(PushCertificate {
        topic: topic(&leaf)?,
        not_before: instant::from_asn1(leaf.not_before())?,
        not_after: instant::from_asn1(leaf.not_after())?,
        sha256: hex(&digest::<32>(openssl::hash::MessageDigest::sha256(), &der)?),
        chain_der,
        key_pkcs8: key.pkcs8_der()?,
    })
}

fn topic(leaf: &X509) -> Result<String> {
    let entry = leaf.subject_name().entries_by_nid(openssl::nid::Nid::USERID).next();
    let text = entry.and_then(|entry| entry.data().to_string().ok()).unwrap_or_default();
    match text.starts_with(TOPIC_PREFIX) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(text),
        false => {
            Err(Error::Field { field: "topic", why: "the certificate's user id is no MDM topic (com.apple.mgmt.…)" })
        }
    }
}

#[cfg(test)]
mod tests {
    use openssl::symm::Cipher;
    use proptest::prelude::*;
    use time::Duration;

    use super::*;
    use crate::issue::{Identity, Subject};
    use crate::testing::{self, NOW, authority};

    const TOPIC: &str = "com.apple.mgmt.External.6c2c5c5e-8f0e-4f0e-9d0a-6f3d1f6f6a11";

    fn push() -> Identity {
        let subject = Subject { user_id: Some(TOPIC.to_owned()), ..Subject::named("APSP:6c2c5c5e") };
        testing::device_named(authority(), &subject)
    }

    fn pem(identity: &Identity) -> (Vec<u8>, Vec<u8>) {
        let key = identity.key.0.private_key_to_pem_pkcs8().unwrap();
        (crate::ca::pem(&identity.certificate_der).into_bytes(), key)
    }

    #[test]
    fn topic_and_end_are_read_from_pem_in_any_order() {
        let identity = push();
        let (certificate, key) = pem(&identity);
        let ca = authority().issuing_pem().into_bytes();
        for (row, file) in [
            ("certificate first", [certificate.clone(), key.clone()].concat()),
            ("key first", [key.clone(), certificate.clone()].concat()),
            ("another certificate first", [ca, certificate, key].concat()),
        ] {
            let read = read(&file, None).unwrap();
            assert_eq!((read.topic.as_str(), read.not_after), (TOPIC, NOW + Duration::days(730)), "{row}");
            assert_eq!(read.chain_der[0], identity.certificate_der, "{row}");
        }
    }

    #[test]
    fn an_encrypted_key_asks_for_its_password() {
        let identity = push();
        let key = identity.key.0.private_key_to_pem_pkcs8_passphrase(Cipher::aes_128_cbc(), b"right").unwrap();
        let file = [pem(&identity).0, key].concat();
        assert_eq!(read(&file, Some("right")).unwrap().topic, TOPIC);
        for password in [None, Some("wrong"), Some(&*"x".repeat(5000))] {
            assert!(matches!(read(&file, password), Err(Error::Password { .. })), "{password:?}");
        }
    }

    #[test]
    fn topic_is_read_from_pkcs12() {
        let file = pkcs12::encode(&push(), authority(), "push", "right").unwrap();
        assert_eq!(read(&file, Some("right")).unwrap().topic, TOPIC);
        assert!(matches!(read(&file, None), Err(Error::Password { .. })));
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let (one, other, plain) = (push(), push(), testing::device(authority(), "no topic"));
        let mixed = [pem(&one).0, pem(&other).1].concat();
        assert!(matches!(read(&mixed, None), Err(Error::KeyMismatch { .. })));
        let no_topic = [pem(&plain).0, pem(&plain).1].concat();
        assert!(matches!(read(&no_topic, None), Err(Error::Field { field: "topic", .. })));
        assert!(read(&pem(&one).0, None).err().unwrap().is_malformed());
        assert!(read(&pem(&one).1, None).err().unwrap().is_malformed());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes, None);
            let _ = read(&[b"-----BEGIN ", &bytes[..]].concat(), Some("x"));
        }
    }
}

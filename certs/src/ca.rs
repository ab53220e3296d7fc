//! The certification authority: a root that only signs the issuing CA, and the issuing CA that does all else.
//!
//! The root is ECDSA P-256. The issuing CA is RSA-2048, because SCEP clients encrypt to it. Both are made at once and
//! once per installation; [`Material`] is what is sealed and kept.

use der::asn1::OctetStringRef;
use der::{Decode as _, Encode as _, Sequence};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Public};
use openssl::x509::extension::{BasicConstraints, KeyUsage};
use openssl::x509::{X509, X509Builder, X509Extension, X509Name, X509NameBuilder, X509Ref};
use secrecy::{ExposeSecret as _, SecretSlice};
use time::{Duration, OffsetDateTime};

use crate::error::{Doing as _, Error, limit};
use crate::issue::{self, Serial, Validity};
use crate::keys::{self, PrivateKey, digest, hex};
use crate::{Result, instant};

/// Root and issuing CA with their keys. It has no `Debug`; cheap to share behind an `Arc`, and `Sync`.
pub struct Authority {
    pub(crate) root: X509,
    pub(crate) root_key: PrivateKey,
    pub(crate) issuing: X509,
    pub(crate) issuing_key: PrivateKey,
    issuing_public: PKey<Public>,
    root_der: Vec<u8>,
    issuing_der: Vec<u8>,
}

/// An authority's keys and certificates, for sealing. It has no `Debug`.
pub struct Material {
    /// The root's certificate, DER.
    pub root_certificate: Vec<u8>,
    /// The root's key, PKCS#8 DER.
    pub root_key: SecretSlice<u8>,
    /// The issuing CA's certificate, DER.
    pub issuing_certificate: Vec<u8>,
    /// The issuing CA's key, PKCS#8 DER.
    pub issuing_key: SecretSlice<u8>,
}

/// Whether a certificate's time matters to a check, and at which moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// It must be valid at this moment.
    At(OffsetDateTime),
    /// Its time is decided elsewhere.
    Any,
}

impl Authority {
    /// Makes a root (20 years) and an issuing CA (15 years).
    ///
    /// The serials and the suffix that tells two installations' names apart come from `randomness`; the keys come
    /// from OpenSSL's generator.
    pub fn create(now: OffsetDateTime, randomness: &[u8; 32]) -> Result<Self> {
        let (root_key, issuing_key) = (PrivateKey::p256()?, PrivateKey::rsa_2048()?);
        let suffix = hex(&keys::sha256(randomness)?).chars().take(8).collect::<String>();
        // Hashed, so that no randomness, however poor, gives both the same number: the root issues both.
        let serial = |role: &str| {
            let mut bytes = [0; 16];
            let digest = keys::sha256(&[role.as_bytes(), randomness].concat())?;
            bytes.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
            Ok::<_, Error>(Serial::from_random(bytes))
        };
        let root = ca_certificate(&Wanted {
            name: ca_name("Lanyard Root CA", &suffix)?,
            key: &root_key,
            issuer: None,
            years: 20,
            usage: KeyUsage::new().critical().key_cert_sign().crl_sign().build().doing(MAKING)?,
            now,
            serial: serial("root")?,
        })?;
        let usage =
            KeyUsage::new().critical().key_cert_sign().crl_sign().key_encipherment().digital_signature().build();
        let issuing = ca_certificate(&Wanted {
            name: ca_name("Lanyard Issuing CA", &suffix)?,
            key: &issuing_key,
            issuer: Some((&root, &root_key)),
            years: 15,
            usage: usage.doing(MAKING)?,
            now,
            serial: serial("issuing")?,
        })?;
        Self::assemble(root, root_key, issuing, issuing_key)
    }

    /// Opens an authority from its kept material.
    ///
    /// # Errors
    /// Keys and certificates that do not belong together ([`Error::KeyMismatch`], [`Error::Signature`]).
    pub fn open(material: &Material) -> Result<Self> {
        let root_key = PrivateKey::copy(&material.root_key)?;
        let issuing_key = PrivateKey::copy(&material.issuing_key)?;
        let root = X509::from_der(&material.root_certificate).doing("reading the root certificate")?;
        let issuing = X509::from_der(&material.issuing_certificate).doing("reading the issuing certificate")?;
        Self::assemble(root, root_key, issuing, issuing_key)
    }

    fn assemble(root: X509, root_key: PrivateKey, issuing: X509, issuing_key: PrivateKey) -> Result<Self> {
        for (what, certificate, key) in [("root CA", &root, &root_key), ("issuing CA", &issuing, &issuing_key)] {
            if !public_of(certificate)?.public_eq(&key.0) {
                return Err(Error::KeyMismatch { what });
            }
        }
        if !issuing.verify(&root_key.0).doing("checking the issuing certificate")? {
            return Err(Error::Signature { what: "issuing certificate" });
        }
        let (root_der, issuing_der) = (root.to_der().doing(MAKING)?, issuing.to_der().doing(MAKING)?);
        let issuing_public = public_of(&issuing)?;
        Ok(Self { root, root_key, issuing, issuing_key, issuing_public, root_der, issuing_der })
    }

    /// Keys and certificates, for sealing.
    pub fn material(&self) -> Result<Material> {
        Ok(Material {
            root_certificate: self.root_der.clone(),
            root_key: self.root_key.pkcs8_der()?,
            issuing_certificate: self.issuing_der.clone(),
            issuing_key: self.issuing_key.pkcs8_der()?,
        })
    }

    /// The root's certificate, DER.
    #[must_use]
    pub fn root_der(&self) -> &[u8] {
        &self.root_der
    }

    /// The root's certificate, PEM: what a TLS client must trust.
    #[must_use]
    pub fn root_pem(&self) -> String {
        pem(&self.root_der)
    }

    /// The issuing CA's certificate, DER: what SCEP's GetCACert answers.
    #[must_use]
    pub fn issuing_der(&self) -> &[u8] {
        &self.issuing_der
    }

    /// The issuing CA's certificate, PEM.
    #[must_use]
    pub fn issuing_pem(&self) -> String {
        pem(&self.issuing_der)
    }

    /// SHA-1 of the root's certificate: Windows names certificates by it, in upper hex.
    pub fn root_sha1(&self) -> Result<[u8; 20]> {
        digest(MessageDigest::sha1(), &self.root_der)
    }

    /// SHA-1 of the issuing CA's certificate.
    pub fn issuing_sha1(&self) -> Result<[u8; 20]> {
        digest(MessageDigest::sha1(), &self.issuing_der)
    }

    /// SHA-256 of the root's certificate.
    pub fn root_sha256(&self) -> Result<[u8; 32]> {
        digest(MessageDigest::sha256(), &self.root_der)
    }

    /// SHA-256 of the issuing CA's certificate.
    pub fn issuing_sha256(&self) -> Result<[u8; 32]> {
        digest(MessageDigest::sha256(), &self.issuing_der)
    }

    /// Checks that the issuing CA signed this certificate (one RSA verification), and its time if asked.
    ///
    /// # Errors
    /// [`Error::NotOurs`], [`Error::OutsideValidity`], or [`Error::Malformed`] where it is no certificate.
    pub fn check_issued(&self, certificate_der: &[u8], when: When) -> Result<()> {
        limit("certificate", certificate_der, crate::client::MAX_CERTIFICATE)?;
        let malformed = |_| Error::Malformed { what: "certificate", why: "cannot be read" };
        let certificate = X509::from_der(certificate_der).map_err(malformed)?;
        self.check_issued_x509(&certificate, when)
    }

    pub(crate) fn check_issued_x509(&self, certificate: &X509Ref, when: When) -> Result<()> {
        let serial = || Serial::of(certificate).map_or_else(|_| "unreadable".to_owned(), |serial| serial.to_string());
        let named = certificate.issuer_name().try_cmp(self.issuing.subject_name());
        let signed = || keys::signed_by(certificate, &self.issuing_public);
        if !named.is_ok_and(|order| order.is_eq()) || !signed() {
            let issuer = crate::client::show_name(certificate.issuer_name());
            return Err(Error::NotOurs { serial: serial(), issuer });
        }
        let When::At(at) = when else { return Ok(()) };
        let not_before = instant::from_asn1(certificate.not_before())?;
        let not_after = instant::from_asn1(certificate.not_after())?;
        if at < not_before || at > not_after {
            return Err(Error::OutsideValidity { serial: serial(), not_before, not_after, at });
        }
        Ok(())
    }
}

const MAKING: &str = "making the certification authority";

struct Wanted<'a> {
    name: X509Name,
    key: &'a PrivateKey,
    issuer: Option<(&'a X509, &'a PrivateKey)>,
    years: i64,
    usage: X509Extension,
    now: OffsetDateTime,
    serial: Serial,
}

fn ca_certificate(wanted: &Wanted<'_>) -> Result<X509> {
    let public = PKey::public_key_from_der(&wanted.key.public_der()?).doing(MAKING)?;
    let not_before = Validity::client(wanted.now).not_before;
    let validity = Validity { not_before, not_after: wanted.now + Duration::days(wanted.years * 365) };
    let issuer = wanted.issuer.map(|(certificate, _)| certificate);
    let issuer_name = issuer.map_or(&*wanted.name, |certificate| certificate.subject_name());
    let mut builder = issue::begin(&wanted.name, issuer_name, &public, validity, &wanted.serial)?;
    // The root signs one layer of CAs, the issuing CA none.
    let depth = u32::from(issuer.is_none());
    add(&mut builder, BasicConstraints::new().critical().ca().pathlen(depth).build().doing(MAKING)?)?;
    builder.append_extension2(&wanted.usage).doing(MAKING)?;
    issue::identify(&mut builder, issuer.map(|certificate| &**certificate))?;
    let signer = wanted.issuer.map_or(wanted.key, |(_, key)| key);
    builder.sign(&signer.0, MessageDigest::sha256()).doing(MAKING)?;
    Ok(builder.build())
}

fn add(builder: &mut X509Builder, extension: X509Extension) -> Result<()> {
    builder.append_extension(extension).doing(MAKING)
}

fn ca_name(role: &str, suffix: &str) -> Result<X509Name> {
    let mut name = X509NameBuilder::new().doing(MAKING)?;
    name.append_entry_by_nid(Nid::ORGANIZATIONNAME, "Lanyard").doing(MAKING)?;
    name.append_entry_by_nid(Nid::COMMONNAME, &format!("{role} {suffix}")).doing(MAKING)?;
    Ok(name.build())
}

pub(crate) fn public_of(certificate: &X509Ref) -> Result<PKey<Public>> {
    let unreadable = |_| Error::Malformed { what: "certificate", why: "its public key cannot be read" };
    certificate.public_key().map_err(unreadable)
}

/// RFC 7468, lines of 64.
pub(crate) fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    for (at, c) in text.char_indices() {
        if at > 0 && at % 64 == 0 {
            out.push('\n');
        }
        out.push(c);
    }
    out.push_str("\n-----END CERTIFICATE-----\n");
    out
}

#[derive(Sequence)]
struct MaterialDer<'a> {
    format: u8,
    root_certificate: OctetStringRef<'a>,
    root_key: OctetStringRef<'a>,
    issuing_certificate: OctetStringRef<'a>,
    issuing_key: OctetStringRef<'a>,
}

impl Material {
    /// All of it as one value, to be sealed.
    pub fn to_bytes(&self) -> Result<SecretSlice<u8>> {
        let string = |bytes| OctetStringRef::new(bytes).doing("writing the CA's material");
        let der = MaterialDer {
            format: 1,
            root_certificate: string(&self.root_certificate)?,
            root_key: string(self.root_key.expose_secret())?,
            issuing_certificate: string(&self.issuing_certificate)?,
            issuing_key: string(self.issuing_key.expose_secret())?,
        };
        Ok(der.to_der().doing("writing the CA's material")?.into())
    }

    /// Reads what [`Material::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let malformed = |why| Error::Malformed { what: "the CA's material", why };
        let der = MaterialDer::from_der(bytes).map_err(|_| malformed("cannot be read"))?;
        if der.format != 1 {
            return Err(malformed("of a newer format"));
        }
        Ok(Self {
            root_certificate: der.root_certificate.as_bytes().to_vec(),
            root_key: der.root_key.as_bytes().to_vec().into(),
            issuing_certificate: der.issuing_certificate.as_bytes().to_vec(),
            issuing_key: der.issuing_key.as_bytes().to_vec().into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, authority, openssl_verify};

    #[test]
    fn an_authority_survives_its_material() {
        let ca = authority();
        let kept = ca.material().unwrap().to_bytes().unwrap();
        let again = Authority::open(&Material::from_bytes(kept.expose_secret()).unwrap()).unwrap();
        assert_eq!(again.root_sha256().unwrap(), ca.root_sha256().unwrap());
        assert_eq!(again.issuing_der(), ca.issuing_der());
        assert_eq!(X509::from_pem(ca.root_pem().as_bytes()).unwrap().to_der().unwrap(), ca.root_der());
    }

    #[test]
    fn material_of_two_authorities_does_not_mix() {
        let other = Authority::create(NOW, &[9; 32]).unwrap();
        let mut mixed = authority().material().unwrap();
        mixed.issuing_key = other.material().unwrap().issuing_key;
        assert!(matches!(Authority::open(&mixed), Err(Error::KeyMismatch { .. })));
        mixed.issuing_certificate = other.issuing_der().to_vec();
        assert!(matches!(Authority::open(&mixed), Err(Error::Signature { .. })));
        assert!(Material::from_bytes(b"").is_err());
    }

    #[test]
    fn the_issuing_ca_verifies_with_openssl_and_may_what_it_must() {
        let ca = authority();
        openssl_verify(ca, ca.issuing_der(), &[]);
        let text = String::from_utf8(ca.issuing.to_text().unwrap()).unwrap();
        assert!(text.contains("Digital Signature, Key Encipherment, Certificate Sign, CRL Sign"), "{text}");
        assert!(text.contains("CA:TRUE, pathlen:0"), "{text}");
    }

    #[test]
    fn root_and_issuing_ca_differ_whatever_the_randomness() {
        let made = Authority::create(NOW, &[0; 32]).unwrap();
        assert_ne!(Serial::of(&made.root).unwrap(), Serial::of(&made.issuing).unwrap());
    }

    #[test]
    fn only_our_own_certificates_pass_and_only_in_their_time() {
        let (ca, other) = (authority(), Authority::create(NOW, &[8; 32]).unwrap());
        let ours = crate::testing::device(ca, "d");
        let end = NOW + Duration::days(730);
        ca.check_issued(&ours.certificate_der, When::At(end)).unwrap();
        ca.check_issued(&ours.certificate_der, When::Any).unwrap();
        let late = ca.check_issued(&ours.certificate_der, When::At(end + Duration::seconds(1)));
        assert!(matches!(late, Err(Error::OutsideValidity { .. })));
        let strange = other.check_issued(&ours.certificate_der, When::Any);
        assert!(matches!(strange, Err(Error::NotOurs { .. })));
        // The issuing CA's own certificate is not one that it issued.
        assert!(matches!(ca.check_issued(ca.issuing_der(), When::Any), Err(Error::NotOurs { .. })));
        assert!(ca.check_issued(b"nonsense", When::Any).unwrap_err().is_malformed());
    }
}

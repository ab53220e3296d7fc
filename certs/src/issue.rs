//! Issuing certificates: for devices (client authentication, two years) and for our own listeners.
//!
//! What goes into a certificate comes from the caller, which knows the invitation. Nothing is taken from a request
//! but its public key.

use std::net::IpAddr;

use openssl::asn1::Asn1Integer;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Public};
use openssl::rand::rand_bytes;
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName, SubjectKeyIdentifier,
};
use openssl::x509::{X509, X509Builder, X509Extension, X509Name, X509NameBuilder, X509Ref};
use time::{Duration, OffsetDateTime};

use crate::error::{Doing as _, Error};
use crate::keys::{KeyKind, PrivateKey, hex, read_public};
use crate::{Authority, Result, instant, tlv};

/// A certificate's serial number: positive, at most 20 bytes (RFC 5280 4.1.2.2). Ours are 128 bits long.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Serial(Vec<u8>);

impl Serial {
    /// A serial from 16 random bytes. The two highest bits are set to 01: always positive, always the same length.
    #[must_use]
    pub fn from_random(random: [u8; 16]) -> Self {
        let [first, rest @ ..] = random;
        Self([&[(first & 0x3F) | 0x40][..], &rest].concat())
    }

    /// A serial from OpenSSL's generator.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; 16];
        rand_bytes(&mut bytes).doing("making a serial number")?;
        Ok(Self::from_random(bytes))
    }

    /// A serial that a certificate carries, as its magnitude. Leading zeros are dropped.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
        let bytes = bytes.get(start..).unwrap_or_default();
        match bytes.len() {
            1..=20 => Ok(Self(bytes.to_vec())),
            0 => Err(Error::Field { field: "serial number", why: "zero" }),
            _ => Err(Error::Field { field: "serial number", why: "longer than 20 bytes" }),
        }
    }

    /// Reads hex in either case; colons are passed over.
    pub fn from_hex(text: &str) -> Result<Self> {
        let odd = || Error::Field { field: "serial number", why: "not hex" };
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        let digits = if digits.len() % 2 == 1 { format!("0{digits}") } else { digits };
        let plain = !digits.is_empty() && digits.len() <= 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let number = if plain { BigNum::from_hex_str(&digits).map_err(|_| odd())? } else { return Err(odd()) };
        Self::from_bytes(&number.to_vec())
    }

    /// The magnitude, big-endian, without leading zeros.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn to_asn1(&self) -> Result<Asn1Integer> {
        BigNum::from_slice(&self.0).and_then(|number| Asn1Integer::from_bn(&number)).doing("writing a serial number")
    }

    pub(crate) fn of(certificate: &X509Ref) -> Result<Self> {
        Self::from_bytes(&certificate.serial_number().to_bn().doing("reading a serial number")?.to_vec())
    }
}

impl std::fmt::Display for Serial {
    /// Lower hex without separators, two digits a byte.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// From when to when a certificate is valid. An end later than the issuing CA's own is cut to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first valid second.
    pub not_before: OffsetDateTime,
    /// The last valid second.
    pub not_after: OffsetDateTime,
}

/// How far back a certificate begins: devices' clocks lag.
const BACKDATE: Duration = Duration::minutes(10);

impl Validity {
    /// Two years, begun ten minutes ago.
    #[must_use]
    pub fn client(now: OffsetDateTime) -> Self {
        Self { not_before: now - BACKDATE, not_after: now + Duration::days(730) }
    }

    /// 397 days, begun ten minutes ago: Apple's systems refuse TLS certificates of more than 398 days from public
    /// roots, and nothing is gained by standing out.
    #[must_use]
    pub fn server(now: OffsetDateTime) -> Self {
        Self { not_before: now - BACKDATE, not_after: now + Duration::days(397) }
    }
}

/// A certificate's subject, in the order common name, organisation, unit, serial number, user id.
///
/// Windows finds its certificate by this name, so its form stays as it is for ever. At most 64 characters each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// CN.
    pub common_name: String,
    /// O.
    pub organization: Option<String>,
    /// OU.
    pub organizational_unit: Option<String>,
    /// The attribute serialNumber: a device's, not the certificate's.
    pub serial_number: Option<String>,
    /// UID, 0.9.2342.19200300.100.1.1.
    pub user_id: Option<String>,
}

impl Subject {
    /// A subject of a common name alone.
    pub fn named(common_name: impl Into<String>) -> Self {
        Self { common_name: common_name.into(), ..Self::default() }
    }

    fn to_name(&self) -> Result<X509Name> {
        let mut name = X509NameBuilder::new().doing("writing a name")?;
        for (nid, field, value) in [
            (Nid::COMMONNAME, "common name", Some(&self.common_name)),
            (Nid::ORGANIZATIONNAME, "organisation", self.organization.as_ref()),
            (Nid::ORGANIZATIONALUNITNAME, "organisational unit", self.organizational_unit.as_ref()),
            (Nid::SERIALNUMBER, "serial number attribute", self.serial_number.as_ref()),
            (Nid::USERID, "user id", self.user_id.as_ref()),
        ] {
            let Some(value) = value else { continue };
            match value.chars().count() {
                0 => return Err(Error::Field { field, why: "empty" }),
                1..=64 => name.append_entry_by_nid(nid, value).map_err(|_| Error::Field { field, why: "not writable" }),
                _ => return Err(Error::Field { field, why: "longer than 64 characters" }),
            }?;
        }
        Ok(name.build())
    }
}

/// A further name of the subject. Text is ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AltName {
    /// A URI, such as `urn:uuid:…` for an enrolment.
    Uri(String),
    /// A mail address.
    Email(String),
    /// A host name.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

/// What goes into a device's certificate.
#[derive(Clone, Debug)]
pub struct ClientCertificate<'a> {
    /// The device's key, SubjectPublicKeyInfo DER; [`crate::csr::Csr::public_key_der`] or one of ours.
    pub public_key_der: &'a [u8],
    /// Whom it names.
    pub subject: &'a Subject,
    /// Further names, mostly none.
    pub alt_names: &'a [AltName],
    /// Where the revocation list is, `http:` or `https:`.
    pub crl_url: Option<&'a str>,
    /// When it is valid.
    pub validity: Validity,
    /// Its serial number, never used before.
    pub serial: Serial,
}

/// What goes into a listener's certificate.
#[derive(Clone, Debug)]
pub struct ServerCertificate<'a> {
    /// Host names and addresses; the first is the common name too, cut to 64 characters.
    pub names: &'a [AltName],
    /// Where the revocation list is.
    pub crl_url: Option<&'a str>,
    /// When it is valid.
    pub validity: Validity,
    /// Its serial number, never used before.
    pub serial: Serial,
}

/// A certificate with its key.
#[derive(Clone)]
pub struct Identity {
    /// The certificate, DER. Its issuer is the issuing CA.
    pub certificate_der: Vec<u8>,
    /// The key.
    pub key: PrivateKey,
}

impl Authority {
    /// Issues a certificate by which a device shows who it is; its DER.
    ///
    /// # Errors
    /// The key is not accepted ([`Error::Key`]), or a name cannot be written ([`Error::Field`]).
    pub fn issue_client(&self, wanted: &ClientCertificate<'_>) -> Result<Vec<u8>> {
        let (key, kind) = read_public("public key", wanted.public_key_der)?;
        let name = wanted.subject.to_name()?;
        let mut leaf = self.begin(&name, &key, wanted.validity, &wanted.serial)?;
        // Key encipherment: a SCEP answer is encrypted to the certificate that asks for its renewal.
        let usage = match kind {
            KeyKind::Rsa(_) => KeyUsage::new().critical().digital_signature().key_encipherment().build(),
            KeyKind::P256 | KeyKind::P384 => KeyUsage::new().critical().digital_signature().build(),
        };
        let purpose = ExtendedKeyUsage::new().client_auth().build();
        self.finish(&mut leaf, [usage, purpose], wanted.alt_names, wanted.crl_url)?;
        leaf.build().to_der().doing("writing a certificate")
    }

    /// Makes a P-256 key and issues a certificate for it, for our own listeners.
    ///
    /// ECDSA also because old Windows clients speak GCM with such a certificate only.
    pub fn issue_server(&self, wanted: &ServerCertificate<'_>) -> Result<Identity> {
        let first = wanted.names.first().ok_or(Error::Field { field: "server name", why: "none given" })?;
        let common_name = match first {
            AltName::Dns(name) | AltName::Uri(name) | AltName::Email(name) => name.chars().take(64).collect(),
            AltName::Ip(address) => address.to_string(),
        };
        let key = PrivateKey::p256()?;
        let public = PKey::public_key_from_der(&key.public_der()?).doing("reading a public key")?;
        let name = Subject::named(common_name).to_name()?;
        let mut leaf = self.begin(&name, &public, wanted.validity, &wanted.serial)?;
        let usage = KeyUsage::new().critical().digital_signature().build();
        let purpose = ExtendedKeyUsage::new().server_auth().build();
        self.finish(&mut leaf, [usage, purpose], wanted.names, wanted.crl_url)?;
        Ok(Identity { certificate_der: leaf.build().to_der().doing("writing a certificate")?, key })
    }

    fn begin(&self, name: &X509Name, key: &PKey<Public>, when: Validity, serial: &Serial) -> Result<X509Builder> {
        let not_after = when.not_after.min(instant::from_asn1(self.issuing.not_after())?);
        begin(name, self.issuing.subject_name(), key, Validity { not_after, ..when }, serial)
    }

    fn finish(
        &self,
        leaf: &mut X509Builder,
        purposes: [Result<X509Extension, openssl::error::ErrorStack>; 2],
        names: &[AltName],
        crl_url: Option<&str>,
    ) -> Result<()> {
        const DOING: &str = "writing a certificate's extensions";
        let mut extensions = vec![BasicConstraints::new().critical().build().doing(DOING)?];
        for purpose in purposes {
            extensions.push(purpose.doing(DOING)?);
        }
        extensions.extend(alt_names(leaf, &self.issuing, names)?);
        extensions.extend(crl_url.map(crl_distribution_point).transpose()?);
        extensions.into_iter().try_for_each(|extension| leaf.append_extension(extension)).doing(DOING)?;
        identify(leaf, Some(&self.issuing))?;
        leaf.sign(&self.issuing_key.0, MessageDigest::sha256()).doing("signing a certificate")
    }
}

/// The parts that every certificate has.
pub(crate) fn begin(
    subject: &X509Name,
    issuer: &openssl::x509::X509NameRef,
    key: &PKey<Public>,
    validity: Validity,
    serial: &Serial,
) -> Result<X509Builder> {
    if validity.not_after <= validity.not_before {
        return Err(Error::Field { field: "validity", why: "ends before it begins" });
    }
    let (from, to, serial) = (instant::to_asn1(validity.not_before)?, instant::to_asn1(validity.not_after)?, serial);
    let serial = serial.to_asn1()?;
    let build = || {
        let mut builder = X509::builder()?;
        builder.set_version(2)?;
        builder.set_serial_number(&serial)?;
        builder.set_subject_name(subject)?;
        builder.set_issuer_name(issuer)?;
        builder.set_pubkey(key)?;
        builder.set_not_before(&from)?;
        builder.set_not_after(&to)?;
        Ok::<_, openssl::error::ErrorStack>(builder)
    };
    build().doing("beginning a certificate")
}

/// Adds the key identifiers; without an issuer the certificate is its own.
pub(crate) fn identify(builder: &mut X509Builder, issuer: Option<&X509Ref>) -> Result<()> {
    const DOING: &str = "writing key identifiers";
    let own = SubjectKeyIdentifier::new().build(&builder.x509v3_context(issuer, None)).doing(DOING)?;
    builder.append_extension(own).doing(DOING)?;
    if issuer.is_some() {
        let theirs = AuthorityKeyIdentifier::new().keyid(true).build(&builder.x509v3_context(issuer, None));
        builder.append_extension(theirs.doing(DOING)?).doing(DOING)?;
    }
    Ok(())
}

fn alt_names(leaf: &X509Builder, issuer: &X509, names: &[AltName]) -> Result<Option<X509Extension>> {
    if names.is_empty() {
        return Ok(None);
    }
    let mut extension = SubjectAlternativeName::new();
    for name in names {
        match name {
            AltName::Uri(text) => extension.uri(ascii("subject alternative name", text)?),
            AltName::Email(text) => extension.email(ascii("subject alternative name", text)?),
            AltName::Dns(text) => extension.dns(ascii("subject alternative name", text)?),
            AltName::Ip(address) => extension.ip(&address.to_string()),
        };
    }
    let built = extension.build(&leaf.x509v3_context(Some(issuer), None));
    Ok(Some(built.doing("writing alternative names")?))
}

/// IA5String takes ASCII alone; a control character in a name helps nobody but a forger.
fn ascii<'t>(field: &'static str, text: &'t str) -> Result<&'t str> {
    match text {
        "" => Err(Error::Field { field, why: "empty" }),
        text if text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(text),
        _ => Err(Error::Field { field, why: "not plain ASCII" }),
    }
}

/// RFC 5280 4.2.1.13, written by hand: OpenSSL's own way goes through configuration text, where a comma splits a URL.
fn crl_distribution_point(url: &str) -> Result<X509Extension> {
    const DOING: &str = "writing the revocation list's address";
    let url = tlv::write(0x86, &[ascii("revocation list address", url)?.as_bytes()]);
    let point = tlv::write(tlv::CONTEXT_0, &[&tlv::write(tlv::CONTEXT_0, &[&url])]);
    let points = tlv::write(tlv::SEQUENCE, &[&tlv::write(tlv::SEQUENCE, &[&point])]);
    let octets = openssl::asn1::Asn1OctetString::new_from_bytes(&points).doing(DOING)?;
    let oid = openssl::asn1::Asn1Object::from_str("2.5.29.31").doing(DOING)?;
    X509Extension::new_from_der(&oid, false, &octets).doing(DOING)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, NOW, authority};

    fn client<'a>(key: &'a [u8], subject: &'a Subject) -> ClientCertificate<'a> {
        let (alt_names, serial) = (&[][..], Serial::from_random([0xFF; 16]));
        let crl_url = Some("http://mdm.example/crl?a=1,b=2");
        ClientCertificate { public_key_der: key, subject, alt_names, crl_url, validity: Validity::client(NOW), serial }
    }

    #[test]
    fn a_client_certificate_says_what_the_caller_said() {
        let (ca, key) = (authority(), PrivateKey::rsa_2048().unwrap().public_der().unwrap());
        let subject = Subject { organization: Some("Zoë & Co".to_owned()), ..Subject::named("phone-1") };
        let names = [AltName::Uri("urn:uuid:1".to_owned()), AltName::Email("u@example.org".to_owned())];
        let der = ca.issue_client(&ClientCertificate { alt_names: &names, ..client(&key, &subject) }).unwrap();
        let made = X509::from_der(&der).unwrap();
        assert_eq!(Serial::of(&made).unwrap().to_string(), format!("7f{}", "ff".repeat(15)));
        assert_eq!(instant::from_asn1(made.not_before()).unwrap(), NOW - Duration::minutes(10));
        assert_eq!(instant::from_asn1(made.not_after()).unwrap(), NOW + Duration::days(730));
        let points = made.crl_distribution_points().unwrap();
        let point = points.get(0).unwrap().distpoint().unwrap().fullname().unwrap();
        assert_eq!(point.get(0).unwrap().uri(), Some("http://mdm.example/crl?a=1,b=2"));
        let text = String::from_utf8(made.to_text().unwrap()).unwrap();
        for part in
            ["TLS Web Client Authentication", "CA:FALSE", "Digital Signature, Key Encipherment", "URI:urn:uuid:1"]
        {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert!(!text.contains("Server Authentication"), "{text}");
    }

    #[test]
    fn issued_certificates_verify_with_openssl() {
        let ca = authority();
        let key = PrivateKey::p256().unwrap().public_der().unwrap();
        let device = ca.issue_client(&client(&key, &Subject::named("d"))).unwrap();
        let names = [AltName::Dns("mdm.example".to_owned()), AltName::Ip("::1".parse().unwrap())];
        let serial = Serial::random().unwrap();
        let listener = ServerCertificate { names: &names, crl_url: None, validity: Validity::server(NOW), serial };
        let listener = ca.issue_server(&listener).unwrap();
        testing::openssl_verify(ca, &device, &["-purpose", "sslclient"]);
        testing::openssl_verify(
            ca,
            &listener.certificate_der,
            &["-purpose", "sslserver", "-verify_hostname", "mdm.example"],
        );
        testing::openssl_verify(ca, &listener.certificate_der, &["-verify_ip", "::1"]);
    }

    #[test]
    fn no_certificate_outlives_its_issuer() {
        let (ca, key) = (authority(), PrivateKey::p256().unwrap().public_der().unwrap());
        let end = instant::from_asn1(ca.issuing.not_after()).unwrap();
        let late = Validity::client(end - Duration::days(3));
        let der = ca.issue_client(&ClientCertificate { validity: late, ..client(&key, &Subject::named("d")) }).unwrap();
        assert_eq!(instant::from_asn1(X509::from_der(&der).unwrap().not_after()).unwrap(), end);
    }

    #[test]
    fn names_that_cannot_stand_are_refused() {
        let key = PrivateKey::p256().unwrap().public_der().unwrap();
        for (row, name) in [("empty", String::new()), ("65 characters", "é".repeat(65))] {
            let refused = authority().issue_client(&client(&key, &Subject::named(name)));
            assert!(matches!(refused, Err(Error::Field { .. })), "{row}");
        }
        for name in ["", "a b", "zoë", "a\nb", "a\0b"] {
            let names = [AltName::Dns(name.to_owned())];
            let subject = Subject::named("d");
            let refused = authority().issue_client(&ClientCertificate { alt_names: &names, ..client(&key, &subject) });
            assert!(matches!(refused, Err(Error::Field { .. })), "{name}");
        }
        let fits = Subject::named("é".repeat(64));
        authority().issue_client(&client(&key, &fits)).unwrap();
    }

    #[test]
    fn serials_are_read_as_they_are_shown() {
        for (row, text, want) in [
            ("plain", "7f01", Some("7f01")),
            ("upper with colons", "7F:01", Some("7f01")),
            ("odd", "f01", Some("0f01")),
            ("leading zeros", "0000f0", Some("f0")),
            ("zero", "00", None),
            ("not hex", "xy", None),
            ("too long", &"ff".repeat(21), None),
        ] {
            assert_eq!(Serial::from_hex(text).ok().map(|s| s.to_string()).as_deref(), want, "{row}");
        }
    }
}

//! Reading SignedData and EnvelopedData as far as OpenSSL's binding does not: certificates, signer, attributes.

use der::asn1::ObjectIdentifier;
use openssl::cms::CmsContentInfo;
use openssl::error::ErrorStack;
use openssl::x509::{X509, X509Name};

use crate::error::Error;
use crate::tlv::{self, Item, Walk};
use crate::{Result, oid, providers};

const WHAT: &str = "signed message";

/// More certificates, signers or digest algorithms than any device sends are not looked at.
const MAX_CERTIFICATES: usize = 16;
/// SCEP's and Apple's messages have fewer than ten.
const MAX_ATTRIBUTES: usize = 32;

/// Turns BER into DER: macOS sends indefinite lengths and strings in pieces. OpenSSL bounds the nesting.
pub(crate) fn to_der(message: &[u8]) -> Result<Vec<u8>> {
    providers::init()?;
    let read = CmsContentInfo::from_der(message).and_then(|message| message.to_der());
    read.map_err(|_| {
        drop(ErrorStack::get());
        Error::Malformed { what: WHAT, why: "not CMS" }
    })
}

/// A SignedData taken apart; borrowed from its DER.
#[derive(Debug)]
pub(crate) struct Parsed<'a> {
    pub(crate) content: Option<&'a [u8]>,
    pub(crate) certificates: Vec<&'a [u8]>,
    /// What the message says that its content is hashed by.
    pub(crate) digests: Vec<ObjectIdentifier>,
    signers: Vec<SignerInfo<'a>>,
}

/// The one who signed, as SignerInfo names them.
#[derive(Debug)]
pub(crate) struct SignerInfo<'a> {
    id: SignerId<'a>,
    pub(crate) digest: ObjectIdentifier,
    attributes: Option<Walk<'a>>,
}

#[derive(Debug)]
enum SignerId<'a> {
    IssuerAndSerial { issuer: &'a [u8], serial: &'a [u8] },
    KeyIdentifier(&'a [u8]),
}

impl<'a> Parsed<'a> {
    /// Takes a message in DER apart; nothing is checked.
    pub(crate) fn read(der: &'a [u8]) -> Result<Self> {
        let mut data = open(WHAT, der, oid::SIGNED_DATA)?;
        data.expect(tlv::INTEGER, "no version")?;
        let mut listed = data.enter(tlv::SET, "no digest algorithms")?;
        let mut digests = Vec::new();
        while !listed.is_empty() {
            digests.push(listed.algorithm("no digest algorithm")?);
            if digests.len() > MAX_CERTIFICATES {
                return Err(listed.error("too many digest algorithms"));
            }
        }
        let mut inner = data.enter(tlv::SEQUENCE, "no content info")?;
        inner.oid("no content type")?;
        let content = match inner.optional(tlv::CONTEXT_0)? {
            // Mostly an OCTET STRING; PKCS#7 of old put any value there, which is then the content itself.
            Some(item) => Some(inner.inside(item).next()?.body),
            None => None,
        };
        let certificates = match data.optional(tlv::CONTEXT_0)? {
            Some(item) => all(data.inside(item), MAX_CERTIFICATES, "too many certificates")?,
            None => Vec::new(),
        };
        data.optional(tlv::CONTEXT_1)?;
        let signers = all(data.enter(tlv::SET, "no signers")?, MAX_CERTIFICATES, "too many signers")?;
        let signers = signers.into_iter().map(|item| signer_info(data.inside(item))).collect::<Result<_>>()?;
        let certificates = certificates.into_iter().filter(|item| item.tag == tlv::SEQUENCE).map(|item| item.raw);
        Ok(Self { content, certificates: certificates.collect(), digests, signers })
    }

    /// The signer, of whom there must be exactly one.
    pub(crate) fn signer(&self) -> Result<&SignerInfo<'a>> {
        match self.signers.as_slice() {
            [one] => Ok(one),
            [] => Err(Error::Malformed { what: WHAT, why: "nobody signed it" }),
            _ => Err(Error::Malformed { what: WHAT, why: "more than one signer" }),
        }
    }

    /// The certificate that the signer names, from the message or from those known otherwise.
    pub(crate) fn signer_certificate(&self, known: &[&[u8]]) -> Result<X509> {
        let signer = self.signer()?;
        let mut found: Option<(&[u8], X509)> = None;
        for der in self.certificates.iter().chain(known) {
            let Ok(certificate) = X509::from_der(der) else { continue };
            match &found {
                _ if !signer.id.names(&certificate) => {}
                Some((same, _)) if same == der => {}
                // Two certificates under one name and number: whoever sends that wants us to pick the wrong one.
                Some(_) => return Err(Error::Malformed { what: WHAT, why: "two certificates answer to the signer" }),
                None => found = Some((der, certificate)),
            }
        }
        drop(ErrorStack::get());
        found.map(|(_, found)| found).ok_or(Error::Malformed { what: WHAT, why: "the signer's certificate is missing" })
    }
}

impl SignerId<'_> {
    fn names(&self, certificate: &X509) -> bool {
        match self {
            Self::IssuerAndSerial { issuer, serial } => {
                let issuer = X509Name::from_der(issuer).and_then(|name| name.try_cmp(certificate.issuer_name()));
                let number = certificate.serial_number().to_bn().map(|number| number.to_vec());
                issuer.is_ok_and(|order| order.is_eq()) && number.is_ok_and(|number| number == without_zeros(serial))
            }
            Self::KeyIdentifier(id) => certificate.subject_key_id().is_some_and(|own| own.as_slice() == *id),
        }
    }
}

fn without_zeros(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}

impl<'a> SignerInfo<'a> {
    /// The single value of a signed attribute. Twice the same attribute, or several values: as if it were missing.
    pub(crate) fn attribute(&self, wanted: ObjectIdentifier) -> Result<Option<Item<'a>>> {
        let Some(attributes) = self.attributes else { return Ok(None) };
        let mut found = None;
        for item in all(attributes, MAX_ATTRIBUTES, "too many signed attributes")? {
            let mut attribute = attributes.inside(item);
            if attribute.oid("no attribute type")? != wanted {
                continue;
            }
            let mut values = attribute.enter(tlv::SET, "no attribute value")?;
            let value = values.next()?;
            if found.replace(value).is_some() || !values.is_empty() {
                return Err(values.error("a signed attribute has several values"));
            }
        }
        Ok(found)
    }
}

/// The cipher of an EnvelopedData in DER.
pub(crate) fn cipher_of(der: &[u8]) -> Result<ObjectIdentifier> {
    let mut data = open("encrypted message", der, oid::ENVELOPED_DATA)?;
    data.expect(tlv::INTEGER, "no version")?;
    data.optional(tlv::CONTEXT_0)?;
    data.expect(tlv::SET, "no recipients")?;
    let mut content = data.enter(tlv::SEQUENCE, "no encrypted content")?;
    content.oid("no content type")?;
    content.algorithm("no cipher")
}

/// Goes into a ContentInfo of one type.
fn open<'a>(what: &'static str, der: &'a [u8], wanted: ObjectIdentifier) -> Result<Walk<'a>> {
    let mut info = Walk::new(what, der).enter(tlv::SEQUENCE, "not a content info")?;
    if info.oid("no content type")? != wanted {
        return Err(info.error("of another content type"));
    }
    info.enter(tlv::CONTEXT_0, "no content")?.enter(tlv::SEQUENCE, "no content")
}

fn signer_info(mut info: Walk<'_>) -> Result<SignerInfo<'_>> {
    info.expect(tlv::INTEGER, "no signer version")?;
    let id = match info.optional(tlv::CONTEXT_0_PRIMITIVE)? {
        Some(item) => SignerId::KeyIdentifier(item.body),
        None => {
            let mut pair = info.enter(tlv::SEQUENCE, "no signer name")?;
            let issuer = pair.expect(tlv::SEQUENCE, "no issuer")?.raw;
            SignerId::IssuerAndSerial { issuer, serial: pair.expect(tlv::INTEGER, "no serial number")?.body }
        }
    };
    let digest = info.algorithm("no digest algorithm")?;
    let attributes = info.optional(tlv::CONTEXT_0)?.map(|item| info.inside(item));
    Ok(SignerInfo { id, digest, attributes })
}

fn all<'a>(mut walk: Walk<'a>, most: usize, why: &'static str) -> Result<Vec<Item<'a>>> {
    let mut items = Vec::new();
    while !walk.is_empty() {
        items.push(walk.next()?);
        if items.len() > most {
            return Err(walk.error(why));
        }
    }
    Ok(items)
}

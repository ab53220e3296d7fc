//! Putting a SignedData together: OpenSSL's binding signs, but adds no attributes of our own, which SCEP needs.

use der::asn1::{ObjectIdentifier, OctetString, SetOfVec};
use der::{Any, Decode as _, Encode as _};
use openssl::hash::{MessageDigest, hash};
use openssl::pkey::Id;
use openssl::sign::Signer;
use x509_cert::Certificate;
use x509_cert::spki::AlgorithmIdentifierOwned;

use ::cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use ::cms::content_info::{CmsVersion, ContentInfo};
use ::cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
};

use crate::error::{Doing as _, Error};
use crate::keys::PrivateKey;
use crate::{Result, oid};

pub(crate) use x509_cert::attr::Attribute;

const DOING: &str = "putting a signed message together";

/// The digests that are read; written are SHA-256, and SHA-1 to who knows no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DigestKind {
    Sha1,
    Sha256,
}

impl DigestKind {
    /// Refuses MD5 and whatever else OpenSSL would still verify. Longer digests are answered with SHA-256.
    pub(crate) fn accepted(oid: ObjectIdentifier) -> Result<Self> {
        match oid {
            oid::SHA1 => Ok(Self::Sha1),
            oid::SHA256 | oid::SHA384 | oid::SHA512 => Ok(Self::Sha256),
            other => Err(Error::Algorithm { what: "signed message", oid: other.to_string() }),
        }
    }

    fn openssl(self) -> MessageDigest {
        match self {
            Self::Sha1 => MessageDigest::sha1(),
            Self::Sha256 => MessageDigest::sha256(),
        }
    }

    fn identifier(self) -> AlgorithmIdentifierOwned {
        let oid = match self {
            Self::Sha1 => oid::SHA1,
            Self::Sha256 => oid::SHA256,
        };
        AlgorithmIdentifierOwned { oid, parameters: Some(Any::null()) }
    }
}

/// Who signs, and which certificates go along.
pub(crate) struct Signing<'a> {
    pub(crate) certificate: &'a [u8],
    pub(crate) key: &'a PrivateKey,
    pub(crate) digest: DigestKind,
    pub(crate) chain: &'a [&'a [u8]],
}

/// Signs content (none: an empty message that has attributes alone) with further signed attributes.
pub(crate) fn signed_data(signing: &Signing<'_>, content: Option<&[u8]>, more: Vec<Attribute>) -> Result<Vec<u8>> {
    let digest = hash(signing.digest.openssl(), content.unwrap_or_default()).doing(DOING)?;
    let mut attributes = more;
    attributes.push(attribute(oid::CONTENT_TYPE, Any::from(oid::DATA))?);
    attributes.push(attribute(oid::MESSAGE_DIGEST, octets(&digest)?)?);
    let attributes = SetOfVec::try_from(attributes).doing(DOING)?;
    // RFC 5652 5.4: signed is the SET OF, not the [0] that stands in the message.
    let signed = attributes.to_der().doing(DOING)?;
    let mut signer = Signer::new(signing.digest.openssl(), &signing.key.0).doing(DOING)?;
    let signature = signer.sign_oneshot_to_vec(&signed).doing(DOING)?;

    let certificate = Certificate::from_der(signing.certificate).doing(DOING)?.tbs_certificate;
    let sid = IssuerAndSerialNumber { issuer: certificate.issuer, serial_number: certificate.serial_number };
    let info = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(sid),
        digest_alg: signing.digest.identifier(),
        signed_attrs: Some(attributes),
        signature_algorithm: signature_algorithm(signing),
        signature: OctetString::new(signature).doing(DOING)?,
        unsigned_attrs: None,
    };
    let digests = SetOfVec::try_from(vec![signing.digest.identifier()]).doing(DOING)?;
    let signers = SignerInfos(SetOfVec::try_from(vec![info]).doing(DOING)?);
    message(digests, content, certificates(signing.chain)?, signers)
}

/// A SignedData without a signature that only carries certificates: RFC 8894's form of handing them out.
///
/// Clients take the first, and a SET is sorted: so hand out one alone where it matters which.
pub(crate) fn degenerate(chain: &[&[u8]]) -> Result<Vec<u8>> {
    message(SetOfVec::new(), None, certificates(chain)?, SignerInfos(SetOfVec::new()))
}

fn message(
    digest_algorithms: SetOfVec<AlgorithmIdentifierOwned>,
    content: Option<&[u8]>,
    certificates: CertificateSet,
    signer_infos: SignerInfos,
) -> Result<Vec<u8>> {
    let data = SignedData {
        version: CmsVersion::V1,
        digest_algorithms,
        encap_content_info: EncapsulatedContentInfo {
            econtent_type: oid::DATA,
            econtent: content.map(octets).transpose()?,
        },
        certificates: Some(certificates),
        crls: None,
        signer_infos,
    };
    let content = Any::encode_from(&data).doing(DOING)?;
    ContentInfo { content_type: oid::SIGNED_DATA, content }.to_der().doing(DOING)
}

fn certificates(chain: &[&[u8]]) -> Result<CertificateSet> {
    let parsed = chain.iter().map(|der| Certificate::from_der(der).map(CertificateChoices::Certificate));
    let parsed = parsed.collect::<der::Result<Vec<_>>>().doing(DOING)?;
    CertificateSet::try_from(parsed).doing(DOING)
}

/// An attribute of one value.
pub(crate) fn attribute(oid: ObjectIdentifier, value: Any) -> Result<Attribute> {
    Ok(Attribute { oid, values: SetOfVec::try_from(vec![value]).doing(DOING)? })
}

pub(crate) fn octets(bytes: &[u8]) -> Result<Any> {
    Any::new(der::Tag::OctetString, bytes).doing(DOING)
}

/// RSA is named by its key alone, which every client in the field takes; ECDSA with its digest.
fn signature_algorithm(signing: &Signing<'_>) -> AlgorithmIdentifierOwned {
    match (signing.key.0.id(), signing.digest) {
        (Id::EC, DigestKind::Sha256) => AlgorithmIdentifierOwned { oid: oid::ECDSA_SHA256, parameters: None },
        (Id::EC, DigestKind::Sha1) => AlgorithmIdentifierOwned { oid: oid::ECDSA_SHA1, parameters: None },
        _ => AlgorithmIdentifierOwned { oid: oid::RSA, parameters: Some(Any::null()) },
    }
}

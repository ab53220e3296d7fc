//! Answering a PKIOperation: CertRep, RFC 8894 section 3.3.2.

use der::asn1::{ObjectIdentifier, PrintableString};
use der::{Any, Decode as _};
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::stack::Stack;
use openssl::symm;
use openssl::x509::X509;

use super::message::{Cipher, Header};
use crate::cms::{Attribute, Signing, attribute, degenerate, octets, signed_data};
use crate::error::{Doing as _, Error};
use crate::{Authority, Result, oid};

const DOING: &str = "answering in SCEP";

/// Why a request is refused, as SCEP can say it: RFC 8894 section 3.2.1.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailInfo {
    /// An algorithm that is not accepted.
    BadAlgorithm,
    /// A signature that does not hold, or one by nobody we know.
    BadMessageCheck,
    /// The request is not permitted: a wrong or spent challenge, too.
    BadRequest,
    /// The signing certificate is outside its time.
    BadTime,
    /// No certificate by that name.
    BadCertId,
}

impl FailInfo {
    /// How to refuse what [`super::Envelope::open`] could not accept.
    #[must_use]
    pub fn from_error(error: &Error) -> Self {
        match error {
            Error::Algorithm { .. } | Error::Key { .. } => Self::BadAlgorithm,
            Error::Signature { .. } | Error::NotOurs { .. } => Self::BadMessageCheck,
            Error::OutsideValidity { .. } => Self::BadTime,
            // What cannot be decrypted is answered like what cannot be read once decrypted: a difference would tell
            // who tampers with an overheard message whether its padding came out right, and so the challenge in it.
            _ => Self::BadRequest,
        }
    }

    fn digit(self) -> &'static str {
        match self {
            Self::BadAlgorithm => "0",
            Self::BadMessageCheck => "1",
            Self::BadRequest => "2",
            Self::BadTime => "3",
            Self::BadCertId => "4",
        }
    }
}

impl Header {
    /// SUCCESS with the certificate issued, encrypted to who signed the request. `nonce` is 16 fresh random bytes.
    pub fn success(&self, authority: &Authority, certificate_der: &[u8], nonce: [u8; 16]) -> Result<Vec<u8>> {
        // The new certificate alone: clients take the first of the set, and the CA's they have from GetCACert.
        let plain = degenerate(&[certificate_der])?;
        let content = self.encrypt(&plain)?;
        self.certrep(authority, "0", Some(&content), None, nonce)
    }

    /// FAILURE with a reason; goes out with HTTP 200.
    pub fn failure(&self, authority: &Authority, why: FailInfo, nonce: [u8; 16]) -> Result<Vec<u8>> {
        self.certrep(authority, "2", None, Some(why), nonce)
    }

    /// PENDING: the client polls with the same transaction id.
    pub fn pending(&self, authority: &Authority, nonce: [u8; 16]) -> Result<Vec<u8>> {
        self.certrep(authority, "3", None, None, nonce)
    }

    fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>> {
        let cipher = match self.cipher {
            Cipher::Aes128 => symm::Cipher::aes_128_cbc(),
            Cipher::TripleDes => symm::Cipher::des_ede3_cbc(),
        };
        let mut to = Stack::new().doing(DOING)?;
        to.push(X509::from_der(&self.signer_der).doing(DOING)?).doing(DOING)?;
        let sealed = CmsContentInfo::encrypt(&to, plain, cipher, CMSOptions::BINARY);
        sealed.and_then(|sealed| sealed.to_der()).doing(DOING)
    }

    fn certrep(
        &self,
        authority: &Authority,
        status: &str,
        content: Option<&[u8]>,
        why: Option<FailInfo>,
        nonce: [u8; 16],
    ) -> Result<Vec<u8>> {
        let mut attributes = vec![
            printable(oid::SCEP_MESSAGE_TYPE, "3")?,
            printable(oid::SCEP_PKI_STATUS, status)?,
            attribute(oid::SCEP_TRANSACTION_ID, Any::from_der(&self.transaction_raw).doing(DOING)?)?,
            attribute(oid::SCEP_SENDER_NONCE, octets(&nonce)?)?,
            attribute(oid::SCEP_RECIPIENT_NONCE, octets(&self.sender_nonce)?)?,
        ];
        attributes.extend(why.map(|why| printable(oid::SCEP_FAIL_INFO, why.digit())).transpose()?);
        let certificate = authority.issuing_der();
        let (key, chain) = (&authority.issuing_key, &[certificate][..]);
        signed_data(&Signing { certificate, key, digest: self.digest, chain }, content, attributes)
    }
}

fn printable(oid: ObjectIdentifier, text: &str) -> Result<Attribute> {
    let text = PrintableString::new(text).doing(DOING)?;
    attribute(oid, Any::encode_from(&text).doing(DOING)?)
}

//! Reading a PKIOperation: the signed envelope, then the encrypted request inside. RFC 8894 section 3.2 and 3.3.

use der::asn1::ObjectIdentifier;
use openssl::cms::CmsContentInfo;
use openssl::error::ErrorStack;
use openssl::x509::X509;
use secrecy::SecretString;
use time::OffsetDateTime;

use super::{MAX_MESSAGE, MessageType};
use crate::ca::{Authority, When, public_of};
use crate::cms::{self, DigestKind, Parsed, cipher_of, to_der};
use crate::csr::{self, Csr};
use crate::error::{Doing as _, Error, limit};
use crate::keys::{self, KeyKind};
use crate::tlv::{self, Walk};
use crate::{Result, oid};

const WHAT: &str = "SCEP message";
/// RFC 8894 suggests a digest of the key in hex.
const MAX_TRANSACTION_ID: usize = 256;
/// RFC 8894 says 16 bytes; more is echoed all the same.
const MAX_NONCE: usize = 64;

/// What is needed to answer: kept with the request.
#[derive(Clone, Debug)]
pub struct Header {
    /// What is asked for.
    pub message_type: MessageType,
    /// The client's name for this exchange, echoed as it came.
    pub transaction_id: String,
    /// The client's nonce, echoed as recipientNonce.
    pub sender_nonce: Vec<u8>,
    /// The certificate that signed, DER. The answer is encrypted to it.
    pub signer_der: Vec<u8>,
    /// The transaction id with its tag, since it goes back just so.
    pub(super) transaction_raw: Vec<u8>,
    pub(super) digest: DigestKind,
    pub(super) cipher: Cipher,
}

/// In what the answer is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cipher {
    Aes128,
    TripleDes,
}

/// A message whose signature belongs to its content and whose transaction is known. Nobody has been trusted yet.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// What an answer needs; a refusal can be made from it.
    pub header: Header,
    content: Vec<u8>,
}

/// Who signed a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// A certificate that the client made itself: the challenge must say who asks.
    SelfSigned,
    /// A certificate of ours, valid now: a renewal. Whether it is revoked or pinned is the caller's to ask.
    Ours,
}

/// What was inside.
#[derive(Clone, Debug)]
pub enum Content {
    /// A certificate request, its signature checked.
    Request(Csr),
    /// The names that a poll for a pending request gives (IssuerAndSubject); look it up by the transaction id.
    Poll,
}

/// A request, read in full.
#[derive(Clone, Debug)]
pub struct Request {
    /// What an answer needs.
    pub header: Header,
    /// Who signed.
    pub signer: Signer,
    /// What is asked.
    pub content: Content,
}

impl Request {
    /// The challenge password inside, if there is one.
    #[must_use]
    pub fn challenge(&self) -> Option<&SecretString> {
        self.csr().and_then(|csr| csr.challenge.as_ref())
    }

    /// The certificate request inside, unless this is a poll.
    #[must_use]
    pub fn csr(&self) -> Option<&Csr> {
        match &self.content {
            Content::Request(csr) => Some(csr),
            Content::Poll => None,
        }
    }
}

/// Reads a PKIOperation's body, DER or BER, and checks its signature.
///
/// # Errors
/// Nothing can be answered in SCEP to what fails here, since the transaction is not known: HTTP 400.
pub fn receive(body: &[u8]) -> Result<Envelope> {
    limit(WHAT, body, MAX_MESSAGE)?;
    let der = to_der(body)?;
    let (signer_der, content) = cms::check(&der, None, &[])?;
    let parsed = Parsed::read(&der)?;
    let info = parsed.signer()?;
    let need = |wanted: ObjectIdentifier, why| info.attribute(wanted)?.ok_or(Error::Malformed { what: WHAT, why });

    let transaction = need(oid::SCEP_TRANSACTION_ID, "no transaction id")?;
    let nonce = need(oid::SCEP_SENDER_NONCE, "no sender nonce")?;
    let kind = tlv::text(need(oid::SCEP_MESSAGE_TYPE, "no message type")?);
    let malformed = |why| Error::Malformed { what: WHAT, why };
    if transaction.body.is_empty() || transaction.body.len() > MAX_TRANSACTION_ID {
        return Err(malformed("a transaction id of impossible length"));
    }
    if nonce.tag != tlv::OCTET_STRING || nonce.body.len() > MAX_NONCE {
        return Err(malformed("a sender nonce that is none"));
    }
    let header = Header {
        message_type: kind
            .and_then(|text| MessageType::parse(&text))
            .ok_or(malformed("a message type that is none"))?,
        transaction_id: tlv::text(transaction).ok_or(malformed("a transaction id that is no text"))?,
        transaction_raw: transaction.raw.to_vec(),
        sender_nonce: nonce.body.to_vec(),
        signer_der,
        digest: DigestKind::accepted(info.digest)?,
        cipher: Cipher::Aes128,
    };
    Ok(Envelope { header, content })
}

impl Envelope {
    /// Judges the signer, decrypts the content with the CA's key, and reads the request inside.
    ///
    /// # Errors
    /// [`Error::NotOurs`] or [`Error::OutsideValidity`] for a signer that is neither ours nor self-signed, and for a
    /// RenewalReq that is not signed by a certificate of ours; [`Error::Key`] for a signer to whom nothing can be
    /// encrypted; [`Error::Decrypt`]; and what [`csr::parse`] says. [`super::FailInfo::from_error`] sorts them.
    pub fn open(&self, authority: &Authority, now: OffsetDateTime) -> Result<Request> {
        if let MessageType::Other(number) = self.header.message_type {
            return Err(Error::MessageType(number));
        }
        let signer = self.judge_signer(authority, now)?;
        let (cipher, plain) = decrypt(&self.content, authority)?;
        let content = match self.header.message_type {
            MessageType::Enrol | MessageType::Renew => Content::Request(csr::parse(first_value(&plain)?)?),
            MessageType::Poll | MessageType::Other(_) => Content::Poll,
        };
        Ok(Request { header: Header { cipher, ..self.header.clone() }, signer, content })
    }

    fn judge_signer(&self, authority: &Authority, now: OffsetDateTime) -> Result<Signer> {
        let malformed = |_| Error::Malformed { what: WHAT, why: "the signer's certificate cannot be read" };
        let certificate = X509::from_der(&self.header.signer_der).map_err(malformed)?;
        let key = public_of(&certificate)?;
        let kind = keys::kind("signer's certificate", &key)?;
        if !matches!(kind, KeyKind::Rsa(_)) {
            let found = "an EC key".to_owned();
            return Err(Error::Key { what: "signer's certificate", found, wanted: "RSA: SCEP encrypts to it" });
        }
        let own_name = certificate.subject_name().try_cmp(certificate.issuer_name()).is_ok_and(|order| order.is_eq());
        if own_name && keys::signed_by(&certificate, &key) && self.header.message_type != MessageType::Renew {
            return Ok(Signer::SelfSigned);
        }
        authority.check_issued_x509(&certificate, When::At(now))?;
        Ok(Signer::Ours)
    }
}

fn decrypt(content: &[u8], authority: &Authority) -> Result<(Cipher, Vec<u8>)> {
    let der = to_der(content)?;
    let cipher = match cipher_of(&der)? {
        oid::DES_CBC | oid::DES3_CBC => Cipher::TripleDes,
        oid::AES128_CBC | oid::AES192_CBC | oid::AES256_CBC => Cipher::Aes128,
        other => return Err(Error::Algorithm { what: WHAT, oid: other.to_string() }),
    };
    let message = CmsContentInfo::from_der(&der).doing("reading an encrypted message")?;
    // With our certificate given, OpenSSL looks for the recipient that names it, and for no other.
    let plain = message.decrypt(&authority.issuing_key.0, &authority.issuing);
    drop(ErrorStack::get());
    plain.map(|plain| (cipher, plain)).map_err(|source| Error::Decrypt { what: WHAT, source })
}

/// Bytes after the request are passed over: the signature inside covers the request alone.
fn first_value(plain: &[u8]) -> Result<&[u8]> {
    Ok(Walk::new(WHAT, plain).expect(tlv::SEQUENCE, "no request inside")?.raw)
}

//! SCEP as a device speaks it: GetCACaps, GetCACert, PKCSReq and RenewalReq, reading the CertRep. RFC 8894.
//!
//! Enveloping and decrypting are OpenSSL's; the request and the signed message are put together here, since the attributes that
//! SCEP signs cannot be set through OpenSSL's bindings.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::hash::{MessageDigest, hash};
use openssl::pkcs7::Pkcs7;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use openssl::stack::Stack;
use openssl::symm::Cipher;
use openssl::x509::{X509, X509Name};

use crate::der::{self, Tlv, context};
use crate::error::{Error, Result};
use crate::http::{Client, Request};
use crate::keys::{self, Identity};

const SIGNED_DATA: &str = "1.2.840.113549.1.7.2";
const DATA: &str = "1.2.840.113549.1.7.1";
const CONTENT_TYPE: &str = "1.2.840.113549.1.9.3";
const MESSAGE_DIGEST: &str = "1.2.840.113549.1.9.4";
const CHALLENGE_PASSWORD: &str = "1.2.840.113549.1.9.7";
const RSA_ENCRYPTION: &str = "1.2.840.113549.1.1.1";
const SHA256_WITH_RSA: &str = "1.2.840.113549.1.1.11";
/// VeriSign's arc of SCEP attributes; 2 messageType, 3 pkiStatus, 4 failInfo, 5 senderNonce, 6 recipientNonce, 7 transactionID.
const ATTRIBUTE: &str = "2.16.840.1.113733.1.9";

/// How the enveloped part is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// AES-128-CBC, as today's devices do.
    Aes128,
    /// AES-256-CBC.
    Aes256,
    /// Triple DES, of older ones.
    TripleDes,
}

/// The manner of a SCEP client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner {
    /// Content encryption.
    pub encryption: Encryption,
    /// SHA-1 in place of SHA-256 over the message (the request inside keeps SHA-256).
    pub sha1: bool,
    /// BER with indefinite lengths and cut octet strings, as macOS writes CMS.
    pub ber: bool,
    /// PKIOperation by GET, base64 in the query.
    pub by_get: bool,
}

impl Default for Manner {
    fn default() -> Manner {
        Manner { encryption: Encryption::Aes128, sha1: false, ber: false, by_get: false }
    }
}

/// What is asked for.
pub struct Order<'a> {
    /// The SCEP server's URL, without a query.
    pub url: &'a str,
    /// Attribute names (short or dotted) and values.
    pub subject: &'a [(&'a str, &'a str)],
    /// The one-time challenge; none in a renewal by an existing certificate.
    pub challenge: Option<&'a str>,
    /// The key to be certified.
    pub key: &'a PKey<Private>,
    /// Signs in place of a self-made certificate: RenewalReq (17) instead of PKCSReq (19).
    pub renewing: Option<&'a Identity>,
    /// How the bytes are written.
    pub manner: Manner,
}

/// Gets a certificate. A refusal by the server is [`Error::Refused`] with the failInfo as code.
pub async fn enrol(http: &mut Client, order: &Order<'_>) -> Result<Identity> {
    let base = order.url;
    let join = if base.contains('?') { '&' } else { '?' };
    let caps = http.send(&Request::get(format!("{base}{join}operation=GetCACaps"))).await?.accepted("GetCACaps")?;
    let caps = String::from_utf8_lossy(&caps.body).into_owned();
    let ca = http.send(&Request::get(format!("{base}{join}operation=GetCACert"))).await?.accepted("GetCACert")?;
    let ca = ca_certificate(ca.header("content-type"), &ca.body)?;
    let message = Message::new(order, &ca)?;
    let url = format!("{base}{join}operation=PKIOperation");
    let may_post = caps.lines().any(|l| matches!(l.trim(), "POSTPKIOperation" | "SCEPStandard"));
    let request = if order.manner.by_get || !may_post {
        Request::get(format!("{url}&message={}", percent(&STANDARD.encode(&message.bytes))))
    } else {
        Request::with_body(Method::POST, url, "application/x-pki-message", message.bytes.clone())
    };
    let answer = http.send(&request).await?.accepted("PKIOperation")?;
    if !answer.header("content-type").starts_with("application/x-pki-message") {
        return Err(Error::malformed("PKIOperation", format!("Content-Type {}", answer.header("content-type"))));
    }
    let leaf = message.read_answer(&answer.body, &ca, order.key)?;
    Identity::from_parts(&[leaf], order.key)
}

/// One certificate, or of several the one with an RSA key (the one that one can encrypt to).
fn ca_certificate(content_type: &str, body: &[u8]) -> Result<X509> {
    if content_type.starts_with("application/x-x509-ca-ra-cert") {
        let all = certificates(body)?;
        let rsa = all.into_iter().find(|c| c.public_key().is_ok_and(|k| k.rsa().is_ok()));
        return rsa.ok_or_else(|| Error::malformed("GetCACert", "no RSA certificate among the several"));
    }
    if !content_type.starts_with("application/x-x509-ca-cert") {
        return Err(Error::malformed("GetCACert", format!("Content-Type {content_type:?}")));
    }
    Ok(X509::from_der(body)?)
}

/// The certificates of a degenerate PKCS#7.
fn certificates(der: &[u8]) -> Result<Vec<X509>> {
    let pkcs7 = Pkcs7::from_der(der)?;
    let stack = pkcs7.signed().and_then(|s| s.certificates());
    Ok(stack.map(|s| s.iter().map(|c| c.to_owned()).collect()).unwrap_or_default())
}

/// A request on its way, with what its answer must repeat.
struct Message {
    bytes: Vec<u8>,
    /// Who signed it, and to whom the answer is encrypted.
    signer: X509,
    signer_key: PKey<Private>,
    transaction: String,
    nonce: [u8; 16],
}

impl Message {
    fn new(order: &Order<'_>, ca: &X509) -> Result<Message> {
        let subject = keys::name(order.subject)?;
        let csr = certificate_request(&subject, order.key, order.challenge)?;
        let (signer, signer_key) = match order.renewing {
            Some(old) => (old.certificate()?, old.private_key()?),
            None => (keys::self_signed(&subject, order.key, false)?, order.key.clone()),
        };
        // The transaction is named by the key, so that a repeat is recognised (RFC 8894 3.2.1.1).
        let transaction = keys::hex(&hash(MessageDigest::sha256(), &order.key.public_key_to_der()?)?);
        let nonce = keys::random::<16>()?;
        let cipher = match order.manner.encryption {
            Encryption::Aes128 => Cipher::aes_128_cbc(),
            Encryption::Aes256 => Cipher::aes_256_cbc(),
            Encryption::TripleDes => Cipher::des_ede3_cbc(),
        };
        let mut recipients = Stack::new()?;
        recipients.push(ca.clone())?;
        let enveloped = CmsContentInfo::encrypt(&recipients, &csr, cipher, CMSOptions::BINARY)?.to_der()?;
        let kind = if order.renewing.is_some() { "17" } else { "19" };
        let attributes = vec![
            attribute(&format!("{ATTRIBUTE}.2"), &der::tlv(der::PRINTABLE, kind.as_bytes())),
            attribute(&format!("{ATTRIBUTE}.5"), &der::tlv(der::OCTETS, &nonce)),
            attribute(&format!("{ATTRIBUTE}.7"), &der::tlv(der::PRINTABLE, transaction.as_bytes())),
        ];
        let bytes = signed_data(&enveloped, attributes, &signer, &signer_key, order.manner)?;
        Ok(Message { bytes, signer, signer_key, transaction, nonce })
    }

    /// Checks the CertRep's signature and attributes, decrypts it and finds the certificate over our key.
    fn read_answer(&self, bytes: &[u8], ca: &X509, key: &PKey<Private>) -> Result<X509> {
        let what = "CertRep";
        let mut cms = CmsContentInfo::from_der(bytes)?;
        let mut signers = Stack::new()?;
        signers.push(ca.clone())?;
        let mut content = Vec::new();
        let flags = CMSOptions::BINARY | CMSOptions::NO_SIGNER_CERT_VERIFY | CMSOptions::NOINTERN;
        let strict = cms.to_der()?;
        let attributes = Attributes::read(&strict)?;
        let status = attributes.text("3")?;
        let signed = if status == "0" {
            cms.verify(Some(&signers), None, None, Some(&mut content), flags)
        } else {
            // A refusal carries no content at all (RFC 8894 3.3.2.2), which OpenSSL takes for a detached signature.
            cms.verify(Some(&signers), None, Some(&[]), None, flags)
        };
        signed.map_err(|e| Error::malformed(what, format!("not signed by the CA: {e}")))?;
        if attributes.text("2")? != "3" {
            return Err(Error::malformed(what, "messageType is not 3"));
        }
        if attributes.text("7")? != self.transaction || attributes.bytes("6")? != self.nonce {
            return Err(Error::malformed(what, "transactionID or recipientNonce is not ours"));
        }
        if status != "0" {
            let code = if status == "2" { fail_info(&attributes.text("4")?) } else { "pending" };
            return Err(Error::Refused { what: "SCEP", code: code.into(), text: format!("pkiStatus {status}") });
        }
        let inner = CmsContentInfo::from_der(&content)?.decrypt(&self.signer_key, &self.signer)?;
        let ours = key.public_key_to_der()?;
        for certificate in certificates(&inner)? {
            if certificate.public_key()?.public_key_to_der()? == ours {
                return Ok(certificate);
            }
        }
        Err(Error::malformed(what, "no certificate over our key in it"))
    }
}

fn fail_info(code: &str) -> &'static str {
    match code {
        "0" => "badAlg",
        "1" => "badMessageCheck",
        "2" => "badRequest",
        "3" => "badTime",
        "4" => "badCertId",
        _ => "unknown",
    }
}

fn attribute(kind: &str, value: &[u8]) -> Vec<u8> {
    der::of(der::SEQUENCE, &[&der::oid(kind), &der::tlv(der::SET, value)])
}

/// A PKCS#10 request, with a challengePassword where there is one, signed with SHA-256. RFC 2986.
pub fn certificate_request(subject: &X509Name, key: &PKey<Private>, challenge: Option<&str>) -> Result<Vec<u8>> {
    let attributes = challenge.map(|c| attribute(CHALLENGE_PASSWORD, &challenge_string(c)));
    let info = der::of(
        der::SEQUENCE,
        &[
            &der::small(0),
            &subject.to_der()?,
            &key.public_key_to_der()?,
            &der::tlv(context(0), &attributes.unwrap_or_default()),
        ],
    );
    let mut signer = Signer::new(MessageDigest::sha256(), key)?;
    let signature = [vec![0], signer.sign_oneshot_to_vec(&info)?].concat();
    Ok(der::of(der::SEQUENCE, &[&info, &der::algorithm(SHA256_WITH_RSA), &der::tlv(0x03, &signature)]))
}

fn challenge_string(text: &str) -> Vec<u8> {
    let printable = text.bytes().all(|b| b.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&b));
    der::tlv(if printable { der::PRINTABLE } else { der::UTF8 }, text.as_bytes())
}

/// CMS SignedData with signed attributes and the signer's certificate. RFC 5652 5.
fn signed_data(
    content: &[u8],
    mut attributes: Vec<Vec<u8>>,
    signer: &X509,
    key: &PKey<Private>,
    manner: Manner,
) -> Result<Vec<u8>> {
    let (digest, digest_oid) = if manner.sha1 {
        (MessageDigest::sha1(), "1.3.14.3.2.26")
    } else {
        (MessageDigest::sha256(), "2.16.840.1.101.3.4.2.1")
    };
    attributes.push(attribute(CONTENT_TYPE, &der::oid(DATA)));
    attributes.push(attribute(MESSAGE_DIGEST, &der::tlv(der::OCTETS, &hash(digest, content)?)));
    // Signed as a SET, sent as [0].
    let to_sign = der::set_of(der::SET, attributes.clone());
    let signature = Signer::new(digest, key)?.sign_oneshot_to_vec(&to_sign)?;
    let serial = signer.serial_number().to_bn()?.to_vec();
    let serial = if serial.first().is_none_or(|b| *b > 0x7F) { [vec![0], serial].concat() } else { serial };
    let signer_info = der::of(
        der::SEQUENCE,
        &[
            &der::small(1),
            &der::of(der::SEQUENCE, &[&signer.issuer_name().to_der()?, &der::tlv(der::INTEGER, &serial)]),
            &der::algorithm(digest_oid),
            &der::set_of(context(0), attributes),
            &der::algorithm(RSA_ENCRYPTION),
            &der::tlv(der::OCTETS, &signature),
        ],
    );
    let wrap: fn(u8, &[u8]) -> Vec<u8> = if manner.ber { der::indefinite } else { der::tlv };
    let octets = if manner.ber { pieces(content) } else { der::tlv(der::OCTETS, content) };
    let encapsulated = wrap(der::SEQUENCE, &[der::oid(DATA), wrap(context(0), &octets)].concat());
    let body = [
        der::small(1),
        der::tlv(der::SET, &der::algorithm(digest_oid)),
        encapsulated,
        der::tlv(context(0), &signer.to_der()?),
        der::tlv(der::SET, &signer_info),
    ];
    let body = wrap(der::SEQUENCE, &body.concat());
    Ok(wrap(der::SEQUENCE, &[der::oid(SIGNED_DATA), wrap(context(0), &body)].concat()))
}

/// A constructed octet string of pieces of 1,000 bytes.
fn pieces(content: &[u8]) -> Vec<u8> {
    let parts: Vec<Vec<u8>> = content.chunks(1000).map(|c| der::tlv(der::OCTETS, c)).collect();
    der::indefinite(0x24, &parts.concat())
}

/// The signed attributes of the first signer of a DER SignedData.
struct Attributes<'a>(Vec<(Vec<u8>, Tlv<'a>)>);

impl<'a> Attributes<'a> {
    fn read(bytes: &'a [u8]) -> Result<Attributes<'a>> {
        let what = "SignedData";
        let missing = || Error::malformed(what, "a part is missing");
        let (content_info, _) = der::read(bytes)?;
        let explicit = content_info.expect(der::SEQUENCE, what)?.get(1).copied().ok_or_else(missing)?;
        let signed = explicit.expect(context(0), what)?.first().copied().ok_or_else(missing)?;
        let infos = signed.expect(der::SEQUENCE, what)?.last().copied().ok_or_else(missing)?;
        let info = infos.expect(der::SET, what)?.first().copied().ok_or_else(missing)?;
        let parts = info.expect(der::SEQUENCE, what)?;
        let attributes = parts.iter().find(|p| p.tag == context(0)).ok_or_else(missing)?;
        let mut out = Vec::new();
        for attribute in attributes.children()? {
            let parts = attribute.expect(der::SEQUENCE, what)?;
            let (Some(kind), Some(values)) = (parts.first(), parts.get(1)) else { return Err(missing()) };
            let value = values.expect(der::SET, what)?.first().copied().ok_or_else(missing)?;
            out.push((kind.whole.to_vec(), value));
        }
        Ok(Attributes(out))
    }

    fn bytes(&self, last_arc: &str) -> Result<&'a [u8]> {
        let kind = der::oid(&format!("{ATTRIBUTE}.{last_arc}"));
        let found = self.0.iter().find(|(k, _)| *k == kind);
        found.map(|(_, v)| v.content).ok_or_else(|| Error::malformed("CertRep", format!("no attribute {last_arc}")))
    }

    fn text(&self, last_arc: &str) -> Result<String> {
        self.bytes(last_arc).map(|b| String::from_utf8_lossy(b).into_owned())
    }
}

/// Percent-encoding of everything but letters, digits and `-._~`.
pub(crate) fn percent(text: &str) -> String {
    let mut out = String::new();
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests;

//! SCEP (RFC 8894): what a device sends to get or renew its certificate, and our answers.
//!
//! ```text
//! receive(body) -> Envelope      signature checked, transaction known: a refusal can be answered from here on
//! Envelope::open(ca, now) -> Request      decrypted, the request inside read, the signer judged
//! Header::success | pending | failure -> DER of type application/x-pki-message, HTTP 200 always
//! ```
//!
//! Devices are older than the specification: the Go clients in the field encrypt with single DES and sign with
//! SHA-1 whatever GetCACaps says, macOS sends BER. All of that is read; we answer in AES-128-CBC, or in 3DES who
//! asked in DES or 3DES, and with SHA-1 only who signed with it.

mod message;
mod reply;

use crate::cms::decode_base64;
use crate::{Error, Result};

pub use self::message::{Content, Envelope, Header, Request, Signer, receive};
pub use self::reply::FailInfo;

/// The largest message that is read. Real ones have 2 to 6 kB.
pub const MAX_MESSAGE: usize = 256 * 1024;
/// The content type of a PKIOperation's answer, refusals included.
pub const MESSAGE_CONTENT_TYPE: &str = "application/x-pki-message";
/// The content type of GetCACert's answer: the issuing certificate alone, as DER.
pub const CA_CONTENT_TYPE: &str = "application/x-x509-ca-cert";

/// GetCACaps' answer, `text/plain`: RFC 8894 section 3.5.2. SHA-1 and DES3 stand there for old clients; SHA-384, which the RFC does
/// not know, for strongSwan 5.9.8, which takes the capabilities' places in its list for their bits and so finds AES under that name alone.
pub const CAPABILITIES: &str = "POSTPKIOperation\nSHA-256\nSHA-384\nSHA-512\nSHA-1\nAES\nDES3\nSCEPStandard\nRenewal\n";

/// What a message asks for, RFC 8894 section 3.2.1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageType {
    /// PKCSReq, 19: a first certificate, by a challenge. Some clients renew by it too, signing with the old one.
    Enrol,
    /// RenewalReq, 17: a new certificate, signed with the present one.
    Renew,
    /// CertPoll (once GetCertInitial), 20: what became of a pending request.
    Poll,
    /// Any other, such as GetCert (21) and GetCRL (22), which nobody was seen to send: not served.
    Other(u8),
}

impl MessageType {
    fn parse(text: &str) -> Option<Self> {
        Some(match text.parse().ok()? {
            19 => Self::Enrol,
            17 => Self::Renew,
            20 => Self::Poll,
            other => Self::Other(other),
        })
    }
}

/// Decodes the query parameter `message=` of a GET: base64 in which '+' may have become a blank on its way.
///
/// Give it the value after percent-decoding.
pub fn message_from_query(value: &str) -> Result<Vec<u8>> {
    if value.len() > MAX_MESSAGE * 3 / 2 {
        return Err(Error::TooLarge { what: "SCEP message", got: value.len(), limit: MAX_MESSAGE * 3 / 2 });
    }
    decode_base64("SCEP message", &value.replace(' ', "+"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_query() {
        for (row, text, want) in [
            ("plain", "+/8=", Some(vec![0xFB, 0xFF])),
            ("blank for plus", " /8=", Some(vec![0xFB, 0xFF])),
            ("no padding", "+/8", Some(vec![0xFB, 0xFF])),
            ("line break", "+/\r\n8=", Some(vec![0xFB, 0xFF])),
            ("no base64", "<xml>", None),
        ] {
            assert_eq!(message_from_query(text).ok(), want, "{row}");
        }
        assert!(matches!(message_from_query(&"A".repeat(MAX_MESSAGE * 2)), Err(Error::TooLarge { .. })));
    }
}

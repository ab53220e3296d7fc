//! Certificate requests put together by hand, byte by byte, so that they can be as wrong as real ones are.

use der::Encode as _;
use der::asn1::ObjectIdentifier;

/// A request but for its key.
pub(crate) struct RequestParts {
    /// The subject's RDNSequence, with its tag.
    pub(crate) subject: Vec<u8>,
    /// The attributes, without the `[0]` around them.
    pub(crate) attributes: Vec<u8>,
    /// What the signature is said to be.
    pub(crate) algorithm: ObjectIdentifier,
}

impl RequestParts {
    pub(crate) fn build(&self, spki: &[u8], sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let version = tlv(0x02, &[&[0]]);
        let info = tlv(0x30, &[&version, &self.subject, spki, &tlv(0xA0, &[&self.attributes])]);
        let signature = tlv(0x03, &[&[0], &sign(&info)]);
        let algorithm = tlv(0x30, &[&self.algorithm.to_der().unwrap(), &[0x05, 0x00]]);
        tlv(0x30, &[&info, &algorithm, &signature])
    }
}

pub(crate) const DEVICE_ID: &str = "7A0D5F6E2C914B3A8F10D2E4C6B89753";

/// As Windows 10 sends it: '!' and a trailing NUL in a PrintableString, an extension whose value is no DER.
pub(crate) fn windows_10_request() -> RequestParts {
    let name = format!("3C7F9E51-0D42-4B6A-9E1F-5A2D8B!{DEVICE_ID}\0");
    let attributes = attribute("1.2.840.113549.1.9.14", &tlv(0x30, &[&device_id_extension()]));
    RequestParts {
        subject: common_name(0x13, name.as_bytes()),
        attributes,
        algorithm: "1.3.14.3.2.29".parse().unwrap(),
    }
}

pub(crate) fn device_id_extension() -> Vec<u8> {
    tlv(0x30, &[&oid("1.3.6.1.4.1.311.66.1.0"), &tlv(0x04, &[DEVICE_ID.as_bytes(), b"\0"])])
}

pub(crate) fn common_name(tag: u8, text: &[u8]) -> Vec<u8> {
    let pair = tlv(0x30, &[&oid("2.5.4.3"), &tlv(tag, &[text])]);
    tlv(0x30, &[&tlv(0x31, &[&pair])])
}

pub(crate) fn attribute(kind: &str, value: &[u8]) -> Vec<u8> {
    tlv(0x30, &[&oid(kind), &tlv(0x31, &[value])])
}

pub(crate) fn oid(dotted: &str) -> Vec<u8> {
    dotted.parse::<ObjectIdentifier>().unwrap().to_der().unwrap()
}

pub(crate) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let head = match body.len() {
        0..=0x7F => vec![tag, length[3]],
        0x80..=0xFF => vec![tag, 0x81, length[3]],
        0x100..=0xFFFF => vec![tag, 0x82, length[2], length[3]],
        _ => vec![tag, 0x84, length[0], length[1], length[2], length[3]],
    };
    [head, body].concat()
}

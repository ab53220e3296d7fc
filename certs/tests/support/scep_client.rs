//! A SCEP client for tests, put together by hand: it shares no code with what it tests.

use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::hash::{MessageDigest, hash};
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use openssl::stack::Stack;
use openssl::symm::Cipher;
use openssl::x509::X509;

use super::request::{attribute, oid, tlv};

/// What a client sends.
pub(crate) struct Message<'a> {
    pub(crate) message_type: &'a str,
    pub(crate) transaction_id: &'a str,
    pub(crate) nonce: &'a [u8],
    pub(crate) signer: &'a X509,
    pub(crate) key: &'a PKey<Private>,
    pub(crate) ca: &'a X509,
    pub(crate) content: &'a [u8],
    pub(crate) cipher: Cipher,
    pub(crate) digest: MessageDigest,
    pub(crate) ber: bool,
}

impl Message<'_> {
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut to = Stack::new().unwrap();
        to.push(self.ca.clone()).unwrap();
        let sealed = CmsContentInfo::encrypt(&to, self.content, self.cipher, CMSOptions::BINARY).unwrap();
        let sealed = sealed.to_der().unwrap();
        let sealed = if self.ber { indefinite(&sealed) } else { sealed };
        self.wrap(&sealed, &self.attributes(&sealed))
    }

    fn attributes(&self, content: &[u8]) -> Vec<u8> {
        let digest = hash(self.digest, content).unwrap();
        let printable = |kind: &str, text: &str| attribute(kind, &tlv(0x13, &[text.as_bytes()]));
        let mut all = [
            attribute("1.2.840.113549.1.9.3", &oid("1.2.840.113549.1.7.1")),
            attribute("1.2.840.113549.1.9.4", &tlv(0x04, &[&digest])),
            printable("2.16.840.1.113733.1.9.2", self.message_type),
            printable("2.16.840.1.113733.1.9.7", self.transaction_id),
            attribute("2.16.840.1.113733.1.9.5", &tlv(0x04, &[self.nonce])),
        ];
        all.sort();
        all.concat()
    }

    fn wrap(&self, content: &[u8], attributes: &[u8]) -> Vec<u8> {
        let mut signer = Signer::new(self.digest, self.key).unwrap();
        let signature = signer.sign_oneshot_to_vec(&tlv(0x31, &[attributes])).unwrap();
        let null = [0x05, 0x00];
        let known = [
            (MessageDigest::sha1(), "1.3.14.3.2.26"),
            (MessageDigest::sha256(), "2.16.840.1.101.3.4.2.1"),
            (MessageDigest::sha384(), "2.16.840.1.101.3.4.2.2"),
            (MessageDigest::sha512(), "2.16.840.1.101.3.4.2.3"),
        ];
        let digest = known.into_iter().find(|(digest, _)| *digest == self.digest).map(|(_, oid)| oid).unwrap();
        let digest = tlv(0x30, &[&oid(digest), &null]);
        let serial = self.signer.serial_number().to_bn().unwrap().to_vec();
        let padded = if serial[0] & 0x80 == 0 { serial } else { [vec![0], serial].concat() };
        let id = tlv(0x30, &[&self.signer.issuer_name().to_der().unwrap(), &tlv(0x02, &[&padded])]);
        let algorithm = tlv(0x30, &[&oid("1.2.840.113549.1.1.1"), &null]);
        let info = [&tlv(0x02, &[&[1]]), &id, &digest, &tlv(0xA0, &[attributes]), &algorithm];
        let info = tlv(0x30, &[&info.map(Vec::as_slice).concat(), &tlv(0x04, &[&signature])]);
        let version = tlv(0x02, &[&[1]]);
        let certificates = self.signer.to_der().unwrap();
        let put = |tag, parts: &[&[u8]]| if self.ber { pieces(tag, parts) } else { tlv(tag, parts) };
        let octets = if self.ber { chunked(0x24, content) } else { tlv(0x04, &[content]) };
        let inner = put(0x30, &[&oid("1.2.840.113549.1.7.1"), &put(0xA0, &[&octets])]);
        let (certificates, infos) = (put(0xA0, &[&certificates]), put(0x31, &[&info]));
        let data = put(0x30, &[&version, &tlv(0x31, &[&digest]), &inner, &certificates, &infos]);
        put(0x30, &[&oid("1.2.840.113549.1.7.2"), &put(0xA0, &[&data])])
    }
}

/// A structure of indefinite length.
fn pieces(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    [&[tag, 0x80], &parts.concat()[..], &[0, 0]].concat()
}

/// A string in pieces of 1000 bytes, of indefinite length.
fn chunked(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let chunks: Vec<_> = bytes.chunks(1000).map(|chunk| tlv(0x04, &[chunk])).collect();
    pieces(tag, &[&chunks.concat()])
}

/// Rewrites an EnvelopedData as macOS sends it: all that is constructed in indefinite lengths, the ciphertext in
/// pieces.
fn indefinite(der: &[u8]) -> Vec<u8> {
    let (mut rest, mut out) = (der, Vec::new());
    while let [tag, first, ..] = *rest {
        let (head, length) = match first {
            0..=0x7F => (2, usize::from(first)),
            0x81 => (3, usize::from(rest[2])),
            _ => (4, usize::from(rest[2]) << 8 | usize::from(rest[3])),
        };
        let body = &rest[head..head + length];
        out.extend(match tag {
            0x80 => chunked(0xA0, body),
            tag if tag & 0x20 != 0 => pieces(tag, &[&indefinite(body)]),
            tag => tlv(tag, &[body]),
        });
        rest = &rest[head + length..];
    }
    out
}

/// A certificate that a client makes for itself.
pub(crate) fn self_signed(key: &PKey<Private>, from_unix: i64) -> X509 {
    use openssl::{asn1::Asn1Time, bn::BigNum, x509::X509NameBuilder};
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "SCEP SIGNER").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_serial_number(&BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap()).unwrap();
    builder.set_not_before(&Asn1Time::from_unix(from_unix).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::from_unix(from_unix + 86_400).unwrap()).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.sign(key, MessageDigest::sha256()).unwrap();
    builder.build()
}

/// An answer as a client sees it.
pub(crate) struct Answer {
    pub(crate) status: String,
    pub(crate) fail_info: Option<String>,
    pub(crate) transaction_id: String,
    pub(crate) recipient_nonce: Vec<u8>,
    pub(crate) digest: String,
    pub(crate) cipher: Option<String>,
    pub(crate) certificate: Option<X509>,
}

/// Reads an answer with the RustCrypto types and OpenSSL, checking the CA's signature.
pub(crate) fn read_answer(bytes: &[u8], ca: &X509, signer: &X509, key: &PKey<Private>) -> Answer {
    use cms::content_info::ContentInfo;
    use cms::enveloped_data::EnvelopedData;
    use cms::signed_data::SignedData;
    use der::Decode as _;

    let info = ContentInfo::from_der(bytes).unwrap();
    let data: SignedData = info.content.decode_as().unwrap();
    let one = data.signer_infos.0.get(0).unwrap();
    let attributes = one.signed_attrs.as_ref().unwrap();
    let encoded: Vec<_> = attributes.iter().map(|a| der::Encode::to_der(a).unwrap()).collect();
    assert!(encoded.is_sorted(), "Go's clients sort the attributes before they check the signature");
    let value = |kind: &str| {
        let kind = kind.parse().unwrap();
        attributes.iter().find(|a| a.oid == kind).map(|a| a.values.get(0).unwrap().value().to_vec())
    };
    let text = |kind: &str| value(kind).map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(text("2.16.840.1.113733.1.9.2").as_deref(), Some("3"), "a CertRep");

    let content = data.encap_content_info.econtent.as_ref().map(|content| content.value().to_vec());
    let mut only = Stack::new().unwrap();
    only.push(ca.clone()).unwrap();
    let mut message = CmsContentInfo::from_der(bytes).unwrap();
    let options = CMSOptions::BINARY | CMSOptions::NOINTERN | CMSOptions::NO_SIGNER_CERT_VERIFY;
    let detached = content.is_none().then_some(&b""[..]);
    message.verify(Some(&only), None, detached, None, options).expect("the CA's signature");

    let sealed = content.as_ref().map(|bytes| {
        let info = ContentInfo::from_der(bytes).unwrap();
        let data: EnvelopedData = info.content.decode_as().unwrap();
        data.encrypted_content.content_enc_alg.oid.to_string()
    });
    let certificate = content.map(|bytes| {
        let plain = CmsContentInfo::from_der(&bytes).unwrap().decrypt(key, signer).unwrap();
        let info = ContentInfo::from_der(&plain).unwrap();
        let data: SignedData = info.content.decode_as().unwrap();
        let certificates = data.certificates.unwrap();
        X509::from_der(&der::Encode::to_der(certificates.0.get(0).unwrap()).unwrap()).unwrap()
    });
    Answer {
        status: text("2.16.840.1.113733.1.9.3").unwrap(),
        fail_info: text("2.16.840.1.113733.1.9.4"),
        transaction_id: text("2.16.840.1.113733.1.9.7").unwrap(),
        recipient_nonce: value("2.16.840.1.113733.1.9.6").unwrap(),
        digest: one.digest_alg.oid.to_string(),
        cipher: sealed,
        certificate,
    }
}

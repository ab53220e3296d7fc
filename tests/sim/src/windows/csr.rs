//! The certificate requests of Windows, with their liberties: names and extensions that are not what their tags say.

use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use uuid::Uuid;

use crate::der::{self, context};
use crate::error::Result;

/// How a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CsrStyle {
    /// UTF8String, extended key usage, sha256WithRSA.
    Windows11,
    /// A PrintableString that holds `!` and a trailing NUL, and the old OID 1.3.14.3.2.29 for SHA-1 with RSA: both against the rules.
    Windows10,
}

/// DER of a PKCS#10 request for this device.
pub(crate) fn request(style: CsrStyle, device_id: &str, key: &PKey<Private>) -> Result<Vec<u8>> {
    let guid = Uuid::new_v4().to_string().to_uppercase();
    let name: String = guid.chars().take(30).chain(['!']).chain(device_id.chars()).collect();
    let (string, digest, signature_oid) = match style {
        CsrStyle::Windows11 => (der::tlv(der::UTF8, name.as_bytes()), MessageDigest::sha256(), "1.2.840.113549.1.1.11"),
        CsrStyle::Windows10 => {
            (der::tlv(der::PRINTABLE, format!("{name}\0").as_bytes()), MessageDigest::sha1(), "1.3.14.3.2.29")
        }
    };
    let common_name = der::of(der::SEQUENCE, &[&der::oid("2.5.4.3"), &string]);
    let subject = der::tlv(der::SEQUENCE, &der::tlv(der::SET, &common_name));
    let info = der::of(
        der::SEQUENCE,
        &[
            &der::small(0),
            &subject,
            &key.public_key_to_der()?,
            &der::tlv(context(0), &extension_request(style, device_id)),
        ],
    );
    let signature = [vec![0], Signer::new(digest, key)?.sign_oneshot_to_vec(&info)?].concat();
    Ok(der::of(der::SEQUENCE, &[&info, &der::algorithm(signature_oid), &der::tlv(0x03, &signature)]))
}

fn extension_request(style: CsrStyle, device_id: &str) -> Vec<u8> {
    // The value is the bare DeviceID and a NUL, no DER at all, as both versions send it.
    let raw = format!("{device_id}\0");
    let mut extensions = vec![extension("1.3.6.1.4.1.311.66.1.0", raw.as_bytes())];
    if style == CsrStyle::Windows11 {
        extensions.push(extension("2.5.29.37", &der::tlv(der::SEQUENCE, &der::oid("1.3.6.1.5.5.7.3.2"))));
    }
    let list = der::tlv(der::SEQUENCE, &extensions.concat());
    der::of(der::SEQUENCE, &[&der::oid("1.2.840.113549.1.9.14"), &der::tlv(der::SET, &list)])
}

fn extension(oid: &str, value: &[u8]) -> Vec<u8> {
    der::of(der::SEQUENCE, &[&der::oid(oid), &der::tlv(der::OCTETS, value)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::x509::X509Req;

    #[test]
    fn openssl_accepts_the_newer_form_and_takes_the_key_from_both() {
        let key = crate::keys::rsa(2048).unwrap();
        let id = "0123456789ABCDEF0123456789ABCDEF";
        for style in [CsrStyle::Windows11, CsrStyle::Windows10] {
            let der = request(style, id, &key).unwrap();
            let csr = X509Req::from_der(&der).unwrap();
            assert!(csr.public_key().unwrap().public_eq(&key), "{style:?}");
            let name = csr.subject_name().entries().next().unwrap();
            assert!(String::from_utf8_lossy(name.data().as_slice()).contains(&format!("!{id}")), "{style:?}");
            if style == CsrStyle::Windows11 {
                assert!(csr.verify(&key).unwrap());
                assert_eq!(name.data().as_slice().len(), 63);
            }
        }
    }
}

//! Makes the fixtures anew: `LANYARD_BLESS=1 cargo test -p lanyard-certs --test fixtures`. Keys are fresh each time,
//! so every file changes; without the variable nothing is written. Then the same with `--test scepclient`, whose
//! message is for this CA, and copy what changed into `fuzz/corpus/`: `LANYARD_BLESS=1 … --test corpus` does that.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use base64::Engine as _;
use lanyard_certs::{Authority, cms};
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::symm::Cipher;
use openssl::x509::X509;
use secrecy::ExposeSecret as _;
use support::request::{self, RequestParts, attribute, common_name, device_id_extension, oid, tlv, windows_10_request};
use support::scep_client::{Message, self_signed};
use support::{CHALLENGE, NOW, challenge_request, fixture, fixtures, issue, rsa, sign};

#[test]
fn fixtures_are_made_anew_when_asked() {
    lanyard_certs::providers::init().unwrap();
    if std::env::var_os("LANYARD_BLESS").is_some() {
        let ca = Authority::create(NOW, &[0x4C; 32]).unwrap();
        write("authority.der", ca.material().unwrap().to_bytes().unwrap().expose_secret());
        requests();
        scep_messages(&ca);
        signatures(&ca);
    }
    for name in ["authority.der", "csr-windows10.der", "scep-des-sha1.der", "scep-macos-ber.der", "profile-signed.der"]
    {
        assert!(!fixture(name).is_empty(), "{name}");
    }
}

fn requests() {
    let key = rsa();
    let spki = key.public_key_to_der().unwrap();
    write("csr-windows10.der", &windows_10_request().build(&spki, |info| sign(&key, MessageDigest::sha1(), info)));
    let name = format!("3C7F9E51-0D42-4B6A-9E1F-5A2D8B!{}", request::DEVICE_ID);
    let usage = tlv(0x30, &[&oid("1.3.6.1.5.5.7.3.2")]);
    let usage = tlv(0x30, &[&oid("2.5.29.37"), &tlv(0x04, &[&usage])]);
    let windows_11 = RequestParts {
        subject: common_name(0x0C, name.as_bytes()),
        attributes: attribute("1.2.840.113549.1.9.14", &tlv(0x30, &[&usage, &device_id_extension()])),
        algorithm: "1.2.840.113549.1.1.11".parse().unwrap(),
    };
    write("csr-windows11.der", &windows_11.build(&spki, |info| sign(&key, MessageDigest::sha256(), info)));
    write("csr-challenge.der", &challenge_request(&key));
    let group = EcGroup::from_curve_name(Nid::SECP384R1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let p384 = RequestParts {
        subject: common_name(0x0C, b"phone"),
        attributes: Vec::new(),
        algorithm: "1.2.840.10045.4.3.3".parse().unwrap(),
    };
    let spki = key.public_key_to_der().unwrap();
    write("csr-p384.der", &p384.build(&spki, |info| sign(&key, MessageDigest::sha384(), info)));
}

fn scep_messages(ca: &Authority) {
    let key = rsa();
    let issuing = X509::from_der(ca.issuing_der()).unwrap();
    let request = challenge_request(&key);
    let own = self_signed(&key, NOW.unix_timestamp());
    let first = Message {
        message_type: "19",
        transaction_id: "2b5ec1bd58d2eb6dc2c6a1ecf0e0be8a",
        nonce: &[7; 16],
        signer: &own,
        key: &key,
        ca: &issuing,
        content: &request,
        cipher: Cipher::des_cbc(),
        digest: MessageDigest::sha1(),
        ber: false,
    };
    write("scep-des-sha1.der", &first.build());
    let modern = Message { cipher: Cipher::aes_256_cbc(), digest: MessageDigest::sha256(), ..first };
    write("scep-aes-sha256.der", &modern.build());
    write("scep-macos-ber.der", &Message { ber: true, ..modern }.build());
    let ours = issue(ca, &key, "phone");
    let renewal = Message { message_type: "17", signer: &ours, cipher: Cipher::aes_128_cbc(), ..modern };
    write("scep-renewal.der", &renewal.build());
    let names = tlv(0x30, &[&issuing.subject_name().to_der().unwrap(), &common_name(0x0C, b"phone")]);
    write("scep-poll.der", &Message { message_type: "20", content: &names, ..modern }.build());
}

fn signatures(ca: &Authority) {
    let profile = fixture("profile.plist");
    write("profile-signed.der", &cms::sign_profile(ca, &profile).unwrap());
    let key = rsa();
    let (device, body) = (issue(ca, &key, "phone"), fixture("mdm-signature-body.plist"));
    let options = CMSOptions::DETACHED | CMSOptions::BINARY;
    let sha256 = CmsContentInfo::sign(Some(&device), Some(&key), None, Some(&body), options).unwrap();
    let sha256 = base64::engine::general_purpose::STANDARD.encode(sha256.to_der().unwrap());
    write("mdm-signature-sha256.txt", sha256.as_bytes());
    let sha1 = base64::engine::general_purpose::STANDARD.encode(detached_sha1(&device, &key, &body));
    write("mdm-signature-sha1.txt", sha1.as_bytes());
    assert!(CHALLENGE.is_ascii());
}

/// A detached signature with SHA-1, by the command: the binding signs with the key's default digest alone.
fn detached_sha1(device: &X509, key: &PKey<Private>, body: &[u8]) -> Vec<u8> {
    let folder = std::env::temp_dir().join(format!("lanyard-certs-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let put = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    put("cert.pem", &device.to_pem().unwrap());
    put("key.pem", &key.private_key_to_pem_pkcs8().unwrap());
    put("body", body);
    let mut command = std::process::Command::new("openssl");
    command.current_dir(&folder).args(["cms", "-sign", "-binary", "-md", "sha1", "-outform", "DER"]);
    command.args(["-signer", "cert.pem", "-inkey", "key.pem", "-in", "body", "-out", "out"]);
    assert!(command.status().unwrap().success());
    let signed = std::fs::read(folder.join("out")).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    signed
}

fn write(name: &str, bytes: &[u8]) {
    std::fs::write(fixtures().join(name), bytes).unwrap();
}

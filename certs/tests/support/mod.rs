//! What the integration tests share: a device's side of the protocols, put together by hand.

// Each test binary uses a part of it.
#![allow(dead_code, unreachable_pub)]

pub(crate) mod request;
pub(crate) mod scep_client;

use std::path::{Path, PathBuf};

use lanyard_certs::Authority;
use lanyard_certs::ca::Material;
use lanyard_certs::issue::{ClientCertificate, Serial, Subject, Validity};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use openssl::x509::X509;
use time::{OffsetDateTime, macros::datetime};

pub(crate) const NOW: OffsetDateTime = datetime!(2026-01-15 12:00 UTC);
pub(crate) const CHALLENGE: &str = "ABCD-EFGH-JKMN-PQRS";

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/certs")
}

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = fixtures().join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The authority of the fixtures. Its keys are no secret.
pub(crate) fn authority() -> Authority {
    lanyard_certs::providers::init().unwrap();
    Authority::open(&Material::from_bytes(&fixture("authority.der")).unwrap()).unwrap()
}

pub(crate) fn rsa() -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
}

/// A certificate of ours for this key.
pub(crate) fn issue(ca: &Authority, key: &PKey<Private>, name: &str) -> X509 {
    let (subject, public) = (Subject::named(name), key.public_key_to_der().unwrap());
    let wanted = ClientCertificate {
        public_key_der: &public,
        subject: &subject,
        alt_names: &[],
        crl_url: None,
        validity: Validity::client(NOW),
        serial: Serial::random().unwrap(),
    };
    X509::from_der(&ca.issue_client(&wanted).unwrap()).unwrap()
}

/// A request with a challenge, as Apple's devices make it.
pub(crate) fn challenge_request(key: &PKey<Private>) -> Vec<u8> {
    let parts = request::RequestParts {
        subject: request::common_name(0x0C, b"phone"),
        attributes: request::attribute("1.2.840.113549.1.9.7", &request::tlv(0x13, &[CHALLENGE.as_bytes()])),
        algorithm: "1.2.840.113549.1.1.11".parse().unwrap(),
    };
    parts.build(&key.public_key_to_der().unwrap(), |info| sign(key, MessageDigest::sha256(), info))
}

pub(crate) fn sign(key: &PKey<Private>, digest: MessageDigest, bytes: &[u8]) -> Vec<u8> {
    Signer::new(digest, key).unwrap().sign_oneshot_to_vec(bytes).unwrap()
}

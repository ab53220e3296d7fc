//! What the unit tests share: one authority, devices of it, fixtures, and the `openssl` command as second opinion.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::x509::X509;
use time::{OffsetDateTime, macros::datetime};

use crate::ca::{Authority, Material};
use crate::issue::{ClientCertificate, Identity, Serial, Subject, Validity};
use crate::keys::PrivateKey;

#[path = "../tests/support/request.rs"]
mod request;

pub(crate) use request::{RequestParts, windows_10_request};

pub(crate) const NOW: OffsetDateTime = datetime!(2026-01-15 12:00 UTC);

/// The authority of the fixtures. Its keys are no secret.
pub(crate) fn authority() -> &'static Authority {
    static AUTHORITY: LazyLock<Authority> =
        LazyLock::new(|| Authority::open(&Material::from_bytes(&fixture("authority.der")).unwrap()).unwrap());
    &AUTHORITY
}

/// One device of it, made once.
pub(crate) fn phone() -> &'static Identity {
    static PHONE: LazyLock<Identity> = LazyLock::new(|| device(authority(), "phone"));
    &PHONE
}

pub(crate) fn device(ca: &Authority, name: &str) -> Identity {
    device_named(ca, &Subject::named(name))
}

pub(crate) fn device_named(ca: &Authority, subject: &Subject) -> Identity {
    let key = PrivateKey::rsa_2048().unwrap();
    let public_key_der = &key.public_der().unwrap();
    let (validity, serial) = (Validity::client(NOW), Serial::random().unwrap());
    let wanted = ClientCertificate { public_key_der, subject, alt_names: &[], crl_url: None, validity, serial };
    Identity { certificate_der: ca.issue_client(&wanted).unwrap(), key }
}

pub(crate) fn sign_without_certificates(signer: &Identity, content: &[u8]) -> Vec<u8> {
    let certificate = X509::from_der(&signer.certificate_der).unwrap();
    let options = CMSOptions::BINARY | CMSOptions::CMS_NOCERTS;
    let signed = CmsContentInfo::sign(Some(&certificate), Some(&signer.key.0), None, Some(content), options).unwrap();
    signed.to_der().unwrap()
}

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    crate::providers::init().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/certs").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A file that goes when dropped.
pub(crate) struct TempFile(PathBuf);

impl TempFile {
    pub(crate) fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

pub(crate) fn file(kind: &str, bytes: &[u8]) -> TempFile {
    let name = format!("lanyard-certs-{}-{}.{kind}", std::process::id(), Serial::random().unwrap());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, bytes).unwrap();
    TempFile(path)
}

/// Runs `openssl`, which must succeed; all that it said.
pub(crate) fn openssl(arguments: &[&str]) -> String {
    try_openssl(arguments).unwrap_or_else(|told| panic!("openssl {arguments:?}: {told}"))
}

fn try_openssl(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    let told = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    if output.status.success() { Ok(told) } else { Err(told) }
}

/// `openssl verify` at [`NOW`] with the root as only trust.
pub(crate) fn openssl_verify(ca: &Authority, certificate: &[u8], more: &[&str]) {
    openssl_try_verify(ca, certificate, more).unwrap_or_else(|told| panic!("openssl verify {more:?}: {told}"));
}

pub(crate) fn openssl_try_verify(ca: &Authority, certificate: &[u8], more: &[&str]) -> Result<String, String> {
    let root = file("pem", ca.root_pem().as_bytes());
    let issuing = file("pem", ca.issuing_pem().as_bytes());
    let leaf = file("pem", crate::ca::pem(certificate).as_bytes());
    let at = NOW.unix_timestamp().to_string();
    let mut arguments = vec!["verify", "-attime", &at, "-CAfile", root.text(), "-untrusted", issuing.text()];
    arguments.extend(more);
    arguments.push(leaf.text());
    try_openssl(&arguments)
}

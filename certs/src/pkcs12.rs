//! PKCS#12 files: a mail client's key and certificate, and push certificates as the keychain exports them.
//!
//! Written in PBE-SHA1-3DES with a SHA-1 MAC: Android 12, iOS 17 and macOS 12 refuse OpenSSL 3's own default.

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkcs12::Pkcs12;
use openssl::stack::Stack;
use openssl::x509::X509;

use crate::error::{Doing as _, Error, limit};
use crate::issue::Identity;
use crate::keys::PrivateKey;
use crate::{Authority, Result, providers};

/// The content type of such a file.
pub const CONTENT_TYPE: &str = "application/x-pkcs12";
/// The largest file that is read.
pub const MAX_FILE: usize = 256 * 1024;

const WHAT: &str = "PKCS#12 file";
const ITERATIONS: u32 = 2048;

/// Puts key, certificate and chain into one file. The password is taken byte for byte (UTF-8); `name` is what the
/// device shows.
pub fn encode(identity: &Identity, authority: &Authority, name: &str, password: &str) -> Result<Vec<u8>> {
    const DOING: &str = "writing a PKCS#12 file";
    for (field, text) in [("password", password), ("name", name)] {
        if text.is_empty() || text.contains('\0') {
            return Err(Error::Field { field, why: "empty, or with a NUL in it" });
        }
    }
    let certificate = X509::from_der(&identity.certificate_der).doing(DOING)?;
    let mut chain = Stack::new().doing(DOING)?;
    for ca in [&authority.issuing, &authority.root] {
        chain.push(ca.clone()).doing(DOING)?;
    }
    let mut file = Pkcs12::builder();
    file.name(name).pkey(&identity.key.0).cert(&certificate).ca(chain);
    file.key_algorithm(Nid::PBE_WITHSHA1AND3_KEY_TRIPLEDES_CBC).cert_algorithm(Nid::PBE_WITHSHA1AND3_KEY_TRIPLEDES_CBC);
    file.key_iter(ITERATIONS).mac_iter(ITERATIONS).mac_md(MessageDigest::sha1());
    file.build2(password).and_then(|file| file.to_der()).doing(DOING)
}

/// What a file held.
pub(crate) struct Opened {
    pub(crate) key: PrivateKey,
    pub(crate) certificate: X509,
    pub(crate) chain: Vec<X509>,
}

/// Opens a file that an administrator gives us.
pub(crate) fn open(file: &[u8], password: &str) -> Result<Opened> {
    providers::init()?;
    limit(WHAT, file, MAX_FILE)?;
    let malformed = |why| Error::Malformed { what: WHAT, why };
    if password.contains('\0') {
        return Err(Error::Password { what: WHAT });
    }
    let file = Pkcs12::from_der(file).map_err(|_| malformed("cannot be read"))?;
    let parsed = file.parse2(password);
    drop(ErrorStack::get());
    let parsed = parsed.map_err(|_| Error::Password { what: WHAT })?;
    let (Some(key), Some(certificate)) = (parsed.pkey, parsed.cert) else {
        return Err(malformed("it does not hold a key with its certificate"));
    };
    let chain = parsed.ca.map(|chain| chain.into_iter().collect()).unwrap_or_default();
    Ok(Opened { key: PrivateKey(key), certificate, chain })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, authority, device};

    const PASSWORD: &str = "ABCD-EFGH-JKMN-PQRS";

    #[test]
    fn a_file_opens_under_its_password_alone() {
        let identity = device(authority(), "mail");
        let file = encode(&identity, authority(), "Lanyard", PASSWORD).unwrap();
        let opened = open(&file, PASSWORD).unwrap();
        assert_eq!(opened.key.public_der().unwrap(), identity.key.public_der().unwrap());
        assert_eq!(opened.certificate.to_der().unwrap(), identity.certificate_der);
        assert_eq!(opened.chain.len(), 2);
        assert!(matches!(open(&file, "abcd-efgh-jkmn-pqrs"), Err(Error::Password { .. })));
        assert!(open(&file[..50], PASSWORD).err().unwrap().is_malformed());
    }

    #[test]
    fn openssl_reads_it_and_finds_the_old_algorithms() {
        let identity = device(authority(), "mail");
        let file = testing::file("p12", &encode(&identity, authority(), "Zoë", "pässword").unwrap());
        let arguments = ["pkcs12", "-legacy", "-info", "-nodes", "-passin", "pass:pässword", "-in", file.text()];
        let told = testing::openssl(&arguments);
        for part in ["MAC: sha1, Iteration 2048", "pbeWithSHA1And3-KeyTripleDES-CBC", "BEGIN PRIVATE KEY"] {
            assert!(told.contains(part), "{part} is missing in {told}");
        }
        assert_eq!(told.matches("BEGIN CERTIFICATE").count(), 3, "{told}");
        assert!(!told.contains("RC2"), "{told}");
    }

    #[test]
    fn passwords_that_cannot_stand_are_refused() {
        for password in ["", "a\0b"] {
            let refused = encode(&device(authority(), "mail"), authority(), "Lanyard", password);
            assert!(matches!(refused, Err(Error::Field { .. })));
        }
    }
}

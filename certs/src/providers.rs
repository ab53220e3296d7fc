//! OpenSSL's providers, held for the life of the process.
//!
//! SCEP clients in the field encrypt with single DES, which OpenSSL 3 has in its legacy provider only. The order
//! binds: default first, then legacy, both before any other use of OpenSSL. Loaded the other way round, or after a
//! DES operation has failed once, OpenSSL 3.0 decrypts no CMS message any more.

use std::sync::OnceLock;

use openssl::provider::Provider;

use crate::{Error, Result};

static HELD: OnceLock<Result<[Provider; 2]>> = OnceLock::new();

/// Loads both providers once and holds them; later calls cost one atomic read.
///
/// # Errors
/// The legacy provider is not installed ([`Error::Provider`]): Debian ships it in `libssl3` itself.
pub fn init() -> Result<()> {
    match HELD.get_or_init(load) {
        Ok(_) => Ok(()),
        Err(Error::Provider { name, source }) => Err(Error::Provider { name, source: source.clone() }),
        Err(_) => Err(Error::Malformed { what: "OpenSSL's providers", why: "could not be loaded" }),
    }
}

fn load() -> Result<[Provider; 2]> {
    Ok([one("default")?, one("legacy")?])
}

fn one(name: &'static str) -> Result<Provider> {
    Provider::load(None, name).map_err(|source| Error::Provider { name, source })
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_providers_load_and_single_des_works() {
        super::init().unwrap();
        super::init().unwrap();
        let sealed = openssl::symm::encrypt(openssl::symm::Cipher::des_cbc(), &[1; 8], Some(&[2; 8]), b"text").unwrap();
        let opened = openssl::symm::decrypt(openssl::symm::Cipher::des_cbc(), &[1; 8], Some(&[2; 8]), &sealed).unwrap();
        assert_eq!(opened, b"text");
    }
}

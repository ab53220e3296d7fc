//! The device CA: SCEP, enrolment from certificate requests, CMS, PKCS#12 and revocation lists.
//!
//! No sockets, no store, no clock: the time is an argument, and what must be random is one too where a caller can
//! sensibly give it (keys, content keys and sealing nonces come from OpenSSL's own generator). OpenSSL does the
//! cryptography. What strangers send is taken apart by [`x509_parser`] (certificates) and by a small reader of our
//! own (requests and CMS, where real devices send what strict parsers refuse).
//!
//! **Call [`providers::init`] in the first line of `main` and of each test**: single DES, which SCEP clients in the
//! field still send, depends on the order in which OpenSSL's providers are loaded.

pub mod ca;
pub mod client;
pub mod cms;
pub mod crl;
pub mod csr;
pub mod issue;
pub mod keys;
pub mod pkcs12;
pub mod providers;
pub mod pushcert;
pub mod scep;
pub mod seal;
pub mod wstep;

mod error;
mod instant;
mod oid;
mod tlv;

#[cfg(test)]
mod testing;

pub use ca::Authority;
pub use error::Error;

/// What every fallible function of this crate answers with.
pub type Result<T, E = Error> = core::result::Result<T, E>;

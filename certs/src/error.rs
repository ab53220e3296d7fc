//! The one error of this crate. Variants are told apart where a caller can do something different.

use openssl::error::ErrorStack;
use time::OffsetDateTime;

/// Why something could not be read, checked or made.
///
/// [`Error::is_malformed`] and [`Error::is_stranger`] sort them for callers that answer over a protocol.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// OpenSSL failed at something of ours: a bug, a broken installation, or key material that does not fit.
    #[error("{doing}: OpenSSL refuses")]
    OpenSsl {
        /// What was being done.
        doing: &'static str,
        /// OpenSSL's own reasons.
        #[source]
        source: ErrorStack,
    },
    /// OpenSSL's default or legacy provider cannot be loaded; without the legacy one single DES cannot be read.
    #[error("OpenSSL's {name} provider cannot be loaded")]
    Provider {
        /// `default` or `legacy`.
        name: &'static str,
        /// OpenSSL's own reasons.
        #[source]
        source: ErrorStack,
    },
    /// A structure of ours cannot be written.
    #[error("{doing}: not encodable")]
    Encode {
        /// What was being done.
        doing: &'static str,
        /// The encoder's reason.
        #[source]
        source: der::Error,
    },
    /// More bytes than are ever read of this.
    #[error("{what}: {got} bytes, at most {limit} are read")]
    TooLarge {
        /// What was being read.
        what: &'static str,
        /// Its size in bytes.
        got: usize,
        /// The most that is read.
        limit: usize,
    },
    /// The bytes are not what they should be.
    #[error("{what}: {why}")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The signature does not belong to the bytes and the key.
    #[error("{what}: the signature does not verify")]
    Signature {
        /// What was signed.
        what: &'static str,
    },
    /// An algorithm that is not accepted here.
    #[error("{what}: algorithm {oid} is not accepted")]
    Algorithm {
        /// Where it was named.
        what: &'static str,
        /// Its object identifier, dotted.
        oid: String,
    },
    /// A public key that is too weak, too large or of a kind that is not accepted.
    #[error("{what}: {found} is not accepted: {wanted} is")]
    Key {
        /// Whose key.
        what: &'static str,
        /// What was found, in words.
        found: String,
        /// What would do, in words.
        wanted: &'static str,
    },
    /// The certificate was not issued by our CA.
    #[error("certificate {serial} of issuer {issuer} was not issued by this CA")]
    NotOurs {
        /// The certificate's serial number, lower hex.
        serial: String,
        /// The issuer it names.
        issuer: String,
    },
    /// The certificate is ours but outside its time.
    #[error("certificate {serial} is valid from {not_before} to {not_after}, not at {at}")]
    OutsideValidity {
        /// The certificate's serial number, lower hex.
        serial: String,
        /// When it begins.
        not_before: OffsetDateTime,
        /// When it ends.
        not_after: OffsetDateTime,
        /// The moment that was asked about.
        at: OffsetDateTime,
    },
    /// The message cannot be decrypted with the CA's key.
    #[error("{what}: cannot be decrypted with the CA's key")]
    Decrypt {
        /// What was encrypted.
        what: &'static str,
        /// OpenSSL's own reasons.
        #[source]
        source: ErrorStack,
    },
    /// A SCEP message type that is not served.
    #[error("SCEP message type {0} is not served")]
    MessageType(u8),
    /// A value that cannot go into a certificate.
    #[error("{field}: {why}")]
    Field {
        /// Which one.
        field: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A key does not belong to the certificate beside it.
    #[error("{what}: the key does not belong to the certificate")]
    KeyMismatch {
        /// Where both came from.
        what: &'static str,
    },
    /// A file that holds a key needs another password.
    #[error("{what}: wrong password")]
    Password {
        /// Which file.
        what: &'static str,
    },
    /// Sealed under another master key.
    #[error("{label}: sealed under master key {wanted}, this one is {have}")]
    WrongMasterKey {
        /// What was sealed.
        label: String,
        /// Id of the key that opens it.
        wanted: String,
        /// Id of the key at hand.
        have: String,
    },
    /// Sealed under this master key, but the bytes were changed, cut or belong to another label.
    #[error("{label}: the sealed bytes were changed or belong elsewhere")]
    SealBroken {
        /// What should have been sealed.
        label: String,
    },
}

impl Error {
    /// The sender's bytes cannot be read at all: the protocol's "bad request".
    #[must_use]
    pub fn is_malformed(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::Malformed { .. } | Self::MessageType(_))
    }

    /// Readable, but not by somebody known: the protocol's refusal of who asks.
    #[must_use]
    pub fn is_stranger(&self) -> bool {
        matches!(self, Self::Signature { .. } | Self::NotOurs { .. } | Self::OutsideValidity { .. })
    }
}

/// Says what was being done when OpenSSL or an encoder failed.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, Error>;
}

impl<T> Doing<T> for Result<T, ErrorStack> {
    fn doing(self, doing: &'static str) -> Result<T, Error> {
        self.map_err(|source| Error::OpenSsl { doing, source })
    }
}

impl<T> Doing<T> for Result<T, der::Error> {
    fn doing(self, doing: &'static str) -> Result<T, Error> {
        self.map_err(|source| Error::Encode { doing, source })
    }
}

/// Refuses what is larger than is ever read.
pub(crate) fn limit(what: &'static str, bytes: &[u8], limit: usize) -> Result<(), Error> {
    if bytes.len() > limit { Err(Error::TooLarge { what, got: bytes.len(), limit }) } else { Ok(()) }
}

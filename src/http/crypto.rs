//! What everything that speaks TLS here needs: the cryptography, and why it could not be set up.

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use std::sync::Arc;

/// Why TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A CA certificate cannot be read.
    #[error("a certificate of our own CA cannot be used: {0}")]
    Authority(#[source] rustls::Error),
    /// No CA was given, so that nobody could ever pass.
    #[error("no CA to ask client certificates of")]
    NoAuthority,
    /// The PEM text does not hold what it should.
    #[error("{what}: {text}")]
    Pem {
        /// Certificate or key.
        what: &'static str,
        /// What is wrong with it.
        text: String,
    },
    /// Key and certificate do not belong together, or cannot be used.
    #[error("server certificate and key: {0}")]
    Key(#[source] rustls::Error),
    /// The certificate does not cover a name that it is to serve.
    #[error("the server certificate does not cover {0}")]
    Names(String),
    /// Clients will not take the certificate.
    #[error("the server certificate is not one that clients take: {0}")]
    Unfit(String),
    /// A file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What a file holds is wrong, or two files do not fit each other.
    #[error("{path}: {source}")]
    In {
        /// Which file or files.
        path: String,
        /// What is wrong.
        #[source]
        source: Box<TlsError>,
    },
    /// rustls refused the settings.
    #[error("TLS settings: {0}")]
    Settings(#[source] rustls::Error),
}

/// The one cryptographic provider, for listeners and outgoing calls.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

//! Which client certificates the handshake lets through: those that our CA issued, whatever the time.
//! Validity and revocation are decided at each request, since rustls does not ask its verifier again on resumption.

use super::crypto::TlsError;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, UnixTime},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use std::sync::Arc;

/// Asks for a certificate, requires none, and takes those that one of the authorities issued.
#[derive(Debug)]
pub struct OurCertificates {
    chain: Arc<dyn ClientCertVerifier>,
}

impl OurCertificates {
    /// `authorities`: the certificates (DER) that may issue to clients, in the order in which the request names them.
    /// Each is an anchor by itself, so that a client need not send the intermediate one.
    pub fn new(authorities: &[Vec<u8>], provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for der in authorities {
            roots.add(CertificateDer::from(der.as_slice())).map_err(TlsError::Authority)?;
        }
        let chain = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .allow_unauthenticated()
            .build()
            .map_err(|_| TlsError::NoAuthority)?;
        Ok(Self { chain })
    }

    /// The chain at `now`, and where only time speaks against it, at the nearest moment at which it does not.
    /// The anchors have no time of their own, so one retry settles it.
    fn verify_at_any_time(&self, leaf: &CertificateDer<'_>, now: UnixTime) -> Result<ClientCertVerified, Error> {
        let moment = match self.chain.verify_client_cert(leaf, &[], now) {
            Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => not_after,
            Err(Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => not_before,
            other => return other,
        };
        self.chain.verify_client_cert(leaf, &[], moment)
    }
}

impl ClientCertVerifier for OurCertificates {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // One answer for every chain that is not ours, forged ones and unreadable ones too: the alert `unknown_ca`.
        self.verify_at_any_time(leaf, now).map_err(|error| {
            tracing::debug!(%error, "a client certificate is not ours");
            Error::InvalidCertificate(CertificateError::UnknownIssuer)
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

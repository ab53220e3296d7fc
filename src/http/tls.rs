//! TLS of our listeners: which name asks for a client certificate, tickets, versions, ALPN.
//! Who may pass is in `client_auth`, our own certificate in `server_certificate`.

use super::{
    client_auth::OurCertificates,
    crypto::{TlsError, provider},
    server_certificate::ServerCertificate,
    tickets::WithCertificateOnly,
};
use rustls::{
    CertificateError, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ProducesTickets, danger::ClientCertVerifier},
};
use std::sync::Arc;

/// Why a stranger's handshake was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ground {
    /// The chain does not end in our CA (alert `unknown_ca`).
    ForeignChain,
    /// A certificate of ours, without the key that belongs to it.
    NoProof,
}

impl Ground {
    /// For the log, in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ForeignChain => "certificate of another CA",
            Self::NoProof => "certificate without its key",
        }
    }

    /// What a failed handshake says of the client's certificate; none where it failed for another reason.
    pub(super) fn of(error: &std::io::Error) -> Option<Self> {
        match error.get_ref()?.downcast_ref()? {
            rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => Some(Self::ForeignChain),
            rustls::Error::InvalidCertificate(_) => Some(Self::NoProof),
            _ => None,
        }
    }
}

/// How a listener speaks TLS: 1.2 and 1.3, HTTP/1.1 alone, tickets without state, no early data.
#[derive(Clone)]
pub struct Tls {
    /// For the name that asks, and for connections that give none.
    asking: Option<(String, Arc<ServerConfig>)>,
    other: Arc<ServerConfig>,
}

impl Tls {
    /// For devices: a certificate is asked for, never required, under `public_host` and without SNI, and the request
    /// names `authorities` (DER) alone; nobody is asked under another name. Clients send no SNI for an IP address.
    pub fn device(
        certificate: &Arc<ServerCertificate>,
        public_host: &str,
        authorities: &[Vec<u8>],
    ) -> Result<Self, TlsError> {
        let provider = provider();
        let verifier = Arc::new(OurCertificates::new(authorities, &provider)?);
        let tickets = Arc::new(WithCertificateOnly::new(public_host).map_err(TlsError::Settings)?);
        let asking = config(&provider, Some(verifier), certificate, tickets)?;
        let other = config(&provider, None, certificate, ticketer()?)?;
        Ok(Self { asking: Some((public_host.to_ascii_lowercase(), asking)), other })
    }

    /// For administrators: nobody is asked for a certificate.
    pub fn admin(certificate: &Arc<ServerCertificate>) -> Result<Self, TlsError> {
        Ok(Self { asking: None, other: config(&provider(), None, certificate, ticketer()?)? })
    }

    /// The settings for a ClientHello, and whether they ask for a certificate.
    pub(super) fn choose(&self, server_name: Option<&str>) -> (&Arc<ServerConfig>, bool) {
        match &self.asking {
            Some((host, asking)) if server_name.is_none_or(|name| name.eq_ignore_ascii_case(host)) => (asking, true),
            _ => (&self.other, false),
        }
    }
}

fn ticketer() -> Result<Arc<dyn ProducesTickets>, TlsError> {
    aws_lc_rs::Ticketer::new().map_err(TlsError::Settings)
}

fn config(
    provider: &Arc<CryptoProvider>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    certificate: &Arc<ServerCertificate>,
    tickets: Arc<dyn ProducesTickets>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Settings)?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::clone(certificate) as _);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = tickets;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    // A device opens one connection at a time, and each resumption brings the next ticket.
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

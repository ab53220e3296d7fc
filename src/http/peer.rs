//! Who is at the other end of a connection, as far as TLS knows. Made once per connection, shared by its requests.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

/// What a connection's requests find in their extensions, as `Arc<Peer>`.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The other end of the TCP connection: the client, or a proxy before it.
    pub address: SocketAddr,
    /// The client's own address: the connection's, or what a trusted proxy says of this request (`forwarded.rs`).
    pub client: IpAddr,
    /// The certificate shown in the handshake, or in the one that a resumed session goes back to. Its chain ends in
    /// our CA; whether it is in time, revoked or known is for each request to decide.
    pub certificate: Option<std::sync::Arc<ClientCertificate>>,
    /// Whether a certificate was asked for under this name. Where it was not, a path that needs one answers 421.
    pub asked: bool,
    /// The name in the ClientHello, in lower case.
    pub server_name: Option<String>,
    /// Whether the handshake resumed an earlier session.
    pub resumed: bool,
}

/// A client's certificate and its fingerprint.
#[derive(PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate as it was sent.
    pub der: Vec<u8>,
    /// SHA-256 over `der`.
    pub sha256: [u8; 32],
}

impl ClientCertificate {
    /// Takes the fingerprint, which costs one hash over the certificate.
    pub fn new(der: Vec<u8>) -> Self {
        let sha256 = openssl::sha::sha256(&der);
        Self { der, sha256 }
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate(")?;
        self.sha256.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

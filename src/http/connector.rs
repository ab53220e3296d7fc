//! Outgoing connections: name, TCP, TLS, under one time limit. Proof of who we are, where a server asks for it.

use super::{
    crypto::{TlsError, provider},
    server_certificate::certificates,
};
use axum::BoxError;
use hyper::{Uri, rt};
use hyper_util::{
    client::legacy::connect::{Connected, Connection, HttpConnector},
    rt::TokioIo,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{io::DuplexStream, net::TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tower_service::Service;

/// For name, TCP and TLS together.
pub const CONNECT: Duration = Duration::from_secs(10);
/// After this the next address of a name is tried as well.
const NEXT_ADDRESS: Duration = Duration::from_millis(300);

/// The roots that outgoing calls trust: the system's, and those in `extra` (PEM, may be empty).
pub fn trusted_roots(extra: &[u8]) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "some of the system's root certificates cannot be read");
    }
    roots.add_parsable_certificates(system.certs);
    if !extra.trim_ascii().is_empty() {
        for root in certificates(extra, "trusted roots")? {
            roots.add(root).map_err(|e| TlsError::Pem { what: "trusted roots", text: e.to_string() })?;
        }
    }
    Ok(Arc::new(roots))
}

/// A certificate of ours with its key, for servers that ask.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// From a chain, leaf first, and its key.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = certificates(chain, "client certificate")?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|e| TlsError::Pem { what: "client key", text: e.to_string() })?;
        Ok(Self { chain, key })
    }

    /// The same in DER; the key is PKCS#8.
    pub fn from_der(chain: Vec<Vec<u8>>, key: Vec<u8>) -> Self {
        Self { chain: chain.into_iter().map(CertificateDer::from).collect(), key: PrivateKeyDer::Pkcs8(key.into()) }
    }
}

/// Opens a stream to another server in the same process.
pub type Dial = Arc<dyn Fn() -> DuplexStream + Send + Sync>;

/// Opens connections for `http` and `https` addresses. Clones share names, roots and sessions.
#[derive(Clone)]
pub(super) struct Connector {
    http: HttpConnector,
    tls: Arc<ClientConfig>,
    /// In place of the network.
    dial: Option<Dial>,
}

impl Connector {
    /// `protocol`: the one to agree on by ALPN.
    pub(super) fn new(
        roots: &Arc<RootCertStore>,
        identity: Option<Identity>,
        protocol: &'static [u8],
    ) -> Result<Self, TlsError> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Settings)?
            .with_root_certificates(Arc::clone(roots));
        let mut tls = match identity {
            Some(Identity { chain, key }) => builder.with_client_auth_cert(chain, key).map_err(TlsError::Key)?,
            None => builder.with_no_client_auth(),
        };
        tls.alpn_protocols = vec![protocol.to_vec()];
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_happy_eyeballs_timeout(Some(NEXT_ADDRESS));
        Ok(Self { http, tls: Arc::new(tls), dial: None })
    }

    /// The same without the network.
    pub(super) fn dialling(self, dial: Dial) -> Self {
        Self { dial: Some(dial), ..self }
    }

    async fn connect(mut self, uri: Uri) -> Result<Io, BoxError> {
        if let Some(dial) = &self.dial {
            return Ok(Io::Within(TokioIo::new(dial())));
        }
        let secure = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let tcp = self.http.call(uri).await?;
        if !secure {
            return Ok(Io::Plain(tcp));
        }
        let stream = TlsConnector::from(self.tls).connect(ServerName::try_from(host)?, tcp.into_inner()).await?;
        Ok(Io::Tls(Box::new(TokioIo::new(stream))))
    }
}

impl Service<Uri> for Connector {
    type Response = Io;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Io, BoxError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.clone().connect(uri);
        Box::pin(async move {
            let late = |_| io::Error::new(io::ErrorKind::TimedOut, "connecting took too long");
            tokio::time::timeout(CONNECT, connecting).await.map_err(late)?
        })
    }
}

/// A connection, with TLS or without.
pub(super) enum Io {
    Plain(TokioIo<TcpStream>),
    Within(TokioIo<DuplexStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connection for Io {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl rt::Read for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: rt::ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Self::Within(io) => Pin::new(io).poll_read(cx, buf),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_read(cx, buf),
        }
    }
}

/// A server may answer before it has read all, and close: what it said is there to be read, and hyper reads nothing more once a write has
/// failed. So such a write counts as one; whether there was an answer, reading tells.
fn unless_closed<T>(written: Poll<io::Result<T>>, nothing: T) -> Poll<io::Result<T>> {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    match written {
        Poll::Ready(Err(error)) if matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset) => {
            Poll::Ready(Ok(nothing))
        }
        written => written,
    }
}

impl rt::Write for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Self::Within(io) => Pin::new(io).poll_write(cx, buf),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_write(cx, buf),
        };
        unless_closed(written, buf.len())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
            Self::Within(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_flush(cx),
        };
        unless_closed(flushed, ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Self::Within(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) => io.is_write_vectored(),
            Self::Within(io) => io.is_write_vectored(),
            Self::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Self::Within(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Self::Tls(io) => Pin::new(io.as_mut()).poll_write_vectored(cx, bufs),
        };
        unless_closed(written, bufs.iter().map(|buf| buf.len()).sum())
    }
}

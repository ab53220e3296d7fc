//! A small HTTP server for the stand-ins of this crate: one handler, plain or over TLS, HTTP/1.1 or HTTP/2.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::error::{Error, Result};
use crate::keys::Identity;

/// No stand-in takes a larger body.
const MAX_BODY: usize = 64 << 20;

pub(crate) type Answer = http::Response<Full<Bytes>>;

/// One request, whole.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The client's leaf certificate in DER, where one was shown.
    pub(crate) peer: Option<Vec<u8>>,
    /// Connections counted from 1.
    pub(crate) connection: u64,
}

impl Asked {
    /// A header's text; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
}

/// How it serves.
#[derive(Clone, Default)]
pub(crate) struct Manner {
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// HTTP/2 and nothing else, with so many streams at once on a connection.
    pub(crate) http2_streams: Option<u32>,
}

/// TLS with a server's identity. Clients under `roots` may show a certificate; if `needed`, they must.
pub(crate) fn tls(identity: &Identity, roots: RootCertStore, needed: bool, alpn: &[u8]) -> Result<Arc<ServerConfig>> {
    let bad = |e: &dyn std::fmt::Display| Error::Tls(e.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let verifier = if needed { verifier } else { verifier.allow_unauthenticated() };
    let verifier = verifier.build().map_err(|e| bad(&e))?;
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(|e| bad(&e))?;
    let chain = identity.chain.iter().cloned().map(CertificateDer::from).collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.clone()));
    let mut config = builder.with_client_cert_verifier(verifier).with_single_cert(chain, key).map_err(|e| bad(&e))?;
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(Arc::new(config))
}

/// A running server. Dropping it closes port and connections.
pub(crate) struct Listener {
    pub(crate) addr: SocketAddr,
    leave: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    /// Opens a port (0: any) and serves until dropped.
    pub(crate) async fn start<H, F>(addr: SocketAddr, manner: Manner, handler: H) -> Result<Listener>
    where
        H: Fn(Asked) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let listener = TcpListener::bind(addr).await.map_err(Error::io("listener"))?;
        let addr = listener.local_addr().map_err(Error::io("listener"))?;
        let (leave, left) = watch::channel(0);
        let task = tokio::spawn(async move {
            let (mut open, mut count) = (JoinSet::new(), 0);
            loop {
                tokio::select! {
                    tcp = listener.accept() => {
                        let Ok((tcp, _)) = tcp else { continue };
                        count += 1;
                        open.spawn(connection(tcp, count, manner.clone(), handler.clone(), left.clone()));
                    }
                    Some(_) = open.join_next() => {}
                }
            }
        });
        Ok(Listener { addr, leave, task })
    }

    /// Lets all open connections finish what they hold and close: GOAWAY on HTTP/2.
    pub(crate) fn go_away(&self) {
        self.leave.send_modify(|n| *n += 1);
    }
}

async fn connection<H, F>(tcp: TcpStream, number: u64, manner: Manner, handler: H, left: watch::Receiver<u64>)
where
    H: Fn(Asked) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let _ = tcp.set_nodelay(true);
    // A client that breaks off or fails the handshake sees that for itself.
    match manner.tls {
        None => speak(tcp, number, None, manner.http2_streams, handler, left).await,
        Some(config) => {
            let Ok(tls) = tokio_rustls::TlsAcceptor::from(config).accept(tcp).await else { return };
            let peer = tls.get_ref().1.peer_certificates().and_then(|c| c.first()).map(|c| c.to_vec());
            speak(tls, number, peer, manner.http2_streams, handler, left).await;
        }
    }
}

async fn speak<S, H, F>(
    stream: S,
    number: u64,
    peer: Option<Vec<u8>>,
    http2_streams: Option<u32>,
    handler: H,
    mut left: watch::Receiver<u64>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Asked) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (handler, peer) = (handler.clone(), peer.clone());
        async move { Ok::<_, Infallible>(answer(request, peer, number, handler).await) }
    });
    let io = TokioIo::new(stream);
    left.mark_unchanged();
    if let Some(streams) = http2_streams {
        let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).max_concurrent_streams(streams);
        let mut served = std::pin::pin!(builder.serve_connection(io, service));
        tokio::select! {
            _ = served.as_mut() => return,
            _ = left.changed() => served.as_mut().graceful_shutdown(),
        }
        let _ = served.await;
    } else {
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.timer(TokioTimer::new());
        let mut served = std::pin::pin!(builder.serve_connection(io, service));
        tokio::select! {
            _ = served.as_mut() => return,
            _ = left.changed() => served.as_mut().graceful_shutdown(),
        }
        let _ = served.await;
    }
}

async fn answer<H, F>(request: http::Request<Incoming>, peer: Option<Vec<u8>>, connection: u64, handler: H) -> Answer
where
    H: Fn(Asked) -> F,
    F: Future<Output = Answer>,
{
    let (parts, body) = request.into_parts();
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => {
            let (method, uri, headers) = (parts.method, parts.uri, parts.headers);
            handler(Asked { method, uri, headers, body: body.to_bytes(), peer, connection }).await
        }
        Err(_) => reply(400, &[], Bytes::new()),
    }
}

/// An answer. Header values that HTTP does not allow are left out.
pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    let mut answer = http::Response::new(Full::new(body.into()));
    *answer.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(*name), http::HeaderValue::try_from(*value)) {
            answer.headers_mut().append(name, value);
        }
    }
    answer
}

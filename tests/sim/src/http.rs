//! A device's HTTP client: HTTP/1.1 over TLS to a fixed address whatever the name, with or without a client certificate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::keys::Identity;
use crate::world::World;

/// No answer that a device expects is larger.
const MAX_ANSWER: usize = 64 << 20;

/// How connections are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// One connection for as long as host and port stay the same; else a fresh one per request.
    pub keep_alive: bool,
    /// Fresh connections resume the TLS session of earlier ones.
    pub resume: bool,
    /// How long a request may take in all, from connecting to the last byte.
    pub timeout: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { keep_alive: true, resume: false, timeout: Duration::from_secs(60) }
    }
}

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// It is read.
    Read,
    /// It is read to its end and forgotten, the connection closed: [`Error::Dropped`].
    Discard,
    /// The connection is closed so long after the request has gone out, nothing read: [`Error::Dropped`].
    CutAfter(Duration),
}

/// A request, before it has a connection.
#[derive(Debug, Clone)]
pub struct Request {
    /// The verb.
    pub method: Method,
    /// Absolute.
    pub url: String,
    /// Besides Host and Content-Length, which are made.
    pub headers: Vec<(&'static str, String)>,
    /// May be empty.
    pub body: Bytes,
}

impl Request {
    /// A GET without headers.
    pub fn get(url: impl Into<String>) -> Request {
        Request { method: Method::GET, url: url.into(), headers: Vec::new(), body: Bytes::new() }
    }

    /// A request with a body of this type.
    pub fn with_body(method: Method, url: impl Into<String>, content_type: &str, body: impl Into<Bytes>) -> Request {
        let headers = vec![("Content-Type", content_type.to_owned())];
        Request { method, url: url.into(), headers, body: body.into() }
    }

    /// With one more header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Request {
        self.headers.push((name, value.into()));
        self
    }
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Header fields.
    pub headers: HeaderMap,
    /// At most 64 MiB.
    pub body: Bytes,
}

impl Response {
    /// A header's text; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// This, if its status is 2xx.
    pub fn accepted(self, what: &'static str) -> Result<Response> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let body = String::from_utf8_lossy(&self.body).chars().take(300).collect();
        Err(Error::Status { what, status: self.status, body })
    }
}

/// TLS settings of a client: roots, identity, ALPN. Made once and shared by its connections.
pub(crate) fn tls_config(
    roots: Arc<RootCertStore>,
    identity: Option<&Identity>,
    alpn: &[&[u8]],
    resume: bool,
) -> Result<Arc<ClientConfig>> {
    let tls = |e: rustls::Error| Error::Tls(e.to_string());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(tls)?;
    let builder = builder.with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = identity.chain.iter().cloned().map(CertificateDer::from).collect();
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.key.clone()));
            builder.with_client_auth_cert(chain, key).map_err(tls)?
        }
    };
    config.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
    // Two is what one device and one server need; the default would set aside room for 256.
    config.resumption = if resume { Resumption::in_memory_sessions(2) } else { Resumption::disabled() };
    Ok(Arc::new(config))
}

struct Connection {
    authority: String,
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// One device's client. Dropping it closes its connection.
pub struct Client {
    roots: Arc<RootCertStore>,
    tls: Arc<ClientConfig>,
    addrs: Vec<SocketAddr>,
    settings: Settings,
    open: Option<Connection>,
    handshakes: u64,
}

impl Client {
    /// Connects to the world's addresses, whatever host a URL names; the host goes into SNI and into the check of the server's certificate.
    pub fn new(world: &World, identity: Option<&Identity>, settings: Settings) -> Result<Client> {
        let tls = tls_config(world.roots.clone(), identity, &[b"http/1.1"], settings.resume)?;
        let addrs = world.device_addrs.clone();
        Ok(Client { roots: world.roots.clone(), tls, addrs, settings, open: None, handshakes: 0 })
    }

    /// Shows another certificate, or none, from the next connection on; the open one is closed.
    pub fn set_identity(&mut self, identity: Option<&Identity>) -> Result<()> {
        self.tls = tls_config(self.roots.clone(), identity, &[b"http/1.1"], self.settings.resume)?;
        self.open = None;
        Ok(())
    }

    /// Other settings, keeping the identity. Turning resumption on or off takes effect with the next `set_identity`.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// The settings in force.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// Other addresses, from the next connection on.
    pub fn connect_to(&mut self, addrs: Vec<SocketAddr>) {
        self.addrs = addrs;
        self.open = None;
    }

    /// Closes the connection, if one is open.
    pub fn close(&mut self) {
        self.open = None;
    }

    /// TLS handshakes (or plain connections) so far.
    pub fn handshakes(&self) -> u64 {
        self.handshakes
    }

    /// Sends and reads the whole answer, whatever its status. A kept connection that proves dead before anything was sent is replaced.
    pub async fn send(&mut self, request: &Request) -> Result<Response> {
        self.send_and(request, Reading::Read).await
    }

    /// Sends, and does with the answer as told.
    pub async fn send_and(&mut self, request: &Request, reading: Reading) -> Result<Response> {
        let limit = self.settings.timeout;
        let result = tokio::time::timeout(limit, self.exchange(request, reading)).await;
        let result = result.unwrap_or(Err(Error::Late("request")));
        if result.is_err() || !self.settings.keep_alive {
            self.open = None;
        }
        result
    }

    async fn exchange(&mut self, request: &Request, reading: Reading) -> Result<Response> {
        let uri: Uri = request.url.parse().map_err(|e| Error::malformed("URL", format!("{}: {e}", request.url)))?;
        let host = uri.host().unwrap_or_default().to_owned();
        let authority = uri.authority().map(|a| a.as_str().to_owned()).unwrap_or_default();
        let kept = self.handshakes;
        let mut message = message(request, &uri, &authority)?;
        let answer = loop {
            self.connect(&uri, &host, &authority).await?;
            let Some(open) = self.open.as_mut() else { return Err(Error::Late("connection")) };
            let sent = open.sender.try_send_request(message);
            if let Reading::CutAfter(patience) = reading {
                let _ = tokio::time::timeout(patience.max(Duration::from_millis(1)), sent).await;
                self.open = None;
                return Err(Error::Dropped("request"));
            }
            match sent.await {
                Ok(answer) => break answer,
                // The server closed the kept connection before anything went out: once more on a fresh one.
                Err(mut e) => match e.take_message() {
                    Some(unsent) if self.handshakes == kept => (message, self.open) = (unsent, None),
                    _ => return Err(Error::Http { what: "request", source: e.into_error() }),
                },
            }
        };
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await;
        let body = body.map_err(|e| Error::malformed("answer", e))?.to_bytes();
        if reading == Reading::Discard {
            self.open = None;
            return Err(Error::Dropped("request"));
        }
        Ok(Response { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    /// Sees to it that there is a usable connection to this authority.
    async fn connect(&mut self, uri: &Uri, host: &str, authority: &str) -> Result<()> {
        if let Some(open) = self.open.as_mut()
            && open.authority == authority
            && open.sender.ready().await.is_ok()
        {
            return Ok(());
        }
        self.open = None;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let plain = uri.scheme_str() == Some("http");
        let tcp = self.dial(bare, uri.port_u16().unwrap_or(if plain { 80 } else { 443 })).await?;
        self.handshakes += 1;
        let what = "connection";
        let (sender, driver) = if plain {
            let (sender, connection) =
                handshake(TokioIo::new(tcp)).await.map_err(|source| Error::Http { what, source })?;
            (sender, tokio::spawn(async move { drop(connection.await) }))
        } else {
            let name = ServerName::try_from(bare.to_owned()).map_err(|e| Error::Tls(e.to_string()))?;
            let tls = tokio_rustls::TlsConnector::from(self.tls.clone()).connect(name, tcp).await;
            let tls = tls.map_err(broken_handshake)?;
            let (sender, connection) =
                handshake(TokioIo::new(tls)).await.map_err(|source| Error::Http { what, source })?;
            (sender, tokio::spawn(async move { drop(connection.await) }))
        };
        self.open = Some(Connection { authority: authority.to_owned(), sender, driver });
        Ok(())
    }

    /// The first address that takes the connection; it stays first. Without any, those that the name leads to.
    async fn dial(&mut self, host: &str, port: u16) -> Result<TcpStream> {
        if self.addrs.is_empty() {
            let tcp = TcpStream::connect((host, port)).await.map_err(Error::io("connection"))?;
            tcp.set_nodelay(true).map_err(Error::io("connection"))?;
            return Ok(tcp);
        }
        let mut last = Error::malformed("world", "no address to connect to");
        for _ in 0..self.addrs.len() {
            let Some(addr) = self.addrs.first() else { break };
            match TcpStream::connect(addr).await {
                Ok(tcp) => {
                    tcp.set_nodelay(true).map_err(Error::io("connection"))?;
                    return Ok(tcp);
                }
                Err(source) => last = Error::Io { what: "connection", source },
            }
            self.addrs.rotate_left(1);
        }
        Err(last)
    }
}

/// A certificate that is not to be trusted is told apart from a handshake that broke off.
fn broken_handshake(error: std::io::Error) -> Error {
    match error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(why)) => Error::Untrusted(why.to_string()),
        _ => Error::Tls(error.to_string()),
    }
}

fn message(request: &Request, uri: &Uri, authority: &str) -> Result<http::Request<Full<Bytes>>> {
    let path = uri.path_and_query().map_or("/", |p| p.as_str());
    let mut message = http::Request::builder().method(request.method.clone()).uri(path).header("Host", authority);
    for (name, value) in &request.headers {
        message = message.header(*name, value);
    }
    message.body(Full::new(request.body.clone())).map_err(|e| Error::malformed("request", e))
}

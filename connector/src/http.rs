//! Calls out over HTTPS: TLS by rustls, a proxy by CONNECT, connections kept. What fails says at which step.

use crate::roots::Roots;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};
use secrecy::{ExposeSecret as _, SecretString};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Mutex,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Bytes of an answer.
const LONGEST: usize = 32 * 1024 * 1024;
/// Bytes of a proxy's answer.
const PROXYS: usize = 8 * 1024;
const CONNECT: Duration = Duration::from_secs(15);

/// Why a call brought no answer, and at which step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The address cannot be used.
    #[error("{0}: no address of HTTPS")]
    Address(String),
    /// The name is not known.
    #[error("{host}: the name is not found: {why}")]
    Name {
        /// Which.
        host: String,
        /// The system's words.
        why: String,
    },
    /// The proxy did not let it through.
    #[error("the proxy: {0}")]
    Proxy(String),
    /// Nobody answers there.
    #[error("{0}")]
    Connect(String),
    /// The handshake failed.
    #[error("TLS: {0}")]
    Tls(String),
    /// The connection broke. The request may have been taken, or not.
    #[error("the connection broke: {0}")]
    Cut(String),
    /// Nothing came in time; likewise.
    #[error("no answer in time")]
    Timeout,
    /// There is nobody to check a server's certificate against.
    #[error("no root certificates: {0}")]
    Roots(String),
    /// The answer is too long.
    #[error("the answer is too long, or broke off")]
    Body,
}

/// Through whom calls go.
pub struct Proxy {
    /// `http://host:port`.
    pub url: Uri,
    /// Its login.
    pub login: Option<(String, SecretString)>,
}

/// Client of any number of servers that are reached alike.
pub struct Client {
    tls: TlsConnector,
    proxy: Option<Proxy>,
    unread: Vec<String>,
    idle: Mutex<BTreeMap<String, Vec<Sender>>>,
}

type Sender = SendRequest<Full<Bytes>>;

impl Client {
    /// `identity`: what is shown to a server that asks for a certificate.
    pub fn new(
        roots: Roots,
        proxy: Option<Proxy>,
        identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    ) -> Result<Self, HttpError> {
        let (store, unread) = roots.usable().map_err(HttpError::Roots)?;
        let tls = |error: rustls::Error| HttpError::Tls(error.to_string());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(tls)?;
        let config = config.with_root_certificates(store);
        let mut config = match identity {
            Some((chain, key)) => config.with_client_auth_cert(chain, key).map_err(tls)?,
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), proxy, unread, idle: Mutex::default() })
    }

    /// What of the roots could not be read, as the end of a sentence; empty where all could.
    pub fn unread(&self) -> String {
        if self.unread.is_empty() {
            String::new()
        } else {
            format!("; not all roots could be read: {}", self.unread.join("; "))
        }
    }

    /// Sends a request and waits for the whole answer. On a kept connection that closed before it took the request it goes once more.
    pub async fn send(&self, request: Request<Bytes>, limit: Duration) -> Result<Response<Bytes>, HttpError> {
        timeout(limit, self.exchange(request)).await.unwrap_or(Err(HttpError::Timeout))
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (host, port) = place(request.uri())?;
        let authority = format!("{host}:{port}");
        let mut request = onward(request, &host, port)?;
        while let Some(mut kept) = self.kept(&authority).await {
            match kept.try_send_request(request).await {
                Ok(answer) => return self.whole(authority, kept, answer).await,
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(HttpError::Cut(error.error().to_string())),
                },
            }
        }
        let mut sender = self.connect(&host, port).await?;
        let answer = sender.send_request(request).await.map_err(|error| HttpError::Cut(error.to_string()))?;
        self.whole(authority, sender, answer).await
    }

    async fn kept(&self, authority: &str) -> Option<Sender> {
        let mut idle = self.idle.lock().await;
        let kept = idle.get_mut(authority)?;
        while let Some(sender) = kept.pop() {
            if !sender.is_closed() && sender.is_ready() {
                return Some(sender);
            }
        }
        None
    }

    async fn whole(
        &self,
        authority: String,
        sender: Sender,
        answer: Response<hyper::body::Incoming>,
    ) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, LONGEST).collect().await.map_err(|_| HttpError::Body)?.to_bytes();
        self.idle.lock().await.entry(authority).or_default().push(sender);
        Ok(Response::from_parts(head, body))
    }

    async fn connect(&self, host: &str, port: u16) -> Result<Sender, HttpError> {
        let stream = timeout(CONNECT, self.stream(host, port)).await.unwrap_or(Err(HttpError::Timeout))?;
        let shake = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = shake.map_err(|error| HttpError::Cut(error.to_string()))?;
        tokio::spawn(async move {
            // How it ends is told to whoever waits for an answer over it.
            drop(connection.await);
        });
        Ok(sender)
    }

    /// As far as the handshake: what [`crate::check`] tries by itself.
    pub async fn stream(&self, host: &str, port: u16) -> Result<TlsStream<TcpStream>, HttpError> {
        let stream = match &self.proxy {
            Some(proxy) => through(proxy, host, port).await?,
            None => tcp(host, port).await?,
        };
        let name = ServerName::try_from(host.to_string()).map_err(|_| HttpError::Address(host.into()))?;
        self.tls.connect(name, stream).await.map_err(|error| HttpError::Tls(error.to_string()))
    }
}

/// Host and port of an `https` address.
pub fn place(uri: &Uri) -> Result<(String, u16), HttpError> {
    let wrong = || HttpError::Address(uri.to_string());
    let host = uri.host().filter(|_| uri.scheme_str() == Some("https")).ok_or_else(wrong)?;
    Ok((host.trim_matches(['[', ']']).to_string(), uri.port_u16().unwrap_or(443)))
}

/// The request as it goes over the wire.
fn onward(request: Request<Bytes>, host: &str, port: u16) -> Result<Request<Full<Bytes>>, HttpError> {
    let (mut head, body) = request.into_parts();
    let bare = if host.contains(':') { format!("[{host}]") } else { host.to_string() };
    let named = if port == 443 { bare } else { format!("{bare}:{port}") };
    let named = named.parse().map_err(|_| HttpError::Address(host.into()))?;
    head.headers.insert(http::header::HOST, named);
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = path.parse().map_err(|_| HttpError::Address(host.into()))?;
    Ok(Request::from_parts(head, Full::new(body)))
}

async fn tcp(host: &str, port: u16) -> Result<TcpStream, HttpError> {
    let found = tokio::net::lookup_host((host, port)).await;
    let name = |why: String| HttpError::Name { host: host.into(), why };
    let mut last = name("it has no address".into());
    for address in found.map_err(|error| name(error.to_string()))? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = HttpError::Connect(format!("{address}: {error}")),
        }
    }
    Err(last)
}

/// A tunnel. RFC 9110 9.3.6; its login by RFC 7617.
async fn through(proxy: &Proxy, host: &str, port: u16) -> Result<TcpStream, HttpError> {
    let wrong = |what: String| HttpError::Proxy(what);
    let its = proxy.url.host().filter(|_| proxy.url.scheme_str() == Some("http"));
    let its = its.ok_or_else(|| wrong(format!("{}: an address such as http://proxy:3128 is needed", proxy.url)))?;
    let stream = tcp(its, proxy.url.port_u16().unwrap_or(80)).await;
    let mut stream = stream.map_err(|error| wrong(error.to_string()))?;
    let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut ask = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some((user, password)) = &proxy.login {
        let login = STANDARD.encode(format!("{user}:{}", password.expose_secret()));
        ask += &format!("Proxy-Authorization: Basic {login}\r\n");
    }
    ask += "\r\n";
    stream.write_all(ask.as_bytes()).await.map_err(|error| wrong(error.to_string()))?;
    let mut said = Vec::new();
    while !said.ends_with(b"\r\n\r\n") {
        // Byte by byte: what follows the head is the tunnel's.
        let byte = stream.read_u8().await.map_err(|error| wrong(error.to_string()))?;
        said.push(byte);
        if said.len() > PROXYS {
            return Err(wrong("its answer is too long".into()));
        }
    }
    let line = String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_string();
    match line.split(' ').nth(1) {
        Some(status) if status.starts_with('2') => Ok(stream),
        Some("407") => Err(wrong("it asks for a login, or does not take this one (407)".into())),
        _ => Err(wrong(format!("it answers {line:?}"))),
    }
}

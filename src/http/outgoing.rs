//! HTTP/1.1 requests to other servers, streamed both ways: the mail server behind the gateway, webhooks.
//! Follows no redirect, keeps no cookies; how long an answer may take is the caller's to say.

use super::{
    connector::{Connector, Dial, Identity},
    crypto::TlsError,
    held::{self, Failed},
};
use axum::body::Body;
use hyper::{Request, Response, Uri, body::Incoming};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use rustls::RootCertStore;
use std::{error::Error, sync::Arc, time::Duration};
use tracing::{Instrument, Span, field::Empty};

/// How long an unused connection is kept. Under the minute or two after which servers close theirs.
const IDLE: Duration = Duration::from_secs(45);
/// Unused connections kept per server.
const IDLE_CONNECTIONS: usize = 256;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum OutgoingError {
    /// The address is not one that we can call.
    #[error("{0} is not an address to call")]
    Url(String),
    /// No connection: name, TCP, TLS or time. Nothing was sent.
    #[error("no connection to {server}: {}", chain(.source.as_ref()))]
    Connect {
        /// Scheme, host and port.
        server: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The connection broke before the answer's head, or in its body. The request may have arrived.
    #[error("{server} did not answer: {}", chain(.source.as_ref()))]
    Broken {
        /// Scheme, host and port.
        server: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// No answer in time. The request may have arrived.
    #[error("{server} did not answer in time")]
    Late {
        /// Scheme, host and port.
        server: String,
    },
    /// The answer is longer than is read here.
    #[error("{server} answered more than {max} bytes")]
    TooLarge {
        /// Scheme, host and port.
        server: String,
        /// The most that is read.
        max: usize,
    },
}

/// An error with all below it: hyper's own words name none of the causes.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        text = format!("{text}: {cause}");
        below = cause.source();
    }
    text
}

/// A client with a pool of connections per server. Clones share it.
#[derive(Clone)]
pub struct Outgoing {
    pooled: Client<Connector, Body>,
    /// Keeps no connection.
    fresh: Client<Connector, Body>,
    /// For requests that are held for long.
    connector: Connector,
}

impl Outgoing {
    /// `roots`: see [`trusted_roots`](super::connector::trusted_roots).
    pub fn new(roots: &Arc<RootCertStore>) -> Result<Self, TlsError> {
        Self::showing(roots, None)
    }

    /// The same, with a certificate for servers that ask for one.
    pub fn showing(roots: &Arc<RootCertStore>, identity: Option<Identity>) -> Result<Self, TlsError> {
        Ok(Self::by(&Connector::new(roots, identity, b"http/1.1")?))
    }

    /// The same over streams in memory: whatever the address is, `dial` leads to its server. For benches, which hold more than there are files.
    pub fn within(roots: &Arc<RootCertStore>, dial: Dial) -> Result<Self, TlsError> {
        Ok(Self::by(&Connector::new(roots, None, b"http/1.1")?.dialling(dial)))
    }

    fn by(connector: &Connector) -> Self {
        let client = |idle| {
            let mut builder = Client::builder(TokioExecutor::new());
            builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).pool_max_idle_per_host(idle);
            builder.build(connector.clone())
        };
        Self { pooled: client(IDLE_CONNECTIONS), fresh: client(0), connector: connector.clone() }
    }

    /// Sends a request with an absolute address, `http` or `https`, and returns at the answer's head. `Host` is set
    /// from the address where it is missing. Dropping the future, or the body of the answer, ends the exchange and its
    /// connection.
    ///
    /// A connection serves many callers, one after another: whoever passes on logins that hold for a connection
    /// (NTLM, Negotiate) must take them out first.
    pub fn send(&self, request: Request<Body>) -> impl Future<Output = Answered> + Send + use<> {
        over(&self.pooled, request)
    }

    /// The same for a request whose answer is long in coming, as a Ping's is: it has a connection of its own, and takes little memory until there
    /// is something to read.
    pub fn send_held(&self, request: Request<Body>) -> impl Future<Output = Answered> + Send + use<> {
        let asking = server(request.uri()).map(|server| {
            let span = call(&server);
            (held::send(self.connector.clone(), request).instrument(span.clone()), span, server)
        });
        async move {
            let (asking, span, server) = asking?;
            let answer = asking.await.map_err(|failed| match failed {
                Failed::Connect(source) => OutgoingError::Connect { server, source },
                Failed::Broken(source) => OutgoingError::Broken { server, source },
            });
            told(&span, answer)
        }
    }

    /// The same over a connection of its own: after one that was kept broke. Some servers close theirs and do not say so, and it may be in
    /// use by then.
    pub fn send_afresh(&self, request: Request<Body>) -> impl Future<Output = Answered> + Send + use<> {
        over(&self.fresh, request)
    }
}

type Answered = Result<Response<Incoming>, OutgoingError>;

/// The request is handed over at once: a future that waits for its answer need not have room for it.
fn over(client: &Client<Connector, Body>, request: Request<Body>) -> impl Future<Output = Answered> + Send + use<> {
    let asking = server(request.uri()).map(|server| {
        let span = call(&server);
        (client.request(request).instrument(span.clone()), span, server)
    });
    async move {
        let (asking, span, server) = asking?;
        let answer = asking.await.map_err(|source| match source.is_connect() {
            true => OutgoingError::Connect { server, source: source.into() },
            false => OutgoingError::Broken { server, source: source.into() },
        });
        told(&span, answer)
    }
}

/// A call to another server, for the log. Where on that server is left out: paths hold push tokens, queries the names of users.
pub(super) fn call(server: &str) -> Span {
    tracing::debug_span!("call", server, status = Empty)
}

/// How it ended, where there is an answer; else the caller says.
pub(super) fn told<B>(span: &Span, answer: Result<Response<B>, OutgoingError>) -> Result<Response<B>, OutgoingError> {
    if let Ok(answer) = &answer {
        span.record("status", answer.status().as_u16());
    }
    answer
}

/// Scheme, host and port of an address that can be called.
pub(super) fn server(uri: &Uri) -> Result<String, OutgoingError> {
    match (uri.scheme_str(), uri.authority()) {
        // What stands before an @ may be a password, and has no business in a log.
        (Some(scheme @ ("http" | "https")), Some(at)) if !at.as_str().contains('@') => Ok(format!("{scheme}://{at}")),
        _ => Err(OutgoingError::Url(format!("{:?}", uri.host().unwrap_or_default()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{
        connector::trusted_roots,
        listener::Timeouts,
        testbed::{Authority, Server},
    };
    use bytes::Bytes;
    use http_body_util::BodyExt;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    fn get(url: &str) -> Request<Body> {
        Request::get(url).body(Body::empty()).unwrap()
    }

    async fn text(answer: Response<Incoming>) -> String {
        String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn requests_share_connections_and_follow_no_redirect() {
        let ca = Authority::new("Upstream");
        let server = Server::start(&ca, Timeouts::default());
        let client = Outgoing::new(&trusted_roots(ca.root.pem().as_bytes()).unwrap()).unwrap();
        let url = |path: &str| format!("https://localhost:{}{path}", server.address.port());
        let first = text(client.send(get(&url("/who"))).await.unwrap()).await;
        assert!(first.starts_with("asked=false name=localhost"), "{first}");
        assert_eq!(text(client.send(get(&url("/who"))).await.unwrap()).await, first, "the same port");
        assert_eq!(client.send(get(&url("/moved"))).await.unwrap().status(), 307);
        let by_address = format!("https://{}/who", server.address);
        assert!(text(client.send(get(&by_address)).await.unwrap()).await.contains("name=-"));
    }

    #[tokio::test]
    async fn bodies_are_streamed_both_ways() {
        let ca = Authority::new("Upstream");
        let server = Server::start(&ca, Timeouts::default());
        let client = Outgoing::new(&ca.roots()).unwrap();
        let (pieces, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
        let body = Body::new(StreamOf(receiver));
        let request = Request::post(format!("https://{}/echo", server.address)).body(body).unwrap();
        let mut answer = client.send(request).await.unwrap().into_body();
        for piece in ["one", "two", "three"] {
            pieces.send(Ok(Bytes::from_static(piece.as_bytes()))).await.unwrap();
            assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), piece);
        }
        drop(pieces);
        assert!(answer.frame().await.is_none());
    }

    struct StreamOf(tokio::sync::mpsc::Receiver<Result<Bytes, std::io::Error>>);

    impl hyper::body::Body for StreamOf {
        type Data = Bytes;
        type Error = std::io::Error;
        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
            self.0.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(hyper::body::Frame::data)))
        }
    }

    #[tokio::test]
    async fn plain_http_is_spoken_and_a_break_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(tokio::spawn(async move {
            for answer in ["HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi", ""] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _read = stream.read(&mut [0; 1024]).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }));
        let client = Outgoing::new(&trusted_roots(b"").unwrap()).unwrap();
        let url = format!("http://{address}/x");
        assert_eq!(text(client.send(get(&url)).await.unwrap()).await, "hi");
        let error = client.send(get(&url)).await.unwrap_err();
        assert!(matches!(error, OutgoingError::Broken { .. }), "{error}");
        let error = client.send(get(&url)).await.unwrap_err();
        assert!(matches!(error, OutgoingError::Connect { .. }), "{error}");
    }

    #[tokio::test]
    async fn what_is_held_is_answered_whole_or_told_as_broken() {
        let long = "x".repeat(20_000);
        let answers = [
            format!("HTTP/1.1 200 OK\r\nX-Long: {long}\r\nContent-Length: 2\r\n\r\nhi"),
            "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n".into(),
            "HTTP/1.0 200 OK\r\n\r\nhi".into(),
            String::new(),
            "HTTP/1.1 2".into(),
            "no HTTP at all\r\n\r\n".into(),
        ];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, said) = (listener.local_addr().unwrap(), answers.clone());
        let asked = tokio::spawn(async move {
            let mut asked = Vec::new();
            for answer in said {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut read = vec![0; 4096];
                let length = stream.read(&mut read).await.unwrap();
                asked.push(String::from_utf8(read[..length].to_vec()).unwrap());
                for piece in answer.as_bytes().chunks(7) {
                    // It hangs up on what is no answer.
                    drop(stream.write_all(piece).await);
                    tokio::task::yield_now().await;
                }
            }
            asked
        });
        let client = Outgoing::new(&trusted_roots(b"").unwrap()).unwrap();
        for (number, answer) in answers.iter().enumerate() {
            let request = Request::post(format!("http://{address}/eas?Cmd=Ping")).header("x-one", "1");
            let request = request.header("connection", "keep-alive").body(Body::from("body")).unwrap();
            match client.send_held(request).await {
                Ok(answer) if number < 3 => assert_eq!(text(answer).await, "hi"),
                Err(error @ OutgoingError::Broken { .. }) if number >= 3 => drop(error),
                other => panic!("{answer:.40}: {other:?}"),
            }
        }
        let want = format!(
            "POST /eas?Cmd=Ping HTTP/1.1\r\nhost: {address}\r\nx-one: 1\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbody"
        );
        assert_eq!(asked.await.unwrap(), vec![want; answers.len()]);
        let refused = client.send_held(get(&format!("http://{address}/"))).await.unwrap_err();
        assert!(matches!(refused, OutgoingError::Connect { .. }), "{refused}");
    }

    #[tokio::test]
    async fn what_is_held_goes_over_tls_and_ends_when_nobody_waits() {
        let ca = Authority::new("Upstream");
        let server = Server::start(&ca, Timeouts::default());
        let client = Outgoing::new(&ca.roots()).unwrap();
        let answer = client.send_held(get(&format!("https://{}/who", server.address))).await.unwrap();
        let said = text(answer).await;
        assert!(said.contains("certificate=-"), "{said}");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let held = tokio::spawn(client.send_held(get(&format!("http://{}/", listener.local_addr().unwrap()))));
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut read = vec![0; 4096];
        assert!(stream.read(&mut read).await.unwrap() > 0);
        held.abort();
        assert_eq!(stream.read(&mut read).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_server_that_is_not_trusted_gets_nothing() {
        let ca = Authority::new("Upstream");
        let server = Server::start(&ca, Timeouts::default());
        let client = Outgoing::new(&Authority::new("Another").roots()).unwrap();
        let error = client.send(get(&format!("https://{}/who", server.address))).await.unwrap_err();
        assert!(matches!(error, OutgoingError::Connect { .. }), "{error}");
        assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_refused() {
        let client = Outgoing::new(&Authority::new("Any").roots()).unwrap();
        for url in ["/path", "ftp://x.example/", "http://user:secret@x.example/"] {
            let error = client.send(get(url)).await.unwrap_err();
            assert!(matches!(error, OutgoingError::Url(_)), "{url}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        assert!(trusted_roots(b"no PEM").is_err());
    }
}

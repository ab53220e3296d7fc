//! One HTTP/2 connection to one server, with our certificate, for many small requests at a time: APNs.

use super::{
    connector::{Connector, Identity},
    crypto::TlsError,
    outgoing::{self, OutgoingError, server},
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{Request, Response, Uri, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::timeout};
use tower_service::Service;
use tracing::Instrument;

/// For one request, from its sending to the end of its answer, where nothing else is said.
const ANSWER: Duration = Duration::from_secs(15);
/// The most that is read of an answer's body: an error of APNs has under 200 bytes.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// How often a silent connection is tried, and how long the other side may take to answer that. A firewall that
/// forgot the connection then costs no push its time.
const PING: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(10));

type Sender = http2::SendRequest<Full<Bytes>>;

/// Keeps the connection, and opens the next when it ends (GOAWAY, a break, an answer that does not come).
pub struct H2Connection {
    uri: Uri,
    server: String,
    connector: Connector,
    patience: Duration,
    /// The connection in use and its number, to drop no newer one in its place.
    current: Mutex<(u64, Option<Sender>)>,
}

impl H2Connection {
    /// Prepares a connection, and opens none: that comes with the first request, or with [`H2Connection::open`].
    /// `url`: `https` with host and port, as in `https://api.push.apple.com:443`.
    pub fn new(url: &str, identity: Option<Identity>, roots: &Arc<RootCertStore>) -> Result<Self, H2SetupError> {
        let uri: Uri = url.parse().map_err(|_| H2SetupError::Url(url.to_owned()))?;
        if uri.scheme_str() != Some("https") {
            return Err(H2SetupError::Url(url.to_owned()));
        }
        let server = server(&uri).map_err(|_| H2SetupError::Url(url.to_owned()))?;
        Ok(Self {
            uri,
            server,
            connector: Connector::new(roots, identity, b"h2")?,
            patience: ANSWER,
            current: Mutex::default(),
        })
    }

    /// How long one request may take, from its sending to the end of its answer: 15 s where nothing else is said.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// As [`H2Connection::new`], and opens the connection.
    pub async fn connect(
        url: &str,
        identity: Option<Identity>,
        roots: &Arc<RootCertStore>,
    ) -> Result<Self, H2SetupError> {
        let connection = Self::new(url, identity, roots)?;
        connection.open().await?;
        Ok(connection)
    }

    /// Opens the connection if there is none.
    pub async fn open(&self) -> Result<(), OutgoingError> {
        self.sender().await.map(drop)
    }

    /// Sends a request whose address is a path (`/3/device/…`) and reads the answer. Many may be under way at once;
    /// what the server's limit does not admit yet waits. A request that a break or GOAWAY caught is sent once more on
    /// a new connection: it may arrive twice.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, OutgoingError> {
        let request = self.absolute(request)?;
        let span = outgoing::call(&self.server);
        let answer = self.send_twice(request).instrument(span.clone()).await;
        outgoing::told(&span, answer)
    }

    async fn send_twice(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, OutgoingError> {
        let (number, sender) = self.sender().await?;
        match self.exchange(sender, request.clone()).await {
            Err(OutgoingError::Broken { .. } | OutgoingError::Late { .. }) => self.discard(number).await,
            other => return other,
        }
        let (number, sender) = self.sender().await?;
        let answer = self.exchange(sender, request).await;
        if matches!(answer, Err(OutgoingError::Broken { .. } | OutgoingError::Late { .. })) {
            self.discard(number).await;
        }
        answer
    }

    async fn exchange(
        &self,
        mut sender: Sender,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, OutgoingError> {
        let answer = async {
            let (head, body) = sender.send_request(request).await.map_err(|e| self.broken(e))?.into_parts();
            let body =
                Limited::new(body, MAX_ANSWER_BYTES).collect().await.map_err(|e| match e.is::<LengthLimitError>() {
                    true => OutgoingError::TooLarge { server: self.server.clone(), max: MAX_ANSWER_BYTES },
                    false => self.broken(e),
                })?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        timeout(self.patience, answer)
            .await
            .unwrap_or_else(|_| Err(OutgoingError::Late { server: self.server.clone() }))
    }

    /// The connection in use, or a new one. Callers that come meanwhile wait for the same one.
    async fn sender(&self) -> Result<(u64, Sender), OutgoingError> {
        let mut current = self.current.lock().await;
        let (number, sender) = &mut *current;
        if let Some(sender) = sender.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok((*number, sender.clone()));
        }
        let new = self.dial().await?;
        *number += 1;
        *sender = Some(new.clone());
        Ok((*number, new))
    }

    async fn dial(&self) -> Result<Sender, OutgoingError> {
        let failed = |source| OutgoingError::Connect { server: self.server.clone(), source };
        let io = self.connector.clone().call(self.uri.clone()).await.map_err(failed)?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING.0)
            .keep_alive_timeout(PING.1)
            .keep_alive_while_idle(true)
            .handshake(io)
            .await
            .map_err(|e| failed(e.into()))?;
        let server = self.server.clone();
        drop(tokio::spawn(async move {
            // Ends when the server ends it, or when the last sender is dropped.
            if let Err(error) = connection.await {
                tracing::debug!(%server, %error, "connection ended");
            }
        }));
        Ok(sender)
    }

    /// Lets go of the connection `number`. Requests that are under way on it may still end well.
    async fn discard(&self, number: u64) {
        let mut current = self.current.lock().await;
        if current.0 == number {
            current.1 = None;
        }
    }

    fn absolute(&self, request: Request<Full<Bytes>>) -> Result<Request<Full<Bytes>>, OutgoingError> {
        let (mut head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |p| p.as_str());
        let uri = format!("{}{path}", self.server);
        head.uri = uri.parse().map_err(|_| OutgoingError::Url(uri))?;
        Ok(Request::from_parts(head, body))
    }

    fn broken(&self, source: impl Into<axum::BoxError>) -> OutgoingError {
        OutgoingError::Broken { server: self.server.clone(), source: source.into() }
    }
}

/// Why a connection could not be prepared or opened.
#[derive(Debug, thiserror::Error)]
pub enum H2SetupError {
    /// Not `https://host:port`.
    #[error("{0:?} is not an https address")]
    Url(String),
    /// Our certificate, its key or TLS itself.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server is not there, or not who it should be.
    #[error(transparent)]
    Connect(#[from] OutgoingError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{
        crypto::provider,
        server_certificate::certificates,
        testbed::{Authority, Leaf},
    };
    use hyper::{body::Incoming, service::service_fn};
    use hyper_util::rt::TokioIo;
    use rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    };
    use std::{
        convert::Infallible,
        net::SocketAddr,
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
    };
    use tokio::{
        net::TcpListener,
        sync::{Semaphore, watch},
    };
    use tokio_rustls::TlsAcceptor;

    /// What a stand-in for APNs counts and does.
    struct StandIn {
        address: SocketAddr,
        connections: Arc<AtomicUsize>,
        /// Requests on `/gather` answer when as many are there.
        gathered: Arc<Semaphore>,
        /// 1: GOAWAY to all; 2: break all.
        end: watch::Sender<u8>,
    }

    fn config(ca: &Authority) -> Arc<ServerConfig> {
        let leaf = ca.server(&["localhost"]);
        let verifier = WebPkiClientVerifier::builder_with_provider(ca.roots(), provider()).build().unwrap();
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                certificates(leaf.chain.as_bytes(), "").unwrap(),
                PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config)
    }

    async fn answer(request: Request<Incoming>, gathered: Arc<Semaphore>) -> Result<Response<Full<Bytes>>, Infallible> {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        match path.as_str() {
            "/gather" => gathered.acquire().await.unwrap().forget(),
            "/never" => std::future::pending().await,
            "/long" => return Ok(Response::new(Full::from(vec![0; MAX_ANSWER_BYTES + 1]))),
            _ => {}
        }
        Ok(Response::builder().status(410).body(Full::new(body)).unwrap())
    }

    async fn stand_in(ca: &Authority) -> StandIn {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(config(ca));
        let (connections, gathered) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let end = watch::Sender::new(0);
        let (count, gate, ends) = (Arc::clone(&connections), Arc::clone(&gathered), end.clone());
        drop(tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (acceptor, count, gate, mut ends) =
                    (acceptor.clone(), Arc::clone(&count), Arc::clone(&gate), ends.subscribe());
                drop(tokio::spawn(async move {
                    let Ok(tls) = acceptor.accept(tcp).await else { return };
                    count.fetch_add(1, SeqCst);
                    let service = service_fn(move |request| answer(request, Arc::clone(&gate)));
                    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let connection = builder.serve_connection(TokioIo::new(tls), service);
                    tokio::pin!(connection);
                    tokio::select! {
                        _ = connection.as_mut() => return,
                        _ = ends.changed() => {}
                    }
                    if *ends.borrow() == 1 {
                        connection.as_mut().graceful_shutdown();
                        let _ended = connection.await;
                    }
                }));
            }
        }));
        StandIn { address, connections, gathered, end }
    }

    fn post(path: &str) -> Request<Full<Bytes>> {
        Request::post(path).header("apns-topic", "x").body(Full::from("{}")).unwrap()
    }

    fn identity(leaf: &Leaf) -> Option<Identity> {
        Some(Identity::from_pem(leaf.chain.as_bytes(), leaf.key.as_bytes()).unwrap())
    }

    async fn pair() -> (StandIn, Arc<H2Connection>) {
        let ca = Authority::new("Push");
        let stand_in = stand_in(&ca).await;
        let url = format!("https://localhost:{}", stand_in.address.port());
        let client = H2Connection::connect(&url, identity(&ca.client((2024, 2090))), &ca.roots()).await.unwrap();
        (stand_in, Arc::new(client))
    }

    #[tokio::test]
    async fn many_requests_share_one_connection() {
        let (server, client) = pair().await;
        let sending: Vec<_> = (0..50)
            .map(|_| {
                let client = Arc::clone(&client);
                tokio::spawn(async move { client.send(post("/gather")).await })
            })
            .collect();
        // Nobody is answered before all could have been sent.
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.gathered.add_permits(50);
        for sent in sending {
            let answer = sent.await.unwrap().unwrap();
            assert_eq!((answer.status().as_u16(), answer.body().as_ref()), (410, &b"{}"[..]));
        }
        assert_eq!(server.connections.load(SeqCst), 1);
    }

    #[tokio::test]
    async fn goaway_and_breaks_are_followed_by_a_new_connection() {
        let (server, client) = pair().await;
        for (end, connections) in [(1, 2), (2, 3), (1, 4), (2, 5)] {
            client.send(post("/")).await.unwrap();
            // One that is under way when the end comes is answered (GOAWAY) or sent again (break).
            let waiting = tokio::spawn({
                let client = Arc::clone(&client);
                async move { client.send(post("/gather")).await }
            });
            tokio::time::sleep(Duration::from_millis(50)).await;
            server.end.send(end).unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            client.send(post("/")).await.unwrap();
            server.gathered.add_permits(2);
            waiting.await.unwrap().unwrap();
            while let Ok(permit) = server.gathered.try_acquire() {
                permit.forget();
            }
            assert_eq!(server.connections.load(SeqCst), connections, "after {end}");
        }
    }

    #[tokio::test]
    async fn the_server_hears_who_asks() {
        let ca = Authority::new("Push");
        let stand_in = stand_in(&ca).await;
        let url = format!("https://localhost:{}", stand_in.address.port());
        let nobody = H2Connection::new(&url, None, &ca.roots()).unwrap();
        assert!(nobody.send(post("/")).await.is_err());
        let stranger = identity(&Authority::new("Another").client((2024, 2090)));
        assert!(H2Connection::new(&url, stranger, &ca.roots()).unwrap().send(post("/")).await.is_err());
        let untrusting = H2Connection::connect(&url, None, &Authority::new("Another").roots()).await;
        assert!(matches!(untrusting, Err(H2SetupError::Connect(OutgoingError::Connect { .. }))));
        for url in ["http://localhost:1", "localhost", "https://a:b@localhost", "/"] {
            assert!(matches!(H2Connection::new(url, None, &ca.roots()), Err(H2SetupError::Url(_))), "{url}");
        }
    }

    #[tokio::test]
    async fn an_answer_is_bounded_in_length_and_time() {
        let (server, client) = pair().await;
        let error = client.send(post("/long")).await.unwrap_err();
        assert!(matches!(error, OutgoingError::TooLarge { .. }), "{error}");
        assert_eq!(client.send(post("/")).await.unwrap().status(), 410, "the connection goes on");
        assert_eq!(server.connections.load(SeqCst), 1);
        let hasty = Arc::into_inner(client).unwrap().patience(Duration::from_millis(100));
        let error = hasty.send(post("/never")).await.unwrap_err();
        assert!(matches!(error, OutgoingError::Late { .. }), "{error}");
        assert_eq!(server.connections.load(SeqCst), 2, "it was tried on a new connection");
    }
}

//! The accept loop and the life of a connection: admission, handshake, requests, end.

use super::{
    client_cert_header::TrustedProxies,
    drain::{Drain, Held},
    early, forwarded,
    gate::{Admission, Gate, Place},
    host,
    peer::{ClientCertificate, Peer},
    tls::{Ground, Tls},
};
use axum::{
    Router,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use hyper::{Request, body::Incoming, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::{HandshakeKind, server::Acceptor};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};
use tower_service::Service;

/// Connections that wait to be accepted: a fleet that wakes together comes at once.
const BACKLOG: i32 = 4096;
/// Request line and headers together.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// What hyper gathers of a body or an answer before it waits for the reader.
const MAX_BUFFER_BYTES: usize = 64 * 1024;
/// A dead peer is found by then even if it never closes. Not more often: each probe wakes a phone's radio.
const KEEPALIVE: Duration = Duration::from_secs(15 * 60);
/// A peer that takes nothing of what was sent is given up after this.
const UNACKNOWLEDGED: Duration = Duration::from_secs(120);
/// How long to wait when the process or the system has no file left for another connection.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// Told of each stranger whose certificate was refused in the handshake.
pub type OnStranger = Arc<dyn Fn(SocketAddr, Ground) + Send + Sync>;

/// How long a peer may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a place, where the peer's address has as many connections as it may have.
    pub place: Duration,
    /// From the TCP connection to the end of the TLS handshake.
    pub handshake: Duration,
    /// For a request's head, from the end of the request before it; so it also ends idle connections.
    pub head: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { place: Duration::from_secs(60), handshake: Duration::from_secs(10), head: Duration::from_secs(30) }
    }
}

/// What a listener does with its connections.
#[derive(Clone)]
pub struct Serving {
    /// Certificates, and who is asked for one.
    pub tls: Tls,
    /// Answers the requests; each carries `Arc<Peer>` in its extensions.
    pub app: Router,
    /// Counts the connections.
    pub gate: Arc<Gate>,
    /// Whose limit per address does not hold.
    pub proxies: TrustedProxies,
    /// Ends the listener.
    pub drain: Drain,
    /// Hears of refused certificates.
    pub on_stranger: OnStranger,
    /// How long a peer may take.
    pub timeouts: Timeouts,
}

/// An open port that is not served yet.
#[derive(Debug)]
pub struct Listener(TcpListener);

impl Listener {
    /// Opens the port; connections wait until [`Listener::serve`]. Needs a tokio runtime.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        // Accepted sockets inherit these on Linux: no calls per connection.
        socket.set_tcp_nodelay(true)?;
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(Duration::from_secs(30)).with_retries(4);
        socket.set_tcp_keepalive(&keepalive)?;
        SockRef::from(&socket).set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(Self(TcpListener::from_std(socket.into())?))
    }

    /// The real address, where port 0 was asked for.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Serves until the drain begins; connections that are open then end by themselves, and [`Drain::drain`] waits
    /// for them.
    pub async fn serve(self, serving: Serving) {
        let held = serving.drain.hold();
        let mut signal = held.signal();
        let shared = Arc::new(Shared::new(serving));
        let draining = signal.draining();
        tokio::pin!(draining);
        loop {
            tokio::select! {
                biased;
                () = &mut draining => return,
                accepted = self.accept(&shared.serving.gate) => match accepted {
                    Ok((stream, address)) => shared.admit(stream, address),
                    Err(error) => pause_after(&error).await,
                },
            }
        }
    }

    /// The next connection. While we have as many as we can have, more wait in the system's own queue.
    async fn accept(&self, gate: &Gate) -> io::Result<(TcpStream, SocketAddr)> {
        gate.room().await;
        self.0.accept().await
    }
}

/// Errors of one connection (it was reset before we took it) pass; else the system has run out of something.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionReset) {
        tracing::warn!(%error, "cannot accept connections at the moment");
        tokio::time::sleep(EXHAUSTED).await;
    }
}

/// What all connections of a listener use.
struct Shared {
    serving: Serving,
    http: http1::Builder,
}

impl Shared {
    fn new(serving: Serving) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(serving.timeouts.head)
            .max_header_size(MAX_HEAD_BYTES)
            .max_buf_size(MAX_BUFFER_BYTES);
        Self { serving, http }
    }

    fn admit(self: &Arc<Self>, stream: TcpStream, address: SocketAddr) {
        let counted = !self.serving.proxies.contains(address.ip());
        let admission = self.serving.gate.admit(address.ip(), counted);
        if let Admission::Refused = admission {
            // Closing at once is the cheapest answer.
            return tracing::debug!(%address, "connection refused: too many of this address wait");
        }
        let (shared, held) = (Arc::clone(self), self.serving.drain.hold());
        drop(tokio::spawn(async move {
            // What a connection is only at its beginning and end lies apart: most of its life it waits.
            if let Some(place) = Box::pin(shared.place(admission, address, &held)).await {
                connection(&shared, stream, address, place, held).await;
            }
        }));
    }

    /// The connection's place, waited for where that must be.
    async fn place(&self, admission: Admission, address: SocketAddr, held: &Held) -> Option<Place> {
        let waiting = match admission {
            Admission::Now(place) => return Some(place),
            Admission::Later(waiting) => waiting,
            Admission::Refused => return None,
        };
        let mut signal = held.signal();
        tokio::select! {
            biased;
            waited = tokio::time::timeout(self.serving.timeouts.place, waiting.place()) => {
                if waited.is_err() {
                    tracing::debug!(%address, "connection closed: no place came free");
                }
                waited.ok()
            }
            () = signal.draining() => None,
        }
    }
}

/// One connection from its first byte to its last.
async fn connection(shared: &Shared, stream: TcpStream, address: SocketAddr, place: Place, held: Held) {
    let mut signal = held.signal();
    let serving = &shared.serving;
    let Some((stream, peer)) = Box::pin(shaken(serving, stream, address, &held)).await else { return };
    let state = Arc::new(State { peer: Arc::new(peer), place, lingers: AtomicBool::new(false) });
    let proxies = Some(serving.proxies.clone()).filter(|proxies| proxies.contains(address.ip()));
    let requests = Requests { app: serving.app.clone(), state: Arc::clone(&state), proxies };
    let mut conn = shared.http.serve_connection(TokioIo::new(stream), requests);
    let mut ended = tokio::select! {
        biased;
        ended = poll_fn(|cx| conn.poll_without_shutdown(cx)) => Some(ended),
        () = signal.draining() => None,
    };
    if ended.is_none() {
        Pin::new(&mut conn).graceful_shutdown();
        ended = tokio::select! {
            biased;
            ended = poll_fn(|cx| conn.poll_without_shutdown(cx)) => Some(ended),
            () = signal.cut() => None,
        };
    }
    let Some(ended) = ended else { return tracing::debug!(%address, "connection cut") };
    // Hyper answers by itself what it cannot read, and reads no further.
    let unread = ended.as_ref().is_err_and(hyper::Error::is_parse);
    ended_with(address, ended);
    let end = Box::pin(early::end(conn.into_parts().io.into_inner(), unread || state.lingers.load(Relaxed)));
    tokio::select! {
        biased;
        () = end => {}
        () = signal.cut() => {}
    }
}

/// The handshake, in its time. None: it came to nothing.
async fn shaken(
    serving: &Serving,
    stream: TcpStream,
    address: SocketAddr,
    held: &Held,
) -> Option<(TlsStream<TcpStream>, Peer)> {
    let mut signal = held.signal();
    let handshake = tokio::select! {
        biased;
        shaken = tokio::time::timeout(serving.timeouts.handshake, handshake(&serving.tls, stream, address)) => shaken,
        () = signal.draining() => return None,
    };
    match handshake {
        Ok(Ok(done)) => return Some(done),
        Ok(Err(error)) => refused(&serving.on_stranger, address, &error),
        Err(_elapsed) => tracing::debug!(%address, "handshake took too long"),
    }
    None
}

fn refused(on_stranger: &OnStranger, address: SocketAddr, error: &io::Error) {
    tracing::debug!(%address, %error, "handshake failed");
    if let Some(ground) = Ground::of(error) {
        on_stranger(address, ground);
    }
}

fn ended_with(address: SocketAddr, ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%address, %error, "connection ended");
    }
}

async fn handshake(tls: &Tls, stream: TcpStream, address: SocketAddr) -> io::Result<(TlsStream<TcpStream>, Peer)> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let (config, asked) = {
        let hello = start.client_hello();
        let (config, asked) = tls.choose(hello.server_name());
        (Arc::clone(config), asked)
    };
    let stream = start.into_stream(config).await?;
    let peer = peer(&stream, address, asked);
    Ok((stream, peer))
}

fn peer(stream: &TlsStream<TcpStream>, address: SocketAddr, asked: bool) -> Peer {
    let (_, session) = stream.get_ref();
    let leaf = session.peer_certificates().and_then(<[_]>::first);
    Peer {
        address,
        client: address.ip().to_canonical(),
        certificate: leaf.map(|leaf| Arc::new(ClientCertificate::new(leaf.to_vec()))),
        asked,
        server_name: session.server_name().map(str::to_ascii_lowercase),
        resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
    }
}

/// What a connection's requests share.
struct State {
    peer: Arc<Peer>,
    place: Place,
    /// An answer went out before its request's body had come.
    lingers: AtomicBool,
}

/// Hands each request on with its peer.
struct Requests {
    app: Router,
    state: Arc<State>,
    /// Where the peer is a trusted proxy.
    proxies: Option<TrustedProxies>,
}

impl Requests {
    /// The connection's peer; of a proxy's, whom it speaks for in this request.
    fn peer_of(&self, request: &Request<Incoming>) -> Arc<Peer> {
        let Some(proxies) = &self.proxies else { return Arc::clone(&self.state.peer) };
        let client = forwarded::address_of(self.state.peer.client, request.headers(), proxies);
        Arc::new(Peer { client, ..Peer::clone(&self.state.peer) })
    }
}

impl hyper::service::Service<Request<Incoming>> for Requests {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let peer = self.peer_of(&request);
        request.extensions_mut().insert(peer);
        let wrong = host::wrong(&request);
        let (request, watch) = early::watch(request);
        let answering = wrong.is_none().then(|| self.app.clone().call(request));
        let state = Arc::clone(&self.state);
        Box::pin(async move {
            let mut answer = match answering {
                Some(answering) => answering.await?,
                None => (StatusCode::BAD_REQUEST, wrong.unwrap_or_default()).into_response(),
            };
            if let Some(watch) = watch
                && watch.settle(&mut answer).await
            {
                state.lingers.store(true, Relaxed);
            }
            if state.place.is_wanted() {
                early::close(&mut answer);
            }
            Ok(answer)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepted_sockets_have_the_listeners_options() {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.0.accept().await.unwrap();
        let socket = SockRef::from(&accepted);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED));
    }
}

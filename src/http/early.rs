//! Answers given before the request's body came, whoever gives them: a refusal, a path that does not exist, a handler that reads no body.
//!
//! What is left of a small body is taken and dropped, so that the connection serves on. After a larger one the answer says so
//! (`Connection: close`), and the end lingers: closed with bytes unread, a socket is reset, and the reset overtakes the answer at a peer
//! that still sends.

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use http_body_util::BodyExt;
use hyper::{
    Request,
    body::{Frame, Incoming, SizeHint},
};
use std::{
    io, mem,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::server::TlsStream;

/// The most that is dropped of a body for the connection's sake.
const SMALL: u64 = 64 * 1024;
/// A small body's time to come, after its answer.
const DRAINED: Duration = Duration::from_secs(30);
/// How long an answer waits for the end of a body that does not say its length.
const LOOKED_FOR: Duration = Duration::from_millis(250);
/// How long the end lingers, from the answer on.
const LINGERED: Duration = Duration::from_secs(5);
/// How many bytes it takes meanwhile, as they come over the wire: the largest body that is read anywhere, and what TLS adds to it.
const LINGERED_BYTES: usize = 9 * 1024 * 1024;

/// What becomes of one request's body.
pub(super) struct Watch {
    rest: Arc<Mutex<Rest>>,
    /// The peer may be waiting for a word before it sends the body.
    expects: bool,
}

enum Rest {
    /// Whoever has it reads on, or may.
    Held,
    /// It was read to its end.
    Whole,
    Left(Left),
}

/// A body that was given up. `begun`: its reader had asked for a piece.
struct Left {
    body: Incoming,
    begun: bool,
}

/// Gives the request a body whose fate can be seen; `None` where it has none.
pub(super) fn watch(request: Request<Incoming>) -> (Request<Body>, Option<Watch>) {
    let (head, body) = request.into_parts();
    if body.is_end_stream() {
        return (Request::from_parts(head, Body::new(body)), None);
    }
    let rest = Arc::new(Mutex::new(Rest::Held));
    let watch = Watch { rest: Arc::clone(&rest), expects: head.headers.contains_key(header::EXPECT) };
    let watched = Watched { body: Some(body), begun: false, ended: false, rest };
    (Request::from_parts(head, Body::new(watched)), Some(watch))
}

/// The body as the handlers read it: given up, it goes back.
struct Watched {
    body: Option<Incoming>,
    begun: bool,
    ended: bool,
    rest: Arc<Mutex<Rest>>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.begun = true;
        let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
        let polled = Pin::new(&mut *body).poll_frame(cx);
        let at_end = matches!(polled, Poll::Ready(None)) || body.is_end_stream();
        if at_end && !self.ended {
            // Whoever has it may keep it for a while yet: a call to another server, for one.
            self.ended = true;
            self.tell(Rest::Whole);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Watched {
    fn tell(&self, rest: Rest) {
        *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = rest;
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|_| !self.ended) {
            self.tell(Rest::Left(Left { body, begun: self.begun }));
        }
    }
}

impl Watch {
    /// Prepares the answer for what is left of the body. True where the connection's end must linger.
    pub(super) async fn settle(self, answer: &mut Response) -> bool {
        let rest = mem::replace(&mut *self.rest.lock().unwrap_or_else(PoisonError::into_inner), Rest::Held);
        let serves_on = match rest {
            Rest::Whole => return false,
            // Nobody can say whether it will be read.
            Rest::Held => false,
            Rest::Left(left) => !says_close(answer.headers()) && left.drain(self.expects).await,
        };
        if !serves_on {
            close(answer);
        }
        !serves_on
    }
}

/// Says in an answer that the connection ends with it.
pub(super) fn close(answer: &mut Response) {
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
}

fn says_close(headers: &HeaderMap) -> bool {
    headers.get(header::CONNECTION).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"))
}

impl Left {
    /// Whether another request can follow. A length that was given is taken at its word, so that the answer need not wait.
    async fn drain(self, expects: bool) -> bool {
        // Told no word, the peer may send the body or another request: nobody can tell the two apart.
        if expects && !self.begun {
            return false;
        }
        match self.body.size_hint().exact() {
            Some(length) if length <= SMALL => {
                drop(tokio::spawn(timeout(DRAINED, dropped(self.body))));
                true
            }
            Some(_) => false,
            None => timeout(LOOKED_FOR, dropped(self.body)).await.unwrap_or(false),
        }
    }
}

/// Takes what is left of a body. True where it was small, and came to its end.
async fn dropped(mut body: Incoming) -> bool {
    let mut bytes = 0;
    loop {
        match body.frame().await {
            None => return true,
            Some(Err(_)) => return false,
            Some(Ok(frame)) => {
                bytes += frame.data_ref().map_or(0, |data| u64::try_from(data.len()).unwrap_or(u64::MAX));
                if bytes > SMALL {
                    return false;
                }
            }
        }
    }
}

/// Ends a connection. Where it lingers, what the peer still sends is taken and dropped for a while.
pub(super) async fn end(mut stream: TlsStream<TcpStream>, lingers: bool) {
    let ended = timeout(LINGERED, async {
        stream.shutdown().await?;
        if lingers { linger(stream.into_inner().0).await } else { Ok(()) }
    });
    if let Ok(Err(error)) = ended.await {
        tracing::debug!(%error, "connection did not end in order");
    }
}

async fn linger(mut socket: TcpStream) -> io::Result<()> {
    let (mut piece, mut bytes) = ([0; 8 * 1024], 0_usize);
    while bytes < LINGERED_BYTES {
        match socket.read(&mut piece).await? {
            0 => break,
            read => bytes += read,
        }
    }
    Ok(())
}

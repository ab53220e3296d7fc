//! A request that is held for long, as a Ping is: while nobody answers there is nothing of it here but its connection.
//!
//! hyper's client takes some 20 kB for a connection, most of it to read and write by. So the request is written here, and the
//! connection waited on for its first byte; from then on it is hyper's, which writes a request of its own to it in vain, and reads.

use super::connector::{Connector, Io};
use axum::{BoxError, body::Body};
use hyper::{
    Method, Request, Response, Uri,
    body::{Bytes, Incoming},
    client::conn::http1,
    header, rt,
};
use hyper_util::rt::TokioIo;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower_service::Service as _;

/// Why there is no answer.
pub(super) enum Failed {
    /// No connection: nothing was sent.
    Connect(BoxError),
    /// It broke, or what came is no answer.
    Broken(BoxError),
}

/// Sends it over a connection of its own, and returns at the answer's head. The body is read whole before it is sent.
pub(super) fn send(
    connector: Connector,
    request: Request<Body>,
) -> impl Future<Output = Result<Response<Incoming>, Failed>> {
    let method = request.method().clone();
    let asking = Box::pin(ask(connector, request));
    async move {
        let mut io = asking.await?;
        // Here it stays: nothing large may live on in this future.
        let answer = match io.read_u8().await {
            Ok(first) => Box::pin(answer(Answering::new(first, io.into_inner()), method)).await,
            Err(error) => return Err(Failed::Broken(error.into())),
        };
        answer.map_err(|error| Failed::Broken(error.into()))
    }
}

/// The connection, with the request on its way.
async fn ask(mut connector: Connector, request: Request<Body>) -> Result<TokioIo<Io>, Failed> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.map_err(|error| Failed::Broken(error.into()))?;
    let io = connector.call(head.uri.clone()).await.map_err(Failed::Connect)?;
    let mut io = TokioIo::new(io);
    let whole = written(&head, &body);
    let sent = async {
        io.write_all(&whole).await?;
        io.flush().await
    };
    sent.await.map_err(|error| Failed::Broken(error.into()))?;
    Ok(io)
}

/// A request as it goes over the wire (RFC 9112 3). `http` has seen to it that no part of it holds a line's end.
fn written(head: &hyper::http::request::Parts, body: &Bytes) -> Vec<u8> {
    let target = head.uri.path_and_query().map_or("/", hyper::http::uri::PathAndQuery::as_str);
    let mut to = format!("{} {target} HTTP/1.1\r\n", head.method).into_bytes();
    let mut line = |name: &str, value: &[u8]| {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            to.extend_from_slice(part);
        }
    };
    if !head.headers.contains_key(header::HOST) {
        line("host", host(&head.uri).as_bytes());
    }
    for (name, value) in &head.headers {
        // How long it is and what becomes of the connection is ours to say.
        if ![header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION].contains(name) {
            line(name.as_str(), value.as_bytes());
        }
    }
    line("content-length", body.len().to_string().as_bytes());
    line("connection", b"close");
    to.extend_from_slice(b"\r\n");
    to.extend_from_slice(body);
    to
}

/// Without its port where that is the scheme's own (RFC 9110 7.2).
fn host(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    match (uri.scheme_str(), uri.port_u16()) {
        (_, None) | (Some("http"), Some(80)) | (Some("https"), Some(443)) => host.to_string(),
        (_, Some(port)) => format!("{host}:{port}"),
    }
}

/// The head of what is answered to a request by this method. The body comes over the same connection.
async fn answer(io: Answering, method: Method) -> hyper::Result<Response<Incoming>> {
    let (mut sender, connection) = http1::handshake(io).await?;
    drop(tokio::spawn(connection));
    let mut asked = Request::new(Body::empty());
    *asked.method_mut() = method;
    sender.send_request(asked).await
}

/// A connection whose request has gone already. What is written to it goes nowhere.
struct Answering {
    /// Read before.
    first: Option<u8>,
    io: Io,
    /// hyper takes an answer for a fault before it has written what it asks.
    asked: bool,
    reader: Option<Waker>,
}

impl Answering {
    fn new(first: u8, io: Io) -> Self {
        Self { first: Some(first), io, asked: false, reader: None }
    }
}

impl rt::Read for Answering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.asked {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if let Some(first) = self.first.filter(|_| buf.remaining() > 0) {
            buf.put_slice(&[first]);
            self.first = None;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl rt::Write for Answering {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.asked = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

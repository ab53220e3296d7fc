//! Reading a request's body within bounds.

use super::early;
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::{Request, body::Body as HttpBody};
use std::{
    convert::Infallible,
    future::{Future, ready},
    time::Duration,
};
use tokio::time::timeout;

/// How long a body may stand still.
pub const BODY_IDLE: Duration = Duration::from_secs(30);
/// SCEP messages, SOAP, certificate requests; what we interpret of EAS.
pub const SMALL_BODY: usize = 256 * 1024;
/// SyncML and property lists.
pub const LARGE_BODY: usize = 8 * 1024 * 1024;
/// So much is read of anybody: whoever sends more is judged before ([`read_judged`]).
pub const UNJUDGED: usize = 64 * 1024;
/// Room made before the first bytes are there: a claimed length costs the sender nothing.
const FIRST_ROOM: usize = 16 * 1024;

/// Why a body was not read. As a response: fixed text, with its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Longer than allowed; known from Content-Length, or found while reading.
    #[error("the body is longer than {max} bytes")]
    TooLarge {
        /// The most that is taken here.
        max: usize,
    },
    /// Nothing came for too long.
    #[error("the body stopped coming")]
    Idle,
    /// The connection broke, or the framing is wrong.
    #[error("the body broke off")]
    Broken,
    /// Compressed: we read plain bodies only.
    #[error("bodies with a Content-Encoding are not read")]
    Encoded,
}

impl BodyError {
    /// 413, 408, 400 or 415.
    pub fn status(self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Idle => StatusCode::REQUEST_TIMEOUT,
            Self::Broken => StatusCode::BAD_REQUEST,
            Self::Encoded => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }
}

impl IntoResponse for BodyError {
    fn into_response(self) -> Response {
        let mut response = (self.status(), format!("{self}\n")).into_response();
        // No end of such a body can be waited for; of the others the listener sees whether it is near (`early.rs`).
        if matches!(self, Self::Idle | Self::Broken) {
            early::close(&mut response);
        }
        response
    }
}

/// The whole body of a request that we interpret, at most `max` bytes, `idle` between two pieces of it.
pub async fn read_body(request: Request<Body>, max: usize, idle: Duration) -> Result<Bytes, BodyError> {
    let (parts, body) = request.into_parts();
    read_from(&parts.headers, body, max, idle).await
}

/// The same for handlers that need the head as well.
pub async fn read_whole(request: Request<Body>, max: usize, idle: Duration) -> Result<(Parts, Bytes), BodyError> {
    let (parts, body) = request.into_parts();
    let bytes = read_from(&parts.headers, body, max, idle).await?;
    Ok((parts, bytes))
}

/// Why a body was not read whole by [`read_judged`].
#[derive(Debug)]
pub enum Unread<E> {
    /// For itself.
    Body(BodyError),
    /// For who sends it.
    Refused(E),
}

impl<E> From<BodyError> for Unread<E> {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

/// The same for a body whose head was taken off. Refused unread, where the head already says so.
pub async fn read_from<B>(headers: &HeaderMap, body: B, max: usize, idle: Duration) -> Result<Bytes, BodyError>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    read_judged(headers, body, max, idle, ready(Ok::<(), Infallible>(()))).await.map_err(|unread| match unread {
        Unread::Body(error) => error,
        Unread::Refused(never) => match never {},
    })
}

/// The same where `judge` says whether who asks may send so much. It is asked before more than [`UNJUDGED`] bytes are read, and for smaller
/// bodies not at all: most messages are judged by what is done with them, in one call.
pub async fn read_judged<B, E>(
    headers: &HeaderMap,
    mut body: B,
    max: usize,
    idle: Duration,
    judge: impl Future<Output = Result<(), E>>,
) -> Result<Bytes, Unread<E>>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    if is_encoded(headers) {
        return Err(BodyError::Encoded.into());
    }
    let too_large = BodyError::TooLarge { max };
    let claimed = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if claimed > max {
        return Err(too_large.into());
    }
    let mut judge = Some(judge);
    if let Some(judge) = judge.take_if(|_| claimed > UNJUDGED) {
        judge.await.map_err(Unread::Refused)?;
    }
    let first = match next(&mut body, idle).await? {
        None => return Ok(Bytes::new()),
        Some(first) if first.len() > max => return Err(too_large.into()),
        // Most bodies come in one piece, which is taken as it is.
        Some(first) if body.is_end_stream() => return Ok(first),
        Some(first) => first,
    };
    let mut whole = BytesMut::with_capacity(first.len().max(FIRST_ROOM.min(max)));
    whole.extend_from_slice(&first);
    while let Some(piece) = next(&mut body, idle).await? {
        let length = whole.len().saturating_add(piece.len());
        if length > max {
            return Err(too_large.into());
        }
        if let Some(judge) = judge.take_if(|_| length > UNJUDGED) {
            judge.await.map_err(Unread::Refused)?;
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

/// The next piece with bytes in it; trailers are dropped.
async fn next<B>(body: &mut B, idle: Duration) -> Result<Option<Bytes>, BodyError>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    loop {
        match timeout(idle, body.frame()).await.map_err(|_| BodyError::Idle)? {
            None => return Ok(None),
            Some(Err(_)) => return Err(BodyError::Broken),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) if !data.is_empty() => return Ok(Some(data)),
                _ => {}
            },
        }
    }
}

fn is_encoded(headers: &HeaderMap) -> bool {
    let plain = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    headers.get_all(header::CONTENT_ENCODING).iter().any(|value| !value.is_empty() && !plain(value))
}

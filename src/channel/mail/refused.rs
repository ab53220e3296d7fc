//! Whether the mail server's answer is the refusal of a client that is to provision first, however it is framed: HTTP 449, or a status in
//! a document, with a length or without, compressed or not.

use super::{refusal::Refusal, upstream::Patience};
use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Frame, SizeHint};
use lanyard_activesync::status::{LONGEST_REFUSAL, may_want_provision, wants_provision};
use std::{
    pin::Pin,
    task::{Context, Poll},
};
use tokio::time::timeout;

/// The same status at all versions, from some servers.
const NEED_PROVISIONING: u16 = 449;
/// What a compressed refusal may come to.
const UNPACKED: usize = 4 * LONGEST_REFUSAL;

/// The answer comes back whole; a mail server that begins one and says no more is given up. What is held open and can be no refusal is not waited for.
pub(super) async fn is_refusal(answer: Response, Patience(patience): Patience) -> Result<(bool, Response), Refusal> {
    if answer.status().as_u16() == NEED_PROVISIONING {
        return Ok((true, answer));
    }
    let long = answer.body().size_hint().lower() > LONGEST_REFUSAL as u64;
    if answer.status() != StatusCode::OK || long || !may_be_document(answer.headers()) || answer.body().is_end_stream()
    {
        return Ok((false, answer));
    }
    let (head, mut body) = answer.into_parts();
    let packed = is_gzip(&head.headers);
    let mut begun = BytesMut::new();
    while let Some(frame) = timeout(patience, body.frame()).await.map_err(|_| Refusal::Away)? {
        let Ok(data) = frame.map_err(|_| Refusal::Away)?.into_data() else { continue };
        begun.extend_from_slice(&data);
        if begun.len() > LONGEST_REFUSAL || !packed && !may_want_provision(&begun) {
            let resumed = Resumed::new(begun.freeze(), body);
            return Ok((false, Response::from_parts(head, Body::new(resumed))));
        }
    }
    let whole = begun.freeze();
    let refused = if packed { gunzip(&whole).is_some_and(|plain| wants(&plain)) } else { wants(&whole) };
    Ok((refused, Response::from_parts(head, Body::from(whole))))
}

fn wants(body: &[u8]) -> bool {
    wants_provision(body).is_some()
}

fn may_be_document(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_none_or(|kind| {
        kind.to_str().is_ok_and(|kind| kind.to_ascii_lowercase().starts_with("application/vnd.ms-sync"))
    })
}

fn is_gzip(headers: &HeaderMap) -> bool {
    let coding = headers.get(header::CONTENT_ENCODING).and_then(|coding| coding.to_str().ok());
    coding.is_some_and(|coding| coding.to_ascii_lowercase().contains("gzip"))
}

/// A short body, unpacked (RFC 1952). Only what it needs of the head: optional fields are passed over.
pub(super) fn gunzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let [0x1F, 0x8B, 8, flags, _, _, _, _, _, _, rest @ ..] = bytes else { return None };
    let mut rest = rest;
    if flags & 4 != 0 {
        let [low, high, more @ ..] = rest else { return None };
        rest = more.get(usize::from(u16::from_le_bytes([*low, *high]))..)?;
    }
    for named in [8, 16] {
        if flags & named != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest = rest.get(end + 1..)?;
        }
    }
    if flags & 2 != 0 {
        rest = rest.get(2..)?;
    }
    miniz_oxide::inflate::decompress_to_vec_with_limit(rest, UNPACKED).ok()
}

/// A body of which something was read already.
pub(super) struct Resumed {
    begun: Option<Bytes>,
    rest: Body,
}

impl Resumed {
    pub(super) fn new(begun: Bytes, rest: Body) -> Self {
        Self { begun: Some(begun), rest }
    }
}

impl hyper::body::Body for Resumed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.begun.take() {
            Some(begun) => Poll::Ready(Some(Ok(Frame::data(begun)))),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.begun.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (begun, rest) = (self.begun.as_ref().map_or(0, Bytes::len) as u64, self.rest.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(begun.saturating_add(rest.lower()));
        if let Some(upper) = rest.upper() {
            hint.set_upper(begun.saturating_add(upper));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Patience = Patience(std::time::Duration::from_secs(30));
    use axum::response::IntoResponse;
    use lanyard_activesync::{
        Command, Status, Version,
        status::{CONTENT_TYPE, refusal},
    };

    /// Deflate's stored form is enough to have a gzip body.
    fn gzip(plain: &[u8], flags: u8) -> Vec<u8> {
        let mut packed = vec![0x1F, 0x8B, 8, flags, 0, 0, 0, 0, 0, 3];
        if flags & 4 != 0 {
            packed.extend([2, 0, 9, 9]);
        }
        for named in [8, 16] {
            if flags & named != 0 {
                packed.extend(b"name\0");
            }
        }
        if flags & 2 != 0 {
            packed.extend([1, 1]);
        }
        packed.extend(miniz_oxide::deflate::compress_to_vec(plain, 6));
        packed.extend([0; 8]);
        packed
    }

    fn framed(kind: Option<&'static str>, gzipped: bool, pieces: Vec<Vec<u8>>) -> Response {
        let mut answer = Body::new(Pieces(pieces.into())).into_response();
        answer.headers_mut().remove(header::CONTENT_TYPE);
        if let Some(kind) = kind {
            answer.headers_mut().insert(header::CONTENT_TYPE, kind.parse().unwrap());
        }
        if gzipped {
            answer.headers_mut().insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
        }
        answer
    }

    /// A body without a length.
    struct Pieces(std::collections::VecDeque<Vec<u8>>);
    impl hyper::body::Body for Pieces {
        type Data = Bytes;
        type Error = std::io::Error;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(Bytes::from(piece)))))
        }
    }

    #[tokio::test]
    async fn a_refusal_is_recognised_however_it_is_framed() {
        let refused = refusal(Version::V14_1, Command::Sync, Status(141)).body;
        let ok = refusal(Version::V14_1, Command::Sync, Status(111)).body;
        let bytes = |body: &[u8]| body.iter().map(|byte| vec![*byte]).collect::<Vec<_>>();
        for (row, kind, gzipped, pieces, want) in [
            ("in one piece", Some(CONTENT_TYPE), false, vec![refused.clone()], true),
            ("byte by byte", Some(CONTENT_TYPE), false, bytes(&refused), true),
            ("without a type", None, false, vec![refused.clone()], true),
            ("compressed", Some("application/vnd.ms-sync"), true, bytes(&gzip(&refused, 0)), true),
            ("with all fields", Some(CONTENT_TYPE), true, vec![gzip(&refused, 0x1E)], true),
            ("another status", Some(CONTENT_TYPE), true, vec![gzip(&ok, 0)], false),
            ("not what it says", Some(CONTENT_TYPE), true, vec![refused.clone()], false),
            ("a page", Some("text/html"), false, vec![refused.clone()], false),
            ("much", Some(CONTENT_TYPE), false, vec![refused.clone(), vec![1; 600]], false),
        ] {
            let whole: Vec<u8> = pieces.concat();
            let (found, answer) = is_refusal(framed(kind, gzipped, pieces), SOON).await.unwrap();
            assert_eq!(found, want, "{row}");
            let back = axum::body::to_bytes(answer.into_body(), 4096).await.unwrap();
            assert_eq!(back, whole, "{row} comes back whole");
        }
        let old = StatusCode::from_u16(449).unwrap().into_response();
        assert!(is_refusal(old, SOON).await.unwrap().0);
    }

    #[test]
    fn what_is_no_gzip_is_none() {
        for bytes in [&b""[..], b"\x1f\x8b", &gzip(b"x", 0)[..12], &[0x1F, 0x8B, 8, 4, 0, 0, 0, 0, 0, 0, 255, 255]] {
            assert_eq!(gunzip(bytes), None, "{bytes:?}");
        }
        assert_eq!(gunzip(&gzip(&[7; 5000], 0)), None, "a bomb");
    }
}

//! A client's request that may have to be sent once more, with another key of the mail server's.

use super::{
    login::Login,
    refusal::Refusal,
    upstream::{self, Patience},
};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Request, Uri, request::Parts},
};
use bytes::Bytes;
use hyper::body::Body as _;
use lanyard_activesync::{Command, PolicyKey};
use std::net::IpAddr;

/// Longer bodies are streamed, and so are those that do not say how long they are: what streams is gone.
const KEPT: u64 = 64 * 1024;

/// See the module.
pub(super) struct Again {
    command: Command,
    head: Parts,
    from: IpAddr,
    body: Bytes,
}

impl Again {
    /// Keeps what it takes, where that is little; the body comes back as it is to go on.
    pub(super) async fn of(
        command: Command,
        head: &Parts,
        from: IpAddr,
        body: Body,
    ) -> Result<(Option<Self>, Body), Refusal> {
        let small = body.size_hint().upper().is_some_and(|most| most <= KEPT);
        if !small {
            return Ok((None, body));
        }
        let body = axum::body::to_bytes(body, usize::MAX).await.map_err(|_| Refusal::Gone)?;
        let again = Self { command, head: copied(head), from, body: Bytes::copy_from_slice(&body) };
        Ok((Some(again), Body::from(body)))
    }

    /// What it says.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// How long the mail server may take for it.
    pub(super) fn patience(&self) -> Patience {
        Patience::of(self.command, Some(&self.body))
    }

    /// Whether it is sent once more when its client has been provisioned with the mail server. A Ping is not: it may be held for an hour,
    /// and its client is sent to FolderSync.
    pub(super) fn is_repeated(&self) -> bool {
        self.command != Command::Ping
    }

    /// Whether it does no harm where the mail server had it already and could not answer. Mail would go out twice: what sends it gets a
    /// connection of its own.
    pub(super) fn may_be_sent_twice(&self) -> bool {
        !matches!(self.command, Command::SendMail | Command::SmartForward | Command::SmartReply)
    }

    /// The request, with this key.
    pub(super) fn request(
        &self,
        upstream: &Uri,
        login: Option<&Login>,
        key: Option<PolicyKey>,
    ) -> Result<Request<Body>, Refusal> {
        upstream::request(upstream, &self.head, self.from, login, key, Body::from(self.body.clone()))
    }
}

/// A copy that shares nothing with the connection's read buffer.
fn copied(head: &Parts) -> Parts {
    let (mut copy, ()) = Request::new(()).into_parts();
    copy.method = head.method.clone();
    copy.uri = head.uri.to_string().parse().unwrap_or_default();
    let value = |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes()).ok();
    copy.headers = head.headers.iter().filter_map(|(name, v)| Some((name.clone(), value(v)?))).collect::<HeaderMap>();
    copy
}

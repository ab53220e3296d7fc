//! To the mail server and back: what of a request's head goes on, and what of the answer's. Bodies are streamed both ways.

use super::{
    PATH,
    gateway::Gateway,
    login::{InTheNameOf, Login},
    refusal::Refusal,
    via,
};
use crate::{
    http::{forwarded::X_FORWARDED_FOR, limits::BODY_IDLE, outgoing::OutgoingError},
    server::{Server, signon::SignOn},
};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use lanyard_activesync::{
    Command, PolicyKey,
    options::{self, COMMANDS_HEADER, VERSIONS_HEADER},
    packed, ping, sync,
};
use std::{
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{sync::Notify, time::Sleep};

/// Between two neighbours only (RFC 9110 7.6.1): of the mail server's answers these stay here.
const BETWEEN_NEIGHBOURS: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "alt-svc",
];
/// What of a client's headers goes on. Not "all but what we know": many servers believe a header that names the user (`x-webobjects-remote-user`,
/// `Remote-User`, `X-Forwarded-User` …), and some read `_` for `-`.
const PASSED: [&str; 40] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "client-request-id",
    "content-encoding",
    "content-language",
    "content-type",
    "cookie",
    "date",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "ms-asacceptmultipart",
    "ms-asprotocolversion",
    "ms-asprotocolversions",
    "origin",
    "pragma",
    "prefer",
    "range",
    "referer",
    "return-client-request-id",
    "soapaction",
    "user-agent",
    "x-anchormailbox",
    "x-clientapplication",
    "x-clientinfo",
    "x-deviceinfo",
    "x-expirationinfo",
    "x-featureversion",
    "x-mapihttpcapability",
    "x-ms-cookieuri-requested",
    "x-pendingperiod",
    "x-preferserveraffinity",
    "x-requested-with",
    "x-requestid",
    "x-requesttype",
];
/// Outlook on the web has many, none of which names a user.
const PASSED_FAMILY: &str = "x-owa-";
pub(super) const POLICY_KEY: &str = "x-ms-policykey";

/// The mail server's address with a query.
pub(super) fn address(upstream: &Uri, query: Option<&str>) -> Option<Uri> {
    let path = match upstream.path() {
        "" | "/" => PATH,
        path => path,
    };
    let target = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_string(),
    };
    let mut parts = upstream.clone().into_parts();
    parts.path_and_query = Some(target.parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// A client's request as it goes on: the same, with the mail server's own policy key in place of ours, 0 where there is none, those of its
/// headers that may pass, and the address that it came from.
pub(super) fn request(
    upstream: &Uri,
    head: &Parts,
    from: IpAddr,
    login: Option<&Login>,
    key: Option<PolicyKey>,
    body: Body,
) -> Result<Request<Body>, Refusal> {
    let query = packed::with_key(head.uri.query().unwrap_or_default(), key).map_err(Refusal::Head)?;
    let mut onward = Request::new(body);
    *onward.method_mut() = head.method.clone();
    *onward.uri_mut() = address(upstream, Some(&query)).ok_or(Refusal::NoUpstream)?;
    let headers = onward.headers_mut();
    pass(&head.headers, headers);
    if let Ok(from) = HeaderValue::try_from(from.to_string()) {
        headers.insert(X_FORWARDED_FOR, from);
    }
    headers.insert(POLICY_KEY, HeaderValue::from(key.map_or(0, PolicyKey::get)));
    if let Some(login) = login {
        login.put(&mut onward);
    }
    Ok(onward)
}

/// The headers that a request names as meant for its neighbour alone.
fn named(headers: &HeaderMap) -> Vec<HeaderName> {
    let lists = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).filter_map(|name| HeaderName::try_from(name.trim()).ok()).collect()
}

/// Whether a header of this name may reach the mail server with a client's words in it.
pub(crate) fn is_passed(name: &HeaderName) -> bool {
    let text = name.as_str();
    PASSED.contains(&text) || text.starts_with(PASSED_FAMILY) || text == POLICY_KEY || *name == via::PASSED_BY
}

/// A client's headers on their way to the mail server.
pub(super) fn pass(from: &HeaderMap, to: &mut HeaderMap) {
    let named = named(from);
    for (name, value) in from {
        let text = name.as_str();
        if (PASSED.contains(&text) || text.starts_with(PASSED_FAMILY)) && !named.contains(name) {
            to.append(name.clone(), value.clone());
        }
    }
}

/// The mail server's headers on their way to the client.
fn copy(from: &HeaderMap, to: &mut HeaderMap) {
    let named = named(from);
    for (name, value) in from {
        if !BETWEEN_NEIGHBOURS.contains(&name.as_str()) && !named.contains(name) {
            to.append(name.clone(), value.clone());
        }
    }
}

/// The head of the mail server's answer as it goes back.
pub(super) fn head(answer: &hyper::Response<Incoming>) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    let headers = response.headers_mut();
    copy(answer.headers(), headers);
    for (name, rewrite) in
        [(VERSIONS_HEADER, options::versions as fn(&str) -> String), (COMMANDS_HEADER, options::commands)]
    {
        let Some(said) = headers.get(name).and_then(|v| v.to_str().ok()).map(rewrite) else { continue };
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(said)) {
            headers.insert(name, value);
        }
    }
    keep_logins_that_pass(headers);
    response
}

/// NTLM and Negotiate hold for one connection: what is offered must work through us.
fn keep_logins_that_pass(headers: &mut HeaderMap) {
    let offered: Vec<HeaderValue> = headers.get_all(header::WWW_AUTHENTICATE).iter().cloned().collect();
    headers.remove(header::WWW_AUTHENTICATE);
    for offer in offered {
        let scheme =
            offer.to_str().unwrap_or_default().split([' ', ',']).next().unwrap_or_default().to_ascii_lowercase();
        if scheme != "ntlm" && scheme != "negotiate" {
            headers.append(header::WWW_AUTHENTICATE, offer);
        }
    }
}

/// A refusal of the mail server's to our own OPTIONS: its head alone.
pub(super) fn refused(answer: &hyper::Response<Incoming>) -> Response {
    let mut response = head(answer);
    for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING] {
        response.headers_mut().remove(name);
    }
    if response.status() == StatusCode::UNAUTHORIZED && !response.headers().contains_key(header::WWW_AUTHENTICATE) {
        return Refusal::NoLogin.into_response();
    }
    response
}

/// The server that 451 names: one to call, and no less guarded than the mail server that says so.
pub(super) fn moved(upstream: &Uri, answer: &hyper::Response<Incoming>) -> Option<Uri> {
    let said = answer.headers().get("x-ms-location")?.to_str().ok()?;
    next_server(upstream, said)
}

pub(super) fn next_server(upstream: &Uri, said: &str) -> Option<Uri> {
    let uri: Uri = said.trim().parse().ok()?;
    let scheme = uri.scheme_str().filter(|scheme| *scheme == "https" || upstream.scheme_str() == Some("http"))?;
    let plain = uri.authority().is_some_and(|at| !at.as_str().contains('@')) && ["http", "https"].contains(&scheme);
    plain.then_some(uri)
}

impl Gateway {
    /// One request and the head of its answer, which may take so long once the request is there whole.
    pub(super) async fn send(
        &self,
        onward: Request<Body>,
        patience: Patience,
    ) -> Result<hyper::Response<Incoming>, Refusal> {
        let (onward, there) = self.ready(onward).await?;
        within(self.server.outgoing.send(onward), there, patience).await
    }

    /// The same for a request that is held.
    pub(super) async fn send_held(
        &self,
        onward: Request<Body>,
        patience: Patience,
    ) -> Result<hyper::Response<Incoming>, Refusal> {
        let (onward, there) = self.ready(onward).await?;
        within(self.server.outgoing.send_held(onward), there, patience).await
    }

    /// The same over a connection of its own.
    pub(super) async fn send_afresh(
        &self,
        onward: Request<Body>,
        patience: Patience,
    ) -> Result<hyper::Response<Incoming>, Refusal> {
        let (onward, there) = self.ready(onward).await?;
        within(self.server.outgoing.send_afresh(onward), there, patience).await
    }

    /// Marked, and with its ticket where it is to have one.
    async fn ready(&self, mut onward: Request<Body>) -> Result<(Request<Body>, Arc<Notify>), Refusal> {
        via::mark(onward.headers_mut(), &self.server);
        sign(&self.server, &mut onward).await.map_err(|why| no_ticket(&why))?;
        Ok(told_when_sent(onward))
    }
}

/// A request that is to have a ticket gets one, of its own: each is good once.
pub(super) async fn sign<B>(server: &Server, onward: &mut Request<B>) -> Result<(), String> {
    let Some(InTheNameOf(user)) = onward.extensions_mut().remove() else { return Ok(()) };
    let Some(SignOn::Kerberos(tickets)) = &server.eas_signon else { return Err("no Kerberos".into()) };
    let ticket = tickets.negotiate(&user).await?;
    onward.headers_mut().insert(header::AUTHORIZATION, ticket);
    Ok(())
}

fn no_ticket(why: &str) -> Refusal {
    tracing::error!(why, "Kerberos (--eas-signon)");
    Refusal::NoTicket
}

/// How long the mail server may take for the head of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patience(pub(super) Duration);

impl Patience {
    /// For what is answered at once.
    const SOON: Duration = Duration::from_secs(30);
    /// For what is held as long as its client said before.
    const LONGEST: Duration = Duration::from_secs(3600);
    /// For what nobody here reads.
    pub(super) const UNREAD: Self = Self(Self::LONGEST);

    /// Whether the answer is held for something to happen.
    pub(super) fn is_long(self) -> bool {
        self.0 > Self::SOON
    }

    /// By the command; Ping and Sync are held as long as they say, and where they say nothing as long as they may.
    pub(super) fn of(command: Command, body: Option<&[u8]>) -> Self {
        let held = match (command, body) {
            (Command::Ping, Some(body)) => {
                Some(ping::Request::parse(body).ok().and_then(|said| said.heartbeat_seconds))
            }
            (Command::Sync, Some([])) => Some(None),
            (Command::Sync, Some(body)) => sync::held_seconds(body).map(Some),
            (Command::Ping, None) => Some(None),
            _ => None,
        };
        let held = match held {
            None => Duration::ZERO,
            Some(said) => said.map_or(Self::LONGEST, |seconds| Duration::from_secs(seconds.into())).min(Self::LONGEST),
        };
        Self(held + Self::SOON)
    }
}

/// A request whose body tells when it has left whole.
fn told_when_sent(onward: Request<Body>) -> (Request<Body>, Arc<Notify>) {
    let there = Arc::new(Notify::new());
    let (head, body) = onward.into_parts();
    let body = match body.is_end_stream() {
        true => {
            there.notify_one();
            body
        }
        false => Body::new(Told { body, there: Some(there.clone()) }),
    };
    (Request::from_parts(head, body), there)
}

async fn within(
    answer: impl Future<Output = Result<hyper::Response<Incoming>, OutgoingError>>,
    there: Arc<Notify>,
    Patience(patience): Patience,
) -> Result<hyper::Response<Incoming>, Refusal> {
    let silent = async {
        there.notified().await;
        tokio::time::sleep(patience).await;
    };
    tokio::select! {
        biased;
        answer = answer => match answer {
            Ok(answer) if answer.status() == StatusCode::LOOP_DETECTED => {
                tracing::error!(
                    "what --eas-upstream names, or the name by which the mail server sends its users on, leads back to this server"
                );
                Err(Refusal::Away)
            }
            answer => answer.map_err(|error| away(&error)),
        },
        () = silent => {
            tracing::warn!(seconds = patience.as_secs(), "the mail server did not answer in time");
            Err(Refusal::Away)
        }
    }
}

struct Told {
    body: Body,
    there: Option<Arc<Notify>>,
}

impl Drop for Told {
    /// Read to its end, or given up: whoever has it reads no more.
    fn drop(&mut self) {
        if let Some(there) = self.there.take() {
            there.notify_one();
        }
    }
}

impl hyper::body::Body for Told {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if (matches!(polled, Poll::Ready(None)) || self.body.is_end_stream())
            && let Some(there) = self.there.take()
        {
            there.notify_one();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request's body as it comes, given up where it stands still.
pub(super) fn streamed(body: Body) -> Body {
    Body::new(Streamed { body, idle: None })
}

struct Streamed {
    body: Body,
    idle: Option<Pin<Box<Sleep>>>,
}

impl hyper::body::Body for Streamed {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.idle = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let idle = self.idle.get_or_insert_with(|| Box::pin(tokio::time::sleep(BODY_IDLE)));
        match idle.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Some(Err("the body stopped coming".into()))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A status for people.
pub(super) fn status_of(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

fn away(error: &OutgoingError) -> Refusal {
    if matches!(error, OutgoingError::Broken { .. }) {
        tracing::debug!(%error, "mail server");
        return Refusal::Broken;
    }
    tracing::warn!(%error, "mail server");
    Refusal::Away
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mail_server_may_take_as_long_as_the_client_lets_it() {
        let seconds = |seconds| Patience(Duration::from_secs(seconds));
        let ping = ping::Request { heartbeat_seconds: Some(600), folders: None }.encode();
        for (row, command, body, want) in [
            ("a Ping", Command::Ping, Some(&ping[..]), 630),
            ("a Ping as before", Command::Ping, Some(&[][..]), 3630),
            ("a Ping that cannot be read", Command::Ping, Some(&b"x"[..]), 3630),
            ("a Sync as before", Command::Sync, Some(&[][..]), 3630),
            ("a long Sync", Command::Sync, None, 30),
            ("mail that is sent", Command::SendMail, Some(&[][..]), 30),
        ] {
            assert_eq!(Patience::of(command, body), seconds(want), "{row}");
        }
    }

    #[test]
    fn the_address_keeps_the_upstreams_path() {
        let upstream: Uri = "http://mail:81/eas".parse().unwrap();
        assert_eq!(address(&upstream, Some("Cmd=Sync&User=a%20b")).unwrap(), "http://mail:81/eas?Cmd=Sync&User=a%20b");
        assert_eq!(address(&"https://mail".parse().unwrap(), None).unwrap(), format!("https://mail{PATH}").as_str());
    }

    #[test]
    fn a_move_never_loses_tls_or_carries_a_password() {
        for (upstream, said, taken) in [
            ("https://a/eas", "https://b/Microsoft-Server-ActiveSync", true),
            ("https://a/eas", "http://b/x", false),
            ("http://a/eas", "http://b/x", true),
            ("http://a/eas", "ftp://b/x", false),
            ("https://a/eas", "https://u:p@b/x", false),
            ("https://a/eas", "/x", false),
        ] {
            assert_eq!(next_server(&upstream.parse().unwrap(), said).is_some(), taken, "{upstream} {said}");
        }
    }

    #[test]
    fn what_is_between_neighbours_stays_there() {
        let mut from = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("cookie", "a=b"),
            ("content-encoding", "gzip"),
        ] {
            from.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        for walk in [copy, pass] {
            let mut to = HeaderMap::new();
            walk(&from, &mut to);
            let mut names: Vec<&str> = to.keys().map(HeaderName::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, ["content-encoding", "cookie"]);
        }
    }

    #[test]
    fn no_client_names_itself_by_a_header() {
        let mut from = HeaderMap::new();
        for name in [
            "x-webobjects-remote-user",
            "x_webobjects_remote_user",
            "x-forwarded-for",
            "x-forwarded-user",
            "forwarded",
            "remote-user",
            "remote_user",
            "x-remote-user",
            "x-real-ip",
            "x-original-url",
            "x-rewrite-url",
            "x-http-method-override",
            "x-user-identity",
            "client-cert",
            "x-ms-policykey",
            "authorization",
            "proxy-authorization",
            "x-ssl-client-verify",
            "via",
            "x-anything",
        ] {
            from.insert(HeaderName::from_static(name), HeaderValue::from_static("ann"));
        }
        let mut to = HeaderMap::new();
        pass(&from, &mut to);
        assert_eq!(to.keys().collect::<Vec<_>>(), Vec::<&HeaderName>::new());
        for name in ["x-anchormailbox", "soapaction", "ms-asacceptmultipart", "x-owa-canary", "range"] {
            from.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        pass(&from, &mut to);
        assert_eq!(to.len(), 5);
    }

    #[test]
    fn logins_that_hold_for_a_connection_are_not_offered() {
        let mut headers = HeaderMap::new();
        for offer in ["Negotiate", "NTLM", "Basic realm=\"x\"", "Bearer"] {
            headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(offer));
        }
        keep_logins_that_pass(&mut headers);
        assert_eq!(
            headers.get_all(header::WWW_AUTHENTICATE).iter().collect::<Vec<_>>(),
            ["Basic realm=\"x\"", "Bearer"]
        );
    }
}

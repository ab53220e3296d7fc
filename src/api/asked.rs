//! How an HTTP request becomes a call: read whole, its token judged, carried out in one store operation or two, and answered.

use super::{
    call::{Call, Step, Work},
    idempotency, outlook,
    problem::Problem,
};
use crate::{
    clock,
    documents::{WAITING, WORST},
    error::Result,
    fleet::{actor::Actor, admins, wipe::approvals},
    http::{
        Peer,
        limits::{BODY_IDLE, read_whole},
    },
    server::Server,
    store::Tx,
};
use axum::{
    body::Body,
    http::{Request, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use hyper::body::Body as _;
use std::{collections::BTreeMap, sync::Arc, time::Instant};

/// A policy with its profiles inlined is the longest body there is.
const MAX_BODY: usize = 4 * 1024 * 1024;
/// So much is read of anybody, and judged with what it asks for, in one call.
const SMALL: u64 = 4 * 1024;

/// An HTTP request, read whole, before anybody knows who asks.
pub(super) struct Asked {
    server: Arc<Server>,
    parts: Parts,
    path: BTreeMap<String, String>,
    pub(super) body: Bytes,
    token: String,
    loopback: bool,
}

impl Asked {
    /// Reads the request. Strangers shall not make us read and take apart four megabytes: who comes with more than a small body is
    /// authenticated before it is read, and once more in the operation that carries the call out.
    pub(super) async fn read(
        server: &Arc<Server>,
        path: BTreeMap<String, String>,
        request: Request<Body>,
    ) -> std::result::Result<Self, Response> {
        let peer = request.extensions().get::<Arc<Peer>>().cloned();
        let Some(token) = bearer(&request) else {
            count_stranger(server, peer.as_deref());
            return Err(Problem::unauthenticated().into_response());
        };
        let here = |peer: &Arc<Peer>| peer.address.ip().to_canonical().is_loopback() && peer.client.is_loopback();
        let loopback = peer.as_ref().is_some_and(here);
        if request.body().size_hint().upper().is_none_or(|most| most > SMALL) {
            authenticate(server, peer.as_deref(), token.clone(), loopback).await?;
        }
        let (parts, body) = read_whole(request, MAX_BODY, BODY_IDLE)
            .await
            .map_err(|error| Problem::new(error.status(), "body", error.to_string()).into_response())?;
        Ok(Self { server: server.clone(), parts, path, body, token, loopback })
    }

    /// Authenticates, and reads beside the writer: in two store operations, of which only the first waits for its turn.
    pub(super) async fn look<F>(self, work: F) -> Response
    where
        F: FnOnce(&mut Tx<'_>, &Call) -> Result<(StatusCode, Vec<u8>)> + Send + 'static,
    {
        let (server, path) = (self.server.clone(), self.path.clone());
        let (actor, unseen, query) = match self.admit().await {
            Ok(admitted) => admitted,
            Err(refusal) => return refusal,
        };
        let call = Call { server: server.clone(), actor, path, query };
        match server.store.read(move |tx| work(tx, &call)).await {
            Ok((status, body)) => answer(&server, status, body, unseen, None).await,
            Err(error) => Problem::from(error).into_response(),
        }
    }

    /// Looks beside the writer, and where there is then something to do, does it in an operation of its own.
    pub(super) async fn look_and_run(self, status: StatusCode, work: Work) -> Response {
        let (server, path) = (self.server.clone(), self.path.clone());
        let again = (self.parts.extensions.get::<Arc<Peer>>().cloned(), self.token.clone(), self.loopback);
        let (actor, unseen, query) = match self.admit().await {
            Ok(admitted) => admitted,
            Err(refusal) => return refusal,
        };
        let call = Call { server: server.clone(), actor, path: path.clone(), query: query.clone() };
        match server.store.read(move |tx| work(tx, &call)).await {
            Ok(Step::Done(body)) => answer(&server, status, body, unseen, None).await,
            Ok(Step::Act(work)) => act(server, again, path, query, status, work).await,
            Err(error) => Problem::from(error).into_response(),
        }
    }

    /// Authenticates alone: who asks, how many requests they have not looked at, and the query.
    pub(super) async fn admit(self) -> std::result::Result<(Actor, usize, BTreeMap<String, String>), Response> {
        let peer = self.parts.extensions.get::<Arc<Peer>>().cloned();
        let query = query(self.parts.uri.query().unwrap_or_default()).map_err(IntoResponse::into_response)?;
        let (actor, unseen) = authenticate(&self.server, peer.as_deref(), self.token, self.loopback).await?;
        Ok((actor, unseen, query))
    }

    /// Authenticates, and carries out the work, in one store operation. `act`: the call changes something, so that an
    /// `Idempotency-Key` counts.
    pub(super) async fn run<F>(self, act: bool, work: F) -> Response
    where
        F: FnOnce(&mut Tx<'_>, &Call) -> Result<(StatusCode, Vec<u8>)> + Send + 'static,
    {
        let server = self.server.clone();
        let peer = self.parts.extensions.get::<Arc<Peer>>().cloned();
        let query = match query(self.parts.uri.query().unwrap_or_default()) {
            Ok(query) => query,
            Err(problem) => return problem.into_response(),
        };
        let key = match idempotency::key(&self.parts, &self.body, act) {
            Ok(key) => key,
            Err(problem) => return problem.into_response(),
        };
        let (path, token, loopback, inner) = (self.path, self.token, self.loopback, server.clone());
        let whole = move |tx: &mut Tx<'_>| {
            let Some(actor) = admins::authenticate(tx, &token, loopback)? else { return Ok(None) };
            let call = Call { server: inner, actor, path, query };
            let answer = match key {
                Some(key) => idempotency::once(tx, &call, &key, work)?,
                None => work(tx, &call)?,
            };
            Ok(Some((answer, approvals::unseen(tx, &call.actor)?)))
        };
        let done = server.store.once(whole).await;
        let acted = act.then(clock::monotonic);
        match done {
            Ok(Some(((status, body), unseen))) => answer(&server, status, body, unseen, acted).await,
            Ok(None) => {
                count_stranger(&server, peer.as_deref());
                Problem::unauthenticated().into_response()
            }
            Err(error) => Problem::from(error).into_response(),
        }
    }
}

/// The second step of a call: who asks is judged again, in the operation that carries it out.
async fn act(
    server: Arc<Server>,
    (peer, token, loopback): (Option<Arc<Peer>>, String, bool),
    path: BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    status: StatusCode,
    work: Work,
) -> Response {
    let inner = server.clone();
    let whole = move |tx: &mut Tx<'_>| {
        let Some(actor) = admins::authenticate(tx, &token, loopback)? else { return Ok(None) };
        let call = Call { server: inner, actor, path, query };
        let step = work(tx, &call)?;
        Ok(Some((step.done()?, approvals::unseen(tx, &call.actor)?)))
    };
    let done = server.store.once(whole).await;
    match done {
        Ok(Some((body, unseen))) => answer(&server, status, body, unseen, Some(clock::monotonic())).await,
        Ok(None) => {
            count_stranger(&server, peer.as_deref());
            Problem::unauthenticated().into_response()
        }
        Err(error) => Problem::from(error).into_response(),
    }
}

/// Whose the token is, with the answer where it is nobody's.
async fn authenticate(
    server: &Server,
    peer: Option<&Peer>,
    token: String,
    loopback: bool,
) -> std::result::Result<(Actor, usize), Response> {
    let who = move |tx: &mut Tx<'_>| {
        let Some(actor) = admins::authenticate(tx, &token, loopback)? else { return Ok(None) };
        let unseen = approvals::unseen(tx, &actor)?;
        Ok(Some((actor, unseen)))
    };
    match server.store.run(who).await {
        Ok(Some(found)) => Ok(found),
        Ok(None) => {
            count_stranger(server, peer);
            Err(Problem::unauthenticated().into_response())
        }
        Err(error) => Err(Problem::from(error).into_response()),
    }
}

/// `Lanyard-Waiting` tells every administrator of approvals that they have not looked at, `Lanyard-Worst` of what is wrong: after an act, as
/// that left it.
pub(super) async fn answer(
    server: &Arc<Server>,
    code: StatusCode,
    text: Vec<u8>,
    unseen: usize,
    acted: Option<Instant>,
) -> Response {
    let mut response = (code, [(header::CONTENT_TYPE, "application/json")], text).into_response();
    response.headers_mut().insert(WAITING, unseen.into());
    if let Some(worst) = outlook::worst(server, acted).await {
        response.headers_mut().insert(WORST, worst);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

fn bearer(request: &Request<Body>) -> Option<String> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_string())
}

fn count_stranger(server: &Server, peer: Option<&Peer>) {
    if let Some(peer) = peer {
        server.strangers.count(peer.client);
    }
}

fn query(text: &str) -> std::result::Result<BTreeMap<String, String>, Problem> {
    let uri = format!("/?{text}").parse().unwrap_or_default();
    match axum::extract::Query::<BTreeMap<String, String>>::try_from_uri(&uri) {
        Ok(axum::extract::Query(query)) => Ok(query),
        Err(error) => Err(Problem::new(StatusCode::BAD_REQUEST, "query", error.to_string())),
    }
}

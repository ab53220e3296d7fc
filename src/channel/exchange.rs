//! Exchange, through connectors: programs beside an organisation's Exchange that call here, report its mobile clients, and carry out what was
//! decided. They order nothing.
//!
//! Read on in `enrolment.rs` (a code to a certificate), `words.rs` (the wire's words and the fleet's), `mailbox_policy.rs` (a policy in Exchange's
//! words), `watch.rs` (what is due to whom).

mod enrolment;
mod mailbox_policy;
mod watch;
mod words;

use super::identity;
use crate::{
    error::{Denial, Error, Result},
    fleet::{
        connectors::{
            self, Organisation, Run, exchange,
            partnerships::{self, Seen},
            results,
        },
        life::{Action, Enrolment, MAIL_TYPE, Scope},
        queue::Support,
        settings,
    },
    http::{
        Peer,
        limits::{BODY_IDLE, LARGE_BODY, Unread, read_judged},
    },
    ids::Fingerprint,
    server::Server,
    store::Tx,
};
use axum::{
    Json, Router,
    extract::{Extension, Path, Query, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use lanyard_exchange::calls::{
    self, Batch, Elsewhere, End, Hello, Leads, Lease, PROTOCOLS, ROWS, Results, Resume, RunKind, WAIT, Welcome,
};
use serde::{Deserialize, de::DeserializeOwned};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;
use watch::Watches;

/// Where connectors call.
pub const PATH: &str = "/connector/v1";

/// What all calls share.
struct Connectors {
    server: Arc<Server>,
    watches: Watches,
}

/// See the module.
pub fn router(server: Arc<Server>) -> Router {
    let connectors = Arc::new(Connectors { watches: Watches::new(&server), server });
    let at = |path: &str| format!("{PATH}/{path}");
    Router::new()
        .route(&at("enrol"), post(enrolment::enrol))
        .route(&at("renew"), post(enrolment::renew))
        .route(&at("hello"), post(hello))
        .route(&at("lease"), post(lease))
        .route(&at("work"), get(work))
        .route(&at("results"), post(results))
        .route(&at("sync/{run}/end"), post(end))
        .route(&at("sync/{run}/{n}"), post(batch))
        .with_state(connectors)
}

/// Whether an act can be asked of Exchange for this client.
pub fn support(enrolment: &Enrolment, action: Action, scope: Option<Scope>) -> Support {
    let outlook = enrolment.channel_state.get(MAIL_TYPE).is_some_and(|kind| kind.eq_ignore_ascii_case("Outlook"));
    match (action, scope) {
        (Action::Wipe, Some(Scope::Full)) if outlook => {
            let why = "the Outlook app only ever loses its own account: the device cannot be erased through it (a selective wipe can be asked)";
            Support::No(why.into())
        }
        (Action::Wipe | Action::Refresh, _) => Support::Yes,
        _ => Support::No("Exchange can do nothing but wipe".into()),
    }
}

/// Why a call is refused.
#[derive(Debug)]
enum Refusal {
    /// No certificate was shown where one was asked for.
    NoCertificate,
    /// Nobody is asked for one under this name.
    WrongName,
    /// Nobody's certificate, or one that was ended.
    Stranger,
    /// Another leads.
    Elsewhere(Option<Uuid>),
    /// What cannot be read.
    Unreadable(String),
    /// A document of its own.
    Problem(StatusCode, &'static str, String),
    /// Our fault, or the store's.
    Fault(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Forbidden { code, text } => Self::Problem(StatusCode::FORBIDDEN, code, text),
            other => Self::Fault(other),
        }
    }
}

impl From<Denial<Refusal>> for Refusal {
    fn from(denial: Denial<Refusal>) -> Self {
        match denial {
            Denial::Refused(refusal) => refusal,
            Denial::Failed(error) => error.into(),
        }
    }
}

impl From<Refusal> for Denial<Refusal> {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::NoCertificate => problem(StatusCode::UNAUTHORIZED, "no_certificate", "a certificate is needed"),
            Self::WrongName => {
                problem(StatusCode::MISDIRECTED_REQUEST, "wrong_name", "ask under the server's public name")
            }
            Self::Stranger => {
                let text = "this certificate is no connector's: it was removed, or has ended";
                problem(StatusCode::FORBIDDEN, "not_known", text)
            }
            Self::Elsewhere(leader) => {
                (StatusCode::CONFLICT, Json(Elsewhere { code: "elsewhere".into(), leader })).into_response()
            }
            Self::Unreadable(text) => problem(StatusCode::BAD_REQUEST, "unreadable", &text),
            Self::Problem(status, code, text) => problem(status, code, &text),
            Self::Fault(Error::Store(_)) => {
                let mut response =
                    problem(StatusCode::SERVICE_UNAVAILABLE, "store_away", "the store cannot be had now");
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
                response
            }
            Self::Fault(error) => {
                tracing::error!(%error, "connector");
                problem(StatusCode::INTERNAL_SERVER_ERROR, "internal", "a fault of the server's")
            }
        }
    }
}

/// RFC 9457.
fn problem(status: StatusCode, code: &str, text: &str) -> Response {
    let document = serde_json::json!({ "status": status.as_u16(), "code": code, "detail": text });
    let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))];
    (status, kind, document.to_string()).into_response()
}

type Answer<T> = std::result::Result<T, Refusal>;

impl Connectors {
    fn shown(&self, peer: &Peer, headers: &HeaderMap) -> Answer<Fingerprint> {
        match identity::certificate(&self.server, peer, headers) {
            Ok(Some(shown)) => Ok(shown),
            Ok(None) if peer.asked => Err(Refusal::NoCertificate),
            Ok(None) => Err(Refusal::WrongName),
            Err(error) => Err(Refusal::Unreadable(error.to_string())),
        }
    }

    /// A call's certificate and its document. Who is a stranger is refused before much is read.
    async fn read<T: DeserializeOwned>(&self, peer: &Peer, request: Request) -> Answer<(Fingerprint, T)> {
        let shown = self.shown(peer, request.headers())?;
        let (head, body) = request.into_parts();
        let judge =
            async { self.server.store.judge(move |tx| asks(tx, &shown).map(drop)).await.map_err(Refusal::from) };
        match read_judged(&head.headers, body, LARGE_BODY, BODY_IDLE, judge).await {
            Ok(bytes) => Ok((shown, document(&bytes)?)),
            Err(Unread::Body(error)) => Err(Refusal::Problem(error.status(), "body", error.to_string())),
            Err(Unread::Refused(refusal)) => Err(refusal),
        }
    }
}

fn document<T: DeserializeOwned>(bytes: &[u8]) -> Answer<T> {
    serde_json::from_slice(bytes).map_err(|error| Refusal::Unreadable(error.to_string()))
}

/// Answers, and counts strangers.
async fn answered<T: IntoResponse>(
    connectors: &Connectors,
    peer: &Peer,
    answer: impl Future<Output = Answer<T>>,
) -> Response {
    match answer.await {
        Ok(answer) => answer.into_response(),
        Err(refusal) => {
            if matches!(refusal, Refusal::Stranger | Refusal::NoCertificate) {
                connectors.server.strangers.count(peer.client);
            }
            refusal.into_response()
        }
    }
}

/// Who asks.
fn asks(tx: &mut Tx<'_>, shown: &Fingerprint) -> std::result::Result<(Organisation, Uuid), Denial<Refusal>> {
    connectors::who(tx, shown)?.ok_or(Denial::Refused(Refusal::Stranger))
}

/// Who asks, where they lead by this epoch.
fn leads(tx: &mut Tx<'_>, shown: &Fingerprint, epoch: u64) -> std::result::Result<Organisation, Denial<Refusal>> {
    let (org, instance) = asks(tx, shown)?;
    if org.is_led(instance, epoch, tx.steady()) {
        return Ok(org);
    }
    Err(Refusal::Elsewhere(org.leads(tx.steady())).into())
}

async fn hello(
    State(connectors): State<Arc<Connectors>>,
    Extension(peer): Extension<Arc<Peer>>,
    request: Request,
) -> Response {
    let answer = async {
        let (shown, hello): (_, Hello) = connectors.read(&peer, request).await?;
        let Some(protocol) = PROTOCOLS.iter().rev().find(|version| hello.protocols.contains(version)) else {
            let text =
                format!("this server speaks versions {PROTOCOLS:?} of the calls, the connector {:?}", hello.protocols);
            return Err(Refusal::Problem(StatusCode::UPGRADE_REQUIRED, "no_version", text));
        };
        let done = connectors.server.store.judge(move |tx| {
            let (org, instance) = asks(tx, &shown)?;
            let org = connectors::greet(tx, org, instance, &shown, words::hello(hello))?;
            Ok(welcome(tx, &org, instance, *protocol)?)
        });
        Ok(Json(done.await?))
    };
    answered(&connectors, &peer, answer).await
}

fn welcome(tx: &mut Tx<'_>, org: &Organisation, instance: Uuid, protocol: u32) -> Result<Welcome> {
    let mut seconds = |key| settings::span(tx, key).map(|span: Duration| span.as_secs());
    let (full_every, delta_every, lease) =
        (seconds("exchange.full_every")?, seconds("exchange.delta_every")?, seconds("exchange.lease")?);
    let leads = org.leads(tx.steady()) == Some(instance);
    Ok(Welcome {
        protocol,
        epoch: leads.then_some(org.epoch),
        full_every,
        delta_every,
        lease,
        last_full: org.last_full.map(|at| at.to_datetime()),
        last_delta: org.last_delta.map(|at| at.to_datetime()),
        resume: org.run.as_ref().filter(|_| leads).map(|run| Resume { run: run.id, n: run.n }),
    })
}

async fn lease(
    State(connectors): State<Arc<Connectors>>,
    Extension(peer): Extension<Arc<Peer>>,
    request: Request,
) -> Response {
    let answer = async {
        let (shown, asked): (_, Lease) = connectors.read(&peer, request).await?;
        let led = connectors.server.store.judge(move |tx| {
            let (org, instance) = asks(tx, &shown)?;
            let ttl = settings::span(tx, "exchange.lease")?.as_secs();
            match connectors::lead(tx, org, instance, asked.epoch)? {
                Ok(org) => Ok(Leads { epoch: org.epoch, ttl }),
                Err(leader) => Err(Refusal::Elsewhere(leader).into()),
            }
        });
        Ok(Json(led.await?))
    };
    answered(&connectors, &peer, answer).await
}

#[derive(Deserialize)]
struct Asked {
    epoch: u64,
    #[serde(default)]
    after: u64,
    #[serde(default)]
    wait: u64,
}

async fn work(
    State(connectors): State<Arc<Connectors>>,
    Extension(peer): Extension<Arc<Peer>>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let answer = async {
        let shown = connectors.shown(&peer, &headers)?;
        let wait = Duration::from_secs(asked.wait.min(WAIT));
        let due = watch::poll(&connectors, shown, asked.epoch, asked.after, wait).await?;
        if due.is_empty() {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        Ok(Json(due.into_iter().map(words::work).collect::<Vec<calls::Work>>()).into_response())
    };
    answered(&connectors, &peer, answer).await
}

async fn results(
    State(connectors): State<Arc<Connectors>>,
    Extension(peer): Extension<Arc<Peer>>,
    request: Request,
) -> Response {
    let answer = async {
        let (shown, said): (_, Results) = connectors.read(&peer, request).await?;
        if said.results.len() > ROWS {
            return Err(Refusal::Unreadable(format!("more than {ROWS} results")));
        }
        connectors
            .server
            .store
            .judge(move |tx| {
                let org = leads(tx, &shown, said.epoch)?;
                for outcome in said.results {
                    let (ended, read) = words::ended(&outcome);
                    results::file(tx, &org, outcome.id, ended, read)?;
                }
                Ok(())
            })
            .await?;
        Ok(Json(serde_json::json!({})))
    };
    answered(&connectors, &peer, answer).await
}

async fn batch(
    State(connectors): State<Arc<Connectors>>,
    Extension(peer): Extension<Arc<Peer>>,
    Path((run, n)): Path<(Uuid, u32)>,
    request: Request,
) -> Response {
    let answer = async {
        let (shown, batch): (_, Batch) = connectors.read(&peer, request).await?;
        if batch.rows.len() > ROWS {
            return Err(Refusal::Unreadable(format!("more than {ROWS} rows")));
        }
        let kept = connectors.server.store.judge(move |tx| keep(tx, &shown, run, n, &batch)).await?;
        Ok(Json(serde_json::json!({ "kept": kept })))
    };
    answered(&connectors, &peer, answer).await
}

/// True where it was not kept before.
fn keep(
    tx: &mut Tx<'_>,
    shown: &Fingerprint,
    run: Uuid,
    n: u32,
    batch: &Batch,
) -> std::result::Result<bool, Denial<Refusal>> {
    let mut org = leads(tx, shown, batch.epoch)?;
    let before = org.run.as_ref().filter(|before| before.id == run).map_or(0, |before| before.n);
    if n <= before {
        return Ok(false);
    }
    if n != before + 1 {
        let text = format!("batch {n} of a run whose last one was {before}");
        return Err(Refusal::Problem(StatusCode::CONFLICT, "out_of_order", text).into());
    }
    let full = batch.kind == RunKind::Full;
    // What was read before something was written tells nothing of it, by whatever clock.
    let age = words::moment(batch.sent).since(words::moment(batch.began));
    let read = tx.now().minus(age);
    let began = org.run.as_ref().filter(|before| before.id == run).map_or(read, |before| before.began.min(read));
    let seen = Seen { run: full.then_some(run), read };
    for row in &batch.rows {
        results::note(tx, &org, &words::told(row), seen)?;
    }
    org.run = Some(Run { id: run, full, began, n });
    tx.put(&org)?;
    Ok(true)
}

async fn end(
    State(connectors): State<Arc<Connectors>>,
    Extension(peer): Extension<Arc<Peer>>,
    Path(run): Path<Uuid>,
    request: Request,
) -> Response {
    let answer = async {
        let (shown, end): (_, End) = connectors.read(&peer, request).await?;
        connectors.server.store.judge(move |tx| finish(tx, &shown, run, end)).await?;
        Ok(Json(serde_json::json!({})))
    };
    answered(&connectors, &peer, answer).await
}

fn finish(tx: &mut Tx<'_>, shown: &Fingerprint, run: Uuid, end: End) -> std::result::Result<(), Denial<Refusal>> {
    let mut org = leads(tx, shown, end.epoch)?;
    if org.ended == Some(run) {
        return Ok(()); // said twice
    }
    let kept = org.run.take().filter(|kept| kept.id == run);
    let batches = kept.as_ref().map_or(0, |kept| kept.n);
    if batches != end.batches {
        let text = format!("{} batches are said to be there, {batches} are", end.batches);
        return Err(Refusal::Problem(StatusCode::CONFLICT, "out_of_order", text).into());
    }
    org.ended = Some(run);
    if let Some(told) = end.organisation.and_then(words::organisation) {
        let age = end.sent.map(words::moment).map_or(Duration::ZERO, |sent| sent.since(words::moment(end.began)));
        exchange::note(tx, &org.name, told, tx.now().minus(age))?;
    }
    if end.complete {
        let nothing = Run { id: run, full: end.kind == RunKind::Full, began: tx.now(), n: 0 };
        partnerships::ended(tx, &mut org, &kept.unwrap_or(nothing))?;
    }
    Ok(tx.put(&org)?)
}

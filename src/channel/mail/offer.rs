//! What a mail server offers, and what is remembered of mail servers.

use crate::clock;
use axum::{
    http::{HeaderName, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use hyper::body::Incoming;
use lanyard_activesync::options::{self, COMMANDS_HEADER, VERSIONS_HEADER};
use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

/// How long an offer counts, and the mail server as one that refuses who has no login.
const ASKED_AGAIN: Duration = Duration::from_secs(3600);
/// How long a mail server's word on how to log in counts.
const CHALLENGED: Duration = Duration::from_secs(60);
/// Servers that users were sent to, of which something is remembered.
const MOST_SERVERS: usize = 64;

/// What the mail server offers.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    versions: String,
    commands: String,
}

impl Offer {
    /// Of an answer to OPTIONS. `None`: it is no mail server's that speaks ActiveSync.
    pub(super) fn of(answer: &hyper::Response<Incoming>) -> Option<Self> {
        let said = |name: &str| answer.headers().get(name).and_then(|v| v.to_str().ok());
        let versions = options::versions(said(VERSIONS_HEADER)?);
        Some(Self { versions, commands: options::commands(said(COMMANDS_HEADER).unwrap_or_default()) })
    }

    /// What may be told of no mail server in particular.
    pub(super) fn bare() -> Self {
        Self { versions: options::versions(options::ALL), commands: options::commands("FolderSync,Sync,Ping") }
    }
}

impl IntoResponse for Offer {
    fn into_response(self) -> Response {
        let mut response = StatusCode::OK.into_response();
        let headers = response.headers_mut();
        headers.insert(header::ALLOW, HeaderValue::from_static("OPTIONS,POST"));
        for (name, text) in [(VERSIONS_HEADER, self.versions), (COMMANDS_HEADER, self.commands)] {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(text)) {
                headers.insert(name, value);
            }
        }
        response
    }
}

/// What is remembered of mail servers.
#[derive(Default)]
pub(super) struct Servers {
    known: Mutex<BTreeMap<String, Known>>,
    /// Held by whoever tries what a mail server takes.
    pub(super) trying: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    offer: Option<(Instant, Offer)>,
    /// When it last refused both nobody and a password, or a token, that nobody has.
    asks: BTreeMap<Way, Instant>,
    /// How it asks who shows an empty token to log in.
    challenge: Option<(Instant, Vec<HeaderValue>)>,
}

/// What is refused for itself: a server may look at one alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    Password,
    Token,
}

impl Servers {
    fn with<T>(&self, server: &Uri, look: impl FnOnce(&mut Known) -> T) -> Option<T> {
        let mut known = self.known.lock().ok()?;
        let name = server.to_string();
        if known.len() >= MOST_SERVERS && !known.contains_key(&name) {
            known.clear();
        }
        Some(look(known.entry(name).or_default()))
    }

    pub(super) fn offer(&self, server: &Uri) -> Option<Offer> {
        let fresh = |known: &mut Known| known.offer.clone().filter(|(at, _)| clock::since(*at) < ASKED_AGAIN);
        self.with(server, fresh).flatten().map(|(_, offer)| offer)
    }

    pub(super) fn asks(&self, server: &Uri, way: Way) -> bool {
        self.with(server, |known| known.asks.get(&way).is_some_and(|at| clock::since(*at) < ASKED_AGAIN))
            .unwrap_or(false)
    }

    pub(super) fn challenge(&self, server: &Uri) -> Option<Vec<HeaderValue>> {
        let fresh = |known: &mut Known| known.challenge.clone().filter(|(at, _)| clock::since(*at) < CHALLENGED);
        self.with(server, fresh).flatten().map(|(_, offers)| offers)
    }

    pub(super) fn keep_challenge(&self, server: &Uri, offers: Vec<HeaderValue>) {
        self.with(server, |known| known.challenge = Some((clock::monotonic(), offers)));
    }

    pub(super) fn keep(&self, server: &Uri, offer: Offer) {
        self.with(server, |known| known.offer = Some((clock::monotonic(), offer)));
    }

    pub(super) fn keep_asking(&self, server: &Uri, way: Way) {
        self.with(server, |known| known.asks.insert(way, clock::monotonic()));
    }
}

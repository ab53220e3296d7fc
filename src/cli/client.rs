//! Calls on the admin API.

use super::{Failure, at::Found, print};
use crate::{
    clock,
    documents::{IDEMPOTENCY_KEY, Page, WAITING, WORST, devices::DeviceView, of_header, problem::Problem},
    http::{limits::read_from, outgoing::Outgoing},
};
use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{
    Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::Value;
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// The longest answer there is: a page of a thousand devices, or of policies.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(60);
/// A call that met a busy server, or none, is repeated under its key: it acts once.
const TRIES: u32 = 4;
/// Devices that are asked for one by one.
const FEW: usize = 40;
/// Between two tries of a wait that finds no server.
const AWAY: Duration = Duration::from_secs(1);

/// What the API answered: as it came, to be shown (it may hold more than this program knows), and as it is read.
pub(super) struct Answer<T> {
    pub(super) document: Value,
    pub(super) said: T,
}

impl<T: DeserializeOwned> Answer<T> {
    fn of(document: Value) -> Result<Self, Failure> {
        let said = T::deserialize(&document);
        let said = said.map_err(|e| format!("it was answered, with what this program does not understand: {e}"))?;
        Ok(Self { document, said })
    }
}

/// See the module.
pub(super) struct Client {
    base: String,
    token: SecretString,
    outgoing: Outgoing,
    told: Cell<bool>,
    worst: RefCell<Option<String>>,
}

impl Client {
    /// The server that is meant.
    pub(super) fn of(found: Found) -> Result<Self, Failure> {
        let Found { base, token, roots } = found;
        let outgoing = Outgoing::new(&roots).map_err(|e| e.to_string())?;
        Ok(Self { base, token, outgoing, told: Cell::new(false), worst: RefCell::default() })
    }

    /// What lies there.
    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        read(&self.call(Method::GET, path, None).await?)
    }

    /// The same, read.
    pub(super) async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<Answer<T>, Failure> {
        Answer::of(self.get(path).await?)
    }

    /// Asks for an act.
    pub(super) async fn post(&self, path: &str, body: &impl Serialize) -> Result<Value, Failure> {
        read(&self.call(Method::POST, path, Some(write(body)?)).await?)
    }

    /// The same, its answer read.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Answer<T>, Failure> {
        Answer::of(self.post(path, body).await?)
    }

    /// Sets something.
    pub(super) async fn put(&self, path: &str, body: &impl Serialize) -> Result<Value, Failure> {
        read(&self.call(Method::PUT, path, Some(write(body)?)).await?)
    }

    /// Sets something in part.
    pub(super) async fn patch(&self, path: &str, body: &impl Serialize) -> Result<Value, Failure> {
        read(&self.call(Method::PATCH, path, Some(write(body)?)).await?)
    }

    /// Ends something.
    pub(super) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        read(&self.call(Method::DELETE, path, None).await?)
    }

    /// The same, its answer read.
    pub(super) async fn end<T: DeserializeOwned>(&self, path: &str) -> Result<Answer<T>, Failure> {
        Answer::of(self.delete(path).await?)
    }

    /// A list, all its pages joined. `path` may have a query.
    pub(super) async fn list<T: DeserializeOwned + Send + 'static>(&self, path: &str) -> Result<Vec<T>, Failure> {
        let mark = if path.contains('?') { '&' } else { '?' };
        let (mut pages, mut after) = (Vec::new(), String::new());
        loop {
            let text = self.call(Method::GET, &format!("{path}{mark}limit=1000{after}"), None).await?;
            // Where it ends is found without taking its items apart: they are read while the next one is on its way.
            let Page::<IgnoredAny> { next, .. } = read(&text)?;
            pages.push(tokio::task::spawn_blocking(move || read::<Page<T>>(&text)));
            match next {
                Some(next) => after = format!("&after={}", encode(&next)),
                None => break,
            }
        }
        let mut items = Vec::new();
        for page in pages {
            items.extend(page.await.map_err(|e| e.to_string())??.items);
        }
        Ok(items)
    }

    /// Devices by their ids, also those whose record was removed: a few one by one, more by the list of all. For words beside a document: what
    /// cannot be had is left out.
    pub(super) async fn devices(&self, wanted: BTreeSet<String>) -> BTreeMap<String, DeviceView> {
        let mut found = BTreeMap::new();
        if wanted.len() > FEW {
            let all = self.list::<DeviceView>("devices?removed=true").await.unwrap_or_default();
            found.extend(all.into_iter().filter(|device| wanted.contains(&device.id)).map(|d| (d.id.clone(), d)));
            return found;
        }
        for id in wanted {
            if let Ok(device) = self.read::<DeviceView>(&format!("devices/{}?removed=true", encode(&id))).await {
                found.insert(id, device.said);
            }
        }
        found
    }

    /// What lies there, asked for until there is an answer: a server that restarts or is busy ends no wait. `None`: there
    /// was none before `until`.
    pub(super) async fn read_in_time<T: DeserializeOwned>(
        &self,
        path: &str,
        until: Option<Instant>,
    ) -> Result<Option<Answer<T>>, Failure> {
        let mut told = false;
        loop {
            let answer = match until {
                Some(until) => tokio::time::timeout_at(until.into(), self.read(path)).await,
                None => Ok(self.read(path).await),
            };
            match answer {
                Err(_) => return Ok(None),
                Ok(Err(Failure::Away(text))) if !told => {
                    print::say(format!("{text}; asking on"));
                    told = true;
                }
                Ok(Err(Failure::Away(_))) => {}
                Ok(answer) => return answer.map(Some),
            }
            tokio::time::sleep(AWAY).await;
        }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Bytes>) -> Result<Bytes, Failure> {
        let key = uuid::Uuid::new_v4().to_string();
        let (begun, mut pause) = (clock::monotonic(), Duration::from_millis(200));
        for _ in 1..TRIES {
            match self.once(&method, path, body.as_ref(), &key).await {
                Err(Failure::Away(_)) if clock::since(begun) < PATIENCE => tokio::time::sleep(pause).await,
                answer => return answer,
            }
            pause *= 3;
        }
        self.once(&method, path, body.as_ref(), &key).await
    }

    /// [`Failure::Away`]: it may be tried again. Repeating is safe: POST has its key, and PUT, PATCH and DELETE say how it shall be.
    async fn once(&self, method: &Method, path: &str, body: Option<&Bytes>, key: &str) -> Result<Bytes, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/api/v1/{path}", self.base))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token.expose_secret()))
            .header(header::CONTENT_TYPE, "application/json")
            .header(IDEMPOTENCY_KEY, key)
            .body(body.map_or_else(Body::empty, |b| Body::from(b.clone())))
            .map_err(|e| format!("{}: {e}", self.base))?;
        let sent = tokio::time::timeout(PATIENCE, self.outgoing.send(request)).await;
        let sent = sent.map_err(|_| Failure::Away(format!("{} did not answer in time", self.base)))?;
        let (parts, body) = sent.map_err(|e| Failure::Away(e.to_string()))?.into_parts();
        let bytes = read_from(&parts.headers, body, MAX_ANSWER, PATIENCE).await;
        let bytes = bytes.map_err(|e| Failure::Away(e.to_string()))?;
        self.tell(&parts.headers);
        if parts.status.is_success() {
            return Ok(bytes);
        }
        let text = self.problem(parts.status, &bytes);
        Err(if parts.status == StatusCode::SERVICE_UNAVAILABLE { Failure::Away(text) } else { Failure::Failed(text) })
    }

    fn problem(&self, status: StatusCode, body: &[u8]) -> String {
        match serde_json::from_slice::<Problem>(body) {
            Ok(problem) if &*problem.code == "invalid" => problem.detail.into(),
            Ok(Problem { code, detail, .. }) => format!("{detail} ({code})"),
            Err(_) if status == StatusCode::NOT_FOUND => format!(
                "{} is no admin port: it answered {status}. --url and LANYARD_URL name the administrators' port, not the devices'",
                self.base
            ),
            Err(_) => format!("{} answered {status}", self.base),
        }
    }

    /// What is worst, as the last answer said that says anything of this.
    pub(super) fn worst(&self) -> Option<String> {
        self.worst.borrow().clone()
    }

    /// Every administrator is told of what waits, until they have looked.
    fn tell(&self, headers: &http::HeaderMap) {
        let said = |name| headers.get(name).and_then(|v| v.to_str().ok());
        // A refusal has neither of the two.
        if said(WAITING).is_some() {
            self.worst.replace(said(WORST).and_then(of_header));
        }
        let waiting = said(WAITING).and_then(|v| v.parse::<usize>().ok()).unwrap_or(0);
        if waiting > 0 && !self.told.replace(true) {
            let (what, verb) = if waiting == 1 { ("request", "waits") } else { ("requests", "wait") };
            print::say(format!(
                "{waiting} {what} that you have not looked at {verb} for a second person: lanyard approvals list"
            ));
        }
    }
}

fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(text).map_err(|e| Failure::Failed(e.to_string()))
}

fn write(body: &impl Serialize) -> Result<Bytes, Failure> {
    serde_json::to_vec(body).map(Bytes::from).map_err(|e| Failure::Failed(e.to_string()))
}

/// A part of a path or a query: all but letters, digits and `-_.~` as percent and hexadecimal (RFC 3986 2.3).
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// A path with those of these filters in its query that are given.
pub(super) fn filtered<const N: usize>(path: &str, wanted: [(&str, Option<String>); N]) -> String {
    let wanted = wanted.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", encode(&value?))));
    let query = wanted.collect::<Vec<_>>().join("&");
    if query.is_empty() { path.into() } else { format!("{path}?{query}") }
}

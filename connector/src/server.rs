//! The calls to the server, and what their refusals mean.

use crate::{http::Client, installation::Installation};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use lanyard_exchange::calls::{
    Batch, Elsewhere, End, Enrol, Enrolled, Hello, Leads, Lease, Renew, Renewed, Results, WAIT, Welcome, Work,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use uuid::Uuid;

const LIMIT: Duration = Duration::from_secs(30);
/// A report of 500 clients may take a while.
const LONG: Duration = Duration::from_secs(60);

/// Why a call was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The certificate counts no more: an administrator removed this connector, or it has ended.
    #[error("the server knows this connector no more: {0}")]
    Removed(String),
    /// The server and this program speak no version of these calls in common: one of the two has to be replaced.
    #[error("this connector is too old for the server, or too new: {0}; upgrade the server first, then the connector")]
    Outdated(String),
    /// Another instance leads, or nobody by this epoch.
    #[error("another connector leads{}", .0.map(|leader| format!(": {leader}")).unwrap_or_default())]
    Elsewhere(Option<Uuid>),
    /// It cannot be done so.
    #[error("the server refused ({code}): {text}")]
    Refused {
        /// The problem's code.
        code: String,
        /// Its words.
        text: String,
    },
    /// Another time.
    #[error("the server cannot be had now: {text}")]
    Later {
        /// In words.
        text: String,
        /// When, where it said so.
        after: Option<Duration>,
    },
}

impl CallError {
    /// Whether it is so until somebody does something about it, and no call will be taken before.
    pub fn lasts(&self) -> bool {
        matches!(self, Self::Removed(_) | Self::Outdated(_))
    }

    /// What it means of a call that was made under a certificate which was renewed meanwhile: a poll that was held is told that the former one
    /// is nobody's any more, and that is as it should be.
    fn of_the_former(self) -> Self {
        match self {
            Self::Removed(_) => Self::Later { text: "it was asked under the former certificate".into(), after: None },
            other => other,
        }
    }
}

/// See the module.
pub struct Server {
    url: String,
    client: RwLock<Arc<Client>>,
}

#[derive(Deserialize, Default)]
struct Problem {
    #[serde(default)]
    code: String,
    #[serde(default)]
    detail: String,
}

impl Server {
    /// As an installation has it.
    pub fn of(installation: &Installation) -> Result<Self, String> {
        Ok(Self::new(&installation.settings.server, installation.server_client()?))
    }

    /// The server of this address.
    pub fn new(url: &str, client: Client) -> Self {
        Self { url: url.trim_end_matches('/').to_string(), client: RwLock::new(Arc::new(client)) }
    }

    /// Shows another certificate from now on.
    pub fn show(&self, client: Client) {
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(client);
    }

    fn client(&self) -> Arc<Client> {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Trades a code for a certificate.
    pub async fn enrol(&self, asked: &Enrol) -> Result<Enrolled, CallError> {
        self.post("enrol", asked).await
    }

    /// A certificate for another key.
    pub async fn renew(&self, asked: &Renew) -> Result<Renewed, CallError> {
        self.post("renew", asked).await
    }

    /// Says who begins.
    pub async fn hello(&self, hello: &Hello) -> Result<Welcome, CallError> {
        self.post("hello", hello).await
    }

    /// Asks to lead, or to go on.
    pub async fn lease(&self, epoch: Option<u64>) -> Result<Leads, CallError> {
        self.post("lease", &Lease { epoch }).await
    }

    /// Waits for orders.
    pub async fn work(&self, epoch: u64, after: u64) -> Result<Vec<Work>, CallError> {
        let path = format!("work?after={after}&wait={WAIT}&epoch={epoch}");
        let request = Request::get(self.at(&path)).body(Bytes::new());
        let answer = self.send(request, Duration::from_secs(WAIT) + LIMIT).await?;
        if answer.status() == StatusCode::NO_CONTENT {
            return Ok(Vec::new());
        }
        let orders: Vec<serde_json::Value> = read(&answer)?;
        // One of a later version keeps the others from nothing.
        let known = |order| {
            serde_json::from_value(order).inspect_err(|error| tracing::error!(%error, "an order that is not known"))
        };
        Ok(orders.into_iter().filter_map(|order| known(order).ok()).collect())
    }

    /// Says what came of orders.
    pub async fn results(&self, results: &Results) -> Result<(), CallError> {
        self.post::<_, serde_json::Value>("results", results).await.map(drop)
    }

    /// Reports a part of a run.
    pub async fn batch(&self, run: Uuid, n: u32, batch: &Batch) -> Result<(), CallError> {
        self.post::<_, serde_json::Value>(&format!("sync/{run}/{n}"), batch).await.map(drop)
    }

    /// Ends a run.
    pub async fn end(&self, run: Uuid, end: &End) -> Result<(), CallError> {
        self.post::<_, serde_json::Value>(&format!("sync/{run}/end"), end).await.map(drop)
    }

    fn at(&self, path: &str) -> String {
        format!("{}/connector/v1/{path}", self.url)
    }

    async fn post<B: Serialize, A: DeserializeOwned>(&self, path: &str, body: &B) -> Result<A, CallError> {
        let body = serde_json::to_vec(body).map_err(|error| refused("unwritten", error.to_string()))?;
        let request = Request::post(self.at(path)).header(header::CONTENT_TYPE, "application/json").body(body.into());
        let answer = self.send(request, LONG).await?;
        read(&answer)
    }

    async fn send(&self, request: http::Result<Request<Bytes>>, limit: Duration) -> Result<Response<Bytes>, CallError> {
        let request = request.map_err(|error| refused("address", error.to_string()))?;
        let client = self.client();
        let sent = client.send(request, limit).await;
        let answer = sent.map_err(|error| CallError::Later { text: error.to_string(), after: None })?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let replaced = !Arc::ptr_eq(&client, &self.client());
        Err(if replaced { failed(&answer).of_the_former() } else { failed(&answer) })
    }
}

fn refused(code: &str, text: String) -> CallError {
    CallError::Refused { code: code.into(), text }
}

fn read<A: DeserializeOwned>(answer: &Response<Bytes>) -> Result<A, CallError> {
    serde_json::from_slice(answer.body()).map_err(|error| refused("unreadable", error.to_string()))
}

fn failed(answer: &Response<Bytes>) -> CallError {
    let problem: Problem = serde_json::from_slice(answer.body()).unwrap_or_default();
    let status = answer.status();
    let text = if problem.detail.is_empty() { format!("it answers {status}") } else { problem.detail };
    match status {
        StatusCode::FORBIDDEN if problem.code == "not_known" => CallError::Removed(text),
        StatusCode::UNAUTHORIZED => CallError::Removed(text),
        StatusCode::UPGRADE_REQUIRED => CallError::Outdated(text),
        StatusCode::CONFLICT if problem.code == "elsewhere" => {
            CallError::Elsewhere(serde_json::from_slice::<Elsewhere>(answer.body()).ok().and_then(|said| said.leader))
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            CallError::Later { text, after: after(answer) }
        }
        _ => refused(if problem.code.is_empty() { status.as_str() } else { &problem.code }, text),
    }
}

/// Seconds: that is how our server says it. RFC 9110 10.2.3 has dates too.
fn after(answer: &Response<Bytes>) -> Option<Duration> {
    let value = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, after: &str, body: &str) -> Response<Bytes> {
        let answer = Response::builder().status(status).header(header::RETRY_AFTER, after);
        answer.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
    }

    #[test]
    fn a_refusal_is_told_from_what_passes() {
        let problem = |code: &str| format!("{{\"code\":\"{code}\",\"detail\":\"so\"}}");
        let later = |after: Option<u64>| CallError::Later { text: "so".into(), after: after.map(Duration::from_secs) };
        let leader = Uuid::from_u128(7);
        for (row, status, after, body, wanted) in [
            ("busy", 503, "5", problem("busy"), later(Some(5))),
            ("too many", 429, " 30 ", problem("later"), later(Some(30))),
            ("at a date", 503, "Tue, 01 Dec 2026 06:00:00 GMT", problem("busy"), later(None)),
            ("no time at all", 503, "-1", problem("busy"), later(None)),
            ("removed", 403, "", problem("not_known"), CallError::Removed("so".into())),
            ("no version", 426, "", problem("no_version"), CallError::Outdated("so".into())),
            (
                "another leads",
                409,
                "",
                format!("{{\"code\":\"elsewhere\",\"leader\":\"{leader}\"}}"),
                CallError::Elsewhere(Some(leader)),
            ),
            ("refused", 403, "", problem("other_exchange"), refused("other_exchange", "so".into())),
        ] {
            assert_eq!(failed(&answer(status, after, &body)), wanted, "{row}");
        }
    }

    #[test]
    fn that_the_former_certificate_is_nobodys_is_no_removal() {
        let text = || "so".to_string();
        assert!(!CallError::Removed(text()).of_the_former().lasts());
        assert_eq!(CallError::Elsewhere(None).of_the_former(), CallError::Elsewhere(None));
        assert_eq!(CallError::Outdated(text()).of_the_former(), CallError::Outdated(text()));
    }

    #[test]
    fn an_answer_of_something_between_is_told_by_its_status() {
        let text = "it answers 502 Bad Gateway".to_string();
        assert_eq!(failed(&answer(502, "", "<html>")), CallError::Later { text, after: None });
        assert!(failed(&answer(426, "", "")).lasts());
    }
}

//! Whether the mail server takes a login: our own OPTIONS in its user's name.

use super::{gateway::Gateway, login::Login, refusal::Refusal, upstream};
use crate::clock;
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use hyper::body::Incoming;
use lanyard_activesync::options::{self, COMMANDS_HEADER, VERSIONS_HEADER};
use std::time::Duration;

/// How often the mail server is asked whether it asks for logins.
const ASKED_AGAIN: Duration = Duration::from_secs(3600);
/// How long the mail server may take for its answer to OPTIONS.
const OPTIONS_TIME: Duration = Duration::from_secs(30);

/// What the mail server offers.
#[derive(Debug)]
pub(super) struct Offer {
    versions: String,
    commands: String,
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

impl Gateway {
    /// Passes where the mail server takes the login, now or lately.
    pub(super) async fn prove(
        &self,
        upstream: &Uri,
        login: &Login,
        headers: &HeaderMap,
    ) -> std::result::Result<(), Refusal> {
        if self.logins.knows(login) {
            return Ok(());
        }
        self.upstream_asks(upstream).await?;
        self.ask_upstream(upstream, login, headers).await.map(drop)
    }

    /// Whether the mail server's answer proves anything: one that answers OPTIONS to everybody proves no login.
    async fn upstream_asks(&self, upstream: &Uri) -> std::result::Result<(), Refusal> {
        if self.logins.asks.lock().is_ok_and(|at| at.is_some_and(|at| clock::since(at) < ASKED_AGAIN)) {
            return Ok(());
        }
        if self.ask(upstream, None, &HeaderMap::new()).await?.status().is_success() {
            tracing::error!("the mail server answers OPTIONS without a login: mail by password alone is refused");
            return Err(Refusal::NoProof);
        }
        if let Ok(mut asks) = self.logins.asks.lock() {
            *asks = Some(clock::monotonic());
        }
        Ok(())
    }

    /// OPTIONS to the mail server, answered in time and without a fault of its own.
    async fn ask(
        &self,
        upstream: &Uri,
        login: Option<&Login>,
        headers: &HeaderMap,
    ) -> std::result::Result<hyper::Response<Incoming>, Refusal> {
        let mut asked = Request::new(Body::empty());
        *asked.method_mut() = Method::OPTIONS;
        *asked.uri_mut() = upstream::address(upstream, None).ok_or(Refusal::NoUpstream)?;
        if let Some(login) = login {
            asked.headers_mut().insert(header::AUTHORIZATION, login.value().clone());
        }
        if let Some(agent) = headers.get(header::USER_AGENT) {
            asked.headers_mut().insert(header::USER_AGENT, agent.clone());
        }
        let answer = match tokio::time::timeout(OPTIONS_TIME, self.server.outgoing.send(asked)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                tracing::warn!(%error, "mail server");
                return Err(Refusal::Away);
            }
            Err(_) => {
                tracing::warn!("the mail server took too long to answer OPTIONS");
                return Err(Refusal::Away);
            }
        };
        if answer.status().is_server_error() {
            tracing::warn!(status = answer.status().as_u16(), "mail server");
            return Err(Refusal::Away);
        }
        Ok(answer)
    }

    /// Our own OPTIONS with the user's login.
    pub(super) async fn ask_upstream(
        &self,
        upstream: &Uri,
        login: &Login,
        headers: &HeaderMap,
    ) -> std::result::Result<Offer, Refusal> {
        let answer = self.ask(upstream, Some(login), headers).await?;
        if !answer.status().is_success() {
            self.logins.forget(login);
            return Err(Refusal::Upstream(Box::new(upstream::refused(&answer))));
        }
        self.logins.keep(login);
        let said = |name: &str| answer.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        Ok(Offer {
            versions: options::versions(said(VERSIONS_HEADER)),
            commands: options::commands(said(COMMANDS_HEADER)),
        })
    }
}

//! Whose a token is: no name can be read in it, so the mail server is asked whose mailbox it opens.

use super::{
    gateway::Gateway,
    login::Login,
    own::{Client, NO_ANSWER},
    prove::Words,
    refusal::Refusal,
    upstream, who,
};
use crate::ids::Fingerprint;
use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, Uri, header},
    response::Response,
};
use lanyard_activesync::{Command, Version, user_information};

/// Why nobody knows whose a token is.
const UNKNOWN: &str =
    "the mail server does not say whose this token is: a certificate of this server is needed, or a password\n";

impl Gateway {
    /// The user of a token, as the mail server names its mailbox; of several addresses the one that a certificate is of, or that is known.
    pub(super) async fn owner(
        &self,
        server: &Uri,
        login: &Login,
        client: &Client<'_>,
        shown: Option<Fingerprint>,
    ) -> Result<Option<String>, Refusal> {
        let addresses = match self.logins.owner(login) {
            Some(known) => known,
            None => self.ask_owner(server, login, client).await?,
        };
        let users = self.server.eas_users.clone();
        Ok(self.server.store.run(move |tx| who::one_of(tx, &users, addresses, shown)).await?)
    }

    /// None where it does not say: that is remembered too.
    async fn ask_owner(&self, server: &Uri, login: &Login, client: &Client<'_>) -> Result<Vec<String>, Refusal> {
        let said = match client.head.version >= Version::V12_0 {
            true => self.own_request(server, login, client, Command::Settings, None, user_information::request()).await,
            false => Err("the client's version cannot ask"),
        };
        let found = match said {
            Err(NO_ANSWER) => return Err(Refusal::Away),
            Err(why) => Err(why),
            Ok(answer) => user_information::addresses(&answer).map_err(|_| "no answer to Settings"),
        };
        let addresses = found.as_ref().cloned().unwrap_or_default();
        if addresses.is_empty() {
            let why = found.err().unwrap_or("it names no address");
            tracing::warn!(why, "the mail server does not say whose a token is (Settings, UserInformation)");
        }
        self.logins.keep_owner(login, addresses.clone());
        Ok(addresses)
    }

    /// What is answered to a token whose user nobody knows: as the mail server asks for one.
    pub(super) async fn unknown_owner(&self, server: &Uri, words: &Words<'_>) -> Refusal {
        let offers = match self.challenge(server, words).await {
            Ok(offers) => offers,
            Err(refusal) => return refusal,
        };
        let is_bearer = |offer: &HeaderValue| offer.as_bytes().to_ascii_lowercase().starts_with(b"bearer");
        let mut bearer: Vec<HeaderValue> = offers.into_iter().filter(is_bearer).collect();
        if bearer.is_empty() {
            bearer.push(HeaderValue::from_static("Bearer"));
        }
        Refusal::Upstream(Box::new(asks(bearer, Body::from(UNKNOWN))))
    }

    /// The mail server's own word on how to log in, for who shows an empty token (Outlook's cloud does, and reads there where tokens are had).
    pub(super) async fn challenged(&self, server: &Uri, words: &Words<'_>) -> Refusal {
        match self.challenge(server, words).await {
            Ok(offers) if offers.is_empty() => Refusal::NoLogin,
            Ok(offers) => Refusal::Upstream(Box::new(asks(offers, Body::empty()))),
            Err(refusal) => refusal,
        }
    }

    /// What it offers to an empty token; asked once a minute at most.
    async fn challenge(&self, server: &Uri, words: &Words<'_>) -> Result<Vec<HeaderValue>, Refusal> {
        if let Some(known) = self.servers.challenge(server) {
            return Ok(known);
        }
        let (_, answer) = self.ask(server, Some(&Login::empty_token()), words).await?;
        let asked = match answer.status() {
            StatusCode::UNAUTHORIZED => upstream::head(&answer),
            _ => Response::new(Body::empty()),
        };
        let offers: Vec<HeaderValue> = asked.headers().get_all(header::WWW_AUTHENTICATE).iter().cloned().collect();
        self.servers.keep_challenge(server, offers.clone());
        Ok(offers)
    }
}

fn asks(offers: Vec<HeaderValue>, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    for offer in offers {
        response.headers_mut().append(header::WWW_AUTHENTICATE, offer);
    }
    response
}

//! Whether the mail server takes a login: our own OPTIONS in its user's name. The one proof of a login to ActiveSync, whatever was
//! asked for, and only of a mail server that is one and refuses who has none. What an answer beside ActiveSync tells of a login `beside.rs` has proved here as well.

use super::{
    gateway::Gateway,
    guesses::{By, Guesses, Reserved},
    login::Login,
    offer::{Offer, Way},
    refusal::Refusal,
    upstream::{self, Patience},
};
use crate::http::forwarded::X_FORWARDED_FOR;
use axum::http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use hyper::body::Incoming;
use std::{net::IpAddr, time::Duration};

/// How long the mail server may take for its answer to OPTIONS: behind a held worker it may take as long.
const OPTIONS_TIME: Duration = Duration::from_secs(30);

/// A login, and who brings it.
pub(super) struct Words<'a> {
    pub(super) login: &'a Login,
    pub(super) agent: Option<&'a HeaderValue>,
    /// From where it comes.
    pub(super) client: IpAddr,
    /// Whose address it comes from; `None` where that is everybody's.
    pub(super) holder: Option<String>,
    /// Whether a certificate is asked for under the name that it came to.
    pub(super) asked: bool,
    /// The device that it is said to be.
    pub(super) device: Option<String>,
    /// A certificate of ours came along: then nobody's guesses count.
    pub(super) certificate: bool,
}

impl Gateway {
    /// Passes where the mail server takes the login, now or lately. Our own word passes, since a certificate was judged before it was given;
    /// nothing else does before a mail server that believes it.
    pub(super) async fn prove(&self, server: &Uri, words: &Words<'_>) -> std::result::Result<(), Refusal> {
        // A certificate is the proof, and was judged.
        if words.login.is_our_word() {
            return Ok(());
        }
        if self.needs_certificate() {
            return Err(self.nobody(words.asked));
        }
        if words.login.is_empty() {
            return Err(self.challenged(server, words).await);
        }
        if self.logins.knows(words.login) {
            return Ok(());
        }
        if self.logins.was_refused(words.login) {
            return Err(Refusal::NoLogin);
        }
        self.ask_for_offer(server, words).await.map(drop)
    }

    /// The same, and asked for now where the mail server is there: what ends a wipe or claims a client is not to rest on a password that was
    /// changed since.
    pub(super) async fn prove_now(&self, server: &Uri, words: &Words<'_>) -> std::result::Result<(), Refusal> {
        let known = self.logins.knows(words.login);
        self.prove(server, words).await?;
        if !known || words.login.is_our_word() {
            return Ok(());
        }
        match self.ask_for_offer(server, words).await {
            Err(Refusal::Away | Refusal::Broken | Refusal::TooManyWrong(_)) | Ok(_) => Ok(()),
            Err(refused) => Err(refused),
        }
    }

    /// What the mail server offers to who proves a login.
    pub(super) async fn offer(&self, server: &Uri, words: &Words<'_>) -> std::result::Result<Offer, Refusal> {
        self.prove(server, words).await?;
        match self.servers.offer(server) {
            Some(offer) => Ok(offer),
            None => self.ask_for_offer(server, words).await,
        }
    }

    /// What is known of a mail server's offer, for who may hear no more.
    pub(super) fn known_offer(&self, server: &Uri) -> Offer {
        self.servers.offer(server).unwrap_or_else(Offer::bare)
    }

    async fn ask_for_offer(&self, server: &Uri, words: &Words<'_>) -> std::result::Result<Offer, Refusal> {
        let reserved = self.reserve(words).await?;
        let asked = self.ask(server, Some(words.login), words).await;
        let is_unknown = asked.as_ref().is_ok_and(|(_, answer)| answer.status() == StatusCode::UNAUTHORIZED);
        if is_unknown && words.login.is_our_word() {
            return Err(not_taken());
        }
        // A password that was changed since is none that the mail server takes.
        if is_unknown {
            self.logins.refuse(words.login);
        } else {
            self.give_back(reserved).await?;
        }
        let (at, answer) = asked?;
        if !answer.status().is_success() {
            return Err(Refusal::Upstream(Box::new(upstream::refused(&answer))));
        }
        let Some(offer) = Offer::of(&answer) else {
            tracing::error!(
                "what --eas-upstream names answers OPTIONS without MS-ASProtocolVersions: it is no mail server that speaks ActiveSync"
            );
            return Err(Refusal::NoMailServer);
        };
        if !words.login.is_our_word() {
            self.must_ask(server, &at, words).await?;
            self.logins.keep(words.login);
        }
        // Where one user is sent says nothing of the others.
        if upstream::address(server, None).as_ref() == Some(&at) {
            self.servers.keep(server, offer.clone());
        }
        Ok(offer)
    }

    /// A mail server that answers OPTIONS to everybody, or to every word for a name that it knows (a SOGo that leaves logins to its
    /// proxy), proves no login. So it is tried, once an hour, with none, and with one that nobody has; `at` is where it sends this user.
    pub(super) async fn must_ask(&self, server: &Uri, at: &Uri, words: &Words<'_>) -> std::result::Result<(), Refusal> {
        let way = if words.login.is_token() { Way::Token } else { Way::Password };
        if self.servers.asks(at, way) {
            return Ok(());
        }
        // One after another: each costs its user a wrong password.
        let _turn = self.servers.trying.lock().await;
        if self.servers.asks(at, way) {
            return Ok(());
        }
        let wrong = nobody_has().and_then(|word| words.login.with_word(&word));
        for login in [None, Some(wrong.ok_or(Refusal::NoProof)?)] {
            if self.ask(server, login.as_ref(), words).await?.1.status().is_success() {
                let how = match (&login, way) {
                    (None, _) => "without a login",
                    (Some(_), Way::Password) => "with a wrong password",
                    (Some(_), Way::Token) => "with a token that is none",
                };
                tracing::error!("the mail server answers OPTIONS {how}: mail by password alone is refused");
                return Err(Refusal::NoProof);
            }
        }
        self.servers.keep_asking(at, way);
        Ok(())
    }

    /// OPTIONS to the mail server, answered in time and without a fault of its own, by it or by where it sends us.
    pub(super) async fn ask(
        &self,
        server: &Uri,
        login: Option<&Login>,
        words: &Words<'_>,
    ) -> std::result::Result<(Uri, hyper::Response<Incoming>), Refusal> {
        let mut asked = Request::new(());
        *asked.method_mut() = Method::OPTIONS;
        *asked.uri_mut() = upstream::address(server, None).ok_or(Refusal::NoUpstream)?;
        if let Some(login) = login {
            login.put(&mut asked);
        }
        // The mail server counts wrong passwords too, and all come from here.
        if let Ok(client) = HeaderValue::try_from(words.client.to_string()) {
            asked.headers_mut().insert(X_FORWARDED_FOR, client);
        }
        if let Some(agent) = words.agent {
            asked.headers_mut().insert(header::USER_AGENT, agent.clone());
        }
        let followed = self.send_followed(asked, Bytes::new(), Patience(OPTIONS_TIME));
        let Ok(sent) = tokio::time::timeout(OPTIONS_TIME, followed).await else {
            tracing::warn!("the mail server took too long to answer OPTIONS");
            return Err(Refusal::Away);
        };
        let (at, answer) = sent?;
        if answer.status().is_server_error() {
            tracing::warn!(status = answer.status().as_u16(), "mail server");
            return Err(Refusal::Away);
        }
        Ok((at, answer))
    }
}

impl Gateway {
    /// Counts one more wrong password before it goes on, refused where that is one too many. Not of who got in lately, shows a certificate, or
    /// says the same word again: they are no guessers.
    pub(super) async fn reserve(&self, words: &Words<'_>) -> std::result::Result<Reserved, Refusal> {
        let login = words.login;
        // Nor of a token: nobody guesses one, and all of an office end at the same hour.
        let trusted = words.certificate || login.is_our_word() || login.is_token();
        if trusted || self.logins.was_taken(login) || self.logins.was_counted(login) {
            return Ok(Reserved::NONE);
        }
        let name = login.user().map(str::to_string);
        let by = By { login: name, holder: words.holder.clone(), device: words.device.clone() };
        self.guesses.reserve(&self.server.store, by).await
    }

    /// It was no wrong password, or nobody has looked.
    pub(super) async fn give_back(&self, reserved: Reserved) -> std::result::Result<(), Refusal> {
        Guesses::give_back(&self.server.store, reserved).await
    }
}

/// The mail server asks for a login though we gave our word.
pub(super) fn not_taken() -> Refusal {
    tracing::error!(
        "the mail server asks for a login where --eas-signon gave it this server's word: it does not believe it"
    );
    Refusal::NotTaken
}

/// A word that is nobody's password.
pub(super) fn nobody_has() -> Option<String> {
    let mut random = [0; 24];
    openssl::rand::rand_bytes(&mut random).ok().map(|()| URL_SAFE_NO_PAD.encode(random))
}

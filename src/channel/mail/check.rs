//! The way to the mail server, step by step: which of them fails. For `lanyard mail check`, and once a minute for `lanyard status`.

use super::{
    login::Login,
    prove::nobody_has,
    upstream::{self, status_of},
    via, who,
};
use crate::{
    http::outgoing::OutgoingError,
    server::{Server, signon::SignOn, tickets::Tickets},
};
use axum::{
    body::Body,
    http::{Method, Request, StatusCode, Uri, header},
};
use hyper::body::Incoming;
use lanyard_activesync::options::VERSIONS_HEADER;
use std::time::Duration;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

/// For one step.
const STEP: Duration = Duration::from_secs(30);

/// One step, and whether it was well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) step: &'static str,
    pub(crate) ok: bool,
    /// What was found.
    pub(crate) detail: String,
}

/// All steps as far as they lead; the last is the one that fails, where one does. With a login also whether the mail server takes it,
/// before a mail server that takes our word whether it does so for this user, and no password is needed.
pub(crate) async fn steps(server: &Server, login: Option<(&str, Option<&str>)>) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut note = |step, found: Result<String, String>| {
        let (ok, detail) = match found {
            Ok(detail) => (true, detail),
            Err(detail) => (false, detail),
        };
        steps.push(Step { step, ok, detail });
        ok
    };
    let Some(upstream) = &server.eas_upstream else {
        note("address", Err("no mail server is set up (--eas-upstream)".into()));
        return steps;
    };
    let (host, port) = place(upstream);
    let addresses = addresses(&host, port).await;
    let found = addresses.as_ref().map(|all| format!("{host} is {}", all.join(", "))).map_err(Clone::clone);
    if !note("name", found) || !note("connection", connection(&host, port).await) {
        return steps;
    }
    if !note("activesync", nobody(server, upstream).await) {
        return steps;
    }
    let Some((user, password)) = login else { return steps };
    if let Some(way) = &server.eas_signon {
        let name = known_as(server, user).await;
        if let (SignOn::Kerberos(tickets), Ok(name)) = (way, &name)
            && !note("ticket", ticket(tickets, name).await)
        {
            return steps;
        }
        let trusted = match &name {
            Ok(name) => trusted(server, upstream, way, name).await,
            Err(error) => Err(error.clone()),
        };
        if !note("signon", trusted) || matches!(way, SignOn::Header(_)) || password.is_none() {
            return steps;
        }
    }
    let Some(login) = password.and_then(|password| Login::basic(user, password)) else {
        note("login", Err("a password is needed, and a name without a colon or control characters".into()));
        return steps;
    };
    if note("login", taken(server, upstream, &login).await) {
        note("proof", refused(server, upstream, &login).await);
    }
    steps
}

/// What is wrong with the mail server, as far as nobody's login is needed to know it.
pub(super) async fn wrong(server: &Server) -> Option<String> {
    let upstream = server.eas_upstream.as_ref()?;
    let wrong = nobody(server, upstream).await.err();
    match &server.eas_signon {
        Some(SignOn::Kerberos(tickets)) if wrong.is_none() => tickets.own().await.err(),
        _ => wrong,
    }
}

fn place(upstream: &Uri) -> (String, u16) {
    let host = upstream.host().unwrap_or_default().trim_matches(['[', ']']).to_string();
    let usual = if upstream.scheme_str() == Some("http") { 80 } else { 443 };
    (host, upstream.port_u16().unwrap_or(usual))
}

async fn addresses(host: &str, port: u16) -> Result<Vec<String>, String> {
    match timeout(STEP, lookup_host((host, port))).await {
        Ok(Ok(found)) => {
            let mut all: Vec<String> = found.map(|address| address.ip().to_string()).collect();
            all.dedup();
            if all.is_empty() { Err(format!("{host} has no address")) } else { Ok(all) }
        }
        Ok(Err(error)) => Err(format!("{host} cannot be found: {error}")),
        Err(_) => Err(format!("nobody said in time where {host} is")),
    }
}

async fn connection(host: &str, port: u16) -> Result<String, String> {
    match timeout(STEP, TcpStream::connect((host, port))).await {
        Ok(Ok(stream)) => {
            let peer = stream.peer_addr().map(|address| address.to_string()).unwrap_or_default();
            Ok(format!("{peer} takes connections"))
        }
        Ok(Err(error)) => Err(format!("no connection to {host}, port {port}: {error}")),
        Err(_) => Err(format!("{host}, port {port}, did not answer in time")),
    }
}

/// OPTIONS without a login, which a mail server refuses.
async fn nobody(server: &Server, upstream: &Uri) -> Result<String, String> {
    let answer = options(server, upstream, None).await?;
    let versions = versions(&answer);
    match (answer.status(), versions) {
        (status, Some(_)) if status.is_success() => {
            Err("it answers OPTIONS without a login: its word proves no login, and mail by password alone is refused"
                .into())
        }
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => Ok("it asks for a login".into()),
        (StatusCode::LOOP_DETECTED, _) => {
            Err("--eas-upstream leads back to this server: it must name the mail server itself".into())
        }
        (status, _) if status.is_server_error() => Err(format!("it answers OPTIONS with {}", status_of(status))),
        (status, _) if status.is_redirection() => {
            let to = answer.headers().get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
            Err(format!(
                "it sends OPTIONS elsewhere ({}, {to:?}): --eas-upstream should name that address",
                status_of(status)
            ))
        }
        (status, _) => {
            let what = status_of(status);
            Err(format!(
                "it answers OPTIONS with {what} and without MS-ASProtocolVersions: that is no mail server that speaks ActiveSync"
            ))
        }
    }
}

async fn known_as(server: &Server, user: &str) -> Result<String, String> {
    let (users, asked) = (server.eas_users.clone(), user.to_string());
    server.store.run(move |tx| who::known_as(tx, &users, asked)).await.map_err(|e| e.to_string())
}

/// Whether Kerberos gives a ticket in a user's name.
async fn ticket(tickets: &Tickets, name: &str) -> Result<String, String> {
    let own = tickets.own().await?;
    tickets.negotiate(name).await?;
    Ok(format!("{own} has a ticket for {} in the name of {name:?}", tickets.spn()))
}

/// Whether it believes us who a user is.
async fn trusted(server: &Server, upstream: &Uri, way: &SignOn, name: &str) -> Result<String, String> {
    let (login, by) = match way {
        SignOn::Header(header) => (Login::by_header(header, name), header.to_string()),
        SignOn::Kerberos(_) => (Some(Login::by_ticket(name)), "ticket".into()),
    };
    let login = login.ok_or("no header can hold this name")?;
    let answer = options(server, upstream, Some(&login)).await?;
    match (answer.status(), versions(&answer)) {
        (status, Some(versions)) if status.is_success() => {
            Ok(format!("it takes our word for {name:?} by {by}, and speaks {versions}"))
        }
        (status, _) => Err(format!("it does not take our word for {name:?} by {by} ({})", status_of(status))),
    }
}

async fn taken(server: &Server, upstream: &Uri, login: &Login) -> Result<String, String> {
    let answer = options(server, upstream, Some(login)).await?;
    match (answer.status(), versions(&answer)) {
        (status, Some(versions)) if status.is_success() => Ok(format!("it takes the login, and speaks {versions}")),
        (status, None) if status.is_success() => {
            Err("it takes the login, and names no version of ActiveSync: that is no mail server that speaks it".into())
        }
        (StatusCode::UNAUTHORIZED, _) => Err("it does not take this name and password (401)".into()),
        (StatusCode::FORBIDDEN, _) => {
            Err("it takes the login, and ActiveSync is not allowed to this user (403)".into())
        }
        (status, _) => Err(format!("it answers the login with {}", status_of(status))),
    }
}

async fn refused(server: &Server, upstream: &Uri, login: &Login) -> Result<String, String> {
    let wrong = nobody_has().and_then(|word| login.with_word(&word)).ok_or("no wrong password could be made up")?;
    match options(server, upstream, Some(&wrong)).await?.status() {
        status if status.is_success() => {
            Err("it takes any password for this name: its word proves no login, and mail by password alone is refused"
                .into())
        }
        status => Ok(format!("it refuses a wrong password ({})", status_of(status))),
    }
}

async fn options(server: &Server, upstream: &Uri, login: Option<&Login>) -> Result<hyper::Response<Incoming>, String> {
    let mut asked = Request::new(Body::empty());
    *asked.method_mut() = Method::OPTIONS;
    *asked.uri_mut() = upstream::address(upstream, None).ok_or("--eas-upstream names no address")?;
    if let Some(login) = login {
        login.put(&mut asked);
    }
    via::mark(asked.headers_mut(), server);
    upstream::sign(server, &mut asked).await?;
    match timeout(STEP, server.outgoing.send_afresh(asked)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error @ OutgoingError::Connect { .. })) => Err(error.to_string()),
        Ok(Err(error)) => Err(format!("OPTIONS: {error}")),
        Err(_) => Err("it did not answer OPTIONS in time".into()),
    }
}

fn versions(answer: &hyper::Response<Incoming>) -> Option<String> {
    answer.headers().get(VERSIONS_HEADER).and_then(|said| said.to_str().ok()).map(str::to_string)
}

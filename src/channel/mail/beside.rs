//! What is no ActiveSync and comes here because the mail server's name does: Outlook's Autodiscover, EWS, MAPI, the address book, the web
//! mail. It goes to the mail server as it came, and back, unread; only logins are counted, as all are. Whose device asks cannot be known.

use super::{
    PATH,
    gateway::Gateway,
    hold::{Shut, guarded},
    login::Login,
    offer::Offer,
    prove::{Words, not_taken},
    redirects::{HOPS, lost},
    refusal::Refusal,
    upstream::{Patience, head, next_server, pass, streamed},
    via, who,
};
use crate::{
    channel::identity::counted,
    error::Judged,
    fleet::settings,
    http::{Peer, forwarded::X_FORWARDED_FOR},
    ids::{DeviceId, Fingerprint},
    store::Tx,
};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header, request::Parts},
    response::Response,
};
use hyper::body::{Body as _, Incoming};
use lanyard_activesync::packed::percent_decode;
use std::{sync::Arc, time::Duration};

/// Longer bodies, and those that do not say how long they are, are streamed: they cannot be sent twice.
const KEPT: u64 = 64 * 1024;
/// How long an answer waits for ActiveSync's word on its login, once an hour.
const PROOF_TIME: Duration = Duration::from_secs(5);
/// The first parts of the mail server's paths.
const FOLDERS: [&str; 4] = ["ews", "mapi", "oab", "owa"];

/// Whether a path is the mail server's, by its first two parts in small letters. Autodiscover's own are the gateway's to answer.
pub(super) fn is_mail_servers(first: &str, second: &str) -> bool {
    FOLDERS.contains(&first) || first == "autodiscover" && second.ends_with(".svc")
}

impl Gateway {
    /// Whether such requests go on: there is a mail server, and `eas.pass_other` is on.
    pub(super) async fn passes_others(&self) -> Result<bool, Refusal> {
        if self.server.eas_upstream.is_none() {
            return Ok(false);
        }
        let setting = self.server.store.run(|tx| settings::text(tx, "eas.pass_other")).await?;
        Ok(setting.as_deref() == Some("on"))
    }

    /// The mail server's answer.
    pub(super) async fn pass_on(self: &Arc<Self>, peer: &Peer, parts: Parts, body: Body) -> Response {
        match self.passed(peer, parts, body).await {
            Ok(answer) => answer,
            Err(refusal) => refusal.told(&self.server, peer),
        }
    }

    async fn passed(self: &Arc<Self>, peer: &Peer, parts: Parts, body: Body) -> Result<Response, Refusal> {
        via::check(&parts.headers, &self.server)?;
        let target = target(self.upstream()?, &parts.uri).ok_or(Refusal::NotPlain)?;
        let said = Login::of(&parts.headers, &self.server.eas_users);
        let name = said.as_ref().and_then(Login::user).map(str::to_string);
        let users = self.server.eas_users.clone();
        let shown = who::shown(&self.server, peer, &parts.headers)?;
        let our_word = self.needs_certificate();
        let check =
            move |tx: &mut Tx<'_>, shown: Fingerprint| who::check_beside(tx, &shown, &users, name.as_deref(), our_word);
        let (is_mail, shut) = match shown {
            Some(shown) => {
                let check = move |tx: &mut Tx<'_>| check(tx, shown);
                let first = check.clone();
                let (is_mail, device) = self.server.store.judge(first).await?;
                (is_mail, device.map(|device| self.clone().shut_beside(device, check)))
            }
            None => (false, None),
        };
        let login = match is_mail {
            true => self.login_for(shown, said.as_ref()).await?,
            false if self.needs_certificate() => return Err(self.nobody(peer.asked)),
            false => said,
        };
        // Neither a token nor our own word is one that somebody could guess.
        let guessed = login.as_ref().filter(|login| login.user().is_some() && !login.is_our_word());
        let words = guessed.map(|login| Words {
            client: peer.client,
            login,
            agent: None,
            holder: counted(&self.server, peer),
            device: None,
            asked: peer.asked,
            certificate: is_mail,
        });
        let reserved = match &words {
            Some(words) if self.logins.was_refused(words.login) => return Err(Refusal::NoLogin),
            Some(words) => Some(self.reserve(words).await?),
            None => None,
        };
        let here = here(&parts.headers, &self.server.public_url);
        let method = parts.method.clone();
        let onward = onward(target, &parts, peer, login.as_ref());
        // An answer may be held for an hour, and a header keeps the connection's whole read buffer.
        drop(parts);
        let is_our_word = login.as_ref().is_some_and(Login::is_our_word);
        let mut shut: Shut<Refusal> = match shut {
            Some(shut) => Box::pin(shut),
            None => Box::pin(std::future::pending()),
        };
        // However slowly its body comes: what was decided at its beginning may be over at its end.
        let sent = tokio::select! {
            biased;
            refused = &mut shut => return Err(refused),
            sent = self.send_beside(onward, body) => sent,
        };
        if let (Some(words), Some(reserved)) = (&words, reserved) {
            let wrong = match &sent {
                Ok((_, answer)) => self.is_guess(peer, words, answer).await,
                Err(_) => false,
            };
            if !wrong {
                self.give_back(reserved).await?;
            }
        }
        let (target, answer) = sent?;
        if is_our_word && answer.status() == StatusCode::UNAUTHORIZED {
            return Err(not_taken());
        }
        let mut response = head(&answer);
        // Where no body comes its length is told all the same: a download begins with HEAD.
        let length = answer.headers().get(header::CONTENT_LENGTH);
        if let Some(length) = length.filter(|_| method == Method::HEAD) {
            response.headers_mut().insert(header::CONTENT_LENGTH, length.clone());
        }
        stay(response.headers_mut(), &target, &here);
        *response.body_mut() = Body::new(answer.into_body());
        Ok(guarded(response, shut, None))
    }

    /// Ends when who shows this certificate would be refused by now.
    async fn shut_beside<C>(self: Arc<Self>, device: DeviceId, check: C) -> Refusal
    where
        C: Fn(&mut Tx<'_>) -> Judged<(bool, Option<DeviceId>), Refusal> + Clone + Send + Sync + 'static,
    {
        // Before it is looked at: what happens meanwhile is not missed.
        let mut news = self.server.presence.watch(device).notified_owned();
        loop {
            if let Err(denial) = self.server.store.judge(check.clone()).await {
                return denial.into();
            }
            news.await;
            news = self.server.presence.watch(device).notified_owned();
        }
    }

    /// The answer, and the address that gave it. Who is sent to the same path of another server has moved there: nobody but us can go after, since
    /// for the client that path is ours.
    async fn send_beside(&self, head: Request<()>, body: Body) -> Result<(Uri, hyper::Response<Incoming>), Refusal> {
        let mut at = head.uri().clone();
        let small = body.size_hint().upper().is_some_and(|most| most <= KEPT);
        if !small {
            let answer = self.send(head.map(|()| streamed(body)), Patience::UNREAD).await?;
            return Ok((at, answer));
        }
        let body = axum::body::to_bytes(streamed(body), usize::MAX).await.map_err(|_| Refusal::Gone)?;
        for _ in 0..=HOPS {
            let request = || {
                let body = if body.is_empty() { Body::empty() } else { Body::from(body.clone()) };
                let mut request = head.clone().map(|()| body);
                *request.uri_mut() = at.clone();
                request
            };
            let answer = match self.send(request(), Patience::UNREAD).await {
                // What may have been done is not done again.
                Err(Refusal::Broken) if head.method().is_safe() => {
                    self.send_afresh(request(), Patience::UNREAD).await?
                }
                answer => answer?,
            };
            match moved(&at, answer.status(), answer.headers()) {
                None => return Ok((at, answer)),
                Some(next) => at = next,
            }
        }
        Err(lost(&at))
    }

    /// Whether an answer tells that the password was wrong. A login that the mail server took within the day is left alone: here it may be
    /// refused for more than its password.
    async fn is_guess(&self, peer: &Peer, words: &Words<'_>, answer: &hyper::Response<Incoming>) -> bool {
        if self.logins.was_taken(words.login) {
            return false;
        }
        if is_wrong(answer) {
            self.server.strangers.count(peer.client);
            self.logins.refuse(words.login);
            return true;
        }
        answer.status().is_success() && !self.is_right(words).await
    }

    /// Who got in is to be shut out by nobody's guesses. That something answers proves no login (a page may be everybody's), so ActiveSync is asked;
    /// what it refuses is a guess like all, where it looks at passwords.
    async fn is_right(&self, words: &Words<'_>) -> bool {
        let Ok(server) = self.upstream() else { return true };
        if !self.logins.may_be_tried(words.login) {
            return true;
        }
        let asked = tokio::time::timeout(PROOF_TIME, self.ask(server, Some(words.login), words)).await;
        let Ok(Ok((at, answer))) = asked else { return true };
        if is_wrong(&answer) {
            return false;
        }
        let is_proof = answer.status().is_success() && Offer::of(&answer).is_some();
        if is_proof && self.must_ask(server, &at, words).await.is_ok() {
            self.logins.keep(words.login);
        }
        true
    }
}

/// The request as it goes on.
fn onward(target: Uri, from: &Parts, peer: &Peer, login: Option<&Login>) -> Request<()> {
    let mut onward = Request::new(());
    *onward.method_mut() = from.method.clone();
    *onward.uri_mut() = target;
    let headers = onward.headers_mut();
    pass(&from.headers, headers);
    // Copies: see above.
    for value in headers.values_mut() {
        if let Ok(copy) = HeaderValue::from_bytes(value.as_bytes()) {
            *value = copy;
        }
    }
    if let Ok(client) = HeaderValue::try_from(peer.client.to_string()) {
        headers.insert(X_FORWARDED_FOR, client);
    }
    if let Some(login) = login {
        login.put(&mut onward);
    }
    onward
}

/// The other server to which one that answered sends the same request.
fn moved(asked: &Uri, status: StatusCode, headers: &HeaderMap) -> Option<Uri> {
    if ![301, 302, 307, 308].contains(&status.as_u16()) {
        return None;
    }
    let next = next_server(asked, headers.get(header::LOCATION)?.to_str().ok()?)?;
    let is_same = next.path_and_query() == asked.path_and_query();
    let elsewhere = next.authority() != asked.authority() || next.scheme() != asked.scheme();
    (is_same && elsewhere).then_some(next)
}

/// The same path and query at the mail server. `None`: it may mean another one there, or names a server of its own.
fn target(upstream: &Uri, asked: &Uri) -> Option<Uri> {
    if asked.authority().is_some() || !is_plain(asked.path()) {
        return None;
    }
    let (scheme, authority) = (upstream.scheme_str()?, upstream.authority()?);
    let path = asked.path_and_query()?;
    format!("{scheme}://{authority}{path}").parse().ok()
}

/// Whether whoever reads a path finds the same in it. What a server might take for a step up, or for another slash, is not plain: in its own
/// letters or encoded, once or twice, with parameters (`..;x`), or with the dots and blanks that Windows drops at the end of a name.
fn is_plain(path: &str) -> bool {
    let Some(path) = path.strip_prefix('/') else { return false };
    let path = path.strip_suffix('/').unwrap_or(path);
    path.split('/').all(|part| {
        let Some(part) = percent_decode(part).and_then(|bytes| String::from_utf8(bytes).ok()) else { return false };
        let name = part.split(';').next().unwrap_or_default().trim_end_matches(['.', ' ']);
        !name.is_empty() && !part.contains(|c: char| matches!(c, '/' | '\\' | '%') || c.is_control())
    })
}

/// Whether the mail server has looked at a password and found it wrong. Where it offers other logins alone it has not looked.
fn is_wrong(answer: &hyper::Response<Incoming>) -> bool {
    let offered = answer.headers().get_all(header::WWW_AUTHENTICATE);
    let is_basic = |offer: &HeaderValue| offer.as_bytes().to_ascii_lowercase().starts_with(b"basic");
    answer.status() == StatusCode::UNAUTHORIZED && (offered.iter().next().is_none() || offered.iter().any(is_basic))
}

/// Our address as the client knows it: the public URL, or the name of the mail server's that now points here, under which its cookies lie.
fn here(headers: &HeaderMap, public_url: &str) -> String {
    let asked = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_name = asked.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:".contains(&b))
        && asked.contains('.')
        && asked.split(':').next().is_some_and(|host| host.parse::<std::net::Ipv4Addr>().is_err());
    if is_name { format!("https://{asked}") } else { public_url.to_string() }
}

/// Where the mail server sends the client elsewhere, it is kept here: with what is the mail server's, and with all paths that come here by
/// whatever name. Elsewhere it may go: people log in at other servers.
fn stay(headers: &mut HeaderMap, asked: &Uri, here: &str) {
    for name in [header::LOCATION, header::CONTENT_LOCATION] {
        let said = headers.get(&name).and_then(|value| value.to_str().ok());
        let Some(value) = said.and_then(|said| kept(said, asked, here)) else { continue };
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    if headers.contains_key("x-ms-location")
        && let Ok(value) = HeaderValue::try_from(format!("{here}{PATH}"))
    {
        headers.insert("x-ms-location", value);
    }
}

/// The address in our own words, where it is one that comes here.
fn kept(said: &str, asked: &Uri, here: &str) -> Option<String> {
    let said = said.trim();
    let (scheme, rest) = match said.split_once("://") {
        Some((scheme, rest)) if scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => (scheme, rest),
        // Without a scheme: that of the request.
        _ => (asked.scheme_str().unwrap_or("https"), said.strip_prefix("//")?),
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let is_own = asked.authority().is_some_and(|own| {
        let default = |scheme: Option<&str>| if scheme == Some("http") { ":80" } else { ":443" };
        let bare = |authority: &str, scheme| {
            let small = authority.to_ascii_lowercase();
            small.strip_suffix(default(scheme)).map_or(small.clone(), str::to_string)
        };
        bare(authority, Some(scheme)) == bare(own.as_str(), asked.scheme_str())
    });
    let slash = if path.starts_with('/') { "" } else { "/" };
    (is_own || is_ours(path)).then(|| format!("{here}{slash}{path}"))
}

/// Whether what asks for it comes to the gateway.
fn is_ours(path: &str) -> bool {
    let path = path.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let mut parts = path.strip_prefix('/').unwrap_or_default().split('/');
    let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    is_mail_servers(first, second) || first == "autodiscover" || path.trim_end_matches('/') == PATH.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_path_goes_on() {
        for path in [
            "/ews",
            "/EWS/Exchange.asmx",
            "/owa/",
            "/owa/auth/logon.aspx",
            "/owa/calendar/ann%40example.org/a%20b/calendar.ics",
            "/oab/8f3.../oab.xml",
            "/owa/.well",
            "/owa/a;b",
            "/owa/%C3%A4",
        ] {
            assert!(is_plain(path), "{path}");
        }
        for path in [
            "",
            "*",
            "ews",
            "/ews/../x",
            "/ews/..",
            "/ews/.",
            "/ews/./x",
            "/ews//x",
            "//ews/x",
            "/ews//",
            "/ews/%2e%2e/x",
            "/ews/.%2E/x",
            "/ews/a%2fb",
            "/ews/a%2Fb",
            "/ews/a%5cb",
            "/ews/a\\b",
            "/ews/..\\x",
            "/ews/%252e%252e/x",
            "/ews/a%25b",
            "/ews/..;x/y",
            "/ews/;x",
            "/ews/.../x",
            "/ews/..%20/x",
            "/ews/%00",
            "/ews/a%0d%0ab",
            "/ews/%c0%ae%c0%ae/x",
            "/ews/%",
            "/ews/%zz",
        ] {
            assert!(!is_plain(path), "{path}");
        }
    }

    #[test]
    fn nothing_leads_to_another_server() {
        let upstream: Uri = "https://mail.internal:8443/eas".parse().unwrap();
        let to = |asked: &str| target(&upstream, &asked.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(to("/EWS/a.asmx?x=%2f..").as_deref(), Some("https://mail.internal:8443/EWS/a.asmx?x=%2f.."));
        assert_eq!(to("https://mdm.example.org/ews/a"), None);
        assert_eq!(to("/ews/@other/").as_deref(), Some("https://mail.internal:8443/ews/@other/"));
    }

    #[test]
    fn who_is_sent_elsewhere_stays_where_the_path_is_ours() {
        let asked: Uri = "http://mail.internal/owa/".parse().unwrap();
        for (said, want) in [
            ("/owa/auth", None),
            ("auth/logon.aspx?a=b://c", None),
            ("http://mail.internal/owa/auth?a=b#c", Some("https://gw/owa/auth?a=b#c")),
            ("http://MAIL.internal:80", Some("https://gw/")),
            ("http://mail.internal/adfs", Some("https://gw/adfs")),
            ("http://mail.internal:81/adfs", None),
            ("https://mail.internal/adfs", Some("https://gw/adfs")),
            ("https://mail.example.org/OWA/", Some("https://gw/OWA/")),
            ("https://mail.example.org/EWS/Exchange.asmx", Some("https://gw/EWS/Exchange.asmx")),
            ("https://x/Microsoft-Server-ActiveSync?Cmd=Sync", Some("https://gw/Microsoft-Server-ActiveSync?Cmd=Sync")),
            ("//mail.internal/owa/x", Some("https://gw/owa/x")),
            ("//adfs.example.org/adfs/ls", None),
            ("https://adfs.example.org/adfs/ls?x=/owa/", None),
            ("https://login.example.org", None),
        ] {
            assert_eq!(kept(said, &asked, "https://gw").as_deref(), want, "{said}");
        }
    }

    #[test]
    fn who_is_sent_to_the_same_path_elsewhere_has_moved() {
        let asked: Uri = "https://mail.internal/ews/a?x=1".parse().unwrap();
        for (status, said, want) in [
            (302, "https://cloud.example.org/ews/a?x=1", true),
            (301, "https://mail.internal:444/ews/a?x=1", true),
            (200, "https://cloud.example.org/ews/a?x=1", false),
            (307, "https://cloud.example.org/ews/a", false),
            (307, "https://mail.internal/ews/a?x=1", false),
            (308, "http://cloud.example.org/ews/a?x=1", false),
            (308, "/ews/a?x=1", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::LOCATION, HeaderValue::from_str(said).unwrap());
            assert_eq!(
                moved(&asked, StatusCode::from_u16(status).unwrap(), &headers).is_some(),
                want,
                "{status} {said}"
            );
        }
    }

    #[test]
    fn the_name_that_was_asked_for_is_kept() {
        let of = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
            here(&headers, "https://mdm.example.org")
        };
        assert_eq!(of("mail.example.org"), "https://mail.example.org");
        assert_eq!(of("mail.example.org:444"), "https://mail.example.org:444");
        for other in ["localhost", "10.0.0.1:8443", "[::1]:8443", "a.b@c.d", "a.b/c", ""] {
            assert_eq!(of(other), "https://mdm.example.org", "{other}");
        }
    }
}

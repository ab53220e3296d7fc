//! Whose a path is that no route has in just these letters: clients write them in any case, and so do those who set them up.

use super::{beside, discovery, gateway::Gateway, options, post};
use crate::http::Peer;
use axum::{
    extract::{Extension, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// The gateway's.
    ActiveSync,
    Autodiscover,
    /// Autodiscover in JSON.
    AutodiscoverV2,
    /// It has nothing to do with us.
    MailServer,
    Nobody,
}

impl Whose {
    fn of(path: &str) -> Self {
        let path = path.to_ascii_lowercase();
        let mut parts = path.strip_prefix('/').unwrap_or_default().split('/');
        let first = parts.next().unwrap_or_default();
        let (second, ends) = (parts.next().unwrap_or_default(), parts.all(str::is_empty));
        match (first, second) {
            ("microsoft-server-activesync", "") if ends => Self::ActiveSync,
            ("autodiscover", "autodiscover.xml") if ends => Self::Autodiscover,
            // Beside the query an address may stand in the path: `/v1.0/ann@example.org`.
            ("autodiscover", "autodiscover.json") => Self::AutodiscoverV2,
            _ if beside::is_mail_servers(first, second) => Self::MailServer,
            _ => Self::Nobody,
        }
    }
}

/// What no route took.
pub(super) async fn any(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Arc<Peer>>,
    request: Request,
) -> Response {
    let method = request.method().clone();
    match (Whose::of(request.uri().path()), &method) {
        (Whose::ActiveSync, &Method::POST) => post::message(State(gateway), Extension(peer), request).await,
        (Whose::ActiveSync, &Method::OPTIONS) => {
            let (uri, headers): (_, HeaderMap) = (request.uri().clone(), request.headers().clone());
            options(State(gateway), Extension(peer), uri, headers).await
        }
        (Whose::ActiveSync, _) => only("POST,OPTIONS"),
        (Whose::Autodiscover, &Method::POST) => discovery::answer(State(gateway), Extension(peer), request).await,
        (Whose::Autodiscover, _) => only("POST"),
        (Whose::AutodiscoverV2, &Method::GET | &Method::HEAD) => {
            discovery::v2(State(gateway), Extension(peer), request).await
        }
        (Whose::AutodiscoverV2, _) => only("GET,HEAD"),
        (Whose::MailServer, _) => match gateway.passes_others().await {
            Ok(true) => {
                let (parts, body) = request.into_parts();
                gateway.pass_on(&peer, parts, body).await
            }
            Ok(false) => StatusCode::NOT_FOUND.into_response(),
            Err(refusal) => refusal.told(&gateway.server, &peer),
        },
        (Whose::Nobody, _) => StatusCode::NOT_FOUND.into_response(),
    }
}

fn only(methods: &'static str) -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, HeaderValue::from_static(methods))]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_known_in_any_letters() {
        for (path, whose) in [
            ("/MICROSOFT-SERVER-ACTIVESYNC", Whose::ActiveSync),
            ("/microsoft-Server-activeSync/", Whose::ActiveSync),
            ("/Microsoft-Server-ActiveSync/x", Whose::Nobody),
            ("/Microsoft-Server-ActiveSync2", Whose::Nobody),
            ("/AUTODISCOVER/AUTODISCOVER.XML", Whose::Autodiscover),
            ("/autodiscover/autodiscover.xml/", Whose::Autodiscover),
            ("/autodiscover/autodiscover.xml/x", Whose::Nobody),
            ("/AutoDiscover/AutoDiscover.JSON", Whose::AutodiscoverV2),
            ("/autodiscover/autodiscover.json/v1.0/ann@example.org", Whose::AutodiscoverV2),
            ("/Autodiscover/Autodiscover.svc/WSSecurity", Whose::MailServer),
            ("/autodiscover/x.asmx", Whose::Nobody),
            ("/autodiscover", Whose::Nobody),
            ("/EWS/Exchange.asmx", Whose::MailServer),
            ("/mapi/emsmdb/", Whose::MailServer),
            ("/OAB", Whose::MailServer),
            ("/owa/..", Whose::MailServer),
            ("/owa2/", Whose::Nobody),
            ("//owa/", Whose::Nobody),
            ("/ecp/", Whose::Nobody),
            ("/%6fwa/", Whose::Nobody),
            ("/", Whose::Nobody),
            ("", Whose::Nobody),
            ("*", Whose::Nobody),
        ] {
            assert_eq!(Whose::of(path), whose, "{path}");
        }
    }
}

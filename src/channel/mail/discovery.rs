//! Autodiscover: a client that has a mail address is sent to the gateway. It tells nothing but our own address, so nobody needs to
//! say who they are. What asks for another protocol is sent to the mail server, or told that there is none.

use super::{Gateway, PATH};
use crate::http::{
    Peer,
    limits::{BODY_IDLE, SMALL_BODY, read_whole},
};
use axum::{
    body::Body,
    extract::{Extension, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use lanyard_activesync::autodiscover::{self, CONTENT_TYPE, Reply, v2};
use std::sync::Arc;

/// The spellings that most clients use.
pub(super) const PATHS: [&str; 5] = [
    "/autodiscover/autodiscover.xml",
    "/Autodiscover/Autodiscover.xml",
    "/Autodiscover/autodiscover.xml",
    "/AutoDiscover/AutoDiscover.xml",
    "/autodiscover/Autodiscover.xml",
];

pub(super) async fn answer(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Arc<Peer>>,
    request: Request,
) -> Response {
    let (parts, body) = match read_whole(request, SMALL_BODY, BODY_IDLE).await {
        Ok(whole) => whole,
        Err(error) => return error.into_response(),
    };
    let url = format!("{}{PATH}", gateway.server.public_url);
    let document = match autodiscover::Request::parse(&body) {
        Ok(asked) if asked.is_mobile() || asked.schema.is_empty() => {
            Reply::Server { display_name: &asked.email, email: &asked.email, url: &url }.encode()
        }
        Ok(asked) if asked.is_outlook() => match gateway.passes_others().await {
            Ok(true) => return gateway.pass_on(&peer, parts, Body::from(body)).await,
            Ok(false) => refused("This server answers mobile clients only."),
            Err(refusal) => return refusal.told(&gateway.server, &peer),
        },
        Ok(_) => refused("This server answers mobile clients only."),
        Err(error) => {
            tracing::debug!(%error, "Autodiscover: refused");
            refused("The request cannot be read.")
        }
    };
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], document).into_response()
}

fn refused(message: &str) -> String {
    Reply::Error { status: 2, message }.encode()
}

/// Autodiscover in JSON.
pub(super) async fn v2(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Arc<Peer>>,
    request: Request,
) -> Response {
    let here = &gateway.server.public_url;
    let told = |protocol, url: String| (StatusCode::OK, v2::Reply::Url { protocol, url: &url }.encode());
    let (status, document) = match v2::Protocol::of(request.uri().query().unwrap_or_default()) {
        v2::Protocol::ActiveSync => told("ActiveSync", format!("{here}{PATH}")),
        v2::Protocol::AutodiscoverV1 => told("AutodiscoverV1", format!("{here}{}", PATHS[0])),
        v2::Protocol::Other => match gateway.passes_others().await {
            Ok(true) => {
                let (mut parts, body) = request.into_parts();
                // What else stands there, some mail servers have taken for another path.
                match v2::only_its_own(parts.uri.path(), parts.uri.query().unwrap_or_default())
                    .and_then(|uri| uri.parse().ok())
                {
                    Some(uri) => parts.uri = uri,
                    None => return (StatusCode::BAD_REQUEST, "this is no request of Autodiscover\n").into_response(),
                }
                return gateway.pass_on(&peer, parts, body).await;
            }
            Ok(false) => (StatusCode::BAD_REQUEST, v2::Reply::InvalidProtocol.encode()),
            Err(refusal) => return refusal.told(&gateway.server, &peer),
        },
        v2::Protocol::Missing => (StatusCode::BAD_REQUEST, v2::Reply::ProtocolMissing.encode()),
    };
    (status, [(header::CONTENT_TYPE, v2::CONTENT_TYPE)], document).into_response()
}

//! Autodiscover: a client that has a mail address is sent to the gateway. It tells nothing but our own address, so nobody needs to
//! say who they are.

use super::{Gateway, PATH};
use crate::http::limits::{BODY_IDLE, SMALL_BODY, read_body};
use axum::{
    extract::{Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use lanyard_activesync::autodiscover::{self, CONTENT_TYPE, Reply};
use std::sync::Arc;

/// The spellings that clients use.
pub(super) const PATHS: [&str; 5] = [
    "/autodiscover/autodiscover.xml",
    "/Autodiscover/Autodiscover.xml",
    "/Autodiscover/autodiscover.xml",
    "/AutoDiscover/AutoDiscover.xml",
    "/autodiscover/Autodiscover.xml",
];

pub(super) async fn answer(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let body = match read_body(request, SMALL_BODY, BODY_IDLE).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    let url = format!("{}{PATH}", gateway.server.public_url);
    let document = match autodiscover::Request::parse(&body) {
        Ok(asked) if asked.is_mobile() || asked.schema.is_empty() => {
            Reply::Server { display_name: &asked.email, email: &asked.email, url: &url }.encode()
        }
        Ok(_) => Reply::Error { status: 2, message: "This server answers mobile clients only." }.encode(),
        Err(error) => {
            tracing::debug!(%error, "Autodiscover: refused");
            Reply::Error { status: 2, message: "The request cannot be read." }.encode()
        }
    };
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], document).into_response()
}

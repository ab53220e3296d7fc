//! What goes to the mail server is marked, so that an address that leads back here is found out: names of the mail server's may point here, and
//! it may send its users to such a name.

use super::refusal::Refusal;
use crate::server::Server;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// Not `Via`: for that some servers compress nothing.
pub(super) const PASSED_BY: HeaderName = HeaderName::from_static("x-lanyard-passed");

/// Marks what goes out.
pub(super) fn mark(headers: &mut HeaderMap, server: &Server) {
    if let Ok(name) = HeaderValue::try_from(server.public_host()) {
        headers.insert(PASSED_BY, name);
    }
}

/// Refuses what went out from here. What had sent it tells the log ([`Gateway::send`](super::gateway::Gateway)): anybody can claim it.
pub(super) fn check(headers: &HeaderMap, server: &Server) -> Result<(), Refusal> {
    let ours = headers.get_all(PASSED_BY).iter().any(|by| by.as_bytes() == server.public_host().as_bytes());
    if ours { Err(Refusal::Loop) } else { Ok(()) }
}

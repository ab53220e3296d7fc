//! ActiveSync: a gateway before the mail server. It says who may read mail, brings policies and wipes by Provision, and passes on
//! everything else without reading it.
//!
//! A ladder, each rung over the ones before: `login.rs` (whose words are these), `who.rs` (which enrolment asks), `partnership.rs` (what of its
//! requests may pass), `provision.rs` (policy and wipe), `decide.rs` (all of that, in one call on the store), `upstream.rs`, `ordered.rs`,
//! `foreign.rs` and `exchange.rs` (the way to the mail server and back), `hold.rs` (requests held open), `post.rs` (one command, whole).

mod again;
mod decide;
mod discovery;
mod document;
mod exchange;
mod foreign;
mod gateway;
mod hold;
mod kept;
mod login;
pub(super) mod mail_profile;
mod order;
mod ordered;
mod p12;
mod partnership;
mod pings;
mod post;
mod prove;
mod provision;
mod refusal;
mod refused;
mod rounds;
mod upstream;
mod who;

#[cfg(test)]
mod tests;

pub(super) use mail_profile::signed_profile;

use crate::{http::Peer, server::Server};
use axum::{
    Router,
    extract::{Extension, State},
    http::HeaderMap,
    response::{IntoResponse, Response},
    routing::post,
};
use gateway::Gateway;
use login::{Login, Logins};
use pings::Pings;
use refusal::Refusal;
use rounds::Rounds;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

/// Where mail clients send all their messages.
pub const PATH: &str = "/Microsoft-Server-ActiveSync";

/// The gateway, Autodiscover, and the download of a certificate.
pub fn router(server: Arc<Server>) -> Router {
    let gateway = Gateway { server, logins: Logins::default(), pings: Pings::default(), rounds: Rounds::default() };
    let mut router = Router::new().route("/enroll/{key}/identity.p12", post(p12::download));
    // Clients spell the path in several ways, and mail servers take them all.
    for path in [PATH, "/Microsoft-Server-ActiveSync/", "/microsoft-server-activesync"] {
        router = router.route(path, post(post::message).options(options));
    }
    for path in discovery::PATHS {
        router = router.route(path, post(discovery::answer));
    }
    router.with_state(Arc::new(gateway))
}

/// Devices that are woken have their held requests looked at again. Ends with the runtime.
pub(super) fn start(server: &Arc<Server>) {
    let (server, mut wakes) = (server.clone(), server.wakes.subscribe());
    tokio::spawn(async move {
        loop {
            match wakes.recv().await {
                Ok(device) => server.presence.watch(device).notify_waiters(),
                // The wake comes again until the command is sent.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    });
}

/// OPTIONS: the mail server's own answer, cut to what both sides speak. By it a login is proved as well.
async fn options(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Arc<Peer>>,
    headers: HeaderMap,
) -> Response {
    let answer = async {
        let upstream = gateway.upstream()?;
        let shown = who::shown(&gateway.server, &peer, &headers)?;
        let login = Login::of(&headers).ok_or(Refusal::NoLogin)?;
        if let Some(shown) = shown {
            gateway.server.store.judge(move |tx| who::check(tx, &shown)).await?;
        }
        gateway.ask_upstream(upstream, &login, &headers).await
    };
    match answer.await {
        Ok(offer) => offer.into_response(),
        Err(refusal) => refusal.told(&gateway.server, &peer),
    }
}

//! ActiveSync: a gateway before the mail server. It says who may read mail, brings policies and wipes by Provision, and passes on
//! everything else without reading it.
//!
//! Read on in `login.rs` (whose words are these), `who.rs` (which enrolment asks), `stand.rs` (what of its requests may pass),
//! `provision.rs` (policy and wipe), `upstream.rs`, `hold.rs` and `foreign.rs` (the way to the mail server and back).

mod discovery;
mod document;
mod foreign;
mod hold;
mod login;
pub(super) mod mail_profile;
mod p12;
mod post;
mod provision;
mod refusal;
mod stand;
mod upstream;
mod who;

#[cfg(test)]
mod tests;

pub(super) use mail_profile::signed_profile;

use crate::server::{Server, background};
use axum::{
    Router,
    extract::{Extension, State},
    http::HeaderMap,
    response::{IntoResponse, Response},
    routing::post,
};
use login::{Login, Logins};
use refusal::Refusal;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

use crate::http::Peer;

/// Where mail clients send all their messages.
pub const PATH: &str = "/Microsoft-Server-ActiveSync";

/// What the gateway's handlers share.
pub(super) struct Gateway {
    server: Arc<Server>,
    logins: Logins,
    pings: hold::Pings,
}

/// The gateway, Autodiscover, and the download of a certificate.
pub fn router(server: Arc<Server>) -> Router {
    let gateway = Gateway { server, logins: Logins::default(), pings: hold::Pings::default() };
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
            gateway.server.store.run(move |tx| who::check(tx, &shown)).await??;
        }
        gateway.ask_upstream(upstream, &login, &headers).await
    };
    match answer.await {
        Ok(offer) => offer.into_response(),
        Err(refusal) => refusal.told(&gateway.server, &peer),
    }
}

impl Gateway {
    /// The mail server's address, where there is one.
    fn upstream(&self) -> Result<&axum::http::Uri, Refusal> {
        self.server.eas_upstream.as_ref().ok_or(Refusal::NoUpstream)
    }

    /// Notes that an enrolment was seen, at most once a minute. Apart from the device's record, since it changes nothing about it.
    fn seen(tx: &mut crate::store::Tx<'_>, enrolment: &crate::registry::Enrolment) -> crate::error::Result<()> {
        let minute_ago = tx.now().minus(std::time::Duration::from_secs(60));
        if background::last_seen(tx, enrolment)?.is_none_or(|at| at < minute_ago) {
            background::note_seen(tx, enrolment.id)?;
        }
        Ok(())
    }
}

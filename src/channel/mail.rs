//! ActiveSync: a gateway before the mail server. It says who may read mail, brings policies and wipes by Provision, and passes on
//! everything else without reading it. What is no ActiveSync and comes here goes to the mail server (`beside.rs`).
//!
//! A ladder, each rung over the ones before: `login.rs` (whose words are these), `who.rs` (which enrolment asks), `partnership.rs` (what of its
//! requests may pass), `provision.rs` (policy and wipe), `decide.rs` (all of that, in one call on the store), `upstream.rs`, `ordered.rs`,
//! `foreign.rs` and `exchange.rs` (the way to the mail server and back), `hold.rs` (requests held open), `post.rs` (one command, whole).

mod admit;
mod again;
mod beside;
mod check;
mod claim;
mod decide;
mod discovery;
pub(super) mod document;
mod exchange;
mod foreign;
mod gateway;
mod guesses;
mod hold;
mod kept;
mod letter;
mod login;
pub(super) mod mail_profile;
mod offer;
mod order;
mod ordered;
mod own;
mod p12;
mod partnership;
mod paths;
mod pings;
mod post;
mod prove;
mod provision;
mod quarantine;
mod redirects;
mod refusal;
mod refused;
mod remembered;
mod rounds;
mod shares;
mod signon;
mod token;
mod upstream;
mod via;
mod who;

#[cfg(test)]
mod tests;

pub(crate) use check::{Step, steps};
pub(super) use login::mailboxes;
pub(super) use mail_profile::signed_profile;
pub(crate) use upstream::is_passed;

use super::identity::counted;
use crate::{
    http::Peer,
    ids::Fingerprint,
    server::{Server, rounds::every, waiting::CLAIM},
    store::Tx,
};
use axum::{
    Router,
    extract::{Extension, State},
    http::{HeaderMap, Uri, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use gateway::Gateway;
use lanyard_activesync::request::named_device;
use login::{Login, Logins};
use offer::Servers;
use pings::Pings;
use prove::Words;
use refusal::Refusal;
use remembered::Outage;
use rounds::Rounds;
use shares::Shares;
use std::{sync::Arc, time::Duration};
use tokio::sync::broadcast::error::RecvError;

/// Where mail clients send all their messages.
pub const PATH: &str = "/Microsoft-Server-ActiveSync";

/// How often it is looked whether the mail server is there.
const LOOK: Duration = Duration::from_secs(60);

/// The gateway, Autodiscover, and the download of a certificate.
pub fn router(server: Arc<Server>) -> Router {
    let shares = Arc::new(Shares::new(server.eas_requests.clone()));
    let gateway = Gateway {
        server,
        shares,
        logins: Logins::default(),
        guesses: Default::default(),
        servers: Servers::default(),
        pings: Pings::default(),
        rounds: Rounds::default(),
        outage: Outage::default(),
        telling: Default::default(),
    };
    let mut router = Router::new().route("/enroll/{key}/identity.p12", post(p12::download));
    router = router.route(&format!("{CLAIM}/{{device}}"), get(claim::form).post(claim::claim));
    // Clients spell the path in several ways, and mail servers take them all. These are the common ones: see `paths.rs`.
    for path in [PATH, "/Microsoft-Server-ActiveSync/", "/microsoft-server-activesync"] {
        router = router.route(path, post(post::message).options(options));
    }
    for path in discovery::PATHS {
        router = router.route(path, post(discovery::answer));
    }
    // The one fallback of the devices' port: whatever no route has is looked at there.
    router.fallback(paths::any).with_state(Arc::new(gateway))
}

/// Devices that are woken have their held requests looked at again. Ends with the runtime.
pub(super) fn start(server: &Arc<Server>) {
    if server.eas_upstream.is_some() {
        every(server, "mail server", LOOK, look);
    }
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

/// Looks whether the mail server is one and answers, for the log and `lanyard status`.
async fn look(server: Arc<Server>) -> crate::error::Result<()> {
    let wrong = check::wrong(&server).await;
    match (&wrong, server.mail_server.note(wrong.clone(), server.now())) {
        (Some(text), true) => tracing::error!("the mail server (--eas-upstream): {text}"),
        (None, true) => tracing::info!("the mail server answers as it should again"),
        _ => {}
    }
    Ok(())
}

/// OPTIONS: the mail server's own answer, cut to what both sides speak. By it a login is proved as well.
async fn options(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Arc<Peer>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let answer = async {
        let upstream = gateway.upstream()?;
        via::check(&headers, &gateway.server)?;
        let shown = who::shown(&gateway.server, &peer, &headers)?;
        let said = Login::of(&headers, &gateway.server.eas_users);
        if let Some(shown) = shown {
            let (name, users) =
                (said.as_ref().and_then(Login::user).map(str::to_string), gateway.server.eas_users.clone());
            let check = move |tx: &mut Tx<'_>| match &name {
                Some(name) => who::check_with(tx, &shown, &users, name),
                None => who::check(tx, &shown),
            };
            gateway.server.store.judge(check).await?;
        }
        let login = match gateway.login_for(shown, said.as_ref()).await? {
            Some(login) => login,
            // An ended one, which hears more by Provision.
            None if shown.is_some() && gateway.server.eas_signon.is_some() => return Ok(gateway.known_offer(upstream)),
            None => return Err(gateway.nobody(peer.asked)),
        };
        let words = Words {
            client: peer.client,
            login: &login,
            agent: headers.get(header::USER_AGENT),
            holder: counted(&gateway.server, &peer),
            asked: peer.asked,
            device: uri.query().and_then(named_device).map(String::from),
            certificate: shown.is_some() && login.user().is_some(),
        };
        let offer = gateway.offer(upstream, &words).await;
        match offer.is_err() && hears_of_a_wipe(&gateway, &words, shown).await? {
            true => Ok(gateway.known_offer(upstream)),
            false => offer,
        }
    };
    match answer.await {
        Ok(offer) => offer.into_response(),
        Err(refusal) => refusal.told(&gateway.server, &peer),
    }
}

/// Whether a wipe waits for who asks, by the certificate or by the name in the login. Then a changed password must not turn it away.
async fn hears_of_a_wipe(
    gateway: &Gateway,
    words: &Words<'_>,
    shown: Option<Fingerprint>,
) -> std::result::Result<bool, Refusal> {
    let name = words.login.user().map(str::to_string).or_else(|| gateway.logins.former_owner(words.login));
    let (login, device) = (name, words.device.clone());
    let owed = move |tx: &mut Tx<'_>| match (&shown, &login) {
        (Some(shown), _) => who::certificate_is_owed_a_wipe(tx, shown),
        (None, Some(login)) => who::is_owed_a_wipe(tx, login, device.as_deref()),
        (None, None) => Ok(false),
    };
    Ok(gateway.server.store.run(owed).await?)
}

//! What a person opens: the page of an invitation, and for Apple devices the enrolment profile.

use crate::{
    channel::apple::{
        enrolment::{self, Enrolling},
        push_cert,
    },
    error::{Error, Result},
    fleet::{
        enrol::{
            invitation::{self, Invitation},
            under_way,
        },
        life::Channel,
        settings,
    },
    http::Peer,
    server::Server,
};
use axum::{
    Router,
    extract::{Extension, Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use lanyard_apple::{
    Secret,
    profile::{self, Scep},
};
use std::sync::Arc;

/// Beside an Apple profile: `none` where no push certificate is set. No phone reads it; whoever tries the way in with a program is warned.
const PUSH: &str = "lanyard-push";

/// `/enroll/{key}` and `/enroll/{key}/profile`.
pub fn router(server: Arc<Server>) -> Router {
    Router::new().route("/enroll/{key}", get(page)).route("/enroll/{key}/profile", get(profile_only)).with_state(server)
}

async fn page(
    State(server): State<Arc<Server>>,
    Extension(peer): Extension<Arc<Peer>>,
    Path(key): Path<String>,
    headers: HeaderMap,
) -> Response {
    let agent = headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let names = |names: &[&str]| names.iter().any(|name| agent.contains(name));
    let profile = |channel| match channel {
        Channel::Apple => names(&["iPhone", "iPad", "Macintosh"]),
        // Macs take no mail account from a profile.
        Channel::Activesync => names(&["iPhone", "iPad"]),
        _ => false,
    };
    match open(&server, &key).await {
        Ok(Opened { invitation, .. }) if profile(invitation.channel) => answer(&server, &peer, &key).await,
        Ok(Opened { invitation, .. }) => Html(text(&server, &invitation, &key)).into_response(),
        Err(refused) => refusal(&server, &peer, &refused),
    }
}

async fn profile_only(
    State(server): State<Arc<Server>>,
    Extension(peer): Extension<Arc<Peer>>,
    Path(key): Path<String>,
) -> Response {
    answer(&server, &peer, &key).await
}

async fn answer(server: &Server, peer: &Peer, key: &str) -> Response {
    match signed_profile(server, key).await {
        Ok((bytes, unpushed)) => {
            let mut response = ([(header::CONTENT_TYPE, profile::CONTENT_TYPE)], bytes).into_response();
            if unpushed {
                response.headers_mut().insert(PUSH, HeaderValue::from_static("none"));
            }
            response
        }
        Err(refused) => refusal(server, peer, &refused),
    }
}

/// Why somebody gets no profile, and whose the invitation is, for the log.
struct Refused {
    user: Option<String>,
    error: Error,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { user: None, error }
    }
}

type Done<T> = std::result::Result<T, Refused>;

/// An invitation that was opened, and what the store says for an Apple profile besides.
struct Opened {
    invitation: Invitation,
    topic: String,
    signs: bool,
    /// No push certificate is set.
    unpushed: bool,
}

/// Looking spends nothing: mail scanners follow links.
async fn open(server: &Server, key: &str) -> Done<Opened> {
    let key = key.to_string();
    let look = move |tx: &mut crate::store::Tx<'_>| {
        let invitation = invitation::by_url(tx, &key)?.ok_or_else(|| Error::not_found("invitation", ""))?;
        // Somebody who cannot begin is told so here, and not by a phone's words for a failed install.
        let place = under_way::place_for_one_more(tx, &invitation);
        let (topic, unpushed) = (push_cert::topic(tx)?, push_cert::show(tx)?.is_none());
        let signs = asks_to_sign(tx)?;
        Ok((Opened { invitation, topic, signs, unpushed }, place))
    };
    match server.store.run(look).await? {
        (opened, Ok(_)) => Ok(opened),
        (opened, Err(error)) => Err(Refused { user: Some(opened.invitation.user), error }),
    }
}

/// Whether profiles ask Apple devices to sign their messages.
pub(super) fn asks_to_sign(tx: &mut crate::store::Tx<'_>) -> Result<bool> {
    Ok(settings::text(tx, "apple.sign_messages")?.as_deref() == Some("on"))
}

/// The profile, and whether a device that takes it cannot be woken for want of a push certificate.
async fn signed_profile(server: &Server, key: &str) -> Done<(Vec<u8>, bool)> {
    let Opened { invitation, topic, signs, unpushed } = open(server, key).await?;
    if !matches!(invitation.channel, Channel::Apple | Channel::Activesync) {
        let error = Error::refused("not_apple", "This invitation is not for an Apple device.");
        return Err(Refused { user: Some(invitation.user), error });
    }
    if invitation.channel == Channel::Activesync {
        let mailboxes = server.store.run(super::mail::mailboxes).await?;
        return match super::mail::signed_profile(server, &invitation, key, mailboxes.first()) {
            Ok(profile) => Ok((profile, false)),
            Err(error) => Err(Refused { user: Some(invitation.user), error }),
        };
    }
    if signs {
        // Before the profile leaves: who has it signs.
        server.store.run(move |tx| invitation::note_signing(tx, invitation.id)).await?;
    }
    let of = Enrolling {
        uuid: invitation.enrolment.0,
        enrolment: invitation.enrolment,
        ownership: invitation.ownership,
        topic,
        signs,
        challenge: Secret::new(invitation::challenge(key)),
    };
    Ok((enrolment::profile(server, of)?, unpushed))
}

pub(super) fn scep(server: &Server, invitation: &Invitation, key: &str) -> Scep {
    enrolment::scep(server, invitation.enrolment, Secret::new(invitation::challenge(key)))
}

fn text(server: &Server, invitation: &Invitation, key: &str) -> String {
    let what = match invitation.channel {
        Channel::Apple => "Open this page on the iPhone, iPad or Mac that you want to enrol.".to_string(),
        Channel::Omadm => format!(
            "On the PC open Settings, Accounts, Access work or school, Enrol only in device management. Type your user name and, \
             where it asks for a server, <code>{}</code>; the password is the code of your invitation.",
            server.enrol_url
        ),
        // Only a key that leads to an invitation comes so far: letters and digits.
        _ => format!(
            "On the device that reads mail, type the code of your invitation to download its certificate.\
             <form method=\"post\" action=\"/enroll/{key}/identity.p12\"><p><input name=\"code\" autocomplete=\"off\"> \
             <button>Download</button></p></form>"
        ),
    };
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Enrol your device</title><h1>Enrol your device</h1><p>{what}</p></html>"
    )
}

fn refusal(server: &Server, peer: &Peer, refused: &Refused) -> Response {
    let address = peer.client;
    match &refused.error {
        Error::NotFound { .. } | Error::Removed(_) | Error::Ambiguous { .. } => server.told.unknown_invitation(address),
        Error::Forbidden { text, .. } | Error::Refused { text, .. } | Error::Invalid { text, .. } => {
            server.told.refused("page", refused.user.as_deref(), address, text);
        }
        Error::Store(_) | Error::Internal(_) => {}
    }
    match &refused.error {
        Error::Store(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Error::Internal(text) => {
            tracing::error!(error = %text, "enrolment page");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        Error::NotFound { .. } | Error::Removed(_) | Error::Ambiguous { .. } => {
            server.strangers.count(peer.client);
            (StatusCode::NOT_FOUND, "There is no such invitation.\n").into_response()
        }
        Error::Forbidden { code: "invitation_busy", text } => {
            server.strangers.count(peer.client);
            (StatusCode::CONFLICT, format!("{text}\n")).into_response()
        }
        Error::Forbidden { text, .. } | Error::Refused { text, .. } | Error::Invalid { text, .. } => {
            server.strangers.count(peer.client);
            (StatusCode::GONE, format!("{text}\n")).into_response()
        }
    }
}

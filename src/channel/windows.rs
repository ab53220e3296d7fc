//! OMA-DM, as Windows speaks it: enrolment by SOAP, then sessions over mutual TLS, in which the certificate says who asks.
//!
//! Read on in `enrolment.rs` (invitation to certificate), `provision.rs` (what a PC is set up with), `session.rs` (one message to
//! its answer), `delivery.rs` (what goes out), `policy.rs` (settings and their reading back), `facts.rs` (what a device is), `heard.rs` (its
//! alerts, and what cannot be read).

mod answers;
mod delivery;
pub(super) mod enrolment;
mod facts;
mod heard;
mod policy;
mod provision;
mod repeat;

mod session;

pub(crate) use session::KINDS;

pub(super) use delivery::support;

use super::{identity, span};
use crate::{
    error::{Denial, Error, Judged},
    fleet::{
        life::{Channel, Device},
        registry::{Credential, Standing},
        terms::Ground,
    },
    http::{
        Peer,
        limits::{BODY_IDLE, LARGE_BODY, Unread, read_judged},
    },
    ids::Fingerprint,
    server::Server,
    store::Tx,
};
use axum::{
    Router,
    extract::{Extension, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use lanyard_omadm::syncml::{ContentType, Message};
use std::sync::Arc;
use tracing::Instrument;

/// Where sessions go: devices keep it for ever.
pub const DM_PATH: &str = "/omadm";
/// Discovery; the host's name is Windows' to guess, the path is Windows' own.
pub const DISCOVERY_PATH: &str = "/EnrollmentServer/Discovery.svc";
/// What certificate requests should look like.
pub const POLICY_PATH: &str = "/EnrollmentServer/Policy.svc";
/// Certificates, first and renewed ones: devices keep it for ever.
pub const ENROLMENT_PATH: &str = "/EnrollmentServer/Enrollment.svc";
/// The name of our account on a device, part of node paths: devices keep it for ever.
pub const PROVIDER_ID: &str = "Lanyard";

/// Why a device is not served. What it means on the wire is decided in [`Refusal::into_response`] alone.
#[derive(Debug)]
enum Refusal {
    /// The body cannot be read, or no certificate was shown where one was asked for.
    Unreadable(&'static str),
    /// A device of ours sent what cannot be read.
    Garbled(&'static str),
    /// Not SyncML by its own account.
    MediaType,
    /// Nobody is asked for a certificate under this name.
    WrongName,
    /// The certificate does not stand for an enrolment that is served.
    Identity(Standing),
    /// Our fault, or the store's.
    Fault(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Forbidden { .. } => Self::Identity(Standing::Unknown),
            other => Self::Fault(other),
        }
    }
}

impl From<Denial<Standing>> for Refusal {
    fn from(denial: Denial<Standing>) -> Self {
        match denial {
            Denial::Refused(standing) => Self::Identity(standing),
            Denial::Failed(error) => error.into(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Unreadable(what) | Self::Garbled(what) => {
                (StatusCode::BAD_REQUEST, format!("{what}\n")).into_response()
            }
            Self::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "SyncML is taken here\n").into_response(),
            Self::WrongName => {
                (StatusCode::MISDIRECTED_REQUEST, "ask under the server's public name\n").into_response()
            }
            Self::Identity(_) => (StatusCode::FORBIDDEN, "refused\n").into_response(),
            Self::Fault(Error::Store(_)) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            // A text that cannot be taken.
            Self::Fault(error @ Error::Invalid { .. }) => {
                (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
            }
            Self::Fault(error) => {
                tracing::error!(%error, "omadm");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

/// Enrolment and sessions.
pub fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route(DISCOVERY_PATH, get(StatusCode::OK).post(enrolment::message))
        .route(POLICY_PATH, post(enrolment::message))
        .route(ENROLMENT_PATH, post(enrolment::message))
        .route(DM_PATH, post(message))
        .with_state(server)
}

async fn message(
    State(server): State<Arc<Server>>,
    Extension(peer): Extension<Arc<Peer>>,
    request: Request,
) -> Response {
    let span = span::check_in(Channel::Omadm);
    let answer = async {
        // Before the body: strangers shall not make us read eight megabytes.
        let shown = shown(&server, &peer, request.headers())?;
        let form = form(&request)?;
        let (head, body) = request.into_parts();
        let judge = async { Ok(server.store.judge(move |tx| identity::admit_much(tx, &shown, Channel::Omadm)).await?) };
        let body = match read_judged(&head.headers, body, LARGE_BODY, BODY_IDLE, judge).await {
            Ok(body) => body,
            Err(Unread::Body(error)) => return Ok(error.into_response()),
            Err(Unread::Refused(refusal)) => return Err(refusal),
        };
        if let Some(answer) = repeat::answer(&server, &shown, form, &body) {
            return Ok(reply(form, answer)); // most idle sessions end here
        }
        let message = match Message::parse(&body, form) {
            Ok(message) => message,
            Err(error) => {
                let what = "this is no SyncML message";
                let known = identity::garbled(&server, shown, error.to_string()).await?;
                return Err(if known { Refusal::Garbled(what) } else { Refusal::Unreadable(what) });
            }
        };
        let answer = session::take(&server, shown, message, form, &body).await?;
        Ok(reply(answer.content_type, answer.body))
    };
    let answer = answer.instrument(span.clone()).await.unwrap_or_else(|refusal: Refusal| {
        if let Refusal::Identity(Standing::Unknown) | Refusal::Unreadable(_) = &refusal {
            server.strangers.count(peer.client);
        }
        refusal.into_response()
    });
    span::answered(&span, answer)
}

fn reply(form: ContentType, body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, form.as_str())], body).into_response()
}

fn shown(server: &Server, peer: &Peer, headers: &http::HeaderMap) -> std::result::Result<Fingerprint, Refusal> {
    match identity::certificate(server, peer, headers) {
        Ok(Some(shown)) => Ok(shown),
        Ok(None) if peer.asked => Err(Refusal::Unreadable("a client certificate is needed")),
        Ok(None) => Err(Refusal::WrongName),
        Err(_) => Err(Refusal::Unreadable("bad Client-Cert")),
    }
}

fn form(request: &Request) -> std::result::Result<ContentType, Refusal> {
    let named = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    named.and_then(ContentType::parse).ok_or(Refusal::MediaType)
}

/// How a certificate stands on this channel, under the name that the device gives itself. A refusal is noted where the
/// enrolment is known.
fn admit(tx: &mut Tx<'_>, shown: &Fingerprint, name: &str) -> Judged<(Credential, Device), Standing> {
    let (standing, credential, device) = identity::judge(tx, shown)?;
    let Some(credential) = credential else { return Err(Denial::Refused(Standing::Unknown)) };
    span::whose(credential.enrolment, credential.device);
    let bound = device.as_ref().and_then(|d| d.enrolment(credential.enrolment));
    let mine = bound.is_some_and(|e| e.channel == Channel::Omadm && e.identity.eq_ignore_ascii_case(name));
    match (standing, device) {
        (Standing::Good, Some(device)) if mine => Ok((credential, device)),
        (Standing::Good, _) => {
            identity::note_refusal(tx, &credential, Ground::SpeaksForAnother)?;
            Err(Denial::Refused(Standing::Unknown))
        }
        (other, _) => {
            identity::note_refusal(tx, &credential, other.into())?;
            Err(Denial::Refused(other))
        }
    }
}

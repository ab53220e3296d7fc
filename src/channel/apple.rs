//! Apple MDM: one URL for all devices; the certificate says who asks, the body says what it is.
//!
//! Read on in `checkin.rs` (enrolment), `user.rs` (a Mac's users), `poll.rs` (commands and their results), `delivery.rs` (what goes out).

mod checkin;
pub(super) mod delivery;
pub(super) mod enrolment;
mod poll;
pub(super) mod push;
pub mod push_cert;
mod settings;
mod user;

pub(super) use delivery::support;

use enrolment::APPLE_PATH;

use super::{identity, invitations::asks_to_sign, span};
use crate::{
    error::{Denial, Error, Judged, Result},
    fleet::{
        keeper,
        life::{Channel, Device, EnrolmentState, Managed},
        registry::{Credential, Standing, presence::Idle},
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
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::put,
};
use lanyard_apple::{Body, refusal};
use lanyard_certs::{ca::When, cms};
use std::sync::Arc;
use tracing::Instrument;

/// The signature over a body, for connections that cannot carry a certificate.
const MDM_SIGNATURE: &str = "mdm-signature";

/// Why a device is not served. What it means on the wire is decided in [`Refusal::into_response`] alone.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The body or the signature cannot be read, or no certificate was shown where one was asked for.
    Unreadable(&'static str),
    /// A device of ours sent what cannot be read.
    Garbled(&'static str),
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
            Error::Forbidden { code: "not_pinned", .. } => Self::Identity(Standing::Unknown),
            Error::Forbidden { .. } => Self::Identity(Standing::Superseded),
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
            Self::WrongName => {
                (StatusCode::MISDIRECTED_REQUEST, "ask under the server's public name\n").into_response()
            }
            // The one place that tells a device to unenrol: its retire or wipe is final.
            Self::Identity(Standing::Ended) => {
                let (status, kind, body) = refusal::unrecognized_device();
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
                (status, [(header::CONTENT_TYPE, kind)], body).into_response()
            }
            Self::Identity(_) => (StatusCode::FORBIDDEN, "refused\n").into_response(),
            Self::Fault(Error::Store(_)) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            // A text that cannot be taken.
            Self::Fault(error @ Error::Invalid { .. }) => {
                (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
            }
            Self::Fault(error) => {
                tracing::error!(%error, "apple");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

pub(super) type Answer = std::result::Result<Response, Refusal>;

/// The channel's one path.
pub fn router(server: Arc<Server>) -> Router {
    Router::new().route(APPLE_PATH, put(message).post(message)).with_state(server)
}

async fn message(
    State(server): State<Arc<Server>>,
    Extension(peer): Extension<Arc<Peer>>,
    request: Request,
) -> Response {
    let span = span::check_in(Channel::Apple);
    let answer = async {
        // Before the body: strangers shall not make us read eight megabytes.
        let shown = shown(&server, &peer, request.headers())?;
        let (head, body) = request.into_parts();
        let judge = async { Ok(server.store.judge(move |tx| admit_much(tx, &shown)).await?) };
        let body = match read_judged(&head.headers, body, LARGE_BODY, BODY_IDLE, judge).await {
            Ok(body) => body,
            Err(Unread::Body(error)) => return Ok(error.into_response()),
            Err(Unread::Refused(refusal)) => return Err(refusal),
        };
        if shown.by == Proof::Signature {
            verify(&server, &shown, &head.headers, &body)?;
        }
        let read = match Body::parse(&body) {
            Ok(read) => read,
            Err(error) => {
                let what = "this is no message of Apple MDM";
                let known = identity::garbled(&server, shown.certificate, error.to_string()).await?;
                return Err(if known { Refusal::Garbled(what) } else { Refusal::Unreadable(what) });
            }
        };
        match read {
            Body::CheckIn(message) if message.channel().user.is_some() => user::take(&server, shown, message).await,
            Body::CheckIn(message) => checkin::take(&server, shown, message).await,
            Body::Report(report) => poll::take(&server, shown, report).await,
        }
    };
    let answer = answer.instrument(span.clone()).await.unwrap_or_else(|refusal: Refusal| {
        if let Refusal::Identity(Standing::Unknown) | Refusal::Unreadable(_) = &refusal {
            server.strangers.count(peer.client);
        }
        refusal.into_response()
    });
    span::answered(&span, answer)
}

/// Whose a request is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub(super) certificate: Fingerprint,
    by: Proof,
}

/// How it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// By the connection's certificate.
    Connection,
    /// By a signature over the body that names a certificate of ours: true once the body is there to check it.
    Signature,
}

impl Shown {
    /// Whether what is remembered of a device is remembered of who asks.
    pub(super) fn counts_for(&self, idle: &Idle) -> bool {
        self.by == Proof::Connection || idle.signs
    }
}

/// What a request's head tells of who asks: the connection's certificate, or where it shows none the body's signature.
fn shown(server: &Server, peer: &Peer, headers: &HeaderMap) -> std::result::Result<Shown, Refusal> {
    if let Some(certificate) =
        identity::certificate(server, peer, headers).map_err(|_| Refusal::Unreadable("bad Client-Cert"))?
    {
        return Ok(Shown { certificate, by: Proof::Connection });
    }
    if headers.get(MDM_SIGNATURE).is_none() {
        return Err(if peer.asked {
            Refusal::Unreadable("a client certificate is needed")
        } else {
            Refusal::WrongName
        });
    }
    let der = cms::mdm_signer(signature(headers)?, &server.authority).map_err(unsigned)?;
    Ok(Shown { certificate: fingerprint(&der)?, by: Proof::Signature })
}

/// Whether the key of the certificate that was named signed the body.
fn verify(server: &Server, shown: &Shown, headers: &HeaderMap, body: &[u8]) -> std::result::Result<(), Refusal> {
    // Its time is judged with its pin: an expired one is refused in the same words as on a connection.
    let der = cms::verify_mdm_signature(signature(headers)?, body, &server.authority, When::Any).map_err(unsigned)?;
    if fingerprint(&der)? != shown.certificate {
        return Err(Refusal::Unreadable("the signature names two certificates"));
    }
    Ok(())
}

fn fingerprint(der: &[u8]) -> std::result::Result<Fingerprint, Refusal> {
    Ok(Fingerprint(lanyard_certs::client::fingerprint(der).map_err(super::certificates::fault)?))
}

fn signature(headers: &HeaderMap) -> std::result::Result<&str, Refusal> {
    let text = headers.get(MDM_SIGNATURE).and_then(|value| value.to_str().ok());
    text.ok_or(Refusal::Unreadable("the signature cannot be read"))
}

fn unsigned(error: lanyard_certs::Error) -> Refusal {
    if matches!(error, lanyard_certs::Error::NotOurs { .. }) {
        return Refusal::Identity(Standing::Unknown);
    }
    tracing::debug!(%error, "Mdm-Signature");
    Refusal::Unreadable("the signature cannot be read, or is not over this body")
}

/// How a certificate stands on this channel, judged in the call that rests on it. A refusal is noted where the enrolment is known.
pub(super) fn admit(tx: &mut Tx<'_>, shown: &Shown, name: &str) -> Judged<(Credential, Option<Device>), Standing> {
    let (standing, credential, device) = identity::judge(tx, &shown.certificate)?;
    let Some(credential) = credential else { return Err(Denial::Refused(Standing::Unknown)) };
    span::whose(credential.enrolment, credential.device);
    if shown.by == Proof::Signature && !signature_counts(tx, &credential)? {
        identity::note_refusal(tx, &credential, Ground::NoCertificate)?;
        return Err(Denial::Refused(Standing::Unknown));
    }
    let bound = device.as_ref().and_then(|d| d.enrolment(credential.enrolment));
    let standing = match standing {
        Standing::Good if credential.channel != Channel::Apple => Standing::Unknown,
        // As a copied disk does, whose Mac has another name.
        Standing::Good if bound.is_some_and(|e| !e.identity.eq_ignore_ascii_case(name)) => {
            identity::note_refusal(tx, &credential, Ground::SpeaksForAnother)?;
            return Err(Denial::Refused(Standing::Unknown));
        }
        other => other,
    };
    if standing != Standing::Good {
        identity::note_refusal(tx, &credential, standing.into())?;
        return Err(Denial::Refused(standing));
    }
    Ok((credential, device))
}

/// Whose message this is, which is heard by it: whatever it says, the device is there.
pub(super) fn heard(tx: &mut Tx<'_>, shown: &Shown, name: &str) -> Judged<(Credential, Option<Managed>), Standing> {
    let (credential, device) = admit(tx, shown, name)?;
    let Some(device) = device else { return Ok((credential, None)) };
    let mut device = keeper::load(tx, device)?;
    // Who has a certificate that is set apart may be somebody else: by it only what is owed a wipe is heard.
    if !is_set_apart(&device, shown) || device.enrolment(credential.enrolment).is_some_and(|mine| mine.owed.is_some()) {
        keeper::contact(tx, &mut device, credential.enrolment)?;
    }
    Ok((credential, Some(device)))
}

/// Whether what was shown came of a challenge, and nothing shows yet that the device has it.
fn is_set_apart(device: &Device, shown: &Shown) -> bool {
    device.enrolments.iter().any(|mine| mine.is_set_apart(&shown.certificate))
}

/// Whether a large body is read of who asks, before it says in which device's name. What a signature names is not proved by then: nothing
/// is noted of it, and it is told nothing but that it is refused.
fn admit_much(tx: &mut Tx<'_>, shown: &Shown) -> Judged<(), Standing> {
    if shown.by == Proof::Connection {
        return identity::admit_much(tx, &shown.certificate, Channel::Apple);
    }
    let (standing, credential, _) = identity::judge(tx, &shown.certificate)?;
    let Some(credential) = credential else { return Err(Denial::Refused(Standing::Unknown)) };
    let counts =
        standing == Standing::Good && credential.channel == Channel::Apple && signature_counts(tx, &credential)?;
    if counts { Ok(()) } else { Err(Denial::Refused(Standing::Unknown)) }
}

/// Whether a signature stands for this certificate: where its profile asked for it; where nobody knows, as the setting is now.
pub(super) fn signature_counts(tx: &mut Tx<'_>, credential: &Credential) -> Result<bool> {
    match credential.signs {
        Some(signs) => Ok(signs),
        None => asks_to_sign(tx),
    }
}

/// Whether commands may go to this enrolment.
pub(super) fn is_complete(device: &Device, credential: &Credential) -> bool {
    device
        .enrolment(credential.enrolment)
        .is_some_and(|e| matches!(e.state, EnrolmentState::Enrolled | EnrolmentState::Former))
}

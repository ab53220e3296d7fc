//! Why a request is not served, and what that means over HTTP: the one place that says so for
//! requests (the claim page has words of its own). What a client of the protocol is told
//! of its device (block, wipe, policy) is no refusal of this kind: see `partnership.rs`.

use crate::{
    error::{Denial, Error},
    http::Peer,
    http::limits::BodyError,
    server::Server,
};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use std::time::Duration;

/// When a client may come again that the store said nothing of.
const STORE_AGAIN: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(super) enum Refusal {
    /// There is no mail server.
    NoUpstream,
    /// The mail server does not answer.
    Away,
    /// The connection to it broke before it answered.
    Broken,
    /// The mail server answers OPTIONS to everybody, so that its answer proves no login.
    NoProof,
    /// What is set up as mail server is none: its OPTIONS names no version of ActiveSync.
    NoMailServer,
    /// Too many wrong passwords of this user or from this address; how long until one more may be tried.
    TooManyWrong(Duration),
    /// No name and password came along.
    NoLogin,
    /// Nobody gets in without a certificate of ours.
    CertificateOnly,
    /// The mail server does not take our word for its users.
    NotTaken,
    /// Kerberos gave no ticket in the user's name.
    NoTicket,
    /// No header can hold the user's name.
    Unnamed,
    /// The mail server refused the login: its own answer.
    Upstream(Box<Response>),
    /// It came from here: the mail server's address leads back to the gateway.
    Loop,
    /// A path that might mean another one at the mail server.
    NotPlain,
    /// The head of the request makes no sense.
    Head(lanyard_activesync::Error),
    /// The body was not read.
    Body(BodyError),
    /// The client's body broke off on its way through.
    Gone,
    /// The certificate cannot be read.
    Unreadable,
    /// A certificate that is no enrolment's, or none of this channel.
    Stranger,
    /// A known enrolment that may not ask like this; it is noted.
    Denied,
    /// The login beside the certificate is another user's.
    OtherUser,
    /// Nothing says whether it is the same user's.
    UnknownUser,
    /// The login has brought too many unknown clients within the hour.
    TooManyClients,
    /// Nobody is asked for a certificate under this name, and the enrolment has one.
    WrongName,
    /// Our fault, or the store's.
    Fault(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            Error::Forbidden { .. } => Self::Denied,
            other => Self::Fault(other),
        }
    }
}

impl From<Denial<Refusal>> for Refusal {
    fn from(denial: Denial<Refusal>) -> Self {
        match denial {
            Denial::Refused(refusal) => refusal,
            Denial::Failed(error) => error.into(),
        }
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl Refusal {
    /// The answer; who is refused as a stranger is counted.
    pub(super) fn told(self, server: &Server, peer: &Peer) -> Response {
        let stranger = match &self {
            Self::Stranger | Self::Unreadable | Self::TooManyClients | Self::TooManyWrong(_) => true,
            Self::Upstream(answer) => answer.status() == StatusCode::UNAUTHORIZED,
            _ => false,
        };
        if stranger {
            server.strangers.count(peer.client);
        }
        self.into_response()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let plain = |status: StatusCode, text: &'static str| (status, text).into_response();
        match self {
            Self::NoUpstream => {
                plain(StatusCode::SERVICE_UNAVAILABLE, "no mail server is set up here (--eas-upstream)\n")
            }
            Self::Away | Self::Broken => plain(StatusCode::SERVICE_UNAVAILABLE, "the mail server does not answer\n"),
            Self::NoProof => {
                plain(StatusCode::SERVICE_UNAVAILABLE, "the mail server proves no logins: a certificate is needed\n")
            }
            Self::NoMailServer => {
                plain(StatusCode::SERVICE_UNAVAILABLE, "what is set up as mail server does not speak ActiveSync\n")
            }
            Self::TooManyWrong(wait) => {
                let mut response = plain(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "too many wrong passwords of this account or from this address\n",
                );
                let seconds = HeaderValue::from(wait.as_secs().max(1));
                response.headers_mut().insert(header::RETRY_AFTER, seconds);
                response
            }
            Self::NoLogin => {
                let mut response =
                    plain(StatusCode::UNAUTHORIZED, "name and password of the mail account are needed\n");
                let basic = HeaderValue::from_static("Basic realm=\"mail\", charset=\"UTF-8\"");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, basic);
                response
            }
            Self::CertificateOnly => {
                let mut response = plain(
                    StatusCode::UNAUTHORIZED,
                    "a certificate of this server is needed, which an invitation gives: no password is taken\n",
                );
                // Basic would have clients ask their users for passwords without end.
                let certificate = HeaderValue::from_static("Certificate realm=\"mail\"");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, certificate);
                response
            }
            Self::NotTaken => plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "the mail server does not take this server's word for its users (--eas-signon)\n",
            ),
            Self::NoTicket => plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "no ticket for the mail server was to be had in this user's name (--eas-signon)\n",
            ),
            Self::Unnamed => plain(StatusCode::FORBIDDEN, "the user's name cannot be told to the mail server\n"),
            Self::Upstream(answer) => *answer,
            Self::Head(error) => {
                let status = StatusCode::from_u16(error.status().http()).unwrap_or(StatusCode::BAD_REQUEST);
                tracing::debug!(%error, "ActiveSync: the head cannot be read");
                plain(status, "this is no request of ActiveSync, or of a version that is not spoken here\n")
            }
            Self::Loop => plain(StatusCode::LOOP_DETECTED, "the mail server's address leads back here\n"),
            Self::NotPlain => plain(StatusCode::BAD_REQUEST, "this path does not go to the mail server\n"),
            Self::Body(error) => error.into_response(),
            Self::Gone => plain(StatusCode::REQUEST_TIMEOUT, "the body broke off\n"),
            Self::Unreadable => plain(StatusCode::BAD_REQUEST, "bad Client-Cert\n"),
            Self::Stranger | Self::Denied => plain(StatusCode::FORBIDDEN, "refused\n"),
            Self::OtherUser => plain(StatusCode::FORBIDDEN, "the certificate is another user's than the login\n"),
            Self::UnknownUser => plain(
                StatusCode::FORBIDDEN,
                "nothing says whether the login is the certificate's user: ask your administrator (eas.domain, --eas-users)\n",
            ),
            Self::TooManyClients => {
                let mut response =
                    plain(StatusCode::TOO_MANY_REQUESTS, "too many new clients of this account this hour\n");
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("3600"));
                response
            }
            Self::WrongName => plain(StatusCode::MISDIRECTED_REQUEST, "ask under the server's public name\n"),
            Self::Fault(Error::Store(_)) => {
                let soon = [(header::RETRY_AFTER, HeaderValue::from(STORE_AGAIN.as_secs()))];
                (StatusCode::SERVICE_UNAVAILABLE, soon).into_response()
            }
            // A text that cannot be taken.
            Self::Fault(error @ Error::Invalid { .. }) => {
                (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
            }
            Self::Fault(error) => {
                tracing::error!(%error, "ActiveSync");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

//! The page where a person claims a mail client that waits to be let in: by the login of the mail server, and the code of the notice. It lets
//! nobody in.

use super::{
    gateway::Gateway,
    login::{Login, User},
    p12::field,
    prove::Words,
    refusal::Refusal,
    via,
};
use crate::{
    channel::identity::counted,
    error::{Denial, Error, Judged},
    fleet::{
        enrol::{invitation::WrongCode, waiting},
        notices::{self, News},
    },
    http::{
        Peer,
        limits::{BODY_IDLE, SMALL_BODY, read_whole},
    },
    ids::DeviceId,
    store::Tx,
};
use axum::{
    extract::{Extension, Path, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use std::sync::Arc;

/// How the log names it.
const PAGE: &str = "claim";

/// What goes along with each of its pages: it runs nothing, loads nothing, stands in no other page's frame, and is kept nowhere.
const GUARDS: [(HeaderName, &str); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
];

const FORM: &str = "<p>Sign in as for your mail, and type the code of the message, to say that the device is yours.</p>\
     <form method=\"post\">\
     <p><label>User name<br><input name=\"user\" autocomplete=\"username\" required></label></p>\
     <p><label>Password<br><input name=\"password\" type=\"password\" autocomplete=\"current-password\" required></label></p>\
     <p><label>Code<br><input name=\"code\" autocomplete=\"off\" required></label></p>\
     <p><button>This device is mine</button></p></form>";

/// Which device it is says the path; that there is one, and whose it is, the page does not.
pub(super) async fn form(Path(_device): Path<DeviceId>) -> Response {
    page(StatusCode::OK, FORM)
}

/// The form, filled in.
pub(super) async fn claim(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Arc<Peer>>,
    Path(device): Path<DeviceId>,
    request: Request,
) -> Response {
    let (parts, body) = match read_whole(request, SMALL_BODY, BODY_IDLE).await {
        Ok(whole) => whole,
        Err(error) => return error.into_response(),
    };
    let said = |name| field(&body, name).unwrap_or_default();
    let (name, password, code) = (said("user"), said("password"), said("code"));
    match claimed(&gateway, &peer, &parts.headers, device, (&name, &password, code)).await {
        Ok(()) => {
            let text = "<p>Those who run the mail were told that the device is yours. When they have let it in, your mail comes by itself.</p>";
            page(StatusCode::OK, text)
        }
        Err(refused) => refused.told(&gateway, &peer, &name),
    }
}

/// Why a client was not claimed.
enum Refused {
    Login,
    Code,
    /// Of passwords or of codes.
    TooMany,
    Away,
    Fault(Error),
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoLogin | Refusal::CertificateOnly | Refusal::WrongName | Refusal::Upstream(_) => Self::Login,
            Refusal::TooManyWrong(_) => Self::TooMany,
            Refusal::Fault(error) => Self::Fault(error),
            _ => Self::Away,
        }
    }
}

impl From<WrongCode> for Refused {
    fn from(wrong: WrongCode) -> Self {
        match wrong {
            WrongCode::Wrong => Self::Code,
            WrongCode::TooMany => Self::TooMany,
        }
    }
}

impl Refused {
    /// The form again, below what was wrong. Who tries is told no more, and counted.
    fn told(self, gateway: &Gateway, peer: &Peer, name: &str) -> Response {
        let (status, text, why) = match self {
            Self::Login => {
                (StatusCode::FORBIDDEN, "The mail server does not take this user name and password.", "a wrong login")
            }
            Self::Code => (StatusCode::FORBIDDEN, "The code is wrong, or the device waits no more.", "a wrong code"),
            Self::TooMany => (
                StatusCode::TOO_MANY_REQUESTS,
                "There were too many tries within the hour.",
                "too many wrong tries within the hour",
            ),
            Self::Away => {
                return page(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "<p>The mail server does not answer: try again later.</p>",
                );
            }
            Self::Fault(Error::Store(_)) => {
                return page(StatusCode::SERVICE_UNAVAILABLE, "<p>This does not work right now: try again later.</p>");
            }
            Self::Fault(error) => {
                tracing::error!(%error, "claim");
                return page(StatusCode::INTERNAL_SERVER_ERROR, "<p>This did not work.</p>");
            }
        };
        gateway.server.told.refused(PAGE, Some(name), peer.client, why);
        gateway.server.strangers.count(peer.client);
        page(status, &format!("<p><strong>{text}</strong></p>{FORM}"))
    }
}

async fn claimed(
    gateway: &Gateway,
    peer: &Peer,
    headers: &HeaderMap,
    device: DeviceId,
    (name, password, code): (&str, &str, String),
) -> Result<(), Refused> {
    let upstream = gateway.upstream()?;
    via::check(headers, &gateway.server)?;
    let login = Login::basic(name.trim(), password).ok_or(Refused::Login)?;
    let mut said = http::Request::new(());
    login.put(&mut said);
    // As a mail client would say it: a login may stand for another address.
    let login = Login::of(said.headers(), &gateway.server.eas_users).ok_or(Refused::Login)?;
    let words = Words {
        client: peer.client,
        login: &login,
        agent: headers.get(header::USER_AGENT),
        holder: counted(&gateway.server, peer),
        asked: peer.asked,
        device: None,
        certificate: false,
    };
    gateway.prove_now(upstream, &words).await?;
    let (user, address) = (login.user().map(str::to_string).ok_or(Refused::Login)?, counted(&gateway.server, peer));
    let call = move |tx: &mut Tx<'_>| file(tx, device, &user, &code, address.as_deref());
    gateway.server.store.judge(call).await.map_err(|denial| match denial {
        Denial::Refused(wrong) => wrong.into(),
        Denial::Failed(error) => Refused::Fault(error),
    })
}

fn file(tx: &mut Tx<'_>, device: DeviceId, login: &str, code: &str, address: Option<&str>) -> Judged<(), WrongCode> {
    let user = User::of(tx, login)?;
    let theirs = |owner: &str| owner.to_lowercase() == user.name.to_lowercase();
    if waiting::claim(tx, device, &user.name, theirs, code, address)? {
        notices::tell(tx, News::DeviceClaimed(device))?;
    }
    Ok(())
}

fn page(status: StatusCode, text: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Claim your device</title><h1>Claim your device</h1>{text}</html>"
    );
    let mut response = (status, Html(html)).into_response();
    for (name, value) in GUARDS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

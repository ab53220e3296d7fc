//! A mail client's certificate as a file: key and certificate are made for the download, and the key is kept nowhere.

use super::Gateway;
use crate::{
    channel::{certificates, identity::counted, scep::decode},
    error::{Denial, Error, Judged, Result},
    fleet::{
        enrol::{
            self, Issued,
            invitation::{self, Invitation, WrongCode},
            under_way::{self, Why},
        },
        life::Channel,
    },
    http::{
        Peer,
        limits::{BODY_IDLE, SMALL_BODY, read_body},
    },
    ids::{EnrolmentId, digest, hex},
    server::Server,
    store::Tx,
};
use axum::{
    extract::{Extension, Path, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use lanyard_certs::{issue::Identity, keys::PrivateKey, pkcs12};
use std::sync::Arc;

/// `POST {invitation url}/identity.p12` with the form field `code`.
pub(super) async fn download(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Arc<Peer>>,
    Path(key): Path<String>,
    request: Request,
) -> Response {
    let body = match read_body(request, SMALL_BODY, BODY_IDLE).await {
        Ok(body) => body,
        Err(error) => return error.into_response(),
    };
    let code = field(&body, "code").unwrap_or_default();
    match made(&gateway.server, &peer, key, code).await {
        Ok(file) => {
            let headers = [
                (header::CONTENT_TYPE, pkcs12::CONTENT_TYPE),
                (header::CONTENT_DISPOSITION, "attachment; filename=\"identity.p12\""),
                (header::CACHE_CONTROL, "no-store"),
            ];
            (headers, file).into_response()
        }
        Err(refused) => refusal(&gateway.server, &peer, &refused),
    }
}

/// A field of a form.
pub(super) fn field(form: &[u8], wanted: &str) -> Option<String> {
    let text = std::str::from_utf8(form).ok()?;
    let (_, value) = text.split('&').find_map(|pair| pair.split_once('=').filter(|(name, _)| *name == wanted))?;
    Some(decode(&value.replace('+', " ")))
}

/// Why somebody gets no file: as whom, and the ground, which is for the log alone where a code was wrong.
struct Refused {
    user: Option<String>,
    why: Option<String>,
    error: Error,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { user: None, why: None, error }
    }
}

async fn made(server: &Arc<Server>, peer: &Peer, key: String, code: String) -> std::result::Result<Vec<u8>, Refused> {
    let (typed, address) = (code.clone(), counted(server, peer));
    let invitation = server.store.judge(move |tx| open(tx, &key, &typed, address.as_deref())).await;
    let invitation = invitation.map_err(|denial| match denial {
        Denial::Refused(refused) => refused,
        Denial::Failed(error) => error.into(),
    })?;
    let (invitation, enrolment) = invitation;
    let maker = server.clone();
    let making = move || make(&maker, enrolment, &printed(&code));
    let (file, key, issued) =
        tokio::task::spawn_blocking(making).await.map_err(|e| Error::Internal(e.to_string()))??;
    let user = invitation.user.clone();
    let spent = server.store.run(move |tx| spend(tx, &invitation, &key, issued)).await;
    spent.map_err(|error| Refused { user: Some(user), why: None, error })?;
    Ok(file)
}

/// The invitation of this url and code, and the enrolment that comes of it now. The wrong tries are written.
fn open(tx: &mut Tx<'_>, key: &str, code: &str, address: Option<&str>) -> Judged<(Invitation, EnrolmentId), Refused> {
    let invitation = invitation::by_url(tx, key)?.filter(|i| i.channel == Channel::Activesync);
    let Some(invitation) = invitation else { return Err(Error::not_found("invitation", "").into()) };
    let user = Some(invitation.user.as_str());
    let (wrong, why) = match invitation::by_code(tx, code, Channel::Activesync, user, address) {
        Ok(found) if found.id == invitation.id => {
            if let Err(error) = under_way::must_be_good(tx, &invitation) {
                return Err(Denial::Refused(Refused { user: Some(invitation.user), why: None, error }));
            }
            let enrolment = under_way::next_enrolment(tx, &invitation);
            return Ok((invitation, enrolment));
        }
        Ok(_) => (WrongCode::Wrong, "the code is of another invitation"),
        Err(Denial::Refused(wrong)) => (wrong, invitation::misfit(tx, code, Channel::Activesync, user)?),
        Err(Denial::Failed(error)) => return Err(error.into()),
    };
    let error = match wrong {
        WrongCode::Wrong => Error::forbidden("wrong_code", "The code is wrong."),
        WrongCode::TooMany => {
            Error::refused("too_many_codes", "The code is wrong, and so were too many within the hour.")
        }
    };
    Err(Denial::Refused(Refused { user: Some(invitation.user), why: Some(wrong.and_why(why)), error }))
}

/// The code as it was printed, which is the file's password.
fn printed(code: &str) -> String {
    let letters: Vec<char> = invitation::normal(code).chars().collect();
    let fours: Vec<String> = letters.chunks(4).map(|four| four.iter().collect()).collect();
    fours.join("-")
}

/// The file, the key's digest and its certificate.
type Made = (Vec<u8>, String, Issued);

/// Slow: a key of 2048 bits, since old phones know no other kind.
fn make(server: &Server, enrolment: EnrolmentId, password: &str) -> Result<Made> {
    let fault = certificates::fault;
    let key = PrivateKey::rsa_2048().map_err(fault)?;
    let public = key.public_der().map_err(fault)?;
    let (certificate, der) = certificates::issue(server, &public, enrolment)?;
    let identity = Identity { certificate_der: der.clone(), key };
    let file = pkcs12::encode(&identity, &server.authority, "Mail", password).map_err(fault)?;
    Ok((file, digest(&public), Issued { enrolment, certificate, der: hex(&der) }))
}

/// Whoever asks again has lost the file, or did not get it whole: what was given before, and not used yet, is revoked.
fn spend(tx: &mut Tx<'_>, invitation: &Invitation, key: &str, issued: Issued) -> Result<()> {
    let found = tx.get::<Invitation>(invitation.id)?.ok_or_else(|| Error::not_found("invitation", invitation.id))?;
    under_way::must_be_good(tx, &found)?;
    under_way::end_all(tx, found, Why::AskedAnew)?;
    enrol::spend(tx, invitation.id, key, issued).map(drop)
}

fn refusal(server: &Server, peer: &Peer, refused: &Refused) -> Response {
    let address = peer.client;
    let (status, text) = match &refused.error {
        Error::Store(_) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Error::Internal(text) => {
            tracing::error!(error = %text, "PKCS#12");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        Error::NotFound { .. } | Error::Removed(_) | Error::Ambiguous { .. } => {
            (StatusCode::NOT_FOUND, "There is no such invitation.")
        }
        Error::Forbidden { code: "wrong_code", text } => (StatusCode::FORBIDDEN, text.as_str()),
        Error::Refused { text, .. } => (StatusCode::TOO_MANY_REQUESTS, text.as_str()),
        Error::Forbidden { text, .. } | Error::Invalid { text, .. } => (StatusCode::GONE, text.as_str()),
    };
    match &refused.error {
        Error::NotFound { .. } | Error::Removed(_) | Error::Ambiguous { .. } => server.told.unknown_invitation(address),
        _ => {
            let why = refused.why.as_deref().unwrap_or(text);
            server.told.refused(Channel::Activesync.as_str(), refused.user.as_deref(), address, why);
        }
    }
    server.strangers.count(address);
    (status, format!("{text}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_the_code_as_printed() {
        for typed in ["abcd-efgh-jkmn-0123", "ABCDEFGHJKMNO123", " abcd efgh-jkmn oL23".replace('L', "1").as_str()] {
            assert_eq!(printed(typed), "ABCD-EFGH-JKMN-0123", "{typed}");
        }
        assert_eq!(field(b"x=1&code=AB+c%2Dd", "code").as_deref(), Some("AB c-d"));
        assert_eq!(field(b"coder=1", "code"), None);
    }
}

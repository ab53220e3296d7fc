//! SCEP (RFC 8894) and the revocation list: how Apple devices, and mail clients on them, get their certificates.
//!
//! A first request is allowed by the challenge of an invitation, a renewal by the signature of the present certificate.

use super::{
    certificates::{CRL_PATH, fault, issue},
    identity,
};
use crate::{
    clock::Timestamp,
    error::{Error, Result},
    fleet::{
        enrol::{
            self, Issued, invitation, renewal,
            under_way::{self, Whose},
        },
        registry::{Credential, Standing, credential},
    },
    http::{
        Peer,
        limits::{BODY_IDLE, SMALL_BODY, Unread, read_judged},
    },
    ids::{Fingerprint, hex, unhex},
    server::Server,
    store::Tx,
};
use axum::{
    Router,
    body::Body,
    extract::{Extension, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use lanyard_certs::{
    client::fingerprint,
    crl,
    csr::Csr,
    issue::Serial,
    scep::{self, FailInfo, Header, Signer},
};
use secrecy::ExposeSecret;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// Where devices ask for certificates, and renew them: enrolment profiles keep it.
pub const PATH: &str = "/scep";

/// How long a signed list is handed out while nothing is revoked.
const LIST_KEPT: Duration = Duration::from_secs(60);

/// `/scep` and `/crl`.
pub fn router(server: Arc<Server>) -> Router {
    let lists = Arc::new(Lists { server: server.clone(), kept: Mutex::default() });
    let crl = Router::new().route(CRL_PATH, get(list)).with_state(lists);
    Router::new().route(PATH, get(scep).post(scep)).with_state(server).merge(crl)
}

async fn scep(State(server): State<Arc<Server>>, Extension(peer): Extension<Arc<Peer>>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default().to_string();
    let field = |name: &str| query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name));
    match field("operation").map(|(_, value)| value) {
        Some("GetCACaps") => ([(header::CONTENT_TYPE, "text/plain")], scep::CAPABILITIES).into_response(),
        Some("GetCACert") => {
            ([(header::CONTENT_TYPE, scep::CA_CONTENT_TYPE)], server.authority.issuing_der().to_vec()).into_response()
        }
        Some("PKIOperation") => {
            let in_query = field("message").map(|(_, value)| value.to_string());
            match message(&server, &peer, request, in_query).await {
                Ok(message) => operation(&server, &peer, &message).await,
                Err(refusal) => *refusal,
            }
        }
        _ => (StatusCode::BAD_REQUEST, "operation is GetCACaps, GetCACert or PKIOperation\n").into_response(),
    }
}

/// The body where there is one (mdmb repeats it in the query), else the query's `message`.
async fn message(
    server: &Server,
    peer: &Peer,
    request: Request<Body>,
    in_query: Option<String>,
) -> std::result::Result<Vec<u8>, Box<Response>> {
    let (head, body) = request.into_parts();
    let judge = async {
        // None need be shown, nor speak for itself: only much is not read of one that counts for nothing any more.
        let Ok(Some(shown)) = identity::certificate(server, peer, &head.headers) else { return Ok(()) };
        let look = move |tx: &mut Tx<'_>| {
            let (standing, credential, _) = identity::judge(tx, &shown)?;
            if let Some(credential) = credential.filter(|_| standing != Standing::Good) {
                identity::note_refusal(tx, &credential, standing.into())?;
            }
            Ok(standing)
        };
        let judged = server.store.run(look).await;
        match judged {
            Ok(Standing::Good) => Ok(()),
            Ok(_) => Err((StatusCode::FORBIDDEN, "refused\n").into_response()),
            Err(_) => Err(StatusCode::SERVICE_UNAVAILABLE.into_response()),
        }
    };
    let body = read_judged(&head.headers, body, SMALL_BODY, BODY_IDLE, judge).await.map_err(|unread| match unread {
        Unread::Body(error) => Box::new(error.into_response()),
        Unread::Refused(refusal) => Box::new(refusal),
    })?;
    if !body.is_empty() {
        return Ok(body.to_vec());
    }
    let text = in_query.map(|text| decode(&text)).unwrap_or_default();
    scep::message_from_query(&text)
        .map_err(|_| Box::new((StatusCode::BAD_REQUEST, "no SCEP message\n").into_response()))
}

/// Percent-decoding; what is none stays as it is.
pub fn decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let ahead: Vec<u8> = if byte == b'%' { bytes.clone().take(2).collect() } else { Vec::new() };
        match std::str::from_utf8(&ahead).ok().filter(|hex| hex.len() == 2).and_then(unhex) {
            Some(decoded) => {
                plain.extend(decoded);
                bytes.nth(1);
            }
            None => plain.push(byte),
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

async fn operation(server: &Server, peer: &Peer, message: &[u8]) -> Response {
    let envelope = match scep::receive(message) {
        Ok(envelope) => envelope,
        Err(error) => {
            tracing::debug!(%error, "SCEP: unreadable");
            return (StatusCode::BAD_REQUEST, "this is no SCEP message\n").into_response();
        }
    };
    let now = server.now().to_datetime();
    let asked = match envelope.open(&server.authority, now) {
        Ok(request) => request,
        Err(error) => {
            tracing::debug!(%error, "SCEP: refused");
            server.strangers.count(peer.client);
            return refusal(server, &envelope.header, FailInfo::from_error(&error));
        }
    };
    let Some(csr) = asked.csr() else { return refusal(server, &asked.header, FailInfo::BadCertId) };
    let challenge = asked.challenge().map(|c| c.expose_secret().to_string());
    let who = challenge.clone();
    let issued = match (asked.signer, challenge) {
        (Signer::Ours, _) => renewed(server, &asked.header, csr).await,
        (Signer::SelfSigned, Some(challenge)) if renewal::is_ours(&challenge) => {
            asked_for(server, csr, challenge).await
        }
        (Signer::SelfSigned, Some(challenge)) => first(server, csr, challenge).await,
        (Signer::SelfSigned, None) => Err(Error::forbidden("no_challenge", "no challenge")),
    };
    match issued {
        Ok(der) => answer(asked.header.success(&server.authority, &der, nonce())),
        Err(Error::Forbidden { text, .. }) => {
            let user = whose(server, &asked.header, who).await;
            server.told.refused("scep", user.as_deref(), peer.client, &text);
            server.strangers.count(peer.client);
            refusal(server, &asked.header, FailInfo::BadRequest)
        }
        Err(Error::Invalid { .. }) => refusal(server, &asked.header, FailInfo::BadRequest),
        Err(Error::Store(_)) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Err(error) => {
            tracing::error!(%error, "SCEP");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// For the log: whom the invitation names whose challenge was shown, or whose the certificate is that is to be renewed.
async fn whose(server: &Server, header: &Header, challenge: Option<String>) -> Option<String> {
    let old = fingerprint(&header.signer_der).ok().map(Fingerprint);
    let look = move |tx: &mut Tx<'_>| {
        let invitation = match challenge {
            Some(challenge) => invitation::by_challenge(tx, &challenge)?,
            None => None,
        };
        let credential = match old {
            Some(old) => tx.get::<Credential>(old)?,
            None => None,
        };
        Ok(invitation.map(|invitation| invitation.user).or(credential.map(|credential| credential.user)))
    };
    server.store.run(look).await.ok().flatten().filter(|user| !user.is_empty())
}

async fn first(server: &Server, csr: &Csr, challenge: String) -> Result<Vec<u8>> {
    match first_try(server, csr, challenge.clone()).await {
        // Two began with the same link at the same moment.
        Err(Error::Forbidden { code: "overtaken", .. }) => first_try(server, csr, challenge).await,
        done => done,
    }
}

async fn first_try(server: &Server, csr: &Csr, challenge: String) -> Result<Vec<u8>> {
    let key = hex(&csr.key_sha256);
    let (found_key, wrong) = (key.clone(), || Error::forbidden("wrong_challenge", "no invitation has this challenge"));
    let look = move |tx: &mut Tx<'_>| {
        let invitation = invitation::by_challenge(tx, &challenge)?.ok_or_else(wrong)?;
        Ok((invitation.id, under_way::whose(tx, &invitation, &found_key)?))
    };
    let credential = match server.store.run(look).await? {
        (_, Whose::Before(credential)) => *credential,
        (invitation, Whose::New(enrolment)) => {
            let (certificate, der) = issue(server, &csr.public_key_der, enrolment)?;
            let issued = Issued { enrolment, certificate, der: hex(&der) };
            server.store.run(move |tx| enrol::spend(tx, invitation, &key, issued)).await?
        }
    };
    stored(&credential)
}

/// A renewal that the server asked for.
async fn asked_for(server: &Server, csr: &Csr, challenge: String) -> Result<Vec<u8>> {
    let (key, shown) = (hex(&csr.key_sha256), challenge.clone());
    let looked = key.clone();
    let asked = server.store.run(move |tx| renewal::asked(tx, &shown, &looked)).await?;
    let credential = match asked.before {
        Some(credential) => credential,
        None => {
            let (certificate, der) = issue(server, &csr.public_key_der, asked.enrolment)?;
            let der = hex(&der);
            server.store.run(move |tx| renewal::spend(tx, &challenge, &key, certificate, der)).await?
        }
    };
    stored(&credential)
}

async fn renewed(server: &Server, header: &Header, csr: &Csr) -> Result<Vec<u8>> {
    let old = Fingerprint(fingerprint(&header.signer_der).map_err(fault)?);
    let unknown = || Error::forbidden("not_pinned", "the certificate is no enrolment's");
    let before = server.store.run(move |tx| Ok(tx.get::<Credential>(old)?)).await?.ok_or_else(unknown)?;
    let (certificate, der) = issue(server, &csr.public_key_der, before.enrolment)?;
    let der = hex(&der);
    let credential = server.store.run(move |tx| enrol::renew(tx, &old, certificate, der)).await?;
    stored(&credential)
}

fn stored(credential: &Credential) -> Result<Vec<u8>> {
    unhex(&credential.der).ok_or_else(|| Error::Internal("a stored certificate is not hexadecimal".into()))
}

fn nonce() -> [u8; 16] {
    *uuid::Uuid::new_v4().as_bytes()
}

fn refusal(server: &Server, header: &Header, why: FailInfo) -> Response {
    answer(header.failure(&server.authority, why, nonce()))
}

fn answer(made: lanyard_certs::Result<Vec<u8>>) -> Response {
    match made {
        Ok(message) => ([(header::CONTENT_TYPE, scep::MESSAGE_CONTENT_TYPE)], message).into_response(),
        Err(error) => {
            tracing::error!(%error, "SCEP: no answer could be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The revocation list as it was last signed.
struct Lists {
    server: Arc<Server>,
    kept: Mutex<Option<List>>,
}

#[derive(Clone)]
struct List {
    /// How often something had been revoked by then.
    count: u64,
    made: Timestamp,
    der: Vec<u8>,
}

/// The revocation list: signed anew when something was revoked since, and each minute, since revocations may lie ahead. Anybody may
/// ask for it, so that it must cost little.
async fn list(State(lists): State<Arc<Lists>>) -> Response {
    let now = lists.server.now();
    let count = match lists.server.store.run(credential::revocations).await {
        Ok(count) => count,
        Err(_) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
    };
    let kept = lists.kept.lock().map(|kept| kept.clone()).unwrap_or_default();
    let good = kept.filter(|list| list.count == count && now.since(list.made) < LIST_KEPT);
    let made = match good {
        Some(list) => Ok(list),
        None => signed_list(&lists.server, count, now).await,
    };
    match made {
        Ok(list) => {
            if let Ok(mut kept) = lists.kept.lock() {
                *kept = Some(list.clone());
            }
            ([(header::CONTENT_TYPE, "application/pkix-crl")], list.der).into_response()
        }
        Err(Error::Store(_)) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Err(error) => {
            tracing::error!(%error, "the revocation list could not be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn signed_list(server: &Server, count: u64, now: Timestamp) -> Result<List> {
    let revoked = server.store.run(credential::revoked).await?;
    let entries = revoked
        .iter()
        .filter_map(|r| Some(crl::Revoked { serial: Serial::from_hex(&r.serial).ok()?, at: r.at.to_datetime() }));
    let entries: Vec<crl::Revoked> = entries.collect();
    let issue = crl::Issue {
        number: u64::try_from(now.unix()).unwrap_or(0),
        this_update: now.to_datetime(),
        next_update: now.plus(Duration::from_secs(3600)).to_datetime(),
    };
    let der = crl::encode(&server.authority, issue, &entries).map_err(fault)?;
    Ok(List { count, made: now, der })
}

#[cfg(test)]
mod tests {
    #[test]
    fn percent_signs_are_decoded_and_others_left() {
        for (text, want) in
            [("a%2Bb%3d", "a+b="), ("100%", "100%"), ("%zz", "%zz"), ("a+b", "a+b"), ("%e4%bd%a0", "你")]
        {
            assert_eq!(super::decode(text), want, "{text}");
        }
    }
}

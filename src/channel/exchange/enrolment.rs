//! A code to a certificate, and a certificate to the next: the subject of a request counts for nothing, and who enrols is the invitation's.

use super::{Answer, Connectors, Refusal, answered, asks, document, words};
use crate::{
    channel::{certificates, identity::counted},
    error::{Denial, Error},
    fleet::{
        connectors::{self, Issued, Opened, Refused},
        enrol::invitation::WrongCode,
    },
    http::{
        Peer,
        limits::{BODY_IDLE, SMALL_BODY, read_body},
    },
    ids::{EnrolmentId, hex, unhex},
    server::Server,
};
use axum::{
    Json,
    extract::{Extension, Request, State},
    http::StatusCode,
    response::Response,
};
use lanyard_certs::csr::{self, Csr};
use lanyard_exchange::calls::{Enrol, Enrolled, Renew, Renewed};
use std::sync::Arc;
use uuid::Uuid;

/// `POST enrol`: nobody is asked for a certificate here, the code is the proof.
pub(super) async fn enrol(
    State(connectors): State<Arc<Connectors>>,
    Extension(peer): Extension<Arc<Peer>>,
    request: Request,
) -> Response {
    let answer = async {
        let body = read_body(request, SMALL_BODY, BODY_IDLE).await;
        let body = body.map_err(|error| Refusal::Problem(error.status(), "body", error.to_string()))?;
        let asked: Enrol = document(&body)?;
        let csr = request_of(&asked.request)?;
        Ok(Json(joined(&connectors.server, &peer, asked, &csr).await?))
    };
    answered(&connectors, &peer, answer).await
}

async fn joined(server: &Arc<Server>, peer: &Peer, asked: Enrol, csr: &Csr) -> Answer<Enrolled> {
    let Enrol { code, instance, kind, .. } = asked;
    let (key, kind, address) = (hex(&csr.key_sha256), words::kind(kind), counted(server, peer));
    let (typed, its) = (code.clone(), key.clone());
    let opened = server.store.judge(move |tx| connectors::open(tx, &typed, instance, &its, kind, address.as_deref()));
    let opened = opened.await.map_err(refusal)?;
    let (org, der) = match opened {
        Opened { org, before: Some(der) } => (org, der),
        Opened { .. } => {
            let issued = issue(server, csr, instance)?;
            let der = issued.der.clone();
            let joined = server.store.judge(move |tx| connectors::join(tx, &code, instance, &key, kind, issued)).await;
            let Opened { org, before } = joined.map_err(refusal)?;
            (org, before.unwrap_or(der))
        }
    };
    Ok(Enrolled {
        org,
        certificate: chain(server, &der)?,
        ca: server.authority.root_pem(),
        server: server.public_url.clone(),
    })
}

/// `POST renew`.
pub(super) async fn renew(
    State(connectors): State<Arc<Connectors>>,
    Extension(peer): Extension<Arc<Peer>>,
    request: Request,
) -> Response {
    let answer = async {
        let (shown, asked): (_, Renew) = connectors.read(&peer, request).await?;
        let server = &connectors.server;
        let (_, instance) = server.store.judge(move |tx| asks(tx, &shown)).await?;
        let csr = request_of(&asked.request)?;
        let issued = issue(server, &csr, instance)?;
        let certificate = chain(server, &issued.der)?;
        let renewed = server.store.judge(move |tx| {
            let (org, instance) = asks(tx, &shown)?;
            Ok::<_, Denial<Refusal>>(connectors::renew(tx, org, instance, &issued)?)
        });
        renewed.await?;
        Ok(Json(Renewed { certificate }))
    };
    answered(&connectors, &peer, answer).await
}

fn request_of(pem: &str) -> Answer<Csr> {
    let unreadable = || Refusal::Unreadable("request: a certificate request in PEM is needed".into());
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    let der = openssl::base64::decode_block(&body).map_err(|_| unreadable())?;
    csr::parse(&der).map_err(|_| unreadable())
}

fn issue(server: &Server, csr: &Csr, instance: Uuid) -> Answer<Issued> {
    let (certificate, der) = certificates::issue(server, &csr.public_key_der, EnrolmentId(instance))?;
    Ok(Issued { sha256: certificate.sha256, not_after: certificate.not_after, der: hex(&der) })
}

/// The certificate and who issued it.
fn chain(server: &Server, der: &str) -> Answer<String> {
    let broken = || Refusal::Fault(Error::Internal("a stored certificate is not hexadecimal".into()));
    let der = unhex(der).ok_or_else(broken)?;
    let leaf = openssl::x509::X509::from_der(&der)
        .and_then(|leaf| leaf.to_pem())
        .map_err(|e| Error::Internal(e.to_string()))?;
    Ok(format!("{}{}", String::from_utf8_lossy(&leaf), server.authority.issuing_pem()))
}

fn refusal(denial: Denial<Refused>) -> Refusal {
    let refused = match denial {
        Denial::Refused(refused) => refused,
        Denial::Failed(error) => return error.into(),
    };
    let (status, code, text) = match refused {
        Refused::Code(WrongCode::Wrong) => (StatusCode::FORBIDDEN, "wrong_code", "the code is wrong, or has expired"),
        Refused::Code(WrongCode::TooMany) => {
            (StatusCode::TOO_MANY_REQUESTS, "too_many_codes", "the code is wrong, and so were too many within the hour")
        }
        Refused::Used => {
            (StatusCode::FORBIDDEN, "code_used", "another connector enrolled by this code: ask for one of your own")
        }
        Refused::Kind(kind) => {
            let text = format!("the code is for a connector of kind {kind}");
            return Refusal::Problem(StatusCode::FORBIDDEN, "other_kind", text);
        }
    };
    Refusal::Problem(status, code, text.into())
}

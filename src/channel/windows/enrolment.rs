//! Windows enrolment: user name and code of an invitation become a certificate and an account. [MS-MDE2]

use super::{ENROLMENT_PATH, POLICY_PATH, provision};
use crate::{
    channel::{
        certificates::{issue, read},
        identity::{self, counted},
    },
    clock::Timestamp,
    error::{Denial, Error, Judged, Result},
    fleet::{
        enrol::{
            self, Issued, invitation,
            under_way::{self, Whose},
        },
        keeper,
        life::{Channel, Claim, Event, Platform},
        registry::{Credential, Standing, users},
        terms::Ground,
    },
    http::{
        Peer,
        client_cert_header::certificate_of,
        limits::{BODY_IDLE, SMALL_BODY, Unread, read_judged},
        peer::ClientCertificate,
    },
    ids::{Fingerprint, hex, unhex},
    server::Server,
    store::Tx,
};
use axum::{
    extract::{Extension, Request as HttpRequest, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use lanyard_certs::{ca::When, csr, wstep};
use lanyard_omadm::enrolment::{
    AuthPolicy, Body, CONTENT_TYPE, Credentials, DeviceContext, Discover, DiscoverResponse, EnrolmentType, Fault,
    FaultKind, GetPoliciesResponse, Identity, Request, SecurityTokenRequest, SecurityTokenResponse, TokenRequestKind,
    message_id,
};
use std::{sync::Arc, time::Duration};

/// The name of our policy for certificate requests: devices may remember it.
pub(in crate::channel) const POLICY_ID: &str = "{6c616e79-6172-4470-8f6c-696379000001}";
/// As long as certificates live.
const VALIDITY_SECONDS: u64 = 2 * 365 * 86_400;
/// How far clocks may be apart when a renewal begins.
const MARGIN: Duration = Duration::from_secs(2 * 86_400);

/// Why there is no certificate. What it means on the wire is decided in [`fault`] alone.
enum Refusal {
    /// A fault of this kind.
    Fault(FaultKind),
    /// Nobody is asked for a certificate under this name.
    WrongName,
    /// The registry, the store, or ourselves.
    Error(Error),
    /// The code was not taken: why is for the log alone.
    Code(String),
}

impl From<Denial<Refusal>> for Refusal {
    fn from(denial: Denial<Refusal>) -> Self {
        match denial {
            Denial::Refused(refusal) => refusal,
            Denial::Failed(error) => error.into(),
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

type Done<T> = std::result::Result<T, Refusal>;

/// Who asks, besides what the message says.
struct Asker<'a> {
    peer: &'a Peer,
    headers: &'a HeaderMap,
}

/// One request of the three, from bytes to answer.
pub(super) async fn message(
    State(server): State<Arc<Server>>,
    Extension(peer): Extension<Arc<Peer>>,
    request: HttpRequest,
) -> Response {
    let (head, body) = request.into_parts();
    let shown = Asker { peer: &peer, headers: &head.headers }.certificate(&server);
    let judge = async {
        // Who renews shows its certificate; a stranger shows none, and is judged by the message.
        let Some(shown) = shown?.map(|shown| Fingerprint(shown.sha256)) else { return Ok(()) };
        let judged = server.store.judge(move |tx| identity::admit_much(tx, &shown, Channel::Omadm)).await;
        judged.map_err(|denial| match denial {
            Denial::Refused(_) => Refusal::Fault(FaultKind::NotEligibleToRenew),
            Denial::Failed(error) => error.into(),
        })
    };
    let body = match read_judged(&head.headers, body, SMALL_BODY, BODY_IDLE, judge).await {
        Ok(body) => body,
        Err(Unread::Body(error)) => return error.into_response(),
        Err(Unread::Refused(refusal)) => return fault(&server, &peer, None, None, &refusal),
    };
    let request = match Request::parse(&body) {
        Ok(request) => request,
        Err(error) => {
            let asker = Asker { peer: &peer, headers: &head.headers };
            unreadable(&server, &asker, error.to_string()).await;
            let unread = Refusal::Fault(FaultKind::MessageFormat);
            return fault(&server, &peer, None, message_id(&body).as_deref(), &unread);
        }
    };
    let asker = Asker { peer: &peer, headers: &head.headers };
    let relates_to = request.message_id.clone();
    let user = match &request.credentials {
        Some(Credentials::Password { user, .. }) => Some(user.clone()),
        _ => None,
    };
    let answer = match request.body {
        Body::Discover(said) => discover(&server, &relates_to, &said),
        Body::GetPolicies => policies(&server, &asker, &relates_to, request.credentials).await,
        Body::RequestSecurityToken(said) => token(&server, &asker, &relates_to, request.credentials, *said).await,
    };
    match answer {
        Ok(text) => soap(StatusCode::OK, text),
        Err(refusal) => fault(&server, &peer, user.as_deref(), Some(&relates_to), &refusal),
    }
}

/// Who renews is known by its certificate, and no stranger for what it sends.
async fn unreadable(server: &Server, asker: &Asker<'_>, error: String) {
    let known = match asker.certificate(server) {
        Ok(Some(shown)) => identity::garbled(server, Fingerprint(shown.sha256), error).await.is_ok_and(|known| known),
        _ => {
            tracing::debug!(%error, "Windows enrolment: unreadable");
            false
        }
    };
    if !known {
        server.strangers.count(asker.peer.client);
    }
}

fn discover(server: &Server, relates_to: &str, said: &Discover) -> Done<String> {
    if !said.offers(AuthPolicy::OnPremise) {
        return Err(Refusal::Fault(FaultKind::DeviceNotSupported));
    }
    let answer = DiscoverResponse {
        relates_to,
        auth_policy: AuthPolicy::OnPremise,
        version: DiscoverResponse::version_for(said.request_version),
        policy_url: &format!("{}{POLICY_PATH}", server.enrol_url),
        enrolment_url: &format!("{}{ENROLMENT_PATH}", server.enrol_url),
        authentication_url: None,
    };
    Ok(answer.encode())
}

async fn policies(
    server: &Server,
    asker: &Asker<'_>,
    relates_to: &str,
    credentials: Option<Credentials>,
) -> Done<String> {
    let login = Login::of(credentials)?;
    // A renewal asks with its certificate and an empty password; what it is told is no secret.
    if !(login.code.is_empty() && asker.certificate(server)?.is_some()) {
        let address = counted(server, asker.peer);
        server.store.judge(move |tx| login.invitation(tx, address.as_deref())).await?;
    }
    let answer = GetPoliciesResponse {
        relates_to,
        policy_id: POLICY_ID,
        validity_seconds: VALIDITY_SECONDS,
        renewal_seconds: provision::RENEWAL.as_secs(),
    };
    Ok(answer.encode())
}

async fn token(
    server: &Server,
    asker: &Asker<'_>,
    relates_to: &str,
    credentials: Option<Credentials>,
    said: SecurityTokenRequest,
) -> Done<String> {
    let document = match (said.kind, said.identity) {
        (TokenRequestKind::Issue, Identity::Pkcs10(request)) => {
            let login = Login::of(credentials)?;
            first(server, asker, login, &request, said.context).await?
        }
        (TokenRequestKind::Renew, Identity::Pkcs7(request)) => renew(server, asker, &request, &said.context).await?,
        (TokenRequestKind::Recovery, _) => return Err(Refusal::Fault(FaultKind::NotSupported)),
        _ => return Err(Refusal::Fault(FaultKind::CertificateRequest)),
    };
    let now = Timestamp::from_unix(server.now().unix());
    let answer = SecurityTokenResponse {
        relates_to,
        created: &now.to_string(),
        expires: &now.plus(Duration::from_secs(300)).to_string(),
        document: &document,
    };
    Ok(answer.encode())
}

/// User name and code as they were typed.
#[derive(Clone)]
struct Login {
    user: String,
    code: String,
}

impl Login {
    fn of(credentials: Option<Credentials>) -> Done<Self> {
        match credentials {
            Some(Credentials::Password { user, password }) => Ok(Self { user, code: password }),
            Some(Credentials::Token { .. }) => Err(Refusal::Fault(FaultKind::InvalidSecurity)),
            None => Err(Refusal::Fault(FaultKind::Authentication)),
        }
    }

    /// Wrong tries are counted: a refusal stands.
    fn invitation(&self, tx: &mut Tx<'_>, address: Option<&str>) -> Judged<invitation::Invitation, Refusal> {
        let user = Some(self.user.as_str());
        let wrong = match invitation::by_code(tx, &self.code, Channel::Omadm, user, address) {
            Ok(found) => return Ok(found),
            Err(Denial::Failed(error)) => return Err(error.into()),
            Err(Denial::Refused(wrong)) => wrong,
        };
        let why = invitation::misfit(tx, &self.code, Channel::Omadm, user)?;
        Err(Denial::Refused(Refusal::Code(wrong.and_why(why))))
    }
}

/// A first certificate, or once more the one that this key got before.
async fn first(
    server: &Server,
    asker: &Asker<'_>,
    login: Login,
    request: &[u8],
    context: DeviceContext,
) -> Done<String> {
    let claim = claim(&context).ok_or(Refusal::Fault(FaultKind::MessageFormat))?;
    let csr = csr::parse(request).map_err(|error| {
        tracing::info!(%error, "Windows enrolment: certificate request");
        Refusal::Fault(FaultKind::CertificateRequest)
    })?;
    let (key, address, typed) = (hex(&csr.key_sha256), counted(server, asker.peer), login.user.trim().to_string());
    let login_user = typed.clone();
    let known_key = key.clone();
    let look = move |tx: &mut Tx<'_>| {
        let invitation = login.invitation(tx, address.as_deref())?;
        let whose = under_way::whose(tx, &invitation, &known_key)?;
        Ok((invitation, whose, provision::poll(tx)?))
    };
    let (invitation, whose, poll) = server.store.judge(look).await?;
    let issued = match whose {
        Whose::Before(before) => {
            let Credential { enrolment, certificate, der, .. } = *before;
            Issued { enrolment, certificate, der }
        }
        Whose::New(enrolment) => {
            let (certificate, der) = issue(server, &csr.public_key_der, enrolment)?;
            Issued { enrolment, certificate, der: hex(&der) }
        }
    };
    let shared = invitation.user.is_empty();
    let upn = if shared { login_user.clone() } else { invitation.user.clone() };
    let device_name = claim.name.clone().unwrap_or_default();
    let kind = context.enrolment_type;
    let spend = move |tx: &mut Tx<'_>| {
        let credential = enrol::spend(tx, invitation.id, &key, issued)?;
        let (mut device, enrolment) = enrol::bind(tx, &credential.certificate.sha256, &claim)?;
        let told = Event::Noted { enrolment, name: provision::POLL, value: Some(poll.to_string()) };
        keeper::happen(tx, &mut device, told)?;
        keeper::happen(tx, &mut device, provision::store_told(enrolment, kind))?;
        // What is typed beside a code for many says nothing of whose the PC is.
        if !shared {
            users::note(tx, Channel::Omadm, &credential.user, &typed)?;
        }
        Ok(credential)
    };
    let credential = server.store.run(spend).await?;
    let whom = provision::For {
        enrolment: credential.enrolment,
        user: &upn,
        device_name: &device_name,
        enrolment_type: context.enrolment_type,
        poll,
    };
    Ok(provision::first(server, &whom, &stored(&credential)?)?)
}

/// What the device says of itself; none where it gives no name, without which no session could be told to be its own.
fn claim(context: &DeviceContext) -> Option<Claim> {
    let phone = context.device_type.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("WindowsPhone"));
    Some(Claim {
        identity: context.device_id.clone().filter(|name| name.len() <= 128)?,
        platform: Some(if phone { Platform::WindowsPhone } else { Platform::Windows }),
        serial: context.serial.clone(),
        name: context.device_name.clone(),
        model: context.model.clone(),
        os_version: context.os_version.clone(),
        hardware_id: context.hw_dev_id.clone(),
        ..Claim::default()
    })
}

impl Asker<'_> {
    fn certificate(&self, server: &Server) -> Done<Option<Arc<ClientCertificate>>> {
        certificate_of(self.peer, self.headers, &server.proxies).map_err(|_| Refusal::Fault(FaultKind::InvalidSecurity))
    }
}

/// A new certificate by the present one, which must be the connection's and have signed the request.
async fn renew(server: &Server, asker: &Asker<'_>, request: &[u8], context: &DeviceContext) -> Done<String> {
    let Some(shown) = asker.certificate(server)? else {
        return Err(if asker.peer.asked { Refusal::Fault(FaultKind::Authentication) } else { Refusal::WrongName });
    };
    let now = server.now();
    let when = When::At(now.to_datetime());
    let asked = wstep::read_renewal(request, Some(&shown.der), &server.authority, when).map_err(|error| {
        tracing::info!(%error, "Windows renewal: refused");
        Refusal::Fault(FaultKind::CertificateRequest)
    })?;
    if asked.signer_der != shown.der {
        return Err(Refusal::Fault(FaultKind::NotEligibleToRenew));
    }
    if !is_due(now, read(&shown.der)?.not_after) {
        return Err(Refusal::Fault(FaultKind::NotEligibleToRenew));
    }
    let (old, name) = (Fingerprint(shown.sha256), context.device_id.clone());
    let (before, kept) = server.store.judge(move |tx| present(tx, &old, name.as_deref())).await?;
    let (certificate, der) = issue(server, &asked.csr.public_key_der, before.enrolment)?;
    let der = hex(&der);
    let credential = server.store.run(move |tx| enrol::renew(tx, &old, certificate, der)).await?;
    // Windows says nothing of the store when it renews; an enrolment older than what is kept may say it all the same.
    let kind = if kept == EnrolmentType::Device { kept } else { context.enrolment_type };
    Ok(provision::renewed(kind, &stored(&credential)?))
}

fn is_due(now: Timestamp, end: Timestamp) -> bool {
    now.plus(provision::RENEWAL).plus(MARGIN) >= end
}

/// The credential being renewed, where it is good, of this channel, and the device's own by the name it gives.
fn present(tx: &mut Tx<'_>, old: &Fingerprint, name: Option<&str>) -> Judged<(Credential, EnrolmentType), Refusal> {
    let (standing, credential, device) = identity::judge(tx, old)?;
    let refused = || Err(Denial::Refused(Refusal::Fault(FaultKind::NotEligibleToRenew)));
    let Some(credential) = credential else { return refused() };
    let bound = device.as_ref().and_then(|d| d.enrolment(credential.enrolment));
    let own = |identity: &str| name.is_none_or(|name| name.eq_ignore_ascii_case(identity));
    if standing != Standing::Good {
        identity::note_refusal(tx, &credential, standing.into())?;
        return refused();
    }
    let Some(bound) = bound.filter(|e| e.channel == Channel::Omadm && own(&e.identity)) else {
        identity::note_refusal(tx, &credential, Ground::SpeaksForAnother)?;
        return refused();
    };
    let kind = provision::store_of(bound);
    Ok((credential, kind))
}

fn stored(credential: &Credential) -> Result<Vec<u8>> {
    unhex(&credential.der).ok_or_else(|| Error::Internal("a stored certificate is not hexadecimal".into()))
}

fn soap(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response()
}

/// The one place where a refusal becomes a fault.
fn fault(server: &Server, peer: &Peer, user: Option<&str>, relates_to: Option<&str>, refusal: &Refusal) -> Response {
    let kind = match refusal {
        Refusal::WrongName => {
            let text = "renew under the server's public name\n";
            return (StatusCode::MISDIRECTED_REQUEST, text).into_response();
        }
        Refusal::Fault(kind) => *kind,
        Refusal::Code(_) => FaultKind::Authentication,
        Refusal::Error(Error::Forbidden { .. } | Error::Refused { .. }) => FaultKind::Authentication,
        Refusal::Error(
            Error::NotFound { .. } | Error::Removed(_) | Error::Ambiguous { .. } | Error::Invalid { .. },
        ) => FaultKind::InvalidEnrollmentData,
        Refusal::Error(Error::Store(_)) => FaultKind::EnrollmentServer,
        Refusal::Error(Error::Internal(_)) => FaultKind::InternalServiceFault,
    };
    let trace_id = uuid::Uuid::new_v4().to_string();
    let refused = |why: &str| {
        let why = format!("{} (trace {trace_id})", why.trim_end_matches('.'));
        server.told.refused(Channel::Omadm.as_str(), user, peer.client, &why);
    };
    match refusal {
        Refusal::Error(error @ Error::Internal(_)) => tracing::error!(%error, %trace_id, "Windows enrolment"),
        // The store tells of its own absence.
        Refusal::Error(Error::Store(_)) => tracing::debug!(?kind, %trace_id, "Windows enrolment: refused"),
        Refusal::Error(error) => refused(&error.to_string()),
        Refusal::Code(why) => refused(why),
        Refusal::WrongName | Refusal::Fault(_) => refused(words(kind)),
    }
    if kind == FaultKind::Authentication {
        server.strangers.count(peer.client);
    }
    let fault = Fault { relates_to, kind, reason: words(kind), trace_id: &trace_id };
    soap(StatusCode::INTERNAL_SERVER_ERROR, fault.encode())
}

/// Strangers are not told whether a code is wrong, spent or expired.
fn words(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Authentication => {
            "The user name or the code is wrong, or the invitation has been used or has ended."
        }
        FaultKind::CertificateRequest => "The certificate request cannot be taken.",
        FaultKind::MessageFormat => "The message cannot be read.",
        FaultKind::InvalidSecurity => "Sign in with a user name and the code of an invitation.",
        FaultKind::NotEligibleToRenew => "The certificate cannot be renewed now.",
        FaultKind::EnrollmentServer => "The server is busy. Try again later.",
        FaultKind::DeviceNotSupported => "The device offers no way to sign in that this server knows.",
        _ => "The device cannot be enrolled.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_is_due_six_weeks_before_the_end() {
        let day = |count: u64| Duration::from_secs(count * 86_400);
        let end = Timestamp::default().plus(day(730));
        for (days_left, due) in [(730, false), (45, false), (44, true), (42, true), (1, true)] {
            assert_eq!(is_due(end.minus(day(days_left)), end), due, "{days_left}");
        }
    }

    #[test]
    fn a_device_without_a_name_is_none() {
        assert!(claim(&DeviceContext::default()).is_none());
        let named = DeviceContext { device_id: Some("A1".into()), ..DeviceContext::default() };
        assert_eq!(claim(&named).and_then(|c| c.platform), Some(Platform::Windows));
        let long = DeviceContext { device_id: Some("A".repeat(129)), ..DeviceContext::default() };
        assert!(claim(&long).is_none());
    }
}

//! One command of a mail client: who asks, what becomes of it, and the answer.

use super::{
    again::Again,
    decide::{Asked, Content, response},
    gateway::Gateway,
    hold::{self, Onward},
    login::Login,
    own::Client,
    prove::Words,
    quarantine,
    refusal::Refusal,
    upstream, via,
    who::{self, Asker},
};
use crate::{
    channel::{
        identity::{self, counted},
        span,
    },
    clock,
    error::{Error, Fault},
    fleet::life::Channel,
    http::{
        Peer,
        limits::{BODY_IDLE, SMALL_BODY, Unread, read_judged},
    },
    ids::Fingerprint,
};
use axum::{
    body::Body,
    extract::{Extension, Request, State},
    http::{HeaderMap, Uri, request::Parts},
    response::Response,
};
use bytes::Bytes;
use lanyard_activesync::{Answer, Command, Request as Head, Status, provision as wire, settings, status::refusal};
use std::{sync::Arc, time::Duration};
use tracing::Instrument;

pub(super) async fn message(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Arc<Peer>>,
    request: Request,
) -> Response {
    let span = span::check_in(Channel::Activesync);
    let answer = async {
        // Apart, and gone once it is done: a Ping is held for an hour, and all it needs then is little.
        match Box::pin(serve(&gateway, &peer, request)).await? {
            Step::Answered(answer) => Ok(answer),
            Step::Onward(onward) => {
                let place = &onward.decision.place;
                let waits = onward.decision.waits().then_some((place.device, place.enrolment));
                let answer = hold::hold(&gateway, onward).await?;
                match waits {
                    Some(whose) => Box::pin(quarantine::learn(&gateway, whose, answer)).await,
                    None => Ok(answer),
                }
            }
        }
    };
    let answer = answer.instrument(span.clone()).await;
    span::answered(&span, answer.unwrap_or_else(|refusal| refusal.told(&gateway.server, &peer)))
}

/// A body that takes longer is decided on anew when it is there.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What becomes of a request.
enum Step {
    /// We answer it ourselves.
    Answered(Response),
    /// It goes to the mail server.
    Onward(Box<Onward>),
}

async fn serve(gateway: &Arc<Gateway>, peer: &Peer, request: Request) -> std::result::Result<Step, Refusal> {
    let upstream = gateway.upstream()?.clone();
    let (mut parts, body) = request.into_parts();
    via::check(&parts.headers, &gateway.server)?;
    let shown = who::shown(&gateway.server, peer, &parts.headers)?;
    if is_form(&parts.headers) {
        return Err(Refusal::Head(lanyard_activesync::Error::Query));
    }
    let head = match read_head(&parts) {
        Ok(head) => head,
        Err(error) => {
            garbled(gateway, shown, &error).await?;
            return Err(Refusal::Head(error));
        }
    };
    let said = Login::of(&parts.headers, &gateway.server.eas_users);
    let login = gateway.login_for(shown, said.as_ref()).await?;
    let agent = parts.headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_string);
    let users = gateway.server.eas_users.clone();
    let mut asker = Asker { shown, login: None, users, proved: true, asked: peer.asked, client: peer.client, agent };
    let judge = async {
        match shown {
            Some(shown) => Ok(gateway.server.store.judge(move |tx| who::check(tx, &shown)).await?),
            None => {
                may_send_much(
                    gateway,
                    &Claim {
                        upstream: &upstream,
                        login: login.as_ref(),
                        peer,
                        headers: &parts.headers,
                        head: &head,
                        ends_a_wipe: false,
                    },
                )
                .await
            }
        }
    };
    let (body, bytes) = interpreted(&parts.headers, head.command, body, judge).await?;
    let ends_a_wipe = matches!(
        read(head.command, &bytes),
        Ok(Content::Provision(body)) if matches!(body.body, wire::Body::WipeAck { .. })
    );
    let claim =
        Claim { upstream: &upstream, login: login.as_ref(), peer, headers: &parts.headers, head: &head, ends_a_wipe };
    let kept_out = match shown {
        Some(shown) => {
            let named = said.as_ref().and_then(Login::user).map(str::to_string);
            asker.login = named.or(owner_beside(gateway, &claim, shown).await?);
            None
        }
        None => {
            let Proof { user, kept_out } = proof(gateway, &claim).await.map_err(|refusal| later(&head, refusal))?;
            asker.login = user;
            kept_out
        }
    };
    asker.proved = kept_out.is_none();
    let content = match read(head.command, &bytes) {
        Ok(content) => content,
        Err(error) => {
            garbled(gateway, shown, &error).await?;
            return Err(kept_out.unwrap_or_else(|| told(refusal(head.version, head.command, error.status()))));
        }
    };
    let asked = Arc::new(Asked { head: Arc::new(head), asker, login });
    let content = match &kept_out {
        // Nothing that was not looked at just now goes to the mail server with its password.
        Some(refused) if !matches!(refused, Refusal::Upstream(_)) => content,
        _ => gateway.first(&asked, content).await,
    };
    let decision = match gateway.admit(&asked, content.clone()).await {
        Ok(decision) => decision,
        Err(refusal) => return Err(kept_out.unwrap_or_else(|| later(&asked.head, refusal))),
    };
    span::whose(decision.place.enrolment, Some(decision.place.device));
    if let Some(answer) = decision.answer {
        gateway.then(&asked, &content, &decision.place, decision.said).await;
        gateway.tell_back(&asked, decision.place);
        return Ok(Step::Answered(response(answer)));
    }
    // One that was let in again, or waits: the mail server may not have heard yet.
    if decision.place.ordered.as_ref().is_some_and(|ordered| ordered.said.is_some()) {
        gateway.tell_back(&asked, decision.place.clone());
    }
    if decision.stead.is_some() {
        // In a box: what is held of a request that passes is not to grow by it.
        let answer = quarantine::answer(gateway, &asked, decision, &parts.headers, body);
        return Ok(Step::Answered(Box::pin(answer).await?));
    }
    let waits = decision.waits();
    let told = matches!(&content, Content::Settings(Some(said)) if said.device_information.is_some());
    // Of a client that waits the mail server hears nothing but that it asks for its folders.
    let decision = match !waits && gateway.tell_device(&asked, &decision.place, told).await? {
        true => gateway.decide(&asked, content).await?,
        false => decision,
    };
    if let Some(answer) = decision.shuts(&asked.head) {
        return Ok(Step::Answered(response(answer)));
    }
    if let Some(refused) = kept_out {
        return Err(refused);
    }
    if waits {
        // Its folders are looked at on their way back.
        parts.headers.remove(http::header::ACCEPT_ENCODING);
    }
    let begun = clock::monotonic();
    let (again, body) = Again::of(asked.head.command, &parts, peer.client, body).await?;
    let decision = match clock::since(begun) > AT_ONCE {
        // A body that took its time: what was decided before it may be over.
        true => gateway.admit(&asked, Content::Unread).await?,
        false => decision,
    };
    let before = || quarantine::before(&asked, &decision, again.as_ref().map_or(&[], Again::body));
    if let Some(answer) = decision.shuts(&asked.head).or_else(before) {
        return Ok(Step::Answered(response(answer)));
    }
    let request =
        upstream::request(&upstream, &parts, peer.client, asked.login.as_ref(), decision.place.foreign.key, body)?;
    let (request, again) = (Box::new(request), again.map(Box::new));
    Ok(Step::Onward(Box::new(Onward { asked, decision, request, again })))
}

/// Of a device of ours its problems say that it sent what cannot be read. A login alone says whose it is only with what was to be read.
async fn garbled(
    gateway: &Gateway,
    shown: Option<Fingerprint>,
    error: &lanyard_activesync::Error,
) -> std::result::Result<(), Refusal> {
    if let Some(shown) = shown {
        identity::garbled(&gateway.server, shown, error.to_string()).await?;
    }
    Ok(())
}

/// A request that says by a login whose it is.
#[derive(Clone, Copy)]
struct Claim<'a> {
    upstream: &'a Uri,
    login: Option<&'a Login>,
    peer: &'a Peer,
    headers: &'a HeaderMap,
    head: &'a Head,
    /// What it says ends a wipe: a login that was good lately is not enough for that.
    ends_a_wipe: bool,
}

impl Claim<'_> {
    fn client(&self) -> Client<'_> {
        let agent = self.headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok());
        Client { head: self.head, address: self.peer.client, agent }
    }
}

/// Whose a request is, and why that is not proved, where it is not.
struct Proof {
    user: Option<String>,
    kept_out: Option<Refusal>,
}

/// Has the mail server prove a login. What it refuses comes back, since the request is heard all the same: neither a changed password
/// nor a mail server that is away must keep a stolen phone from hearing of its wipe.
async fn proof(gateway: &Gateway, claim: &Claim<'_>) -> std::result::Result<Proof, Refusal> {
    let peer = claim.peer;
    let login = claim.login.ok_or_else(|| gateway.nobody(peer.asked))?;
    let words = Words {
        client: peer.client,
        login,
        agent: claim.headers.get(http::header::USER_AGENT),
        holder: counted(&gateway.server, peer),
        asked: peer.asked,
        device: Some(claim.head.device_id.to_string()),
        certificate: false,
    };
    let mut user = login.user().map(str::to_string);
    let proved = match claim.ends_a_wipe {
        true => Box::pin(gateway.prove_now(claim.upstream, &words)).await,
        false => gateway.prove(claim.upstream, &words).await,
    };
    let kept_out = match proved {
        Ok(()) if login.is_token() => match gateway.owner(claim.upstream, login, &claim.client(), None).await {
            Ok(Some(owner)) => {
                user = Some(owner);
                None
            }
            Ok(None) => Some(gateway.unknown_owner(claim.upstream, &words).await),
            Err(refusal) => Some(refusal),
        },
        Ok(()) => None,
        Err(refusal) => Some(refusal),
    };
    if let Some(fault @ Refusal::Fault(_)) = kept_out {
        return Err(fault);
    }
    // A token that is good no more: whose it was, or is said to be, is a claim, as a name is without its password.
    let former = || gateway.logins.former_owner(login).or_else(|| claim.head.user.clone());
    Ok(Proof { user: user.or_else(former), kept_out })
}

/// Whose a token beside a certificate is, where the mail server says so.
async fn owner_beside(
    gateway: &Gateway,
    claim: &Claim<'_>,
    shown: Fingerprint,
) -> std::result::Result<Option<String>, Refusal> {
    let Some(token) = claim.login.filter(|login| login.is_token() && !login.is_empty()) else { return Ok(None) };
    // Nothing goes to the mail server for a certificate that nobody knows.
    gateway.server.store.judge(move |tx| who::check(tx, &shown)).await?;
    match gateway.owner(claim.upstream, token, &claim.client(), Some(shown)).await {
        Ok(owner) => Ok(owner),
        // Its own request says so in a moment, unless the phone is to hear of a wipe.
        Err(Refusal::Away) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// Whether a large body is read of a client without a certificate: of one whose login the mail server takes, and whose enrolment is not
/// kept out. No client's Provision is so large.
async fn may_send_much(gateway: &Gateway, claim: &Claim<'_>) -> std::result::Result<(), Refusal> {
    let Proof { user, kept_out } = proof(gateway, claim).await?;
    if let Some(refused) = kept_out {
        return Err(refused);
    }
    let user = user.ok_or(Refusal::NoLogin)?;
    let device_id = claim.head.device_id.to_string();
    Ok(gateway.server.store.judge(move |tx| who::check_login(tx, &user, &device_id)).await?)
}

/// An answer in the protocol's own words where the way out is that of a refusal.
fn told(answer: Answer) -> Refusal {
    Refusal::Upstream(Box::new(response(answer)))
}

/// A store that is busy or away: the client is told in its own words to come later.
fn later(head: &Head, why: Refusal) -> Refusal {
    match why {
        Refusal::Fault(Error::Store(Fault::Away(_) | Fault::Busy)) if head.version.has_common_status() => {
            told(refusal(head.version, head.command, Status::RETRY_LATER))
        }
        other => other,
    }
}

/// What some mail servers would read fields of the query out of.
fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.trim_start().to_ascii_lowercase();
    kind.starts_with("application/x-www-form-urlencoded") || kind.starts_with("multipart/")
}

fn read_head(parts: &Parts) -> std::result::Result<Head, lanyard_activesync::Error> {
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    Head::parse(parts.uri.query().unwrap_or_default(), text("ms-asprotocolversion"), text("x-ms-policykey"))
}

/// Reads the body of what is interpreted here; others are left to stream. What was read goes on as it came.
async fn interpreted(
    headers: &HeaderMap,
    command: Command,
    body: Body,
    judge: impl Future<Output = std::result::Result<(), Refusal>>,
) -> std::result::Result<(Body, Bytes), Refusal> {
    match command {
        Command::Provision | Command::Settings => {
            let read = read_judged(headers, body, SMALL_BODY, BODY_IDLE, judge).await;
            let bytes = read.map_err(|unread| match unread {
                Unread::Body(error) => error.into(),
                Unread::Refused(refusal) => refusal,
            })?;
            Ok((Body::from(bytes.clone()), bytes))
        }
        _ => Ok((upstream::streamed(body), Bytes::new())),
    }
}

fn read(command: Command, bytes: &[u8]) -> std::result::Result<Content, lanyard_activesync::Error> {
    Ok(match command {
        Command::Provision => Content::Provision(Arc::new(wire::Request::parse(bytes)?)),
        Command::Settings => Content::Settings(settings::Request::parse(bytes).ok().map(Arc::new)),
        _ => Content::Unread,
    })
}

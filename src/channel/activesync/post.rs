//! One command of a mail client: who asks, what becomes of it, and the answer.

use super::{
    Gateway,
    foreign::{self, Foreign},
    hold,
    login::Login,
    provision,
    refusal::Refusal,
    stand::Stand,
    upstream::{self, MOVED},
    who::{self, Asker, Who},
};
use crate::{
    error::Result,
    http::{
        Peer,
        limits::{BODY_IDLE, SMALL_BODY, read_from},
    },
    ids::{DeviceId, EnrolmentId},
    registry::presence::Presence,
    store::Tx,
};
use axum::{
    body::Body,
    extract::{Extension, Request, State},
    http::{HeaderMap, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use lanyard_activesync::{
    Answer, Command, Request as Head, Status, provision as wire, settings,
    state::Verdict,
    status::{CONTENT_TYPE, refusal},
};
use std::sync::Arc;
use tokio::sync::futures::OwnedNotified;

pub(super) async fn message(
    State(gateway): State<Arc<Gateway>>,
    Extension(peer): Extension<Arc<Peer>>,
    request: Request,
) -> Response {
    match serve(&gateway, &peer, request).await {
        Ok(response) => response,
        Err(refusal) => refusal.told(&gateway.server, &peer),
    }
}

/// What a handler needs of a request besides its body.
pub(super) struct Asked {
    pub(super) head: Arc<Head>,
    pub(super) asker: Asker,
    pub(super) login: Option<Login>,
}

/// The body, as far as it is read here.
#[derive(Clone)]
pub(super) enum Content {
    Unread,
    Provision(Arc<wire::Request>),
    /// `None`: it cannot be read, which is the mail server's to say where it goes on.
    Settings(Option<Arc<settings::Request>>),
}

async fn serve(gateway: &Arc<Gateway>, peer: &Peer, request: Request) -> std::result::Result<Response, Refusal> {
    let upstream = gateway.upstream()?.clone();
    let (parts, body) = request.into_parts();
    let head = read_head(&parts).map_err(Refusal::Head)?;
    let login = Login::of(&parts.headers);
    let shown = who::shown(&gateway.server, peer, &parts.headers)?;
    let user = login.as_ref().and_then(Login::user).map(str::to_string);
    let mut asker = Asker { shown, login: user, proved: true, asked: peer.asked };
    let (body, bytes) = interpreted(&parts.headers, head.command, body).await?;
    let kept_out = match shown {
        Some(_) => None,
        None => proof(gateway, &upstream, login.as_ref(), &parts.headers, head.command).await?,
    };
    asker.proved = kept_out.is_none();
    let content = match read(head.command, &bytes) {
        Ok(content) => content,
        Err(error) => return Err(kept_out.unwrap_or_else(|| told(refusal(head.version, head.command, error.status())))),
    };
    let asked = Arc::new(Asked { head: Arc::new(head), asker, login });
    let decision = match (gateway.decide(&asked, content).await, kept_out) {
        (Err(_), Some(refused)) => return Err(refused),
        (decided, _) => decided?,
    };
    if let Some(answer) = decision.answer {
        return Ok(response(answer));
    }
    let key = decision.place.foreign.as_ref().and_then(Foreign::key);
    let onward = upstream::request(&upstream, &parts, asked.login.as_ref(), key, body)?;
    // A Ping is held for an hour, and a header keeps the connection's whole read buffer.
    drop(parts);
    match asked.head.command {
        Command::Ping | Command::Sync => hold::hold(gateway, &asked, decision, onward).await,
        _ => gateway.exchange(&asked, &decision.place, onward).await,
    }
}

/// Has the mail server prove a login. What it refuses comes back where the request is heard all the same: neither a changed password
/// nor a mail server that is away must keep a stolen phone from hearing of its wipe.
async fn proof(
    gateway: &Gateway,
    upstream: &Uri,
    login: Option<&Login>,
    headers: &HeaderMap,
    command: Command,
) -> std::result::Result<Option<Refusal>, Refusal> {
    let login = login.filter(|login| login.user().is_some()).ok_or(Refusal::NoLogin)?;
    match gateway.prove(upstream, login, headers).await {
        Ok(()) => Ok(None),
        Err(refused @ (Refusal::Upstream(_) | Refusal::Away)) if command == Command::Provision => Ok(Some(refused)),
        Err(refused) => Err(refused),
    }
}

/// An answer in the protocol's own words where the way out is that of a refusal.
fn told(answer: Answer) -> Refusal {
    Refusal::Upstream(Box::new(response(answer)))
}

fn read_head(parts: &Parts) -> std::result::Result<Head, lanyard_activesync::Error> {
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    Head::parse(parts.uri.query().unwrap_or_default(), text("ms-asprotocolversion"), text("x-ms-policykey"))
}

/// Reads the body of what is interpreted here; others are left to stream. What was read goes on as it came.
async fn interpreted(headers: &HeaderMap, command: Command, body: Body) -> std::result::Result<(Body, Bytes), Refusal> {
    match command {
        Command::Provision | Command::Settings => {
            let bytes = read_from(headers, body, SMALL_BODY, BODY_IDLE).await?;
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

/// Whose request it is, and where his mail is.
pub(super) struct Place {
    pub(super) device: DeviceId,
    pub(super) enrolment: EnrolmentId,
    /// The mail server has named another one.
    pub(super) moved: Option<Uri>,
    /// What the mail server's own policy has given for this client.
    pub(super) foreign: Option<Foreign>,
    /// What the device is, as far as it is known.
    pub(super) model: Option<String>,
}

impl Place {
    fn of(who: &Who) -> Self {
        let kept = |name: &str| who.device.enrolment(who.enrolment)?.channel_state.get(name);
        Self {
            device: who.device.id,
            enrolment: who.enrolment,
            moved: kept(MOVED).and_then(|text| text.parse().ok()),
            foreign: kept(foreign::KEPT).and_then(|text| serde_json::from_str(text).ok()),
            model: who.device.model.clone(),
        }
    }
}

/// What becomes of a request.
pub(super) struct Decision {
    /// `None`: it goes on to the mail server.
    pub(super) answer: Option<Answer>,
    pub(super) place: Place,
    /// Fires when something about the device has changed since.
    pub(super) news: OwnedNotified,
}

impl Gateway {
    /// Decides on a request, in one call on the store.
    pub(super) async fn decide(&self, asked: &Asked, content: Content) -> std::result::Result<Decision, Refusal> {
        let (head, asker, presence) = (asked.head.clone(), asked.asker.clone(), self.server.presence.clone());
        self.server.store.run(move |tx| decide(tx, &presence, &asker, &head, &content)).await?
    }
}

fn decide(
    tx: &mut Tx<'_>,
    presence: &Presence,
    asker: &Asker,
    head: &Head,
    content: &Content,
) -> Result<std::result::Result<Decision, Refusal>> {
    let who = match who::find(tx, asker, head)? {
        Ok(who) => who,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let (enrolment, news) = (who.enrolment, presence.watch(who.device.id).notified_owned());
    let place = Place::of(&who);
    let mut stand = Stand::of(tx, who, head.version, asker.proved)?;
    if !asker.proved && stand.directive.is_none() {
        return Ok(Err(Refusal::NoLogin));
    }
    if let (true, Some(known)) = (asker.proved, stand.who.device.enrolment(enrolment)) {
        Gateway::seen(tx, known)?;
    }
    let answer = answer(tx, &mut stand, head, content, asker.proved)?;
    stand.save(tx)?;
    Ok(Ok(Decision { answer, place, news }))
}

/// Our own answer, where there is one.
fn answer(tx: &mut Tx<'_>, stand: &mut Stand, head: &Head, content: &Content, proved: bool) -> Result<Option<Answer>> {
    let verdict = stand.verdict(head);
    Ok(match (verdict, content) {
        (Verdict::Answer, Content::Provision(body)) => Some(provision::take(tx, stand, head, body, proved)?),
        (Verdict::Answer | Verdict::Pass, Content::Settings(Some(said))) => {
            if let Some(information) = &said.device_information {
                provision::learn(tx, stand, information)?;
            }
            let http = StatusCode::OK.as_u16();
            let own = || Answer { http, body: said.answer(), content_type: Some(CONTENT_TYPE) };
            (verdict == Verdict::Answer).then(own)
        }
        (Verdict::Answer, _) => Some(refusal(head.version, head.command, Status::INVALID_WBXML)),
        (verdict, _) => verdict.answer(head.version, head.command),
    })
}

/// An answer of the protocol over HTTP.
pub(super) fn response(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    match answer.content_type {
        Some(kind) => (status, [(header::CONTENT_TYPE, kind)], answer.body).into_response(),
        None => status.into_response(),
    }
}

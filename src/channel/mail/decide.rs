//! What becomes of a request: who asks, how they stand, what we answer ourselves; in one call on the store.

use super::{
    gateway::Gateway,
    kept::{Foreign, Moved, TOLD},
    letter,
    login::Login,
    order::Ordered,
    partnership::Partnership,
    provision,
    refusal::Refusal,
    remembered,
    who::{self, Asker, Who},
};
use crate::{
    clock::Timestamp,
    error::{Denial, Judged, Result},
    fleet::{
        enrol::waiting::Waiting,
        keeper,
        life::Event,
        mail_rules::{self, Gate},
        registry::presence::Presence,
    },
    ids::{DeviceId, EnrolmentId},
    server::waiting::Facts,
    store::Tx,
};
use axum::{
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use lanyard_activesync::{
    Answer, Request as Head, Status,
    provision::{self as wire, PolicyOutcome},
    settings,
    state::Verdict,
    status::{CONTENT_TYPE, refusal},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::futures::OwnedNotified;

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

/// Whose request it is, and where his mail is.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) device: DeviceId,
    pub(super) enrolment: EnrolmentId,
    /// The mail server has named another one.
    pub(super) moved: Option<Uri>,
    /// What the mail server's own policy has given for this client.
    pub(super) foreign: Foreign,
    /// What the device is, as far as it is known.
    pub(super) model: Option<String>,
    /// What it said of itself.
    pub(super) told: Option<settings::DeviceInformation>,
    /// A wipe that the mail server ordered.
    pub(super) ordered: Option<Ordered>,
}

impl Place {
    fn of(who: &Who, now: Timestamp) -> Self {
        let kept = |name: &str| who.device.enrolment(who.enrolment)?.channel_state.get(name);
        Self {
            device: who.device.id,
            enrolment: who.enrolment,
            moved: Moved::of(&who.device, who.enrolment, now),
            foreign: Foreign::of(&who.device, who.enrolment).unwrap_or_default(),
            model: who.device.model.clone(),
            told: kept(TOLD).and_then(|text| serde_json::from_str(text).ok()),
            ordered: Ordered::of(&who.device, who.enrolment),
        }
    }
}

/// What becomes of a request.
pub(super) struct Decision {
    /// `None`: it goes on to the mail server, where it is not answered in its stead.
    pub(super) answer: Option<Answer>,
    /// It is of a client that waits, and is answered in the mail server's stead; see `quarantine.rs`.
    pub(super) stead: Option<Box<Facts>>,
    /// The last time that the client had to wait to be let in, or does now.
    pub(super) waiting: Option<Waiting>,
    pub(super) place: Place,
    /// Fires when something about the device has changed since.
    pub(super) news: OwnedNotified,
    /// What the client said last of the policy that it holds.
    pub(super) said: Option<PolicyOutcome>,
    /// So long it has until a rule of who may read mail cuts it.
    pub(super) left: Option<Duration>,
}

impl Gateway {
    /// Decides on a request, in one call on the store.
    pub(super) async fn decide(&self, asked: &Asked, content: Content) -> std::result::Result<Decision, Refusal> {
        let (head, asker, presence) = (asked.head.clone(), asked.asker.clone(), self.server.presence.clone());
        let by_mail = self.server.smtp.is_some();
        Ok(self.server.store.judge(move |tx| decide(tx, &presence, by_mail, &asker, &head, &content)).await?)
    }

    /// Where a client is that may reach the mail server; none: it may not.
    pub(super) async fn look(&self, asked: &Asked) -> std::result::Result<Option<Place>, Refusal> {
        let (head, asker) = (asked.head.clone(), asked.asker.clone());
        Ok(self.server.store.judge(move |tx| look(tx, &asker, &head)).await?)
    }
}

fn decide(
    tx: &mut Tx<'_>,
    presence: &Presence,
    by_mail: bool,
    asker: &Asker,
    head: &Head,
    content: &Content,
) -> Judged<Decision, Refusal> {
    let mut who = who::find(tx, asker, head)?;
    let mut left = None;
    if asker.proved {
        keeper::back(tx, &mut who.device)?;
        for (name, value) in who::calls_itself(asker, head) {
            let (enrolment, value) = (who.enrolment, Some(value));
            keeper::happen(tx, &mut who.device, Event::Noted { enrolment, name, value })?;
        }
        left = mail_rules::ask(tx, &mut who.device, who.enrolment)?;
    }
    let (enrolment, news) = (who.enrolment, presence.watch(who.device.id).notified_owned());
    let mut partnership = Partnership::of(tx, who, head.version, asker.proved)?;
    if !asker.proved && partnership.directive.is_none() {
        return Err(Denial::Refused(Refusal::NoLogin));
    }
    if let (true, Some(known)) = (asker.proved, partnership.who.device.enrolment(enrolment)) {
        Gateway::seen(tx, known)?;
    }
    let waiting = match asker.proved {
        true => letter::look(tx, &mut partnership.who, by_mail)?,
        false => None,
    };
    let in_stead = partnership.verdict(head) == Verdict::Stead;
    let stead = in_stead.then(|| Facts::of(&partnership.who.device, enrolment)).flatten().map(Box::new);
    let answer = answer(tx, &mut partnership, head, content, asker.proved)?;
    let (said, place) = (partnership.kept.said, Place::of(&partnership.who, tx.now()));
    if answer.is_none() && stead.is_none() {
        remembered::remember(tx, asker, head, &partnership, (left, waiting.clone()));
    }
    partnership.save(tx)?;
    Ok(Decision { answer, stead, waiting, place, news, said, left })
}

impl Decision {
    /// What a request is refused with that was on its way to the mail server; `None`: it may go on.
    pub(super) fn shuts(&self, head: &Head) -> Option<Answer> {
        let waits = || self.stead.is_some().then(|| refusal(head.version, head.command, Status::RETRY_LATER));
        self.answer.clone().or_else(waits)
    }

    /// Its client waits to be let in.
    pub(super) fn waits(&self) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| !waiting.over)
    }
}

/// Where a client is that may reach the mail server; none: it may not.
fn look(tx: &mut Tx<'_>, asker: &Asker, head: &Head) -> Judged<Option<Place>, Refusal> {
    let who = who::find(tx, asker, head)?;
    let gate = Gate::load(tx)?;
    let open = who.device.enrolment(who.enrolment).is_some_and(|mine| gate.lets_in(&who.device, mine));
    let shut = who.device.mail_is_shut(who.enrolment).is_some();
    // A wipe that it ordered it may take back, as long as nobody was told.
    let theirs = Ordered::of(&who.device, who.enrolment).is_some_and(|ordered| ordered.is_unsent(&who.device));
    Ok((open && (theirs || !shut)).then(|| Place::of(&who, tx.now())))
}

/// Our own answer, where there is one.
fn answer(
    tx: &mut Tx<'_>,
    partnership: &mut Partnership,
    head: &Head,
    content: &Content,
    proved: bool,
) -> Result<Option<Answer>> {
    let verdict = partnership.verdict(head);
    Ok(match (verdict, content) {
        (Verdict::Answer, Content::Provision(body)) => Some(provision::take(tx, partnership, head, body, proved)?),
        (Verdict::Answer | Verdict::Pass, Content::Settings(Some(said))) => {
            if let Some(information) = &said.device_information {
                provision::learn(tx, partnership, information)?;
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

//! A mail server with a policy of its own: it asks for a key as we do. The gateway asks it for that policy before the client is answered,
//! so that the client gets the stricter of both documents, and acknowledges as the client does: it never speaks for it.

use super::{
    again::Again,
    decide::{Asked, Content, Place, response},
    gateway::Gateway,
    kept::{FOREIGN, Foreign},
    own::Client,
    refusal::Refusal,
    refused::is_refusal,
};
use crate::{
    error::Error,
    fleet::{keeper, life::Event},
    store::Tx,
};
use axum::{http::StatusCode, response::Response};
use lanyard_activesync::{
    Answer, Command, PolicyKey, Request as Head, Status, Version,
    ping::End,
    provision::{self, Answered, Body as Said, PolicyOutcome, PolicyType, Told},
    settings::{self, DeviceInformation},
    status::{refusal, wants_provision},
};

/// Why the mail server gave no policy.
type Why = &'static str;
const KEY_FIRST: Why = "it asks for a policy key first";

impl Gateway {
    /// Before a client is answered that asks for its policy: the mail server is asked for its own. That it gives none, or is away, keeps
    /// nobody from ours.
    pub(super) async fn first(&self, asked: &Asked, content: Content) -> Content {
        let phase_1 = matches!(&content, Content::Provision(body) if matches!(body.body, Said::Policy(_)));
        if !phase_1 {
            return content;
        }
        let Ok(Some(mut at)) = self.look(asked).await else { return content };
        if !asked.asker.proved {
            self.ask_for_wipe(asked, &at).await;
            return content;
        }
        if let Content::Provision(body) = &content
            && let Some(told) = &body.device_information
        {
            at.told = Some(told.clone());
        }
        let _turn = self.rounds.turn(at.enrolment).await;
        if let Err(why) = self.first_phase(asked, &at).await {
            tracing::debug!(enrolment = %at.enrolment, why, "the mail server was asked for its policy and gave none");
            // What the device is went along in vain, and goes along with the next one.
            let now = self.server.now();
            let untold = move |kept: &mut Foreign| kept.untold = Some(now);
            if asked.head.version.wants_device_information() && self.keep(&at, untold).await.is_err() {
                tracing::warn!(enrolment = %at.enrolment, "what came of that could not be kept");
            }
        }
        content
    }

    /// For a known client whose login is refused: some mail servers say even so that it is to be erased (Z-Push), and a changed password must
    /// not keep a stolen phone from hearing that. Nothing else of the answer counts.
    async fn ask_for_wipe(&self, asked: &Asked, at: &Place) {
        let said = information(asked, at, &at.told.clone().unwrap_or_default());
        let said = asked.head.version.wants_device_information().then_some(said);
        let body = provision::Request { device_information: said, body: Said::Policy(kind(&asked.head)) };
        let _turn = self.rounds.turn(at.enrolment).await;
        let Ok(Answered { wipe: wipe @ Some(_), .. }) = self.say(asked, at, None, &body).await else { return };
        if self.heard_of_wipe(at, wipe).await.is_err() {
            tracing::warn!(enrolment = %at.enrolment, "the mail server's order to erase could not be kept");
        }
    }

    /// After a client has acknowledged: so does the gateway to the mail server, in the client's own words.
    pub(super) async fn then(&self, asked: &Asked, content: &Content, at: &Place, said: Option<PolicyOutcome>) {
        let acknowledged = matches!(content, Content::Provision(body) if matches!(body.body, Said::Ack { .. }));
        // Under an order to erase it is not that which the mail server waits for.
        if !(asked.asker.proved && acknowledged && at.foreign.temporary.is_some() && at.ordered.is_none()) {
            return;
        }
        let Some(said) = said else { return };
        let _turn = self.rounds.turn(at.enrolment).await;
        if let Err(why) = self.second_phase(asked, at, said).await {
            tracing::warn!(enrolment = %at.enrolment, why, "the mail server took no acknowledgement of its policy");
        }
    }

    /// The mail server refused a command until its client has provisioned: it is asked for its policy; who is to hear of that, or of
    /// anything else first, is told so by us, and for all others the request is repeated.
    pub(super) async fn after_refusal(
        &self,
        asked: &Asked,
        at: &Place,
        again: Option<Box<Again>>,
    ) -> Result<Response, Refusal> {
        let turn = self.rounds.turn(at.enrolment).await;
        let now = self.server.now();
        let mut decision = self.decide(asked, Content::Unread).await?;
        let settled = decision.place.foreign.key.is_some() && decision.place.foreign.key != at.foreign.key;
        if !settled {
            if decision.place.foreign.rests(now) {
                return Ok(told(&asked.head, Status::RETRY_LATER));
            }
            // Until something passes.
            let refused = move |kept: &mut Foreign| {
                kept.at = Some(now);
                kept.vain = kept.vain.saturating_add(1);
            };
            decision.place.foreign = self.keep(&decision.place, refused).await?;
            if let Err(why) = self.first_phase(asked, &decision.place).await {
                tracing::warn!(enrolment = %at.enrolment, why, "the mail server asks for a policy key and gave none");
                return Ok(told(&asked.head, Status::RETRY_LATER));
            }
            decision = self.decide(asked, Content::Unread).await?;
        }
        if let Some(answer) = decision.shuts(&asked.head) {
            return Ok(response(answer));
        }
        if decision.place.ordered.is_some() {
            // It waits for a second person here, or was refused by one: until somebody takes it back there, no mail comes.
            return Ok(told(&asked.head, Status::RETRY_LATER));
        }
        // It holds all that is asked for: its own word for that, or there is nothing in it to be held.
        let said = decision.said.unwrap_or(PolicyOutcome::Applied);
        let key = match self.second_phase(asked, &decision.place, said).await {
            Ok(key) => key,
            Err(why) => {
                tracing::warn!(enrolment = %at.enrolment, why, "the mail server took no acknowledgement of its policy");
                return Ok(told(&asked.head, Status::RETRY_LATER));
            }
        };
        let Some(again) = again else { return Ok(told(&asked.head, Status::NOT_PROVISIONED)) };
        // It may be held for an hour.
        drop(turn);
        let onward = Box::new(again.request(self.upstream()?, asked.login.as_ref(), key)?);
        let there = self.there_and_back(asked, &decision.place, onward, Some(&again), again.patience()).await?;
        match is_refusal(there, again.patience()).await? {
            (true, _) => Ok(told(&asked.head, Status::RETRY_LATER)),
            (false, answer) => {
                let now = self.look(asked).await?;
                if let Some(place) = now {
                    self.was_not_refused(&place).await?;
                    self.gave_mail(asked, &place, answer.status()).await?;
                }
                Ok(answer)
            }
        }
    }

    /// Something passed: what is refused next is tried anew.
    pub(super) async fn was_not_refused(&self, at: &Place) -> Result<(), Refusal> {
        if at.foreign.vain == 0 {
            return Ok(());
        }
        self.keep(at, |kept| kept.vain = 0).await.map(drop)
    }

    /// Under an order to erase a mail server gives no mail: where it does, the order that was known before is over, told or taken back.
    pub(super) async fn gave_mail(&self, asked: &Asked, at: &Place, answered: StatusCode) -> Result<(), Refusal> {
        let tells = !matches!(asked.head.command, Command::Ping | Command::Provision | Command::Settings);
        if tells && at.ordered.is_some() && answered == StatusCode::OK {
            self.heard_of_wipe(at, None).await?;
        }
        Ok(())
    }

    /// Changes what is kept of the mail server's policy, as it stands by now: another request may have changed it meanwhile. What it is then.
    async fn keep(
        &self,
        at: &Place,
        change: impl Fn(&mut Foreign) + Clone + Send + Sync + 'static,
    ) -> Result<Foreign, Refusal> {
        let (device, enrolment) = (at.device, at.enrolment);
        let note = move |tx: &mut Tx<'_>| {
            let mut device = keeper::by_id(tx, device)?;
            let before = Foreign::of(&device, enrolment).unwrap_or_default();
            let mut kept = before.clone();
            change(&mut kept);
            if kept != before {
                let text = serde_json::to_string(&kept).map_err(|e| Error::Internal(e.to_string()))?;
                keeper::happen(tx, &mut device, Event::Noted { enrolment, name: FOREIGN, value: Some(text) })?;
            }
            Ok(kept)
        };
        Ok(self.server.store.run(note).await?)
    }

    /// Before a request goes on: what the device said of itself is told to the mail server, which may give no mail until it has it. Says
    /// whether that changed anything. `now`: the request itself tells it.
    pub(super) async fn tell_device(&self, asked: &Asked, at: &Place, now: bool) -> Result<bool, Refusal> {
        let version = asked.head.version;
        let (Some(told), true) = (&at.told, version >= Version::V12_0) else { return Ok(false) };
        let (digest, time) = (digest(&information(asked, at, told)), self.server.now());
        if !at.foreign.is_to_tell(&digest, time) {
            return Ok(false);
        }
        if now && !version.wants_device_information() {
            self.keep(at, has_heard(digest)).await?;
            return Ok(false);
        }
        let _turn = self.rounds.turn(at.enrolment).await;
        let said = match version.wants_device_information() {
            true => self.first_phase(asked, at).await,
            false => self.tell_by_settings(asked, at, told).await,
        };
        // The request that goes on now is refused as well, and settles that.
        if said == Err(KEY_FIRST) {
            return Ok(false);
        }
        if let Err(why) = said {
            tracing::debug!(enrolment = %at.enrolment, why, "the mail server did not take what its client is");
            self.keep(at, move |kept| kept.untold = Some(time)).await?;
        }
        Ok(true)
    }

    /// As clients before 14.1 do.
    async fn tell_by_settings(&self, asked: &Asked, at: &Place, told: &DeviceInformation) -> Result<(), Why> {
        let said = information(asked, at, told);
        let answer = self.own(asked, at, Command::Settings, at.foreign.key, settings::relay(&said)).await?;
        if wants_provision(&answer).is_some() {
            return Err(KEY_FIRST);
        }
        self.keep(at, has_heard(digest(&said))).await.map(drop).map_err(|_| "it could not be kept")
    }

    /// The phone's own word on a wipe that the mail server ordered.
    pub(super) async fn tell_of_wipe(&self, asked: &Asked, at: &Place, body: &provision::Request) -> Result<(), Why> {
        let answer = self.own(asked, at, Command::Provision, at.foreign.key, body.encode()).await?;
        let answered = Answered::parse(&answer).map_err(|_| "no answer to Provision")?;
        // A failure is answered with status 2.
        let most = if matches!(body.body, Said::WipeAck { ok: true, .. }) { 1 } else { 2 };
        if answered.status.is_none_or(|status| status <= most) { Ok(()) } else { Err("it refused Provision") }
    }

    /// The first phase: what the mail server's policy is. What the device is goes along from 14.1 on.
    async fn first_phase(&self, asked: &Asked, at: &Place) -> Result<(), Why> {
        let said = information(asked, at, &at.told.clone().unwrap_or_default());
        let said = asked.head.version.wants_device_information().then_some(said);
        let told = said.as_ref().map(digest);
        let body = provision::Request { device_information: said, body: Said::Policy(kind(&asked.head)) };
        let answered = self.say(asked, at, None, &body).await?;
        self.heard_of_wipe(at, answered.wipe).await.map_err(|_| "it could not be kept")?;
        // What it wants is no acknowledgement of a policy.
        let policy = match answered.policy {
            _ if answered.wipe.is_some() => None,
            Told::Taken { key: Some(key), document } => Some(Some((key, document.unwrap_or_default()))),
            Told::None => Some(None),
            Told::Taken { key: None, .. } => return Err("no key in its answer"),
            Told::Refused => return Err("it refused the policy's request"),
            Told::Nothing => return Err("no policy in its answer"),
        };
        let change = move |kept: &mut Foreign| {
            if let Some(told) = &told {
                (kept.told, kept.untold) = (Some(told.clone()), None);
            }
            match &policy {
                // The former key is good until then.
                Some(Some((key, document))) => {
                    (kept.temporary, kept.document) = (Some(*key), Some(document.clone()));
                }
                Some(None) => (kept.key, kept.temporary, kept.document) = (None, None, None),
                None => {}
            }
        };
        self.keep(at, change).await.map(drop).map_err(|_| "it could not be kept")
    }

    /// The second phase: the key that goes along with commands. Where nothing waits to be acknowledged, the one that there is.
    async fn second_phase(&self, asked: &Asked, at: &Place, said: PolicyOutcome) -> Result<Option<PolicyKey>, Why> {
        let Some(temporary) = at.foreign.temporary else { return Ok(at.foreign.key) };
        let said = Said::Ack { kind: kind(&asked.head), key: temporary.get(), outcome: Some(said) };
        let body = provision::Request { device_information: None, body: said };
        let key = match self.say(asked, at, Some(temporary), &body).await?.policy {
            Told::Taken { key: Some(key), .. } => Some(key),
            Told::None => None,
            _ => return Err("no key in its answer"),
        };
        let change = move |kept: &mut Foreign| {
            kept.key = key;
            // Not that of a round begun since.
            kept.temporary.take_if(|other| *other == temporary);
        };
        self.keep(at, change).await.map_err(|_| "it could not be kept")?;
        Ok(key)
    }

    /// One Provision of our own, with the client's login.
    async fn say(
        &self,
        asked: &Asked,
        at: &Place,
        key: Option<PolicyKey>,
        body: &provision::Request,
    ) -> Result<Answered, Why> {
        let answer = self.own(asked, at, Command::Provision, key, body.encode()).await?;
        let answered = Answered::parse(&answer).map_err(|_| "no answer to Provision")?;
        if answered.is_ok() { Ok(answered) } else { Err("it refused Provision") }
    }

    /// A request of our own in the client's name; the body of its answer.
    async fn own(
        &self,
        asked: &Asked,
        at: &Place,
        command: Command,
        key: Option<PolicyKey>,
        body: Vec<u8>,
    ) -> Result<Vec<u8>, Why> {
        let server = at.moved.as_ref().or(self.server.eas_upstream.as_ref()).ok_or("no mail server")?;
        let login = asked.login.as_ref().ok_or("no login")?;
        let client = Client { head: &asked.head, address: asked.asker.client, agent: asked.asker.agent.as_deref() };
        self.own_request(server, login, &client, command, key, body).await
    }
}

/// All that the client said of itself, with what its requests say.
fn information(asked: &Asked, at: &Place, told: &DeviceInformation) -> DeviceInformation {
    let mut said = told.clone();
    said.model.get_or_insert_with(|| at.model.clone().unwrap_or_else(|| asked.head.device_type.clone()));
    if said.user_agent.is_none() && asked.head.version >= Version::V12_1 {
        said.user_agent.clone_from(&asked.asker.agent);
    }
    said
}

/// The mail server has heard this of the device.
fn has_heard(digest: String) -> impl Fn(&mut Foreign) + Clone + Send + Sync + 'static {
    move |kept| (kept.told, kept.untold) = (Some(digest.clone()), None)
}

fn digest(said: &DeviceInformation) -> String {
    let hash = openssl::sha::sha256(&settings::relay(said));
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn kind(head: &Head) -> PolicyType {
    if head.version == Version::V2_5 { PolicyType::Xml } else { PolicyType::Wbxml }
}

/// Our own refusal. Some clients take a common status on a Ping for a plain failure; FolderSync tells them the reason.
fn told(head: &Head, status: Status) -> Response {
    let answer: Answer = match head.command {
        Command::Ping if head.version.has_common_status() && status == Status::RETRY_LATER => End::ServerError.answer(),
        Command::Ping if head.version.has_common_status() => End::FolderSyncFirst.answer(),
        command => refusal(head.version, command, status),
    };
    response(answer)
}

//! A client that waits to be let in has an account all the same, as with Exchange: its folders come from the mail server, all else is answered
//! here, and its inbox holds one message, which says why and what to do.

use super::{
    decide::{Asked, Content, Decision, response},
    gateway::Gateway,
    hold::{Held, over, stopping},
    refusal::Refusal,
    refused::Resumed,
};
use crate::{
    clock,
    error::Result,
    fleet::{enrol::waiting::Waiting, keeper},
    http::limits::{BODY_IDLE, SMALL_BODY, read_from},
    ids::{DeviceId, EnrolmentId},
    server::{
        host,
        waiting::{Facts, SUBJECT},
    },
    store::Tx,
};
use axum::{
    body::Body,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use lanyard_activesync::{
    Answer, Command, Status,
    ping::{self, End},
    quarantine::{Inbox, Message, Notice, all_folders, asks_for_all, folders_first, inbox, of_ours},
    status::refusal,
};
use std::{pin::pin, sync::Arc, time::Duration};
use time::macros::format_description;

/// How long a Ping or a Sync is held, in seconds: as Exchange takes it.
const HEARTBEAT: std::ops::RangeInclusive<u32> = 60..=3540;
/// A list of folders that is longer passes unread.
const LIST: usize = 256 * 1024;

/// The answer to a request that [`Decision::stead`] says is answered here.
pub(super) async fn answer(
    gateway: &Arc<Gateway>,
    asked: &Arc<Asked>,
    decision: Decision,
    headers: &HeaderMap,
    body: Body,
) -> std::result::Result<Response, Refusal> {
    let body = read_from(headers, body, SMALL_BODY, BODY_IDLE).await?;
    let answer = match asked.head.command {
        Command::Ping => ping(gateway, asked, decision, &body).await?,
        Command::Sync => sync(gateway, asked, decision, &body).await?,
        _ => at_once(gateway, asked, &decision, &body),
    };
    Ok(response(answer))
}

/// What a request is answered with before it goes to the mail server: of a client that was let in and still goes by our keys, or of one that
/// waits and is to ask for all its folders.
pub(super) fn before(asked: &Asked, decision: &Decision, body: &[u8]) -> Option<Answer> {
    let waiting = decision.waiting.as_ref()?;
    match asked.head.command {
        Command::FolderSync if !waiting.over && !waiting.by_mail && waiting.inbox.is_none() => {
            (!asks_for_all(body) && !body.is_empty()).then(all_folders)
        }
        command if waiting.over => of_ours(command, body),
        _ => None,
    }
}

fn later(asked: &Asked) -> Answer {
    refusal(asked.head.version, asked.head.command, Status::RETRY_LATER)
}

fn notice(gateway: &Gateway, facts: &Facts) -> Notice {
    let from = format!("\"Mail\" <no-reply@{}>", host(&gateway.server.enrol_url));
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].000Z");
    let message = Message {
        from,
        to: facts.user.clone(),
        subject: SUBJECT.into(),
        received: facts.waiting.since.to_datetime().format(form).unwrap_or_default(),
        text: facts.text(&gateway.server),
    };
    let inbox = facts.waiting.inbox.clone().filter(|inbox| !inbox.is_empty());
    let by_mail = facts.waiting.by_mail && gateway.server.smtp.is_some();
    Notice { id: facts.waiting.id.clone(), inbox, message: Some(message).filter(|_| !by_mail) }
}

fn at_once(gateway: &Gateway, asked: &Asked, decision: &Decision, body: &[u8]) -> Answer {
    let Some(facts) = &decision.stead else { return later(asked) };
    let (head, notice) = (&asked.head, notice(gateway, facts));
    let answered = match head.command {
        Command::GetItemEstimate => notice.estimate(body).map(Some),
        Command::ItemOperations => notice.operations(body, head.version),
        _ => Ok(None),
    };
    match answered {
        Ok(answer) => answer.unwrap_or_else(|| later(asked)),
        Err(error) => refusal(head.version, head.command, error.status()),
    }
}

async fn sync(
    gateway: &Arc<Gateway>,
    asked: &Asked,
    mut decision: Decision,
    body: &[u8],
) -> std::result::Result<Answer, Refusal> {
    let (head, begun) = (&asked.head, clock::monotonic());
    loop {
        let Some(facts) = &decision.stead else {
            // Decided meanwhile.
            let ours = || of_ours(Command::Sync, body);
            return Ok(decision.shuts(head).or_else(ours).unwrap_or_else(|| later(asked)));
        };
        let notice = notice(gateway, facts);
        if facts.waiting.inbox.is_none() && notice.message.is_some() {
            return Ok(folders_first());
        }
        let synced = match notice.sync(body, head.version) {
            Ok(synced) => synced,
            Err(error) => return Ok(refusal(head.version, head.command, error.status())),
        };
        let held = synced.held_seconds.map(|seconds| Duration::from_secs(seconds.min(*HEARTBEAT.end()).into()));
        let rest = held.map(|held| held.saturating_sub(clock::since(begun))).filter(|rest| !rest.is_zero());
        let Some(rest) = rest else { return Ok(synced.answer) };
        match news(gateway, asked, decision, rest).await? {
            Some(now) => decision = now,
            None => return Ok(synced.answer),
        }
    }
}

async fn ping(
    gateway: &Arc<Gateway>,
    asked: &Asked,
    mut decision: Decision,
    body: &[u8],
) -> std::result::Result<Answer, Refusal> {
    let head = &asked.head;
    let said = match ping::Request::parse(body) {
        Ok(said) => said,
        Err(error) => return Ok(refusal(head.version, head.command, error.status())),
    };
    // What a client sent before is not kept.
    let (Some(seconds), Some(_)) = (said.heartbeat_seconds, said.folders) else {
        return Ok(End::MissingParameters.answer());
    };
    if !HEARTBEAT.contains(&seconds) {
        return Ok(End::Interval(seconds.clamp(*HEARTBEAT.start(), *HEARTBEAT.end())).answer());
    }
    let (heartbeat, begun) = (Duration::from_secs(seconds.into()), clock::monotonic());
    let held = Held::new(&gateway.pings, decision.place.enrolment);
    let mut replaced = pin!(held.replaced());
    let waits = |decision: &Decision| decision.stead.as_ref().map(|facts| facts.waiting.id.clone());
    let first = waits(&decision);
    loop {
        let waiting = decision.stead.as_ref().map(|facts| &facts.waiting);
        let ask_for_folders = waiting.is_none_or(|waiting| waiting.inbox.is_none() && !waiting.by_mail);
        if ask_for_folders || waits(&decision) != first {
            return Ok(End::FolderSyncFirst.answer());
        }
        let rest = heartbeat.saturating_sub(clock::since(begun));
        tokio::select! {
            biased;
            () = &mut replaced => return Ok(End::Elapsed.answer()),
            now = news(gateway, asked, decision, rest) => match now? {
                Some(now) => decision = now,
                None => return Ok(End::Elapsed.answer()),
            },
        }
    }
}

/// What is decided once something about the device has changed. `None`: nothing has, in that time, or the server stops.
async fn news(
    gateway: &Arc<Gateway>,
    asked: &Asked,
    decision: Decision,
    rest: Duration,
) -> std::result::Result<Option<Decision>, Refusal> {
    let is_ping = asked.head.command == Command::Ping;
    tokio::select! {
        () = decision.news => {}
        () = over(decision.left) => {}
        () = tokio::time::sleep(rest) => return Ok(None),
        () = stopping(gateway, is_ping) => return Ok(None),
    }
    gateway.decide(asked, Content::Unread).await.map(Some)
}

/// The mail server's list of folders on its way to a client that waits: which of them is the inbox is kept. It is read here as far as that
/// is little.
pub(super) async fn learn(
    gateway: &Gateway,
    (device, enrolment): (DeviceId, EnrolmentId),
    answer: Response,
) -> std::result::Result<Response, Refusal> {
    if answer.status() != StatusCode::OK {
        return Ok(answer);
    }
    let (head, mut body) = answer.into_parts();
    let mut begun = BytesMut::new();
    let mut whole = true;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::Away)?.into_data() else { continue };
        begun.extend_from_slice(&data);
        whole = begun.len() <= LIST;
        if !whole {
            break;
        }
    }
    let begun: Bytes = begun.freeze();
    let found = if whole { inbox(&begun) } else { Inbox::None };
    let found = match found {
        Inbox::Is(id) => Some(id),
        Inbox::None => Some(String::new()),
        Inbox::Untold => None,
    };
    if let Some(found) = found {
        gateway.server.store.run(move |tx| keep(tx, device, enrolment, found)).await?;
    }
    let body = if whole { Body::from(begun) } else { Body::new(Resumed::new(begun, body)) };
    Ok(Response::from_parts(head, body))
}

fn keep(tx: &mut Tx<'_>, device: DeviceId, enrolment: EnrolmentId, inbox: String) -> Result<()> {
    let mut device = keeper::by_id(tx, device)?;
    let Some(waiting) = Waiting::of(&device, enrolment).filter(|waiting| !waiting.over) else { return Ok(()) };
    if waiting.inbox.as_ref() == Some(&inbox) || waiting.inbox.is_some() && inbox.is_empty() {
        return Ok(());
    }
    Waiting { inbox: Some(inbox), ..waiting }.keep(tx, &mut device, enrolment)
}

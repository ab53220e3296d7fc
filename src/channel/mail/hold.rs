//! Requests on their way, above all those that the mail server holds open until there is news, Ping and Sync: ended when a wipe is asked for, the policy changes,
//! somebody shuts the door, or the server stops.

use super::{
    again::Again,
    decide::{Asked, Content, Decision, response},
    gateway::Gateway,
    pings::Pings,
    refusal::Refusal,
};
use crate::{http::limits::SMALL_BODY, ids::EnrolmentId};
use axum::{
    body::Body,
    http::{Request, StatusCode},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};
use lanyard_activesync::{Answer, Command, ping::End};
use std::{
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::{Notify, futures::OwnedNotified};

/// Held requests are answered within this when the server stops, one after another: their clients all come back.
const SPREAD: Duration = Duration::from_secs(8);

/// The store's time may be a little behind the timer's.
const SOON: Duration = Duration::from_millis(100);

/// Bytes of an answer that are not worth cutting off.
const SHORT: u64 = 64 * 1024;

/// Leaves also when the client has gone and the request is dropped.
pub(super) struct Held<'a> {
    pings: &'a Pings,
    enrolment: EnrolmentId,
    mine: Arc<Notify>,
}

impl<'a> Held<'a> {
    pub(super) fn new(pings: &'a Pings, enrolment: EnrolmentId) -> Self {
        Self { pings, enrolment, mine: pings.enter(enrolment) }
    }

    /// Ends when another Ping has taken its place.
    pub(super) async fn replaced(&self) {
        self.mine.notified().await;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.pings.leave(self.enrolment, &self.mine);
    }
}

/// Sends a request on and waits for its answer, as long as it may.
pub(super) async fn hold(
    gateway: &Arc<Gateway>,
    asked: &Arc<Asked>,
    decision: Decision,
    onward: Request<Body>,
    again: Option<Again>,
) -> Result<Response, Refusal> {
    let is_ping = asked.head.command == Command::Ping;
    let enrolment = decision.place.enrolment;
    let held = is_ping.then(|| Held::new(&gateway.pings, enrolment));
    let mut replaced = pin!(async {
        match &held {
            Some(held) => held.replaced().await,
            None => std::future::pending().await,
        }
    });
    let mut answer = pin!(async {
        let answer = gateway.exchange(asked, &decision.place, onward, again).await?;
        if is_ping { whole(answer).await } else { Ok(answer) }
    });
    let mut shut = Box::pin(shut(gateway.clone(), asked.clone(), (decision.news, decision.left)));
    let mut stopping = pin!(stopping(gateway, is_ping));
    tokio::select! {
        biased;
        answer = &mut answer => answer.map(|answer| if is_ping { answer } else { guarded(answer, shut) }),
        refused = &mut shut => match refused? {
            // Some clients take a common status on a Ping for a plain failure; FolderSync tells them the reason.
            _ if is_ping => Ok(response(End::FolderSyncFirst.answer())),
            refused => Ok(response(refused)),
        },
        () = &mut replaced => Ok(response(End::Elapsed.answer())),
        () = &mut stopping => Ok(match is_ping {
            true => response(End::Elapsed.answer()),
            false => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        }),
    }
}

/// Ends when the request would be refused by now.
async fn shut(
    gateway: Arc<Gateway>,
    asked: Arc<Asked>,
    (mut news, mut left): (OwnedNotified, Option<Duration>),
) -> Result<Answer, Refusal> {
    loop {
        tokio::select! {
            () = news => {}
            () = over(left) => {}
        }
        let again = gateway.decide(&asked, Content::Unread).await?;
        match again.shuts(&asked.head) {
            Some(refused) => return Ok(refused),
            None => (news, left) = (again.news, again.left),
        }
    }
}

/// Ends when the time is up that a rule gives a client; where none does, never.
pub(super) async fn over(left: Option<Duration>) {
    match left {
        Some(left) => tokio::time::sleep(left.saturating_add(SOON)).await,
        None => std::future::pending().await,
    }
}

/// An answer to Ping is short; a mail server may send its head early and hold the rest.
async fn whole(answer: Response) -> Result<Response, Refusal> {
    let (head, body) = answer.into_parts();
    let whole = axum::body::to_bytes(body, SMALL_BODY).await.map_err(|_| Refusal::Away)?;
    Ok(Response::from_parts(head, Body::from(whole)))
}

/// An answer whose body ends with the connection when the door is shut. A short one is on its way already.
fn guarded(answer: Response, shut: Pin<Box<dyn Future<Output = Result<Answer, Refusal>> + Send>>) -> Response {
    let short = answer.body().size_hint().exact().is_some_and(|length| length <= SHORT);
    if answer.body().is_end_stream() || short {
        return answer;
    }
    let (head, body) = answer.into_parts();
    Response::from_parts(head, Body::new(Guarded { body, shut }))
}

struct Guarded {
    body: Body,
    shut: Pin<Box<dyn Future<Output = Result<Answer, Refusal>> + Send>>,
}

impl hyper::body::Body for Guarded {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.shut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err("the door was shut meanwhile".into())));
        }
        Pin::new(&mut self.body).poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Ends some time after the server began to stop. A Sync gets all of it: its answer may come yet.
pub(super) async fn stopping(gateway: &Gateway, is_ping: bool) {
    let mut signal = gateway.server.stopping.clone();
    signal.draining().await;
    let mut random = [0; 4];
    let part = match openssl::rand::rand_bytes(&mut random) {
        Ok(()) if is_ping => f64::from(u32::from_be_bytes(random)) / f64::from(u32::MAX),
        _ => 1.0,
    };
    tokio::time::sleep(SPREAD.mul_f64(part)).await;
}

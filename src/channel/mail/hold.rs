//! Requests on their way, above all those that the mail server holds open until there is news, Ping and Sync: ended when a wipe is asked for, the policy changes,
//! somebody shuts the door, or the server stops.

use super::{
    again::Again,
    decide::{Asked, Content, Decision, response},
    gateway::Gateway,
    login::Login,
    pings::Pings,
    refusal::Refusal,
    shares::Share,
};
use crate::{http::limits::SMALL_BODY, ids::EnrolmentId};
use axum::{
    body::Body,
    http::{HeaderValue, Request, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};
use lanyard_activesync::{Answer, Command, Status, ping::End, status::refusal};
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

/// When a client may come again whose user has too many requests under way.
const LATER: HeaderValue = HeaderValue::from_static("30");

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

/// A request that may go to the mail server.
pub(super) struct Onward {
    pub(super) asked: Arc<Asked>,
    pub(super) decision: Decision,
    /// As it goes.
    pub(super) request: Box<Request<Body>>,
    pub(super) again: Option<Box<Again>>,
}

/// Sends a request on and waits for its answer, as long as it may. What is held is held by the thousands: whatever happens seldom, or soon and
/// once, lies apart.
pub(super) async fn hold(gateway: &Arc<Gateway>, mut onward: Box<Onward>) -> Result<Response, Refusal> {
    let Some((share, waited)) = gateway.shares.take(&onward.user()).await else {
        return Ok(too_many(gateway, &onward));
    };
    let is_ping = onward.asked.head.command == Command::Ping;
    if waited {
        // What was decided before it waited may be over: nothing leaves before that is known.
        let now = Box::pin(gateway.admit(&onward.asked, Content::Unread)).await?;
        match now.shuts(&onward.asked.head) {
            Some(_) if is_ping => return Ok(response(End::FolderSyncFirst.answer())),
            Some(refused) => return Ok(response(refused)),
            None => onward.decision = now,
        }
    }
    let enrolment = onward.decision.place.enrolment;
    let held = is_ping.then(|| Held::new(&gateway.pings, enrolment));
    let mut replaced = pin!(async {
        match &held {
            Some(held) => held.replaced().await,
            None => std::future::pending().await,
        }
    });
    // Field by field: what stays in the box takes no room here.
    let news = (onward.decision.news, onward.decision.left);
    let mut shut = Box::pin(shut(gateway.clone(), onward.asked.clone(), news));
    let (asked, place) = (&onward.asked, &onward.decision.place);
    let exchange = Box::pin(gateway.exchange(asked, place, onward.request, onward.again));
    let mut answer = pin!(async {
        let answer = exchange.await?;
        if is_ping { Box::pin(whole(answer)).await } else { Ok(answer) }
    });
    let mut stopping = pin!(stopping(gateway, is_ping));
    tokio::select! {
        biased;
        answer = &mut answer => answer.map(|answer| if is_ping { answer } else { guarded(answer, shut, Some(share)) }),
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

impl Onward {
    /// Whose requests are counted together.
    fn user(&self) -> String {
        let user = self.asked.login.as_ref().and_then(Login::user).map(str::to_lowercase);
        user.unwrap_or_else(|| self.decision.place.enrolment.to_string())
    }
}

/// The user has too many requests at the mail server: this one comes again later.
fn too_many(gateway: &Gateway, onward: &Onward) -> Response {
    gateway.server.told.many_requests(onward.decision.place.enrolment);
    let head = &onward.asked.head;
    let mut later = response(refusal(head.version, head.command, Status::RETRY_LATER));
    later.headers_mut().insert(header::RETRY_AFTER, LATER);
    later
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
        let again = Box::pin(gateway.admit(&asked, Content::Unread)).await?;
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
pub(super) fn guarded<T: Send + 'static>(answer: Response, shut: Shut<T>, share: Option<Share>) -> Response {
    let short = answer.body().size_hint().exact().is_some_and(|length| length <= SHORT);
    if answer.body().is_end_stream() || short {
        return answer;
    }
    let (head, body) = answer.into_parts();
    Response::from_parts(head, Body::new(Guarded { body, shut, _share: share }))
}

/// Ends when the door is shut.
pub(super) type Shut<T> = Pin<Box<dyn Future<Output = T> + Send>>;

struct Guarded<T> {
    body: Body,
    shut: Shut<T>,
    /// It keeps a worker of the mail server busy until it is over.
    _share: Option<Share>,
}

impl<T> hyper::body::Body for Guarded<T> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn size<'a, F>(_: fn(&'a Arc<Gateway>, Box<Onward>) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn what_is_held_is_small() {
        let bytes = size(hold);
        assert!(bytes <= 2500, "{bytes} bytes for each Ping that is held");
    }
}

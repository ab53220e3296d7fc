//! Requests that the mail server holds open until there is news, Ping and Sync: ended when a wipe is asked for, the policy changes,
//! somebody shuts the door, or the server stops.

use super::{
    Gateway,
    post::{Asked, Content, response},
    refusal::Refusal,
};
use crate::ids::EnrolmentId;
use axum::{
    body::Body,
    http::{Request, StatusCode},
    response::{IntoResponse, Response},
};
use lanyard_activesync::{Command, ping::End};
use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::{Notify, futures::OwnedNotified};

/// Held requests are answered within this when the server stops, one after another: their clients all come back.
const SPREAD: Duration = Duration::from_secs(8);

/// The Ping that each enrolment holds at this node. A new one takes the old one's place.
#[derive(Default)]
pub(super) struct Pings(Mutex<HashMap<EnrolmentId, Arc<Notify>>>);

impl Pings {
    fn enter(&self, enrolment: EnrolmentId) -> Arc<Notify> {
        let mine = Arc::new(Notify::new());
        if let Ok(mut held) = self.0.lock()
            && let Some(former) = held.insert(enrolment, mine.clone())
        {
            former.notify_one();
        }
        mine
    }

    fn leave(&self, enrolment: EnrolmentId, mine: &Arc<Notify>) {
        if let Ok(mut held) = self.0.lock()
            && held.get(&enrolment).is_some_and(|there| Arc::ptr_eq(there, mine))
        {
            held.remove(&enrolment);
        }
    }
}

/// Leaves also when the client has gone and the request is dropped.
struct Place<'a> {
    pings: &'a Pings,
    enrolment: EnrolmentId,
    mine: Arc<Notify>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.pings.leave(self.enrolment, &self.mine);
    }
}

/// Sends a request on and waits for its answer, as long as it may.
pub(super) async fn hold(
    gateway: &Gateway,
    asked: &Asked,
    enrolment: EnrolmentId,
    news: OwnedNotified,
    onward: Request<Body>,
) -> Result<Response, Refusal> {
    let is_ping = asked.head.command == Command::Ping;
    let place = is_ping.then(|| Place { pings: &gateway.pings, enrolment, mine: gateway.pings.enter(enrolment) });
    let replaced = async {
        match &place {
            Some(place) => place.mine.notified().await,
            None => std::future::pending().await,
        }
    };
    let (mut replaced, mut news) = (pin!(replaced), pin!(news));
    let mut answer = pin!(gateway.send(onward));
    let mut stopping = pin!(stopping(gateway));
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => return Ok(gateway.back(asked.login.as_ref(), answer?)),
            () = news.as_mut() => {
                let again = gateway.decide(asked, Content::Unread).await?;
                if let Some(refused) = again.answer {
                    // Some clients take a common status on a Ping for a plain failure; FolderSync tells them the reason.
                    return Ok(response(if is_ping { End::FolderSyncFirst.answer() } else { refused }));
                }
                news.set(again.news);
            }
            () = &mut replaced => return Ok(response(End::Elapsed.answer())),
            () = &mut stopping => {
                return Ok(if is_ping {
                    response(End::Elapsed.answer())
                } else {
                    StatusCode::SERVICE_UNAVAILABLE.into_response()
                });
            }
        }
    }
}

/// Ends some time after the server began to stop.
async fn stopping(gateway: &Gateway) {
    let mut signal = gateway.server.stopping.clone();
    signal.draining().await;
    let most = u64::try_from(SPREAD.as_millis()).unwrap_or(0);
    let mut random = [0; 8];
    if openssl::rand::rand_bytes(&mut random).is_ok() {
        tokio::time::sleep(Duration::from_millis(u64::from_be_bytes(random) % most.max(1))).await;
    }
}

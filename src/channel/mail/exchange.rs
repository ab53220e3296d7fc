//! A request's way to the mail server of its user, and what its answer tells besides.

use super::{
    PATH,
    again::Again,
    decide::{Asked, Place},
    gateway::Gateway,
    kept::{FOREIGN, MOVED, Moved},
    prove::not_taken,
    redirects::{self, HOPS, Redirect, lost},
    refusal::Refusal,
    refused::is_refusal,
    upstream::{Patience, address, head, moved},
};
use crate::{
    error::Error,
    fleet::{keeper, life::Event},
    store::Tx,
};
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Request, StatusCode, Uri},
    response::Response,
};
use hyper::body::Incoming;

/// Where 451 says to go (it is "Redirect" to ActiveSync).
const MS_LOCATION: HeaderName = HeaderName::from_static("x-ms-location");

impl Gateway {
    /// Sends a request to the mail server of its user; the answer for the client. What is refused until its client has provisioned is
    /// settled with the mail server, and sent again where it was kept.
    pub(super) async fn exchange(
        &self,
        asked: &Asked,
        at: &Place,
        onward: Box<Request<Body>>,
        again: Option<Box<Again>>,
    ) -> Result<Response, Refusal> {
        let patience = again.as_ref().map_or_else(|| Patience::of(asked.head.command, None), |again| again.patience());
        let there = self.there_and_back(asked, at, onward, again.as_deref(), patience).await?;
        match Box::pin(is_refusal(there, patience)).await? {
            (true, _) => Box::pin(self.after_refusal(asked, at, again.filter(|again| again.is_repeated()))).await,
            (false, answer) => {
                Box::pin(self.was_not_refused(at)).await?;
                Box::pin(self.gave_mail(asked, at, answer.status())).await?;
                Ok(answer)
            }
        }
    }

    /// One way to the mail server of the request's user and back, wherever it sends the request: what was kept of it goes there, else the client
    /// comes again, and we go there then.
    pub(super) async fn there_and_back(
        &self,
        asked: &Asked,
        at: &Place,
        mut onward: Box<Request<Body>>,
        again: Option<&Again>,
        patience: Patience,
    ) -> Result<Response, Refusal> {
        if let Some(target) = &at.moved {
            *onward.uri_mut() = address(target, onward.uri().query()).ok_or(Refusal::NoUpstream)?;
        }
        let mut server = onward.uri().clone();
        for _ in 0..=HOPS {
            let answer = match again.filter(|again| again.may_be_sent_twice()) {
                Some(again) => {
                    let sent = match patience.is_long() {
                        true => self.send_held(*onward, patience).await,
                        false => Box::pin(self.send(*onward, patience)).await,
                    };
                    match sent {
                        // A connection that was kept, and is not any more: once more, over another.
                        Err(Refusal::Broken) => {
                            let onward = again.request(&server, asked.login.as_ref(), at.foreign.key)?;
                            Box::pin(self.send_afresh(onward, patience)).await
                        }
                        sent => sent,
                    }
                }
                // What cannot be sent once more is not left to a connection that may be gone: SOGo closes each, and says so to nobody.
                None => Box::pin(self.send_afresh(*onward, patience)).await,
            };
            let answer = match answer {
                Ok(answer) => answer,
                Err(refusal) => {
                    // It may have gone, or the user moved back: the next request begins at the mail server again.
                    Box::pin(self.forget_moved(at)).await?;
                    return Err(refusal);
                }
            };
            let next = match redirects::of(&server, &answer, false) {
                Redirect::None => return Box::pin(self.back(asked, at, answer)).await,
                Redirect::To(next) => next,
                Redirect::Nowhere => break,
            };
            let Some(again) = again else { return Box::pin(self.come_again(at, &server, next)).await };
            *onward = again.request(&next, asked.login.as_ref(), at.foreign.key)?;
            server = onward.uri().clone();
        }
        Box::pin(self.forget_moved(at)).await?;
        Err(lost(&server))
    }

    /// What streamed is gone: its client sends it once more, which goes to where it was sent.
    async fn come_again(&self, at: &Place, from: &Uri, to: Uri) -> Result<Response, Refusal> {
        let back = at.moved.is_some() && self.upstream()?.authority() == to.authority();
        if back || (from.authority(), from.path()) == (to.authority(), to.path()) {
            // There and back again, without end.
            self.forget_moved(at).await?;
            return Err(lost(from));
        }
        self.note_moved(at, Some(to)).await?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS;
        response.headers_mut().insert(MS_LOCATION, self.here()?);
        Ok(response)
    }

    fn here(&self) -> Result<HeaderValue, Error> {
        HeaderValue::try_from(format!("{}{PATH}", self.server.public_url)).map_err(|e| Error::Internal(e.to_string()))
    }

    /// Where the user was sent once is not the place any more.
    async fn forget_moved(&self, at: &Place) -> Result<(), Refusal> {
        match &at.moved {
            Some(_) => self.note_moved(at, None).await,
            None => Ok(()),
        }
    }

    async fn back(&self, asked: &Asked, at: &Place, answer: hyper::Response<Incoming>) -> Result<Response, Refusal> {
        if answer.status() == StatusCode::UNAUTHORIZED
            && let Some(login) = &asked.login
        {
            if login.is_our_word() {
                return Err(not_taken());
            }
            self.logins.refuse(login);
        }
        let mut response = head(&answer);
        if answer.status().as_u16() == 451 {
            // It sends the client to another server, past us. It is sent to us again, and we go there.
            let target = moved(self.upstream()?, &answer);
            self.note_moved(at, target).await?;
            response.headers_mut().insert(MS_LOCATION, self.here()?);
        } else if matches!(answer.status(), StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::MISDIRECTED_REQUEST)
        {
            self.forget_moved(at).await?;
        }
        // Content-Length is set anew from the body's own size, which the mail server's said.
        *response.body_mut() = Body::new(answer.into_body());
        Ok(response)
    }

    async fn note_moved(&self, at: &Place, target: Option<Uri>) -> Result<(), Refusal> {
        let (device, enrolment) = (at.device, at.enrolment);
        match target.as_ref().and_then(Uri::host) {
            Some(host) => tracing::info!(%enrolment, host, "the mail server sends its user to another one"),
            None => tracing::info!(%enrolment, "its user's mail is at the mail server again"),
        }
        let note = move |tx: &mut Tx<'_>| {
            let mut device = keeper::by_id(tx, device)?;
            let moved = target.as_ref().map(|to| Moved::to(to, tx.now()));
            let target = moved.as_ref().map(serde_json::to_string).transpose();
            let target = target.map_err(|e| Error::Internal(e.to_string()))?;
            keeper::happen(tx, &mut device, Event::Noted { enrolment, name: FOREIGN, value: None })?;
            keeper::happen(tx, &mut device, Event::Noted { enrolment, name: MOVED, value: target })?;
            Ok(())
        };
        Ok(self.server.store.run(note).await?)
    }
}

//! A request's way to the mail server of its user, and what its answer tells besides.

use super::{
    PATH,
    again::Again,
    decide::{Asked, Place},
    gateway::Gateway,
    kept::{FOREIGN, MOVED},
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
    http::{HeaderValue, Request, StatusCode},
    response::Response,
};
use hyper::body::Incoming;

impl Gateway {
    /// Sends a request to the mail server of its user; the answer for the client. What is refused until its client has provisioned is
    /// settled with the mail server, and sent again where it was kept.
    pub(super) async fn exchange(
        &self,
        asked: &Asked,
        at: &Place,
        onward: Request<Body>,
        again: Option<Again>,
    ) -> Result<Response, Refusal> {
        let (key, patience) = (at.foreign.key, Patience::of(asked.head.command, None));
        let patience = again.as_ref().map_or(patience, Again::patience);
        let answer = match (self.there_and_back(asked, at, onward, patience).await, &again) {
            (Err(Refusal::Broken), Some(again)) => {
                let target = at.moved.as_ref().unwrap_or(self.upstream()?);
                let onward = again.request(target, asked.login.as_ref(), key)?;
                self.back(asked, at, self.send_afresh(onward, patience).await?).await
            }
            (answer, _) => answer,
        };
        match is_refusal(answer?).await? {
            (true, _) => self.after_refusal(asked, at, again.filter(Again::is_repeated)).await,
            (false, answer) => {
                self.was_not_refused(at).await?;
                Ok(answer)
            }
        }
    }

    /// One way to the mail server of the request's user and back.
    pub(super) async fn there_and_back(
        &self,
        asked: &Asked,
        at: &Place,
        mut onward: Request<Body>,
        patience: Patience,
    ) -> Result<Response, Refusal> {
        let Some(target) = &at.moved else { return self.back(asked, at, self.send(onward, patience).await?).await };
        *onward.uri_mut() = address(target, onward.uri().query()).ok_or(Refusal::NoUpstream)?;
        match self.send(onward, patience).await {
            Ok(answer) => self.back(asked, at, answer).await,
            // Its connection only: it is asked again over another.
            Err(Refusal::Broken) => Err(Refusal::Broken),
            Err(refusal) => {
                // It may have gone, or the user moved back: the next request begins at the mail server again.
                self.note_moved(at, None).await?;
                Err(refusal)
            }
        }
    }

    async fn back(&self, asked: &Asked, at: &Place, answer: hyper::Response<Incoming>) -> Result<Response, Refusal> {
        if answer.status() == StatusCode::UNAUTHORIZED
            && let Some(login) = &asked.login
        {
            self.logins.refuse(login);
        }
        let mut response = head(&answer);
        if answer.status().as_u16() == 451 {
            // It sends the client to another server, past us. It is sent to us again, and we go there.
            let target = moved(self.upstream()?, &answer);
            self.note_moved(at, target.map(|uri| uri.to_string())).await?;
            let here = HeaderValue::try_from(format!("{}{PATH}", self.server.public_url));
            let here = here.map_err(|e| Error::Internal(e.to_string()))?;
            response.headers_mut().insert("x-ms-location", here);
        }
        // Content-Length is set anew from the body's own size, which the mail server's said.
        *response.body_mut() = Body::new(answer.into_body());
        Ok(response)
    }

    async fn note_moved(&self, at: &Place, target: Option<String>) -> Result<(), Refusal> {
        let (device, enrolment) = (at.device, at.enrolment);
        let note = move |tx: &mut Tx<'_>| {
            let mut device = keeper::by_id(tx, device)?;
            keeper::happen(tx, &mut device, Event::Noted { enrolment, name: FOREIGN, value: None })?;
            keeper::happen(tx, &mut device, Event::Noted { enrolment, name: MOVED, value: target })?;
            Ok(())
        };
        Ok(self.server.store.run(note).await?)
    }
}

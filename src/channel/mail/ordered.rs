//! A wipe that was ordered at the mail server, on the wire: the phone hears of it as of any other, and what the phone says of it goes back
//! to the mail server, which hears nothing else.

use super::{
    decide::{Asked, Place},
    gateway::Gateway,
    hold::Held,
    login::Login,
    order::{Ordered, heard},
    who,
};
use crate::{
    error::Result,
    fleet::{keeper, wipe::upstream},
    ids::DeviceId,
    server::signon::SignOn,
    store::Tx,
};
use lanyard_activesync::provision::{Body as Said, Request, WipeScope};
use std::{pin::pin, sync::Arc, time::Duration};

/// So long after the one before an acknowledgement is offered to the mail server, while this program runs and the phone's login is at
/// hand; and whenever the phone asks for something, with the login that it has then.
const PAUSES: [Duration; 7] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(600),
    Duration::from_secs(3600),
    Duration::from_secs(6 * 3600),
];

impl Gateway {
    /// Files what an answer of the mail server's to Provision says of a wipe.
    pub(super) async fn heard_of_wipe(&self, at: &Place, wipe: Option<WipeScope>) -> Result<()> {
        if wipe.is_none() && at.ordered.is_none() {
            return Ok(());
        }
        let (device, enrolment) = (at.device, at.enrolment);
        let server = at.moved.as_ref().or(self.server.eas_upstream.as_ref()).and_then(|uri| uri.authority());
        let by = server.map_or_else(String::new, |at| at.to_string());
        let file = move |tx: &mut Tx<'_>| {
            let mut device = keeper::by_id(tx, device)?;
            heard(tx, &mut device, enrolment, &by, wipe)
        };
        self.server.store.run(file).await
    }

    /// Tells the mail server what the phone said, until it has taken that. Nobody waits for it.
    pub(super) fn tell_back(self: &Arc<Self>, asked: &Arc<Asked>, at: Place) {
        if !asked.asker.proved || at.ordered.as_ref().is_none_or(|ordered| ordered.said.is_none()) {
            return;
        }
        let (gateway, asked) = (self.clone(), asked.clone());
        tokio::spawn(async move {
            // One at a time: the newest login is the one that counts.
            let telling = Held::new(&gateway.telling, at.enrolment);
            let mut replaced = pin!(telling.replaced());
            let mut stopping = gateway.server.stopping.clone();
            for pause in PAUSES {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = &mut replaced => return,
                    () = stopping.draining() => return,
                }
                match gateway.tell(&asked, &at).await {
                    Ok(()) => return,
                    Err(why) => {
                        tracing::warn!(enrolment = %at.enrolment, why, "the mail server has not heard of its wipe's end");
                    }
                }
            }
        });
    }

    /// The login to tell it with: the client's own, or our word, which a certificate that has ended with the wipe is still good for here.
    async fn login_to_tell(&self, asked: &Asked, device: DeviceId) -> Option<Login> {
        let (None, Some(SignOn::Header(header))) = (&asked.login, &self.server.eas_signon) else {
            return asked.login.clone();
        };
        asked.asker.shown?;
        let users = self.server.eas_users.clone();
        let name = move |tx: &mut Tx<'_>| {
            let user = keeper::by_id(tx, device)?.user.clone();
            who::known_as(tx, &users, user)
        };
        Login::by_header(header, &self.server.store.run(name).await.ok()?)
    }

    async fn tell(&self, asked: &Asked, at: &Place) -> std::result::Result<(), &'static str> {
        let _turn = self.rounds.turn(at.enrolment).await;
        let (device, enrolment) = (at.device, at.enrolment);
        let read = move |tx: &mut Tx<'_>| Ok(Ordered::of(&*keeper::by_id(tx, device)?, enrolment));
        let ordered = self.server.store.run(read).await.map_err(|_| "the store is away")?;
        // Somebody else told it meanwhile.
        let Some(Ordered { command, scope, said: Some(ok), .. }) = ordered else { return Ok(()) };
        let body = Request { device_information: None, body: Said::WipeAck { scope, ok } };
        let login = self.login_to_tell(asked, device).await;
        let asked = Asked { head: asked.head.clone(), asker: asked.asker.clone(), login };
        self.tell_of_wipe(&asked, at, &body).await?;
        let file = move |tx: &mut Tx<'_>| {
            let mut device = keeper::by_id(tx, device)?;
            let Some(now) = Ordered::of(&device, enrolment).filter(|now| now.command == command) else {
                return Ok(true);
            };
            // It has said another word meanwhile, which is still to be told.
            if now.said != Some(ok) {
                return Ok(false);
            }
            // It stands until the mail server says it no more: some repeat it though it is done (Z-Push).
            Ordered::keep(tx, &mut device, enrolment, Some(&Ordered { said: None, ..now }))?;
            upstream::told(tx, &device, command, ok)?;
            Ok(true)
        };
        match self.server.store.run(file).await {
            Ok(true) => Ok(()),
            Ok(false) => Err("the device has said another word since"),
            Err(_) => Err("the store is away"),
        }
    }
}

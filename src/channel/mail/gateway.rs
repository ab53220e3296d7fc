//! What the gateway's handlers share.

use super::{
    guesses::Guesses, login::Logins, offer::Servers, pings::Pings, refusal::Refusal, remembered::Outage,
    rounds::Rounds, shares::Shares,
};
use crate::{
    fleet::{life::Enrolment, registry::sights},
    server::Server,
    store::Tx,
};
use std::{sync::Arc, time::Duration};

/// What the gateway's handlers share.
pub(in crate::channel) struct Gateway {
    pub(super) server: Arc<Server>,
    pub(super) logins: Logins,
    pub(super) guesses: Arc<Guesses>,
    pub(super) servers: Servers,
    pub(super) pings: Pings,
    pub(super) rounds: Rounds,
    pub(super) outage: Outage,
    pub(super) shares: Arc<Shares>,
    /// Enrolments of whose wipe the mail server is being told.
    pub(super) telling: Pings,
}

impl Gateway {
    /// The mail server's address, where there is one.
    pub(super) fn upstream(&self) -> Result<&axum::http::Uri, Refusal> {
        self.server.eas_upstream.as_ref().ok_or(Refusal::NoUpstream)
    }

    /// Notes that an enrolment was seen, at most once a minute. Apart from the device's record, since it changes nothing about it.
    pub(super) fn seen(tx: &mut Tx<'_>, enrolment: &Enrolment) -> crate::error::Result<()> {
        let minute_ago = tx.now().minus(Duration::from_secs(60));
        if sights::last_seen(tx, enrolment)?.is_none_or(|at| at < minute_ago) {
            sights::note_seen(tx, enrolment.id)?;
        }
        Ok(())
    }
}

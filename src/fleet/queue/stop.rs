//! Whether anything guarded may leave. Who sets the emergency stop, and who lifts it: `wipe/stop.rs`.

use crate::{
    clock::Timestamp,
    error::Result,
    fleet::{
        actor::Actor,
        audit::{self, By, Event},
    },
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};

/// The stop as it stands.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Stop {
    pub on: bool,
    pub since: Option<Timestamp>,
    /// The administrator's name.
    pub by: Option<String>,
    /// Set by somebody who was new here: one person who counts lifts it.
    #[serde(default)]
    pub by_newcomer: bool,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 1] = [Kind::of::<Stop>()];

impl Record for Stop {
    const KIND: &'static str = "stop";
    fn key(&self) -> String {
        String::new()
    }
    fn subject(&self) -> Option<String> {
        Some("*".into())
    }
}

/// How it stands.
pub fn status(tx: &mut Tx<'_>) -> Result<Stop> {
    Ok(tx.get::<Stop>("")?.unwrap_or_default())
}

/// Whether it is on.
pub fn is_on(tx: &mut Tx<'_>) -> Result<bool> {
    Ok(status(tx)?.on)
}

/// Sets it.
pub(in crate::fleet) fn set(tx: &mut Tx<'_>, actor: &Actor) -> Result<Stop> {
    let by_newcomer = actor.newcomer_until.is_some();
    let stop = Stop { on: true, since: Some(tx.now()), by: Some(actor.name.clone()), by_newcomer };
    tx.put(&stop)?;
    audit::note(tx, actor, Event::StopSet)?;
    Ok(stop)
}

/// Lifts it, once a second person agreed.
pub(in crate::fleet) fn lift(tx: &mut Tx<'_>, actor: &str) -> Result<()> {
    tx.put(&Stop::default())?;
    audit::note(tx, By::Admin(actor.into()), Event::StopLifted)
}

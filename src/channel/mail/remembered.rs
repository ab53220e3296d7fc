//! Clients that were let in lately: served without asking the store again, and for a while where the store does not answer. What is known here of
//! a block, a wipe or a policy has been forgotten as an entry (`fleet/registry/admitted.rs`), so that it holds. Nothing is written of a client that
//! memory serves; that it is seen is, by the call a minute that asks the store all the same.

use super::{
    kept::{Foreign, Moved, TOLD},
    order::Ordered,
    partnership::Partnership,
    who::Asker,
};
use crate::{
    fleet::{
        enrol::waiting::Waiting,
        registry::admitted::{Admitted, WITHOUT_STORE, Who},
    },
    store::Tx,
};
use axum::http::Uri;
use lanyard_activesync::{PolicyKey, Presented, Request as Head, Version};
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What goes along with an entry.
pub(super) struct Terms {
    pub(super) presented: Presented,
    pub(super) version: Version,
    pub(super) moved: Option<Uri>,
    pub(super) key: Option<PolicyKey>,
    /// It was let in after it had waited: some of its keys may be ours.
    pub(super) waiting: Option<Waiting>,
}

/// All that a client is told by, of what it sends.
pub(super) fn who(asker: &Asker, head: &Head) -> Who {
    let mut hash = openssl::sha::Sha256::new();
    if let Some(shown) = &asker.shown {
        hash.update(&shown.0);
    }
    let said = [Some(head.device_id.as_str()), Some(&head.device_type), asker.login.as_deref(), asker.agent.as_deref()];
    for part in said {
        let bytes = part.unwrap_or_default().as_bytes();
        hash.update(&bytes.len().to_be_bytes());
        hash.update(bytes);
    }
    hash.update(&[u8::from(asker.shown.is_some()), u8::from(asker.login.is_some()), u8::from(asker.asked)]);
    hash.finish()
}

/// Remembers a client, in the call that let it in: where all commands of its mail pass, and nothing waits for it or for the mail server.
pub(super) fn remember(
    tx: &mut Tx<'_>,
    asker: &Asker,
    head: &Head,
    partnership: &Partnership,
    (left, waiting): (Option<Duration>, Option<Waiting>),
) {
    let (device, id) = (&partnership.who.device, partnership.who.enrolment);
    let Some(mine) = device.enrolment(id) else { return };
    let foreign = Foreign::of(device, id).unwrap_or_default();
    let waits = mine.owed.is_some() || device.open().next().is_some() || Ordered::of(device, id).is_some();
    // The mail server is to hear what the device is.
    let untold = mine.channel_state.contains_key(TOLD) && (foreign.told.is_none() || foreign.untold.is_some());
    if !asker.proved || waits || untold || foreign.vain > 0 || !partnership.passes_mail(head) {
        return;
    }
    let now = tx.now();
    // The one that was shown: the pin, or a renewed one that becomes it.
    let certificate = mine.certificate.iter().chain(&mine.renewed).find(|c| Some(c.sha256) == asker.shown);
    if asker.shown.is_some() && certificate.is_none() {
        return;
    }
    let until = certificate.map(|c| c.not_after);
    let moved = Moved::of(device, id, now);
    let terms = Terms { presented: head.key, version: head.version, moved, key: foreign.key, waiting };
    let admitted = Admitted::new(who(asker, head), (device.id, id), until, left, Box::new(terms));
    tx.remember(Box::new(admitted));
}

/// Since when the store does not answer the gateway.
#[derive(Default)]
pub(super) struct Outage(Mutex<Option<Instant>>);

impl Outage {
    /// It answered, or did not. Since when it does not.
    pub(super) fn heard(&self, away: bool, now: Instant) -> Option<Instant> {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (away, *since) {
            (true, None) => {
                tracing::error!(
                    minutes = WITHOUT_STORE.as_secs() / 60,
                    "the store does not answer: mail clients that were let in are served from memory for so long, others are told to come later"
                );
                *since = Some(now);
            }
            (false, Some(_)) => {
                tracing::info!("the store answers again: mail clients are served by what it says");
                *since = None;
            }
            _ => {}
        }
        *since
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn an_outage_begins_with_the_first_silence_and_ends_with_an_answer() {
        let (outage, at) = (Outage::default(), clock::monotonic());
        let later = at + Duration::from_secs(5);
        assert_eq!(outage.heard(false, at), None);
        assert_eq!((outage.heard(true, at), outage.heard(true, later)), (Some(at), Some(at)));
        assert_eq!((outage.heard(false, later), outage.heard(true, later)), (None, Some(later)));
    }
}

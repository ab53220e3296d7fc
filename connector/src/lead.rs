//! Whether this connector leads, by its own clocks, and what the server said last: shared by all that goes on at once.

use crate::{clock, server::CallError};
use lanyard_exchange::calls::Welcome;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use time::OffsetDateTime;
use tokio::sync::watch;

/// Whoever waits to lead looks by themselves so often.
const LOOK: Duration = Duration::from_secs(1);

type Held = Option<(u64, Instant, OffsetDateTime)>;

/// See the module.
#[derive(Default)]
pub struct Lead {
    held: Mutex<Held>,
    said: watch::Sender<Option<Welcome>>,
}

impl Lead {
    /// By which epoch, as long as the lease lasts.
    pub fn epoch(&self) -> Option<u64> {
        // The steady clock may stand still while the machine sleeps; the other may be set back. Both must say so.
        self.held().filter(|(_, until, wall)| clock::steady() < *until && clock::now() < *wall).map(|(epoch, ..)| epoch)
    }

    /// Whether anything may be written now.
    pub fn holds(&self) -> bool {
        self.epoch().is_some()
    }

    /// By which epoch it led last, whether that has lapsed or not.
    pub fn known(&self) -> Option<u64> {
        self.held().map(|(epoch, ..)| epoch)
    }

    /// From the moment before it was asked for.
    pub fn set(&self, epoch: u64, asked: Instant, ttl: Duration) {
        *self.held() = Some((epoch, asked + ttl, clock::now() + ttl));
        self.said.send_modify(|_| {});
    }

    /// Over.
    pub fn lose(&self) {
        *self.held() = None;
    }

    /// What the server says of times.
    pub fn greeted(&self, welcome: Welcome) {
        self.said.send_replace(Some(welcome));
    }

    /// What it said last.
    pub fn welcome(&self) -> Option<Welcome> {
        self.said.borrow().clone()
    }

    /// The epoch, as soon as this connector leads.
    pub async fn leads(&self) -> u64 {
        let mut said = self.said.subscribe();
        loop {
            if let Some(epoch) = self.epoch() {
                return epoch;
            }
            let _ = tokio::time::timeout(LOOK, said.changed()).await;
        }
    }

    /// A call failed: where the server takes none of this connector's any more, nothing is written either.
    pub fn failed(&self, error: &CallError) {
        if error.lasts() {
            self.lose();
        }
        match error {
            CallError::Later { .. } => tracing::warn!(%error, "the server"),
            _ => tracing::error!(%error, "the server"),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_lasts_from_before_it_was_asked_for_and_no_longer() {
        let lead = Lead::default();
        assert!(!lead.holds());
        lead.set(3, clock::steady(), Duration::from_secs(60));
        assert_eq!(lead.epoch(), Some(3));
        let before = clock::steady().checked_sub(Duration::from_secs(61)).unwrap();
        lead.set(3, before, Duration::from_secs(60));
        assert_eq!((lead.epoch(), lead.known()), (None, Some(3)), "lapsed, and asked for again by its epoch");
        lead.lose();
        assert_eq!(lead.known(), None);
    }

    #[test]
    fn whom_the_server_takes_no_calls_of_leads_no_more() {
        let text = || String::from("so");
        for (error, leads) in [
            (CallError::Removed(text()), false),
            (CallError::Outdated(text()), false),
            (CallError::Later { text: text(), after: None }, true),
            (CallError::Refused { code: text(), text: text() }, true),
        ] {
            let lead = Lead::default();
            lead.set(3, clock::steady(), Duration::from_secs(60));
            lead.failed(&error);
            assert_eq!(lead.holds(), leads, "{error}");
        }
    }
}

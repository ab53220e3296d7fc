//! Work that is done again and again for as long as the server runs.

use super::Server;
use crate::{
    clock,
    error::{Error, Result},
    store::{Fault, Seldom},
};
use std::{sync::Arc, time::Duration};
use tracing::Instrument;

/// Does something at each pause, for as long as the runtime lives. What fails is put off to the next time. The log knows it by its
/// name.
pub fn every<F, W>(server: &Arc<Server>, name: &'static str, pause: Duration, work: F)
where
    F: Fn(Arc<Server>) -> W + Send + 'static,
    W: Future<Output = Result<()>> + Send,
{
    let server = server.clone();
    tokio::spawn(async move {
        let mut failures = Seldom::default();
        let mut ticks = tokio::time::interval(pause);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match work(server.clone()).instrument(tracing::debug_span!("round", name)).await {
                Ok(()) => drop(failures.well()),
                // The store tells of its own absence.
                Err(Error::Store(Fault::Away(_) | Fault::Busy)) => {}
                Err(error) => {
                    if let Some(untold) = failures.failed(clock::monotonic()) {
                        tracing::warn!(name, %error, untold, "background work was put off");
                    }
                }
            }
        }
    });
}

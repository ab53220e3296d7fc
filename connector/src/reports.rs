//! When what is reported: all of it where no full run is known or the last is old, what may have changed between, and statistics in the time
//! that is left.

use crate::{
    clock,
    driver::Driver,
    inventory::{Inventory, ReportError},
    lead::Lead,
    pacing::Pacing,
    server::Server,
};
use lanyard_exchange::{calls::Welcome, rows::Device};
use std::{sync::Arc, time::Duration};
use time::OffsetDateTime;

/// Clients whose statistics are read between two looks at the clock.
const SOME: usize = 50;
/// Between two looks, where nothing is due.
const LOOK: Duration = Duration::from_millis(500);

/// What was reported, and what is to be read yet.
#[derive(Default)]
struct Done {
    full: Option<OffsetDateTime>,
    delta: Option<OffsetDateTime>,
    waiting: Vec<Device>,
}

/// Goes on for ever, while this connector leads.
pub(crate) async fn run(driver: Arc<dyn Driver>, server: Arc<Server>, lead: Arc<Lead>) {
    let mut inventory = Inventory::new(driver, server, lead.clone());
    let (mut done, mut by, mut pacing) = (Done::default(), 0, Pacing::default());
    loop {
        let epoch = lead.leads().await;
        // Whoever leads was greeted before.
        let Some(welcome) = lead.welcome() else { continue };
        if by != epoch {
            by = epoch;
            done = Done { full: welcome.last_full, delta: welcome.last_delta, waiting: Vec::new() };
        }
        match next(&mut inventory, &welcome, &mut done).await {
            Ok(()) => pacing.good(),
            Err(ReportError::Server(error)) => {
                tracing::warn!(%error, "no report");
                lead.failed(&error);
                pacing.wait(Some(&error)).await;
            }
            Err(error) => {
                tracing::warn!(%error, "no report");
                pacing.wait(None).await;
            }
        }
    }
}

/// The next report that is due, or a part of one.
async fn next(inventory: &mut Inventory, welcome: &Welcome, done: &mut Done) -> Result<(), ReportError> {
    match due(welcome, done.full, done.delta) {
        // One that was not read whole is told as such, and costs as much: the next comes when it is due.
        Due::Full => {
            let (began, devices) = inventory.full().await?;
            *done = Done { full: Some(began), delta: Some(began), waiting: devices };
        }
        Due::Delta(since) => done.delta = Some(inventory.delta(since).await?),
        Due::Nothing if !done.waiting.is_empty() => {
            let rest = done.waiting.split_off(SOME.min(done.waiting.len()));
            let began = done.full.unwrap_or_else(clock::now);
            inventory.statistics(std::mem::replace(&mut done.waiting, rest), began).await?;
        }
        Due::Nothing => tokio::time::sleep(LOOK).await,
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Due {
    Full,
    Delta(OffsetDateTime),
    Nothing,
}

fn due(welcome: &Welcome, full: Option<OffsetDateTime>, delta: Option<OffsetDateTime>) -> Due {
    let now = clock::now();
    let over = |since: OffsetDateTime, every: u64| now - since >= Duration::from_secs(every);
    // One that is yet to come was told by another clock, or by this one before it was set back.
    match (full.filter(|at| *at <= now), delta.filter(|at| *at <= now)) {
        (None, _) => Due::Full,
        (Some(full), _) if over(full, welcome.full_every) => Due::Full,
        (Some(full), delta) => {
            let since = delta.unwrap_or(full).max(full);
            if over(since, welcome.delta_every) { Due::Delta(since) } else { Due::Nothing }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_told_by_the_last_reports() {
        let welcome = |full_every, delta_every| Welcome {
            protocol: 1,
            epoch: None,
            full_every,
            delta_every,
            lease: 60,
            last_full: None,
            last_delta: None,
            resume: None,
        };
        let ago = |seconds| Some(clock::now() - Duration::from_secs(seconds));
        assert_eq!(due(&welcome(100, 10), None, ago(1)), Due::Full);
        assert_eq!(due(&welcome(100, 10), ago(101), ago(1)), Due::Full);
        assert_eq!(due(&welcome(100, 10), ago(50), ago(5)), Due::Nothing);
        let since = ago(20);
        assert_eq!(due(&welcome(100, 10), ago(50), since), Due::Delta(since.unwrap()));
        assert_eq!(due(&welcome(100, 10), since, ago(50)), Due::Delta(since.unwrap()));
        assert_eq!(due(&welcome(100, 10), ago(5), None), Due::Nothing);
        let ahead = Some(clock::now() + Duration::from_secs(3600));
        assert_eq!(due(&welcome(100, 10), ahead, ahead), Due::Full, "the clock was set back");
        assert_eq!(due(&welcome(100, 10), since, ahead), Due::Delta(since.unwrap()), "or by a little");
    }
}

//! What goes wrong again and again is told at once, and then once a minute with how often it was.

use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_secs(60);

/// See the module. One for each thing that may go on failing.
#[derive(Debug, Default)]
pub struct Seldom {
    told: Option<Instant>,
    untold: u64,
}

impl Seldom {
    /// It failed: how often that was not told, where it is to be told now.
    pub fn failed(&mut self, now: Instant) -> Option<u64> {
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < PAUSE) {
            self.untold += 1;
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }

    /// It went well: whether it had failed before.
    pub fn well(&mut self) -> bool {
        self.untold = 0;
        self.told.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_failure_is_told_at_once_and_then_once_a_minute() {
        let (mut seldom, begun) = (Seldom::default(), clock::monotonic());
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert!(!seldom.well());
        assert_eq!([0, 1, 30, 59].map(|s| seldom.failed(at(s))), [Some(0), None, None, None]);
        assert_eq!([60, 61].map(|s| seldom.failed(at(s))), [Some(3), None]);
        assert!(seldom.well() && !seldom.well());
        assert_eq!(seldom.failed(at(62)), Some(0), "after it went well it is news again");
    }
}

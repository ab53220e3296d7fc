//! What time it is: how far the wall clock is believed, over the time that has surely passed.
//!
//! The wall clock is compared with the steady time of the store. As long as it has not moved by more than a day against it, it is
//! the time. Where it has, it is doubted: the time goes on from where it was, so that nothing expires, and nothing is issued or
//! renewed, until the new time has lasted for an hour or the machine's own administrator accepts it.

use super::{Moment, Record};
use crate::clock::{self, Steady, Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    time::{Duration, Instant},
};

/// A wall clock that moved by more against the time that has passed is doubted.
const DOUBTED: i64 = 24 * 3_600_000;
/// One that moved by more is told of.
const TOLD: i64 = 3_600_000;
/// Less is no news: clocks are set by some milliseconds again and again.
const NOISE: i64 = 1_000;
/// What is doubted is believed once it has lasted.
const LASTED: Duration = Duration::from_secs(3600);

/// How far the wall clock is believed: one record of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Belief {
    /// Wall clock minus steady time, in milliseconds, as last believed.
    ahead: i64,
    doubt: Option<Doubt>,
}

/// A wall clock that is not believed yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Doubt {
    since: Steady,
    ahead: i64,
}

impl Record for Belief {
    const KIND: &'static str = "clock";
    fn key(&self) -> String {
        String::new()
    }
}

/// The present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    /// As far as the wall clock is believed: what people, certificates and `expires` go by.
    pub now: Timestamp,
    /// What has surely passed: limits, waits, leases.
    pub steady: Steady,
    /// The wall clock shows something else than `now`: nothing is issued or renewed.
    pub doubted: bool,
}

/// What a look at the clock found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It goes as it should.
    Well,
    /// It moved by so many milliseconds, and is believed.
    Moved(i64),
    /// It moved by so many milliseconds, and is doubted from now on.
    Doubted(i64),
    /// The doubt has lasted long enough: it is believed.
    Believed(i64),
}

impl Belief {
    /// At the birth of a store there is nothing to compare the clock with.
    pub fn begin(moment: Moment) -> Self {
        Self { ahead: ahead(moment), doubt: None }
    }

    /// The present by this belief.
    pub fn time(&self, moment: Moment) -> Time {
        let doubted = self.gap(moment).abs() > DOUBTED;
        let believed = Timestamp(moment.steady.0.saturating_add(self.ahead));
        Time { now: if doubted { believed } else { moment.wall }, steady: moment.steady, doubted }
    }

    /// Compares the clock with what was believed; says what is believed now.
    pub fn look(&self, moment: Moment) -> (Self, Found) {
        let (gap, ahead) = (self.gap(moment), ahead(moment));
        let believed = Self { ahead, doubt: None };
        if gap.abs() <= NOISE {
            return (Self { doubt: None, ..self.clone() }, Found::Well);
        }
        if gap.abs() <= DOUBTED {
            return (believed, if gap.abs() > TOLD { Found::Moved(gap) } else { Found::Well });
        }
        match &self.doubt {
            // The same wrong time, for long: it is the right one.
            Some(doubt) if (ahead - doubt.ahead).abs() <= NOISE => match moment.steady.since(doubt.since) >= LASTED {
                true => (believed, Found::Believed(gap)),
                false => (self.clone(), Found::Well),
            },
            _ => {
                let doubt = Some(Doubt { since: moment.steady, ahead });
                (Self { ahead: self.ahead, doubt }, Found::Doubted(gap))
            }
        }
    }

    fn gap(&self, moment: Moment) -> i64 {
        ahead(moment).saturating_sub(self.ahead)
    }
}

fn ahead(moment: Moment) -> i64 {
    moment.wall.0.saturating_sub(moment.steady.0)
}

/// The present between two batches, for those who ask no store: as of the last batch, and the time since.
pub(super) struct Shared {
    started: Instant,
    now: AtomicI64,
    steady: AtomicI64,
    doubted: AtomicBool,
}

impl Shared {
    pub(super) fn new() -> Self {
        let (now, steady) = (AtomicI64::new(0), AtomicI64::new(0));
        Self { started: clock::monotonic(), now, steady, doubted: AtomicBool::new(false) }
    }

    pub(super) fn set(&self, time: Time) {
        let passed = self.passed();
        self.now.store(time.now.0.saturating_sub(passed), Ordering::Relaxed);
        self.steady.store(time.steady.0.saturating_sub(passed), Ordering::Relaxed);
        self.doubted.store(time.doubted, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> Time {
        let passed = self.passed();
        Time {
            now: Timestamp(self.now.load(Ordering::Relaxed).saturating_add(passed)),
            steady: Steady(self.steady.load(Ordering::Relaxed).saturating_add(passed)),
            doubted: self.doubted.load(Ordering::Relaxed),
        }
    }

    fn passed(&self) -> i64 {
        i64::try_from(clock::since(self.started).as_millis()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const DAY: i64 = 24 * HOUR;
    const BORN: i64 = 1_764_000_000_000;

    fn at(steady: i64, jump: i64) -> Moment {
        Moment { wall: Timestamp(BORN + steady + jump), steady: Steady(BORN + steady) }
    }

    #[test]
    fn a_clock_is_believed_within_a_day() {
        let belief = Belief::begin(at(0, 0));
        for (row, moment, now, doubted) in [
            ("it goes", at(HOUR, 0), HOUR, false),
            ("two hours ahead", at(HOUR, 2 * HOUR), 3 * HOUR, false),
            ("two hours back", at(HOUR, -2 * HOUR), -HOUR, false),
            ("three years ahead", at(HOUR, 1095 * DAY), HOUR, true),
            ("three years back", at(HOUR, -1095 * DAY), HOUR, true),
            ("a day and a bit", at(0, DAY + 1), 0, true),
            ("the end of time", Moment { wall: Timestamp(i64::MAX), steady: Steady(BORN) }, 0, true),
        ] {
            let time = belief.time(moment);
            assert_eq!((time.now.0 - BORN, time.doubted), (now, doubted), "{row}");
        }
    }

    #[test]
    fn a_doubted_clock_is_believed_when_it_has_lasted_for_an_hour() {
        let belief = Belief::begin(at(0, 0));
        let (doubting, found) = belief.look(at(HOUR, 30 * DAY));
        assert_eq!(found, Found::Doubted(30 * DAY));
        let (same, found) = doubting.look(at(2 * HOUR - 1, 30 * DAY));
        assert_eq!((&same, found), (&doubting, Found::Well), "told once");
        let (believed, found) = same.look(at(2 * HOUR, 30 * DAY));
        assert_eq!(found, Found::Believed(30 * DAY));
        assert_eq!(believed.time(at(2 * HOUR, 30 * DAY)).now.0, BORN + 2 * HOUR + 30 * DAY);
    }

    #[test]
    fn a_clock_that_moves_on_while_doubted_is_doubted_anew_and_one_set_right_is_believed() {
        let (doubting, _) = Belief::begin(at(0, 0)).look(at(0, 30 * DAY));
        let (again, found) = doubting.look(at(HOUR, 60 * DAY));
        assert_eq!(found, Found::Doubted(60 * DAY));
        assert_eq!(again.look(at(2 * HOUR - 1, 60 * DAY)).1, Found::Well);
        let (right, found) = again.look(at(2 * HOUR, 0));
        assert_eq!((right, found), (Belief::begin(at(0, 0)), Found::Well));
    }

    #[test]
    fn smaller_jumps_are_told_and_believed() {
        let belief = Belief::begin(at(0, 0));
        assert_eq!(belief.look(at(HOUR, 900)), (belief.clone(), Found::Well), "noise writes nothing");
        assert_eq!(belief.look(at(HOUR, HOUR / 2)).1, Found::Well);
        assert_eq!(belief.look(at(HOUR, -2 * HOUR)).1, Found::Moved(-2 * HOUR));
    }

    #[test]
    fn the_bounds_themselves_are_within() {
        let belief = Belief::begin(at(0, 0));
        for (jump, doubted) in [(DAY, false), (-DAY, false), (DAY + 1, true), (-DAY - 1, true)] {
            assert_eq!(belief.time(at(HOUR, jump)).doubted, doubted, "{jump}");
        }
        for (jump, found) in [(HOUR, Found::Well), (HOUR + 1, Found::Moved(HOUR + 1)), (DAY, Found::Moved(DAY))] {
            assert_eq!(belief.look(at(HOUR, jump)).1, found, "{jump}");
        }
    }

    #[test]
    fn the_belief_of_a_former_version_is_found() {
        assert_eq!(Belief::begin(at(0, 0)).key(), "", "where released stores have it");
    }

    #[test]
    fn between_two_batches_time_goes_on_from_the_last_one() {
        let Some(started) = crate::clock::monotonic().checked_sub(Duration::from_secs(3600)) else { return };
        let shared = Shared { started, ..Shared::new() };
        let set = Time { now: Timestamp(BORN + 5 * HOUR), steady: Steady(BORN), doubted: true };
        shared.set(set);
        let got = shared.get();
        let passed = got.now.0 - set.now.0;
        assert!((0..HOUR / 2).contains(&passed), "{passed}");
        assert_eq!((got.steady.0 - BORN, got.doubted), (passed, true));
        // A batch an hour ago: so much has passed since.
        let shared = Shared { started, ..Shared::new() };
        let got = shared.get();
        assert!((HOUR..2 * HOUR).contains(&got.now.0) && got.steady.0 == got.now.0, "{got:?}");
    }
}

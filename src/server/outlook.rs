//! What was last found wrong, kept for a while: not every call looks at every device.

use crate::{
    clock,
    error::Result,
    fleet::status::{self, Survey},
    store::Tx,
};
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The worst is looked for so often at most.
const PAUSE: Duration = Duration::from_secs(5);
/// And so many times as long as a look took: a large fleet is looked at less often.
const TIMES: u32 = 100;
/// After an act it is looked for sooner: what an answer says of the emergency stop shall not be what was before it.
const TIMES_AFTER_AN_ACT: u32 = 10;
/// A look that took no longer is taken after each act.
const CHEAP: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Default)]
pub struct Outlook {
    worst: Mutex<Kept<Option<String>>>,
    survey: Mutex<Kept<Survey>>,
}

/// What was found, when, and how long that took.
struct Kept<T> {
    looked: Option<(Instant, Duration)>,
    /// When the look began that found it.
    begun: Option<Instant>,
    found: T,
}

impl<T: Default> Default for Kept<T> {
    fn default() -> Self {
        Self { looked: None, begun: None, found: T::default() }
    }
}

impl<T> Kept<T> {
    fn is_due(&self, pause: Duration) -> bool {
        self.looked.is_none_or(|(at, took)| clock::since(at) >= pause.max(took.saturating_mul(TIMES)))
    }

    /// Whether what was found is of before this act, and another look is not too dear.
    fn is_older(&self, act: Instant) -> bool {
        let affordable = self
            .looked
            .is_none_or(|(at, took)| took <= CHEAP || clock::since(at) >= took.saturating_mul(TIMES_AFTER_AN_ACT));
        affordable && self.begun.is_none_or(|begun| begun < act)
    }
}

impl Outlook {
    /// The worst, as it was last found; `None`: nothing that anybody must act on.
    pub fn worst(&self) -> Option<String> {
        self.worst.lock().unwrap_or_else(PoisonError::into_inner).found.clone()
    }

    /// Whether the worst is to be looked for, also for an answer to an act that was done at this moment: said to one caller alone, who then
    /// notes it.
    pub fn is_due(&self, acted: Option<Instant>) -> bool {
        let mut kept = self.worst.lock().unwrap_or_else(PoisonError::into_inner);
        let due = kept.is_due(PAUSE) || acted.is_some_and(|act| kept.is_older(act));
        if due {
            let took = kept.looked.map_or(Duration::ZERO, |(_, took)| took);
            kept.looked = Some((clock::monotonic(), took));
        }
        due
    }

    /// What the worst is, by a look that began then.
    pub fn note(&self, worst: Option<String>, begun: Instant) {
        let looked = Some((clock::monotonic(), clock::since(begun)));
        *self.worst.lock().unwrap_or_else(PoisonError::into_inner) = Kept { looked, begun: Some(begun), found: worst };
    }

    /// A survey of the devices: the last one while it counts, else a new one. Reads alone, beside the writer.
    pub fn survey(&self, tx: &mut Tx<'_>) -> Result<Survey> {
        let lock = || self.survey.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let kept = lock();
            if !kept.is_due(Duration::ZERO) {
                return Ok(kept.found.clone());
            }
        }
        let begun = clock::monotonic();
        let found = status::survey(tx)?;
        let looked = Some((clock::monotonic(), clock::since(begun)));
        *lock() = Kept { looked, begun: Some(begun), found: found.clone() };
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_looks_and_the_others_take_what_is_known() {
        let outlook = Outlook::default();
        assert!(outlook.is_due(None) && !outlook.is_due(None));
        outlook.note(Some("error".into()), clock::monotonic());
        assert_eq!((outlook.worst().as_deref(), outlook.is_due(None)), (Some("error"), false));
    }

    #[test]
    fn after_an_act_what_was_found_before_it_counts_no_more() {
        let outlook = Outlook::default();
        let before = clock::monotonic();
        outlook.note(Some("error".into()), before);
        let act = clock::monotonic();
        assert!(!outlook.is_due(Some(before)) && outlook.is_due(Some(act)), "looked for after the act");
        outlook.note(None, clock::monotonic());
        assert!(!outlook.is_due(Some(act)), "and found");
        let long_ago = clock::monotonic().checked_sub(Duration::from_secs(60)).unwrap();
        outlook.note(Some("error".into()), long_ago);
        assert!(!outlook.is_due(Some(clock::monotonic())), "a look that takes a minute is not taken at each act");
    }

    #[test]
    fn what_takes_long_is_looked_at_seldom() {
        let kept = |ago: u64, took: u64| Kept {
            looked: clock::monotonic().checked_sub(Duration::from_secs(ago)).map(|at| (at, Duration::from_secs(took))),
            begun: None,
            found: (),
        };
        for (row, kept, pause, due) in [
            ("never looked", Kept::default(), PAUSE, true),
            ("just now", kept(1, 0), PAUSE, false),
            ("a while ago", kept(6, 0), PAUSE, true),
            ("a large fleet", kept(90, 1), PAUSE, false),
            ("a large fleet, long ago", kept(101, 1), PAUSE, true),
            ("a small one, without a pause", kept(1, 0), Duration::ZERO, true),
        ] {
            assert_eq!(kept.is_due(pause), due, "{row}");
        }
    }
}

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

/// See the module.
#[derive(Default)]
pub struct Outlook {
    worst: Mutex<Kept<Option<String>>>,
    survey: Mutex<Kept<Survey>>,
}

/// What was found, when, and how long that took.
struct Kept<T> {
    looked: Option<(Instant, Duration)>,
    found: T,
}

impl<T: Default> Default for Kept<T> {
    fn default() -> Self {
        Self { looked: None, found: T::default() }
    }
}

impl<T> Kept<T> {
    fn is_due(&self, pause: Duration) -> bool {
        self.looked.is_none_or(|(at, took)| clock::since(at) >= pause.max(took.saturating_mul(TIMES)))
    }
}

impl Outlook {
    /// The worst, as it was last found; `None`: nothing that anybody must act on.
    pub fn worst(&self) -> Option<String> {
        self.worst.lock().unwrap_or_else(PoisonError::into_inner).found.clone()
    }

    /// Whether the worst is to be looked for: said to one caller alone, who then notes it.
    pub fn is_due(&self) -> bool {
        let mut kept = self.worst.lock().unwrap_or_else(PoisonError::into_inner);
        let due = kept.is_due(PAUSE);
        if due {
            let took = kept.looked.map_or(Duration::ZERO, |(_, took)| took);
            kept.looked = Some((clock::monotonic(), took));
        }
        due
    }

    /// What the worst is, by a look that began then.
    pub fn note(&self, worst: Option<String>, begun: Instant) {
        let looked = Some((clock::monotonic(), clock::since(begun)));
        *self.worst.lock().unwrap_or_else(PoisonError::into_inner) = Kept { looked, found: worst };
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
        *lock() = Kept { looked: Some((clock::monotonic(), clock::since(begun))), found: found.clone() };
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_looks_and_the_others_take_what_is_known() {
        let outlook = Outlook::default();
        assert!(outlook.is_due() && !outlook.is_due());
        outlook.note(Some("error".into()), clock::monotonic());
        assert_eq!((outlook.worst().as_deref(), outlook.is_due()), (Some("error"), false));
    }

    #[test]
    fn what_takes_long_is_looked_at_seldom() {
        let kept = |ago: u64, took: u64| Kept {
            looked: clock::monotonic().checked_sub(Duration::from_secs(ago)).map(|at| (at, Duration::from_secs(took))),
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

//! The steady time of a database that several nodes share, from its own clock, which may be set, and from what each process saw
//! pass itself.
//!
//! In the database stands how much has surely passed, and what the database's clock showed when that was noted. What came since is
//! the lesser of what that clock says and what this process's monotonic clock says passed since it last looked. So a clock that is
//! set ahead adds nothing that nobody lived through, and one that is set back holds nothing up for longer than until the next note.

use crate::{
    clock::{self, Steady, Timestamp},
    store::Fault,
};
use std::time::{Duration, Instant};

/// What passed is noted with each batch that writes, and else so often.
const STEP: i64 = 10_000;
/// A machine's clock further from the database's is told of.
const TOLD: i64 = 30_000;
/// And this far from it the node serves nobody: its certificates would not be valid yet, or too short.
const REFUSED: i64 = 5 * 60_000;
/// How often they are compared.
const COMPARED: Duration = Duration::from_secs(3600);
/// An answer that took longer says nothing of this moment.
const PROMPT: Duration = Duration::from_secs(2);

/// What the database says of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown {
    /// Its clock, now.
    pub(super) wall: Timestamp,
    /// What had passed when it was last noted.
    pub(super) steady: Steady,
    /// What its clock showed then.
    pub(super) noted: Timestamp,
}

impl Shown {
    /// Whether it is time to note it again: soon where the clock was set back, else each ten seconds.
    pub(super) fn is_old(&self) -> bool {
        !(0..STEP).contains(&self.wall.0.saturating_sub(self.noted.0))
    }
}

/// What this process saw of the steady time. A new one knows what was noted and nothing of before.
#[derive(Debug, Default)]
pub(super) struct Hands(Option<(Steady, Instant)>);

impl Hands {
    /// The steady time at `at`, when the database showed this.
    pub(super) fn look(&mut self, shown: Shown, at: Instant) -> Steady {
        let by_database = shown.steady.plus(shown.wall.since(shown.noted));
        let own = self.0.map(|(last, then)| (last, last.plus(at.saturating_duration_since(then))));
        let (last, by_us) = own.unwrap_or((shown.steady, shown.steady));
        let now = shown.steady.max(last).max(by_database.min(by_us));
        self.0 = Some((now, at));
        now
    }
}

/// This machine's clock beside the database's.
#[derive(Debug, Default)]
pub(super) struct Beside {
    compared: Option<Instant>,
    why: Option<String>,
}

impl Beside {
    /// Compares them once an hour, and each time while they are too far apart: then in words why.
    pub(super) fn look(&mut self, wall: Timestamp, asked: Instant) -> Result<(), String> {
        let soon = self.compared.is_some_and(|at| clock::since(at) < COMPARED);
        if (soon && self.why.is_none()) || clock::since(asked) > PROMPT {
            return self.why.clone().map_or(Ok(()), Err);
        }
        self.compared = Some(clock::monotonic());
        let ours = clock::system().wall();
        let gap = ours.0.saturating_sub(wall.0);
        self.why = (gap.abs() > REFUSED).then(|| apart(gap));
        if gap.abs() > TOLD && self.why.is_none() {
            tracing::warn!("{}", apart(gap));
        }
        self.why.clone().map_or(Ok(()), Err)
    }

    /// Why this node serves nobody.
    pub(super) fn away(&self) -> Result<(), Fault> {
        self.why.clone().map_or(Ok(()), |why| Err(Fault::Away(why)))
    }
}

fn apart(gap: i64) -> String {
    let seconds = gap.unsigned_abs() / 1000;
    let (by, side) = match seconds {
        0..300 => (format!("{seconds} s"), gap),
        300..7200 => (format!("{} min", seconds / 60), gap),
        7200..172_800 => (format!("{} h", seconds / 3600), gap),
        _ => (format!("{} days", seconds / 86_400), gap),
    };
    let side = if side > 0 { "ahead of" } else { "behind" };
    format!(
        "this machine's clock is {by} {side} the database's: set the wrong one right (beyond 5 minutes a node serves nobody)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const BORN: i64 = 1_764_000_000_000;
    const YEAR: i64 = 365 * 24 * 3_600_000;

    fn shown(wall: i64, steady: i64, noted: i64) -> Shown {
        Shown { wall: Timestamp(BORN + wall), steady: Steady(BORN + steady), noted: Timestamp(BORN + noted) }
    }

    fn after(begun: Instant, millis: u64) -> Instant {
        begun + Duration::from_millis(millis)
    }

    #[test]
    fn what_passes_is_what_both_clocks_saw_pass() {
        let begun = clock::monotonic();
        for (row, wall, millis, want) in [
            ("both go", 5_000, 5_000, 5_000),
            ("the database's was set years ahead", YEAR, 5_000, 5_000),
            ("it was set back", -YEAR, 5_000, 0),
            ("this process was stopped, and nobody else noted anything", 5_000, 9_000, 5_000),
        ] {
            let mut hands = Hands::default();
            assert_eq!(hands.look(shown(0, 0, 0), begun).0 - BORN, 0, "{row}");
            assert_eq!(hands.look(shown(wall, 0, 0), after(begun, millis)).0 - BORN, want, "{row}");
        }
    }

    #[test]
    fn a_new_process_counts_nothing_of_the_time_before_it() {
        let begun = clock::monotonic();
        let mut hands = Hands::default();
        assert_eq!(hands.look(shown(YEAR, 7, 0), begun).0 - BORN, 7, "all nodes were stopped, or the clock was set");
        assert_eq!(hands.look(shown(YEAR + 40, 7, 0), after(begun, 40)).0 - BORN, 47);
    }

    #[test]
    fn what_another_node_noted_counts_and_nothing_runs_backwards() {
        let begun = clock::monotonic();
        let mut hands = Hands::default();
        hands.look(shown(0, 0, 0), begun);
        assert_eq!(hands.look(shown(9_000, 9_000, 9_000), after(begun, 100)).0 - BORN, 9_000);
        assert_eq!(
            hands.look(shown(-YEAR, 0, 9_000), after(begun, 200)).0 - BORN,
            9_000,
            "an older copy, a clock set back"
        );
    }

    #[test]
    fn it_goes_on_after_the_clock_was_set_back() {
        let begun = clock::monotonic();
        let mut hands = Hands::default();
        hands.look(shown(0, 0, 0), begun);
        let back = shown(-YEAR, 0, 0);
        assert!(back.is_old(), "noted at once");
        let noted = hands.look(back, after(begun, 50)).0 - BORN;
        assert_eq!(hands.look(shown(-YEAR + 1000, noted, -YEAR), after(begun, 1050)).0 - BORN, noted + 1000);
    }

    #[test]
    fn it_is_noted_every_ten_seconds_at_least() {
        for (wall, old) in [(0, false), (9_999, false), (10_000, true), (YEAR, true), (-1, true)] {
            assert_eq!(shown(wall, 0, 0).is_old(), old, "{wall}");
        }
    }

    #[test]
    fn a_machine_whose_clock_is_far_from_the_databases_serves_nobody() {
        let now = clock::system().wall();
        for (gap, served) in [(0, true), (60_000, true), (-60_000, true), (301_000, false), (-7_300_000, false)] {
            let mut beside = Beside::default();
            let look = beside.look(Timestamp(now.0 - gap), clock::monotonic());
            assert_eq!((look.is_ok(), beside.away().is_ok()), (served, served), "{gap}: {look:?}");
            assert!(beside.look(clock::system().wall(), clock::monotonic()).is_ok(), "{gap}: set right");
            assert!(beside.look(Timestamp(0), clock::monotonic()).is_ok(), "looked at once an hour");
        }
        let words = apart(-7_300_000);
        assert!(words.contains("2 h behind the database's"), "{words}");
    }
}

//! A run of steps that do not depend on each other: each is timed, a failure does not keep the next from running, and
//! a table at the end says how all of them went.

use std::time::{Duration, Instant};

use crate::Outcome;
use crate::process::dim;

enum Mark {
    Passed,
    Failed(String),
    Skipped(String),
}

/// Collects the steps' outcomes.
pub(crate) struct Steps {
    started: Instant,
    rows: Vec<(String, Duration, Mark)>,
}

impl Steps {
    pub(crate) fn begin() -> Self {
        Self { started: Instant::now(), rows: Vec::new() }
    }

    /// Does one step now. `None` where it failed.
    pub(crate) fn take<T>(&mut self, name: &str, act: impl FnOnce() -> Outcome<T>) -> Option<T> {
        eprintln!("{}", dim(&format!("── {name}")));
        let begun = Instant::now();
        let (mark, value) = match act() {
            Ok(value) => (Mark::Passed, Some(value)),
            Err(reason) => {
                eprintln!("{name}: {reason}");
                (Mark::Failed(reason), None)
            }
        };
        let took = begun.elapsed();
        eprintln!("{}", dim(&format!("── {name}: {}", seconds(took))));
        self.rows.push((name.to_owned(), took, mark));
        value
    }

    /// Notes a step that was left out, with the reason.
    pub(crate) fn skip(&mut self, name: &str, why: &str) {
        self.rows.push((name.to_owned(), Duration::ZERO, Mark::Skipped(why.to_owned())));
    }

    /// Prints the table. An error names the steps that failed.
    pub(crate) fn end(self) -> Outcome {
        eprintln!();
        for (name, took, mark) in &self.rows {
            let (word, note) = match mark {
                Mark::Passed => ("passed", ""),
                Mark::Failed(reason) => ("FAILED", reason.lines().next().unwrap_or_default()),
                Mark::Skipped(why) => ("skipped", why.as_str()),
            };
            let row = format!("{word:<8} {name:<32} {:>9}  {note}", seconds(*took));
            eprintln!("{}", row.trim_end());
        }
        eprintln!("{:<8} {:<32} {:>9}", "", "all", seconds(self.started.elapsed()));
        let failed = self.rows.iter().filter(|(_, _, mark)| matches!(mark, Mark::Failed(_)));
        let failed: Vec<&str> = failed.map(|(name, _, _)| name.as_str()).collect();
        if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

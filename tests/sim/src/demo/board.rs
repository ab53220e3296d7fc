//! The progress view: a line for each part of the piece, redrawn in place on a terminal, printed as it is begun and ended elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Elsewhere than on a terminal, a part that goes on says so at most this often.
const PACE: Duration = Duration::from_secs(5);
const BAR: usize = 20;

/// See the module. Written to standard error, so that standard output is left for the table.
pub struct Board {
    live: bool,
    state: Mutex<State>,
}

struct State {
    rows: Vec<Row>,
    /// Lines on the screen that belong to us.
    drawn: usize,
    said: Instant,
}

struct Row {
    name: &'static str,
    begun: Instant,
    took: Option<Duration>,
    good: bool,
    done: usize,
    all: usize,
    note: String,
}

impl Default for Board {
    fn default() -> Board {
        Board::new()
    }
}

impl Board {
    /// Redraws itself where standard error is a terminal.
    pub fn new() -> Board {
        let state = State { rows: Vec::new(), drawn: 0, said: Instant::now() };
        Board { live: std::io::stderr().is_terminal(), state: Mutex::new(state) }
    }

    fn with(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        if self.live {
            state.redraw();
        }
    }

    /// Begins a part that has `all` steps.
    pub(super) fn begin(&self, name: &'static str, all: usize) {
        let live = self.live;
        self.with(|state| {
            let row = Row { name, begun: Instant::now(), took: None, good: true, done: 0, all, note: String::new() };
            state.rows.push(row);
            state.said = Instant::now();
            if !live {
                eprintln!("  … {name}");
            }
        });
    }

    /// How far the part that was begun last has come.
    pub(super) fn step(&self, done: usize, note: impl Into<String>) {
        let live = self.live;
        self.with(|state| {
            let quiet = state.said.elapsed() < PACE;
            let Some(row) = state.rows.last_mut() else { return };
            (row.done, row.note) = (done, note.into());
            if !live && !quiet {
                eprintln!("  … {}", row.text());
                state.said = Instant::now();
            }
        });
    }

    /// Ends it, with a last word.
    pub(super) fn end(&self, good: bool, note: impl Into<String>) {
        let live = self.live;
        self.with(|state| {
            let Some(row) = state.rows.last_mut() else { return };
            (row.took, row.good, row.note) = (Some(row.begun.elapsed()), good, note.into());
            if good {
                row.done = row.all;
            }
            if !live {
                eprintln!("  {}", row.text());
            }
        });
    }
}

impl State {
    fn redraw(&mut self) {
        let mut out = String::new();
        if self.drawn > 0 {
            out += &format!("\x1b[{}F", self.drawn);
        }
        for row in &self.rows {
            out += &format!("\x1b[2K  {}\n", row.text());
        }
        self.drawn = self.rows.len();
        let mut stderr = std::io::stderr().lock();
        // A terminal that went away is no reason to stop.
        let _ = stderr.write_all(out.as_bytes()).and_then(|()| stderr.flush());
    }
}

impl Row {
    fn text(&self) -> String {
        let (mark, time) = match self.took {
            Some(took) => (if self.good { '✓' } else { '✗' }, format!("{:>5.1} s", took.as_secs_f64())),
            None => ('·', format!("{:>5.1} s", self.begun.elapsed().as_secs_f64())),
        };
        let filled = (self.done * BAR).checked_div(self.all).unwrap_or(BAR).min(BAR);
        let bar = "█".repeat(filled) + &"░".repeat(BAR - filled);
        format!("{mark} {:<9} {bar} {:>2}/{:<2} {time}  {}", self.name, self.done, self.all, self.note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_the_part_is_done() {
        let mut row = Row {
            name: "enrol",
            begun: Instant::now(),
            took: Some(Duration::from_millis(1500)),
            good: true,
            done: 15,
            all: 30,
            note: "half".into(),
        };
        assert_eq!(row.text(), "✓ enrol     ██████████░░░░░░░░░░ 15/30   1.5 s  half");
        (row.all, row.done, row.good) = (0, 0, false);
        assert!(row.text().contains(&"█".repeat(BAR)) && row.text().starts_with('✗'));
    }
}

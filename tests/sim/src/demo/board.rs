//! The progress view: a line for each part of the piece, redrawn in place on a terminal; elsewhere printed when it begins and ends, and
//! now and then meanwhile.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Elsewhere than on a terminal, a part that goes on says so at most this often.
const PACE: Duration = Duration::from_secs(5);
const BAR: usize = 20;

/// See the module. Written to standard error, so that standard output is left for the table.
pub struct Board {
    live: bool,
    row: Mutex<Option<Row>>,
}

/// The part under way.
struct Row {
    name: &'static str,
    begun: Instant,
    took: Option<Duration>,
    /// When it last said something.
    said: Instant,
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
        Board { live: std::io::stderr().is_terminal(), row: Mutex::new(None) }
    }

    fn row(&self) -> MutexGuard<'_, Option<Row>> {
        self.row.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a part that has `all` steps.
    pub(super) fn begin(&self, name: &'static str, all: usize) {
        let (begun, note) = (Instant::now(), String::new());
        let row = Row { name, begun, took: None, said: begun, good: true, done: 0, all, note };
        self.draw(&row, false);
        *self.row() = Some(row);
    }

    /// How far the part under way has come.
    pub(super) fn step(&self, done: usize, note: impl Into<String>) {
        if let Some(row) = self.row().as_mut() {
            (row.done, row.note) = (done, note.into());
            if self.live || row.said.elapsed() >= PACE {
                row.said = Instant::now();
                self.draw(row, false);
            }
        }
    }

    /// Ends it, with a last word.
    pub(super) fn end(&self, good: bool, note: impl Into<String>) {
        if let Some(mut row) = self.row().take() {
            (row.took, row.good, row.note) = (Some(row.begun.elapsed()), good, note.into());
            if good {
                row.done = row.all;
            }
            self.draw(&row, true);
        }
    }

    fn draw(&self, row: &Row, last: bool) {
        let text = row.text();
        let line = match (self.live, last) {
            (false, _) => format!("  {text}\n"),
            // A line that is too long is cut off, not wrapped: the next one must find its beginning.
            (true, false) => format!("\r\x1b[2K\x1b[?7l  {text}\x1b[?7h"),
            (true, true) => format!("\r\x1b[2K  {text}\n"),
        };
        let mut stderr = std::io::stderr().lock();
        // A terminal that went away is no reason to stop.
        let _ = stderr.write_all(line.as_bytes()).and_then(|()| stderr.flush());
    }
}

impl Row {
    fn text(&self) -> String {
        let (mark, time) = match self.took {
            Some(took) => (if self.good { '✓' } else { '✗' }, format!("{:>5.1} s", took.as_secs_f64())),
            None => ('…', format!("{:>5.1} s", self.begun.elapsed().as_secs_f64())),
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
            said: Instant::now(),
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

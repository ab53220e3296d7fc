//! Figures, and the table in which they stand beside those of the version before.

use std::time::Duration;

/// What is aimed at, by the beginning of a row's name.
const AIMS: [(&str, &str); 9] = [
    ("GET devices/ID, under load", "p99 idle + 5 ms"),
    ("POST devices/ID/sync, under load", "p99 idle + 5 ms"),
    ("a PC's poll, nothing due, under load", "p99 idle + 5 ms"),
    ("first page", "50 ms"),
    ("groups, one", "50 ms"),
    ("lanyard devices list", "2 s"),
    ("records of a PC", "4,000"),
    ("records of a finished command", "1,500"),
    ("the same by its records", "2.5 (sled)"),
];

/// Rows in the order in which they were found.
#[derive(Default)]
pub(crate) struct Figures(Vec<(String, String)>);

impl Figures {
    pub(crate) fn note(&mut self, what: &str, value: String) {
        eprintln!("{what}: {value}");
        self.0.push((what.into(), value));
    }

    pub(crate) fn took(&mut self, what: &str, time: Duration) {
        self.note(what, format!("{:.2} s", time.as_secs_f64()));
    }

    pub(crate) fn bytes(&mut self, what: &str, bytes: u64) {
        self.note(what, format!("{bytes} B"));
    }

    pub(crate) fn percentiles(&mut self, what: &str, times: Vec<Duration>) {
        let of = sorted(times);
        self.note(what, format!("p50 {:.2}, p99 {:.2} ms", milli(&of, 50), milli(&of, 99)));
    }

    pub(crate) fn middle_and_most(&mut self, what: &str, times: Vec<Duration>) {
        let of = sorted(times);
        self.note(what, format!("p50 {:.1}, max {:.1} ms", milli(&of, 50), milli(&of, 100)));
    }

    fn of(&self, what: &str) -> &str {
        self.0.iter().find(|(name, _)| name == what).map_or("–", |(_, value)| value)
    }
}

fn sorted(mut times: Vec<Duration>) -> Vec<Duration> {
    times.sort_unstable();
    times
}

fn milli(sorted: &[Duration], percent: usize) -> f64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)].as_secs_f64() * 1e3
}

pub(crate) fn mega(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// As it goes into docs/performance.md.
pub(crate) fn print(store: &str, devices: usize, now: &Figures, before: Option<&Figures>) {
    println!("\n{devices} devices on {store}\n\n| what | now | before | aim |\n| --- | --- | --- | --- |");
    for (what, value) in &now.0 {
        let aim = AIMS.iter().find(|(begin, _)| what.starts_with(begin)).map_or("", |(_, aim)| aim);
        println!("| {what} | {value} | {} | {aim} |", before.map_or("–", |b| b.of(what)));
    }
}

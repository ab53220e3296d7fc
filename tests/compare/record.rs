//! What a program said in the course of a day, made alike, and wherein two such records differ.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Of an answer that differs so many lines are shown.
const SHOWN: usize = 40;

/// One thing that was asked or done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// What a difference is told under: a route, a verb, a device.
    pub(crate) route: String,
    /// What exactly; one of a kind in its record.
    pub(crate) asked: String,
    pub(crate) answer: String,
}

/// All of a day, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record(pub(crate) Vec<Entry>);

impl Record {
    pub(crate) fn note(&mut self, route: &str, asked: &str, answer: String) {
        let before = self.0.iter().filter(|e| e.asked == asked || e.asked.starts_with(&format!("{asked} ("))).count();
        let asked = if before == 0 { asked.to_owned() } else { format!("{asked} ({})", before + 1) };
        self.0.push(Entry { route: route.into(), asked, answer });
    }

    /// Wherein the other one differs, by route; empty where it does not.
    pub(crate) fn differences(&self, other: &Self) -> BTreeMap<String, Vec<String>> {
        let by_asked = |record: &Self| -> BTreeMap<String, Entry> {
            record.0.iter().map(|entry| (entry.asked.clone(), entry.clone())).collect()
        };
        let (ours, theirs) = (by_asked(self), by_asked(other));
        let mut found = BTreeMap::<String, Vec<String>>::new();
        for asked in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
            let (route, text) = match (ours.get(asked), theirs.get(asked)) {
                (Some(a), Some(b)) if a.answer == b.answer && a.route == b.route => continue,
                (Some(a), Some(b)) => (&a.route, lines(&a.answer, &b.answer)),
                (Some(a), None) => (&a.route, "  only with the first program\n".into()),
                (None, Some(b)) => (&b.route, "  only with the second program\n".into()),
                (None, None) => continue,
            };
            found.entry(route.clone()).or_default().push(format!("{asked}\n{text}"));
        }
        found
    }
}

/// Whole, to be read.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|entry| writeln!(f, "== {}\n{}", entry.asked, entry.answer))
    }
}

/// The lines that are only in one (`-`) or in the other (`+`), in order.
fn lines(one: &str, other: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (one.lines().collect(), other.lines().collect());
    let before = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let after = a[before..].iter().rev().zip(b[before..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[before..a.len() - after], &b[before..b.len() - after]);
    // Lengths of what the rests have in common.
    let mut common = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i][j] = if a[i] == b[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && common[i + 1][j] >= common[i][j + 1]) {
            out.push(format!("  - {}\n", a[i]));
            i += 1;
        } else {
            out.push(format!("  + {}\n", b[j]));
            j += 1;
        }
    }
    if out.is_empty() {
        return "  the same lines, other white space\n".into();
    }
    let more = out.len().saturating_sub(SHOWN);
    out.truncate(SHOWN);
    out.concat() + &if more > 0 { format!("  … and {more} lines more\n") } else { String::new() }
}

/// JSON in lines, as it was written: nothing is added but breaks, and fields stay in their order.
pub(crate) fn broken(json: &str) -> String {
    let (mut out, mut text, mut escaped) = (String::with_capacity(json.len() * 2), false, false);
    for c in json.chars() {
        out.push(c);
        match c {
            _ if escaped => escaped = false,
            '\\' if text => escaped = true,
            '"' => text = !text,
            '{' | '[' | ',' if !text => out.push('\n'),
            _ => {}
        }
    }
    out
}

#[test]
fn what_differs_is_told_by_route() {
    let record = |entries: &[(&str, &str, &str)]| {
        let mut record = Record::default();
        for (route, asked, answer) in entries {
            record.note(route, asked, broken(answer));
        }
        record
    };
    let day = record(&[("GET /a/{id}", "/a/1", r#"{"id":"1","name":"x, {y"}"#), ("lanyard a", "a list", "A  B")]);
    for (row, other, route, part) in [
        (
            "a renamed field",
            ("GET /a/{id}", "/a/1", r#"{"id":"1","title":"x, {y"}"#),
            "GET /a/{id}",
            "+ \"title\":\"x, {y\"}",
        ),
        ("another order", ("GET /a/{id}", "/a/1", r#"{"name":"x, {y","id":"1"}"#), "GET /a/{id}", "- \"id\":\"1\","),
        (
            "a field more",
            ("GET /a/{id}", "/a/1", r#"{"id":"1","name":"x, {y","b":null}"#),
            "GET /a/{id}",
            "+ \"b\":null}",
        ),
        ("an answer lost", ("GET /a/{id}", "/a/2", "{}"), "GET /a/{id}", "only with the first"),
    ] {
        let other = record(&[other, ("lanyard a", "a list", "A  B")]);
        let found = day.differences(&other);
        assert_eq!(found.keys().collect::<Vec<_>>(), [route], "{row}");
        assert!(found[route].concat().contains(part), "{row}: {found:?}");
    }
    let other = record(&[("GET /a/{id}", "/a/1", r#"{"id":"1","name":"x, {y"}"#), ("lanyard a", "a list", "A B")]);
    assert_eq!(day.differences(&other).keys().collect::<Vec<_>>(), ["lanyard a"], "white space in what people read");
    assert!(day.differences(&day).is_empty());
}

#[test]
fn what_is_asked_twice_stands_twice() {
    let mut record = Record::default();
    for answer in ["1", "2", "3"] {
        record.note("r", "a", answer.into());
    }
    assert_eq!(record.0.iter().map(|e| e.asked.as_str()).collect::<Vec<_>>(), ["a", "a (2)", "a (3)"]);
}

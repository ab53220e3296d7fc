//! What a verb shows: one JSON document, a table, or a record line by line.

use serde_json::Value;
use std::io::{BufWriter, Write as _};

/// Prints to stdout. A reader who has gone is no fault.
///
/// `beside`: fields that a table shows and the document does not hold, a record for each row.
pub(super) fn show(document: &Value, columns: &[&str], beside: &[Value], json: bool) {
    let mut out = BufWriter::with_capacity(64 * 1024, std::io::stdout().lock());
    if json {
        drop(serde_json::to_writer_pretty(&mut out, document));
        drop(out.write_all(b"\n").and_then(|()| out.flush()));
        return;
    }
    let text = match document {
        Value::Null => return,
        Value::Array(rows) => table(rows, columns, beside),
        Value::Object(_) => {
            let mut text = String::new();
            record(&mut text, document, 0);
            text
        }
        Value::String(text) => lines(text),
        other => word(other) + "\n",
    };
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

fn table(rows: &[Value], columns: &[&str], beside: &[Value]) -> String {
    let head: Vec<String> = columns.iter().map(|c| c.to_uppercase().replace('_', " ")).collect();
    let beside = beside.iter().map(Some).chain(std::iter::repeat(None));
    let cells = rows.iter().zip(beside).map(|(row, beside)| {
        let value = |c: &str| row.get(c).or_else(|| beside?.get(c)).map(word).unwrap_or_default();
        columns.iter().map(|c| value(c)).collect()
    });
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(cells).collect();
    let width = |at: usize| lines.iter().filter_map(|line| line.get(at)).map(|c| c.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut out = String::new();
    for line in &lines {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// A text of several lines.
fn lines(text: &str) -> String {
    text.lines().flat_map(|line| line.chars().filter(|c| !c.is_control()).chain(['\n'])).collect()
}

/// A value on one line.
fn word(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        Value::Array(items) => items.iter().map(word).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => fields.values().map(word).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

fn record(out: &mut String, value: &Value, depth: usize) {
    let Value::Object(fields) = value else { return };
    let pad = "  ".repeat(depth);
    for (name, value) in fields {
        let name = name.replace('_', " ");
        match value {
            Value::Null => {}
            Value::Array(items) if items.is_empty() => {}
            Value::Array(items) if items.iter().any(Value::is_object) => {
                for item in items {
                    out.push_str(&format!("{pad}{name}:\n"));
                    record(out, item, depth + 1);
                }
            }
            Value::Object(_) => {
                out.push_str(&format!("{pad}{name}:\n"));
                record(out, value, depth + 1);
            }
            Value::String(text) if text.trim_end().contains('\n') => {
                out.push_str(&format!("{pad}{name}:\n"));
                for line in text.lines() {
                    let line: String = line.chars().filter(|c| !c.is_control()).collect();
                    out.push_str(&format!("{pad}  {line}\n"));
                }
            }
            other => out.push_str(&format!("{pad}{name}: {}\n", word(other))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_are_tables_and_records_are_lines() {
        let rows = [json!({"id": "1", "name": null}), json!({"id": "22", "name": "x\u{1b}[31m"})];
        assert_eq!(table(&rows, &["id", "name"], &[]), "ID  NAME\n1   -\n22  x [31m\n", "no escape reaches a terminal");
        let beside = [json!({"more": "y"}), Value::Null];
        assert_eq!(table(&rows, &["id", "more"], &beside), "ID  MORE\n1   y\n22\n");
        let mut out = String::new();
        assert_eq!(lines("x\u{1b}[31m\r\ny\n"), "x[31m\ny\n", "nor by a text");
        record(&mut out, &json!({"a": 1, "b": null, "c": [], "d": [{"e_f": "x"}], "g": ["y", "z"]}), 0);
        assert_eq!(out, "a: 1\nd:\n  e f: x\ng: y, z\n");
    }
}

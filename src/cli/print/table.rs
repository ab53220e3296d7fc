//! Lists as tables: what does not fit is left out in the order that the verb says, then cut; sentences go on on further lines.

use super::{Screen, cells, times, word};
use serde_json::Value;
use uuid::Uuid;

/// Blanks between two columns.
const GAP: usize = 2;
/// No column is cut to less than this, as long as something else can be left out.
const LEAST: usize = 14;
/// To so much names are cut before what is never cut otherwise.
const NAME: usize = 8;
/// Sentences, which are wrapped and not cut, get at least this.
const SENTENCE: usize = 30;
/// Columns that hold sentences.
pub(super) const SENTENCES: &[&str] = &["detail", "text"];
/// Columns that are never cut: what stands there is short, or is to be used again.
const WHOLE: &[&str] = &["action", "channel", "id", "key", "platform", "scope", "seq", "severity", "state", "what"];
/// Of an id at least this is shown. An id begins with the millisecond in which it was made, in 13 characters: a list may hold
/// a part of all there are, and what is unique in that would not be so much by less.
const OF_ID: usize = 13;

/// A list, and how its columns stand.
pub(in crate::cli) struct Table<'a> {
    /// The documents.
    pub(in crate::cli) rows: &'a [Value],
    /// In the order that they are shown in.
    pub(in crate::cli) columns: &'a [&'a str],
    /// Those that are left out where there is no room, the first of them first.
    pub(in crate::cli) spare: &'a [&'a str],
    /// Fields that are shown and the documents do not hold, a record for each row.
    pub(in crate::cli) beside: &'a [Value],
}

struct Column<'a> {
    name: &'a str,
    cells: Vec<String>,
    width: usize,
    least: usize,
}

impl Table<'_> {
    pub(in crate::cli) fn print(&self, screen: &Screen) -> String {
        let mut columns: Vec<Column<'_>> = self.columns.iter().map(|name| self.column(name, screen)).collect();
        if let Some(width) = screen.width {
            leave_out(&mut columns, self.spare, width);
            narrow(&mut columns, width);
        }
        let mut out = String::new();
        let heads: Vec<String> = columns.iter().map(|column| head(column.name)).collect();
        let cells =
            columns.iter().zip(&heads).map(|(column, head)| Cell { column: "head", text: head, width: column.width });
        line(&mut out, &cells.collect::<Vec<_>>(), screen);
        for at in 0..self.rows.len() {
            let cell = |column| Cell::of(column, at);
            line(&mut out, &columns.iter().map(cell).collect::<Vec<_>>(), screen);
        }
        if self.rows.is_empty() && screen.terminal {
            out.push_str("(none)\n");
        }
        out
    }

    fn column<'a>(&self, name: &'a str, screen: &Screen) -> Column<'a> {
        let beside = self.beside.iter().map(Some).chain(std::iter::repeat(None));
        let values = self
            .rows
            .iter()
            .zip(beside)
            .map(|(row, beside)| beside.and_then(|beside| beside.get(name)).or_else(|| row.get(name)));
        let mut cells: Vec<String> =
            values.map(|value| value.map(|value| word(name, value, screen)).unwrap_or_default()).collect();
        if screen.terminal {
            shorten(&mut cells);
        }
        let widest = cells.iter().map(|cell| cells::width(cell)).max().unwrap_or(0).max(cells::width(&head(name)));
        let least = match name {
            name if WHOLE.contains(&name) || times::TIMES.contains(&name) => widest,
            name if SENTENCES.contains(&name) => widest.min(SENTENCE),
            _ => widest.min(LEAST),
        };
        Column { name, cells, width: widest, least }
    }
}

struct Cell<'a> {
    column: &'a str,
    text: &'a str,
    width: usize,
}

impl<'a> Cell<'a> {
    fn of(column: &'a Column<'_>, at: usize) -> Self {
        let text = column.cells.get(at).map(String::as_str).unwrap_or_default();
        Self { column: column.name, text, width: column.width }
    }

    /// On the lines that it takes.
    fn lines(&self, screen: &Screen) -> Vec<String> {
        match SENTENCES.contains(&self.column) && screen.width.is_some() {
            true => cells::wrapped(self.text, self.width),
            false => vec![cells::cut(self.text, self.width)],
        }
    }
}

fn head(name: &str) -> String {
    name.to_uppercase().replace('_', " ")
}

/// Ids by their beginning, as long as it takes to tell them apart. The server takes it wherever it takes an id.
pub(in crate::cli) fn shorten(cells: &mut [String]) {
    let is_id = |cell: &&mut String| cell.len() == 36 && cell.parse::<Uuid>().is_ok();
    let mut ids: Vec<String> = cells.iter_mut().filter(is_id).map(|id| id.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    let alike =
        ids.iter().zip(ids.iter().skip(1)).map(|(a, b)| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count());
    let length = alike.max().map_or(OF_ID, |alike| OF_ID.max(alike + 1));
    for id in cells.iter_mut().filter(is_id) {
        id.truncate(length);
        if id.ends_with('-') {
            id.pop();
        }
    }
}

fn taken(columns: &[Column<'_>], width: impl Fn(&Column<'_>) -> usize) -> usize {
    columns.iter().map(width).sum::<usize>() + GAP * columns.len().saturating_sub(1)
}

fn leave_out(columns: &mut Vec<Column<'_>>, spare: &[&str], width: usize) {
    for name in spare {
        if taken(columns, |c| c.least) <= width {
            return;
        }
        columns.retain(|column| column.name != *name);
    }
}

/// Takes from the widest until it fits: first what can be spared, and on a screen too narrow for that from all.
fn narrow(columns: &mut [Column<'_>], width: usize) {
    let least: Vec<usize> = columns.iter().map(|column| column.least).collect();
    let whole = |column: &Column<'_>| WHOLE.contains(&column.name);
    let names =
        columns.iter().map(|column| if whole(column) { column.least } else { column.least.min(NAME) }).collect();
    for least in [least, names, vec![1; columns.len()]] {
        loop {
            let over = taken(columns, |c| c.width).saturating_sub(width);
            let can_give = columns.iter_mut().zip(&least).filter(|(column, least)| column.width > **least);
            let widest = can_give.max_by_key(|(column, _)| column.width).filter(|_| over > 0);
            let Some((widest, _)) = widest else { break };
            widest.width -= 1;
        }
    }
}

/// One row: as many lines as its sentences take.
fn line(out: &mut String, row: &[Cell<'_>], screen: &Screen) {
    let fitted: Vec<Vec<String>> = row.iter().map(|cell| cell.lines(screen)).collect();
    for at in 0..fitted.iter().map(Vec::len).max().unwrap_or(1) {
        let mut line = String::new();
        for (cell, parts) in row.iter().zip(&fitted) {
            let part = parts.get(at).map(String::as_str).unwrap_or_default();
            let blanks = " ".repeat(cell.width.saturating_sub(cells::width(part)) + GAP);
            line.push_str(&screen.painted(cell.column, cell.text, part));
            line.push_str(&blanks);
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_as_long_as_it_takes_to_tell_them_apart() {
        let short = |ids: &[&str]| {
            let mut cells: Vec<String> = ids.iter().map(ToString::to_string).collect();
            shorten(&mut cells);
            cells
        };
        let (one, two) = ("019d1a2b-3c4d-7001-8a00-0123456789ab", "019d1a2b-3c4d-7001-8b00-0123456789ab");
        assert_eq!(short(&[one]), ["019d1a2b-3c4d"]);
        assert_eq!(short(&[one, one]), ["019d1a2b-3c4d", "019d1a2b-3c4d"]);
        assert_eq!(short(&[one, two, "stop"]), ["019d1a2b-3c4d-7001-8a", "019d1a2b-3c4d-7001-8b", "stop"]);
    }
}

//! What a verb shows: one JSON document, a table, or a record line by line. What is shown is a function of the document and of the
//! [`Screen`]; golden files hold it.

mod cells;
mod table;
mod times;

pub(crate) use cells::{visible, visible_lines};
pub(super) use table::{Table, shorten};
pub(super) use times::Times;

use crate::clock::{self, Timestamp};
use serde_json::Value;
use std::io::{self, BufWriter, IsTerminal as _, Write as _};

/// By so much a line that goes on is set in.
const ON: usize = 4;

/// How moments are written.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum Time {
    /// As "3 min ago".
    Ago,
    /// By the clock of the zone where this runs.
    Local,
    /// RFC 3339, UTC.
    Utc,
}

impl Time {
    /// `LANYARD_TIME`. For the verbs alone: a server is started whatever it says.
    pub(super) fn from_environment() -> Result<Option<Self>, String> {
        let Some(text) = std::env::var("LANYARD_TIME").ok().filter(|text| !text.is_empty()) else { return Ok(None) };
        let known = <Self as clap::ValueEnum>::from_str(&text, false);
        known.map(Some).map_err(|_| format!("LANYARD_TIME: {text:?} is none of ago, local and utc"))
    }
}

/// Where it is shown, and to whom.
#[derive(Clone)]
pub(super) struct Screen {
    /// Columns; none: a line is as long as it is.
    pub(super) width: Option<usize>,
    /// Lines that a terminal has.
    pub(super) rows: Option<usize>,
    /// People look at it: ids are shortened. Programs get them whole.
    pub(super) terminal: bool,
    pub(super) colour: bool,
    pub(super) now: Timestamp,
    pub(super) times: Times,
}

impl Screen {
    /// That of stdout. `COLUMNS` goes before what the terminal says; `NO_COLOR` and a dumb terminal are kept to.
    pub(super) fn of_stdout(time: Option<Time>) -> Self {
        let terminal = io::stdout().is_terminal();
        let (width, rows) = measured(terminal);
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let colour = terminal && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb");
        let times = match time {
            Some(Time::Utc) => Times::Utc,
            Some(Time::Local) => Times::Local(jiff::tz::TimeZone::system()),
            Some(Time::Ago) => Times::Ago,
            None if terminal => Times::Ago,
            None => Times::Utc,
        };
        Self { width, rows, terminal, colour, now: clock::system().wall(), times }
    }

    /// The same, later: a window may have another size by then.
    pub(super) fn now(&self) -> Self {
        let (width, rows) = measured(self.terminal);
        Self { now: clock::system().wall(), width, rows, ..self.clone() }
    }

    /// As much of a text as the terminal has lines for, and how much more there is: what comes first shall not be shifted out.
    pub(super) fn lines_that_fit(&self, text: &str) -> String {
        let all = text.lines().count();
        let Some(rows) = self.rows.map(|rows| rows.saturating_sub(1)).filter(|rows| all > *rows) else {
            return text.into();
        };
        let kept = rows.saturating_sub(1);
        let lines = text.lines().take(kept).fold(String::new(), |text, line| text + line + "\n");
        format!("{lines}… and {} more lines\n", all - kept)
    }

    /// Such a moment in words, as people are told.
    pub(super) fn moment(&self, at: Timestamp) -> String {
        self.times.print(at, self.now)
    }

    /// The same where there is room: how long it is, and when.
    pub(super) fn moment_whole(&self, at: Timestamp) -> String {
        match self.times {
            Times::Ago | Times::Utc => {
                format!("{} ({})", Times::Utc.print(at, self.now), Times::Ago.print(at, self.now))
            }
            Times::Local(_) => self.moment(at),
        }
    }

    /// Lines of sentences as wide as the screen; what goes on is set in below.
    pub(super) fn fitted(&self, text: &str) -> String {
        let Some(width) = self.width else { return text.into() };
        let mut out = Vec::new();
        for line in text.split('\n') {
            let inner = line.trim_start_matches(' ');
            let indent = line.len() - inner.len();
            let parts = cells::wrapped(inner, width.saturating_sub(indent + ON).max(1));
            out.extend(parts.iter().enumerate().map(|(at, part)| {
                let blanks = if at == 0 { indent } else { indent + ON };
                format!("{:blanks$}{part}", "")
            }));
        }
        out.join("\n")
    }

    /// A cell of this column: what is bad is red, what waits for somebody yellow, a head bold.
    pub(super) fn painted(&self, column: &str, whole: &str, part: &str) -> String {
        let colour = match (column, whole) {
            _ if !self.colour || part.is_empty() => None,
            ("head", _) => Some("1"),
            ("severity", "error") | ("state", "failed") => Some("31"),
            ("severity", "warning") | ("state", "held" | "waiting") | ("compliance", "noncompliant") => Some("33"),
            _ => None,
        };
        colour.map_or_else(|| part.to_string(), |colour| format!("\u{1b}[{colour}m{part}\u{1b}[0m"))
    }
}

/// Columns and lines of stdout. `COLUMNS` goes before what a terminal says. What is no terminal has neither: `COLUMNS` comes along with the
/// shell, and a program or a file shall get moments and ids whole.
fn measured(terminal: bool) -> (Option<usize>, Option<usize>) {
    if !terminal {
        return (None, None);
    }
    let given = std::env::var("COLUMNS").ok().and_then(|text| text.trim().parse().ok()).filter(|n| *n > 0);
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
    let told = |of: fn(&rustix::termios::Winsize) -> u16| size.as_ref().map(of).map(usize::from).filter(|n| *n > 0);
    (given.or(told(|size| size.ws_col)).or(Some(80)), told(|size| size.ws_row))
}

/// What there is to show.
pub(super) struct Shown<'a> {
    pub(super) document: &'a Value,
    /// Columns of a list, in order, and which of them are left out first.
    pub(super) columns: &'a [&'a str],
    pub(super) spare: &'a [&'a str],
    /// Fields that a table shows and the document does not hold, a record for each row.
    pub(super) beside: &'a [Value],
    /// What people are told of it first.
    pub(super) words: Option<&'a str>,
}

/// Prints to stdout. A reader who has gone is no fault; any other is one.
pub(super) fn show(shown: &Shown<'_>, screen: &Screen, json: bool) -> io::Result<()> {
    if json {
        return print(|out| {
            serde_json::to_writer_pretty(&mut *out, shown.document)?;
            out.write_all(b"\n")
        });
    }
    let words = shown.words.map(|words| format!("{words}\n\n")).unwrap_or_default();
    text(&(words + &as_text(shown, screen)))
}

/// Prints text to stdout likewise.
pub(crate) fn text(text: &str) -> io::Result<()> {
    print(|out| out.write_all(text.as_bytes()))
}

fn print(write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        ended => ended,
    }
}

/// A remark for people, on stderr: it may hold what devices call themselves.
pub(crate) fn say(text: impl AsRef<str>) {
    // Nobody is left to be told that it did not get there.
    drop(writeln!(io::stderr().lock(), "lanyard: {}", visible_lines(text.as_ref())));
}

fn as_text(shown: &Shown<'_>, screen: &Screen) -> String {
    match shown.document {
        Value::Null => String::new(),
        Value::Array(rows) => {
            Table { rows, columns: shown.columns, spare: shown.spare, beside: shown.beside }.print(screen)
        }
        Value::Object(_) => {
            let mut text = String::new();
            record(&mut text, shown.document, 0, screen);
            text
        }
        Value::String(text) => format!("{}\n", visible_lines(text.trim_end())),
        other => word("", other, screen) + "\n",
    }
}

/// A field's value on one line.
fn word(field: &str, value: &Value, screen: &Screen) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => match times::moment(field, text) {
            Some(at) => screen.moment(at),
            // The lines of a policy's difference, say.
            None if table::SENTENCES.contains(&field) => visible(&text.trim_end().replace('\n', "; ")),
            None => visible(text),
        },
        Value::Array(items) => items.iter().map(|item| word(field, item, screen)).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| word(name, value, screen)).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

/// What a channel is that is called by its protocol.
fn in_words(channel: &str) -> &'static str {
    match channel {
        "apple" => " (Apple's device management)",
        "omadm" => " (Windows' device management)",
        "activesync" => " (a mail client)",
        "exchange" => " (a mail client, through Exchange)",
        _ => "",
    }
}

fn record(out: &mut String, value: &Value, depth: usize, screen: &Screen) {
    let Value::Object(fields) = value else { return };
    let pad = "  ".repeat(depth);
    for (field, value) in fields {
        let name = visible(&field.replace('_', " "));
        match value {
            Value::Null => {}
            Value::Array(items) if items.is_empty() => {}
            Value::Array(items) if items.iter().any(Value::is_object) => {
                for item in items {
                    out.push_str(&format!("{pad}{name}:\n"));
                    record(out, item, depth + 1, screen);
                }
            }
            Value::Object(_) => {
                out.push_str(&format!("{pad}{name}:\n"));
                record(out, value, depth + 1, screen);
            }
            Value::String(text) if text.trim_end().contains('\n') => {
                out.push_str(&format!("{pad}{name}:\n"));
                for line in text.lines() {
                    out.push_str(&format!("{pad}  {}\n", visible(line)));
                }
            }
            // There is room for both.
            Value::String(text) if matches!(screen.times, Times::Ago) && times::moment(field, text).is_some() => {
                out.push_str(&format!("{pad}{name}: {text} ({})\n", word(field, value, screen)));
            }
            Value::String(channel) if field == "channel" => {
                out.push_str(&format!("{pad}{name}: {}{}\n", visible(channel), in_words(channel)));
            }
            other => out.push_str(&format!("{pad}{name}: {}\n", word(field, other, screen))),
        }
    }
}

#[cfg(test)]
pub(super) mod tests;

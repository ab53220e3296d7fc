//! Makes alike what two runs can never have in common: ids, hashes and secrets by their order of first sight, times by how far they are
//! from the day's beginning. All else stays as it is, byte for byte.

use std::collections::BTreeMap;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

/// Hexadecimal digits in a row from here on are a hash, a serial number, or the name of a node or a device.
const HASH: usize = 12;
/// Times are told apart by this much, and only by it: what is said to come in five or ten minutes is not what is now.
const STEP: Duration = Duration::minutes(10);
/// Steps begin this much before the day does. What is dated back by five minutes stays apart from what is now until the day is four and a
/// half minutes old, by when the last certificate must be there.
const EARLY: Duration = Duration::seconds(30);
const PEM: (&str, &str) = ("-----BEGIN ", "-----END CERTIFICATE-----");

/// What was seen so far.
pub(crate) struct Alike {
    begun: OffsetDateTime,
    /// Texts that stand for nothing but this run (addresses, folders, secrets), and what is written for them.
    told: Vec<(String, String)>,
    seen: BTreeMap<String, String>,
    counts: BTreeMap<&'static str, usize>,
}

impl Alike {
    pub(crate) fn new(begun: OffsetDateTime) -> Self {
        Self { begun, told: Vec::new(), seen: BTreeMap::new(), counts: BTreeMap::new() }
    }

    /// `text` is this run's own, and written as `<word>` from now on.
    pub(crate) fn tell(&mut self, text: &str, word: &str) {
        if !text.is_empty() {
            self.told.push((text.into(), format!("<{word}>")));
            // A part of another one must not be taken out of it.
            self.told.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        }
    }

    /// The text as every run has it.
    pub(crate) fn text(&mut self, text: &str) -> String {
        let told = self.told.iter().fold(text.to_owned(), |text, (own, word)| text.replace(own, word));
        let (mut out, mut rest, mut inside) = (String::with_capacity(told.len()), told.as_str(), false);
        while let Some(first) = rest.chars().next() {
            let found = if inside { None } else { self.here(rest) };
            let (len, word) = found.unwrap_or((first.len_utf8(), String::from(first)));
            out.push_str(&word);
            inside = rest[..len].ends_with(char::is_alphanumeric);
            rest = &rest[len..];
        }
        out
    }

    /// What stands at the beginning of `text`, and what is written for it.
    fn here(&mut self, text: &str) -> Option<(usize, String)> {
        if text.starts_with(PEM.0) {
            let len = text.find(PEM.1)? + PEM.1.len();
            return Some((len, self.ordinal("certificate", &text[..len])));
        }
        if let Some(len) = moment(text) {
            let at = OffsetDateTime::parse(&text[..len], &Rfc3339).ok()?;
            let steps = ((at - self.begun + EARLY) / STEP).floor() as i64;
            let word =
                if steps == 0 { "<now>".into() } else { format!("<now {:+} min>", steps * STEP.whole_minutes()) };
            return Some((len, word));
        }
        let ends = |len: usize| !text[len..].starts_with(|c: char| c.is_alphanumeric());
        if let Some(len) = uuid(text).filter(|len| ends(*len)) {
            return Some((len, self.ordinal("id", &text[..len].to_lowercase())));
        }
        let len = text.bytes().take_while(u8::is_ascii_hexdigit).count();
        (len >= HASH && ends(len)).then(|| (len, self.ordinal("hash", &text[..len].to_lowercase())))
    }

    fn ordinal(&mut self, kind: &'static str, text: &str) -> String {
        if let Some(known) = self.seen.get(text) {
            return known.clone();
        }
        let count = self.counts.entry(kind).or_insert(0);
        *count += 1;
        let word = format!("<{kind} {count}>");
        self.seen.insert(text.into(), word.clone());
        word
    }
}

/// `2026-11-25T13:28:29.5Z`, or with an offset: its length.
fn moment(text: &str) -> Option<usize> {
    fits(text, "0000-00-00T00:00:00")?;
    let digits = |from: usize| text[from..].bytes().take_while(u8::is_ascii_digit).count();
    let after = if text[19..].starts_with('.') { 20 + digits(20) } else { 19 };
    let zone = &text[after..];
    if zone.starts_with('Z') {
        Some(after + 1)
    } else {
        fits(zone.strip_prefix(['+', '-'])?, "00:00").map(|_| after + 6)
    }
}

fn uuid(text: &str) -> Option<usize> {
    fits(text, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")
}

/// The length of `form`, where the text begins like it: `0` is a digit, `x` a hexadecimal one.
fn fits(text: &str, form: &str) -> Option<usize> {
    let head = text.as_bytes().get(..form.len())?;
    let fit = head.iter().zip(form.bytes()).all(|(byte, form)| match form {
        b'0' => byte.is_ascii_digit(),
        b'x' => byte.is_ascii_hexdigit(),
        other => *byte == other,
    });
    fit.then_some(form.len())
}

#[test]
fn what_two_runs_cannot_share_is_told_by_order_and_by_distance() {
    let begun = OffsetDateTime::parse("2026-11-25T13:28:29Z", &Rfc3339).unwrap();
    let (one, two) = ("01932d5c-7b1e-7cc3-98c4-dc0c0c07398f", "01932d5c-7b1e-7cc3-98c4-dc0c0c073990");
    let hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    for (row, text, want) in [
        ("ids", format!("{two} {one}/{two}"), "<id 1> <id 2>/<id 1>"),
        ("an id in another case", format!("{one} {}", one.to_uppercase()), "<id 1> <id 1>"),
        ("a hash", format!("a {hash}."), "a <hash 1>."),
        ("too short for one", "deadbeef cafe 26.1".into(), "deadbeef cafe 26.1"),
        ("part of a word", format!("x{hash} {hash}x"), ""),
        ("a certificate", format!("-----BEGIN CERTIFICATE-----\\n{hash}\\n{}\\n", PEM.1), "<certificate 1>\\n"),
        ("now", "2026-11-25T13:30:00.123Z".into(), "<now>"),
        ("a little before", "2026-11-25T13:28:20Z".into(), "<now>"),
        ("an undo window", "2026-11-25T13:38:31Z".into(), "<now +10 min>"),
        ("five minutes ago", "2026-11-25T13:23:30+00:00".into(), "<now -10 min>"),
        ("a year", "2027-11-25T13:28:29Z".into(), "<now +525600 min>"),
        ("told", "at 127.0.0.1:4711 and 127.0.0.1:47112".into(), "at <door> and <gate>"),
        ("not ASCII", "Ünïté — ok".into(), "Ünïté — ok"),
    ] {
        let mut alike = Alike::new(begun);
        alike.tell("127.0.0.1:4711", "door");
        alike.tell("127.0.0.1:47112", "gate");
        let want = if want.is_empty() { text.clone() } else { want.to_owned() };
        assert_eq!(alike.text(&text), want, "{row}");
    }
}

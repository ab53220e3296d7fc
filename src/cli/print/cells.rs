//! Text as a terminal shows it: how wide it is, cut to a width, and with what cannot be seen made visible. Names and reports come from
//! devices, and a device may call itself anything.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Marks over one letter that are shown; more would run over the lines above and below.
const MARKS: usize = 4;
/// Stands where text was cut.
const CUT: char = '…';
const JOINERS: std::ops::RangeInclusive<char> = '\u{200c}'..='\u{200d}';
/// Asks for the character before it as a picture, two columns wide.
const AS_PICTURE: char = '\u{fe0f}';

/// Text on one line, with what controls the terminal, turns the direction of the text around it or is not to be seen as `\u{…}`.
pub(crate) fn visible(text: &str) -> String {
    if text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return text.into();
    }
    let (mut out, mut marks, mut before) = (String::with_capacity(text.len()), 0, ' ');
    for c in text.chars() {
        // Joiners belong to emoji and to some scripts; among Latin letters they only make two names look alike.
        let joiner = JOINERS.contains(&c);
        marks = if c.width() == Some(0) && !joiner { marks + 1 } else { 0 };
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_hidden(c) || joiner && before.is_ascii() || marks > MARKS => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
        before = c;
    }
    out
}

/// The same for text of several lines.
pub(crate) fn visible_lines(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

/// Control characters, marks and embeddings of direction, ends of lines, tags, and what has no width and joins nothing. Not the rule for
/// names of people (`fleet::actor`), which may not have joiners either.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Columns that visible text takes: two for most of CJK and emoji, none for combining marks.
pub(super) fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

/// As much of it as fits, and a mark where that is not all.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.into();
    }
    let mut out = head(text, columns.saturating_sub(1)).to_string();
    while out.ends_with(|c| JOINERS.contains(&c)) {
        out.pop();
    }
    out.push(CUT);
    out
}

/// The longest beginning that fits. Marks go with their letter.
fn head(text: &str, columns: usize) -> &str {
    let (mut end, mut taken) = (0, 0);
    for (at, c) in text.char_indices() {
        taken += if c == AS_PICTURE { 1 } else { c.width().unwrap_or(0) };
        if taken > columns {
            break;
        }
        end = at + c.len_utf8();
    }
    text.get(..end).unwrap_or_default()
}

/// On lines of at most that width, broken at blanks where there are some.
pub(crate) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(2);
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split(' ') {
        let taken = width(&line);
        if taken > 0 && taken + 1 + width(word) <= columns {
            line.push(' ');
            line.push_str(word);
            continue;
        }
        if taken > 0 {
            lines.push(std::mem::take(&mut line));
        }
        let mut rest = word;
        while width(rest) > columns {
            let first = head(rest, columns);
            let Some(left) = rest.strip_prefix(first).filter(|_| !first.is_empty()) else { break };
            lines.push(first.into());
            rest = left;
        }
        line = rest.into();
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_cannot_be_seen_is_made_visible() {
        for (row, text, shown) in [
            ("plain", "iPhone 07E6", "iPhone 07E6"),
            ("escape", "x\u{1b}[31m", "x\\u{1b}[31m"),
            ("c1", "x\u{9b}31m", "x\\u{9b}31m"),
            ("lines", "a\r\nb\tc", "a\\r\\nb\\tc"),
            ("override", "ann\u{202e}gnp.exe", "ann\\u{202e}gnp.exe"),
            ("isolate", "\u{2066}x", "\\u{2066}x"),
            ("no width", "an\u{200b}n", "an\\u{200b}n"),
            ("joiner in Latin", "an\u{200d}n", "an\\u{200d}n"),
            ("family", "👩\u{200d}👧", "👩\u{200d}👧"),
            ("Persian", "می\u{200c}خواهم", "می\u{200c}خواهم"),
            ("accent", "Zoe\u{308}", "Zoe\u{308}"),
            ("stack", "a\u{300}\u{300}\u{300}\u{300}\u{300}", "a\u{300}\u{300}\u{300}\u{300}\\u{300}"),
            ("tags", "x\u{e0041}", "x\\u{e0041}"),
        ] {
            assert_eq!(visible(text), shown, "{row}");
        }
        assert_eq!(visible_lines("a\nb\u{7}"), "a\nb\\u{7}");
    }

    #[test]
    fn text_is_cut_and_wrapped_by_its_width() {
        for (text, columns, shown) in [
            ("iPhone", 6, "iPhone"),
            ("iPhone", 5, "iPho…"),
            ("日本語の電話", 7, "日本語…"),
            ("日本語の電話", 6, "日本…"),
            ("📱📱📱", 5, "📱📱…"),
            ("x", 0, "…"),
        ] {
            assert_eq!(cut(text, columns), shown);
        }
        assert_eq!(wrapped("no wipe leaves", 8), ["no wipe", "leaves"]);
        assert_eq!(wrapped("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrapped("日本語の電話", 4), ["日本", "語の", "電話"]);
        assert_eq!(wrapped("", 4), [""]);
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_it_may_be(text in "\\PC{0,40}|.{0,40}", columns in 2usize..30) {
            let shown = visible(&text);
            prop_assert!(!shown.chars().any(|c| c.is_control()));
            prop_assert!(width(&cut(&shown, columns)) <= columns);
            for line in wrapped(&shown, columns) {
                prop_assert!(width(&line) <= columns, "{line:?}");
            }
        }
    }
}

use super::*;
use crate::cli::devices;
use serde_json::json;
use std::path::Path;

/// What it shows is what the golden file shows; `LANYARD_BLESS=1` writes it anew.
pub(in crate::cli) fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/print/golden").join(name);
    if std::env::var_os("LANYARD_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, kept, "{name} (LANYARD_BLESS=1 writes it anew)");
}

/// Noon of the day of the tests.
const NOON: Timestamp = Timestamp(1_764_590_400_000);

/// A terminal of that width, without colour.
pub(in crate::cli) fn terminal(width: usize) -> Screen {
    Screen { width: Some(width), rows: None, terminal: true, colour: false, now: NOON, times: Times::Ago }
}

/// A pipe.
pub(in crate::cli) fn pipe() -> Screen {
    Screen { width: None, rows: None, terminal: false, colour: false, now: NOON, times: Times::Utc }
}

fn ago(seconds: u64) -> String {
    NOON.minus(std::time::Duration::from_secs(seconds)).to_string()
}

fn device(number: usize, user: Option<&str>, name: Option<&str>) -> Value {
    let of_three = |words: [&'static str; 3]| words[number % 3];
    json!({
        "id": format!("019d1a2b-{:04x}-7{:03x}-8a00-0123456789ab", number >> 8, number & 0xff),
        "channel": of_three(["apple", "omadm", "activesync"]), "platform": of_three(["ios", "windows", "android"]),
        "state": "enrolled", "user": user, "name": name, "model": "iPhone15,2", "serial": format!("F17{number:09}"),
        "compliance": of_three(["compliant", "noncompliant", "pending"]), "last_seen": ago(180 + 40 * number as u64),
        "enrolments": [{"channel": "activesync", "identity": format!("MAIL{number}")}],
    })
}

/// Those that people, languages and thieves come up with.
pub(in crate::cli) fn strange_devices() -> Vec<Value> {
    let names = [
        (Some("ann@example.org"), Some("iPhone 07E6")),
        (
            Some("a.person.with.a.rather.long.name@a-department.of.an-organisation.example.org"),
            Some("The iPad that lies at the entrance, second drawer from below, in the yellow box"),
        ),
        (Some("田中さくら@example.jp"), Some("田中さくらの仕事用アイフォーンとその他の電話")),
        (Some("bob@example.org"), Some("📱 Bob's 👩\u{200d}👧 phone 🏳\u{fe0f}")),
        (Some("eve@example.org"), Some("\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}enohPi\r\nwiped")),
        (None, None),
        (Some("zoe@example.org"), Some("Z\u{300}\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}oe")),
    ];
    names.into_iter().enumerate().map(|(at, (user, name))| device(at * 300, user, name)).collect()
}

fn of_devices(rows: Vec<Value>, screen: &Screen) -> String {
    let outcome = devices::listed(rows);
    as_text(&outcome.shown(), screen)
}

pub(in crate::cli) fn fits(text: &str, width: usize) {
    for line in text.lines() {
        assert!(cells::width(line) <= width, "{line}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

#[test]
fn devices_fit_the_terminal_whatever_they_call_themselves() {
    for width in [80, 200] {
        let text = of_devices(strange_devices(), &terminal(width));
        fits(&text, width);
        golden(&format!("devices_{width}.txt"), &text);
    }
    for width in [1, 20, 40, 60, 100, 120] {
        fits(&of_devices(strange_devices(), &terminal(width)), width.max(2 * devices::COLUMNS.len()));
    }
    golden("devices_pipe.txt", &of_devices(strange_devices(), &pipe()));
    golden("devices_none_80.txt", &of_devices(Vec::new(), &terminal(80)));
    assert_eq!(of_devices(Vec::new(), &pipe()).lines().count(), 1, "what counts lines counts the head alone");
}

#[test]
fn ten_thousand_devices_fit_as_well() {
    let devices = || (0..10_000).map(|at| device(at, Some("ann@example.org"), Some("iPhone"))).collect::<Vec<_>>();
    for width in [80, 200] {
        let text = of_devices(devices(), &terminal(width));
        fits(&text, width);
        assert_eq!(text.lines().count(), 10_001);
        let ids: std::collections::BTreeSet<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(ids.len(), 10_001, "each is told from the others");
        let some: String =
            text.lines().take(5).chain(text.lines().skip(9_998)).map(|line| format!("{line}\n")).collect();
        golden(&format!("devices_10000_{width}.txt"), &some);
    }
}

#[test]
fn colour_changes_no_width_and_is_for_terminals_alone() {
    let coloured = Screen { colour: true, ..terminal(80) };
    let text = of_devices(strange_devices(), &coloured);
    assert!(text.starts_with("\u{1b}[1mID\u{1b}[0m"));
    let mut plain = text;
    for code in ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[33m", "\u{1b}[31m"] {
        plain = plain.replace(code, "");
    }
    assert_eq!(plain, of_devices(strange_devices(), &terminal(80)));
}

#[test]
fn records_are_lines() {
    let document = json!({"a": 1, "b": null, "c": [], "d": [{"e_f": "x\u{1b}[31m"}], "g": ["y", "z"], "text": "one\ntwo\u{202e}\n",
        "created": ago(180)});
    let shown = Shown { document: &document, columns: &[], spare: &[], beside: &[], words: None };
    let rest = "a: 1\nCd:\n  e f: x\\u{1b}[31m\ng: y, z\ntext:\n  one\n  two\\u{202e}\n";
    let created = format!("created: {}", ago(180));
    assert_eq!(as_text(&shown, &pipe()), rest.replace('C', &format!("{created}\n")));
    assert_eq!(as_text(&shown, &terminal(80)), rest.replace('C', &format!("{created} (3 min ago)\n")));
}

#[test]
fn a_channel_that_is_called_by_its_protocol_is_told_in_words() {
    let document = json!({"channel": "omadm", "enrolments": [{"channel": "activesync"}, {"channel": "new\u{1b}"}]});
    let shown = Shown { document: &document, columns: &[], spare: &[], beside: &[], words: None };
    let expected = "channel: omadm (Windows' device management)\nenrolments:\n  channel: activesync (a mail client)\nenrolments:\n  channel: new\\u{1b}\n";
    assert_eq!(as_text(&shown, &pipe()), expected);
}

#[test]
fn what_has_lines_of_its_own_stands_in_a_cell_on_one() {
    let rows = [json!({"detail": "+ camera: blocked\n- bluetooth: allowed\n", "name": "a\nb"})];
    let table = Table { rows: &rows, columns: &["name", "detail"], spare: &[], beside: &[] };
    assert_eq!(table.print(&pipe()).lines().nth(1), Some("a\\nb  + camera: blocked; - bluetooth: allowed"));
}

#[test]
fn what_a_wipe_takes_and_the_keys_of_settings_are_never_cut() {
    let row = |at: usize, action: &str, scope: Option<&str>, state: &str| {
        json!({"id": format!("019d1a2b-{at:04x}-7001-8a00-0123456789ab"), "user": "a.person.with.a.rather.long.name@example.org",
            "name": "The iPad that lies at the entrance", "action": action, "scope": scope, "state": state, "requested_by": "alice",
            "created": ago(180), "channel": "activesync", "device": format!("019d1a2b-{at:04x}-7001-8a00-0123456789ac")})
    };
    let rows = vec![
        row(1, "wipe", Some("selective"), "acknowledged"),
        row(2, "wipe", Some("full"), "held"),
        row(3, "clear_passcode", None, "queued"),
    ];
    let commands = as_text(&crate::cli::commands::listed(rows).shown(), &terminal(80));
    fits(&commands, 80);
    golden("commands_80.txt", &commands);
    let setting = |key: &str, value: &str, pending: Option<&str>| json!({"key": key, "value": value, "default": value, "pending": pending, "counts_from": pending.map(|_| ago(0))});
    for (name, pending) in [("settings_80.txt", None), ("settings_pending_80.txt", Some("2000"))] {
        let rows = vec![
            setting("limit.connections_per_address", "1000", pending),
            setting("apple.push_url", "https://api.push.apple.com", None),
        ];
        let settings = as_text(&crate::cli::settings::listed(rows).shown(), &terminal(80));
        fits(&settings, 80);
        golden(name, &settings);
    }
}

#[test]
fn sentences_go_on_below() {
    let rows = [
        json!({"severity": "error", "text": "the emergency stop is on, set by ann: no wipe, retire or lock leaves until it is lifted"}),
    ];
    let table = Table { rows: &rows, columns: &["severity", "text"], spare: &[], beside: &[] };
    let expected = "SEVERITY  TEXT\nerror     the emergency stop is on, set\n          by ann: no wipe, retire or\n          lock leaves until it is lifted\n";
    assert_eq!(table.print(&terminal(40)), expected);
    assert_eq!(table.print(&pipe()).lines().count(), 2, "not where lines are records");
}

#[test]
fn what_comes_first_is_not_shifted_out_of_a_screen_that_is_kept() {
    let screen = Screen { rows: Some(4), ..terminal(80) };
    assert_eq!(screen.lines_that_fit("a\nb\nc\n"), "a\nb\nc\n");
    assert_eq!(screen.lines_that_fit("a\nb\nc\nd\ne\n"), "a\nb\n… and 3 more lines\n");
    assert_eq!(terminal(80).lines_that_fit("a\nb\n"), "a\nb\n");
}

use super::super::file::PolicyFile;
use super::*;
use lanyard_apple::profile::{MOST_FAILED_ATTEMPTS, MOST_IDLE_MINUTES};
use lanyard_omadm::csp::LEAST_PASSWORD_LENGTH;

/// A file that asks for one value.
fn file(value: Value) -> PolicyFile {
    let text = match value.setting().place() {
        (Some(section), key) => format!("name: a\nassign: all\n{section}: {{{key}: {value}}}\n"),
        (None, key) => format!("name: a\nassign: all\n{key}: {value}\n"),
    };
    PolicyFile::parse(&text).unwrap()
}

#[test]
fn names_go_both_ways_and_every_value_through_a_file() {
    for setting in Setting::ALL {
        assert_eq!(Setting::from_name(setting.name()), Some(setting));
        for value in setting.all_values() {
            assert_eq!(value.setting(), setting);
            assert!(file(value).settings.values().any(|read| read == value), "{}: {value}", setting.name());
        }
    }
}

#[test]
fn no_two_settings_have_a_name_a_node_or_an_element_in_common() {
    for one in Setting::ALL {
        for other in Setting::ALL.into_iter().filter(|other| *other != one) {
            assert_ne!(one.name(), other.name());
            assert!(one.key().is_none() || one.key() != other.key(), "{one:?} {other:?}");
            assert!(one.element().is_none() || one.element() != other.element(), "{one:?} {other:?}");
            assert!(!one.nodes().iter().any(|node| other.nodes().contains(node)), "{one:?} {other:?}");
        }
    }
}

#[test]
fn of_two_values_the_later_is_the_stricter_and_any_is_stricter_than_none() {
    let of = |value: Option<Value>| {
        let mut settings = Settings::default();
        value.into_iter().for_each(|value| settings.set(value));
        settings
    };
    for setting in Setting::ALL {
        let values = setting.all_values();
        for (at, lax) in values.iter().enumerate().step_by(7) {
            assert_eq!(of(Some(*lax)).strictest(of(None)), of(Some(*lax)));
            assert_eq!(of(None).strictest(of(Some(*lax))), of(Some(*lax)));
            for strict in values.iter().skip(at) {
                assert_eq!(of(Some(*lax)).strictest(of(Some(*strict))), of(Some(*strict)), "{lax:?} {strict:?}");
                assert_eq!(of(Some(*strict)).strictest(of(Some(*lax))), of(Some(*strict)), "{lax:?} {strict:?}");
            }
        }
    }
}

#[test]
fn each_passcode_rule_asks_for_a_passcode() {
    for setting in Setting::ALL.into_iter().filter(|setting| passcode::is_rule(*setting)) {
        for value in setting.all_values() {
            assert!(file(value).settings.passcode_required.is_some(), "{value:?}");
        }
    }
    assert!(Settings::default().values().next().is_none());
}

#[test]
fn no_limit_is_the_weakest_limit() {
    let strict = Settings { passcode_max_failed: Some(6), passcode_history: Some(3), ..Settings::default() };
    let lax = Settings {
        passcode_max_failed: None,
        passcode_history: Some(1),
        passcode_required: Some(Required),
        ..Settings::default()
    };
    let both = strict.strictest(lax);
    let found = (both.passcode_max_failed, both.passcode_history, both.passcode_required);
    assert_eq!(found, (Some(6), Some(3), Some(Required)));
}

/// The settings of whose strictest value a channel makes no part on a platform.
fn gaps(channel: Channel, platform: Platform) -> Vec<Setting> {
    let strictest = Setting::ALL.into_iter().filter_map(|setting| setting.all_values().pop());
    let gap = |value: &Value| matches!(value.support(channel, platform), Support::No(_));
    strictest.filter(gap).map(Value::setting).collect()
}

#[test]
fn the_gaps_are_these() {
    assert_eq!(gaps(Channel::Apple, Platform::Ios), []);
    assert_eq!(gaps(Channel::Apple, Platform::Macos), [Setting::Encryption]);
    assert_eq!(gaps(Channel::Apple, Platform::Watchos), [Setting::PasscodeAlphanumeric, Setting::Camera]);
    assert_eq!(gaps(Channel::Apple, Platform::Tvos).len(), 8);
    assert_eq!(gaps(Channel::Omadm, Platform::Windows), []);
    assert_eq!(gaps(Channel::Activesync, Platform::Android), []);
}

#[test]
fn numbers_that_a_platform_does_not_take_are_said_to_be_sent_as_what_it_takes() {
    let (least, tries, idle) = (LEAST_PASSWORD_LENGTH as u8, MOST_FAILED_ATTEMPTS as u8, MOST_IDLE_MINUTES as u8);
    let (apple, ios) = (Channel::Apple, Platform::Ios);
    for (channel, platform, inside, beyond, sent) in [
        (apple, ios, Value::PasscodeMaxFailed(tries), Value::PasscodeMaxFailed(tries + 1), tries),
        (apple, ios, Value::PasscodeMaxIdleMinutes(idle), Value::PasscodeMaxIdleMinutes(idle + 1), idle),
        (
            Channel::Omadm,
            Platform::Windows,
            Value::PasscodeMinLength(least),
            Value::PasscodeMinLength(least - 1),
            least,
        ),
    ] {
        assert_eq!(inside.support(channel, platform), Support::Full, "{inside:?}");
        let Support::Noted(words) = beyond.support(channel, platform) else { panic!("{beyond:?}") };
        assert!(words.starts_with(&format!("sent as {sent}")), "{beyond:?}: {words}");
    }
    let Support::Noted(words) = Value::PasscodeMaxFailed(tries + 1).support(apple, Platform::Macos) else {
        panic!("a Mac takes no more either")
    };
    assert!(words.starts_with(&format!("sent as {tries}, ")), "{words}");
}

/// Holds what the page on policies says between two texts against what the settings say; `cargo xtask test --bless` rewrites it.
fn the_page_says(after: &str, before: &str, rows: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/policies.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (start, rest) = page.split_once(after).unwrap();
    let (found, end) = rest.split_once(before).unwrap();
    if std::env::var_os("LANYARD_BLESS").is_some() {
        std::fs::write(path, format!("{start}{after}{rows}{before}{end}")).unwrap();
    } else {
        assert_eq!(found, rows, "{path} is not what the settings say");
    }
}

#[test]
fn the_page_has_every_setting() {
    let rows = Setting::ALL.map(|setting| {
        let [takes, note] = setting.page();
        format!(
            "| `{}` | {takes} |{} |\n",
            setting.name(),
            if note.is_empty() { String::new() } else { format!(" {note}") }
        )
    });
    the_page_says("check its spelling with `lanyard group list` |\n", "| `apple.profiles` |", &rows.concat());
}

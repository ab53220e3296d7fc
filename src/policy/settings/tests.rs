use super::super::file::PolicyFile;
use super::*;
use lanyard_apple::{
    profile::{MOST_FAILED_ATTEMPTS, MOST_IDLE_MINUTES},
    support::{Heed, availability, heeds},
};
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

/// The settings of whose strictest value a channel makes no part on a platform, of those that there were first. What becomes of each
/// further one is on the page of policies.
fn gaps(channel: Channel, platform: Platform) -> Vec<Setting> {
    let first =
        |setting: &Setting| passcode::is_rule(*setting) || matches!(setting, Setting::Encryption | Setting::Camera);
    let strictest = Setting::ALL.into_iter().filter(first).filter_map(|setting| setting.all_values().pop());
    let target = Target::of(platform);
    let gap = |value: &Value| matches!(value.support(channel, &target), Support::No(_) | Support::Lacks(_));
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
        assert_eq!(inside.support(channel, &Target::of(platform)), Support::Full, "{inside:?}");
        let Support::Noted(words) = beyond.support(channel, &Target::of(platform)) else { panic!("{beyond:?}") };
        assert!(words.starts_with(&format!("sent as {sent}")), "{beyond:?}: {words}");
    }
    let Support::Noted(words) = Value::PasscodeMaxFailed(tries + 1).support(apple, &Target::of(Platform::Macos)) else {
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

/// What becomes of a setting on a device that has told what is best for it, in a few words: `yes`, or what to know, by values where
/// they differ.
fn fate(setting: Setting, channel: Channel, platform: Platform) -> String {
    let told = Target {
        version: super::super::version::Version::parse(if channel == Channel::Omadm { "10.0.26200" } else { "99.0" }),
        supervised: Some(true),
        edition: Some(48),
        personal: false,
        platform,
    };
    let mut runs: Vec<(Vec<Value>, String)> = Vec::new();
    for value in setting.all_values() {
        let words = match value.support(channel, &told) {
            Support::Full => "yes".to_owned(),
            Support::Noted(words) | Support::Limited(words) | Support::Always(words) | Support::InPart(words) => {
                words.to_owned()
            }
            Support::No(words) => format!("no: {words}"),
            Support::Lacks(gap) => format!("no: {gap}"),
            Support::Unmet(words) | Support::Untold(words) => panic!("{value:?}: no table tells {words}"),
            Support::Unknown(gap) => panic!("{value:?}: {gap}"),
        };
        match runs.last_mut().filter(|(_, last)| *last == words) {
            Some((values, _)) => values.push(value),
            None => runs.push((vec![value], words)),
        }
    }
    if let [(_, words)] = runs.as_slice() {
        return words.clone();
    }
    // In the order of the values, `yes` without saying of which.
    runs.sort_by_key(|(values, _)| values.first().copied());
    let said = runs.iter().map(|(values, words)| match (values.iter().min(), values.iter().max()) {
        (Some(low), Some(high)) if words != "yes" && low != high => format!("{low} to {high}: {words}"),
        (Some(only), _) if words != "yes" => format!("{only}: {words}"),
        _ => words.clone(),
    });
    said.collect::<Vec<_>>().join("; ")
}

/// From which version on, where it was not there from the start of management, and whether it takes supervision.
fn since(setting: Setting, platform: Platform) -> String {
    let Some(((payload, key), apple)) = setting.key().zip(platform.of_apple()) else { return String::new() };
    let Some(there) = availability(payload, key, apple) else { return String::new() };
    let from_the_start = heeds(payload, key, apple, None, Some(true)) == Heed::Yes;
    let since = if from_the_start { String::new() } else { format!("; from {} {}", platform.system(), there.since) };
    since + if there.supervised { "; supervised devices alone" } else { "" }
}

fn apple(setting: Setting, platform: Platform) -> String {
    let fate = fate(setting, Channel::Apple, platform);
    if fate.starts_with("no") { fate } else { fate + &since(setting, platform) }
}

fn mail(setting: Setting) -> String {
    let of = |platform| fate(setting, Channel::Activesync, platform);
    let other = of(Platform::Other);
    let apart = [Platform::Ios, Platform::Android].map(|platform| (platform, of(platform)));
    let apart = apart.iter().filter(|(_, fate)| *fate != other);
    apart.fold(other.clone(), |said, (platform, fate)| format!("{said}; {}: {fate}", platform.system()))
}

#[test]
fn the_page_says_what_becomes_of_each_setting() {
    let (mut most, mut rare) = (String::new(), String::new());
    for setting in Setting::ALL {
        let name = setting.name();
        let [phone, mac, tv, watch, vision] =
            [Platform::Ios, Platform::Macos, Platform::Tvos, Platform::Watchos, Platform::Visionos]
                .map(|p| apple(setting, p));
        let pc = fate(setting, Channel::Omadm, Platform::Windows);
        most += &format!("| `{name}` | {phone} | {mac} | {pc} | {} |\n", mail(setting));
        rare += &format!("| `{name}` | {tv} | {watch} | {vision} |\n");
    }
    the_page_says(
        "| | iPhone, iPad | Mac | Windows PC | mail client |\n| --- | --- | --- | --- | --- |\n",
        "\n| | Apple TV |",
        &most,
    );
    the_page_says(
        "| | Apple TV | Apple Watch | Apple Vision |\n| --- | --- | --- | --- |\n",
        "\nA device that lacks",
        &rare,
    );
}

//! One mechanism for all channels: what a device must have is cut into parts, each sent, answered and taken away alone.
//!
//! Apple: one part of all typed settings, one for each raw profile. Windows: one for each setting and each raw node.
//! ActiveSync: one document. How a part looks on the wire is the channel's to know.

use super::applied::Origins;
use super::effective::Effective;
use super::part::{Part, PartContent, PartId};
use super::settings::{Value, passcode};
use super::target::{Channel, Platform, Target};
use std::collections::BTreeMap;

/// The parts that such a device must have over that channel. Values that it cannot keep at all, or always does, are left
/// out: coverage says so with nothing sent.
pub fn desired(effective: &Effective, channel: Channel, target: &Target) -> BTreeMap<PartId, Part> {
    let is_sent = |value: &Value| value.support(channel, target).is_sent();
    let values: Vec<Value> = effective.values().into_iter().filter(is_sent).collect();
    let parts = match channel {
        Channel::Apple => apple(effective, values),
        Channel::Omadm => windows(effective, values),
        Channel::Activesync => activesync(effective, values),
    };
    let tells = channel == Channel::Apple && tells_of_its_passcode(target.platform);
    let of = |part: Part| Part { of: origins(effective, &part), passcode: tells && part.passcode, ..part };
    parts.into_iter().map(|part| (part.id.clone(), of(part))).collect()
}

/// Whether such a device says in SecurityInfo whether its passcode keeps to the rules: a Mac does not, and an Apple TV has none.
fn tells_of_its_passcode(platform: Platform) -> bool {
    !matches!(platform, Platform::Macos | Platform::Tvos)
}

/// Which policies ask for a part, and where its id does not say it, for which settings.
fn origins(effective: &Effective, part: &Part) -> Origins {
    let mut found = Origins::new();
    let named = part.id.setting_name().is_some();
    for setting in &part.settings {
        for policy in effective.sources.get(setting).into_iter().flatten() {
            let settings = found.entry(policy.clone()).or_default();
            settings.extend((!named).then(|| setting.clone()));
        }
    }
    found
}

fn apple(effective: &Effective, values: Vec<Value>) -> Vec<Part> {
    let passcode = values.iter().any(|value| passcode::is_rule(value.setting()));
    let whole = |values: Vec<Value>| part(PartId::Settings, names(&values), PartContent::Settings(values));
    let typed = (!values.is_empty()).then(|| Part { passcode, ..whole(values) });
    let profiles = effective.apple_profiles.iter().map(|(identifier, raw)| {
        let bytes = raw.content.bytes.clone();
        let settings = vec![format!("apple.profiles[{identifier}]")];
        let content = PartContent::AppleProfile { identifier: identifier.clone(), bytes };
        Part { passcode: raw.content.passcode, ..part(PartId::Profile(identifier.clone()), settings, content) }
    });
    typed.into_iter().chain(profiles).collect()
}

fn windows(effective: &Effective, values: Vec<Value>) -> Vec<Part> {
    let typed = values.into_iter().map(|value| {
        let setting = value.setting();
        part(PartId::Setting(setting), vec![setting.name().to_owned()], PartContent::Settings(vec![value]))
    });
    let nodes = effective.windows_csp.iter().map(|(path, raw)| {
        let (format, data) = (raw.content.format, raw.content.data.clone());
        part(
            PartId::Csp(path.clone()),
            vec![format!("windows.csp[{path}]")],
            PartContent::WindowsCsp { path: path.clone(), format, data },
        )
    });
    typed.chain(nodes).collect()
}

fn activesync(effective: &Effective, values: Vec<Value>) -> Vec<Part> {
    let elements: BTreeMap<String, String> =
        effective.activesync.iter().map(|(name, raw)| (name.clone(), raw.content.clone())).collect();
    if values.is_empty() && elements.is_empty() {
        return Vec::new();
    }
    let raw = elements.keys().map(|name| format!("activesync.{name}"));
    let settings = names(&values).into_iter().chain(raw).collect();
    vec![part(PartId::Document, settings, PartContent::ActiveSync { values, elements })]
}

fn names(values: &[Value]) -> Vec<String> {
    values.iter().map(|value| value.setting().name().to_owned()).collect()
}

fn part(id: PartId, settings: Vec<String>, content: PartContent) -> Part {
    Part { id, hash: content.hash(), settings, content, of: Origins::new(), passcode: false }
}

#[cfg(test)]
mod tests {
    use super::super::bounds::{check, check_remove, test_profile};
    use super::super::effective::effective;
    use super::super::file::PolicyFile;
    use super::super::raw::CspFormat;
    use super::super::settings::{Permission, Required};
    use super::*;

    fn whole() -> Effective {
        let profile = test_profile("com.example.wifi", "com.apple.wifi.managed", "");
        let text = format!(
            "name: a\nassign: all\npasscode: {{min_length: 8}}\nencryption: required\ncamera: blocked\n\
             apple: {{profiles: ['{profile}']}}\nactivesync: {{AllowBluetooth: 0}}\n\
             windows: {{csp: [{{path: ./Vendor/MSFT/Policy/Config/WiFi/AllowInternetSharing, data: 0}}]}}\n"
        );
        effective([&PolicyFile::parse(&text).unwrap()])
    }

    #[test]
    fn each_channel_cuts_its_own_way() {
        let ids = |channel, platform| -> Vec<String> {
            desired(&whole(), channel, &Target::of(platform)).keys().map(ToString::to_string).collect()
        };
        assert_eq!(ids(Channel::Apple, Platform::Ios), ["settings", "profile:com.example.wifi"]);
        assert_eq!(
            ids(Channel::Omadm, Platform::Windows),
            [
                "setting:passcode.required",
                "setting:passcode.min_length",
                "setting:encryption",
                "setting:camera",
                "csp:./Device/Vendor/MSFT/Policy/Config/Wifi/AllowInternetSharing",
            ]
        );
        assert_eq!(ids(Channel::Activesync, Platform::Android), ["document"]);
    }

    #[test]
    fn who_says_how_its_passcode_is_is_asked_where_there_are_rules_for_one() {
        let profile = test_profile("com.example.p", "com.apple.mobiledevice.passwordpolicy", "");
        let camera = "name: a\nassign: all\ncamera: blocked\n".to_owned();
        let raw = format!("{camera}apple: {{profiles: ['{profile}']}}\n");
        let typed = format!("{camera}passcode: {{required: true}}\n");
        for (row, text, channel, platform, want) in [
            ("typed", &typed, Channel::Apple, Platform::Ios, &["settings"][..]),
            ("an iPad", &typed, Channel::Apple, Platform::Ipados, &["settings"]),
            ("a watch", &typed, Channel::Apple, Platform::Watchos, &["settings"]),
            ("no rule", &camera, Channel::Apple, Platform::Ios, &[]),
            ("raw", &raw, Channel::Apple, Platform::Ios, &["profile:com.example.p"]),
            ("a Mac does not say", &raw, Channel::Apple, Platform::Macos, &[]),
            ("nor this one", &typed, Channel::Apple, Platform::Macos, &[]),
            ("a PC", &typed, Channel::Omadm, Platform::Windows, &[]),
            ("mail", &typed, Channel::Activesync, Platform::Ios, &[]),
        ] {
            let wanted = effective([&PolicyFile::parse(text).unwrap()]);
            let parts = desired(&wanted, channel, &Target::of(platform));
            let found: Vec<String> =
                parts.values().filter(|part| part.passcode).map(|part| part.id.to_string()).collect();
            assert_eq!(found, want, "{row}");
        }
    }

    #[test]
    fn what_a_platform_cannot_do_is_not_sent() {
        let parts = desired(&whole(), Channel::Apple, &Target::of(Platform::Ios));
        assert_eq!(
            parts[&PartId::Settings].content,
            PartContent::Settings(vec![
                Value::PasscodeRequired(Required),
                Value::PasscodeMinLength(8),
                Value::Camera(Permission::Blocked),
            ]),
            "an iPhone is always encrypted"
        );
        let television = desired(&whole(), Channel::Apple, &Target::of(Platform::Tvos));
        assert_eq!(television[&PartId::Settings].settings, ["camera"]);
        let version = super::super::version::Version::parse("16.6");
        let old = Target { version, ..Target::of(Platform::Tvos) };
        assert_eq!(desired(&whole(), Channel::Apple, &old).get(&PartId::Settings), None, "from tvOS 17.0 on");
    }

    #[test]
    fn wrong_tries_erase_no_apple_device_that_is_its_users_own() {
        let file = PolicyFile::parse("name: a\nassign: all\npasscode: {min_length: 8, max_failed: 6}\n").unwrap();
        let wanted = effective([&file]);
        let values = |channel, personal| -> Vec<String> {
            let target = Target { personal, ..Target::of(Platform::Ios) };
            desired(&wanted, channel, &target).into_values().flat_map(|part| part.settings).collect()
        };
        let all = ["passcode.required", "passcode.min_length", "passcode.max_failed"];
        assert_eq!(values(Channel::Apple, false), all);
        assert_eq!(values(Channel::Apple, true), all[..2]);
        assert_eq!(values(Channel::Activesync, true), all, "mail is its own matter");
        let hash = |personal| {
            let target = Target { personal, ..Target::of(Platform::Ios) };
            desired(&wanted, Channel::Apple, &target)[&PartId::Settings].hash.clone()
        };
        assert_ne!(hash(false), hash(true), "one that becomes its user's own is sent its settings anew");
    }

    #[test]
    fn parts_pass_the_bounds_again() {
        for (channel, platform) in [
            (Channel::Apple, Platform::Ios),
            (Channel::Omadm, Platform::Windows),
            (Channel::Activesync, Platform::Other),
        ] {
            for (id, part) in desired(&whole(), channel, &Target::of(platform)) {
                assert_eq!(check(&part.content), Ok(()), "{id}");
                assert_eq!(check_remove(&id), Ok(()), "{id}");
            }
        }
        for id in ["profile:org.lanyard.enrolment", "csp:./Device/Vendor/MSFT/RemoteWipe/doWipe", "csp:./x"] {
            assert!(check_remove(&id.parse().unwrap()).is_err(), "{id}");
        }
        let stale = PartContent::WindowsCsp {
            path: "./Device/Vendor/MSFT/RemoteWipe/doWipe".into(),
            format: CspFormat::Chr,
            data: String::new(),
        };
        assert!(check(&stale).is_err());
    }

    #[test]
    fn hashes_follow_the_content_alone() {
        let parts = |text: &str| {
            desired(&effective([&PolicyFile::parse(text).unwrap()]), Channel::Activesync, &Target::of(Platform::Other))
        };
        let hash = |text: &str| parts(text)[&PartId::Document].hash.clone();
        let first = hash("name: a\nassign: all\npasscode: {min_length: 8}\n");
        assert_eq!(first.len(), 32);
        assert_eq!(first, hash("name: b\nassign: [x]\npasscode: {required: true, min_length: 8}\n"));
        assert_ne!(first, hash("name: a\nassign: all\npasscode: {min_length: 9}\n"));
        assert_ne!(first, hash("name: a\nassign: all\npasscode: {min_length: 8}\nactivesync: {AllowWiFi: 1}\n"));
    }
}

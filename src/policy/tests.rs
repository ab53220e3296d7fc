//! What holds of the way from policies to parts, for any policies.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use time::OffsetDateTime;

use super::bounds::{self, test_profile};
use super::*;
use crate::clock::Steady;

/// Any value of some settings; a rule of the passcode brings `required`, as in a file.
fn any_settings() -> impl Strategy<Value = Settings> {
    let one = proptest::option::of(any::<proptest::sample::Index>());
    proptest::collection::vec(one, Setting::ALL.len()).prop_map(|picks| {
        let mut settings = Settings::default();
        for (setting, pick) in Setting::ALL.into_iter().zip(picks) {
            if let Some(pick) = pick {
                settings.set(*pick.get(&setting.all_values()));
            }
        }
        settings::passcode::complete(&mut settings, false).unwrap();
        settings
    })
}

fn any_raw() -> impl Strategy<Value = (Vec<AppleProfile>, Vec<WindowsCsp>, BTreeMap<String, String>)> {
    let profiles = proptest::collection::btree_map("com\\.example\\.[ab]", "x|y", 0..3).prop_map(|profiles| {
        let made =
            profiles.iter().map(|(id, kind)| bounds::apple_profile(test_profile(id, kind, "").as_bytes()).unwrap());
        made.collect()
    });
    let root = "./Device/Vendor/MSFT/Policy/Config";
    let nodes = proptest::collection::btree_map("Camera/AllowCamera|Bluetooth/AllowAdvertising", "0|1", 0..3);
    let nodes = nodes.prop_map(move |nodes| {
        nodes.iter().map(|(tail, data)| bounds::windows_csp(&format!("{root}/{tail}"), None, data).unwrap()).collect()
    });
    let elements = proptest::collection::btree_map("AllowCamera|AllowWiFi|DevicePasswordEnabled", "0|1", 0..3);
    (profiles, nodes, elements)
}

fn any_policy(name: String) -> impl Strategy<Value = PolicyFile> {
    (any_settings(), any_raw()).prop_map(move |(settings, raw)| PolicyFile {
        name: name.clone(),
        assign: Assign::All,
        settings,
        apple_profiles: raw.0,
        windows_csp: raw.1,
        activesync: raw.2,
    })
}

fn any_policies() -> impl Strategy<Value = Vec<PolicyFile>> {
    (any_policy("a".into()), any_policy("b".into()), any_policy("c".into())).prop_map(|(a, b, c)| vec![a, b, c])
}

/// A device that has told what it is.
fn any_target() -> impl Strategy<Value = (Channel, Target)> {
    let kinds = prop_oneof![
        Just((Channel::Apple, Platform::Ios)),
        Just((Channel::Apple, Platform::Macos)),
        Just((Channel::Apple, Platform::Tvos)),
        Just((Channel::Omadm, Platform::Windows)),
        Just((Channel::Activesync, Platform::Android)),
    ];
    let told =
        ("9\\.0|16\\.6|26\\.0|10\\.0\\.19041\\.1", any::<bool>(), prop_oneof![Just(48), Just(101)], any::<bool>());
    (kinds, told).prop_map(|((channel, platform), (version, supervised, edition, personal))| {
        let (version, supervised, edition) = (Version::parse(&version), Some(supervised), Some(edition));
        (channel, Target { platform, version, supervised, edition, personal })
    })
}

fn answered(parts: &BTreeMap<PartId, Part>, outcome: &Outcome) -> BTreeMap<PartId, Applied> {
    // Just answered: what was refused is tried again later.
    let record = |part: &Part| Applied {
        of: part.of.clone(),
        held: outcome.holds(),
        again: outcome.is_refused().then_some(LATER),
        looked: Some(Steady(0)),
        passcode: part.passcode.then(|| Passcode::met(OffsetDateTime::UNIX_EPOCH)),
        ..Applied::new(&part.hash, outcome.clone(), OffsetDateTime::UNIX_EPOCH)
    };
    parts.iter().map(|(id, part)| (id.clone(), record(part))).collect()
}

const DAY: Duration = Duration::from_secs(86_400);
const LATER: Steady = Steady(86_400_000);

fn no_looser(strict: Value, asked: Value) -> bool {
    let from_the_laxest = asked.setting().all_values();
    let rank = |value| from_the_laxest.iter().position(|known| *known == value);
    strict.setting() == asked.setting() && rank(strict) >= rank(asked)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn order_and_repetition_change_nothing(policies in any_policies(), turn in 0usize..3) {
        let once = effective(&policies);
        let mut turned = policies.clone();
        turned.rotate_left(turn);
        prop_assert_eq!(&effective(&turned), &once);
        prop_assert_eq!(&effective(policies.iter().chain(&turned)), &once);
    }

    #[test]
    fn the_merge_is_as_strict_as_each_policy(policies in any_policies()) {
        let merged = effective(&policies).values();
        for asked in policies.iter().flat_map(PolicyFile::values) {
            prop_assert!(merged.iter().any(|v| v.setting() == asked.setting() && no_looser(*v, asked)), "{:?}", asked);
        }
    }

    #[test]
    fn nothing_is_due_once_all_is_answered(policies in any_policies(), (channel, target) in any_target()) {
        let parts = desired(&effective(&policies), channel, &target);
        for outcome in [Outcome::Enforced, Outcome::failed("x"), Outcome::unsupported("x")] {
            let found = difference(&parts, &answered(&parts, &outcome), Steady(0), DAY);
            let next = (!parts.is_empty()).then_some(LATER);
            prop_assert_eq!(found, Difference { next, ..Difference::default() });
        }
    }

    #[test]
    fn a_device_comes_from_any_state_to_any_other(
        before in any_policies(), after in any_policies(), (channel, target) in any_target(),
    ) {
        let (old, new) = (desired(&effective(&before), channel, &target), desired(&effective(&after), channel, &target));
        let mut applied = answered(&old, &Outcome::Enforced);
        let found = difference(&new, &applied, Steady(0), DAY);
        for id in &found.remove {
            prop_assert!(applied.remove(id).is_some());
            prop_assert!(new.keys().all(|wanted| wanted.place() != id.place()), "{} hits what is wanted", id);
        }
        for id in &found.install {
            prop_assert_ne!(applied.get(id).map(|a| &a.hash), Some(&new[id].hash), "sent without need");
        }
        let sent: BTreeMap<_, _> = found.install.iter().map(|id| (id.clone(), new[id].clone())).collect();
        applied.extend(answered(&sent, &Outcome::Enforced));
        let then = difference(&new, &applied, Steady(0), DAY);
        prop_assert!(then.is_empty(), "{:?}", then);
        applied.retain(|id, _| !then.forget.contains(id));
        for id in &then.adopt {
            applied.get_mut(id).unwrap().of = new[id].of.clone();
        }
        prop_assert_eq!(applied, answered(&new, &Outcome::Enforced));
    }

    #[test]
    fn what_is_sent_passes_the_bounds_again(policies in any_policies(), (channel, target) in any_target()) {
        for (id, part) in desired(&effective(&policies), channel, &target) {
            prop_assert_eq!(bounds::check(&part.content), Ok(()));
            prop_assert_eq!(bounds::check_remove(&id), Ok(()));
        }
    }

    #[test]
    fn coverage_names_every_typed_setting_once(policies in any_policies(), (channel, target) in any_target()) {
        let merged = effective(&policies);
        let applied = answered(&desired(&merged, channel, &target), &Outcome::Enforced);
        let subject = Subject { target, encrypted: None, channels: vec![ChannelView::new(channel, &applied)] };
        let rows = coverage(&merged, &subject);
        for value in merged.values() {
            prop_assert_eq!(rows.iter().filter(|row| row.setting == value.setting().name()).count(), 1);
        }
        // Whether its drive is encrypted a PC tells elsewhere.
        let is_open = |row: &&SettingCoverage| row.setting == "encryption" && target.platform == Platform::Windows;
        let answered: Vec<SettingCoverage> = rows.iter().filter(|row| !is_open(row)).cloned().collect();
        prop_assert!(device_state(&answered) != DeviceState::Pending, "all was answered");
        prop_assert!(rows.iter().all(|row| row.state == State::Enforced || row.why.is_some()), "gaps have their ground");
    }

    #[test]
    fn a_diff_is_empty_only_between_equals(a in any_policy("a".into()), b in any_policy("a".into())) {
        let lines = diff(Some(&a), Some(&b), Touched::default()).lines;
        prop_assert_eq!(lines.is_empty(), a.values() == b.values() && (&a.apple_profiles, &a.windows_csp, &a.activesync)
            == (&b.apple_profiles, &b.windows_csp, &b.activesync));
    }
}

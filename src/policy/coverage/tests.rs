use time::OffsetDateTime;

use super::super::applied::Moment;
use super::super::bounds::test_profile;
use super::super::effective::effective;
use super::super::support::Gap;
use super::super::target::Platform;
use super::super::version::Version;
use super::*;
use crate::clock::Steady;

fn merged(text: &str) -> Effective {
    effective([&PolicyFile::parse(&format!("name: a\nassign: all\n{text}")).unwrap()])
}

fn all_answered(
    merged: &Effective,
    channel: Channel,
    platform: Platform,
    outcome: &Outcome,
) -> BTreeMap<PartId, Applied> {
    let at = OffsetDateTime::UNIX_EPOCH;
    let record = |part: Part| Applied {
        passcode: part.passcode.then(|| Passcode::met(at)),
        ..Applied::new(&part.hash, outcome.clone(), at)
    };
    desired(merged, channel, &Target::of(platform)).into_iter().map(|(id, part)| (id, record(part))).collect()
}

fn subject<'a>(platform: Platform, channels: Vec<ChannelView<'a>>) -> Subject<'a> {
    Subject { target: Target::of(platform), encrypted: None, channels }
}

#[test]
fn one_setting_on_each_channel() {
    let none = "";
    for (row, text, channel, platform, outcome, state, words) in [
        ("done", "camera: blocked", Channel::Apple, Platform::Ios, Some(Outcome::Enforced), "enforced", none),
        ("not asked yet", "camera: blocked", Channel::Apple, Platform::Ios, None, "pending", none),
        ("refused", "camera: blocked", Channel::Apple, Platform::Ios, Some(Outcome::failed("12")), "failed", "12"),
        (
            "an iPhone",
            "passcode: {required: true}\nencryption: required",
            Channel::Apple,
            Platform::Ios,
            None,
            "enforced",
            "always",
        ),
        ("without passcode", "encryption: required", Channel::Apple, Platform::Ios, None, "partly", "no passcode"),
        ("a Mac", "encryption: required", Channel::Apple, Platform::Macos, None, "cannot", "FileVault"),
        (
            "BitLocker",
            "encryption: required",
            Channel::Omadm,
            Platform::Windows,
            Some(Outcome::Enforced),
            "pending",
            "has not told yet whether its storage is encrypted",
        ),
        (
            "Home",
            "camera: blocked",
            Channel::Omadm,
            Platform::Windows,
            Some(Outcome::unsupported("404")),
            "cannot",
            "404",
        ),
        (
            "mail",
            "camera: blocked",
            Channel::Activesync,
            Platform::Other,
            Some(Outcome::Enforced),
            "partly",
            "proves no single",
        ),
        (
            "mail, status 2",
            "camera: blocked",
            Channel::Activesync,
            Platform::Other,
            Some(Outcome::partly("status 2")),
            "partly",
            "status 2",
        ),
        (
            "Android",
            "camera: blocked",
            Channel::Activesync,
            Platform::Android,
            Some(Outcome::Enforced),
            "partly",
            "Android 10",
        ),
    ] {
        let merged = merged(text);
        let applied = outcome.map(|o| all_answered(&merged, channel, platform, &o)).unwrap_or_default();
        let rows = coverage(&merged, &subject(platform, vec![ChannelView::new(channel, &applied)]));
        let found = rows.last().unwrap();
        assert_eq!(found.state.as_str(), state, "{row}");
        assert!(found.why.clone().unwrap_or_default().contains(words), "{row}: {:?}", found.why);
        assert_eq!(found.channel, Some(channel), "{row}");
    }
}

#[test]
fn the_best_channel_counts() {
    let merged = merged("passcode: {required: true}");
    let mail = all_answered(&merged, Channel::Activesync, Platform::Ios, &Outcome::Enforced);
    let done = all_answered(&merged, Channel::Apple, Platform::Ios, &Outcome::Enforced);
    let none = BTreeMap::new();
    for (row, apple, want) in [("answered", &done, State::Enforced), ("on its way", &none, State::Pending)] {
        let channels = vec![ChannelView::new(Channel::Activesync, &mail), ChannelView::new(Channel::Apple, apple)];
        let rows = coverage(&merged, &subject(Platform::Ios, channels));
        assert_eq!((rows[0].state, rows[0].channel), (want, Some(Channel::Apple)), "{row}");
    }
    let rows = coverage(&merged, &subject(Platform::Ios, vec![]));
    assert_eq!((rows[0].state, rows[0].channel), (State::Unsupported, None));
}

#[test]
fn a_changed_policy_is_pending_until_answered() {
    let old = merged("passcode: {min_length: 6}");
    let applied = all_answered(&old, Channel::Omadm, Platform::Windows, &Outcome::Enforced);
    let new = merged("passcode: {min_length: 8}");
    let rows = coverage(&new, &subject(Platform::Windows, vec![ChannelView::new(Channel::Omadm, &applied)]));
    let states: Vec<_> = rows.iter().map(|row| (row.setting.as_str(), row.state)).collect();
    assert_eq!(states, [("passcode.required", State::Enforced), ("passcode.min_length", State::Pending)]);
    assert_eq!(device_state(&rows), DeviceState::Pending);
    assert_eq!(compliance(&rows), Compliance::Pending);
}

#[test]
fn what_the_device_reports_and_the_channel_knows_comes_first() {
    let merged = merged("encryption: required\ncamera: blocked\n");
    let applied = all_answered(&merged, Channel::Apple, Platform::Macos, &Outcome::Enforced);
    let mut view = ChannelView::new(Channel::Apple, &applied);
    view.support.insert(Setting::Camera, Support::No("this Mac has none"));
    let mac = Subject { target: Target::of(Platform::Macos), encrypted: Some(true), channels: vec![view] };
    let rows = coverage(&merged, &mac);
    assert_eq!(rows[0].state, State::Enforced);
    assert_eq!((rows[1].state, rows[1].why.as_deref()), (State::Unsupported, Some("this Mac has none")));
    assert_eq!(compliance(&rows), Compliance::Noncompliant);
}

#[test]
fn mail_alone_is_partly_enforced_and_compliant() {
    let merged = merged("passcode: {min_length: 8}\nactivesync: {AllowBluetooth: 0}\n");
    let applied = all_answered(&merged, Channel::Activesync, Platform::Other, &Outcome::Enforced);
    let rows = coverage(&merged, &subject(Platform::Other, vec![ChannelView::new(Channel::Activesync, &applied)]));
    assert_eq!(rows.last().unwrap().setting, "activesync.AllowBluetooth");
    assert_eq!(device_state(&rows), DeviceState::Partly);
    assert_eq!(compliance(&rows), Compliance::Compliant);
    assert_eq!(
        serde_json::to_value(&rows[1]).unwrap(),
        serde_json::json!({
            "setting": "passcode.min_length", "state": "partly", "channel": "activesync", "why": ACKNOWLEDGED
        })
    );
}

#[test]
fn raw_parts_are_asked_of_their_channel_alone_and_policies_can_be_told_apart() {
    let a = PolicyFile::parse("name: a\nassign: all\nactivesync: {AllowWiFi: 1}\ncamera: blocked\n").unwrap();
    let b = PolicyFile::parse("name: b\nassign: all\nencryption: required\n").unwrap();
    let merged = effective([&a, &b]);
    let applied = all_answered(&merged, Channel::Omadm, Platform::Windows, &Outcome::Enforced);
    let rows = coverage(&merged, &subject(Platform::Windows, vec![ChannelView::new(Channel::Omadm, &applied)]));
    assert_eq!(rows.len(), 2);
    let of_a = of_policy(rows, &a, &merged, |channel| channel == Channel::Omadm);
    assert_eq!(of_a.len(), 1);
    assert_eq!(device_state(&of_a), DeviceState::Enforced);
    assert_eq!(device_state(&[]), DeviceState::Enforced, "nothing asked");
}

#[test]
fn of_two_policies_that_disagree_the_loser_says_to_whom() {
    let a = PolicyFile::parse("name: a\nassign: all\ncamera: allowed\nactivesync: {AllowWiFi: 1}\n").unwrap();
    let b = PolicyFile::parse("name: b\nassign: all\ncamera: blocked\nactivesync: {AllowWiFi: 0}\n").unwrap();
    let merged = effective([&a, &b]);
    let applied = all_answered(&merged, Channel::Omadm, Platform::Windows, &Outcome::Enforced);
    let subject = subject(Platform::Windows, vec![ChannelView::new(Channel::Omadm, &applied)]);
    let of = |policy: &PolicyFile| {
        of_policy(coverage(&merged, &subject), policy, &merged, |channel| channel == Channel::Omadm)
    };
    let rows = of(&a);
    assert_eq!(rows.len(), 1, "what is for mail is not asked of a PC");
    assert_eq!((rows[0].state, rows[0].why.as_deref()), (State::Overridden, Some("overridden by b")));
    assert_eq!(device_state(&rows), DeviceState::Partly);
    assert_eq!(of(&b)[0].state, State::Enforced);
    assert_eq!(compliance(&coverage(&merged, &subject)), Compliance::Compliant, "the device does what is in force");
}

#[test]
fn coverage_says_since_when_it_holds_and_when_that_was_seen() {
    let merged = merged("camera: blocked\nbluetooth: blocked\n");
    let at = |seconds| Some(OffsetDateTime::from_unix_timestamp(seconds).unwrap());
    let mut applied = all_answered(&merged, Channel::Omadm, Platform::Windows, &Outcome::Enforced);
    for (turn, kept) in applied.values_mut().enumerate() {
        (kept.since, kept.verified) = (at(1), at(50 + i64::try_from(turn).unwrap()));
    }
    let of = |applied: &BTreeMap<PartId, Applied>| {
        coverage(&merged, &subject(Platform::Windows, vec![ChannelView::new(Channel::Omadm, applied)]))
    };
    let rows = of(&applied);
    assert_eq!((rows[0].since, rows[0].verified, rows[1].verified), (at(1), at(50), at(51)));
    assert_eq!(verified(&rows), at(50), "all of it");
    applied.values_mut().next().unwrap().outcome = Outcome::Lost;
    let rows = of(&applied);
    assert_eq!((rows[0].state, rows[0].since, rows[0].verified), (State::Pending, None, at(50)));
    assert_eq!(verified(&rows), at(51));
    applied.values_mut().for_each(|kept| {
        let was = Applied { verified: at(60), ..Applied::new(&kept.hash, Outcome::Enforced, kept.at) };
        *kept = Applied { unread: Some("Status 500".into()), ..was };
    });
    let rows = of(&applied);
    assert_eq!((rows[0].state, rows[0].verified), (State::Enforced, at(60)), "as when it was last seen");
    let why = rows[0].why.clone().unwrap();
    assert!(why.ends_with("; the device did not tell it when it was last asked: Status 500"), "{why}");
    applied.values_mut().for_each(|kept| kept.outcome = Outcome::There);
    let rows = of(&applied);
    assert_eq!((rows[0].state, rows[0].verified), (State::Enforced, None));
    assert!(rows[0].why.as_ref().unwrap().ends_with(THERE));
    applied.values_mut().for_each(|kept| *kept = Applied::new(&kept.hash, Outcome::Taken, kept.at));
    let rows = of(&applied);
    assert_eq!((rows[0].state, verified(&rows)), (State::Enforced, None), "nobody has seen it");
}

/// What an acknowledged rule for the passcode comes to, by what the device says of it, and of a mail client's word beside it.
#[test]
fn rules_for_the_passcode_hold_by_the_devices_own_word() {
    let profile = test_profile("com.example.p", "com.apple.mobiledevice.passwordpolicy", "");
    let merged = merged(&format!("passcode: {{min_length: 8}}\ncamera: blocked\napple: {{profiles: ['{profile}']}}"));
    let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap();
    let mail = all_answered(&merged, Channel::Activesync, Platform::Ios, &Outcome::Enforced);
    let told = |said, since, met: Option<i64>| Passcode {
        said,
        since: at(since),
        met: met.map(at),
        tries: 0,
        again: None,
        unread: None,
    };
    for (row, platform, said, state, since, verified) in [
        ("not asked", Platform::Ios, None, State::Pending, None, None),
        ("it does not say", Platform::Ios, Some(told(None, 5, None)), State::Pending, None, None),
        ("it did not say any more", Platform::Ios, Some(told(None, 5, Some(4))), State::Pending, None, Some(4)),
        ("it does not comply", Platform::Ipados, Some(told(Some(Said::Unmet), 5, None)), State::Unmet, None, None),
        ("it did once", Platform::Ios, Some(told(Some(Said::Absent), 5, Some(4))), State::Unmet, None, Some(4)),
        ("it does, since", Platform::Ios, Some(told(Some(Said::Met), 5, Some(5))), State::Enforced, Some(5), Some(5)),
        ("seen again", Platform::Ios, Some(told(Some(Said::Met), 5, Some(30))), State::Enforced, Some(5), Some(20)),
        ("the list alone", Platform::Ios, Some(told(Some(Said::Met), 5, Some(15))), State::Enforced, Some(5), Some(15)),
        ("a Mac", Platform::Macos, None, State::Enforced, Some(2), Some(20)),
    ] {
        let mut applied = all_answered(&merged, Channel::Apple, platform, &Outcome::Enforced);
        applied.values_mut().for_each(|kept| {
            (kept.since, kept.verified, kept.passcode) = (Some(at(2)), Some(at(20)), said.clone());
        });
        let views = vec![ChannelView::new(Channel::Activesync, &mail), ChannelView::new(Channel::Apple, &applied)];
        let target = Target { version: Version::parse("18.1"), ..Target::of(platform) };
        let rows = coverage(&merged, &Subject { target, encrypted: None, channels: views });
        for setting in ["passcode.required", "passcode.min_length", "apple.profiles[com.example.p]"] {
            let found = rows.iter().find(|row| row.setting == setting).unwrap();
            assert_eq!((found.state, found.channel), (state, Some(Channel::Apple)), "{row}: {setting}");
            assert_eq!((found.since, found.verified), (since.map(at), verified.map(at)), "{row}: {setting}");
            assert!(found.why.is_some() || state == State::Enforced, "{row}: {setting}");
        }
        let camera = rows.iter().find(|row| row.setting == "camera").unwrap();
        assert_eq!(
            (camera.state, camera.since, camera.verified),
            (State::Enforced, Some(at(2)), Some(at(20))),
            "{row}"
        );
        let [devices, compliant] = match state {
            State::Pending => ["Pending", "Pending"],
            State::Unmet => ["Pending", "Noncompliant"],
            _ => ["Enforced", "Compliant"],
        };
        assert_eq!(
            format!("{:?} {:?}", device_state(&rows), compliance(&rows)),
            format!("{devices} {compliant}"),
            "{row}"
        );
    }
}

/// What a PC is asked for its drive comes to, by what it says of it; and what a Mac says, beside the word of its mail.
#[test]
fn what_must_be_encrypted_is_so_by_the_devices_own_word() {
    let merged = merged("encryption: required");
    let mail = |platform| all_answered(&merged, Channel::Activesync, platform, &Outcome::Enforced);
    let (omadm, apple) = (Channel::Omadm, Channel::Apple);
    let (pc, mac) = (Platform::Windows, Platform::Macos);
    let done = Some(Outcome::Enforced);
    for (row, channel, platform, outcome, encrypted, state, compliant) in [
        ("encrypted", omadm, pc, done.clone(), Some(true), State::Enforced, Compliance::Compliant),
        ("not encrypted", omadm, pc, done.clone(), Some(false), State::Unmet, Compliance::Noncompliant),
        ("not told", omadm, pc, done.clone(), None, State::Pending, Compliance::Pending),
        ("not answered yet", omadm, pc, None, Some(false), State::Pending, Compliance::Pending),
        ("refused", omadm, pc, Some(Outcome::failed("500")), Some(false), State::Failed, Compliance::Noncompliant),
        ("a phone", omadm, Platform::WindowsPhone, done.clone(), None, State::Enforced, Compliance::Compliant),
        ("a Mac", apple, mac, None, Some(false), State::Unsupported, Compliance::Noncompliant),
        ("a Mac with FileVault", apple, mac, None, Some(true), State::Enforced, Compliance::Compliant),
    ] {
        let applied = outcome.map(|o| all_answered(&merged, channel, platform, &o)).unwrap_or_default();
        let mail = mail(platform);
        let ours = ChannelView::new(channel, &applied);
        let beside = vec![ours.clone(), ChannelView::new(Channel::Activesync, &mail)];
        let of = |channels| coverage(&merged, &Subject { target: Target::of(platform), encrypted, channels });
        let rows = of(vec![ours]);
        assert_eq!((rows[0].state, compliance(&rows)), (state, compliant), "{row}: {:?}", rows[0].why);
        if encrypted == Some(false) {
            assert_ne!(compliance(&of(beside)), Compliance::Compliant, "{row}, whatever its mail acknowledges");
        }
        if state == State::Unmet {
            assert!(rows[0].why.as_ref().unwrap().contains("reports that its storage is not encrypted"), "{row}");
        }
    }
}

#[test]
fn a_passcode_that_it_says_no_more_of_is_as_it_was_and_says_so() {
    let merged = merged("passcode: {required: true}");
    let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap();
    for (said, state, words) in [
        (None, State::Pending, "has not said yet whether its passcode complies; "),
        (Some(Said::Unmet), State::Unmet, "does not comply yet; "),
        (Some(Said::Met), State::Enforced, ""),
    ] {
        let mut applied = all_answered(&merged, Channel::Apple, Platform::Ios, &Outcome::Enforced);
        let kept = applied.values_mut().next().unwrap();
        kept.passcode = None;
        kept.passcode_told(said, Moment { at: at(5), now: Steady(5000) });
        kept.passcode_unread("12007 no right");
        let views = vec![ChannelView::new(Channel::Apple, &applied)];
        let rows = coverage(&merged, &Subject { target: Target::of(Platform::Ios), encrypted: None, channels: views });
        let why = rows[0].why.clone().unwrap();
        assert_eq!(rows[0].state, state, "{why}");
        assert!(why.ends_with("did not say how its passcode is when it was last asked: 12007 no right"), "{why}");
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn what_a_device_lacks_comes_before_its_acknowledgement() {
    let version = Version::parse("16.6");
    let (camera, tvos) = (merged("camera: blocked"), Target::of(Platform::Tvos));
    for (row, target, state, words) in [
        ("not told", tvos, State::Pending, "it needs tvOS 17.0, and the device has not told yet"),
        ("too old", Target { version, ..tvos }, State::Unsupported, "it needs tvOS 17.0"),
        ("new enough", Target { version: Version::parse("17.0"), ..tvos }, State::Enforced, ""),
    ] {
        // What was sent to it before it told more.
        let applied = all_answered(&camera, Channel::Apple, Platform::Tvos, &Outcome::Enforced);
        let channels = vec![ChannelView::new(Channel::Apple, &applied)];
        let rows = coverage(&camera, &Subject { target, encrypted: None, channels });
        assert_eq!(rows[0].state, state, "{row}");
        assert!(rows[0].why.clone().unwrap_or_default().starts_with(words), "{row}: {:?}", rows[0].why);
        assert_eq!(compliance(&rows) == Compliance::Compliant, state == State::Enforced, "{row}");
    }
}

/// No setting of today takes supervision and is acknowledged by an iPhone's mail client as well: the channel's word stands in for one.
#[test]
fn without_supervision_a_setting_that_needs_it_is_never_compliant() {
    let camera = merged("camera: blocked");
    let applied = all_answered(&camera, Channel::Apple, Platform::Ios, &Outcome::Enforced);
    for (support, want) in [
        (Support::Lacks(Gap::Supervision), Compliance::Noncompliant),
        (Support::Unknown(Gap::Supervision), Compliance::Pending),
        (Support::Full, Compliance::Compliant),
    ] {
        let mut view = ChannelView::new(Channel::Apple, &applied);
        view.support.insert(Setting::Camera, support);
        let rows = coverage(&camera, &subject(Platform::Ios, vec![view]));
        assert_eq!(compliance(&rows), want, "{support:?}: {rows:?}");
    }
    let mail = all_answered(&camera, Channel::Activesync, Platform::Ios, &Outcome::Enforced);
    let mut view = ChannelView::new(Channel::Apple, &applied);
    view.support.insert(Setting::Camera, Support::Lacks(Gap::Supervision));
    let both = vec![ChannelView::new(Channel::Activesync, &mail), view];
    let rows = coverage(&camera, &subject(Platform::Ios, both));
    assert_eq!((rows[0].state, rows[0].channel), (State::Unsupported, Some(Channel::Apple)), "nor by its mail's word");
    assert_eq!(rows[0].why.as_deref(), Some("it needs a supervised device"));
}

#[test]
fn an_unsupervised_iphone_is_never_compliant_for_bluetooth() {
    let (apple, mail) = (&[Channel::Apple][..], &[Channel::Activesync][..]);
    let both = &[Channel::Activesync, Channel::Apple][..];
    for (row, channels, platform, supervised, want) in [
        ("unsupervised", apple, Platform::Ios, Some(false), Compliance::Noncompliant),
        ("not told", apple, Platform::Ios, None, Compliance::Pending),
        ("supervised", apple, Platform::Ios, Some(true), Compliance::Compliant),
        ("an iPad", apple, Platform::Ipados, Some(false), Compliance::Noncompliant),
        ("by its mail's word", both, Platform::Ios, Some(false), Compliance::Noncompliant),
        ("not told, with mail", both, Platform::Ios, None, Compliance::Pending),
        ("supervised, with mail", both, Platform::Ios, Some(true), Compliance::Compliant),
        ("mail alone", mail, Platform::Ios, None, Compliance::Noncompliant),
        ("an iPad's mail alone", mail, Platform::Ipados, None, Compliance::Noncompliant),
        ("a mail app that does not name its system", mail, Platform::Other, None, Compliance::Noncompliant),
        ("a Mac", apple, Platform::Macos, Some(false), Compliance::Compliant),
        ("an Apple TV", apple, Platform::Tvos, Some(true), Compliance::Noncompliant),
    ] {
        let target = Target { supervised, version: Version::parse("18.1"), ..Target::of(platform) };
        for text in ["bluetooth: allowed", "bluetooth: blocked"] {
            let merged = merged(text);
            // As if it had been asked for everything and had acknowledged it, before it told that it is not supervised.
            let answers: Vec<_> = channels
                .iter()
                .map(|channel| (*channel, all_answered(&merged, *channel, platform, &Outcome::Enforced)))
                .collect();
            let views = answers.iter().map(|(channel, applied)| ChannelView::new(*channel, applied)).collect();
            let rows = coverage(&merged, &Subject { target, encrypted: None, channels: views });
            assert_eq!(compliance(&rows), want, "{row}, {text}: {rows:?}");
        }
    }
}

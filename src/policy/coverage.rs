//! Coverage: what of a policy a device enforces, over which channel, and what not and why.
//!
//! ActiveSync is a case of its own: a client that acknowledges a policy with status 1 may count as enforced what it
//! cannot do ([MS-ASPROV]), so its word proves no single setting. Such a setting is [`State::Acknowledged`]: `partly`
//! in JSON, with the ground in `why`; but it counts as compliant, since mail alone never gives more.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::{Serialize, Serializer};

use super::difference::{Applied, Outcome};
use super::effective::Effective;
use super::file::PolicyFile;
use super::part::{Part, PartId};
use super::parts::desired;
use super::settings::{Setting, Value};
use super::support::{Known, Support};
use super::target::{Channel, Target};

/// What acknowledgement by a mail client is worth.
const ACKNOWLEDGED: &str = "acknowledged by the client as a whole; its answer proves no single setting";

/// A device, as far as policy needs it.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// What it runs, and what else decides which settings it keeps.
    pub target: Target,
    /// Whether its storage is encrypted, by its own report (a Mac's FileVault, BitLocker); `None`: not heard.
    pub encrypted: Option<bool>,
    /// One for each enrolment that carries policy.
    pub channels: Vec<ChannelView<'a>>,
}

/// What a device answered over one channel.
#[derive(Debug, Clone)]
pub struct ChannelView<'a> {
    /// Which one.
    pub channel: Channel,
    /// The record of its parts.
    pub applied: &'a BTreeMap<PartId, Applied>,
    /// Where the channel knows better of this device than the tables.
    pub support: BTreeMap<Setting, Support>,
}

impl<'a> ChannelView<'a> {
    /// A channel that goes by the table.
    pub fn new(channel: Channel, applied: &'a BTreeMap<PartId, Applied>) -> Self {
        ChannelView { channel, applied, support: BTreeMap::new() }
    }

    fn support(&self, target: &Target, value: Value) -> Support {
        self.support.get(&value.setting()).copied().unwrap_or_else(|| value.support(self.channel, target))
    }
}

/// One setting on one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SettingCoverage {
    /// As the policy file names it: `passcode.min_length`, `apple.profiles[IDENTIFIER]`,
    /// `windows.csp[PATH]`, `activesync.ELEMENT`.
    pub setting: String,
    /// How well.
    pub state: State,
    /// The channel that does best; `None` where the device has none for it.
    pub channel: Option<Channel>,
    /// What is missing, or what to know.
    pub why: Option<String>,
}

/// How well a setting is enforced, best first: of several channels the best counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// The device says so of this setting.
    Enforced,
    /// Sent or to be sent, not yet answered; or answered by a device that has not told yet what would make its answer good.
    Pending,
    /// Done as far as the platform can; `partly` in JSON.
    Limited,
    /// Acknowledged over ActiveSync; `partly` in JSON.
    Acknowledged,
    /// The device says that it did not do all; `partly` in JSON.
    Partly,
    /// The device refused it.
    Failed,
    /// The device cannot.
    Unsupported,
}

impl State {
    /// The name in JSON: enforced, partly, pending, failed, unsupported.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Enforced => "enforced",
            State::Pending => "pending",
            State::Limited | State::Acknowledged | State::Partly => "partly",
            State::Failed => "failed",
            State::Unsupported => "unsupported",
        }
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// All settings together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are the contract's")]
pub enum DeviceState {
    Enforced,
    Partly,
    Pending,
}

/// The device's `compliance`; a device without a policy has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names are the contract's")]
pub enum Compliance {
    Compliant,
    Noncompliant,
    Pending,
}

/// Every setting asked of a device: typed ones in the order of [`Setting`], then the raw parts of its channels. Raw
/// parts for channels that it does not have are not asked of it.
pub fn coverage(effective: &Effective, subject: &Subject<'_>) -> Vec<SettingCoverage> {
    coverage_of(effective, subject, |channel| Rc::new(desired(effective, channel, &subject.target)))
}

/// The same, where what is [`desired`] of such a device over a channel was worked out before, for all that are alike.
pub fn coverage_of(
    effective: &Effective,
    subject: &Subject<'_>,
    desired: impl Fn(Channel) -> Rc<BTreeMap<PartId, Part>>,
) -> Vec<SettingCoverage> {
    let parts: Vec<_> = subject.channels.iter().map(|view| (view, desired(view.channel))).collect();
    let typed = effective.values().into_iter().map(|value| {
        // A mail client's word proves no single setting, so it makes nothing good that the device is known to lack.
        let lacks = parts.iter().any(|(view, _)| matches!(view.support(&subject.target, value), Support::Lacks(_)));
        let over = parts.iter().map(|(view, parts)| typed_row(value, effective, subject, view, parts));
        let counts =
            |row: &SettingCoverage| !lacks || row.state == State::Enforced || row.channel != Some(Channel::Activesync);
        over.filter(counts).min_by_key(|row| row.state).unwrap_or_else(|| SettingCoverage {
            setting: value.setting().name().to_owned(),
            state: State::Unsupported,
            channel: None,
            why: Some("the device has no enrolment that carries policy".to_owned()),
        })
    });
    let raw = parts.iter().flat_map(|(view, parts)| raw_rows(view, parts));
    typed.chain(raw).collect()
}

/// The rows of one policy alone, where several are in force. A value stricter than the policy's own is enforced too.
pub fn of_policy(rows: Vec<SettingCoverage>, policy: &PolicyFile) -> Vec<SettingCoverage> {
    let names = policy.setting_names();
    rows.into_iter().filter(|row| names.contains(&row.setting)).collect()
}

/// Pending while anything is, else enforced where everything is. Nothing asked is enforced.
pub fn device_state(rows: &[SettingCoverage]) -> DeviceState {
    if rows.iter().any(|row| row.state == State::Pending) {
        DeviceState::Pending
    } else if rows.iter().all(|row| row.state == State::Enforced) {
        DeviceState::Enforced
    } else {
        DeviceState::Partly
    }
}

/// A gap is a gap: what a device refused or cannot do makes it noncompliant; what its platform limits, or mail leaves
/// unproven, does not.
pub fn compliance(rows: &[SettingCoverage]) -> Compliance {
    let any = |states: &[State]| rows.iter().any(|row| states.contains(&row.state));
    if any(&[State::Partly, State::Failed, State::Unsupported]) {
        Compliance::Noncompliant
    } else if any(&[State::Pending]) {
        Compliance::Pending
    } else {
        Compliance::Compliant
    }
}

fn typed_row(
    value: Value,
    effective: &Effective,
    subject: &Subject<'_>,
    view: &ChannelView<'_>,
    parts: &BTreeMap<PartId, Part>,
) -> SettingCoverage {
    let name = value.setting().name();
    let passcode_required = effective.settings.passcode_required.is_some();
    let known = Known { encrypted: subject.encrypted, passcode_required };
    let supported = value.known(view.support(&subject.target, value), &known);
    let (state, why) = match supported {
        Support::Always(why) => (State::Enforced, Some(why.to_owned())),
        Support::InPart(why) => (State::Limited, Some(why.to_owned())),
        Support::No(why) => (State::Unsupported, Some(why.to_owned())),
        Support::Lacks(gap) => (State::Unsupported, Some(gap.to_string())),
        _ => match parts.values().find(|part| part.settings.iter().any(|setting| setting == name)) {
            // The channel knows a way that the table does not, and has not taken it.
            None => (State::Pending, None),
            Some(part) => limit(answered(view, part), supported),
        },
    };
    SettingCoverage { setting: name.to_owned(), state, channel: Some(view.channel), why }
}

fn raw_rows(view: &ChannelView<'_>, parts: &BTreeMap<PartId, Part>) -> Vec<SettingCoverage> {
    let rows = parts.values().flat_map(|part| {
        let raw = part.settings.iter().filter(|setting| Setting::from_name(setting).is_none());
        raw.map(|setting| {
            let (state, why) = answered(view, part);
            SettingCoverage { setting: setting.clone(), state, channel: Some(view.channel), why }
        })
    });
    rows.collect()
}

/// What the device made of the part as it is wanted now.
fn answered(view: &ChannelView<'_>, part: &Part) -> (State, Option<String>) {
    let Some(applied) = view.applied.get(&part.id).filter(|applied| applied.hash == part.hash) else {
        return (State::Pending, None);
    };
    match &applied.outcome {
        Outcome::Enforced if view.channel == Channel::Activesync => {
            (State::Acknowledged, Some(ACKNOWLEDGED.to_owned()))
        }
        Outcome::Enforced => (State::Enforced, None),
        Outcome::Partly(text) => (State::Partly, Some(format!("the device did not do all of it: {text}"))),
        Outcome::Failed(text) => (State::Failed, Some(format!("the device refused it: {text}"))),
        Outcome::Unsupported(text) => (State::Unsupported, Some(format!("the device has no such setting: {text}"))),
        Outcome::Stuck(_) => (State::Pending, None),
    }
}

/// A platform's limits, put on what the device answered.
fn limit((state, why): (State, Option<String>), supported: Support) -> (State, Option<String>) {
    match (state, supported) {
        (State::Enforced | State::Acknowledged, Support::Limited(limit)) => {
            let why = why.map_or_else(|| limit.to_owned(), |why| format!("{limit}; {why}"));
            (State::Limited, Some(why))
        }
        (State::Enforced, Support::Noted(note)) => (state, Some(note.to_owned())),
        // Apple devices acknowledge what they do not heed.
        (State::Enforced | State::Pending, Support::Unknown(gap)) => {
            (State::Pending, Some(format!("{gap}, and the device has not told yet whether it does")))
        }
        _ => (state, why),
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::super::effective::effective;
    use super::super::support::Gap;
    use super::super::target::Platform;
    use super::super::version::Version;
    use super::*;

    fn merged(text: &str) -> Effective {
        effective([&PolicyFile::parse(&format!("name: a\nassign: all\n{text}")).unwrap()])
    }

    fn all_answered(
        merged: &Effective,
        channel: Channel,
        platform: Platform,
        outcome: &Outcome,
    ) -> BTreeMap<PartId, Applied> {
        let record = |part: Part| Applied { hash: part.hash, outcome: outcome.clone(), at: OffsetDateTime::UNIX_EPOCH };
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
            ("a Mac", "encryption: required", Channel::Apple, Platform::Macos, None, "unsupported", "FileVault"),
            (
                "BitLocker",
                "encryption: required",
                Channel::Omadm,
                Platform::Windows,
                Some(Outcome::Enforced),
                "partly",
                "BitLocker",
            ),
            (
                "Home",
                "camera: blocked",
                Channel::Omadm,
                Platform::Windows,
                Some(Outcome::unsupported("404")),
                "unsupported",
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
        let of_a = of_policy(rows, &a);
        assert_eq!(of_a.len(), 1);
        assert_eq!(device_state(&of_a), DeviceState::Enforced);
        assert_eq!(device_state(&[]), DeviceState::Enforced, "nothing asked");
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
        assert_eq!(
            (rows[0].state, rows[0].channel),
            (State::Unsupported, Some(Channel::Apple)),
            "nor by its mail's word"
        );
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
}

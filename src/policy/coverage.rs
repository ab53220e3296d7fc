//! Coverage: what of a policy a device enforces, over which channel, and what not and why.
//!
//! ActiveSync is a case of its own: a client that acknowledges a policy with status 1 may count as enforced what it
//! cannot do ([MS-ASPROV]), so its word proves no single setting. Such a setting is [`State::Acknowledged`]: `partly`
//! in JSON, with the ground in `why`; but it counts as compliant, since mail alone never gives more.

mod left;

pub use left::{Problem, left, problems};

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::{Serialize, Serializer};
use time::OffsetDateTime;

use super::applied::{Applied, Outcome, Passcode, Said};
use super::effective::Effective;
use super::file::PolicyFile;
use super::part::{Part, PartId};
use super::parts::desired;
use super::settings::{Setting, Value, passcode};
use super::support::{Known, Support};
use super::target::{Channel, Target};

/// What acknowledgement by a mail client is worth.
const ACKNOWLEDGED: &str = "acknowledged by the client as a whole; its answer proves no single setting";

/// What a part is that the device keeps in its own way.
const THERE: &str = "the device took it, and keeps it in its own way: it is there, and what it holds cannot be seen";

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
    /// Since when it holds.
    #[serde(skip)]
    pub since: Option<OffsetDateTime>,
    /// When it was last seen to hold.
    #[serde(skip)]
    pub verified: Option<OffsetDateTime>,
}

/// How well a setting is enforced, best first: of several channels the best counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// The device says so of this setting.
    Enforced,
    /// Sent or to be sent, not yet answered; or answered by a device that has not told yet what would make its answer good.
    Pending,
    /// Installed, and the device says that its user has not done yet what it asks for; `pending` in JSON.
    Unmet,
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
    /// Another policy holds over this one.
    Overridden,
    /// It is asked for no more, and the device refused to let it go.
    LeftBehind,
}

impl State {
    /// Whether it holds, if only as far as the platform goes.
    fn holds(self) -> bool {
        matches!(self, State::Enforced | State::Limited | State::Acknowledged)
    }

    /// The name in JSON: enforced, partly, pending, failed, cannot, overridden, left_behind.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Enforced => "enforced",
            State::Pending | State::Unmet => "pending",
            State::Limited | State::Acknowledged | State::Partly => "partly",
            State::Failed => "failed",
            State::Unsupported => "cannot",
            State::Overridden => "overridden",
            State::LeftBehind => "left_behind",
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
            since: None,
            verified: None,
        })
    });
    let raw = parts.iter().flat_map(|(view, parts)| raw_rows(view, parts));
    typed.chain(raw).collect()
}

/// The rows of one policy alone, where several are in force: what others hold over it says by whom. `has` are the device's channels.
pub fn of_policy(
    rows: Vec<SettingCoverage>,
    policy: &PolicyFile,
    effective: &Effective,
    has: impl Fn(Channel) -> bool,
) -> Vec<SettingCoverage> {
    let mut rows: BTreeMap<String, SettingCoverage> = rows.into_iter().map(|row| (row.setting.clone(), row)).collect();
    let names = policy.setting_names();
    let found = names.into_iter().filter_map(|setting| {
        let lost = effective.overridden.iter().find(|lost| lost.policy == policy.name && lost.setting == setting);
        match lost {
            Some(lost) => asked_over(&setting).is_none_or(&has).then(|| SettingCoverage {
                setting,
                state: State::Overridden,
                channel: None,
                why: Some(format!("overridden by {}", lost.by)),
                since: None,
                verified: None,
            }),
            None => rows.remove(&setting),
        }
    });
    found.collect()
}

/// The channel that a raw part is for.
fn asked_over(setting: &str) -> Option<Channel> {
    match setting.split_once('.') {
        Some(("apple", _)) => Some(Channel::Apple),
        Some(("windows", _)) => Some(Channel::Omadm),
        Some(("activesync", _)) => Some(Channel::Activesync),
        _ => None,
    }
}

/// When all of these that can be seen to hold were last seen to: the earliest of them.
pub fn verified(rows: &[SettingCoverage]) -> Option<OffsetDateTime> {
    rows.iter().filter(|row| row.state.holds()).filter_map(|row| row.verified).min()
}

/// Pending while anything is, else enforced where everything is. Nothing asked is enforced.
pub fn device_state(rows: &[SettingCoverage]) -> DeviceState {
    if rows.iter().any(|row| matches!(row.state, State::Pending | State::Unmet)) {
        DeviceState::Pending
    } else if rows.iter().all(|row| row.state == State::Enforced) {
        DeviceState::Enforced
    } else {
        DeviceState::Partly
    }
}

/// A gap is a gap: what a device refused or cannot do, or says of itself that it is not so, makes it noncompliant; what its platform
/// limits, or mail leaves unproven, does not.
pub fn compliance(rows: &[SettingCoverage]) -> Compliance {
    let any = |states: &[State]| rows.iter().any(|row| states.contains(&row.state));
    if any(&[State::Unmet, State::Partly, State::Failed, State::Unsupported]) {
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
    let stands = match supported {
        Support::Always(why) => Stands::of(State::Enforced, why.to_owned()),
        Support::InPart(why) => Stands::of(State::Limited, why.to_owned()),
        Support::No(why) => Stands::of(State::Unsupported, why.to_owned()),
        Support::Lacks(gap) => Stands::of(State::Unsupported, gap.to_string()),
        _ => match parts.values().find(|part| part.settings.iter().any(|setting| setting == name)) {
            // The channel knows a way that the table does not, and has not taken it.
            None => Stands::PENDING,
            Some(part) => {
                let stands = answered(view, part, passcode::is_rule(value.setting()));
                let (state, why) = limit((stands.state, stands.why.clone()), supported);
                Stands { state, why, ..stands }
            }
        },
    };
    stands.row(name.to_owned(), view.channel)
}

fn raw_rows(view: &ChannelView<'_>, parts: &BTreeMap<PartId, Part>) -> Vec<SettingCoverage> {
    let rows = parts.values().flat_map(|part| {
        let raw = part.settings.iter().filter(|setting| Setting::from_name(setting).is_none());
        raw.map(|setting| answered(view, part, true).row(setting.clone(), view.channel))
    });
    rows.collect()
}

/// How a part stands.
struct Stands {
    state: State,
    why: Option<String>,
    since: Option<OffsetDateTime>,
    verified: Option<OffsetDateTime>,
}

impl Stands {
    const PENDING: Stands = Stands { state: State::Pending, why: None, since: None, verified: None };

    fn of(state: State, why: String) -> Stands {
        Stands { state, why: Some(why), ..Stands::PENDING }
    }

    fn row(self, setting: String, channel: Channel) -> SettingCoverage {
        let Stands { state, why, since, verified } = self;
        let since = since.filter(|_| state.holds());
        SettingCoverage { setting, state, channel: Some(channel), why, since, verified }
    }
}

/// What the device made of the part as it is wanted now. `rules`: of its rules for the passcode, where it has any.
fn answered(view: &ChannelView<'_>, part: &Part, rules: bool) -> Stands {
    let Some(applied) = view.applied.get(&part.id).filter(|applied| applied.hash == part.hash) else {
        return Stands::PENDING;
    };
    let mail = view.channel == Channel::Activesync;
    let stands = match &applied.outcome {
        Outcome::Enforced | Outcome::Taken | Outcome::There if mail => {
            Stands::of(State::Acknowledged, ACKNOWLEDGED.to_owned())
        }
        Outcome::Enforced => {
            Stands { state: State::Enforced, why: applied.unread.as_deref().map(not_seen), ..Stands::PENDING }
        }
        Outcome::Taken => {
            Stands::of(State::Enforced, "the device took it, and does not let it be read back".to_owned())
        }
        Outcome::There => Stands::of(State::Enforced, THERE.to_owned()),
        Outcome::Unread(text) => Stands::of(State::Partly, format!("set, but it could not be read back: {text}")),
        Outcome::Partly(text) => Stands::of(State::Partly, format!("the device did not do all of it: {text}")),
        Outcome::Failed(text) => Stands::of(State::Failed, format!("the device refused it: {text}")),
        Outcome::Unsupported(text) => Stands::of(State::Unsupported, format!("the device has no such setting: {text}")),
        Outcome::Lost => Stands::of(State::Pending, "the device has lost it, and it is set again".to_owned()),
        Outcome::Stuck(_) | Outcome::Sent | Outcome::Leaving | Outcome::Away => Stands::PENDING,
    };
    let is_seen = !matches!(applied.outcome, Outcome::Taken | Outcome::There);
    let verified = applied.verified.filter(|_| is_seen);
    let stands = Stands { since: applied.since, verified, ..stands };
    let asks_its_user = rules && part.passcode && stands.state == State::Enforced;
    if asks_its_user { by_its_passcode(stands, applied.passcode.as_ref()) } else { stands }
}

/// Of what held when it was last seen.
fn not_seen(text: &str) -> String {
    format!("the device did not tell it when it was last asked: {text}")
}

/// The same of rules for the passcode, once they are installed: they hold since, and as long as, the device says that its passcode keeps to
/// them.
fn by_its_passcode(installed: Stands, passcode: Option<&Passcode>) -> Stands {
    let unread = passcode.and_then(|passcode| passcode.unread.as_deref());
    let no_word = "installed, and the device has not said yet whether its passcode complies";
    let (state, why) = match passcode.and_then(|passcode| passcode.said) {
        Some(Said::Met) => (State::Enforced, installed.why),
        Some(Said::Unmet) => {
            (State::Unmet, Some("installed, but the device says that its passcode does not comply yet".to_owned()))
        }
        Some(Said::Absent) => {
            (State::Unmet, Some("installed, but the device says that it has no passcode yet".to_owned()))
        }
        None => (State::Pending, Some(no_word.to_owned())),
    };
    let silence =
        unread.map(|text| format!("the device did not say how its passcode is when it was last asked: {text}"));
    let why = [why, silence].into_iter().flatten().reduce(|why, silence| format!("{why}; {silence}"));
    let met = passcode.and_then(|passcode| passcode.met);
    let since = passcode.map_or(installed.since, |passcode| installed.since.max(Some(passcode.since)));
    // Both at once, and so the earlier of the two; at first both were seen when the later one was.
    let verified = if state == State::Enforced { installed.verified.min(met).max(since) } else { met };
    Stands { state, why, since, verified }
}

/// A platform's limits, put on what the device answered.
fn limit((state, why): (State, Option<String>), supported: Support) -> (State, Option<String>) {
    match (state, supported) {
        (State::Enforced | State::Acknowledged, Support::Limited(limit)) => {
            let why = why.map_or_else(|| limit.to_owned(), |why| format!("{limit}; {why}"));
            (State::Limited, Some(why))
        }
        (State::Enforced, Support::Noted(note)) => {
            (state, Some(why.map_or_else(|| note.to_owned(), |why| format!("{note}; {why}"))))
        }
        (State::Enforced | State::Acknowledged, Support::Unmet(why)) => (State::Unmet, Some(why.to_owned())),
        (State::Enforced, Support::Untold(why)) => (State::Pending, Some(why.to_owned())),
        // Apple devices acknowledge what they do not heed.
        (State::Enforced | State::Pending, Support::Unknown(gap)) => {
            (State::Pending, Some(format!("{gap}, and the device has not told yet whether it does")))
        }
        _ => (state, why),
    }
}

#[cfg(test)]
mod tests;

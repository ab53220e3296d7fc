//! What is at a device and asked for no more, and what it refuses: so that nobody takes for gone what is not, nor for set.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::super::applied::{Applied, Outcome};
use super::super::part::{Part, PartId};
use super::{ChannelView, SettingCoverage, State};

/// What is left of a policy over one channel, whether there still is such a policy or not: what was refused its removal, and what has
/// yet to go.
pub fn left(policy: &str, view: &ChannelView<'_>, desired: &BTreeMap<PartId, Part>) -> Vec<SettingCoverage> {
    let rows = view.applied.iter().flat_map(|(id, kept)| {
        let settings = left_of(policy, id, kept, desired);
        settings.into_iter().map(|setting| {
            let (state, why) = match &kept.outcome {
                Outcome::Stuck(text) => (State::LeftBehind, format!("the device refused to let it go: {text}")),
                outcome @ (Outcome::Failed(text) | Outcome::Partly(text) | Outcome::Unsupported(text))
                    if outcome.is_refused() && desired.contains_key(id) =>
                {
                    (State::LeftBehind, format!("the device refused what takes its place: {text}"))
                }
                _ => (State::Pending, "it is to be taken away".to_owned()),
            };
            let (why, channel) = (Some(why), Some(view.channel));
            SettingCoverage { setting, state, channel, why, since: None, verified: kept.verified }
        })
    });
    rows.collect()
}

/// The settings that a part brought for a policy and that nobody asks for now.
fn left_of(policy: &str, id: &PartId, kept: &Applied, desired: &BTreeMap<PartId, Part>) -> Vec<String> {
    let Some(brought) = kept.of.get(policy).filter(|_| is_there(kept)) else { return Vec::new() };
    let brought = brought.iter().cloned().chain(id.setting_name());
    match desired.get(id) {
        Some(part) if part.hash == kept.hash && kept.outcome.holds() => Vec::new(),
        Some(part) => brought.filter(|setting| !part.settings.contains(setting)).collect(),
        None if desired.keys().any(|wanted| wanted.place() == id.place()) => Vec::new(),
        None => brought.collect(),
    }
}

fn is_there(kept: &Applied) -> bool {
    let never = |outcome: &Outcome| matches!(outcome, Outcome::Failed(_) | Outcome::Unsupported(_) | Outcome::Stuck(_));
    kept.may_be_there() || !(never(&kept.outcome) || kept.outcome == Outcome::Away)
}

/// Something that a device refused and that still stands so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Since when.
    pub since: OffsetDateTime,
    /// In one word.
    pub code: &'static str,
    /// For people.
    pub text: String,
}

/// What a device refuses over one channel, to be set or to be taken away.
pub fn problems(view: &ChannelView<'_>, desired: &BTreeMap<PartId, Part>) -> Vec<Problem> {
    let found = view.applied.iter().filter_map(|(id, kept)| {
        let wanted = desired.get(id).filter(|part| part.hash == kept.hash);
        let taken = || desired.keys().any(|other| other.place() == id.place());
        let (code, what, text) = match &kept.outcome {
            Outcome::Stuck(text) if wanted.is_none() && !taken() && is_there(kept) => {
                ("removal_refused", "to take away", text)
            }
            Outcome::Failed(text) | Outcome::Partly(text) if wanted.is_some() => ("setting_refused", "to set", text),
            _ => return None,
        };
        let whose: Vec<&str> = kept.of.keys().map(String::as_str).collect();
        let named = match id.setting_name() {
            Some(name) => name,
            None => named(kept),
        };
        let whose = if whose.is_empty() { String::new() } else { format!(" of {}", whose.join(", ")) };
        let text = format!("refused {what}: {named}{whose}: {text}");
        Some(Problem { since: kept.since.unwrap_or(kept.at), code, text })
    });
    found.collect()
}

/// The settings of a part that carries several.
fn named(kept: &Applied) -> String {
    let mut all: Vec<&str> = kept.of.values().flatten().map(String::as_str).collect();
    all.sort_unstable();
    all.dedup();
    if all.is_empty() { "settings".to_owned() } else { all.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::super::super::applied::{Moment, Origins};
    use super::super::super::effective::effective;
    use super::super::super::file::PolicyFile;
    use super::super::super::parts::desired;
    use super::super::super::target::{Channel, Platform, Target};
    use super::*;
    use crate::clock::Steady;

    fn parts(text: &str, channel: Channel, platform: Platform) -> BTreeMap<PartId, Part> {
        let policy = PolicyFile::parse(&format!("name: a\nassign: all\n{text}\n")).unwrap();
        desired(&effective([&policy]), channel, &Target::of(platform))
    }

    fn kept(part: &Part, outcome: Outcome) -> (PartId, Applied) {
        let record = Applied { of: part.of.clone(), held: true, ..Applied::new(&part.hash, outcome, at()) };
        (part.id.clone(), record)
    }

    fn at() -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH
    }

    fn rows(left: &[SettingCoverage]) -> Vec<(&str, State)> {
        left.iter().map(|row| (row.setting.as_str(), row.state)).collect()
    }

    #[test]
    fn what_is_left_of_a_policy_is_told_until_it_is_gone() {
        let before = parts("camera: blocked", Channel::Omadm, Platform::Windows);
        let camera = before.values().next().unwrap();
        for (row, outcome, state) in [
            ("not asked yet", Outcome::Enforced, State::Pending),
            ("on its way out", Outcome::Leaving, State::Pending),
            ("refused", Outcome::stuck("Status 500"), State::LeftBehind),
        ] {
            let applied = BTreeMap::from([kept(camera, outcome)]);
            let view = ChannelView::new(Channel::Omadm, &applied);
            assert_eq!(rows(&left("a", &view, &BTreeMap::new())), [("camera", state)], "{row}");
            assert_eq!(rows(&left("b", &view, &BTreeMap::new())), [], "{row}: it was never b's");
            assert_eq!(rows(&left("a", &view, &before)), [], "{row}: it is asked for");
            let problems = problems(&view, &BTreeMap::new());
            assert_eq!(problems.len(), usize::from(state == State::LeftBehind), "{row}");
        }
    }

    #[test]
    fn a_profile_of_several_settings_tells_which_of_them_is_left() {
        let (apple, ios) = (Channel::Apple, Platform::Ios);
        let before = parts("camera: blocked\npasscode: {required: true}", apple, ios);
        let after = parts("passcode: {required: true}", apple, ios);
        let mut applied = BTreeMap::from([kept(&before[&PartId::Settings], Outcome::Enforced)]);
        let view = ChannelView::new(apple, &applied);
        assert_eq!(rows(&left("a", &view, &after)), [("camera", State::Pending)]);
        let refused = applied.get_mut(&PartId::Settings).unwrap();
        (refused.hash, refused.outcome) = (after[&PartId::Settings].hash.clone(), Outcome::failed("no"));
        let view = ChannelView::new(apple, &applied);
        assert_eq!(rows(&left("a", &view, &after)), [("camera", State::LeftBehind)]);
        assert_eq!(problems(&view, &after)[0].code, "setting_refused");
    }

    #[test]
    fn what_went_by_the_devices_word_is_left_once_it_is_seen_there() {
        let before = parts("camera: blocked", Channel::Omadm, Platform::Windows);
        let (id, mut record) = kept(before.values().next().unwrap(), Outcome::Enforced);
        let when = Moment { at: at(), now: Steady(0) };
        record.away(when);
        let mut applied = BTreeMap::from([(id.clone(), record)]);
        let shown = |applied: &BTreeMap<PartId, Applied>| {
            let view = ChannelView::new(Channel::Omadm, applied);
            (left("a", &view, &BTreeMap::new()), problems(&view, &BTreeMap::new()))
        };
        assert_eq!(shown(&applied), (Vec::new(), Vec::new()));
        applied.get_mut(&id).unwrap().stays(when);
        let (left, problems) = shown(&applied);
        assert_eq!(rows(&left), [("camera", State::LeftBehind)]);
        assert!(left[0].why.as_ref().unwrap().contains("said that it was gone, and has it still"));
        assert_eq!(problems[0].code, "removal_refused");
    }

    #[test]
    fn what_a_device_never_had_is_not_left() {
        let before = parts("camera: blocked", Channel::Omadm, Platform::Windows);
        let camera = before.values().next().unwrap();
        for outcome in [Outcome::unsupported("Status 404"), Outcome::failed("Status 500"), Outcome::stuck("Status 500")]
        {
            let record = Applied {
                of: Origins::from([("a".into(), Vec::new())]),
                ..Applied::new(&camera.hash, outcome.clone(), at())
            };
            let applied = BTreeMap::from([(camera.id.clone(), record)]);
            let view = ChannelView::new(Channel::Omadm, &applied);
            assert_eq!(rows(&left("a", &view, &BTreeMap::new())), [], "{outcome:?}");
            assert_eq!(problems(&view, &BTreeMap::new()), [], "{outcome:?}");
        }
    }
}

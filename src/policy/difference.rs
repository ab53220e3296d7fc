//! What a device has, as far as it answered, against what it must have: the parts to send, to take away and to read back.
//!
//! It goes by what is set, not by who asked for it: two parts may say the same thing of one place on the device (a typed setting and a raw
//! node). Then the one that is wanted takes over what the other set, and nothing is taken away.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::applied::{Applied, Outcome, Said};
use super::part::{Part, PartId};
use crate::clock::Steady;

/// What is to be done. Send what is to be installed first, in this order: taking away first would leave a gap.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// Parts to send, in order.
    pub install: Vec<PartId>,
    /// Parts to take away. Drop their record when the device has answered that they are gone, or were never there.
    pub remove: Vec<PartId>,
    /// Records of parts that are not there, or whose place another part has taken over: drop them, nothing is sent.
    pub forget: Vec<PartId>,
    /// Parts that other policies ask for than did when they were sent: the record is to say so, nothing is sent.
    pub adopt: Vec<PartId>,
    /// Parts to read back.
    pub look: Vec<PartId>,
    /// When the next of them becomes due, where that is a matter of time.
    pub next: Option<Steady>,
}

impl Difference {
    /// Whether there is nothing to send (records to change can wait for the next write).
    pub fn is_empty(&self) -> bool {
        self.install.is_empty() && self.remove.is_empty() && self.look.is_empty()
    }

    /// Without these, which are with the device already, or are being read back.
    pub fn leave_out(&mut self, parts: &BTreeSet<PartId>, looked_at: &BTreeSet<PartId>) {
        for todo in [&mut self.install, &mut self.remove, &mut self.look] {
            todo.retain(|part| !parts.contains(part));
        }
        self.look.retain(|part| !looked_at.contains(part));
    }
}

/// Compares, at a time. What holds is read back every `verify`.
pub fn difference(
    desired: &BTreeMap<PartId, Part>,
    applied: &BTreeMap<PartId, Applied>,
    now: Steady,
    verify: Duration,
) -> Difference {
    let mut found = Found { due: Difference::default(), now, verify };
    for (id, part) in desired {
        match applied.get(id) {
            Some(kept) => found.wanted(part, kept),
            None => found.due.install.push(id.clone()),
        }
    }
    // A part that took over but was never sent does not answer for the place yet.
    let taken: BTreeSet<_> = desired.keys().filter(|id| applied.contains_key(id)).map(PartId::place).collect();
    let coming: BTreeSet<_> = desired.keys().map(PartId::place).collect();
    for (id, kept) in applied.iter().filter(|(id, _)| !desired.contains_key(id)) {
        let place = id.place();
        if taken.contains(&place) {
            found.due.forget.push(id.clone());
        } else if !coming.contains(&place) {
            found.unwanted(id, kept);
        }
    }
    found.due
}

struct Found {
    due: Difference,
    now: Steady,
    verify: Duration,
}

impl Found {
    fn wanted(&mut self, part: &Part, kept: &Applied) {
        let id = &part.id;
        if kept.of != part.of && kept.hash == part.hash && kept.outcome.holds() {
            self.due.adopt.push(id.clone());
        }
        if kept.hash != part.hash {
            self.due.install.push(id.clone());
            return;
        }
        match &kept.outcome {
            Outcome::Enforced | Outcome::Unread(_) | Outcome::Taken | Outcome::There => self.look_of_wanted(part, kept),
            Outcome::Partly(_) | Outcome::Failed(_) | Outcome::Unsupported(_) => {
                if self.is_past(kept.again) {
                    self.due.install.push(id.clone());
                }
            }
            // Whether it is still whole, nobody knows; or somebody does.
            Outcome::Stuck(_) | Outcome::Sent | Outcome::Leaving | Outcome::Away => self.due.install.push(id.clone()),
            // At once, and where that did not help, after a pause.
            Outcome::Lost => {
                if self.is_past(kept.again) {
                    self.due.install.push(id.clone());
                }
            }
        }
    }

    fn unwanted(&mut self, id: &PartId, kept: &Applied) {
        match &kept.outcome {
            // It was never there, whatever became of its being taken away.
            Outcome::Unsupported(_) | Outcome::Stuck(_) if !kept.may_be_there() => self.due.forget.push(id.clone()),
            // It went, by the device's word.
            Outcome::Away => self.look(id, kept),
            outcome => {
                // A removal has pauses of its own.
                let stuck = matches!(outcome, Outcome::Stuck(_));
                if !stuck || self.is_past(kept.again) {
                    self.due.remove.push(id.clone());
                } else {
                    self.look(id, kept);
                }
            }
        }
    }

    /// What has rules for the passcode is asked about more often until the device says that its passcode keeps to them.
    fn look_of_wanted(&mut self, part: &Part, kept: &Applied) {
        let again = match &kept.passcode {
            _ if !part.passcode => None,
            Some(passcode) if passcode.said == Some(Said::Met) => None,
            passcode => Some(passcode.as_ref().and_then(|passcode| passcode.again)),
        };
        if again.is_some_and(|again| self.is_past(again)) {
            self.due.look.push(part.id.clone());
        } else {
            self.look(&part.id, kept);
        }
    }

    fn look(&mut self, id: &PartId, kept: &Applied) {
        if self.is_past(kept.looked.map(|at| at.plus(self.verify))) {
            self.due.look.push(id.clone());
        }
    }

    /// Whether a time has come. One that has not is waited for.
    fn is_past(&mut self, at: Option<Steady>) -> bool {
        let Some(at) = at.filter(|at| *at > self.now) else { return true };
        self.due.next = Some(self.due.next.map_or(at, |next| next.min(at)));
        false
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::super::applied::Origins;
    use super::super::effective::effective;
    use super::super::file::PolicyFile;
    use super::super::parts::desired;
    use super::super::settings::Setting;
    use super::super::target::{Channel, Platform, Target};
    use super::*;

    const NOW: Steady = Steady(1_000_000);
    const VERIFY: Duration = Duration::from_secs(500);
    const LENGTH: &str = "./Device/Vendor/MSFT/Policy/Config/DeviceLock/MinDevicePasswordLength";

    fn parts(texts: &[&str]) -> BTreeMap<PartId, Part> {
        let policies: Vec<PolicyFile> = texts.iter().map(|text| PolicyFile::parse(text).unwrap()).collect();
        desired(&effective(&policies), Channel::Omadm, &Target::of(Platform::Windows))
    }

    fn typed() -> BTreeMap<PartId, Part> {
        parts(&["name: a\nassign: all\npasscode: {min_length: 8}\n"])
    }

    fn raw() -> String {
        format!("name: raw\nassign: all\nwindows: {{csp: [{{path: {LENGTH}, data: 8}}]}}\n")
    }

    fn kept(hash: &str, outcome: Outcome) -> Applied {
        Applied { held: true, looked: Some(NOW), ..Applied::new(hash, outcome, OffsetDateTime::UNIX_EPOCH) }
    }

    fn all_kept(parts: &BTreeMap<PartId, Part>) -> BTreeMap<PartId, Applied> {
        let of = |part: &Part| Applied { of: part.of.clone(), ..kept(&part.hash, Outcome::Enforced) };
        parts.iter().map(|(id, part)| (id.clone(), of(part))).collect()
    }

    fn compare(desired: &BTreeMap<PartId, Part>, applied: &BTreeMap<PartId, Applied>) -> Difference {
        difference(desired, applied, NOW, VERIFY)
    }

    #[test]
    fn each_answer_has_its_consequence() {
        let length = PartId::Setting(Setting::PasscodeMinLength);
        let hash = typed()[&length].hash.clone();
        let text = || "no".to_owned();
        let (later, past) = (Some(NOW.plus(VERIFY)), Some(NOW));
        for (row, hash, outcome, again, sent) in [
            ("done", hash.as_str(), Outcome::Enforced, None, false),
            ("changed", "other", Outcome::Enforced, None, true),
            ("failed", &hash, Outcome::Failed(text()), later, false),
            ("failed, again", &hash, Outcome::Failed(text()), past, true),
            ("failed, somebody asks", &hash, Outcome::Failed(text()), None, true),
            ("failed, changed", "other", Outcome::Failed(text()), later, true),
            ("unsupported", &hash, Outcome::Unsupported(text()), later, false),
            ("unsupported, again", &hash, Outcome::Unsupported(text()), past, true),
            ("partly", &hash, Outcome::Partly(text()), later, false),
            ("partly, again", &hash, Outcome::Partly(text()), past, true),
            ("stuck, wanted again", &hash, Outcome::Stuck(text()), later, true),
            ("on its way out, wanted again", &hash, Outcome::Leaving, None, true),
            ("sent, never answered", &hash, Outcome::Sent, None, true),
            ("away, wanted again", &hash, Outcome::Away, None, true),
            ("lost", &hash, Outcome::Lost, None, true),
            ("cannot be read back", &hash, Outcome::Unread(text()), None, false),
            ("need not be readable", &hash, Outcome::Taken, None, false),
        ] {
            let record = Applied { again, ..kept(hash, outcome) };
            let found = compare(&typed(), &BTreeMap::from([(length.clone(), record)]));
            assert_eq!(found.install.contains(&length), sent, "{row}");
            assert!(found.install.contains(&PartId::Setting(Setting::PasscodeRequired)), "{row}");
            assert!(found.remove.is_empty() && found.forget.is_empty() && found.look.is_empty(), "{row}");
            assert_eq!(found.next.is_some(), !sent, "{row}: what waits says until when");
        }
    }

    #[test]
    fn what_is_no_longer_wanted_goes() {
        let later = Some(NOW.plus(VERIFY));
        for (row, outcome, held, again, want) in [
            ("enforced", Outcome::Enforced, true, None, (1, 0)),
            ("failed", Outcome::failed("x"), false, later, (1, 0)),
            ("never there", Outcome::unsupported("x"), false, later, (0, 1)),
            ("there in its former content", Outcome::unsupported("x"), true, later, (1, 0)),
            ("stuck", Outcome::stuck("x"), true, later, (0, 0)),
            ("refused, and not to be taken away", Outcome::stuck("x"), false, later, (0, 1)),
            ("stuck, again", Outcome::stuck("x"), true, Some(NOW), (1, 0)),
            ("sent, never answered", Outcome::Sent, false, None, (1, 0)),
            ("on its way out", Outcome::Leaving, true, None, (1, 0)),
            ("lost", Outcome::Lost, true, None, (1, 0)),
            ("away", Outcome::Away, false, None, (0, 0)),
        ] {
            let record = Applied { held, again, ..kept("", outcome) };
            let found = compare(&BTreeMap::new(), &BTreeMap::from([(PartId::Document, record)]));
            assert_eq!((found.remove.len(), found.forget.len()), want, "{row}");
        }
    }

    #[test]
    fn what_holds_is_read_back_when_it_is_time() {
        let parts = typed();
        for (row, looked, want) in [
            ("just now", Some(NOW), (0, Some(NOW.plus(VERIFY)))),
            ("a while ago", Some(NOW.minus(VERIFY)), (2, None)),
            ("never, or somebody asks", None, (2, None)),
        ] {
            let mut applied = all_kept(&parts);
            applied.values_mut().for_each(|kept| kept.looked = looked);
            let found = compare(&parts, &applied);
            assert_eq!((found.look.len(), found.next), want, "{row}");
            assert!(found.install.is_empty() && found.remove.is_empty(), "{row}");
        }
        let later = Some(NOW.plus(VERIFY));
        let stuck = Applied { again: later, looked: None, ..kept("", Outcome::stuck("x")) };
        let found = compare(&BTreeMap::new(), &BTreeMap::from([(PartId::Settings, stuck)]));
        assert_eq!((found.look.len(), found.remove.len()), (1, 0), "it may have gone after all");
        for (looked, look, next) in [(Some(NOW), 0, Some(NOW.plus(VERIFY))), (None, 1, None)] {
            let away = Applied { looked, ..kept("", Outcome::Away) };
            let found = compare(&BTreeMap::new(), &BTreeMap::from([(PartId::Settings, away)]));
            assert_eq!((found.look.len(), found.next), (look, next), "whether it went is seen");
        }
    }

    #[test]
    fn a_setting_moved_between_typed_and_raw_is_never_taken_away() {
        let raw = raw();
        let (typed, raw) = (typed(), parts(&[&raw]));
        let (length, node) = (PartId::Setting(Setting::PasscodeMinLength), PartId::Csp(LENGTH.into()));
        for (row, before, after, gone, new) in
            [("to raw", &typed, &raw, &length, &node), ("to typed", &raw, &typed, &node, &length)]
        {
            let mut applied = all_kept(before);
            let found = compare(after, &applied);
            assert!(found.install.contains(new), "{row}");
            assert!(!found.remove.contains(gone) && !found.forget.contains(gone), "{row}: its record stays so long");
            applied.insert(new.clone(), kept(&after[new].hash, Outcome::Sent));
            let found = compare(after, &applied);
            assert_eq!((found.forget.contains(gone), found.remove.contains(gone)), (true, false), "{row}");
        }
    }

    #[test]
    fn what_two_policies_want_stays_when_one_of_them_goes() {
        let raw = raw();
        let typed = "name: typed\nassign: all\npasscode: {min_length: 8}\n";
        let also = "name: also\nassign: all\npasscode: {min_length: 8}\n";
        for (row, both, one) in [
            ("both typed", vec![typed, also], vec![also]),
            ("raw and typed, raw goes", vec![&raw, typed], vec![typed]),
            ("raw and typed, typed goes", vec![&raw, typed], vec![&raw]),
        ] {
            let (before, after) = (parts(&both), parts(&one));
            let found = compare(&after, &all_kept(&before));
            let place = PartId::Csp(LENGTH.into()).place().into_owned();
            assert!(found.remove.iter().all(|id| id.place() != place.as_str()), "{row}: {found:?}");
            assert!(after.keys().any(|id| id.place() == place.as_str()), "{row}");
        }
        let found = compare(&parts(&[also]), &all_kept(&parts(&[typed, also])));
        assert_eq!((found.adopt.len(), found.is_empty()), (2, true), "whose it is now is noted, and nothing is sent");
        assert_eq!(
            parts(&[also])[&PartId::Setting(Setting::PasscodeMinLength)].of,
            Origins::from([("also".into(), vec![])])
        );
    }
}

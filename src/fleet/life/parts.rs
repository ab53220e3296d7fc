//! What of the policy is at a device: each part from its leaving to its end. How one stands is [`Applied`]'s to say; what parts do to one
//! another is said here.

use super::{
    Fate, Leaving, Managed,
    device::{Enrolment, EnrolmentState},
};
use crate::{
    ids::EnrolmentId,
    policy::{Applied, Moment, Origins, Outcome, PartId, Said},
    store::Time,
};

fn moment(time: Time) -> Moment {
    Moment { at: time.now.to_datetime(), now: time.steady }
}

impl Managed {
    pub(super) fn parts_leave(&mut self, enrolment: EnrolmentId, parts: Vec<Leaving>, time: Time) {
        if parts.is_empty() {
            return;
        }
        self.with(enrolment, |mine| {
            for leaving in parts {
                match leaving {
                    Leaving::Set { part, hash, of } => {
                        let before = mine.applied.remove(&part);
                        let mut kept = Applied::sent(before, &hash, of, moment(time));
                        // It takes over what another part has set at the same place.
                        kept.held |= is_there(mine, &part);
                        mine.applied.insert(part, kept);
                    }
                    Leaving::Away(part) => {
                        if let Some(kept) = mine.applied.get_mut(&part) {
                            kept.leaves();
                        }
                    }
                }
            }
        });
    }

    pub(super) fn part(&mut self, enrolment: EnrolmentId, part: PartId, fate: Fate, time: Time) {
        let when = moment(time);
        self.with(enrolment, |mine| match fate {
            Fate::Sent { hash, outcome } => {
                let before = mine.applied.remove(&part);
                mine.applied.insert(part, Applied::answered(before, &hash, outcome, when));
            }
            Fate::Gone => {
                let before = mine.applied.remove(&part);
                // By the device's word it went before, and those beside it were read back then.
                if before.is_none_or(|before| before.outcome != Outcome::Away) {
                    look_beside(mine, &part);
                }
            }
            Fate::Away => {
                mine.applied.get_mut(&part).into_iter().for_each(|kept| kept.away(when));
                look_beside(mine, &part);
            }
            Fate::Stays => mine.applied.get_mut(&part).into_iter().for_each(|kept| kept.stays(when)),
            Fate::Stuck(text) => {
                if let Some(kept) = mine.applied.get_mut(&part) {
                    kept.stuck(&text, when);
                }
            }
            Fate::Seen => {
                if let Some(kept) = mine.applied.get_mut(&part) {
                    kept.seen(when);
                }
            }
            Fate::Unread(text) => {
                if let Some(kept) = mine.applied.get_mut(&part) {
                    kept.unread(&text);
                }
            }
            Fate::PasscodeUnread(text) => {
                if let Some(kept) = mine.applied.get_mut(&part) {
                    kept.passcode_unread(&text);
                }
            }
            Fate::Lost => {
                if let Some(kept) = mine.applied.get_mut(&part) {
                    kept.lost(when);
                }
            }
        });
    }

    pub(super) fn parts_forgotten(&mut self, enrolment: EnrolmentId, parts: &[PartId]) {
        if !parts.is_empty() {
            self.with(enrolment, |mine| mine.applied.retain(|id, _| !parts.contains(id)));
        }
    }

    pub(super) fn parts_adopted(&mut self, enrolment: EnrolmentId, parts: Vec<(PartId, Origins)>) {
        if !parts.is_empty() {
            self.with(enrolment, |mine| {
                for (part, of) in parts {
                    if let Some(kept) = mine.applied.get_mut(&part) {
                        kept.of = of;
                    }
                }
            });
        }
    }

    pub(super) fn parts_asked(&mut self, enrolment: EnrolmentId, parts: &[PartId], time: Time) {
        if !parts.is_empty() {
            self.with(enrolment, |mine| {
                let asked = mine.applied.iter_mut().filter(|(id, _)| parts.contains(id));
                asked.for_each(|(_, kept)| kept.looked = Some(time.steady));
            });
        }
    }

    pub(super) fn passcode_told(&mut self, enrolment: EnrolmentId, parts: Vec<(PartId, Option<Said>)>, time: Time) {
        if !parts.is_empty() {
            self.with(enrolment, |mine| {
                for (part, said) in parts {
                    if let Some(kept) = mine.applied.get_mut(&part) {
                        kept.passcode_told(said, moment(time));
                    }
                }
            });
        }
    }

    pub(super) fn look_again(&mut self) {
        let has_parts = |mine: &&Enrolment| mine.state == EnrolmentState::Enrolled && !mine.applied.is_empty();
        let all: Vec<EnrolmentId> = self.live().filter(has_parts).map(|mine| mine.id).collect();
        for enrolment in all {
            self.with(enrolment, |mine| mine.applied.values_mut().for_each(Applied::look_again));
        }
        let waits = |mine: &&Enrolment| mine.renewal.as_ref().is_some_and(|renewal| renewal.again().is_some());
        let waiting: Vec<EnrolmentId> = self.live().filter(waits).map(|mine| mine.id).collect();
        for enrolment in waiting {
            self.with(enrolment, |mine| mine.renewal.iter_mut().for_each(|renewal| renewal.hasten()));
        }
    }
}

/// Whether another part may have set something at this one's place.
fn is_there(mine: &Enrolment, part: &PartId) -> bool {
    let place = part.place();
    mine.applied.iter().any(|(other, kept)| other != part && other.place() == place && kept.may_be_there())
}

/// With one setting others of its folder may go (a PC that needs no password forgets its length): they are read back at once.
fn look_beside(mine: &mut Enrolment, gone: &PartId) {
    let folder = |id: &PartId| id.place().rsplit_once('/').map(|(folder, _)| folder.to_owned());
    let Some(of_gone) = folder(gone) else { return };
    let is_beside = |id: &PartId| id != gone && folder(id).as_ref() == Some(&of_gone);
    let beside = mine.applied.iter_mut().filter(|(id, _)| is_beside(id));
    beside.for_each(|(_, kept)| kept.looked = None);
}

#[cfg(test)]
mod tests {
    use super::super::{Channel, Event, Ownership, Platform};
    use super::*;
    use crate::{
        clock::{Steady, Timestamp},
        ids::DeviceId,
        policy::Setting,
    };
    use uuid::Uuid;

    const LENGTH: &str = "./Device/Vendor/MSFT/Policy/Config/DeviceLock/MinDevicePasswordLength";
    const MINE: EnrolmentId = EnrolmentId(Uuid::from_u128(2));

    fn at(seconds: i64) -> Time {
        Time { now: Timestamp(seconds * 1000), steady: Steady(seconds * 1000), doubted: false }
    }

    fn pc() -> Managed {
        let id = DeviceId(Uuid::from_u128(1));
        let mut device = Managed::new(id, "ann@example.org", Ownership::Corporate, Platform::Windows, at(0));
        let enrolment = Enrolment::new(MINE, Channel::Omadm, "PC", EnrolmentState::Enrolled, Timestamp(0));
        device.happen(Event::Begun { enrolment: Box::new(enrolment), personal: false }, at(0));
        device
    }

    fn typed(setting: Setting) -> PartId {
        PartId::Setting(setting)
    }

    fn set(device: &mut Managed, part: &PartId, outcome: Option<Outcome>, seconds: i64) {
        let (part, hash, of) = (part.clone(), "ab".to_owned(), Origins::new());
        let parts = vec![Leaving::Set { part: part.clone(), hash: hash.clone(), of }];
        device.happen(Event::PartsLeave { enrolment: MINE, parts }, at(seconds));
        if let Some(outcome) = outcome {
            let fate = Fate::Sent { hash, outcome };
            device.happen(Event::Part { enrolment: MINE, part, fate }, at(seconds));
        }
    }

    fn fate(device: &mut Managed, part: &PartId, fate: Fate, seconds: i64) {
        device.happen(Event::Part { enrolment: MINE, part: part.clone(), fate }, at(seconds));
    }

    fn kept(device: &Managed, part: &PartId) -> Option<Applied> {
        device.enrolment(MINE).unwrap().applied.get(part).cloned()
    }

    /// What stands in the record after each thing that can happen to a part.
    #[test]
    fn what_becomes_of_a_part() {
        let camera = typed(Setting::Camera);
        let away = |device: &mut Managed| {
            let parts = vec![Leaving::Away(typed(Setting::Camera))];
            drop(device.happen(Event::PartsLeave { enrolment: MINE, parts }, at(5)));
        };
        type Row<'a> = (&'a str, &'a dyn Fn(&mut Managed), Option<(Outcome, bool)>);
        let cases: [Row<'_>; 10] = [
            ("sent", &|d| set(d, &typed(Setting::Camera), None, 1), Some((Outcome::Sent, true))),
            ("done", &|d| set(d, &typed(Setting::Camera), Some(Outcome::Enforced), 1), Some((Outcome::Enforced, true))),
            (
                "refused",
                &|d| set(d, &typed(Setting::Camera), Some(Outcome::failed("x")), 1),
                Some((Outcome::failed("x"), false)),
            ),
            (
                "on its way out",
                &|d| {
                    set(d, &typed(Setting::Camera), Some(Outcome::Enforced), 1);
                    away(d);
                },
                Some((Outcome::Leaving, true)),
            ),
            (
                "stuck",
                &|d| {
                    set(d, &typed(Setting::Camera), Some(Outcome::Enforced), 1);
                    away(d);
                    fate(d, &typed(Setting::Camera), Fate::Stuck("500".into()), 6);
                },
                Some((Outcome::stuck("500"), true)),
            ),
            (
                "gone",
                &|d| {
                    set(d, &typed(Setting::Camera), Some(Outcome::Enforced), 1);
                    away(d);
                    fate(d, &typed(Setting::Camera), Fate::Gone, 6);
                },
                None,
            ),
            (
                "gone, by its word",
                &|d| {
                    set(d, &typed(Setting::Camera), Some(Outcome::Enforced), 1);
                    away(d);
                    fate(d, &typed(Setting::Camera), Fate::Away, 6);
                },
                Some((Outcome::Away, false)),
            ),
            (
                "and seen to be",
                &|d| {
                    set(d, &typed(Setting::Camera), Some(Outcome::Enforced), 1);
                    fate(d, &typed(Setting::Camera), Fate::Away, 6);
                    fate(d, &typed(Setting::Camera), Fate::Gone, 7);
                },
                None,
            ),
            (
                "lost",
                &|d| {
                    set(d, &typed(Setting::Camera), Some(Outcome::Enforced), 1);
                    fate(d, &typed(Setting::Camera), Fate::Lost, 6);
                },
                Some((Outcome::Lost, true)),
            ),
            ("seen, but never sent", &|d| fate(d, &typed(Setting::Camera), Fate::Seen, 6), None),
        ];
        for (row, happens, want) in cases {
            let mut device = pc();
            happens(&mut device);
            assert_eq!(kept(&device, &camera).map(|kept| (kept.outcome.clone(), kept.may_be_there())), want, "{row}");
        }
    }

    #[test]
    fn who_takes_over_a_place_answers_for_what_is_there() {
        let (typed, raw) = (typed(Setting::PasscodeMinLength), PartId::Csp(LENGTH.into()));
        let mut device = pc();
        set(&mut device, &typed, Some(Outcome::Enforced), 1);
        set(&mut device, &raw, Some(Outcome::unsupported("404")), 2);
        device.happen(Event::PartsForgotten { enrolment: MINE, parts: vec![typed.clone()] }, at(3));
        assert_eq!(kept(&device, &typed), None);
        assert!(kept(&device, &raw).unwrap().may_be_there(), "what the other set is there still");
    }

    #[test]
    fn when_one_setting_goes_those_beside_it_are_read_back() {
        let (required, length) = (typed(Setting::PasscodeRequired), PartId::Csp(LENGTH.into()));
        let mut device = pc();
        for part in [&required, &length, &typed(Setting::Camera)] {
            set(&mut device, part, Some(Outcome::Enforced), 1);
        }
        fate(&mut device, &required, Fate::Away, 2);
        assert_eq!(kept(&device, &length).unwrap().looked, None);
        assert_eq!(kept(&device, &required).unwrap().looked, Some(at(2).steady), "not itself");
        device.happen(Event::PartsAsked { enrolment: MINE, parts: vec![length.clone()] }, at(2));
        fate(&mut device, &required, Fate::Gone, 2);
        assert_eq!(kept(&device, &length).unwrap().looked, Some(at(2).steady), "once");
        set(&mut device, &required, Some(Outcome::Enforced), 2);
        fate(&mut device, &required, Fate::Gone, 2);
        assert_eq!(kept(&device, &length).unwrap().looked, None);
        assert_eq!(kept(&device, &typed(Setting::Camera)).unwrap().looked, Some(at(1).steady));
        device.happen(Event::PartsAsked { enrolment: MINE, parts: vec![length.clone()] }, at(3));
        assert_eq!(kept(&device, &length).unwrap().looked, Some(at(3).steady));
        device.happen(Event::LookAgain, at(4));
        assert!(device.enrolment(MINE).unwrap().applied.values().all(|kept| kept.looked.is_none()));
    }
}

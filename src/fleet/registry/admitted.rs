//! Which mail clients were let in when the store was last asked: their next requests need no store, and for a while none where it is away.
//!
//! As with idle devices (`presence.rs`) an entry is made in the call that let the client in, and is forgotten, on the writer's thread and before
//! anybody is answered, as soon as anything about its device, the rules of mail or all devices changes, on this node or another.

use crate::{
    clock::{self, Timestamp},
    ids::{DeviceId, EnrolmentId},
    store::{Changes, DISTRUSTED, EVERYTHING},
};
use std::{
    any::Any,
    collections::BTreeMap,
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};

/// While the store answers it is asked again after this: that a client is heard has to be written, and time itself changes what counts.
pub const ASKED_AGAIN: Duration = Duration::from_secs(60);
/// So long a client counts as let in while the store is away.
pub const WITHOUT_STORE: Duration = Duration::from_secs(3600);
/// Of one device: whoever has its login could spell that in many ways.
const MOST_OF_ONE: usize = 4;

/// Who asks, as a digest of all that it is told by.
pub type Who = [u8; 32];

/// A client that was let in.
pub struct Admitted {
    /// Who asked.
    pub who: Who,
    /// Its device.
    pub device: DeviceId,
    /// Its enrolment.
    pub enrolment: EnrolmentId,
    /// From then on it may be another matter: its certificate ends.
    pub until: Option<Timestamp>,
    /// Likewise: the time is up that a rule gives. A clock that is set back makes it no longer.
    over: Option<Instant>,
    /// What the channel needs besides.
    pub terms: Box<dyn Any + Send + Sync>,
    at: Instant,
}

impl Admitted {
    /// Let in at this moment.
    pub fn new(
        who: Who,
        (device, enrolment): (DeviceId, EnrolmentId),
        until: Option<Timestamp>,
        left: Option<Duration>,
        terms: Box<dyn Any + Send + Sync>,
    ) -> Self {
        let at = clock::monotonic();
        let over = left.map(|left| at.checked_add(left).unwrap_or(at));
        Self { who, device, enrolment, until, over, terms, at }
    }

    /// How long it holds yet by itself, where it ends.
    pub fn left(&self, now: Timestamp) -> Option<Duration> {
        let over = self.over.map(|over| over.saturating_duration_since(clock::monotonic()));
        let until = self.until.map(|until| until.since(now));
        over.into_iter().chain(until).min()
    }

    /// Whether the store need not be asked again yet.
    pub fn is_recent(&self, now: Timestamp) -> bool {
        clock::since(self.at) < ASKED_AGAIN && self.holds(now)
    }

    /// Whether its own time is not up.
    pub fn holds(&self, now: Timestamp) -> bool {
        let over = self.over.is_some_and(|over| clock::monotonic() >= over);
        !over && self.until.is_none_or(|until| now < until)
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Known(RwLock<Entries>);

#[derive(Default)]
struct Entries {
    by_who: BTreeMap<Who, Arc<Admitted>>,
    of_device: BTreeMap<DeviceId, Vec<Who>>,
}

impl Known {
    pub(super) fn get(&self, who: &Who) -> Option<Arc<Admitted>> {
        self.0.read().ok()?.by_who.get(who).cloned()
    }

    pub(super) fn add(&self, new: Admitted) {
        let Ok(mut entries) = self.0.write() else { return };
        let theirs = entries.of_device.entry(new.device).or_default();
        let mut gone = None;
        if !theirs.contains(&new.who) {
            gone = (theirs.len() >= MOST_OF_ONE).then(|| theirs.remove(0));
            theirs.push(new.who);
        }
        if let Some(gone) = gone {
            entries.by_who.remove(&gone);
        }
        entries.by_who.insert(new.who, Arc::new(new));
    }

    /// `mail`: what changes for all who read mail.
    pub(super) fn forget(&self, changes: &Changes, mail: &str) {
        let Ok(mut entries) = self.0.write() else { return };
        if [EVERYTHING, DISTRUSTED, mail].iter().any(|all| changes.contains(*all)) {
            *entries = Entries::default();
            return;
        }
        for device in changes.iter().filter_map(|name| name.parse::<DeviceId>().ok()) {
            for who in entries.of_device.remove(&device).unwrap_or_default() {
                entries.by_who.remove(&who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn entry(device: u8, who: u8, until: Option<i64>) -> Admitted {
        let id = Uuid::from_u128(u128::from(device));
        Admitted::new([who; 32], (DeviceId(id), EnrolmentId(id)), until.map(Timestamp), None, Box::new(()))
    }

    #[test]
    fn a_change_of_the_device_of_the_rules_or_of_everything_forgets() {
        let known = Known::default();
        let there = |who: u8| known.get(&[who; 32]).is_some();
        for changed in [DeviceId(Uuid::from_u128(1)).to_string(), EVERYTHING.into(), DISTRUSTED.into(), "mail".into()] {
            [(1, 1), (1, 2), (2, 3)].iter().for_each(|(device, who)| known.add(entry(*device, *who, None)));
            let one = changed.len() > 30;
            known.forget(&["else".to_string()].into(), "mail");
            assert!(there(1) && there(2) && there(3));
            known.forget(&[changed].into(), "mail");
            assert_eq!((there(1), there(2), there(3)), (false, false, one));
        }
    }

    #[test]
    fn one_device_has_few_entries() {
        let known = Known::default();
        (0..9).for_each(|who| known.add(entry(1, who, None)));
        let there: Vec<u8> = (0..9).filter(|who| known.get(&[*who; 32]).is_some()).collect();
        assert_eq!(there, [5, 6, 7, 8]);
    }

    #[test]
    fn an_entry_ends_with_its_time() {
        let entry = entry(1, 1, Some(10));
        assert!(entry.is_recent(Timestamp(9)) && !entry.is_recent(Timestamp(10)) && !entry.holds(Timestamp(10)));
    }
}

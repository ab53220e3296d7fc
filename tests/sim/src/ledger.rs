//! What simulated devices did, so that a test can count both sides: the server's records and these.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The protocol over which an act was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Channel {
    /// Apple MDM.
    Apple,
    /// OMA-DM.
    Omadm,
    /// Exchange ActiveSync.
    Activesync,
}

/// What an act means for the device, beyond that it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Effect {
    /// Nothing that its user would notice, or it failed.
    None,
    /// A setting or profile of a policy came or went.
    Policy,
    /// The screen was locked.
    Locked,
    /// What the organisation put there was removed, and nothing else.
    Retired,
    /// Everything was erased.
    Wiped,
}

/// One thing that one device did because a server told it to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// The device's name in its protocol: UDID, Windows DeviceID, EAS DeviceId.
    pub device: String,
    /// The protocol.
    pub channel: Channel,
    /// The command's id on the wire: Apple's CommandUUID; `S<session>/M<message>/C<command>` on OMA-DM; EAS has none, so it is
    /// `W<n>` with the number of wipes that this client has carried out.
    pub id: String,
    /// Apple's RequestType; on OMA-DM the verb and the LocURI; on EAS the element.
    pub kind: String,
    /// What that meant.
    pub effect: Effect,
    /// When it was done.
    pub at: SystemTime,
    /// What the device answers: an Apple Status, an OMA-DM status code, an EAS acknowledgement.
    pub outcome: String,
    /// Why not, in the device's own words, where it has any.
    pub reason: Option<String>,
    /// When the server took the answer: it said 2xx, and we read that. `None`: it may or may not have heard.
    pub heard: Option<SystemTime>,
}

/// A list of acts that any number of devices share. Clones are the same list.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    acts: Arc<Mutex<Vec<Act>>>,
    /// Who looks on.
    told: Option<UnboundedSender<Act>>,
}

impl Ledger {
    /// An empty ledger.
    pub fn new() -> Ledger {
        Ledger::default()
    }

    /// An empty ledger, and each act as it is written down: before its answer has left.
    pub fn followed() -> (Ledger, UnboundedReceiver<Act>) {
        let (told, acts) = unbounded_channel();
        (Ledger { told: Some(told), ..Ledger::default() }, acts)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Act>> {
        self.acts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn record(
        &self,
        channel: Channel,
        device: &str,
        id: &str,
        (kind, effect): (&str, Effect),
        (outcome, reason): (&str, Option<&str>),
    ) {
        let at = SystemTime::now();
        let (device, id, kind, outcome) = (device.to_owned(), id.to_owned(), kind.to_owned(), outcome.to_owned());
        let reason = reason.map(str::to_owned);
        let act = Act { device, channel, id, kind, effect, at, outcome, reason, heard: None };
        if let Some(told) = &self.told {
            // Whoever has looked away is not told.
            let _ = told.send(act.clone());
        }
        self.lock().push(act);
    }

    /// The server took the answer to `id`. Marks the newest act of that id which is not marked yet.
    pub(crate) fn heard(&self, device: &str, id: &str) {
        let now = SystemTime::now();
        let mut acts = self.lock();
        if let Some(act) = acts.iter_mut().rev().find(|a| a.heard.is_none() && a.device == device && a.id == id) {
            act.heard = Some(now);
        }
    }

    /// All acts so far, oldest first.
    pub fn acts(&self) -> Vec<Act> {
        self.lock().clone()
    }

    /// The acts of one device, oldest first.
    pub fn of(&self, device: &str) -> Vec<Act> {
        self.lock().iter().filter(|a| a.device == device).cloned().collect()
    }

    /// How often a command id was acted on, over all devices.
    pub fn count(&self, id: &str) -> usize {
        self.lock().iter().filter(|a| a.id == id).count()
    }

    /// How often this kind of act happened, over all devices.
    pub fn count_kind(&self, kind: &str) -> usize {
        self.lock().iter().filter(|a| a.kind == kind).count()
    }

    /// How often each device suffered this: every wipe that really happened, whatever the server believes.
    pub fn suffered(&self, effect: Effect) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for act in self.lock().iter().filter(|a| a.effect == effect) {
            *counts.entry(act.device.clone()).or_insert(0) += 1;
        }
        counts
    }

    /// Commands acted on more than once by one device, with the number of times. Empty is what one hopes for.
    pub fn repeated(&self) -> Vec<(String, String, usize)> {
        let mut seen = BTreeMap::new();
        for act in self.lock().iter() {
            *seen.entry((act.device.clone(), act.id.clone())).or_insert(0) += 1;
        }
        seen.into_iter().filter(|(_, n)| *n > 1).map(|((device, id), n)| (device, id, n)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_done_twice_is_told_apart_from_two_acts() {
        let ledger = Ledger::new();
        ledger.record(Channel::Apple, "A", "1", ("DeviceLock", Effect::Locked), ("Acknowledged", None));
        ledger.record(Channel::Apple, "B", "1", ("DeviceLock", Effect::Locked), ("Acknowledged", None));
        ledger.heard("A", "1");
        assert!(ledger.repeated().is_empty());
        ledger.record(Channel::Apple, "A", "1", ("DeviceLock", Effect::Locked), ("Acknowledged", None));
        assert_eq!(ledger.repeated(), vec![("A".into(), "1".into(), 2)]);
        assert_eq!(ledger.suffered(Effect::Locked), BTreeMap::from([("A".into(), 2), ("B".into(), 1)]));
        let heard: Vec<bool> = ledger.of("A").iter().map(|a| a.heard.is_some()).collect();
        assert_eq!((heard, ledger.count("1"), ledger.count_kind("DeviceLock")), (vec![true, false], 3, 3));
    }
}

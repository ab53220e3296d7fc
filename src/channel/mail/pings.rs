//! Which Ping each enrolment holds at this node.

use crate::ids::EnrolmentId;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use tokio::sync::Notify;

/// The Ping that each enrolment holds at this node. A new one takes the old one's place.
#[derive(Default)]
pub(super) struct Pings(Mutex<BTreeMap<EnrolmentId, Arc<Notify>>>);

impl Pings {
    /// A Ping begins; the one before is told to end.
    pub(super) fn enter(&self, enrolment: EnrolmentId) -> Arc<Notify> {
        let mine = Arc::new(Notify::new());
        if let Ok(mut held) = self.0.lock()
            && let Some(former) = held.insert(enrolment, mine.clone())
        {
            former.notify_one();
        }
        mine
    }

    /// It ends.
    pub(super) fn leave(&self, enrolment: EnrolmentId, mine: &Arc<Notify>) {
        if let Ok(mut held) = self.0.lock()
            && held.get(&enrolment).is_some_and(|there| Arc::ptr_eq(there, mine))
        {
            held.remove(&enrolment);
        }
    }
}

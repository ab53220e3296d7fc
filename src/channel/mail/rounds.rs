//! Whose turn it is to provision with the mail server.

use crate::ids::EnrolmentId;
use tokio::sync::{Mutex, MutexGuard};

/// More enrolments share a place in the queue.
const PLACES: usize = 64;

/// Of each enrolment one round of provisioning at a time: a second one would void the first one's key.
pub(super) struct Rounds(Vec<Mutex<()>>);

impl Default for Rounds {
    fn default() -> Self {
        Self((0..PLACES).map(|_| Mutex::default()).collect())
    }
}

impl Rounds {
    pub(super) async fn turn(&self, enrolment: EnrolmentId) -> Option<MutexGuard<'_, ()>> {
        let place = enrolment.to_string().bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31) + usize::from(byte));
        Some(self.0.get(place % PLACES)?.lock().await)
    }
}

//! Devices that were woken without a command of theirs in the queue (a policy changed, an enrolment is new, a push was refused): they are
//! looked at again after 10 seconds, a minute and ten minutes, and woken anew as long as something is due. In memory of this node; what
//! is lost with it is found by the hourly round.

use crate::{clock, ids::DeviceId};
use std::{
    collections::VecDeque,
    sync::Mutex,
    time::{Duration, Instant},
};

const PAUSES: [Duration; 3] = [Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(600)];
/// Devices that wait at most, for each pause; more are left to the hourly round.
const MOST: usize = 100_000;

/// See the module.
#[derive(Debug, Default)]
pub struct FollowUps {
    /// One queue for each pause, so that who came first is due first.
    waiting: [Mutex<VecDeque<(Instant, DeviceId)>>; PAUSES.len()],
}

impl FollowUps {
    /// A device that was just woken.
    pub fn note(&self, device: DeviceId) {
        self.wait(0, device);
    }

    fn wait(&self, tries: usize, device: DeviceId) {
        let (Some(queue), Some(pause)) = (self.waiting.get(tries), PAUSES.get(tries)) else { return };
        if let Ok(mut queue) = queue.lock()
            && queue.len() < MOST
        {
            queue.push_back((clock::monotonic() + *pause, device));
        }
    }

    /// Those that are to be looked at now, at most `count`, and how often each was before.
    pub fn take(&self, count: usize) -> Vec<(usize, DeviceId)> {
        let now = clock::monotonic();
        let mut due = Vec::new();
        for (tries, queue) in self.waiting.iter().enumerate() {
            let Ok(mut queue) = queue.lock() else { continue };
            while due.len() < count && queue.front().is_some_and(|(at, _)| *at <= now) {
                due.extend(queue.pop_front().map(|(_, device)| (tries, device)));
            }
        }
        due
    }

    /// Something is still due: the next pause is longer.
    pub fn again(&self, tries: usize, device: DeviceId) {
        self.wait(tries + 1, device);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_device_is_looked_at_again_after_growing_pauses_and_no_more() {
        let (follow_ups, device) = (FollowUps::default(), DeviceId(Uuid::from_u128(1)));
        follow_ups.note(device);
        assert!(follow_ups.take(10).is_empty(), "not yet");
        for tries in 0..PAUSES.len() {
            follow_ups.waiting[tries].lock().unwrap().iter_mut().for_each(|(at, _)| *at = clock::monotonic());
            assert_eq!(follow_ups.take(10), [(tries, device)]);
            follow_ups.again(tries, device);
        }
        assert!(follow_ups.waiting.iter().all(|queue| queue.lock().unwrap().is_empty()));
    }
}

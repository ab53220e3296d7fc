//! What an enrolment's channel state keeps of its user's mail server.

use crate::{clock::Timestamp, fleet::life::Device, ids::EnrolmentId};
use axum::http::Uri;
use lanyard_activesync::{PolicyKey, policy::ProvisionDoc};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Where an enrolment's channel state keeps what the mail server's own policy gave.
pub(super) const FOREIGN: &str = "mail_server_key";
/// Where an enrolment's channel state keeps the server that the mail server named for its user.
pub(super) const MOVED: &str = "mail_server";
/// So long after that the mail server is asked first again: the user may be back.
const MOVED_FOR: Duration = Duration::from_secs(86_400);

/// Where an enrolment's channel state keeps what its device says of itself: the mail server is to hear it as well.
pub(super) const TOLD: &str = "mail_device";

/// So many refusals on end are answered by provisioning anew; after that there are pauses, the first of a minute.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(60);
/// A mail server that does not take what it is told of a device is told again so much later.
const TELL_AGAIN: Duration = Duration::from_secs(600);
/// The longest pause is 2^6 minutes.
const DOUBLED: u32 = 6;

/// Where the mail server sent its user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moved {
    to: String,
    at: Timestamp,
}

impl Moved {
    pub(super) fn to(to: &Uri, now: Timestamp) -> Self {
        Self { to: to.to_string(), at: now }
    }

    /// As long as that counts. The bare address that a former version kept does not.
    pub(super) fn of(device: &Device, enrolment: EnrolmentId, now: Timestamp) -> Option<Uri> {
        let text = device.enrolment(enrolment)?.channel_state.get(MOVED)?;
        serde_json::from_str::<Self>(text).ok()?.counts(now)
    }

    fn counts(&self, now: Timestamp) -> Option<Uri> {
        self.to.parse().ok().filter(|_| now.since(self.at) < MOVED_FOR)
    }
}

/// What came of our provisioning with the mail server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Foreign {
    /// What goes along with commands; `None`: it gave none.
    pub(super) key: Option<PolicyKey>,
    /// When a command was last refused.
    pub(super) at: Option<Timestamp>,
    /// Of its first phase: to be acknowledged as the client acknowledges.
    #[serde(default)]
    pub(super) temporary: Option<PolicyKey>,
    /// What it asks for.
    #[serde(default)]
    pub(super) document: Option<ProvisionDoc>,
    /// How often on end a command was refused in spite of all.
    #[serde(default)]
    pub(super) vain: u32,
    /// What the mail server was told of the device, as a digest.
    #[serde(default)]
    pub(super) told: Option<String>,
    /// When it last was to be told in vain.
    #[serde(default)]
    pub(super) untold: Option<Timestamp>,
}

impl Foreign {
    pub(super) fn of(device: &Device, enrolment: EnrolmentId) -> Option<Self> {
        let text = device.enrolment(enrolment)?.channel_state.get(FOREIGN)?;
        serde_json::from_str(text).ok()
    }

    /// Whether the mail server is to be told this of the device, now.
    pub(super) fn is_to_tell(&self, digest: &str, now: Timestamp) -> bool {
        self.told.as_deref() != Some(digest) && self.untold.is_none_or(|at| now.since(at) >= TELL_AGAIN)
    }

    /// A mail server that goes on refusing is not provisioned with at each command, and its client not sent to Provision each time.
    pub(super) fn rests(&self, now: Timestamp) -> bool {
        let pause = PAUSE.saturating_mul(1 << self.vain.saturating_sub(TRIES).min(DOUBLED));
        self.vain >= TRIES && self.at.is_some_and(|at| now.since(at) < pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_user_was_sent_counts_for_a_day() {
        let (to, at): (Uri, _) = ("https://other/eas".parse().unwrap(), Timestamp(1_000_000_000_000));
        let moved = Moved::to(&to, at);
        assert_eq!(moved.counts(at.plus(Duration::from_secs(86_399))), Some(to));
        assert_eq!(moved.counts(at.plus(Duration::from_secs(86_400))), None);
    }

    #[test]
    fn what_is_refused_on_end_is_tried_ever_more_seldom() {
        let at = Timestamp(1_000_000_000_000);
        let rests = |vain, seconds| {
            let kept = Foreign { vain, at: Some(at), ..Foreign::default() };
            kept.rests(at.plus(Duration::from_secs(seconds)))
        };
        for (vain, seconds, want) in [
            (2, 0, false),
            (3, 59, true),
            (3, 60, false),
            (4, 119, true),
            (4, 120, false),
            (u32::MAX, 3839, true),
            (u32::MAX, 3840, false),
        ] {
            assert_eq!(rests(vain, seconds), want, "{vain} times, after {seconds} s");
        }
        let former: Foreign = serde_json::from_str("{\"key\":7,\"at\":1000}").unwrap_or_default();
        assert_eq!((former.key, former.vain), (PolicyKey::new(7), 0));
    }
}

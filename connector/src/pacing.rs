//! How long to wait after a call that failed: longer with each time, never the same for two connectors, and not before the moment that the
//! server named.

use crate::server::CallError;
use std::time::Duration;
use uuid::Uuid;

/// After something failed, doubled with each further time.
const PAUSE: Duration = Duration::from_secs(1);
/// No longer than that by itself.
pub(crate) const LONGEST: Duration = Duration::from_secs(30);
/// Nor than that at the server's word: a proxy may name the next day.
const AT_ITS_WORD: Duration = Duration::from_secs(300);
/// Whoever was removed asks again so seldom.
const REMOVED: Duration = Duration::from_secs(60);
/// And who speaks no version that the server does: one of the two has to be replaced first.
const OUTDATED: Duration = Duration::from_secs(300);

/// See the module. How often it failed, one time after the other.
#[derive(Debug, Default)]
pub(crate) struct Pacing(u32);

impl Pacing {
    /// It went well: the next pause is short again.
    pub(crate) fn good(&mut self) {
        self.0 = 0;
    }

    /// Waits as long as is right after this failure of a call, or of something else.
    pub(crate) async fn wait(&mut self, error: Option<&CallError>) {
        tokio::time::sleep(self.pause(error)).await;
    }

    /// How long that is.
    pub(crate) fn pause(&mut self, error: Option<&CallError>) -> Duration {
        self.shared(error, Uuid::new_v4().as_bytes()[0])
    }

    /// `share`: what differs between two connectors.
    fn shared(&mut self, error: Option<&CallError>, share: u8) -> Duration {
        let base = PAUSE.saturating_mul(1 << self.0.min(5)).min(LONGEST);
        self.0 = self.0.saturating_add(1);
        let share = |whole: Duration| whole * u32::from(share) / 512;
        let own = base / 2 + share(base);
        match error {
            Some(CallError::Removed(_)) => REMOVED,
            Some(CallError::Outdated(_)) => OUTDATED,
            Some(CallError::Later { after: Some(after), .. }) => own.max((*after).min(AT_ITS_WORD) + share(PAUSE)),
            _ => own,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later(after: Option<u64>) -> CallError {
        CallError::Later { text: "busy".into(), after: after.map(Duration::from_secs) }
    }

    #[test]
    fn pauses_grow_differ_and_end_with_success() {
        let mut pacing = Pacing::default();
        let seconds: Vec<f32> = (0..8).map(|_| pacing.shared(None, 0).as_secs_f32()).collect();
        assert_eq!(seconds, [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0]);
        assert!(Pacing(3).shared(None, 255) > Pacing(3).shared(None, 0));
        assert!(Pacing(9).shared(None, 255) <= LONGEST);
        pacing.good();
        assert_eq!(pacing.shared(None, 0), PAUSE / 2);
    }

    #[test]
    fn the_server_is_not_asked_before_the_moment_it_named() {
        for (row, failures, after, least, most) in [
            ("its word", 0, Some(5), 5, 6),
            ("its word is shorter than ours", 9, Some(5), 15, 30),
            ("none", 0, None, 0, 1),
            ("the next day", 0, Some(86_400), 300, 301),
        ] {
            for share in [0, 255] {
                let pause = Pacing(failures).shared(Some(&later(after)), share);
                assert!(pause >= Duration::from_secs(least) && pause <= Duration::from_secs(most), "{row}: {pause:?}");
            }
        }
    }

    #[test]
    fn what_lasts_is_asked_for_seldom_however_often_it_failed() {
        for failures in [0, 40] {
            assert_eq!(Pacing(failures).shared(Some(&CallError::Removed("gone".into())), 9), REMOVED);
            assert_eq!(Pacing(failures).shared(Some(&CallError::Outdated("old".into())), 9), OUTDATED);
        }
    }
}

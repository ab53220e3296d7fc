//! What the log tells of strangers, who can bring it about as often as they like: so many lines a minute of each kind, and then how many
//! were left out. People are named here as they typed their names, since an administrator is to find out why somebody cannot enrol; never
//! a code or a password.

use crate::{
    clock,
    fleet::{actor::has_hidden, enrol::invitation::normal},
    ids::EnrolmentId,
};
use std::{
    net::IpAddr,
    sync::Mutex,
    time::{Duration, Instant},
};

/// Lines of one kind that are told in a minute.
const MOST: u32 = 20;
const MINUTE: Duration = Duration::from_secs(60);
/// Characters of what somebody typed.
const LONGEST: usize = 100;
/// Letters and digits of an invitation's code.
const CODE: usize = 16;

/// See the module.
#[derive(Default)]
pub struct Told {
    refused: Mutex<Minute>,
    unknown: Mutex<Minute>,
    many: Mutex<Minute>,
}

/// What was told of one kind since its minute began.
#[derive(Debug, Default)]
struct Minute {
    begun: Option<Instant>,
    told: u32,
    untold: u64,
}

impl Minute {
    /// Whether one more line is told: where it is, with how many were left out before it.
    fn one_more(&mut self, now: Instant) -> Option<u64> {
        if self.begun.is_none_or(|begun| now.saturating_duration_since(begun) >= MINUTE) {
            (self.begun, self.told) = (Some(now), 0);
        }
        if self.told == MOST {
            self.untold += 1;
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.untold))
    }

    /// How many were left out in a minute that is over, and are not told of yet.
    fn left_out(&mut self, now: Instant) -> u64 {
        let over = self.begun.is_some_and(|begun| now.saturating_duration_since(begun) >= MINUTE);
        if over { std::mem::take(&mut self.untold) } else { 0 }
    }
}

impl Told {
    /// Somebody could not enrol: over which protocol, as whom where they said so, from where (a proxy's address where there is one), why.
    pub fn refused(&self, channel: &'static str, user: Option<&str>, address: IpAddr, reason: &str) {
        if let Some(untold) = one_more(&self.refused) {
            let user = user.map(typed);
            tracing::warn!(channel, user, %address, reason, untold, "an enrolment was refused");
        }
    }

    /// Somebody asked for an invitation that is none.
    pub fn unknown_invitation(&self, address: IpAddr) {
        if let Some(untold) = one_more(&self.unknown) {
            tracing::warn!(%address, untold, "an invitation was asked for that is none");
        }
    }

    /// A mail client's user has so many requests under way that this one was told to come later.
    pub fn many_requests(&self, enrolment: EnrolmentId) {
        if let Some(untold) = one_more(&self.many) {
            tracing::warn!(%enrolment, untold, "too many requests of one mail user are under way (eas.requests_per_user)");
        }
    }

    /// To be called each minute: what was left out is told of though no further line of its kind comes.
    pub fn say_what_was_left_out(&self) {
        let kinds = [
            ("refused enrolments", &self.refused),
            ("unknown invitations", &self.unknown),
            ("many requests", &self.many),
        ];
        for (kind, minute) in kinds {
            let untold = minute.lock().map_or(0, |mut minute| minute.left_out(clock::monotonic()));
            if untold > 0 {
                tracing::warn!(untold, "{kind}: as many more lines were left out");
            }
        }
    }
}

fn one_more(minute: &Mutex<Minute>) -> Option<u64> {
    minute.lock().ok()?.one_more(clock::monotonic())
}

/// What somebody typed as their name: its beginning, with what cannot be seen made visible. Whoever typed the code there keeps it.
fn typed(name: &str) -> String {
    let plain = normal(name);
    if plain.len() == CODE && plain.chars().all(|c| c.is_ascii_alphanumeric()) {
        return "(what looks like a code)".into();
    }
    let mut shown = String::new();
    for c in name.chars().take(LONGEST) {
        if has_hidden(c.encode_utf8(&mut [0; 4])) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    if name.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_lines_a_minute_are_told_and_the_rest_is_counted() {
        let (mut minute, begun) = (Minute::default(), clock::monotonic());
        let at = |seconds| begun + Duration::from_secs(seconds);
        let told = (0..50).filter(|_| minute.one_more(at(1)).is_some()).count();
        assert_eq!((told, minute.one_more(at(60))), (20, None));
        assert_eq!(minute.left_out(at(60)), 0, "its minute is not over");
        assert_eq!(minute.one_more(at(61)), Some(31), "the next line says how many there were");
        assert_eq!(minute.left_out(at(200)), 0);
        let told = (0..21).filter(|_| minute.one_more(at(300)).is_some()).count();
        assert_eq!(
            (told, minute.left_out(at(360)), minute.left_out(at(361))),
            (20, 1, 0),
            "told once where nothing follows"
        );
    }

    #[test]
    fn what_was_typed_is_bounded_and_visible_and_is_no_code() {
        for (name, want) in [
            ("ann@example.org", "ann@example.org"),
            ("a\nb\u{202e}", "a\\u{a}b\\u{202e}"),
            ("7E3K-9QXM-2B4T-HW8R", "(what looks like a code)"),
            ("7e3k9qxm2b4thw8r", "(what looks like a code)"),
            ("maximilianmuller", "(what looks like a code)"),
            ("maximilian.muller", "maximilian.muller"),
        ] {
            assert_eq!(typed(name), want);
        }
        assert_eq!(typed(&"é".repeat(200)), "é".repeat(100) + "…");
    }
}

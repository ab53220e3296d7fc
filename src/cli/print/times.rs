//! Moments as people read them: how long ago, or by the zone's own clock.

use crate::{clock::Timestamp, documents::At};
use jiff::tz::TimeZone;

/// The fields that hold a moment.
pub(super) const TIMES: &[&str] = &[
    "counts_from",
    "created",
    "expected_by",
    "expires",
    "finished",
    "last_seen",
    "leaves_at",
    "not_after",
    "not_before",
    "sent",
    "since",
    "time",
    "until",
    "verified",
];

/// How moments are written.
#[derive(Clone)]
pub(crate) enum Times {
    /// As the document has them: RFC 3339, UTC.
    Utc,
    /// How long ago, or in how long.
    Ago,
    /// By this zone's clock.
    Local(TimeZone),
}

/// The moment, where such a field holds one.
pub(super) fn moment(field: &str, text: &str) -> Option<Timestamp> {
    TIMES.contains(&field).then(|| text.parse().ok()).flatten()
}

impl Times {
    pub(super) fn print(&self, at: Timestamp, now: Timestamp) -> String {
        match self {
            Self::Utc => At(at).to_string(),
            Self::Ago => ago(at, now),
            Self::Local(zone) => match jiff::Timestamp::from_millisecond(at.0) {
                Ok(moment) => moment.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string(),
                Err(_) => At(at).to_string(),
            },
        }
    }
}

/// Two of the largest unit that fits twice at least: "90 min" says more than "1 h".
fn ago(at: Timestamp, now: Timestamp) -> String {
    let past = at <= now;
    let seconds = if past { now.since(at) } else { at.since(now) }.as_secs();
    let (number, unit) = match seconds {
        0 => return "now".into(),
        s if s < 120 => (s, "s"),
        s if s < 7_200 => (s / 60, "min"),
        s if s < 2 * 86_400 => (s / 3_600, "h"),
        s if s < 2 * 365 * 86_400 => (s / 86_400, "days"),
        s => (s / (365 * 86_400), "years"),
    };
    if past { format!("{number} {unit} ago") } else { format!("in {number} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_said_by_how_long_ago_it_was() {
        let now = Timestamp::from_unix(1_764_000_000);
        for (seconds, text) in [
            (0, "now"),
            (1, "1 s ago"),
            (119, "119 s ago"),
            (180, "3 min ago"),
            (7_199, "119 min ago"),
            (10_800, "3 h ago"),
            (172_799, "47 h ago"),
            (172_800, "2 days ago"),
            (40 * 86_400, "40 days ago"),
            (800 * 86_400, "2 years ago"),
            (-180, "in 3 min"),
            (-90 * 86_400, "in 90 days"),
        ] {
            assert_eq!(ago(Timestamp::from_unix(now.unix() - seconds), now), text);
        }
    }

    #[test]
    fn a_zone_has_its_own_time() {
        let at = Timestamp::from_unix(1_764_000_000);
        assert_eq!(Times::Utc.print(at, at), "2025-11-24T16:00:00Z");
        let india = TimeZone::posix("IST-5:30").unwrap();
        assert_eq!(Times::Local(india).print(at, at), "2025-11-24 21:30:00 IST");
    }

    #[test]
    fn only_fields_that_hold_moments_are_read_as_such() {
        assert_eq!(moment("created", "2025-11-24T16:00:00Z"), Some(Timestamp::from_unix(1_764_000_000)));
        assert_eq!(moment("created", "soon"), None);
        assert_eq!(moment("name", "2025-11-24T16:00:00Z"), None, "a device may call itself so");
    }
}

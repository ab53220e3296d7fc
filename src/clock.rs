//! Two times, handed in and never asked for below this: the wall clock's, which people and certificates go by and which may be
//! set wrong, and the time that has surely passed, which limits and waits go by.

#![expect(clippy::disallowed_methods, reason = "the one place where the machine is asked for the time")]

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A moment, in milliseconds since 1970 UTC. Prints and reads as RFC 3339 in JSON for people, as a number in records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// That much later; saturates.
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
    /// That much earlier; saturates.
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
    /// The time from `earlier` to this; zero where `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
    /// Whole seconds since 1970.
    pub fn unix(self) -> i64 {
        self.0.div_euclid(1000)
    }
    /// From whole seconds since 1970.
    pub fn from_unix(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }
    /// As the `time` crate has it; the ends of its range where it has no such moment.
    pub fn to_datetime(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_datetime().format(&Rfc3339).unwrap_or_default())
    }
}

impl FromStr for Timestamp {
    type Err = time::error::Parse;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let nanoseconds = OffsetDateTime::parse(text, &Rfc3339)?.unix_timestamp_nanos();
        Ok(Self(i64::try_from(nanoseconds.div_euclid(1_000_000)).unwrap_or(i64::MAX)))
    }
}

/// Time that has surely passed, in milliseconds: it grows by a server's uptime and never by a change of the wall clock, is kept by
/// the store, and begins at what the wall clock showed at the store's birth. For limits, waits, leases and ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Steady(pub i64);

impl Steady {
    /// That much later; saturates.
    pub fn plus(self, by: Duration) -> Self {
        Self(Timestamp(self.0).plus(by).0)
    }
    /// That much earlier; saturates.
    pub fn minus(self, by: Duration) -> Self {
        Self(Timestamp(self.0).minus(by).0)
    }
    /// The time from `earlier` to this; zero where `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Timestamp(self.0).since(Timestamp(earlier.0))
    }
}

/// Where the present comes from. One per process, passed in.
#[derive(Clone)]
pub struct Clock {
    wall: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    uptime: Arc<dyn Fn() -> Duration + Send + Sync>,
}

impl Clock {
    /// A clock of these two hands.
    pub fn new(
        wall: impl Fn() -> Timestamp + Send + Sync + 'static,
        uptime: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Self {
        Self { wall: Arc::new(wall), uptime: Arc::new(uptime) }
    }
    /// What the wall clock shows.
    pub fn wall(&self) -> Timestamp {
        (self.wall)()
    }
    /// Since some moment of this process's life; never runs backwards, whatever becomes of the wall clock.
    pub fn uptime(&self) -> Duration {
        (self.uptime)()
    }
}

/// The machine's own.
pub fn system() -> Clock {
    let started = monotonic();
    let wall = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    };
    Clock::new(wall, move || since(started))
}

/// Now, as the machine counts time that passes: the one place that asks for it. For waits and deadlines within a process, whose end
/// nothing that is kept depends on; what does goes by a [`Clock`].
pub fn monotonic() -> Instant {
    Instant::now()
}

/// How long ago that was.
pub fn since(moment: Instant) -> Duration {
    monotonic().saturating_duration_since(moment)
}

/// A duration as the command line and settings write it: a number and `s`, `m`, `h`, `d` or `w`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration: a number and s, m, h, d or w, such as 90s or 7d");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let number: u64 = text.strip_suffix(unit).and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(wrong()),
    };
    // Ten thousand years: beyond it, arithmetic on moments would saturate.
    number.checked_mul(seconds).filter(|s| *s < 315_360_000_000).map(Duration::from_secs).ok_or_else(wrong)
}

/// The shortest way to write a duration that [`parse_duration`] reads.
pub fn print_duration(d: Duration) -> String {
    let s = d.as_secs();
    for (unit, size) in [("w", 604_800), ("d", 86_400), ("h", 3600), ("m", 60)] {
        if s > 0 && s.is_multiple_of(size) && !(unit == "d" && s == 86_400 || unit == "w" && s == 604_800) {
            return format!("{}{unit}", s / size);
        }
    }
    format!("{s}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_printed() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("24h", 86_400), ("7d", 604_800), ("2w", 1_209_600)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
            assert_eq!(print_duration(Duration::from_secs(seconds)), text, "{text}");
        }
        for text in ["", "5", "m", "-1s", "1y", "99999999999999999999w", "5 m"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments_print_as_rfc_3339() {
        assert_eq!(Timestamp(1_764_000_000_000).to_string(), "2025-11-24T16:00:00Z");
        assert_eq!("2025-11-24T17:00:00.25+01:00".parse(), Ok(Timestamp(1_764_000_000_250)));
    }
}

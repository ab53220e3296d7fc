//! The one place that reads the clocks.

#![expect(clippy::disallowed_methods, reason = "this is the place")]

use std::time::Instant;
use time::OffsetDateTime;

/// The wall clock: for reports, certificates, deadlines.
pub fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// What passes whatever anybody does to the wall clock: for leases and pauses.
pub fn steady() -> Instant {
    Instant::now()
}

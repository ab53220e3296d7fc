//! How an [`Applied`] lies in the store: short, since there are many of them in a device's record.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Applied, HASHED, Origins, Outcome, Passcode, Said};
use crate::clock::Steady;
use crate::ids::hexed;

/// The same as it lies in the store: there are many of these, and most times are that of the answer, or a while after it.
#[derive(Serialize, Deserialize)]
pub(super) struct Lean {
    #[serde(with = "hexed")]
    hash: String,
    outcome: Outcome,
    #[serde(with = "time::serde::timestamp")]
    at: OffsetDateTime,
    /// Tries, and below them two bits: out, held.
    #[serde(default)]
    marks: u32,
    #[serde(default)]
    of: Origins,
    /// Seconds after `at`, like all below.
    #[serde(default)]
    looked: Option<i64>,
    #[serde(default)]
    verified: Option<i64>,
    /// `again` and `since`, where there is the one, or the other is not `at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rest: Option<(Option<i64>, Option<i64>)>,
    /// Never without `rest`, whose place it would take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    more: Option<LeanMore>,
}

/// What few parts have.
#[derive(Serialize, Deserialize)]
struct LeanMore(Option<LeanPasscode>, Option<String>);

/// [`Passcode`], likewise.
#[derive(Serialize, Deserialize)]
struct LeanPasscode(Option<Said>, i64, Option<i64>, u16, Option<i64>, #[serde(default)] Option<String>);

impl From<Applied> for Lean {
    fn from(part: Applied) -> Lean {
        let at = part.at.unix_timestamp();
        let wall = |time: Option<OffsetDateTime>| time.map(|time| time.unix_timestamp().saturating_sub(at));
        // Upwards: what waits is never due before.
        let steady =
            |time: Option<Steady>| time.map(|time| time.0.saturating_add(999).div_euclid(1000).saturating_sub(at));
        let looked = part.looked.map(|time| time.0.div_euclid(1000).saturating_sub(at));
        let (again, since) = (steady(part.again), wall(part.since));
        let passcode = part.passcode.map(|passcode| {
            let (since, met) = (passcode.since.unix_timestamp().saturating_sub(at), wall(passcode.met));
            LeanPasscode(passcode.said, since, met, passcode.tries, steady(passcode.again), passcode.unread)
        });
        let more = (passcode.is_some() || part.unread.is_some()).then_some(LeanMore(passcode, part.unread));
        let rest = (again.is_some() || since != Some(0) || more.is_some()).then_some((again, since));
        let marks = u32::from(part.tries) << 2 | u32::from(part.out) << 1 | u32::from(part.held);
        let verified = wall(part.verified);
        Lean { hash: part.hash, outcome: part.outcome, at: part.at, marks, of: part.of, looked, verified, rest, more }
    }
}

impl From<Lean> for Applied {
    fn from(lean: Lean) -> Applied {
        let at = lean.at.unix_timestamp();
        let wall = |after: Option<i64>| {
            after.and_then(|after| OffsetDateTime::from_unix_timestamp(at.saturating_add(after)).ok())
        };
        let steady = |after: Option<i64>| after.map(|after| Steady(at.saturating_add(after).saturating_mul(1000)));
        let (again, since) = lean.rest.unwrap_or((None, Some(0)));
        let LeanMore(passcode, unread) = lean.more.unwrap_or(LeanMore(None, None));
        Applied {
            // Older records have all of it.
            hash: lean.hash.chars().take(2 * HASHED).collect(),
            outcome: lean.outcome,
            at: lean.at,
            held: lean.marks & 1 == 1,
            out: lean.marks >> 1 & 1 == 1,
            of: lean.of,
            tries: u16::try_from(lean.marks >> 2).unwrap_or(u16::MAX),
            again: steady(again),
            looked: steady(lean.looked),
            since: wall(since),
            verified: wall(lean.verified),
            passcode: passcode.map(|LeanPasscode(said, since, met, tries, again, unread)| Passcode {
                said,
                since: wall(Some(since)).unwrap_or(lean.at),
                met: wall(met),
                tries,
                again: steady(again),
                unread,
            }),
            unread,
        }
    }
}

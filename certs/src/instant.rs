//! Times between `time`'s type, which callers use, and OpenSSL's.

use openssl::asn1::{Asn1Time, Asn1TimeRef};
use time::OffsetDateTime;

use crate::Result;
use crate::error::{Doing, Error};

pub(crate) fn to_asn1(at: OffsetDateTime) -> Result<Asn1Time> {
    Asn1Time::from_unix(at.unix_timestamp()).doing("writing a time")
}

pub(crate) fn from_asn1(at: &Asn1TimeRef) -> Result<OffsetDateTime> {
    let epoch = Asn1Time::from_unix(0).doing("reading a time")?;
    let since = epoch.diff(at).doing("reading a time")?;
    let seconds = i64::from(since.days) * 86_400 + i64::from(since.secs);
    OffsetDateTime::from_unix_timestamp(seconds)
        .map_err(|_| Error::Malformed { what: "certificate", why: "a time out of all range" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive_both_ways_past_2050() {
        for seconds in [0, 1_790_000_000, 2_524_608_000, 4_102_444_800] {
            let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap();
            assert_eq!(from_asn1(&to_asn1(at).unwrap()).unwrap(), at, "{seconds}");
        }
    }
}

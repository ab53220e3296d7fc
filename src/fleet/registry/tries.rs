//! How often somebody tried something within the last hour: wrong codes of a user or an address, new mail clients of one login.

use crate::{
    clock::Steady,
    error::Result,
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
/// Records looked at in one call of [`forget`].
const SWEEP: usize = 500;

/// The tries of one somebody that still count.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tries {
    who: String,
    at: Vec<Steady>,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 1] = [Kind::of::<Tries>()];

impl Record for Tries {
    const KIND: &'static str = "tries";
    fn key(&self) -> String {
        key(&self.who)
    }
}

/// Names may be of any length and form; keys may not.
fn key(who: &str) -> String {
    openssl::sha::sha256(who.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What this somebody tried in the last hour, where one more try is within the limit.
pub fn within(tx: &mut Tx<'_>, who: &str, limit: usize) -> Result<Option<Tries>> {
    let hour_ago = tx.steady().minus(HOUR);
    let mut tries = tx.get::<Tries>(key(who))?.unwrap_or_else(|| Tries { who: who.into(), at: Vec::new() });
    tries.at.retain(|at| *at > hour_ago);
    Ok((tries.at.len() < limit).then_some(tries))
}

/// The last try of this somebody was none.
pub fn take_back(tx: &mut Tx<'_>, who: &str) -> Result<()> {
    let Some(mut tries) = tx.get::<Tries>(key(who))? else { return Ok(()) };
    tries.at.pop();
    tx.put(&tries)?;
    Ok(())
}

/// How long until this somebody may try once more. `None`: now.
pub fn wait(tx: &mut Tx<'_>, who: &str, limit: usize) -> Result<Option<Duration>> {
    let now = tx.steady();
    let tries = tx.get::<Tries>(key(who))?;
    // The oldest of those that must be forgotten first.
    let full = tries.and_then(|tries| tries.at.iter().rev().nth(limit.saturating_sub(1)).copied());
    Ok(full.map(|at| HOUR.saturating_sub(now.since(at))).filter(|rest| !rest.is_zero()))
}

impl Tries {
    /// How often, as far as it counts.
    pub fn times(&self) -> usize {
        self.at.len()
    }

    /// Counts one more.
    pub fn count(mut self, tx: &mut Tx<'_>) -> Result<()> {
        self.at.push(tx.steady());
        tx.put(&self)?;
        Ok(())
    }
}

/// Removes what counts no more, among the records after one of them. Answers where to go on, if there is more.
pub fn forget(tx: &mut Tx<'_>, after: Option<&str>) -> Result<Option<String>> {
    let hour_ago = tx.steady().minus(HOUR);
    let page = tx.scan::<Tries>("", after, SWEEP)?;
    for old in page.iter().filter(|tries| tries.at.iter().all(|at| *at <= hour_ago)) {
        tx.delete(old)?;
    }
    Ok(page.last().filter(|_| page.len() == SWEEP).map(Record::key))
}

//! Counting in any 60 minutes, by person and for the tenant, under one key.

use crate::{
    clock::Steady,
    error::Result,
    fleet::settings,
    store::{self, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(3600);

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Full wipes.
    Full,
    /// Retires, account-only wipes, locks and revocations.
    Other,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Acts {
    acts: Vec<(Steady, String, Kind)>,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [store::Kind; 1] = [store::Kind::of::<Acts>()];

impl Record for Acts {
    const KIND: &'static str = "acts";
    fn key(&self) -> String {
        String::new()
    }
}

fn lately(tx: &mut Tx<'_>) -> Result<Acts> {
    let since = tx.steady().minus(WINDOW);
    let mut acts = tx.get::<Acts>("")?.unwrap_or_default();
    acts.acts.retain(|(at, _, _)| *at > since);
    Ok(acts)
}

/// Which limit one more act of this person would pass, in words.
pub(super) fn over(tx: &mut Tx<'_>, person: &str, kind: Kind) -> Result<Option<String>> {
    let (one, name, per_admin, per_tenant) = match kind {
        Kind::Full => ("full wipe", "full wipes", "wipe.full.per_admin", "wipe.full.per_tenant"),
        Kind::Other => (
            "retire, lock or revocation",
            "retires, locks and revocations",
            "wipe.other.per_admin",
            "wipe.other.per_tenant",
        ),
    };
    let acts = lately(tx)?.acts;
    let all = acts.iter().filter(|(_, _, k)| *k == kind).count();
    let own = acts.iter().filter(|(_, who, k)| *k == kind && who == person).count();
    for (key, count) in [(per_admin, own), (per_tenant, all)] {
        let limit = settings::count(tx, key)?;
        if count >= limit {
            let name = if count == 1 { one } else { name };
            return Ok(Some(format!("{count} {name} in the last 60 minutes, the limit {key} is {limit}")));
        }
    }
    Ok(None)
}

/// Counts one.
pub(super) fn count(tx: &mut Tx<'_>, person: &str, kind: Kind) -> Result<()> {
    let mut acts = lately(tx)?;
    acts.acts.push((tx.steady(), person.to_string(), kind));
    Ok(tx.put(&acts)?)
}

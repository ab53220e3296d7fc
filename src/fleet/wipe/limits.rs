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

/// What is counted, as one and as several, and by which settings: each person's, and all.
fn limits(kind: Kind) -> ([&'static str; 2], &'static str, &'static str) {
    match kind {
        Kind::Full => (["full wipe", "full wipes"], "wipe.full.per_admin", "wipe.full.per_tenant"),
        Kind::Other => (
            ["retire, lock or revocation", "retires, locks and revocations"],
            "wipe.other.per_admin",
            "wipe.other.per_tenant",
        ),
    }
}

/// The same for what no person asks for: whether one more would pass the tenant's limit.
pub(super) fn over_tenant(tx: &mut Tx<'_>, kind: Kind) -> Result<Option<String>> {
    let (name, _, per_tenant) = limits(kind);
    let count = lately(tx)?.acts.iter().filter(|(_, _, k)| *k == kind).count();
    passed(tx, name, per_tenant, count)
}

fn passed(tx: &mut Tx<'_>, [one, several]: [&str; 2], key: &str, count: usize) -> Result<Option<String>> {
    let limit = settings::count(tx, key)?;
    let name = if count == 1 { one } else { several };
    Ok((count >= limit).then(|| format!("{count} {name} in the last 60 minutes, the limit {key} is {limit}")))
}

/// Which limit one more act of this person would pass, in words.
pub(super) fn over(tx: &mut Tx<'_>, person: &str, kind: Kind) -> Result<Option<String>> {
    let (name, per_admin, per_tenant) = limits(kind);
    let acts = lately(tx)?.acts;
    let all = acts.iter().filter(|(_, _, k)| *k == kind).count();
    let own = acts.iter().filter(|(_, who, k)| *k == kind && who == person).count();
    for (key, count) in [(per_admin, own), (per_tenant, all)] {
        if let Some(why) = passed(tx, name, key, count)? {
            return Ok(Some(why));
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

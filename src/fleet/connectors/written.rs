//! Mailbox policies that were made in Exchange of the policies here: what each says, and which of them somebody changed there since.

use super::{partnerships, under::Rules};
use crate::{
    clock::Timestamp,
    error::Result,
    fleet::registry::lookup::part,
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// So many are remembered.
const POLICIES: usize = 500;

/// What was made of mailbox policies of ours, and which of them say something else since.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Policies {
    org: String,
    /// By name, what each says, and what it could not say.
    made: BTreeMap<String, (BTreeMap<String, String>, Vec<String>)>,
    /// Found otherwise, and not under repair.
    broken: BTreeSet<String>,
    /// Found otherwise, and that is on record.
    drifted: BTreeSet<String>,
    /// When one was last written.
    written: Option<Timestamp>,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 1] = [Kind::of::<Policies>()];

impl Record for Policies {
    const KIND: &'static str = "exchange-policies";
    fn key(&self) -> String {
        part(&self.org)
    }
}

/// Which policies of ours say something else than was written.
pub(super) fn note(
    tx: &mut Tx<'_>,
    org: &str,
    told: &BTreeMap<String, BTreeMap<String, String>>,
    read: Timestamp,
) -> Result<()> {
    let Some(mut kept) = tx.get::<Policies>(part(org))? else { return Ok(()) };
    if kept.written.is_some_and(|written| read < written) {
        return Ok(());
    }
    let before = kept.clone();
    let differs = |(name, (says, _)): &(&String, &(BTreeMap<String, String>, Vec<String>))| {
        let told = told.get(*name);
        told.is_some_and(|told| says.iter().any(|(name, value)| told.get(name).is_some_and(|told| told != value)))
    };
    kept.broken = kept.made.iter().filter(differs).map(|(name, _)| name.clone()).collect();
    for name in kept.broken.difference(&before.drifted) {
        partnerships::altered(tx, org, &format!("the mailbox policy {name:?} says something else than was set"))?;
    }
    kept.drifted = kept.broken.clone();
    // What Exchange has no more was removed there; who is under it is put under it anew.
    kept.made.retain(|name, _| told.contains_key(name));
    if kept != before {
        tx.put(&kept)?;
        if !kept.broken.is_empty() {
            tx.touch(partnerships::PARTNERSHIPS);
        }
    }
    Ok(())
}

/// Policies of ours that are to be written anew.
pub(super) fn broken(tx: &mut Tx<'_>, org: &str) -> Result<BTreeSet<String>> {
    Ok(tx.get::<Policies>(part(org))?.map(|kept| kept.broken).unwrap_or_default())
}

/// An order writes this one anew: one is enough.
pub(super) fn mends(tx: &mut Tx<'_>, org: &str, name: &str) -> Result<()> {
    let Some(mut kept) = tx.get::<Policies>(part(org))? else { return Ok(()) };
    if kept.broken.remove(name) {
        tx.put(&kept)?;
    }
    Ok(())
}

/// Exchange has a policy of ours that says this.
pub(super) fn made(tx: &mut Tx<'_>, org: &str, rules: &Rules) -> Result<()> {
    let mut kept =
        tx.get::<Policies>(part(org))?.unwrap_or_else(|| Policies { org: org.into(), ..Policies::default() });
    let says = (rules.settings.clone(), rules.near.clone());
    let known = kept.made.insert(rules.name.clone(), says.clone()).is_some_and(|known| known == says);
    if known && !kept.drifted.contains(&rules.name) {
        return Ok(());
    }
    kept.drifted.remove(&rules.name);
    kept.written = Some(tx.now());
    while kept.made.len() > POLICIES {
        kept.made.pop_first();
    }
    Ok(tx.put(&kept)?)
}

/// What a policy of ours could not say as it was asked for, by the policy's name.
pub fn near(tx: &mut Tx<'_>, org: &str) -> Result<BTreeMap<String, Vec<String>>> {
    let made = tx.get::<Policies>(part(org))?.map(|kept| kept.made).unwrap_or_default();
    Ok(made.into_iter().map(|(name, (_, near))| (name, near)).collect())
}

//! Refusals of those nobody knows: a count per address and minute, so that nobody can write the audit log full.

use crate::{
    error::Result,
    fleet::audit::{self, By, Event},
    store::Store,
};
use std::{collections::BTreeMap, net::IpAddr, sync::Mutex};

/// Addresses remembered in one minute; the rest is counted together.
const ADDRESSES: usize = 1000;

/// See the module.
#[derive(Default)]
pub struct Strangers(Mutex<BTreeMap<Option<IpAddr>, u64>>);

impl Strangers {
    /// Counts one refusal.
    pub fn count(&self, address: IpAddr) {
        let Ok(mut counts) = self.0.lock() else { return };
        let key = if counts.len() < ADDRESSES || counts.contains_key(&Some(address)) { Some(address) } else { None };
        *counts.entry(key).or_default() += 1;
    }

    /// Writes the counts of the minute that ends.
    pub async fn write(&self, store: &Store) -> Result<()> {
        let counts = match self.0.lock() {
            Ok(mut counts) => std::mem::take(&mut *counts),
            Err(_) => return Ok(()),
        };
        if counts.is_empty() {
            return Ok(());
        }
        let write = move |tx: &mut crate::store::Tx<'_>| {
            for (&address, &count) in &counts {
                audit::note(tx, By::Stranger, Event::StrangerRefused { address, count })?;
            }
            Ok(())
        };
        store.run(write).await
    }
}

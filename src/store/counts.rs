//! How many records of a kind go by each name that they are counted under: kept with every write, so that nobody who wants to
//! know a number reads all of them.

use super::{Fault, Record, Tx, tx::read_record};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Records read at a time where all are counted.
const PAGE: usize = 1000;

/// How many records there are of one kind under one name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Count {
    kind: String,
    name: String,
    count: u64,
}

/// All that there were of this kind have been counted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Counted {
    kind: String,
}

impl Record for Count {
    const KIND: &'static str = "count";
    fn key(&self) -> String {
        key(&self.kind, &self.name)
    }
}

impl Record for Counted {
    const KIND: &'static str = "counted";
    fn key(&self) -> String {
        self.kind.clone()
    }
}

/// Names may be longer than keys.
fn key(kind: &str, name: &str) -> String {
    let digest: String = openssl::sha::sha256(name.as_bytes()).iter().take(16).map(|b| format!("{b:02x}")).collect();
    format!("{kind}/{digest}")
}

impl Tx<'_> {
    /// How many records there are under each name ([`Record::counted`]). Right from the first record on, or once all have been
    /// counted by [`Tx::count_all`].
    pub fn counts<R: Record>(&mut self) -> Result<Vec<(String, u64)>, Fault> {
        let counts = self.all::<Count>(&format!("{}/", R::KIND))?;
        Ok(counts.into_iter().map(|count| (count.name, count.count)).collect())
    }

    /// Counts all records of a kind of which a store has some that were written before they were counted. Once.
    pub fn count_all<R: Record>(&mut self) -> Result<(), Fault> {
        if self.get::<Counted>(R::KIND)?.is_some() {
            return Ok(());
        }
        for count in self.all::<Count>(&format!("{}/", R::KIND))? {
            self.delete(&count)?;
        }
        let (mut counts, mut after) = (BTreeMap::<String, u64>::new(), None);
        loop {
            let page = self.scan::<R>("", after.as_deref(), PAGE)?;
            let Some(last) = page.last() else { break };
            after = Some(last.key());
            for name in page.iter().filter_map(Record::counted) {
                *counts.entry(name).or_default() += 1;
            }
        }
        for (name, count) in counts {
            self.put(&Count { kind: R::KIND.into(), name, count })?;
        }
        self.put(&Counted { kind: R::KIND.into() })
    }

    /// Counts all of them again: what a store lost was counted as well.
    pub fn count_anew<R: Record>(&mut self) -> Result<(), Fault> {
        self.delete(&Counted { kind: R::KIND.into() })?;
        self.count_all::<R>()
    }

    /// Notes under which name a record counts that was read, lest it be read again when it is written.
    pub(super) fn was_counted<R: Record>(&mut self, key: &str, record: &R) {
        if !self.writes.contains_key(key) {
            self.counted.insert(key.into(), record.counted());
        }
    }

    /// Counts a record that is written (`Some`) or deleted under its new name instead of its former one.
    pub(super) fn count<R: Record>(&mut self, key: &str, record: Option<&R>) -> Result<(), Fault> {
        let former = match self.counted.get(key) {
            Some(known) => known.clone(),
            None => {
                let bytes = self.raw(key)?;
                bytes.map(|bytes| read_record::<R>(key, &bytes)).transpose()?.and_then(|record| record.counted())
            }
        };
        let new = record.and_then(Record::counted);
        if former != new {
            self.shift::<R>(former.as_deref(), u64::saturating_sub)?;
            self.shift::<R>(new.as_deref(), u64::saturating_add)?;
        }
        self.counted.insert(key.into(), new);
        Ok(())
    }

    fn shift<R: Record>(&mut self, name: Option<&str>, by: fn(u64, u64) -> u64) -> Result<(), Fault> {
        let Some(name) = name else { return Ok(()) };
        let known = self.get::<Count>(key(R::KIND, name))?;
        let count = by(known.map_or(0, |count| count.count), 1);
        let count = Count { kind: R::KIND.into(), name: name.into(), count };
        if count.count > 0 {
            return self.put(&count);
        }
        self.delete(&count)
    }
}

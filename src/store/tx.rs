//! One call's view of the store: what is committed, over it the batch so far, over it the call's own writes.

use super::{Changes, Engine, Fault, TENANT, Writes};
use crate::clock::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The change that concerns every device (a policy, a setting, the stop).
pub(crate) const EVERYTHING: &str = "*";

/// Something kept in the store under a key of its own, as JSON behind one byte of format number.
pub trait Record: Serialize + DeserializeOwned {
    /// The kind, first part of the key after the tenant.
    const KIND: &'static str;
    /// The format that is written. Older ones are brought up by serde defaults.
    const FORMAT: u8 = 1;
    /// The rest of the key.
    fn key(&self) -> String;
    /// Whom a change concerns: a device's id, or [`EVERYTHING`].
    fn subject(&self) -> Option<String> {
        None
    }
}

/// See the module.
pub struct Tx<'a> {
    pub(super) engine: &'a mut dyn Engine,
    pub(super) batch: &'a Writes,
    pub(super) writes: Writes,
    pub(super) changes: Changes,
    pub(super) remembered: Vec<super::Changed>,
    pub(super) now: Timestamp,
    pub(super) node: &'a str,
    pub(super) ids: &'a mut Ids,
}

/// Source of random bytes and of ids that grow.
pub(super) struct Ids {
    pub(super) fill: super::Fill,
    pub(super) count: u16,
}

impl Tx<'_> {
    /// The store's time at the start of the batch.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The name of this node, for its audit chain.
    pub fn node(&self) -> &str {
        self.node
    }

    /// Random bytes fit for secrets.
    pub fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.ids.fill)(&mut bytes);
        bytes
    }

    /// A UUIDv7, greater than all that this node made before.
    pub fn new_id<I: From<Uuid>>(&mut self) -> I {
        let mut random: [u8; 10] = self.random();
        self.ids.count = self.ids.count.wrapping_add(1) & 0x0fff;
        // RFC 9562 6.2 method 1: a counter in rand_a keeps ids of one millisecond in order.
        let [high, low] = self.ids.count.to_be_bytes();
        let [a, b, ..] = &mut random;
        (*a, *b) = (high, low);
        let millis = u64::try_from(self.now.0).unwrap_or(0);
        I::from(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// The record of this kind under this key.
    pub fn get<R: Record>(&mut self, key: impl ToString) -> Result<Option<R>, Fault> {
        let key = full_key(R::KIND, &key.to_string());
        self.raw(&key)?.map(|bytes| decode(&key, &bytes)).transpose()
    }

    /// Writes the record, whether or not it was there, and marks whom it concerns as changed.
    pub fn put<R: Record>(&mut self, record: &R) -> Result<(), Fault> {
        let key = full_key(R::KIND, &record.key());
        let mut bytes = vec![R::FORMAT];
        serde_json::to_writer(&mut bytes, record)
            .map_err(|e| Fault::Corrupt { key: key.clone(), why: e.to_string() })?;
        self.changes.extend(record.subject());
        self.writes.insert(key, Some(bytes));
        Ok(())
    }

    /// Removes the record, if it is there.
    pub fn delete<R: Record>(&mut self, record: &R) {
        self.changes.extend(record.subject());
        self.writes.insert(full_key(R::KIND, &record.key()), None);
    }

    /// Records of one kind whose key begins with `prefix` and is greater than `after`, at most `limit`, by key.
    pub fn scan<R: Record>(&mut self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<R>, Fault> {
        let full = full_key(R::KIND, prefix);
        let after = after.map(|a| full_key(R::KIND, a));
        self.raw_scan(&full, after.as_deref(), limit)?.iter().map(|(key, bytes)| decode(key, bytes)).collect()
    }

    /// All of them. For kinds that stay few (policies, groups, administrators), or for a background task.
    pub fn all<R: Record>(&mut self, prefix: &str) -> Result<Vec<R>, Fault> {
        self.scan(prefix, None, usize::MAX)
    }

    /// Marks a device (or everything) as changed without writing a record.
    pub fn touch(&mut self, subject: impl ToString) {
        self.changes.insert(subject.to_string());
    }

    /// Hands something to the store's [`super::Observer`], once and only if this call is committed.
    pub fn remember(&mut self, what: super::Changed) {
        self.remembered.push(what);
    }

    fn raw(&mut self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        match self.writes.get(key).or_else(|| self.batch.get(key)) {
            Some(value) => Ok(value.clone()),
            None => self.engine.get(key),
        }
    }

    fn raw_scan(&mut self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<(String, Vec<u8>)>, Fault> {
        let wanted = |key: &str| key.starts_with(prefix) && after.is_none_or(|a| key > a);
        let mut over: BTreeMap<String, Option<Vec<u8>>> = BTreeMap::new();
        for writes in [self.batch, &self.writes] {
            let from = writes.range(prefix.to_string()..).take_while(|(key, _)| key.starts_with(prefix));
            over.extend(from.filter(|(key, _)| wanted(key)).map(|(k, v)| (k.clone(), v.clone())));
        }
        // Deleted ones below may hide as many of those read: ask for that many more.
        let hidden = over.values().filter(|v| v.is_none()).count();
        let mut found: BTreeMap<_, _> = self
            .engine
            .scan(prefix, after, limit.saturating_add(hidden))?
            .into_iter()
            .map(|(k, v)| (k, Some(v)))
            .collect();
        found.extend(over);
        Ok(found.into_iter().filter_map(|(k, v)| Some((k, v?))).take(limit).collect())
    }
}

fn full_key(kind: &str, key: &str) -> String {
    format!("{TENANT}/{kind}/{key}")
}

fn decode<R: Record>(key: &str, bytes: &[u8]) -> Result<R, Fault> {
    let corrupt = |why: String| Fault::Corrupt { key: key.to_string(), why };
    let (format, json) = bytes.split_first().ok_or_else(|| corrupt("empty".into()))?;
    if *format == 0 || *format > R::FORMAT {
        return Err(corrupt(format!("format {format}, this program knows {}", R::FORMAT)));
    }
    serde_json::from_slice(json).map_err(|e| corrupt(e.to_string()))
}

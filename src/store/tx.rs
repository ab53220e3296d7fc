//! One call's view of the store: what is committed, over it the batch so far, over it the call's own writes.

use super::{Changes, Entry, Fault, Moment, Reader, Time, Writes, codec};
use crate::clock::{Steady, Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The change that concerns every device (a policy, a setting, the stop).
pub(crate) const EVERYTHING: &str = "*";
/// Nobody knows what changed: the feed was not read for too long, or comes from a new connection.
pub(crate) const DISTRUSTED: &str = "?";
/// Bytes of a key at most: what every backend can index.
const LONGEST_KEY: usize = 1000;

/// Something kept in the store under a key of its own. How its fields lie there: `store/codec.rs`.
pub trait Record: Serialize + DeserializeOwned {
    /// The kind, first part of the key after the tenant.
    const KIND: &'static str;
    /// The format that is written. Older ones are brought up by serde defaults.
    const FORMAT: u8 = 1;
    /// The rest of the key.
    fn key(&self) -> String;
    /// The record without what its key says, as it lies in the store. `None`: as it is.
    fn lean(&self) -> Option<Self> {
        None
    }
    /// The whole of it again, by the rest of its key. `None`: that is no key of this kind.
    fn whole(self, _rest: &str) -> Option<Self> {
        Some(self)
    }
    /// Whether [`Record::counted`] says anything.
    const COUNTED: bool = false;
    /// The name under which it counts as one ([`Tx::counts`]). What is counted of a kind may change with the program's layout only.
    fn counted(&self) -> Option<String> {
        None
    }
    /// Whom a change concerns: a device's id, or [`EVERYTHING`].
    fn subject(&self) -> Option<String> {
        None
    }
}

/// A line for the log, told once its call is committed.
pub(super) type Line = Box<dyn FnOnce() + Send>;

/// See the module.
pub struct Tx<'a> {
    pub(super) below: &'a mut dyn Reader,
    pub(super) batch: &'a Writes,
    pub(super) writes: Writes,
    pub(super) changes: Changes,
    pub(super) remembered: Vec<super::Changed>,
    pub(super) lines: Vec<Line>,
    /// Under which name those records count that were read or written, as they are now.
    pub(super) counted: BTreeMap<String, Option<String>>,
    pub(super) moment: Moment,
    pub(super) time: Time,
    pub(super) tenant: &'a str,
    pub(super) node: &'a str,
    pub(super) ids: &'a mut Ids,
}

/// Source of random bytes and of ids that grow.
pub(super) struct Ids {
    pub(super) fill: super::Fill,
    pub(super) count: u16,
}

impl Tx<'_> {
    /// The wall clock's time at the start of the batch, as far as it is believed: for people, certificates and `expires`.
    pub fn now(&self) -> Timestamp {
        self.time.now
    }

    /// What has surely passed: for limits, waits and leases.
    pub fn steady(&self) -> Steady {
        self.time.steady
    }

    /// Both, and whether the wall clock is doubted.
    pub fn time(&self) -> Time {
        self.time
    }

    /// What the clock shows, whether or not it is believed.
    pub fn moment(&self) -> Moment {
        self.moment
    }

    /// A moment of the steady time as people read it.
    pub fn wall_of(&self, at: Steady) -> Timestamp {
        Timestamp(at.0.saturating_add(self.time.now.0.saturating_sub(self.time.steady.0)))
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
        let millis = u64::try_from(self.time.steady.0).unwrap_or(0);
        I::from(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// The record of this kind under this key. What can be no key has none.
    pub fn get<R: Record>(&mut self, key: impl ToString) -> Result<Option<R>, Fault> {
        let Ok(key) = full_key(self.tenant, R::KIND, &key.to_string()) else { return Ok(None) };
        let found = self.raw(&key)?.map(|bytes| read_record(&key, &bytes)).transpose()?;
        if R::COUNTED
            && let Some(record) = &found
        {
            self.was_counted(&key, record);
        }
        Ok(found)
    }

    /// The records of this kind under these keys, in their order: one question where the store is far.
    pub fn get_many<R: Record>(
        &mut self,
        keys: impl IntoIterator<Item = impl ToString>,
    ) -> Result<Vec<Option<R>>, Fault> {
        let keys: Result<Vec<String>, Fault> =
            keys.into_iter().map(|key| full_key(self.tenant, R::KIND, &key.to_string())).collect();
        let keys = keys?;
        let below = self.below.get_many(&keys)?;
        let found = keys.iter().zip(below).map(|(key, below)| {
            let over = self.writes.get(key).or_else(|| self.batch.get(key));
            let bytes = over.map_or(below.as_ref(), Option::as_ref);
            bytes.map(|bytes| read_record(key, bytes)).transpose()
        });
        found.collect()
    }

    /// Writes the record, whether or not it was there, and marks whom it concerns as changed.
    pub fn put<R: Record>(&mut self, record: &R) -> Result<(), Fault> {
        let (key, bytes) = written(self.tenant, record)?;
        if R::COUNTED {
            self.count(&key, Some(record))?;
        }
        self.changes.extend(record.subject());
        self.writes.insert(key, Some(bytes));
        Ok(())
    }

    /// Removes the record, if it is there.
    pub fn delete<R: Record>(&mut self, record: &R) -> Result<(), Fault> {
        let Ok(key) = full_key(self.tenant, R::KIND, &record.key()) else { return Ok(()) };
        if R::COUNTED {
            self.count::<R>(&key, None)?;
        }
        self.changes.extend(record.subject());
        self.writes.insert(key, None);
        Ok(())
    }

    /// Records of one kind whose key begins with `prefix` and is greater than `after`, at most `limit`, by key.
    pub fn scan<R: Record>(&mut self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<R>, Fault> {
        let Ok(full) = full_key(self.tenant, R::KIND, prefix) else { return Ok(Vec::new()) };
        let after = after.map(|after| full_key(self.tenant, R::KIND, after)).transpose()?;
        self.raw_scan(&full, after.as_deref(), limit)?.iter().map(|(key, bytes)| read_record(key, bytes)).collect()
    }

    /// The keys alone, for kinds whose keys say all.
    pub fn scan_keys<R: Record>(
        &mut self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, Fault> {
        let kind = full_key(self.tenant, R::KIND, "")?;
        let Ok(full) = full_key(self.tenant, R::KIND, prefix) else { return Ok(Vec::new()) };
        let after = after.map(|after| full_key(self.tenant, R::KIND, after)).transpose()?;
        let found = self.raw_scan(&full, after.as_deref(), limit)?;
        Ok(found.iter().filter_map(|(key, _)| key.strip_prefix(&kind)).map(str::to_string).collect())
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

    /// Writes a line to the log, by `line`, once its batch is committed, refused or not: a call may be run more than once before that
    /// ([`Store::run`](super::Store::run)), and what did not come to pass is not told.
    pub fn log(&mut self, line: impl FnOnce() + Send + 'static) {
        self.lines.push(Box::new(line));
    }

    pub(super) fn raw(&mut self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        match self.writes.get(key).or_else(|| self.batch.get(key)) {
            Some(value) => Ok(value.clone()),
            None => self.below.get(key),
        }
    }

    fn raw_scan(&mut self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Entry>, Fault> {
        let wanted = |key: &str| key.starts_with(prefix) && after.is_none_or(|a| key > a);
        let mut over: BTreeMap<String, Option<Vec<u8>>> = BTreeMap::new();
        for writes in [self.batch, &self.writes] {
            let from = writes.range(prefix.to_string()..).take_while(|(key, _)| key.starts_with(prefix));
            over.extend(from.filter(|(key, _)| wanted(key)).map(|(k, v)| (k.clone(), v.clone())));
        }
        // Deleted ones below may hide as many of those read: ask for that many more.
        let hidden = over.values().filter(|v| v.is_none()).count();
        let mut found: BTreeMap<_, _> = self
            .below
            .scan(prefix, after, limit.saturating_add(hidden))?
            .into_iter()
            .map(|(k, v)| (k, Some(v)))
            .collect();
        found.extend(over);
        Ok(found.into_iter().filter_map(|(k, v)| Some((k, v?))).take(limit).collect())
    }
}

/// Keys are text without control characters: what one backend cannot keep none is given.
fn full_key(tenant: &str, kind: &str, key: &str) -> Result<String, Fault> {
    if key.len() > LONGEST_KEY || key.chars().any(char::is_control) {
        return Err(Fault::Key);
    }
    Ok(format!("{tenant}/{kind}/{key}"))
}

/// The record in these bytes.
pub fn read_record<R: Record>(key: &str, bytes: &[u8]) -> Result<R, Fault> {
    let rest = key.splitn(3, '/').nth(2).unwrap_or_default();
    let lean: R = codec::decode(key, R::FORMAT, bytes)?;
    lean.whole(rest).ok_or_else(|| Fault::Corrupt { key: key.into(), why: "its key does not fit its kind".into() })
}

/// Key and bytes under which a tenant's record lies in the store.
pub fn written<R: Record>(tenant: &str, record: &R) -> Result<Entry, Fault> {
    let key = full_key(tenant, R::KIND, &record.key())?;
    let bytes = codec::encode(&key, R::FORMAT, record.lean().as_ref().unwrap_or(record))?;
    Ok((key, bytes))
}

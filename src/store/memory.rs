//! The model: a map in memory. The other backends are held against it, and the simulation runs on it.

use super::{Changes, Engine, Entry, Fault, Moment, Reader, Writes};
use crate::clock::{Clock, Steady};
use std::collections::BTreeMap;

/// See the module.
pub struct Memory {
    data: BTreeMap<String, Vec<u8>>,
    clock: Clock,
    /// The steady time at the clock's zero of uptime.
    began: Steady,
}

impl Memory {
    /// An empty store.
    pub fn new(clock: Clock) -> Self {
        let began = Steady(clock.wall().0).minus(clock.uptime());
        Self { data: BTreeMap::new(), clock, began }
    }
}

impl Reader for Memory {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.data.get(key).cloned())
    }
    fn scan(&mut self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Entry>, Fault> {
        let found = self.data.range(prefix.to_string()..).take_while(|(k, _)| k.starts_with(prefix));
        Ok(found
            .filter(|(k, _)| after.is_none_or(|a| k.as_str() > a))
            .take(limit)
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect())
    }
}

impl Engine for Memory {
    fn begin(&mut self) -> Result<Moment, Fault> {
        Ok(Moment { wall: self.clock.wall(), steady: self.began.plus(self.clock.uptime()) })
    }
    fn changes(&mut self) -> Result<Changes, Fault> {
        Ok(Changes::new())
    }
    fn commit(&mut self, writes: &Writes, _: &Changes) -> Result<(), Fault> {
        for (key, value) in writes {
            match value {
                Some(bytes) => self.data.insert(key.clone(), bytes.clone()),
                None => self.data.remove(key),
            };
        }
        Ok(())
    }
    fn shared(&self) -> bool {
        false
    }
}

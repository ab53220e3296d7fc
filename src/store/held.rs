//! A backend whose commits wait for a gate: how tests see that nothing leaves before its commit.

use super::{Ahead, Changes, Engine, Entry, Fault, Moment, Reader, Readers, Writes};
use std::sync::{Arc, Mutex};

/// See the module.
pub struct Held {
    inner: Box<dyn Engine>,
    gate: Arc<Mutex<()>>,
}

impl Held {
    /// While somebody holds `gate`, commits of `inner` wait.
    pub fn new(inner: Box<dyn Engine>, gate: Arc<Mutex<()>>) -> Self {
        Self { inner, gate }
    }
}

impl Reader for Held {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        self.inner.get(key)
    }
    fn get_many(&mut self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Fault> {
        self.inner.get_many(keys)
    }
    fn scan(&mut self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Entry>, Fault> {
        self.inner.scan(prefix, after, limit)
    }
}

impl Engine for Held {
    fn begin(&mut self) -> Result<Moment, Fault> {
        self.inner.begin()
    }
    fn begin_ahead(&mut self, ahead: &mut Ahead<'_>) -> Result<(Moment, bool), Fault> {
        self.inner.begin_ahead(ahead)
    }
    fn changes(&mut self) -> Result<Changes, Fault> {
        self.inner.changes()
    }
    fn commit(&mut self, writes: &Writes, changes: &Changes) -> Result<(), Fault> {
        let held = self.gate.lock();
        let result = self.inner.commit(writes, changes);
        drop(held);
        result
    }
    fn shared(&self) -> bool {
        self.inner.shared()
    }
    fn readers(&self) -> Option<Arc<dyn Readers>> {
        self.inner.readers()
    }
}

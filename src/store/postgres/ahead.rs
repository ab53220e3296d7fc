//! What is read of a node's memory before its turn: all that is asked is noted, to be held against what the feed then says.

use super::cache::{Cache, hash};
use crate::store::{Entry, Fault, Reader, Remembered};
use std::collections::BTreeSet;

/// See the module. What is not remembered is not asked for: the connection waits for the turn.
pub(super) struct Guess {
    pub(super) cache: Cache,
    /// Keys that were read, as the feed names them.
    pub(super) read: BTreeSet<i64>,
    missed: bool,
}

impl Guess {
    pub(super) fn over(cache: Cache) -> Self {
        Self { cache, read: BTreeSet::new(), missed: false }
    }

    fn miss<T>(&mut self) -> Result<T, Fault> {
        self.missed = true;
        Err(Fault::Busy)
    }
}

impl Reader for Guess {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        let Some(known) = self.cache.get(key) else { return self.miss() };
        self.read.insert(hash(key));
        Ok(known)
    }

    // The feed names keys by their hashes: nobody could say whether one of them begins so.
    fn scan(&mut self, _: &str, _: Option<&str>, _: usize) -> Result<Vec<Entry>, Fault> {
        self.miss()
    }
}

impl Remembered for Guess {
    fn missed(&mut self) -> bool {
        std::mem::take(&mut self.missed)
    }
}

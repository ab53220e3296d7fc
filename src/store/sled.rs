//! The embedded store. One process, one writer; a batch is one `apply_batch`, one `flush` and one `fdatasync`.

use super::{Changes, Engine, Fault, LAYOUT, Writes};
use crate::clock::{Clock, Timestamp};
use std::{fs::File, path::Path, time::Duration};

/// Outside the tenants: facts about the store itself.
const LAYOUT_KEY: &[u8] = b"!layout";
/// The highest time seen, so that a clock set back shortens no wait over a restart.
const TIME_KEY: &[u8] = b"!time";
/// How often that is written at most: what a crash together with a clock set back could take away.
const TIME_STEP: Duration = Duration::from_secs(10);

/// See the module.
pub struct Sled {
    db: sled::Db,
    /// sled 0.34.7 never calls fsync in `flush` on Linux, so this handle of its file does.
    file: File,
    clock: Clock,
    latest: Timestamp,
    written: Timestamp,
    poisoned: bool,
}

impl Sled {
    /// Opens or makes the store in this folder, which one process may hold at a time.
    pub fn open(folder: &Path, clock: Clock) -> Result<Self, Fault> {
        let db =
            sled::Config::new().path(folder).cache_capacity(128 << 20).flush_every_ms(None).open().map_err(away)?;
        let file = File::open(folder.join("db")).map_err(away)?;
        match db.get(LAYOUT_KEY).map_err(away)? {
            Some(bytes) => {
                let found = std::str::from_utf8(&bytes).ok().and_then(|t| t.parse().ok()).unwrap_or(u32::MAX);
                if found > LAYOUT {
                    return Err(Fault::Newer { found });
                }
            }
            None => {
                db.insert(LAYOUT_KEY, LAYOUT.to_string().as_bytes()).map_err(away)?;
            }
        }
        let latest = match db.get(TIME_KEY).map_err(away)? {
            Some(bytes) => Timestamp(i64::from_be_bytes(bytes.as_ref().try_into().unwrap_or_default())),
            None => Timestamp(0),
        };
        let mut store = Self { db, file, clock, latest, written: latest, poisoned: false };
        store.sync()?;
        Ok(store)
    }

    fn sync(&mut self) -> Result<(), Fault> {
        self.db.flush().map_err(away)?;
        self.file.sync_data().map_err(away)
    }
}

impl Engine for Sled {
    fn begin(&mut self) -> Result<Timestamp, Fault> {
        if self.poisoned {
            return Err(Fault::Away("an earlier write failed; restart the server".into()));
        }
        self.latest = self.latest.max((self.clock)());
        Ok(self.latest)
    }
    fn changes(&mut self) -> Result<Changes, Fault> {
        Ok(Changes::new())
    }
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.db.get(key).map_err(away)?.map(|v| v.to_vec()))
    }
    fn scan(&mut self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<(String, Vec<u8>)>, Fault> {
        // The least key greater than `after` is `after` and a zero byte.
        let from = after.filter(|a| *a >= prefix).map_or_else(|| prefix.to_string(), |a| format!("{a}\0"));
        let mut found = Vec::new();
        for entry in self.db.range(from.as_bytes()..) {
            let (key, value) = entry.map_err(away)?;
            if found.len() >= limit || !key.starts_with(prefix.as_bytes()) {
                break;
            }
            found.push((String::from_utf8_lossy(&key).into_owned(), value.to_vec()));
        }
        Ok(found)
    }
    fn commit(&mut self, writes: &Writes, _: &Changes) -> Result<(), Fault> {
        let mut batch = sled::Batch::default();
        for (key, value) in writes {
            match value {
                Some(bytes) => batch.insert(key.as_bytes(), bytes.as_slice()),
                None => batch.remove(key.as_bytes()),
            }
        }
        if self.latest.since(self.written) >= TIME_STEP {
            batch.insert(TIME_KEY, &self.latest.0.to_be_bytes());
            self.written = self.latest;
        } else if writes.is_empty() {
            return Ok(());
        }
        // After a failure memory may be ahead of the disk: nothing may be read from it any more.
        let result = self.db.apply_batch(batch).map_err(away).and_then(|()| self.sync());
        self.poisoned = result.is_err();
        result
    }
    fn shared(&self) -> bool {
        false
    }
}

fn away(error: impl std::fmt::Display) -> Fault {
    Fault::Away(error.to_string())
}

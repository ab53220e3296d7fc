//! The embedded store. One process, one writer; a batch is one `apply_batch`, one `flush`, one `fdatasync` and one write of the mark.
//!
//! What sled says is believed only as far as it can be checked: each start reads every record against the tally of the last commit,
//! kept with the records and, synced before any answer, in the mark beside them. After a failed write nothing is read from memory
//! that may be ahead of the disk: the store is opened anew, and checked again, as soon as that is possible.

mod check;
mod folder;
mod mark;
mod opening;
mod pieces;

pub use check::Checked;
pub use opening::Rise;

use self::{
    check::{COMMIT_KEY, Commit},
    mark::{Mark, Marked},
    pieces::{Cut, Head},
};
use super::{Changes, Engine, Entry, Fault, Moment, Reader, Writes, tx::EVERYTHING};
use crate::clock::{self, Clock, Steady};
use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// How often the time that has passed is written where nothing else is: what a crash may take from a wait that goes on.
const TIME_STEP: Duration = Duration::from_secs(10);
/// Between two tries to open the store anew.
const PAUSE: Duration = Duration::from_secs(1);

/// See the module.
pub struct Sled {
    place: Place,
    clock: Clock,
    rise: Arc<Rise>,
    /// None: a write failed.
    disk: Option<Disk>,
    /// The steady time at the clock's zero of uptime.
    began: Steady,
    /// The last failure, and when opening was last tried.
    failed: (String, Instant),
    /// Opened anew: what others remember of the store may be wrong.
    anew: bool,
}

/// Where a store lies.
#[derive(Debug, Clone)]
struct Place {
    folder: PathBuf,
    mark: PathBuf,
}

impl Place {
    fn named(&self, text: impl std::fmt::Display) -> String {
        format!("store {}: {text}", self.folder.display())
    }
    fn refused(&self, text: impl std::fmt::Display) -> Fault {
        Fault::Refused(self.named(text))
    }
    fn away(&self, text: impl std::fmt::Display) -> Fault {
        Fault::Away(self.named(text))
    }
}

/// The open database, and what was last committed to it.
struct Disk {
    db: sled::Db,
    /// sled 0.34.7 never calls fsync in `flush` on Linux, so this handle of its file does.
    file: File,
    commit: Commit,
    mark: Marking,
}

/// Where it is said what is on disk.
enum Marking {
    /// Nowhere: a copy, not the store yet.
    None,
    /// In a new mark, with the next commit: what was accepted counts from there on, and not before.
    Next(PathBuf),
    /// In the mark.
    Kept(Mark),
}

impl Disk {
    fn over(db: sled::Db, folder: &Path, commit: Commit) -> Result<Self, String> {
        let file = File::open(folder.join("db")).map_err(|e| e.to_string())?;
        Ok(Self { db, file, commit, mark: Marking::None })
    }

    fn apply(&mut self, writes: &Writes, steady: Steady) -> Result<(), String> {
        let (mut batch, mut commit) = (sled::Batch::default(), Commit { steady, ..self.commit });
        commit.tally.commit += 1;
        for (key, value) in writes {
            self.one(&mut batch, &mut commit, key, value.as_deref())?;
        }
        batch.insert(COMMIT_KEY, commit.to_bytes());
        self.db.apply_batch(batch).map_err(told)?;
        self.commit = commit;
        Ok(())
    }

    /// One record written or removed, and what that makes of the tally.
    fn one(&self, batch: &mut sled::Batch, commit: &mut Commit, key: &str, value: Option<&[u8]>) -> Result<(), String> {
        let before = self.db.get(key).map_err(told)?;
        let before = before.as_ref().and_then(|bytes| pieces::head(bytes)).map(|(head, _)| head);
        let tally = &mut commit.tally;
        if let Some(Head { checksum, .. }) = before {
            (tally.count, tally.sum) = (tally.count.wrapping_sub(1), tally.sum.wrapping_sub(checksum));
        }
        let mut more = 0;
        if let Some(value) = value {
            let Cut { head, first, more: rest } = pieces::cut(key, value).map_err(|e| e.to_string())?;
            (tally.count, tally.sum) = (tally.count.wrapping_add(1), tally.sum.wrapping_add(head.checksum));
            batch.insert(key, first);
            for (number, piece) in (0..).zip(rest) {
                batch.insert(pieces::place(key, number).as_str(), piece);
            }
            more = head.more;
        } else {
            batch.remove(key);
        }
        for number in more..before.map_or(0, |head| head.more) {
            batch.remove(pieces::place(key, number).as_str());
        }
        Ok(())
    }

    /// All that was applied is on disk, and marked as such.
    fn sync(&mut self) -> Result<(), String> {
        self.db.flush().map_err(told)?;
        self.file.sync_data().map_err(|e| e.to_string())?;
        let Commit { store, tally, .. } = self.commit;
        match &self.mark {
            Marking::None => return Ok(()),
            Marking::Kept(mark) => mark.write(tally),
            Marking::Next(path) => {
                Mark::make(path, Marked { store, tally }).map(|mark| self.mark = Marking::Kept(mark))
            }
        }
        .map_err(|e| format!("its mark: {e}"))
    }
}

impl Sled {
    /// Opens or makes the store in this folder, which one process may hold at a time, against its mark. `rise` makes this layout's
    /// records of those of an older one.
    pub fn open(folder: &Path, mark: &Path, clock: Clock, rise: Arc<Rise>) -> Result<Self, Fault> {
        let place = Place { folder: folder.into(), mark: mark.into() };
        let disk = opening::open(&place, &clock, rise.as_ref())?;
        Ok(Self::over(place, disk, clock, rise))
    }

    /// Whether there is anything of a store.
    pub fn is_there(folder: &Path, mark: &Path) -> bool {
        folder::is_store(folder) || mark.exists()
    }

    /// What is there, and whether it is what was acknowledged.
    pub fn check(folder: &Path, mark: &Path) -> Result<Checked, Fault> {
        opening::check(&Place { folder: folder.into(), mark: mark.into() })
    }

    /// Opens a store that is not what was acknowledged: what cannot be read is left out, and what is there, up to `commit`, counts
    /// from now on. Refused where its last commit is another one.
    pub fn accept(folder: &Path, mark: &Path, commit: u64, clock: Clock, rise: Arc<Rise>) -> Result<Self, Fault> {
        let place = Place { folder: folder.into(), mark: mark.into() };
        let disk = opening::accept(&place, commit, &clock)?;
        Ok(Self::over(place, disk, clock, rise))
    }

    /// The value under a key, of a store that nobody serves from and that need not be whole; else some keys that begin so.
    pub fn peek(folder: &Path, key: &str) -> Result<Result<Vec<u8>, Vec<String>>, Fault> {
        opening::peek(&Place { folder: folder.into(), mark: PathBuf::new() }, key)
    }

    fn over(place: Place, disk: Disk, clock: Clock, rise: Arc<Rise>) -> Self {
        let began = disk.commit.steady.minus(clock.uptime());
        Self { place, clock, rise, disk: Some(disk), began, failed: (String::new(), clock::monotonic()), anew: false }
    }

    fn disk(&self) -> Result<&Disk, Fault> {
        self.disk.as_ref().ok_or_else(|| self.place.away(&self.failed.0))
    }

    /// After a failed write: opens the store anew, if that is possible by now.
    fn again(&mut self) -> Result<(), Fault> {
        if self.disk.is_some() {
            return Ok(());
        }
        if clock::since(self.failed.1) < PAUSE {
            return Err(self.place.away(&self.failed.0));
        }
        self.failed.1 = clock::monotonic();
        let disk = opening::open(&self.place, &self.clock, self.rise.as_ref())?;
        tracing::info!(store = %self.place.folder.display(), "the store can be written again");
        (self.disk, self.anew) = (Some(disk), true);
        Ok(())
    }

    fn steady(&self) -> Steady {
        self.began.plus(self.clock.uptime())
    }
}

impl Reader for Sled {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        let db = &self.disk()?.db;
        match db.get(key).map_err(|e| self.place.away(e))? {
            Some(bytes) => value(&self.place, db, key.as_bytes(), &bytes).map(Some),
            None => Ok(None),
        }
    }

    fn scan(&mut self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Entry>, Fault> {
        let db = &self.disk()?.db;
        // The least key greater than `after` is `after` and a zero byte.
        let from = after.filter(|a| *a >= prefix).map_or_else(|| prefix.to_string(), |a| format!("{a}\0"));
        let mut found = Vec::new();
        for entry in db.range(from.as_bytes()..) {
            let (key, bytes) = entry.map_err(|e| self.place.away(e))?;
            if found.len() >= limit || !key.starts_with(prefix.as_bytes()) {
                break;
            }
            found.push((String::from_utf8_lossy(&key).into_owned(), value(&self.place, db, &key, &bytes)?));
        }
        Ok(found)
    }
}

impl Engine for Sled {
    fn begin(&mut self) -> Result<Moment, Fault> {
        self.again()?;
        Ok(Moment { wall: self.clock.wall(), steady: self.steady() })
    }

    fn changes(&mut self) -> Result<Changes, Fault> {
        Ok(if std::mem::take(&mut self.anew) { [EVERYTHING.to_string()].into() } else { Changes::new() })
    }

    fn commit(&mut self, writes: &Writes, _: &Changes) -> Result<(), Fault> {
        let steady = self.steady();
        let Some(disk) = &mut self.disk else { return Err(self.place.away(&self.failed.0)) };
        let pending = matches!(disk.mark, Marking::Next(_));
        if writes.is_empty() && !pending && steady.since(disk.commit.steady) < TIME_STEP {
            return Ok(());
        }
        let done = disk.apply(writes, steady).and_then(|()| disk.sync());
        done.map_err(|text| {
            // Memory may be ahead of the disk: nothing may be read from it any more.
            self.disk = None;
            self.failed = (text, clock::monotonic());
            self.place.away(&self.failed.0)
        })
    }

    fn shared(&self) -> bool {
        false
    }
}

/// sled's errors, as the system says them where it has said them.
fn told(error: sled::Error) -> String {
    match error {
        sled::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

fn value(place: &Place, db: &sled::Db, key: &[u8], bytes: &[u8]) -> Result<Vec<u8>, Fault> {
    let damaged = || Fault::Corrupt { key: String::from_utf8_lossy(key).into_owned(), why: "it is damaged".into() };
    pieces::joined(db, key, bytes).map_err(|e| place.away(e))?.map(|(_, value)| value).ok_or_else(damaged)
}

//! How far a store has come, as the database says and as this node last saw it. The node's own note lies in its data folder: what it
//! saw and the database does not know was lost, by a standby that did not have it yet or a backup that was put back.

use crate::clock::{self, Timestamp};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use uuid::Uuid;

/// How often it is written.
const STEP: Duration = Duration::from_secs(10);

/// What to do next, said with each refusal.
pub(super) const WAYS: &str =
    "bring the right one back, or look with `lanyard store check` and go on with `lanyard store accept-loss`";

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// Which store.
    pub(super) store: Uuid,
    /// How often a loss was accepted, and one.
    pub(super) epoch: i64,
    /// The number of the last batch that wrote.
    pub(super) commit: i64,
    /// By which it is told from another one of that number.
    pub(super) token: i64,
}

impl Mark {
    /// What a node that saw `self` has to say of a store that is at `found`; `None`: all is well. `there` is the token of the commit
    /// that has the number of the last one seen, as far back as the database knows.
    pub(super) fn judge(self, found: Self, there: Option<i64>) -> Option<String> {
        if found.store != self.store {
            return Some(format!(
                "another store: this node belongs to store {}, the database holds {}",
                self.store, found.store
            ));
        }
        if found.epoch > self.epoch {
            return None;
        }
        let (seen, last) = (self.commit, found.commit);
        let ground = "a standby that had not all, or an older copy";
        if found.epoch < self.epoch || last < seen {
            return Some(format!(
                "behind: this node saw commit {seen}, and the database's last one is {last}: {ground}"
            ));
        }
        let there = if last == seen { Some(found.token) } else { there };
        there.filter(|there| *there != self.token).map(|_| {
            format!(
                "behind: the commit {seen} that this node saw is not there, and another one is in its place: {ground}"
            )
        })
    }
}

/// The node's note.
pub(super) struct Note {
    path: PathBuf,
    written: Option<(Mark, Instant)>,
    /// A disk that takes nothing is told of once.
    told: bool,
    /// A loss is about to be accepted: the former note counts until it is.
    held: bool,
}

impl Note {
    pub(super) fn at(path: &Path) -> Self {
        Self { path: path.into(), written: None, told: false, held: false }
    }

    /// What was noted; `Err` in words where that cannot be read.
    pub(super) fn read(&self) -> Result<Option<Mark>, String> {
        match fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| {
                format!("its mark {} is damaged ({e}), so nobody knows what is missing", self.path.display())
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{}: {error}", self.path.display())),
        }
    }

    /// Notes how far the store has come, now and then.
    pub(super) fn keep(&mut self, mark: Mark) {
        if self.written.is_none_or(|(_, at)| clock::since(at) >= STEP) {
            self.keep_now(mark);
        }
    }

    /// Notes it at once: what comes next may be another database, or the end.
    pub(super) fn keep_now(&mut self, mark: Mark) {
        if self.held || self.written.is_some_and(|(last, _)| last == mark) {
            return;
        }
        match self.write(mark) {
            Ok(()) => self.told = false,
            Err(error) if !self.told => {
                self.told = true;
                tracing::warn!(%error, path = %self.path.display(), "the store's mark cannot be written");
            }
            Err(_) => {}
        }
        // A full disk is not asked again at once.
        self.written = Some((mark, clock::monotonic()));
    }

    /// Writes nothing over the former note until [`Note::replace`].
    pub(super) fn hold(mut self) -> Self {
        self.held = true;
        self
    }

    /// The loss is accepted: the former note goes aside, and this one counts.
    pub(super) fn replace(&mut self, mark: Mark, now: Timestamp) -> io::Result<()> {
        self.put_aside(now)?;
        self.held = false;
        self.write(mark)
    }

    /// Notes it, on disk when this returns.
    pub(super) fn write(&mut self, mark: Mark) -> io::Result<()> {
        let fresh = self.path.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(&serde_json::to_vec(&mark)?)?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        self.written = Some((mark, clock::monotonic()));
        Ok(())
    }

    /// Puts a former note aside.
    pub(super) fn put_aside(&self, now: Timestamp) -> io::Result<()> {
        match fs::rename(&self.path, self.path.with_extension(format!("before-{}", now.unix()))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(store: u128, epoch: i64, commit: i64) -> Mark {
        Mark { store: Uuid::from_u128(store), epoch, commit, token: 70 + commit }
    }

    #[test]
    fn what_a_node_saw_and_the_database_does_not_know_was_lost() {
        let parted = Mark { token: 9, ..mark(1, 1, 5) };
        for (row, seen, found, there, want) in [
            ("as it was", mark(1, 1, 5), mark(1, 1, 5), None, None),
            ("others went on", mark(1, 1, 5), mark(1, 1, 9), Some(75), None),
            ("others went on for long", mark(1, 1, 5), mark(1, 1, 9), None, None),
            (
                "lost",
                mark(1, 1, 5),
                mark(1, 1, 4),
                None,
                Some("behind: this node saw commit 5, and the database's last one is 4"),
            ),
            (
                "lost, and others went on",
                mark(1, 1, 5),
                mark(1, 1, 9),
                Some(9),
                Some("behind: the commit 5 that this node saw"),
            ),
            (
                "lost, and another one wrote",
                mark(1, 1, 5),
                parted,
                None,
                Some("behind: the commit 5 that this node saw"),
            ),
            ("lost and accepted", mark(1, 1, 5), mark(1, 2, 4), None, None),
            ("from before it was accepted", mark(1, 2, 5), mark(1, 1, 9), None, Some("behind")),
            ("another", mark(1, 1, 5), mark(2, 1, 5), None, Some("another store")),
        ] {
            let words = seen.judge(found, there);
            assert_eq!(words.is_some(), want.is_some(), "{row}: {words:?}");
            assert!(words.unwrap_or_default().starts_with(want.unwrap_or_default()), "{row}");
        }
    }

    #[test]
    fn a_note_is_read_as_it_was_written_and_a_damaged_one_named() {
        let folder = std::env::temp_dir().join(format!("lanyard-note-{}", Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        let mut note = Note::at(&folder.join("store.mark"));
        assert_eq!(note.read(), Ok(None));
        note.write(mark(1, 2, 3)).unwrap();
        note.keep(mark(1, 2, 4));
        assert_eq!(note.read(), Ok(Some(mark(1, 2, 3))), "not so soon again");
        fs::write(folder.join("store.mark"), "{").unwrap();
        assert!(note.read().unwrap_err().contains("is damaged"));
        note.put_aside(Timestamp(0)).unwrap();
        assert_eq!(note.read(), Ok(None));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_former_note_counts_until_a_loss_is_accepted() {
        let folder = std::env::temp_dir().join(format!("lanyard-note-{}", Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("store.mark");
        let read = |name: &str| Note::at(&folder.join(name)).read();
        let mut note = Note::at(&path);
        note.keep(mark(1, 1, 3));
        assert_eq!(read("store.mark"), Ok(Some(mark(1, 1, 3))), "the first at once");
        note.keep_now(mark(1, 1, 4));
        assert_eq!(read("store.mark"), Ok(Some(mark(1, 1, 4))));
        fs::remove_file(&path).unwrap();
        note.keep_now(mark(1, 1, 4));
        assert_eq!(read("store.mark"), Ok(None), "the same is not written again");
        note.write(mark(1, 1, 9)).unwrap();
        let mut holding = Note::at(&path).hold();
        holding.keep(mark(1, 2, 5));
        holding.keep_now(mark(1, 2, 5));
        assert_eq!(read("store.mark"), Ok(Some(mark(1, 1, 9))), "held");
        holding.replace(mark(1, 2, 5), Timestamp(7000)).unwrap();
        assert_eq!(read("store.before-7"), Ok(Some(mark(1, 1, 9))), "put aside");
        assert_eq!(read("store.mark"), Ok(Some(mark(1, 2, 5))));
        holding.keep_now(mark(1, 2, 6));
        assert_eq!(read("store.mark"), Ok(Some(mark(1, 2, 6))), "held no more");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_note_that_cannot_be_had_is_not_taken_for_none() {
        let folder = std::env::temp_dir().join(format!("lanyard-note-{}", Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        assert!(Note::at(&folder).read().is_err(), "a folder in its place");
        fs::write(folder.join("file"), "").unwrap();
        let beneath = Note::at(&folder.join("file/store.mark"));
        assert!(beneath.read().is_err() && beneath.put_aside(Timestamp(0)).is_err());
        fs::remove_dir_all(folder).unwrap();
    }
}

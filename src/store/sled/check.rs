//! Reading a whole store against what is said to be in it.

use super::{
    mark::Tally,
    pieces::{self, OURS},
};
use crate::clock::Steady;
use serde::Serialize;
use uuid::Uuid;

/// Which store it is, how far it has come, and its time: written with each batch.
pub(super) const COMMIT_KEY: &[u8] = b"!commit";

/// See [`COMMIT_KEY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) store: Uuid,
    pub(super) tally: Tally,
    pub(super) steady: Steady,
}

impl Commit {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let Self { store, tally, steady } = self;
        let numbers = [tally.commit, tally.count, tally.sum, steady.0.cast_unsigned()];
        store.as_bytes().iter().copied().chain(numbers.into_iter().flat_map(u64::to_le_bytes)).collect()
    }

    pub(super) fn read(db: &sled::Db) -> Result<Option<Self>, sled::Error> {
        Ok(db.get(COMMIT_KEY)?.and_then(|bytes| Self::parse(&bytes)))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (id, numbers) = bytes.split_at_checked(16)?;
        let mut numbers = numbers.chunks_exact(8).map(|n| n.try_into().map_or(0, u64::from_le_bytes));
        let tally = Tally { commit: numbers.next()?, count: numbers.next()?, sum: numbers.next()? };
        Some(Self { store: Uuid::from_slice(id).ok()?, tally, steady: Steady(numbers.next()?.cast_signed()) })
    }
}

/// All that was found in a store.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Records that are whole, their checksums added up.
    pub(super) count: u64,
    pub(super) sum: u64,
    /// Bytes of keys and values, heads included.
    pub(super) bytes: u64,
    /// Keys of what is there and cannot be read.
    pub(super) damaged: Vec<String>,
    /// Pieces that belong to no record.
    pub(super) strays: u64,
}

/// Reads everything.
pub(super) fn read(db: &sled::Db) -> Result<Found, sled::Error> {
    let (mut found, mut wanted, mut pieces) = (Found::default(), 0_u64, 0_u64);
    for entry in db.iter() {
        let (key, bytes) = entry?;
        found.bytes += (key.len() + bytes.len()) as u64;
        if key.starts_with(pieces::MORE.as_bytes()) {
            pieces += 1;
        } else if key.first() != Some(&OURS) {
            // Where a part of sled's tree is an older one, what is come across need not be what is found by its key.
            let same = db.get(&key)?.is_some_and(|found| found == bytes);
            match pieces::joined(db, &key, &bytes)?.filter(|_| same) {
                Some((head, _)) => {
                    found.count += 1;
                    found.sum = found.sum.wrapping_add(head.checksum);
                    wanted += u64::from(head.more);
                }
                None => found.damaged.push(String::from_utf8_lossy(&key).into_owned()),
            }
        }
    }
    found.strays = pieces.saturating_sub(wanted);
    Ok(found)
}

/// What `lanyard store check` says of a store.
#[derive(Debug, Clone, Serialize)]
pub struct Checked {
    /// All that was acknowledged is there.
    pub ok: bool,
    /// Its id, or its path where it has none.
    pub store: String,
    /// The last commit found; null where it cannot be opened.
    pub commit: Option<u64>,
    /// The last commit that was acknowledged, by the mark; null where there is no mark.
    pub expected: Option<u64>,
    /// Records found.
    pub records: u64,
    /// Records that were there at the last commit and are not.
    pub missing: u64,
    /// Keys of those that are there and cannot be read.
    pub damaged: Vec<String>,
    /// In words; null where all is well.
    pub why: Option<String>,
}

/// What is wrong with a store, by its mark, its own last commit and what was found; `None`: nothing.
pub(super) fn verdict(marked: Option<Tally>, commit: Option<&Commit>, found: &Found) -> Option<String> {
    let Some(commit) = commit else { return Some("damaged: it does not say how far it has come".into()) };
    let own = commit.tally;
    if let Some(marked) = marked
        && own.commit < marked.commit
    {
        return Some(format!(
            "behind: commit {} was acknowledged, and its last one is {}: a disk that forgets, or an older copy",
            marked.commit, own.commit
        ));
    }
    if let Some(marked) = marked
        && own.commit > marked.commit + 1
    {
        // The mark is written before the next commit begins.
        return Some(format!(
            "damaged: its mark is of commit {}, and its last one is {}: the mark is an older one, so nobody knows what is missing",
            marked.commit, own.commit
        ));
    }
    let told = marked.filter(|marked| marked.commit == own.commit).unwrap_or(own);
    if let Some(first) = found.damaged.first() {
        return Some(format!("damaged: {} records cannot be read, the first is {first}", found.damaged.len()));
    }
    if found.count < told.count {
        return Some(format!("damaged: {} of {} records are missing", told.count - found.count, told.count));
    }
    if (found.count, found.sum) != (told.count, told.sum) || told != own || found.strays > 0 {
        return Some("damaged: its records are not those that were acknowledged".into());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let tally = |commit, count, sum| Tally { commit, count, sum };
        let commit = |tally| Some(Commit { store: Uuid::from_u128(7), tally, steady: Steady(5) });
        let found = |count, sum| Found { count, sum, ..Found::default() };
        let damaged = Found { damaged: vec!["default/device/1".into()], ..found(2, 9) };
        let strays = Found { strays: 1, ..found(3, 9) };
        for (row, marked, own, found, want) in [
            ("all well", Some(tally(5, 3, 9)), commit(tally(5, 3, 9)), found(3, 9), None),
            ("one ahead of its mark", Some(tally(4, 1, 1)), commit(tally(5, 3, 9)), found(3, 9), None),
            (
                "two ahead",
                Some(tally(3, 1, 1)),
                commit(tally(5, 3, 9)),
                found(3, 9),
                Some("damaged: its mark is of commit 3"),
            ),
            ("behind", Some(tally(6, 3, 9)), commit(tally(5, 3, 9)), found(3, 9), Some("behind: commit 6")),
            ("no commit", Some(tally(5, 3, 9)), None, found(3, 9), Some("damaged: it does not say")),
            ("unreadable", Some(tally(5, 3, 9)), commit(tally(5, 3, 9)), damaged, Some("damaged: 1 records cannot")),
            (
                "missing",
                Some(tally(5, 3, 9)),
                commit(tally(5, 3, 9)),
                found(1, 2),
                Some("damaged: 2 of 3 records are missing"),
            ),
            (
                "exchanged",
                Some(tally(5, 3, 9)),
                commit(tally(5, 3, 9)),
                found(3, 8),
                Some("damaged: its records are not"),
            ),
            (
                "missing after the mark",
                Some(tally(4, 1, 1)),
                commit(tally(5, 3, 9)),
                found(2, 7),
                Some("damaged: 1 of 3"),
            ),
            (
                "its own word changed",
                Some(tally(5, 3, 9)),
                commit(tally(5, 3, 8)),
                found(3, 9),
                Some("damaged: its records"),
            ),
            ("a stray piece", Some(tally(5, 3, 9)), commit(tally(5, 3, 9)), strays, Some("damaged: its records")),
        ] {
            let verdict = verdict(marked, own.as_ref(), &found);
            assert_eq!(verdict.is_some(), want.is_some(), "{row}: {verdict:?}");
            assert!(verdict.unwrap_or_default().starts_with(want.unwrap_or_default()), "{row}");
        }
    }

    #[test]
    fn a_commit_is_written_and_read() {
        let commit =
            Commit { store: Uuid::from_u128(9), tally: Tally { commit: 3, count: 2, sum: 1 }, steady: Steady(-4) };
        assert_eq!(Commit::parse(&commit.to_bytes()), Some(commit));
        assert_eq!(Commit::parse(&commit.to_bytes()[..40]), None);
    }

    #[test]
    fn all_that_lies_there_is_added_up() {
        let db = sled::Config::new().temporary(true).open().unwrap();
        let (mut sum, mut bytes) = (0_u64, 0);
        let mut insert = |key: &str, value: &[u8]| {
            bytes += (key.len() + value.len()) as u64;
            db.insert(key, value).unwrap();
        };
        for (key, length) in [("default/x/1", 10), ("default/x/2", 10_000), ("default/x/3", 20_000)] {
            let pieces::Cut { head, first, more } = pieces::cut(key, &vec![7; length]).unwrap();
            sum = sum.wrapping_add(head.checksum);
            insert(key, &first);
            for (number, piece) in (0..).zip(&more) {
                insert(&pieces::place(key, number), piece);
            }
        }
        insert("!commit", b"what is ours is no record");
        let found = read(&db).unwrap();
        assert_eq!((found.count, found.sum, found.strays), (3, sum, 0));
        insert("default/x/4", b"no head");
        insert(&pieces::place("default/x/1", 0), b"nobody's");
        insert(&pieces::place("default/x/5", 0), b"nobody's");
        let found = read(&db).unwrap();
        assert_eq!((found.count, found.sum, found.strays, found.bytes), (3, sum, 2, bytes));
        assert_eq!(found.damaged, ["default/x/4"]);
    }
}

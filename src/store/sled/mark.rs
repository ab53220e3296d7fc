//! The mark: what was last said to be on disk, kept outside sled's own files and synced before any answer.
//!
//! Two places in one small file are written in turns, so that a cut while one is written leaves the other. Whatever becomes of the
//! store (a disk that forgets, a file cut short, an older copy put in its place), the next start sees that it is not what was
//! acknowledged.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};
use twox_hash::XxHash3_64;
use uuid::Uuid;

const MAGIC: &[u8; 8] = b"lanyard2";
/// Magic, id, four numbers of eight bytes.
const LENGTH: usize = 8 + 16 + 4 * 8;
/// Each place in a block of its own: a torn write spoils one.
const PLACE: u64 = 4096;

/// What a store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    /// Batches committed so far. None yet: the store is being made.
    pub(super) commit: u64,
    /// Records.
    pub(super) count: u64,
    /// The sum of their checksums, wrapping.
    pub(super) sum: u64,
}

/// The file, open for the next write.
pub(super) struct Mark {
    file: File,
    store: Uuid,
}

/// What a mark says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marked {
    pub(super) store: Uuid,
    pub(super) tally: Tally,
}

impl Mark {
    /// A mark that says this, in a new file or over what was there.
    pub(super) fn make(path: &Path, marked: Marked) -> io::Result<Self> {
        let partial = path.with_extension("mark.new");
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        file.set_len(2 * PLACE)?;
        for place in [0, PLACE] {
            file.write_all_at(&written(&marked), place)?;
        }
        file.sync_all()?;
        std::fs::rename(&partial, path)?;
        sync_folder(path)?;
        Self::open(path, marked.store)
    }

    /// The mark that is there, to go on from.
    pub(super) fn open(path: &Path, store: Uuid) -> io::Result<Self> {
        Ok(Self { file: OpenOptions::new().write(true).open(path)?, store })
    }

    /// Says it anew; on disk when this returns.
    pub(super) fn write(&self, tally: Tally) -> io::Result<()> {
        let place = tally.commit % 2 * PLACE;
        self.file.write_all_at(&written(&Marked { store: self.store, tally }), place)?;
        self.file.sync_data()
    }
}

/// What the mark says, if it is there. `Ok(None)`: it is not. `Err` of the kind `InvalidData`: neither place can be read.
pub(super) fn read(path: &Path) -> io::Result<Option<Marked>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // One that was cut short may have lost the place that was written last.
    let whole = bytes.len() as u64 == 2 * PLACE;
    let places = [bytes.get(..), bytes.get(usize::try_from(PLACE).unwrap_or(usize::MAX)..)];
    let places = places.into_iter().flatten().filter(|_| whole);
    let found = places.filter_map(parse).max_by_key(|marked| marked.tally.commit);
    found.map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it cannot be read"))
}

fn written(marked: &Marked) -> Vec<u8> {
    let Marked { store, tally } = marked;
    let mut bytes = MAGIC.to_vec();
    bytes.extend(store.as_bytes());
    for number in [tally.commit, tally.count, tally.sum] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(XxHash3_64::oneshot(&bytes).to_le_bytes());
    bytes
}

fn parse(bytes: &[u8]) -> Option<Marked> {
    let (said, check) = bytes.get(..LENGTH)?.split_at_checked(LENGTH - 8)?;
    let rest = said.strip_prefix(MAGIC)?;
    if XxHash3_64::oneshot(said).to_le_bytes() != check {
        return None;
    }
    let (id, numbers) = rest.split_at_checked(16)?;
    let mut numbers = numbers.chunks_exact(8).map(|n| n.try_into().map_or(0, u64::from_le_bytes));
    let tally = Tally { commit: numbers.next()?, count: numbers.next()?, sum: numbers.next()? };
    Some(Marked { store: Uuid::from_slice(id).ok()?, tally })
}

/// A name that was made or changed is on disk.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("lanyard-mark-{}", Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        folder
    }

    fn marked(commit: u64) -> Marked {
        Marked { store: Uuid::from_u128(7), tally: Tally { commit, count: 3 * commit, sum: u64::MAX - commit } }
    }

    #[test]
    fn the_last_word_is_read() {
        let folder = folder();
        let path = folder.join("store.mark");
        assert_eq!(read(&path).unwrap(), None);
        let mark = Mark::make(&path, marked(0)).unwrap();
        for commit in 1..6 {
            mark.write(marked(commit).tally).unwrap();
            assert_eq!(read(&path).unwrap(), Some(marked(commit)));
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_torn_write_leaves_the_word_before() {
        let folder = folder();
        let path = folder.join("store.mark");
        let mark = Mark::make(&path, marked(0)).unwrap();
        mark.write(marked(1).tally).unwrap();
        mark.write(marked(2).tally).unwrap();
        for at in 0..LENGTH {
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(read(&path).unwrap(), Some(marked(1)), "byte {at}");
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
        }
        assert_eq!(read(&path).unwrap(), Some(marked(2)));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_no_mark_is_refused() {
        let folder = folder();
        let path = folder.join("store.mark");
        Mark::make(&path, marked(5)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let long = [&whole[..], b"x"].concat();
        for bytes in [&b""[..], b"lanyard2", &[0; 8192], &whole[..64], &whole[..4096], &whole[..8191], &long] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(read(&path).unwrap_err().kind(), io::ErrorKind::InvalidData, "{} bytes", bytes.len());
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_mark_that_cannot_be_had_is_not_taken_for_none() {
        let folder = folder();
        assert!(read(&folder).is_err(), "a folder in its place");
        std::fs::write(folder.join("file"), "").unwrap();
        assert!(read(&folder.join("file/store.mark")).is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_folder_that_is_synced_is_the_files_own() {
        let folder = folder();
        assert!(sync_folder(&folder.join("store.mark")).is_ok());
        assert!(sync_folder(&folder.join("gone/store.mark")).is_err());
        assert!(sync_folder(Path::new("store.mark")).is_ok(), "in the working directory");
        std::fs::remove_dir_all(folder).unwrap();
    }
}

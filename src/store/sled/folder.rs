//! The folder that sled keeps: opened with whatever an interrupted start left there put right, and exchanged for a fresh one.

use super::mark;
use std::{
    cell::Cell,
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Once,
    time::Duration,
};

/// A fresh copy, not complete yet.
const NEW: &str = "new";
/// What a complete copy is about to replace.
const OLD: &str = "old";

/// A folder beside this one: `store.new` beside `store`.
pub(super) fn beside(folder: &Path, what: &str) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{what}"));
    folder.with_file_name(name)
}

/// Whether sled has written anything there.
pub(super) fn is_store(folder: &Path) -> bool {
    fs::metadata(folder.join("db")).is_ok_and(|db| db.len() > 0)
}

/// What may not be looked at is not gone.
pub(super) fn readable(folder: &Path) -> io::Result<()> {
    match fs::metadata(folder.join("db")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Ends an exchange that was interrupted, and removes the snapshot that a start on a full disk left half written: with it there sled
/// would never open again. `keeps` are names under which a former store is kept.
pub(super) fn tidy(folder: &Path, keeps: &str) -> io::Result<()> {
    let new = beside(folder, NEW);
    let former = [OLD, keeps].map(|name| beside(folder, name)).into_iter().find(|former| is_store(former));
    // Between its two steps the complete copy is still there, and nothing in the store's own place.
    if let Some(former) = former.filter(|_| new.exists() && !is_store(folder)) {
        remove(folder)?;
        fs::rename(former, folder)?;
        mark::sync_folder(folder)?;
    }
    abandon(folder)?;
    remove(&beside(folder, OLD))?;
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "generating") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// A fresh folder beside this one, to copy into.
pub(super) fn fresh(folder: &Path) -> io::Result<PathBuf> {
    let new = beside(folder, NEW);
    remove(&new)?;
    fs::create_dir(&new)?;
    fs::set_permissions(&new, fs::metadata(folder)?.permissions())?;
    Ok(new)
}

/// The copy came to nothing.
pub(super) fn abandon(folder: &Path) -> io::Result<()> {
    remove(&beside(folder, NEW))
}

/// Puts the complete copy in the folder's place; what was there is kept under `keep`, or removed.
pub(super) fn exchange(folder: &Path, keep: Option<&str>) -> io::Result<()> {
    let (new, old) = (beside(folder, NEW), beside(folder, keep.unwrap_or(OLD)));
    remove(&old)?;
    for entry in fs::read_dir(&new)? {
        fs::File::open(entry?.path())?.sync_all()?;
    }
    fs::File::open(&new)?.sync_all()?;
    fs::rename(folder, &old)?;
    fs::rename(&new, folder)?;
    mark::sync_folder(folder)?;
    if keep.is_none() {
        remove(&old)?;
    }
    mark::sync_folder(folder)
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// sled's own words for the lock that another process has.
pub(super) const LOCKED: &str = "could not acquire lock";
/// sled lets go of its lock a little after its last handle went.
const LETS_GO: [u64; 6] = [20, 50, 100, 200, 500, 1000];

/// sled as it is opened everywhere here.
pub(super) fn open(folder: &Path) -> Result<sled::Db, String> {
    let config = sled::Config::new().path(folder).cache_capacity(128 << 20).flush_every_ms(None);
    let open = || quietly(|| config.open().map_err(super::told))?;
    let mut opened = open();
    if opened.as_ref().is_err_and(|text| is_damage(text)) {
        opened = opened.or_else(|_| without_snapshots(folder, open));
    }
    for pause in LETS_GO {
        if !opened.as_ref().is_err_and(|text| text.contains(LOCKED)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(pause));
        opened = open();
    }
    opened
}

/// What passes or is the system's to mend: no memory, no right, too many files, a full disk, a read-only one, a quota (Linux, errno).
const PASSING: [i32; 7] = [12, 13, 23, 24, 28, 30, 122];

/// A lock passes, and so may what the system refuses; what else sled says of files that were whole is damage.
pub(super) fn is_damage(text: &str) -> bool {
    let passing = PASSING.iter().any(|code| text.contains(&format!("(os error {code})")));
    !text.contains(LOCKED) && !passing
}

/// A snapshot only spares sled the reading of its log: a store that does not open with a damaged one may be whole without.
fn without_snapshots(folder: &Path, open: impl Fn() -> Result<sled::Db, String>) -> Result<sled::Db, String> {
    let aside = |path: &Path| path.with_file_name(format!("aside.{}", path.file_name().unwrap_or_default().display()));
    let is_snapshot = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("snap."));
    let entries = fs::read_dir(folder).map_err(|e| e.to_string())?;
    let snapshots: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_snapshot).collect();
    for snapshot in &snapshots {
        fs::rename(snapshot, aside(snapshot)).map_err(|e| e.to_string())?;
    }
    let opened = open();
    for snapshot in &snapshots {
        let put = match &opened {
            Ok(_) => fs::remove_file(aside(snapshot)),
            Err(_) => fs::rename(aside(snapshot), snapshot),
        };
        put.map_err(|e| e.to_string())?;
    }
    opened
}

thread_local! {
    /// This thread's panics are somebody's to catch and no news.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs something of sled's, which panics over damaged files: that becomes an error, and its backtrace is nobody's business.
pub(super) fn quietly<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                before(panic);
            }
        }));
    });
    QUIET.set(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(false);
    done.map_err(|_| "its files cannot be read".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(PathBuf);
    impl Scratch {
        fn new() -> Self {
            let path = std::env::temp_dir().join(format!("lanyard-folder-{}", uuid::Uuid::new_v4()));
            fs::create_dir_all(path.join("store")).unwrap();
            Self(path)
        }
        fn put(&self, name: &str, text: &str) {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fn names(&self) -> Vec<String> {
            let mut names: Vec<String> =
                fs::read_dir(&self.0).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }
    impl Drop for Scratch {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn an_exchange_ends_wherever_it_was_interrupted() {
        for (row, before, want) in [
            ("while copying", vec![("store/db", "1"), ("store.new/db", "half")], "1"),
            ("before the second name", vec![("store.old/db", "1"), ("store.new/db", "2")], "1"),
            ("before the second, the former to be kept", vec![("store.layout1/db", "1"), ("store.new/db", "2")], "1"),
            ("before the old one went", vec![("store.old/db", "1"), ("store/db", "2")], "2"),
        ] {
            let scratch = Scratch::new();
            before.iter().for_each(|(name, text)| scratch.put(name, text));
            tidy(&scratch.0.join("store"), "layout1").unwrap();
            assert_eq!(fs::read_to_string(scratch.0.join("store/db")).unwrap(), want, "{row}");
            assert_eq!(scratch.names(), ["store"], "{row}");
        }
    }

    #[test]
    fn a_former_store_does_not_take_the_place_of_one_that_is_gone() {
        let scratch = Scratch::new();
        scratch.put("store.layout1/db", "1");
        tidy(&scratch.0.join("store"), "layout1").unwrap();
        assert!(!is_store(&scratch.0.join("store")));
        assert_eq!(scratch.names(), ["store", "store.layout1"]);
    }

    #[test]
    fn half_a_snapshot_is_removed_and_a_whole_one_stays() {
        let scratch = Scratch::new();
        ["store/db", "store/snap.0A", "store/snap.0B.generating"].into_iter().for_each(|name| scratch.put(name, "x"));
        tidy(&scratch.0.join("store"), "layout1").unwrap();
        assert!(scratch.0.join("store/snap.0A").exists());
        assert!(!scratch.0.join("store/snap.0B.generating").exists());
    }

    #[test]
    fn what_was_replaced_is_kept_where_asked_for() {
        for (keep, want) in [(None, vec!["store"]), (Some("layout1"), vec!["store", "store.layout1"])] {
            let scratch = Scratch::new();
            scratch.put("store/db", "1");
            let new = fresh(&scratch.0.join("store")).unwrap();
            fs::write(new.join("db"), "2").unwrap();
            exchange(&scratch.0.join("store"), keep).unwrap();
            assert_eq!(fs::read_to_string(scratch.0.join("store/db")).unwrap(), "2");
            assert_eq!(scratch.names(), want);
        }
    }
}

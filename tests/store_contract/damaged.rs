//! The embedded store after harm at rest: bytes changed, files cut, emptied and removed, the whole exchanged. Either all is there,
//! or the start is refused with words that name the store.

use crate::fixture::{Dice, Hands, open_sled, options};
use lanyard::{
    error::Result,
    store::{Fault, Record, Sled, Store, Tx},
};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Thing {
    name: String,
    text: String,
}
impl Record for Thing {
    const KIND: &'static str = "test-thing";
    fn key(&self) -> String {
        self.name.clone()
    }
}

struct Scratch(PathBuf);
impl Scratch {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("lanyard-damaged-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
    fn data(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}
impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A store of some hundred records, short and long, each written more than once.
async fn fill(folder: &Path, rounds: usize) {
    let store = Store::start(Box::new(open_sled(folder, Hands::new().clock()).unwrap()), options("node-a"));
    for round in 0..rounds {
        for batch in 0..10 {
            let write = move |tx: &mut Tx<'_>| -> Result<()> {
                for number in 0..40 {
                    // One that is long, and of fewer pieces in each second round.
                    let length = if number == 7 { 30_000 / (round % 2 + 1) } else { 100 + number };
                    let text = format!("{round}").repeat(length);
                    tx.put(&Thing { name: format!("{batch}/{number}"), text })?;
                }
                Ok(())
            };
            store.run(write).await.unwrap();
        }
    }
    store.close();
}

async fn things(engine: Sled) -> Result<Vec<Thing>> {
    let store = Store::start(Box::new(engine), options("node-a"));
    let found = store.run(|tx| Ok(tx.all::<Thing>("")?)).await;
    store.close();
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|e| (e.path(), e.file_name())).unwrap();
        match path.is_dir() {
            true => copy(&path, &to.join(name)),
            false => assert!(fs::copy(&path, to.join(name)).is_ok()),
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// What is there counts from now on, and is written to once more, so that each leaf is a new one.
async fn go_on(data: &Path) -> bool {
    let (folder, mark) = (data.join("store"), data.join("store.mark"));
    let rise = Arc::new(lanyard::serve::kinds::rise);
    let Ok(checked) = Sled::check(&folder, &mark) else { return false };
    let Ok(engine) = Sled::accept(&folder, &mark, checked.commit.unwrap_or(0), Hands::new().clock(), rise) else {
        return false;
    };
    let store = Store::start(Box::new(engine), options("node-a"));
    let write = |tx: &mut Tx<'_>| -> Result<()> {
        for thing in tx.all::<Thing>("")? {
            tx.put(&Thing { text: format!("{} again", thing.text), ..thing })?;
        }
        Ok(())
    };
    let written = store.run(write).await;
    store.close();
    written.is_ok()
}

/// Does one harm, and says which.
fn harm(data: &Path, dice: &mut Dice) -> String {
    let files = files(data);
    let path = files[dice.below(files.len())].clone();
    let name = path.strip_prefix(data).unwrap().display().to_string();
    let mut bytes = fs::read(&path).unwrap();
    let at = dice.below(bytes.len().max(1));
    match dice.below(8) {
        0 => {
            fs::remove_file(&path).unwrap();
            return format!("{name} removed");
        }
        1 => bytes.clear(),
        2 => bytes.truncate(at),
        3 => bytes.iter_mut().skip(at).take(512).for_each(|b| *b = 0),
        4 => bytes.iter_mut().skip(at).take(64).for_each(|b| *b = !*b),
        _ => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << dice.below(8);
            }
        }
    }
    fs::write(&path, &bytes).unwrap();
    format!("{name} at {at} of {}", bytes.len())
}

fn is_named(fault: &Fault, folder: &Path) -> bool {
    let text = fault.to_string();
    let said = ["gone", "damaged", "behind", "another store"].iter().any(|word| text.contains(word));
    text.contains(&folder.join("store").display().to_string()) && said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_harmed_store_is_whole_or_refused_by_name() {
    let seed = std::env::var("LANYARD_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(14);
    let rounds = std::env::var("LANYARD_DAMAGES").ok().and_then(|s| s.parse().ok()).unwrap_or(60);
    println!("LANYARD_SEED={seed} LANYARD_DAMAGES={rounds}");
    let scratch = Scratch::new();
    let whole = scratch.data("whole");
    fill(&whole, 3).await;
    let wanted = things(open_sled(&whole, Hands::new().clock()).unwrap()).await.unwrap();
    assert_eq!(wanted.len(), 400);
    let (mut dice, mut opened, mut accepted) = (Dice(seed), 0, 0);
    for round in 0..rounds {
        let data = scratch.data(&format!("copy-{round}"));
        copy(&whole, &data);
        let done = harm(&data, &mut dice);
        match open_sled(&data, Hands::new().clock()) {
            Ok(engine) => {
                let found = things(engine).await.unwrap_or_else(|e| panic!("round {round}, {done}: {e}"));
                assert!(found == wanted, "round {round}, {done}: {} of {} records", found.len(), wanted.len());
                opened += 1;
            }
            Err(fault) => {
                assert!(is_named(&fault, &data), "round {round}, {done}: {fault}");
                if go_on(&data).await {
                    let again = open_sled(&data, Hands::new().clock());
                    let again = again.unwrap_or_else(|e| panic!("round {round}, {done}: accepted, and yet {e}"));
                    let found = things(again).await.unwrap();
                    assert!(found.iter().all(|thing| thing.text.ends_with(" again")), "round {round}, {done}");
                    accepted += 1;
                }
            }
        }
        fs::remove_dir_all(data).unwrap();
    }
    println!("{opened} of {rounds} opened whole, the rest was refused; {accepted} losses accepted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_cut_anywhere_is_whole_or_refused_by_name() {
    let scratch = Scratch::new();
    let whole = scratch.data("whole");
    fill(&whole, 3).await;
    // Opened once more it writes a snapshot, so that what lies behind the cut is missed when it is read and no sooner.
    let wanted = things(open_sled(&whole, Hands::new().clock()).unwrap()).await.unwrap();
    let length = fs::metadata(whole.join("store/db")).unwrap().len();
    for part in 0..64 {
        let data = scratch.data(&format!("cut-{part}"));
        copy(&whole, &data);
        let file = fs::OpenOptions::new().write(true).open(data.join("store/db")).unwrap();
        file.set_len(length * part / 64).unwrap();
        drop(file);
        match open_sled(&data, Hands::new().clock()) {
            Err(fault @ Fault::Refused(_)) => assert!(is_named(&fault, &data), "{part}/64: {fault}"),
            Err(fault) => panic!("{part}/64: {fault:?}"),
            // Nothing lay behind the cut.
            Ok(engine) => assert!(things(engine).await.unwrap() == wanted, "{part}/64"),
        }
        fs::remove_dir_all(data).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_snapshot_costs_nothing() {
    let scratch = Scratch::new();
    let data = scratch.data("data");
    fill(&data, 3).await;
    // Opened once more it writes a snapshot of its log.
    let wanted = things(open_sled(&data, Hands::new().clock()).unwrap()).await.unwrap();
    let snapshots = files(&data.join("store")).into_iter().filter(|path| path.display().to_string().contains("/snap."));
    let snapshots: Vec<PathBuf> = snapshots.collect();
    assert!(!snapshots.is_empty());
    for snapshot in snapshots {
        let mut bytes = fs::read(&snapshot).unwrap();
        bytes[20] ^= 1;
        fs::write(&snapshot, &bytes).unwrap();
    }
    assert_eq!(things(open_sled(&data, Hands::new().clock()).unwrap()).await.unwrap(), wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_and_another_store_are_refused_by_name() {
    let scratch = Scratch::new();
    let [older, data, other] = ["older", "data", "other"].map(|name| scratch.data(name));
    fill(&data, 1).await;
    copy(&data, &older);
    fill(&data, 1).await;
    fill(&other, 3).await;
    for (row, from, word) in [("an older copy", &older, "behind"), ("another's", &other, "another store")] {
        fs::remove_dir_all(data.join("store")).unwrap();
        copy(&from.join("store"), &data.join("store"));
        let refused = open_sled(&data, Hands::new().clock()).err().unwrap().to_string();
        assert!(refused.contains(word), "{row}: {refused}");
    }
    fs::remove_dir_all(data.join("store")).unwrap();
    let refused = open_sled(&data, Hands::new().clock()).err().unwrap().to_string();
    assert!(refused.contains("gone") && !data.join("store/db").exists(), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mark_that_is_older_or_cut_short_proves_nothing() {
    let scratch = Scratch::new();
    let data = scratch.data("data");
    fill(&data, 1).await;
    let mark = data.join("store.mark");
    let older = fs::read(&mark).unwrap();
    fill(&data, 1).await;
    let whole = fs::read(&mark).unwrap();
    for (row, bytes) in [("older", &older[..]), ("cut to its first place", &whole[..4096]), ("cut", &whole[..64])] {
        fs::write(&mark, bytes).unwrap();
        let refused = open_sled(&data, Hands::new().clock()).err().unwrap();
        assert!(is_named(&refused, &data), "{row}: {refused}");
    }
    fs::write(&mark, &whole).unwrap();
    assert_eq!(things(open_sled(&data, Hands::new().clock()).unwrap()).await.unwrap().len(), 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_is_accepted_by_its_commit_alone() {
    let scratch = Scratch::new();
    let [older, data] = ["older", "data"].map(|name| scratch.data(name));
    fill(&data, 1).await;
    copy(&data, &older);
    fill(&data, 1).await;
    fs::remove_dir_all(data.join("store")).unwrap();
    copy(&older.join("store"), &data.join("store"));
    let (store, mark) = (data.join("store"), data.join("store.mark"));
    let checked = Sled::check(&store, &mark).unwrap();
    let (commit, expected) = (checked.commit.unwrap(), checked.expected.unwrap());
    assert!(!checked.ok && commit < expected && checked.why.unwrap().starts_with("behind"));
    let accept =
        |commit| Sled::accept(&store, &mark, commit, Hands::new().clock(), Arc::new(lanyard::serve::kinds::rise));
    assert!(accept(commit + 1).is_err());
    drop(accept(commit).unwrap());
    let refused = open_sled(&data, Hands::new().clock()).err().unwrap().to_string();
    assert!(refused.contains("behind"), "cut off before anything was committed: {refused}");
    let found = things(accept(commit).unwrap()).await.unwrap();
    assert_eq!(found.len(), 400);
    assert!(Sled::check(&store, &mark).unwrap().ok);
    assert_eq!(things(open_sled(&data, Hands::new().clock()).unwrap()).await.unwrap(), found);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accepted_loss_leaves_nothing_behind_that_cannot_be_read() {
    let scratch = Scratch::new();
    let data = scratch.data("data");
    fill(&data, 1).await;
    let key: &[u8] = b"test-thing/\xff";
    let db = sled::open(data.join("store")).unwrap();
    db.insert(key, b"half a record").unwrap();
    db.insert([b"!more/".as_slice(), key, b"\x0000000"].concat(), b"a piece of it").unwrap();
    drop(db);
    let refused = open_sled(&data, Hands::new().clock()).err().unwrap();
    assert!(is_named(&refused, &data), "{refused}");
    assert!(go_on(&data).await);
    let again = open_sled(&data, Hands::new().clock()).unwrap_or_else(|e| panic!("accepted, and yet {e}"));
    assert_eq!(things(again).await.unwrap().len(), 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_value_goes_to_a_file_of_its_own_and_the_file_is_written_anew_when_it_has_grown() {
    let scratch = Scratch::new();
    let data = scratch.data("data");
    // Far above the size that is left as it is.
    fill(&data, 500).await;
    assert_eq!(fs::read_dir(data.join("store/blobs")).unwrap().count(), 0, "blobs are never synced");
    let size = || fs::metadata(data.join("store/db")).unwrap().len();
    let before = size();
    let found = things(open_sled(&data, Hands::new().clock()).unwrap()).await.unwrap();
    assert_eq!(found.len(), 400);
    assert!(found.iter().all(|thing| thing.text.starts_with("499")));
    let after = size();
    println!("{before} bytes before, {after} after");
    assert!(after < before);
    let which = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(data.join("store/db")).unwrap());
    let fresh = which();
    drop(open_sled(&data, Hands::new().clock()).unwrap());
    assert_eq!(which(), fresh, "a fresh one is not written anew at each start");
    assert_eq!(fs::read_dir(data.join("store/blobs")).unwrap().count(), 0);
}

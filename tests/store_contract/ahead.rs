//! While another node has the turn calls are run on what is remembered of the store. What they come to counts where that is still so, and
//! nobody can tell the difference.

use crate::fixture::{Hands, options};
use lanyard::store::{
    Ahead, Changes, Engine, Entry, Fault, Memory, Moment, Reader, Record, Remembered, Store, Tx, Writes,
};
use serde::{Deserialize, Serialize};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    mpsc,
};

/// A number under a name.
#[derive(Clone, Serialize, Deserialize)]
pub struct Number {
    pub name: String,
    pub is: u64,
}

impl Record for Number {
    const KIND: &'static str = "number";
    fn key(&self) -> String {
        self.name.clone()
    }
}

/// One more under this name; how many there are now.
pub fn more(tx: &mut Tx<'_>, name: &str) -> lanyard::error::Result<u64> {
    let is = tx.get::<Number>(name)?.map_or(0, |number| number.is) + 1;
    tx.put(&Number { name: name.into(), is })?;
    Ok(is)
}

/// A store that another node writes to as well: before each turn, where it is told to, once all calls were run ahead of it.
struct Shared {
    inner: Memory,
    other: Arc<Other>,
}

#[derive(Default)]
struct Other {
    /// It writes one more under `hot` in each of its turns.
    writes: AtomicBool,
    /// Keys that this node does not remember.
    unknown: AtomicBool,
}

struct Memories<'a> {
    inner: &'a mut Memory,
    unknown: bool,
    missed: bool,
}

impl Reader for Memories<'_> {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        if self.unknown && key.contains("/number/") {
            self.missed = true;
            return Err(Fault::Busy);
        }
        self.inner.get(key)
    }
    fn scan(&mut self, _: &str, _: Option<&str>, _: usize) -> Result<Vec<Entry>, Fault> {
        self.missed = true;
        Err(Fault::Busy)
    }
}

impl Remembered for Memories<'_> {
    fn missed(&mut self) -> bool {
        std::mem::take(&mut self.missed)
    }
}

impl Reader for Shared {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        self.inner.get(key)
    }
    fn scan(&mut self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Entry>, Fault> {
        self.inner.scan(prefix, after, limit)
    }
}

impl Engine for Shared {
    fn begin(&mut self) -> Result<Moment, Fault> {
        self.inner.begin()
    }
    fn begin_ahead(&mut self, ahead: &mut Ahead<'_>) -> Result<(Moment, bool), Fault> {
        let moment = self.inner.begin()?;
        let unknown = self.other.unknown.load(SeqCst);
        let mut memories = Memories { inner: &mut self.inner, unknown, missed: false };
        while ahead(&mut memories, moment) {}
        let writes = self.other.writes.load(SeqCst);
        if writes {
            let key = "default/number/hot";
            let is =
                self.inner.get(key)?.map_or(0, |bytes| lanyard::store::read_record::<Number>(key, &bytes).unwrap().is);
            let (key, bytes) = lanyard::store::written("default", &Number { name: "hot".into(), is: is + 1 })?;
            self.inner.commit(&[(key, Some(bytes))].into(), &Changes::new())?;
        }
        Ok((moment, !writes))
    }
    fn changes(&mut self) -> Result<Changes, Fault> {
        self.inner.changes()
    }
    fn commit(&mut self, writes: &Writes, changes: &Changes) -> Result<(), Fault> {
        self.inner.commit(writes, changes)
    }
    fn shared(&self) -> bool {
        true
    }
}

fn store() -> (Store, Arc<Other>) {
    let other = Arc::<Other>::default();
    let inner = Memory::new(Hands::new().clock());
    (Store::start(Box::new(Shared { inner, other: other.clone() }), options("node-a")), other)
}

/// Twenty calls in one batch: what each came to, how often they were run, and how many lines they told.
async fn batch(store: &Store, repeats: bool) -> (Vec<u64>, usize, usize) {
    let (go, held) = mpsc::channel::<()>();
    let first = tokio::spawn({
        let store = store.clone();
        async move { store.once(move |_| Ok(held.recv().is_ok())).await }
    });
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let (runs, lines) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let (store, runs, lines) = (store.clone(), runs.clone(), lines.clone());
            let call = move |tx: &mut Tx<'_>| {
                runs.fetch_add(1, SeqCst);
                tx.log(move || {
                    lines.fetch_add(1, SeqCst);
                });
                more(tx, "hot")
            };
            tokio::spawn(async move { if repeats { store.run(call).await } else { store.once(call).await } })
        })
        .collect();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    go.send(()).unwrap();
    assert!(first.await.unwrap().unwrap());
    let mut found = Vec::new();
    for call in calls {
        found.push(call.await.unwrap().unwrap());
    }
    found.sort_unstable();
    (found, runs.load(SeqCst), lines.load(SeqCst))
}

async fn hot(store: &Store) -> u64 {
    store.run(|tx| Ok(tx.get::<Number>("hot")?.map_or(0, |number| number.is))).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_run_ahead_of_the_turn_is_run_once_where_nothing_changed() {
    let (store, _) = store();
    let (found, runs, lines) = batch(&store, true).await;
    assert_eq!((found, runs, lines), ((1..=20).collect(), 20, 20), "each saw what the one before it wrote");
    assert_eq!(hot(&store).await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_node_changed_meanwhile_is_seen_and_nothing_is_told_twice() {
    let (store, other) = store();
    other.writes.store(true, SeqCst);
    let (found, runs, lines) = batch(&store, true).await;
    other.writes.store(false, SeqCst);
    // One of the other's for the call that held the writer up, one before the batch.
    assert_eq!((found, runs, lines), ((3..=22).collect(), 40, 20));
    assert_eq!(hot(&store).await, 22, "the other's two and ours, none lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_remembered_is_asked_for_in_the_turn() {
    let (store, other) = store();
    other.unknown.store(true, SeqCst);
    let (found, runs, lines) = batch(&store, true).await;
    assert_eq!((found, runs, lines), ((1..=20).collect(), 40, 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_repeated_is_run_in_its_turn_alone() {
    let (store, other) = store();
    other.writes.store(true, SeqCst);
    let (found, runs, lines) = batch(&store, false).await;
    assert_eq!((found.len(), runs, lines), (20, 20, 20));
}

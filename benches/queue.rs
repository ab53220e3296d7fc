//! Durable enqueue and acknowledge through the queue, beside the bare engine's group commit: `cargo xtask bench queue`.
//!
//! Ours: a command is asked for (one call), handed out and acknowledged (one call each): three durable answers. The bare engine
//! gathers in the same way and does, for each call, either a single write of a command's size, or as many writes of as many bytes
//! as ours turned out to do: command, device, indexes, audit log.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![expect(clippy::disallowed_methods, reason = "it measures the machine's own time")]

#[path = "shared/command.rs"]
mod command;

use command::{add_device, one_device, psql};
use lanyard::{
    clock,
    fleet::registry::presence::Presence,
    store::{Changes, Engine, Fault, Moment, Options, Postgres, Reader, Sled, Store, Writes},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

const CALLERS: usize = 256;
const BATCH: usize = 512;

fn main() {
    let seconds = std::env::var("LANYARD_BENCH_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(5);
    let time = Duration::from_secs(seconds);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    println!(
        "{:<10} {:>8} {:>8} {:>8} {:>10} {:>6} {:>10} {:>6}",
        "store", "ours/s", "records", "bytes", "single/s", "ratio", "same/s", "ratio"
    );
    runtime.block_on(async {
        let folder = format!("/var/tmp/lanyard-bench-queue-{}", std::process::id());
        let sled = |name: &str| -> Box<dyn Engine> {
            let at = Path::new(&folder).join(name);
            std::fs::create_dir_all(&at).unwrap();
            let rise = Arc::new(lanyard::serve::kinds::rise);
            Box::new(Sled::open(&at.join("store"), &at.join("store.mark"), clock::system(), rise).unwrap())
        };
        let (rate, written) = ours(sled("ours"), time).await;
        let single = bare(sled("single"), SINGLE, time).await;
        let same = bare(sled("same"), written.per_call(), time).await;
        report("sled", rate, written, single, same);
        drop(std::fs::remove_dir_all(&folder));
        let Ok(base) = std::env::var("LANYARD_TEST_POSTGRES") else {
            println!("LANYARD_TEST_POSTGRES is not set: sled alone");
            return;
        };
        let open = async |name: &str| -> Box<dyn Engine> {
            let database = format!("bench_queue_{name}_{}", std::process::id());
            psql(&base, &format!("create database {database}"));
            let url = format!("{}/{database}", base.rsplit_once('/').unwrap().0);
            let roots = Arc::new(rustls::RootCertStore::empty());
            let mark = std::env::temp_dir().join(&database);
            tokio::task::spawn_blocking(move || {
                let rise = Arc::new(lanyard::serve::kinds::rise);
                Box::new(Postgres::open(&url, "bench", &roots, &mark, rise).unwrap()) as _
            })
            .await
            .unwrap()
        };
        let (rate, written) = ours(open("ours").await, time).await;
        let single = bare(open("single").await, SINGLE, time).await;
        let same = bare(open("same").await, written.per_call(), time).await;
        report("postgres", rate, written, single, same);
        for name in ["ours", "single", "same"] {
            psql(&base, &format!("drop database bench_queue_{name}_{} with (force)", std::process::id()));
        }
    });
}

/// What one call writes.
#[derive(Clone, Copy)]
struct Load {
    records: u64,
    bytes: usize,
}

/// A command's record.
const SINGLE: Load = Load { records: 1, bytes: 900 };

/// What ours wrote in all.
#[derive(Clone, Copy, Default)]
struct Written {
    commands: u64,
    records: u64,
    bytes: u64,
}

impl Written {
    fn per_call(self) -> Load {
        let records = self.records.div_ceil(3 * self.commands);
        Load { records, bytes: usize::try_from(self.bytes / self.records).unwrap() }
    }
}

fn report(store: &str, ours: f64, written: Written, single: f64, same: f64) {
    let of = |total: u64| total as f64 / written.commands as f64;
    println!(
        "{store:<10} {ours:>8.0} {:>8.1} {:>8.0} {single:>10.0} {:>6.2} {same:>10.0} {:>6.2}",
        of(written.records),
        of(written.bytes),
        ours / single,
        ours / same
    );
}

/// Counts what goes through.
struct Counting {
    inner: Box<dyn Engine>,
    records: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
}

impl Reader for Counting {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        self.inner.get(key)
    }
    fn scan(&mut self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<(String, Vec<u8>)>, Fault> {
        self.inner.scan(prefix, after, limit)
    }
}

impl Engine for Counting {
    fn begin(&mut self) -> Result<Moment, Fault> {
        self.inner.begin()
    }
    fn changes(&mut self) -> Result<Changes, Fault> {
        self.inner.changes()
    }
    fn commit(&mut self, writes: &Writes, changes: &Changes) -> Result<(), Fault> {
        let bytes: usize = writes.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum();
        self.records.fetch_add(writes.len() as u64, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
        self.inner.commit(writes, changes)
    }
    fn shared(&self) -> bool {
        self.inner.shared()
    }
}

/// Commands a second, each asked for, handed out and acknowledged.
async fn ours(inner: Box<dyn Engine>, time: Duration) -> (f64, Written) {
    let (records, bytes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let engine = Box::new(Counting { inner, records: records.clone(), bytes: bytes.clone() });
    let presence = Arc::new(Presence::new(engine.shared()));
    let fill = Arc::new(|bytes: &mut [u8]| openssl::rand::rand_bytes(bytes).unwrap());
    let store = Store::start(engine, Options { node: "bench".into(), fill, observer: presence });
    let devices = store.run(|tx| (0..CALLERS).map(|_| add_device(tx)).collect::<Result<Vec<_>, _>>()).await.unwrap();
    records.store(0, Relaxed);
    bytes.store(0, Relaxed);
    let end = Instant::now() + time;
    let tasks: Vec<_> = devices.into_iter().map(|(d, e)| tokio::spawn(one_device(store.clone(), d, e, end))).collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.unwrap();
    }
    let written = Written { commands: done, records: records.load(Relaxed), bytes: bytes.load(Relaxed) };
    (done as f64 / time.as_secs_f64(), written)
}

type Call = (Writes, oneshot::Sender<()>);

/// Thirds of three durable calls a second: a writer thread that gathers what waits into one commit, and nothing else.
async fn bare(engine: Box<dyn Engine>, load: Load, time: Duration) -> f64 {
    let (jobs, waiting) = sync_channel::<Call>(8192);
    let writer = std::thread::Builder::new().name("bare".into()).spawn(move || write(engine, &waiting)).unwrap();
    let end = Instant::now() + time;
    let tasks: Vec<_> = (0..CALLERS).map(|n| tokio::spawn(one_caller(jobs.clone(), n, load, end))).collect();
    drop(jobs);
    let mut done = 0;
    for task in tasks {
        done += task.await.unwrap();
    }
    writer.join().unwrap();
    done as f64 / 3.0 / time.as_secs_f64()
}

async fn one_caller(jobs: SyncSender<Call>, number: usize, load: Load, end: Instant) -> u64 {
    let mut done = 0;
    while Instant::now() < end {
        let (told, answer) = oneshot::channel();
        let key = |record| format!("default/bench/{record}/{number:04}/{done:016x}");
        let writes = (0..load.records).map(|record| (key(record), Some(vec![b'x'; load.bytes]))).collect();
        jobs.try_send((writes, told)).unwrap();
        answer.await.unwrap();
        done += 1;
    }
    done
}

fn write(mut engine: Box<dyn Engine>, waiting: &Receiver<Call>) {
    while let Ok(first) = waiting.recv() {
        let batch: Vec<Call> = std::iter::once(first).chain(waiting.try_iter().take(BATCH - 1)).collect();
        let _: Moment = engine.begin().unwrap();
        let mut told = Vec::new();
        let mut writes = BTreeMap::new();
        for (own, answer) in batch {
            writes.extend(own);
            told.push(answer);
        }
        engine.commit(&writes, &BTreeSet::new()).unwrap();
        for answer in told {
            answer.send(()).unwrap();
        }
    }
}

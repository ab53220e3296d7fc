//! Several nodes on one PostgreSQL, at several distances from it: `cargo bench --bench nodes` with `LANYARD_TEST_POSTGRES`.
//!
//! 192 callers in all, shared out among the nodes, each with a device of its own: a command is asked for, handed out and
//! acknowledged, three durable calls. A distance is a round trip: a link in this process passes everything on half of it later.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![expect(clippy::disallowed_methods, reason = "it measures the machine's own time")]

#[path = "shared/command.rs"]
mod command;

use command::{add_device, one_device, psql};
use lanyard::{
    fleet::registry::presence::Presence,
    store::{Ahead, Changes, Engine, Fault, Moment, Options, Postgres, Reader, Readers, Store, Writes},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc::unbounded_channel,
};

/// Callers in all, where `LANYARD_BENCH_CALLERS` does not say.
const CALLERS: usize = 192;

/// Milliseconds of a round trip, node by node.
const TABLE: [&[u64]; 8] = [&[0], &[0, 0, 0], &[0, 0], &[2], &[10], &[2, 2, 2], &[10, 10, 10], &[0, 0, 10]];

fn main() {
    let Ok(base) = std::env::var("LANYARD_TEST_POSTGRES") else {
        println!("LANYARD_TEST_POSTGRES is not set");
        return;
    };
    let time = Duration::from_secs(count("LANYARD_BENCH_SECONDS", 5) as u64);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    println!(
        "{:<16} {:>10} {:>10} {:>12} {:>12}",
        "round trip, ms", "commands/s", "batches/s", "calls/batch", "reads/batch"
    );
    let rows = count("LANYARD_BENCH_ROWS", TABLE.len());
    for (number, distances) in TABLE.iter().enumerate().take(rows) {
        runtime.block_on(row(&base, number, distances, time));
    }
}

fn count(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|s| s.parse().ok()).unwrap_or(default)
}

async fn row(base: &str, number: usize, distances: &[u64], time: Duration) {
    let database = format!("bench_nodes_{number}_{}", std::process::id());
    psql(base, &format!("create database {database}"));
    let (head, tail) = base.rsplit_once('@').unwrap();
    let target = tail.split_once('/').unwrap().0.to_string();
    let counts = Counts::default();
    let mut stores = Vec::new();
    for (node, distance) in distances.iter().enumerate() {
        let port = link(target.clone(), Duration::from_millis(*distance) / 2).await;
        let address = if *distance == 0 { target.clone() } else { format!("127.0.0.1:{port}") };
        stores.push(open(format!("{head}@{address}/{database}"), format!("node-{node}"), counts.clone()).await);
    }
    let mut devices = Vec::new();
    for caller in 0..count("LANYARD_BENCH_CALLERS", CALLERS) {
        let store = stores[caller % stores.len()].clone();
        devices.push((store.clone(), store.run(add_device).await.unwrap()));
    }
    let before = counts.read();
    let end = Instant::now() + time;
    let tasks: Vec<_> = devices.into_iter().map(|(store, (d, e))| tokio::spawn(one_device(store, d, e, end))).collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.unwrap();
    }
    let [batches, reads] = counts.read();
    let (batches, reads) = ((batches - before[0]) as f64, (reads - before[1]) as f64);
    let shown: Vec<String> = distances.iter().map(u64::to_string).collect();
    println!(
        "{:<16} {:>10.0} {:>10.0} {:>12.1} {:>12.2}",
        shown.join(" "),
        done as f64 / time.as_secs_f64(),
        batches / time.as_secs_f64(),
        3.0 * done as f64 / batches,
        reads / batches
    );
    stores.into_iter().for_each(Store::close);
    psql(base, &format!("drop database {database} with (force)"));
}

async fn open(url: String, node: String, counts: Counts) -> Store {
    tokio::task::spawn_blocking(move || {
        let (roots, rise) = (Arc::new(rustls::RootCertStore::empty()), Arc::new(lanyard::serve::kinds::rise));
        let mark = std::env::temp_dir().join(format!("lanyard-bench-{}-{node}", uuid::Uuid::new_v4()));
        let inner = Postgres::open(&url, &node, &roots, &mark, rise).unwrap();
        drop(std::fs::remove_file(mark));
        let fill = Arc::new(|bytes: &mut [u8]| openssl::rand::rand_bytes(bytes).unwrap());
        let options = Options { node, fill, observer: Arc::new(Presence::new(true)) };
        Store::start(Box::new(Counting { inner, counts }), options)
    })
    .await
    .unwrap()
}

#[derive(Clone, Default)]
struct Counts {
    batches: Arc<AtomicU64>,
    /// Scans: what is always asked of the database.
    reads: Arc<AtomicU64>,
}

impl Counts {
    fn read(&self) -> [u64; 2] {
        [self.batches.load(Relaxed), self.reads.load(Relaxed)]
    }
}

struct Counting {
    inner: Postgres,
    counts: Counts,
}

impl Reader for Counting {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        self.inner.get(key)
    }
    fn get_many(&mut self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Fault> {
        self.inner.get_many(keys)
    }
    fn scan(&mut self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<(String, Vec<u8>)>, Fault> {
        self.counts.reads.fetch_add(1, Relaxed);
        self.inner.scan(prefix, after, limit)
    }
}

impl Engine for Counting {
    fn begin(&mut self) -> Result<Moment, Fault> {
        self.inner.begin()
    }
    fn begin_ahead(&mut self, ahead: &mut Ahead<'_>) -> Result<(Moment, bool), Fault> {
        self.inner.begin_ahead(ahead)
    }
    fn changes(&mut self) -> Result<Changes, Fault> {
        self.inner.changes()
    }
    fn commit(&mut self, writes: &Writes, changes: &Changes) -> Result<(), Fault> {
        self.counts.batches.fetch_add(1, Relaxed);
        self.inner.commit(writes, changes)
    }
    fn shared(&self) -> bool {
        true
    }
    fn readers(&self) -> Option<Arc<dyn Readers>> {
        self.inner.readers()
    }
}

/// A port whose connections lead to `target`, everything so much later.
async fn link(target: String, delay: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(&target).await.unwrap();
            near.set_nodelay(true).unwrap();
            far.set_nodelay(true).unwrap();
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            tokio::spawn(carry(near_in, far_out, delay));
            tokio::spawn(carry(far_in, near_out, delay));
        }
    });
    port
}

async fn carry(mut from: tokio::net::tcp::OwnedReadHalf, mut to: tokio::net::tcp::OwnedWriteHalf, delay: Duration) {
    let (sent, mut waiting) = unbounded_channel::<(Instant, Vec<u8>)>();
    tokio::spawn(async move {
        while let Some((at, bytes)) = waiting.recv().await {
            tokio::time::sleep_until((at + delay).into()).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count) = from.read(&mut buffer).await {
        if count == 0 || sent.send((Instant::now(), buffer[..count].to_vec())).is_err() {
            return;
        }
    }
}

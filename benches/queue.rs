//! Durable enqueue and acknowledge through the queue, beside the bare engine's group commit: `cargo xtask bench queue`.
//!
//! Ours: a command is asked for (one call), handed out and acknowledged (one call each): three durable answers. The bare engine:
//! three writes of a record of a command's size, each durable before it is answered, gathered the same way.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use lanyard::{
    admins::Actor,
    clock::{self, Timestamp},
    ids::{DeviceId, EnrolmentId},
    queue::{self, Action, Outcome, Session},
    registry::{Channel, Device, Enrolment, EnrolmentState, Ownership, Platform, presence::Presence},
    store::{Engine, Options, Postgres, Sled, Store},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

const CALLERS: usize = 256;
/// A command's record and what goes with it, about.
const RECORD: usize = 900;
const BATCH: usize = 512;

fn main() {
    let seconds = std::env::var("LANYARD_BENCH_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(5);
    let time = Duration::from_secs(seconds);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    println!("{:<10} {:>14} {:>14} {:>7}", "store", "ours/s", "bare/s", "ratio");
    runtime.block_on(async {
        let folder = format!("/var/tmp/lanyard-bench-queue-{}", std::process::id());
        let sled = |name: &str| -> Box<dyn Engine> {
            Box::new(Sled::open(&Path::new(&folder).join(name), clock::system()).unwrap())
        };
        report("sled", ours(sled("ours"), time).await, bare(sled("bare"), time).await);
        drop(std::fs::remove_dir_all(&folder));
        let Ok(base) = std::env::var("LANYARD_TEST_POSTGRES") else {
            println!("LANYARD_TEST_POSTGRES is not set: sled alone");
            return;
        };
        let mut rates = Vec::new();
        for name in ["ours", "bare"] {
            let database = format!("bench_queue_{name}_{}", std::process::id());
            psql(&base, &format!("create database {database}"));
            let url = format!("{}/{database}", base.rsplit_once('/').unwrap().0);
            let engine: Box<dyn Engine> = tokio::task::spawn_blocking(move || {
                Box::new(Postgres::open(&url, "bench", &Arc::new(rustls::RootCertStore::empty())).unwrap()) as _
            })
            .await
            .unwrap();
            rates.push(if name == "ours" { ours(engine, time).await } else { bare(engine, time).await });
            psql(&base, &format!("drop database {database} with (force)"));
        }
        report("postgres", rates[0], rates[1]);
    });
}

fn report(store: &str, ours: f64, bare: f64) {
    println!("{store:<10} {ours:>14.0} {bare:>14.0} {:>7.2}", ours / bare);
}

fn psql(url: &str, statement: &str) {
    assert!(Command::new("psql").args([url, "-qc", statement]).status().unwrap().success());
}

/// Commands a second, each asked for, handed out and acknowledged.
async fn ours(engine: Box<dyn Engine>, time: Duration) -> f64 {
    let presence = Arc::new(Presence::new(engine.shared()));
    let fill = Box::new(|bytes: &mut [u8]| openssl::rand::rand_bytes(bytes).unwrap());
    let store = Store::start(engine, Options { node: "bench".into(), fill, observer: presence });
    let devices = store.run(|tx| (0..CALLERS).map(|_| add_device(tx)).collect::<Result<Vec<_>, _>>()).await.unwrap();
    let end = Instant::now() + time;
    let tasks: Vec<_> = devices.into_iter().map(|(d, e)| tokio::spawn(one_device(store.clone(), d, e, end))).collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.unwrap();
    }
    done as f64 / time.as_secs_f64()
}

fn add_device(tx: &mut lanyard::store::Tx<'_>) -> lanyard::error::Result<(DeviceId, EnrolmentId)> {
    let mut device = Device::new(tx.new_id(), "u@example.org", Ownership::Corporate, Platform::Ios, tx.now());
    let enrolment = tx.new_id();
    device.enrolments.push(Enrolment {
        id: enrolment,
        channel: Channel::Apple,
        identity: device.id.to_string(),
        state: EnrolmentState::Enrolled,
        certificate: None,
        renewed: None,
        created: tx.now(),
        last_seen: None,
        push: None,
        channel_state: BTreeMap::new(),
    });
    tx.put(&device)?;
    Ok((device.id, enrolment))
}

async fn one_device(store: Store, id: DeviceId, enrolment: EnrolmentId, end: Instant) -> u64 {
    let mut done = 0;
    while Instant::now() < end {
        let asked = store.run(move |tx| {
            let actor = Actor { id: "bench".into(), name: "bench".into(), newcomer_until: None };
            let mut device = tx.get::<Device>(id)?.unwrap();
            queue::ask(tx, &actor, &mut device, Action::Sync, &lanyard::channel::support)
        });
        let asked = asked.await.unwrap().id;
        let sent = store.run(move |tx| {
            let device = tx.get::<Device>(id)?.unwrap();
            queue::take_next(tx, &device, enrolment, Session::Fresh)
        });
        assert_eq!(sent.await.unwrap().map(|c| c.id), Some(asked));
        let settled = store.run(move |tx| {
            let mut device = tx.get::<Device>(id)?.unwrap();
            let outcome = Outcome::Done { kind: "acknowledged", detail: "Acknowledged".into() };
            queue::settle(tx, &mut device, enrolment, asked, outcome)
        });
        settled.await.unwrap().unwrap();
        done += 1;
    }
    done
}

type Write = (String, Vec<u8>, oneshot::Sender<()>);

/// Thirds of three durable writes a second: a writer thread that gathers what waits into one commit, and nothing else.
async fn bare(engine: Box<dyn Engine>, time: Duration) -> f64 {
    let (jobs, waiting) = sync_channel::<Write>(8192);
    let writer = std::thread::spawn(move || write(engine, &waiting));
    let end = Instant::now() + time;
    let tasks: Vec<_> = (0..CALLERS).map(|n| tokio::spawn(one_caller(jobs.clone(), n, end))).collect();
    drop(jobs);
    let mut done = 0;
    for task in tasks {
        done += task.await.unwrap();
    }
    writer.join().unwrap();
    done as f64 / 3.0 / time.as_secs_f64()
}

async fn one_caller(jobs: SyncSender<Write>, number: usize, end: Instant) -> u64 {
    let mut done = 0;
    while Instant::now() < end {
        let (told, answer) = oneshot::channel();
        let key = format!("default/bench/{number:04}/{:016x}", clock::system()().0 ^ done);
        jobs.try_send((key, vec![b'x'; RECORD], told)).unwrap();
        answer.await.unwrap();
        done += 1;
    }
    u64::try_from(done).unwrap()
}

fn write(mut engine: Box<dyn Engine>, waiting: &Receiver<Write>) {
    while let Ok(first) = waiting.recv() {
        let batch: Vec<Write> = std::iter::once(first).chain(waiting.try_iter().take(BATCH - 1)).collect();
        let _: Timestamp = engine.begin().unwrap();
        let mut told = Vec::new();
        let mut writes = BTreeMap::new();
        for (key, value, answer) in batch {
            writes.insert(key, Some(value));
            told.push(answer);
        }
        engine.commit(&writes, &BTreeSet::new()).unwrap();
        for answer in told {
            answer.send(()).unwrap();
        }
    }
}

//! Stores that were closed and are opened again: by an older program, or under a clock that was set back meanwhile.

use crate::fixture::{fresh_database, options};
use lanyard::{
    clock::{Clock, Timestamp},
    store::{Engine, Fault, Postgres, Sled, Store},
};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

const BEGIN: i64 = 1_764_000_000_000;

fn clock() -> (Arc<AtomicI64>, Clock) {
    let time = Arc::new(AtomicI64::new(BEGIN));
    let shown = time.clone();
    (time, Arc::new(move || Timestamp(shown.load(SeqCst))))
}

async fn now(engine: impl Engine + 'static) -> (Store, Timestamp) {
    let store = Store::start(Box::new(engine), options("node-a"));
    let now = store.run(|tx| Ok(tx.now())).await.unwrap();
    (store, now)
}

/// What opening says, once sled's own threads have let go of the folder.
fn sled_once_free(folder: &Path, clock: Clock) -> Result<Sled, Fault> {
    let begun = Instant::now();
    loop {
        match Sled::open(folder, clock.clone()) {
            Err(Fault::Away(why)) if why.contains("lock") && begun.elapsed() < Duration::from_secs(10) => {
                std::thread::sleep(Duration::from_millis(50));
            }
            opened => return opened,
        }
    }
}

fn postgres(url: &str) -> Result<Postgres, Fault> {
    Postgres::open(url, "node-a", &Arc::new(rustls::RootCertStore::empty()))
}

fn on_postgres(url: &str, statement: &str) {
    let mut client = url.parse::<postgres::Config>().unwrap().connect(postgres::NoTls).unwrap();
    client.batch_execute(statement).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn time_goes_on_from_the_highest_seen_on_sled() {
    let folder = std::env::temp_dir().join(format!("lanyard-reopened-{}", uuid::Uuid::new_v4()));
    let (time, clock) = clock();
    let (store, begun) = now(Sled::open(&folder, clock.clone()).unwrap()).await;
    assert_eq!(begun, Timestamp(BEGIN));
    time.fetch_add(3_600_000, SeqCst);
    store.run(lanyard::audit::checkpoint).await.unwrap();
    store.close();
    time.store(BEGIN, SeqCst);
    let (store, after) = now(sled_once_free(&folder, clock).unwrap()).await;
    assert!(after >= begun.plus(Duration::from_secs(3600)), "{after}");
    store.close();
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_layout_is_refused_on_sled() {
    let folder = std::env::temp_dir().join(format!("lanyard-reopened-{}", uuid::Uuid::new_v4()));
    drop(sled_once_free(&folder, clock().1).unwrap());
    let raw = loop {
        match sled::open(&folder) {
            Ok(raw) => break raw,
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    raw.insert("!layout", "99").unwrap();
    drop(raw);
    let refused = sled_once_free(&folder, clock().1).err().unwrap();
    assert!(matches!(refused, Fault::Newer { found: 99 }), "{refused}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn time_goes_on_and_a_newer_layout_is_refused_on_postgres() {
    let Ok(url) = std::env::var("LANYARD_TEST_POSTGRES") else {
        eprintln!("skipped: no LANYARD_TEST_POSTGRES (cargo xtask test sets one up)");
        return;
    };
    let url = fresh_database(&url).await;
    let opened = |url: String| tokio::task::spawn_blocking(move || postgres(&url));
    let (store, begun) = now(opened(url.clone()).await.unwrap().unwrap()).await;
    let later = begun.plus(Duration::from_secs(3600));
    let (at, statement) = (url.clone(), format!("UPDATE lanyard_time SET latest = {}", later.0));
    tokio::task::spawn_blocking(move || on_postgres(&at, &statement)).await.unwrap();
    let again = store.run(|tx| Ok(tx.now())).await.unwrap();
    assert!(again >= later, "another node has seen a later time: {again}");
    let at = url.clone();
    tokio::task::spawn_blocking(move || on_postgres(&at, "INSERT INTO lanyard_layout VALUES (99)")).await.unwrap();
    let refused = opened(url).await.unwrap().err().unwrap();
    assert!(matches!(refused, Fault::Newer { found: 99 }), "{refused}");
}

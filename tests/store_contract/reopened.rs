//! Stores that were closed and are opened again: by an older program, under another clock, damaged, grown, or not all there.

use crate::fixture::{BEGIN, Hands, open_sled, options};
use lanyard::{
    clock::Timestamp,
    store::{Engine, Fault, Store},
};
use std::{path::PathBuf, time::Duration};

/// A data folder that is gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("lanyard-reopened-{}", uuid::Uuid::new_v4())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

async fn now(engine: impl Engine + 'static) -> (Store, Timestamp) {
    let store = Store::start(Box::new(engine), options("node-a"));
    let now = store.run(|tx| Ok(tx.now())).await.unwrap();
    (store, now)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_that_has_passed_is_kept_and_a_stop_is_not_counted_on_sled() {
    let (scratch, hands) = (Scratch::new(), Hands::new());
    let (store, begun) = now(open_sled(&scratch.0, hands.clock()).unwrap()).await;
    assert_eq!(begun, Timestamp(BEGIN));
    hands.pass(Duration::from_secs(3600));
    store.run(lanyard::fleet::audit::checkpoint).await.unwrap();
    store.close();
    hands.jump(-7_200_000);
    let (store, after) = now(open_sled(&scratch.0, hands.clock()).unwrap()).await;
    assert_eq!(after, Timestamp(BEGIN - 3_600_000), "what the clock shows");
    let steady = store.run(|tx| Ok(tx.steady().0)).await.unwrap();
    assert_eq!(steady, BEGIN + 3_600_000, "what has passed");
    store.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_layout_is_refused_on_sled() {
    let scratch = Scratch::new();
    drop(open_sled(&scratch.0, Hands::new().clock()).unwrap());
    let raw = loop {
        match sled::open(scratch.0.join("store")) {
            Ok(raw) => break raw,
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    };
    raw.insert("!layout", "99").unwrap();
    drop(raw);
    let refused = open_sled(&scratch.0, Hands::new().clock()).err().unwrap();
    assert!(matches!(refused, Fault::Newer { found: 99, .. }), "{refused}");
}

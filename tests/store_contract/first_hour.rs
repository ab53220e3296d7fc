//! The first hour begins with the first start that opened its ports, once, and passes by steady time.

use crate::fixture::{Hands, SECRET, options};
use lanyard::{
    clock::Timestamp,
    error::Result,
    fleet::admins,
    store::{Memory, Store, Tx},
};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: i64 = 86_400_000;

/// Adds an administrator: whether they count at once.
async fn counts(store: &Store, name: &'static str) -> bool {
    let add = move |tx: &mut Tx<'_>| {
        let local = admins::authenticate(tx, SECRET, true)?.unwrap();
        let made = admins::add(tx, &local, name)?;
        Ok(made.counts_from <= tx.now())
    };
    store.run(add).await.unwrap()
}

/// Answers whether it is so long until then, which is told to the minute.
fn is_about(left: Option<Duration>, want: Duration) -> bool {
    left.is_some_and(|left| left <= want && left + MINUTE > want)
}

/// A start up to its open ports, or one that fails before them. Answers until when a second administrator would count at once.
async fn start(store: &Store, opens: bool) -> Option<Timestamp> {
    store.run(|tx| admins::ensure_local(tx, SECRET)).await.unwrap();
    if opens { store.run(admins::begin_first_hour).await.unwrap() } else { None }
}

async fn left(store: &Store) -> Option<Duration> {
    let left = |tx: &mut Tx<'_>| -> Result<Option<Duration>> {
        let now = tx.now();
        Ok(admins::second_until(tx)?.map(|until| until.since(now)))
    };
    store.run(left).await.unwrap()
}

#[tokio::test]
async fn the_first_hour_begins_with_the_first_start_that_opens_its_ports_and_with_no_other() {
    let hands = Hands::new();
    let store = Store::start(Box::new(Memory::new(hands.clock())), options("node-a"));
    start(&store, false).await;
    hands.pass(90 * MINUTE);
    start(&store, false).await;
    hands.pass(90 * MINUTE);
    let until = start(&store, true).await.unwrap();
    assert!(is_about(left(&store).await, 60 * MINUTE));
    hands.pass(20 * MINUTE);
    assert_eq!(start(&store, true).await, Some(until), "another start begins no other");
    for jump in [2 * DAY, -4 * DAY] {
        hands.jump(jump);
        start(&store, true).await;
        assert!(is_about(left(&store).await, 40 * MINUTE), "a clock that is set adds nothing and takes nothing");
    }
    hands.pass(39 * MINUTE);
    assert!(counts(&store, "ann").await);
    hands.pass(MINUTE);
    assert_eq!(start(&store, true).await, None);
    assert!(!counts(&store, "eve").await);
}

#[tokio::test]
async fn nobody_is_told_to_make_a_second_administrator_who_has_one_with_a_token() {
    let hands = Hands::new();
    let store = Store::start(Box::new(Memory::new(hands.clock())), options("node-a"));
    start(&store, true).await.unwrap();
    assert!(counts(&store, "ann").await);
    assert!(left(&store).await.is_some(), "without a token she is nobody's second person");
    let token = |tx: &mut Tx<'_>| {
        let local = admins::authenticate(tx, SECRET, true)?.unwrap();
        admins::create_token(tx, &local, Some("ann")).map(drop)
    };
    store.run(token).await.unwrap();
    assert_eq!(left(&store).await, None);
}

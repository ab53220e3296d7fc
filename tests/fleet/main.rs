//! The whole fleet, simulated: devices that lie, die and come back, and an administrator whose token is stolen, over the store's
//! model in memory. A seed says the clock, every order and every answer. See `world.rs`.
//!
//! `LANYARD_SEEDS=100000` plays more seeds; a failure prints `LANYARD_SEED=…`, which plays that one again and tells all of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

mod admin;
mod calls;
mod dice;
mod indexes;
mod machine;
mod settings;
mod stage;
mod truth;
mod world;

use std::{
    env,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};
use world::{Failure, Played, play};

/// What is planted on purpose, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Who was sent a wipe is not woken again.
    NoRewake,
    /// A device that is heard does not contradict the presumed end of its wipe.
    PresumedIsFinal,
    /// What enrolled later answers for those that the wipe was asked of.
    ClaimConfirms,
}

/// Seeds in a run where nothing else is said; `cargo xtask test` says 2,000, and optimises.
const SEEDS: u64 = 100;
/// What comes about in so many seeds, or the simulation has lost its edge.
const HAPPENS: [&str; 16] = [
    "wipe.ended confirmed",
    "wipe.ended presumed",
    "wipe.ended failed",
    "wipe.ended cancelled",
    "wipe.ended expired",
    "wipe.contradicted ok",
    "wipe.handed_over activesync",
    "approval.decided approved",
    "approval.decided rejected",
    "approval.decided expired",
    "stop.on ok",
    "stop.off ok",
    "answer.unasked ignored",
    "enrolment.joined ok",
    "certificate.renewed ok",
    "enrolment.refused refused",
];
/// How far it has come is told so often.
const TOLD: u64 = 1000;
/// Lines of what happened that a failure prints.
const LAST: usize = 60;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// The first of these seeds that does not hold, and what was played.
fn first_failure(seeds: u64, fault: Option<Fault>) -> (Option<(u64, Box<Failure>)>, Played) {
    let (next, all, failures) = (AtomicU64::new(0), Mutex::new(Played::default()), Mutex::new(Vec::new()));
    let plays = || {
        loop {
            let seed = next.fetch_add(1, SeqCst);
            if seed >= seeds || !failures.lock().unwrap().is_empty() {
                return;
            }
            if seed > 0 && seed.is_multiple_of(TOLD) {
                println!("{seed} seeds");
            }
            match play(seed, fault) {
                Ok(played) => {
                    let mut all = all.lock().unwrap();
                    all.events += played.events;
                    played
                        .happened
                        .into_iter()
                        .for_each(|(what, times)| *all.happened.entry(what).or_default() += times);
                }
                Err(failure) => failures.lock().unwrap().push((seed, failure)),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(plays))));
    let failures = failures.into_inner().unwrap();
    (failures.into_iter().min_by_key(|(seed, _)| *seed), all.into_inner().unwrap())
}

#[test]
fn whatever_happens_every_wipe_is_proved_or_still_tried_and_none_goes_astray() {
    if let Some(seed) = number("LANYARD_SEED") {
        match play(seed, None) {
            Ok(played) => println!("seed {seed} holds: {} events", played.events),
            Err(failure) => panic!("seed {seed}\n{}\n{}", failure.script.join("\n"), failure.what),
        }
        return;
    }
    let seeds = number("LANYARD_SEEDS").unwrap_or(SEEDS);
    let (failure, played) = first_failure(seeds, None);
    if let Some((seed, failure)) = failure {
        let from = failure.script.len().saturating_sub(LAST);
        let last = failure.script[from..].join("\n");
        panic!("{last}\n{}\nplay it again with LANYARD_SEED={seed}", failure.what);
    }
    println!("{seeds} seeds, {} events: {:#?}", played.events, played.happened);
    let never: Vec<&str> = HAPPENS.into_iter().filter(|what| !played.happened.contains_key(*what)).collect();
    assert!(seeds < SEEDS || never.is_empty(), "never came about: {never:?}");
}

#[test]
fn faults_that_are_planted_are_found_within_a_hundred_seeds() {
    for fault in [Fault::NoRewake, Fault::PresumedIsFinal, Fault::ClaimConfirms] {
        let (found, _) = first_failure(100, Some(fault));
        let (seed, failure) = found.unwrap_or_else(|| panic!("{fault:?} was not found"));
        println!("{fault:?} is found by seed {seed}: {}", failure.what);
    }
}

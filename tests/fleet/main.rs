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
mod halls;
mod indexes;
mod lines;
mod machine;
mod seeds;
mod settings;
mod stage;
mod truth;
mod world;

use seeds::number;
use std::sync::Mutex;
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
const SEEDS: u64 = 200;
/// What comes about in so many seeds, or the simulation has lost its edge.
const HAPPENS: [&str; 17] = [
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
    "enrolment.given_up ok",
    "enrolment.joined ok",
    "certificate.renewed ok",
    "enrolment.refused refused",
];
/// Lines of what happened that a failure prints.
const LAST: usize = 60;

/// The first of these seeds that does not hold, and what was played.
fn first_failure(seeds: u64, fault: Option<Fault>) -> (Option<(u64, Box<Failure>)>, Played) {
    let all = Mutex::new(Played::default());
    let failure = seeds::first_failure(seeds, |seed| {
        let played = play(seed, fault)?;
        let mut all = all.lock().unwrap();
        all.events += played.events;
        played.happened.into_iter().for_each(|(what, times)| *all.happened.entry(what).or_default() += times);
        Ok(())
    });
    (failure, all.into_inner().unwrap())
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

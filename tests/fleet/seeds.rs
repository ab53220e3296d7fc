//! Many seeds, over all processors.

use std::{
    env,
    fmt::Debug,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

/// How far it has come is told so often.
const TOLD: u64 = 1000;

/// What a variable of the environment says.
pub fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// Plays the seed that LANYARD_SEED names, or else as many as LANYARD_SEEDS says, or `usual`: each holds.
pub fn hold(usual: u64, play: impl Fn(u64) -> Result<(), String> + Sync) {
    if let Some(seed) = number("LANYARD_SEED") {
        play(seed).unwrap_or_else(|what| panic!("seed {seed}\n{what}"));
        return;
    }
    if let Some((seed, what)) = first_failure(number("LANYARD_SEEDS").unwrap_or(usual), play) {
        panic!("{what}\nplay it again with LANYARD_SEED={seed}");
    }
}

/// Each fault that is planted is found within a hundred seeds.
pub fn are_found<F: Copy + Debug + Sync>(faults: &[F], play: impl Fn(u64, F) -> Result<(), String> + Sync) {
    for &fault in faults {
        let found = first_failure(100, |seed| play(seed, fault));
        let (seed, what) = found.unwrap_or_else(|| panic!("{fault:?} was not found"));
        println!("{fault:?} is found by seed {seed}: {}", what.lines().last().unwrap_or_default());
    }
}

/// The first of these seeds that does not hold.
pub fn first_failure<F: Send>(seeds: u64, play: impl Fn(u64) -> Result<(), F> + Sync) -> Option<(u64, F)> {
    let (next, failures) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let plays = || {
        loop {
            let seed = next.fetch_add(1, SeqCst);
            if seed >= seeds || !failures.lock().unwrap().is_empty() {
                return;
            }
            if seed > 0 && seed.is_multiple_of(TOLD) {
                println!("{seed} seeds");
            }
            if let Err(failure) = play(seed) {
                failures.lock().unwrap().push((seed, failure));
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(plays))));
    failures.into_inner().unwrap().into_iter().min_by_key(|(seed, _)| *seed)
}

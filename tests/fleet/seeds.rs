//! Many seeds, over all processors.

use std::{
    env,
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

//! The store over memory, with its clock and its random bytes in the seed's hand. One call at a time.

use crate::dice::Dice;
use lanyard::{
    clock::{Clock, Steady, Timestamp},
    error::{Error, Result},
    ids::DeviceId,
    store::{Changed, Changes, Memory, Observer, Options, Store, Tx},
};
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::runtime::{Builder, Runtime};

/// What the wall clock shows at the birth of each store.
const BEGIN: i64 = 1_764_000_000_000;

/// Which devices changed since somebody last asked.
#[derive(Default)]
struct Told(Mutex<BTreeSet<DeviceId>>);

impl Observer for Told {
    fn changed(&self, subjects: &Changes) {
        self.0.lock().unwrap().extend(subjects.iter().filter_map(|subject| subject.parse::<DeviceId>().ok()));
    }
    fn remember(&self, _: Changed) {}
    fn caught_up(&self, _: Instant) {}
}

/// See the module.
pub struct Stage {
    store: Option<Store>,
    /// Milliseconds since the birth of the store. Both hands of the clock go by it: wrong clocks are the store contract's.
    passed: Arc<AtomicU64>,
    told: Arc<Told>,
    runtime: Runtime,
}

impl Stage {
    pub fn new(seed: u64) -> Self {
        let passed = Arc::new(AtomicU64::new(0));
        let (wall, uptime) = (passed.clone(), passed.clone());
        let clock = Clock::new(
            move || Timestamp(BEGIN).plus(Duration::from_millis(wall.load(SeqCst))),
            move || Duration::from_millis(uptime.load(SeqCst)),
        );
        let dice = Mutex::new(Dice::new(!seed));
        let fill = Arc::new(move |bytes: &mut [u8]| {
            let mut dice = dice.lock().unwrap();
            bytes.chunks_mut(8).for_each(|chunk| {
                let random = dice.number().to_be_bytes();
                chunk.iter_mut().zip(random).for_each(|(byte, random)| *byte = random);
            });
        });
        let told = Arc::new(Told::default());
        let options = Options { node: "node-a".into(), fill, observer: told.clone() };
        let store = Store::start(Box::new(Memory::new(clock)), options);
        let runtime = Builder::new_current_thread().build().unwrap();
        Self { store: Some(store), passed, told, runtime }
    }

    /// One call. A refusal is an outcome like others; a fault is none.
    pub fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> std::result::Result<Result<T>, String> {
        match self.runtime.block_on(self.store.as_ref().unwrap().once(work)) {
            Err(error @ (Error::Internal(_) | Error::Store(_))) => Err(format!("a fault of ours: {error}")),
            outcome => Ok(outcome),
        }
    }

    /// One call that nothing may refuse.
    pub fn sure<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> std::result::Result<T, String> {
        self.call(work)?.map_err(|refused| format!("refused: {refused}"))
    }

    pub fn pass(&self, by: Duration) {
        self.passed.fetch_add(u64::try_from(by.as_millis()).unwrap(), SeqCst);
    }

    /// The time that counts for waits.
    pub fn now(&self) -> Steady {
        Steady(BEGIN).plus(self.since_birth())
    }

    pub fn since_birth(&self) -> Duration {
        Duration::from_millis(self.passed.load(SeqCst))
    }

    pub fn take_changed(&self) -> BTreeSet<DeviceId> {
        std::mem::take(&mut self.told.0.lock().unwrap())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.store.take().into_iter().for_each(Store::close);
    }
}

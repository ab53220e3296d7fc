//! Reading much without standing in the writer's way: in slices between its batches, or through readers of the engine's own.
//!
//! What was read is decoded on the asker's thread, by as few at a time as leave a core to everybody else: each waits for its turn
//! before it goes on with a page, so that the first page of a list never waits for the last of another.

use super::{Entry, Fault, Reader};
use crate::clock;
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
};

/// The writer's thread reads for so long at most before it looks whether somebody has something to write.
const SLICE: Duration = Duration::from_millis(1);
/// The same while calls come: who calls once calls again soon, and waits for a slice each time.
const SHORT_SLICE: Duration = Duration::from_micros(250);
/// So long after a call the next is near.
const NEAR: Duration = Duration::from_millis(50);
/// Records read between two looks at that clock.
const STRIDE: usize = 32;
/// After so long without an answer the store counts as away.
const DEADLINE: Duration = Duration::from_secs(10);

/// What is to be read.
pub(super) enum Want {
    /// These keys.
    Keys(Vec<String>),
    /// What begins so.
    Scan { prefix: String, after: Option<String>, limit: usize },
}

/// What was read before the slice was over; the asker goes on from there.
pub(super) enum Part {
    Values(Vec<Option<Vec<u8>>>),
    Entries { found: Vec<Entry>, whole: bool },
}

/// A question to the writer's thread.
pub(super) struct Ask {
    want: Want,
    reply: SyncSender<Result<Part, Fault>>,
}

impl Ask {
    /// Answers as far as a slice goes. `called`: when there was last something to write.
    pub(super) fn answer(self, engine: &mut dyn Reader, called: Option<Instant>) {
        let now = clock::monotonic();
        let near = called.is_some_and(|called| now.duration_since(called) < NEAR);
        let end = now + if near { SHORT_SLICE } else { SLICE };
        let part = match self.want {
            Want::Keys(keys) => values(engine, &keys, end),
            Want::Scan { prefix, after, limit } => entries(engine, &prefix, after, limit, end),
        };
        // Who asked may have gone.
        drop(self.reply.send(part));
    }
}

fn values(engine: &mut dyn Reader, keys: &[String], end: Instant) -> Result<Part, Fault> {
    let mut found = Vec::new();
    for stride in keys.chunks(STRIDE) {
        found.extend(engine.get_many(stride)?);
        if clock::monotonic() >= end {
            break;
        }
    }
    Ok(Part::Values(found))
}

fn entries(
    engine: &mut dyn Reader,
    prefix: &str,
    mut after: Option<String>,
    limit: usize,
    end: Instant,
) -> Result<Part, Fault> {
    let mut found = Vec::new();
    loop {
        let wanted = STRIDE.min(limit - found.len());
        let stride = engine.scan(prefix, after.as_deref(), wanted)?;
        let whole = stride.len() < wanted || found.len() + stride.len() >= limit;
        after = stride.last().map(|(key, _)| key.clone()).or(after);
        found.extend(stride);
        if whole || clock::monotonic() >= end {
            return Ok(Part::Entries { found, whole });
        }
    }
}

/// A reader that asks the writer's thread, slice by slice. Consistent per record.
pub(super) struct Slices<F>(pub(super) F);

impl<F: Fn(Ask) -> Result<(), Fault> + Send> Slices<F> {
    fn ask(&self, want: Want) -> Result<Part, Fault> {
        let (reply, answer): (_, Receiver<_>) = sync_channel(1);
        (self.0)(Ask { want, reply })?;
        answer.recv_timeout(DEADLINE).unwrap_or_else(|error| {
            Err(Fault::Away(match error {
                RecvTimeoutError::Timeout => format!("no answer within {} s", DEADLINE.as_secs()),
                RecvTimeoutError::Disconnected => "the store stopped".into(),
            }))
        })
    }
}

impl<F: Fn(Ask) -> Result<(), Fault> + Send> Reader for Slices<F> {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.get_many(&[key.to_string()])?.pop().flatten())
    }

    fn get_many(&mut self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Fault> {
        let mut found = Vec::new();
        while let Some(rest) = keys.get(found.len()..).filter(|rest| !rest.is_empty()) {
            match self.ask(Want::Keys(rest.to_vec()))? {
                Part::Values(more) => found.extend(more),
                Part::Entries { .. } => return Err(Fault::Away("a question for keys was answered with a list".into())),
            }
        }
        Ok(found)
    }

    fn scan(&mut self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Entry>, Fault> {
        let (mut all, mut after) = (Vec::new(), after.map(str::to_string));
        while all.len() < limit {
            let want = Want::Scan { prefix: prefix.into(), after: after.clone(), limit: limit - all.len() };
            let Part::Entries { found, whole } = self.ask(want)? else {
                return Err(Fault::Away("a question for a list was answered with keys".into()));
            };
            after = found.last().map(|(key, _)| key.clone()).or(after);
            all.extend(found);
            if whole {
                break;
            }
        }
        Ok(all)
    }
}

/// How much less a reader is due of a processor that somebody else wants as well.
const NICE: i32 = 10;
/// Readers there may be at once; more wait for one to end.
const READERS: usize = 64;

/// Whoever is woken on this processor goes before the calling thread from now on: a page of a list takes milliseconds to decode.
pub(super) fn give_way() {
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "store: a reader gives way to nobody");
    }
}

/// Readers decode in turns.
#[derive(Clone)]
pub(super) struct Turns {
    decoding: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Turns {
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let of = |count| Arc::new(Semaphore::new(count));
        Self { decoding: of((cores / 2).max(1)), places: of(READERS) }
    }

    /// Leave to read, until it is dropped.
    pub(super) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().acquire_owned().await.ok()
    }

    /// A reader that has the turn from each answer until it asks again.
    pub(super) fn paced(&self, inner: Box<dyn Reader>, runtime: Handle) -> Paced {
        Paced { inner, turns: self.decoding.clone(), runtime, turn: None }
    }
}

/// See [`Turns::paced`]. For a thread that may block.
pub(super) struct Paced {
    inner: Box<dyn Reader>,
    turns: Arc<Semaphore>,
    runtime: Handle,
    turn: Option<OwnedSemaphorePermit>,
}

impl Paced {
    fn then<T>(&mut self, read: impl FnOnce(&mut dyn Reader) -> Result<T, Fault>) -> Result<T, Fault> {
        self.turn = None;
        let found = read(self.inner.as_mut())?;
        self.turn = self.runtime.block_on(self.turns.clone().acquire_owned()).ok();
        Ok(found)
    }
}

impl Reader for Paced {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        self.then(|reader| reader.get(key))
    }
    fn get_many(&mut self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Fault> {
        self.then(|reader| reader.get_many(keys))
    }
    fn scan(&mut self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Entry>, Fault> {
        self.then(|reader| reader.scan(prefix, after, limit))
    }
}

//! The one writer thread: gathers waiting calls, runs them in order, commits once, then answers each.

use super::{Changes, Engine, Fault, Tx, Writes, tx::Ids};
use crate::{
    clock::Timestamp,
    error::{Error, Result},
};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// Calls in one commit at most: what keeps an answer from waiting for strangers too long.
const BATCH: usize = 512;
/// Calls that may wait; beyond them a caller is told that the store is busy.
const QUEUE: usize = 8192;
/// How often other nodes' changes are read while nothing else is asked. Memory counts for a second after each reading.
const FEED: Duration = Duration::from_millis(250);

/// What a call leaves with the observer when it is committed.
pub type Changed = Box<dyn Any + Send>;

/// Who keeps something of the store in memory: told of each change, on the writer thread, before the caller gets its answer.
pub trait Observer: Send + Sync {
    /// These devices (or everything) changed: forget them.
    fn changed(&self, subjects: &Changes);
    /// A committed call hands over what it wants remembered.
    fn remember(&self, what: Changed);
    /// All changes up to then have been told.
    fn caught_up(&self, at: Instant);
}

/// Fills a slice with random bytes fit for secrets.
pub type Fill = Box<dyn FnMut(&mut [u8]) + Send>;

/// How to run a store.
pub struct Options {
    /// Name of this node, for its audit chain.
    pub node: String,
    /// Random bytes.
    pub fill: Fill,
    /// Who is told of changes.
    pub observer: Arc<dyn Observer>,
}

trait Job: Send {
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    fn finish(self: Box<Self>, committed: std::result::Result<(), Fault>);
}

struct Call<F, T> {
    work: Option<F>,
    result: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<F, T> Job for Call<F, T>
where
    F: FnOnce(&mut Tx<'_>) -> Result<T> + Send,
    T: Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        let Some(work) = self.work.take() else { return false };
        // A fault of ours in one call must not take the store, and with it every device, down.
        let result = catch_unwind(AssertUnwindSafe(|| work(tx)));
        self.result = Some(result.unwrap_or_else(|_| Err(Error::Internal("a call on the store failed".into()))));
        matches!(self.result, Some(Ok(_)))
    }
    fn finish(self: Box<Self>, committed: std::result::Result<(), Fault>) {
        let answer = match committed {
            Ok(()) => self.result.unwrap_or_else(|| Err(Fault::Away("not run".into()).into())),
            Err(fault) => Err(fault.into()),
        };
        // Who asked may have gone; what was done stays done.
        drop(self.reply.send(answer));
    }
}

/// A handle on the store. Clones share it; the thread ends when the last one goes.
#[derive(Clone)]
pub struct Store {
    jobs: Option<SyncSender<Box<dyn Job>>>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Store {
    /// Starts the writer thread over this backend.
    pub fn start(engine: Box<dyn Engine>, options: Options) -> Self {
        let (jobs, waiting) = sync_channel(QUEUE);
        let writer = Writer {
            engine,
            node: options.node,
            observer: options.observer,
            ids: Ids { fill: options.fill, count: 0 },
        };
        let thread = std::thread::spawn(move || writer.serve(&waiting));
        Self { jobs: Some(jobs), thread: Arc::new(Mutex::new(Some(thread))) }
    }

    /// Runs a call and waits until what it wrote is on disk. `Err`: nothing of it was written, save where the store went
    /// away in the commit itself ([`Fault::Away`]): then asking again is safe, since calls are idempotent by id.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Call { work: Some(work), result: None, reply });
        let jobs = self.jobs.as_ref().ok_or_else(|| Fault::Away("closed".into()))?;
        jobs.try_send(job).map_err(|_| Fault::Busy)?;
        answer.await.map_err(|_| Fault::Away("the store stopped".into()))?
    }

    /// Waits until every call made so far is answered and the backend closed, if this is the last handle.
    pub fn close(mut self) {
        self.jobs = None;
        if Arc::strong_count(&self.thread) == 1
            && let Ok(mut thread) = self.thread.lock()
            && let Some(thread) = thread.take()
        {
            drop(thread.join());
        }
    }
}

struct Writer {
    engine: Box<dyn Engine>,
    node: String,
    observer: Arc<dyn Observer>,
    ids: Ids,
}

impl Writer {
    fn serve(mut self, waiting: &Receiver<Box<dyn Job>>) {
        loop {
            match waiting.recv_timeout(FEED) {
                Ok(first) => {
                    let mut jobs = vec![first];
                    jobs.extend(waiting.try_iter().take(BATCH - 1));
                    self.batch(jobs);
                }
                Err(RecvTimeoutError::Timeout) => drop(self.follow()),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Reads what other nodes changed. On failure memory grows stale by itself, and the node asks the store.
    fn follow(&mut self) -> std::result::Result<(), Fault> {
        let asked = Instant::now();
        let changes = self.engine.changes()?;
        if !changes.is_empty() {
            self.observer.changed(&changes);
        }
        self.observer.caught_up(asked);
        Ok(())
    }

    fn batch(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        let (committed, told) = match self.attempt(&mut jobs) {
            Ok(told) => (Ok(()), told),
            Err(fault) => {
                tracing::error!(%fault, calls = jobs.len(), "store: a batch failed");
                (Err(fault), Vec::new())
            }
        };
        for (changes, remembered) in told {
            if !changes.is_empty() {
                self.observer.changed(&changes);
            }
            remembered.into_iter().for_each(|what| self.observer.remember(what));
        }
        jobs.into_iter().for_each(|job| job.finish(committed.clone()));
    }

    fn attempt(&mut self, jobs: &mut [Box<dyn Job>]) -> std::result::Result<Vec<(Changes, Vec<Changed>)>, Fault> {
        let now = self.engine.begin()?;
        // In the batch's turn: from here to its commit nobody else writes, so what calls remember now is true.
        self.follow()?;
        let (mut writes, mut all, mut told) = (Writes::new(), Changes::new(), Vec::new());
        for job in jobs {
            let (own, changes, remembered) = self.one(job.as_mut(), &writes, now);
            writes.extend(own);
            all.extend(changes.iter().cloned());
            told.push((changes, remembered));
        }
        self.engine.commit(&writes, &all)?;
        Ok(told)
    }

    fn one(&mut self, job: &mut dyn Job, batch: &Writes, now: Timestamp) -> (Writes, Changes, Vec<Changed>) {
        let mut tx = Tx {
            engine: self.engine.as_mut(),
            batch,
            writes: Writes::new(),
            changes: Changes::new(),
            remembered: Vec::new(),
            now,
            node: &self.node,
            ids: &mut self.ids,
        };
        if job.run(&mut tx) {
            (tx.writes, tx.changes, tx.remembered)
        } else {
            (Writes::new(), Changes::new(), Vec::new())
        }
    }
}

/// A backend whose commits wait for a gate: how tests see that nothing leaves before its commit.
pub struct Held {
    inner: Box<dyn Engine>,
    gate: Arc<Mutex<()>>,
}

impl Held {
    /// While somebody holds `gate`, commits of `inner` wait.
    pub fn new(inner: Box<dyn Engine>, gate: Arc<Mutex<()>>) -> Self {
        Self { inner, gate }
    }
}

impl Engine for Held {
    fn begin(&mut self) -> std::result::Result<Timestamp, Fault> {
        self.inner.begin()
    }
    fn changes(&mut self) -> std::result::Result<Changes, Fault> {
        self.inner.changes()
    }
    fn get(&mut self, key: &str) -> std::result::Result<Option<Vec<u8>>, Fault> {
        self.inner.get(key)
    }
    fn scan(
        &mut self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> std::result::Result<Vec<(String, Vec<u8>)>, Fault> {
        self.inner.scan(prefix, after, limit)
    }
    fn commit(&mut self, writes: &Writes, changes: &Changes) -> std::result::Result<(), Fault> {
        let held = self.gate.lock();
        let result = self.inner.commit(writes, changes);
        drop(held);
        result
    }
    fn shared(&self) -> bool {
        self.inner.shared()
    }
}

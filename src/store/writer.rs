//! The one writer thread: gathers waiting calls, runs them in order, commits once, then answers each. Between batches it reads a
//! slice for who reads much.

use super::{
    Belief, Changes, Engine, Fault, Moment, Reader, Readers, Record, Seldom, Time, Tx, Writes,
    beside::{self, Ask, Slices, Turns},
    calls::{Call, Done, Job, Run, Told, Turn},
    time::Shared,
    tx::{self, Ids},
};
use crate::{
    clock,
    error::{Denial, Error, Judged, Result},
};
use std::{
    any::Any,
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tokio::{runtime::Handle, sync::oneshot};
use tracing::{Span, field::Empty};

/// The one tenant of this version. Every key begins with its tenant's name.
pub const TENANT: &str = "default";

/// Calls in one commit at most: what keeps an answer from waiting for strangers too long.
const BATCH: usize = 512;
/// Calls that may wait; beyond them a caller is told that the store is busy.
const QUEUE: usize = 8192;
/// Calls that are run before it is seen whether the turn has come.
const AHEAD: usize = 8;
/// How often other nodes' changes are read while nothing else is asked. Memory counts for a second after each reading.
const FEED: Duration = Duration::from_millis(250);

/// A batch that takes longer keeps everybody waiting: that is told, now and then.
const SLOW: Duration = Duration::from_secs(1);
/// What the writer's thread is called.
const THREAD: &str = "lanyard-store";

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
pub type Fill = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// How to run a store.
pub struct Options {
    /// Name of this node, for its audit chain.
    pub node: String,
    /// Random bytes.
    pub fill: Fill,
    /// Who is told of changes.
    pub observer: Arc<dyn Observer>,
}

/// What the writer thread is handed.
enum Work {
    Job(Box<dyn Job>),
    Ask(Ask),
    /// Nothing more is to come.
    End,
}

/// A handle on the store, for one tenant. Clones share it; the thread ends when the last one goes.
#[derive(Clone)]
pub struct Store {
    work: Option<SyncSender<Work>>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
    /// Its readers, where the engine has some of its own.
    readers: Option<Arc<dyn Readers>>,
    turns: Turns,
    time: Arc<Shared>,
    node: Arc<str>,
    tenant: Arc<str>,
    fill: Fill,
}

impl Store {
    /// Starts the writer thread over this backend.
    pub fn start(engine: Box<dyn Engine>, options: Options) -> Self {
        let (work, waiting) = sync_channel(QUEUE);
        let (time, node, tenant) = (Arc::new(Shared::new()), Arc::from(options.node), Arc::from(TENANT));
        let readers = engine.readers();
        let writer = Writer {
            engine,
            node: Arc::clone(&node),
            tenant: Arc::clone(&tenant),
            observer: options.observer,
            time: time.clone(),
            ids: Ids { fill: options.fill.clone(), count: 0 },
            failures: Seldom::default(),
            slow: Seldom::default(),
        };
        let thread = std::thread::Builder::new().name(THREAD.into()).spawn(move || writer.serve(&waiting));
        // Without it the store is dead from the start, which `is_dead` says.
        let thread = thread.inspect_err(|error| tracing::error!(%error, "store: its thread could not be started"));
        let thread = Arc::new(Mutex::new(thread.ok()));
        Self { work: Some(work), thread, readers, turns: Turns::new(), time, node, tenant, fill: options.fill }
    }

    /// Runs a call and waits until what it wrote is on disk. `Err`: nothing of it was written, save where the store went
    /// away in the commit itself ([`Fault::Away`]): then asking again is safe, since calls are idempotent by id.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T> + Clone + Send + 'static,
    ) -> Result<T> {
        self.call(work, Some(Clone::clone)).await
    }

    /// The same for what cannot be repeated: it is run in its turn alone, not ahead of it.
    pub async fn once<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.call(work, None).await
    }

    async fn call<T: Send + 'static, F>(&self, work: F, again: Option<fn(&F) -> F>) -> Result<T>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Call::new(work, again, reply));
        let sender = self.work.as_ref().ok_or_else(|| Fault::Away("closed".into()))?;
        sender.try_send(Work::Job(job)).map_err(|_| Fault::Busy)?;
        answer.await.map_err(|_| Fault::Away("the store stopped".into()))?
    }

    /// Runs a call that judges: a refusal is written with all that was noted of it, an error takes everything back.
    pub async fn judge<T: Send + 'static, R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Judged<T, R> + Clone + Send + 'static,
    ) -> Judged<T, R> {
        let judged = self.run(move |tx| match work(tx) {
            Ok(done) => Ok(Ok(done)),
            Err(Denial::Refused(why)) => Ok(Err(why)),
            Err(Denial::Failed(error)) => Err(error),
        });
        judged.await?.map_err(Denial::Refused)
    }

    /// Runs a call that reads much and writes nothing, on a thread of its own beside the writer: nobody waits for it. It sees
    /// what is committed, on PostgreSQL as of one moment, else record by record as each is when it is read.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (store, runtime) = (self.clone(), Handle::current());
        let (told, answer) = oneshot::channel();
        let place = self.turns.place().await;
        let reading = move || {
            beside::give_way();
            let found = store.reading(runtime, work);
            drop(place);
            // Who asked may have gone.
            drop(told.send(found));
        };
        let failed = |why: String| Error::Internal(format!("a reader of the store failed: {why}"));
        std::thread::Builder::new().name("store-reader".into()).spawn(reading).map_err(|e| failed(e.to_string()))?;
        answer.await.map_err(|_| failed("it ended without an answer".into()))?
    }

    fn reading<T>(&self, runtime: Handle, work: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> Result<T> {
        let mut reader = self.turns.paced(self.reader()?, runtime);
        let (batch, time) = (Writes::new(), self.time.get());
        let mut tx = Tx {
            below: &mut reader,
            batch: &batch,
            writes: Writes::new(),
            changes: Changes::new(),
            remembered: Vec::new(),
            lines: Vec::new(),
            counted: BTreeMap::new(),
            moment: Moment { wall: time.now, steady: time.steady },
            time,
            tenant: &self.tenant,
            node: &self.node,
            ids: &mut Ids { fill: self.fill.clone(), count: 0 },
        };
        let found = work(&mut tx)?;
        if tx.writes.is_empty() { Ok(found) } else { Err(Error::Internal("a call that only reads wrote".into())) }
    }

    fn reader(&self) -> std::result::Result<Box<dyn Reader>, Fault> {
        if let Some(readers) = &self.readers {
            return readers.open();
        }
        let sender = self.work.clone().ok_or_else(|| Fault::Away("closed".into()))?;
        Ok(Box::new(Slices(move |ask| sender.try_send(Work::Ask(ask)).map_err(|_| Fault::Busy))))
    }

    /// The present, without asking the store: as of its last batch, and the time since.
    pub fn time(&self) -> Time {
        self.time.get()
    }

    /// Whether the writer thread is no more, by a fault of ours or of a backend's: nothing will ever be answered again.
    pub fn is_dead(&self) -> bool {
        self.thread.lock().is_ok_and(|thread| thread.as_ref().is_none_or(JoinHandle::is_finished))
    }

    /// Waits until every call made so far is answered and the backend closed; later calls find it away.
    pub async fn end(&self) {
        let sent = self.work.as_ref().is_some_and(|work| work.try_send(Work::End).is_ok());
        let thread = self.thread.lock().ok().and_then(|mut thread| thread.take()).filter(|_| sent);
        drop(tokio::task::spawn_blocking(move || thread.map(JoinHandle::join)).await);
    }

    /// Waits until every call made so far is answered and the backend closed, if this is the last handle.
    pub fn close(mut self) {
        self.work = None;
        if Arc::strong_count(&self.thread) == 1
            && let Ok(mut thread) = self.thread.lock()
            && let Some(thread) = thread.take()
        {
            drop(thread.join());
        }
    }
}

/// Sorts what waits, as far as it belongs into one batch.
fn gather(waiting: impl Iterator<Item = Work>, jobs: &mut Vec<Box<dyn Job>>, asks: &mut Asks) {
    for work in waiting.take(BATCH.saturating_sub(jobs.len())) {
        match work {
            Work::Job(job) => jobs.push(job),
            Work::Ask(ask) => asks.waiting.push_back(ask),
            Work::End => asks.end = true,
        }
    }
}

/// What is done between batches.
#[derive(Default)]
struct Asks {
    waiting: VecDeque<Ask>,
    /// And then nothing more.
    end: bool,
}

struct Writer {
    engine: Box<dyn Engine>,
    node: Arc<str>,
    tenant: Arc<str>,
    observer: Arc<dyn Observer>,
    time: Arc<Shared>,
    ids: Ids,
    failures: Seldom,
    slow: Seldom,
}

impl Writer {
    fn serve(mut self, waiting: &Receiver<Work>) {
        let (mut asks, mut called) = (Asks::default(), None);
        loop {
            let first = match asks.waiting.is_empty() {
                true => waiting.recv_timeout(FEED),
                false => waiting.try_recv().map_err(|error| match error {
                    TryRecvError::Empty => RecvTimeoutError::Timeout,
                    TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                }),
            };
            match first {
                Ok(first) => {
                    let mut jobs = Vec::new();
                    gather(std::iter::once(first).chain(waiting.try_iter()), &mut jobs, &mut asks);
                    if !jobs.is_empty() {
                        self.batch(jobs, waiting, &mut asks);
                        called = Some(clock::monotonic());
                    }
                }
                Err(RecvTimeoutError::Timeout) if asks.waiting.is_empty() => drop(self.follow()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if let Some(ask) = asks.waiting.pop_front() {
                ask.answer(self.engine.as_mut(), called);
            } else if asks.end {
                return;
            }
        }
    }
    /// Reads what other nodes changed. On failure memory grows stale by itself, and the node asks the store.
    fn follow(&mut self) -> std::result::Result<(), Fault> {
        let asked = clock::monotonic();
        let changes = self.engine.changes()?;
        if !changes.is_empty() {
            self.observer.changed(&changes);
        }
        self.observer.caught_up(asked);
        Ok(())
    }

    fn batch(&mut self, mut jobs: Vec<Box<dyn Job>>, waiting: &Receiver<Work>, asks: &mut Asks) {
        let span = tracing::debug_span!("batch", calls = Empty, ahead = Empty, writes = Empty);
        let _within = span.enter();
        let (committed, told) = match self.attempt(&mut jobs, waiting, asks) {
            Ok(told) => {
                if self.failures.well() {
                    tracing::info!("store: back");
                }
                (Ok(()), told)
            }
            Err(fault) => {
                if let Some(untold) = self.failures.failed(clock::monotonic()) {
                    tracing::error!(%fault, calls = jobs.len(), untold, "store: a batch failed");
                }
                (Err(fault), Vec::new())
            }
        };
        for told in told {
            if !told.changes.is_empty() {
                self.observer.changed(&told.changes);
            }
            told.remembered.into_iter().for_each(|what| self.observer.remember(what));
            told.lines.into_iter().for_each(|line| line());
        }
        jobs.into_iter().for_each(|job| job.finish(committed.clone()));
    }

    fn attempt(
        &mut self,
        jobs: &mut Vec<Box<dyn Job>>,
        waiting: &Receiver<Work>,
        asks: &mut Asks,
    ) -> std::result::Result<Vec<Told>, Fault> {
        let begun = clock::monotonic();
        let (moment, ahead) = self.begin(jobs, waiting, asks)?;
        // In the batch's turn: from here to its commit nobody else writes, so what calls remember now is true.
        self.follow()?;
        // Who came while the turn was another node's goes along: turns are what nodes have to share.
        gather(waiting.try_iter(), jobs, asks);
        let time = self.present(moment)?;
        let before = ahead.as_ref().map_or(0, Done::calls);
        let mut done = ahead.unwrap_or_default();
        for (at, job) in jobs.iter_mut().enumerate() {
            if !done.has(at) {
                let mut turn = Turn { moment, time, tenant: &self.tenant, node: &self.node, ids: &mut self.ids };
                let told = turn.run(job.as_mut(), self.engine.as_mut(), &done.writes, Run::Last);
                done.add(at, told);
            }
        }
        Span::current().record("calls", done.calls()).record("ahead", before).record("writes", done.writes.len());
        let committed = self.engine.commit(&done.writes, &done.changes);
        self.tell_slow(clock::since(begun), done.calls(), done.writes.len());
        committed.map(|()| done.told)
    }

    /// Takes the turn, and runs calls while it is another node's, on what is remembered of the store. What they came to counts where all
    /// that they read is still true then; else they are run again, as what asked for more than is remembered is in any case.
    fn begin(
        &mut self,
        jobs: &mut Vec<Box<dyn Job>>,
        waiting: &Receiver<Work>,
        asks: &mut Asks,
    ) -> std::result::Result<(Moment, Option<Done>), Fault> {
        let (mut ahead, mut next) = (Done::default(), 0);
        let Self { engine, node, tenant, ids, .. } = self;
        let (moment, holds) = engine.begin_ahead(&mut |known, moment| {
            if next == jobs.len() {
                gather(waiting.try_iter(), jobs, asks);
            }
            let Ok(time) = time_at(known, tenant, moment) else { return false };
            let some = next..jobs.len().min(next + AHEAD);
            next = some.end;
            for (at, job) in jobs.iter_mut().enumerate().take(some.end).skip(some.start) {
                if job.repeats() {
                    known.missed();
                    let mut turn = Turn { moment, time, tenant, node, ids };
                    let told = turn.run(job.as_mut(), known, &ahead.writes, Run::Ahead);
                    if !known.missed() {
                        ahead.add(at, told);
                    }
                }
            }
            !some.is_empty()
        })?;
        Ok((moment, holds.then_some(ahead)))
    }

    fn tell_slow(&mut self, took: Duration, calls: usize, writes: usize) {
        if took > SLOW
            && let Some(untold) = self.slow.failed(clock::monotonic())
        {
            tracing::warn!(calls, writes, ms = took.as_millis(), untold, "store: a batch took long");
        }
    }

    /// What time it is for a batch that begins at this moment, told to those who ask no store as well.
    fn present(&mut self, moment: Moment) -> std::result::Result<Time, Fault> {
        let time = time_at(self.engine.as_mut(), &self.tenant, moment)?;
        self.time.set(time);
        Ok(time)
    }
}

fn time_at(reader: &mut dyn Reader, tenant: &str, moment: Moment) -> std::result::Result<Time, Fault> {
    let key = format!("{tenant}/{}/", Belief::KIND);
    let kept = reader.get(&key)?.map(|bytes| tx::read_record(&key, &bytes)).transpose()?;
    Ok(kept.unwrap_or_else(|| Belief::begin(moment)).time(moment))
}

//! The calls of one batch: each is run over what those before it came to, and answered once all of it is durable. One that can be
//! repeated may be run ahead of the batch's turn, and again where that came to nothing.

use super::{
    Changed, Changes, Fault, Moment, Reader, Time, Tx, Writes,
    tx::{Ids, Line},
};
use crate::error::{Error, Result};
use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
};
use tokio::sync::oneshot;
use tracing::Span;

/// Whether it is the run that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    /// What it comes to may be thrown away, and the call be run again.
    Ahead,
    /// There is no other.
    Last,
}

/// A call, whatever it answers.
pub(super) trait Job: Send {
    /// Whether it can be run ahead of its turn.
    fn repeats(&self) -> bool;
    /// Whether it came to something that is to be written.
    fn run(&mut self, tx: &mut Tx<'_>, run: Run) -> bool;
    /// Answers who asked.
    fn finish(self: Box<Self>, committed: std::result::Result<(), Fault>);
}

/// See [`Job`].
pub(super) struct Call<F, T> {
    work: Option<F>,
    /// Makes another of it, where it can be repeated.
    again: Option<fn(&F) -> F>,
    result: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
    /// What the call is part of: what it tells is told there, though another thread runs it.
    span: Span,
}

impl<F, T> Call<F, T> {
    pub(super) fn new(work: F, again: Option<fn(&F) -> F>, reply: oneshot::Sender<Result<T>>) -> Self {
        Self { work: Some(work), again, result: None, reply, span: Span::current() }
    }
}

impl<F, T> Job for Call<F, T>
where
    F: FnOnce(&mut Tx<'_>) -> Result<T> + Send,
    T: Send,
{
    fn repeats(&self) -> bool {
        // Who looks closely shall see each step once.
        self.again.is_some() && self.span.is_disabled()
    }

    fn run(&mut self, tx: &mut Tx<'_>, run: Run) -> bool {
        let work = match run {
            Run::Ahead => self.again.zip(self.work.as_ref()).map(|(again, work)| again(work)),
            Run::Last => self.work.take(),
        };
        let Some(work) = work else { return false };
        let _within = self.span.enter();
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

/// When and where calls are run.
pub(super) struct Turn<'a> {
    pub(super) moment: Moment,
    pub(super) time: Time,
    pub(super) tenant: &'a str,
    pub(super) node: &'a str,
    pub(super) ids: &'a mut Ids,
}

impl Turn<'_> {
    /// Runs one over what is below and what those before it wrote.
    pub(super) fn run(
        &mut self,
        job: &mut dyn Job,
        below: &mut dyn Reader,
        batch: &Writes,
        run: Run,
    ) -> (Writes, Told) {
        let mut tx = Tx {
            below,
            batch,
            writes: Writes::new(),
            changes: Changes::new(),
            remembered: Vec::new(),
            lines: Vec::new(),
            counted: BTreeMap::new(),
            moment: self.moment,
            time: self.time,
            tenant: self.tenant,
            node: self.node,
            ids: self.ids,
        };
        let well = job.run(&mut tx, run);
        let Tx { writes, changes, remembered, lines, .. } = tx;
        match well {
            true => (writes, Told { changes, remembered, lines }),
            false => (Writes::new(), Told { lines, ..Told::default() }),
        }
    }
}

/// What is told of a call once it is committed.
#[derive(Default)]
pub(super) struct Told {
    pub(super) changes: Changes,
    pub(super) remembered: Vec<Changed>,
    pub(super) lines: Vec<Line>,
}

/// What the calls of a batch came to so far.
#[derive(Default)]
pub(super) struct Done {
    /// Which of them were run, by their place.
    ran: BTreeSet<usize>,
    pub(super) writes: Writes,
    pub(super) changes: Changes,
    pub(super) told: Vec<Told>,
}

impl Done {
    pub(super) fn has(&self, at: usize) -> bool {
        self.ran.contains(&at)
    }

    pub(super) fn calls(&self) -> usize {
        self.ran.len()
    }

    pub(super) fn add(&mut self, at: usize, (writes, told): (Writes, Told)) {
        self.ran.insert(at);
        self.writes.extend(writes);
        self.changes.extend(told.changes.iter().cloned());
        self.told.push(told);
    }
}

//! The orderly end: no new connections, requests in progress finish, then what is left is cut.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout, timeout_at},
};

/// How long the cut connections get to close.
const CUT: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Stage {
    Serving,
    Draining,
    Cut,
}

/// Ends all listeners that were given a clone of it.
#[derive(Debug, Clone)]
pub struct Drain(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stage: watch::Sender<Stage>,
    open: AtomicUsize,
    empty: Notify,
}

/// What [`Drain::drain`] saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections (and listeners) that had not ended by the deadline.
    pub cut: usize,
}

impl Drain {
    /// Not draining yet.
    #[expect(clippy::new_without_default, reason = "each call makes an end of its own; a default would hide that")]
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            stage: watch::Sender::new(Stage::Serving),
            open: AtomicUsize::new(0),
            empty: Notify::new(),
        }))
    }

    /// For whoever holds something open (a Ping, a DM session) and must hear of the end.
    pub fn signal(&self) -> DrainSignal {
        DrainSignal(self.0.stage.subscribe())
    }

    /// Stops accepting, closes idle connections, tells [`DrainSignal`]s, waits for requests in progress, and cuts at
    /// `deadline` from now what has not ended.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        let end = Instant::now() + deadline;
        self.0.stage.send_replace(Stage::Draining);
        if timeout_at(end, self.emptied()).await.is_ok() {
            return Drained { cut: 0 };
        }
        let cut = self.0.open.load(SeqCst);
        self.0.stage.send_replace(Stage::Cut);
        let _closed = timeout(CUT, self.emptied()).await;
        Drained { cut }
    }

    async fn emptied(&self) {
        loop {
            let notified = self.0.empty.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.0.open.load(SeqCst) == 0 {
                return;
            }
            notified.await;
        }
    }

    /// One connection or listener that the end waits for.
    pub(super) fn hold(&self) -> Held {
        self.0.open.fetch_add(1, SeqCst);
        Held(Arc::clone(&self.0))
    }
}

/// Hears of the end.
#[derive(Debug, Clone)]
pub struct DrainSignal(watch::Receiver<Stage>);

impl DrainSignal {
    /// Whether the end has begun: `/readyz` fails from then on.
    pub fn is_draining(&self) -> bool {
        *self.0.borrow() >= Stage::Draining
    }

    /// Waits for the beginning of the end; at once where it has begun. May be dropped and asked again.
    pub async fn draining(&mut self) {
        self.reached(Stage::Draining).await;
    }

    /// Waits until what is left is cut.
    pub(super) async fn cut(&mut self) {
        self.reached(Stage::Cut).await;
    }

    async fn reached(&mut self, stage: Stage) {
        // An error means that the `Drain` is gone, and with it whoever could wait for us.
        let _gone = self.0.wait_for(|now| *now >= stage).await;
    }
}

/// Counts as open until dropped.
#[derive(Debug)]
pub(super) struct Held(Arc<Inner>);

impl Held {
    pub(super) fn signal(&self) -> DrainSignal {
        DrainSignal(self.0.stage.subscribe())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, SeqCst) == 1 {
            self.0.empty.notify_waiters();
        }
    }
}

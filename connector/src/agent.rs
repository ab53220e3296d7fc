//! The program at work: what comes and what came of it, and reports beside that. Each goes on by itself; what any of them does rests on the
//! lease, which the keeper keeps.

use crate::{
    carry::{Carried, Carrier},
    clock,
    driver::Driver,
    installation::Installation,
    journal::Journal,
    keeper::{Keeper, Known},
    lead::Lead,
    pacing::{LONGEST, Pacing},
    reports,
    server::{CallError, Server},
};
use lanyard_exchange::calls::{Outcome, ROWS, Results, Work};
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex as Plain, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Mutex, Notify};
use uuid::Uuid;

/// Orders that are carried out at a time; most of their time is waiting.
const AT_ONCE: usize = 32;

/// See the module.
pub struct Agent {
    installation: Arc<Installation>,
    server: Arc<Server>,
    driver: Arc<dyn Driver>,
    lead: Arc<Lead>,
    exchange: Arc<Known>,
    journal: Arc<Mutex<Journal>>,
    /// Orders under way, by id.
    under_way: Arc<Plain<BTreeSet<Uuid>>>,
    ended: Arc<Notify>,
    /// An order was left undone: all that are open are to be asked for again.
    left: AtomicBool,
    dry: bool,
}

impl Agent {
    /// On this installation's folder, which must be held.
    pub fn new(installation: Installation, server: Server, driver: Arc<dyn Driver>, dry: bool) -> Result<Self, String> {
        let journal = Journal::open(&installation.folder).map_err(|error| format!("journal: {error}"))?;
        Ok(Self {
            installation: Arc::new(installation),
            server: Arc::new(server),
            driver,
            lead: Arc::default(),
            exchange: Arc::default(),
            journal: Arc::new(Mutex::new(journal)),
            under_way: Arc::default(),
            ended: Arc::default(),
            left: AtomicBool::default(),
            dry,
        })
    }

    /// Goes on until somebody ends it. An error: the journal cannot be written.
    pub async fn run(self: Arc<Self>, end: impl Future<Output = ()>) -> Result<(), String> {
        let (driver, server, lead) = (self.driver.clone(), self.server.clone(), self.lead.clone());
        let (installation, exchange) = (self.installation.clone(), self.exchange.clone());
        let keeper = Keeper::new(installation, server.clone(), driver.clone(), lead.clone(), exchange);
        let ended = tokio::select! {
            () = end => Ok(()),
            () = keeper.run() => Ok(()),
            error = self.clone().work() => Err(error),
            error = self.clone().post() => Err(error),
            () = reports::run(driver, server, lead) => Ok(()),
        };
        // What is being written is written to its end, and told as far as that is possible now.
        let begun = clock::steady();
        while self.is_busy() && clock::steady() - begun < LONGEST {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let _ = tokio::time::timeout(Duration::from_secs(5), self.tell()).await;
        self.driver.end().await;
        ended
    }

    fn is_busy(&self) -> bool {
        !self.under_way.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    async fn work(self: Arc<Self>) -> String {
        let (mut after, mut by, mut pacing) = (0, 0, Pacing::default());
        let (broken, mut failed) = tokio::sync::mpsc::channel::<String>(1);
        loop {
            let epoch = self.lead.leads().await;
            if epoch != by || self.left.swap(false, Ordering::AcqRel) {
                (by, after) = (epoch, 0);
            }
            let polled = tokio::select! {
                polled = self.server.work(epoch, after) => polled,
                error = failed.recv() => return error.unwrap_or_default(),
            };
            match polled {
                Ok(works) => {
                    pacing.good();
                    for work in works {
                        after = after.max(work.seq);
                        self.take(work, &broken).await;
                    }
                }
                Err(CallError::Elsewhere(_)) => {
                    self.lead.lose();
                    pacing.wait(None).await;
                }
                Err(error) => {
                    self.lead.failed(&error);
                    pacing.wait(Some(&error)).await;
                }
            }
        }
    }

    /// Begins an order, as soon as one of the others has ended where there are many.
    async fn take(self: &Arc<Self>, work: Work, broken: &tokio::sync::mpsc::Sender<String>) {
        let id = work.id;
        let mut journal = self.journal.lock().await;
        if journal.result(id).is_some() {
            // The server has not heard of it, or knows of it no more.
            if let Err(error) = journal.again(id) {
                drop(broken.try_send(format!("journal: {error}")));
            }
            self.ended.notify_one();
            return;
        }
        drop(journal);
        while self.under_way.lock().unwrap_or_else(PoisonError::into_inner).len() >= AT_ONCE {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if !self.under_way.lock().unwrap_or_else(PoisonError::into_inner).insert(id) {
            return;
        }
        let resumed = self.journal.lock().await.was_writing(id);
        let (agent, broken) = (self.clone(), broken.clone());
        tokio::spawn(async move {
            let carrier = Carrier {
                driver: agent.driver.clone(),
                journal: agent.journal.clone(),
                lead: agent.lead.clone(),
                account_only: agent.exchange.account_only(),
                dry: agent.dry,
            };
            let carried = carrier.carry(work, resumed).await;
            agent.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            match carried {
                Ok(Carried::Ended(outcome)) => {
                    tracing::info!(order = %id, outcome = ?outcome.outcome, "an order ended");
                    agent.ended.notify_one();
                }
                // Whoever leads next is told again, and that may be this one.
                Ok(Carried::Left) => agent.left.store(true, Ordering::Release),
                Ok(Carried::Dry) => {}
                // Nothing may be done that is not on record.
                Err(error) => drop(broken.try_send(format!("journal: {error}"))),
            }
        });
    }

    async fn post(self: Arc<Self>) -> String {
        let mut pacing = Pacing::default();
        loop {
            self.lead.leads().await;
            match self.tell().await {
                Ok(true) => pacing.good(),
                Ok(false) => {
                    pacing.good();
                    let _ = tokio::time::timeout(LONGEST, self.ended.notified()).await;
                }
                Err(Told::Journal(error)) => return error,
                Err(Told::Server(error)) => {
                    self.lead.failed(&error);
                    pacing.wait(Some(&error)).await;
                }
            }
        }
    }

    /// Says what came of orders; false where there is nothing to say.
    async fn tell(&self) -> Result<bool, Told> {
        if self.dry {
            return Ok(false);
        }
        let results: Vec<Outcome> = self.journal.lock().await.waiting(ROWS);
        let Some(epoch) = self.lead.epoch().filter(|_| !results.is_empty()) else { return Ok(false) };
        let ids: Vec<Uuid> = results.iter().map(|outcome| outcome.id).collect();
        self.server.results(&Results { epoch, results }).await.map_err(Told::Server)?;
        let taken = self.journal.lock().await.taken(ids);
        taken.map_err(|error| Told::Journal(format!("journal: {error}")))?;
        Ok(true)
    }
}

enum Told {
    Server(CallError),
    Journal(String),
}

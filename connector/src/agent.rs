//! The program at work: who leads, what comes and what came of it, and reports beside that. Each goes on by itself; what any of them does
//! rests on the lease.

use crate::{
    carry::{Carried, Carrier},
    clock,
    driver::{Driver, all},
    enrol,
    http::{self, Client},
    installation::{self, Installation, Settings},
    inventory::{Inventory, ReportError},
    journal::Journal,
    server::{CallError, Server},
};
use lanyard_exchange::{
    calls::{Capability, Hello, Outcome, PROTOCOLS, ROWS, Results, Welcome, Work},
    cmdlets,
    rows::{self, Device},
};
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex as Plain, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use time::OffsetDateTime;
use tokio::sync::{Mutex, Notify, watch};
use uuid::Uuid;

/// After something failed, doubled with each further time.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// Whoever was removed asks again so seldom.
const REMOVED: Duration = Duration::from_secs(60);
/// What the server says of times is asked for again.
const GREETING: Duration = Duration::from_secs(60);
/// Orders that are carried out at a time; most of their time is waiting.
const AT_ONCE: usize = 32;
/// Clients whose statistics are read between two looks at the clock.
const SOME: usize = 50;

/// Whether this connector leads, by its own clock.
#[derive(Default)]
pub struct Lead {
    held: Plain<Option<(u64, Instant, OffsetDateTime)>>,
}

impl Lead {
    /// By which epoch, as long as the lease lasts.
    pub fn epoch(&self) -> Option<u64> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // The steady clock stands still while the machine sleeps; the other may be set back. Both must say so.
        held.filter(|(_, until, wall)| clock::steady() < *until && clock::now() < *wall).map(|(epoch, ..)| epoch)
    }

    /// Whether anything may be written now.
    pub fn holds(&self) -> bool {
        self.epoch().is_some()
    }

    fn known(&self) -> Option<u64> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).map(|(epoch, ..)| epoch)
    }

    /// From the moment before it was asked for.
    pub fn set(&self, epoch: u64, asked: Instant, ttl: Duration) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some((epoch, asked + ttl, clock::now() + ttl));
    }

    /// Over.
    pub fn lose(&self) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// See the module.
pub struct Agent {
    installation: Installation,
    server: Arc<Server>,
    driver: Arc<dyn Driver>,
    lead: Arc<Lead>,
    journal: Arc<Mutex<Journal>>,
    /// Orders under way, by id.
    under_way: Arc<Plain<BTreeSet<Uuid>>>,
    ended: Arc<Notify>,
    /// An order was left undone: all that are open are to be asked for again.
    left: AtomicBool,
    changed: watch::Sender<Option<Welcome>>,
    account_only: Plain<bool>,
    org: Plain<Option<Uuid>>,
    dry: bool,
}

/// Grows with each failure, and is never the same for two connectors.
struct Backoff(u32);

impl Backoff {
    async fn wait(&mut self) {
        let base = PAUSE.saturating_mul(1 << self.0.min(5)).min(LONGEST);
        self.0 = self.0.saturating_add(1);
        let share = u32::from(Uuid::new_v4().as_bytes()[0]);
        tokio::time::sleep(base / 2 + base * share / 512).await;
    }
}

impl Agent {
    /// On this installation's folder, which must be held.
    pub fn new(installation: Installation, server: Server, driver: Arc<dyn Driver>, dry: bool) -> Result<Self, String> {
        let journal = Journal::open(&installation.folder).map_err(|error| format!("journal: {error}"))?;
        Ok(Self {
            installation,
            server: Arc::new(server),
            driver,
            lead: Arc::default(),
            journal: Arc::new(Mutex::new(journal)),
            under_way: Arc::default(),
            ended: Arc::default(),
            left: AtomicBool::default(),
            changed: watch::Sender::new(None),
            account_only: Plain::new(true),
            org: Plain::default(),
            dry,
        })
    }

    /// Goes on until somebody ends it. An error: the journal cannot be written.
    pub async fn run(self: Arc<Self>, end: impl Future<Output = ()>) -> Result<(), String> {
        let ended = tokio::select! {
            () = end => Ok(()),
            error = self.clone().keep_lead() => Err(error),
            error = self.clone().work() => Err(error),
            error = self.clone().post() => Err(error),
            () = self.clone().report() => Ok(()),
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

    async fn greet(&self) -> Result<Welcome, CallError> {
        let settings = &self.installation.settings;
        let known = *self.org.lock().unwrap_or_else(PoisonError::into_inner);
        let org = match (&settings.online, known) {
            (Some(online), _) => online.tenant,
            (None, Some(org)) => org,
            (None, None) => self.whose().await?,
        };
        let account_only = *self.account_only.lock().unwrap_or_else(PoisonError::into_inner);
        let hello = hello(settings, org, account_only);
        self.server.hello(&hello).await
    }

    /// On premises Exchange says which organisation it is.
    async fn whose(&self) -> Result<Uuid, CallError> {
        let later = |text: String| CallError::Later { text, after: None };
        let rows = all(&*self.driver, &cmdlets::organisation()).await;
        let rows = rows.map_err(|failure| later(format!("Exchange: {failure}")))?;
        let told = rows.first().and_then(rows::organisation);
        let (org, account_only) = told.ok_or_else(|| later("Exchange does not say which organisation it is".into()))?;
        *self.org.lock().unwrap_or_else(PoisonError::into_inner) = Some(org);
        *self.account_only.lock().unwrap_or_else(PoisonError::into_inner) = account_only;
        Ok(org)
    }

    async fn keep_lead(self: Arc<Self>) -> String {
        let (mut backoff, mut greeted, mut ready, mut removed) = (Backoff(0), None::<Instant>, false, false);
        loop {
            if greeted.is_none_or(|at| clock::steady() - at > GREETING) {
                match self.greet().await {
                    Ok(welcome) => {
                        (greeted, removed) = (Some(clock::steady()), false);
                        if !ready {
                            let settings = &self.installation.settings;
                            let org = settings.org.as_deref().unwrap_or_default();
                            eprintln!("ready instance={} org={org}", settings.instance);
                            ready = true;
                        }
                        self.changed.send_replace(Some(welcome));
                    }
                    Err(error) => {
                        (greeted, removed) = (None, self.failed(&error, removed));
                        if removed {
                            tokio::time::sleep(REMOVED).await
                        } else {
                            backoff.wait().await
                        }
                        continue;
                    }
                }
            }
            let lease = self.changed.borrow().as_ref().map_or(60, |welcome| welcome.lease);
            let asked = clock::steady();
            match self.server.lease(self.lead.known()).await {
                Ok(leads) => {
                    let new = self.lead.known() != Some(leads.epoch);
                    self.lead.set(leads.epoch, asked, Duration::from_secs(leads.ttl));
                    if new {
                        tracing::info!(epoch = leads.epoch, "this connector leads");
                        // Whoever waits for that looks again, and asks when the last reports were.
                        greeted = None;
                    }
                    self.changed.send_modify(|_| {});
                    backoff = Backoff(0);
                }
                Err(CallError::Elsewhere(leader)) => {
                    if self.lead.known().is_some() {
                        tracing::warn!(?leader, "another connector leads");
                    }
                    self.lead.lose();
                    backoff = Backoff(0);
                }
                Err(error) => {
                    (greeted, removed) = (None, self.failed(&error, removed));
                    if removed {
                        tokio::time::sleep(REMOVED).await
                    } else {
                        backoff.wait().await
                    }
                    continue;
                }
            }
            self.renew().await;
            if greeted.is_some() {
                tokio::time::sleep(Duration::from_secs(lease) / 3).await;
            }
        }
    }

    /// True where an administrator removed this connector: nothing is written any more.
    fn failed(&self, error: &CallError, known: bool) -> bool {
        let removed = matches!(error, CallError::Removed(_));
        if removed {
            self.lead.lose();
        }
        match removed && known {
            true => {}
            false => tracing::error!(%error, "the server"),
        }
        removed
    }

    async fn renew(&self) {
        let folder = &self.installation.folder;
        if !enrol::is_due(folder) {
            return;
        }
        match enrol::renew(folder, &self.server).await.and_then(|()| self.client()) {
            Ok(client) => {
                self.server.show(client);
                tracing::info!("this connector has another certificate");
            }
            Err(error) => tracing::warn!(error, "this connector's certificate could not be renewed; it is tried again"),
        }
    }

    /// With the certificate that lies in the folder now.
    fn client(&self) -> Result<Client, String> {
        let settings = self.installation.settings.server_proxy.as_ref();
        let password = self.installation.secrets.get(crate::secrets::Name::ServerProxy);
        let (proxy, identity) =
            (installation::proxy(settings, password)?, installation::identity(&self.installation.folder)?);
        Client::new(http::roots(&self.installation.server_roots()), proxy, Some(identity))
            .map_err(|error| error.to_string())
    }

    /// The epoch, as soon as this connector leads.
    async fn leads(&self) -> u64 {
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(epoch) = self.lead.epoch() {
                return epoch;
            }
            let _ = tokio::time::timeout(PAUSE, changed.changed()).await;
        }
    }

    async fn work(self: Arc<Self>) -> String {
        let (mut after, mut by, mut backoff) = (0, 0, Backoff(0));
        let (broken, mut failed) = tokio::sync::mpsc::channel::<String>(1);
        loop {
            let epoch = self.leads().await;
            if epoch != by || self.left.swap(false, Ordering::AcqRel) {
                (by, after) = (epoch, 0);
            }
            let polled = tokio::select! {
                polled = self.server.work(epoch, after) => polled,
                error = failed.recv() => return error.unwrap_or_default(),
            };
            match polled {
                Ok(works) => {
                    backoff = Backoff(0);
                    for work in works {
                        after = after.max(work.seq);
                        self.take(work, &broken).await;
                    }
                }
                Err(CallError::Elsewhere(_)) => {
                    self.lead.lose();
                    backoff.wait().await;
                }
                Err(error) => {
                    if self.failed(&error, false) {
                        tokio::time::sleep(REMOVED).await;
                    }
                    backoff.wait().await;
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
                account_only: *agent.account_only.lock().unwrap_or_else(PoisonError::into_inner),
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
        let mut backoff = Backoff(0);
        loop {
            self.leads().await;
            match self.tell().await {
                Ok(true) => backoff = Backoff(0),
                Ok(false) => {
                    backoff = Backoff(0);
                    let _ = tokio::time::timeout(LONGEST, self.ended.notified()).await;
                }
                Err(Told::Journal(error)) => return error,
                Err(Told::Server(error)) => {
                    self.failed(&error, false);
                    backoff.wait().await;
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

    async fn report(self: Arc<Self>) {
        let mut inventory = Inventory::new(self.driver.clone(), self.server.clone(), self.lead.clone());
        let (mut full, mut delta, mut by) = (None::<OffsetDateTime>, None::<OffsetDateTime>, 0);
        let (mut waiting, mut backoff) = (Vec::<Device>::new(), Backoff(0));
        loop {
            let epoch = self.leads().await;
            let Some(welcome) = self.changed.borrow().clone() else { continue };
            if by != epoch {
                (by, full, delta) = (epoch, welcome.last_full, welcome.last_delta);
                waiting.clear();
            }
            let reported = match due(&welcome, full, delta) {
                // One that was not read whole is told as such, and costs as much: the next comes when it is due.
                Due::Full => inventory.full().await.map(|(began, devices)| {
                    (full, delta, waiting) = (Some(began), Some(began), devices);
                }),
                Due::Delta(since) => inventory.delta(since).await.map(|began| delta = Some(began)),
                Due::Nothing if !waiting.is_empty() => {
                    let rest = waiting.split_off(SOME.min(waiting.len()));
                    let some = std::mem::replace(&mut waiting, rest);
                    inventory.statistics(some).await
                }
                Due::Nothing => {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    Ok(())
                }
            };
            match reported {
                Ok(()) => backoff = Backoff(0),
                Err(error) => {
                    tracing::warn!(%error, "no report");
                    if let ReportError::Server(error) = &error {
                        self.failed(error, false);
                    }
                    backoff.wait().await;
                }
            }
        }
    }
}

/// What an installation says of itself as it begins.
pub fn hello(settings: &Settings, org: Uuid, account_only: bool) -> Hello {
    Hello {
        instance: settings.instance,
        org,
        kind: settings.kind,
        version: env!("CARGO_PKG_VERSION").into(),
        protocols: PROTOCOLS.to_vec(),
        capabilities: account_only
            .then_some(Capability::AccountOnly)
            .into_iter()
            .chain([Capability::Settings])
            .collect(),
    }
}

enum Told {
    Server(CallError),
    Journal(String),
}

#[derive(Debug, PartialEq, Eq)]
enum Due {
    Full,
    Delta(OffsetDateTime),
    Nothing,
}

fn due(welcome: &Welcome, full: Option<OffsetDateTime>, delta: Option<OffsetDateTime>) -> Due {
    let now = clock::now();
    let over = |since: OffsetDateTime, every: u64| now - since >= Duration::from_secs(every);
    match (full, delta) {
        (None, _) => Due::Full,
        (Some(full), _) if over(full, welcome.full_every) => Due::Full,
        (Some(full), delta) => {
            let since = delta.unwrap_or(full).max(full);
            if over(since, welcome.delta_every) { Due::Delta(since) } else { Due::Nothing }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_lasts_from_before_it_was_asked_for_and_no_longer() {
        let lead = Lead::default();
        assert!(!lead.holds());
        lead.set(3, clock::steady(), Duration::from_secs(60));
        assert_eq!(lead.epoch(), Some(3));
        let before = clock::steady().checked_sub(Duration::from_secs(61)).unwrap();
        lead.set(3, before, Duration::from_secs(60));
        assert_eq!((lead.epoch(), lead.known()), (None, Some(3)), "lapsed, and asked for again by its epoch");
        lead.lose();
        assert_eq!(lead.known(), None);
    }

    #[test]
    fn what_is_due_is_told_by_the_last_reports() {
        let welcome = |full_every, delta_every| Welcome {
            protocol: 1,
            epoch: None,
            full_every,
            delta_every,
            lease: 60,
            last_full: None,
            last_delta: None,
            resume: None,
        };
        let ago = |seconds| Some(clock::now() - Duration::from_secs(seconds));
        assert_eq!(due(&welcome(100, 10), None, ago(1)), Due::Full);
        assert_eq!(due(&welcome(100, 10), ago(101), ago(1)), Due::Full);
        assert_eq!(due(&welcome(100, 10), ago(50), ago(5)), Due::Nothing);
        let since = ago(20);
        assert_eq!(due(&welcome(100, 10), ago(50), since), Due::Delta(since.unwrap()));
        assert_eq!(due(&welcome(100, 10), since, ago(50)), Due::Delta(since.unwrap()));
        assert_eq!(due(&welcome(100, 10), ago(5), None), Due::Nothing);
    }
}

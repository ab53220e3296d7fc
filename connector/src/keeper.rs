//! What keeps this connector the server's: it greets, asks for the lease and asks again before it lapses, and renews the certificate. It goes
//! on whatever the server says; whoever was removed, or speaks no version of its calls any more, asks seldom.

use crate::{
    clock,
    driver::{Driver, all},
    enrol,
    installation::{Installation, Settings},
    lead::Lead,
    pacing::Pacing,
    server::{CallError, Server},
};
use lanyard_exchange::{
    calls::{Capability, Hello, Leads, PROTOCOLS, Welcome},
    cmdlets, rows,
};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use uuid::Uuid;

/// What the server says of times is asked for again.
const GREETING: Duration = Duration::from_secs(60);
/// A lease lasts so long where the server says nothing.
const LEASE: u64 = 60;

/// What Exchange says of itself.
pub(crate) struct Known {
    org: Mutex<Option<Uuid>>,
    account_only: AtomicBool,
}

impl Default for Known {
    fn default() -> Self {
        Self { org: Mutex::default(), account_only: AtomicBool::new(true) }
    }
}

impl Known {
    /// Whether it knows a wipe of the account alone.
    pub(crate) fn account_only(&self) -> bool {
        self.account_only.load(Ordering::Acquire)
    }

    fn org(&self) -> Option<Uuid> {
        *self.org.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, org: Uuid, account_only: bool) {
        *self.org.lock().unwrap_or_else(PoisonError::into_inner) = Some(org);
        self.account_only.store(account_only, Ordering::Release);
    }
}

/// The calls that it makes.
pub(crate) trait Calls: Send + Sync {
    /// `POST hello`.
    fn hello(&self, hello: &Hello) -> impl Future<Output = Result<Welcome, CallError>> + Send;
    /// `POST lease`.
    fn lease(&self, epoch: Option<u64>) -> impl Future<Output = Result<Leads, CallError>> + Send;
    /// `POST renew`, and its outcome on disk and shown from now on.
    fn renew(&self, installation: &Installation) -> impl Future<Output = Result<(), String>> + Send;
}

impl Calls for Server {
    async fn hello(&self, hello: &Hello) -> Result<Welcome, CallError> {
        Server::hello(self, hello).await
    }

    async fn lease(&self, epoch: Option<u64>) -> Result<Leads, CallError> {
        Server::lease(self, epoch).await
    }

    async fn renew(&self, installation: &Installation) -> Result<(), String> {
        enrol::renew(&installation.folder, self).await?;
        self.show(installation.server_client()?);
        Ok(())
    }
}

/// See the module.
pub(crate) struct Keeper<S> {
    installation: Arc<Installation>,
    server: Arc<S>,
    driver: Arc<dyn Driver>,
    lead: Arc<Lead>,
    exchange: Arc<Known>,
    greeted: Option<Instant>,
    ready: bool,
    /// The server has said for good that it takes no calls, and that was told.
    refused: bool,
    pacing: Pacing,
}

impl<S: Calls> Keeper<S> {
    /// Nothing is said yet.
    pub(crate) fn new(
        installation: Arc<Installation>,
        server: Arc<S>,
        driver: Arc<dyn Driver>,
        lead: Arc<Lead>,
        exchange: Arc<Known>,
    ) -> Self {
        let (greeted, ready, refused, pacing) = (None, false, false, Pacing::default());
        Self { installation, server, driver, lead, exchange, greeted, ready, refused, pacing }
    }

    /// Goes on for ever.
    pub(crate) async fn run(mut self) {
        loop {
            let pause = match self.turn().await {
                Ok(pause) => pause,
                Err(error) => self.failed(&error),
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Greets where that is due, asks for the lease, and renews the certificate where that is due. How long nothing more is to be done.
    async fn turn(&mut self) -> Result<Duration, CallError> {
        if self.greeted.is_none_or(|at| clock::steady() - at > GREETING) {
            let welcome = self.greet().await?;
            (self.greeted, self.refused) = (Some(clock::steady()), false);
            self.say_ready();
            self.lead.greeted(welcome);
        }
        let begins = self.lease().await?;
        self.pacing.good();
        self.renew().await;
        if begins {
            // Whoever waits for that looks again, and asks when the last reports were.
            self.greeted = None;
            return Ok(Duration::ZERO);
        }
        Ok(Duration::from_secs(self.lead.welcome().map_or(LEASE, |welcome| welcome.lease)) / 3)
    }

    /// How long to wait. What lasts is told once.
    fn failed(&mut self, error: &CallError) -> Duration {
        self.greeted = None;
        let told = std::mem::replace(&mut self.refused, error.lasts());
        if !(told && self.refused) {
            self.lead.failed(error);
        }
        self.pacing.pause(Some(error))
    }

    fn say_ready(&mut self) {
        if !std::mem::replace(&mut self.ready, true) {
            let settings = &self.installation.settings;
            eprintln!("ready instance={} org={}", settings.instance, settings.org.as_deref().unwrap_or_default());
        }
    }

    async fn greet(&self) -> Result<Welcome, CallError> {
        let settings = &self.installation.settings;
        let org = match (&settings.online, self.exchange.org()) {
            (Some(online), _) => online.tenant,
            (None, Some(org)) => org,
            (None, None) => self.whose().await?,
        };
        self.server.hello(&hello(settings, org, self.exchange.account_only())).await
    }

    /// On premises Exchange says which organisation it is.
    async fn whose(&self) -> Result<Uuid, CallError> {
        let later = |text: String| CallError::Later { text, after: None };
        let rows = all(&*self.driver, &cmdlets::organisation()).await;
        let rows = rows.map_err(|failure| later(format!("Exchange: {failure}")))?;
        let told = rows.first().and_then(rows::organisation);
        let (org, account_only) = told.ok_or_else(|| later("Exchange does not say which organisation it is".into()))?;
        self.exchange.note(org, account_only);
        Ok(org)
    }

    /// Whether this connector leads by an epoch that is new to it.
    async fn lease(&self) -> Result<bool, CallError> {
        let (asked, known) = (clock::steady(), self.lead.known());
        match self.server.lease(known).await {
            Ok(leads) => {
                let begins = known != Some(leads.epoch);
                self.lead.set(leads.epoch, asked, Duration::from_secs(leads.ttl));
                if begins {
                    tracing::info!(epoch = leads.epoch, "this connector leads");
                }
                Ok(begins)
            }
            Err(CallError::Elsewhere(leader)) => {
                if known.is_some() {
                    tracing::warn!(?leader, "another connector leads");
                }
                self.lead.lose();
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    async fn renew(&self) {
        if !enrol::is_due(&self.installation.folder) {
            return;
        }
        match self.server.renew(&self.installation).await {
            Ok(()) => tracing::info!("this connector has another certificate"),
            Err(error) => tracing::warn!(error, "this connector's certificate could not be renewed; it is tried again"),
        }
    }
}

/// What an installation says of itself as it begins.
pub(crate) fn hello(settings: &Settings, org: Uuid, account_only: bool) -> Hello {
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

#[cfg(test)]
mod tests;

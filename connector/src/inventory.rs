//! What Exchange has, reported: all of it daily, what may have changed every few minutes. Statistics open each mailbox and are slow: they come
//! after, at a pace of their own.

use crate::{
    clock,
    driver::{Driver, all},
    lead::Lead,
    pacing::Pacing,
    server::{CallError, Server},
};
use lanyard_exchange::{
    calls::{Batch, End, ROWS, RunKind},
    cmdlet::{Cmdlet, Failure, Row},
    cmdlets::{self, Waiting},
    mailbox_policy::{self, MailboxPolicy},
    organisation::Organisation,
    partnership::Partnership,
    rows::{self, Device, Mailbox},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use time::{OffsetDateTime, macros::format_description};
use uuid::Uuid;

/// Domain controllers agree within this.
const OVERLAP: time::Duration = time::Duration::minutes(15);
/// So many mailboxes that changed are asked for their clients one by one.
const ONE_BY_ONE: usize = 50;
/// Between two mailboxes that are opened for statistics.
const PACE: Duration = Duration::from_millis(50);

/// Why a report came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Exchange.
    #[error("Exchange: {0}")]
    Exchange(#[from] Failure),
    /// The server.
    #[error("{0}")]
    Server(#[from] CallError),
}

/// Reports over one Exchange.
pub struct Inventory {
    driver: Arc<dyn Driver>,
    server: Arc<Server>,
    lead: Arc<Lead>,
    mailboxes: BTreeMap<String, Mailbox>,
    calls: u64,
}

/// A run under way.
struct Run {
    id: Uuid,
    kind: RunKind,
    began: OffsetDateTime,
    n: u32,
    rows: Vec<Partnership>,
    sent: usize,
    complete: bool,
    organisation: Option<Organisation>,
}

impl Run {
    fn new(kind: RunKind) -> Self {
        let (id, began) = (Uuid::new_v4(), clock::now());
        Self { id, kind, began, n: 0, rows: Vec::new(), sent: 0, complete: true, organisation: None }
    }
}

impl Inventory {
    /// Over this Exchange, to this server.
    pub fn new(driver: Arc<dyn Driver>, server: Arc<Server>, lead: Arc<Lead>) -> Self {
        Self { driver, server, lead, mailboxes: BTreeMap::new(), calls: 0 }
    }

    /// All that Exchange has. When it began, and which clients have statistics.
    pub async fn full(&mut self) -> Result<(OffsetDateTime, Vec<Device>), ReportError> {
        let (mut run, begun) = (Run::new(RunKind::Full), self.calls);
        let mut known = BTreeMap::new();
        self.pages(&cmdlets::mailboxes(), &mut run, |row| {
            if let Some(mailbox) = rows::mailbox(&row) {
                known.insert(mailbox.name().to_string(), mailbox);
            }
        })
        .await?;
        self.mailboxes = known;
        let mut devices = Vec::new();
        let cmdlet = cmdlets::devices();
        let mut page = None;
        loop {
            self.calls += 1;
            match self.driver.call(&cmdlet, page.as_ref()).await {
                Ok(answer) => {
                    let found: Vec<Device> = answer.rows.iter().filter_map(rows::device).collect();
                    run.complete &= found.len() == answer.rows.len();
                    for device in &found {
                        self.add(&mut run, device.clone()).await?;
                    }
                    devices.extend(found.into_iter().filter(Device::is_eas));
                    match answer.next {
                        Some(next) => page = Some(next),
                        None => break,
                    }
                }
                // What was read is good; that something is missing says nothing.
                Err(failure) if page.is_some() => {
                    tracing::warn!(%failure, "a page of Exchange's list cannot be read");
                    run.complete = false;
                    break;
                }
                Err(failure) => return Err(failure.into()),
            }
        }
        run.organisation = self.organisation().await;
        let (began, complete, sent) = (run.began, run.complete, run.sent);
        self.finish(run).await?;
        tracing::info!(run = "full", partnerships = sent, complete, calls = self.calls - begun, "reported");
        Ok((began, devices))
    }

    /// What may have changed since then.
    pub async fn delta(&mut self, since: OffsetDateTime) -> Result<OffsetDateTime, ReportError> {
        let (mut run, begun) = (Run::new(RunKind::Delta), self.calls);
        let form = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
        let since = (since - OVERLAP).to_offset(time::UtcOffset::UTC).format(&form).unwrap_or_default();
        let mut devices: BTreeMap<Uuid, Device> = BTreeMap::new();
        let changed = self.read(&cmdlets::mailboxes_since(&since)).await?;
        let changed: BTreeMap<String, Mailbox> =
            changed.iter().filter_map(rows::mailbox).map(|mailbox| (mailbox.name().to_string(), mailbox)).collect();
        self.of(&changed, &mut devices).await?;
        self.mailboxes.extend(changed);
        for cmdlet in [
            cmdlets::devices_since(&since),
            cmdlets::devices_that_wait(Waiting::Quarantined),
            cmdlets::devices_that_wait(Waiting::Discovered),
        ] {
            let found = self.read(&cmdlet).await?;
            devices.extend(found.iter().filter_map(rows::device).map(|device| (device.guid(), device)));
        }
        for device in devices.into_values() {
            self.add(&mut run, device).await?;
        }
        run.organisation = self.organisation().await;
        let (began, sent) = (run.began, run.sent + run.rows.len());
        self.finish(run).await?;
        tracing::debug!(run = "delta", partnerships = sent, calls = self.calls - begun, "reported");
        Ok(began)
    }

    /// The clients of mailboxes that changed: one by one, or where all were changed at once in a few pages of everything.
    async fn of(
        &mut self,
        changed: &BTreeMap<String, Mailbox>,
        devices: &mut BTreeMap<Uuid, Device>,
    ) -> Result<(), ReportError> {
        if changed.len() <= ONE_BY_ONE {
            for mailbox in changed.values() {
                let of = self.read(&cmdlets::devices_of(mailbox.guid)).await?;
                devices.extend(of.iter().filter_map(rows::device).map(|device| (device.guid(), device)));
            }
            return Ok(());
        }
        let mut page = None;
        loop {
            self.calls += 1;
            let answer = self.driver.call(&cmdlets::devices(), page.as_ref()).await?;
            let found = answer.rows.iter().filter_map(rows::device);
            let found = found.filter(|device| changed.contains_key(device.mailbox()));
            devices.extend(found.map(|device| (device.guid(), device)));
            match answer.next {
                Some(next) => page = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// When these clients synchronised, at a pace at which nobody waits for it. It is no account of what changed, and says so.
    /// `began`: when the run did that brought them, since their lists are as old.
    pub async fn statistics(&mut self, devices: Vec<Device>, began: OffsetDateTime) -> Result<(), ReportError> {
        let mut run = Run { complete: false, began, ..Run::new(RunKind::Delta) };
        for device in devices {
            tokio::time::sleep(PACE).await;
            let told = match self.read(&cmdlets::statistics(device.guid())).await {
                Ok(rows) => rows.iter().filter_map(rows::statistics).find(|told| told.guid == device.guid()),
                // Gone since, or its mailbox cannot be opened: another time.
                Err(_) => None,
            };
            let mailbox = self.mailboxes.get(device.mailbox());
            if let (Some(told), Some(mailbox)) = (told, mailbox)
                && let Some(row) = device.of(mailbox, Some(&told))
            {
                run.rows.push(row);
            }
        }
        self.finish(run).await
    }

    /// Its settings, rules and those mailbox policies that a server made. They are no part of what is needed: where the account may not read
    /// them, or Exchange cannot be had just then, nothing is told of them.
    async fn organisation(&mut self) -> Option<Organisation> {
        let unread = |failure: Failure| tracing::warn!(%failure, "the organisation's settings cannot be read");
        let settings = self.read(&cmdlets::organisation_settings()).await.map_err(unread).ok()?;
        let rules = self.read(&cmdlets::rules()).await.map_err(unread).ok()?;
        let told = Organisation::read(settings.first()?, &rules)?;
        let policies = self.read(&cmdlets::policies()).await.map_err(unread).ok();
        let ours =
            |rows: Vec<Row>| rows.iter().filter_map(mailbox_policy::read).filter(MailboxPolicy::is_ours).collect();
        Some(Organisation { policies: policies.map(ours), ..told })
    }

    async fn read(&mut self, cmdlet: &Cmdlet) -> Result<Vec<Row>, Failure> {
        self.calls += 1;
        all(&*self.driver, cmdlet).await
    }

    async fn pages(&mut self, cmdlet: &Cmdlet, run: &mut Run, mut take: impl FnMut(Row)) -> Result<(), ReportError> {
        let mut page = None;
        loop {
            self.calls += 1;
            match self.driver.call(cmdlet, page.as_ref()).await {
                Ok(answer) => {
                    answer.rows.into_iter().for_each(&mut take);
                    match answer.next {
                        Some(next) => page = Some(next),
                        None => return Ok(()),
                    }
                }
                Err(failure) if page.is_some() => {
                    tracing::warn!(%failure, "a page of Exchange's list cannot be read");
                    run.complete = false;
                    return Ok(());
                }
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    /// A client with its mailbox's lists.
    async fn add(&mut self, run: &mut Run, device: Device) -> Result<(), ReportError> {
        let guid = device.guid();
        if !self.mailboxes.contains_key(device.mailbox())
            && let Some(cmdlet) = cmdlets::mailbox_named(device.mailbox())
        {
            let found = match self.read(&cmdlet).await {
                Ok(found) => found,
                Err(Failure::NotFound(_)) => Vec::new(),
                Err(failure) => return Err(failure.into()),
            };
            let its = found.iter().filter_map(rows::mailbox).find(|mailbox| mailbox.name() == device.mailbox());
            if let Some(mailbox) = its {
                self.mailboxes.insert(mailbox.name().to_string(), mailbox);
            }
        }
        match self.mailboxes.get(device.mailbox()).and_then(|mailbox| device.of(mailbox, None)) {
            Some(row) => run.rows.push(row),
            // Its mailbox is gone, and it will be.
            None => tracing::debug!(device = %guid, "a mobile device without a mailbox"),
        }
        self.send(run, ROWS).await
    }

    /// Sends what was gathered, where that is so much.
    async fn send(&self, run: &mut Run, least: usize) -> Result<(), ReportError> {
        if run.rows.len() < least {
            return Ok(());
        }
        let Some(epoch) = self.lead.epoch() else { return Err(CallError::Elsewhere(None).into()) };
        let rows: Vec<Partnership> = std::mem::take(&mut run.rows);
        let (sent, n) = (rows.len(), run.n + 1);
        let mut batch = Batch { epoch, kind: run.kind, began: run.began, sent: clock::now(), rows };
        let mut pacing = Pacing::default();
        // Begun anew it would all be read from Exchange once more. A batch that came and was not acknowledged is kept once.
        while let Err(error) = self.server.batch(run.id, n, &batch).await {
            if !matches!(error, CallError::Later { .. }) || self.lead.epoch() != Some(epoch) {
                return Err(error.into());
            }
            tracing::warn!(%error, n, "a part of a report is sent again");
            pacing.wait(Some(&error)).await;
            batch.sent = clock::now();
        }
        (run.n, run.sent) = (n, run.sent + sent);
        Ok(())
    }

    async fn finish(&self, mut run: Run) -> Result<(), ReportError> {
        self.send(&mut run, 1).await?;
        let Some(epoch) = self.lead.epoch() else { return Err(CallError::Elsewhere(None).into()) };
        let (sent, organisation) = (Some(clock::now()), run.organisation);
        let (kind, began, batches, complete) = (run.kind, run.began, run.n, run.complete);
        let end = End { epoch, kind, began, batches, complete, sent, organisation };
        Ok(self.server.end(run.id, &end).await?)
    }
}

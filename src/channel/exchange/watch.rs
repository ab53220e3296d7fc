//! What is due to which organisation. A leader's poll looks at the clients whose device or report changed, and at those whose time has come; with a
//! new leader, and where news may have been missed, at all. What is remembered here are keys and times alone: a decision lies in the store.

use super::{Answer, Connectors, Refusal, leads, mailbox_policy};
use crate::{
    clock::{self, Steady},
    error::Denial,
    fleet::connectors::{
        due::{self, Watched},
        exchange,
        orders::{self, Order},
        partnerships::{PARTNERSHIP, PARTNERSHIPS},
    },
    ids::{DeviceId, Fingerprint},
    server::Server,
    store::{DISTRUSTED, EVERYTHING},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{
    Mutex,
    broadcast::{Receiver, error::RecvError, error::TryRecvError},
};

/// Clients that one call on the store looks at.
const AT_ONCE: usize = 100;
/// What is due by itself is looked for so often.
const TICK: Duration = Duration::from_secs(1);

type News = Receiver<Arc<BTreeSet<String>>>;

/// A watch for each organisation that is led through this node.
pub(super) struct Watches {
    server: Arc<Server>,
    of: Mutex<BTreeMap<String, Arc<Mutex<Watch>>>>,
}

/// See the module.
struct Watch {
    /// Whose leader it is for.
    epoch: u64,
    news: News,
    of_device: BTreeMap<DeviceId, BTreeSet<String>>,
    at: BTreeMap<String, Steady>,
    dirty: BTreeSet<String>,
    /// Up to where all were gathered; none: they are.
    gathering: Option<String>,
}

impl Watches {
    pub(super) fn new(server: &Arc<Server>) -> Self {
        Self { server: server.clone(), of: Mutex::default() }
    }

    async fn of(&self, org: &str, epoch: u64) -> Arc<Mutex<Watch>> {
        let mut of = self.of.lock().await;
        let watch = of.entry(org.to_string()).or_insert_with(|| Arc::new(Mutex::new(Watch::new(&self.server, epoch))));
        let watch = watch.clone();
        drop(of);
        let mut known = watch.lock().await;
        if known.epoch != epoch {
            *known = Watch::new(&self.server, epoch);
        }
        drop(known);
        watch
    }
}

impl Watch {
    fn new(server: &Server, epoch: u64) -> Self {
        let (of_device, at, dirty) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { epoch, news: server.presence.changes(), of_device, at, dirty, gathering: Some(String::new()) }
    }

    /// What changed since this was asked last.
    fn hear(&mut self) {
        loop {
            match self.news.try_recv() {
                Ok(subjects) => self.note(&subjects),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
                Err(TryRecvError::Lagged(_)) => self.gathering = Some(String::new()),
            }
        }
    }

    fn note(&mut self, subjects: &BTreeSet<String>) {
        if [EVERYTHING, DISTRUSTED, PARTNERSHIPS].iter().any(|all| subjects.contains(*all)) {
            self.gathering = Some(String::new());
        }
        for subject in subjects {
            if let Some(key) = subject.strip_prefix(PARTNERSHIP) {
                self.dirty.insert(key.to_string());
            } else if let Ok(device) = subject.parse::<DeviceId>()
                && let Some(keys) = self.of_device.get(&device)
            {
                self.dirty.extend(keys.iter().cloned());
            }
        }
    }

    /// Those that are to be looked at now.
    fn take(&mut self, now: Steady) -> Vec<String> {
        let due: Vec<String> = self.at.iter().filter(|(_, at)| **at <= now).map(|(key, _)| key.clone()).collect();
        for key in due {
            self.at.remove(&key);
            self.dirty.insert(key);
        }
        let some: Vec<String> = self.dirty.iter().take(AT_ONCE).cloned().collect();
        some.iter().for_each(|key| {
            self.dirty.remove(key);
        });
        some
    }

    fn looked(&mut self, watched: Vec<Watched>) {
        for Watched { key, device, at } in watched {
            if let Some(device) = device {
                self.of_device.entry(device).or_default().insert(key.clone());
            }
            match at {
                Some(at) => drop(self.at.insert(key, at)),
                None => drop(self.at.remove(&key)),
            }
        }
    }
}

/// The orders that the leader has not heard of, waited for as long as is said.
pub(super) async fn poll(
    connectors: &Connectors,
    shown: Fingerprint,
    epoch: u64,
    after: u64,
    wait: Duration,
) -> Answer<Vec<Order>> {
    let server = &connectors.server;
    let begun = clock::monotonic();
    let mut news = server.presence.changes();
    let mut stopping = server.stopping.clone();
    let org = server.store.judge(move |tx| leads(tx, &shown, epoch).map(|org| org.name)).await?;
    let watch = connectors.watches.of(&org, epoch).await;
    loop {
        let (orders, more) = look(connectors, &watch, &org, shown, epoch, after).await?;
        if !orders.is_empty() || clock::since(begun) >= wait {
            return Ok(orders);
        }
        if more {
            continue;
        }
        let left = wait.saturating_sub(clock::since(begun)).min(TICK);
        tokio::select! {
            () = tokio::time::sleep(left) => {}
            () = stopping.draining() => return Ok(Vec::new()),
            heard = news.recv() => if let Err(RecvError::Closed) = heard {
                tokio::time::sleep(left).await;
            },
        }
    }
}

/// Looks once; true where more waits to be looked at.
async fn look(
    connectors: &Connectors,
    watch: &Mutex<Watch>,
    name: &str,
    shown: Fingerprint,
    epoch: u64,
    after: u64,
) -> Answer<(Vec<Order>, bool)> {
    let server = &connectors.server;
    let mut watch = watch.lock().await;
    watch.hear();
    if let Some(from) = watch.gathering.clone() {
        let org = name.to_string();
        let gather = move |tx: &mut crate::store::Tx<'_>| {
            due::some(tx, &org, Some(from.as_str()).filter(|f| !f.is_empty()), AT_ONCE)
        };
        let some = server.store.run(gather).await?;
        watch.gathering = some.last().filter(|_| some.len() == AT_ONCE).cloned();
        watch.dirty.extend(some);
    }
    let some = watch.take(server.store.time().steady);
    let keys = some.clone();
    let looked = server
        .store
        .judge(move |tx| {
            let mut org = leads(tx, &shown, epoch)?;
            let before = org.seq;
            let watched = due::look(tx, &mut org, &keys, &mailbox_policy::of)?;
            exchange::due(tx, &mut org)?;
            if org.seq != before {
                tx.put(&org)?;
            }
            let orders = orders::after(tx, &org.name, after)?;
            Ok::<_, Denial<Refusal>>((watched, orders))
        })
        .await;
    let (watched, orders) = match looked {
        Ok(looked) => looked,
        Err(error) => {
            watch.dirty.extend(some);
            return Err(error.into());
        }
    };
    watch.looked(watched);
    Ok((orders, !watch.dirty.is_empty() || watch.gathering.is_some()))
}

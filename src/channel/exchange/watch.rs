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
    /// Taken to be looked at: a poll whose connector hung up meanwhile has looked at nothing.
    taken: Vec<String>,
    /// Up to where all were gathered; none: they are.
    gathering: Option<String>,
}

impl Watches {
    pub(super) fn new(server: &Arc<Server>) -> Self {
        Self { server: server.clone(), of: Mutex::default() }
    }

    async fn of(&self, org: &str, epoch: u64) -> Arc<Mutex<Watch>> {
        let mut of = self.of.lock().await;
        let watch = of
            .entry(org.to_string())
            .or_insert_with(|| Arc::new(Mutex::new(Watch::new(self.server.presence.changes(), epoch))));
        let watch = watch.clone();
        drop(of);
        let mut known = watch.lock().await;
        if known.epoch != epoch {
            *known = Watch::new(self.server.presence.changes(), epoch);
        }
        drop(known);
        watch
    }
}

impl Watch {
    fn new(news: News, epoch: u64) -> Self {
        let (of_device, at, dirty) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { epoch, news, of_device, at, dirty, taken: Vec::new(), gathering: Some(String::new()) }
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
        self.dirty.extend(std::mem::take(&mut self.taken));
        let due: Vec<String> = self.at.iter().filter(|(_, at)| **at <= now).map(|(key, _)| key.clone()).collect();
        for key in due {
            self.at.remove(&key);
            self.dirty.insert(key);
        }
        let some: Vec<String> = self.dirty.iter().take(AT_ONCE).cloned().collect();
        some.iter().for_each(|key| {
            self.dirty.remove(key);
        });
        self.taken.clone_from(&some);
        some
    }

    fn looked(&mut self, watched: Vec<Watched>) {
        self.taken.clear();
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
    let keys = watch.take(server.store.time().steady);
    let (watched, orders) = server
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
        .await?;
    watch.looked(watched);
    Ok((orders, !watch.dirty.is_empty() || watch.gathering.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_and_not_looked_at_is_taken_again() {
        let (news, heard) = tokio::sync::broadcast::channel(8);
        let mut watch = Watch::new(heard, 1);
        watch.gathering = None;
        news.send(Arc::new([format!("{PARTNERSHIP}org/1")].into())).unwrap();
        watch.hear();
        watch.at.insert("org/2".into(), Steady(5));
        assert_eq!(watch.take(Steady(4)), ["org/1"]);
        assert_eq!(watch.take(Steady(5)), ["org/1", "org/2"], "nobody looked at it");
        watch.looked(vec![Watched { key: "org/2".into(), device: None, at: Some(Steady(9)) }]);
        assert_eq!(watch.take(Steady(8)), Vec::<String>::new());
        assert_eq!(watch.take(Steady(9)), ["org/2"]);
    }

    #[test]
    fn a_change_of_a_device_concerns_its_clients_and_lost_news_all() {
        let (news, heard) = tokio::sync::broadcast::channel(2);
        let mut watch = Watch::new(heard, 1);
        watch.gathering = None;
        let device = DeviceId(uuid::Uuid::from_u128(7));
        watch.looked(vec![Watched { key: "org/1".into(), device: Some(device), at: None }]);
        news.send(Arc::new([device.to_string(), "another".into()].into())).unwrap();
        watch.hear();
        assert_eq!(watch.take(Steady(0)), ["org/1"]);
        for _ in 0..3 {
            news.send(Arc::new(["another".to_string()].into())).unwrap();
        }
        watch.hear();
        assert_eq!(watch.gathering.as_deref(), Some(""), "some were missed");
    }
}

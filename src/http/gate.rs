//! How many connections may be open: in all, and from one address.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

/// Why a connection is closed as soon as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The address has as many as it may have.
    Address,
    /// We have as many as we can have.
    Total,
}

/// Counts connections. One gate may serve several listeners.
#[derive(Debug)]
pub struct Gate {
    total: usize,
    per_address: Arc<AtomicUsize>,
    open: Mutex<Open>,
    refused_by_address: AtomicU64,
    refused_by_total: AtomicU64,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_address: BTreeMap<IpAddr, usize>,
}

impl Gate {
    /// `per_address` is read at each connection and may be changed at any time; 0 there means no limit.
    pub fn new(total: usize, per_address: Arc<AtomicUsize>) -> Arc<Self> {
        Arc::new(Self {
            total,
            per_address,
            open: Mutex::default(),
            refused_by_address: AtomicU64::new(0),
            refused_by_total: AtomicU64::new(0),
        })
    }

    /// A place for one connection, given back when dropped. `counted`: whether the limit per address holds for it
    /// (a trusted proxy speaks for many).
    pub fn admit(self: &Arc<Self>, address: IpAddr, counted: bool) -> Result<Place, Refused> {
        let address = counted.then(|| holder(address));
        let limit = self.per_address.load(Relaxed);
        let mut open = self.lock();
        if open.all >= self.total {
            self.refused_by_total.fetch_add(1, Relaxed);
            return Err(Refused::Total);
        }
        if let Some(address) = address {
            let held = open.by_address.entry(address).or_default();
            if limit != 0 && *held >= limit {
                self.refused_by_address.fetch_add(1, Relaxed);
                return Err(Refused::Address);
            }
            *held += 1;
        }
        open.all += 1;
        Ok(Place { gate: Arc::clone(self), address })
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.lock().all
    }

    /// Connections refused since the start: by the limit per address, by the total.
    pub fn refused(&self) -> (u64, u64) {
        (self.refused_by_address.load(Relaxed), self.refused_by_total.load(Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One admitted connection.
#[derive(Debug)]
pub struct Place {
    gate: Arc<Gate>,
    address: Option<IpAddr>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.gate.lock();
        open.all = open.all.saturating_sub(1);
        let Some(address) = self.address else { return };
        if let Some(held) = open.by_address.get_mut(&address) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                open.by_address.remove(&address);
            }
        }
    }
}

/// Whom an address counts for: itself, or for IPv6 the /64 that one subscriber gets.
pub fn holder(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

/// How many files this process may open (its soft limit), where the system says so.
pub fn open_files_limit() -> Option<usize> {
    soft_limit(&std::fs::read_to_string("/proc/self/limits").ok()?)
}

fn soft_limit(limits: &str) -> Option<usize> {
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?;
    if soft == "unlimited" { Some(usize::MAX) } else { soft.parse().ok() }
}

/// How many connections to take: what the process may open, less `reserve` for files, the store and outgoing calls.
/// Never under 64; 1,024 files are assumed where the system does not say.
pub fn connection_budget(reserve: usize) -> usize {
    open_files_limit().unwrap_or(1024).saturating_sub(reserve).max(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_share_and_gives_it_back() {
        let limit = Arc::new(AtomicUsize::new(2));
        let gate = Gate::new(100, Arc::clone(&limit));
        let first = gate.admit(ip("127.0.0.1"), true).unwrap();
        let _second = gate.admit(ip("::ffff:127.0.0.1"), true).unwrap();
        assert_eq!(gate.admit(ip("127.0.0.1"), true).unwrap_err(), Refused::Address);
        let _another = gate.admit(ip("127.0.0.2"), true).unwrap();
        let _proxy = gate.admit(ip("127.0.0.1"), false).unwrap();
        drop(first);
        let _third = gate.admit(ip("127.0.0.1"), true).unwrap();
        limit.store(3, Relaxed);
        let _fourth = gate.admit(ip("127.0.0.1"), true).unwrap();
        assert_eq!((gate.open(), gate.refused()), (5, (1, 0)));
    }

    #[test]
    fn a_subscriber_of_ipv6_is_one_address() {
        let gate = Gate::new(100, Arc::new(AtomicUsize::new(1)));
        let _first = gate.admit(ip("2001:db8:1:2::3"), true).unwrap();
        assert!(gate.admit(ip("2001:db8:1:2:ffff::4"), true).is_err());
        assert!(gate.admit(ip("2001:db8:1:3::3"), true).is_ok());
    }

    #[test]
    fn the_total_holds_for_all() {
        let gate = Gate::new(1, Arc::new(AtomicUsize::new(0)));
        let held = gate.admit(ip("10.0.0.1"), true).unwrap();
        assert_eq!(gate.admit(ip("10.0.0.2"), false).unwrap_err(), Refused::Total);
        drop(held);
        assert!(gate.admit(ip("10.0.0.2"), true).is_ok());
        assert_eq!(gate.lock().by_address.len(), 0);
    }

    #[test]
    fn the_systems_limit_is_read() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max open files            20000                524288               files     \n";
        assert_eq!(soft_limit(text), Some(20_000));
        assert_eq!(
            soft_limit("Max open files            unlimited            unlimited            files"),
            Some(usize::MAX)
        );
        assert_eq!(soft_limit(""), None);
        assert!(connection_budget(usize::MAX) == 64);
    }
}

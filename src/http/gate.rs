//! How many connections may be open: in all, and from one address. Further ones wait for a place, in the order in which they came:
//! a school behind one address is served, if later.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};
use tokio::sync::{Notify, oneshot};

/// So many times its limit may wait of one address.
const WAITING: usize = 4;

/// What becomes of a connection that came.
#[derive(Debug)]
pub enum Admission {
    /// It is served.
    Now(Place),
    /// It is served when one of its address ends.
    Later(Waiting),
    /// Too many wait already: it is closed as it came.
    Refused,
}

/// Counts connections. One gate may serve several listeners.
#[derive(Debug)]
pub struct Gate {
    total: usize,
    per_address: Arc<AtomicUsize>,
    open: Mutex<Open>,
    left: Notify,
    /// How many wait. Changed under the lock; read at each answer without it.
    waiting: AtomicUsize,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Open {
    /// Those that wait too: each holds a file.
    all: usize,
    by_address: BTreeMap<IpAddr, Share>,
    next: u64,
}

/// What one address has.
#[derive(Debug, Default)]
struct Share {
    held: usize,
    queue: BTreeMap<u64, oneshot::Sender<()>>,
}

impl Share {
    /// Gives free places to those who wait longest. How many it gave.
    fn seat(&mut self, limit: usize) -> usize {
        let mut seated = 0;
        while limit == 0 || self.held < limit {
            let Some((_, turn)) = self.queue.pop_first() else { break };
            self.held += 1;
            seated += 1;
            // Who gave up meanwhile gives the place back when its `Place` is dropped.
            let _gone = turn.send(());
        }
        seated
    }
}

impl Gate {
    /// `per_address` is read at each connection and may be changed at any time; 0 there means no limit.
    pub fn new(total: usize, per_address: Arc<AtomicUsize>) -> Arc<Self> {
        let (open, left) = (Mutex::default(), Notify::new());
        Arc::new(Self { total, per_address, open, left, waiting: AtomicUsize::new(0), refused: AtomicU64::new(0) })
    }

    /// Waits until there are fewer connections than we can have: until then no further one should be accepted.
    pub async fn room(&self) {
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            left.as_mut().enable();
            if self.lock().all < self.total {
                return;
            }
            left.await;
        }
    }

    /// A place for one connection, or its turn in the queue; given back when dropped. `counted`: whether the limit per address holds for
    /// it (a trusted proxy speaks for many).
    pub fn admit(self: &Arc<Self>, address: IpAddr, counted: bool) -> Admission {
        let limit = self.per_address.load(Relaxed);
        let mut open = self.lock();
        let number = open.next;
        let place = |address| Place { gate: Arc::clone(self), address, number };
        if !counted {
            open.all += 1;
            return Admission::Now(place(None));
        }
        let address = holder(address);
        let share = open.by_address.entry(address).or_default();
        let seated = share.seat(limit);
        let admission = if share.queue.is_empty() && (limit == 0 || share.held < limit) {
            share.held += 1;
            Admission::Now(place(Some(address)))
        } else if share.queue.len() >= limit.saturating_mul(WAITING)
            || self.waiting().saturating_sub(seated) >= self.total / 2
        {
            // Nobody can fill the house by waiting.
            Admission::Refused
        } else {
            let (turn, taken) = oneshot::channel();
            share.queue.insert(number, turn);
            Admission::Later(Waiting { place: place(Some(address)), turn: taken })
        };
        self.waiting.fetch_sub(seated, Relaxed);
        match &admission {
            Admission::Refused => {
                self.refused.fetch_add(1, Relaxed);
                return admission;
            }
            Admission::Later(_) => {
                self.waiting.fetch_add(1, Relaxed);
            }
            Admission::Now(_) => {}
        }
        open.next += 1;
        open.all += 1;
        admission
    }

    /// Connections open now, those that wait for a place among them.
    pub fn open(&self) -> usize {
        self.lock().all
    }

    /// Connections that wait for a place now.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Connections closed as they came, since the start.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that waits for its turn. Dropped, it leaves the queue.
#[derive(Debug)]
pub struct Waiting {
    place: Place,
    turn: oneshot::Receiver<()>,
}

impl Waiting {
    /// The place, when it is free.
    pub async fn place(self) -> Place {
        let Self { place, turn } = self;
        // The other end is dropped together with the queue, of which the place holds the gate.
        let _turn = turn.await;
        place
    }
}

/// One admitted connection.
#[derive(Debug)]
pub struct Place {
    gate: Arc<Gate>,
    address: Option<IpAddr>,
    number: u64,
}

impl Place {
    /// Whether others of its address wait: it should be given up as soon as that can be done in order.
    pub fn is_wanted(&self) -> bool {
        let Some(address) = self.address.filter(|_| self.gate.waiting() > 0) else { return false };
        let open = self.gate.lock();
        open.by_address.get(&address).is_some_and(|share| !share.queue.is_empty())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let limit = self.gate.per_address.load(Relaxed);
        let mut open = self.gate.lock();
        open.all = open.all.saturating_sub(1);
        if let Some(address) = self.address
            && let Some(share) = open.by_address.get_mut(&address)
        {
            let left = share.queue.remove(&self.number).is_some();
            if !left {
                share.held = share.held.saturating_sub(1);
            }
            let gone = usize::from(left) + share.seat(limit);
            if share.held == 0 && share.queue.is_empty() {
                open.by_address.remove(&address);
            }
            self.gate.waiting.fetch_sub(gone, Relaxed);
        }
        drop(open);
        self.gate.left.notify_waiters();
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

    fn now(admission: Admission) -> Place {
        match admission {
            Admission::Now(place) => place,
            other => panic!("{other:?}"),
        }
    }

    fn later(admission: Admission) -> Waiting {
        match admission {
            Admission::Later(waiting) => waiting,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn an_address_has_its_share_and_gives_it_back() {
        let limit = Arc::new(AtomicUsize::new(2));
        let gate = Gate::new(100, Arc::clone(&limit));
        let first = now(gate.admit(ip("127.0.0.1"), true));
        let _second = now(gate.admit(ip("::ffff:127.0.0.1"), true));
        let third = later(gate.admit(ip("127.0.0.1"), true));
        let _another = now(gate.admit(ip("127.0.0.2"), true));
        let _proxy = now(gate.admit(ip("127.0.0.1"), false));
        assert_eq!((gate.open(), gate.waiting(), first.is_wanted()), (5, 1, true));
        drop(first);
        let third = third.place().await;
        assert!(!third.is_wanted());
        limit.store(3, Relaxed);
        let _fourth = now(gate.admit(ip("127.0.0.1"), true));
        assert_eq!((gate.open(), gate.waiting(), gate.refused()), (5, 0, 0));
    }

    #[tokio::test]
    async fn who_came_first_is_served_first_and_who_gives_up_holds_nobody() {
        let limit = Arc::new(AtomicUsize::new(1));
        let gate = Gate::new(100, Arc::clone(&limit));
        let one = || gate.admit(ip("127.0.0.1"), true);
        let held = now(one());
        let (mut first, gone, mut second, third) = (later(one()), later(one()), later(one()), later(one()));
        drop(gone);
        assert!(matches!(one(), Admission::Later(_)), "no longer than it was asked for");
        drop(held);
        assert!(first.turn.try_recv().is_ok() && second.turn.try_recv().is_err());
        // Seated, and gone before it heard of it.
        drop(first);
        assert!(second.turn.try_recv().is_ok());
        limit.store(2, Relaxed);
        let fourth = later(one());
        assert_eq!(gate.waiting(), 1, "the one that waited longest has the new place");
        let _third = third.place().await;
        drop(second);
        let _fourth = fourth.place().await;
        assert_eq!((gate.open(), gate.waiting()), (2, 0));
    }

    #[test]
    fn a_subscriber_of_ipv6_is_one_address() {
        let gate = Gate::new(100, Arc::new(AtomicUsize::new(1)));
        let _first = now(gate.admit(ip("2001:db8:1:2::3"), true));
        let _waits = later(gate.admit(ip("2001:db8:1:2:ffff::4"), true));
        let _other = now(gate.admit(ip("2001:db8:1:3::3"), true));
    }

    #[test]
    fn nobody_fills_the_house_by_waiting() {
        let gate = Gate::new(20, Arc::new(AtomicUsize::new(1)));
        let mut kept = Vec::new();
        for (address, waits) in [("10.0.0.1", WAITING), ("10.0.0.2", WAITING), ("10.0.0.3", 10 - 2 * WAITING)] {
            kept.push(gate.admit(ip(address), true));
            kept.extend((0..waits).map(|_| Admission::Later(later(gate.admit(ip(address), true)))));
            assert!(matches!(gate.admit(ip(address), true), Admission::Refused), "{address}");
        }
        assert_eq!((gate.open(), gate.waiting(), gate.refused()), (13, 10, 3));
        kept.clear();
        assert_eq!((gate.open(), gate.waiting(), gate.lock().by_address.len()), (0, 0, 0));
    }

    #[tokio::test]
    async fn the_total_holds_for_all() {
        let gate = Gate::new(1, Arc::new(AtomicUsize::new(0)));
        gate.room().await;
        let held = now(gate.admit(ip("10.0.0.1"), true));
        let room = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.room().await }
        });
        tokio::task::yield_now().await;
        assert!(!room.is_finished());
        drop(held);
        room.await.unwrap();
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

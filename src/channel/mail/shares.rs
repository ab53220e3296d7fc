//! How many requests of one user are at the mail server at a time: one mailbox with a mad client cannot have all of the mail server's workers.
//! One more waits a while for an answer to one of them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// How long a request waits for its turn. Clients wait half a minute at least.
const PATIENCE: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Shares {
    /// Nought: no limit.
    limit: Arc<AtomicUsize>,
    users: Mutex<BTreeMap<Arc<str>, User>>,
}

#[derive(Default)]
struct User {
    there: usize,
    /// Whoever waits has it too.
    left: Arc<Notify>,
}

/// One request's place; it comes free when this is dropped.
pub(super) struct Share {
    shares: Arc<Shares>,
    user: Arc<str>,
}

impl Shares {
    pub(super) fn new(limit: Arc<AtomicUsize>) -> Self {
        Self { limit, users: Mutex::default() }
    }

    /// A place among the user's requests, and whether it had to be waited for; none came free in time.
    pub(super) async fn take(self: &Arc<Self>, user: &str) -> Option<(Share, bool)> {
        match self.try_take(user) {
            Ok(share) => Some((share, false)),
            // Apart: it is seldom, and requests are held by the thousands.
            Err(left) => {
                let waited = Box::pin(tokio::time::timeout(PATIENCE, self.wait(user, left))).await;
                waited.ok().map(|share| (share, true))
            }
        }
    }

    async fn wait(self: &Arc<Self>, user: &str, mut left: Arc<Notify>) -> Share {
        loop {
            let notified = left.clone().notified_owned();
            match self.try_take(user) {
                Ok(share) => return share,
                Err(now) if Arc::ptr_eq(&now, &left) => notified.await,
                Err(now) => left = now,
            }
        }
    }

    fn try_take(self: &Arc<Self>, user: &str) -> Result<Share, Arc<Notify>> {
        let limit = self.limit.load(Relaxed);
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let name = users.get_key_value(user).map_or_else(|| Arc::from(user), |(name, _)| name.clone());
        let theirs = users.entry(name.clone()).or_default();
        if limit > 0 && theirs.there >= limit {
            return Err(theirs.left.clone());
        }
        theirs.there += 1;
        Ok(Share { shares: self.clone(), user: name })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut users = self.shares.users.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(theirs) = users.get_mut(&self.user) else { return };
        theirs.there = theirs.there.saturating_sub(1);
        if theirs.there > 0 {
            theirs.left.notify_one();
        } else if let Some(gone) = users.remove(&self.user) {
            // All who wait look again: whoever comes next has another bell, which rings for nobody else.
            gone.left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_more_waits_for_its_turn() {
        let limit = Arc::new(AtomicUsize::new(2));
        let shares = Arc::new(Shares::new(limit.clone()));
        let (first, second) = (shares.take("ann").await.unwrap().0, shares.take("ann").await.unwrap().0);
        let other = shares.take("bob").await.unwrap();
        assert!(shares.try_take("ann").is_err(), "it would have to wait");
        let (third, ()) = tokio::join!(shares.take("ann"), async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            drop(first);
        });
        let both = async {
            tokio::join!(shares.take("ann"), shares.take("ann"), async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                drop((second, third));
            })
        };
        let (one, another, ()) = both.await;
        assert!(
            one.as_ref().is_some_and(|(_, waited)| *waited) && another.is_some(),
            "also of those who waited when nobody was left"
        );
        limit.store(0, Relaxed);
        assert!(shares.take("ann").await.is_some(), "no limit");
        drop((one, another, other));
        assert!(shares.users.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_place_goes_to_each_of_those_who_wait() {
        let shares = Arc::new(Shares::new(Arc::new(AtomicUsize::new(1))));
        let first = shares.take("ann").await.unwrap().0;
        let one = || async { drop(tokio::time::timeout(Duration::from_secs(5), shares.take("ann")).await.unwrap()) };
        let ((), (), (), ()) = tokio::join!(one(), one(), one(), async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            drop(first);
        });
        assert!(shares.users.lock().unwrap().is_empty());
    }
}

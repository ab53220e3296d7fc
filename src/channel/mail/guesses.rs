//! Wrong passwords, which are counted before they go on: for each user and for each address. Whatever is asked for.

use super::{login::User, refusal::Refusal};
use crate::{
    error::{Denial, Judged, Result},
    fleet::{
        life::Channel,
        registry::{lookup, tries},
        settings,
    },
    store::{Store, Tx},
};
use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::timeout};

/// So long a login waits for others of its user and address that are being looked at: a whole office comes at once, and they may all be right.
const PATIENCE: Duration = Duration::from_secs(20);

/// A wrong password that was counted before it was found to be one.
pub(super) struct Reserved(Option<LookedAt>);

impl Reserved {
    /// Of somebody who is no guesser.
    pub(super) const NONE: Self = Self(None);
}

/// How many are being looked at, by user and by address.
#[derive(Default)]
pub(super) struct Guesses {
    known: Mutex<Known>,
    ended: Notify,
}

#[derive(Default)]
struct Known {
    looked_at: BTreeMap<String, usize>,
    /// How many have ended so far.
    ended: u64,
}

impl Guesses {
    /// Counts one more wrong password before it goes on, so that many at once are no more than one after another; refused where that is one
    /// too many. It stays counted where nobody gives it back.
    pub(super) async fn reserve(self: &Arc<Self>, store: &Store, by: By) -> std::result::Result<Reserved, Refusal> {
        match timeout(PATIENCE, self.reserve_among(store, &by)).await {
            Ok(reserved) => reserved,
            Err(_) => self.reserve_now(store, &by).await,
        }
    }

    /// The same, as soon as of those that are being looked at enough were right.
    async fn reserve_among(self: &Arc<Self>, store: &Store, by: &By) -> std::result::Result<Reserved, Refusal> {
        loop {
            let mut ended = pin!(self.ended.notified());
            ended.as_mut().enable();
            let before = self.have_ended();
            match self.reserve_now(store, by).await {
                Err(refusal @ Refusal::TooManyWrong(_)) => {
                    let counted = by.clone();
                    let names = store.run(move |tx| counted.counters(tx)).await?;
                    // One that ended meanwhile may have made room: the future is ready then.
                    match self.are_looked_at(&names) || self.have_ended() != before {
                        true => ended.await,
                        false => return Err(refusal),
                    }
                }
                other => return other,
            }
        }
    }

    /// It counts as looked at from the moment on in which it is counted: who comes then must find it.
    async fn reserve_now(self: &Arc<Self>, store: &Store, by: &By) -> std::result::Result<Reserved, Refusal> {
        let (guesses, by) = (self.clone(), by.clone());
        let reserve = move |tx: &mut Tx<'_>| {
            let names = by.reserve(tx)?;
            Ok(LookedAt::begin(&guesses, names))
        };
        Ok(Reserved(Some(store.judge(reserve).await?)))
    }

    /// It was no wrong password, or nobody has looked.
    pub(super) async fn give_back(store: &Store, reserved: Reserved) -> std::result::Result<(), Refusal> {
        let Some(looked_at) = reserved.0 else { return Ok(()) };
        let names = looked_at.names.clone();
        store.run(move |tx| names.iter().try_for_each(|who| tries::take_back(tx, who))).await?;
        // Not before: who waits for it counts anew.
        drop(looked_at);
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn are_looked_at(&self, names: &[String]) -> bool {
        let known = self.known();
        names.iter().any(|name| known.looked_at.contains_key(name))
    }

    fn have_ended(&self) -> u64 {
        self.known().ended
    }
}

/// One that is, until this is dropped.
struct LookedAt {
    guesses: Arc<Guesses>,
    /// The counters.
    names: Vec<String>,
}

impl LookedAt {
    fn begin(guesses: &Arc<Guesses>, names: Vec<String>) -> Self {
        let mut known = guesses.known();
        names.iter().for_each(|name| *known.looked_at.entry(name.clone()).or_default() += 1);
        drop(known);
        Self { guesses: guesses.clone(), names }
    }
}

impl Drop for LookedAt {
    fn drop(&mut self) {
        let mut known = self.guesses.known();
        for name in &self.names {
            match known.looked_at.get_mut(name) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(known.looked_at.remove(name)),
            }
        }
        known.ended = known.ended.wrapping_add(1);
        drop(known);
        self.guesses.ended.notify_waiters();
    }
}

/// By whom wrong passwords are counted.
#[derive(Clone)]
pub(super) struct By {
    /// The name in the login.
    pub(super) login: Option<String>,
    /// Whose address it comes from.
    pub(super) holder: Option<String>,
    /// The device that it is said to be.
    pub(super) device: Option<String>,
}

impl By {
    /// The two counters. One phone more that a house full of them shares its address with is not kept out by that.
    fn counters(&self, tx: &mut Tx<'_>) -> Result<Vec<String>> {
        let user = match &self.login {
            Some(login) => Some(User::of(tx, login)?),
            None => None,
        };
        let known = match (&user, &self.device) {
            (Some(user), Some(device)) => lookup::enrolment(tx, Channel::Activesync, device, &user.name)?.is_some(),
            _ => false,
        };
        let by_user = user.map(|user| format!("mail user {}", user.name.to_lowercase()));
        let by_address = self.holder.as_ref().filter(|_| !known).map(|holder| format!("mail address {holder}"));
        Ok(by_user.into_iter().chain(by_address).collect())
    }

    fn reserve(&self, tx: &mut Tx<'_>) -> Judged<Vec<String>, Refusal> {
        let limit = settings::count(tx, "eas.wrong_passwords_per_hour")?;
        let counters = self.counters(tx)?;
        for who in &counters {
            if let Some(wait) = tries::wait(tx, who, limit)? {
                return Err(Denial::Refused(Refusal::TooManyWrong(wait)));
            }
        }
        for who in &counters {
            if let Some(tries) = tries::within(tx, who, limit)? {
                tries.count(tx)?;
            }
        }
        Ok(counters)
    }
}

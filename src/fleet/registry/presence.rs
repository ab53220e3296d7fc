//! What is remembered of devices that have nothing to do, so that an idle poll needs no store.
//!
//! An entry is made on the writer's thread, in the call that found nothing due, and is forgotten on that thread as soon as anything
//! about the device changes, on this node or another. Where other nodes write too, memory counts only while the change feed has been
//! read to its end within the last second.

use crate::{
    clock::{self, Timestamp},
    fleet::{
        life::Channel,
        registry::admitted::{self, Admitted, WITHOUT_STORE},
    },
    ids::{DeviceId, EnrolmentId, Fingerprint},
    store::{Changed, DISTRUSTED, EVERYTHING, Observer},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, RwLock, Weak,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{Notify, broadcast};

/// Older news than this count for nothing where other nodes write too.
const FRESH: Duration = Duration::from_secs(1);

/// Over so long all who wait are woken where nobody knows what changed, in as many steps: they all ask the store.
const SPREAD: Duration = Duration::from_secs(3);
const STEPS: u32 = 30;

/// So many changes wait for who looks at them.
const CHANGES: usize = 4096;

/// What changes for whoever waits with mail, whatever their device: the rules of who is let in. All are told.
pub const MAIL: &str = "mail";

/// A device that polled and had nothing due.
#[derive(Debug)]
pub struct Idle {
    /// Whose certificate.
    pub fingerprint: Fingerprint,
    /// The device.
    pub device: DeviceId,
    /// The enrolment.
    pub enrolment: EnrolmentId,
    /// The protocol.
    pub channel: Channel,
    /// The device's own name in it.
    pub identity: String,
    /// The user of the device whose channel this is; none: the device's own. Both show one certificate.
    pub user: Option<Box<str>>,
    /// A signature over its messages stands for the certificate.
    pub signs: bool,
    /// From then on the store is asked again: the certificate ends, or facts have to be asked anew.
    pub until: Timestamp,
    /// What it asked last, and the answer: devices say the same each time, but for a number.
    pub known_answer: RwLock<Option<KnownAnswer>>,
    seen: AtomicI64,
}

/// A question and its answer, around the one part in which they differ from the next time's. Costs about a kilobyte a device.
#[derive(Debug)]
pub struct KnownAnswer {
    /// SHA-256 of the question without that part.
    pub question: [u8; 32],
    /// The answer before it.
    pub head: Box<[u8]>,
    /// The answer after it.
    pub tail: Box<[u8]>,
}

impl Idle {
    /// An entry, seen at this moment: that is written with the next batch.
    pub fn new(
        fingerprint: Fingerprint,
        device: DeviceId,
        enrolment: EnrolmentId,
        channel: Channel,
        identity: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Self {
        let (known_answer, seen) = (RwLock::default(), AtomicI64::new(now.0));
        Self {
            fingerprint,
            device,
            enrolment,
            channel,
            identity: identity.into(),
            user: None,
            signs: false,
            until,
            known_answer,
            seen,
        }
    }

    /// The same of one of the device's users.
    pub fn of_user(self, user: &str) -> Self {
        Self { user: Some(user.into()), ..self }
    }

    /// The same of one whose messages are signed.
    pub fn signing(self, signs: bool) -> Self {
        Self { signs, ..self }
    }

    fn who(&self) -> Who {
        (self.fingerprint, self.user.clone())
    }
}

/// See the module.
pub struct Presence {
    known: RwLock<Known>,
    /// Who waits for news of a device: requests that are held open for it.
    waiting: RwLock<BTreeMap<String, Weak<Notify>>>,
    /// Mail clients that were let in.
    admitted: admitted::Known,
    /// Whoever looks at many devices hears of every change.
    changes: broadcast::Sender<Arc<BTreeSet<String>>>,
    shared: bool,
    started: Instant,
    caught_up: AtomicU64,
}

/// Whose certificate, and which user of the device.
type Who = (Fingerprint, Option<Box<str>>);

#[derive(Default)]
struct Known {
    idle: BTreeMap<Who, Arc<Idle>>,
    of_device: BTreeMap<String, BTreeSet<Who>>,
    /// Seen and forgotten before it was written.
    left: Vec<(EnrolmentId, Timestamp)>,
}

impl Presence {
    /// Empty. `shared`: other processes write to the same store.
    pub fn new(shared: bool) -> Self {
        Self {
            known: RwLock::default(),
            waiting: RwLock::default(),
            admitted: admitted::Known::default(),
            changes: broadcast::Sender::new(CHANGES),
            shared,
            started: clock::monotonic(),
            caught_up: AtomicU64::new(0),
        }
    }

    /// Whether other processes write to the same store.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// Told whenever something about the device changes, on this node or another (then within the feed's quarter of a second).
    /// What concerns every device (a policy, a setting) is not told: nobody shall ask the store in thousands at once. Where news
    /// may have been missed, or the rules of mail changed, all are told, one after another over some seconds.
    /// Hold it while asking the store, and wait after: `notified()` made before the question misses nothing.
    pub fn watch(&self, device: DeviceId) -> Arc<Notify> {
        let Ok(mut waiting) = self.waiting.write() else { return Arc::default() };
        let key = device.to_string();
        if let Some(known) = waiting.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        if waiting.len() >= 1024 && waiting.len().is_power_of_two() {
            waiting.retain(|_, who| who.strong_count() > 0);
        }
        let new = Arc::new(Notify::new());
        waiting.insert(key, Arc::downgrade(&new));
        new
    }

    /// Whether somebody waits at this node for news of the device, as a mail client does that holds a Ping.
    pub fn is_watched(&self, device: DeviceId) -> bool {
        let waiting = self.waiting.read();
        waiting.is_ok_and(|waiting| waiting.get(&device.to_string()).is_some_and(|who| who.strong_count() > 0))
    }

    /// The subjects of all changes from now on, on this node and others. Who falls behind is told that, and looks at everything.
    pub fn changes(&self) -> broadcast::Receiver<Arc<BTreeSet<String>>> {
        self.changes.subscribe()
    }

    fn tell(&self, subjects: &BTreeSet<String>) {
        if subjects.contains(DISTRUSTED) || subjects.contains(MAIL) {
            self.tell_all();
        }
        let Ok(mut waiting) = self.waiting.write() else { return };
        for subject in subjects {
            match waiting.get(subject).map(Weak::upgrade) {
                Some(Some(who)) => who.notify_waiters(),
                Some(None) => drop(waiting.remove(subject)),
                None => {}
            }
        }
    }

    /// The writer goes on meanwhile. Whoever begins to wait from now on asks the store first.
    fn tell_all(&self) {
        let Ok(waiting) = self.waiting.read() else { return };
        let all: Vec<Weak<Notify>> = waiting.values().cloned().collect();
        if all.is_empty() {
            return;
        }
        let spread = move || {
            for some in all.chunks(all.len().div_ceil(STEPS as usize)) {
                some.iter().filter_map(Weak::upgrade).for_each(|who| who.notify_waiters());
                std::thread::sleep(SPREAD / STEPS);
            }
        };
        // Whom nobody wakes asks again when its time is up.
        if let Err(error) = std::thread::Builder::new().name("lanyard-wakes".into()).spawn(spread) {
            tracing::error!(%error, "who waits could not be woken");
        }
    }

    /// The device behind this certificate, or the user of it, if nothing is due for them; notes that it was seen. `None`: ask the store.
    pub fn idle(&self, fingerprint: &Fingerprint, user: Option<&str>, now: Timestamp) -> Option<Arc<Idle>> {
        if self.shared && !self.is_fresh() {
            return None;
        }
        let who = (*fingerprint, user.map(Into::into));
        let found = self.known.read().ok()?.idle.get(&who).filter(|e| now < e.until).cloned()?;
        found.seen.store(now.0, Ordering::Relaxed);
        Some(found)
    }

    /// A mail client that was let in, about which nothing has changed since.
    pub fn admitted(&self, who: &admitted::Who) -> Option<Arc<Admitted>> {
        self.admitted.get(who)
    }

    /// Whether what is remembered is what the store would say.
    pub fn is_current(&self) -> bool {
        !self.shared || self.is_fresh()
    }

    /// Whether what is remembered was so not long ago, whatever other nodes have done since.
    pub fn was_current(&self) -> bool {
        !self.shared || self.behind() < WITHOUT_STORE
    }

    fn is_fresh(&self) -> bool {
        self.behind() < FRESH
    }

    /// How long ago all changes had been told.
    fn behind(&self) -> Duration {
        let last = Duration::from_millis(self.caught_up.load(Ordering::Acquire));
        clock::since(self.started).saturating_sub(last)
    }

    /// Who was seen since this was last asked, to be written in one batch.
    pub fn take_seen(&self) -> Vec<(EnrolmentId, Timestamp)> {
        let Ok(mut known) = self.known.write() else { return Vec::new() };
        let mut seen = std::mem::take(&mut known.left);
        seen.extend(known.idle.values().filter_map(|e| taken(e)));
        seen
    }
}

fn taken(entry: &Idle) -> Option<(EnrolmentId, Timestamp)> {
    let at = entry.seen.swap(0, Ordering::Relaxed);
    (at != 0).then_some((entry.enrolment, Timestamp(at)))
}

impl Known {
    fn forget(&mut self, device: &str) {
        for who in self.of_device.remove(device).unwrap_or_default() {
            let entry = self.idle.remove(&who);
            self.left.extend(entry.and_then(|e| taken(&e)));
        }
    }
}

impl Observer for Presence {
    fn changed(&self, subjects: &BTreeSet<String>) {
        if self.changes.receiver_count() > 0 {
            drop(self.changes.send(Arc::new(subjects.clone())));
        }
        // Before those who are told look again.
        self.admitted.forget(subjects, MAIL);
        self.tell(subjects);
        let Ok(mut known) = self.known.write() else { return };
        if subjects.contains(EVERYTHING) || subjects.contains(DISTRUSTED) {
            let all: Vec<String> = known.of_device.keys().cloned().collect();
            all.iter().for_each(|device| known.forget(device));
        } else {
            subjects.iter().for_each(|device| known.forget(device));
        }
    }

    fn remember(&self, what: Changed) {
        let what = match what.downcast::<Admitted>() {
            Ok(admitted) => return self.admitted.add(*admitted),
            Err(what) => what,
        };
        let (Ok(entry), Ok(mut known)) = (what.downcast::<Idle>(), self.known.write()) else { return };
        known.of_device.entry(entry.device.to_string()).or_default().insert(entry.who());
        known.idle.insert(entry.who(), Arc::new(*entry));
    }

    fn caught_up(&self, at: Instant) {
        let then = u64::try_from(at.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX);
        self.caught_up.store(then, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn entry(byte: u8) -> Idle {
        let id = Uuid::from_u128(u128::from(byte));
        Idle::new(
            Fingerprint([byte; 32]),
            DeviceId(id),
            EnrolmentId(id),
            Channel::Apple,
            "UDID",
            Timestamp(1000),
            Timestamp(0),
        )
    }

    #[test]
    fn who_waits_for_news_of_a_device_is_known_as_long_as_they_do() {
        let (presence, device, other) = (Presence::new(false), entry(1).device, entry(2).device);
        assert!(!presence.is_watched(device));
        let held = presence.watch(device);
        assert!(presence.is_watched(device) && !presence.is_watched(other));
        drop(held);
        assert!(!presence.is_watched(device), "its Ping has ended");
    }

    #[test]
    fn what_changed_is_forgotten_and_its_last_sight_kept() {
        let presence = Presence::new(false);
        for byte in [1, 2, 3] {
            presence.remember(Box::new(entry(byte)));
        }
        let idle = |byte: u8, at: i64| presence.idle(&Fingerprint([byte; 32]), None, Timestamp(at)).is_some();
        assert!(idle(1, 5) && idle(2, 6) && !idle(9, 5) && !idle(1, 1000), "known, unknown, and past its time");
        presence.changed(&[entry(1).device.to_string()].into());
        assert!(!idle(1, 7) && idle(2, 8));
        let mut seen: Vec<i64> = presence.take_seen().into_iter().map(|(_, at)| at.0).collect();
        seen.sort_unstable();
        assert_eq!(seen, [5, 8], "the forgotten one's sight is written too");
        assert_eq!(presence.take_seen(), []);
        presence.changed(&["*".to_string()].into());
        assert!(!idle(2, 9) && !idle(3, 9));
    }

    #[test]
    fn a_devices_users_are_remembered_beside_it_and_forgotten_with_it() {
        let presence = Presence::new(false);
        presence.remember(Box::new(entry(1)));
        let idle = |user: Option<&str>| presence.idle(&Fingerprint([1; 32]), user, Timestamp(1)).is_some();
        assert!(idle(None) && !idle(Some("U1")));
        presence.remember(Box::new(entry(1).of_user("U1")));
        assert!(idle(None) && idle(Some("U1")) && !idle(Some("U2")));
        presence.changed(&[entry(1).device.to_string()].into());
        assert!(!idle(None) && !idle(Some("U1")));
    }

    #[tokio::test]
    async fn who_waits_for_news_of_a_device_gets_them() {
        let presence = Presence::new(false);
        let (mine, other) = (entry(1).device, entry(2).device);
        let short = Duration::from_millis(20);
        {
            let watch = presence.watch(mine);
            let mut news = std::pin::pin!(watch.notified());
            presence.changed(&[other.to_string(), "*".to_string()].into());
            assert!(tokio::time::timeout(short, &mut news).await.is_err(), "another's news, and everybody's");
            presence.changed(&[mine.to_string()].into());
            assert!(tokio::time::timeout(short, &mut news).await.is_ok());
        }
        presence.changed(&[mine.to_string()].into());
        assert!(presence.waiting.read().unwrap().is_empty(), "nobody waits any more");
    }

    #[tokio::test]
    async fn all_who_wait_are_woken_where_news_may_have_been_missed() {
        let presence = Presence::new(true);
        let watches: Vec<_> = (0..100).map(|byte| presence.watch(entry(byte).device)).collect();
        let mut news: Vec<_> = watches.iter().map(|watch| Box::pin(watch.notified())).collect();
        for one in &mut news {
            assert!(!one.as_mut().enable(), "nothing yet");
        }
        presence.remember(Box::new(entry(1)));
        presence.changed(&[DISTRUSTED.to_string()].into());
        presence.caught_up(clock::monotonic());
        assert!(presence.idle(&Fingerprint([1; 32]), None, Timestamp(1)).is_none(), "and nothing is remembered");
        for (number, one) in news.into_iter().enumerate() {
            assert!(tokio::time::timeout(SPREAD * 5, one).await.is_ok(), "{number}");
        }
    }

    #[tokio::test]
    async fn all_who_wait_are_told_of_new_rules_and_nothing_else_is_forgotten() {
        let presence = Presence::new(false);
        presence.remember(Box::new(entry(1)));
        let watches: Vec<_> = (0..5).map(|byte| presence.watch(entry(byte).device)).collect();
        let mut news: Vec<_> = watches.iter().map(|watch| Box::pin(watch.notified())).collect();
        for one in &mut news {
            assert!(!one.as_mut().enable(), "nothing yet");
        }
        presence.changed(&[MAIL.to_string()].into());
        assert!(presence.idle(&Fingerprint([1; 32]), None, Timestamp(1)).is_some());
        for one in news {
            assert!(tokio::time::timeout(SPREAD * 5, one).await.is_ok());
        }
    }

    #[test]
    fn memory_counts_only_while_the_feed_is_fresh() {
        let presence = Presence::new(true);
        presence.remember(Box::new(entry(1)));
        presence.caught_up(clock::monotonic());
        let idle = || presence.idle(&Fingerprint([1; 32]), None, Timestamp(1)).is_some();
        assert!(idle());
        std::thread::sleep(FRESH + Duration::from_millis(50));
        assert!(!idle());
        presence.caught_up(clock::monotonic());
        assert!(idle());
    }
}

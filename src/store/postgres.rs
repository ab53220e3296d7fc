//! PostgreSQL: the same keys and bytes in one table, shared by any number of nodes.
//!
//! Batches take turns by one advisory lock, held for the length of a transaction; PostgreSQL releases it after the commit is
//! visible. A node that stops in its turn is ended by the server (`idle_in_transaction_session_timeout`), so that it holds
//! up the others for some seconds at most. A batch is three messages: the turn with the clock and the feed, what is read, and what
//! is written with the end. The change feed is read by snapshot, so it stays right if turns are ever split.
//!
//! What was read or written is kept in memory ([`Cache`]): each batch writes to the feed which keys it wrote, and a batch begins by
//! reading what the feed says of others, so within its turn a node knows what of its memory is still true. Until then calls are run on
//! it as it is ([`Guess`]), since turns are what nodes share: that counts where the feed names nothing that was read. Each process writes to
//! the feed under a name of its own; a lock on the node's name keeps two of one node apart, whose audit chains would run together.

mod ahead;
mod cache;
mod check;
mod layout;
mod link;
mod mark;
mod readers;
mod session;
mod time;
mod tls;

use self::{
    ahead::Guess,
    cache::Cache,
    link::{Batch, Link, News, Unwritten},
    mark::{Mark, Note},
    readers::{Pool, Source},
    session::{Failure, Purpose, Session},
    time::{Beside, Hands, Shown},
    tls::Tls,
};
use super::{Ahead, Changes, Checked, DISTRUSTED, Engine, Fault, LAYOUT, Moment, Reader, Readers, Rise, Writes};
use crate::clock::{self, Steady};
use rustls::RootCertStore;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_postgres::{Config, config::Host};

/// The advisory lock of a batch: "lanyard" in ASCII.
const TURN: i64 = 0x006c_616e_7961_7264;
/// The one that all nodes share, and that whoever must be alone has: "nodes".
const OTHERS: i64 = 0x006e_6f64_6573;
/// What our sessions are called in `pg_stat_activity`.
const APPLICATION: &str = "lanyard";
/// The feed keeps an hour; who has not read for half of that forgets everything instead.
const FEED_TRUSTED: Duration = Duration::from_secs(1800);
/// No transaction has such an id: nothing is read of the feed before it is trusted.
const NEVER: &str = "18446744073709551615";
/// News that were asked for with the turn and took longer are read again: their asker may have stood still.
const PROMPT: Duration = Duration::from_millis(250);
/// How long a node waits for its name: a former process may still be draining.
const NAME_WAIT: Duration = Duration::from_secs(20);
/// How long a start waits for a database that is away.
const START_WAIT: Duration = Duration::from_secs(60);
/// Records asked for at once, so that each answer keeps its deadline.
const PAGE: usize = 2000;
/// A failure that goes on is told of so often.
const TOLD: Duration = Duration::from_secs(60);

/// Where the database is, and as whom it is asked.
struct Place {
    config: Config,
    /// None: nobody asked for it.
    tls: Option<Tls>,
    node: String,
}

/// See the module.
pub struct Postgres {
    place: Arc<Place>,
    /// Of this process alone: what it wrote to the feed is no news to it.
    author: String,
    link: Option<Link>,
    /// No transaction below this id was still open when the feed was last read.
    horizon: String,
    /// When that was; none on a new connection.
    read: Option<Steady>,
    cache: Cache,
    hands: Hands,
    beside: Beside,
    /// The store, and how far it came as far as this node knows.
    seen: Mark,
    note: Note,
    turn: Option<Turn>,
    /// The moment of the last batch, where other nodes wrote just before it, and when that was.
    last: Option<(Moment, Instant)>,
    /// Why the last batch that wrote came to nothing, and when that was last told.
    failed: Option<(String, Instant)>,
    /// Nobody else may come before the first batch that writes; with it this epoch begins.
    alone: Option<i64>,
    pool: Arc<Pool>,
}

/// A batch that is open.
struct Turn {
    shown: Shown,
    steady: Steady,
    /// Number and token of the last batch.
    commit: (i64, i64),
    /// What the feed said when it began, until it is asked for.
    news: Option<News>,
}

impl Postgres {
    /// Whether this is a connection string at all; nothing is connected to.
    pub fn can_read(url: &str) -> Result<(), String> {
        session::config(url).map(drop)
    }

    /// Connects and brings the tables up to this program's layout. `node` must differ between nodes. With `sslmode=require` in the
    /// address the connection is encrypted and the server must prove its name under `roots`; else it is not encrypted. `mark` is
    /// the file where this node notes how far it saw the store come; `rise` makes this layout's records of those of an older one.
    pub fn open(
        url: &str,
        node: &str,
        roots: &Arc<RootCertStore>,
        mark: &Path,
        rise: Arc<Rise>,
    ) -> Result<Self, Fault> {
        let place = Arc::new(Place::new(url, node, roots)?);
        let note = Note::at(mark);
        let marked = note.read().map_err(|why| link::refused(format!("not looked at: {why}")))?;
        let mut session = place.reach()?;
        let layout = layout::found(&mut session).map_err(|failure| Fault::Away(failure.words()))?;
        match (layout, marked) {
            (0, Some(marked)) => {
                let words = format!("empty: this node belongs to store {}, at commit {}", marked.store, marked.commit);
                return Err(link::refused(words));
            }
            (layout, Some(_)) if layout < LAYOUT => {
                return Err(link::refused("behind: it has the layout of a former version"));
            }
            (layout, _) if layout < LAYOUT => layout::bring_up(&mut session, rise.as_ref())?,
            _ => {}
        }
        drop(session);
        Self::over(place, note, marked, None)
    }

    /// What is there, and whether it is what this node saw.
    pub fn check(url: &str, roots: &Arc<RootCertStore>, mark: &Path) -> Result<Checked, Fault> {
        check::check(&Place::new(url, "", roots)?, &Note::at(mark))
    }

    /// The record under this key; where there is none, some keys that begin alike.
    pub fn peek(url: &str, roots: &Arc<RootCertStore>, key: &str) -> Result<Result<Vec<u8>, Vec<String>>, Fault> {
        check::peek(&Place::new(url, "", roots)?, key)
    }

    /// Opens a store that is not what this node saw: what is there, up to `commit`, counts from now on, for all nodes. Refused where
    /// its last commit is another one, or while other nodes are connected; none can come before the first batch that writes.
    pub fn accept(url: &str, node: &str, roots: &Arc<RootCertStore>, mark: &Path, commit: u64) -> Result<Self, Fault> {
        let place = Arc::new(Place::new(url, node, roots)?);
        let note = Note::at(mark);
        let (found, epoch) = check::accept(&place, &note, commit)?;
        Self::over(place, note.hold(), Some(found), Some(epoch))
    }

    fn over(place: Arc<Place>, note: Note, marked: Option<Mark>, alone: Option<i64>) -> Result<Self, Fault> {
        let link = take_name(&place, marked, alone.is_some())?;
        let mut store = Self {
            author: uuid::Uuid::new_v4().to_string(),
            seen: link.found,
            link: Some(link),
            horizon: NEVER.into(),
            read: None,
            cache: Cache::default(),
            hands: Hands::default(),
            beside: Beside::default(),
            note,
            turn: None,
            last: None,
            failed: None,
            alone,
            pool: Pool::new(Arc::clone(&place)),
            place,
        };
        match store.changes() {
            Err(fault) => return Err(store.beside.away().err().map_or(fault, |why| Fault::Refused(why.to_string()))),
            Ok(_) => store.read = None,
        }
        let seen = store.seen;
        if alone.is_none() {
            store.note.write(seen).map_err(|e| Fault::Refused(format!("the store's mark cannot be written: {e}")))?;
        }
        Ok(store)
    }

    /// Runs `work` on the connection, made anew where there is none or where it turns out to have ended meanwhile.
    fn on_link<T>(&mut self, mut work: impl FnMut(&mut Link, &str, &str) -> Result<T, Failure>) -> Result<T, Fault> {
        loop {
            let kept = self.link.as_ref().is_some_and(|link| !link.is_closed());
            if !kept {
                self.unlink();
                let link = Link::open(&self.place, Some(self.seen), false)?;
                self.seen = link.found;
                self.link = Some(link);
            }
            let horizon = if self.read.is_some() { self.horizon.as_str() } else { NEVER };
            let Some(link) = &mut self.link else { return Err(Fault::Busy) };
            match work(link, horizon, &self.author) {
                Ok(done) => return Ok(done),
                Err(failure) => {
                    self.failed_with(&failure);
                    if !(kept && failure.is_end()) {
                        return Err(failure.undone());
                    }
                }
            }
        }
    }

    /// Inside a batch: a connection that broke since `begin` must not be replaced in silence.
    fn within<T>(&mut self, work: impl FnOnce(&mut Link) -> Result<T, Failure>) -> Result<T, Fault> {
        let Some(link) = self.link.as_mut().filter(|_| self.turn.is_some()) else { return Err(Fault::Busy) };
        work(link).map_err(|failure| {
            self.failed_with(&failure);
            failure.undone()
        })
    }

    fn failed_with(&mut self, failure: &Failure) {
        tracing::debug!(why = failure.words(), "store: an exchange with the database failed");
        if !failure.is_plain() {
            self.unlink();
        }
    }

    /// The connection is of no use, and what was remembered under it may be wrong.
    fn unlink(&mut self) {
        if self.link.take().is_some() {
            self.note.keep_now(self.seen);
        }
        self.read = None;
        self.cache.clear();
    }

    /// What the database says of the time, and how far it has come.
    fn look(&mut self, news: &News) -> Result<Steady, Fault> {
        let steady = self.hands.look(news.shown, clock::monotonic());
        (self.seen.commit, self.seen.token) = news.commit;
        self.beside.look(news.shown.wall, news.asked).map_err(Fault::Away)?;
        Ok(steady)
    }

    /// Forgets what others wrote; says what they changed.
    fn learn(&mut self, news: News, steady: Steady) -> Changes {
        let trusted = self.read.is_some_and(|at| steady.since(at) < FEED_TRUSTED);
        self.horizon = news.horizon;
        self.read = Some(steady);
        if !trusted {
            self.cache.clear();
            return [DISTRUSTED.to_string()].into();
        }
        news.keys.into_iter().for_each(|key| self.cache.forget(key));
        news.subjects
    }

    /// A batch that wrote came to nothing. Reads fail as well, by a probe with each, until something can be written again.
    fn could_not_write(&mut self, failure: &Failure) {
        let words = failure.words();
        let told =
            self.failed.take().filter(|(former, at)| *former == words && clock::since(*at) < TOLD).map(|(_, at)| at);
        if told.is_none() {
            tracing::error!(why = words, "store: the database takes no writes");
        }
        self.failed = Some((words, told.unwrap_or_else(clock::monotonic)));
    }
}

impl Place {
    fn new(url: &str, node: &str, roots: &Arc<RootCertStore>) -> Result<Self, Fault> {
        let config = session::config(url).map_err(Fault::Refused)?;
        let tls = session::is_encrypted(&config).then(|| Tls::new(roots)).transpose();
        Ok(Self { config, tls: tls.map_err(|e| Fault::Refused(format!("TLS: {e}")))?, node: node.into() })
    }

    /// A first connection, which may have to wait for a database that starts as well.
    fn reach(&self) -> Result<Session, Fault> {
        let begun = clock::monotonic();
        let mut told = false;
        loop {
            match Session::open(self, Purpose::Migration) {
                Ok(mut session) => {
                    link::whole_session(self, &mut session)?;
                    return Ok(session);
                }
                Err(failure) if failure.is_lasting() => return Err(Fault::Refused(self.named(&failure))),
                Err(failure) if clock::since(begun) >= START_WAIT => {
                    let minute = format!("{}; tried for {} s", self.named(&failure), START_WAIT.as_secs());
                    return Err(Fault::Refused(minute));
                }
                Err(failure) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(why = failure.words(), "the database is away: trying again for a minute");
                    }
                    std::thread::sleep(Duration::from_secs(1));
                }
            }
        }
    }

    /// The cause first, then where.
    fn named(&self, failure: &Failure) -> String {
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        let (hosts, ports) = (hosts.collect::<Vec<_>>().join(","), self.config.get_ports());
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        format!("{} (the database at {hosts}, port {})", failure.words(), ports.join(","))
    }
}

/// The connection that holds the node's name, after a former process of this node has ended.
fn take_name(place: &Place, marked: Option<Mark>, alone: bool) -> Result<Link, Fault> {
    let (begun, mut told) = (clock::monotonic(), false);
    loop {
        match Link::open(place, marked, alone) {
            Err(Fault::Away(why)) if clock::since(begun) < NAME_WAIT => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(%why, "the database lets nobody in yet: trying again for {} s", NAME_WAIT.as_secs());
                }
                std::thread::sleep(Duration::from_millis(500));
            }
            opened => return opened,
        }
    }
}

impl Reader for Postgres {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        if let Some(known) = self.cache.get(key) {
            return Ok(known);
        }
        let found = self.within(|link| link.get(&[key]))?.pop().map(|(_, value)| value);
        self.cache.put(key.to_string(), found.clone());
        Ok(found)
    }

    fn get_many(&mut self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Fault> {
        let mut known: BTreeMap<&str, Option<Vec<u8>>> =
            keys.iter().filter_map(|key| Some((key.as_str(), self.cache.get(key)?))).collect();
        let unknown: Vec<&str> = keys.iter().map(String::as_str).filter(|key| !known.contains_key(key)).collect();
        for page in unknown.chunks(PAGE) {
            let mut found: BTreeMap<String, Vec<u8>> = self.within(|link| link.get(page))?.into_iter().collect();
            for key in page {
                let value = found.remove(*key);
                self.cache.put((*key).to_string(), value.clone());
                known.insert(key, value);
            }
        }
        Ok(keys.iter().map(|key| known.get(key.as_str()).cloned().flatten()).collect())
    }

    fn scan(&mut self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<(String, Vec<u8>)>, Fault> {
        let (mut after, mut all) = (after.unwrap_or_default().to_string(), Vec::new());
        while all.len() < limit {
            let wanted = PAGE.min(limit - all.len());
            let count = i64::try_from(wanted).unwrap_or(i64::MAX);
            let page = self.within(|link| link.scan(prefix, &after, count))?;
            let whole = page.len() < wanted;
            all.extend(page);
            if whole {
                break;
            }
            after = all.last().map(|(key, _)| key.clone()).unwrap_or(after);
        }
        Ok(all)
    }
}

impl Engine for Postgres {
    fn begin(&mut self) -> Result<Moment, Fault> {
        Ok(self.begin_ahead(&mut |_, _| false)?.0)
    }

    fn begin_ahead(&mut self, ahead: &mut Ahead<'_>) -> Result<(Moment, bool), Fault> {
        self.turn = None;
        let last = self.last.take().filter(|(_, at)| self.read.is_some() && clock::since(*at) < PROMPT);
        let mut guess = last.map(|(moment, _)| (moment, Guess::over(std::mem::take(&mut self.cache))));
        let news = self.on_link(|link, horizon, author| {
            let mut spend = guess.as_mut().map(|(moment, guess)| || ahead(guess, *moment));
            link.begin(horizon, author, spend.as_mut().map(|spend| spend as &mut dyn FnMut() -> bool))
        });
        // After a failure nothing is remembered: it was on another connection.
        let guess = guess.map(|(_, guess)| guess).filter(|_| self.read.is_some());
        let read = guess.map(|guess| {
            self.cache = guess.cache;
            guess.read
        });
        let news = news?;
        let holds = read.is_some_and(|read| news.is_prompt() && !news.keys.iter().any(|key| read.contains(key)));
        let steady = match self.look(&news) {
            Ok(steady) => steady,
            Err(fault) => {
                drop(self.on_link(|link, _, _| link.roll_back()));
                return Err(fault);
            }
        };
        let (shown, commit) = (news.shown, news.commit);
        let moment = Moment { wall: shown.wall, steady };
        // Others write, so it is worth the while.
        self.last = (!news.keys.is_empty()).then(|| (moment, clock::monotonic()));
        self.turn = Some(Turn { shown, steady, commit, news: Some(news) });
        Ok((moment, holds))
    }

    fn changes(&mut self) -> Result<Changes, Fault> {
        match self.turn.as_mut().map(|turn| (turn.steady, turn.news.take())) {
            Some((steady, Some(news))) if news.is_prompt() => Ok(self.learn(news, steady)),
            Some((_, Some(_))) => {
                let (horizon, author) = (self.horizon.clone(), self.author.clone());
                let horizon = if self.read.is_some() { horizon } else { NEVER.into() };
                let news = self.within(|link| link.news(&horizon, &author))?;
                let steady = self.look(&news)?;
                Ok(self.learn(news, steady))
            }
            former => {
                if former.is_some() {
                    // It was not ended: something failed in it.
                    self.turn = None;
                    self.on_link(|link, _, _| link.roll_back())?;
                }
                let news = self.on_link(Link::news)?;
                let steady = self.look(&news)?;
                self.note.keep(self.seen);
                Ok(self.learn(news, steady))
            }
        }
    }

    fn commit(&mut self, writes: &Writes, changes: &Changes) -> Result<(), Fault> {
        let (Some(turn), Some(link)) = (self.turn.take(), &mut self.link) else { return Err(Fault::Busy) };
        let writing = !writes.is_empty() || !changes.is_empty();
        let probe = !writing && self.failed.is_some();
        let commit = if writing || probe { (turn.commit.0 + 1, link::rand()) } else { turn.commit };
        let puts = writes.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_deref()?))).unzip();
        let batch = Batch {
            puts,
            deletes: writes.iter().filter(|(_, value)| value.is_none()).map(|(key, _)| key.as_str()).collect(),
            subjects: changes.iter().map(String::as_str).collect(),
            author: &self.author,
            steady: turn.steady,
            wall: turn.shown.wall,
            commit,
            note: turn.shown.is_old(),
            probe,
            epoch: self.alone.filter(|_| writing),
        };
        match link.commit(&batch) {
            Ok(()) => self.committed(writes, commit, writing || probe),
            Err(Unwritten::Nothing(failure)) => {
                self.failed_with(&failure);
                self.could_not_write(&failure);
                // Who only asked whether all is well hears what is not.
                let why = || Fault::Away(format!("the database takes no writes: {}", failure.words()));
                Err(if writing { Fault::Busy } else { why() })
            }
            Err(Unwritten::Unknown(failure)) => {
                self.unlink();
                self.could_not_write(&failure);
                Err(Fault::Away(failure.words()))
            }
        }
    }

    fn shared(&self) -> bool {
        true
    }

    fn readers(&self) -> Option<Arc<dyn Readers>> {
        Some(Arc::new(Source(Arc::clone(&self.pool))))
    }
}

impl Postgres {
    fn committed(&mut self, writes: &Writes, commit: (i64, i64), wrote: bool) -> Result<(), Fault> {
        writes.iter().for_each(|(key, value)| self.cache.put(key.clone(), value.clone()));
        (self.seen.commit, self.seen.token) = commit;
        self.note.keep(self.seen);
        if wrote {
            if self.failed.take().is_some() {
                tracing::info!("store: the database takes writes again");
            }
            if let Some(epoch) = self.alone.take() {
                self.seen.epoch = epoch;
                let replaced = self.note.replace(self.seen, crate::clock::system().wall());
                replaced.map_err(|e| Fault::Away(format!("the store's mark: {e}")))?;
                self.on_link(|link, _, _| link.let_others_in())?;
            }
        }
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Without it the note is some seconds old.
        self.note.keep_now(self.seen);
    }
}

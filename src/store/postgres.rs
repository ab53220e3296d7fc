//! PostgreSQL: the same keys and bytes in one table, shared by any number of nodes.
//!
//! Batches take turns by one advisory lock, held for the length of a transaction; PostgreSQL releases it after the commit is
//! visible. A node that stops in its turn is ended by the server (`idle_in_transaction_session_timeout`), so that it holds
//! up the others for ten seconds at most. The change feed is read by snapshot, so it stays right if turns are ever split.
//!
//! What was read or written is kept in memory ([`Cache`]): each batch writes to the feed which keys it wrote, and a batch begins by
//! reading what the feed says of others, so within its turn a node knows what of its memory is still true. Each process writes to
//! the feed under a name of its own; a lock on the node's name keeps two of one node apart, whose audit chains would run together.

mod cache;
mod tls;

use self::{
    cache::{Cache, hash},
    tls::Tls,
};
use super::{Changes, Engine, Fault, LAYOUT, Moment, Reader, Writes, tx::EVERYTHING};
use crate::clock::{Steady, Timestamp};
use postgres::{Client, Config, NoTls, Statement, config::SslMode};
use rustls::RootCertStore;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// The advisory lock of a store: "lanyard" in ASCII.
const TURN: i64 = 0x006c_616e_7961_7264;
/// The feed keeps an hour; who has not read for half of that forgets everything instead.
const FEED_KEPT: &str = "1 hour";
const FEED_TRUSTED: Duration = Duration::from_secs(1800);
/// How long a node waits for its name: a former process may still be draining.
const NAME_WAIT: Duration = Duration::from_secs(20);
/// How often the highest time seen is written, and the feed pruned.
const TIME_STEP: Duration = Duration::from_secs(10);

/// Step by step from an empty database; a step once released is never edited.
const MIGRATIONS: [&str; 1] = [r#"
    CREATE TABLE lanyard_docs (key text COLLATE "C" PRIMARY KEY, value bytea NOT NULL);
    CREATE TABLE lanyard_feed (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
        at timestamptz NOT NULL DEFAULT now(), node text NOT NULL, subjects text[] NOT NULL, keys bigint[] NOT NULL);
    CREATE INDEX lanyard_feed_xid ON lanyard_feed (xid);
    CREATE INDEX lanyard_feed_at ON lanyard_feed (at);
    CREATE TABLE lanyard_time (latest bigint NOT NULL);
    INSERT INTO lanyard_time VALUES (0);
"#];

/// A connection with what is asked on it again and again.
struct Link {
    client: Client,
    clock: Statement,
    news: Statement,
    get: Statement,
    scan: Statement,
    put: Statement,
    delete: Statement,
    tell: Statement,
}

/// See the module.
pub struct Postgres {
    config: Config,
    /// None: nobody asked for it.
    tls: Option<Tls>,
    node: String,
    /// Of this process alone: what it wrote to the feed is no news to it.
    author: String,
    link: Option<Link>,
    /// No transaction below this id was still open when the feed was last read.
    horizon: String,
    /// When the feed was last read, by the clock that prunes it.
    read: Option<Timestamp>,
    cache: Cache,
    latest: Timestamp,
    written: Timestamp,
}

impl Postgres {
    /// Connects and brings the tables up to this program's layout. `node` must differ between nodes. With `sslmode=require` in the
    /// address the connection is encrypted and the server must prove its name under `roots`; else it is not encrypted.
    pub fn open(url: &str, node: &str, roots: &Arc<RootCertStore>) -> Result<Self, Fault> {
        let mut config: Config = url.parse().map_err(|e: postgres::Error| Fault::Away(e.to_string()))?;
        config.connect_timeout(Duration::from_secs(5)).keepalives_idle(Duration::from_secs(5));
        config.tcp_user_timeout(Duration::from_secs(15)).application_name("lanyard");
        let tls = (config.get_ssl_mode() == SslMode::Require).then(|| Tls::new(roots)).transpose();
        let tls = tls.map_err(|e| Fault::Away(format!("TLS: {e}")))?;
        let node = node.to_string();
        let zero = Timestamp(0);
        let mut store = Self {
            config,
            tls,
            node,
            author: uuid::Uuid::new_v4().to_string(),
            link: None,
            horizon: "0".into(),
            read: None,
            cache: Cache::default(),
            latest: zero,
            written: zero,
        };
        store.migrate()?;
        store.take_name()?;
        Ok(store)
    }

    /// Before anything else: the statements of a [`Link`] need the tables.
    fn migrate(&mut self) -> Result<(), Fault> {
        let mut client = connect(&self.config, self.tls.as_ref()).map_err(away)?;
        let found = migrate(&mut client).map_err(away)?;
        if found > LAYOUT { Err(Fault::Newer { found }) } else { Ok(()) }
    }

    /// Opens the connection that holds the node's name, waiting for a former process of this node to end.
    fn take_name(&mut self) -> Result<(), Fault> {
        let begun = Instant::now();
        loop {
            match self.with(|_| Ok(())) {
                Err(fault) if begun.elapsed() >= NAME_WAIT => return Err(fault),
                Err(_) => std::thread::sleep(Duration::from_millis(500)),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// A connection under the node's name.
    fn link(&self) -> Result<Link, Fault> {
        let mut client = connect(&self.config, self.tls.as_ref()).map_err(away)?;
        let taken = client.query_one("SELECT pg_try_advisory_lock($1)", &[&hash(&format!("node {}", self.node))]);
        if !taken.map_err(away)?.get::<_, bool>(0) {
            let text = format!("another process is node {}: each needs a data folder of its own (node.id)", self.node);
            return Err(Fault::Away(text));
        }
        Link::prepare(client).map_err(away)
    }

    /// Runs `work` on the connection, made anew where there is none; a failure drops it, and with it what was open.
    fn with<T>(&mut self, work: impl FnOnce(&mut Link) -> Result<T, postgres::Error>) -> Result<T, Fault> {
        let mut link = match self.link.take().filter(|link| !link.client.is_closed()) {
            Some(link) => link,
            None => {
                self.read = None;
                self.cache.clear();
                self.link()?
            }
        };
        let done = work(&mut link).map_err(away)?;
        self.link = Some(link);
        Ok(done)
    }

    /// Like `with`, inside a batch: a connection that broke since `begin` must not be replaced in silence.
    fn within<T>(&mut self, work: impl FnOnce(&mut Link) -> Result<T, postgres::Error>) -> Result<T, Fault> {
        if self.link.as_ref().is_none_or(|link| link.client.is_closed()) {
            self.link = None;
            return Err(Fault::Away("the connection broke".into()));
        }
        self.with(work)
    }
}

impl Link {
    fn prepare(mut client: Client) -> Result<Self, postgres::Error> {
        Ok(Self {
            clock: client.prepare(
                "SELECT greatest((extract(epoch FROM clock_timestamp()) * 1000)::bigint, latest) FROM lanyard_time",
            )?,
            // All in one statement, hence of one snapshot.
            news: client.prepare(
                "WITH news AS (SELECT subjects, keys FROM lanyard_feed WHERE xid >= $1::text::xid8 AND node <> $2) \
                 SELECT pg_snapshot_xmin(pg_current_snapshot())::text, (extract(epoch FROM now()) * 1000)::bigint, \
                 (SELECT array_agg(DISTINCT subject) FROM news, unnest(subjects) AS subject), \
                 (SELECT array_agg(DISTINCT key) FROM news, unnest(keys) AS key)",
            )?,
            get: client.prepare("SELECT value FROM lanyard_docs WHERE key = $1")?,
            scan: client.prepare(
                "SELECT key, value FROM lanyard_docs WHERE key >= $1 AND key < $2 AND key > $3 ORDER BY key LIMIT $4",
            )?,
            put: client.prepare(
                "INSERT INTO lanyard_docs SELECT * FROM unnest($1::text[], $2::bytea[]) \
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            )?,
            delete: client.prepare("DELETE FROM lanyard_docs WHERE key = ANY($1)")?,
            tell: client.prepare("INSERT INTO lanyard_feed (node, subjects, keys) VALUES ($1, $2, $3)")?,
            client,
        })
    }
}

impl Reader for Postgres {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        if let Some(known) = self.cache.get(key) {
            return Ok(known);
        }
        let found: Option<Vec<u8>> =
            self.within(|link| Ok(link.client.query_opt(&link.get, &[&key])?.map(|row| row.get(0))))?;
        self.cache.put(key.to_string(), found.clone());
        Ok(found)
    }

    fn scan(&mut self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<(String, Vec<u8>)>, Fault> {
        let end = format!("{prefix}\u{10ffff}");
        let after = after.unwrap_or_default();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.within(|link| {
            let rows = link.client.query(&link.scan, &[&prefix, &end, &after, &limit])?;
            Ok(rows.into_iter().map(|row| (row.get(0), row.get(1))).collect())
        })
    }
}

impl Engine for Postgres {
    fn begin(&mut self) -> Result<Moment, Fault> {
        let now: i64 = self.with(|link| {
            // In one message; what follows sees all that was committed in the turns before.
            link.client.batch_execute(&format!(
                "ROLLBACK; BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({TURN})"
            ))?;
            Ok(link.client.query_one(&link.clock, &[])?.get(0))
        })?;
        self.latest = self.latest.max(Timestamp(now));
        Ok(Moment { wall: Timestamp(now), steady: Steady(self.latest.0) })
    }

    fn changes(&mut self) -> Result<Changes, Fault> {
        let (horizon, author) = (self.horizon.clone(), self.author.clone());
        let before = self.read;
        let (next, now, subjects, keys) = self.with(|link| {
            let row = link.client.query_one(&link.news, &[&horizon, &author])?;
            let (subjects, keys): (Option<Vec<String>>, Option<Vec<i64>>) = (row.get(2), row.get(3));
            Ok((row.get::<_, String>(0), Timestamp(row.get(1)), subjects, keys))
        })?;
        // By the database's clock: this machine's may have stood still, and a new connection knows of nothing.
        let trusted = self.read.is_some() && before.is_some_and(|at| now.since(at) < FEED_TRUSTED);
        self.horizon = next;
        self.read = Some(now);
        if !trusted {
            self.cache.clear();
            return Ok([EVERYTHING.to_string()].into());
        }
        keys.unwrap_or_default().into_iter().for_each(|key| self.cache.forget(key));
        Ok(subjects.unwrap_or_default().into_iter().collect())
    }

    fn commit(&mut self, writes: &Writes, changes: &Changes) -> Result<(), Fault> {
        let (mut keys, mut values, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        for (key, value) in writes {
            match value {
                Some(bytes) => {
                    keys.push(key.as_str());
                    values.push(bytes.as_slice());
                }
                None => gone.push(key.as_str()),
            }
        }
        let subjects: Vec<&str> = changes.iter().map(String::as_str).collect();
        let hashes: Vec<i64> = writes.keys().map(|key| hash(key)).collect();
        let (author, latest) = (self.author.clone(), self.latest);
        let tick = latest.since(self.written) >= TIME_STEP;
        let done = self.within(|link| {
            let client = &mut link.client;
            if !keys.is_empty() {
                client.execute(&link.put, &[&keys, &values])?;
            }
            if !gone.is_empty() {
                client.execute(&link.delete, &[&gone])?;
            }
            if !subjects.is_empty() || !hashes.is_empty() {
                client.execute(&link.tell, &[&author, &subjects, &hashes])?;
            }
            if tick {
                client.execute("UPDATE lanyard_time SET latest = greatest(latest, $1)", &[&latest.0])?;
                client.execute(&format!("DELETE FROM lanyard_feed WHERE at < now() - interval '{FEED_KEPT}'"), &[])?;
            }
            client.batch_execute("COMMIT")
        });
        if done.is_err() {
            // Nobody knows whether it was committed.
            self.cache.clear();
            return done;
        }
        writes.iter().for_each(|(key, value)| self.cache.put(key.clone(), value.clone()));
        if tick {
            self.written = latest;
        }
        Ok(())
    }

    fn shared(&self) -> bool {
        true
    }
}

fn migrate(client: &mut Client) -> Result<u32, postgres::Error> {
    let mut step = client.transaction()?;
    step.execute("SELECT pg_advisory_xact_lock($1)", &[&TURN])?;
    step.batch_execute("CREATE TABLE IF NOT EXISTS lanyard_layout (layout integer NOT NULL)")?;
    let found = step.query_opt("SELECT max(layout) FROM lanyard_layout", &[])?;
    let found = u32::try_from(found.and_then(|row| row.get::<_, Option<i32>>(0)).unwrap_or(0)).unwrap_or(0);
    for migration in MIGRATIONS.iter().skip(found as usize) {
        step.batch_execute(migration)?;
    }
    if found < LAYOUT {
        let layout = i32::try_from(LAYOUT).unwrap_or(i32::MAX);
        step.execute("INSERT INTO lanyard_layout VALUES ($1)", &[&layout])?;
    }
    step.commit()?;
    Ok(found)
}

fn connect(config: &Config, tls: Option<&Tls>) -> Result<Client, postgres::Error> {
    // A node reads the feed four times a second: a session that is idle (from PostgreSQL 14 on that can be told) or whose
    // network is gone is a dead one, and must not keep the node's name.
    let mut client = match tls {
        Some(tls) => config.connect(tls.clone())?,
        None => config.connect(NoTls)?,
    };
    client.batch_execute(
        "SET synchronous_commit = on; SET lock_timeout = '20s'; SET statement_timeout = '30s'; \
         SET idle_in_transaction_session_timeout = '10s'; SET client_min_messages = error; \
         SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; \
         SELECT set_config(name, '10s', false) FROM pg_settings WHERE name = 'idle_session_timeout'",
    )?;
    Ok(client)
}

fn away(error: postgres::Error) -> Fault {
    let below = std::error::Error::source(&error).map(|source| format!("{error}: {source}"));
    Fault::Away(error.as_db_error().map_or_else(|| below.unwrap_or(error.to_string()), |db| db.message().to_string()))
}

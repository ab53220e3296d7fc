//! The writer's connection: what is asked of it before it is used, and the three exchanges of a batch.
//!
//! A new one may lead to another database than the last, or to one that changed meanwhile: a newer program brought it up, a standby
//! took over, a backup was put back, a pooler came in between. All that is looked at each time, before anything is believed.

use super::{
    OTHERS, PROMPT, Place, TURN,
    cache::hash,
    mark::{Mark, WAYS},
    session::{EXCHANGE, Failure, Purpose, Session},
    time::Shown,
};
use crate::{
    clock::{self, Steady, Timestamp},
    store::{Changes, Fault, LAYOUT},
};
use std::{
    convert::Infallible,
    time::{Duration, Instant},
};
use tokio_postgres::{Client, Error, Row, SimpleQueryMessage, Statement, types::ToSql};
use uuid::Uuid;

/// Writes records.
pub(super) const PUT: &str = "INSERT INTO lanyard_docs SELECT * FROM unnest($1::text[], $2::bytea[]) \
    ON CONFLICT (key) DO UPDATE SET value = excluded.value";
/// What a batch leaves behind, in one statement: records, their going, the news for others, the time.
const WRITE: &str = "WITH put AS (INSERT INTO lanyard_docs SELECT * FROM unnest($1::text[], $2::bytea[]) \
    ON CONFLICT (key) DO UPDATE SET value = excluded.value), \
    gone AS (DELETE FROM lanyard_docs WHERE key = ANY($3)), \
    told AS (INSERT INTO lanyard_feed (commit, token, at, node, subjects, keys) VALUES ($4, $5, $6, $7, $8, $9)) \
    UPDATE lanyard_time SET steady = greatest(steady, $6), noted = $10, commit = $4, token = $5";
/// Reads records.
pub(super) const GET: &str = "SELECT key, value FROM lanyard_docs WHERE key = ANY($1)";
/// Reads what begins alike.
pub(super) const SCAN: &str =
    "SELECT key, value FROM lanyard_docs WHERE key >= $1 AND key < $2 AND key > $3 ORDER BY key LIMIT $4";
/// All in one statement, hence of one snapshot: a row for each batch of others, or one where there is none. The session's own name in
/// it shows a pooler that exchanges sessions.
const NEWS: &str = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text, (extract(epoch FROM clock_timestamp()) * 1000)::bigint, \
    t.steady, t.noted, t.commit, t.token, f.subjects, f.keys, current_setting('lanyard.session', true) \
    FROM lanyard_time AS t LEFT JOIN lanyard_feed AS f ON f.xid >= $1::text::xid8 AND f.node <> $2";
const STATE: &str = "SELECT (SELECT max(layout) FROM lanyard_layout), s.id::text, s.epoch, t.commit, \
    t.token, (SELECT token FROM lanyard_feed WHERE commit = $1) FROM lanyard_store AS s, lanyard_time AS t";
const POOLED: &str = "between this node and the database stands a pooler that exchanges sessions (pgbouncer's transaction mode): \
    connect to the database itself, or let it pool whole sessions";
/// What each question before a connection is used may take.
const OPENING: Duration = Duration::from_secs(3);
/// The feed keeps an hour.
const FEED_KEPT: i64 = 3_600_000;
/// Keys that a probe writes: more than a page that is half empty still holds.
const PROBE: usize = 2000;

/// A connection with what is asked on it again and again.
pub(super) struct Link {
    session: Session,
    asked: Asked,
    /// By which it knows itself.
    name: String,
    /// Which store was found, and how far it had come.
    pub(super) found: Mark,
}

struct Asked {
    news: Statement,
    get: Statement,
    scan: Statement,
    write: Statement,
    note: Statement,
    prune: Statement,
    epoch: Statement,
}

/// What the feed and the clock say.
pub(super) struct News {
    /// No transaction below this id was still open.
    pub(super) horizon: String,
    pub(super) shown: Shown,
    /// Number and token of the last batch.
    pub(super) commit: (i64, i64),
    pub(super) subjects: Changes,
    pub(super) keys: Vec<i64>,
    /// When it was asked for.
    pub(super) asked: Instant,
}

/// What a batch leaves behind.
pub(super) struct Batch<'a> {
    pub(super) puts: (Vec<&'a str>, Vec<&'a [u8]>),
    pub(super) deletes: Vec<&'a str>,
    pub(super) subjects: Vec<&'a str>,
    pub(super) author: &'a str,
    pub(super) steady: Steady,
    pub(super) wall: Timestamp,
    /// Its number and token; those of the one before where it writes nothing.
    pub(super) commit: (i64, i64),
    /// The time is noted, and the feed pruned.
    pub(super) note: bool,
    /// Nothing else is written: try whether something could be.
    pub(super) probe: bool,
    /// From this batch on the store is of this epoch: a loss is accepted.
    pub(super) epoch: Option<i64>,
}

/// Whether a commit came to something.
pub(super) enum Unwritten {
    /// Surely not.
    Nothing(Failure),
    /// Nobody knows.
    Unknown(Failure),
}

impl Link {
    /// A connection under the node's name, to the store that `seen` names. `alone`: no other node may be connected, and none comes
    /// until [`Link::let_others_in`].
    pub(super) fn open(place: &Place, seen: Option<Mark>, alone: bool) -> Result<Self, Fault> {
        let away = |failure: Failure| Fault::Away(failure.words());
        let mut session = Session::open(place, Purpose::Writer).map_err(away)?;
        let name = whole_session(place, &mut session)?;
        take_names(&mut session, &place.node, alone)?;
        let number = seen.map_or(0, |seen| seen.commit);
        let found = session.ask(OPENING, async |client| state(client, number).await).map_err(away)?;
        let found = found.believed(seen)?;
        let asked = session.ask(OPENING, Asked::prepare).map_err(away)?;
        Ok(Self { session, asked, name, found })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.session.is_closed()
    }

    /// Takes the turn and reads the feed, in one message: what follows sees all that was committed in the turns before. Until it comes
    /// `meanwhile` is called, which says whether it had something to do.
    pub(super) fn begin(
        &mut self,
        horizon: &str,
        author: &str,
        meanwhile: Option<&mut dyn FnMut() -> bool>,
    ) -> Result<News, Failure> {
        let (asked, news, name) = (clock::monotonic(), &self.asked.news, &self.name);
        let turn = format!("ROLLBACK; BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({TURN})");
        self.session.each(EXCHANGE, async |client| {
            let asking = async {
                tokio::join!(
                    biased;
                    client.batch_execute(&turn),
                    async { client.query(news, &[&horizon, &author]).await },
                )
            };
            let (begun, rows) = match meanwhile {
                None => asking.await,
                Some(meanwhile) => tokio::select! {
                    biased;
                    answer = asking => answer,
                    never = spend(meanwhile) => match never {},
                },
            };
            begun?;
            News::read(&rows?, name, asked)
        })
    }

    /// Reads the feed.
    pub(super) fn news(&mut self, horizon: &str, author: &str) -> Result<News, Failure> {
        let (asked, news, name) = (clock::monotonic(), &self.asked.news, &self.name);
        self.session
            .each(EXCHANGE, async |client| News::read(&client.query(news, &[&horizon, &author]).await?, name, asked))
    }

    /// Gives the turn back.
    pub(super) fn roll_back(&mut self) -> Result<(), Failure> {
        self.session.ask(EXCHANGE, async |client| client.batch_execute("ROLLBACK").await)
    }

    pub(super) fn get(&mut self, keys: &[&str]) -> Result<Vec<(String, Vec<u8>)>, Failure> {
        let get = &self.asked.get;
        self.session.ask(EXCHANGE, async |client| Ok(pairs(client.query(get, &[&keys]).await?)))
    }

    pub(super) fn scan(&mut self, prefix: &str, after: &str, limit: i64) -> Result<Vec<(String, Vec<u8>)>, Failure> {
        let (scan, end) = (&self.asked.scan, end(prefix));
        self.session
            .ask(EXCHANGE, async |client| Ok(pairs(client.query(scan, &[&prefix, &end, &after, &limit]).await?)))
    }

    /// Writes all of it and ends the transaction, in one message.
    pub(super) fn commit(&mut self, batch: &Batch<'_>) -> Result<(), Unwritten> {
        let asked = &self.asked;
        let done = self.session.each(EXCHANGE, async |client| {
            // In this order on the wire. A failure of the first makes the database roll back at the second.
            let (written, ended) = tokio::join!(biased; asked.write(client, batch), client.batch_execute("COMMIT"));
            Ok((written.map_err(Failure::from), ended.map_err(Failure::from)))
        });
        match done {
            Ok((Ok(()), Ok(()))) => Ok(()),
            // Whatever the database said before it came to the commit, it did not commit.
            Ok((Err(failure @ Failure::Said(_)), _)) => Err(Unwritten::Nothing(failure)),
            Ok((Ok(()), Err(failure))) if failure.is_plain() => Err(Unwritten::Nothing(failure)),
            Ok((Err(failure), _) | (Ok(()), Err(failure))) | Err(failure) => Err(Unwritten::Unknown(failure)),
        }
    }

    /// After [`Link::open`] alone: others may come.
    pub(super) fn let_others_in(&mut self) -> Result<(), Failure> {
        let change = format!("SELECT pg_advisory_unlock({OTHERS}), pg_advisory_lock_shared({OTHERS})");
        self.session.ask(EXCHANGE, async |client| client.batch_execute(&change).await)
    }
}

/// Does what there is to do, a little at a time, for as long as the answer is not there.
async fn spend(meanwhile: &mut dyn FnMut() -> bool) -> Infallible {
    loop {
        // First the question goes out; then each time it is seen whether the answer has come.
        tokio::task::yield_now().await;
        if !meanwhile() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Asked {
    async fn prepare(client: &Client) -> Result<Self, Error> {
        let (news, get, scan, write, note, prune, epoch) = tokio::try_join!(
            client.prepare(NEWS),
            client.prepare(GET),
            client.prepare(SCAN),
            client.prepare(WRITE),
            client.prepare("UPDATE lanyard_time SET steady = greatest(steady, $1), noted = $2"),
            client.prepare("DELETE FROM lanyard_feed WHERE at < $1"),
            client.prepare("UPDATE lanyard_store SET epoch = $1"),
        )?;
        Ok(Self { news, get, scan, write, note, prune, epoch })
    }

    /// All at once; the first failure counts.
    async fn write(&self, client: &Client, batch: &Batch<'_>) -> Result<(), Error> {
        let (keys, values) = &batch.puts;
        let hashes: Vec<i64> = match batch.probe {
            true => std::iter::repeat_with(rand).take(PROBE).collect(),
            false => keys.iter().chain(&batch.deletes).map(|key| hash(key)).collect(),
        };
        let told = !hashes.is_empty() || !batch.subjects.is_empty();
        let kept = batch.steady.0.saturating_sub(FEED_KEPT);
        let ask = async |wanted: bool, asked: &Statement, with: &[&(dyn ToSql + Sync)]| match wanted {
            true => client.execute(asked, with).await.map(drop),
            false => Ok(()),
        };
        let ((number, token), Batch { deletes, steady, author, subjects, wall, .. }) = (&batch.commit, batch);
        let (write, note, prune, epoch) = tokio::join!(
            biased;
            async {
                ask(told, &self.write, &[keys, values, deletes, number, token, &steady.0, author, subjects, &hashes, &wall.0])
                    .await
            },
            async { ask(batch.note && !told, &self.note, &[&steady.0, &wall.0]).await },
            async { ask(batch.note, &self.prune, &[&kept]).await },
            async { ask(batch.epoch.is_some(), &self.epoch, &[&batch.epoch]).await },
        );
        write.and(note).and(prune).and(epoch)
    }
}

/// Hardly ever twice the same.
pub(super) fn rand() -> i64 {
    hash(&Uuid::new_v4().to_string())
}

impl News {
    /// Whoever asked has surely not stood still since.
    pub(super) fn is_prompt(&self) -> bool {
        clock::since(self.asked) < PROMPT
    }

    fn read(rows: &[Row], name: &str, asked: Instant) -> Result<Self, Failure> {
        let row = rows.first().ok_or_else(|| Failure::Gone("the store's time is not in it".into()))?;
        if row.get::<_, Option<&str>>(8) != Some(name) {
            return Err(Failure::Gone(POOLED.into()));
        }
        let subjects = rows.iter().flat_map(|row| row.get::<_, Option<Vec<String>>>(6).unwrap_or_default());
        let keys = rows.iter().flat_map(|row| row.get::<_, Option<Vec<i64>>>(7).unwrap_or_default());
        Ok(Self {
            horizon: row.get(0),
            shown: Shown { wall: Timestamp(row.get(1)), steady: Steady(row.get(2)), noted: Timestamp(row.get(3)) },
            commit: (row.get(4), row.get(5)),
            subjects: subjects.collect(),
            keys: keys.collect(),
            asked,
        })
    }
}

/// Layout, store and its last commit, as found.
pub(super) struct State {
    layout: u32,
    pub(super) mark: Option<Mark>,
    /// The token of the commit asked for, where the feed still has it.
    pub(super) there: Option<i64>,
}

impl State {
    /// The store, where it is one of ours, and not behind what was seen of it.
    fn believed(self, seen: Option<Mark>) -> Result<Mark, Fault> {
        match self {
            Self { layout, .. } if layout > LAYOUT => Err(Fault::Newer { found: layout, known: LAYOUT }),
            Self { layout: LAYOUT, mark: Some(found), there } => match seen.and_then(|seen| seen.judge(found, there)) {
                None => Ok(found),
                Some(why) => Err(refused(why)),
            },
            Self { layout, .. } => {
                Err(refused(format!("behind: it has layout {layout}, and this node saw it at layout {LAYOUT}")))
            }
        }
    }
}

/// Words that name the way on.
pub(super) fn refused(why: impl std::fmt::Display) -> Fault {
    Fault::Refused(format!("the database is {why}: {WAYS}"))
}

/// What the database says of itself, and of the commit of this number.
pub(super) async fn state(client: &Client, number: i64) -> Result<State, Error> {
    let row = client.query_opt(STATE, &[&number]).await?;
    let Some(row) = row else { return Ok(State { layout: 0, mark: None, there: None }) };
    let store = Uuid::parse_str(row.get(1)).unwrap_or_default();
    let layout = u32::try_from(row.get::<_, Option<i32>>(0).unwrap_or(0)).unwrap_or(u32::MAX);
    let mark = Mark { store, epoch: row.get(2), commit: row.get(3), token: row.get(4) };
    Ok(State { layout, mark: Some(mark), there: row.get(5) })
}

/// A pooler lends a session for a transaction. While another one of ours holds one open, it lends this one a different one, or
/// it lent that one ours.
pub(super) fn whole_session(place: &Place, session: &mut Session) -> Result<String, Fault> {
    let away = |failure: Failure| Fault::Away(failure.words());
    let name = Uuid::new_v4().to_string();
    let be = |name: &str| format!("SELECT set_config('lanyard.session', '{name}', false)");
    session.ask(OPENING, async |client| client.simple_query(&be(&name)).await).map_err(away)?;
    let other = Session::open(place, Purpose::Reader).and_then(|mut other| {
        other.ask(OPENING, async |client| {
            client.batch_execute("BEGIN").await?;
            client.simple_query(&be("another")).await
        })?;
        Ok(other)
    });
    if let Err(late @ Failure::Late(_)) = other {
        return Err(away(late));
    }
    let same = session.ask(OPENING, async |client| {
        let found = client.simple_query("SELECT current_setting('lanyard.session', true)").await?;
        Ok(found.iter().any(|line| matches!(line, SimpleQueryMessage::Row(row) if row.get(0) == Some(name.as_str()))))
    });
    // Where there is no room for a second connection the first batches find out.
    drop(other);
    if same.map_err(away)? { Ok(name) } else { Err(Fault::Refused(POOLED.into())) }
}

/// The node's own name, and that a node is there at all.
fn take_names(session: &mut Session, node: &str, alone: bool) -> Result<(), Fault> {
    let own = hash(&format!("node {node}"));
    let others = if alone { "pg_try_advisory_lock" } else { "pg_try_advisory_lock_shared" };
    let question = format!("SELECT pg_try_advisory_lock({own}), {others}({OTHERS})");
    let taken = session.ask(OPENING, async |client| {
        let row = client.query_one(&question, &[]).await?;
        Ok((row.get::<_, bool>(0), row.get::<_, bool>(1)))
    });
    match taken.map_err(|failure| Fault::Away(failure.words()))? {
        (true, true) => Ok(()),
        (false, _) => {
            Err(Fault::Away(format!("another process is node {node}: each needs a data folder of its own (node.id)")))
        }
        (true, false) if alone => {
            Err(Fault::Refused("other nodes are connected to the database: stop all of them first".into()))
        }
        (true, false) => {
            Err(Fault::Away("another node brings the database up, or accepts a loss: wait for its end".into()))
        }
    }
}

fn pairs(rows: Vec<Row>) -> Vec<(String, Vec<u8>)> {
    rows.into_iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Behind all keys that begin so.
pub(super) fn end(prefix: &str) -> String {
    format!("{prefix}\u{10ffff}")
}

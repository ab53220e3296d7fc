//! The tables, step by step from an empty database; brought up only while no other node is connected.

use super::{
    APPLICATION, OTHERS, TURN,
    session::{Failure, Session},
};
use crate::{
    clock,
    store::{Fault, LAYOUT, Rise},
};
use std::{collections::BTreeMap, time::Duration};
use tokio_postgres::{Client, Error};

/// A step once released is never edited.
const MIGRATIONS: [&str; 2] = [
    r#"
    CREATE TABLE lanyard_docs (key text COLLATE "C" PRIMARY KEY, value bytea NOT NULL);
    CREATE TABLE lanyard_feed (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
        at timestamptz NOT NULL DEFAULT now(), node text NOT NULL, subjects text[] NOT NULL, keys bigint[] NOT NULL);
    CREATE INDEX lanyard_feed_xid ON lanyard_feed (xid);
    CREATE INDEX lanyard_feed_at ON lanyard_feed (at);
    CREATE TABLE lanyard_time (latest bigint NOT NULL);
    INSERT INTO lanyard_time VALUES (0);
"#,
    // What a program of layout 1 asks names columns that are gone: it cannot write here.
    r#"
    ALTER TABLE lanyard_docs RENAME TO lanyard_docs_layout1;
    ALTER INDEX lanyard_docs_pkey RENAME TO lanyard_docs_layout1_pkey;
    CREATE TABLE lanyard_docs (key text COLLATE "C" PRIMARY KEY, value bytea NOT NULL) WITH (fillfactor = 70);
    DROP TABLE lanyard_feed;
    CREATE TABLE lanyard_feed (commit bigint PRIMARY KEY, token bigint NOT NULL, xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
        at bigint NOT NULL, node text NOT NULL, subjects text[] NOT NULL, keys bigint[] NOT NULL) WITH (toast_tuple_target = 8160);
    ALTER TABLE lanyard_feed ALTER subjects SET STORAGE EXTERNAL, ALTER keys SET STORAGE EXTERNAL;
    CREATE INDEX lanyard_feed_xid ON lanyard_feed (xid);
    CREATE INDEX lanyard_feed_at ON lanyard_feed (at);
    ALTER TABLE lanyard_time RENAME latest TO steady;
    ALTER TABLE lanyard_time ADD noted bigint NOT NULL DEFAULT 0, ADD commit bigint NOT NULL DEFAULT 0,
        ADD token bigint NOT NULL DEFAULT 0;
    UPDATE lanyard_time SET noted = (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
    UPDATE lanyard_time SET steady = noted WHERE steady = 0;
    CREATE TABLE lanyard_store (id uuid NOT NULL, epoch bigint NOT NULL);
    INSERT INTO lanyard_store VALUES (gen_random_uuid(), 1);
"#,
];

/// Records brought to a new layout at a time.
const PAGE: i32 = 500;
/// Half an hour for all of it.
const LIMIT: Duration = Duration::from_secs(1800);
/// How long the former program's nodes have to end.
const ENDING: Duration = Duration::from_secs(20);

/// The layout of the tables; 0: there are none.
pub(super) fn found(session: &mut Session) -> Result<u32, Failure> {
    session.ask(LIMIT, layout).map(|found| u32::try_from(found).unwrap_or(u32::MAX))
}

async fn layout(client: &Client) -> Result<i32, Error> {
    if client.query_one("SELECT to_regclass('lanyard_layout')::text", &[]).await?.get::<_, Option<String>>(0).is_none()
    {
        return Ok(0);
    }
    Ok(client.query_one("SELECT max(layout) FROM lanyard_layout", &[]).await?.get::<_, Option<i32>>(0).unwrap_or(0))
}

/// Brings the tables up to this program's layout, in one transaction: all of it or nothing.
pub(super) fn bring_up(session: &mut Session, rise: &Rise) -> Result<(), Fault> {
    let begun = clock::monotonic();
    loop {
        let done = session.each(LIMIT, async |client| match step(client, rise).await {
            Err(stop) => {
                client.batch_execute("ROLLBACK").await?;
                Ok(Err(stop))
            }
            Ok(()) => Ok(Ok(())),
        });
        match done {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(Stop::Others)) if clock::since(begun) < ENDING => std::thread::sleep(Duration::from_millis(500)),
            Ok(Err(stop)) => return Err(stop.into()),
            Err(failure) => return Err(Fault::Away(failure.words())),
        }
    }
}

enum Stop {
    Newer(u32),
    Others,
    Record(String, String),
    Failed(Failure),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Stop> for Fault {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Newer(found) => Self::Newer { found, known: LAYOUT },
            Stop::Others => Self::Refused(format!(
                "the database has the layout of a former version, and other nodes are connected to it: stop all of them, then start \
                 this one, which brings it to layout {LAYOUT}"
            )),
            Stop::Record(key, why) => Self::Corrupt { key, why },
            Stop::Failed(failure) => {
                Self::Refused(format!("bringing the database to layout {LAYOUT}: {}", failure.words()))
            }
        }
    }
}

async fn step(client: &Client, rise: &Rise) -> Result<(), Stop> {
    client.batch_execute("BEGIN").await?;
    client.query("SELECT pg_advisory_xact_lock($1)", &[&TURN]).await?;
    let found = layout(client).await?;
    let known = u32::try_from(found).unwrap_or(u32::MAX);
    if known >= LAYOUT {
        client.batch_execute("ROLLBACK").await?;
        return if known > LAYOUT { Err(Stop::Newer(known)) } else { Ok(()) };
    }
    if known > 0 && !alone(client).await? {
        return Err(Stop::Others);
    }
    client.batch_execute("CREATE TABLE IF NOT EXISTS lanyard_layout (layout integer NOT NULL)").await?;
    for migration in MIGRATIONS.iter().skip(known as usize) {
        client.batch_execute(migration).await?;
    }
    if known == 0 {
        client.batch_execute("DROP TABLE lanyard_docs_layout1").await?;
    } else {
        records(client, rise).await?;
        tracing::info!(
            "the database was brought to layout {LAYOUT}; the former records are kept in lanyard_docs_layout1"
        );
    }
    client.execute("INSERT INTO lanyard_layout VALUES ($1)", &[&i32::try_from(LAYOUT).unwrap_or(i32::MAX)]).await?;
    client.batch_execute("COMMIT").await?;
    Ok(())
}

/// Whether no other node is connected: none that says so by its lock, and none of a version that knew of no such lock.
pub(super) async fn alone(client: &Client) -> Result<bool, Error> {
    let others = client
        .query_one(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1 \
             AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
            &[&APPLICATION],
        )
        .await?;
    let free = client.query_one("SELECT pg_try_advisory_xact_lock($1)", &[&OTHERS]).await?;
    Ok(others.get::<_, i64>(0) == 0 && free.get::<_, bool>(0))
}

/// Every record of layout 1, page by page, as those of this layout.
async fn records(client: &Client, rise: &Rise) -> Result<(), Stop> {
    client.batch_execute("DECLARE former CURSOR FOR SELECT key, value FROM lanyard_docs_layout1 ORDER BY key").await?;
    let put = client.prepare(super::link::PUT).await?;
    loop {
        let page = client.query(&format!("FETCH {PAGE} FROM former"), &[]).await?;
        let mut risen = BTreeMap::new();
        for row in &page {
            let (key, value): (String, Vec<u8>) = (row.get(0), row.get(1));
            risen.extend(rise(&key, &value).map_err(|why| Stop::Record(key, why))?);
        }
        let (keys, values): (Vec<String>, Vec<Vec<u8>>) = risen.into_iter().unzip();
        client.execute(&put, &[&keys, &values]).await?;
        if page.is_empty() {
            client.batch_execute("CLOSE former").await?;
            return Ok(());
        }
    }
}

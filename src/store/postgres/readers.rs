//! Reading beside the writer: connections of their own, each as of one moment.

use super::{
    Place,
    link::{GET, SCAN, end},
    session::{EXCHANGE, Failure, Purpose, Session},
};
use crate::store::{Fault, Reader, Readers};
use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};
use tokio_postgres::{Error, Statement};

/// Connections at most: what one node takes of the database's beside its writer's.
const MOST: usize = 4;
/// Records asked for at once, so that each answer keeps its deadline.
const PAGE: usize = 2000;
/// How long one waits for a connection that another reader has.
const WAIT: Duration = Duration::from_secs(10);
/// What giving a snapshot back may take.
const END: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct Pool {
    place: Arc<Place>,
    idle: Mutex<Idle>,
    freed: Condvar,
}

#[derive(Default)]
struct Idle {
    kept: Vec<Line>,
    out: usize,
}

/// A connection and what is asked on it.
struct Line {
    session: Session,
    get: Statement,
    scan: Statement,
}

impl Pool {
    pub(super) fn new(place: Arc<Place>) -> Arc<Self> {
        Arc::new(Self { place, idle: Mutex::default(), freed: Condvar::new() })
    }

    /// A place among those that may be out, with a former one's connection where there is one.
    fn admit(&self) -> Result<Option<Line>, Fault> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.freed.wait_timeout_while(idle, WAIT, |idle| idle.out >= MOST);
        let (mut idle, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if idle.out >= MOST {
            return Err(Fault::Busy);
        }
        idle.out += 1;
        Ok(idle.kept.pop())
    }

    fn leave(&self, line: Option<Line>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.out = idle.out.saturating_sub(1);
        idle.kept.extend(line);
        self.freed.notify_one();
    }

    /// A snapshot on the connection kept, or on a new one where that one has ended meanwhile.
    fn begun(&self, kept: Option<Line>) -> Result<Line, Failure> {
        if let Some(mut line) = kept
            && line.begin().is_ok()
        {
            return Ok(line);
        }
        let mut line = Line::open(&self.place)?;
        line.begin()?;
        Ok(line)
    }
}

impl Line {
    fn open(place: &Place) -> Result<Self, Failure> {
        let mut session = Session::open(place, Purpose::Reader)?;
        let (get, scan) =
            session.ask(EXCHANGE, async |client| tokio::try_join!(client.prepare(GET), client.prepare(SCAN)))?;
        Ok(Self { session, get, scan })
    }

    fn begin(&mut self) -> Result<(), Failure> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        self.session.ask(EXCHANGE, async |client| client.batch_execute(begin).await)
    }
}

/// Where the pool's readers come from.
pub(super) struct Source(pub(super) Arc<Pool>);

impl Readers for Source {
    fn open(&self) -> Result<Box<dyn Reader>, Fault> {
        let kept = self.0.admit()?;
        match self.0.begun(kept) {
            Ok(line) => Ok(Box::new(Snapshot { pool: Arc::clone(&self.0), line: Some(line) })),
            Err(failure) => {
                self.0.leave(None);
                Err(Fault::Away(failure.words()))
            }
        }
    }
}

/// A reader. Gives its connection back when it is dropped.
struct Snapshot {
    pool: Arc<Pool>,
    /// None: a failure ended it.
    line: Option<Line>,
}

impl Snapshot {
    fn ask<T>(
        &mut self,
        work: impl AsyncFnOnce(&tokio_postgres::Client, &Statement, &Statement) -> Result<T, Error>,
    ) -> Result<T, Fault> {
        let Some(line) = &mut self.line else { return Err(Fault::Away("the connection broke".into())) };
        let Line { session, get, scan } = line;
        let found = session.ask(EXCHANGE, async |client| work(client, get, scan).await);
        found.map_err(|failure| {
            self.line = None;
            Fault::Away(failure.words())
        })
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let ended = self.line.take().and_then(|mut line| {
            line.session.ask(END, async |client| client.batch_execute("ROLLBACK").await).ok().map(|()| line)
        });
        self.pool.leave(ended);
    }
}

impl Reader for Snapshot {
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.get_many(&[key.to_string()])?.pop().flatten())
    }

    fn get_many(&mut self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Fault> {
        let mut found = BTreeMap::new();
        for page in keys.chunks(PAGE) {
            let rows = self.ask(async |client, get, _| client.query(get, &[&page]).await)?;
            found.extend(rows.into_iter().map(|row| (row.get::<_, String>(0), row.get::<_, Vec<u8>>(1))));
        }
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    fn scan(&mut self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<(String, Vec<u8>)>, Fault> {
        let (end, mut after, mut all) = (end(prefix), after.unwrap_or_default().to_string(), Vec::new());
        while all.len() < limit {
            let wanted = PAGE.min(limit - all.len());
            let count = i64::try_from(wanted).unwrap_or(i64::MAX);
            let rows = self.ask(async |client, _, scan| client.query(scan, &[&prefix, &end, &after, &count]).await)?;
            let whole = rows.len() < wanted;
            all.extend(rows.into_iter().map(|row| (row.get::<_, String>(0), row.get::<_, Vec<u8>>(1))));
            if whole {
                break;
            }
            after = all.last().map(|(key, _)| key.clone()).unwrap_or(after);
        }
        Ok(all)
    }
}

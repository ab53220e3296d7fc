//! What is there against what this node saw, and going on with less.

use super::{
    Place, layout,
    link::{self, refused},
    mark::{Mark, Note},
    session::{EXCHANGE, Failure, Session},
};
use crate::store::{Checked, Fault, LAYOUT};
use std::time::Duration;

/// Counting all records of a large store.
const COUNTING: Duration = Duration::from_secs(600);

fn away(failure: Failure) -> Fault {
    Fault::Away(failure.words())
}

pub(super) fn check(place: &Place, note: &Note) -> Result<Checked, Fault> {
    let (marked, unread) = match note.read() {
        Ok(marked) => (marked, None),
        Err(why) => (None, Some(why)),
    };
    let mut session = place.reach()?;
    let (found, there) = look(&mut session, marked.map_or(0, |marked| marked.commit))?;
    let records = match found {
        Some(_) => {
            session.ask(COUNTING, async |client| client.query_one("SELECT count(*) FROM lanyard_docs", &[]).await)
        }
        None => return Ok(empty(marked, unread)),
    };
    let records = records.map_err(away)?.get::<_, i64>(0);
    let why = unread.or_else(|| marked.zip(found).and_then(|(seen, found)| seen.judge(found, there)));
    Ok(Checked {
        ok: why.is_none(),
        store: found.map(|f| f.store.to_string()).unwrap_or_default(),
        commit: found.map(|f| f.commit.unsigned_abs()),
        expected: expected(marked, found),
        records: records.unsigned_abs(),
        missing: 0,
        damaged: Vec::new(),
        why,
    })
}

/// The highest commit that was seen, of this store alone.
fn expected(marked: Option<Mark>, found: Option<Mark>) -> Option<u64> {
    let marked = marked?;
    let same = found.is_some_and(|found| found.store == marked.store && found.epoch == marked.epoch);
    let highest = if same { found.map_or(0, |found| found.commit).max(marked.commit) } else { marked.commit };
    Some(highest.unsigned_abs())
}

fn empty(marked: Option<Mark>, unread: Option<String>) -> Checked {
    let why = unread.or_else(|| marked.map(|_| "gone: the database is empty".into()));
    Checked {
        ok: why.is_none(),
        store: marked.map(|marked| marked.store.to_string()).unwrap_or_default(),
        commit: Some(0),
        expected: expected(marked, None),
        records: 0,
        missing: 0,
        damaged: Vec::new(),
        why,
    }
}

/// The store there, of this program's layout, and the token of the commit of this number; `None` where there is none.
fn look(session: &mut Session, number: i64) -> Result<(Option<Mark>, Option<i64>), Fault> {
    match layout::found(session).map_err(away)? {
        0 => Ok((None, None)),
        found if found > LAYOUT => Err(Fault::Newer { found, known: LAYOUT }),
        LAYOUT => {
            let state = session.ask(EXCHANGE, async |client| link::state(client, number).await).map_err(away)?;
            Ok((state.mark, state.there))
        }
        _ => Err(Fault::Refused(
            "the database has the layout of a former version: start the server, which brings it up".into(),
        )),
    }
}

/// What is there, to be gone on with, and the epoch that begins with the first batch that writes: until then a node that saw more is
/// refused as before.
pub(super) fn accept(place: &Place, note: &Note, commit: u64) -> Result<(Mark, i64), Fault> {
    let mut session = place.reach()?;
    let found = look(&mut session, 0)?.0.ok_or_else(|| refused("empty"))?;
    let last = found.commit.unsigned_abs();
    if last != commit {
        return Err(Fault::Refused(format!(
            "the database's last commit is {last}, not {commit}: `lanyard store check` says which"
        )));
    }
    let above = note.read().ok().flatten().map_or(0, |marked| marked.epoch);
    Ok((found, found.epoch.max(above) + 1))
}

/// The record under this key; where there is none, some keys that begin alike.
pub(super) fn peek(place: &Place, key: &str) -> Result<Result<Vec<u8>, Vec<String>>, Fault> {
    let mut session = place.reach()?;
    if look(&mut session, 0)?.0.is_none() {
        return Ok(Err(Vec::new()));
    }
    let found = session.ask(EXCHANGE, async |client| {
        let one = "SELECT value FROM lanyard_docs WHERE key = $1";
        if let Some(row) = client.query_opt(one, &[&key]).await? {
            return Ok(Ok(row.get(0)));
        }
        let near = "SELECT key FROM lanyard_docs WHERE starts_with(key, $1) ORDER BY key LIMIT 5";
        let near = client.query(near, &[&key]).await?;
        Ok(Err(near.into_iter().map(|row| row.get(0)).collect()))
    });
    found.map_err(away)
}

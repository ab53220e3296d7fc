//! From a folder and its mark to an open store, or to words that say why not.

use super::{
    Disk, Marking, Place,
    check::{self, Checked, Commit, Found},
    folder,
    mark::{self, Mark, Marked, Tally},
    pieces::OURS,
};
use crate::{
    clock::{Clock, Steady},
    store::{Fault, LAYOUT, Writes},
};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Outside the tenants: the layout of all keys and records.
const LAYOUT_KEY: &[u8] = b"!layout";
/// Where layout 1 kept the highest time seen.
const TIME_OF_LAYOUT_1: &[u8] = b"!time";
/// What layout 1 looked like is kept beside the store under this.
const KEPT: &str = "layout1";
/// A file larger than its records by more than this is written anew, in hundredths.
const GROWN: u64 = 250;
/// One this small is left as it is: sled takes disk in pieces of half a megabyte.
const SMALL: u64 = 4 << 20;
/// How large the file was when it was last written anew. sled leaves gaps in a fresh one too: it has grown only where it is larger than
/// that by a quarter.
const FRESH_KEY: &[u8] = b"!fresh";
/// Records copied in one batch.
const COPIED: usize = 500;

/// Makes this layout's records of one of layout 1: key and value as they lay there.
pub type Rise = dyn Fn(&str, &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> + Send + Sync;

/// What to do next, said with each refusal.
const WAYS: &str =
    "put a whole one back, or look with `lanyard store check` and go on with `lanyard store accept-loss`";

pub(super) fn open(place: &Place, clock: &Clock, rise: &Rise) -> Result<Disk, Fault> {
    let marked = marked(place)?;
    folder::tidy(&place.folder, KEPT).map_err(|e| place.away(e))?;
    folder::readable(&place.folder).map_err(|e| place.away(e))?;
    if !folder::is_store(&place.folder) {
        return match marked.filter(|marked| marked.tally.commit > 0) {
            Some(Marked { tally, .. }) => Err(place.refused(format!(
                "gone: {} says that {} records were there: {WAYS}",
                place.mark.display(),
                tally.count
            ))),
            None => make(place, marked, clock),
        };
    }
    let db = opened(place)?;
    match (layout(place, &db)?, marked) {
        (Some(1), None) => rise_from_1(place, db, Uuid::new_v4(), clock, rise),
        (Some(1), Some(marked)) if marked.tally.commit == 0 => rise_from_1(place, db, marked.store, clock, rise),
        (Some(1), Some(_)) => Err(place.refused(former(place))),
        (Some(LAYOUT), None) => Err(place
            .refused(format!("its mark {} is gone, so nobody knows what is missing: {WAYS}", place.mark.display()))),
        (Some(LAYOUT), Some(marked)) => whole(place, db, marked),
        (Some(found), _) => Err(Fault::Newer { found, known: LAYOUT }),
        (None, marked) if marked.is_none_or(|m| m.tally.commit == 0) && db.is_empty() => {
            drop(db);
            make(place, marked, clock)
        }
        (None, _) => Err(place.refused(format!("damaged: it does not say what layout it has: {WAYS}"))),
    }
}

/// A copy from before an upgrade knows nothing of the mark that came with it.
fn former(place: &Place) -> String {
    format!(
        "behind: it has the layout of a former version; to go on with it put {} aside (docs/backup.md)",
        place.mark.display()
    )
}

fn marked(place: &Place) -> Result<Option<Marked>, Fault> {
    mark::read(&place.mark).map_err(|e| match e.kind() {
        std::io::ErrorKind::InvalidData => place
            .refused(format!("its mark {} is damaged, so nobody knows what is missing: {WAYS}", place.mark.display())),
        _ => place.away(format!("{}: {e}", place.mark.display())),
    })
}

fn opened(place: &Place) -> Result<sled::Db, Fault> {
    folder::open(&place.folder).map_err(|text| unread(place, text))
}

/// What sled says where it was to read: damage is refused by name, a lock or a system that is short of something passes.
fn unread(place: &Place, why: impl std::fmt::Display) -> Fault {
    let text = why.to_string();
    match folder::is_damage(&text) {
        true => place.refused(format!("damaged: {text}: {WAYS}")),
        false => place.away(text),
    }
}

fn layout(place: &Place, db: &sled::Db) -> Result<Option<u32>, Fault> {
    let bytes = db.get(LAYOUT_KEY).map_err(|e| unread(place, e))?;
    Ok(bytes.map(|bytes| std::str::from_utf8(&bytes).ok().and_then(|t| t.parse().ok()).unwrap_or(u32::MAX)))
}

/// A new store. The mark comes first, so that one cut off in the making is no loss.
fn make(place: &Place, marked: Option<Marked>, clock: &Clock) -> Result<Disk, Fault> {
    let marked = marked.unwrap_or(Marked { store: Uuid::new_v4(), tally: Tally::default() });
    Mark::make(&place.mark, marked).map_err(|e| place.away(e))?;
    let db = opened(place)?;
    let mut disk = begin(place, db, &place.folder, marked.store, Steady(clock.wall().0))?;
    mark_it(place, &mut disk)?;
    Ok(disk)
}

/// The first entries of a fresh folder.
fn begin(place: &Place, db: sled::Db, folder: &std::path::Path, store: Uuid, steady: Steady) -> Result<Disk, Fault> {
    db.insert(LAYOUT_KEY, LAYOUT.to_string().as_bytes()).map_err(|e| place.away(e))?;
    let mut disk =
        Disk::over(db, folder, Commit { store, tally: Tally::default(), steady }).map_err(|e| place.away(e))?;
    disk.apply(&Writes::new(), steady).and_then(|()| disk.sync()).map_err(|e| place.away(e))?;
    mark::sync_folder(&folder.join("db")).and_then(|()| mark::sync_folder(folder)).map_err(|e| place.away(e))?;
    Ok(disk)
}

/// From here on the mark goes with each commit.
fn mark_it(place: &Place, disk: &mut Disk) -> Result<(), Fault> {
    disk.mark = Marking::Kept(Mark::open(&place.mark, disk.commit.store).map_err(|e| place.away(e))?);
    disk.sync().map_err(|e| place.away(e))
}

/// A store of this layout that is what was acknowledged; else refused by name.
fn whole(place: &Place, db: sled::Db, marked: Marked) -> Result<Disk, Fault> {
    let (commit, found) = look(place, &db)?;
    if let Some(own) = commit.filter(|own| own.store != marked.store) {
        return Err(place.refused(format!(
            "another store: {} is of store {}, this is store {}: {WAYS}",
            place.mark.display(),
            marked.store,
            own.store
        )));
    }
    match (check::verdict(Some(marked.tally), commit.as_ref(), &found), commit) {
        (None, Some(commit)) => {
            let disk = Disk::over(db, &place.folder, commit).map_err(|e| place.away(e))?;
            let mut disk = shrunk(place, disk, &found)?;
            mark_it(place, &mut disk)?;
            Ok(disk)
        }
        (why, _) => Err(place.refused(format!("{}: {WAYS}", why.unwrap_or_else(|| "damaged".into())))),
    }
}

fn look(place: &Place, db: &sled::Db) -> Result<(Option<Commit>, Found), Fault> {
    let read = || Ok::<_, sled::Error>((Commit::read(db)?, check::read(db)?));
    let text = match folder::quietly(read) {
        Ok(Ok(found)) => return Ok(found),
        Ok(Err(error)) => error.to_string(),
        Err(text) => text,
    };
    Err(place.refused(format!("damaged: {text}: {WAYS}")))
}

/// sled's file only ever grows: where it has, the records are copied into a fresh one.
fn shrunk(place: &Place, disk: Disk, found: &Found) -> Result<Disk, Fault> {
    let size = disk.db.size_on_disk().unwrap_or(0);
    let fresh = disk.db.get(FRESH_KEY).map_err(|e| unread(place, e))?;
    let fresh = fresh.and_then(|bytes| bytes.as_ref().try_into().ok()).map_or(0, u64::from_le_bytes);
    let grown = size.saturating_mul(100) > found.bytes.saturating_mul(GROWN) && size > fresh.saturating_add(fresh / 4);
    if size <= SMALL || !grown {
        return Ok(disk);
    }
    let commit = disk.commit;
    let db = disk.db.clone();
    let copied = copy(place, &disk.db, commit, &move |key, bytes| {
        let joined = super::pieces::joined(&db, key.as_bytes(), bytes).map_err(|e| e.to_string())?;
        Ok(vec![(key.to_string(), joined.ok_or("it is damaged")?.1)])
    });
    if let Err(fault) = copied {
        tracing::warn!(%fault, "the store's file is larger than it need be and could not be written anew");
        folder::abandon(&place.folder).map_err(|e| place.away(e))?;
        return Ok(disk);
    }
    drop(disk);
    folder::exchange(&place.folder, None).map_err(|e| place.away(e))?;
    let db = opened(place)?;
    let commit = Commit::read(&db).map_err(|e| place.away(e))?.unwrap_or(commit);
    let after = db.size_on_disk().unwrap_or(0);
    db.insert(FRESH_KEY, &after.to_le_bytes()).map_err(|e| place.away(e))?;
    tracing::info!(before = size, after, "the store's file was written anew");
    Disk::over(db, &place.folder, commit).map_err(|e| place.away(e))
}

/// Copies every record, as `change` gives it, into a fresh folder beside this one: every other one first, and then those between.
/// sled splits a leaf that is full in the middle, so that records which come in order leave half of each leaf empty, written several
/// times over: a file 2.8 times its records, and 1.9 times in this way.
fn copy(place: &Place, from: &sled::Db, commit: Commit, change: &Rise) -> Result<Tally, Fault> {
    let new = folder::fresh(&place.folder).map_err(|e| place.away(e))?;
    let db = folder::open(&new).map_err(|e| place.away(e))?;
    let mut disk = begin(place, db, &new, commit.store, commit.steady)?;
    let mut writes: Writes = BTreeMap::new();
    let halves = [0, 1].into_iter().flat_map(|first| from.iter().skip(first).step_by(2));
    for entry in halves {
        let (key, bytes) = entry.map_err(|e| unread(place, e))?;
        if key.first() == Some(&OURS) {
            continue;
        }
        let key = String::from_utf8_lossy(&key);
        let changed = change(&key, &bytes).map_err(|e| place.refused(format!("damaged: {key}: {e}")))?;
        writes.extend(changed.into_iter().map(|(key, value)| (key, Some(value))));
        if writes.len() >= COPIED {
            disk.apply(&std::mem::take(&mut writes), commit.steady).map_err(|e| place.away(e))?;
        }
    }
    // It ends as the commit that it is a copy of, so that the mark fits before and after the exchange.
    disk.commit.tally.commit = commit.tally.commit.saturating_sub(1);
    disk.apply(&writes, commit.steady).and_then(|()| disk.sync()).map_err(|e| place.away(e))?;
    Ok(disk.commit.tally)
}

/// A store of layout 1 is copied, record by record, into one of this layout; the former is kept.
fn rise_from_1(place: &Place, db: sled::Db, store: Uuid, clock: &Clock, rise: &Rise) -> Result<Disk, Fault> {
    let highest = db.get(TIME_OF_LAYOUT_1).map_err(|e| unread(place, e))?;
    let highest = highest.and_then(|bytes| bytes.as_ref().try_into().ok()).map(i64::from_be_bytes);
    // Waits of layout 1 were kept by the wall clock: its steady time goes on from the highest it saw.
    let steady = Steady(highest.unwrap_or_else(|| clock.wall().0));
    Mark::make(&place.mark, Marked { store, tally: Tally::default() }).map_err(|e| place.away(e))?;
    copy(place, &db, Commit { store, tally: Tally::default(), steady }, rise)?;
    drop(db);
    folder::exchange(&place.folder, Some(KEPT)).map_err(|e| place.away(e))?;
    tracing::info!(kept = %folder::beside(&place.folder, KEPT).display(), "the store was brought to layout {LAYOUT}; the former one is kept");
    let db = opened(place)?;
    let commit = Commit::read(&db).map_err(|e| place.away(e))?;
    let commit = commit.ok_or_else(|| place.refused("damaged: it does not say how far it has come"))?;
    let mut disk = Disk::over(db, &place.folder, commit).map_err(|e| place.away(e))?;
    mark_it(place, &mut disk)?;
    Ok(disk)
}

pub(super) fn check(place: &Place) -> Result<Checked, Fault> {
    let (marked, mark_why) = match marked(place) {
        Ok(None) => (None, Some(format!("its mark {} is gone", place.mark.display()))),
        Ok(marked) => (marked, None),
        Err(Fault::Refused(text)) => (None, Some(text)),
        Err(fault) => return Err(fault),
    };
    let expected = marked.map(|m| m.tally.commit);
    let nothing = |why: String| Checked {
        ok: false,
        store: marked.map_or_else(|| place.folder.display().to_string(), |m| m.store.to_string()),
        commit: None,
        expected,
        records: 0,
        missing: marked.map_or(0, |m| m.tally.count),
        damaged: Vec::new(),
        why: Some(why),
    };
    if !folder::is_store(&place.folder) {
        let commit = Some(0).filter(|_| marked.is_some());
        return Ok(Checked { commit, ..nothing(place.named("gone: there is nothing")) });
    }
    let looked = opened(place).and_then(|db| Ok((layout(place, &db)?, look(place, &db)?)));
    let looked = match looked {
        Ok((Some(found), _)) if found > LAYOUT => return Err(Fault::Newer { found, known: LAYOUT }),
        looked => looked,
    };
    let (layout, (commit, found)) = match looked {
        Ok(looked) => looked,
        Err(Fault::Refused(text)) => return Ok(nothing(text)),
        Err(fault) => return Err(fault),
    };
    match (layout, marked) {
        (Some(1), None) => {
            return Err(place.refused("it has the layout of a former version: start the server, which brings it up"));
        }
        (Some(1), Some(_)) => return Ok(nothing(place.named(former(place)))),
        _ => {}
    }
    let other = commit.filter(|own| marked.is_some_and(|m| m.store != own.store)).map(|_| "another store".to_string());
    let why = other.or(mark_why).or_else(|| check::verdict(marked.map(|m| m.tally), commit.as_ref(), &found));
    let told = marked.map(|m| m.tally).into_iter().chain(commit.map(|c| c.tally)).max_by_key(|t| t.commit);
    Ok(Checked {
        ok: why.is_none(),
        store: commit.map_or_else(|| place.folder.display().to_string(), |c| c.store.to_string()),
        commit: Some(commit.map_or(0, |c| c.tally.commit)),
        expected,
        records: found.count,
        missing: told.map_or(0, |told| told.count.saturating_sub(found.count + found.damaged.len() as u64)),
        damaged: found.damaged,
        why,
    })
}

/// What is there counts from the next commit on: one cut off before that is refused as before. It is copied into a fresh folder: in a
/// damaged one sled may not find by its key what it still comes across, so nothing could be removed there, nor written for good.
pub(super) fn accept(place: &Place, commit: u64, clock: &Clock) -> Result<Disk, Fault> {
    folder::tidy(&place.folder, KEPT).map_err(|e| place.away(e))?;
    let marked = mark::read(&place.mark).ok().flatten();
    let db = opened(place)?;
    match layout(place, &db)? {
        Some(found) if found > LAYOUT => return Err(Fault::Newer { found, known: LAYOUT }),
        Some(1) => return Err(place.refused(former(place))),
        _ => {}
    }
    let (own, _) = look(place, &db)?;
    let last = own.map_or(0, |own| own.tally.commit);
    if last != commit {
        return Err(place.refused(format!("its last commit is {last}, not {commit}: `lanyard store check` says which")));
    }
    let commit = Commit {
        store: own.map(|own| own.store).or(marked.map(|m| m.store)).unwrap_or_else(Uuid::new_v4),
        tally: Tally { commit: last, ..Tally::default() },
        steady: own.map_or_else(|| Steady(clock.wall().0), |own| own.steady),
    };
    let mut tally = folder::quietly(|| copy(place, &db, commit, readable(&db).as_ref()))
        .unwrap_or_else(|text| Err(place.refused(format!("damaged: {text}"))))?;
    drop(db);
    folder::exchange(&place.folder, None).map_err(|e| place.away(e))?;
    // Whatever comes now is later than what was acknowledged and is lost.
    tally.commit = marked.map_or(0, |m| m.tally.commit).max(last);
    let mut disk = Disk::over(opened(place)?, &place.folder, Commit { tally, ..commit }).map_err(|e| place.away(e))?;
    disk.mark = Marking::Next(place.mark.clone());
    Ok(disk)
}

/// Leaves out what cannot be read. Of a record that is there twice the one counts that is found by its key.
fn readable(db: &sled::Db) -> Box<Rise> {
    let db = db.clone();
    Box::new(move |key, bytes| {
        let joined = |bytes: &[u8]| super::pieces::joined(&db, key.as_bytes(), bytes).map_err(|e| e.to_string());
        let found = match db.get(key).map_err(|e| e.to_string())? {
            Some(found) => joined(&found)?,
            None => None,
        };
        let found = found.map_or_else(|| joined(bytes), |found| Ok(Some(found)))?;
        Ok(found.map(|(_, value)| (key.to_string(), value)).into_iter().collect())
    })
}

/// A record's value, or up to ten keys that begin so.
pub(super) fn peek(place: &Place, key: &str) -> Result<Result<Vec<u8>, Vec<String>>, Fault> {
    if !folder::is_store(&place.folder) {
        return Err(place.away("there is nothing"));
    }
    let db = opened(place)?;
    let away = |e| unread(place, e);
    match db.get(key).map_err(away)? {
        Some(bytes) => super::value(place, &db, key.as_bytes(), &bytes).map(Ok),
        None => {
            let near = db.scan_prefix(key).keys().take(10).collect::<Result<Vec<_>, _>>().map_err(away)?;
            Ok(Err(near.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect()))
        }
    }
}

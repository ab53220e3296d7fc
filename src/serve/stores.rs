//! The store of a data folder: opened to serve from, looked at while no server runs, and taken as it is after a loss.

use super::{Folder, copied::Copied, folder, keys, options::StoreUrl};
use crate::{
    clock::Clock,
    error::Result as Done,
    fleet::{registry::presence::Presence, wipe::loss},
    http::connector::trusted_roots,
    serve::kinds,
    store::{Checked, Engine, Fault, Options, Postgres, Sled, Store, TENANT},
};
use rustls::RootCertStore;
use std::{path::Path, sync::Arc};

/// In the data folder: what was last said to be in the store.
const MARK: &str = "store.mark";
/// In the data folder from the first start on.
const CA: &str = "ca.pem";
/// sled's own words for the lock that another process has.
const LOCKED: &str = "could not acquire lock";

/// The address of the store where nothing else is said.
pub fn address(given: Option<&str>, folder: &Folder) -> String {
    given.map_or_else(|| format!("sled:{}", folder.path("store").display()), str::to_string)
}

/// Opens it to serve from, with the memory that is told of its changes.
pub(super) async fn open(
    url: &str,
    folder: &Folder,
    clock: Clock,
    roots: Arc<RootCertStore>,
) -> Result<(Store, Arc<Presence>), String> {
    let node = folder.node()?;
    let (at, name, beside) = (url.to_string(), node.clone(), folder.clone());
    // PostgreSQL's client blocks: not on the runtime's threads.
    let engine = blocking(move || -> Result<Box<dyn Engine>, String> {
        match StoreUrl::parse(&at)? {
            StoreUrl::Sled(path) => {
                if !Sled::is_there(path, &beside.path(MARK)) && beside.path(CA).exists() {
                    return Err(gone(path, &beside));
                }
                folder::make(path)?;
                let opened = Sled::open(path, &beside.path(MARK), clock, Arc::new(kinds::rise));
                opened.map(|s| Box::new(s) as _).map_err(|fault| words(path, &beside, &fault))
            }
            StoreUrl::Postgres(url) => {
                let opened = Postgres::open(url, &name, &roots, &beside.path(MARK), Arc::new(kinds::rise));
                opened.map(|s| Box::new(s) as _).map_err(|fault| away(&fault))
            }
        }
    });
    let engine = engine.await?;
    let presence = Arc::new(Presence::new(engine.shared()));
    Ok((start(engine, node, presence.clone()), presence))
}

fn start(engine: Box<dyn Engine>, node: String, observer: Arc<Presence>) -> Store {
    // A system without randomness cannot serve: better to stop than to hand out guessable secrets.
    let fill = Arc::new(|bytes: &mut [u8]| {
        if openssl::rand::rand_bytes(bytes).is_err() {
            std::process::abort();
        }
    });
    Store::start(engine, Options { node, fill, observer })
}

/// What is in the store, and whether that is what was acknowledged. For a server that is stopped.
pub async fn check(url: &str, folder: &Folder) -> Result<Checked, String> {
    let (at, beside) = (url.to_string(), folder.clone());
    blocking(move || match StoreUrl::parse(&at)? {
        StoreUrl::Sled(path) => Sled::check(path, &beside.path(MARK)).map_err(|fault| words(path, &beside, &fault)),
        StoreUrl::Postgres(url) => Postgres::check(url, &roots()?, &beside.path(MARK)).map_err(|fault| away(&fault)),
    })
    .await
}

/// What a start would find.
pub(super) struct Looked {
    pub(super) text: String,
    pub(super) ca: keys::Kept,
}

/// What a start would find in the store, and do with it. Nothing is made, brought up or taken; one that a server holds is left alone.
pub(super) async fn look(url: &str, folder: &Folder, roots: Arc<RootCertStore>) -> Result<Looked, String> {
    let (at, beside) = (url.to_string(), folder.clone());
    blocking(move || match StoreUrl::parse(&at)? {
        StoreUrl::Sled(path) => look_at_sled(path, &beside),
        StoreUrl::Postgres(url) => look_at_postgres(url, &roots, &beside.path(MARK)),
    })
    .await
}

/// What is said where there is nothing to be read yet.
fn unread(text: &str) -> Looked {
    Looked { text: text.into(), ca: keys::Kept::Unread }
}

const RISES: &str = "of the layout of a former version: a start brings it up, and keeps a copy";
const FRESH: &str = "a new one would be made";

fn look_at_sled(path: &Path, folder: &Folder) -> Result<Looked, String> {
    let mark = folder.path(MARK);
    if !Sled::is_there(path, &mark) {
        if folder.path(CA).exists() {
            return Err(gone(path, folder));
        }
        folder::writable(path)?;
        return Ok(Looked { text: FRESH.into(), ca: keys::Kept::None });
    }
    match (is_held(&path.join("db"))?, folder.server()) {
        (true, Some(pid)) => return Ok(unread(&format!("process {pid} serves from it, so it was not read"))),
        (true, None) => return Err(format!("store {}: another server uses it; only one can", path.display())),
        (false, _) => {}
    }
    if path.with_extension("new").exists() {
        return Ok(unread("writing it anew was cut off: a start ends that first, so it was not read"));
    }
    folder::writable(path)?;
    let copy = Copied::of(path, &mark).map_err(|e| format!("store {}: {e}", path.display()))?;
    let named = |text: &str| copy.named(text, path, &mark);
    let checked = match Sled::check(&copy.store(), &copy.mark()) {
        Ok(checked) => checked,
        Err(fault) if is_former(&fault) => return Ok(unread(RISES)),
        Err(fault) => return Err(named(&fault.to_string())),
    };
    // A first start that was cut off.
    if checked.expected == Some(0) && checked.records == 0 {
        return Ok(Looked { text: FRESH.into(), ca: keys::Kept::None });
    }
    found(checked, || Sled::peek(&copy.store(), &ca_key())).map_err(|why| named(&why))
}

fn look_at_postgres(url: &str, roots: &Arc<RootCertStore>, mark: &Path) -> Result<Looked, String> {
    let checked = match Postgres::check(url, roots, mark) {
        Ok(checked) => checked,
        Err(fault) if is_former(&fault) && !mark.exists() => return Ok(unread(RISES)),
        Err(fault) => return Err(format!("store: {fault}")),
    };
    if checked.ok && checked.records == 0 {
        return Ok(Looked { text: FRESH.into(), ca: keys::Kept::None });
    }
    found(checked, || Postgres::peek(url, roots, &ca_key())).map_err(|why| format!("store: {why}"))
}

/// A store that is there, with the CA that lies in it.
fn found(checked: Checked, ca: impl FnOnce() -> Result<Result<Vec<u8>, Vec<String>>, Fault>) -> Result<Looked, String> {
    if let Some(why) = checked.why {
        return Err(why);
    }
    let commit = checked.commit.unwrap_or_default();
    let text = format!("whole, {} records, at commit {commit}", checked.records);
    let ca = match ca().map_err(|fault| fault.to_string())? {
        Ok(bytes) => keys::Kept::Record(kinds::show(&ca_key(), &bytes).map_err(|e| e.to_string())?),
        Err(_) => keys::Kept::None,
    };
    Ok(Looked { text, ca })
}

/// Whether it is refused for nothing but that a start has to bring it up.
fn is_former(fault: &Fault) -> bool {
    matches!(fault, Fault::Refused(text) if text.contains("start the server, which brings it up"))
}

/// Whether another process has the lock of this file, which is asked for and given back at once.
fn is_held(file: &Path) -> Result<bool, String> {
    let open = match std::fs::File::open(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        opened => opened.map_err(|e| format!("{}: {e}", file.display()))?,
    };
    Ok(matches!(open.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
}

/// Takes the store as it is, up to this commit, with the emergency stop on and everything unsent held; says how much that is.
pub async fn accept_loss(url: &str, folder: &Folder, commit: u64, clock: Clock) -> Result<usize, String> {
    let checked = check(url, folder).await?;
    if checked.ok {
        return Err("nothing is missing: there is no loss to accept".into());
    }
    let (at, beside, node) = (url.to_string(), folder.clone(), folder.node()?);
    let name = node.clone();
    let engine = blocking(move || -> Result<Box<dyn Engine>, String> {
        let (mark, rise) = (beside.path(MARK), Arc::new(kinds::rise));
        match StoreUrl::parse(&at)? {
            StoreUrl::Sled(path) => {
                let opened = has_ca(path).and_then(|()| Sled::accept(path, &mark, commit, clock, rise));
                opened.map(|s| Box::new(s) as _).map_err(|fault| words(path, &beside, &fault))
            }
            StoreUrl::Postgres(url) => {
                let roots = roots()?;
                let opened = Postgres::peek(url, &roots, &ca_key())
                    .and_then(|found| is_ca(found).map_err(Fault::Refused))
                    .and_then(|()| Postgres::accept(url, &name, &roots, &mark, commit));
                opened.map(|s| Box::new(s) as _).map_err(|fault| away(&fault))
            }
        }
    });
    let store = start(engine.await?, node, Arc::new(Presence::new(false)));
    let held: Done<usize> = store.run(move |tx| loss::accept(tx, &checked, commit)).await;
    blocking(move || {
        store.close();
        Ok(())
    })
    .await?;
    held.map_err(|e| e.cause())
}

/// One record under its key, as JSON.
pub async fn show(url: &str, folder: &Folder, key: &str) -> Result<serde_json::Value, String> {
    let (at, beside, key) = (url.to_string(), folder.clone(), key.to_string());
    blocking(move || match StoreUrl::parse(&at)? {
        StoreUrl::Sled(path) => {
            let found = Sled::peek(path, &key).map_err(|fault| words(path, &beside, &fault))?;
            shown(&key, &found.map_err(|near| no_such(&key, &near))?)
        }
        StoreUrl::Postgres(url) => {
            let found = Postgres::peek(url, &roots()?, &key).map_err(|fault| away(&fault))?;
            shown(&key, &found.map_err(|near| no_such(&key, &near))?)
        }
    })
    .await
}

fn shown(key: &str, bytes: &[u8]) -> Result<serde_json::Value, String> {
    let record = kinds::show(key, bytes).map_err(|e| e.to_string())?;
    Ok(serde_json::json!({"key": key, "bytes": bytes.len(), "record": record}))
}

/// The system's, for verbs that know no `--trust`.
fn roots() -> Result<Arc<RootCertStore>, String> {
    trusted_roots(&[]).map_err(|e| e.to_string())
}

/// Whether a store holds what all devices are known by: one that lost it must not be gone on with, or a new CA would be made.
fn has_ca(path: &Path) -> Result<(), Fault> {
    is_ca(Sled::peek(path, &ca_key())?).map_err(|text| Fault::Refused(format!("store {}: {text}", path.display())))
}

fn ca_key() -> String {
    format!("{TENANT}/{}/", keys::CA)
}

fn is_ca(found: Result<Vec<u8>, Vec<String>>) -> Result<(), String> {
    let whole = found.is_ok_and(|bytes| kinds::show(&ca_key(), &bytes).is_ok());
    whole.then_some(()).ok_or("the device CA is not in it, so no device could be known again: put a backup back".into())
}

fn no_such(key: &str, near: &[String]) -> String {
    match near {
        [] => format!("there is no record {key:?}; a key is tenant/kind/name, such as default/device/ID"),
        near => format!("there is no record {key:?}; there are {}", near.join(", ")),
    }
}

/// Waits for work that blocks.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|e| e.to_string())?
}

/// Neither store nor mark, in a folder that a server had: a new CA beside the old one would be no help to any device.
fn gone(path: &Path, folder: &Folder) -> String {
    format!(
        "store {}: gone, and its mark with it, though {} says that a server was here: put both back, or begin with an empty data folder",
        path.display(),
        folder.path(CA).display()
    )
}

/// What went wrong with a database, for the operator: the cause first.
fn away(fault: &Fault) -> String {
    format!("store: {}", fault.cause())
}

/// The same of an embedded store.
fn words(path: &Path, beside: &Folder, fault: &Fault) -> String {
    let text = fault.cause();
    if !text.contains(LOCKED) {
        return text;
    }
    let who = beside.server().map(|pid| format!(" (process {pid})")).unwrap_or_default();
    format!("store {}: another server{who} uses it; only one can", path.display())
}

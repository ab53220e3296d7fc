//! The master key and the device CA. The CA is made in the store by one atomic step, whoever comes first.

use super::Folder;
use crate::{
    ids::{hex, hexed, unhex},
    store::{Kind, Record, Store, Tx},
};
use lanyard_certs::{Authority, ca::Material, seal::MasterKey};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use std::path::Path;
use time::OffsetDateTime;

const LABEL: &str = "device CA";
/// Its kind of record: there is one.
pub(super) const CA: &str = "ca";

/// The CA's keys and certificates, sealed.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct SealedCa {
    #[serde(with = "hexed")]
    sealed: String,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 1] = [Kind::of::<SealedCa>()];

impl Record for SealedCa {
    const KIND: &'static str = CA;
    fn key(&self) -> String {
        String::new()
    }
}

/// Opens the CA of the store with the master key; makes both at the first start of a new store. A fresh folder on a store
/// that has keys makes no master key of its own, and says which one is wanted.
pub(super) async fn open(
    store: &Store,
    folder: &Folder,
    file: Option<&Path>,
    now: OffsetDateTime,
) -> Result<(MasterKey, Authority), String> {
    let kept = store.run(|tx| Ok(tx.get::<SealedCa>("")?)).await.map_err(|e| e.cause())?;
    let key = match (given_key(folder, file)?, &kept) {
        (Some(key), _) => key,
        (None, Some(kept)) => {
            return Err(format!("no master key is here; the store wants the one with id {}", wanted(kept)));
        }
        (None, None) => {
            let key = MasterKey::generate().map_err(|e| e.to_string())?;
            folder.write("master.key", &format!("{}\n", key.to_line().expose_secret()), true)?;
            key
        }
    };
    let kept = match kept {
        Some(kept) => kept,
        None => first(store, &key, now).await?,
    };
    let bytes = unhex(&kept.sealed).ok_or("the CA in the store cannot be read")?;
    let open = key.open(LABEL, &bytes).map_err(|e| e.to_string())?;
    let material = Material::from_bytes(open.expose_secret()).map_err(|e| e.to_string())?;
    Ok((key, Authority::open(&material).map_err(|e| e.to_string())?))
}

/// What is known of the CA in a store.
pub(super) enum Kept {
    /// There is none: it would be made.
    None,
    /// As `store show` shows it.
    Record(serde_json::Value),
    /// The store was not read.
    Unread,
}

/// Whether a start would come by the master key that the store wants. Makes none.
pub(super) fn look(kept: &Kept, folder: &Folder, file: Option<&Path>) -> Result<String, String> {
    let kept = match kept {
        Kept::Record(record) => {
            let read = serde_json::from_value::<SealedCa>(record.clone());
            Ok(read.map_err(|_| "the CA in the store cannot be read")?)
        }
        Kept::None => Err(", which the new store would take"),
        Kept::Unread => Err("; whether the store wants it was not looked at"),
    };
    match (given_key(folder, file)?, kept) {
        (Some(key), Ok(kept)) => {
            let bytes = unhex(&kept.sealed).ok_or("the CA in the store cannot be read")?;
            let open = key.open(LABEL, &bytes).map_err(|e| e.to_string())?;
            let material = Material::from_bytes(open.expose_secret()).map_err(|e| e.to_string())?;
            Authority::open(&material).map_err(|e| e.to_string())?;
            Ok(format!("the one with id {}, which opens the device CA", key.id()))
        }
        (Some(key), Err(unsure)) => Ok(format!("the one with id {}{unsure}", key.id())),
        (None, Ok(kept)) => Err(format!("no master key is here; the store wants the one with id {}", wanted(&kept))),
        (None, Err(_)) => Ok("none is here: one would be made for a new store, and asked for by any other".into()),
    }
}

fn wanted(kept: &SealedCa) -> String {
    unhex(&kept.sealed).and_then(|bytes| MasterKey::wanted_by(&bytes)).unwrap_or_else(|| "unknown".into())
}

fn given_key(folder: &Folder, file: Option<&Path>) -> Result<Option<MasterKey>, String> {
    let (place, line) = match (file, std::env::var("LANYARD_MASTER_KEY").ok().filter(|v| !v.is_empty())) {
        (Some(path), _) => {
            let place = format!("--master-key {}", path.display());
            let line = std::fs::read_to_string(path).map_err(|e| format!("{place}: {e}"))?;
            (place, Some(line))
        }
        (None, Some(line)) => ("LANYARD_MASTER_KEY".to_string(), Some(line)),
        (None, None) => (folder.path("master.key").display().to_string(), folder.read("master.key")?),
    };
    line.map(|line| MasterKey::parse(line.trim()).map_err(|e| format!("{place}: {e}"))).transpose()
}

/// Makes a CA and puts it into the store unless another node was faster; returns the one that counts.
async fn first(store: &Store, key: &MasterKey, now: OffsetDateTime) -> Result<SealedCa, String> {
    let mut seed = [0; 32];
    openssl::rand::rand_bytes(&mut seed).map_err(|e| e.to_string())?;
    let material = Authority::create(now, &seed).and_then(|ca| ca.material()).map_err(|e| e.to_string())?;
    let bytes = material.to_bytes().map_err(|e| e.to_string())?;
    let sealed = key.seal(LABEL, bytes.expose_secret()).map_err(|e| e.to_string())?;
    let mine = SealedCa { sealed: hex(&sealed) };
    let put = move |tx: &mut Tx<'_>| {
        if let Some(before) = tx.get::<SealedCa>("")? {
            return Ok(before);
        }
        tx.put(&mine)?;
        Ok(mine)
    };
    store.run(put).await.map_err(|e| e.cause())
}

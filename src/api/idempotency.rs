//! `Idempotency-Key`: a call repeated under its key by the same person answers what the first one answered, for a day.
//! The answer is kept in the act's own transaction, sealed: it may hold a token that is shown this once.

use super::{call::Call, problem::Problem};
use crate::{
    clock::Steady,
    documents::IDEMPOTENCY_KEY,
    error::{Error, Result},
    ids::{digest, hexed},
    store::{Kind, Record, Tx},
};
use axum::http::{Method, StatusCode, request::Parts};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const KEPT: Duration = Duration::from_secs(24 * 3600);
const LABEL: &str = "idempotent answer";
/// Records removed in one call.
const SWEEP: usize = 500;

#[derive(Debug, Serialize, Deserialize)]
struct Answered {
    /// Digest of person and key.
    #[serde(with = "hexed")]
    who: String,
    /// Digest of what was asked.
    #[serde(with = "hexed")]
    what: String,
    at: Steady,
    status: u16,
    #[serde(with = "hexed")]
    sealed: String,
}

/// Answers by age, to remove them.
#[derive(Debug, Serialize, Deserialize)]
struct Age {
    at: Steady,
    #[serde(with = "hexed")]
    who: String,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 2] = [Kind::of::<Answered>(), Kind::of::<Age>()];

impl Record for Answered {
    const KIND: &'static str = "answered";
    fn key(&self) -> String {
        self.who.clone()
    }
}
impl Record for Age {
    const KIND: &'static str = "answered-at";
    fn key(&self) -> String {
        format!("{:016x}/{}", self.at.0.max(0), self.who)
    }
}

/// The key of a call, with the digest of what it asks.
pub(super) struct Key {
    key: String,
    what: String,
}

/// Reads the header, where the call acts and has one.
pub(super) fn key(parts: &Parts, body: &[u8], act: bool) -> std::result::Result<Option<Key>, Problem> {
    let Some(value) = parts.headers.get(IDEMPOTENCY_KEY).filter(|_| act && parts.method == Method::POST) else {
        return Ok(None);
    };
    let key = value.to_str().ok().filter(|k| !k.is_empty() && k.len() <= 200).ok_or_else(|| {
        Problem::new(StatusCode::BAD_REQUEST, "idempotency_key", "1 to 200 printable characters are needed")
    })?;
    let mut asked = format!("{} {}\n", parts.method, parts.uri).into_bytes();
    asked.extend_from_slice(body);
    Ok(Some(Key { key: key.to_string(), what: digest(&asked) }))
}

/// Carries out the work, or answers what it answered before.
pub(super) fn once(
    tx: &mut Tx<'_>,
    call: &Call,
    key: &Key,
    work: impl FnOnce(&mut Tx<'_>, &Call) -> Result<(StatusCode, Vec<u8>)>,
) -> Result<(StatusCode, Vec<u8>)> {
    let who = digest(format!("{}\n{}", call.actor.id, key.key).as_bytes());
    let before = tx.get::<Answered>(&who)?.filter(|a| tx.steady().since(a.at) < KEPT);
    if let Some(before) = before {
        if before.what != key.what {
            return Err(Error::refused("idempotency_key_reused", "the key was used for another call"));
        }
        let status = StatusCode::from_u16(before.status).map_err(|e| Error::Internal(e.to_string()))?;
        return Ok((status, call.server.unseal(LABEL, &before.sealed)?));
    }
    let (status, text) = work(tx, call)?;
    let (at, sealed) = (tx.steady(), call.server.seal(LABEL, &text)?);
    tx.put(&Age { at, who: who.clone() })?;
    tx.put(&Answered { who, what: key.what.clone(), at, status: status.as_u16(), sealed })?;
    Ok((status, text))
}

/// Removes answers that are older than a day; says whether there may be more.
pub(crate) fn tidy(tx: &mut Tx<'_>) -> Result<bool> {
    let before = tx.steady().minus(KEPT);
    let old: Vec<Age> = tx.scan::<Age>("", None, SWEEP)?.into_iter().take_while(|a| a.at <= before).collect();
    for age in &old {
        if let Some(answered) = tx.get::<Answered>(&age.who)?.filter(|a| a.at <= before) {
            tx.delete(&answered)?;
        }
        tx.delete(age)?;
    }
    Ok(old.len() == SWEEP)
}

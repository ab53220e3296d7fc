//! The store: every call is a closure over a [`Tx`], run one after another by one writer thread, answered once it is durable.
//!
//! The domain's words (`take_next`, `settle`, …) are functions over a `Tx` in the registry, the queue and the wipe
//! breaker. They are written once; a backend is an [`Engine`] of six calls that knows keys and bytes and nothing of devices.
//! Thus no two backends can differ in what a wipe is. See docs/decisions/store.md.
//!
//! - Many calls share one commit (group commit); each has an outcome of its own, and a refused one leaves nothing behind.
//! - A reply leaves only after the commit that it rests on, reads included: what nobody could lose is all that anybody sees.
//! - Within a tenant, batches follow one another, on several nodes too (the engine's `begin` waits for its turn). So a count
//!   and the write that rests on it cannot be torn apart.

mod memory;
mod postgres;
mod sled;
mod tx;
mod writer;

pub use memory::Memory;
pub use postgres::Postgres;
pub use sled::Sled;
pub use tx::{Record, Tx};
pub use writer::{Changed, Fill, Held, Observer, Options, Store};

use crate::clock::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// The one tenant of this version. Every key begins with it.
pub const TENANT: &str = "default";

/// The layout of keys that this program writes. A store of a higher one is refused, a lower one migrated.
pub const LAYOUT: u32 = 1;

/// Something that went wrong below the domain.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Fault {
    /// More calls wait than we keep; nothing was done.
    #[error("the store is busy")]
    Busy,
    /// The store stopped or cannot be reached; whether the call was carried out may be unknown.
    #[error("the store is away: {0}")]
    Away(String),
    /// What lies in the store cannot be read.
    #[error("the record {key} cannot be read: {why}")]
    Corrupt {
        /// Its key.
        key: String,
        /// What the decoder said.
        why: String,
    },
    /// The store belongs to a newer version of the program.
    #[error("the store has layout {found}, this program knows {LAYOUT}: use the newer program")]
    Newer {
        /// The layout found.
        found: u32,
    },
}

/// Keys and values to write; `None` deletes.
pub type Writes = BTreeMap<String, Option<Vec<u8>>>;

/// Names of what changed (a device's id, or [`tx::EVERYTHING`]), for those who remember.
pub type Changes = BTreeSet<String>;

/// A backend. Called by the writer thread alone, in the order begin, get and scan, commit.
pub trait Engine: Send {
    /// Opens a batch, after waiting for that of any other node to end, and says the store's time, which never runs backwards.
    fn begin(&mut self) -> Result<Timestamp, Fault>;
    /// What other nodes changed since this was last asked. Needs no open batch.
    fn changes(&mut self) -> Result<Changes, Fault>;
    /// The value under a key.
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Fault>;
    /// Keys that begin with `prefix` and are greater than `after`, in order, at most `limit`.
    fn scan(&mut self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<(String, Vec<u8>)>, Fault>;
    /// Ends the batch. At `Ok` all of it is on disk; at `Err` nobody may be told that it is.
    fn commit(&mut self, writes: &Writes, changes: &Changes) -> Result<(), Fault>;
    /// Whether other processes write to the same store, so that `changes` has to be asked to know.
    fn shared(&self) -> bool;
}

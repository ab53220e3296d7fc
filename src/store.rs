//! The store: every call is a closure over a [`Tx`], run one after another by one writer thread, answered once it is durable.
//!
//! The domain's words (`take_next`, `settle`, …) are functions over a `Tx` in the registry, the queue and the wipe
//! breaker. They are written once; a backend is an [`Engine`] of a few calls that knows keys and bytes and nothing of devices.
//! Thus no two backends can differ in what a wipe is. See docs/decisions/store.md.
//!
//! - Many calls share one commit (group commit); each has an outcome of its own, and a refused one leaves nothing behind.
//! - A reply leaves only after the commit that it rests on, reads included: what nobody could lose is all that anybody sees.
//! - Within a tenant, batches follow one another, on several nodes too (the engine's `begin` waits for its turn). So a count
//!   and the write that rests on it cannot be torn apart. While a node waits for its turn it runs calls on what it remembers; what
//!   they came to counts where the turn shows that all they read is still so, else they are run again.
//! - What reads many records ([`Store::read`]) stands beside the writer and not in its way.

mod beside;
mod calls;
mod codec;
mod counts;
mod held;
mod kind;
mod memory;
mod postgres;
mod seldom;
mod sled;
mod time;
mod tx;
mod writer;

pub use counts::{Count, Counted};
pub use held::Held;
pub use kind::Kind;
pub use memory::Memory;
pub use postgres::Postgres;
pub use seldom::Seldom;
pub use sled::{Checked, Rise, Sled};
pub use time::{Belief, Found, Time};
pub(crate) use tx::{DISTRUSTED, EVERYTHING};
pub use tx::{Record, Tx, read_record, written};
pub use writer::{Changed, Fill, Observer, Options, Store, TENANT};

pub use crate::error::Fault;

use crate::clock::{Steady, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// The layout of keys and records that this program writes. A store of a higher one is refused, a lower one migrated.
pub const LAYOUT: u32 = 2;

/// A key and its value.
pub type Entry = (String, Vec<u8>);

/// Keys and values to write; `None` deletes.
pub type Writes = BTreeMap<String, Option<Vec<u8>>>;

/// Names of what changed (a device's id, or [`tx::EVERYTHING`]), for those who remember.
pub type Changes = BTreeSet<String>;

/// When a batch begins, by both hands of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// What the wall clock shows, right or wrong (PostgreSQL: that of the database's machine).
    pub wall: Timestamp,
    /// What has surely passed; never runs backwards.
    pub steady: Steady,
}

/// Who can read what is committed.
pub trait Reader: Send {
    /// The value under a key.
    fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>, Fault>;
    /// The values under these keys, in their order.
    fn get_many(&mut self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Fault> {
        keys.iter().map(|key| self.get(key)).collect()
    }
    /// Keys that begin with `prefix` and are greater than `after`, in order, at most `limit`.
    fn scan(&mut self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Entry>, Fault>;
}

/// Opens readers that need no turn of the writer's. Shared by all who read; keeps what can be used again.
pub trait Readers: Send + Sync {
    /// One that sees the store as of one moment. May block for as long as it takes to connect.
    fn open(&self) -> Result<Box<dyn Reader>, Fault>;
}

/// Who reads what a node remembers of the store, and nothing else.
pub trait Remembered: Reader {
    /// Whether something was asked, since this was asked last, that is not remembered.
    fn missed(&mut self) -> bool;
}

/// What can be done while another node has the turn, a little at a time; false where there is nothing to do just now.
pub type Ahead<'a> = dyn FnMut(&mut dyn Remembered, Moment) -> bool + 'a;

/// A backend. Called by the writer thread alone, in the order begin, get and scan, commit.
pub trait Engine: Reader {
    /// Opens a batch, after waiting for that of any other node to end, and says what time it is.
    fn begin(&mut self) -> Result<Moment, Fault>;
    /// The same; until the turn has come `ahead` is called, with what this node remembers of the store and the moment of its last look. True:
    /// all that was read there is still so in this batch.
    fn begin_ahead(&mut self, ahead: &mut Ahead<'_>) -> Result<(Moment, bool), Fault> {
        let _ = ahead;
        Ok((self.begin()?, false))
    }
    /// What other nodes changed since this was last asked. Needs no open batch.
    fn changes(&mut self) -> Result<Changes, Fault>;
    /// Ends the batch. At `Ok` all of it is on disk; at `Err` nobody may be told that it is: nothing of it was written
    /// ([`Fault::Busy`]), or that is not known ([`Fault::Away`]).
    fn commit(&mut self, writes: &Writes, changes: &Changes) -> Result<(), Fault>;
    /// Whether other processes write to the same store, so that `changes` has to be asked to know.
    fn shared(&self) -> bool;
    /// Readers of its own, where it can have them beside the writer; asked once, at the start. `None`: whoever reads much is
    /// served by the writer's thread, between batches and in slices.
    fn readers(&self) -> Option<std::sync::Arc<dyn Readers>> {
        None
    }
}

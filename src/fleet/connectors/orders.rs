//! What a connector is to do. One order at a time for a client; each is on record before it leaves, and a result counts once (`results.rs`).

use super::{
    CHANGED, Organisation,
    access::{Found, Wanted},
    partnerships::{self, Partnership, Told},
    under::Under,
};
use crate::{
    clock::{Steady, Timestamp},
    error::Result,
    fleet::{queue, registry::lookup::part},
    ids::packed,
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

/// Orders in one answer.
pub const MOST: usize = 100;
/// After a failure, doubled with each further one.
const PAUSE: Duration = Duration::from_secs(30);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// Characters of what Exchange said that are kept.
const WORDS: usize = 500;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// On the allowed list.
    Allow,
    /// On the blocked list.
    Block,
    /// On neither.
    Quarantine,
    /// Once; see [`Wiping`].
    Wipe {
        /// The account alone.
        account_only: bool,
        /// When it was marked as sent.
        since: Timestamp,
    },
    /// Take it back.
    Cancel,
    /// Forget the client.
    Remove,
    /// See how it stands.
    Look,
    /// Put its mailbox under a policy.
    Policy(Under),
    /// What the organisation decides of clients that no list names: for none of them.
    Access(Wanted),
}

impl What {
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Block => "block",
            Self::Quarantine => "quarantine",
            Self::Wipe { .. } => "wipe",
            Self::Cancel => "cancel",
            Self::Remove => "remove",
            Self::Look => "look",
            Self::Policy(_) => "policy",
            Self::Access(_) => "access",
        }
    }
}

/// An order that is not answered yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Order {
    pub org: String,
    pub id: Uuid,
    pub seq: u64,
    pub guid: Uuid,
    pub mailbox: Uuid,
    #[serde(with = "packed")]
    pub device_id: String,
    pub what: What,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 1] = [Kind::of::<Order>()];

impl Record for Order {
    const KIND: &'static str = "connector-order";
    fn key(&self) -> String {
        format!("{}/{}", part(&self.org), self.id)
    }
    fn subject(&self) -> Option<String> {
        Some(CHANGED.into())
    }
}

/// How an order ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It is so now.
    Done,
    /// Nothing was done: Exchange has no such client.
    Gone,
    /// Neither the client nor Exchange can.
    Cannot {
        /// The connector's code.
        code: String,
        /// In words.
        text: String,
    },
    /// It may go another time.
    Later {
        /// In words.
        text: String,
    },
}

/// Those that a connector has not heard of yet, oldest first. Under the stop no wipe is among them: its order is taken back, and made anew when
/// the stop is lifted.
pub fn after(tx: &mut Tx<'_>, org: &str, seq: u64) -> Result<Vec<Order>> {
    let mut open = tx.all::<Order>(&format!("{}/", part(org)))?;
    open.retain(|order| order.seq > seq);
    if queue::stop::is_on(tx)? {
        let (wipes, others) = open.into_iter().partition(|order| matches!(order.what, What::Wipe { .. }));
        take_back(tx, wipes)?;
        open = others;
    }
    open.sort_by_key(|order| order.seq);
    open.truncate(MOST);
    Ok(open)
}

fn take_back(tx: &mut Tx<'_>, orders: Vec<Order>) -> Result<()> {
    for order in orders {
        tx.delete(&order)?;
        let kept = tx.get::<Partnership>(partnerships::key(&order.org, order.mailbox, &order.device_id))?;
        if let Some(kept) = kept.filter(|kept| kept.order == Some(order.id)) {
            tx.put(&Partnership { order: None, ..kept })?;
        }
    }
    Ok(())
}

/// Whether an order is still to be answered. Those of connectors that were removed went with them.
pub(super) fn is_open(tx: &mut Tx<'_>, org: &str, id: Uuid) -> Result<bool> {
    Ok(tx.get::<Order>(format!("{}/{id}", part(org)))?.is_some())
}

/// An order that means nothing any more: a connector that has not heard of it does not, and what another says of it counts for nothing.
pub(super) fn withdraw(tx: &mut Tx<'_>, org: &str, id: Uuid) -> Result<()> {
    match tx.get::<Order>(format!("{}/{id}", part(org)))? {
        Some(order) => Ok(tx.delete(&order)?),
        None => Ok(()),
    }
}

/// How many are open that put a mailbox under a policy.
pub(super) fn policies(tx: &mut Tx<'_>, org: &str) -> Result<usize> {
    let open = tx.all::<Order>(&format!("{}/", part(org)))?;
    Ok(open.iter().filter(|order| matches!(order.what, What::Policy(_))).count())
}

/// All of an organisation's go.
pub(super) fn forget(tx: &mut Tx<'_>, org: &str) -> Result<()> {
    tx.all::<Order>(&format!("{}/", part(org)))?.iter().try_for_each(|order| tx.delete(order)).map_err(Into::into)
}

/// Puts an order on record.
pub(super) fn place(tx: &mut Tx<'_>, org: &mut Organisation, kept: &mut Partnership, what: What) -> Result<()> {
    kept.order = Some(for_client(tx, org, kept, what)?);
    Ok(())
}

/// Likewise, beside what is under way for the client itself; its id.
pub(super) fn for_client(tx: &mut Tx<'_>, org: &mut Organisation, kept: &Partnership, what: What) -> Result<Uuid> {
    put(tx, org, (kept.guid, kept.mailbox, kept.device_id.clone()), what)
}

/// Likewise, for the organisation.
pub(super) fn for_all(tx: &mut Tx<'_>, org: &mut Organisation, what: What) -> Result<Uuid> {
    put(tx, org, (Uuid::nil(), Uuid::nil(), String::new()), what)
}

fn put(
    tx: &mut Tx<'_>,
    org: &mut Organisation,
    (guid, mailbox, device_id): (Uuid, Uuid, String),
    what: What,
) -> Result<Uuid> {
    org.seq += 1;
    let order = Order { org: org.name.clone(), id: tx.new_id(), seq: org.seq, guid, mailbox, device_id, what };
    tx.put(&order)?;
    Ok(order.id)
}

/// After so many failures in a row.
pub(super) fn pause(failed: u32) -> Duration {
    PAUSE.saturating_mul(1 << failed.min(8)).min(LONGEST_PAUSE)
}

/// Exchange's words, as they are kept.
pub(super) fn cut(text: &str) -> String {
    text.chars().take(WORDS).collect()
}

/// What was read last, after the deed.
#[derive(Debug, Clone, Default)]
pub struct Read {
    /// The client.
    pub client: Option<Told>,
    /// The organisation.
    pub organisation: Option<Found>,
}

/// When a client is to be looked at again, whatever changes.
pub fn next_time(kept: &Partnership) -> Option<Steady> {
    match (kept.look_at, kept.not_before) {
        (Some(look), Some(pause)) => Some(look.max(pause)),
        (look, pause) => look.or(pause),
    }
}

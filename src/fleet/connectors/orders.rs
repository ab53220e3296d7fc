//! What a connector is to do, and what came of it. One order at a time for a client; each is on record before it leaves, and a result counts
//! once.

use super::{
    CHANGED, Organisation,
    partnerships::{self, Listed, Partnership, Seen, Told, Wiping},
};
use crate::{
    clock::{Steady, Timestamp},
    error::Result,
    fleet::{
        keeper,
        life::{Event, Outcome},
        queue,
        registry::{
            journal::{self, Said},
            lookup::part,
        },
        settings,
        terms::{EvidenceKind, FailureCode},
    },
    ids::packed,
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

/// Orders in one answer.
pub const MOST: usize = 100;
/// A pending wipe is looked at so often at first, and so often; then each minute for its first hour, then with each delta.
const SOON: Duration = Duration::from_secs(10);
const FIRST: u32 = 6;
const LOOK: Duration = Duration::from_secs(60);
const LOOKS: u32 = 66;
/// After a failure, doubled with each further one.
const PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// Characters of what Exchange said that are kept.
const WORDS: usize = 500;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
}

impl What {
    fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Block => "block",
            Self::Quarantine => "quarantine",
            Self::Wipe { .. } => "wipe",
            Self::Cancel => "cancel",
            Self::Remove => "remove",
            Self::Look => "look",
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

/// All of an organisation's go.
pub(super) fn forget(tx: &mut Tx<'_>, org: &str) -> Result<()> {
    tx.all::<Order>(&format!("{}/", part(org)))?.iter().try_for_each(|order| tx.delete(order)).map_err(Into::into)
}

/// Puts an order on record.
pub(super) fn place(tx: &mut Tx<'_>, org: &mut Organisation, kept: &mut Partnership, what: What) -> Result<()> {
    org.seq += 1;
    let order = Order {
        org: org.name.clone(),
        id: tx.new_id(),
        seq: org.seq,
        guid: kept.guid,
        mailbox: kept.mailbox,
        device_id: kept.device_id.clone(),
        what,
    };
    kept.order = Some(order.id);
    Ok(tx.put(&order)?)
}

/// Files what came of an order, once; `observed`: the client as it was read last.
pub fn file(tx: &mut Tx<'_>, org: &Organisation, id: Uuid, ended: Ended, observed: Option<&Told>) -> Result<()> {
    let Some(order) = tx.get::<Order>(format!("{}/{id}", part(&org.name)))? else { return Ok(()) };
    tx.delete(&order)?;
    let key = partnerships::key(&org.name, order.mailbox, &order.device_id);
    let Some(mut kept) = tx.get::<Partnership>(&key)? else { return Ok(()) };
    if kept.order == Some(id) {
        kept.order = None;
    }
    match ended {
        Ended::Done => done(tx, &mut kept, order.what)?,
        Ended::Gone => gone(tx, &mut kept, order.what)?,
        Ended::Cannot { code, text } => {
            said(tx, &kept, order.what, &text)?;
            cannot(tx, &mut kept, order.what, code, text)?;
        }
        Ended::Later { text } => {
            said(tx, &kept, order.what, &text)?;
            let pause = PAUSE.saturating_mul(1 << kept.failed.min(8)).min(LONGEST_PAUSE);
            (kept.failed, kept.not_before) = (kept.failed.saturating_add(1), Some(tx.steady().plus(pause)));
        }
    }
    kept.written = Some(tx.now());
    tx.put(&kept)?;
    match observed {
        // It speaks of the client that the order was for, or of none.
        Some(told) if !kept.gone && (told.mailbox, &told.device_id) == (order.mailbox, &order.device_id) => {
            let seen = Seen { run: None, read: tx.now() };
            partnerships::note(tx, org, told, seen)
        }
        _ => Ok(()),
    }
}

/// Among the device's events: what Exchange did not do, and why.
fn said(tx: &mut Tx<'_>, kept: &Partnership, what: What, text: &str) -> Result<()> {
    let Some(device) = partnerships::owner(tx, kept)? else { return Ok(()) };
    let text: String = text.chars().take(WORDS).collect();
    journal::note(tx, device.id, [Said::Alert { kind: "exchange".into(), text: format!("{}: {text}", what.as_str()) }])
}

fn done(tx: &mut Tx<'_>, kept: &mut Partnership, what: What) -> Result<()> {
    (kept.failed, kept.not_before) = (0, None);
    let put_on = |kept: &mut Partnership, listed| (kept.wrote, kept.listed) = (Some(listed), Some(listed));
    match what {
        What::Allow => put_on(kept, Listed::Allowed),
        What::Quarantine => put_on(kept, Listed::Neither),
        What::Block => {
            put_on(kept, Listed::Blocked);
            closed(tx, kept)?;
        }
        What::Wipe { .. } => {
            if let Some(wiping) = &mut kept.wiping {
                wiping.taken = true;
            }
            // Taken off the blocked list for it.
            kept.wrote = kept.wrote.filter(|wrote| *wrote != Listed::Blocked);
            (kept.looks, kept.look_at) = (0, Some(next_look(tx, 0)?));
        }
        What::Cancel => kept.wiping = None,
        What::Remove => kept.gone = true,
        What::Look => {
            kept.looks = kept.looks.saturating_add(1);
            kept.look_at = if kept.wiping.is_some() { Some(next_look(tx, kept.looks)?) } else { None };
            answered(tx, kept)?;
        }
    }
    Ok(())
}

fn next_look(tx: &mut Tx<'_>, looks: u32) -> Result<Steady> {
    let pause = match looks {
        ..FIRST => SOON,
        FIRST..LOOKS => LOOK,
        _ => settings::span(tx, "exchange.delta_every")?.max(LOOK),
    };
    Ok(tx.steady().plus(pause))
}

/// Mail was shut by a wipe that another channel carries: its evidence says so.
fn closed(tx: &mut Tx<'_>, kept: &Partnership) -> Result<()> {
    let Some(device) = partnerships::owner(tx, kept)? else { return Ok(()) };
    let mut device = keeper::load(tx, device)?;
    keeper::happen(tx, &mut device, Event::MailClosed { enrolment: kept.enrolment }).map(drop)
}

/// Who wanted to know how it stands is answered.
fn answered(tx: &mut Tx<'_>, kept: &mut Partnership) -> Result<()> {
    let Some(command) = kept.asked.take() else { return Ok(()) };
    let Some(device) = partnerships::owner(tx, kept)? else { return Ok(()) };
    let mut device = keeper::load(tx, device)?;
    let outcome = Outcome::Done { kind: EvidenceKind::Seen, detail: "Exchange was asked".into() };
    queue::settle(tx, &mut device, kept.enrolment, command, outcome).map(drop)
}

fn gone(tx: &mut Tx<'_>, kept: &mut Partnership, what: What) -> Result<()> {
    if let (What::Wipe { .. }, Some(_)) = (what, &kept.wiping) {
        let text = "Exchange has no such partnership any more: nothing was wiped through it".to_string();
        failed(tx, kept, FailureCode::DeviceGone, text)?;
    }
    partnerships::vanished(tx, kept)
}

fn cannot(tx: &mut Tx<'_>, kept: &mut Partnership, what: What, code: String, text: String) -> Result<()> {
    let text: String = text.chars().take(WORDS).collect();
    match what {
        What::Wipe { .. } => failed(tx, kept, FailureCode::Protocol(code), text)?,
        // It is over, and the wipe with it or not: what Exchange says of that is looked at.
        What::Cancel => kept.wiping = None,
        // As far as it can be said it is so.
        What::Quarantine => kept.wrote = Some(Listed::Neither),
        What::Allow | What::Block | What::Remove | What::Look => {
            (kept.failed, kept.not_before) = (kept.failed.saturating_add(1), Some(tx.steady().plus(LONGEST_PAUSE)));
        }
    }
    Ok(())
}

fn failed(tx: &mut Tx<'_>, kept: &mut Partnership, code: FailureCode, text: String) -> Result<()> {
    let Some(Wiping { command, .. }) = kept.wiping.take() else { return Ok(()) };
    let Some(device) = partnerships::owner(tx, kept)? else { return Ok(()) };
    let mut device = keeper::load(tx, device)?;
    queue::settle(tx, &mut device, kept.enrolment, command, Outcome::Failed { code, text }).map(drop)
}

/// When a client is to be looked at again, whatever changes.
pub fn next_time(kept: &Partnership) -> Option<Steady> {
    match (kept.look_at, kept.not_before) {
        (Some(look), Some(pause)) => Some(look.max(pause)),
        (look, pause) => look.or(pause),
    }
}

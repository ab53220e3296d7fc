//! Mailboxes of Exchange, and the mailbox policy that each is under. What a mailbox is to be under follows from the policies of all devices
//! that have a client of it: Exchange knows one policy for a mailbox, so the strictest of them all. It is computed with each look, like
//! all that a connector is asked for, and never kept.

use super::{
    Organisation,
    orders::{self, Ended, Order, What},
    partnerships::{self, PARTNERSHIP, Partnership, Seen},
    under::{Assigned, Rules, Under},
    written,
};
use crate::{
    clock::{Steady, Timestamp},
    error::Result,
    fleet::{
        audit::{self, By, Drifted, Event},
        policies,
        registry::lookup::part,
    },
    ids::{DeviceId, packed},
    policy::PartContent,
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use uuid::Uuid;

/// So many mailboxes are put under policies at a time: a decision on a client waits behind no more.
const AT_ONCE: usize = 100;
/// The others are looked at again so soon.
const AGAIN: Duration = Duration::from_secs(10);

/// How a channel says what mail clients are to keep to; none: nothing is asked for.
pub type Spell<'a> = &'a dyn Fn(&[PartContent]) -> Option<Rules>;

/// What is kept of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Mailbox {
    pub org: String,
    pub mailbox: Uuid,
    /// A client of it: by which it was reported, or asked for, last.
    #[serde(with = "packed")]
    pub device_id: String,
    pub assigned: Assigned,
    /// The policy of ours under which we put it, and Exchange said so.
    pub wrote: Option<String>,
    /// Under which it was before ours.
    pub before: Option<Assigned>,
    pub order: Option<Uuid>,
    /// It was found under another than we put it, and that is on record.
    pub drifted: bool,
    pub failed: u32,
    pub not_before: Option<Steady>,
    pub error: Option<String>,
    /// When the last order for it ended: what was read before tells nothing.
    pub written: Option<Timestamp>,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 1] = [Kind::of::<Mailbox>()];

impl Record for Mailbox {
    const KIND: &'static str = "exchange-mailbox";
    fn key(&self) -> String {
        key(&self.org, self.mailbox)
    }
    fn subject(&self) -> Option<String> {
        Some(format!("{PARTNERSHIP}{}", partnerships::key(&self.org, self.mailbox, &self.device_id)))
    }
}

fn key(org: &str, mailbox: Uuid) -> String {
    format!("{}/{mailbox}", part(org))
}

/// What one look at many clients has read already.
pub struct Look<'a> {
    spell: Spell<'a>,
    assigned: Option<policies::Assigned>,
    /// Policies of ours that say something else in Exchange than they are to.
    broken: Option<BTreeSet<String>>,
    seen: BTreeSet<Uuid>,
    /// Orders for mailboxes that are open.
    open: Option<usize>,
}

impl<'a> Look<'a> {
    /// With the channel's words.
    pub fn new(spell: Spell<'a>) -> Self {
        Self { spell, assigned: None, broken: None, seen: BTreeSet::new(), open: None }
    }

    fn is_full(&mut self, tx: &mut Tx<'_>, org: &str) -> Result<bool> {
        if self.open.is_none() {
            self.open = Some(orders::policies(tx, org)?);
        }
        Ok(self.open >= Some(AT_ONCE))
    }

    fn is_broken(&mut self, tx: &mut Tx<'_>, org: &str, name: &str) -> Result<bool> {
        if self.broken.is_none() {
            self.broken = Some(written::broken(tx, org)?);
        }
        Ok(self.broken.as_ref().is_some_and(|broken| broken.contains(name)))
    }

    /// What a mailbox is to be under; `None`: it is left as it is, as nobody syncs it, or a wipe of one of its clients is open, which a new rule
    /// might keep waiting for its user.
    fn wanted(&mut self, tx: &mut Tx<'_>, org: &str, mailbox: Uuid) -> Result<Option<Option<Rules>>> {
        let clients = tx.all::<Partnership>(&format!("{}/", key(org, mailbox)))?;
        let (mut contents, mut lives) = (Vec::new(), false);
        for client in clients.iter().filter(|client| !client.gone) {
            let Some(device) = partnerships::owner(tx, client)? else { continue };
            if client.wiping.is_some() {
                return Ok(None);
            }
            // One that a wipe ended stays shut, and concerns nobody else of its mailbox any more.
            if !device.enrolment(client.enrolment).is_some_and(|mine| mine.is_live()) {
                continue;
            }
            if device.mail_shut.is_some() {
                return Ok(None);
            }
            lives = true;
            if self.assigned.is_none() {
                self.assigned = Some(policies::Assigned::load(tx)?);
            }
            let document = self.assigned.as_ref().and_then(|assigned| assigned.mail_document(&device));
            contents.extend(document.map(|document| document.content));
        }
        Ok(lives.then(|| (self.spell)(&contents)))
    }
}

/// Files under which policy a mailbox was found.
pub(super) fn note(
    tx: &mut Tx<'_>,
    client: &Partnership,
    device: DeviceId,
    assigned: Option<&Assigned>,
    seen: Seen,
) -> Result<()> {
    let Some(assigned) = assigned else { return Ok(()) };
    let known = tx.get::<Mailbox>(key(&client.org, client.mailbox))?;
    let mut kept = known.clone().unwrap_or_else(|| Mailbox::new(client, assigned.clone()));
    if kept.order.is_some() || kept.written.is_some_and(|written| seen.read < written) {
        return Ok(());
    }
    kept.assigned = assigned.clone();
    let away = kept.wrote.as_ref().is_some_and(|wrote| !kept.is_under(wrote));
    if away && !kept.drifted {
        let event = Event::ExchangeDrift(Drifted::Client { enrolment: client.enrolment, device });
        audit::note(tx, By::System, event)?;
        partnerships::count_drift(tx, &client.org)?;
    }
    kept.drifted = away;
    if known.as_ref() != Some(&kept) {
        tx.put(&kept)?;
    }
    Ok(())
}

/// Puts on record what a client's mailbox lacks; when it is due by itself. The first whole report comes before anything is written.
pub(super) fn look(
    tx: &mut Tx<'_>,
    org: &mut Organisation,
    client: &Partnership,
    look: &mut Look<'_>,
) -> Result<Option<Steady>> {
    if client.gone || !org.settings() || org.last_full.is_none() || !look.seen.insert(client.mailbox) {
        return Ok(None);
    }
    let Some(mut kept) = tx.get::<Mailbox>(key(&client.org, client.mailbox))? else { return Ok(None) };
    let before = kept.clone();
    if let Some(order) = kept.order
        && !orders::is_open(tx, &kept.org, order)?
    {
        kept.order = None;
    }
    if kept.order.is_some() {
        return Ok(None);
    }
    let now = tx.steady();
    if let Some(pause) = kept.not_before.filter(|at| *at > now) {
        return Ok(Some(pause));
    }
    if look.is_full(tx, &kept.org)? {
        return Ok(Some(now.plus(AGAIN)));
    }
    if let Some(under) = lacks(tx, &mut kept, look)? {
        look.open = look.open.map(|open| open + 1);
        kept.device_id.clone_from(&client.device_id);
        kept.order = Some(orders::for_client(tx, org, client, What::Policy(under))?);
    }
    if kept != before {
        tx.put(&kept)?;
    }
    Ok(None)
}

fn lacks(tx: &mut Tx<'_>, kept: &mut Mailbox, look: &mut Look<'_>) -> Result<Option<Under>> {
    let Some(wanted) = look.wanted(tx, &kept.org, kept.mailbox)? else { return Ok(None) };
    let Some(rules) = wanted else {
        let Some(wrote) = kept.wrote.clone() else { return Ok(None) };
        if kept.is_under(&wrote) {
            return Ok(Some(Under::Former(kept.before.clone().unwrap_or(Assigned::Default))));
        }
        // Somebody has put it elsewhere already.
        (kept.wrote, kept.before, kept.drifted) = (None, None, false);
        return Ok(None);
    };
    let broken = look.is_broken(tx, &kept.org, &rules.name)?;
    if kept.wrote.as_ref() == Some(&rules.name) && kept.is_under(&rules.name) && !broken {
        return Ok(None);
    }
    if broken {
        written::mends(tx, &kept.org, &rules.name)?;
        look.broken = None;
    }
    if kept.wrote.is_none() && !kept.assigned.is_ours() {
        kept.before = Some(kept.assigned.clone());
    }
    Ok(Some(Under::Ours(rules)))
}

/// Files what came of an order.
pub(super) fn file(tx: &mut Tx<'_>, order: &Order, under: &Under, ended: &Ended) -> Result<()> {
    let Some(mut kept) = tx.get::<Mailbox>(key(&order.org, order.mailbox))? else { return Ok(()) };
    if kept.order == Some(order.id) {
        kept.order = None;
    }
    kept.written = Some(tx.now());
    match ended {
        Ended::Done => {
            (kept.failed, kept.not_before, kept.error, kept.drifted) = (0, None, None, false);
            kept.assigned = under.assigned();
            match under {
                Under::Ours(rules) => {
                    written::made(tx, &kept.org, rules)?;
                    kept.wrote = Some(rules.name.clone());
                }
                Under::Former(_) => (kept.wrote, kept.before) = (None, None),
            }
        }
        // Another client of the mailbox is asked by, where there is one.
        Ended::Gone => {}
        Ended::Cannot { text, .. } | Ended::Later { text } => {
            let pause =
                if matches!(ended, Ended::Cannot { .. }) { orders::LONGEST_PAUSE } else { orders::pause(kept.failed) };
            (kept.failed, kept.not_before) = (kept.failed.saturating_add(1), Some(tx.steady().plus(pause)));
            kept.error = Some(orders::cut(text));
        }
    }
    Ok(tx.put(&kept)?)
}

/// What mailboxes of an organisation are under policies of ours, by the policy's name; and Exchange's words on the first that cannot be.
pub fn counts(tx: &mut Tx<'_>, org: &str) -> Result<(BTreeMap<String, u64>, Option<String>)> {
    let (mut counts, mut error) = (BTreeMap::new(), None);
    for kept in tx.all::<Mailbox>(&format!("{}/", part(org)))? {
        if let Some(wrote) = kept.wrote {
            *counts.entry(wrote).or_default() += 1;
        }
        error = error.or(kept.error);
    }
    Ok((counts, error))
}

impl Mailbox {
    fn new(client: &Partnership, assigned: Assigned) -> Self {
        Self {
            org: client.org.clone(),
            mailbox: client.mailbox,
            device_id: client.device_id.clone(),
            assigned,
            wrote: None,
            before: None,
            order: None,
            drifted: false,
            failed: 0,
            not_before: None,
            error: None,
            written: None,
        }
    }

    fn is_under(&self, name: &str) -> bool {
        matches!(&self.assigned, Assigned::Named(has) if has.eq_ignore_ascii_case(name))
    }
}

//! What an Exchange organisation decides of clients that no list names: what it was last found to have, and what an administrator set here that
//! it is to have. Nothing set: it is shown, and left as it is. Set: what of it is otherwise is drift, and is repaired; what the document
//! does not speak of stays.

use super::{
    CHANGED, Organisation,
    access::{ALLOW, Document, Found, Rule, Wanted, Which, checked, differences},
    orders::{self, Ended, What},
    partnerships::{self, Listed, Partnership, Treated},
    written,
};
use crate::{
    clock::{Steady, Timestamp},
    error::{Error, Result},
    fleet::{
        actor::Actor,
        audit::{self, Event},
        registry::lookup::part,
    },
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Settings and rules.
    pub found: Found,
    /// The policies that bear a server's name, with their parameters in Exchange's words; none where they were not read.
    pub policies: Option<BTreeMap<String, BTreeMap<String, String>>>,
}

/// What is kept of an organisation's own decisions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Kept {
    pub org: String,
    pub found: Option<Found>,
    /// When it was last found so.
    pub read: Option<Timestamp>,
    pub document: Option<Document>,
    /// It was wholly in place once: what is otherwise since is drift.
    pub in_place: bool,
    /// Rules that documents of ours made.
    pub made: Vec<Which>,
    pub drifted: bool,
    pub order: Option<Uuid>,
    pub failed: u32,
    pub not_before: Option<Steady>,
    pub error: Option<String>,
    /// When the last order for it ended.
    pub written: Option<Timestamp>,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 1] = [Kind::of::<Kept>()];

impl Record for Kept {
    const KIND: &'static str = "exchange-access";
    fn key(&self) -> String {
        part(&self.org)
    }
    fn subject(&self) -> Option<String> {
        Some(CHANGED.into())
    }
}

/// What is kept of an organisation.
pub fn of(tx: &mut Tx<'_>, org: &str) -> Result<Kept> {
    Ok(tx.get::<Kept>(part(org))?.unwrap_or_else(|| Kept { org: org.into(), ..Kept::default() }))
}

/// Files a report; `read`: when it was read at the earliest, by our clock.
pub fn note(tx: &mut Tx<'_>, org: &str, told: Told, read: Timestamp) -> Result<()> {
    if let Some(policies) = told.policies {
        written::note(tx, org, &policies, read)?;
    }
    let mut kept = of(tx, org)?;
    if kept.order.is_some() || kept.written.is_some_and(|written| read < written) {
        return Ok(());
    }
    let before = kept.clone();
    kept.found = Some(told.found);
    kept.read = Some(read);
    let lacking = kept.lacking();
    let away = kept.in_place && !lacking.is_empty();
    if away && !kept.drifted {
        partnerships::altered(tx, org, &lacking.join("; "))?;
    }
    // One that was so already when it was set is in place with that.
    kept.in_place |= kept.document.is_some() && lacking.is_empty();
    kept.drifted = away;
    if (Kept { read: before.read, ..kept.clone() }) != before
        || before.read.is_none_or(|was| read.since(was).as_secs() > 60)
    {
        tx.put(&kept)?;
    }
    Ok(())
}

/// What a document would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What of Exchange's is otherwise now, in words.
    pub changes: Vec<String>,
    /// So many clients that get mail now by Exchange's default alone get none from then on.
    pub cuts: u64,
}

/// What setting this document would do.
pub fn look(tx: &mut Tx<'_>, name: &str, document: &Document) -> Result<Change> {
    let org = super::find(tx, name)?;
    let document = checked(document)?;
    let kept = of(tx, &org.name)?;
    let Some(found) = &kept.found else {
        let text = format!(
            "no connector has told yet what {} has: a connector of this version must have reported it",
            org.name
        );
        return Err(Error::refused("not_told", text));
    };
    let wanted = kept.with(&document);
    let leaves = found.default == ALLOW && document.default.as_deref().is_some_and(|default| default != ALLOW);
    let cuts = if leaves { cut_off(tx, &org.name)? } else { 0 };
    Ok(Change { changes: differences(&wanted, found), cuts })
}

/// Clients that get mail though no list and no rule lets them in.
fn cut_off(tx: &mut Tx<'_>, org: &str) -> Result<u64> {
    let by_default = |kept: &&Partnership| {
        !kept.gone && kept.treated == Treated::Allowed && kept.listed != Some(Listed::Allowed) && !kept.by_rule
    };
    Ok(tx.all::<Partnership>(&format!("{}/", part(org)))?.iter().filter(by_default).count() as u64)
}

/// Sets it. `cuts`: so many clients may be cut off by it; refused where there are more.
pub fn set(tx: &mut Tx<'_>, actor: &Actor, name: &str, document: &Document, cuts: Option<u64>) -> Result<Change> {
    actor.must_count("change what Exchange decides")?;
    let change = look(tx, name, document)?;
    if change.cuts > cuts.unwrap_or_default() {
        let text = format!(
            "leaving allow cuts off {} mobile clients at once that no list and no rule lets in: allow those that are wanted first, or say how \
             many may be cut off (--cut {})",
            change.cuts, change.cuts
        );
        return Err(Error::refused("cuts_off", text));
    }
    let org = super::find(tx, name)?;
    let mut kept = of(tx, &org.name)?;
    let document = checked(document)?;
    if kept.document.as_ref() != Some(&document) {
        let said = format!("{}; {} rules", document.default.as_deref().unwrap_or("default left"), document.rules.len());
        kept.begin(tx, Some(document))?;
        tx.put(&kept)?;
        audit::note(tx, actor, Event::ExchangeAccessSet { org: org.name, access: Some(said) })?;
    }
    Ok(change)
}

/// Leaves all to Exchange again, as it is.
pub fn release(tx: &mut Tx<'_>, actor: &Actor, name: &str) -> Result<()> {
    actor.must_count("change what Exchange decides")?;
    let org = super::find(tx, name)?;
    let mut kept = of(tx, &org.name)?;
    if kept.document.is_some() {
        kept.begin(tx, None)?;
        kept.made = Vec::new();
        tx.put(&kept)?;
        audit::note(tx, actor, Event::ExchangeAccessSet { org: org.name, access: None })?;
    }
    Ok(())
}

/// With its organisation.
pub(super) fn forget(tx: &mut Tx<'_>, org: &str) -> Result<()> {
    if let Some(kept) = tx.get::<Kept>(part(org))? {
        tx.delete(&kept)?;
    }
    Ok(())
}

/// Puts on record what an organisation lacks of its document.
pub fn due(tx: &mut Tx<'_>, org: &mut Organisation) -> Result<()> {
    if !org.settings() || org.last_full.is_none() {
        return Ok(());
    }
    let Some(mut kept) = tx.get::<Kept>(part(&org.name))?.filter(|kept| kept.document.is_some()) else { return Ok(()) };
    if let Some(order) = kept.order {
        if orders::is_open(tx, &org.name, order)? {
            return Ok(());
        }
        kept.order = None;
    }
    let now = tx.steady();
    if kept.not_before.is_some_and(|at| at > now) || kept.lacking().is_empty() {
        return Ok(());
    }
    let Some(wanted) = kept.wanted() else { return Ok(()) };
    kept.order = Some(orders::for_all(tx, org, What::Access(wanted))?);
    Ok(tx.put(&kept)?)
}

/// Files what came of an order; `told`: as it was read last.
pub(super) fn file(
    tx: &mut Tx<'_>,
    org: &str,
    id: Uuid,
    wanted: Wanted,
    ended: &Ended,
    found: Option<Found>,
) -> Result<()> {
    let mut kept = of(tx, org)?;
    if kept.order == Some(id) {
        kept.order = None;
    }
    match ended {
        Ended::Done => {
            (kept.failed, kept.not_before, kept.error, kept.drifted) = (0, None, None, false);
            kept.in_place = kept.document.as_ref() == Some(&wanted.document);
            if kept.document.is_some() {
                kept.made.retain(|which| !wanted.without.contains(which));
                let new = wanted.document.rules.into_iter().map(|rule| rule.which);
                kept.made.extend(new.collect::<Vec<_>>());
                kept.made.sort();
                kept.made.dedup();
            }
        }
        Ended::Gone | Ended::Cannot { .. } | Ended::Later { .. } => {
            let (pause, text) = match ended {
                Ended::Cannot { text, .. } => (orders::LONGEST_PAUSE, text.as_str()),
                Ended::Later { text } => (orders::pause(kept.failed), text.as_str()),
                _ => (orders::pause(kept.failed), "Exchange has no such thing"),
            };
            (kept.failed, kept.not_before) = (kept.failed.saturating_add(1), Some(tx.steady().plus(pause)));
            kept.error = Some(orders::cut(text));
        }
    }
    let now = tx.now();
    kept.written = Some(now);
    if let Some(found) = found {
        (kept.found, kept.read) = (Some(found), Some(now));
    }
    Ok(tx.put(&kept)?)
}

impl Kept {
    /// Another document, or none: what was under way for the former means nothing any more.
    fn begin(&mut self, tx: &mut Tx<'_>, document: Option<Document>) -> Result<()> {
        if let Some(order) = self.order.take() {
            orders::withdraw(tx, &self.org, order)?;
            self.written = Some(tx.now());
        }
        (self.document, self.in_place, self.drifted) = (document, false, false);
        (self.failed, self.not_before, self.error) = (0, None, None);
        Ok(())
    }

    pub(super) fn with(&self, document: &Document) -> Wanted {
        let named = |which: &Which| document.rules.iter().any(|rule| rule.which.is(which));
        let without = self.made.iter().filter(|which| !named(which)).cloned().collect();
        Wanted { document: document.clone(), without }
    }

    fn wanted(&self) -> Option<Wanted> {
        self.document.as_ref().map(|document| self.with(document))
    }

    /// What of Exchange's is otherwise than the document has it, in words.
    pub fn lacking(&self) -> Vec<String> {
        match (self.wanted(), &self.found) {
            (Some(wanted), Some(found)) => differences(&wanted, found),
            _ => Vec::new(),
        }
    }

    /// Exchange's rules of which the document says nothing: they stay.
    pub fn others(&self) -> Vec<&Rule> {
        let (Some(document), Some(found)) = (&self.document, &self.found) else { return Vec::new() };
        let named = |rule: &&Rule| !document.rules.iter().any(|ours| ours.which.is(&rule.which));
        found.rules.iter().filter(named).collect()
    }
}

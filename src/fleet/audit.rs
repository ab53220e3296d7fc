//! The audit log: one hash chain per node, each entry written in the transaction of the act that it tells of.
//!
//! What is personal enters the chain as a salted digest (`detail`) and lies beside it (`text`): it can be erased, the chain stays
//! whole. A cut tail cannot be seen from inside; `audit verify --head` compares with a head kept elsewhere.

mod event;
pub mod recurring;

pub(crate) use event::ACTIONS;
pub use event::{
    By, Cancelled, Counts, Decision, Drifted, Event, Invited, Loss, Pass, Proof, UNKNOWN_CERTIFICATE, Unasked,
};

use crate::{
    clock::Timestamp,
    error::Result,
    ids::{DeviceId, EnrolmentId, digest, hex, hexed, packed},
    store::{Kind, Record, Tx},
};
use event::Words;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// One entry of a node's chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Whose chain.
    pub node: String,
    /// Place in it, from 1.
    pub seq: u64,
    /// When, by the store's time.
    pub time: Timestamp,
    /// Who: an administrator's id, `device`, `system` or `stranger`.
    #[serde(with = "packed")]
    pub actor: String,
    /// What: `wipe.asked`, `enrolment.refused` …
    pub action: String,
    /// On what: an id.
    #[serde(with = "packed")]
    pub subject: String,
    /// `ok`, `held`, `refused` …
    pub outcome: String,
    /// Salted digest of the detail; empty where there is none.
    #[serde(with = "hexed")]
    pub detail: String,
    /// SHA-256 over the previous hash and all of the above.
    #[serde(with = "hexed")]
    pub hash: String,
    /// What the digest is of; none where there is nothing to say, or where it was erased. No part of the chain.
    pub text: Option<Salted>,
    /// The device that it concerns.
    #[serde(default)]
    pub device: Option<DeviceId>,
}

/// A text that its digest does not give away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Salted {
    #[serde(with = "hexed")]
    salt: String,
    #[serde(with = "packed")]
    text: String,
}

impl Salted {
    fn digest(&self) -> String {
        digest(format!("{}{}", self.salt, self.text).as_bytes())
    }
}

/// The end of a node's chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Whose chain.
    pub node: String,
    /// The last entry's place.
    pub seq: u64,
    /// Its hash.
    #[serde(with = "hexed")]
    pub hash: String,
}

fn place(node: &str, seq: u64) -> String {
    format!("{node}/{seq:016}")
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 3] = [Kind::of::<Entry>(), Kind::of::<Head>(), Kind::of::<Of>()];

impl Record for Entry {
    const KIND: &'static str = "audit";
    fn key(&self) -> String {
        place(&self.node, self.seq)
    }
    fn lean(&self) -> Option<Self> {
        let mut lean = Self { node: String::new(), seq: 0, ..self.clone() };
        // One that is not its text's is kept, so that the chain shows it.
        if self.text.as_ref().is_some_and(|text| text.digest() == self.detail) {
            lean.detail.clear();
        }
        Some(lean)
    }
    fn whole(mut self, rest: &str) -> Option<Self> {
        let (node, seq) = rest.rsplit_once('/')?;
        (self.node, self.seq) = (node.into(), seq.parse().ok()?);
        if let Some(text) = self.text.as_ref().filter(|_| self.detail.is_empty()) {
            self.detail = text.digest();
        }
        Some(self)
    }
}
/// Leads from a device, or from an enrolment that was not bound to one yet, to the entries that concern it.
#[derive(Debug, Serialize, Deserialize)]
struct Of {
    /// Its id, short.
    of: String,
    node: String,
    seq: u64,
}

impl Record for Of {
    const KIND: &'static str = "audit-of";
    fn key(&self) -> String {
        format!("{}/{}", self.of, place(&self.node, self.seq))
    }
    fn lean(&self) -> Option<Self> {
        Some(Self { of: String::new(), node: String::new(), seq: 0 })
    }
    fn whole(self, rest: &str) -> Option<Self> {
        let (of, place) = rest.split_once('/')?;
        let (node, seq) = place.rsplit_once('/')?;
        Some(Self { of: of.into(), node: node.into(), seq: seq.parse().ok()? })
    }
}
impl Record for Head {
    const KIND: &'static str = "audit-head";
    fn key(&self) -> String {
        self.node.clone()
    }
}

impl Entry {
    /// Its hash behind the entry with the hash `previous`.
    fn sealed(&self, previous: &str) -> String {
        let time = self.time.0.to_string();
        let seq = self.seq.to_string();
        let device = self.device.map(|device| device.to_string());
        let parts =
            [previous, &self.node, &seq, &time, &self.actor, &self.action, &self.subject, &self.outcome, &self.detail];
        // Lengths in front of the parts: no two entries run together to the same bytes.
        let mut text = String::with_capacity(512);
        for part in parts.into_iter().chain(device.as_deref()) {
            text.push_str(&part.len().to_string());
            text.push(':');
            text.push_str(part);
        }
        digest(text.as_bytes())
    }
}

/// An entry as people read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Printed {
    /// The entry; its `detail` is the digest.
    pub entry: Entry,
    /// The text, null where there was none or where it was erased.
    pub detail: Option<String>,
}

impl From<Entry> for Printed {
    fn from(entry: Entry) -> Self {
        Self { detail: entry.text.as_ref().map(|t| t.text.clone()), entry }
    }
}

/// Appends an event to this node's chain, unless it [recurs](recurring) too often.
pub fn note(tx: &mut Tx<'_>, by: impl Into<By>, event: Event) -> Result<()> {
    if !recurring::is_noted(tx, &event)? {
        return Ok(());
    }
    let node = tx.node().to_string();
    let head = tx.get::<Head>(&node)?.unwrap_or(Head { node: node.clone(), seq: 0, hash: String::new() });
    let seq = head.seq + 1;
    let Words { action, subject, device, enrolment, outcome, detail } = event.words();
    let text = (!detail.is_empty()).then(|| Salted { salt: hex(&tx.random::<16>()), text: detail });
    let mut entry = Entry {
        node: node.clone(),
        seq,
        time: tx.now(),
        actor: by.into().into_text(),
        action: action.into(),
        subject,
        outcome: outcome.into(),
        detail: text.as_ref().map(Salted::digest).unwrap_or_default(),
        hash: String::new(),
        text,
        device,
    };
    entry.hash = entry.sealed(&head.hash);
    if let Some(of) = device.map(DeviceId::short).or(enrolment.map(EnrolmentId::short)) {
        tx.put(&Of { of, node: node.clone(), seq })?;
    }
    tx.put(&Head { node, seq, hash: entry.hash.clone() })?;
    Ok(tx.put(&entry)?)
}

/// An entry that names the heads of all chains: it ties the nodes' chains to one another without a lock between them.
pub fn checkpoint(tx: &mut Tx<'_>) -> Result<()> {
    let (node, heads) = (tx.node().to_string(), heads(tx)?);
    note(tx, By::System, Event::Checkpoint { node, heads })
}

/// The heads of all chains.
pub fn heads(tx: &mut Tx<'_>) -> Result<Vec<Head>> {
    Ok(tx.all::<Head>("")?)
}

/// Entries after the place `after` (`node/seq`), at most `limit`, each with its text.
pub fn list(tx: &mut Tx<'_>, after: Option<&str>, limit: usize) -> Result<Vec<Printed>> {
    Ok(tx.scan::<Entry>("", after, limit)?.into_iter().map(Printed::from).collect())
}

/// Those that concern a device or one of its enrolments, after the place `after`, at most `limit`.
pub fn list_of(tx: &mut Tx<'_>, ids: &[Uuid], after: Option<&str>, limit: usize) -> Result<Vec<Printed>> {
    let mut places = BTreeSet::new();
    for id in ids {
        let prefix = format!("{}/", DeviceId(*id).short());
        let after = after.map(|after| format!("{prefix}{after}"));
        let found = tx.scan_keys::<Of>(&prefix, after.as_deref(), limit)?;
        places.extend(found.iter().filter_map(|key| key.strip_prefix(&prefix)).map(str::to_string));
    }
    let entries = tx.get_many::<Entry>(places.into_iter().take(limit))?;
    Ok(entries.into_iter().flatten().map(Printed::from).collect())
}

/// The cursor that continues a listing after this entry.
pub fn cursor(entry: &Entry) -> String {
    entry.key()
}

/// What a check of the chains found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Nothing is broken.
    pub ok: bool,
    /// The end of each chain, as recomputed.
    pub heads: Vec<Head>,
    /// What does not fit, in words.
    pub broken: Vec<String>,
}

/// A check of the chains in steps, so that the store serves others meanwhile.
#[derive(Debug, Default)]
pub struct Check {
    /// A head (hash) kept elsewhere: it must occur.
    known: Option<String>,
    seen: bool,
    after: Option<String>,
    last: BTreeMap<String, Head>,
    broken: Vec<String>,
}

impl Check {
    /// Recomputes all chains and compares texts with their digests.
    pub fn new(known: Option<String>) -> Self {
        Self { seen: known.is_none(), known, ..Self::default() }
    }

    /// Checks the next thousand entries; the verdict comes with the last.
    pub fn step(mut self, tx: &mut Tx<'_>) -> Result<std::result::Result<Verdict, Self>> {
        let page = tx.scan::<Entry>("", self.after.as_deref(), 1000)?;
        let Some(end) = page.last() else { return self.verdict(tx).map(Ok) };
        self.after = Some(end.key());
        for entry in page {
            let none = || Head { node: entry.node.clone(), seq: 0, hash: String::new() };
            let head = self.last.entry(entry.node.clone()).or_insert_with(none);
            if let Some(flaw) = flaw(head, &entry) {
                self.broken.push(format!("{}: {flaw}", entry.key()));
            }
            self.seen |= self.known.as_deref() == Some(entry.hash.as_str());
            (head.seq, head.hash) = (entry.seq, entry.hash);
        }
        Ok(Err(self))
    }

    fn verdict(mut self, tx: &mut Tx<'_>) -> Result<Verdict> {
        for head in heads(tx)? {
            // Another node's chain may have grown behind the place where this check stands.
            let grown = match self.last.get(&head.node) {
                Some(last) => last.seq < head.seq && after(tx, last)?,
                None => head.seq > 0 && after(tx, &Head { node: head.node.clone(), seq: 0, hash: String::new() })?,
            };
            if !grown && self.last.get(&head.node) != Some(&head) {
                self.broken.push(format!("{}: the chain does not end at its head {}", head.node, head.seq));
            }
        }
        if !self.seen {
            self.broken.push("the given head is in no chain: entries were cut off or replaced".into());
        }
        Ok(Verdict { ok: self.broken.is_empty(), heads: self.last.into_values().collect(), broken: self.broken })
    }
}

/// Whether the entry after this one is there.
fn after(tx: &mut Tx<'_>, head: &Head) -> Result<bool> {
    Ok(tx.get::<Entry>(place(&head.node, head.seq + 1))?.is_some())
}

/// The same in one go: for a reader beside the writer.
pub fn verify(tx: &mut Tx<'_>, known: Option<&str>) -> Result<Verdict> {
    let mut check = Check::new(known.map(str::to_string));
    loop {
        check = match check.step(tx)? {
            Ok(verdict) => return Ok(verdict),
            Err(more) => more,
        };
    }
}

fn flaw(head: &Head, entry: &Entry) -> Option<&'static str> {
    if entry.seq != head.seq + 1 {
        return Some("entries before it are missing");
    }
    if entry.sealed(&head.hash) != entry.hash {
        return Some("the hash does not fit");
    }
    let altered = entry.text.as_ref().is_some_and(|text| text.digest() != entry.detail);
    altered.then_some("its detail was altered")
}

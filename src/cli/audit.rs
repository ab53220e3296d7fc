//! `lanyard audit`.

use super::{
    Done, Outcome, Shown,
    client::{Client, encode, filtered},
    names, print,
};
use crate::{
    clock::{Timestamp, parse_duration},
    documents::{
        admins::AdminView,
        audit::{EntryView, VerdictView},
        fields,
    },
};
use serde::Deserialize as _;
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

/// The audit log.
#[derive(clap::Subcommand)]
pub enum Audit {
    /// What was done, by whom and when, by time.
    List {
        /// Only entries on this device, its enrolments and its commands.
        #[arg(long)]
        device: Option<String>,
        /// Only what happened from then on: a moment (RFC 3339), or how long ago, such as 2h.
        #[arg(long, value_parser = since)]
        since: Option<Since>,
        /// Only what this administrator did, by name or id; or device, system, stranger.
        #[arg(long)]
        actor: Option<String>,
        /// Only this action, such as wipe.asked, or all that begin so: wipe.
        #[arg(long)]
        action: Option<String>,
        /// Only the last N of them.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Recompute the chains of hashes: was anything in the log changed?
    Verify {
        /// A head (hash) that was kept elsewhere.
        #[arg(long, value_parser = head)]
        head: Option<String>,
    },
}

/// From when on.
#[derive(Clone, Copy)]
pub enum Since {
    /// A moment.
    At(Timestamp),
    /// So long before now.
    Ago(Duration),
}

fn since(text: &str) -> Result<Since, String> {
    let ago = || parse_duration(text).map(Since::Ago);
    let wrong = |_| format!("{text:?} is neither a moment, such as 2026-11-30T03:00:00Z, nor a time, such as 2h");
    text.parse().map(Since::At).or_else(|_| ago()).map_err(wrong)
}

/// `who` did it and on whose device (`user`, `name`) stands beside.
const COLUMNS: &[&str] =
    &["time", "who", "action", "outcome", "user", "name", "detail", "subject", "actor", "node", "seq"];
const SPARE: &[&str] = &["seq", "node", "actor", "subject", "name", "outcome"];
const _: &[&str] = fields!(EntryView: time, action, outcome, detail, subject, actor, node, seq);

/// As `audit verify` prints one.
fn head(text: &str) -> Result<String, String> {
    let fine = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    fine.then(|| text.to_ascii_lowercase()).ok_or_else(|| "a head is 64 hexadecimal digits".to_string())
}

impl Audit {
    pub(super) async fn run(self, client: &Client, how: &Shown) -> Done {
        match self {
            Self::List { device, since, actor, action, limit } => {
                let since = since.map(|since| match since {
                    Since::At(at) => at.to_string(),
                    Since::Ago(ago) => how.screen.now.minus(ago).to_string(),
                });
                let wanted = [("device", device), ("since", since), ("actor", actor), ("action", action)];
                let mut entries: Vec<Value> = client.list(&filtered("audit", wanted)).await?;
                entries.sort_by_cached_key(|entry| EntryView::deserialize(entry).ok().map(|e| (e.time, e.node, e.seq)));
                entries.drain(..entries.len().saturating_sub(limit.unwrap_or(usize::MAX)));
                let mut beside = names::beside(client, how, &entries, "device").await;
                if !how.json {
                    name_actors(client, &entries, &mut beside).await;
                }
                Ok(Outcome::list(entries, COLUMNS).spare(SPARE).beside(beside))
            }
            Self::Verify { head } => {
                let query = head.as_ref().map(|h| format!("?head={}", encode(h))).unwrap_or_default();
                let verdict = client.read::<VerdictView>(&format!("audit/verify{query}")).await?;
                if head.is_none() {
                    print::say("a cut tail shows only against a head kept elsewhere (--head)");
                }
                Ok(Outcome::record(verdict.document).good_if(verdict.said.ok))
            }
        }
    }
}

/// Administrators by their names; who was removed, and what is no person, by what the entry has.
async fn name_actors(client: &Client, entries: &[Value], beside: &mut [Value]) {
    let people = client.list::<AdminView>("admins").await.unwrap_or_default();
    let names: BTreeMap<&str, &str> = people.iter().map(|a| (a.id.as_str(), a.name.as_str())).collect();
    for (entry, beside) in entries.iter().zip(beside) {
        let actor = entry.get("actor").and_then(Value::as_str).unwrap_or_default();
        let who = names.get(actor).copied().unwrap_or(actor);
        if let Some(fields) = beside.as_object_mut() {
            fields.insert("who".into(), who.into());
        }
    }
}

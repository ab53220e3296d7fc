//! `lanyard audit`.

use super::{
    Done, Outcome,
    client::{Client, encode},
    print,
};
use crate::documents::{
    audit::{EntryView, VerdictView},
    fields,
};
use serde::Deserialize as _;
use serde_json::Value;

/// The audit log.
#[derive(clap::Subcommand)]
pub enum Audit {
    /// What was done, by whom and when, by time.
    List {
        /// Only entries on this device, its enrolments and its commands.
        #[arg(long)]
        device: Option<String>,
    },
    /// Recompute the chains.
    Verify {
        /// A head (hash) that was kept elsewhere.
        #[arg(long, value_parser = head)]
        head: Option<String>,
    },
}

/// As `audit verify` prints one.
fn head(text: &str) -> Result<String, String> {
    let fine = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    fine.then(|| text.to_ascii_lowercase()).ok_or_else(|| "a head is 64 hexadecimal digits".to_string())
}

impl Audit {
    pub(super) async fn run(self, client: &Client) -> Done {
        match self {
            Self::List { device } => {
                let query = device.map(|d| format!("?device={}", encode(&d))).unwrap_or_default();
                let mut entries: Vec<Value> = client.list(&format!("audit{query}")).await?;
                entries.sort_by_cached_key(|entry| EntryView::deserialize(entry).ok().map(|e| (e.time, e.node, e.seq)));
                let columns = fields!(EntryView: time, node, seq, actor, action, subject, outcome, detail);
                Ok(Outcome::list(entries, columns))
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

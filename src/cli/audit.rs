//! `lanyard audit`.

use super::{
    Done, Outcome,
    client::{Client, encode},
};
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
                let mut entries = client.list(&format!("audit{query}")).await?;
                if let Value::Array(entries) = &mut entries {
                    let when = |e: &Value| {
                        let text = |name: &str| e.get(name).and_then(Value::as_str).unwrap_or_default().to_string();
                        let seq = e.get("seq").and_then(Value::as_u64);
                        let at =
                            time::OffsetDateTime::parse(&text("time"), &time::format_description::well_known::Rfc3339);
                        (at.ok(), text("node"), seq)
                    };
                    entries.sort_by_cached_key(when);
                }
                let columns = &["time", "node", "seq", "actor", "action", "subject", "outcome", "detail"];
                Ok(Outcome::list(entries, columns))
            }
            Self::Verify { head } => {
                let query = head.as_ref().map(|h| format!("?head={}", encode(h))).unwrap_or_default();
                let verdict = client.get(&format!("audit/verify{query}")).await?;
                if head.is_none() {
                    eprintln!("lanyard: a cut tail shows only against a head kept elsewhere (--head)");
                }
                let ok = verdict.get("ok").and_then(Value::as_bool) == Some(true);
                Ok(Outcome::record(verdict).good_if(ok))
            }
        }
    }
}

//! `lanyard ca`.

use super::{Done, Outcome, client::Client};
use serde_json::Value;

/// The device CA.
#[derive(clap::Subcommand)]
pub enum Ca {
    /// Show the device CA's certificates.
    Show {
        /// Only the certificates themselves, root and issuing one, as a file of anchors.
        #[arg(long)]
        pem: bool,
    },
}

impl Ca {
    pub(super) async fn run(self, client: &Client, json: bool) -> Done {
        let Self::Show { pem } = self;
        let shown = client.get("ca").await?;
        // The document holds them already.
        if !pem || json {
            return Ok(Outcome::record(shown));
        }
        let part = |name: &str| {
            let pem = shown.get(name).and_then(|part| part.get("pem")).and_then(Value::as_str);
            pem.map(|pem| format!("{}\n", pem.trim_end()))
                .ok_or_else(|| format!("the server told no {name} certificate"))
        };
        Ok(Outcome::record(Value::String(part("root")? + &part("issuing")?)))
    }
}

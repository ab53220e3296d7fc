//! `lanyard mail`.

use super::{Done, Outcome, client::Client, print};
use crate::{documents::policies::ApplyBody, policy::MailRules};
use std::path::{Path, PathBuf};

/// The mail gateway.
#[derive(clap::Subcommand)]
pub enum Mail {
    /// Who may read mail, by what is known of a client and its device.
    #[command(subcommand)]
    Rules(Rules),
}

/// Access rules.
#[derive(clap::Subcommand)]
pub enum Rules {
    /// Show whom a file of rules would let in or shut out; with --yes, set it.
    Apply {
        /// YAML.
        file: PathBuf,
        /// Carry it out.
        #[arg(long)]
        yes: bool,
    },
    /// Show the rules that count.
    Show,
}

impl Mail {
    pub(super) async fn run(self, client: &Client) -> Done {
        match self {
            Self::Rules(Rules::Apply { file, yes }) => apply(client, &file, yes).await,
            Self::Rules(Rules::Show) => Ok(Outcome::record(client.get("mail/rules").await?)),
        }
    }
}

async fn apply(client: &Client, file: &Path, yes: bool) -> Done {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    MailRules::parse(&text).map_err(|e| format!("{}: {e}", file.display()))?;
    let change = client.put(&format!("mail/rules?apply={yes}"), &ApplyBody { text }).await?;
    if !yes {
        print::say("nothing was changed; --yes carries it out");
    }
    Ok(Outcome::record(change))
}

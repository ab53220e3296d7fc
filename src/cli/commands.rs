//! `lanyard commands`.

use super::{
    Done, Outcome,
    client::{Client, encode},
};
use crate::documents::{
    commands::{CancelBody, CommandView, MailAfterwards},
    fields,
};

/// Commands.
#[derive(clap::Subcommand)]
pub enum Commands {
    /// All of them.
    List {
        /// Only those of this device.
        #[arg(long)]
        device: Option<String>,
    },
    /// One of them.
    Show {
        /// Its id.
        id: String,
    },
    /// Take it back.
    Cancel {
        /// Its id.
        id: String,
        /// Whether mail that the wipe shut opens again.
        #[arg(long, value_enum, default_value = "allow")]
        mail: Mail,
    },
}

/// What becomes of mail when a wipe is taken back.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Mail {
    /// It opens again.
    Allow,
    /// It stays shut.
    Block,
}

impl Commands {
    pub(super) async fn run(self, client: &Client) -> Done {
        Ok(match self {
            Self::List { device } => {
                let query = device.map(|d| format!("?device={}", encode(&d))).unwrap_or_default();
                let columns = fields!(CommandView: id, device, channel, action, scope, state, requested_by, created);
                Outcome::list(client.list(&format!("commands{query}")).await?, columns)
            }
            Self::Show { id } => Outcome::record(client.get(&format!("commands/{}", encode(&id))).await?),
            Self::Cancel { id, mail } => {
                let mail = match mail {
                    Mail::Allow => MailAfterwards::Allow,
                    Mail::Block => MailAfterwards::Block,
                };
                let path = format!("commands/{}/cancel", encode(&id));
                Outcome::record(client.post(&path, &CancelBody { mail }).await?)
            }
        })
    }
}

//! `lanyard commands`.

use super::{
    Done, Outcome, Shown,
    client::{Client, encode, filtered},
    names,
};
use crate::documents::{
    commands::{CancelBody, CommandView, MailAfterwards},
    fields,
};
use serde_json::Value;

/// Commands.
#[derive(clap::Subcommand)]
pub enum Commands {
    /// All of them.
    List {
        /// Only those of this device.
        #[arg(long)]
        device: Option<String>,
        /// Only those in this state: held, queued, sent, confirmed …
        #[arg(long)]
        state: Option<String>,
        /// Only those of this action: wipe, lock, restart …
        #[arg(long)]
        action: Option<String>,
        /// Only those on devices of this user.
        #[arg(long)]
        user: Option<String>,
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

/// The document's own; whose device it is, and what that is called, stands beside.
const COLUMNS: &[&str] =
    &["id", "user", "name", "action", "scope", "state", "requested_by", "created", "leaves_at", "channel", "device"];
const SPARE: &[&str] = &["device", "channel", "leaves_at", "requested_by", "scope"];
const _: &[&str] = fields!(CommandView: id, action, scope, state, requested_by, created, leaves_at, channel, device);

impl Commands {
    pub(super) async fn run(self, client: &Client, how: &Shown) -> Done {
        Ok(match self {
            Self::List { device, state, action, user } => {
                let wanted = [("device", device), ("state", state), ("action", action), ("user", user)];
                let rows: Vec<Value> = client.list(&filtered("commands", wanted)).await?;
                let beside = names::beside(client, how, &rows, "device").await;
                Outcome::list(rows, COLUMNS).spare(SPARE).beside(beside)
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

//! `lanyard commands`.

use super::{
    Done, Outcome, Shown,
    client::{Client, encode, filtered},
    names, one_of,
};
use crate::documents::{
    commands::{Action, CancelBody, CommandView, MailAfterwards, State},
    fields,
};
use serde_json::Value;

/// Commands.
#[derive(clap::Subcommand)]
pub enum Commands {
    /// List commands: all of them, or those that the filters leave.
    List {
        /// Only those of this device.
        #[arg(long)]
        device: Option<String>,
        /// Only those in this state.
        #[arg(long, value_parser = one_of(State::ALL.map(State::as_str)))]
        state: Option<String>,
        /// Only those of this action.
        #[arg(long, value_parser = one_of(Action::ALL.map(Action::as_str)))]
        action: Option<String>,
        /// Only those on devices of this user.
        #[arg(long)]
        user: Option<String>,
    },
    /// Show a command, with what proves its end.
    Show {
        /// Its id.
        id: String,
    },
    /// Take a command back that was not sent yet.
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
/// How much a wipe takes is never among them.
const SPARE: &[&str] = &["device", "channel", "leaves_at", "requested_by", "created"];
const _: &[&str] = fields!(CommandView: id, action, scope, state, requested_by, created, leaves_at, channel, device);

/// Commands as a list.
pub(super) fn listed(rows: Vec<Value>) -> Outcome {
    Outcome::list(rows, COLUMNS).spare(SPARE)
}

impl Commands {
    pub(super) async fn run(self, client: &Client, how: &Shown) -> Done {
        Ok(match self {
            Self::List { device, state, action, user } => {
                let wanted = [("device", device), ("state", state), ("action", action), ("user", user)];
                let rows: Vec<Value> = client.list(&filtered("commands", wanted)).await?;
                let beside = names::beside(client, how, &rows, "device").await;
                listed(rows).beside(beside)
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

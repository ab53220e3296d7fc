//! `lanyard settings`.

use super::{
    Done, Outcome,
    client::{Client, encode},
};
use crate::documents::{
    fields,
    settings::{SettingView, ValueBody},
};
use serde_json::Value;

/// Settings.
#[derive(clap::Subcommand)]
pub enum Settings {
    /// List settings, with what waits to count.
    List,
    /// Set a value. What loosens a guard counts after the newcomers' wait.
    Set {
        /// Its key.
        key: String,
        /// The value.
        value: String,
    },
}

/// Settings as a list. A narrow terminal can do without what waits to count as long as nothing does.
pub(super) fn listed(all: Vec<Value>) -> Outcome {
    let columns = fields!(SettingView: key, value, default, pending, counts_from);
    let waits = all.iter().any(|setting| setting.get("pending").is_some_and(Value::is_string));
    Outcome::list(all, columns).spare(if waits { &["default"] } else { &["counts_from", "pending", "default"] })
}

impl Settings {
    pub(super) async fn run(self, client: &Client) -> Done {
        Ok(match self {
            Self::List => listed(client.list("settings").await?),
            Self::Set { key, value } => {
                let path = format!("settings/{}", encode(&key));
                Outcome::record(client.put(&path, &ValueBody { value }).await?)
            }
        })
    }
}

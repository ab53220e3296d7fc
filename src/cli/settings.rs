//! `lanyard settings`.

use super::{
    Done, Outcome,
    client::{Client, encode},
};
use crate::documents::{
    fields,
    settings::{SettingView, ValueBody},
};

/// Settings.
#[derive(clap::Subcommand)]
pub enum Settings {
    /// All of them.
    List,
    /// Set one.
    Set {
        /// Its key.
        key: String,
        /// The value.
        value: String,
    },
}

impl Settings {
    pub(super) async fn run(self, client: &Client) -> Done {
        Ok(match self {
            Self::List => {
                let columns = fields!(SettingView: key, value, default, pending, counts_from);
                Outcome::list(client.list("settings").await?, columns)
            }
            Self::Set { key, value } => {
                let path = format!("settings/{}", encode(&key));
                Outcome::record(client.put(&path, &ValueBody { value }).await?)
            }
        })
    }
}

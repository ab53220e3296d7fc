//! `lanyard ca`.

use super::{Done, Outcome, client::Client};

/// The device CA.
#[derive(clap::Subcommand)]
pub enum Ca {
    /// Its certificates.
    Show,
}

impl Ca {
    pub(super) async fn run(self, client: &Client) -> Done {
        let Self::Show = self;
        Ok(Outcome::record(client.get("ca").await?))
    }
}

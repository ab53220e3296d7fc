//! `lanyard clock`.

use super::{Done, Outcome, client::Client};
use crate::documents::Empty;

/// The server's clock.
#[derive(clap::Subcommand)]
pub enum Clock {
    /// Accept the server's clock though it jumped; for local alone, on the server's own machine.
    Accept,
}

impl Clock {
    pub(super) async fn run(self, client: &Client) -> Done {
        let Self::Accept = self;
        Ok(Outcome::record(client.post("clock", &Empty {}).await?))
    }
}

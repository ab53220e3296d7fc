//! `lanyard admins` and `token`.

use super::{
    Done, Outcome,
    client::{Client, encode},
};
use crate::documents::{
    admins::{AdminView, NewAdminBody, TokenView, WhoseBody},
    fields,
};

/// Administrators.
#[derive(clap::Subcommand)]
pub enum Admins {
    /// Add an administrator; they count as a second person after the newcomers' wait.
    Add {
        /// The name.
        name: String,
    },
    /// List administrators, and from when on each counts.
    List,
    /// Ask a second person to remove an administrator.
    Remove {
        /// The name or id.
        name: String,
    },
}

impl Admins {
    pub(super) async fn run(self, client: &Client) -> Done {
        Ok(match self {
            Self::Add { name } => Outcome::record(client.post("admins", &NewAdminBody { name }).await?),
            Self::List => {
                Outcome::list(client.list("admins").await?, fields!(AdminView: id, name, created, counts_from))
            }
            Self::Remove { name } => Outcome::record(client.delete(&format!("admins/{}", encode(&name))).await?),
        })
    }
}

/// Tokens.
#[derive(clap::Subcommand)]
pub enum Token {
    /// Make a token for an administrator; its secret is shown this once.
    Create {
        /// Whose: name or id; your own where nobody is named.
        #[arg(long)]
        admin: Option<String>,
    },
    /// List tokens, without their secrets.
    List,
    /// Revoke a token at once.
    Revoke {
        /// Its id.
        id: String,
    },
}

impl Token {
    pub(super) async fn run(self, client: &Client) -> Done {
        Ok(match self {
            Self::Create { admin } => Outcome::record(client.post("tokens", &WhoseBody { admin }).await?),
            Self::List => Outcome::list(client.list("tokens").await?, fields!(TokenView: id, admin, created)),
            Self::Revoke { id } => Outcome::record(client.delete(&format!("tokens/{}", encode(&id))).await?),
        })
    }
}

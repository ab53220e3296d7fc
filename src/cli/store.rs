//! `lanyard store`: what is in the store of a server that is stopped, and the way on after a loss. These verbs open the store
//! themselves.

use super::{Done, Failure, Outcome, print};
use crate::{
    clock,
    serve::{Folder, stores},
};
use std::path::PathBuf;

/// The store of a server that is stopped.
#[derive(clap::Subcommand)]
pub enum Store {
    /// Read every record against what was acknowledged; exit code 1 where that is not all there.
    Check(Where),
    /// Take the store as it is: with the emergency stop on and everything unsent held.
    AcceptLoss {
        #[command(flatten)]
        at: Where,
        /// The commit that `check` found.
        #[arg(long, value_name = "N")]
        commit: u64,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Show a record of the store, readably.
    Show {
        #[command(flatten)]
        at: Where,
        /// Such as default/device/ID.
        key: String,
    },
}

/// Which store.
#[derive(clap::Args)]
pub struct Where {
    /// sled:DIR or postgres://…; else that of the data folder.
    #[arg(long, env = "LANYARD_STORE", hide_env_values = true)]
    store: Option<String>,
    /// The data folder.
    #[arg(long, env = "LANYARD_DATA")]
    data: Option<PathBuf>,
}

impl Where {
    fn find(&self) -> Result<(String, Folder), Failure> {
        let folder = Folder::existing(self.data.as_deref());
        folder.is_ours()?;
        Ok((stores::address(self.store.as_deref(), &folder), folder))
    }
}

impl Store {
    pub(super) async fn run(self) -> Done {
        match self {
            Self::Check(at) => {
                let (url, folder) = at.find()?;
                let checked = stores::check(&url, &folder).await?;
                let ok = checked.ok;
                let document = serde_json::to_value(checked).map_err(|e| e.to_string())?;
                Ok(Outcome::record(document).good_if(ok))
            }
            Self::AcceptLoss { at, commit, yes } => {
                let (url, folder) = at.find()?;
                let question = "What came after that commit is lost: cancelled wipes, revoked tokens and certificates may be \
                                alive again. Go on?";
                if !yes && !super::confirm(question)? {
                    return Err(Failure::Failed("nothing was changed".into()));
                }
                let held = stores::accept_loss(&url, &folder, commit, clock::system()).await?;
                print::say(format!(
                    "the emergency stop is on, and {held} commands are held; look at them, and at those that are sent, \
                     before it is lifted"
                ));
                Ok(Outcome::record(serde_json::json!({"commit": commit, "held": held})))
            }
            Self::Show { at, key } => {
                let (url, folder) = at.find()?;
                Ok(Outcome::record(stores::show(&url, &folder, &key).await?))
            }
        }
    }
}

//! `lanyard connector`: what an administrator does with connectors.

use super::{
    Done, Outcome,
    client::{Client, encode},
    print,
};
use crate::{
    clock::{parse_duration, print_duration},
    documents::{
        connectors::{ConnectorView, ExchangeAccessBody, InviteConnectorBody},
        fields,
    },
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Relays beside an organisation's Exchange.
#[derive(clap::Subcommand)]
pub enum Connectors {
    /// Invite one more connector for an Exchange organisation.
    Invite {
        /// The organisation, by a name of your own; a name that is there already adds an instance.
        #[arg(long, value_name = "NAME")]
        org: String,
        /// How its Exchange is reached.
        #[arg(long, value_enum)]
        kind: Kind,
        /// How long the code is good; 7d where nothing is said.
        #[arg(long, value_parser = parse_duration)]
        expires: Option<Duration>,
    },
    /// List organisations with their connectors.
    List,
    /// Show an organisation with its connectors.
    Show {
        /// The organisation's name.
        org: String,
    },
    /// Show what a file would change of what Exchange decides by itself (its default, its access rules); with --yes, set it.
    Access {
        /// The organisation's name.
        org: String,
        /// JSON: `{"default": "quarantine", "recipients": […], "insert": "…", "rules": [{"characteristic", "query", "level"}]}`; what is absent
        /// is left as it is.
        #[arg(long, required_unless_present = "release")]
        file: Option<PathBuf>,
        /// Carry it out.
        #[arg(long, requires = "file")]
        yes: bool,
        /// So many clients may be cut off by a default that is allow no more; without it none.
        #[arg(long, value_name = "N", requires = "yes")]
        cut: Option<u64>,
        /// Leave it all to Exchange again, as it is.
        #[arg(long, conflicts_with = "file")]
        release: bool,
    },
    /// What is done on the machine beside Exchange.
    #[command(flatten)]
    Here(lanyard_connector::verbs::Verb),
    /// End all connectors of an organisation, at once; what they told of devices stays.
    Remove {
        /// The organisation's name.
        org: String,
    },
}

/// How an Exchange is reached.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Kind {
    /// Exchange Online.
    Online,
    /// Exchange 2013 to SE.
    Onprem,
}

impl Connectors {
    pub(super) async fn run(self, client: &Client) -> Done {
        Ok(match self {
            Self::Invite { org, kind, expires } => {
                let kind = match kind {
                    Kind::Online => "online",
                    Kind::Onprem => "onprem",
                };
                let body = InviteConnectorBody { org, kind: kind.into(), expires: expires.map(print_duration) };
                Outcome::record(client.post("connectors/invitations", &body).await?)
            }
            Self::List => {
                let columns = fields!(ConnectorView: org, kind, state, leader, partnerships, last_full, last_delta);
                Outcome::list(client.list("connectors").await?, columns)
            }
            Self::Show { org } => Outcome::record(client.get(&format!("connectors/{}", encode(&org))).await?),
            Self::Access { org, file: Some(file), yes, cut, .. } => return access(client, &org, &file, yes, cut).await,
            Self::Access { org, .. } => {
                Outcome::record(client.delete(&format!("connectors/{}/access", encode(&org))).await?)
            }
            // `cli::run` has carried it out: no server is asked for it here.
            Self::Here(_) => Outcome::list(Vec::new(), &[]),
            Self::Remove { org } => Outcome::record(client.delete(&format!("connectors/{}", encode(&org))).await?),
        })
    }
}

async fn access(client: &Client, org: &str, file: &Path, yes: bool, cut: Option<u64>) -> Done {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let body: ExchangeAccessBody = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))?;
    let body = ExchangeAccessBody { cuts: cut, ..body };
    let change = client.put(&format!("connectors/{}/access?apply={yes}", encode(org)), &body).await?;
    if !yes {
        print::say("nothing was changed; --yes carries it out");
    }
    Ok(Outcome::record(change))
}

//! `lanyard approvals` and `lanyard stop`.

use super::{
    Done, Outcome,
    client::{Client, encode},
    print,
};
use crate::documents::{
    Empty,
    breaker::{ApprovalView, Stage, WantedBody},
    fields,
};
use std::time::Duration;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// What waits for a second person.
#[derive(clap::Subcommand)]
pub enum Approvals {
    /// All of them.
    List,
    /// One of them.
    Show {
        /// Its id.
        id: String,
    },
    /// Wait until it is decided; ends with 0 where it was approved.
    Wait {
        /// Its id.
        id: String,
    },
    /// Let it pass: as a second person.
    Approve {
        /// Its id.
        id: String,
    },
    /// Cancel all that it holds.
    Reject {
        /// Its id.
        id: String,
    },
}

impl Approvals {
    pub(super) async fn run(self, client: &Client) -> Done {
        let path = |id: &str| format!("approvals/{}", encode(id));
        Ok(match self {
            Self::List => {
                let columns = fields!(ApprovalView: id, state, subject, requested_by, decided_by, detail, created);
                Outcome::list(client.list("approvals").await?, columns)
            }
            Self::Show { id } => Outcome::record(client.get(&path(&id)).await?),
            Self::Wait { id } => wait(client, &path(&id)).await?,
            Self::Approve { id } => Outcome::record(client.post(&format!("{}/approve", path(&id)), &Empty {}).await?),
            Self::Reject { id } => Outcome::record(client.post(&format!("{}/reject", path(&id)), &Empty {}).await?),
        })
    }
}

/// Until somebody has decided.
async fn wait(client: &Client, path: &str) -> Done {
    let mut approval = client.read::<ApprovalView>(path).await?;
    if approval.said.state == Stage::Waiting {
        print::say("it waits for a second person");
    }
    while approval.said.state == Stage::Waiting {
        tokio::time::sleep(LOOK).await;
        if let Some(next) = client.read_in_time(path, None).await? {
            approval = next;
        }
    }
    Ok(Outcome::record(approval.document).good_if(approval.said.state == Stage::Approved))
}

/// The emergency stop.
#[derive(clap::Subcommand)]
pub enum Stop {
    /// No wipe, retire or lock leaves from now on.
    On {
        /// Cancel all that has not been sent, in the same act.
        #[arg(long)]
        cancel_all: bool,
    },
    /// Ask a second person to lift it.
    Off,
    /// How it stands.
    Status,
}

impl Stop {
    pub(super) async fn run(self, client: &Client) -> Done {
        Ok(Outcome::record(match self {
            Self::On { cancel_all } => client.put("stop", &WantedBody { on: true, cancel_all }).await?,
            Self::Off => client.put("stop", &WantedBody { on: false, cancel_all: false }).await?,
            Self::Status => client.get("stop").await?,
        }))
    }
}

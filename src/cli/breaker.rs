//! `lanyard approvals` and `lanyard stop`.

use super::{
    Done, Failure, Outcome, Shown,
    client::{Client, encode},
    confirm,
    print::{self, Screen, shorten},
    request::{NAMED, Request, deciders, named},
};
use crate::documents::{
    Empty,
    breaker::{ApprovalView, Stage, StopView, WantedBody},
    fields,
};
use serde::Deserialize as _;
use serde_json::Value;
use std::{io::IsTerminal as _, time::Duration};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// What waits for a second person.
#[derive(clap::Subcommand)]
pub enum Approvals {
    /// List requests, each that waits in words; who lists them has read them.
    List,
    /// Show a request: what it would do and to whose devices, and who may approve it.
    Show {
        /// Its id.
        id: String,
    },
    /// Wait until a request is decided, or expires a week after it was asked for; ends with 0 where it was approved.
    Wait {
        /// Its id.
        id: String,
    },
    /// Approve a request, as a second person. On a terminal it says what it would do, and asks.
    Approve {
        /// Its id.
        id: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Reject a request: all that it holds is cancelled.
    Reject {
        /// Its id.
        id: String,
    },
}

impl Approvals {
    pub(super) async fn run(self, client: &Client, how: &Shown) -> Done {
        let path = |id: &str| format!("approvals/{}", encode(id));
        Ok(match self {
            Self::List => {
                let rows: Vec<Value> = client.list("approvals").await?;
                let words = if how.json { None } else { in_words(client, &rows, &how.screen).await? };
                let columns = fields!(ApprovalView: id, state, subject, requested_by, decided_by, detail, created);
                let outcome = Outcome::list(rows, columns).spare(&["decided_by", "subject"]);
                match words {
                    Some(words) => outcome.words(words),
                    None => outcome,
                }
            }
            Self::Show { id } => {
                let approval = client.read::<ApprovalView>(&path(&id)).await?;
                let outcome = Outcome::record(approval.document);
                if how.json {
                    return Ok(outcome);
                }
                outcome.words(Request::of(client, approval.said).await?.words(&how.screen))
            }
            Self::Wait { id } => wait(client, &path(&id)).await?,
            Self::Approve { id, yes } => {
                // A program is asked nothing, and reads nothing by this: what its token has not read it is refused.
                let id = if yes || !std::io::stdin().is_terminal() { id } else { ask(client, &path(&id), how).await? };
                Outcome::record(client.post(&format!("{}/approve", path(&id)), &Empty {}).await?)
            }
            Self::Reject { id } => Outcome::record(client.post(&format!("{}/reject", path(&id)), &Empty {}).await?),
        })
    }
}

/// What each of those that wait asks for: whoever lists them counts as having read them.
async fn in_words(client: &Client, rows: &[Value], screen: &Screen) -> Result<Option<String>, Failure> {
    let ids = of_list(rows, screen);
    let mut requests = Vec::new();
    for (row, id) in rows.iter().zip(ids) {
        let approval = ApprovalView::deserialize(row).map_err(|e| e.to_string())?;
        if approval.state == Stage::Waiting {
            requests.push(Request::of(client, approval).await?.under(&id, NAMED, screen));
        }
    }
    Ok((!requests.is_empty()).then(|| requests.join("\n")))
}

/// Their ids as the table below shows them.
fn of_list(rows: &[Value], screen: &Screen) -> Vec<String> {
    let id = |row: &Value| row.get("id").and_then(Value::as_str).unwrap_or_default().to_string();
    let mut ids: Vec<String> = rows.iter().map(id).collect();
    if screen.terminal {
        shorten(&mut ids);
    }
    ids
}

/// Says what it would do, and asks whether it shall. Its whole id.
async fn ask(client: &Client, path: &str, how: &Shown) -> Result<String, Failure> {
    let approval = client.read::<ApprovalView>(path).await?.said;
    let (id, waits) = (approval.id.clone(), approval.state == Stage::Waiting);
    if waits {
        eprintln!("{}", Request::of(client, approval).await?.words(&how.screen));
    }
    // What is decided already the server refuses, with the word for it.
    if waits && !confirm("Approve?")? {
        return Err(Failure::Failed("nothing was done".into()));
    }
    Ok(id)
}

/// Until somebody has decided.
async fn wait(client: &Client, path: &str) -> Done {
    let mut approval = client.read::<ApprovalView>(path).await?;
    if approval.said.state == Stage::Waiting {
        let detail = approval.said.detail.clone();
        // A remark: that it cannot be had ends no wait.
        let who = deciders(client, &approval.said.id).await;
        let who = who.map_or_else(|_| String::new(), |who| format!("; may approve: {}", named(&who)));
        print::say(format!(
            "it waits for a second person: {detail}{who}; this verb waits until it is decided, or expires a week after it was asked for"
        ));
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
    /// Set the emergency stop: no wipe, retire or lock leaves from now on.
    On {
        /// Cancel all that has not been sent, in the same act.
        #[arg(long)]
        cancel_all: bool,
        /// Do not ask, where nobody but you could agree to lift it again.
        #[arg(long)]
        yes: bool,
    },
    /// Ask a second person to lift the emergency stop.
    Off,
    /// Show whether the emergency stop is on, since when and by whom.
    Status,
}

impl Stop {
    pub(super) async fn run(self, client: &Client) -> Done {
        Ok(Outcome::record(match self {
            Self::On { cancel_all, yes } => {
                say_if_alone(client, yes).await?;
                client.put("stop", &WantedBody { on: true, cancel_all }).await?
            }
            Self::Off => client.put("stop", &WantedBody { on: false, cancel_all: false }).await?,
            Self::Status => client.get("stop").await?,
        }))
    }
}

/// Whoever sets it alone cannot lift it: that is said before. A program is not kept from it.
async fn say_if_alone(client: &Client, yes: bool) -> Result<(), Failure> {
    // Nothing that cannot be asked keeps anybody from an emergency stop.
    let already = client.read::<StopView>("stop").await.is_ok_and(|stop| stop.said.on);
    if already || deciders(client, "mine").await.map_or(true, |others| !others.is_empty()) {
        return Ok(());
    }
    let text = "nobody but you could agree to lift the emergency stop: it stays on until there is a second administrator who counts \
                (lanyard admins add; a new one counts after the newcomers' wait)";
    print::say(text);
    if !yes && std::io::stdin().is_terminal() && !confirm("Set it all the same?")? {
        return Err(Failure::Failed("nothing was done".into()));
    }
    Ok(())
}

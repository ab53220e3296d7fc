//! One order carried out before Exchange: the steps of `lanyard-exchange`, with a lease that must hold and a journal that must be written before
//! anything is changed there.

use crate::{clock, driver, driver::Driver, journal::Journal, lead::Lead};
use lanyard_exchange::{
    access,
    calls::{Order, Outcome, Work},
    cmdlet::Cmdlet,
    steps::{Machine, Next, Steps},
};
use serde_json::json;
use std::{io, sync::Arc};
use tokio::sync::Mutex;
use uuid::Uuid;

/// What an order is carried out with.
#[derive(Clone)]
pub struct Carrier {
    /// Exchange.
    pub driver: Arc<dyn Driver>,
    /// What was done.
    pub journal: Arc<Mutex<Journal>>,
    /// Whether anything may be written now.
    pub lead: Arc<Lead>,
    /// Whether this Exchange knows a wipe of the account alone.
    pub account_only: bool,
    /// What would be written is printed, and not done.
    pub dry: bool,
}

/// How carrying out an order ended.
pub enum Carried {
    /// So: it is in the journal.
    Ended(Box<Outcome>),
    /// Not begun, or broken off: whoever leads next is told again.
    Left,
    /// It would have written this.
    Dry,
}

impl Carrier {
    /// Does it. `resumed`: it may have written before this program started.
    pub async fn carry(&self, work: Work, resumed: bool) -> io::Result<Carried> {
        let id = work.id;
        match work.order {
            Order::Access(wanted) => self.go(id, access::Steps::begin(id, wanted, work.deadline)).await,
            _ => self.go(id, Steps::begin(work, self.account_only, resumed)).await,
        }
    }

    async fn go<S: Machine>(&self, id: Uuid, mut next: Next<S>) -> io::Result<Carried> {
        loop {
            next = match next {
                Next::End(outcome) => {
                    if !self.dry {
                        self.journal.lock().await.ended((*outcome).clone())?;
                    }
                    return Ok(Carried::Ended(outcome));
                }
                Next::Pause(wait, steps) => {
                    tokio::time::sleep(wait).await;
                    steps.resume()
                }
                Next::Call(cmdlet, steps) if cmdlet.writes() && self.dry => {
                    steps.ahead(&cmdlet).iter().for_each(print);
                    return Ok(Carried::Dry);
                }
                Next::Call(cmdlet, steps) => {
                    if cmdlet.writes() {
                        if !self.lead.holds() {
                            tracing::warn!(order = %id, "not written: this connector does not lead any more");
                            return Ok(Carried::Left);
                        }
                        self.journal.lock().await.writes(id)?;
                        tracing::info!(order = %id, cmdlet = cmdlet.name, "written to Exchange");
                    }
                    let answer = driver::all(&*self.driver, &cmdlet).await;
                    if let Err(failure) = &answer {
                        tracing::warn!(order = %id, cmdlet = cmdlet.name, %failure, "Exchange");
                    }
                    steps.step(answer, clock::now())
                }
            }
        }
    }
}

/// A line of what `--dry-run` would write.
fn print(cmdlet: &Cmdlet) {
    use io::Write as _;
    let parameters = cmdlet.json(|add, remove| json!({ "add": add, "remove": remove }));
    let line = json!({ "cmdlet": cmdlet.name, "parameters": parameters });
    // Whoever reads it may have gone.
    let _ = writeln!(io::stdout(), "{line}");
}

//! `lanyard status`.

use super::{Done, Failure, Outcome, Shown, client::Client, print, unprinted};
use crate::documents::{fields, status::StatusView};
use serde_json::Value;
use std::time::Duration;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(5);

/// What is wrong now, and what will be within 90 days, worst first.
#[derive(clap::Args)]
pub struct Status {
    /// Look again every five seconds, and print the list whenever it is another.
    #[arg(long)]
    watch: bool,
}

impl Status {
    pub(super) async fn run(self, client: &Client, how: &Shown) -> Done {
        let columns = fields!(StatusView: severity, code, subject, text, since, until);
        let mut list: Vec<Value> = client.read("status").await?.said;
        if !self.watch {
            return Ok(Outcome::list(list, columns));
        }
        loop {
            let outcome = Outcome::list(list.clone(), columns);
            print::show(&outcome.shown(), &how.screen.now(), how.json).map_err(unprinted)?;
            list = another(client, &list).await?;
        }
    }
}

/// The list, once it is another one.
async fn another(client: &Client, shown: &[Value]) -> Result<Vec<Value>, Failure> {
    loop {
        tokio::time::sleep(LOOK).await;
        let answer = client.read_in_time::<Vec<Value>>("status", None).await?;
        if let Some(answer) = answer.filter(|answer| answer.said != shown) {
            return Ok(answer.said);
        }
    }
}

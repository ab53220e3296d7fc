//! `lanyard status`: the screen of a bad night. The stop, what waits for whom, open wipes, what is wrong, what ends, who can approve.

mod night;

use super::{Done, Failure, Outcome, Shown, client::Client, print, unprinted};
use crate::documents::{fields, status::StatusView};
use night::Night;
use serde_json::Value;
use std::time::Duration;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(5);
/// Up to the left corner, and all away that was shown.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J\u{1b}[3J";

/// The emergency stop, what waits for whom, open wipes, what is wrong and what ends within 90 days, and who can approve now.
#[derive(clap::Args)]
pub struct Status {
    /// Look again every five seconds: a terminal keeps it, else it is printed whenever what is wrong is another.
    #[arg(long)]
    watch: bool,
}

/// What is wrong, as a list: for programs it is the document.
const COLUMNS: &[&str] = fields!(StatusView: severity, code, subject, text, since, until);

impl Status {
    pub(super) async fn run(self, client: &Client, how: &Shown) -> Done {
        let list: Vec<Value> = client.read("status").await?.said;
        match (self.watch, how.json) {
            (false, true) => Ok(Outcome::list(list, COLUMNS)),
            (false, false) => {
                let screen = how.screen.now();
                let text = Night::gather(client, list).await?.print(&screen);
                print::text(&text).map_err(unprinted)?;
                Ok(Outcome::record(Value::Null))
            }
            (true, false) if how.screen.terminal => keep(client, how).await,
            (true, _) => follow(client, how, list).await,
        }
    }
}

/// For a program or a file: the list, and again whenever it is another one.
async fn follow(client: &Client, how: &Shown, mut list: Vec<Value>) -> Done {
    loop {
        if how.json {
            let outcome = Outcome::list(list.clone(), COLUMNS);
            print::show(&outcome.shown(), &how.screen, true).map_err(unprinted)?;
        } else {
            let night = in_time(client, list.clone()).await?;
            print::text(&night.print(&how.screen.now())).map_err(unprinted)?;
        }
        list = another(client, &list).await?;
    }
}

/// What makes a line another: moments are reckoned anew with each look, and may come out a little otherwise.
fn told(list: &[Value]) -> Vec<[Option<&Value>; 4]> {
    list.iter().map(|line| ["severity", "code", "subject", "text"].map(|field| line.get(field))).collect()
}

/// The list, once it is another one.
async fn another(client: &Client, shown: &[Value]) -> Result<Vec<Value>, Failure> {
    loop {
        tokio::time::sleep(LOOK).await;
        let answer = client.read_in_time::<Vec<Value>>("status", None).await?;
        if let Some(answer) = answer.filter(|answer| told(&answer.said) != told(shown)) {
            return Ok(answer.said);
        }
    }
}

/// What belongs to the list, asked for until there is an answer.
async fn in_time(client: &Client, list: Vec<Value>) -> Result<Night, Failure> {
    loop {
        match Night::gather(client, list.clone()).await {
            Err(Failure::Away(_)) => tokio::time::sleep(LOOK).await,
            gathered => return gathered,
        }
    }
}

/// For people: the screen, always as it is now. One that cannot be had stays, and says since when.
async fn keep(client: &Client, how: &Shown) -> Done {
    let (mut shown, mut away) = (String::new(), None);
    loop {
        let screen = how.screen.now();
        let gathered = match client.read::<Vec<Value>>("status").await {
            Ok(list) => Night::gather(client, list.said).await,
            Err(failure) => Err(failure),
        };
        match gathered {
            Ok(night) => (shown, away) = (night.print(&screen), None),
            Err(Failure::Away(text)) => {
                let (since, _) = away.get_or_insert_with(|| (screen.now, String::new()));
                away = Some((*since, text));
            }
            Err(failure) => return Err(failure),
        }
        let note = away.as_ref().map(|(since, text)| {
            let text = format!("This is old: since {} {text}", screen.moment(*since));
            screen.fitted(&print::visible_lines(&text)) + "\n"
        });
        let text = screen.lines_that_fit(&format!("{}{shown}", note.unwrap_or_default()));
        print::text(&format!("{CLEAR}{text}")).map_err(unprinted)?;
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_moment_reckoned_anew_makes_no_other_list() {
        let line = |text: &str, until: &str| {
            vec![json!({"severity": "note", "code": "a", "subject": "b", "text": text, "until": until})]
        };
        let shown = line("1 command is held", "2026-11-30T03:00:00Z");
        assert_eq!(told(&line("1 command is held", "2026-11-30T03:00:01Z")), told(&shown));
        assert_ne!(told(&line("2 commands are held", "2026-11-30T03:00:00Z")), told(&shown));
        assert_ne!(told(&[]), told(&shown));
    }
}

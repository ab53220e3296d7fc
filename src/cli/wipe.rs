//! `lanyard wipe`: asks once more, asks for it, and waits for its end where that is wanted.

use super::{
    Done, Failure, Outcome,
    client::{Client, encode},
    confirm,
};
use crate::clock::parse_duration;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// A wipe.
#[derive(clap::Args)]
pub struct Wipe {
    /// The device's id, or any name that fits it alone.
    device: String,
    /// What the organisation put there, or everything.
    #[arg(long, value_enum)]
    scope: Scope,
    /// Why; kept with the command and in the audit log.
    #[arg(long)]
    reason: String,
    /// Six digits for a Mac; made where none are given.
    #[arg(long)]
    pin: Option<String>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Undo window, such as 10m.
    #[arg(long)]
    delay: Option<String>,
    /// After so long without being sent it comes to nothing.
    #[arg(long)]
    expires: Option<String>,
    /// Wait for its end.
    #[arg(long)]
    wait: bool,
    /// Give up waiting after this.
    #[arg(long, requires = "wait", value_parser = parse_duration)]
    timeout: Option<Duration>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Scope {
    Selective,
    Full,
}

impl Wipe {
    pub(super) async fn run(self, client: &Client) -> Done {
        let device = client.get(&format!("devices/{}", encode(&self.device))).await?;
        let id = text(&device, "id").to_string();
        eprintln!("lanyard: {}", what_goes(text(&device, "channel"), text(&device, "platform"), self.scope));
        if !self.yes && !confirm(&question(&device, self.scope))? {
            return Err(Failure::Failed("nothing was done".into()));
        }
        let scope = match self.scope {
            Scope::Selective => "selective",
            Scope::Full => "full",
        };
        let body = json!({
            "scope": scope, "reason": self.reason, "pin": self.pin, "delay": self.delay, "expires": self.expires,
        });
        let command = client.post(&format!("devices/{}/wipe", encode(&id)), body).await?;
        eprintln!("lanyard: {}", standing(&command));
        if !self.wait {
            return Ok(Outcome::record(command));
        }
        let ended = wait(client, command, self.timeout).await?;
        let good = matches!(text(&ended, "state"), "confirmed" | "presumed");
        Ok(Outcome::record(ended).good_if(good))
    }
}

/// Names the device in all the ways people know it by, and says what will be gone.
fn question(device: &Value, scope: Scope) -> String {
    let names: Vec<&str> =
        ["user", "name", "model", "serial"].iter().map(|field| text(device, field)).filter(|t| !t.is_empty()).collect();
    let what = match scope {
        Scope::Selective => "Remove the organisation's data from",
        Scope::Full => "Erase everything on",
    };
    format!("{what} {} ({})?", names.join(", "), text(device, "id"))
}

/// What the wipe will erase, by the channel that would carry it.
fn what_goes(channel: &str, platform: &str, scope: Scope) -> &'static str {
    match (channel, scope) {
        ("apple", Scope::Selective) => {
            "the management profile goes, and with it the profiles, accounts and apps that came by it; the user's own data stays"
        }
        ("apple", Scope::Full) if platform == "macos" => {
            "the Mac is erased: every user's data, the user's own too; it needs the PIN to start again"
        }
        ("apple", Scope::Full) => "the device is erased: all apps and data, the user's own too",
        ("omadm", Scope::Selective) => {
            "the PC leaves management, and the settings and certificates that came by it go; files stay, the organisation's too"
        }
        ("omadm", Scope::Full) => "the PC is reset: all users' files and programs go",
        ("activesync" | "exchange", Scope::Selective) => {
            "the mail app removes its account where it speaks ActiveSync 16.1; an older one only loses its access, and mail that it holds stays"
        }
        ("activesync" | "exchange", Scope::Full) => {
            "the mail app has the whole phone erased, the user's own data too, or, as Outlook does, removes its account alone"
        }
        (_, Scope::Selective) => "what the organisation put there goes",
        (_, Scope::Full) => "everything on the device goes",
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// How a command stands, in one line.
fn standing(command: &Value) -> String {
    let (id, state) = (text(command, "id"), text(command, "state"));
    let by = text(command, "expected_by");
    match state {
        "held" if !text(command, "approval").is_empty() => {
            format!("command {id} is held for a second person: lanyard approvals wait {}", text(command, "approval"))
        }
        "held" => format!("command {id} waits for its undo window to end; lanyard commands cancel {id} takes it back"),
        "queued" if by.is_empty() => {
            format!("command {id} is queued; nothing wakes the device, it hears of it when it next asks")
        }
        "queued" => format!("command {id} is queued; the device can be expected to hear of it by {by}"),
        _ => format!("command {id} is {state}"),
    }
}

async fn wait(client: &Client, mut command: Value, timeout: Option<Duration>) -> Result<Value, Failure> {
    let begun = Instant::now();
    let path = format!("commands/{}", encode(text(&command, "id")));
    loop {
        if !matches!(text(&command, "state"), "held" | "queued" | "sent" | "not_now") {
            return Ok(command);
        }
        if timeout.is_some_and(|limit| begun.elapsed() >= limit) {
            eprintln!("lanyard: not ended within the time given; {}", standing(&command));
            return Ok(command);
        }
        tokio::time::sleep(LOOK).await;
        let next = client.get(&path).await?;
        if text(&next, "state") != text(&command, "state") {
            eprintln!("lanyard: {}", standing(&next));
        }
        command = next;
    }
}

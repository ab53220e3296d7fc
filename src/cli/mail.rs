//! `lanyard mail`.

use super::{Done, Failure, Outcome, client::Client, password, print};
use crate::{
    documents::{mail::MailCheckBody, policies::ApplyBody},
    policy::MailRules,
};
use std::path::{Path, PathBuf};

/// The mail gateway.
#[derive(clap::Subcommand)]
pub enum Mail {
    /// Go the way to the mail server step by step, and name the one that fails.
    Check {
        /// Try the login of this user too, by the name that they type into their phone.
        #[arg(long)]
        user: Option<String>,
        /// File with the user's password; asked for where there is none.
        #[arg(long, requires = "user")]
        password_file: Option<PathBuf>,
    },
    /// Who may read mail, by what is known of a client and its device.
    #[command(subcommand)]
    Rules(Rules),
}

/// Access rules.
#[derive(clap::Subcommand)]
pub enum Rules {
    /// Show whom a file of rules would let in or shut out; with --yes, set it.
    Apply {
        /// YAML.
        file: PathBuf,
        /// Carry it out.
        #[arg(long)]
        yes: bool,
    },
    /// Show the rules that count.
    Show,
}

impl Mail {
    pub(super) async fn run(self, client: &Client) -> Done {
        match self {
            Self::Check { user, password_file } => check(client, user, password_file.as_deref()).await,
            Self::Rules(Rules::Apply { file, yes }) => apply(client, &file, yes).await,
            Self::Rules(Rules::Show) => Ok(Outcome::record(client.get("mail/rules").await?)),
        }
    }
}

async fn check(client: &Client, user: Option<String>, password_file: Option<&Path>) -> Done {
    let steps = match &user {
        // Where the mail server takes the server's word for its users no password is needed.
        Some(name) if password_file.is_none() => {
            match client.post("mail/check", &MailCheckBody { user: user.clone(), password: None }).await {
                Err(Failure::Failed(text)) if text.contains(MailCheckBody::TOGETHER) => {
                    let password = Some(password::of(None, name).await?);
                    client.post("mail/check", &MailCheckBody { user, password }).await
                }
                other => other,
            }
        }
        Some(name) => {
            let password = Some(password::of(password_file, name).await?);
            client.post("mail/check", &MailCheckBody { user, password }).await
        }
        None => client.post("mail/check", &MailCheckBody { user, password: None }).await,
    }?;
    let steps = steps.as_array().cloned().unwrap_or_default();
    let good = steps.iter().all(|step| step.get("ok").and_then(serde_json::Value::as_bool) == Some(true));
    Ok(Outcome::list(steps, &["step", "ok", "detail"]).good_if(good))
}

async fn apply(client: &Client, file: &Path, yes: bool) -> Done {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    MailRules::parse(&text).map_err(|e| format!("{}: {e}", file.display()))?;
    let change = client.put(&format!("mail/rules?apply={yes}"), &ApplyBody { text }).await?;
    if !yes {
        print::say("nothing was changed; --yes carries it out");
    }
    Ok(Outcome::record(change))
}

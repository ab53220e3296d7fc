//! `lanyard invite`, `commands`, `apple push-cert`, `audit` and `ca`.

use super::{
    Done, Outcome,
    client::{Client, encode},
};
use base64::Engine as _;
use serde_json::{Value, json};
use std::path::PathBuf;

/// An invitation.
#[derive(clap::Args)]
pub struct Invite {
    /// How the device will be managed.
    #[arg(long, value_enum)]
    channel: Channel,
    /// The user's name.
    #[arg(long)]
    user: String,
    /// Whose the device is.
    #[arg(long, value_enum, default_value = "corporate")]
    ownership: Ownership,
    /// How long it is good; 7d where nothing is said.
    #[arg(long)]
    expires: Option<String>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Channel {
    Apple,
    Windows,
    Activesync,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Ownership {
    Corporate,
    Personal,
}

impl Invite {
    pub(super) async fn run(self, client: &Client) -> Done {
        let channel = match self.channel {
            Channel::Apple => "apple",
            Channel::Windows => "windows",
            Channel::Activesync => "activesync",
        };
        let ownership = match self.ownership {
            Ownership::Corporate => "corporate",
            Ownership::Personal => "personal",
        };
        let body = json!({"channel": channel, "user": self.user, "ownership": ownership, "expires": self.expires});
        Ok(Outcome::record(client.post("invitations", body).await?))
    }
}

/// Commands.
#[derive(clap::Subcommand)]
pub enum Commands {
    /// All of them.
    List {
        /// Only those of this device.
        #[arg(long)]
        device: Option<String>,
    },
    /// One of them.
    Show {
        /// Its id.
        id: String,
    },
    /// Take it back.
    Cancel {
        /// Its id.
        id: String,
        /// Whether mail that the wipe shut opens again.
        #[arg(long, value_enum, default_value = "allow")]
        mail: Mail,
    },
}

/// What becomes of mail when a wipe is taken back.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Mail {
    /// It opens again.
    Allow,
    /// It stays shut.
    Block,
}

impl Commands {
    pub(super) async fn run(self, client: &Client) -> Done {
        Ok(match self {
            Self::List { device } => {
                let query = device.map(|d| format!("?device={}", encode(&d))).unwrap_or_default();
                let columns = &["id", "device", "channel", "action", "scope", "state", "requested_by", "created"];
                Outcome::list(client.list(&format!("commands{query}")).await?, columns)
            }
            Self::Show { id } => Outcome::record(client.get(&format!("commands/{}", encode(&id))).await?),
            Self::Cancel { id, mail } => {
                let mail = match mail {
                    Mail::Allow => "allow",
                    Mail::Block => "block",
                };
                let path = format!("commands/{}/cancel", encode(&id));
                Outcome::record(client.post(&path, json!({"mail": mail})).await?)
            }
        })
    }
}

/// Apple's push service.
#[derive(clap::Subcommand)]
pub enum Apple {
    /// The push certificate.
    #[command(subcommand)]
    PushCert(PushCert),
}

/// The push certificate.
#[derive(clap::Subcommand)]
pub enum PushCert {
    /// Set it; topic and expiry are read from it.
    Set {
        /// Certificate and key: PEM or PKCS#12.
        file: PathBuf,
        /// A file with its password.
        #[arg(long)]
        password_file: Option<PathBuf>,
    },
    /// What is set, or what is missing.
    Show,
}

impl Apple {
    pub(super) async fn run(self, client: &Client) -> Done {
        let Self::PushCert(verb) = self;
        Ok(Outcome::record(match verb {
            PushCert::Show => client.get("apple/push-cert").await?,
            PushCert::Set { file, password_file } => {
                let read = |path: &PathBuf| std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()));
                let file = base64::engine::general_purpose::STANDARD.encode(read(&file)?);
                let password = password_file.as_ref().map(read).transpose()?;
                let password = password.map(|p| String::from_utf8_lossy(&p).trim_end_matches(['\r', '\n']).to_string());
                client.put("apple/push-cert", json!({"file": file, "password": password})).await?
            }
        }))
    }
}

/// The audit log.
#[derive(clap::Subcommand)]
pub enum Audit {
    /// What was done, by whom and when, by time.
    List {
        /// Only entries on this device, its enrolments and its commands.
        #[arg(long)]
        device: Option<String>,
    },
    /// Recompute the chains.
    Verify {
        /// A head (hash) that was kept elsewhere.
        #[arg(long)]
        head: Option<String>,
    },
}

impl Audit {
    pub(super) async fn run(self, client: &Client) -> Done {
        match self {
            Self::List { device } => {
                let query = device.map(|d| format!("?device={}", encode(&d))).unwrap_or_default();
                let mut entries = client.list(&format!("audit{query}")).await?;
                if let Value::Array(entries) = &mut entries {
                    let when = |e: &Value| {
                        let text = |name: &str| e.get(name).and_then(Value::as_str).unwrap_or_default().to_string();
                        let seq = e.get("seq").and_then(Value::as_u64);
                        let at =
                            time::OffsetDateTime::parse(&text("time"), &time::format_description::well_known::Rfc3339);
                        (at.ok(), text("node"), seq)
                    };
                    entries.sort_by_cached_key(when);
                }
                let columns = &["time", "node", "seq", "actor", "action", "subject", "outcome", "detail"];
                Ok(Outcome::list(entries, columns))
            }
            Self::Verify { head } => {
                let query = head.as_ref().map(|h| format!("?head={}", encode(h))).unwrap_or_default();
                let verdict = client.get(&format!("audit/verify{query}")).await?;
                if head.is_none() {
                    eprintln!("lanyard: a cut tail shows only against a head kept elsewhere (--head)");
                }
                let ok = verdict.get("ok").and_then(Value::as_bool) == Some(true);
                Ok(Outcome::record(verdict).good_if(ok))
            }
        }
    }
}

/// The device CA.
#[derive(clap::Subcommand)]
pub enum Ca {
    /// Its certificates.
    Show,
}

impl Ca {
    pub(super) async fn run(self, client: &Client) -> Done {
        let Self::Show = self;
        Ok(Outcome::record(client.get("ca").await?))
    }
}

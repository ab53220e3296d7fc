//! `lanyard devices`, `lock`, `clear-passcode`, `restart`.

use super::{
    Done, Outcome,
    client::{Client, encode},
    standing::standing,
    wipe::six_digits,
};
use crate::{
    clock::{parse_duration, print_duration},
    documents::{
        Empty,
        commands::CommandView,
        devices::{DeviceView, LockBody, RenameBody, SetBody, WhichBody},
        fields,
    },
};
use std::time::Duration;

const COLUMNS: &[&str] = fields!(DeviceView: id, user, channel, platform, name, serial, state, compliance, last_seen);

/// Devices.
#[derive(clap::Subcommand)]
pub enum Devices {
    /// All of them.
    List {
        /// Only those with a certificate that ends within this, such as 60d.
        #[arg(long, value_parser = parse_duration)]
        expiring: Option<Duration>,
    },
    /// One of them.
    Show(One),
    /// Ask it what it is and how it stands.
    Sync(One),
    /// Give it a name: a Mac, or an Apple device that is supervised.
    Rename(Rename),
    /// Say whose it is, or give a shared one to a person.
    Set(Set),
    /// Remove the record of one that has ended; it is back once it is heard.
    Remove(One),
    /// Let its mail in; frees one that was blocked, retired or wiped.
    Allow(Which),
    /// Shut its mail out.
    Block(Which),
    /// Let its mail wait.
    Quarantine(Which),
    /// End its certificates and nothing else: it must enrol anew.
    Revoke(Which),
}

/// What is done to one device, but for wipes. Each is a verb of its own.
#[derive(clap::Subcommand)]
pub enum Acts {
    /// Lock a device's screen.
    Lock(Lock),
    /// Remove a device's passcode.
    ClearPasscode(One),
    /// Restart a device.
    Restart(One),
}

/// A device.
#[derive(clap::Args)]
pub struct One {
    /// Its id, or any name that fits it alone: serial, UDID, DeviceID.
    device: String,
}

/// A device, and which of its enrolments.
#[derive(clap::Args)]
pub struct Which {
    /// Its id, or any name that fits it alone.
    device: String,
    /// One enrolment of it.
    #[arg(long)]
    enrolment: Option<String>,
    /// Why.
    #[arg(long)]
    reason: Option<String>,
}

/// A device to rename.
#[derive(clap::Args)]
pub struct Rename {
    /// Its id, or any name that fits it alone.
    device: String,
    /// What it is to be called: 1 to 63 characters.
    name: String,
}

/// A device, and what is set of it.
#[derive(clap::Args)]
#[group(id = "what", required = true, multiple = true)]
pub struct Set {
    /// Its id, or any name that fits it alone.
    #[arg(group = "which")]
    device: String,
    /// Whose it is. From personal to corporate takes a second person.
    #[arg(long, value_enum, group = "what")]
    ownership: Option<super::invitations::Ownership>,
    /// The person to whom a shared one is given.
    #[arg(long, group = "what")]
    user: Option<String>,
}

/// A device to lock.
#[derive(clap::Args)]
pub struct Lock {
    /// Its id, or any name that fits it alone.
    device: String,
    /// Six digits for a Mac; made where none are given.
    #[arg(long, value_parser = six_digits)]
    pin: Option<String>,
    /// Why.
    #[arg(long)]
    reason: Option<String>,
}

impl Devices {
    pub(super) async fn run(self, client: &Client) -> Done {
        match self {
            Self::List { expiring } => {
                let query = expiring.map(|within| format!("?expiring={}", print_duration(within))).unwrap_or_default();
                Ok(Outcome::list(client.list(&format!("devices{query}")).await?, COLUMNS))
            }
            Self::Show(one) => Ok(Outcome::record(client.get(&one.path("")).await?)),
            Self::Sync(one) => one.run(client, "sync").await,
            Self::Rename(rename) => rename.run(client).await,
            Self::Set(set) => set.run(client).await,
            Self::Remove(one) => Ok(Outcome::record(client.delete(&one.path("")).await?)),
            Self::Allow(which) => which.run(client, "allow").await,
            Self::Block(which) => which.run(client, "block").await,
            Self::Quarantine(which) => which.run(client, "quarantine").await,
            Self::Revoke(which) => which.run(client, "revoke").await,
        }
    }
}

impl Acts {
    pub(super) async fn run(self, client: &Client) -> Done {
        match self {
            Self::Lock(lock) => lock.run(client).await,
            Self::ClearPasscode(one) => one.run(client, "clear-passcode").await,
            Self::Restart(one) => one.run(client, "restart").await,
        }
    }
}

impl One {
    fn path(&self, act: &str) -> String {
        format!("devices/{}{act}", encode(&self.device))
    }

    async fn run(self, client: &Client, act: &str) -> Done {
        Ok(Outcome::record(client.post(&self.path(&format!("/{act}")), &Empty {}).await?))
    }
}

impl Which {
    async fn run(self, client: &Client, act: &str) -> Done {
        let path = format!("devices/{}/{act}", encode(&self.device));
        let body = WhichBody { enrolment: self.enrolment, reason: self.reason };
        Ok(Outcome::record(client.post(&path, &body).await?))
    }
}

impl Rename {
    async fn run(self, client: &Client) -> Done {
        let path = format!("devices/{}/rename", encode(&self.device));
        Ok(Outcome::record(client.post(&path, &RenameBody { name: self.name }).await?))
    }
}

impl Set {
    async fn run(self, client: &Client) -> Done {
        let body = SetBody { ownership: self.ownership.map(Into::into), user: self.user };
        Ok(Outcome::record(client.patch(&format!("devices/{}", encode(&self.device)), &body).await?))
    }
}

impl Lock {
    async fn run(self, client: &Client) -> Done {
        let path = format!("devices/{}/lock", encode(&self.device));
        let body = LockBody { pin: self.pin, reason: self.reason };
        let command = client.ask::<CommandView>(&path, &body).await?;
        eprintln!("lanyard: {}", standing(client, &command.said).await);
        Ok(Outcome::record(command.document))
    }
}

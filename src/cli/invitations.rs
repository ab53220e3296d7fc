//! `lanyard invite` and `invitations`.

use super::{
    Done, Outcome,
    client::{Client, encode},
    print,
};
use crate::{
    clock::{parse_duration, print_duration},
    documents::{
        Empty, fields,
        invitations::{self, InvitationView, InviteBody},
        status::StatusView,
    },
};
use serde_json::Value;
use std::time::Duration;

/// An invitation.
#[derive(clap::Args)]
pub struct Invite {
    /// How the device will be managed.
    #[arg(long, value_enum)]
    channel: Channel,
    /// The user's name.
    #[arg(long, required_unless_present = "uses")]
    user: Option<String>,
    /// By how many devices it can be used, which are nobody's in particular (`devices set --user` says whose each is).
    #[arg(long, value_name = "N", conflicts_with = "user")]
    uses: Option<u32>,
    /// What enrols by it comes into this group.
    #[arg(long, value_name = "G", requires = "uses")]
    group: Option<String>,
    /// Whose the device is.
    #[arg(long, value_enum, default_value = "corporate")]
    ownership: Ownership,
    /// How long it is good; 7d where nothing is said.
    #[arg(long, value_parser = parse_duration)]
    expires: Option<Duration>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Channel {
    Apple,
    Windows,
    Activesync,
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum Ownership {
    Corporate,
    Personal,
}

impl From<Ownership> for invitations::Ownership {
    fn from(ownership: Ownership) -> Self {
        match ownership {
            Ownership::Corporate => Self::Corporate,
            Ownership::Personal => Self::Personal,
        }
    }
}

impl Invite {
    pub(super) async fn run(self, client: &Client) -> Done {
        let channel = match self.channel {
            Channel::Apple => "apple",
            Channel::Windows => "windows",
            Channel::Activesync => "activesync",
        };
        let ownership = self.ownership.into();
        let expires = self.expires.map(print_duration);
        let Self { user, uses, group, .. } = self;
        let body = InviteBody { channel: channel.into(), user, uses, group, ownership: Some(ownership), expires };
        let invited = client.post("invitations", &body).await?;
        if channel == "apple" {
            say_if_unpushed(client).await;
        }
        Ok(Outcome::record(invited))
    }
}

/// What enrols now cannot be woken. A remark: that it cannot be had keeps nobody from inviting.
async fn say_if_unpushed(client: &Client) {
    let Ok(list) = client.read::<Vec<StatusView>>("status").await else { return };
    let missing = |line: &&StatusView| matches!(&*line.code, "push_cert_missing" | "push_cert_expired");
    for line in list.said.iter().filter(missing) {
        print::say(format!("{}; see docs/apple-push-certificate.md", line.text));
    }
}

/// Invitations that were made.
#[derive(clap::Subcommand)]
pub enum Invitations {
    /// List invitations, without their secrets.
    List,
    /// Take an invitation back: nobody enrols by it any more. What has enrolled stays.
    Revoke {
        /// Its id.
        id: String,
    },
}

impl Invitations {
    pub(super) async fn run(self, client: &Client) -> Done {
        Ok(match self {
            Self::List => {
                let columns = fields!(InvitationView: id, channel, user, group, uses, used, revoked, expires);
                let all: Vec<Value> = client.list("invitations").await?;
                if all.iter().any(|one| one.get("channel").and_then(Value::as_str) == Some("apple")) {
                    say_if_unpushed(client).await;
                }
                Outcome::list(all, columns)
            }
            Self::Revoke { id } => {
                Outcome::record(client.post(&format!("invitations/{}/revoke", encode(&id)), &Empty {}).await?)
            }
        })
    }
}

//! `lanyard devices`, `lock`, `clear-passcode`, `restart`.

use super::{
    Done, Failure, Outcome, Shown, at_a_terminal,
    client::{Client, encode, filtered},
    must_confirm, one_of,
    print::{self, Screen},
    request::called,
    standing::standing,
    wipe::six_digits,
};
use crate::{
    clock::{parse_duration, print_duration},
    documents::{
        Empty,
        commands::CommandView,
        devices::{
            ConcernedView, DeviceView, Door, LockBody, Platform, RefusedView, RenameBody, STATES, SetBody, WhereBody,
            WhichBody,
        },
        fields,
    },
};
use serde_json::{Value, json};
use std::time::Duration;

/// `device_id` is what a mail client calls itself: it has no serial number.
pub(super) const COLUMNS: &[&str] =
    &["id", "user", "channel", "platform", "name", "model", "serial", "device_id", "state", "compliance", "last_seen"];

/// The same where there are mail clients, which people tell apart by `type` and `agent`. `claimed`: one waits, and its user says that it is his.
const COLUMNS_OF_MAIL: &[&str] = &[
    "id",
    "user",
    "channel",
    "platform",
    "name",
    "model",
    "serial",
    "device_id",
    "type",
    "agent",
    "state",
    "claimed",
    "compliance",
    "last_seen",
];

/// What a night's work can be done without comes first.
const SPARE: &[&str] =
    &["device_id", "agent", "claimed", "type", "model", "channel", "serial", "compliance", "platform"];

/// All but those and `claimed` are the document's own.
const _: &[&str] = fields!(DeviceView: id, user, channel, platform, name, model, serial, state, compliance, last_seen);

/// Devices as a list, with what their mail clients call themselves, and when their users claimed those that wait.
pub(super) fn listed(devices: Vec<Value>) -> Outcome {
    let of_mail = |device: &Value| {
        let enrolments = device.get("enrolments").and_then(Value::as_array).into_iter().flatten();
        let mail: Vec<&Value> =
            enrolments.filter(|e| e.get("channel").and_then(Value::as_str) == Some("activesync")).collect();
        let all = |field| mail.iter().filter_map(|e| e.get(field).filter(|v| !v.is_null()).cloned()).collect();
        let [ids, types, agents, claimed]: [Vec<Value>; 4] = ["identity", "type", "agent", "claimed"].map(all);
        json!({"device_id": ids, "type": types, "agent": agents, "claimed": claimed})
    };
    let beside: Vec<Value> = devices.iter().map(of_mail).collect();
    let says =
        |field| beside.iter().any(|of: &Value| of.get(field).and_then(Value::as_array).is_some_and(|v| !v.is_empty()));
    let columns = if says("type") || says("agent") { COLUMNS_OF_MAIL } else { COLUMNS };
    Outcome::list(devices, columns).spare(SPARE).beside(beside)
}

/// Devices.
#[derive(clap::Subcommand)]
pub enum Devices {
    /// List devices: all of them, or those that the filters leave.
    List {
        /// Only those with a certificate that ends within this, such as 60d.
        #[arg(long, value_parser = parse_duration)]
        expiring: Option<Duration>,
        /// Only those in this state.
        #[arg(long, value_parser = one_of(STATES))]
        state: Option<String>,
        /// Only those of this user.
        #[arg(long)]
        user: Option<String>,
        /// Only those of this platform.
        #[arg(long, value_parser = one_of(Platform::ALL.map(Platform::as_str)))]
        platform: Option<String>,
    },
    /// Show a device with its enrolments, or all devices of a user.
    Show(One),
    /// Ask a device what it is and how it stands, and read back what is set there.
    Sync(One),
    /// Give a device a name: a Mac, or an Apple device that is supervised.
    Rename(Rename),
    /// Say whose a device is, or give a shared one to a person.
    Set(Set),
    /// Remove the record of a device that has ended; it is back once it is heard.
    Remove(One),
    /// Let a device's mail in, or that of many; frees one that was blocked, retired or wiped.
    Allow(Whose),
    /// Shut a device's mail out, or that of many.
    Block(Whose),
    /// Let a device's mail wait until it is allowed.
    Quarantine(Which),
    /// End a device's certificates and nothing else: it must enrol anew. On a terminal it asks first.
    Revoke(Revoke),
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

/// A device whose certificates end.
#[derive(clap::Args)]
pub struct Revoke {
    #[command(flatten)]
    which: Which,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// A device, or many by what their mail clients call themselves.
#[derive(clap::Args)]
pub struct Whose {
    /// Its id, or any name that fits it alone.
    #[arg(required_unless_present = "which", conflicts_with = "which")]
    device: Option<String>,
    /// One enrolment of it.
    #[arg(long, conflicts_with = "which")]
    enrolment: Option<String>,
    /// Many at once, FIELD=VALUE: user, type, model, os, agent or state. Given several times all must hold; a `*` at the end of the value
    /// stands for any end. Only shown without --yes.
    #[arg(id = "which", long = "where", value_name = "FIELD=VALUE", num_args = 1..)]
    which: Vec<String>,
    /// Carry it out for all whom it concerns.
    #[arg(long, requires = "which")]
    yes: bool,
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
    /// What an Apple device's locked screen says to who finds it.
    #[arg(long)]
    message: Option<String>,
    /// The number that it shows them.
    #[arg(long)]
    phone: Option<String>,
}

impl Devices {
    pub(super) async fn run(self, client: &Client, how: &Shown) -> Done {
        match self {
            Self::List { expiring, state, user, platform } => {
                let expiring = expiring.map(print_duration);
                let wanted = [("expiring", expiring), ("state", state), ("user", user), ("platform", platform)];
                Ok(listed(client.list(&filtered("devices", wanted)).await?))
            }
            Self::Show(one) => one.show(client).await,
            Self::Sync(one) => one.run(client, "sync", how).await,
            Self::Rename(rename) => rename.run(client, how).await,
            Self::Set(set) => set.run(client).await,
            Self::Remove(one) => Ok(Outcome::record(client.delete(&one.path("")).await?)),
            Self::Allow(whose) => whose.run(client, "allow", Door::Allow).await,
            Self::Block(whose) => whose.run(client, "block", Door::Block).await,
            Self::Quarantine(which) => which.run(client, "quarantine").await,
            Self::Revoke(revoke) => revoke.run(client, how).await,
        }
    }
}

impl Acts {
    pub(super) async fn run(self, client: &Client, how: &Shown) -> Done {
        match self {
            Self::Lock(lock) => lock.run(client, how).await,
            Self::ClearPasscode(one) => one.run(client, "clear-passcode", how).await,
            Self::Restart(one) => one.run(client, "restart", how).await,
        }
    }
}

impl One {
    fn path(&self, act: &str) -> String {
        format!("devices/{}{act}", encode(&self.device))
    }

    /// The device; where the name is no device's but a user's, theirs.
    async fn show(self, client: &Client) -> Done {
        match client.get(&self.path("")).await {
            Err(Failure::Failed(text)) => {
                let theirs = client.list(&format!("devices?user={}", encode(&self.device))).await.unwrap_or_default();
                if theirs.is_empty() { Err(Failure::Failed(text)) } else { Ok(listed(theirs)) }
            }
            device => device.map(Outcome::record),
        }
    }

    async fn run(self, client: &Client, act: &str, how: &Shown) -> Done {
        ask(client, &self.path(&format!("/{act}")), &Empty {}, how).await
    }
}

impl Which {
    async fn run(self, client: &Client, act: &str) -> Done {
        let path = format!("devices/{}/{act}", encode(&self.device));
        let body = WhichBody { enrolment: self.enrolment, reason: self.reason };
        Ok(Outcome::record(client.post(&path, &body).await?))
    }
}

impl Revoke {
    async fn run(self, client: &Client, how: &Shown) -> Done {
        let Self { which, yes } = self;
        if yes || !at_a_terminal() {
            return which.run(client, "revoke").await;
        }
        let device = client.read::<DeviceView>(&format!("devices/{}", encode(&which.device))).await?.said;
        must_confirm(&about_to_revoke(&device, which.enrolment.as_deref(), &how.screen))?;
        // The one that was shown, whatever goes by the name by now.
        Which { device: device.id, ..which }.run(client, "revoke").await
    }
}

/// What ends with the certificates, and what stays.
fn about_to_revoke(device: &DeviceView, enrolment: Option<&str>, screen: &Screen) -> String {
    let whose = called(device, screen);
    let what = match enrolment {
        Some(id) => format!("the certificate of enrolment {} of {whose}", print::visible(id)),
        None => format!("the certificates of {whose}"),
    };
    format!(
        "End {what}? It is heard no more by them: no wipe, lock or setting reaches it, and it must enrol anew. What is on it stays: to \
         remove that, wipe it instead."
    )
}

impl Whose {
    async fn run(self, client: &Client, act: &str, access: Door) -> Done {
        let Self { device, enrolment, which, yes, reason } = self;
        if let Some(device) = device {
            return Which { device, enrolment, reason }.run(client, act).await;
        }
        let body = WhereBody { access, which, apply: yes, reason };
        let (mut concerned, mut refused, mut after) = (Vec::new(), 0, String::new());
        loop {
            let page = client.ask::<ConcernedView>(&format!("devices/where?limit=500{after}"), &body).await?;
            concerned.extend(page.document.get("items").and_then(Value::as_array).cloned().unwrap_or_default());
            for RefusedView { id, code, text } in &page.said.refused {
                print::say(format!("{id}: {text} ({code})"));
                refused += 1;
            }
            match page.said.next {
                Some(next) => after = format!("&after={}", encode(&next)),
                None => break,
            }
        }
        if !yes {
            print::say(format!("nothing was changed; it would concern {}: say so with --yes", concerned.len()));
        }
        Ok(listed(concerned).good_if(refused == 0))
    }
}

/// Asks for a command, and says how it stands: that nothing wakes the device, say.
async fn ask(client: &Client, path: &str, body: &impl serde::Serialize, how: &Shown) -> Done {
    let command = client.ask::<CommandView>(path, body).await?;
    print::say(standing(client, &command.said, &how.screen.now()).await);
    Ok(Outcome::record(command.document))
}

impl Rename {
    async fn run(self, client: &Client, how: &Shown) -> Done {
        let path = format!("devices/{}/rename", encode(&self.device));
        ask(client, &path, &RenameBody { name: self.name }, how).await
    }
}

impl Set {
    async fn run(self, client: &Client) -> Done {
        let body = SetBody { ownership: self.ownership.map(Into::into), user: self.user };
        Ok(Outcome::record(client.patch(&format!("devices/{}", encode(&self.device)), &body).await?))
    }
}

impl Lock {
    async fn run(self, client: &Client, how: &Shown) -> Done {
        let path = format!("devices/{}/lock", encode(&self.device));
        let body = LockBody { pin: self.pin, reason: self.reason, message: self.message, phone: self.phone };
        ask(client, &path, &body, how).await
    }
}

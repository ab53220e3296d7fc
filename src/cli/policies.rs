//! `lanyard policy` and `lanyard group`.

use super::{
    Done, Failure, Outcome, Shown,
    client::{Client, encode},
    confirm, names, print,
};
use crate::{
    documents::{
        Empty, fields,
        groups::{GroupView, NewGroupBody},
        policies::{ApplyBody, ChangeView, CoverageView, PolicyView},
    },
    policy::{PolicyFile, inline_profile_files},
};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Policies.
#[derive(clap::Subcommand)]
pub enum Policy {
    /// Show what a policy file would change; with --yes, change it.
    Apply {
        /// YAML.
        file: PathBuf,
        /// Carry it out.
        #[arg(long)]
        yes: bool,
    },
    /// List policies.
    List,
    /// Show a policy and its file.
    Show {
        /// Its name.
        name: String,
    },
    /// Show how well a policy holds, device by device.
    Coverage {
        /// Its name.
        name: String,
    },
    /// Delete a policy, and take it back from all devices. It asks first.
    Delete {
        /// Its name.
        name: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

impl Policy {
    pub(super) async fn run(self, client: &Client, how: &Shown) -> Done {
        match self {
            Self::Apply { file, yes } => apply(client, &file, yes).await,
            Self::List => {
                let all = client.list("policies").await?;
                Ok(Outcome::list(all, fields!(PolicyView: name, revision, assign, devices)))
            }
            Self::Show { name } => Ok(Outcome::record(client.get(&path(&name)).await?)),
            Self::Coverage { name } => {
                let rows: Vec<Value> = client.list(&format!("{}/coverage", path(&name))).await?;
                let mut beside = names::beside(client, how, &rows, "device").await;
                for (row, beside) in rows.iter().zip(&mut beside) {
                    if let Some(fields) = beside.as_object_mut() {
                        fields.insert("detail".into(), in_short(row).into());
                    }
                }
                Ok(Outcome::list(rows, COVERAGE).spare(&["verified", "device"]).beside(beside))
            }
            Self::Delete { name, yes } => delete(client, &name, yes).await,
        }
    }
}

/// `user`, `name` and `detail`, the settings in short, stand beside.
const COVERAGE: &[&str] = &["device", "user", "name", "state", "verified", "detail"];
const _: &[&str] = fields!(CoverageView: device, state, verified, settings);

/// How each setting stands, and why where it does not hold.
fn in_short(row: &Value) -> String {
    let word = |setting: &Value, name: &str| setting.get(name).and_then(Value::as_str).map(String::from);
    let settings = row.get("settings").and_then(Value::as_array).into_iter().flatten();
    let told = settings.filter_map(|setting| {
        let why = word(setting, "why").map(|why| format!(" ({why})")).unwrap_or_default();
        Some(format!("{} {}{why}", word(setting, "setting")?, word(setting, "state")?))
    });
    told.collect::<Vec<_>>().join(", ")
}

fn path(name: &str) -> String {
    format!("policies/{}", encode(name))
}

async fn apply(client: &Client, file: &Path, yes: bool) -> Done {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let beside = file.parent().unwrap_or(Path::new(".")).to_path_buf();
    let whole = inline_profile_files(&text, |name| std::fs::read(beside.join(name)));
    let whole = whole.map_err(|e| format!("{}: {e}", file.display()))?;
    let name = PolicyFile::parse(&whole).map_err(|e| format!("{}: {e}", file.display()))?.name;
    let change = client.put(&format!("{}?apply={yes}", path(&name)), &ApplyBody { text: whole }).await?;
    if !yes {
        print::say("nothing was changed; --yes carries it out");
    }
    Ok(Outcome::record(change))
}

async fn delete(client: &Client, name: &str, yes: bool) -> Done {
    if !yes {
        let change = client.end::<ChangeView>(&path(name)).await?;
        eprint!("{}", print::visible_lines(&change.said.diff));
        if !confirm(&format!("Delete the policy {name}?"))? {
            return Err(Failure::Failed("nothing was done".into()));
        }
    }
    Ok(Outcome::record(client.delete(&format!("{}?apply=true", path(name))).await?))
}

/// What goes with a group.
fn about_to_delete(group: &GroupView, policies: &[Value]) -> String {
    let GroupView { name, size } = group;
    let devices = if *size == 1 { "1 device stays".into() } else { format!("{size} devices stay") };
    let is_for = |policy: &&Value| {
        let groups = policy.get("assign").and_then(Value::as_array);
        groups.is_some_and(|groups| groups.iter().any(|group| group.as_str() == Some(name)))
    };
    let named = policies.iter().filter(is_for).filter_map(|policy| policy.get("name").and_then(Value::as_str));
    let by_it: Vec<&str> = named.collect();
    let lost = match by_it.as_slice() {
        [] => "no policy is assigned to it".into(),
        names => {
            format!("what is assigned to it is taken back from them, unless it comes another way: {}", names.join(", "))
        }
    };
    format!("Delete the group {name}? Its {devices}; {lost}.")
}

/// Groups of devices.
#[derive(clap::Subcommand)]
pub enum Group {
    /// List groups.
    List,
    /// Make a group.
    Create {
        /// Its name.
        name: String,
    },
    /// Show a group and its devices.
    Show {
        /// Its name.
        name: String,
    },
    /// Delete a group; its devices stay, without the policies that came by it. On a terminal it asks first.
    Delete {
        /// Its name.
        name: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Put a device into a group.
    Add {
        /// The group.
        name: String,
        /// The device's id, or any name that fits it alone.
        device: String,
    },
    /// Take a device out of a group.
    Remove {
        /// The group.
        name: String,
        /// The device's id, or any name that fits it alone.
        device: String,
    },
}

impl Group {
    pub(super) async fn run(self, client: &Client) -> Done {
        let path = |name: &str| format!("groups/{}", encode(name));
        let inside = |name: &str, device: &str| format!("{}/devices/{}", path(name), encode(device));
        Ok(match self {
            Self::List => Outcome::list(client.list("groups").await?, fields!(GroupView: name, size)),
            Self::Create { name } => Outcome::record(client.post("groups", &NewGroupBody { name }).await?),
            Self::Show { name } => {
                let mut group = client.get(&path(&name)).await?;
                let devices = client.list::<Value>(&format!("{}/devices", path(&name))).await?;
                if let Some(fields) = group.as_object_mut() {
                    fields.insert("devices".into(), Value::Array(devices));
                }
                Outcome::record(group)
            }
            Self::Delete { name, yes } => {
                if !yes && super::at_a_terminal() {
                    let group = client.read::<GroupView>(&path(&name)).await?.said;
                    let policies = client.list::<Value>("policies").await?;
                    super::must_confirm(&about_to_delete(&group, &policies))?;
                }
                Outcome::record(client.delete(&path(&name)).await?)
            }
            Self::Add { name, device } => Outcome::record(client.put(&inside(&name, &device), &Empty {}).await?),
            Self::Remove { name, device } => Outcome::record(client.delete(&inside(&name, &device)).await?),
        })
    }
}

//! Policies: applying a file, with a look at what it would do first, and how well it holds.

use super::{
    call::Call,
    route::{Empty, Page, Route, delete, get, put},
};
use crate::{
    error::{Error, Result},
    policies::{self, Change, Policy, Source},
    policy::{self, DeviceState},
    store::Tx,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const CARRY_OUT: &[(&str, &str)] = &[("apply", "true carries the change out; else it is only shown")];

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/policies", "All policies", list).paged(),
        get("/api/v1/policies/{name}", "A policy", show),
        put("/api/v1/policies/{name}", "Show, and with apply=true make, a change", apply).query(CARRY_OUT),
        delete("/api/v1/policies/{name}", "Show, and with apply=true make, its end", end).query(CARRY_OUT),
        get("/api/v1/policies/{name}/coverage", "How well it holds, device by device", coverage).paged(),
    ]
}

/// A policy.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Policy")]
struct PolicyView {
    name: String,
    revision: u64,
    /// all, or group names.
    assign: Assign,
    /// How many devices have it.
    devices: u64,
    /// The file, profiles inlined.
    text: String,
}

/// Whom a policy is for.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
enum Assign {
    All(&'static str),
    Groups(Vec<String>),
}

impl PolicyView {
    fn of(policy: &Policy, devices: u64) -> Result<Self> {
        let assign = match &policies::file(policy)?.assign {
            policy::Assign::All => Assign::All("all"),
            policy::Assign::Groups(groups) => Assign::Groups(groups.clone()),
        };
        let (name, text) = (policy.name.clone(), policy.text.clone());
        Ok(Self { name, revision: policy.revision, assign, devices, text })
    }
}

fn list(tx: &mut Tx<'_>, _: &Call, _: Empty) -> Result<Page<PolicyView>> {
    let all = policies::list(tx)?;
    let counts = policies::devices_of(tx, &all)?;
    Ok(Page::whole(
        all.iter().zip(counts).map(|(policy, devices)| PolicyView::of(policy, devices)).collect::<Result<_>>()?,
    ))
}

fn show(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<PolicyView> {
    let policy = policies::find(tx, call.named("name")?)?;
    let count = policies::devices_of(tx, std::slice::from_ref(&policy))?.into_iter().sum();
    PolicyView::of(&policy, count)
}

/// A policy file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Apply {
    /// YAML, profiles inlined as base64.
    #[schemars(with = "String")]
    text: Source,
}

/// What a change does, or would do.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Change")]
struct ChangeView {
    name: String,
    revision: u64,
    applied: bool,
    /// Lines for people; warnings begin with an exclamation mark.
    diff: String,
    /// How many devices have it before or after.
    devices: u64,
}

impl From<Change> for ChangeView {
    fn from(change: Change) -> Self {
        let Change { name, revision, applied, diff, devices } = change;
        Self { name, revision, applied, diff, devices }
    }
}

fn apply(tx: &mut Tx<'_>, call: &Call, body: Apply) -> Result<ChangeView> {
    let (name, asked) = (&body.text.file().name, call.named("name")?);
    if name != asked {
        return Err(Error::invalid("name", format!("the file's name is {name:?}, the address says {asked:?}")));
    }
    Ok(policies::apply(tx, &call.actor, &body.text, carry_out(call)?)?.into())
}

fn end(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<ChangeView> {
    Ok(policies::delete(tx, &call.actor, call.named("name")?, carry_out(call)?)?.into())
}

fn carry_out(call: &Call) -> Result<bool> {
    match call.query.get("apply").map(String::as_str) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Error::invalid("apply", "true or false is needed")),
    }
}

/// How well a policy holds on a device.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Coverage")]
struct CoverageView {
    device: String,
    state: DeviceState,
    settings: Vec<SettingView>,
}

/// How well one setting holds.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SettingCoverage")]
struct SettingView {
    setting: String,
    /// enforced, partly, pending, failed or unsupported.
    state: &'static str,
    channel: Option<&'static str>,
    /// What is missing, or what to know.
    why: Option<String>,
}

fn coverage(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<Page<CoverageView>> {
    let (after, limit) = call.page()?;
    let (covered, next) = policies::coverage_page(tx, call.named("name")?, after, limit)?;
    let items = covered.into_iter().map(|row| CoverageView {
        device: row.device.to_string(),
        state: row.state,
        settings: row
            .settings
            .into_iter()
            .map(|s| SettingView {
                setting: s.setting,
                state: s.state.as_str(),
                channel: s.channel.map(policy::Channel::as_str),
                why: s.why,
            })
            .collect(),
    });
    Ok(Page { items: items.collect(), next })
}

//! Policies, what a change of one does, and how well it holds.

use super::At;
use crate::policy::DeviceState;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A policy.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Policy")]
pub(crate) struct PolicyView {
    pub(crate) name: String,
    pub(crate) revision: u64,
    /// all, or group names.
    pub(crate) assign: Assigned,
    /// How many devices have it.
    pub(crate) devices: u64,
    /// The file, profiles inlined.
    pub(crate) text: String,
}

/// Whom a policy is for.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Assign")]
#[serde(untagged)]
pub(crate) enum Assigned {
    All(&'static str),
    Groups(Vec<String>),
}

/// A policy file.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Apply")]
#[serde(deny_unknown_fields)]
pub(crate) struct ApplyBody<T> {
    /// YAML, profiles inlined as base64.
    #[schemars(with = "String")]
    pub(crate) text: T,
}

/// What a change does, or would do.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Change")]
pub(crate) struct ChangeView {
    pub(crate) name: String,
    pub(crate) revision: u64,
    pub(crate) applied: bool,
    /// Lines for people; warnings begin with an exclamation mark.
    pub(crate) diff: String,
    /// How many devices have it before or after.
    pub(crate) devices: u64,
}

/// How well a policy holds on a device.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Coverage")]
pub(crate) struct CoverageView {
    pub(crate) device: String,
    pub(crate) state: DeviceState,
    /// When all that holds was last seen to; null where nothing was.
    pub(crate) verified: Option<At>,
    pub(crate) settings: Vec<SettingCoverageView>,
}

/// How well one setting holds.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "SettingCoverage")]
pub(crate) struct SettingCoverageView {
    pub(crate) setting: String,
    /// enforced, partly, pending, failed, cannot, overridden or left_behind.
    pub(crate) state: &'static str,
    pub(crate) channel: Option<&'static str>,
    /// What is missing, or what to know.
    pub(crate) why: Option<String>,
    /// When it was last seen to hold.
    pub(crate) verified: Option<At>,
    /// Since when it holds.
    pub(crate) since: Option<At>,
}

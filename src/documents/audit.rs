//! The audit log's entries, and what a check of it found.

use super::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One entry of a node's chain.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AuditEntry")]
pub(crate) struct EntryView {
    /// Whose chain.
    pub(crate) node: String,
    /// Place in it.
    pub(crate) seq: u64,
    pub(crate) time: At,
    /// An administrator's id, device, system or stranger.
    pub(crate) actor: String,
    pub(crate) action: String,
    /// On what: an id.
    pub(crate) subject: String,
    /// The device that it concerns; null where that is none, or not known yet.
    pub(crate) device: Option<String>,
    pub(crate) outcome: String,
    /// In words; null where there is nothing to say, or where it was erased.
    pub(crate) detail: Option<String>,
    pub(crate) hash: String,
}

/// What a check of the chains found.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Verdict")]
pub(crate) struct VerdictView {
    pub(crate) ok: bool,
    /// The end of each chain, as recomputed: keep one elsewhere to see a cut tail.
    pub(crate) heads: Vec<HeadView>,
    /// What does not fit, in words.
    pub(crate) broken: Vec<String>,
}

/// The end of a node's chain.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Head")]
pub(crate) struct HeadView {
    pub(crate) node: String,
    pub(crate) seq: u64,
    pub(crate) hash: String,
}

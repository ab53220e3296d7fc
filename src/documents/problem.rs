//! What a refused call answers: problem+json (RFC 9457) with a stable `code` for scripts.

use super::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The body of every refusal.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Problem {
    /// The HTTP status.
    pub(crate) status: u16,
    /// Stable, for scripts: `not_found`, `invalid`, `unauthenticated`, `busy`, `personal`, `ambiguous` …
    pub(crate) code: Box<str>,
    /// The status in words.
    pub(crate) title: Box<str>,
    /// What is wrong, for people.
    pub(crate) detail: Box<str>,
    /// The field of the request that cannot be taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<Box<str>>,
    /// Of `approval_grew`: the ids of the commands that were added since it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) added: Option<Box<[String]>>,
    /// Of `ambiguous`: the devices that the name fits, those first that are still managed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) candidates: Option<Box<[CandidateView]>>,
    /// Names the line in the server's log, where the fault is ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request: Option<Box<str>>,
}

/// A device that a name may mean.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Candidate")]
pub(crate) struct CandidateView {
    /// Means it alone.
    pub(crate) id: String,
    pub(crate) user: Option<String>,
    /// As the device's.
    pub(crate) state: Cow<'static, str>,
    pub(crate) last_seen: Option<At>,
}

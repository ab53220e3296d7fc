//! What a refused call answers: problem+json (RFC 9457) with a stable `code` for scripts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The body of every refusal.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Problem {
    /// The HTTP status.
    pub(crate) status: u16,
    /// Stable, for scripts: `not_found`, `invalid`, `unauthenticated`, `busy`, `personal`, `ambiguous` …
    pub(crate) code: String,
    /// The status in words.
    pub(crate) title: Box<str>,
    /// What is wrong, for people.
    pub(crate) detail: String,
    /// The field of the request that cannot be taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<Box<str>>,
    /// Of `approval_grew`: the ids of the commands that were added since it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) added: Option<Box<[String]>>,
    /// Names the line in the server's log, where the fault is ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request: Option<Box<str>>,
}

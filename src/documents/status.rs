//! What is wrong now and what will be.

use super::At;
pub(crate) use crate::fleet::status::Severity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// One thing that is wrong or will be.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Status")]
pub(crate) struct StatusView {
    pub(crate) severity: Severity,
    /// What it is; the list is in docs/operations.md.
    pub(crate) code: Cow<'static, str>,
    /// Of what: an id or a name.
    pub(crate) subject: String,
    /// In words.
    pub(crate) text: String,
    pub(crate) since: Option<At>,
    /// When it ends, or what it is about does.
    pub(crate) until: Option<At>,
}

//! Settings: what guards wipes, and what all nodes agree on.

use super::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A setting.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Setting")]
pub(crate) struct SettingView {
    pub(crate) key: String,
    /// What counts now.
    pub(crate) value: String,
    pub(crate) default: String,
    /// A loosened value that does not count yet.
    pub(crate) pending: Option<String>,
    /// When it will.
    pub(crate) counts_from: Option<At>,
}

/// A value to set.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Value")]
#[serde(deny_unknown_fields)]
pub(crate) struct ValueBody {
    pub(crate) value: String,
}

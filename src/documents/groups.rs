//! Groups of devices.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A group.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Group")]
pub(crate) struct GroupView {
    pub(crate) name: String,
    /// How many devices are in it.
    pub(crate) size: u64,
}

/// A group to make.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "NewGroup")]
#[serde(deny_unknown_fields)]
pub(crate) struct NewGroupBody {
    pub(crate) name: String,
}

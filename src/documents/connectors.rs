//! Connectors.

use super::At;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// For which Exchange a connector is invited.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "InviteConnector")]
#[serde(deny_unknown_fields)]
pub(crate) struct InviteConnectorBody {
    /// The organisation, by a name of your own.
    pub(crate) org: String,
    /// online or onprem.
    pub(crate) kind: String,
    /// How long the code is good, such as 7d, which is the default.
    pub(crate) expires: Option<String>,
}

/// A code for one installation.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ConnectorInvitation")]
pub(crate) struct ConnectorInvitationView {
    pub(crate) id: String,
    /// What `lanyard connector enrol` is given; shown this once.
    pub(crate) code: String,
    pub(crate) org: String,
    pub(crate) kind: String,
    pub(crate) expires: At,
}

/// An Exchange organisation and its connectors.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Connector")]
pub(crate) struct ConnectorView {
    pub(crate) org: String,
    /// online or onprem.
    pub(crate) kind: String,
    /// `leading` where one leads, `silent` where none does, `new` before the first hello.
    pub(crate) state: String,
    /// The instance that leads.
    pub(crate) leader: Option<String>,
    pub(crate) instances: Vec<InstanceView>,
    /// Mobile clients that its Exchange has.
    pub(crate) partnerships: u64,
    /// When the last report of all of them began.
    pub(crate) last_full: Option<At>,
    /// When the last report of what may have changed began.
    pub(crate) last_delta: Option<At>,
}

/// One installation.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ConnectorInstance")]
pub(crate) struct InstanceView {
    pub(crate) id: String,
    pub(crate) version: Option<String>,
    pub(crate) last_seen: Option<At>,
}

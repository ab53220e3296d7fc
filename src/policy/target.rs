//! Whom settings are for: a channel, and what a device runs.

use serde::{Deserialize, Serialize};

/// A management protocol as policy sees it; an `exchange` connector carries no policy of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Apple MDM.
    Apple,
    /// OMA-DM, with the Windows CSPs.
    Omadm,
    /// Exchange ActiveSync through the gateway.
    Activesync,
}

impl Channel {
    /// The name in JSON and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Apple => "apple",
            Channel::Omadm => "omadm",
            Channel::Activesync => "activesync",
        }
    }
}

/// What a device runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Platform {
    Ios,
    Ipados,
    Macos,
    Tvos,
    Watchos,
    Visionos,
    Windows,
    WindowsPhone,
    Android,
    Other,
}

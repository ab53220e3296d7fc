//! The server's clock.

use super::At;
use schemars::JsonSchema;
use serde::Serialize;

/// What the server's clock shows.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Clock")]
pub(crate) struct ClockView {
    /// It is believed from now on.
    pub(crate) time: At,
}

//! The server's clock, after it jumped.

use super::{
    call::Call,
    route::{Empty, Route, post},
    views::At,
};
use crate::{error::Result, fleet::admins, store::Tx};
use schemars::JsonSchema;
use serde::Serialize;

pub(super) fn routes() -> Vec<Route> {
    vec![post("/api/v1/clock", "The clock is right though it jumped; for local alone", accept).ok()]
}

/// What the server's clock shows.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Clock")]
struct ClockView {
    /// It is believed from now on.
    time: At,
}

fn accept(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<ClockView> {
    admins::accept_clock(tx, &call.actor)?;
    Ok(ClockView { time: At(tx.moment().wall) })
}

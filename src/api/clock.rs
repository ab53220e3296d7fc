//! The server's clock, after it jumped.

use super::{
    call::Call,
    route::{Route, post},
};
use crate::{
    documents::{At, Empty, clock::ClockView},
    error::Result,
    fleet::admins,
    store::Tx,
};

pub(super) fn routes() -> Vec<Route> {
    vec![post("/api/v1/clock", "The clock is right though it jumped; for local alone", accept).ok()]
}

fn accept(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<ClockView> {
    admins::accept_clock(tx, &call.actor)?;
    Ok(ClockView { time: At(tx.moment().wall) })
}

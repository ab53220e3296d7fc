//! What is wrong now and what will be.

use super::{
    call::Call,
    outlook,
    route::{Route, get},
};
use crate::{
    documents::{At, Empty, status::StatusView},
    error::Result,
    fleet::status::Line,
    store::Tx,
};

pub(super) fn routes() -> Vec<Route> {
    vec![get("/api/v1/status", "What is wrong now, and what will be within 90 days, worst first", list).beside()]
}

impl From<Line> for StatusView {
    fn from(line: Line) -> Self {
        Self {
            severity: line.severity,
            code: line.code.as_str().into(),
            subject: line.subject,
            text: line.text,
            since: line.since.map(At),
            until: line.until.map(At),
        }
    }
}

fn list(tx: &mut Tx<'_>, call: &Call, _: Empty) -> Result<Vec<StatusView>> {
    Ok(outlook::look(tx, &call.server)?.into_iter().map(StatusView::from).collect())
}

//! The span of a message: what the log tells of it while it is dealt with, by ids alone. It goes along into the store's calls.

use crate::{
    fleet::life::Channel,
    ids::{DeviceId, EnrolmentId},
};
use axum::response::Response;
use tracing::{
    Span,
    field::{Empty, display},
};

/// A message of a device. Whose it is is filled in by [`whose`], what became of it by [`answered`]. Costs nothing where nobody looks.
pub(super) fn check_in(channel: Channel) -> Span {
    tracing::debug_span!("check-in", channel = channel.as_str(), enrolment = Empty, device = Empty, outcome = Empty)
}

/// It is known now who asks. Once for each message, wherever it is found out.
pub(super) fn whose(enrolment: EnrolmentId, device: Option<DeviceId>) {
    let span = Span::current();
    if span.is_disabled() {
        return;
    }
    span.record("enrolment", display(enrolment));
    if let Some(device) = device {
        span.record("device", display(device));
    }
}

/// Its answer, by the HTTP status.
pub(super) fn answered(span: &Span, answer: Response) -> Response {
    span.record("outcome", answer.status().as_u16());
    answer
}

//! What a refused call answers, and with which status.

pub(super) use crate::documents::problem::Problem;
use crate::{
    documents::{At, problem::CandidateView},
    error::{Candidate, Error},
    store::Fault,
};
use axum::{
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};

impl Problem {
    pub(super) fn new(status: StatusCode, code: &str, detail: impl Into<Box<str>>) -> Self {
        Self {
            status: status.as_u16(),
            code: code.into(),
            title: status.canonical_reason().unwrap_or("Error").into(),
            detail: detail.into(),
            field: None,
            added: None,
            candidates: None,
            request: None,
        }
    }

    pub(super) fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into().into());
        self
    }

    /// No token, or one that opens nothing.
    pub(super) fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "a bearer token of an administrator is needed")
    }
}

impl From<Candidate> for CandidateView {
    fn from(candidate: Candidate) -> Self {
        let Candidate { id, user, state, last_seen } = candidate;
        Self { id, user, state: state.into(), last_seen: last_seen.map(At) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        let more: Option<(HeaderName, &'static str)> = match status {
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, "Bearer")),
            StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, "1")),
            _ => None,
        };
        if let Some((name, value)) = more {
            response.headers_mut().insert(name, header::HeaderValue::from_static(value));
        }
        response
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Store(Fault::Busy) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", text),
            Error::Store(fault) => {
                tracing::error!(%fault, "store");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_away", "the store is away; ask again")
            }
            Error::NotFound { .. } | Error::Removed(_) => Self::new(StatusCode::NOT_FOUND, "not_found", text),
            Error::Invalid { field, text } => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", text).field(field),
            Error::Refused { code, added, .. } => {
                let problem = Self::new(StatusCode::CONFLICT, code, text);
                Self { added: (!added.is_empty()).then_some(added), ..problem }
            }
            Error::Ambiguous { candidates, .. } => {
                let problem = Self::new(StatusCode::CONFLICT, "ambiguous", text);
                Self { candidates: Some(candidates.into_iter().map(CandidateView::from).collect()), ..problem }
            }
            Error::Forbidden { code, .. } => Self::new(StatusCode::FORBIDDEN, code, text),
            Error::Internal(fault) => {
                let request = uuid::Uuid::new_v4().to_string();
                tracing::error!(%request, %fault, "a call on the admin API failed");
                let mut problem = Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "a fault of the server's; its log says more under this request",
                );
                problem.request = Some(request.into());
                problem
            }
        }
    }
}

pub(super) async fn no_such_route() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no_such_route", "there is nothing here; see /api/openapi.json")
}

pub(super) async fn no_such_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "what is here takes another method; see /api/openapi.json")
}

pub(super) fn path_is_no_text() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "path", "the path is no UTF-8")
}

//! Whether the mail server can be had: asked over the network, and so by no store operation.

use super::{
    asked::Asked,
    problem::Problem,
    route::{self, Route, described},
};
use crate::{
    channel::mail::{Step, steps},
    documents::mail::{MailCheckBody, MailStep},
    error::Error,
    server::Server,
};
use axum::{
    Router,
    extract::Request,
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use std::{collections::BTreeMap, sync::Arc};

const PATH: &str = "/api/v1/mail/check";

pub(super) fn routes() -> Vec<Route> {
    let summary = "The way to the mail server, step by step; with a login also whether it is taken";
    vec![described::<MailCheckBody, Vec<MailStep>>(Method::POST, PATH, summary, StatusCode::OK)]
}

pub(super) fn router(server: &Arc<Server>) -> Router {
    let server = server.clone();
    Router::new().route(PATH, post(move |request: Request| check(server.clone(), request)))
}

async fn check(server: Arc<Server>, request: Request) -> Response {
    let asked = match Asked::read(&server, BTreeMap::new(), request).await {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    let body = asked.body.clone();
    let unseen = match asked.admit().await {
        Ok((_, unseen, _)) => unseen,
        Err(refusal) => return refusal,
    };
    let body: MailCheckBody = match route::read(&body) {
        Ok(body) => body,
        Err(problem) => return problem.into_response(),
    };
    let login = match (&body.user, &body.password) {
        (Some(user), Some(password)) => Some((user.as_str(), Some(password.as_str()))),
        // The mail server takes our word.
        (Some(user), None) if server.eas_signon.is_some() => Some((user.as_str(), None)),
        (None, None) => None,
        _ => return Problem::from(Error::invalid("password", MailCheckBody::TOGETHER)).into_response(),
    };
    let found: Vec<MailStep> = steps(&server, login).await.into_iter().map(MailStep::from).collect();
    match serde_json::to_vec(&found) {
        Ok(text) => super::asked::answer(&server, StatusCode::OK, text, unseen, None).await,
        Err(error) => Problem::from(Error::Internal(error.to_string())).into_response(),
    }
}

impl From<Step> for MailStep {
    fn from(Step { step, ok, detail }: Step) -> Self {
        Self { step, ok, detail }
    }
}

//! What needs no token: whether the server lives, whether it is ready, and what its API is.

use super::{openapi, problem::Problem};
use crate::server::Server;
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use std::sync::Arc;

pub(super) fn router(server: &Arc<Server>) -> Router {
    let document = openapi::document(&super::routes());
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/api/openapi.json", get(move || async move { Json(document) }))
        .with_state(server.clone())
}

/// Ready: the store answers, and the server is not about to stop.
async fn ready(State(server): State<Arc<Server>>) -> Response {
    if server.stopping.is_draining() {
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the server is about to stop")
            .into_response();
    }
    match server.store.run(crate::fleet::wipe::stop::is_on).await {
        Ok(_) => "ok\n".into_response(),
        // Who asks here runs the server: what is wrong is no secret to them.
        Err(error) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store_away", error.to_string()).into_response(),
    }
}

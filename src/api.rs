//! The admin API.

use crate::server::Server;
use axum::{Router, routing::get};
use std::sync::Arc;

/// All that administrators and their programs reach.
pub fn router(server: Arc<Server>) -> Router {
    Router::new().route("/livez", get(|| async { "ok\n" })).with_state(server)
}

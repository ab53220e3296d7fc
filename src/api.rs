//! The admin API: JSON over HTTPS for administrators and their programs. One table of routes; from it come the router and
//! `/api/openapi.json`, so that neither can say what the other does not.
//!
//! A call is one store operation: who asks, whether it was asked before, the act and its answer are one transaction.

mod admins;
mod asked;
mod audit;
mod breaker;
mod ca;
mod call;
mod clock;
mod commands;
mod connectors;
mod devices;
mod groups;
mod health;
mod idempotency;
mod invitations;
mod mail;
mod mail_check;
mod openapi;
mod outlook;
mod policies;
mod problem;
mod push_cert;
mod route;
mod settings;
mod status;
mod views;

pub(crate) use idempotency::KINDS;

use crate::server::Server;
use axum::Router;
use route::Route;
use std::sync::Arc;

/// All that administrators and their programs reach.
pub fn router(server: Arc<Server>) -> Router {
    let mut router = health::router(&server).merge(audit::router(&server)).merge(push_cert::router(&server));
    router = router.merge(mail_check::router(&server));
    for route in routes().into_iter().filter(Route::is_served) {
        router = router.route(route.path, route.handler(&server));
    }
    router.fallback(problem::no_such_route).method_not_allowed_fallback(problem::no_such_method)
}

/// Every route under `/api/v1`, in the order of the documentation.
fn routes() -> Vec<Route> {
    let of = [
        status::routes(),
        invitations::routes(),
        devices::routes(),
        commands::routes(),
        breaker::routes(),
        policies::routes(),
        groups::routes(),
        mail::routes(),
        connectors::routes(),
        admins::routes(),
        settings::routes(),
        audit::routes(),
        ca::routes(),
        clock::routes(),
        push_cert::routes(),
        mail_check::routes(),
    ];
    of.into_iter().flatten().collect()
}

pub(crate) use idempotency::tidy;
pub(crate) use outlook::remind;

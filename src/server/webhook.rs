//! Sends notices to the webhook, as they become due, one at a time; what is not taken is sent again later.

use super::Server;
use crate::{error::Result, fleet::notices, store::Tx};
use axum::body::Body;
use http::{Request, header};
use std::time::Duration;

/// How long the receiver may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Notices taken at once.
const BATCH: usize = 20;

/// Sends what is due.
pub(super) async fn send(server: &Server) -> Result<()> {
    let Some((url, due)) = server.store.run(|tx| notices::take(tx, BATCH)).await? else { return Ok(()) };
    for notice in due {
        let body = serde_json::json!({
            "id": notice.id, "event": notice.event, "time": notice.at.to_string(), "subject": notice.subject,
            "data": notice.detail,
        });
        let request = Request::post(&url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("lanyard/", env!("CARGO_PKG_VERSION")))
            .body(Body::from(body.to_string()));
        let Ok(request) = request else {
            tracing::warn!("notify.webhook is no address that can be called");
            return Ok(());
        };
        let sent = tokio::time::timeout(PATIENCE, server.outgoing.send(request)).await;
        match sent {
            Ok(Ok(answer)) if answer.status().is_success() => {
                let done = move |tx: &mut Tx<'_>| {
                    notices::done(tx, &notice)?;
                    Ok(())
                };
                server.store.run(done).await?;
            }
            Ok(Ok(answer)) => tracing::warn!(status = %answer.status(), "the webhook did not take a notice"),
            Ok(Err(error)) => tracing::warn!(%error, "the webhook was not reached"),
            Err(_) => tracing::warn!("the webhook did not answer in time"),
        }
    }
    Ok(())
}

//! Apple's push certificate: read and sealed before the store is asked, since opening a PKCS#12 file takes its time.

use super::{
    asked::Asked,
    problem::Problem,
    route::{self, Route, described, get},
};
use crate::{
    api::call::Call,
    channel::apple::push_cert::{self, Kept},
    documents::{
        At, Empty,
        push_cert::{PushCertBody, PushCertView},
    },
    error::Result,
    server::Server,
    store::Tx,
};
use axum::{
    Router,
    extract::Request,
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
    routing::put,
};
use base64::Engine as _;
use std::{collections::BTreeMap, sync::Arc};

const PATH: &str = "/api/v1/apple/push-cert";

pub(super) fn routes() -> Vec<Route> {
    vec![get(PATH, "Apple's push certificate, or what is still missing", show), setting()]
}

fn setting() -> Route {
    described::<PushCertBody, PushCertView>(
        Method::PUT,
        PATH,
        "Set it; another topic is refused while devices are enrolled",
        StatusCode::OK,
    )
}

pub(super) fn router(server: &Arc<Server>) -> Router {
    let server = server.clone();
    Router::new().route(PATH, put(move |request: Request| set(server.clone(), request)))
}

fn show(tx: &mut Tx<'_>, _: &Call, _: Empty) -> Result<PushCertView> {
    Ok(match push_cert::show(tx)? {
        Some(kept) => PushCertView::of(&kept, tx),
        None => PushCertView {
            set: false,
            topic: push_cert::topic(tx)?,
            sha256: None,
            not_before: None,
            not_after: None,
            missing: Some("a push certificate from Apple: without it no real device can be woken"),
        },
    })
}

impl PushCertView {
    fn of(kept: &Kept, tx: &Tx<'_>) -> Self {
        let ended = kept.not_after <= tx.now();
        Self {
            set: true,
            topic: kept.topic.clone(),
            sha256: Some(kept.sha256.clone()),
            not_before: Some(At(kept.not_before)),
            not_after: Some(At(kept.not_after)),
            missing: ended.then_some("the certificate has ended: renew it with Apple, under the same topic"),
        }
    }
}

async fn set(server: Arc<Server>, request: Request) -> Response {
    let asked = match Asked::read(&server, BTreeMap::new(), request).await {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    // How long a PKCS#12 file takes to open is the file's to say: not on a thread that serves devices.
    let (sealer, body) = (server.clone(), asked.body.clone());
    let kept = match tokio::task::spawn_blocking(move || read(&sealer, &body)).await {
        Ok(Ok(kept)) => kept,
        Ok(Err(problem)) => return problem.into_response(),
        Err(error) => return Problem::from(crate::error::Error::Internal(error.to_string())).into_response(),
    };
    let work = move |tx: &mut Tx<'_>, call: &Call| {
        let kept = push_cert::set(tx, &call.actor, kept)?;
        let view = serde_json::to_vec(&PushCertView::of(&kept, tx));
        Ok((StatusCode::OK, view.map_err(|e| crate::error::Error::Internal(e.to_string()))?))
    };
    asked.run(true, work).await
}

fn read(server: &Server, body: &[u8]) -> std::result::Result<Kept, Problem> {
    let body: PushCertBody = route::read(body)?;
    let wrong = |text: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", text).field("file");
    let file = base64::engine::general_purpose::STANDARD.decode(body.file.trim()).map_err(|e| wrong(e.to_string()))?;
    let read = lanyard_certs::pushcert::read(&file, body.password.as_deref()).map_err(|e| wrong(e.to_string()))?;
    Ok(push_cert::prepare(server, &read)?)
}

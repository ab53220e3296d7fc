//! A mail server that holds Pings for ever, answers a Sync with 4 kB and a Search with 4 MB, and takes what is sent.

use crate::process::listen;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, body::Incoming, header, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

/// What each user's password is.
pub(crate) const PASSWORD: &str = "correct horse";
/// Bytes of the answer to Sync.
pub(crate) const SHORT: usize = 4096;
/// Bytes of the answer to Search.
pub(crate) const LONG: usize = 4 << 20;

static HELD: AtomicUsize = AtomicUsize::new(0);

struct Held;

impl Drop for Held {
    fn drop(&mut self) {
        HELD.fetch_sub(1, SeqCst);
    }
}

pub(crate) async fn serve(folder: &Path) {
    let listener = listen(folder);
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)));
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let text = |text: String| Response::new(Full::new(Bytes::from(text)));
    if request.uri().path() == "/held" {
        return Ok(text(HELD.load(SeqCst).to_string()));
    }
    if !is_known(&request) {
        let mut refused = text(String::new());
        *refused.status_mut() = http::StatusCode::UNAUTHORIZED;
        refused
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Basic realm=\"mail\""));
        return Ok(refused);
    }
    if request.method() == Method::OPTIONS {
        let offer =
            [("MS-ASProtocolVersions", "12.1,14.0,14.1,16.0,16.1"), ("MS-ASProtocolCommands", "Sync,Ping,FolderSync")];
        let mut answer = text(String::new());
        for (name, value) in offer {
            answer.headers_mut().insert(name, header::HeaderValue::from_static(value));
        }
        return Ok(answer);
    }
    let query = request.uri().query().unwrap_or_default();
    let command = query.split('&').find_map(|pair| pair.strip_prefix("Cmd=")).unwrap_or_default().to_string();
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            break;
        }
    }
    if command == "Ping" {
        HELD.fetch_add(1, SeqCst);
        let _held = Held;
        std::future::pending::<()>().await;
    }
    static BYTES: [u8; LONG] = [b'x'; LONG];
    let body: &'static [u8] = match command.as_str() {
        "Sync" => &BYTES[..SHORT],
        "Search" => &BYTES,
        _ => &BYTES[..16],
    };
    let mut answer = Response::new(Full::new(Bytes::from_static(body)));
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/vnd.ms-sync.wbxml"));
    Ok(answer)
}

fn is_known(request: &Request<Incoming>) -> bool {
    use base64::Engine as _;
    let said = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let word = said.strip_prefix("Basic ").and_then(|w| base64::engine::general_purpose::STANDARD.decode(w).ok());
    word.is_some_and(|word| word.ends_with(format!(":{PASSWORD}").as_bytes()))
}

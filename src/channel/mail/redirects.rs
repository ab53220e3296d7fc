//! Where the mail server sends a request elsewhere: the gateway goes there itself, and hands no redirect on. A client that followed one would be
//! past us.

use super::{
    gateway::Gateway,
    refusal::Refusal,
    upstream::{Patience, address, next_server},
};
use axum::{
    body::Body,
    http::{HeaderName, Request, Uri, header},
};
use bytes::Bytes;
use hyper::body::Incoming;

/// So often one request is sent on.
pub(super) const HOPS: usize = 3;

/// What an answer says of where to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Redirect {
    /// It is the answer.
    None,
    To(Uri),
    /// To no server, or to one that is less guarded.
    Nowhere,
}

/// Of an answer to a request of this address. 451 counts where `moved` says so: for a client's command it is remembered.
pub(super) fn of(asked: &Uri, answer: &hyper::Response<Incoming>, moved: bool) -> Redirect {
    let name = match answer.status().as_u16() {
        301 | 302 | 307 | 308 => header::LOCATION,
        451 if moved => HeaderName::from_static("x-ms-location"),
        300 | 303 | 305 => return Redirect::Nowhere,
        _ => return Redirect::None,
    };
    let said = answer.headers().get(name).and_then(|value| value.to_str().ok());
    said.and_then(|said| resolved(asked, said.trim())).map_or(Redirect::Nowhere, Redirect::To)
}

fn resolved(asked: &Uri, said: &str) -> Option<Uri> {
    let whole = match said {
        path if path.starts_with('/') && !path.starts_with("//") => {
            format!("{}://{}{path}", asked.scheme_str()?, asked.authority()?)
        }
        _ => said.to_string(),
    };
    let next = next_server(asked, &whole)?;
    // With a query of its own it is the same request: whose that is stays ours to say.
    let mut parts = next.clone().into_parts();
    parts.path_and_query = Some(next.path().parse().ok()?);
    Uri::from_parts(parts).ok()
}

impl Gateway {
    /// Sends a small request of our own, wherever it is sent to; the answer, and the address that gave it.
    pub(super) async fn send_followed(
        &self,
        head: Request<()>,
        body: Bytes,
        patience: Patience,
    ) -> Result<(Uri, hyper::Response<Incoming>), Refusal> {
        let mut at = head.uri().clone();
        let query = at.query().map(str::to_string);
        for _ in 0..=HOPS {
            let request = || {
                let body = if body.is_empty() { Body::empty() } else { Body::from(body.clone()) };
                let mut request = head.clone().map(|()| body);
                *request.uri_mut() = at.clone();
                request
            };
            let answer = match self.send(request(), patience).await {
                Err(Refusal::Broken) => self.send_afresh(request(), patience).await?,
                answer => answer?,
            };
            match of(&at, &answer, true) {
                Redirect::None => return Ok((at, answer)),
                Redirect::To(next) => at = address(&next, query.as_deref()).ok_or(Refusal::NoUpstream)?,
                Redirect::Nowhere => break,
            }
        }
        Err(lost(&at))
    }
}

/// A redirect that is not followed, for the operator to read.
pub(super) fn lost(at: &Uri) -> Refusal {
    let host = at.host().unwrap_or_default();
    tracing::warn!(host, "the mail server sends requests on in a circle, or to where they may not go");
    Refusal::Away
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_leads_to_a_server_no_less_guarded() {
        let asked: Uri = "https://mail:8443/eas?Cmd=Sync".parse().unwrap();
        for (said, want) in [
            ("/Microsoft-Server-ActiveSync/?x=1", Some("https://mail:8443/Microsoft-Server-ActiveSync/")),
            ("https://other/eas?Cmd=x", Some("https://other/eas")),
            ("http://mail:8443/eas", None),
            ("//other/eas", None),
            ("eas", None),
            ("https://u:p@other/eas", None),
            ("", None),
        ] {
            assert_eq!(resolved(&asked, said).map(|uri| uri.to_string()).as_deref(), want, "{said}");
        }
    }
}

//! hyper over rustls with the same settings as the gateway's own listener, and hyper's client behind it: it passes everything on.

use crate::process::listen;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, combinators::UnsyncBoxBody};
use hyper::{Request, Response, StatusCode, Uri, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::NoServerSessionStorage,
};
use std::{convert::Infallible, path::Path, sync::Arc};
use tokio_rustls::TlsAcceptor;

type Passing = UnsyncBoxBody<Bytes, hyper::Error>;

pub(crate) async fn serve(folder: &Path, upstream: &str) {
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&read("chain.pem")).collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(&read("key.pem")).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new().unwrap();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<HttpConnector, Passing> =
        Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
    let upstream: Uri = upstream.parse().unwrap();
    let listener = listen(folder);
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        let (acceptor, client, upstream) = (acceptor.clone(), client.clone(), upstream.clone());
        tokio::spawn(async move {
            tcp.set_nodelay(true).unwrap();
            let Ok(tls) = acceptor.accept(tcp).await else { return };
            let pass = service_fn(move |request| pass(client.clone(), upstream.clone(), request));
            drop(http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(tls), pass).await);
        });
    }
}

async fn pass(
    client: Client<HttpConnector, Passing>,
    upstream: Uri,
    request: Request<Incoming>,
) -> Result<Response<Passing>, Infallible> {
    let (head, body) = request.into_parts();
    let mut onward = Request::new(body.boxed_unsync());
    *onward.method_mut() = head.method;
    let mut to = upstream.into_parts();
    to.path_and_query = head.uri.into_parts().path_and_query;
    *onward.uri_mut() = Uri::from_parts(to).unwrap();
    *onward.headers_mut() = head.headers;
    Ok(match client.request(onward).await {
        Ok(answer) => answer.map(BodyExt::boxed_unsync),
        Err(error) => {
            eprintln!("bare: {error:?}");
            let nothing = Empty::new().map_err(|never| match never {}).boxed_unsync();
            let mut away = Response::new(nothing);
            *away.status_mut() = StatusCode::BAD_GATEWAY;
            away
        }
    })
}

//! hyper over rustls with the same settings as the server's own listener, and a handler that reads the body and says 200.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use quick_xml::events::Event;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
};
use std::{convert::Infallible, path::Path, sync::Arc};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// `folder` holds `chain.pem`, `key.pem` and `clients.pem`; the address goes to `address`.
pub(crate) async fn serve(folder: &Path) {
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(&read("chain.pem")).collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(&read("key.pem")).unwrap();
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(&read("clients.pem")) {
        roots.add(root.unwrap()).unwrap();
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new().unwrap();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 1;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::fs::write(folder.join("address.new"), address).unwrap();
    std::fs::rename(folder.join("address.new"), folder.join("address")).unwrap();
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            tcp.set_nodelay(true).unwrap();
            let Ok(tls) = acceptor.accept(tcp).await else { return };
            let serve =
                http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(tls), service_fn(answer));
            drop(serve.await);
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let syncml = request.uri().path() == "/omadm";
    let body = request.into_body().collect().await.unwrap().to_bytes();
    if !syncml {
        let said: plist::Value = plist::from_bytes(&body).unwrap();
        assert!(said.as_dictionary().is_some_and(|d| d.get("Status").is_some()));
        return Ok(Response::new(Full::new(Bytes::new())));
    }
    let mut reader = quick_xml::Reader::from_reader(&*body);
    let mut texts = 0;
    loop {
        match reader.read_event().unwrap() {
            Event::Text(text) => texts += text.decode().unwrap().len(),
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(texts > 0);
    // As long as a real answer to it.
    Ok(Response::new(Full::new(Bytes::from_static(&[b'x'; 900]))))
}

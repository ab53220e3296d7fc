//! For the tests: a CA, a listener on loopback, and a client that speaks HTTP by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{
    Drain, Gate, Listener, Peer, ServerCertificate, Serving, Tls, client_cert_header::TrustedProxies, crypto::provider,
    limits, listener::Timeouts, tls::Ground,
};
use axum::{
    Extension, Router,
    body::Body,
    extract::Request,
    response::IntoResponse,
    routing::{any, get},
};
use http_body_util::BodyExt;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, date_time_ymd,
};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, pki_types::ServerName};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, atomic::AtomicUsize},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Under which a certificate is asked for.
pub(super) const PUBLIC: &str = "mdm.example";
/// Under which it is not.
pub(super) const ENROL: &str = "enroll.example";

/// A root, and an issuing CA under it, as the server makes them.
pub(super) struct Authority {
    pub(super) root: CertifiedIssuer<'static, KeyPair>,
    pub(super) issuing: CertifiedIssuer<'static, KeyPair>,
}

/// A leaf with its key, in PEM and DER.
pub(super) struct Leaf {
    pub(super) der: Vec<u8>,
    pub(super) chain: String,
    pub(super) key: String,
}

fn ca(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let root = CertifiedIssuer::self_signed(ca(&format!("{name} Root")), KeyPair::generate().unwrap()).unwrap();
        let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let issuing = CertifiedIssuer::signed_by(ca(&format!("{name} Issuing")), rsa, &root).unwrap();
        Self { root, issuing }
    }

    /// What listeners are given.
    pub(super) fn authorities(&self) -> Vec<Vec<u8>> {
        vec![self.issuing.der().to_vec(), self.root.der().to_vec()]
    }

    pub(super) fn client(&self, years: (i32, i32)) -> Leaf {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "enrolment 7");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        self.leaf(&params)
    }

    pub(super) fn server(&self, names: &[&str]) -> Leaf {
        let names: Vec<String> = names.iter().map(|&n| n.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.leaf(&params)
    }

    fn leaf(&self, params: &CertificateParams) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuing).unwrap();
        Leaf { der: leaf.der().to_vec(), chain: leaf.pem() + &self.issuing.pem(), key: key.serialize_pem() }
    }

    pub(super) fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.der().clone()).unwrap();
        Arc::new(roots)
    }

    /// Settings of a client that trusts this CA.
    pub(super) fn client_config(
        &self,
        identity: Option<&Leaf>,
        version: &'static SupportedProtocolVersion,
    ) -> Arc<ClientConfig> {
        use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(self.roots());
        Arc::new(match identity {
            Some(leaf) => {
                // The leaf alone: clients need not send the intermediate one.
                let chain = vec![CertificateDer::from(leaf.der.clone())];
                builder
                    .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap())
                    .unwrap()
            }
            None => builder.with_no_client_auth(),
        })
    }
}

/// A listener, and what a test looks at or turns.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) drain: Drain,
    pub(super) gate: Arc<Gate>,
    pub(super) per_address: Arc<AtomicUsize>,
    pub(super) certificate: Arc<ServerCertificate>,
    pub(super) strangers: Arc<Mutex<Vec<(SocketAddr, Ground)>>>,
    pub(super) task: JoinHandle<()>,
}

/// What the server knows of its peer, in one line.
async fn who(Extension(peer): Extension<Arc<Peer>>) -> String {
    format!(
        "asked={} name={} resumed={} port={} certificate={}",
        peer.asked,
        peer.server_name.as_deref().unwrap_or("-"),
        peer.resumed,
        peer.address.port(),
        peer.certificate.as_ref().map_or_else(|| "-".to_owned(), |c| format!("{c:?}")),
    )
}

async fn body(request: Request) -> impl IntoResponse {
    match limits::read_body(request, 100_000, Duration::from_millis(400)).await {
        Ok(body) => body.len().to_string().into_response(),
        Err(error) => error.into_response(),
    }
}

/// Reads the body to its end, where one comes within a short while, and keeps it until the answer is gone.
async fn kept(request: Request) -> impl IntoResponse {
    let mut body = request.into_body();
    while let Ok(Some(Ok(_))) = tokio::time::timeout(Duration::from_millis(300), body.frame()).await {}
    Extension(Arc::new(Mutex::new(body)))
}

fn app() -> Router {
    Router::new()
        .route("/who", get(who))
        .route("/body", get(body).post(body))
        .route("/echo", get(|| async {}).post(|request: Request| async { Body::new(request.into_body()) }))
        .route("/slow", get(|| async { tokio::time::sleep(Duration::from_millis(600)).await }))
        .route("/never", get(|| async { std::future::pending::<()>().await }))
        .route("/kept", any(kept))
        .route("/refused", any(|| async { axum::http::StatusCode::FORBIDDEN }))
        .route("/wrong-name", any(|| async { axum::http::StatusCode::MISDIRECTED_REQUEST }))
        .route("/moved", get(|| async { axum::response::Redirect::temporary("/who") }))
}

impl Server {
    pub(super) fn start(ca: &Authority, timeouts: Timeouts) -> Self {
        Self::with_total(ca, timeouts, 1000)
    }

    /// With so many connections in all.
    pub(super) fn with_total(ca: &Authority, timeouts: Timeouts, total: usize) -> Self {
        let leaf = ca.server(&[PUBLIC, ENROL, "third.example", "localhost", "127.0.0.1"]);
        let names = [PUBLIC, ENROL, "localhost", "127.0.0.1"];
        let certificate = ServerCertificate::from_pem(leaf.chain.as_bytes(), leaf.key.as_bytes(), &names).unwrap();
        let per_address = Arc::new(AtomicUsize::new(1000));
        let (drain, gate) = (Drain::new(), Gate::new(total, Arc::clone(&per_address)));
        let strangers = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&strangers);
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(listener.serve(Serving {
            tls: Tls::device(&certificate, PUBLIC, &ca.authorities()).unwrap(),
            app: app(),
            gate: Arc::clone(&gate),
            proxies: TrustedProxies::default(),
            drain: drain.clone(),
            on_stranger: Arc::new(move |address, ground| seen.lock().unwrap().push((address, ground))),
            timeouts,
        }));
        Self { address, drain, gate, per_address, certificate, strangers, task }
    }

    /// A connection under `name`.
    pub(super) async fn dial(&self, config: &Arc<ClientConfig>, name: &str) -> std::io::Result<Client> {
        Client::dial(self.address, config, name).await
    }
}

/// The client's end of a connection.
pub(super) struct Client(pub(super) TlsStream<TcpStream>);

impl Client {
    pub(super) async fn dial(address: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> std::io::Result<Self> {
        let tcp = TcpStream::connect(address).await?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(Arc::clone(config)).connect(name, tcp).await.map(Self)
    }

    /// Sends what is given; the answer's head and body.
    pub(super) async fn ask(&mut self, text: &str) -> std::io::Result<(String, String)> {
        self.send(text).await?;
        self.answer().await
    }

    pub(super) async fn send(&mut self, text: &str) -> std::io::Result<()> {
        self.0.write_all(text.as_bytes()).await?;
        self.0.flush().await
    }

    /// GET, and the answer's body.
    pub(super) async fn get(&mut self, path: &str) -> std::io::Result<String> {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await?;
        self.answer().await.map(|(_, body)| body)
    }

    /// An answer's head and body. Fails where it has no Content-Length.
    pub(super) async fn answer(&mut self) -> std::io::Result<(String, String)> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")).expect("a Content-Length");
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body).await?;
        Ok((head, String::from_utf8(body).unwrap()))
    }

    /// Whether the server closes within `limit`.
    pub(super) async fn closes_within(&mut self, limit: Duration) -> bool {
        let mut rest = Vec::new();
        tokio::time::timeout(limit, self.0.read_to_end(&mut rest)).await.is_ok()
    }
}

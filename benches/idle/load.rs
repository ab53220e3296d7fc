//! The devices' side: each polls again as soon as it is answered.

use crate::server::Process;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use lanyard_sim::Identity;
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

type Body = Arc<dyn Fn(u64) -> Bytes + Send + Sync>;

/// One device's idle poll.
pub(crate) struct Poll {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) content_type: &'static str,
    /// The body of the poll of this number.
    pub(crate) body: Body,
    pub(crate) identity: Identity,
}

/// How a device comes.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Connect {
    Kept,
    Fresh,
    Resumed,
}

impl Connect {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Fresh => "fresh",
            Self::Resumed => "resumed",
        }
    }
}

/// What came of it.
#[derive(Default)]
pub(crate) struct Run {
    polls: u64,
    wall: Duration,
    cpu: Duration,
}

impl Run {
    pub(crate) fn add(&mut self, other: Self) {
        self.polls += other.polls;
        self.wall += other.wall;
        self.cpu += other.cpu;
    }
    /// Polls per second.
    pub(crate) fn rate(&self) -> f64 {
        self.polls as f64 / self.wall.as_secs_f64()
    }
    /// Microseconds of processor time for one.
    pub(crate) fn cost(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.polls as f64
    }
}

pub(crate) async fn run(server: &Process, polls: &[Poll], connect: Connect, time: Duration) -> Run {
    let clients: Vec<Client> = polls.iter().map(|poll| Client::new(server, poll, connect)).collect();
    let warm = Instant::now() + Duration::from_millis(300);
    for client in &clients {
        // Opens sessions to resume.
        client.clone().until(warm, true).await;
    }
    let (cpu, begun) = (server.cpu(), Instant::now());
    let tasks: Vec<_> = clients.into_iter().map(|c| tokio::spawn(c.until(begun + time, false))).collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.unwrap();
    }
    Run { polls: done, wall: begun.elapsed(), cpu: server.cpu() - cpu }
}

#[derive(Clone)]
struct Client {
    address: std::net::SocketAddr,
    tls: TlsConnector,
    connect: Connect,
    head: Request<()>,
    body: Body,
}

impl Client {
    fn new(server: &Process, poll: &Poll, connect: Connect) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(server.root.clone())).unwrap();
        let chain = poll.identity.chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
        let key = PrivateKeyDer::Pkcs8(poll.identity.key.clone().into());
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .unwrap();
        if connect != Connect::Resumed {
            config.resumption = Resumption::disabled();
        }
        let head = Request::builder()
            .method(poll.method)
            .uri(poll.path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, poll.content_type)
            .body(())
            .unwrap();
        let (tls, body) = (TlsConnector::from(Arc::new(config)), poll.body.clone());
        Self { address: server.address, tls, connect, head, body }
    }

    async fn open(&self) -> http1::SendRequest<Full<Bytes>> {
        let tcp = TcpStream::connect(self.address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let tls = self.tls.connect(name, tcp).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(tls)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// Polls until then, or `once`; how often it was answered.
    async fn until(self, end: Instant, once: bool) -> u64 {
        let mut sender = self.open().await;
        let mut polls = 0;
        loop {
            let request = self.head.clone().map(|()| Full::new((self.body)(polls)));
            let answer = sender.send_request(request).await.unwrap();
            assert!(answer.status().is_success(), "{}", answer.status());
            answer.into_body().collect().await.unwrap();
            polls += 1;
            if once || Instant::now() >= end {
                return polls;
            }
            if self.connect != Connect::Kept {
                sender = self.open().await;
            }
        }
    }
}

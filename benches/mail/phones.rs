//! The phones: each with a user and a connection of its own. A tenth of their users are called otherwise, so that a rule can tell them apart.

use crate::mail_server::PASSWORD;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// So many come at once.
const AT_ONCE: usize = 32;
/// So many share an address.
const OF_ONE_ADDRESS: usize = 20;

/// Whether a rule shuts this one out.
pub(crate) fn is_cut(number: usize) -> bool {
    number.is_multiple_of(10)
}

/// A request as an iPhone sends it.
pub(crate) fn request(number: usize, command: &str, body: &[u8]) -> Vec<u8> {
    let name = if is_cut(number) { "cut" } else { "kept" };
    let user = format!("{name}{number}@example.org");
    let login = STANDARD.encode(format!("{user}:{PASSWORD}"));
    let head = format!(
        "POST /Microsoft-Server-ActiveSync?Cmd={command}&User={name}{number}%40example.org&DeviceId=F{number:027}&DeviceType=iPhone HTTP/1.1\r\n\
         Host: localhost\r\nAccept: */*\r\nContent-Type: application/vnd.ms-sync.wbxml\r\nMS-ASProtocolVersion: 16.1\r\n\
         Authorization: Basic {login}\r\nAccept-Language: de-de\r\nAccept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\n\
         User-Agent: Apple-iPhone17C1/2302.85\r\nX-MS-PolicyKey: 0\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Fifty minutes.
pub(crate) const PING: &[u8] = &[3, 1, 0x6A, 0, 0, 13, 0x45, 0x48, 3, b'3', b'0', b'0', b'0', 0, 1, 1];

pub(crate) async fn send<S: tokio::io::AsyncWrite + Unpin>(stream: &mut S, request: &[u8]) {
    stream.write_all(request).await.unwrap();
    stream.flush().await.unwrap();
}

/// The head of an answer and its body.
pub(crate) async fn answer<S: AsyncRead + Unpin>(
    stream: &mut S,
    room: &mut Vec<u8>,
) -> std::io::Result<(u16, Vec<u8>)> {
    room.clear();
    let end = loop {
        if let Some(at) = room.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(room).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&room[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap();
    let length: usize =
        head.lines().find_map(|l| l.strip_prefix("content-length:")).map_or(0, |n| n.trim().parse().unwrap());
    while room.len() < end + length {
        if stream.read_buf(room).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok((status, room[end..end + length].to_vec()))
}

/// An answer whose body is not looked at: its status and length.
pub(crate) async fn taken<S: AsyncRead + Unpin>(stream: &mut S) -> (u16, usize) {
    let mut room = Vec::with_capacity(16 * 1024);
    let end = loop {
        assert!(stream.read_buf(&mut room).await.unwrap() > 0);
        if let Some(at) = room.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let head = String::from_utf8_lossy(&room[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap();
    let length: usize =
        head.lines().find_map(|l| l.strip_prefix("content-length:")).map_or(0, |n| n.trim().parse().unwrap());
    let mut there = room.len() - end;
    let mut piece = [0; 16 * 1024];
    while there < length {
        let read = stream.read(&mut piece).await.unwrap();
        assert!(read > 0);
        there += read;
    }
    (status, there)
}

#[derive(Clone)]
pub(crate) struct Door {
    address: SocketAddr,
    tls: TlsConnector,
}

impl Door {
    pub(crate) fn of(address: SocketAddr, root: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(&std::fs::read(root).unwrap()) {
            roots.add(root.unwrap()).unwrap();
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Self { address, tls: TlsConnector::from(Arc::new(config)) }
    }

    pub(crate) async fn open(&self, number: usize) -> TlsStream<tokio::net::TcpStream> {
        let socket = TcpSocket::new_v4().unwrap();
        let home = u32::try_from(number / OF_ONE_ADDRESS).unwrap();
        socket.bind((Ipv4Addr::from_bits(0x7F01_0001 + home), 0).into()).unwrap();
        let tcp = socket.connect(self.address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        self.tls.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap()
    }
}

/// Does what is said on the standard input, a word a line.
pub(crate) async fn obey(address: SocketAddr, root: &Path, count: usize) {
    let door = Door::of(address, root);
    let ended: Arc<[AtomicUsize; 2]> = Arc::default();
    while let Ok(Some(Ok(word))) = tokio::task::spawn_blocking(|| std::io::stdin().lines().next()).await {
        match word.as_str() {
            "enrol" => {
                each(count, &door, async |number, door| {
                    let mut stream = door.open(number).await;
                    send(&mut stream, &request(number, "FolderSync", b"")).await;
                    let (status, _) = answer(&mut stream, &mut Vec::new()).await.unwrap();
                    assert_eq!(status, 200, "phone {number}");
                    stream.shutdown().await.unwrap();
                })
                .await;
                println!("{count}");
            }
            "hold" => {
                let ended = &ended;
                each(count, &door, async |number, door| {
                    let mut stream = door.open(number).await;
                    send(&mut stream, &request(number, "Ping", PING)).await;
                    let ended = ended.clone();
                    drop(tokio::spawn(async move {
                        let mut told = answer(&mut stream, &mut Vec::new()).await;
                        while told.as_ref().is_ok_and(|(status, _)| *status >= 500) {
                            eprintln!("phone {number} was told {told:?} and asks again");
                            send(&mut stream, &request(number, "Ping", PING)).await;
                            told = answer(&mut stream, &mut Vec::new()).await;
                        }
                        if let Err(error) = told {
                            eprintln!("phone {number}: {error}");
                        }
                        ended[usize::from(!is_cut(number))].fetch_add(1, SeqCst);
                        // It stays open, as a phone's does.
                        drop(answer(&mut stream, &mut Vec::new()).await);
                    }));
                })
                .await;
                println!("{count}");
            }
            "ended" => println!("{} {}", ended[0].load(SeqCst), ended[1].load(SeqCst)),
            other => panic!("{other}"),
        }
    }
}

/// Some phones at a time.
async fn each(count: usize, door: &Door, one: impl AsyncFn(usize, &Door)) {
    let next = AtomicUsize::new(0);
    let worker = async || {
        loop {
            let number = next.fetch_add(1, SeqCst);
            if number >= count {
                return;
            }
            one(number, door).await;
        }
    };
    let mut workers: Vec<_> = (0..AT_ONCE).map(|_| Box::pin(worker())).collect();
    for_all(&mut workers).await;
}

/// Waits for all of them at once.
async fn for_all<F: Future<Output = ()>>(workers: &mut Vec<std::pin::Pin<Box<F>>>) {
    std::future::poll_fn(|cx| {
        workers.retain_mut(|worker| worker.as_mut().poll(cx).is_pending());
        if workers.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

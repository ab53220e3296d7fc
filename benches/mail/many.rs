//! Pings held over streams in memory, far more than there are files: what one takes must not grow with their number, and rules must end those
//! whom they shut out, and no others. Phones and mail server are in this process and take their part of the memory, a few streams and tasks.

use crate::phones::{self, PING, is_cut};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use lanyard::{
    channel,
    fleet::{admins, mail_rules, settings},
    http::{Peer, client_cert_header::TrustedProxies, outgoing::Outgoing},
    serve::{self, Running},
    server::{Server, follow_ups::FollowUps},
};
use lanyard_certs::{Authority, seal::MasterKey};
use std::{
    net::Ipv4Addr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tower_service::Service;

/// What a stream holds of what was not read yet.
const ROOM: usize = 1024;
/// Phones that come at a time.
const AT_ONCE: usize = 64;
const REST: Duration = Duration::from_secs(3);
const RULES: &str = "default: allow\nrules:\n- {when: {user: 'cut*@example.org'}, then: block}\n";

#[derive(Default)]
struct Counts {
    held: AtomicUsize,
    cut: AtomicUsize,
    others: AtomicUsize,
}

pub(crate) async fn measure(pings: usize) {
    println!("{pings} Pings held over streams in memory, phones and mail server in the same process");
    let folder = Path::new("/var/tmp").join(format!("lanyard-bench-many-{}", uuid::Uuid::new_v4()));
    let counts = Arc::new(Counts::default());
    let (running, server, token) = start(&folder, &counts).await;
    let actor = server.store.run(move |tx| admins::authenticate(tx, &token, true)).await.unwrap().unwrap();
    let local = actor.clone();
    server.store.run(move |tx| settings::set(tx, &local, "eas.unknown", "allow")).await.unwrap();
    let router = channel::router(&server);
    let (mut there, mut weighed) = (0, Vec::new());
    for until in [pings / 10, pings / 2, pings] {
        let begun = Instant::now();
        come(&router, &counts, there..until, false).await;
        let enrolled = begun.elapsed();
        tokio::time::sleep(REST).await;
        let before = memory();
        come(&router, &counts, there..until, true).await;
        while counts.held.load(SeqCst) < until {
            assert!(begun.elapsed() < Duration::from_secs(600), "{} held", counts.held.load(SeqCst));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(REST).await;
        let each = (memory() - before) / (until - there) as f64;
        println!(
            "{:<34} {:>8.1} kB ({:.0} new clients/s)",
            format!("each of Ping {there} to {until}"),
            each / 1000.0,
            (until - there) as f64 / enrolled.as_secs_f64()
        );
        weighed.push(each);
        there = until;
    }
    println!("{:<34} {:>8.2}", "the last by the first", weighed[2] / weighed[0]);
    let (cut, begun) = (pings.div_ceil(10), Instant::now());
    let source = mail_rules::Source::try_from(RULES.to_owned()).unwrap();
    server.store.run(move |tx| mail_rules::apply(tx, &actor, &source)).await.unwrap();
    while counts.cut.load(SeqCst) < cut {
        assert!(begun.elapsed() < Duration::from_secs(120), "{} ended", counts.cut.load(SeqCst));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = begun.elapsed();
    tokio::time::sleep(REST).await;
    let (ended, others) = (counts.cut.load(SeqCst), counts.others.load(SeqCst));
    println!("{:<34} {:>8.1} s, {ended} of {cut}", "rules end a tenth within", took.as_secs_f64());
    println!("{:<34} {others:>8}", "others that ended");
    assert_eq!((ended, others), (cut, 0));
    running.stop().await;
    drop(std::fs::remove_dir_all(folder));
}

/// A server whose mail server is in this process, beside one that listens, on the same store.
async fn start(folder: &Path, counts: &Arc<Counts>) -> (Running, Arc<Server>, String) {
    let any = Some("127.0.0.1:0".parse().unwrap());
    let options =
        serve::Options { data: Some(folder.into()), device_addr: any, admin_addr: any, ..serve::Options::default() };
    let running = serve::start(&options).await.unwrap();
    let token = std::fs::read_to_string(folder.join("local.token")).unwrap().trim().to_string();
    let (mine, counts) = (running.server.clone(), counts.clone());
    let dial = Arc::new(move || {
        let (here, there) = duplex(ROOM);
        drop(tokio::spawn(mail_server(there, counts.clone())));
        here
    });
    let key = std::fs::read_to_string(folder.join("master.key")).unwrap();
    let server = Arc::new(Server {
        store: mine.store.clone(),
        presence: mine.presence.clone(),
        authority: Authority::open(&mine.authority.material().unwrap()).unwrap(),
        master_key: MasterKey::parse(key.trim()).unwrap(),
        public_url: mine.public_url.clone(),
        enrol_url: mine.enrol_url.clone(),
        outgoing: Outgoing::within(&mine.roots, dial).unwrap(),
        roots: mine.roots.clone(),
        eas_upstream: Some("http://mail/Microsoft-Server-ActiveSync".parse().unwrap()),
        mail_server: Default::default(),
        eas_requests: mine.eas_requests.clone(),
        eas_signon: None,
        smtp: None,
        eas_users: Default::default(),
        proxies: TrustedProxies::default(),
        stopping: mine.stopping.clone(),
        strangers: Default::default(),
        told: Default::default(),
        own_tls: true,
        certificate: Default::default(),
        outlook: Default::default(),
        wakes: mine.wakes.clone(),
        follow_ups: FollowUps::default(),
    });
    (running, server, token)
}

/// One connection of the mail server's. A Ping is held.
async fn mail_server(mut stream: DuplexStream, counts: Arc<Counts>) {
    let mut room = Vec::new();
    loop {
        room.clear();
        let end = loop {
            if let Some(at) = room.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if !matches!(stream.read_buf(&mut room).await, Ok(1..)) {
                return;
            }
        };
        let head = String::from_utf8_lossy(&room[..end]).to_ascii_lowercase();
        let length: usize =
            head.lines().find_map(|l| l.strip_prefix("content-length:")).map_or(0, |n| n.trim().parse().unwrap());
        while room.len() < end + length {
            if !matches!(stream.read_buf(&mut room).await, Ok(1..)) {
                return;
            }
        }
        let word = head.lines().find_map(|l| l.strip_prefix("authorization: basic "));
        // In lower case it says nothing any more: the wrong words of the gateway's own are longer.
        let known = word.is_some_and(|word| word.len() < 64);
        let answer = if !known {
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"mail\"\r\nContent-Length: 0\r\n\r\n"
        } else if head.starts_with("options") {
            "HTTP/1.1 200 OK\r\nMS-ASProtocolVersions: 14.1,16.0,16.1\r\nMS-ASProtocolCommands: Sync,Ping,FolderSync\r\nContent-Length: 0\r\n\r\n"
        } else if head.contains("cmd=ping") {
            drop((std::mem::take(&mut room), head));
            counts.held.fetch_add(1, SeqCst);
            drop(stream.read(&mut [0]).await);
            counts.held.fetch_sub(1, SeqCst);
            return;
        } else {
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmail"
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Phones, some at a time: their first request, or a Ping that is held.
async fn come(router: &axum::Router, counts: &Arc<Counts>, which: std::ops::Range<usize>, holds: bool) {
    let next = Arc::new(AtomicUsize::new(which.start));
    let workers: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (router, counts, next, end) = (router.clone(), counts.clone(), next.clone(), which.end);
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, SeqCst);
                    if number >= end {
                        return;
                    }
                    let mut stream = door(&router, number);
                    if holds {
                        phones::send(&mut stream, &phones::request(number, "Ping", PING)).await;
                        drop(tokio::spawn(wait(stream, number, counts.clone())));
                        continue;
                    }
                    phones::send(&mut stream, &phones::request(number, "FolderSync", b"")).await;
                    let (status, length) = phones::taken(&mut stream).await;
                    assert_eq!((status, length), (200, 4), "phone {number}");
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
}

async fn wait(mut stream: DuplexStream, number: usize, counts: Arc<Counts>) {
    drop(stream.read(&mut [0]).await);
    let ended = if is_cut(number) { &counts.cut } else { &counts.others };
    ended.fetch_add(1, SeqCst);
    // It stays open, as a phone's does.
    drop(stream.read_to_end(&mut Vec::new()).await);
}

/// A connection as the listener serves it, but for TLS.
fn door(router: &axum::Router, number: usize) -> DuplexStream {
    let (here, there) = duplex(ROOM);
    // Each from an address of its own: logins that are not proved yet are counted by address.
    let home = Ipv4Addr::from_bits(0x0A00_0001 + u32::try_from(number).unwrap());
    let peer = Arc::new(Peer {
        address: "127.0.0.1:9".parse().unwrap(),
        client: home.into(),
        certificate: None,
        asked: true,
        server_name: None,
        resumed: false,
    });
    let router = router.clone();
    let serve = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        router.clone().call(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).max_buf_size(64 * 1024);
    drop(tokio::spawn(http.serve_connection(TokioIo::new(there), serve)));
    here
}

/// Bytes of this process's memory that are in use.
fn memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<f64>().unwrap() * 1024.0
}

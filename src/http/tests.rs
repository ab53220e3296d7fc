//! The listener as its peers see it: over real sockets and TLS, with rustls and with OpenSSL's `s_client`.

use super::{
    listener::Timeouts,
    server_certificate::{CertificateFiles, ServerCertificate, uncovered},
    testbed::{Authority, Client, ENROL, Leaf, PUBLIC, Server},
    tls::Ground,
};
use crate::clock;
use rustls::{
    AlertDescription, ClientConfig,
    client::ResolvesClientCert,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use std::{
    io,
    process::Stdio,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const NOW: (i32, i32) = (2024, 2090);

fn setup() -> (Authority, Server) {
    let ca = Authority::new("Lanyard Test");
    let server = Server::start(&ca, Timeouts::default());
    (ca, server)
}

/// What `openssl s_client` prints of a handshake; none where there is no openssl.
async fn s_client(server: &Server, arguments: &[&str]) -> Option<String> {
    let (connect, arguments) =
        (server.address.to_string(), arguments.iter().map(|&a| a.to_owned()).collect::<Vec<_>>());
    let run = move || {
        let mut command = std::process::Command::new("openssl");
        command.args(["s_client", "-connect", &connect]).args(arguments).stdin(Stdio::null());
        command.output().ok().map(|out| String::from_utf8_lossy(&out.stdout).into_owned())
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    if output.is_none() {
        println!("skipped: openssl is not installed");
    }
    output
}

#[tokio::test]
async fn a_certificate_is_asked_for_by_name_and_our_ca_named_alone() {
    let (_ca, server) = setup();
    for version in ["-tls1_2", "-tls1_3"] {
        for (name, asked) in [
            (&["-servername", PUBLIC][..], true),
            (&["-servername", "MDM.Example"], true),
            (&["-noservername"], true),
            (&["-servername", ENROL], false),
            (&["-servername", "third.example"], false),
            (&["-servername", "unknown.example"], false),
        ] {
            let Some(printed) = s_client(&server, &[name, &[version]].concat()).await else { return };
            let row = format!("{name:?} {version}");
            assert_eq!(printed.contains("Acceptable client certificate CA names"), asked, "{row}: {printed}");
            assert_eq!(printed.contains("No client certificate CA names sent"), !asked, "{row}");
            if asked {
                let list = printed.split("Acceptable client certificate CA names\n").nth(1).unwrap();
                let names: Vec<_> = list.lines().take_while(|line| line.starts_with("CN")).collect();
                assert_eq!(names, ["CN = Lanyard Test Issuing", "CN = Lanyard Test Root"], "{row}");
            }
        }
    }
}

#[tokio::test]
async fn http_1_1_alone_is_agreed_on() {
    let (_ca, server) = setup();
    let Some(printed) = s_client(&server, &["-servername", PUBLIC, "-alpn", "h2,http/1.1"]).await else { return };
    assert!(printed.contains("ALPN protocol: http/1.1"), "{printed}");
    assert!(printed.contains("Max Early Data: 0") || !printed.contains("Max Early Data"), "{printed}");
}

#[tokio::test]
async fn a_request_knows_its_peer() {
    let (ca, server) = setup();
    let leaf = ca.client(NOW);
    let shown = format!("{:?}", super::ClientCertificate::new(leaf.der.clone()));
    for version in [&TLS12, &TLS13] {
        let known = ca.client_config(Some(&leaf), version);
        for (name, want) in [
            (PUBLIC, format!("asked=true name={PUBLIC} resumed=false certificate={shown}")),
            ("127.0.0.1", format!("asked=true name=- resumed=false certificate={shown}")),
            (ENROL, format!("asked=false name={ENROL} resumed=false certificate=-")),
        ] {
            let mut client = server.dial(&known, name).await.unwrap();
            assert_eq!(without_port(&client.get("/who").await.unwrap()), want);
            assert_eq!(without_port(&client.get("/who").await.unwrap()), want, "again on the same connection");
        }
        let mut nobody = server.dial(&ca.client_config(None, version), PUBLIC).await.unwrap();
        let said = nobody.get("/who").await.unwrap();
        assert_eq!(without_port(&said), format!("asked=true name={PUBLIC} resumed=false certificate=-"));
    }
}

fn without_port(said: &str) -> String {
    said.split(' ').filter(|word| !word.starts_with("port=")).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_resumed_session_keeps_its_certificate() {
    let (ca, server) = setup();
    let leaf = ca.client(NOW);
    let shown = format!("{:?}", super::ClientCertificate::new(leaf.der.clone()));
    for version in [&TLS12, &TLS13] {
        let config = ca.client_config(Some(&leaf), version);
        for round in 0..4 {
            let said = server.dial(&config, PUBLIC).await.unwrap().get("/who").await.unwrap();
            let want = format!("asked=true name={PUBLIC} resumed={} certificate={shown}", round > 0);
            assert_eq!(without_port(&said), want, "{version:?}, round {round}");
        }
    }
}

/// Else a device that enrols under the public name would resume the session from before its certificate.
#[tokio::test]
async fn a_session_without_a_certificate_is_resumed_only_where_none_is_asked_for() {
    let (ca, server) = setup();
    for version in [&TLS12, &TLS13] {
        let config = ca.client_config(None, version);
        for (name, resumes) in [(PUBLIC, false), ("127.0.0.1", false), (ENROL, true)] {
            for round in 0..3 {
                let said = server.dial(&config, name).await.unwrap().get("/who").await.unwrap();
                let resumed = resumes && round > 0;
                assert!(said.contains(&format!("resumed={resumed} ")), "{version:?} {name} {round}: {said}");
            }
        }
    }
}

#[tokio::test]
async fn the_handshake_does_not_ask_for_the_time() {
    let (ca, server) = setup();
    for years in [(2001, 2002), (2080, 2090)] {
        for version in [&TLS12, &TLS13] {
            let config = ca.client_config(Some(&ca.client(years)), version);
            let said = server.dial(&config, PUBLIC).await.unwrap().get("/who").await.unwrap();
            assert!(!said.ends_with("certificate=-"), "{years:?}: {said}");
        }
    }
    assert!(server.strangers.lock().unwrap().is_empty());
}

/// The error of a handshake that the server refuses; in TLS 1.3 the client hears of it when it first reads.
async fn refusal(server: &Server, config: &Arc<ClientConfig>) -> io::Error {
    match server.dial(config, PUBLIC).await {
        Err(error) => error,
        Ok(mut client) => client.get("/who").await.expect_err("a refusal"),
    }
}

fn alert(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

/// Shows a certificate whatever the server asks for, with whatever key.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
    fn has_certs(&self) -> bool {
        true
    }
}

fn showing(
    ca: &Authority,
    der: &[u8],
    key: &str,
    version: &'static rustls::SupportedProtocolVersion,
) -> Arc<ClientConfig> {
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let certified = CertifiedKey::new(vec![CertificateDer::from(der.to_vec())], key);
    let mut config = (*ca.client_config(None, version)).clone();
    config.client_auth_cert_resolver = Arc::new(Shows(Arc::new(certified)));
    Arc::new(config)
}

#[tokio::test]
async fn a_strangers_chain_ends_in_the_handshake() {
    let (ca, server) = setup();
    let (forger, other) = (Authority::new("Lanyard Test"), Authority::new("Elsewhere"));
    let made = rcgen::generate_simple_self_signed(["x.example".to_owned()]).unwrap();
    let own = Leaf { der: made.cert.der().to_vec(), chain: made.cert.pem(), key: made.signing_key.serialize_pem() };
    // Of our CA, but made out for a server: not a client's either.
    let server_leaf = ca.server(&["x.example"]);
    let old = other.client((2001, 2002));
    for version in [&TLS12, &TLS13] {
        for (row, leaf) in [
            ("another CA", &other.client(NOW)),
            ("another CA, long ended", &old),
            ("our names, another key", &forger.client(NOW)),
            ("self-made", &own),
            ("a server's", &server_leaf),
        ] {
            let error = refusal(&server, &showing(&ca, &leaf.der, &leaf.key, version)).await;
            assert_eq!(alert(&error), Some(AlertDescription::UnknownCA), "{row} {version:?}: {error:?}");
            let seen = server.strangers.lock().unwrap().drain(..).collect::<Vec<_>>();
            assert!(
                matches!(seen[..], [(address, Ground::ForeignChain)] if address.ip().is_loopback()),
                "{row}: {seen:?}"
            );
        }
        let garbage = showing(&ca, b"no certificate", &own.key, version);
        assert_eq!(alert(&refusal(&server, &garbage).await), Some(AlertDescription::UnknownCA));
        server.strangers.lock().unwrap().clear();

        let stolen = showing(&ca, &ca.client(NOW).der, &own.key, version);
        assert_eq!(alert(&refusal(&server, &stolen).await), Some(AlertDescription::DecryptError));
        let seen = server.strangers.lock().unwrap().drain(..).collect::<Vec<_>>();
        assert!(matches!(seen[..], [(_, Ground::NoProof)]), "{seen:?}");
    }
}

#[tokio::test]
async fn noise_is_no_stranger() {
    let (_ca, server) = setup();
    for noise in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x00\x05hello", b"", &[0; 70_000]] {
        let mut tcp = TcpStream::connect(server.address).await.unwrap();
        let _sent = tcp.write_all(noise).await;
        let _closed = tcp.shutdown().await;
        let _answer = tcp.read_to_end(&mut Vec::new()).await;
    }
    assert!(server.strangers.lock().unwrap().is_empty());
    while server.gate.open() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The leaf that a new connection is shown.
async fn served(ca: &Authority, server: &Server) -> Vec<u8> {
    let client = server.dial(&ca.client_config(None, &TLS13), PUBLIC).await.unwrap();
    client.0.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn the_server_certificate_is_swapped_with_no_restart() {
    let (ca, server) = setup();
    let mut open = server.dial(&ca.client_config(None, &TLS13), PUBLIC).await.unwrap();
    let new = ca.server(&[PUBLIC, ENROL]);
    let (chain, key) = (new.chain.as_bytes(), new.key.as_bytes());
    server.certificate.swap(chain, key, &[PUBLIC, ENROL]).unwrap();
    assert_eq!(served(&ca, &server).await, new.der);
    assert!(open.get("/who").await.unwrap().contains(PUBLIC));

    let other = ca.server(&[PUBLIC]);
    for (row, chain, key, names) in [
        ("a name is missing", other.chain.as_bytes(), other.key.as_bytes(), &[PUBLIC, ENROL][..]),
        ("another's key", other.chain.as_bytes(), key, &[PUBLIC]),
        ("no certificate", b"", key, &[]),
        ("no key", chain, chain, &[]),
        ("not PEM", b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", key, &[]),
    ] {
        let refused = server.certificate.swap(chain, key, names);
        println!("{row}: {}", refused.as_ref().unwrap_err());
        assert_eq!(server.certificate.leaf(), new.der, "{row}");
    }
}

#[tokio::test]
async fn files_are_read_again_when_they_change() {
    let ca = Authority::new("Files");
    let folder = std::env::temp_dir().join(format!("lanyard-http-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let files = CertificateFiles {
        chain: folder.join("chain.pem"),
        key: folder.join("key.pem"),
        names: vec![PUBLIC.to_owned()],
    };
    let put = |leaf: &Leaf| {
        std::fs::write(&files.chain, &leaf.chain).unwrap();
        std::fs::write(&files.key, &leaf.key).unwrap();
    };
    let (first, second, third) = (ca.server(&[PUBLIC]), ca.server(&[PUBLIC]), ca.server(&[PUBLIC]));
    assert!(files.load().unwrap_err().to_string().contains("chain.pem"));
    put(&first);
    let certificate = files.load().unwrap();
    // Stands for whatever clients do not take.
    let unfit = ca.server(&[PUBLIC]);
    let refused = unfit.der.clone();
    let judge = move |chain: &[rustls::pki_types::CertificateDer<'_>]| {
        let wrong = chain.first().is_some_and(|leaf| **leaf == *refused);
        if wrong { vec!["it has ended".to_owned()] } else { Vec::new() }
    };
    let watch = tokio::spawn(files.clone().watch(Arc::clone(&certificate), Duration::from_millis(20), judge));
    put(&second);
    until(|| certificate.leaf() == second.der).await;
    put(&ca.server(&[ENROL]));
    std::fs::write(&files.chain, &third.chain).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(certificate.leaf(), second.der, "the former one stays while the new one is bad");
    put(&unfit);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(certificate.leaf(), second.der, "nor is one taken that clients would not take");
    put(&third);
    until(|| certificate.leaf() == third.der).await;
    watch.abort();
    std::fs::remove_dir_all(&folder).unwrap();
}

async fn until(holds: impl Fn() -> bool) {
    let start = clock::monotonic();
    while !holds() {
        assert!(clock::since(start) < Duration::from_secs(5), "never came true");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn names_are_covered_or_named() {
    let leaf = Authority::new("Names").server(&["a.example", "*.b.example", "10.0.0.1", "::1"]);
    let names = [
        "a.example",
        "A.example",
        "x.b.example",
        "x.y.b.example",
        "b.example",
        "10.0.0.1",
        "10.0.0.2",
        "::1",
        "[::1]",
        "",
        "a b",
    ];
    assert_eq!(uncovered(&leaf.der, &names).unwrap(), ["x.y.b.example", "b.example", "10.0.0.2", "", "a b"]);
    let error = ServerCertificate::from_pem(leaf.chain.as_bytes(), leaf.key.as_bytes(), &names).unwrap_err();
    assert!(error.to_string().contains("x.y.b.example, b.example"), "{error}");
    assert!(uncovered(b"nothing", &["a"]).is_err());
}

#[tokio::test]
async fn a_slow_peer_is_given_up() {
    let ca = Authority::new("Slow");
    let timeouts =
        Timeouts { handshake: Duration::from_millis(200), head: Duration::from_millis(300), ..Timeouts::default() };
    let server = Server::start(&ca, timeouts);
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let start = clock::monotonic();
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(clock::since(start) >= Duration::from_millis(190));

    let config = ca.client_config(None, &TLS13);
    let mut client = server.dial(&config, ENROL).await.unwrap();
    client.send("GET /who HTTP/1.1\r\nHost:").await.unwrap();
    assert!(client.closes_within(Duration::from_secs(2)).await);
    let mut idle = server.dial(&config, ENROL).await.unwrap();
    idle.get("/who").await.unwrap();
    assert!(idle.closes_within(Duration::from_secs(2)).await);
    // A slow answer is not a slow head.
    assert_eq!(server.dial(&config, ENROL).await.unwrap().get("/slow").await.unwrap(), "");
}

#[tokio::test]
async fn a_long_head_is_refused() {
    let (ca, server) = setup();
    let config = ca.client_config(None, &TLS13);
    for (bytes, status) in [(14_000, "200"), (17_000, "431"), (100_000, "431"), (5_000_000, "431")] {
        let mut client = server.dial(&config, ENROL).await.unwrap();
        let head = format!("GET /who HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(bytes));
        client.send(&head).await.unwrap();
        let (head, _) = client.answer().await.unwrap();
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{bytes}: {head}");
    }
}

/// A school behind one address: its places are two, and five connections come.
#[tokio::test]
async fn connections_over_an_addresss_share_wait_for_a_place() {
    let (ca, server) = setup();
    let config = ca.client_config(None, &TLS13);
    server.per_address.store(2, Relaxed);
    let mut first = server.dial(&config, ENROL).await.unwrap();
    let mut second = server.dial(&config, ENROL).await.unwrap();
    assert!(first.get("/who").await.is_ok() && second.get("/who").await.is_ok());
    let (address, ended) = (server.address, Arc::new(std::sync::Mutex::new(Vec::new())));
    let mut more = tokio::task::JoinSet::new();
    for number in 0..3 {
        let (config, ended) = (Arc::clone(&config), Arc::clone(&ended));
        more.spawn(async move {
            let mut client = Client::dial(address, &config, ENROL).await.unwrap();
            let said = client.ask("GET /who HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            ended.lock().unwrap().push(number);
            said
        });
        until(|| server.gate.waiting() == number + 1).await;
    }
    assert!(ended.lock().unwrap().is_empty());
    // An answer gives the place away; the one after it need not be waited for.
    let (head, _) = first.ask("GET /who HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(head.contains("connection: close"), "{head}");
    for (number, said) in more.join_all().await.into_iter().enumerate() {
        assert!(said.0.starts_with("http/1.1 200"), "{said:?}");
        // Only the last is not asked to make room.
        assert_eq!(said.0.contains("connection: close"), number < 2, "{said:?}");
    }
    assert_eq!(*ended.lock().unwrap(), [0, 1, 2], "who came first is served first");
    let (head, _) = second.ask("GET /who HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(!head.contains("connection: close"), "nobody waits any more: {head}");
    assert_eq!(server.gate.refused(), 0);
}

#[tokio::test]
async fn who_says_nothing_holds_no_place_for_long_and_who_waits_too_long_is_closed() {
    let ca = Authority::new("Waiting");
    let short = Duration::from_millis(500);
    for (row, place, served) in [("the head's time", Duration::from_secs(5), true), ("the wait's", short, false)] {
        let head = if served { short } else { Duration::from_secs(5) };
        let server = Server::start(&ca, Timeouts { place, handshake: Duration::from_secs(5), head });
        server.per_address.store(1, Relaxed);
        let config = ca.client_config(None, &TLS13);
        let mut slow = server.dial(&config, ENROL).await.unwrap();
        slow.send("GET /who HTTP/1.1\r\nHost:").await.unwrap();
        let second = server.dial(&config, ENROL).await;
        assert_eq!(second.is_ok(), served, "{row}");
        if let Ok(mut second) = second {
            assert!(second.get("/who").await.is_ok(), "{row}");
        }
    }
}

#[tokio::test]
async fn connections_over_the_total_wait_in_the_systems_queue() {
    let (ca, server) = (Authority::new("Total"), 2);
    let server = Server::with_total(&ca, Timeouts::default(), server);
    let config = ca.client_config(None, &TLS13);
    let (first, _second) = (server.dial(&config, ENROL).await.unwrap(), server.dial(&config, ENROL).await.unwrap());
    let (address, config) = (server.address, Arc::clone(&config));
    let third = tokio::spawn(async move { Client::dial(address, &config, ENROL).await.unwrap().get("/who").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!third.is_finished() && server.gate.open() == 2);
    drop(first);
    assert!(third.await.unwrap().is_ok());
}

/// Each refusal that is given before the body is there: (method, path, headers, status).
const EARLY: [(&str, &str, &str, &str); 5] = [
    ("POST", "/nowhere", "", "404"),
    ("DELETE", "/who", "", "405"),
    ("POST", "/body", "Content-Encoding: gzip\r\n", "415"),
    ("POST", "/refused", "", "403"),
    ("PUT", "/wrong-name", "", "421"),
];

#[tokio::test]
async fn a_small_body_that_nobody_read_leaves_the_connection_good() {
    let (ca, server) = setup();
    for version in [&TLS12, &TLS13] {
        let mut client = server.dial(&ca.client_config(None, version), ENROL).await.unwrap();
        for (method, path, headers, status) in EARLY {
            let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: 60000\r\n\r\n");
            let (said, _) = client.ask(&format!("{head}{}", "x".repeat(20_000))).await.unwrap();
            assert!(said.starts_with(&format!("http/1.1 {status}")) && !said.contains("connection:"), "{path}: {said}");
            client.send(&"x".repeat(40_000)).await.unwrap();
            assert!(client.get("/who").await.is_ok(), "{path}");
            let chunked = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}Transfer-Encoding: chunked\r\n\r\n");
            let (said, _) = client.ask(&format!("{chunked}3\r\nabc\r\n0\r\n\r\n")).await.unwrap();
            assert!(said.starts_with(&format!("http/1.1 {status}")) && !said.contains("connection:"), "{path}: {said}");
            assert!(client.get("/who").await.is_ok(), "{path}, in chunks");
        }
    }
}

#[tokio::test]
async fn a_large_body_that_nobody_read_ends_the_connection_after_the_answer() {
    let (ca, server) = setup();
    let piece = vec![b'x'; 50_000];
    for version in [&TLS12, &TLS13] {
        let config = ca.client_config(None, version);
        for (method, path, headers, status) in EARLY.into_iter().chain([("POST", "/body", "", "413")]) {
            let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: 5000000\r\n\r\n");
            // Whoever reads at once, and whoever has to be rid of everything first.
            for reads_first in [true, false] {
                let mut client = server.dial(&config, ENROL).await.unwrap();
                client.send(&head).await.unwrap();
                let early = if reads_first { Some(client.answer().await.unwrap()) } else { None };
                for _ in 0..100 {
                    client.0.write_all(&piece).await.unwrap_or_else(|error| panic!("{path}: {error}"));
                }
                client.0.flush().await.unwrap();
                let (said, _) = match early {
                    Some(answer) => answer,
                    None => client.answer().await.unwrap_or_else(|error| panic!("{path}: {error}")),
                };
                assert!(said.starts_with(&format!("http/1.1 {status}")), "{path}: {said}");
                assert!(said.contains("connection: close"), "{path}: {said}");
                assert!(client.closes_within(Duration::from_secs(2)).await, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn whether_a_body_was_read_does_not_hang_on_who_keeps_it() {
    let (ca, server) = setup();
    let config = ca.client_config(None, &TLS13);
    for (row, headers, body, closes) in [
        ("whole", "Content-Length: 5", "12345", false),
        ("whole, in chunks", "Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n", false),
        ("not whole: it may be read yet", "Content-Length: 5", "123", true),
    ] {
        let mut client = server.dial(&config, ENROL).await.unwrap();
        let (said, _) =
            client.ask(&format!("POST /kept HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n{body}")).await.unwrap();
        assert_eq!(said.contains("connection: close"), closes, "{row}: {said}");
        assert_eq!(client.get("/who").await.is_ok(), !closes, "{row}");
    }
}

/// Which of the two comes next, its body or another request, could not be told.
#[tokio::test]
async fn who_was_told_no_word_to_go_on_is_not_taken_for_sending() {
    let (ca, server) = setup();
    let mut client = server.dial(&ca.client_config(None, &TLS13), ENROL).await.unwrap();
    let head = "POST /nowhere HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n";
    let (said, _) = client.ask(head).await.unwrap();
    assert!(said.starts_with("http/1.1 404") && said.contains("connection: close"), "{said}");
}

#[tokio::test]
async fn a_body_without_end_is_taken_for_a_while_only() {
    let (ca, server) = setup();
    let config = ca.client_config(None, &TLS13);
    let head = "POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    // As fast as it goes: after some megabytes.
    let mut fast = server.dial(&config, ENROL).await.unwrap();
    fast.send(head).await.unwrap();
    let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let (start, mut sent) = (clock::monotonic(), 0);
    while fast.send(&piece).await.is_ok() {
        sent += piece.len();
        assert!(sent < 64 * 1024 * 1024, "taken without end");
    }
    assert!(sent > 5_000_000 && clock::since(start) < Duration::from_secs(5), "{sent} in {:?}", clock::since(start));
    // Slowly: after some seconds.
    let mut slow = server.dial(&config, ENROL).await.unwrap();
    let (said, _) = slow.ask(head).await.unwrap();
    assert!(said.contains("connection: close"), "{said}");
    let start = clock::monotonic();
    while slow.send("1\r\nx\r\n").await.is_ok() {
        assert!(clock::since(start) < Duration::from_secs(8), "taken without end");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(clock::since(start) > Duration::from_secs(4), "{:?}", clock::since(start));
    until(|| server.gate.open() == 0).await;
}

#[tokio::test]
async fn bodies_are_read_within_bounds() {
    let (ca, server) = setup();
    let config = ca.client_config(None, &TLS13);
    let chunk = |n: usize| format!("{n:x}\r\n{}\r\n", "x".repeat(n));
    let post = |headers: &str, body: &str| format!("POST /body HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n{body}");
    for (row, request, status, said) in [
        ("none", "GET /body HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "200", "0"),
        ("empty", post("Content-Length: 0", ""), "200", "0"),
        ("whole", post("Content-Length: 100000", &"x".repeat(100_000)), "200", "100000"),
        (
            "chunked",
            post("Transfer-Encoding: chunked", &(chunk(60_000) + &chunk(40_000) + "0\r\n\r\n")),
            "200",
            "100000",
        ),
        ("identity", post("Content-Encoding: identity\r\nContent-Length: 1", "x"), "200", "1"),
        ("claims too much", post("Content-Length: 100001", ""), "413", "the body is longer than 100000 bytes\n"),
        (
            "chunks too much",
            post("Transfer-Encoding: chunked", &(chunk(60_000) + &chunk(40_001))),
            "413",
            "the body is longer than 100000 bytes\n",
        ),
        ("stands still", post("Content-Length: 5", "x"), "408", "the body stopped coming\n"),
        (
            "compressed",
            post("Content-Encoding: gzip\r\nContent-Length: 1", "x"),
            "415",
            "bodies with a Content-Encoding are not read\n",
        ),
        ("bad chunks", post("Transfer-Encoding: chunked", "zz\r\n"), "400", "the body broke off\n"),
    ] {
        let mut client = server.dial(&config, ENROL).await.unwrap();
        client.send(&request).await.unwrap();
        let (head, body) = client.answer().await.unwrap_or_else(|error| panic!("{row}: {error}"));
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{row}: {head}");
        assert_eq!(body, said, "{row}");
    }
}

/// Some clients read no other framing (Windows enrolment).
#[tokio::test]
async fn every_answer_has_its_length() {
    let (ca, server) = setup();
    let mut client = server.dial(&ca.client_config(None, &TLS13), ENROL).await.unwrap();
    for path in ["/who", "/nowhere", "/moved", "/echo", "/body"] {
        client.get(path).await.unwrap();
    }
    client.send("DELETE /who HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(client.answer().await.unwrap().0.starts_with("http/1.1 405"));
}

#[tokio::test]
async fn the_end_is_orderly() {
    let (ca, server) = setup();
    let config = ca.client_config(None, &TLS13);
    let mut idle = server.dial(&config, ENROL).await.unwrap();
    idle.get("/who").await.unwrap();
    let mut fresh = server.dial(&config, ENROL).await.unwrap();
    let mut busy = server.dial(&config, ENROL).await.unwrap();
    busy.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut signal = server.drain.signal();
    assert!(!signal.is_draining());
    let ending = tokio::spawn({
        let drain = server.drain.clone();
        async move { drain.drain(Duration::from_secs(5)).await }
    });
    signal.draining().await;
    assert!(signal.is_draining() && server.drain.signal().is_draining());
    assert!(idle.closes_within(Duration::from_millis(300)).await);
    assert!(fresh.closes_within(Duration::from_millis(300)).await);
    assert!(server.dial(&config, ENROL).await.is_err());
    let (head, _) = busy.answer().await.unwrap();
    assert!(head.starts_with("http/1.1 200") && head.contains("connection: close"), "{head}");
    assert_eq!(ending.await.unwrap().cut, 0);
    assert!(server.task.is_finished());
}

#[tokio::test]
async fn what_does_not_end_is_cut() {
    let (ca, server) = setup();
    let mut stuck: Client = server.dial(&ca.client_config(None, &TLS13), ENROL).await.unwrap();
    stuck.send("GET /never HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let _shaking = TcpStream::connect(server.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let start = clock::monotonic();
    assert_eq!(server.drain.drain(Duration::from_millis(300)).await.cut, 1);
    assert!(clock::since(start) < Duration::from_millis(800), "{:?}", clock::since(start));
    assert!(stuck.closes_within(Duration::from_millis(300)).await);
    assert_eq!(server.gate.open(), 0);
}

//! At the doors, over sockets: by what an Apple device's word counts, how much is read of whom before that is known, and that who is
//! turned away hears so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;
use lanyard::{
    fleet::registry::Credential,
    serve::{self, Running},
};
use lanyard_sim::{
    Admin, Apns, AppleDevice, Identity, World,
    http::{Client, Request, Response, Settings},
};
use openssl::{
    cms::{CMSOptions, CmsContentInfo},
    ssl::{SslConnector, SslMethod, SslStream, SslVerifyMode},
};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    time::Duration,
};
use tokio::task::block_in_place;

struct Site {
    running: Running,
    admin: Admin,
    world: World,
    folder: PathBuf,
}

impl Site {
    async fn start() -> Site {
        lanyard_certs::providers::init().unwrap();
        let apns = Apns::start().await.unwrap();
        let folder = std::env::temp_dir().join(format!("lanyard-doors-{}", uuid::Uuid::new_v4()));
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let options = serve::Options {
            data: Some(folder.clone()),
            device_addr: Some(any),
            admin_addr: Some(any),
            ..serve::Options::default()
        };
        let running = serve::start(&options).await.unwrap();
        let (admin, world) = (Admin::of_server(&folder).unwrap(), World::of_server(&folder).unwrap());
        let identity = apns.push_certificate().unwrap();
        let file = STANDARD.encode([identity.chain_pem().unwrap(), identity.key_pem().unwrap()].concat());
        admin.put::<serde_json::Value>("apple/push-cert", serde_json::json!({"file": file})).await.unwrap();
        Site { running, admin, world, folder }
    }

    /// An enrolled iPhone with nothing due.
    async fn phone(&self) -> AppleDevice {
        let invitation = self.admin.invite("apple", "anna@example.org").await.unwrap();
        let mut phone = AppleDevice::enrol(&invitation.url, &self.world).await.unwrap();
        phone.poll().await.unwrap();
        phone
    }

    /// A message with the phone's signature over it, on a connection that shows this certificate or none.
    async fn signed(&self, phone: &AppleDevice, message: &str, shown: Option<&Identity>) -> Response {
        let request = request(phone, message).header("Mdm-Signature", signature(phone.identity().unwrap(), message));
        Client::new(&self.world, shown, Settings::default()).unwrap().send(&request).await.unwrap()
    }

    async fn state(&self, phone: &AppleDevice) -> String {
        self.admin.device(phone.udid()).await.unwrap().state
    }

    async fn end(self) {
        self.running.stop().await;
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn request(phone: &AppleDevice, message: &str) -> Request {
    let profile = phone.enrolment().unwrap();
    Request::with_body(Method::PUT, &profile.server_url, "application/x-apple-aspen-mdm", message.to_owned())
}

fn message(phone: &AppleDevice, rest: &str) -> String {
    let plist = "<?xml version=\"1.0\"?><plist version=\"1.0\"><dict>";
    format!("{plist}<key>UDID</key><string>{}</string>{rest}</dict></plist>", phone.udid())
}

fn idle(phone: &AppleDevice) -> String {
    message(phone, "<key>Status</key><string>Idle</string>")
}

fn check_out(phone: &AppleDevice) -> String {
    let topic = &phone.enrolment().unwrap().topic;
    let rest = "<key>MessageType</key><string>CheckOut</string><key>Topic</key>";
    message(phone, &format!("{rest}<string>{topic}</string>"))
}

fn signature(identity: &Identity, message: &str) -> String {
    let (certificate, key) = (identity.certificate().unwrap(), identity.private_key().unwrap());
    let flags = CMSOptions::DETACHED | CMSOptions::BINARY;
    let cms = CmsContentInfo::sign(Some(&certificate), Some(&key), None, Some(message.as_bytes()), flags).unwrap();
    STANDARD.encode(cms.to_der().unwrap())
}

/// What somebody captured, sent again without the certificate: it takes no command and ends nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_counts_only_where_the_profile_asked_for_it() {
    let site = Site::start().await;
    let phone = site.phone().await;
    let other = site.phone().await;
    let refused = async |message: &str, row: &str| {
        let answer = site.signed(&phone, message, None).await;
        assert_eq!((answer.status, &answer.body[..]), (403, &b"refused\n"[..]), "{row}");
    };
    refused(&idle(&phone), "an idle phone's, which memory would answer").await;
    let wipe = site.admin.wipe(phone.udid(), "full", "lost", Some("0s")).await.unwrap();
    refused(&idle(&phone), "the one that would take the wipe").await;
    refused(&check_out(&phone), "the one that would end it").await;
    // Whatever the setting says by now: this profile did not ask.
    site.admin.set("apple.sign_messages", "on").await.unwrap();
    refused(&idle(&phone), "profiles ask from now on").await;
    assert_eq!(site.admin.command(&wipe.id).await.unwrap().state, "queued");
    assert_ne!(site.state(&phone).await, "retired");

    // Beside a certificate it says nothing at all.
    let answer = site.signed(&phone, &idle(&phone), other.identity()).await;
    assert_eq!(answer.status, 403, "the certificate is another phone's");
    let answer = site.signed(&phone, &idle(&phone), phone.identity()).await;
    assert!(String::from_utf8_lossy(&answer.body).contains("EraseDevice"));
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_counts_where_the_profile_asked_for_it_and_goes_on_to() {
    let site = Site::start().await;
    site.admin.set("apple.sign_messages", "on").await.unwrap();
    let phone = site.phone().await;
    site.admin.set("apple.sign_messages", "off").await.unwrap();
    for round in 0..2 {
        assert_eq!(site.signed(&phone, &idle(&phone), None).await.status, 200, "{round}");
    }
    let answer = site.signed(&phone, &check_out(&phone), None).await;
    assert_eq!((answer.status, site.state(&phone).await.as_str()), (200, "retired"));
    site.end().await;
}

/// Of those that enrolled before this was kept, the setting says it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_knows_what_the_profile_asked_for_the_setting_decides() {
    let site = Site::start().await;
    let phone = site.phone().await;
    let of_old = |tx: &mut lanyard::store::Tx<'_>| {
        for credential in tx.all::<Credential>("")? {
            tx.put(&Credential { signs: None, ..credential })?;
        }
        Ok(())
    };
    site.running.server.store.run(of_old).await.unwrap();
    assert_eq!(site.signed(&phone, &idle(&phone), None).await.status, 403);
    site.admin.set("apple.sign_messages", "on").await.unwrap();
    assert_eq!(site.signed(&phone, &idle(&phone), None).await.status, 200);
    site.end().await;
}

const LARGE: usize = 8 * 1024 * 1024;

fn connector(identity: Option<&Identity>) -> SslConnector {
    let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
    builder.set_verify(SslVerifyMode::NONE);
    if let Some(identity) = identity {
        builder.set_certificate(&identity.certificate().unwrap()).unwrap();
        builder.set_private_key(&identity.private_key().unwrap()).unwrap();
    }
    builder.build()
}

/// A connection under the public name, on which requests are written by hand.
fn dial(address: SocketAddr, connector: &SslConnector) -> SslStream<TcpStream> {
    dial_as("localhost", address, connector)
}

fn dial_as(name: &str, address: SocketAddr, connector: &SslConnector) -> SslStream<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut config = connector.configure().unwrap();
    config.set_verify_hostname(false);
    config.connect(name, stream).unwrap()
}

fn head(headers: &str) -> String {
    format!("PUT /apple/mdm HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n")
}

/// The status line of an answer.
fn status(stream: &mut impl Read) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap().trim().to_owned()
}

/// This process's memory in bytes; server and clients are one here.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<usize>().unwrap() * 1024
}

/// Each sends all of 8 MB but the last byte: were they read, they would lie in memory by now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_large_bodies_of_a_revoked_phone_take_no_memory() {
    let site = Site::start().await;
    let phone = site.phone().await;
    let path = format!("devices/{}/revoke", phone.udid());
    site.admin.post::<serde_json::Value>(&path, serde_json::json!({"reason": "stolen"})).await.unwrap();
    let (address, identity) = (site.running.device, phone.identity().unwrap());
    let piece = vec![b' '; 64 * 1024];
    block_in_place(|| {
        let connector = connector(Some(identity));
        drop(dial(address, &connector));
        let before = resident();
        let mut open = Vec::new();
        for _ in 0..100 {
            let mut stream = dial(address, &connector);
            stream.write_all(head(&format!("Content-Length: {LARGE}")).as_bytes()).unwrap();
            for _ in 0..LARGE / piece.len() - 1 {
                stream.write_all(&piece).unwrap();
            }
            stream.write_all(&piece[1..]).unwrap();
            open.push(stream);
        }
        let grown = resident().saturating_sub(before);
        assert!(grown < 30_000_000, "{grown} bytes");
        for mut stream in open {
            assert_eq!(status(&mut stream), "HTTP/1.1 403 Forbidden");
        }
    });
    site.end().await;
}

/// A quarter of a body, and either the rest is waited for or the refusal is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_much_is_judged_before_it_is_read() {
    let site = Site::start().await;
    site.admin.set("apple.sign_messages", "on").await.unwrap();
    let phone = site.phone().await;
    let (address, identity) = (site.running.device, phone.identity().unwrap().clone());
    let large = format!("Content-Length: {LARGE}");
    let chunked = "Transfer-Encoding: chunked".to_owned();
    let ask = |headers: &str, bytes: usize| {
        let mut stream = dial(address, &connector(Some(&identity)));
        stream.write_all(head(headers).as_bytes()).unwrap();
        for _ in 0..bytes / 1000 {
            stream.write_all(format!("3e8\r\n{}\r\n", " ".repeat(1000)).as_bytes()).unwrap();
        }
        stream
    };
    let unanswered = |headers: &str| {
        let mut stream = ask(headers, 100_000);
        stream.get_ref().set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        stream.read(&mut [0]).is_err()
    };
    block_in_place(|| assert!(unanswered(&large) && unanswered(&chunked), "a good one's is waited for"));
    let path = format!("devices/{}/revoke", phone.udid());
    site.admin.post::<serde_json::Value>(&path, serde_json::json!({"reason": "stolen"})).await.unwrap();
    let refused = "HTTP/1.1 403 Forbidden";
    block_in_place(|| {
        assert_eq!(status(&mut ask(&large, 0)), refused);
        assert_eq!(status(&mut ask(&chunked, 100_000)), refused);
    });
    // Nothing is proved by a signature before the body is there, but whom it names may be refused.
    let named =
        Request::with_body(Method::PUT, &phone.enrolment().unwrap().server_url, "text/xml", vec![b' '; 100_000])
            .header("Mdm-Signature", signature(&identity, "another body"));
    let answer = Client::new(&site.world, None, Settings::default()).unwrap().send(&named).await.unwrap();
    assert_eq!(answer.status, 403, "and not 400, by which it would have been read");
    site.end().await;
}

/// An answer's status, its head, and its body behind it.
fn answer(stream: &mut impl Read) -> (u16, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    stream.read_exact(&mut vec![0; length]).unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head)
}

/// On both ports, by whomever the refusal is given: the router, a channel, the API.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_turned_away_before_the_body_came_hears_so() {
    let site = Site::start().await;
    let (device, admin) = (site.running.device, site.running.admin);
    let phone = site.phone().await;
    let certificate = connector(phone.identity());
    let none = connector(None);
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let piece = vec![b' '; 50_000];
    for (address, name, connector, target, headers, want) in [
        (device, "localhost", &none, "POST /nowhere", "", 404),
        (device, "localhost", &none, "DELETE /apple/mdm", "", 405),
        (device, "localhost", &none, "PUT /apple/mdm", "", 400),
        (device, "enrol.example", &certificate, "PUT /apple/mdm", "", 421),
        (device, "localhost", &certificate, "POST /omadm", form, 415),
        (device, "localhost", &none, "POST /scep?operation=Nothing", "", 400),
        (device, "localhost", &none, "POST /enroll/nothing/identity.p12", "Content-Encoding: gzip\r\n", 415),
        (admin, "localhost", &none, "POST /nowhere", "", 404),
        (admin, "localhost", &none, "POST /api/v1/invitations", "", 401),
    ] {
        let head = |length: usize| {
            format!("{target} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {length}\r\n\r\n")
        };
        block_in_place(|| {
            // A small body comes after the answer; then the connection serves on.
            let mut stream = dial_as(name, address, connector);
            for round in 0..2 {
                stream.write_all(head(1000).as_bytes()).unwrap();
                assert_eq!(answer(&mut stream).0, want, "{target}, round {round}");
                stream.write_all(&piece[..1000]).unwrap();
            }
            // Of a large one all can be sent, and the answer read before or after.
            for reads_first in [true, false] {
                let mut stream = dial_as(name, address, connector);
                stream.write_all(head(100 * piece.len()).as_bytes()).unwrap();
                let early = reads_first.then(|| answer(&mut stream));
                for _ in 0..100 {
                    stream.write_all(&piece).unwrap_or_else(|error| panic!("{target}: {error}"));
                }
                let (status, head) = early.unwrap_or_else(|| answer(&mut stream));
                assert!(status == want && head.contains("connection: close"), "{target}: {head}");
                assert_eq!(stream.read(&mut [0]).unwrap(), 0, "{target}");
            }
        });
    }
    site.end().await;
}

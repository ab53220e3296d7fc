//! Debian's `scepserver`, which shares no code with us, grants the simulators' SCEP requests. Skipped, and says so, where it is not installed.
//!
//! A program of its own: scepserver answers in single DES, so OpenSSL's legacy provider must be loaded before anything else uses OpenSSL.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lanyard_sim::http::{Client, Settings};
use lanyard_sim::scep::{Encryption, Manner, Order, enrol};
use lanyard_sim::{Authority, Error, World};
use openssl::pkey::PKey;
use openssl::provider::Provider;
use openssl::rsa::Rsa;

struct Server(Child, std::path::PathBuf);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = std::fs::remove_dir_all(&self.1);
    }
}

fn start() -> Option<(Server, u16)> {
    let dir = std::env::temp_dir().join(format!("lanyard-sim-scepserver-{}", std::process::id()));
    let depot = dir.to_str().unwrap();
    let made = Command::new("scepserver").args(["ca", "-init", "-depot", depot]).output().ok()?;
    assert!(made.status.success(), "{made:?}");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let words = ["-depot", depot, "-port", &port.to_string(), "-challenge", "secret", "-allowrenew", "0"];
    let child = Command::new("scepserver").args(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    for _ in 0..100 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Some((Server(child, dir), port))
}

#[tokio::test]
async fn scepserver_grants_our_requests() {
    let _default = Provider::load(None, "default").unwrap();
    let Ok(_legacy) = Provider::load(None, "legacy") else {
        println!("skipped: OpenSSL has no legacy provider here");
        return;
    };
    let Some((_server, port)) = start() else {
        println!("skipped: scepserver is not installed");
        return;
    };
    let ca = Authority::new("unused").unwrap().ca_pem().unwrap();
    let world = World::new(&ca, ([127, 0, 0, 1], port).into(), "", "").unwrap();
    let mut http = Client::new(&world, None, Settings::default()).unwrap();
    let url = format!("http://127.0.0.1:{port}/scep");
    let plain = Manner::default();
    // Not in BER: scepserver's library mistakes the digest of an octet string in pieces. OpenSSL reads it (the crate's own tests).
    for manner in [
        plain,
        Manner { encryption: Encryption::Aes256, ..plain },
        Manner { encryption: Encryption::TripleDes, sha1: true, ..plain },
        Manner { by_get: true, ..plain },
    ] {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let subject = [("O", "Lanyard"), ("CN", "a device")];
        let order = |challenge| Order { url: &url, subject: &subject, challenge, key: &key, renewing: None, manner };
        let identity = enrol(&mut http, &order(Some("secret"))).await.unwrap_or_else(|e| panic!("{manner:?}: {e}"));
        let certified = identity.certificate().unwrap().public_key().unwrap();
        assert!(certified.public_eq(&key), "{manner:?}");
        let refused = enrol(&mut http, &order(Some("wrong"))).await.map(|_| ()).unwrap_err();
        assert!(matches!(refused, Error::Refused { .. }), "{manner:?}: {refused:?}");
    }
}

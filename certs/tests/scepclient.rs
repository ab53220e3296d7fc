//! Debian's `scepclient` (package `scep`) enrols unmodified, over a small HTTP server that lives in this test alone.
//!
//! With `LANYARD_BLESS=1` what it sends is kept as the fixture `scep-scepclient.der`.
//! Where it is not installed the tests say so and pass; with `LANYARD_REQUIRE_PEERS=1` they fail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![expect(clippy::disallowed_methods, reason = "another program judges these certificates by the machine's own time")]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use lanyard_certs::issue::{ClientCertificate, Serial, Subject, Validity};
use lanyard_certs::{Authority, crl, scep};
use secrecy::ExposeSecret as _;
use support::CHALLENGE;
use time::{Duration, OffsetDateTime};

/// A folder that goes when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lanyard-scepclient-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn present(program: &str) -> bool {
    if Command::new(program).arg("-version").output().is_ok() {
        return true;
    }
    assert!(std::env::var_os("LANYARD_REQUIRE_PEERS").is_none_or(|value| value != "1"), "{program} is not installed");
    println!("skipped: {program} is not installed (Debian package scep)");
    false
}

/// Serves one CA over HTTP; answers the base URL. The thread ends with the test.
fn serve(ca: Arc<Authority>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/scep", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(stream, &ca);
        }
    });
    url
}

fn answer(mut stream: TcpStream, ca: &Authority) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line)?;
    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (kind, content) = match target {
        target if target.contains("operation=GetCACaps") => ("text/plain", scep::CAPABILITIES.as_bytes().to_vec()),
        target if target.contains("operation=GetCACert") => (scep::CA_CONTENT_TYPE, ca.issuing_der().to_vec()),
        _ => (scep::MESSAGE_CONTENT_TYPE, operation(ca, &body)),
    };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n", content.len());
    stream.write_all(&[head.as_bytes(), b"Connection: close\r\n\r\n", &content].concat())
}

fn operation(ca: &Authority, body: &[u8]) -> Vec<u8> {
    if std::env::var_os("LANYARD_BLESS").is_some() {
        std::fs::write(support::fixtures().join("scep-scepclient.der"), body).unwrap();
    }
    let now = OffsetDateTime::now_utc();
    let envelope = scep::receive(body).unwrap();
    let request = match envelope.open(ca, now) {
        Ok(request) => request,
        Err(error) => {
            return envelope.header.failure(ca, scep::FailInfo::from_error(&error), [1; 16]).unwrap();
        }
    };
    let allowed = request.signer == scep::Signer::Ours
        || request.challenge().is_some_and(|challenge| challenge.expose_secret() == CHALLENGE);
    if !allowed {
        return request.header.failure(ca, scep::FailInfo::BadRequest, [1; 16]).unwrap();
    }
    let subject = Subject::named("from the invitation");
    let wanted = ClientCertificate {
        public_key_der: &request.csr().unwrap().public_key_der,
        subject: &subject,
        alt_names: &[],
        crl_url: Some("http://mdm.example/crl"),
        validity: Validity::client(now),
        serial: Serial::random().unwrap(),
    };
    let issued = ca.issue_client(&wanted).unwrap();
    request.header.success(ca, &issued, [1; 16]).unwrap()
}

fn enrol(folder: &Path, url: &str, challenge: &str) -> Output {
    let mut client = Command::new("scepclient");
    client.current_dir(folder).args(["-server-url", url, "-challenge", challenge, "-cn", "phone", "-keySize", "2048"]);
    client.args(["-organization", "Example", "-private-key", "key.pem", "-certificate", "cert.pem", "-debug"]);
    client.output().unwrap()
}

fn told(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

fn openssl(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("openssl").current_dir(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}: {}", told(&output));
    told(&output)
}

#[test]
fn scepclient_enrols_and_its_certificate_verifies() {
    let ca = Arc::new(support::authority());
    if !present("scepclient") {
        return;
    }
    let folder = Folder::new("enrol");
    let output = enrol(&folder.0, &serve(Arc::clone(&ca)), CHALLENGE);
    assert!(output.status.success() && folder.0.join("cert.pem").exists(), "{}", told(&output));

    std::fs::write(folder.0.join("root.pem"), ca.root_pem()).unwrap();
    std::fs::write(folder.0.join("issuing.pem"), ca.issuing_pem()).unwrap();
    let verify = ["verify", "-purpose", "sslclient", "-CAfile", "root.pem", "-untrusted", "issuing.pem"];
    openssl(&folder.0, &[&verify[..], &["cert.pem"]].concat());
    let subject = openssl(&folder.0, &["x509", "-in", "cert.pem", "-noout", "-subject"]);
    assert!(subject.contains("from the invitation") && !subject.contains("Example"), "{subject}");
    let of_key = openssl(&folder.0, &["pkey", "-in", "key.pem", "-pubout"]);
    assert_eq!(openssl(&folder.0, &["x509", "-in", "cert.pem", "-noout", "-pubkey"]), of_key);

    let now = OffsetDateTime::now_utc();
    let issue = crl::Issue { number: 1, this_update: now, next_update: now + Duration::days(7) };
    std::fs::write(folder.0.join("crl.der"), crl::encode(&ca, issue, &[]).unwrap()).unwrap();
    openssl(&folder.0, &["crl", "-inform", "DER", "-in", "crl.der", "-out", "crl.pem", "-CAfile", "issuing.pem"]);
    openssl(&folder.0, &[&verify[..], &["-crl_check", "-CRLfile", "crl.pem", "cert.pem"]].concat());
}

#[test]
fn scepclient_reads_a_refusal() {
    let ca = Arc::new(support::authority());
    if !present("scepclient") {
        return;
    }
    let folder = Folder::new("refuse");
    let output = enrol(&folder.0, &serve(ca), "another challenge");
    assert!(!output.status.success() && !folder.0.join("cert.pem").exists(), "{}", told(&output));
    assert!(told(&output).contains("badRequest"), "{}", told(&output));
}

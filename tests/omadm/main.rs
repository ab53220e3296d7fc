//! The Windows channel over real sockets and TLS, where the other peers cannot look: repeats, renewal, a session that goes
//! from node to node, what an idle session costs, and refusals by HTTP.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    missing_docs
)]

mod client;
mod growth;
mod sizes;
mod wire;

use axum::{body::Body, http::Request};
use client::{DM, FIRST, Identity, LEAVING, Reply, SOAP, To};
use lanyard::{
    channel,
    fleet::{
        actor::Actor,
        admins::{self},
        enrol::{self, invitation},
        life::{self, Channel, Device, EnrolmentState, Life, Ownership, Platform, Scope, State},
        queue::{self},
        registry::{lookup, presence::Presence, sights},
        wipe,
    },
    http::{Peer, client_cert_header::TrustedProxies, outgoing::Outgoing, peer::ClientCertificate},
    ids::hex,
    serve::{self, Running},
    server::Server,
    server::follow_ups::FollowUps,
};
use lanyard_certs::{
    Authority,
    issue::{ClientCertificate as Wanted, Serial, Subject, Validity},
    seal::MasterKey,
};
use lanyard_omadm::syncml::{ContentType, Message};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::task::block_in_place;
use tower_service::Service as _;

const USER: &str = "lucy@lamp.example";
const ENROL: &str = "/EnrollmentServer/Enrollment.svc";
const ISSUE: (&str, &str) = ("Issue", "PKCS10");
const RENEW: (&str, &str) = ("Renew", "PKCS7");

struct Bench {
    running: Running,
    local: Actor,
    folder: PathBuf,
}

impl Drop for Bench {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

impl Bench {
    async fn open() -> Bench {
        let folder = std::env::temp_dir().join(format!("lanyard-omadm-{}", uuid::Uuid::new_v4()));
        let options = serve::Options {
            data: Some(folder.clone()),
            device_addr: Some("127.0.0.1:0".parse().unwrap()),
            admin_addr: Some("127.0.0.1:0".parse().unwrap()),
            ..serve::Options::default()
        };
        let running = serve::start(&options).await.unwrap();
        let token = running.folder.local_token().unwrap();
        let local = running.server.store.run(move |tx| admins::authenticate(tx, &token, true)).await.unwrap().unwrap();
        Bench { running, local, folder }
    }

    fn server(&self) -> &Arc<Server> {
        &self.running.server
    }

    fn to<'a>(&self, name: &'a str) -> To<'a> {
        To { address: self.running.device, name }
    }

    async fn code(&self) -> String {
        let local = self.local.clone();
        let make = move |tx: &mut lanyard::store::Tx<'_>| {
            invitation::create(tx, &local, Channel::Omadm, USER, Ownership::Corporate, None)
        };
        self.server().store.run(make).await.unwrap().code
    }

    fn soap(&self, who: Option<&Identity>, body: &str) -> Reply {
        block_in_place(|| client::post(self.to("localhost"), who, ENROL, &[("Content-Type", SOAP)], body.as_bytes()))
    }

    fn dm(&self, who: &Identity, body: &str) -> Reply {
        let path = "/omadm?mode=Maintenance&Platform=WoA";
        block_in_place(|| client::post(self.to("localhost"), Some(who), path, &[("Content-Type", DM)], body.as_bytes()))
    }

    async fn enrolled(&self, device: &str) -> Identity {
        let (code, key) = (self.code().await, client::key());
        let reply = self.soap(None, &client::token_request(USER, &code, ISSUE, &client::csr(&key), device));
        assert_eq!(reply.status, 200, "{}", reply.text());
        Identity { certificate: client::own_certificate(&client::document(&reply)), key }
    }

    /// A session in which each command is answered alike, until nothing more comes: all commands that came.
    fn session(&self, who: &Identity, device: &str, session: u32) -> Vec<(String, String, String)> {
        let (mut body, mut came) = (FIRST.to_owned(), Vec::new());
        for number in 1..20 {
            let reply = self.dm(who, &client::message(device, session, number, &body));
            assert_eq!(reply.status, 200, "{}", reply.text());
            let commands = client::commands(&reply.text());
            if commands.is_empty() {
                return came;
            }
            came.extend(commands);
            body = client::statuses(&reply.text(), 200);
        }
        panic!("no end: {came:?}");
    }

    async fn device(&self, name: &str) -> Device {
        let name = name.to_owned();
        self.server().store.run(move |tx| lookup::device(tx, &name)).await.unwrap()
    }

    async fn wipe(&self, device: &Device, scope: Scope) -> life::Command {
        let (local, id) = (self.local.clone(), device.id.to_string());
        let request = wipe::Request {
            scope,
            reason: "lost".into(),
            pin: None,
            how: Default::default(),
            delay: None,
            expires: None,
        };
        let ask = move |tx: &mut lanyard::store::Tx<'_>| wipe::ask(tx, &local, &id, request, &channel::support);
        self.server().store.run(ask).await.unwrap()
    }

    async fn command(&self, id: lanyard::ids::CommandId) -> life::Command {
        self.server().store.run(move |tx| queue::find(tx, id)).await.unwrap()
    }

    /// Another node on the same store.
    fn other_node(&self) -> Arc<Server> {
        let mine = self.server();
        let key = std::fs::read_to_string(self.folder.join("master.key")).unwrap();
        Arc::new(Server {
            store: mine.store.clone(),
            presence: Arc::new(Presence::new(false)),
            authority: Authority::open(&mine.authority.material().unwrap()).unwrap(),
            master_key: MasterKey::parse(key.trim()).unwrap(),
            public_url: mine.public_url.clone(),
            enrol_url: mine.enrol_url.clone(),
            outgoing: Outgoing::new(&mine.roots).unwrap(),
            roots: mine.roots.clone(),
            eas_upstream: None,
            mail_server: Default::default(),
            eas_requests: Arc::default(),
            smtp: None,
            eas_users: Default::default(),
            eas_signon: None,
            proxies: TrustedProxies::default(),
            stopping: mine.stopping.clone(),
            strangers: Default::default(),
            told: Default::default(),
            own_tls: true,
            certificate: Default::default(),
            outlook: Default::default(),
            wakes: mine.wakes.clone(),
            follow_ups: FollowUps::default(),
        })
    }
}

/// The other node's answer, without its listener.
async fn asked(node: &Arc<Server>, who: &Identity, body: String) -> (u16, String) {
    let certificate = ClientCertificate::new(who.certificate.to_der().unwrap());
    let peer = Peer {
        address: "127.0.0.1:9".parse().unwrap(),
        client: [127, 0, 0, 1].into(),
        certificate: Some(Arc::new(certificate)),
        asked: true,
        server_name: None,
        resumed: false,
    };
    let request = Request::post("/omadm").header("content-type", DM).extension(Arc::new(peer));
    let answer = channel::router(node).call(request.body(Body::from(body)).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_gets_the_same_certificate_and_another_one_until_the_first_session() {
    let bench = Bench::open().await;
    let (code, key) = (bench.code().await, client::key());
    let ask =
        |key: &_, device: &str| bench.soap(None, &client::token_request(USER, &code, ISSUE, &client::csr(key), device));
    let first = client::own_certificate(&client::document(&ask(&key, "A1")));
    let again = client::own_certificate(&client::document(&ask(&key, "A1")));
    assert_eq!(first.to_der().unwrap(), again.to_der().unwrap());
    let refused = |row: &str, reply: Reply| {
        assert_eq!(reply.status, 500, "{row}");
        assert!(reply.text().contains("s:Authentication"), "{row}: {}", reply.text());
    };
    refused("another device with the same key", ask(&key, "A2"));
    // An install that broke off has lost its key.
    let anew = client::key();
    let certificate = client::own_certificate(&client::document(&ask(&anew, "A1")));
    let device = bench.device("A1").await;
    let states = device.enrolments.iter().map(|mine| mine.state).collect::<Vec<_>>();
    assert_eq!(states, [EnrolmentState::Pending; 2]);
    let who = Identity { certificate, key: anew };
    bench.session(&who, "a1", 1);
    let device = bench.device("A1").await;
    let states = device.enrolments.iter().map(|mine| mine.state).collect::<Vec<_>>();
    assert_eq!(
        (states, device.model.as_deref()),
        (vec![EnrolmentState::Revoked, EnrolmentState::Enrolled], Some("Book 3"))
    );
    let former = Identity { certificate: first, key };
    assert_eq!(
        bench.dm(&former, &client::message("A1", 1, 1, FIRST)).status,
        403,
        "the first complete one ends the others"
    );
    refused("another key, once it is spent", ask(&client::key(), "A1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_certificate_takes_over_once_it_is_used() {
    let bench = Bench::open().await;
    let fresh = bench.enrolled("B1").await;
    bench.session(&fresh, "B1", 1);
    let early = client::token_request("", "", RENEW, &client::renewal(&fresh, &client::key()), "B1");
    assert!(bench.soap(Some(&fresh), &early).text().contains("NotEligibleToRenew"));

    let old = near_its_end(&bench, "B2").await;
    bench.session(&old, "B2", 1);
    let key = client::key();
    let ask = client::token_request("", "", RENEW, &client::renewal(&old, &key), "B2");
    assert!(bench.soap(None, &ask).text().contains("s:Authentication"), "without a certificate");
    assert!(bench.soap(Some(&fresh), &ask).text().contains("NotEligibleToRenew"), "with another's");
    let other = client::token_request("", "", RENEW, &client::renewal(&old, &key), "B1");
    assert!(bench.soap(Some(&old), &other).text().contains("NotEligibleToRenew"), "under another's name");
    let reply = bench.soap(Some(&old), &ask);
    let document = client::document(&reply);
    assert!(document.contains("PROVIDER-ID") && !document.contains("DMClient"), "{document}");
    let new = Identity { certificate: client::own_certificate(&document), key };

    bench.session(&old, "B2", 2);
    bench.session(&new, "B2", 3);
    let reply = bench.dm(&old, &client::message("B2", 4, 1, FIRST));
    assert_eq!(reply.status, 403, "the old one ends with the first use of the new");
    bench.session(&new, "B2", 5);
}

/// An enrolment whose certificate has three weeks to live.
async fn near_its_end(bench: &Bench, device: &str) -> Identity {
    let (server, key) = (bench.server(), client::key());
    let code = bench.code().await;
    let spki = key.public_key_to_der().unwrap();
    let look = move |tx: &mut lanyard::store::Tx<'_>| invitation::by_code(tx, &code, Channel::Omadm, Some(USER), None);
    let invitation = server.store.judge(look).await.unwrap();
    let now = server.now().to_datetime();
    let day = Duration::from_secs(86_400);
    let der = server
        .authority
        .issue_client(&Wanted {
            public_key_der: &spki,
            subject: &Subject::named(invitation.enrolment.to_string()),
            alt_names: &[],
            crl_url: None,
            validity: Validity { not_before: now - 30 * day, not_after: now + 21 * day },
            serial: Serial::random().unwrap(),
        })
        .unwrap();
    let certificate = openssl::x509::X509::from_der(&der).unwrap();
    let kept = channel::certificates::read(&der).unwrap();
    let claim = life::Claim { identity: device.into(), platform: Some(Platform::Windows), ..life::Claim::default() };
    let spend = move |tx: &mut lanyard::store::Tx<'_>| {
        let issued = enrol::Issued { enrolment: invitation.enrolment, certificate: kept, der: hex(&der) };
        let credential = enrol::spend(tx, invitation.id, "key", issued)?;
        enrol::bind(tx, &credential.certificate.sha256, &claim)
    };
    server.store.run(spend).await.unwrap();
    Identity { certificate, key }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_goes_from_node_to_node_and_a_repeat_changes_nothing() {
    let bench = Bench::open().await;
    let who = bench.enrolled("C1").await;
    bench.session(&who, "C1", 1);
    let device = bench.device("C1").await;
    let wipe = bench.wipe(&device, Scope::Full).await;
    let other = bench.other_node();

    let first = client::message("C1", 2, 1, FIRST);
    let answer = bench.dm(&who, &first).text();
    assert!(client::commands(&answer)[0].2.ends_with("RemoteWipe/doWipe"), "{answer}");
    // Our answer was lost: the very same again, from whichever node.
    assert_eq!(asked(&other, &who, first).await, (200, answer.clone()));
    let second = client::message("C1", 2, 2, &client::statuses(&answer, 200));
    let (status, end) = asked(&other, &who, second).await;
    assert_eq!((status, client::commands(&end)), (200, vec![]));
    let ended = bench.command(wipe.id).await;
    assert_eq!((ended.state, ended.evidence.len()), (State::Presumed, 1), "{:?}", ended.evidence);
    assert_eq!(bench.device("C1").await.life, Life::Wiped);
    // The wipe is only presumed: it is neither turned away nor told anything, and may say its last words.
    let reply = bench.dm(&who, &client::message("C1", 3, 1, FIRST));
    assert_eq!((reply.status, client::commands(&reply.text())), (200, vec![]));

    // That the same hardware enrols anew proves nothing.
    let back = bench.enrolled("C1").await;
    assert!(
        client::commands(&bench.dm(&back, &client::message("C1", 1, 1, FIRST)).text()).iter().all(|c| c.0 == "Get")
    );
    assert_eq!(bench.command(wipe.id).await.state, State::Presumed);
    let device = bench.device("C1").await;
    assert_eq!((device.life, device.id), (Life::Enrolled, ended.device));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_emergency_stop_holds_a_repeat_back() {
    let bench = Bench::open().await;
    let who = bench.enrolled("C1").await;
    bench.session(&who, "C1", 1);
    let wipe = bench.wipe(&bench.device("C1").await, Scope::Full).await;
    let first = client::message("C1", 2, 1, FIRST);
    assert!(client::commands(&bench.dm(&who, &first).text())[0].2.ends_with("RemoteWipe/doWipe"));
    let local = bench.local.clone();
    let stop = move |tx: &mut lanyard::store::Tx<'_>| wipe::stop::set(tx, &local, false).map(drop);
    bench.server().store.run(stop).await.unwrap();
    // The answer was lost; in between somebody stopped everything.
    let again = bench.dm(&who, &first);
    assert_eq!((again.status, client::commands(&again.text())), (200, vec![]));
    assert_eq!(bench.session(&who, "C1", 3), []);
    assert_eq!(bench.command(wipe.id).await.state, State::Sent, "nobody knows whether it got it the first time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_cancelled_is_in_no_repeat() {
    let bench = Bench::open().await;
    let who = bench.enrolled("R1").await;
    bench.session(&who, "R1", 1);
    let wipe = bench.wipe(&bench.device("R1").await, Scope::Full).await;
    let first = client::message("R1", 2, 1, FIRST);
    assert!(client::commands(&bench.dm(&who, &first).text())[0].2.ends_with("RemoteWipe/doWipe"));
    // The answer was lost. What enrols later makes it due for a former certificate alone, and so it can be cancelled.
    bench.enrolled("R1").await;
    let (local, id) = (bench.local.clone(), wipe.id);
    bench.server().store.run(move |tx| wipe::cancel(tx, &local, id, true).map(drop)).await.unwrap();
    assert_eq!(bench.command(wipe.id).await.state, State::Cancelled);
    let again = bench.dm(&who, &first).text();
    assert!(!again.contains("RemoteWipe"), "{again}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pc_that_memory_cannot_answer_is_seen_all_the_same() {
    let bench = Bench::open().await;
    let who = bench.enrolled("S1").await;
    bench.session(&who, "S1", 1);
    bench.session(&who, "S1", 2);
    let enrolment = bench.device("S1").await.enrolments[0].id;
    let seen = async || {
        let found = bench.server().store.run(move |tx| sights::seen(tx, [enrolment])).await.unwrap();
        found[0].map_or(0, |at| at.0)
    };
    // Another of its channel lives beside it, which may be its clone: whether it is silent must be known.
    bench.enrolled("S1").await;
    let before = seen().await;
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    bench.session(&who, "S1", 3);
    assert!(seen().await > before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_enrolled_later_under_a_pcs_name_answers_for_itself_alone() {
    let bench = Bench::open().await;
    let who = bench.enrolled("L1").await;
    bench.session(&who, "L1", 1);
    let wipe = bench.wipe(&bench.device("L1").await, Scope::Full).await;
    // A script enrols under its name, gets the wipe, and accepts it.
    let script = bench.enrolled("L1").await;
    let came = bench.session(&script, "L1", 1);
    assert_eq!(came.iter().filter(|(_, _, uri)| uri.ends_with("RemoteWipe/doWipe")).count(), 1, "{came:?}");
    let open = bench.command(wipe.id).await;
    let kinds: Vec<&str> = open.evidence.iter().map(|e| e.kind.as_str()).collect();
    assert_eq!((open.state, kinds), (State::Queued, vec!["enrolled_anew", "later_enrolment"]));
    assert_eq!(bench.session(&who, "L1", 2).len(), 1, "it is the PC's as before");
    assert_eq!(bench.command(wipe.id).await.state, State::Presumed);
    // To what enrolled later nothing is repeated either while the stop is on.
    let other = bench.enrolled("L2").await;
    bench.session(&other, "L2", 1);
    bench.wipe(&bench.device("L2").await, Scope::Full).await;
    let script = bench.enrolled("L2").await;
    let first = client::message("L2", 1, 1, FIRST);
    assert_eq!(client::commands(&bench.dm(&script, &first).text()).len(), 1);
    let local = bench.local.clone();
    let stop = move |tx: &mut lanyard::store::Tx<'_>| wipe::stop::set(tx, &local, false).map(drop);
    bench.server().store.run(stop).await.unwrap();
    assert_eq!(client::commands(&bench.dm(&script, &first).text()), vec![]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_reset_fails_and_an_unenrolment_is_waited_for() {
    let bench = Bench::open().await;
    let who = bench.enrolled("D1").await;
    bench.session(&who, "D1", 1);
    let device = bench.device("D1").await;
    let full = bench.wipe(&device, Scope::Full).await;
    let answer = bench.dm(&who, &client::message("D1", 2, 1, FIRST)).text();
    bench.dm(&who, &client::message("D1", 2, 2, &client::statuses(&answer, 500)));
    let failed = bench.command(full.id).await;
    assert_eq!((failed.state, failed.error.as_ref().unwrap().code.as_str()), (State::Failed, "500"));

    let selective = bench.wipe(&bench.device("D1").await, Scope::Selective).await;
    let came = bench.session(&who, "D1", 3);
    assert_eq!(came.len(), 1, "sent once in a session, whatever the Status says: {came:?}");
    assert!(came[0].2.ends_with("/Unenroll"));
    assert_eq!(bench.command(selective.id).await.state, State::Sent, "a Status is no proof");
    assert_eq!(bench.session(&who, "D1", 4).len(), 1, "asked again in the next session");
    let reply = bench.dm(&who, &client::message("D1", 5, 1, LEAVING));
    assert_eq!((reply.status, client::commands(&reply.text())), (200, vec![]));
    assert_eq!(bench.command(selective.id).await.state, State::Confirmed);
    assert_eq!(bench.dm(&who, &client::message("D1", 6, 1, FIRST)).status, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_on_its_way_when_a_session_broke_is_asked_again_at_once() {
    let bench = Bench::open().await;
    let who = bench.enrolled("G1").await;
    bench.session(&who, "G1", 1);
    let wipe = bench.wipe(&bench.device("G1").await, Scope::Full).await;
    for session in 2..4 {
        let answer = bench.dm(&who, &client::message("G1", session, 1, FIRST)).text();
        assert_eq!(client::commands(&answer).len(), 1, "session {session}: {answer}");
    }
    // An answer that comes late, about the session that broke, means nothing to this one.
    let answer = bench.dm(&who, &client::message("G1", 4, 1, FIRST)).text();
    bench.dm(&who, &client::message("G1", 4, 2, &client::statuses(&answer, 200)));
    assert_eq!(bench.command(wipe.id).await.state, State::Presumed);
    let id = wipe.id.to_string();
    let count = move |tx: &mut lanyard::store::Tx<'_>| {
        let entries = tx.all::<lanyard::fleet::audit::Entry>("")?;
        Ok(entries.iter().filter(|e| e.action == "command.repeated" && e.subject == id).count())
    };
    assert_eq!(bench.server().store.run(count).await.unwrap(), 2, "each repeat is on record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_session_needs_no_store() {
    let bench = Bench::open().await;
    let who = bench.enrolled("E1").await;
    bench.session(&who, "E1", 1);
    assert_eq!(bench.session(&who, "E1", 2), []);
    let before = bench.device("E1").await;
    // The store's one thread is held up: whoever needs it waits.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let store = bench.server().store.clone();
    let holding = tokio::spawn(async move {
        store.once(move |_| Ok(held.recv_timeout(Duration::from_secs(20)).is_ok())).await.unwrap()
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    for session in 3..6 {
        assert_eq!(bench.session(&who, "E1", session), []);
    }
    release.send(()).unwrap();
    assert!(holding.await.unwrap(), "the sessions did not wait for the store");
    let after = bench.device("E1").await;
    assert_eq!(serde_json::to_value(&before).unwrap(), serde_json::to_value(&after).unwrap());

    // What concerns the device ends its rest.
    let wipe = bench.wipe(&after, Scope::Full).await;
    assert_eq!(bench.session(&who, "E1", 7).len(), 1);
    assert_eq!(bench.command(wipe.id).await.state, State::Presumed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_plain_and_whole() {
    let bench = Bench::open().await;
    let who = bench.enrolled("F1").await;
    let first = client::message("F1", 1, 1, FIRST);
    let post = |name: &str, who: Option<&Identity>, path: &str, headers: &[(&str, &str)], body: &[u8]| {
        block_in_place(|| client::post(bench.to(name), who, path, headers, body)).status
    };
    let dm = [("Content-Type", DM)];
    let huge = vec![b' '; 300 * 1024];
    let soap = [("Content-Type", SOAP)];
    let (code, key) = (bench.code().await, client::key());
    let issue = client::token_request(USER, &code, ISSUE, &client::csr(&key), "F3");
    let renew = client::token_request("", "", RENEW, &client::renewal(&who, &key), "F1");
    for (row, status, want) in [
        ("a name that does not ask", post("enrol.example", Some(&who), "/omadm", &dm, first.as_bytes()), 421),
        ("no certificate", post("localhost", None, "/omadm", &dm, first.as_bytes()), 400),
        ("no SyncML", post("localhost", Some(&who), "/omadm", &dm, b"<a/>"), 400),
        ("another type", post("localhost", Some(&who), "/omadm", &[("Content-Type", "text/xml")], b"x"), 415),
        (
            "compressed",
            post("localhost", Some(&who), "/omadm", &[dm[0], ("Content-Encoding", "gzip")], first.as_bytes()),
            415,
        ),
        ("compressed SOAP", post("localhost", None, ENROL, &[("Content-Encoding", "gzip")], b"x"), 415),
        ("too much SOAP", post("localhost", None, ENROL, &soap, &huge), 413),
        ("enrolment asks for none", post("enrol.example", None, ENROL, &soap, issue.as_bytes()), 200),
        ("renewal under that name", post("enrol.example", Some(&who), ENROL, &soap, renew.as_bytes()), 421),
        ("no SOAP", post("localhost", None, ENROL, &soap, b"hello"), 500),
        ("another's name", bench.dm(&who, &client::message("F2", 1, 1, FIRST)).status, 403),
        ("itself", bench.dm(&who, &first).status, 200),
    ] {
        assert_eq!(status, want, "{row}");
    }
    let dm_type = bench.dm(&who, &client::message("F1", 2, 1, FIRST)).headers["content-type"].clone();
    assert_eq!(dm_type, DM);
}

/// Nothing of the body is sent: it is refused for who would send it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_pcs_large_body_is_refused_unread() {
    let bench = Bench::open().await;
    let who = bench.enrolled("L1").await;
    let device = bench.device("L1").await.id;
    let revoke = move |tx: &mut lanyard::store::Tx<'_>| enrol::revoke(tx, "local", device, None, "stolen").map(drop);
    bench.server().store.run(revoke).await.unwrap();
    for (path, kind, length, want) in [
        ("/omadm", DM, 8_000_000, 403),
        (ENROL, SOAP, 200_000, 500),
        ("/scep?operation=PKIOperation", "application/x-pki-message", 200_000, 403),
    ] {
        let status = block_in_place(|| client::begin(bench.to("localhost"), &who, path, kind, length));
        assert_eq!(status, want, "{path}");
    }
}

/// A stranger who types user names at random, or a classmate at the next desk, shuts nobody out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_code_enrols_whatever_was_tried_before() {
    let bench = Bench::open().await;
    let key = client::key();
    let wrong = client::token_request(USER, "0000-0000-0000-0000", ISSUE, &client::csr(&key), "R1");
    let answers: Vec<(u16, bool)> = (0..12)
        .map(|_| bench.soap(None, &wrong))
        .map(|reply| (reply.status, reply.text().contains("Authentication")))
        .collect();
    assert_eq!(answers, [(500, true); 12], "over the limit it is said in the same words");
    bench.enrolled("R1").await;
}

/// Messages captured from a Windows 11, which are not part of this repository.
fn capture(name: &str) -> Option<String> {
    let root = std::env::var_os("LANYARD_SHARED_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")), PathBuf::from);
    let path = root.join("windows-captures").join(format!("windows-26200.9278-{name}.xml"));
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        println!("omadm: skipped, there is no {}", path.display());
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_pc_is_answered_rightly() {
    let (Some(first), Some(leaving)) = (capture("package1-user"), capture("unenroll-1226")) else { return };
    let bench = Bench::open().await;
    let name = client::within(&first[first.find("<Source>").unwrap()..], "LocURI").unwrap().to_owned();
    let who = bench.enrolled(&name).await;
    let answer = bench.dm(&who, &first).text();
    assert!(client::commands(&answer).iter().any(|(verb, _, node)| verb == "Get" && node == "./DevDetail/SwV"));
    assert_eq!(bench.device(&name).await.enrolments[0].state, EnrolmentState::Enrolled);
    let answer = bench.dm(&who, &leaving);
    assert_eq!((answer.status, client::commands(&answer.text())), (200, vec![]));
    assert_eq!(bench.device(&name).await.life, Life::Retired);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_tokens_is_answered_in_tokens() {
    let bench = Bench::open().await;
    let who = bench.enrolled("W1").await;
    let first = client::message("W1", 1, 1, FIRST);
    let form = ContentType::Wbxml;
    let tokens = Message::parse(first.as_bytes(), ContentType::DmXml).unwrap().encode(form).unwrap();
    let headers = [("Content-Type", form.as_str())];
    let reply = block_in_place(|| client::post(bench.to("localhost"), Some(&who), "/omadm", &headers, &tokens));
    assert_eq!((reply.status, reply.headers["content-type"].as_str()), (200, form.as_str()));
    let answer = Message::parse(&reply.body, form).unwrap();
    assert!(answer.body.iter().any(|command| command.name() == "Get"), "{answer:?}");
}

//! Bodies as they go over the wire, against typed values: `fixtures/activesync/`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::PathBuf;

use lanyard_activesync::policy::ProvisionDoc;
use lanyard_activesync::provision::{Body, PolicyOutcome, PolicyType, Reply, Request, WipeScope};
use lanyard_activesync::state::{Due, Message, Output, State, Verdict};
use lanyard_activesync::status::{Status, refusal};
use lanyard_activesync::{Command, PolicyKey, Presented, Revision, Version, autodiscover, ping, settings, state};

fn path(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/activesync")).join(name)
}

fn fixture(name: &str) -> Vec<u8> {
    let text = std::fs::read_to_string(path(&format!("{name}.hex"))).unwrap();
    let digits: String = text.lines().filter_map(|line| line.split('#').next()).collect();
    let digits: Vec<char> = digits.chars().filter(|c| !c.is_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect()
}

fn request(name: &str) -> Request {
    Request::parse(&fixture(name)).unwrap()
}

fn key(key: u32) -> PolicyKey {
    PolicyKey::new(key).unwrap()
}

#[test]
fn provision_bodies_are_read() {
    let ack = Body::Ack { kind: PolicyType::Wbxml, key: 1_307_199_584, outcome: Some(PolicyOutcome::Applied) };
    for (name, want) in [
        ("request-phase1", Body::Policy(PolicyType::Wbxml)),
        ("request-phase1-12", Body::Policy(PolicyType::Wbxml)),
        ("request-phase1-2.5", Body::Policy(PolicyType::Xml)),
        ("request-phase2", ack.clone()),
        ("request-phase2-turned", ack),
        ("request-empty", Body::Empty),
        ("request-wiped", Body::WipeAck { scope: WipeScope::Device, ok: true }),
        ("request-wipe-failed", Body::WipeAck { scope: WipeScope::Device, ok: false }),
        ("request-account-wiped", Body::WipeAck { scope: WipeScope::Account, ok: true }),
    ] {
        let got = request(name);
        assert_eq!(got.body, want, "{name}");
        if name != "request-phase2-turned" {
            let known = got.encode();
            assert_eq!(known, fixture(name), "{name}, written again");
        }
    }
    let information = request("request-phase1").device_information.unwrap();
    assert_eq!(information.user_agent.as_deref(), Some("Apple-iPhone3C1/902.206"));
}

#[test]
fn provision_answers_are_written() {
    let document = ProvisionDoc::default();
    for (name, reply, to, version) in [
        ("answer-policy", Reply::Policy(key(7)), "request-phase1", Version::V14_1),
        ("answer-key", Reply::Key(key(9)), "request-phase2", Version::V14_1),
        ("answer-wrong-key", Reply::WrongKey, "request-phase2", Version::V14_1),
        ("answer-wipe", Reply::Wipe(WipeScope::Device), "request-phase1", Version::V2_5),
        ("answer-account-wipe", Reply::Wipe(WipeScope::Account), "request-empty", Version::V16_1),
        ("answer-wipe-failed", Reply::WipeFailed(WipeScope::Device), "request-wipe-failed", Version::V14_1),
        ("answer-ok", Reply::Ok, "request-wiped", Version::V14_1),
    ] {
        let answer = reply.answer(&request(to), version, &document);
        assert_eq!((answer.http, answer.body), (200, fixture(name)), "{name}");
        assert_eq!(answer.content_type, Some("application/vnd.ms-sync.wbxml"));
    }
}

#[test]
fn other_documents_read_and_write() {
    let answer = refusal(Version::V14_0, Command::Sync, Status::NOT_PROVISIONED);
    assert_eq!(answer.body, fixture("answer-sync-142"));
    let settings = settings::Request::parse(&fixture("request-settings")).unwrap();
    assert_eq!(settings.device_information.as_ref().and_then(|all| all.os.as_deref()), Some("iOS 16.1"));
    assert_eq!(settings.answer(), fixture("answer-settings"));
    let ping = ping::Request::parse(&fixture("request-ping")).unwrap();
    assert_eq!((ping.heartbeat_seconds, ping.folders.as_ref().map(Vec::len)), (Some(480), Some(2)));
    assert_eq!(ping.encode(), fixture("request-ping"));
    assert_eq!(ping::End::FolderSyncFirst.answer().body, fixture("answer-ping-7"));
}

#[test]
fn autodiscover_leads_to_the_gateway() {
    let asked = autodiscover::Request::parse(&std::fs::read(path("autodiscover-request.xml")).unwrap()).unwrap();
    assert!(asked.is_mobile());
    let url = "https://gw/Microsoft-Server-ActiveSync";
    let reply = autodiscover::Reply::Server { display_name: "Ann", email: &asked.email, url };
    assert_eq!(reply.encode(), std::fs::read_to_string(path("autodiscover-answer.xml")).unwrap().trim_end());
}

/// A client from its first command to its end, on the wire's own bodies.
#[test]
fn a_client_provisions_syncs_and_is_wiped() {
    let due = Some(Due { revision: Revision(1), demand: state::Demand::default() });
    let judge = |state, presented| {
        let (access, revision) = (state::Access::Allowed, Some(Revision(1)));
        state::judge(state, access, Command::Sync, presented, Version::V14_1, revision)
    };
    let step = |state: State, name: &str, fresh| {
        let message = Message::new(&request(name), Version::V14_1);
        state.step(message, Version::V14_1, due, key(fresh))
    };
    let client = State::NotProvisioned;
    let refused = judge(client, Presented::Zero).answer(Version::V14_1, Command::Sync).unwrap();
    assert_eq!(refused.body, fixture("answer-sync-142"));
    let (client, _) = step(client, "request-phase1", 1_307_199_584);
    let (client, _) = step(client, "request-phase2", 9);
    assert_eq!(judge(client, Presented::Key(key(9))), Verdict::Pass);
    let client = client.wipe(WipeScope::Device);
    assert_eq!(judge(client, Presented::Key(key(9))), Verdict::Refuse { status: Status(140), http: 449 });
    let (client, _) = step(client, "request-empty", 11);
    let (client, out) = step(client, "request-wiped", 12);
    assert_eq!(out.first(), Some(&Output::Erased(WipeScope::Device)));
    assert_eq!(judge(client, Presented::Key(key(9))), Verdict::Refuse { status: Status(129), http: 403 });
}

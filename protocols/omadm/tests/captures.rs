//! Messages captured from a real Windows 11, which are not part of this repository: they are read, and answered rightly.
//! Skipped, with a line that says so, where they are not there (`LANYARD_SHARED_DATA`, else `../shared/data`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::PathBuf;

use lanyard_omadm::session::{Accepts, LoginStatus, Lost, Op, Output, Session};
use lanyard_omadm::syncml::{Command, ContentType, Message};

const URL: &str = "https://mdm.example/omadm";

fn captures() -> Option<PathBuf> {
    let root = std::env::var_os("LANYARD_SHARED_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")), PathBuf::from);
    let folder = root.join("windows-captures");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("captures: skipped, there is no {}", folder.display());
    None
}

fn capture(name: &str) -> Option<Message> {
    let path = captures()?.join(format!("windows-26200.9278-{name}.xml"));
    Some(Message::parse(&std::fs::read(path).unwrap(), ContentType::DmXml).unwrap())
}

fn codes(answer: &[u8]) -> Vec<u16> {
    let message = Message::parse(answer, ContentType::DmXml).unwrap();
    let code = |command: &Command| match command {
        Command::Status(status) => Some(status.code),
        _ => None,
    };
    message.body.iter().filter_map(code).collect()
}

#[test]
fn every_capture_is_read_and_written_to_the_same() {
    let Some(folder) = captures() else { return };
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "xml") {
            continue;
        }
        let message = Message::parse(&std::fs::read(&path).unwrap(), ContentType::DmXml)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for form in [ContentType::DmXml, ContentType::DmWbxml] {
            let written = message.encode(form).unwrap();
            assert_eq!(Message::parse(&written, form).unwrap(), message, "{}", path.display());
        }
        count += 1;
    }
    assert!(count >= 9, "{count}");
}

#[test]
fn the_first_message_is_answered_with_what_is_due() {
    let Some(message) = capture("package1-user") else { return };
    let (turn, outputs) = Session::new().receive(&message, ContentType::DmXml);
    assert_eq!(turn.accepts(), Accepts::DeviceAndUser);
    assert!(outputs.contains(&Output::Login(LoginStatus::User)), "{outputs:?}");
    assert!(outputs.iter().any(|output| matches!(output, Output::DeviceInfo(info) if info["DmV"] == "1.3")));
    let (session, answer, _) = turn.answer(&[Op::get("a", "./DevDetail/SwV").into()], URL);
    assert_eq!(codes(&answer.body), [200; 4]);
    assert_eq!(session.unanswered().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn an_unenrolment_counts_in_the_first_message() {
    let Some(message) = capture("unenroll-1226") else { return };
    let (turn, outputs) = Session::new().receive(&message, ContentType::DmXml);
    assert!(outputs.contains(&Output::Unenrolled), "{outputs:?}");
    assert_eq!(turn.accepts(), Accepts::Nothing);
    let (session, answer, _) = turn.answer(&[], URL);
    assert!(session.is_idle() && codes(&answer.body).iter().all(|code| *code == 200));
}

#[test]
fn an_abort_over_the_size_limit_loses_the_get() {
    let (Some(first), Some(abort)) = (capture("package1-user"), capture("large-result-abort-8192")) else { return };
    let get = Op::get("big", "./Device/Vendor/MSFT/DeviceManageability/Capabilities/CSPVersions").into();
    let (session, _, _) = Session::new().step(&first, ContentType::DmXml, &[get], URL);
    let mut abort = abort;
    abort.header.session_id = first.header.session_id.clone();
    let (_, _, outputs) = session.step(&abort, ContentType::DmXml, &[], URL);
    let lost = Output::OpLost { op: "big".into(), why: Lost::Aborted };
    assert!(outputs.contains(&lost) && outputs.contains(&Output::Aborted), "{outputs:?}");
}

#[test]
fn results_go_to_the_nodes_that_were_asked() {
    let Some(results) = capture("devdetail-results") else { return };
    let statuses = results.body.iter().filter(|command| matches!(command, Command::Status(_))).count();
    assert!(statuses >= 6, "one for the header and five for the nodes: {statuses}");
    let Some(Command::Results(found)) = results.body.iter().find(|command| matches!(command, Command::Results(_)))
    else {
        panic!("no results")
    };
    assert_eq!(found.items.len(), 4, "the fifth node is not there");
}

//! Our SyncML in libwbxml's eyes, and libwbxml's in ours: Debian's `wbxml2xml` and `xml2wbxml` (libwbxml2-utils).
//!
//! Skipped, with a line that says so, where they are not installed; with LANYARD_REQUIRE_PEERS=1 that is a failure.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::Write as _;
use std::process::{Command as Process, Stdio};

use lanyard_omadm::csp;
use lanyard_omadm::session::{Due, Format, Op, Session};
use lanyard_omadm::syncml::{ContentType, GroupKind, Message};

const DOCTYPE: &str = "<?xml version=\"1.0\"?><!DOCTYPE SyncML PUBLIC \"-//SYNCML//DTD SyncML 1.2//EN\" \
                       \"http://www.openmobilealliance.org/tech/DTD/OMA-TS-SyncML_RepPro_DTD-V1_2.dtd\">";

#[test]
fn libwbxml_agrees() {
    if !is_installed() {
        return;
    }
    for (row, message) in messages() {
        let bytes = message.encode(ContentType::DmWbxml).unwrap();
        let xml = run("wbxml2xml", &["-m", "0", "-o", "-", "-"], &bytes);
        assert_eq!(from_xml(&xml), message, "{row}: what we write, read by libwbxml");
        let xml = format!("{DOCTYPE}{}", String::from_utf8(message.encode(ContentType::DmXml).unwrap()).unwrap());
        // -n leaves out the string table.
        for options in [
            &["-k", "-v", "1.2", "-n", "-o", "-", "-"][..],
            &["-k", "-v", "1.2", "-o", "-", "-"],
            &["-k", "-v", "1.1", "-o", "-", "-"],
        ] {
            let bytes = run("xml2wbxml", options, xml.as_bytes());
            let read = Message::parse(&bytes, ContentType::DmWbxml);
            let read = read.unwrap_or_else(|error| panic!("{row}: {error}: {bytes:02x?}"));
            assert_eq!(read, message, "{row}: what libwbxml writes with {options:?}, read by us");
        }
    }
}

/// What clients say, and an answer of ours with every verb in it.
fn messages() -> Vec<(String, Message)> {
    let names = [
        "package1-user",
        "package1-nobody",
        "plain-client",
        "results",
        "chunk-first",
        "chunk-last",
        "abort",
        "unenrolment",
    ];
    let mut messages: Vec<_> = names.iter().map(|name| (name.to_string(), fixture(name))).collect();
    let node = csp::Setting::MinLength(8).node();
    let ops = vec![
        Op::add("1", "./Device/Vendor/MSFT/WiFi/Profile/a/WlanXml", Format::Chr, "<a b=\"c\">&amp;</a>"),
        Op::replace("2", node.as_str(), Format::Int, "8"),
        Op::delete("3", node.as_str()),
    ];
    let due = [
        Op::get_all("4", [csp::SERIAL, csp::DEVICE_NAME]).into(),
        csp::unenroll("5", "Lanyard").into(),
        Due::Group { id: "6".into(), kind: GroupKind::Atomic, ops },
    ];
    let (_, answer, _) =
        Session::new().step(&fixture("package1-user"), ContentType::DmXml, &due, "https://mdm.example/omadm");
    messages.push(("answer".into(), Message::parse(&answer.body, ContentType::DmXml).unwrap()));
    messages
}

fn fixture(name: &str) -> Message {
    let path = format!("{}/../../fixtures/omadm/{name}.xml", env!("CARGO_MANIFEST_DIR"));
    Message::parse(&std::fs::read(path).unwrap(), ContentType::DmXml).unwrap()
}

/// Without the document type, which we take from nobody.
fn from_xml(xml: &[u8]) -> Message {
    let text = std::str::from_utf8(xml).unwrap();
    let start = text.find("<SyncML").unwrap_or_else(|| panic!("{text}"));
    Message::parse(&xml[start..], ContentType::DmXml).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn is_installed() -> bool {
    let found = |tool: &str| Process::new(tool).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if found("wbxml2xml") && found("xml2wbxml") {
        return true;
    }
    let required = std::env::var("LANYARD_REQUIRE_PEERS").is_ok_and(|value| value == "1");
    assert!(!required, "wbxml2xml and xml2wbxml are required (Debian: libwbxml2-utils)");
    println!("libwbxml_agrees: skipped, wbxml2xml and xml2wbxml are not installed (Debian: libwbxml2-utils)");
    false
}

fn run(tool: &str, options: &[&str], input: &[u8]) -> Vec<u8> {
    let mut process = Process::new(tool);
    process.args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = process.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !output.stdout.is_empty(), "{tool} {options:?}: {errors}");
    output.stdout
}

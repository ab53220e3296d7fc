//! Our documents in libwbxml's eyes, and libwbxml's in ours: Debian's `wbxml2xml` and `xml2wbxml` (libwbxml2-utils).
//!
//! Skipped, with a line that says so, where they are not installed; with LANYARD_REQUIRE_PEERS=1 that is a failure.
//! Left out is what libwbxml 0.11.8 lacks (`MISSING`, and page 25). What it spells otherwise stands in `SPELLINGS`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command as Process, Stdio};

use lanyard_activesync::pages::PAGES;
use lanyard_activesync::policy::ProvisionDoc;
use lanyard_activesync::provision::{self, Body, PolicyOutcome, PolicyType, Reply, WipeScope};
use lanyard_activesync::settings::{self, DeviceInformation};
use lanyard_activesync::status::{Status, refusal};
use lanyard_activesync::{Command, PolicyKey, Version, ping};
use lanyard_wbxml::{Element, Header, Limits, Node, Tag, decode, encode};
use quick_xml::escape::escape;
use quick_xml::events::Event;
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

/// Page and token: the account-only wipe, and the two proposed times of MeetingResponse.
const MISSING: &[(u8, u8)] = &[(14, 0x3B), (8, 0x10), (8, 0x11)];

/// Page, token, and libwbxml's name for it.
const SPELLINGS: &[(u8, u8, &str)] = &[
    (1, 0x07, "AssistantTelephoneNumber"),
    (1, 0x0D, "BusinessCity"),
    (1, 0x0E, "BusinessCountry"),
    (1, 0x0F, "BusinessPostalCode"),
    (1, 0x10, "BusinessState"),
    (1, 0x11, "BusinessStreet"),
    (1, 0x21, "HomeCity"),
    (1, 0x22, "HomeCountry"),
    (1, 0x23, "HomePostalCode"),
    (1, 0x24, "HomeState"),
    (1, 0x25, "HomeStreet"),
    (1, 0x2D, "OtherCity"),
    (1, 0x2E, "OtherCountry"),
    (1, 0x2F, "OtherPostalCode"),
    (1, 0x30, "OtherState"),
    (1, 0x31, "OtherStreet"),
    (2, 0x19, "Reply-To"),
    (2, 0x1D, "DTStamp"),
    (2, 0x29, "Recurrence_Type"),
    (2, 0x2A, "Recurrence_Until"),
    (2, 0x2B, "Recurrence_Occurrences"),
    (2, 0x2C, "Recurrence_Interval"),
    (2, 0x2D, "Recurrence_DayOfWeek"),
    (2, 0x2E, "Recurrence_DayOfMonth"),
    (2, 0x2F, "Recurrence_WeekOfMonth"),
    (2, 0x30, "Recurrence_MonthOfYear"),
    (2, 0x3B, "FlagStatus"),
    (4, 0x05, "TimeZone"),
    (4, 0x09, "Attendee_Email"),
    (4, 0x0A, "Attendee_Name"),
    (4, 0x10, "Compressed_RTF"),
    (4, 0x11, "DTStamp"),
    (4, 0x15, "Exception_Deleted"),
    (4, 0x16, "Exception_StartTime"),
    (4, 0x19, "Organizer_Email"),
    (4, 0x1A, "Organizer_Name"),
    (4, 0x1C, "Recurrence_Type"),
    (4, 0x1D, "Recurrence_Until"),
    (4, 0x1E, "Recurrence_Occurrences"),
    (4, 0x1F, "Recurrence_Interval"),
    (4, 0x20, "Recurrence_DayOfWeek"),
    (4, 0x21, "Recurrence_DayOfMonth"),
    (4, 0x22, "Recurrence_WeekOfMonth"),
    (4, 0x23, "Recurrence_MonthOfYear"),
    (4, 0x29, "Attendee_Status"),
    (4, 0x2A, "Attendee_Type"),
    (9, 0x0D, "UTCDueDate"),
    (9, 0x10, "Recurrence_Type"),
    (9, 0x11, "Recurrence_Start"),
    (9, 0x12, "Recurrence_Until"),
    (9, 0x13, "Recurrence_Occurrences"),
    (9, 0x14, "Recurrence_Interval"),
    (9, 0x15, "Recurrence_DayOfMonth"),
    (9, 0x16, "Recurrence_DayOfWeek"),
    (9, 0x17, "Recurrence_WeekOfMonth"),
    (9, 0x18, "Recurrence_MonthOfYear"),
    (9, 0x19, "Recurrence_Regenerate"),
    (9, 0x1A, "Recurrence_DeadOccur"),
    (9, 0x1F, "UTCStartDate"),
    (14, 0x10, "DeviceEncryptionEnabled"),
    (18, 0x1F, "SmtpAddress"),
    (18, 0x2B, "ihsManagementInformation"),
    (21, 0x10, "MIME"),
    (21, 0x17, "ForwardeeName"),
    (21, 0x18, "ForwardeeEmail"),
    (24, 0x12, "RMOwner"),
    (24, 0x18, "RemoveRightsManagementDistribution"),
];

const DOCTYPE: &str = "<?xml version=\"1.0\"?><!DOCTYPE ActiveSync PUBLIC \"-//MICROSOFT//DTD ActiveSync//EN\" \
                       \"http://www.microsoft.com/\">";

#[test]
fn libwbxml_agrees() {
    if !is_installed() {
        return;
    }
    for (row, root) in documents() {
        let bytes = encode(&Header::ACTIVESYNC, &root);
        let xml = run("wbxml2xml", &["-m", "0", "-l", "ACTIVESYNC", "-o", "-", "-"], &bytes);
        assert_eq!(from_xml(&xml), root, "{row}: what we write, read by libwbxml");
        let xml = to_xml(&root);
        // -n leaves out the string table, which both our protocols' own writers do.
        for options in
            [&["-v", "1.3", "-n", "-o", "-", "-"][..], &["-v", "1.3", "-o", "-", "-"], &["-v", "1.1", "-o", "-", "-"]]
        {
            let bytes = run("xml2wbxml", options, xml.as_bytes());
            let document =
                decode(&bytes, &PAGES, &Limits::SMALL).unwrap_or_else(|error| panic!("{row}: {error}: {bytes:02x?}"));
            assert_eq!(document.root, root, "{row}: what libwbxml writes with {options:?}, read by us");
        }
    }
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

fn documents() -> Vec<(String, Element)> {
    let mut all = Vec::new();
    for command in Command::ALL.iter().filter(|command| **command != Command::Find) {
        let answer = refusal(Version::V16_1, *command, Status::NOT_PROVISIONED);
        if !answer.body.is_empty() {
            all.push((format!("refusal of {command}"), tree(&answer.body)));
        }
    }
    all.extend(provisions().into_iter().map(|(row, body)| (row.to_owned(), tree(&body))));
    let information = device_information();
    all.push(("settings".to_owned(), tree(&settings::relay(&information))));
    let answer = settings::Request::parse(&settings::relay(&information)).unwrap().answer();
    all.push(("settings answer".to_owned(), tree(&answer)));
    let folders = vec![ping::Folder { id: "5".into(), class: "Email".into() }];
    let request = ping::Request { heartbeat_seconds: Some(480), folders: Some(folders) };
    all.push(("ping".to_owned(), tree(&request.encode())));
    for end in [ping::End::Changes(vec!["5".into(), "6".into()]), ping::End::FolderSyncFirst, ping::End::Interval(60)] {
        all.push((format!("ping {end:?}"), tree(&end.answer().body)));
    }
    all.extend(every_tag());
    all
}

fn device_information() -> DeviceInformation {
    DeviceInformation {
        model: Some("Käfer & <Söhne>".into()),
        imei: Some("490154203237518".into()),
        user_agent: Some("Apple-iPhone3C1/902.206".into()),
        ..Default::default()
    }
}

fn provisions() -> Vec<(&'static str, Vec<u8>)> {
    let phase_1 =
        provision::Request { device_information: Some(device_information()), body: Body::Policy(PolicyType::Wbxml) };
    let body = Body::Ack { kind: PolicyType::Wbxml, key: 7, outcome: Some(PolicyOutcome::Partly) };
    let phase_2 = provision::Request { device_information: None, body };
    let body = Body::WipeAck { scope: WipeScope::Device, ok: true };
    let wiped = provision::Request { device_information: None, body };
    let key = PolicyKey::new(u32::MAX).unwrap();
    let document = ProvisionDoc::default();
    let answer = |reply: Reply, request| reply.answer(request, Version::V14_1, &document).body;
    vec![
        ("phase 1", phase_1.encode()),
        ("phase 2", phase_2.encode()),
        ("wipe acknowledged", wiped.encode()),
        ("policy", answer(Reply::Policy(key), &phase_1)),
        ("key", answer(Reply::Key(key), &phase_2)),
        ("wrong key", answer(Reply::WrongKey, &phase_2)),
        ("wipe", answer(Reply::Wipe(WipeScope::Device), &phase_1)),
        ("wipe beside policy", answer(Reply::WipeBesidePolicy(WipeScope::Device, key), &phase_1)),
        ("wipe failed", answer(Reply::WipeFailed(WipeScope::Device), &wiped)),
    ]
}

/// Every page as one document: its first tag with all tags of the page in it, empty, since some count as binary there
/// and print as base64.
fn every_tag() -> Vec<(String, Element)> {
    let pages = PAGES.pages.iter().filter(|page| page.number != 25);
    let documents = pages.map(|page| {
        let tags = page.tags.iter().map(|(token, name)| Tag::new(page.number, *token, name));
        let tags: Vec<Tag> = tags.filter(|tag| !MISSING.contains(&(tag.page, tag.token))).collect();
        let children = tags.iter().map(|tag| Element::empty(*tag));
        (format!("all of page {}", page.number), Element::of(tags[0], children))
    });
    documents.collect()
}

fn tree(bytes: &[u8]) -> Element {
    decode(bytes, &PAGES, &Limits::SMALL).unwrap().root
}

fn spelled(tag: Tag) -> &'static str {
    let other = SPELLINGS.iter().find(|(page, token, _)| (*page, *token) == (tag.page, tag.token));
    other.map(|(_, _, name)| *name).or(tag.name).unwrap()
}

/// Tag names as libwbxml knows them, each page's namespace where it changes.
fn to_xml(root: &Element) -> String {
    let mut xml = DOCTYPE.to_owned();
    write(root, None, &mut xml);
    xml
}

fn write(element: &Element, page: Option<u8>, xml: &mut String) {
    let name = spelled(element.tag);
    write!(xml, "<{name}").unwrap();
    if page != Some(element.tag.page) {
        write!(xml, " xmlns=\"{}\"", namespace(element.tag.page)).unwrap();
    }
    xml.push('>');
    for node in &element.children {
        match node {
            Node::Element(child) => write(child, Some(element.tag.page), xml),
            Node::Text(text) => xml.push_str(&escape(text.as_str())),
            Node::Opaque(_) => panic!("opaque data has no XML"),
        }
    }
    write!(xml, "</{name}>").unwrap();
}

/// The one that is written otherwise there.
fn namespace(page: u8) -> &'static str {
    if page == 16 { "Gal:" } else { PAGES.namespace(page).unwrap() }
}

fn from_xml(xml: &[u8]) -> Element {
    let mut reader = NsReader::from_str(std::str::from_utf8(xml).unwrap());
    let mut open: Vec<Element> = Vec::new();
    loop {
        let (namespace, event) = reader.read_resolved_event().unwrap();
        let done = match event {
            Event::Start(start) => {
                open.push(Element::empty(tag(&namespace, start.local_name().as_ref())));
                continue;
            }
            Event::Empty(start) => Element::empty(tag(&namespace, start.local_name().as_ref())),
            Event::End(_) => open.pop().unwrap(),
            Event::Text(text) => {
                push_text(&mut open, &text.decode().unwrap());
                continue;
            }
            Event::GeneralRef(name) => {
                let text = quick_xml::escape::unescape(&format!("&{};", name.decode().unwrap())).unwrap().into_owned();
                push_text(&mut open, &text);
                continue;
            }
            Event::Eof => panic!("the document is not whole"),
            _ => continue,
        };
        match open.last_mut() {
            None => return done,
            Some(parent) => parent.children.push(Node::Element(done)),
        }
    }
}

fn push_text(open: &mut [Element], text: &str) {
    let Some(parent) = open.last_mut() else { return };
    match parent.children.last_mut() {
        Some(Node::Text(before)) => before.push_str(text),
        _ => parent.children.push(Node::Text(text.to_owned())),
    }
}

fn tag(space: &ResolveResult<'_>, name: &[u8]) -> Tag {
    let ResolveResult::Bound(space) = space else { panic!("no namespace") };
    let name = std::str::from_utf8(name).unwrap();
    let page = PAGES.pages.iter().find(|page| namespace(page.number).as_bytes() == space.as_ref()).unwrap();
    let tags = page.tags.iter().map(|(token, name)| Tag::new(page.number, *token, name));
    tags.into_iter().find(|tag| spelled(*tag) == name).unwrap_or_else(|| panic!("{name} on page {}", page.number))
}

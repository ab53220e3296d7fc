//! The fuzz corpora, fed to the same parsers on every test run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use lanyard_omadm::enrolment::{Request, message_id};
use lanyard_omadm::session::{MAX_ANSWER_BYTES, Op, Session};
use lanyard_omadm::syncml::{ContentType, Message};

#[test]
fn corpus_replays() {
    for bytes in corpus("syncml") {
        for form in [ContentType::DmXml, ContentType::DmWbxml] {
            let Ok(message) = Message::parse(&bytes, form) else { continue };
            // What could not be read of it is not written.
            if let Ok(written) = message.encode(ContentType::DmXml)
                && message.spoilt.is_empty()
            {
                assert_eq!(Message::parse(&written, ContentType::DmXml).as_ref(), Ok(&message));
            }
            let due = [Op::get("a", "./DevDetail/SwV").into()];
            let (_, answer, _) = Session::new().step(&message, form, &due, "https://mdm.example/omadm");
            assert!(Message::parse(&answer.body, form).is_ok());
        }
    }
    for bytes in corpus("session") {
        let mut session = Session::new();
        for part in bytes.split(|byte| *byte == 0) {
            let message = Message::parse(part, ContentType::DmXml).unwrap();
            let due = [Op::get("a", "./DevDetail/SwV").into()];
            let (next, answer, _) = session.step(&message, ContentType::DmXml, &due, "https://mdm.example/omadm");
            assert!(answer.body.len() <= MAX_ANSWER_BYTES);
            session = next;
        }
    }
    for bytes in corpus("enrolment") {
        let id = message_id(&bytes);
        if let Ok(request) = Request::parse(&bytes) {
            assert_eq!(id, Some(request.message_id));
        }
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = format!("{}/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let files: Vec<Vec<u8>> =
        std::fs::read_dir(&folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(!files.is_empty(), "{folder} is empty");
    files
}

//! The fuzz corpora, through the same parsers, without a fuzzer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::PathBuf;

use lanyard_apple::{Body, command::Command, profile::inspect_raw, push::judge};

fn replay(target: &str, parse: impl Fn(&[u8])) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        parse(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}

#[test]
fn corpus_replays() {
    replay("body", |bytes| {
        if let Ok(Body::CheckIn(checkin)) = Body::parse(bytes) {
            assert_eq!(lanyard_apple::checkin::CheckIn::parse(&checkin.encode()).as_ref(), Ok(&checkin));
        }
    });
    replay("raw_profile", |bytes| {
        if let Ok(profile) = inspect_raw(bytes) {
            assert!(inspect_raw(&profile.encode()).is_ok());
        }
    });
    replay("command", |bytes| {
        let _ = Command::parse(bytes);
    });
    replay("apns", |bytes| {
        let (status, body) = bytes.split_at(2);
        let _ = judge(u16::from_le_bytes(status.try_into().unwrap()), body);
    });
}

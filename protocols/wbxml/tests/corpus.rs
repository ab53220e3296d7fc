//! The fuzz corpus, fed to the same parser on every test run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use lanyard_wbxml::{Attributes, CodePages, Limits, decode, encode};

#[test]
fn corpus_replays() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/decode");
    let pages = CodePages { pages: &[] };
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let limits = Limits { attributes: Attributes::Skip, ..Limits::SMALL };
        if let Ok(document) = decode(&bytes, &pages, &limits) {
            let again = decode(&encode(&document.header, &document.root), &pages, &limits).unwrap();
            assert_eq!(again.root, document.root);
        }
        files += 1;
    }
    assert!(files > 0, "{folder} is empty");
}

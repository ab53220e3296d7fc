//! The fuzz corpora, fed to the same parsers on every test run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use lanyard_activesync::{Request, autodiscover, options, packed, ping, provision, settings};

#[test]
fn corpus_replays() {
    for bytes in corpus("body") {
        if let Ok(request) = ping::Request::parse(&bytes) {
            assert_eq!(ping::Request::parse(&request.encode()), Ok(request));
        }
        let _ = provision::Request::parse(&bytes).map(|request| request.encode());
        let _ = settings::Request::parse(&bytes).map(|request| request.answer());
    }
    for query in corpus("query").into_iter().filter_map(|bytes| String::from_utf8(bytes).ok()) {
        let _ = Request::parse(&query, Some("14.1"), Some("7"));
        if let Ok(stripped) = packed::with_key(&query, None) {
            assert_eq!(packed::with_key(&stripped, None), Ok(stripped));
        }
    }
    for bytes in corpus("autodiscover") {
        let _ = autodiscover::Request::parse(&bytes);
    }
    for text in corpus("options").into_iter().filter_map(|bytes| String::from_utf8(bytes).ok()) {
        let (versions, commands) = (options::versions(&text), options::commands(&text));
        assert_eq!((options::versions(&versions), options::commands(&commands)), (versions, commands));
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = format!("{}/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let files: Vec<Vec<u8>> =
        std::fs::read_dir(&folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(!files.is_empty(), "{folder} is empty");
    files
}

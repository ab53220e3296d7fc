//! The fuzz corpora, fed to the same parsers on every test run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use lanyard_exchange::{
    calls::{Results, Work},
    child, mailbox_policy, online,
    organisation::Organisation,
    rows,
};

#[test]
fn corpus_replays() {
    let mut read = 0;
    for bytes in corpus("answer") {
        for status in [200, 400, 401, 403, 404, 429, 500, 503] {
            let answer = online::Answer { status, retry_after: None, exception: None, body: &bytes };
            let _ = online::token(answer);
            for row in online::rows(answer).map(|page| page.rows).unwrap_or_default() {
                read += usize::from(rows::device(&row).is_some()) + usize::from(rows::mailbox(&row).is_some());
                let _ = (rows::statistics(&row), rows::organisation(&row));
                let _ = (mailbox_policy::read(&row), Organisation::read(&row, std::slice::from_ref(&row)));
            }
        }
        read += child::answer(1, &bytes).map(|rows| rows.len()).unwrap_or_default();
    }
    for bytes in corpus("call") {
        if let Ok(work) = serde_json::from_slice::<Work>(&bytes) {
            assert_eq!(serde_json::from_slice::<Work>(&serde_json::to_vec(&work).unwrap()).unwrap(), work);
            read += 1;
        }
        if let Ok(results) = serde_json::from_slice::<Results>(&bytes) {
            assert_eq!(serde_json::from_slice::<Results>(&serde_json::to_vec(&results).unwrap()).unwrap(), results);
            read += 1;
        }
    }
    assert_eq!(read, 5, "of each kind the corpus has one that can be read");
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = format!("{}/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let files: Vec<Vec<u8>> =
        std::fs::read_dir(&folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    assert!(!files.is_empty(), "{folder} is empty");
    files
}

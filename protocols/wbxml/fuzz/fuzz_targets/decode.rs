//! Any bytes: no panic, and what decodes is written and read to the same tree.
#![no_main]

use lanyard_wbxml::{Attributes, CodePages, Limits, decode, encode};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (pages, limits) = (CodePages { pages: &[] }, Limits { attributes: Attributes::Skip, ..Limits::SMALL });
    if let Ok(document) = decode(bytes, &pages, &limits) {
        let again = decode(&encode(&document.header, &document.root), &pages, &limits);
        assert_eq!(again.map(|again| again.root), Ok(document.root));
    }
});

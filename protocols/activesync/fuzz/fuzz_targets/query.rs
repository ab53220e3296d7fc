//! Any query: no panic, and one without a key stays as it is when the key is taken out again.
#![no_main]

use lanyard_activesync::{Request, packed};

libfuzzer_sys::fuzz_target!(|query: &str| {
    let _ = Request::parse(query, Some("14.1"), Some("7"));
    if let Ok(stripped) = packed::with_key(query, None) {
        assert_eq!(packed::with_key(&stripped, None), Ok(stripped));
    }
});

//! Signed messages: attached, detached, and taken apart unchecked.
#![no_main]

use lanyard_certs::cms;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = cms::verify_attached(bytes, &[]);
    let _ = cms::unwrap_unchecked(bytes);
});

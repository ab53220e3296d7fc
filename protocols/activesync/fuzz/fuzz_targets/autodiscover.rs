//! Any XML: no panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = lanyard_activesync::autodiscover::Request::parse(bytes);
});

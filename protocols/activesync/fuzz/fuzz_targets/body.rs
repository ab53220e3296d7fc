//! Any body: no panic, and a Provision or Ping that is read is written and read to the same.
#![no_main]

use lanyard_activesync::{ping, provision, settings};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = ping::Request::parse(bytes) {
        assert_eq!(ping::Request::parse(&request.encode()), Ok(request));
    }
    let _ = provision::Request::parse(bytes).map(|request| request.encode());
    let _ = settings::Request::parse(bytes).map(|request| request.answer());
});

//! Any SOAP: no panic, and what names a message is found in a request that is refused as well.
#![no_main]

use lanyard_omadm::enrolment::{Request, message_id};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let id = message_id(bytes);
    if let Ok(request) = Request::parse(bytes) {
        assert_eq!(id, Some(request.message_id));
    }
});

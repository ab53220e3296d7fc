//! The push certificate that an administrator gives us: PEM, or PKCS#12.
#![no_main]

use lanyard_certs::pushcert;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(read) = pushcert::read(bytes, Some("right")) {
        assert!(read.topic.starts_with("com.apple.mgmt."));
    }
});

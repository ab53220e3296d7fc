//! The header `Client-Cert` that proxies write, and the list of those proxies.
#![no_main]

use lanyard::http::client_cert_header::{TrustedProxies, parse};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(certificate) = parse(bytes) {
        assert!(!certificate.der.is_empty());
    }
    if let Ok(list) = std::str::from_utf8(bytes) {
        let _ = TrustedProxies::parse(list).map(|proxies| proxies.contains([192, 0, 2, 7].into()));
    }
});

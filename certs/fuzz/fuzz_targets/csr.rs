//! Certificate requests, as SCEP and Windows enrolment bring them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = lanyard_certs::csr::parse(bytes);
});

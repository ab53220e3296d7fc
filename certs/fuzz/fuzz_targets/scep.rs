//! SCEP messages, down to the request inside where the signature holds.
#![no_main]

use std::sync::LazyLock;

use lanyard_certs::{Authority, ca::Material, scep};

static CA: LazyLock<Authority> = LazyLock::new(|| {
    let material = include_bytes!("../../../fixtures/certs/authority.der");
    Authority::open(&Material::from_bytes(material).expect("material")).expect("authority")
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(envelope) = scep::receive(bytes) {
        let _ = envelope.open(&CA, time::OffsetDateTime::UNIX_EPOCH);
    }
});

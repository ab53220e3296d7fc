//! Signatures that stand for a certificate of ours: the header Mdm-Signature, and the renewal of a Windows enrolment.
#![no_main]

use std::sync::LazyLock;

use lanyard_certs::{Authority, ca::Material, ca::When, cms, wstep};

static CA: LazyLock<Authority> = LazyLock::new(|| {
    let material = include_bytes!("../../../fixtures/certs/authority.der");
    Authority::open(&Material::from_bytes(material).expect("material")).expect("authority")
});
const BODY: &[u8] = include_bytes!("../../../fixtures/certs/mdm-signature-body.plist");

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = wstep::read_renewal(bytes, None, &CA, When::Any);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = cms::verify_mdm_signature(text, BODY, &CA, When::Any);
        let _ = wstep::decode_token(text).map(|token| wstep::read_renewal(&token, None, &CA, When::Any));
    }
});

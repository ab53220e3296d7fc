//! What administrators upload.
#![no_main]

use lanyard_apple::profile::inspect_raw;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(profile) = inspect_raw(bytes) {
        assert!(inspect_raw(&profile.encode()).is_ok(), "what passed once passes again");
    }
});

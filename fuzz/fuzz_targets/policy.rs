//! Policy files: any text is a policy within its bounds, or refused with its place.
#![no_main]

use lanyard::policy::{PolicyFile, inline_profile_files};

libfuzzer_sys::fuzz_target!(|text: &str| {
    match PolicyFile::parse(text) {
        Ok(policy) => assert!(policy.setting_names().len() <= 600),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let _ = inline_profile_files(text, |_| Ok(b"<plist/>".to_vec()));
});

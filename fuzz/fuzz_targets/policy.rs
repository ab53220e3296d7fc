//! Policy files: any text is a policy within its bounds, or refused with its place.
#![no_main]

use lanyard::policy::{PolicyFile, inline_profile_files};

libfuzzer_sys::fuzz_target!(|text: &str| {
    match PolicyFile::parse(text) {
        Ok(policy) => {
            assert!(policy.setting_names().len() <= 600);
            // What may be applied is kept as it is.
            let (kept, left_out) = PolicyFile::parse_kept(text).expect("it was read before");
            assert!(left_out.is_empty() && kept == policy);
        }
        Err(error) => assert!((1..2_000).contains(&error.to_string().len())),
    }
    let _ = inline_profile_files(text, |_| Ok(b"<plist/>".to_vec()));
});

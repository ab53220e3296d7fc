//! What Apple's push service answers.
#![no_main]

use lanyard_apple::push::{Verdict, judge};

libfuzzer_sys::fuzz_target!(|input: (u16, &[u8])| {
    let (status, body) = input;
    let retired = matches!(judge(status, body), Verdict::TokenRetired { .. });
    assert_eq!(retired, status == 410, "nothing but 410 retires a token");
});

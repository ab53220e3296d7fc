//! What a mail server says it speaks: whatever it is, it is cut to what we know, once.
#![no_main]

use lanyard_activesync::options;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (versions, commands) = (options::versions(text), options::commands(text));
    assert_eq!((options::versions(&versions), options::commands(&commands)), (versions, commands));
});

//! What simulated devices are sent.
#![no_main]

use lanyard_apple::command::Command;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok((uuid, command)) = Command::parse(bytes) {
        assert!(Command::parse(&command.encode(&uuid)).is_ok());
    }
});

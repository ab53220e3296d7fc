//! A whole session: the client's messages, a NUL between each two, against operations that are due. The bounds hold.
#![no_main]

use lanyard_omadm::session::{MAX_ANSWER_BYTES, Op, Session};
use lanyard_omadm::syncml::{ContentType, Message};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (form, mut session) = (ContentType::DmXml, Session::new());
    for (number, part) in bytes.split(|byte| *byte == 0).enumerate() {
        let Ok(message) = Message::parse(part, form) else { continue };
        let due = [Op::get(number.to_string(), "./DevDetail/SwV").into()];
        let (next, answer, _) = session.step(&message, form, &due, "https://mdm.example/omadm");
        assert!(answer.body.len() <= MAX_ANSWER_BYTES && Message::parse(&answer.body, form).is_ok());
        session = next;
    }
});

//! Any message in any form: no panic; one that is read is written and read to the same, and gets an answer.
#![no_main]

use lanyard_omadm::session::{Op, Session};
use lanyard_omadm::syncml::{ContentType, Message};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for form in [ContentType::DmXml, ContentType::DmWbxml] {
        let Ok(message) = Message::parse(bytes, form) else { continue };
        // What could not be read of it is not written.
        if let Ok(written) = message.encode(ContentType::DmXml)
            && message.spoilt.is_empty()
        {
            assert_eq!(Message::parse(&written, ContentType::DmXml).as_ref(), Ok(&message));
        }
        let due = [Op::get("a", "./DevDetail/SwV").into()];
        let (_, answer, _) = Session::new().step(&message, form, &due, "https://mdm.example/omadm");
        assert!(Message::parse(&answer.body, form).is_ok());
    }
});

//! Whatever Exchange, its login or a PowerShell child answers: no panic.
#![no_main]

use lanyard_exchange::{child, mailbox_policy, online, organisation::Organisation, rows};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for status in [200, 400, 401, 403, 404, 429, 500, 503] {
        let answer = online::Answer { status, retry_after: None, exception: None, body: bytes };
        let _ = online::token(answer);
        for row in online::rows(answer).map(|page| page.rows).unwrap_or_default() {
            let _ = (rows::device(&row), rows::mailbox(&row), rows::statistics(&row), rows::organisation(&row));
            let _ = (mailbox_policy::read(&row), Organisation::read(&row, std::slice::from_ref(&row)));
        }
    }
    let _ = child::answer(1, bytes);
});

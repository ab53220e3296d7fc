//! The demonstration as a test: thirty devices of all kinds, wipes with evidence on each channel, the breaker; nothing may fall short.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[tokio::test(flavor = "multi_thread")]
async fn nothing_falls_short() {
    lanyard_certs::providers::init().unwrap();
    let good = lanyard::demo::run(lanyard::demo::Options { once: true }, false).await;
    assert_eq!(good, Ok(true), "the table above says what fell short");
}

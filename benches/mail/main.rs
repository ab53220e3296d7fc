//! The gateway before a mail server: `cargo xtask bench mail`. What a held Ping takes of memory, beside a bare hyper proxy that holds the same;
//! how many requests pass, beside nginx; and that a change of rules ends those whom it shuts out, and no others.
//!
//! Phones, mail server and each proxy are processes of their own, so that each has files enough. `LANYARD_BENCH_PINGS` (9000) says how many Pings
//! are held over TLS, `LANYARD_BENCH_MANY` (100000) how many over streams in memory, `LANYARD_BENCH_PART` (held, many or passed) leaves the other parts
//! out, `LANYARD_BENCH_SECONDS` (5) is how long a throughput is timed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![expect(clippy::disallowed_methods, reason = "it measures the machine's own time")]

mod bare;
mod held;
mod mail_server;
mod many;
mod passed;
mod phones;
mod process;

use std::path::Path;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match words.as_slice() {
        ["mail-server", folder] => runtime.block_on(mail_server::serve(Path::new(folder))),
        ["bare", folder, upstream] => runtime.block_on(bare::serve(Path::new(folder), upstream)),
        ["phones", address, root, count] => {
            let count = count.parse().unwrap();
            runtime.block_on(phones::obey(address.parse().unwrap(), Path::new(root), count));
        }
        _ => runtime.block_on(measure()),
    }
}

fn count(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|s| s.parse().ok()).unwrap_or(default)
}

async fn measure() {
    let part = std::env::var("LANYARD_BENCH_PART").ok();
    let wanted = |name: &str| part.as_deref().is_none_or(|part| part == name);
    if wanted("held") {
        held::measure(count("LANYARD_BENCH_PINGS", 9000)).await;
    }
    if wanted("many") {
        many::measure(count("LANYARD_BENCH_MANY", 100_000)).await;
    }
    if wanted("passed") {
        let seconds = u64::try_from(count("LANYARD_BENCH_SECONDS", 6)).unwrap();
        passed::measure(std::time::Duration::from_secs(seconds)).await;
    }
}

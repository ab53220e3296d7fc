//! What an idle poll costs the server, beside a bare hyper server that reads the same body: `cargo xtask bench idle`.
//!
//! Processor time of the server's process, from `/proc`, over polls that were answered. On a kept connection, with a fresh
//! mutual-TLS connection for each poll, and with a resumed one; on both stores.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod bare;
mod load;
mod server;

use lanyard_sim::{AppleDevice, Identity, World};
use load::{Connect, Poll, Run};
use server::Process;
use std::time::Duration;

/// Devices, each on a connection of its own.
const DEVICES: usize = 16;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if let [word, folder] = arguments.as_slice()
        && word == "bare-server"
    {
        runtime.block_on(bare::serve(folder.as_ref()));
        return;
    }
    let seconds = std::env::var("LANYARD_BENCH_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(5);
    runtime.block_on(measure(Duration::from_secs(seconds)));
}

async fn measure(time: Duration) {
    println!(
        "{:<10} {:<9} {:<8} {:>10} {:>12} {:>10} {:>8}",
        "store", "channel", "connect", "polls/s", "us of CPU", "bare", "ratio"
    );
    let postgres = server::Database::create();
    let mut stores = vec![("sled", None)];
    match &postgres {
        Some(database) => stores.push(("postgres", Some(database.url.clone()))),
        None => println!("LANYARD_TEST_POSTGRES is not set: sled alone"),
    }
    for (store, url) in stores {
        let lanyard = Process::lanyard(url.as_deref());
        let bare = Process::bare(&lanyard);
        let world = World::of_server(&lanyard.data).unwrap().with_key_pool(4).unwrap();
        let apple = apple_polls(&lanyard, &world).await;
        for connect in [Connect::Kept, Connect::Fresh, Connect::Resumed] {
            // In turns, so that a noisy machine troubles both.
            let (mut ours, mut theirs) = (Run::default(), Run::default());
            for _ in 0..3 {
                ours.add(load::run(&lanyard, &apple, connect, time / 3).await);
                theirs.add(load::run(&bare, &apple, connect, time / 3).await);
            }
            println!(
                "{store:<10} {:<9} {:<8} {:>10.0} {:>12.1} {:>10.1} {:>8.2}",
                "apple",
                connect.name(),
                ours.rate(),
                ours.cost(),
                theirs.cost(),
                ours.cost() / theirs.cost()
            );
        }
    }
}

/// Enrolled phones with nothing due.
async fn apple_polls(lanyard: &Process, world: &World) -> Vec<Poll> {
    let mut polls = Vec::new();
    for number in 0..DEVICES {
        let url = lanyard.invite("apple", number)["url"].as_str().unwrap().to_string();
        let mut device = AppleDevice::enrol(&url, world).await.unwrap();
        device.poll().await.unwrap();
        let identity: Identity = device.identity().unwrap().clone();
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
             \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\">\n<dict>\n\t<key>Status</key>\n\
             \t<string>Idle</string>\n\t<key>UDID</key>\n\t<string>{}</string>\n</dict>\n</plist>\n",
            device.facts.udid
        );
        polls.push(Poll {
            method: "PUT",
            path: "/apple/mdm",
            content_type: "application/x-apple-aspen-mdm; charset=UTF-8",
            body: body.into(),
            identity,
        });
    }
    polls
}

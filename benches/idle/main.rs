//! What an idle poll costs the server, beside a bare hyper server that reads the same body: `cargo xtask bench idle`.
//!
//! Processor time of the server's process, from `/proc`, over polls that were answered. On a kept connection, with a fresh
//! mutual-TLS connection for each poll, and with a resumed one; on both stores.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![expect(clippy::disallowed_methods, reason = "it measures the machine's own time")]

mod bare;
mod load;
mod server;

use lanyard_sim::{AppleDevice, Identity, WindowsDevice, World};
use load::{Connect, Poll, Run};
use server::Process;
use std::{sync::Arc, time::Duration};

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
        for (channel, polls) in
            [("apple", apple_polls(&lanyard, &world).await), ("omadm", windows_polls(&lanyard, &world).await)]
        {
            for connect in [Connect::Kept, Connect::Fresh, Connect::Resumed] {
                // In turns, so that a noisy machine troubles both.
                let (mut ours, mut theirs) = (Run::default(), Run::default());
                for _ in 0..3 {
                    ours.add(load::run(&lanyard, &polls, connect, time / 3).await);
                    theirs.add(load::run(&bare, &polls, connect, time / 3).await);
                }
                let (ours_cost, theirs_cost) = (ours.cost(), theirs.cost());
                println!(
                    "{store:<10} {channel:<9} {:<8} {:>10.0} {ours_cost:>12.1} {theirs_cost:>10.1} {:>8.2}",
                    connect.name(),
                    ours.rate(),
                    ours_cost / theirs_cost
                );
            }
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
            body: Arc::new(move |_| body.clone().into()),
            identity,
        });
    }
    polls
}

/// Enrolled PCs with nothing due: a session of one message, as Windows 11 begins each.
async fn windows_polls(lanyard: &Process, world: &World) -> Vec<Poll> {
    let mut polls = Vec::new();
    for number in 0..DEVICES {
        let invitation = lanyard.invite("windows", number);
        let word = |name: &str| invitation[name].as_str().unwrap().to_string();
        let mut device = WindowsDevice::enrol(&word("user"), &word("code"), world).await.unwrap();
        // The first asks what it is; a later one finds nothing due, and is remembered.
        for _ in 0..3 {
            device.sync().await.unwrap();
        }
        let identity: Identity = device.identity().unwrap().clone();
        let (id, url) = (device.device_id().to_string(), world.public_url.clone());
        polls.push(Poll {
            method: "POST",
            path: "/omadm?mode=Maintenance&Platform=WoA",
            content_type: "application/vnd.syncml.dm+xml; charset=utf-8",
            body: Arc::new(move |count| package_one(&id, &url, count).into()),
            identity,
        });
    }
    polls
}

fn package_one(id: &str, url: &str, count: u64) -> String {
    let info = [("DevId", id), ("Man", "Bench"), ("Mod", "Bench 1"), ("DmV", "1.3"), ("Lang", "en-US")];
    let item = |(name, value): (&str, &str)| {
        format!("<Item><Source><LocURI>./DevInfo/{name}</LocURI></Source><Data>{value}</Data></Item>")
    };
    format!(
        "<SyncML xmlns=\"SYNCML:SYNCML1.2\"><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto>\
         <SessionID>{:X}</SessionID><MsgID>1</MsgID><Target><LocURI>{url}/omadm</LocURI></Target>\
         <Source><LocURI>{id}</LocURI></Source></SyncHdr><SyncBody><Alert><CmdID>2</CmdID><Data>1201</Data></Alert>\
         <Alert><CmdID>3</CmdID><Data>1224</Data><Item><Meta><Type xmlns=\"syncml:metinf\">com.microsoft/MDM/LoginStatus</Type>\
         </Meta><Data>user</Data></Item></Alert><Replace><CmdID>5</CmdID>{}</Replace><Final/></SyncBody></SyncML>",
        100 + count % 60_000,
        info.map(item).concat()
    )
}

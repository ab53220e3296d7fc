//! What a fleet costs: small calls while others read everything, lists, sizes and starts: `cargo xtask bench fleet`.
//!
//! Devices are made by the simulator: Windows PCs that enrol by SOAP and hold sessions until nothing is due, and a few iPhones by
//! SCEP. All of them share one RSA key, since making one takes longer than enrolling. The server is a binary and all that is asked
//! of it goes over sockets, so that any version can stand in: `LANYARD_BENCH_BIN` (this tree's where it is not set), and
//! `LANYARD_BENCH_BEFORE` to stand beside it. `LANYARD_BENCH_DEVICES` (50000) says how many.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![expect(clippy::disallowed_methods, reason = "it measures the machine's own time")]

mod api;
mod fleet;
mod probe;
mod server;
mod table;

use api::Api;
use fleet::Fleet;
use server::{Database, Server};
use std::{path::PathBuf, time::Instant};
use table::Figures;

/// PCs by which one PC's records, and one command's, are weighed.
const WEIGHED: usize = 2000;
/// Devices put into a group one by one.
const GROUP: usize = 3000;
/// One iPhone among so many PCs.
const PHONES: usize = 100;
const POLICY: &str =
    "name: fleet\nassign: all\npasscode:\n  required: true\n  min_length: 6\n  max_idle_minutes: 15\ncamera: blocked\n";

fn main() {
    let count = |name: &str, default| std::env::var(name).ok().and_then(|s| s.parse().ok()).unwrap_or(default);
    let devices: usize = count("LANYARD_BENCH_DEVICES", 50_000);
    let binary = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let now = binary("LANYARD_BENCH_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_lanyard").into());
    let before = binary("LANYARD_BENCH_BEFORE");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut stores = vec!["sled"];
    match std::env::var("LANYARD_TEST_POSTGRES") {
        Ok(_) => stores.push("postgres"),
        Err(_) => println!("LANYARD_TEST_POSTGRES is not set: sled alone"),
    }
    if let Ok(only) = std::env::var("LANYARD_BENCH_STORE") {
        stores.retain(|store| *store == only);
    }
    for store in stores {
        let figures = |binary: &PathBuf| runtime.block_on(measure(binary, store, devices));
        let (now, before) = (figures(&now), before.as_ref().map(figures));
        table::print(store, devices, &now, before.as_ref());
    }
}

async fn measure(binary: &std::path::Path, store: &str, devices: usize) -> Figures {
    let mut figures = Figures::default();
    let database = (store == "postgres").then(|| Database::create().expect("LANYARD_TEST_POSTGRES"));
    let mut server = Server::new(binary, database);
    server.start();
    let mut fleet = Fleet::of(&server);
    let few = WEIGHED.min(devices);
    weigh(&mut server, &mut fleet, few, &mut figures).await;

    let api = Api::of(&server);
    api.put("policies/fleet?apply=true", &serde_json::json!({"text": POLICY})).await;
    let begun = Instant::now();
    let (rest, phones) = (devices - few, devices / PHONES);
    fleet.grow(&server, rest - phones.min(rest), false).await;
    fleet.phones(&server, phones.min(rest)).await;
    let rate = rest as f64 / begun.elapsed().as_secs_f64();
    figures.note("enrolled, each until nothing is due", format!("{rate:.0}/s"));

    let file = server.stop();
    figures.note("store on disk, as it grew", table::mega(file));
    figures.took("start with all of it", server.start());
    server.stop();
    sizes(&server, devices, &mut figures);
    figures.took("the start after that", server.start());
    probe::all(&server, &mut fleet, &mut figures).await;
    figures
}

/// What a PC with nothing to do leaves in the store, and what a finished command does.
async fn weigh(server: &mut Server, fleet: &mut Fleet, few: usize, figures: &mut Figures) {
    server.stop();
    let empty = server.records();
    server.start();
    fleet.moved(server);
    fleet.grow(server, few, true).await;
    server.stop();
    let enrolled = server.records();
    server.start();
    fleet.moved(server);
    fleet.command_each(server).await;
    server.stop();
    let done = server.records();
    server.start();
    fleet.moved(server);
    figures.bytes("records of a PC with nothing to do", (enrolled - empty) / few as u64);
    figures.bytes("records of a finished command", (done - enrolled) / few as u64);
}

fn sizes(server: &Server, devices: usize, figures: &mut Figures) {
    let (disk, records) = (server.on_disk(), server.records());
    figures.note("store on disk, after a start", table::mega(disk));
    figures.note("the same by its records", format!("{:.2}", disk as f64 / records as f64));
    figures.bytes("records by devices, with a policy", records / devices as u64);
}

//! What is asked of the server when the fleet is there.

use crate::{
    GROUP, POLICY,
    api::Api,
    fleet::{Fleet, ids, until_nothing_is_due},
    server::Server,
    table::Figures,
};
use lanyard_sim::WindowsDevice;
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Between two small calls of one client.
const PAUSE: Duration = Duration::from_millis(3);
/// First pages asked for.
const PAGES: usize = 30;
/// PCs that poll, one after the other.
const POLLING: usize = 4;

/// How long small calls are timed.
fn span() -> Duration {
    let seconds = std::env::var("LANYARD_BENCH_SECONDS").ok().and_then(|s| s.parse().ok());
    Duration::from_secs(seconds.unwrap_or(20))
}

pub(crate) async fn all(server: &Server, fleet: &mut Fleet, figures: &mut Figures) {
    fleet.moved(server);
    let api = Api::of(server);
    let ids = Arc::new(ids(&api).await);
    let mut polling: Vec<WindowsDevice> = fleet.kept.drain(..POLLING.min(fleet.kept.len())).collect();
    for device in &mut polling {
        // Once more when nothing is due: then it is remembered.
        until_nothing_is_due(device).await;
        device.sync().await.unwrap();
    }
    let polling = small(server, ids.clone(), polling, "idle", figures).await;
    let load = Load::start(server);
    tokio::time::sleep(Duration::from_secs(1)).await;
    small(server, ids.clone(), polling, "under load", figures).await;
    figures.note("previews, coverages, verifies, lists meanwhile", load.stop().await);
    lists(&api, &ids, figures).await;
    whole(server, &api, figures).await;
    group(&api, &ids, figures).await;
}

/// A small read, a small write and the poll of a PC with nothing due, at the same time.
async fn small(
    server: &Server,
    ids: Arc<Vec<String>>,
    mut polling: Vec<WindowsDevice>,
    when: &str,
    figures: &mut Figures,
) -> Vec<WindowsDevice> {
    let end = Instant::now() + span();
    let (reader, writer, known) = (Api::of(server), Api::of(server), ids.clone());
    let reads = tokio::spawn(async move {
        let mut times = Vec::new();
        while Instant::now() < end {
            let id = &known[times.len() * 7919 % known.len()];
            times.push(reader.get(&format!("devices/{id}")).await.0);
            tokio::time::sleep(PAUSE).await;
        }
        times
    });
    let writes = tokio::spawn(async move {
        let mut times = Vec::new();
        while Instant::now() < end {
            let id = &ids[times.len() * 104_729 % ids.len()];
            times.push(writer.post(&format!("devices/{id}/sync"), &json!({})).await.0);
            tokio::time::sleep(PAUSE * 4).await;
        }
        times
    });
    let polls = tokio::spawn(async move {
        let mut times = Vec::new();
        while Instant::now() < end {
            let at = times.len() % polling.len();
            let begun = Instant::now();
            polling[at].sync().await.unwrap();
            times.push(begun.elapsed());
            tokio::time::sleep(PAUSE).await;
        }
        (times, polling)
    });
    let (polls, polling) = polls.await.unwrap();
    figures.percentiles(&format!("GET devices/ID, {when}"), reads.await.unwrap());
    figures.percentiles(&format!("POST devices/ID/sync, {when}"), writes.await.unwrap());
    figures.percentiles(&format!("a PC's poll, nothing due, {when}"), polls);
    polling
}

/// Who reads everything.
#[derive(Clone, Copy)]
enum Reads {
    Preview,
    Coverage,
    Verify,
    Devices,
}

impl Reads {
    async fn once(self, api: &Api) {
        match self {
            Self::Preview => {
                let text = POLICY.replace("min_length: 6", "min_length: 8");
                drop(api.put("policies/fleet", &json!({"text": text})).await);
            }
            Self::Coverage => drop(api.whole("policies/fleet/coverage").await),
            Self::Verify => drop(api.get("audit/verify").await),
            Self::Devices => drop(api.whole("devices").await),
        }
    }
}

/// Each of them again and again, one client each.
struct Load {
    stop: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<usize>>,
}

impl Load {
    fn start(server: &Server) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = [Reads::Preview, Reads::Coverage, Reads::Verify, Reads::Devices].map(|reads| {
            let (stop, api) = (stop.clone(), Api::of(server));
            tokio::spawn(async move {
                let mut rounds = 0;
                while !stop.load(Relaxed) {
                    reads.once(&api).await;
                    rounds += 1;
                }
                rounds
            })
        });
        Self { stop, tasks: tasks.into() }
    }

    /// Ends it, and says how often each came through.
    async fn stop(self) -> String {
        self.stop.store(true, Relaxed);
        let mut rounds = Vec::new();
        for task in self.tasks {
            rounds.push(task.await.unwrap().to_string());
        }
        rounds.join(", ")
    }
}

async fn lists(api: &Api, ids: &[String], figures: &mut Figures) {
    let of_one = format!("commands?device={}", ids[ids.len() / 2]);
    let paths = ["devices", "commands", "policies", "groups", "audit", "policies/fleet/coverage", &of_one];
    for path in paths {
        let mut times = Vec::new();
        for _ in 0..PAGES {
            times.push(api.get(path).await.0);
        }
        let shown = if path == of_one { "commands?device=ID" } else { path };
        figures.middle_and_most(&format!("first page of {shown}"), times);
    }
}

async fn whole(server: &Server, api: &Api, figures: &mut Figures) {
    let begun = Instant::now();
    api.whole("devices").await;
    figures.took("all devices, by thousands", begun.elapsed());
    let begun = Instant::now();
    api.whole("policies/fleet/coverage").await;
    figures.took("coverage of all, by thousands", begun.elapsed());
    figures.took("a preview", api.put("policies/fleet", &json!({"text": POLICY})).await.0);
    figures.took("audit/verify", api.get("audit/verify").await.0);
    let begun = Instant::now();
    let listed = server.verb(&["devices", "list"]);
    figures.took("lanyard devices list --json", begun.elapsed());
    assert!(listed.status.success());
}

async fn group(api: &Api, ids: &[String], figures: &mut Figures) {
    api.post("groups", &json!({"name": "many"})).await;
    let begun = Instant::now();
    for id in ids.iter().take(GROUP) {
        api.put(&format!("groups/many/devices/{id}"), &json!({})).await;
    }
    figures.took("3,000 devices into a group, one by one", begun.elapsed());
    figures.middle_and_most("groups, one with 3,000", vec![api.get("groups").await.0]);
}

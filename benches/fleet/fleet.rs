//! The devices: enrolled many at once, some of them kept to speak again.

use crate::{api::Api, server::Server};
use lanyard_sim::{AppleDevice, WindowsDevice, World};
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Devices that enrol at the same time.
const AT_ONCE: usize = 32;

pub(crate) struct Fleet {
    world: World,
    /// PCs that speak again.
    pub(crate) kept: Vec<WindowsDevice>,
    number: Arc<AtomicUsize>,
}

impl Fleet {
    pub(crate) fn of(server: &Server) -> Self {
        let world = World::of_server(&server.data).unwrap().with_key_pool(1).unwrap();
        Self { world, kept: Vec::new(), number: Arc::default() }
    }

    /// The server was started again: it listens elsewhere.
    pub(crate) fn moved(&mut self, server: &Server) {
        let keys = self.world.keys.clone();
        self.world = World { keys, ..World::of_server(&server.data).unwrap() };
        for device in &mut self.kept {
            device.http().connect_to(self.world.device_addrs.clone());
        }
    }

    /// More PCs, each with its first sessions, until nothing is due.
    pub(crate) async fn grow(&mut self, server: &Server, count: usize, keep: bool) {
        let end = self.number.load(Relaxed) + count;
        let one = async |api: &Api, world: &World, number: usize| {
            let invitation = invite(api, "windows", number).await;
            let word = |name: &str| invitation[name].as_str().unwrap().to_owned();
            let mut device = WindowsDevice::enrol(&word("user"), &word("code"), world).await.unwrap();
            until_nothing_is_due(&mut device).await;
            device
        };
        let workers: Vec<_> = (0..AT_ONCE.min(count))
            .map(|_| {
                let (api, world, number) = (Api::of(server), self.world.clone(), self.number.clone());
                tokio::spawn(async move {
                    let mut kept = Vec::new();
                    while let Some(number) = take(&number, end) {
                        let device = one(&api, &world, number).await;
                        kept.extend(keep.then_some(device));
                    }
                    kept
                })
            })
            .collect();
        for worker in workers {
            self.kept.extend(worker.await.unwrap());
        }
    }

    /// Some iPhones.
    pub(crate) async fn phones(&mut self, server: &Server, count: usize) {
        let end = self.number.load(Relaxed) + count;
        let workers: Vec<_> = (0..AT_ONCE.min(count))
            .map(|_| {
                let (api, world, number) = (Api::of(server), self.world.clone(), self.number.clone());
                tokio::spawn(async move {
                    while let Some(number) = take(&number, end) {
                        let invitation = invite(&api, "apple", number).await;
                        let mut phone = AppleDevice::enrol(invitation["url"].as_str().unwrap(), &world).await.unwrap();
                        phone.poll().await.unwrap();
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.await.unwrap();
        }
    }

    /// A command for each kept PC, asked for, sent and acknowledged.
    pub(crate) async fn command_each(&mut self, server: &Server) {
        let api = Arc::new(Api::of(server));
        let ids = ids(&api).await;
        assert_eq!(ids.len(), self.kept.len());
        for id in ids {
            api.post(&format!("devices/{id}/sync"), &json!({})).await;
        }
        let mut waiting = std::mem::take(&mut self.kept);
        while !waiting.is_empty() {
            let some = waiting.split_off(waiting.len().saturating_sub(AT_ONCE));
            let tasks: Vec<_> = some
                .into_iter()
                .map(|mut device| {
                    tokio::spawn(async move {
                        until_nothing_is_due(&mut device).await;
                        device
                    })
                })
                .collect();
            for task in tasks {
                self.kept.push(task.await.unwrap());
            }
        }
    }
}

fn take(number: &AtomicUsize, end: usize) -> Option<usize> {
    let number = number.fetch_add(1, Relaxed);
    (number < end).then_some(number)
}

async fn invite(api: &Api, channel: &str, number: usize) -> Value {
    let user = format!("user{number}@example.org");
    let (_, made) = api.post("invitations", &json!({"channel": channel, "user": user})).await;
    serde_json::from_slice(&made).unwrap()
}

/// Sessions until one brings no command; then the PC hangs up.
pub(crate) async fn until_nothing_is_due(device: &mut WindowsDevice) {
    while device.sync().await.unwrap().commands > 0 {}
    device.http().close();
}

/// The ids of all devices.
pub(crate) async fn ids(api: &Api) -> Vec<String> {
    let mut ids = Vec::new();
    for page in api.whole("devices").await {
        let page: Value = serde_json::from_slice(&page).unwrap();
        ids.extend(page["items"].as_array().unwrap().iter().map(|d| d["id"].as_str().unwrap().to_owned()));
    }
    ids
}

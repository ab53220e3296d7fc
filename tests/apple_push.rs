//! Pushes against a stand-in for APNs over TLS and HTTP/2 that also refuses: a token that is gone, a service that is busy, a
//! connection that is let go.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use base64::Engine as _;
use http::Method;
use lanyard::serve::{self, Running};
use lanyard_sim::{Admin, Apns, AppleDevice, World};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

struct Site {
    running: Running,
    apns: Apns,
    admin: Admin,
    world: World,
    folder: PathBuf,
}

impl Site {
    async fn start() -> Site {
        lanyard_certs::providers::init().unwrap();
        let apns = Apns::start().await.unwrap();
        let folder = std::env::temp_dir().join(format!("lanyard-push-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).unwrap();
        let trust = folder.join("trust.pem");
        std::fs::write(&trust, apns.ca_pem().unwrap()).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let options = serve::Options {
            data: Some(folder.clone()),
            device_addr: Some(any),
            admin_addr: Some(any),
            trust: Some(trust),
            ..serve::Options::default()
        };
        let running = serve::start(&options).await.unwrap();
        let (admin, world) = (Admin::of_server(&folder).unwrap(), World::of_server(&folder).unwrap());
        let identity = apns.push_certificate().unwrap();
        let pem = [identity.chain_pem().unwrap(), identity.key_pem().unwrap()].concat();
        let file = base64::engine::general_purpose::STANDARD.encode(pem);
        let set = admin.put::<serde_json::Value>("apple/push-cert", serde_json::json!({"file": file})).await.unwrap();
        assert_eq!(set["set"], true);
        admin.set("apple.push_url", &apns.url()).await.unwrap();
        Site { running, apns, admin, world, folder }
    }

    /// An enrolled iPhone with nothing due.
    async fn phone(&self) -> AppleDevice {
        let invitation = self.admin.invite("apple", "anna@example.org").await.unwrap();
        let mut phone = AppleDevice::enrol(&invitation.url, &self.world).await.unwrap();
        phone.poll().await.unwrap();
        phone
    }

    async fn sync(&self, phone: &AppleDevice) {
        self.admin.act(&phone.facts.udid, "sync").await.unwrap();
    }

    fn pushes(&self, phone: &AppleDevice) -> Vec<(u16, u64)> {
        let token = phone.push().token_hex();
        self.apns.pushes().into_iter().filter(|p| p.token == token).map(|p| (p.status, p.connection)).collect()
    }

    async fn eventually(&self, what: &str, done: impl Fn() -> bool) {
        let limit = tokio::time::Instant::now() + Duration::from_secs(20);
        while !done() {
            assert!(tokio::time::Instant::now() < limit, "{what}: {:?}", self.apns.pushes());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn end(self) {
        self.running.stop().await;
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_gone_is_pushed_no_more_until_the_device_tells_another() {
    let site = Site::start().await;
    let mut phone = site.phone().await;
    let mut woken = site.apns.register(phone.push());
    let before = site.pushes(&phone).len();
    site.sync(&phone).await;
    tokio::time::timeout(Duration::from_secs(10), woken.recv()).await.unwrap().unwrap();
    phone.poll().await.unwrap();

    site.apns.forget(phone.push());
    site.sync(&phone).await;
    site.eventually("a push that is answered 410", || site.pushes(&phone).iter().any(|(status, _)| *status == 410))
        .await;
    let count = site.pushes(&phone).len();
    assert!(count > before);
    // It polls by itself; what is asked for then wakes nobody.
    phone.poll().await.unwrap();
    site.sync(&phone).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(site.pushes(&phone).len(), count, "no push to a token that is gone");
    phone.poll().await.unwrap();

    phone.change_token().await.unwrap();
    let mut woken = site.apns.register(phone.push());
    site.sync(&phone).await;
    tokio::time::timeout(Duration::from_secs(10), woken.recv()).await.unwrap().unwrap();
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_service_is_tried_again_and_a_lost_connection_made_anew() {
    let site = Site::start().await;
    let mut phone = site.phone().await;
    let mut woken = site.apns.register(phone.push());
    site.apns.refuse_next(&[503, 429]);
    site.sync(&phone).await;
    tokio::time::timeout(Duration::from_secs(15), woken.recv()).await.unwrap().unwrap();
    let seen = site.pushes(&phone);
    let statuses: Vec<u16> = seen.iter().map(|(status, _)| *status).collect();
    assert!(statuses.windows(3).any(|three| three == [503, 429, 200]), "{statuses:?}");
    let connections: Vec<u64> = seen.iter().rev().take(3).map(|(_, connection)| *connection).collect();
    assert!(connections.windows(2).all(|pair| pair[0] == pair[1]), "one connection: {connections:?}");
    phone.poll().await.unwrap();

    site.apns.go_away();
    site.sync(&phone).await;
    tokio::time::timeout(Duration::from_secs(15), woken.recv()).await.unwrap().unwrap();
    let anew = || site.pushes(&phone).iter().any(|(status, on)| *status == 200 && connections.iter().all(|c| c != on));
    site.eventually("a connection of its own after GOAWAY", anew).await;
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_whose_ownership_changes_is_woken_for_what_its_policy_is_then() {
    let site = Site::start().await;
    // Before there are devices nobody waits as a newcomer.
    let second = site.admin.add_admin("ann").await.unwrap();
    site.admin
        .apply_policy("base", "name: base\nassign: all\npasscode: {min_length: 6, max_failed: 8}\n")
        .await
        .unwrap();
    let mut phone = site.phone().await;
    phone.poll().await.unwrap();
    let mut woken = site.apns.register(phone.push());
    let place = format!("devices/{}", phone.facts.udid);
    // Whoever was woken is looked at again ten seconds later: that would wake it as well.
    let quiet = Duration::from_secs(12);
    tokio::time::sleep(quiet).await;
    while woken.try_recv().is_ok() {}
    let whose = async |ownership: &str| {
        let body = serde_json::json!({"ownership": ownership});
        site.admin.call::<serde_json::Value>(Method::PATCH, &place, Some(&body)).await.unwrap()
    };
    assert_eq!(whose("personal").await["ownership"], "personal");
    tokio::time::timeout(Duration::from_secs(10), woken.recv()).await.expect("a push").unwrap();
    phone.poll().await.unwrap();
    let approval = whose("corporate").await["id"].as_str().unwrap().to_owned();
    second.get::<serde_json::Value>(&format!("approvals/{approval}")).await.unwrap();
    tokio::time::sleep(quiet).await;
    while woken.try_recv().is_ok() {}
    second.post::<serde_json::Value>(&format!("approvals/{approval}/approve"), serde_json::json!({})).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), woken.recv()).await.expect("a push").unwrap();
    site.end().await;
}

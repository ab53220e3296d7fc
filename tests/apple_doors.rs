//! At Apple's door, over sockets: by what a device's word counts, and how much is read of whom before that is known.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;
use lanyard::{
    fleet::registry::Credential,
    serve::{self, Running},
};
use lanyard_sim::{
    Admin, Apns, AppleDevice, Identity, World,
    http::{Client, Request, Response, Settings},
};
use openssl::cms::{CMSOptions, CmsContentInfo};
use std::{net::SocketAddr, path::PathBuf};

struct Site {
    running: Running,
    admin: Admin,
    world: World,
    folder: PathBuf,
}

impl Site {
    async fn start() -> Site {
        lanyard_certs::providers::init().unwrap();
        let apns = Apns::start().await.unwrap();
        let folder = std::env::temp_dir().join(format!("lanyard-doors-{}", uuid::Uuid::new_v4()));
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let options = serve::Options {
            data: Some(folder.clone()),
            device_addr: Some(any),
            admin_addr: Some(any),
            ..serve::Options::default()
        };
        let running = serve::start(&options).await.unwrap();
        let (admin, world) = (Admin::of_server(&folder).unwrap(), World::of_server(&folder).unwrap());
        let identity = apns.push_certificate().unwrap();
        let file = STANDARD.encode([identity.chain_pem().unwrap(), identity.key_pem().unwrap()].concat());
        admin.put::<serde_json::Value>("apple/push-cert", serde_json::json!({"file": file})).await.unwrap();
        Site { running, admin, world, folder }
    }

    /// An enrolled iPhone with nothing due.
    async fn phone(&self) -> AppleDevice {
        let invitation = self.admin.invite("apple", "anna@example.org").await.unwrap();
        let mut phone = AppleDevice::enrol(&invitation.url, &self.world).await.unwrap();
        phone.poll().await.unwrap();
        phone
    }

    /// A message with the phone's signature over it, on a connection that shows this certificate or none.
    async fn signed(&self, phone: &AppleDevice, message: &str, shown: Option<&Identity>) -> Response {
        let request = request(phone, message).header("Mdm-Signature", signature(phone.identity().unwrap(), message));
        Client::new(&self.world, shown, Settings::default()).unwrap().send(&request).await.unwrap()
    }

    async fn state(&self, phone: &AppleDevice) -> String {
        self.admin.device(phone.udid()).await.unwrap().state
    }

    async fn end(self) {
        self.running.stop().await;
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn request(phone: &AppleDevice, message: &str) -> Request {
    let profile = phone.enrolment().unwrap();
    Request::with_body(Method::PUT, &profile.server_url, "application/x-apple-aspen-mdm", message.to_owned())
}

fn message(phone: &AppleDevice, rest: &str) -> String {
    let plist = "<?xml version=\"1.0\"?><plist version=\"1.0\"><dict>";
    format!("{plist}<key>UDID</key><string>{}</string>{rest}</dict></plist>", phone.udid())
}

fn idle(phone: &AppleDevice) -> String {
    message(phone, "<key>Status</key><string>Idle</string>")
}

fn check_out(phone: &AppleDevice) -> String {
    let topic = &phone.enrolment().unwrap().topic;
    let rest = "<key>MessageType</key><string>CheckOut</string><key>Topic</key>";
    message(phone, &format!("{rest}<string>{topic}</string>"))
}

fn signature(identity: &Identity, message: &str) -> String {
    let (certificate, key) = (identity.certificate().unwrap(), identity.private_key().unwrap());
    let flags = CMSOptions::DETACHED | CMSOptions::BINARY;
    let cms = CmsContentInfo::sign(Some(&certificate), Some(&key), None, Some(message.as_bytes()), flags).unwrap();
    STANDARD.encode(cms.to_der().unwrap())
}

/// What somebody captured, sent again without the certificate: it takes no command and ends nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_counts_only_where_the_profile_asked_for_it() {
    let site = Site::start().await;
    let phone = site.phone().await;
    let other = site.phone().await;
    let refused = async |message: &str, row: &str| {
        let answer = site.signed(&phone, message, None).await;
        assert_eq!((answer.status, &answer.body[..]), (403, &b"refused\n"[..]), "{row}");
    };
    refused(&idle(&phone), "an idle phone's, which memory would answer").await;
    let wipe = site.admin.wipe(phone.udid(), "full", "lost", Some("0s")).await.unwrap();
    refused(&idle(&phone), "the one that would take the wipe").await;
    refused(&check_out(&phone), "the one that would end it").await;
    // Whatever the setting says by now: this profile did not ask.
    site.admin.set("apple.sign_messages", "on").await.unwrap();
    refused(&idle(&phone), "profiles ask from now on").await;
    assert_eq!(site.admin.command(&wipe.id).await.unwrap().state, "queued");
    assert_ne!(site.state(&phone).await, "retired");

    // Beside a certificate it says nothing at all.
    let answer = site.signed(&phone, &idle(&phone), other.identity()).await;
    assert_eq!(answer.status, 403, "the certificate is another phone's");
    let answer = site.signed(&phone, &idle(&phone), phone.identity()).await;
    assert!(String::from_utf8_lossy(&answer.body).contains("EraseDevice"));
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_counts_where_the_profile_asked_for_it_and_goes_on_to() {
    let site = Site::start().await;
    site.admin.set("apple.sign_messages", "on").await.unwrap();
    let phone = site.phone().await;
    site.admin.set("apple.sign_messages", "off").await.unwrap();
    for round in 0..2 {
        assert_eq!(site.signed(&phone, &idle(&phone), None).await.status, 200, "{round}");
    }
    let answer = site.signed(&phone, &check_out(&phone), None).await;
    assert_eq!((answer.status, site.state(&phone).await.as_str()), (200, "retired"));
    site.end().await;
}

/// Of those that enrolled before this was kept, the setting says it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_knows_what_the_profile_asked_for_the_setting_decides() {
    let site = Site::start().await;
    let phone = site.phone().await;
    let of_old = |tx: &mut lanyard::store::Tx<'_>| {
        for credential in tx.all::<Credential>("")? {
            tx.put(&Credential { signs: None, ..credential })?;
        }
        Ok(())
    };
    site.running.server.store.run(of_old).await.unwrap();
    assert_eq!(site.signed(&phone, &idle(&phone), None).await.status, 403);
    site.admin.set("apple.sign_messages", "on").await.unwrap();
    assert_eq!(site.signed(&phone, &idle(&phone), None).await.status, 200);
    site.end().await;
}

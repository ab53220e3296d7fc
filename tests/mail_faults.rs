//! Simulated mail apps on a bad network and in a bad mood, against a whole server: what they did and what the server believes agree.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use lanyard::serve::{self, Running};
use lanyard_sim::{
    Admin, Effect, MailClient, MailServer, World,
    admin::Command,
    http::Settings,
    mail::{Facts, PingEnd, State, Verdict},
};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

const USER: &str = "anna@example.org";

struct Site {
    running: Running,
    mail: MailServer,
    admin: Admin,
    world: World,
    folder: PathBuf,
}

impl Site {
    async fn start() -> Site {
        lanyard_certs::providers::init().unwrap();
        let mail = MailServer::start(0).await.unwrap();
        mail.set_user(USER, "secret");
        let folder = std::env::temp_dir().join(format!("lanyard-mail-{}", uuid::Uuid::new_v4()));
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let options = serve::Options {
            data: Some(folder.clone()),
            device_addr: Some(any),
            admin_addr: Some(any),
            eas_upstream: Some(mail.url()),
            ..serve::Options::default()
        };
        let running = serve::start(&options).await.unwrap();
        let (admin, world) = (Admin::of_server(&folder).unwrap(), World::of_server(&folder).unwrap());
        Site { running, mail, admin, world, folder }
    }

    /// An account with a certificate that has read its mail.
    async fn reader(&self, newest: (u8, u8)) -> MailClient {
        let id = lanyard_sim::mail::device_id("APPL");
        let facts = Facts { newest, ..Facts::iphone(&id, USER, "secret") };
        let mut client = MailClient::new(facts, &self.world, Settings::default()).unwrap();
        let invitation = self.admin.invite("activesync", USER).await.unwrap();
        client.obtain_identity(&invitation.url, &invitation.code).await.unwrap();
        assert_eq!(client.check_mail().await.unwrap(), Verdict::Taken);
        assert_eq!((client.version(), client.mail().len()), (Some(newest), 1));
        client
    }

    async fn wipe(&self, device_id: &str, scope: &str) -> Command {
        self.admin.wipe(device_id, scope, "test", None).await.unwrap()
    }

    async fn state(&self, command: &Command) -> String {
        self.admin.command(&command.id).await.unwrap().state
    }

    async fn end(self) {
        self.running.stop().await;
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_whose_answer_was_lost_is_said_again_and_counts_once() {
    let site = Site::start().await;
    let mut client = site.reader((16, 1)).await;
    let wipe = site.wipe(&client.facts.device_id, "selective").await;
    client.conduct.lose_answers = 1;
    assert!(client.check_mail().await.unwrap_err().is_transport());
    // The server has heard it; the client does not know, and has erased nothing.
    assert_eq!((site.state(&wipe).await.as_str(), client.state()), ("confirmed", State::Live));
    assert_eq!(client.check_mail().await.unwrap(), Verdict::Gone);
    assert_eq!((client.state(), client.mail().len()), (State::AccountGone, 0));
    let acts = site.world.ledger.of(&client.facts.device_id);
    let wipes: Vec<_> = acts.iter().filter(|a| a.effect == Effect::Retired).collect();
    assert!(wipes.len() == 1 && wipes[0].heard.is_some(), "{acts:?}");
    site.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wipe_that_failed_is_told_again_until_it_is_done() {
    let site = Site::start().await;
    let mut client = site.reader((14, 1)).await;
    let wipe = site.wipe(&client.facts.device_id, "full").await;
    client.conduct.fail.insert("RemoteWipe".into());
    let refused = client.check_mail().await;
    assert_eq!((client.state(), site.state(&wipe).await.as_str()), (State::Live, "sent"), "{refused:?}");
    client.conduct.fail.clear();
    assert_eq!(client.check_mail().await.unwrap(), Verdict::Gone);
    assert_eq!((client.state(), site.state(&wipe).await.as_str()), (State::Wiped, "confirmed"));
    site.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_ping_is_answered_by_a_wipe_and_the_mail_server_hears_no_more_of_the_device() {
    let site = Site::start().await;
    let mut client = site.reader((16, 1)).await;
    let (before, id) = (site.mail.visits().len(), client.facts.device_id.clone());
    let (end, wipe) = tokio::join!(client.ping(), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        site.wipe(&id, "full").await
    });
    assert_eq!(end.unwrap(), PingEnd::Folders);
    assert_eq!(client.check_mail().await.unwrap(), Verdict::Gone);
    assert_eq!(site.state(&wipe).await, "confirmed");
    let after = site.mail.visits();
    let ours = |key: &Option<String>| key.as_deref().is_some_and(|key| key != "0");
    assert!(!after.iter().any(|v| ours(&v.policy_key)), "our keys are not the mail server's: {after:?}");
    assert_eq!(after.len(), before, "the Ping was cut, and nothing came after it");
    site.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wipe_ordered_at_the_mail_server_is_told_there_in_the_phones_own_words() {
    let site = Site::start().await;
    // DevicePasswordEnabled and MinDevicePasswordLength.
    site.mail.set_policy(&[(0x0E, "1"), (0x14, "7")]);
    let mut client = site.reader((14, 1)).await;
    let id = client.facts.device_id.clone();
    assert_eq!(client.policy().get(&0x14).map(String::as_str), Some("7"), "its rule reached the phone");
    assert_eq!(site.mail.acknowledged(&id), ["1"]);
    site.mail.order_wipe(&id);
    client.conduct.fail.insert("RemoteWipe".into());
    let refused = client.check_mail().await;
    assert_eq!(client.state(), State::Live, "{refused:?}");
    heard(&site, &id, "2").await;
    client.conduct.fail.clear();
    assert_eq!(client.check_mail().await.unwrap(), Verdict::Gone);
    assert_eq!(client.state(), State::Wiped);
    heard(&site, &id, "1").await;
    assert_eq!(site.mail.acknowledged(&id), ["1"], "nothing was said in its name");
    site.end().await;
}

/// Waits until the mail server has heard that.
async fn heard(site: &Site, device: &str, status: &str) {
    for _ in 0..200 {
        if site.mail.wiped(device).as_deref() == Some(status) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the mail server has heard {:?}, not {status}", site.mail.wiped(device));
}

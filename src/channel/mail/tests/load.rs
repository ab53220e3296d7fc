//! Many requests, and a store that is away.

use super::*;
use std::sync::atomic::Ordering::Relaxed;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_let_in_is_served_without_the_store_and_nobody_else() {
    let site = Site::new().await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "allow")).await;
    let (known, old, late) = (
        Phone::new("KNOWN"),
        Phone { version: Version::V12_1, ..Phone::new("OLD") },
        Phone { user: "ann", ..Phone::new("LATE") },
    );
    // The first request makes the record, the second finds nothing new.
    for _ in 0..2 {
        assert_eq!(known.ask(&site, "FolderSync").await, passed());
        assert_eq!(late.ask(&site, "FolderSync").await, passed());
    }
    site.run(|tx, local| access::set(tx, &local, "LATE", None, life::Access::Block, "lost")).await;
    site.server.store.end().await;
    assert_eq!(known.ask(&site, "FolderSync").await, passed());
    assert_eq!(known.ask(&site, "GetItemEstimate").await, passed(), "whatever it asks of the mail server");
    assert_eq!(late.ask(&site, "FolderSync").await, Got::Status(111), "a block that is known holds");
    assert_eq!(Phone::new("NEW").ask(&site, "FolderSync").await, Got::Status(111));
    let answer = old.post(&site, "FolderSync", Body::empty()).await;
    assert_eq!(answer.status().as_u16(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    let provision = known.provision(&site, Said::Policy(PolicyType::Wbxml)).await.unwrap();
    assert_eq!(text_of(&provision, "Status").as_deref(), Some("111"), "policies come from the store");
    let wrong = Phone { word: "another", ..known.clone() };
    assert_ne!(wrong.ask(&site, "FolderSync").await, passed(), "a login is proved all the same");
    drop(std::fs::remove_dir_all(&site.folder));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_seen_at_once_though_the_store_is_not_asked_each_time() {
    let site = Site::new().await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "allow")).await;
    let phone = Phone::new("P1");
    for _ in 0..3 {
        assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    }
    site.run(|tx, local| access::set(tx, &local, "P1", None, life::Access::Block, "lost")).await;
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Status(129));
    site.allow("P1").await;
    for _ in 0..3 {
        assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    }
    let wipe = site.wipe("P1", life::Scope::Full, 0).await;
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Status(140), "{:?}", wipe.state);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_mailbox_has_no_more_than_its_share_of_the_mail_server() {
    let site = Site::new().await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "allow")).await;
    let (mad, calm) = (Phone::new("MAD"), Phone { user: "EX\\ann", ..Phone::new("CALM") });
    for phone in [&mad, &calm] {
        assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    }
    site.server.eas_requests.store(1, Relaxed);
    let (held, other) = (Phone::new("HELD"), mad.clone());
    assert_eq!(held.ask(&site, "FolderSync").await, passed());
    let ping = held.ask(&site, "Ping");
    let beside = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let more = other.post(&site, "FolderSync", Body::empty());
        let (more, calm) = tokio::join!(more, calm.ask(&site, "FolderSync"));
        assert_eq!(calm, passed(), "another login");
        assert!(more.headers().contains_key("retry-after"));
        assert_eq!(read(more).await, Got::Status(111));
        // Its end gives the place to who waits.
        let waits = other.ask(&site, "FolderSync");
        let block = site.run(|tx, local| access::set(tx, &local, "HELD", None, life::Access::Block, "lost"));
        assert_eq!(tokio::join!(waits, block).0, passed());
    };
    assert_eq!(tokio::join!(ping, beside).0, Got::Status(7));
    site.end().await;
}

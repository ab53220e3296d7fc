//! Rules of who may read mail, asked at each request.

use super::*;
use crate::fleet::mail_rules::{self, Source};

impl Site {
    pub(super) async fn rules(&self, text: &'static str) {
        let source = Source::try_from(text.to_owned()).unwrap();
        self.run(move |tx, local| mail_rules::apply(tx, &local, &source)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_decide_who_comes_and_a_persons_word_stands_above_them() {
    let site = Site::new().await;
    site.rules(
        "default: block\nrules:\n- {when: {family: ios, user: '*@example.org', type: iphone}, then: quarantine}",
    )
    .await;
    let phone = Phone::new("A1");
    assert_eq!(phone.ask(&site, "Search").await, Got::Status(111), "its rule, not eas.unknown and not the default");
    assert_eq!(site.device("A1").await.unwrap().enrolments[0].state, EnrolmentState::Quarantined);
    // A client that waits tells its system all the same.
    phone.provision(&site, Said::Policy(PolicyType::Wbxml)).await.unwrap();
    site.rules("default: block\nrules:\n- {when: {model: phone9}, then: allow}").await;
    assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    site.rules("default: block").await;
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Status(129));
    site.allow("A1").await;
    assert_eq!(phone.ask(&site, "FolderSync").await, passed(), "somebody allowed this one");
    site.rules("default: quarantine").await;
    assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_a_rule_cuts_is_cut_while_it_holds_a_ping() {
    let site = Site::new().await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "allow")).await;
    let (cut, kept) = (Phone::new("CUT"), Phone { user: "ann", ..Phone::new("KEPT") });
    for phone in [&cut, &kept] {
        assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    }
    let (pinged, started) = (kept.clone(), clock::monotonic());
    let applied = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        site.rules("default: block\nrules:\n- {when: {user: ann}, then: allow}").await;
    };
    let (held, ()) = tokio::join!(cut.ask(&site, "Ping"), applied);
    assert_eq!(held, Got::Status(7), "FolderSync tells it why");
    assert!(clock::since(started) < Duration::from_secs(15));
    assert_eq!(cut.ask(&site, "FolderSync").await, Got::Status(129));
    // Whom no rule cuts holds on, until the time is up that a rule gives.
    let soon = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        site.rules("default: block\nrules:\n- {when: {user: ann}, then: block, grace: 7s}").await;
    };
    let started = clock::monotonic();
    let (held, ()) = tokio::join!(pinged.ask(&site, "Ping"), soon);
    assert_eq!(held, Got::Status(7));
    let took = clock::since(started);
    assert!(took > Duration::from_secs(7) && took < Duration::from_secs(40), "{took:?}");
    assert_eq!(kept.ask(&site, "FolderSync").await, Got::Status(129));
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_that_cannot_be_read_any_more_leave_everybody_as_they_are() {
    let site = Site::new().await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "allow")).await;
    let (known, new) = (Phone::new("KNOWN"), Phone::new("NEW"));
    assert_eq!(known.ask(&site, "FolderSync").await, passed());
    site.run(|tx, _| mail_rules::keep(tx, "default: nobody")).await;
    assert_eq!(known.ask(&site, "Search").await, passed());
    assert_eq!(new.ask(&site, "Search").await, Got::Status(111));
    site.end().await;
}

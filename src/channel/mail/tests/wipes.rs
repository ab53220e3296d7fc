//! Wipes: who hears of one, and whose word ends it.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wipe_ends_what_is_held_and_is_heard_even_after_the_password_changed() {
    let site = Site::new().await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "allow")).await;
    let (phone, other) = (Phone::new("A1"), Phone::new("B1"));
    assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    assert_eq!(other.ask(&site, "FolderSync").await, passed());
    let mut stream = phone.post(&site, "Sync", "x").await.into_body();
    assert_eq!(stream.frame().await.unwrap().unwrap().into_data().unwrap(), "piece");
    let started = clock::monotonic();
    let asked = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        site.wipe("A1", life::Scope::Full, 0).await
    };
    let (held, wipe) = tokio::join!(phone.ask(&site, "Ping"), asked);
    assert_eq!(held, Got::Status(7), "FolderSync first");
    assert!(clock::since(started) < Duration::from_secs(10));
    assert!(stream.frame().await.unwrap().is_err(), "a Sync under way is cut");
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Status(140));
    assert_eq!(site.command(wipe.id).await.state, life::State::Queued, "nothing was told yet");

    let thief = Phone { word: "changed", ..phone.clone() };
    let ack = || Said::WipeAck { scope: WipeScope::Device, ok: true };
    assert!(text_of(&thief.provision(&site, Said::Empty).await.unwrap(), "RemoteWipe").is_some());
    assert!(
        text_of(&thief.provision(&site, ack()).await.unwrap(), "RemoteWipe").is_some(),
        "believed is only who is known"
    );
    assert_eq!(other.ask(&site, "Provision").await, Got::Status(1));
    assert_eq!(Phone { word: "changed", ..other.clone() }.provision(&site, Said::Empty).await.unwrap_err(), 401);
    assert_eq!(site.command(wipe.id).await.state, life::State::Sent);

    let failed = phone.provision(&site, Said::WipeAck { scope: WipeScope::Device, ok: false }).await.unwrap();
    assert_eq!(text_of(&failed, "Status").as_deref(), Some("2"));
    for _ in 0..2 {
        assert_eq!(text_of(&phone.provision(&site, ack()).await.unwrap(), "Status").as_deref(), Some("1"));
        let ended = site.command(wipe.id).await;
        assert_eq!((ended.state, ended.evidence.len()), (life::State::Confirmed, 1));
    }
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Status(129));
    assert_eq!(site.device("A1").await.unwrap().life, Life::Wiped);
    site.allow("A1").await;
    assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    assert_eq!(text_of(&phone.provision(&site, ack()).await.unwrap(), "Status").as_deref(), Some("1"));
    assert_eq!(site.device("A1").await.unwrap().life, Life::Enrolled, "a replay wipes nobody");
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_told_yet_or_at_all() {
    let site = Site::new().await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "allow")).await;
    let old = Phone { version: Version::V14_0, ..Phone::new("Old") };
    let new = Phone { version: Version::V16_1, ..Phone::new("New") };
    for phone in [&old, &new] {
        assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    }
    let undo = site.wipe("New", life::Scope::Selective, 3600).await;
    assert_eq!(new.ask(&site, "FolderSync").await, Got::Status(111), "shut in its undo window, and heard of later");
    assert_eq!(text_of(&new.provision(&site, Said::Empty).await.unwrap(), "AccountOnlyRemoteWipe"), None);
    let id = undo.id;
    site.run(move |tx, local| wipe::cancel(tx, &local, id, true)).await;
    assert_eq!(new.ask(&site, "FolderSync").await, passed());
    let wipe = site.wipe("New", life::Scope::Selective, 0).await;
    assert!(text_of(&new.provision(&site, Said::Empty).await.unwrap(), "AccountOnlyRemoteWipe").is_some());
    let wrong = Said::WipeAck { scope: WipeScope::Device, ok: true };
    assert!(text_of(&new.provision(&site, wrong).await.unwrap(), "AccountOnlyRemoteWipe").is_some());
    new.provision(&site, Said::WipeAck { scope: WipeScope::Account, ok: true }).await.unwrap();
    assert_eq!(site.command(wipe.id).await.state, life::State::Confirmed);

    let wipe = site.wipe("Old", life::Scope::Selective, 0).await;
    assert_eq!(old.ask(&site, "FolderSync").await, Got::Status(129));
    let ended = site.command(wipe.id).await;
    assert_eq!(ended.state, life::State::Presumed);
    assert!(ended.evidence[0].detail.ends_with("data already on the device stays"), "{:?}", ended.evidence);
    assert_eq!(site.device("Old").await.unwrap().state(), "retired");
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledgement_is_judged_by_its_body() {
    let site = Site::new().await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "allow")).await;
    site.policy("name: p\nassign: all\npasscode: {min_length: 6}\n").await;
    for header in [Presented::Zero, Presented::Absent, Presented::Key(PolicyKey::new(99).unwrap())] {
        let mut phone = Phone { key: header, ..Phone::new("Andro1") };
        let first = phone.provision(&site, Said::Policy(PolicyType::Wbxml)).await.unwrap();
        let key = key_of(&first).unwrap().parse().unwrap();
        let ack = |key| Said::Ack { kind: PolicyType::Wbxml, key, outcome: Some(PolicyOutcome::Applied) };
        assert_eq!(key_of(&phone.provision(&site, ack(key ^ 1)).await.unwrap()), None, "{header:?}");
        phone.key = Presented::header(key_of(&phone.provision(&site, ack(key)).await.unwrap()).as_deref());
        assert_eq!(phone.ask(&site, "FolderSync").await, passed(), "{header:?}");
    }
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policy_in_force_stays_until_the_wipe_and_goes_beside_it() {
    let site = Site::new().await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "allow")).await;
    site.policy("name: doors\nassign: all\npasscode: {min_length: 6}\n").await;
    let (mut phone, mut bare) = (Phone { version: Version::V12_1, ..Phone::new("Old4") }, Phone::new("Bare"));
    phone.provisioned(&site).await;
    let wipe = site.wipe("Old4", life::Scope::Full, 3600).await;
    site.run(|tx, local| {
        let seen = policies::look_at_end(tx, "doors")?;
        policies::delete(tx, &local, "doors", seen)
    })
    .await;
    let document = phone.provision(&site, Said::Policy(PolicyType::Wbxml)).await.unwrap();
    assert_eq!(text_of(&document, "RemoteWipe"), None, "its undo window");
    assert_eq!(text_of(&document, "MinDevicePasswordLength").as_deref(), Some("6"), "nothing is taken away meanwhile");
    phone.provisioned(&site).await;
    let id = wipe.id;
    site.run(move |tx, local| wipe::cancel(tx, &local, id, true)).await;
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Http(449), "now it is");
    site.policy("name: doors\nassign: all\npasscode: {min_length: 6}\n").await;
    phone.provisioned(&site).await;

    let wipe = site.wipe("Old4", life::Scope::Full, 0).await;
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Http(449));
    let told = phone.provision(&site, Said::Policy(PolicyType::Wbxml)).await.unwrap();
    let names: Vec<_> = told.elements().filter_map(|child| child.name()).collect();
    assert_eq!(names, ["DeviceInformation", "Status", "Policies", "RemoteWipe"]);
    assert_eq!(text_of(&told, "MinDevicePasswordLength").as_deref(), Some("6"));
    let thief = Phone { word: "changed", ..phone.clone() };
    let told = thief.provision(&site, Said::Policy(PolicyType::Wbxml)).await.unwrap();
    assert!(text_of(&told, "RemoteWipe").is_some() && key_of(&told).is_some(), "old ones read no bare directive");
    let told = phone.provision(&site, Said::Empty).await.unwrap();
    assert_eq!(told.elements().filter_map(|child| child.name()).collect::<Vec<_>>(), ["Status", "RemoteWipe"]);
    phone.provision(&site, Said::WipeAck { scope: WipeScope::Device, ok: true }).await.unwrap();
    let ended = site.command(wipe.id).await;
    assert_eq!(ended.state, life::State::Confirmed);
    assert!(ended.evidence[0].detail.ends_with("status 1; policy in force there: doors"), "{:?}", ended.evidence);
    site.allow("Old4").await;
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Http(449), "it comes back with nothing");

    site.run(|tx, local| {
        let seen = policies::look_at_end(tx, "doors")?;
        policies::delete(tx, &local, "doors", seen)
    })
    .await;
    bare.provisioned(&site).await;
    let wipe = site.wipe("Bare", life::Scope::Full, 0).await;
    assert!(text_of(&bare.provision(&site, Said::Empty).await.unwrap(), "RemoteWipe").is_some());
    bare.provision(&site, Said::WipeAck { scope: WipeScope::Device, ok: true }).await.unwrap();
    let ended = site.command(wipe.id).await;
    assert!(ended.evidence[0].detail.contains("no policy was in force there"), "{:?}", ended.evidence);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_of_an_older_version_ends_no_wipe() {
    let site = Site::new().await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "allow")).await;
    let phone = Phone { version: Version::V16_1, ..Phone::new("A1") };
    assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    let wipe = site.wipe("A1", life::Scope::Selective, 0).await;
    let claims = Phone { version: Version::V14_1, ..phone.clone() };
    assert_eq!(claims.ask(&site, "FolderSync").await, Got::Status(111));
    assert_eq!(site.command(wipe.id).await.state, life::State::Queued);
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Status(140));
    assert!(text_of(&phone.provision(&site, Said::Empty).await.unwrap(), "AccountOnlyRemoteWipe").is_some());
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stolen_phone_hears_of_its_wipe_whatever_it_asks() {
    let site = Site::new().await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "allow")).await;
    let phone = Phone::new("A1");
    assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    let thief = Phone { word: "changed", ..phone.clone() };
    let offer = async |user: &str, device: &str| {
        let request = axum::http::Request::builder().method("OPTIONS").header("authorization", basic(user, "changed"));
        site.send(request, &format!("{}{device}", super::super::PATH), Body::empty()).await.status().as_u16()
    };
    assert_eq!(
        (thief.ask(&site, "FolderSync").await, offer(ANN, "").await),
        (Got::Http(401), 401),
        "nothing waits for it"
    );
    let wipe = site.wipe("A1", life::Scope::Full, 0).await;
    assert_eq!((offer(ANN, "").await, offer(ANN, "?User=x&DeviceId=a1&DeviceType=t").await), (200, 200));
    for (command, want) in [("FolderSync", 140), ("Sync", 140), ("Ping", 7)] {
        assert_eq!(thief.ask(&site, command).await, Got::Status(want), "{command}");
    }
    assert!(text_of(&thief.provision(&site, Said::Empty).await.unwrap(), "RemoteWipe").is_some());
    thief.provision(&site, Said::WipeAck { scope: WipeScope::Device, ok: true }).await.unwrap();
    let told = site.command(wipe.id).await;
    assert_eq!((told.state, told.unproved.is_some()), (life::State::Sent, true), "it ends nothing");
    // Nobody else learns of it.
    assert_eq!((offer(ANN, "?DeviceId=B1").await, offer("bob@example.org", "").await), (401, 401));
    for other in [Phone { id: "B1", ..thief.clone() }, Phone { user: "bob@example.org", ..thief.clone() }] {
        assert_eq!(other.ask(&site, "FolderSync").await, Got::Http(401), "{}", other.id);
    }
    // Who has the password is heard, and what was said without it counts no more.
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Status(140));
    assert_eq!(site.command(wipe.id).await.unproved, None);
    assert_eq!(site.came_through(), ["FolderSync"]);
    site.end().await;
}

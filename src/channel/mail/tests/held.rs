//! What policy and other enrolments change for a client, also while its Ping is held.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_was_applied_is_not_read_again_at_a_check_in() {
    let site = Site::new().await;
    let source = policies::Source::try_from("name: p\nassign: all\ncamera: blocked\n".to_owned()).unwrap();
    for carried_out in [false, true] {
        let source = source.clone();
        let known = site.run(move |tx, local| {
            let seen = policies::look(tx, &source)?;
            if carried_out {
                policies::apply(tx, &local, &source, seen)?;
            }
            let Ok(kept) = policies::find(tx, "p") else { return Ok(false) };
            Ok(std::ptr::eq(&*policies::file(&kept)?, source.file()))
        });
        assert_eq!(known.await, carried_out);
    }
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_policy_reaches_what_is_held() {
    let site = Site::new().await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "allow")).await;
    let mut phone = Phone::new("P1");
    assert_eq!(phone.ask(&site, "FolderSync").await, passed(), "no policy, no key");
    site.policy("name: p\nassign: all\npasscode: {min_length: 6}\nactivesync: {AllowBluetooth: 0}\n").await;
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Status(142));
    assert_eq!(phone.ask(&site, "Ping").await, Got::Status(7));
    let document = phone.provisioned(&site).await;
    for (name, want) in [("MinDevicePasswordLength", "6"), ("AllowBluetooth", "0"), ("AllowCamera", "1")] {
        assert_eq!(text_of(&document, name).as_deref(), Some(want), "{name}");
    }
    assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    assert_eq!(site.device("P1").await.unwrap().model.as_deref(), Some("Phone9"));
    let [covered] =
        <[policies::Covered; 1]>::try_from(site.run(|tx, _| policies::coverage_page(tx, "p", None, 10)).await.0)
            .unwrap_or_else(|_| panic!("one device"));
    assert_eq!(covered.state, crate::policy::DeviceState::Partly, "acknowledged, and proved of no single setting");

    let change = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        site.policy("name: p\nassign: all\npasscode: {min_length: 8}\n").await;
    };
    let (held, ()) = tokio::join!(phone.ask(&site, "Ping"), change);
    assert_eq!(held, Got::Status(7));
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Status(143));
    let document = phone.provisioned(&site).await;
    assert_eq!(text_of(&document, "AllowBluetooth").as_deref(), Some("2"), "what is dropped is sent as its default");
    site.run(|tx, local| {
        let seen = policies::look_at_end(tx, "p")?;
        policies::delete(tx, &local, "p", seen)
    })
    .await;
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Status(143), "restrictions are taken back");
    let document = phone.provisioned(&site).await;
    assert_eq!(text_of(&document, "DevicePasswordEnabled").as_deref(), Some("0"));
    phone.key = Presented::Absent;
    assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    // Who is challenged and then hears "no policy" gives the account up: it is never said.
    let document = phone.provisioned(&site).await;
    assert_eq!(text_of(&document, "DevicePasswordEnabled").as_deref(), Some("0"));
    assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_pings_end_with_the_server_and_give_way_to_new_ones() {
    let site = Site::new().await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "allow")).await;
    let (phone, other) = (Phone::new("S1"), Phone::new("S2"));
    let later = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        phone.post(&site, "Ping", "").await
    };
    tokio::select! {
        answer = phone.ask(&site, "Ping") => assert_eq!(answer, Got::Status(1), "a newer one took its place"),
        _ = later => panic!("the newer one is held"),
    }
    let site = Arc::new(site);
    let held: Vec<_> = [phone, other]
        .into_iter()
        .map(|phone| {
            let site = site.clone();
            tokio::spawn(async move { phone.ask(&site, "Ping").await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let started = clock::monotonic();
    site.stop().await;
    assert!(clock::since(started) < Duration::from_secs(9));
    for held in held {
        assert_eq!(held.await.unwrap(), Got::Status(1));
    }
    drop(std::fs::remove_dir_all(&site.folder));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_managed_phone_that_reads_mail_is_one_device_of_one_user() {
    let site = Site::new().await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "allow")).await;
    let managed = |user: &'static str, mail_id: &'static str| {
        move |tx: &mut Tx<'_>, _: Actor| {
            let mut device = Managed::new(tx.new_id(), user, Ownership::Corporate, Platform::Ios, tx.time());
            let (id, udid) = (tx.new_id(), format!("UDID-{mail_id}"));
            let enrolment = Box::new(Enrolment::new(id, Channel::Apple, &udid, EnrolmentState::Enrolled, tx.now()));
            keeper::happen(tx, &mut device, Event::Begun { enrolment, personal: false })?;
            let claim = Claim { mail_id: Some(mail_id.into()), ..Claim::default() };
            keeper::happen(tx, &mut device, Event::Told(Box::new(claim)))?;
            Ok(device.id)
        }
    };
    let mine = site.run(managed("Ann@Example.org", "MINE")).await;
    let others = site.run(managed("bob@example.org", "BOBS")).await;
    let (joined, apart) = (Phone::new("mine"), Phone::new("bobs"));
    for phone in [&joined, &apart] {
        assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    }
    assert_eq!(site.device("mine").await.unwrap().id, mine);
    assert_ne!(site.device("bobs").await.unwrap().id, others);
    let wipe = site.run(move |tx, local| {
        let request = wipe::Request {
            scope: life::Scope::Full,
            reason: "x".into(),
            pin: None,
            how: life::Erasing::default(),
            delay: None,
            expires: None,
        };
        wipe::ask(tx, &local, &mine.to_string(), request, &crate::channel::support)
    });
    assert_eq!(wipe.await.channel, Channel::Apple);
    assert_eq!(joined.ask(&site, "FolderSync").await, Got::Status(129), "before the phone itself has answered");
    assert_eq!(
        joined.ask(&site, "Provision").await,
        Got::Status(1),
        "the phone hears of it over Apple's channel alone"
    );
    assert_eq!(apart.ask(&site, "FolderSync").await, passed());
    site.end().await;
}

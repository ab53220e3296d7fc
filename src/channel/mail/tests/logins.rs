//! Whose a client is, and who is kept out.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_is_proved_by_the_mail_server_and_an_unknown_client_waits() {
    let site = Site::new().await;
    let request = || axum::http::Request::builder().method("OPTIONS");
    let offer = site.send(request().header("authorization", basic(ANN, WORD)), super::super::PATH, Body::empty()).await;
    assert_eq!(offer.headers()["ms-asprotocolversions"], "12.1,14.1,16.1");
    assert_eq!(offer.headers()["ms-asprotocolcommands"], "Sync,Ping,Provision");
    let stranger =
        site.send(request().header("authorization", basic(ANN, "no")), super::super::PATH, Body::empty()).await;
    assert_eq!(stranger.status(), 401);
    assert_eq!(stranger.headers()["www-authenticate"], "Basic realm=\"m\"", "NTLM is not offered");

    let mut phone = Phone::new("ApplA");
    let wrong = Phone { word: "wrong", ..phone.clone() };
    assert_eq!(wrong.ask(&site, "FolderSync").await, Got::Http(401));
    assert!(site.device("ApplA").await.is_none(), "a wrong password leaves no trace");
    assert_eq!(phone.ask(&site, "Search").await, Got::Status(111));
    let device = site.device("appla").await.unwrap();
    assert_eq!((device.state(), device.user.as_str(), device.platform), ("quarantined", ANN, Platform::Ios));
    let settings =
        lanyard_activesync::settings::relay(&DeviceInformation { model: Some("M".into()), ..Default::default() });
    assert_eq!(read(phone.post(&site, "Settings", settings).await).await, Got::Status(1));
    assert_eq!(site.came_through(), [""; 0]);

    site.allow("ApplA").await;
    assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    let moved = phone.post(&site, "Find", "").await;
    assert_eq!(moved.status().as_u16(), 451);
    assert_eq!(moved.headers()["x-ms-location"], format!("{}{}", site.server.public_url, super::super::PATH));
    assert_eq!(phone.ask(&site, "Find").await, passed(), "we go where the client would have gone");
    assert_eq!(
        phone.ask(&site, "Search").await,
        passed(),
        "the mail server has a policy of its own, that asks for nothing"
    );
    let none = phone.provision(&site, Said::Policy(PolicyType::Wbxml)).await.unwrap();
    assert_eq!(text_of(&none, "DevicePasswordEnabled").as_deref(), Some("0"));
    assert_eq!(phone.ask(&site, "Search").await, passed(), "its key goes along");
    let large = vec![7_u8; 3_000_000];
    assert_eq!(read(phone.post(&site, "SendMail", large).await).await, passed());
    assert_eq!(site.seen.lock().unwrap().last().unwrap(), &("SendMail".to_string(), 3_000_000));
    phone.version = Version::V12_1;
    site.run(|tx, local| access::set(tx, &local, "ApplA", None, life::Access::Block, "")).await;
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Http(403));
    let encoded = axum::http::Request::post("/").header("content-encoding", "gzip");
    let encoded = encoded.header("authorization", basic(ANN, WORD)).header("MS-ASProtocolVersion", "14.1");
    let path = format!("{}?Cmd=Provision&DeviceId=a&DeviceType=b", super::super::PATH);
    assert_eq!(site.send(encoded, &path, Body::from("x")).await.status(), 415);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_wrong_passwords_at_once_are_no_more_than_one_after_another() {
    let site = Arc::new(Site::new().await);
    site.run(|tx, local| settings::set(tx, &local, "eas.wrong_passwords_per_hour", "3")).await;
    let words = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"];
    let guesses = words.map(|word| {
        let site = site.clone();
        tokio::spawn(async move { Phone { word, ..Phone::new("Z9") }.ask(&site, "FolderSync").await })
    });
    let mut got = Vec::new();
    for guess in guesses {
        got.push(guess.await.unwrap());
    }
    let refused = |code| got.iter().filter(|got| **got == Got::Http(code)).count();
    assert_eq!((refused(401), refused(503)), (3, 7), "{got:?}");
    // One more try of a wrong word that was counted is none.
    assert_eq!(
        Phone::new("Z9").ask(&site, "FolderSync").await,
        Got::Http(503),
        "the right one waits as well: nobody knows it yet"
    );
    let Ok(site) = Arc::try_unwrap(site) else { panic!("nobody else has it") };
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_passwords_are_stopped_before_the_mail_server() {
    let site = Site::new().await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "allow")).await;
    site.run(|tx, local| settings::set(tx, &local, "eas.wrong_passwords_per_hour", "3")).await;
    let phone = Phone::new("A1");
    assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    let refused = || site.seen.lock().unwrap().iter().filter(|(what, _)| what == "refused").count();
    let before = refused();
    let guess = |user, word| Phone { user, word, id: "Z9", ..phone.clone() };
    for word in ["1", "2", "3"] {
        for _ in 0..3 {
            // The same again is refused here, and is no new guess.
            assert_eq!(guess(ANN, word).ask(&site, "FolderSync").await, Got::Http(401));
        }
    }
    assert_eq!(refused(), before + 3);
    for user in [ANN, "bob@example.org"] {
        let answer = guess(user, "4").post(&site, "FolderSync", "").await;
        assert_eq!(answer.status(), 503, "{user}: its user, or its address");
        let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((3000..=3600).contains(&wait), "{wait}");
    }
    let offer = axum::http::Request::builder().method("OPTIONS").header("authorization", basic(ANN, "5"));
    assert_eq!(site.send(offer, super::super::PATH, Body::empty()).await.status(), 503, "by whatever verb");
    assert_eq!(refused(), before + 3, "nothing of it reached the mail server");
    assert_eq!(phone.ask(&site, "FolderSync").await, passed(), "who got in lately is shut out by nobody's guesses");
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_phone_is_one_record_whatever_its_user_is_called() {
    let site = Site::new().await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "allow")).await;
    site.run(|tx, local| settings::set(tx, &local, "eas.domain", "@example.org, example.com")).await;
    for user in ANN_S_NAMES {
        for id in ["{A1B2-C3}", "a1b2c3", "A1B2-c3"] {
            assert_eq!(Phone { user, id, ..Phone::new("x") }.ask(&site, "FolderSync").await, passed(), "{user} {id}");
        }
    }
    let all = site.run(|tx, _| Ok(tx.all::<Device>("")?)).await;
    assert_eq!((all.len(), all[0].user.as_str(), all[0].enrolments.len()), (1, ANN, 1));
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_mail_server_that_asks_nobody_gets_in() {
    for door in [Door::Open, Door::TakesAnyWord, Door::Other] {
        let site = Site::with(door).await;
        let offer = axum::http::Request::builder().method("OPTIONS").header("authorization", basic(ANN, WORD));
        assert_eq!(site.send(offer, super::super::PATH, Body::empty()).await.status(), 503);
        // Whatever was asked before: an answer to OPTIONS is no proof where everybody gets one.
        assert_eq!(Phone::new("A").ask(&site, "FolderSync").await, Got::Http(503));
        assert!(site.device("A").await.is_none());
        site.end().await;
    }
    for upstream in [None, Some("http://127.0.0.1:9/eas".to_string())] {
        let site = Site::before(upstream, Seen::default()).await;
        assert_eq!(Phone::new("A").ask(&site, "FolderSync").await, Got::Http(503));
        let asked = "<Autodiscover><Request><EMailAddress>a@b</EMailAddress></Request></Autodiscover>";
        let answer =
            site.send(axum::http::Request::post("/"), "/Autodiscover/Autodiscover.xml", Body::from(asked)).await;
        let xml = String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let url = format!("<Url>{}{}</Url>", site.server.public_url, super::super::PATH);
        assert!(xml.contains(&url), "{xml}");
        site.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_code_is_given_its_file_whatever_was_tried_before() {
    let site = Site::new().await;
    let make = |tx: &mut Tx<'_>, local: Actor| {
        let made = invitation::create(tx, &local, Channel::Activesync, ANN, Ownership::Corporate, None)?;
        Ok((made.key, made.code))
    };
    let (key, code) = site.run(make).await;
    let path = format!("/enroll/{key}/identity.p12");
    let try_one = async |code: &str| {
        let answer = site.send(axum::http::Request::post("/"), &path, Body::from(format!("code={code}"))).await;
        answer.status().as_u16()
    };
    for number in 0..12 {
        assert_eq!(try_one("0000-0000-0000-0000").await, if number < 10 { 403 } else { 429 }, "{number}");
    }
    assert_eq!(try_one(&code).await, 200);
    site.end().await;
}

/// A body of which nothing comes, though its length is told.
struct Promised(u64);

impl hyper::body::Body for Promised {
    type Data = Bytes;
    type Error = std::io::Error;
    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
        std::task::Poll::Pending
    }
    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(self.0)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_much_is_judged_before_it_is_read() {
    let site = Site::new().await;
    let phone = Phone::new("ApplL");
    assert_eq!(phone.ask(&site, "Search").await, Got::Status(111));
    let much = async |phone: &Phone| {
        let answer = phone.post(&site, "Provision", Body::new(Promised(200_000)));
        tokio::time::timeout(Duration::from_secs(3), answer).await.map(|answer| answer.status().as_u16())
    };
    assert!(much(&phone).await.is_err(), "of a known client it is waited for");
    assert_eq!(much(&Phone { word: "wrong", ..phone.clone() }).await, Ok(401));
    let device = site.device("ApplL").await.unwrap().id;
    site.run(move |tx, _| crate::fleet::enrol::revoke(tx, "local", device, None, "stolen").map(drop)).await;
    assert_eq!(much(&phone).await, Ok(403));
    site.end().await;
}

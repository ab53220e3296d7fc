//! What the log tells at `info,lanyard=debug`, of a whole server over sockets: a command can be followed by its id from the asking to
//! the answer, through the messages that carried it, and nobody is named. Who could not enrol is told at `warn`. And what it tells by itself of a store that is slow.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use base64::Engine as _;
use lanyard::{
    clock,
    fleet::registry::presence::Presence,
    serve,
    store::{Held, Memory, Options, Store},
};
use lanyard_sim::{Admin, Apns, AppleDevice, WindowsDevice, World};
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};
use tracing_subscriber::{EnvFilter, fmt::format::FmtSpan};

/// All that was told.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Of all threads: the store's too, and those of the other test.
    fn begin() -> Log {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(Log::start).clone()
    }

    fn start() -> Log {
        let log = Log::default();
        let writer = log.clone();
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new("info,lanyard=debug"))
            .with_span_events(FmtSpan::CLOSE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .init();
        log
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines in which all of these words stand.
    fn lines(&self, words: &[&str]) -> Vec<String> {
        let fits = |line: &&str| words.iter().all(|word| line.contains(word));
        self.text().lines().filter(fits).map(str::to_owned).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_can_be_followed_by_its_id_and_nobody_is_named() {
    lanyard_certs::providers::init().unwrap();
    let log = Log::begin();
    let apns = Apns::start().await.unwrap();
    let folder = std::env::temp_dir().join(format!("lanyard-log-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir_all(&folder).unwrap();
    let trust = folder.join("trust.pem");
    std::fs::write(&trust, apns.ca_pem().unwrap()).unwrap();
    let any = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let (data, trust) = (Some(folder.clone()), Some(trust));
    let options = serve::Options { data, device_addr: any, admin_addr: any, trust, ..serve::Options::default() };
    let running = serve::start(&options).await.unwrap();
    let (admin, world) = (Admin::of_server(&folder).unwrap(), World::of_server(&folder).unwrap());
    let identity = apns.push_certificate().unwrap();
    let pem = [identity.chain_pem().unwrap(), identity.key_pem().unwrap()].concat();
    let file = base64::engine::general_purpose::STANDARD.encode(pem);
    let _set: serde_json::Value = admin.put("apple/push-cert", serde_json::json!({"file": file})).await.unwrap();
    admin.set("apple.push_url", &apns.url()).await.unwrap();
    let invitation = admin.invite("apple", "zacharias@example.org").await.unwrap();
    let mut phone = AppleDevice::enrol(&invitation.url, &world).await.unwrap();
    phone.poll().await.unwrap();
    let mut woken = apns.register(phone.push());

    let asked = admin.act(phone.udid(), "sync").await.unwrap();
    tokio::time::timeout(Duration::from_secs(15), woken.recv()).await.unwrap().unwrap();
    for _ in 0..3 {
        phone.poll().await.unwrap();
    }
    running.stop().await;

    let id = asked["id"].as_str().unwrap();
    let way = log.lines(&[&format!("command={id}")]);
    let states: Vec<&str> =
        way.iter().map(|line| line.split("state=\"").nth(1).unwrap().split('"').next().unwrap()).collect();
    assert_eq!(states, ["queued", "sent", "acknowledged"], "{way:#?}");
    let device = way[0].split(" device=").nth(1).unwrap().split(' ').next().unwrap();
    for line in &way[1..] {
        let (span, rest) = line.split_once("check-in{channel=\"apple\" enrolment=").expect(line);
        assert!(span.contains("DEBUG") && rest.contains(&format!("device={device}")), "in its message: {line}");
    }
    for (what, words) in [
        ("a message, with its answer and how long it took", ["check-in{", device, "outcome=200", "close time.busy="]),
        ("a batch of the store", ["batch{calls=", "writes=", "close", "time.idle="]),
        ("a push, to whom and how long", ["wake{device=", device, "call{server=", "status=200"]),
        ("a round, by its name", ["round{name=", "due timers", "close", "time.busy="]),
    ] {
        assert!(!log.lines(&words).is_empty(), "{what}:\n{}", log.text());
    }
    // Before its Authenticate is through a phone is no device yet. The last poll was answered from memory.
    let messages = log.lines(&["check-in{", "close"]);
    let unknown: Vec<&String> = messages.iter().filter(|line| !line.contains(" device=")).collect();
    assert!(unknown.len() <= 1 && messages.len() >= 6, "{messages:#?}");
    let text = log.text().to_lowercase();
    for (what, secret) in [
        ("the user", "zacharias"),
        ("the push token", &phone.push().token_hex().to_lowercase()),
        ("the device's own name", &phone.udid().to_lowercase()),
        ("the invitation", invitation.url.rsplit('/').next().unwrap().to_lowercase().as_str()),
    ] {
        assert!(!text.contains(secret), "{what} is in the log:\n{text}");
    }
    drop(std::fs::remove_dir_all(&folder));
}

/// Who could not enrol is named, since nothing else leads to them; never by which code.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_enrolment_is_told_with_its_user_address_and_reason_and_no_code() {
    lanyard_certs::providers::init().unwrap();
    let log = Log::begin();
    let folder = std::env::temp_dir().join(format!("lanyard-log-{}", uuid::Uuid::new_v4()));
    let any = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    let data = Some(folder.clone());
    let options = serve::Options { data, device_addr: any, admin_addr: any, ..serve::Options::default() };
    let running = serve::start(&options).await.unwrap();
    let (admin, world) = (Admin::of_server(&folder).unwrap(), World::of_server(&folder).unwrap());
    let (hers, his) = (admin.invite("omadm", "walburga@example.org").await.unwrap(), "7E3K-9QXM-2B4T-HW8R");
    let code = hers.code.clone();
    for (user, code) in [("walburga@example.org", his), ("kunibert@example.org", code.as_str()), (code.as_str(), his)] {
        assert!(WindowsDevice::enrol(user, code, &world).await.is_err());
    }
    let apple = admin.invite("apple", "walburga@example.org").await.unwrap();
    let (beginning, _) = apple.url.rsplit_once('/').unwrap();
    assert!(AppleDevice::enrol(&format!("{beginning}/unknown"), &world).await.is_err());
    running.stop().await;

    for (user, reason) in [
        ("walburga@example.org", "no invitation has this code"),
        ("kunibert@example.org", "the code is another user's"),
        ("(what looks like a code)", "no invitation has this code"),
    ] {
        let words = ["WARN", "an enrolment was refused", "channel=\"omadm\"", "address=127.0.0.1", user, reason];
        assert_eq!(log.lines(&words).len(), 1, "{user}: {}", log.text());
    }
    assert_eq!(log.lines(&["WARN", "an invitation was asked for that is none", "address=127.0.0.1"]).len(), 1);
    for code in [his, code.as_str()] {
        assert!(!log.text().contains(code), "a code is in the log:\n{}", log.text());
    }
    drop(std::fs::remove_dir_all(&folder));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_takes_long_is_told() {
    let (log, gate) = (Log::begin(), Arc::new(Mutex::new(())));
    let engine = Held::new(Box::new(Memory::new(clock::system())), gate.clone());
    let (fill, observer) = (Arc::new(|bytes: &mut [u8]| bytes.fill(7)), Arc::new(Presence::new(false)));
    let store = Store::start(Box::new(engine), Options { node: "slow".into(), fill, observer });
    let held = gate.lock().unwrap();
    let call = tokio::spawn({
        let store = store.clone();
        async move { store.run(|_| Ok(())).await }
    });
    std::thread::sleep(Duration::from_millis(1500));
    drop(held);
    call.await.unwrap().unwrap();
    store.end().await;
    let told = log.lines(&["WARN", "batch{calls=1 ahead=0 writes=0}", "store: a batch took long", "untold=0"]);
    assert!(!told.is_empty(), "{}", log.text());
}

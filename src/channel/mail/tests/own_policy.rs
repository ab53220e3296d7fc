//! Before a mail server with a policy of its own.

use super::{super::order, *};
use crate::fleet::status::{self, Code, Line};
use http_body_util::Full;
use lanyard_activesync::policy::{ProvisionDoc, Rule};

/// How it refuses.
#[derive(Clone, Copy, Debug)]
enum Framing {
    Http449,
    Whole(u16),
    Chunked(u16),
    Gzip(u16),
}

/// What it was asked in its own Provision: the key in the head, and the body.
type Heard = (String, Provision);

struct Own {
    document: ProvisionDoc,
    key: u32,
    framing: Framing,
    /// Whatever is done.
    stubborn: bool,
    /// Somebody ordered it there.
    wipe: Option<WipeScope>,
    /// The password by now.
    word: &'static str,
    /// It takes acknowledgements of a wipe.
    takes: bool,
    told: Vec<DeviceInformation>,
    heard: Vec<Heard>,
    mail: Vec<(String, usize)>,
}

impl Own {
    async fn start() -> (String, Arc<Mutex<Self>>) {
        let mut document = ProvisionDoc::default();
        for (rule, value) in
            [(Rule::DevicePasswordEnabled, 1), (Rule::MinDevicePasswordLength, 8), (Rule::AllowCamera, 0)]
        {
            document.set(rule, Some(value)).unwrap();
        }
        let framing = Framing::Whole(142);
        let own = Self {
            document,
            key: 70,
            framing,
            stubborn: false,
            wipe: None,
            word: WORD,
            takes: true,
            told: vec![],
            heard: vec![],
            mail: vec![],
        };
        let own = Arc::new(Mutex::new(own));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/eas", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(own.clone());
        drop(tokio::spawn(async move { axum::serve(listener, router).await }));
        (url, own)
    }

    fn provision(&mut self, key: &str, body: &[u8], version: Version) -> Response<Body> {
        let asked = Provision::parse(body).unwrap();
        self.heard.push((key.to_string(), asked.clone()));
        self.told.extend(asked.device_information.clone());
        let temporary = PolicyKey::new(5).unwrap();
        let reply = match (&asked.body, self.wipe) {
            (Said::WipeAck { .. }, _) if !self.takes => {
                return StatusCode::SERVICE_UNAVAILABLE.into_response();
            }
            (Said::WipeAck { ok: true, .. }, _) => Reply::Ok,
            (Said::WipeAck { scope, .. }, _) => Reply::WipeFailed(*scope),
            (Said::Policy(_), Some(scope)) => Reply::WipeBesidePolicy(scope, temporary),
            (Said::Policy(_), None) => Reply::Policy(temporary),
            (Said::Ack { key: 5, outcome: Some(_), .. }, None) if key == "5" => {
                self.key += 1;
                Reply::Key(PolicyKey::new(self.key).unwrap())
            }
            other => panic!("{other:?} under {key}"),
        };
        let answer = reply.answer(&asked, version, &self.document);
        ([(header::CONTENT_TYPE, CONTENT_TYPE)], answer.body).into_response()
    }

    fn refuse(&self, command: Command) -> Response<Body> {
        let document = |status| refusal(Version::V16_1, command, Status(status)).body;
        let kind = [(header::CONTENT_TYPE, CONTENT_TYPE)];
        match self.framing {
            Framing::Http449 => StatusCode::from_u16(449).unwrap().into_response(),
            Framing::Whole(status) => (kind, document(status)).into_response(),
            Framing::Chunked(status) => (kind, Body::new(Unmeasured(Some(document(status))))).into_response(),
            Framing::Gzip(status) => {
                let mut packed = vec![0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 3];
                packed.extend(miniz_oxide::deflate::compress_to_vec(&document(status), 6));
                packed.extend([0; 8]);
                (kind, [(header::CONTENT_ENCODING, "gzip")], Body::new(Unmeasured(Some(packed)))).into_response()
            }
        }
    }

    /// What the phone said of a wipe.
    fn wiped(&self) -> Vec<(WipeScope, bool)> {
        let said = |heard: &Heard| match heard.1.body {
            Said::WipeAck { scope, ok } => Some((scope, ok)),
            _ => None,
        };
        self.heard.iter().filter_map(said).collect()
    }

    fn acknowledged(&self) -> Vec<PolicyOutcome> {
        let said = |heard: &Heard| match heard.1.body {
            Said::Ack { outcome, .. } => outcome,
            _ => None,
        };
        self.heard.iter().filter_map(said).collect()
    }
}

/// A body that does not say how long it is.
struct Unmeasured(Option<Vec<u8>>);

impl hyper::body::Body for Unmeasured {
    type Data = Bytes;
    type Error = std::io::Error;
    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
        std::task::Poll::Ready(self.0.take().map(|bytes| Ok(hyper::body::Frame::data(bytes.into()))))
    }
}

async fn answer(State(own): State<Arc<Mutex<Own>>>, request: Request) -> Response<Body> {
    let headers = request.headers().clone();
    let orders = request.uri().query().is_some_and(|query| query.contains("Cmd=Provision"))
        && own.lock().unwrap().wipe.is_some();
    let word = own.lock().unwrap().word;
    if !orders && headers.get(header::AUTHORIZATION).is_none_or(|v| v != &basic(ANN, word)) {
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"m\"")]).into_response();
    }
    if request.method() == Method::OPTIONS {
        return [("MS-ASProtocolVersions", "12.1,14.1,16.1")].into_response();
    }
    let text = |name: &str| headers[name].to_str().unwrap().to_string();
    let (key, version) = (text("x-ms-policykey"), Version::parse(&text("ms-asprotocolversion")).unwrap());
    let query = request.uri().query().unwrap_or_default().to_string();
    let command = query.split('&').find_map(|p| p.strip_prefix("Cmd=")).unwrap_or_default().to_string();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let mut own = own.lock().unwrap();
    if command == "Provision" {
        return own.provision(&key, &body, version);
    }
    if command == "Settings" && key == own.key.to_string() {
        let said = lanyard_activesync::settings::Request::parse(&body).ok().and_then(|said| said.device_information);
        own.told.extend(said);
    }
    if own.stubborn || own.wipe.is_some() || key != own.key.to_string() {
        return own.refuse(Command::from_name(&command).unwrap());
    }
    own.mail.push((command, body.len()));
    "from the mail server".into_response()
}

async fn site() -> (Site, Arc<Mutex<Own>>) {
    let (url, own) = Own::start().await;
    let site = Site::before(Some(url), Seen::default()).await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "allow")).await;
    (site, own)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stricter_of_both_policies_goes_to_the_client_and_its_own_word_back() {
    let (site, own) = site().await;
    site.policy("name: p\nassign: all\npasscode: {min_length: 6, max_failed: 5}\n").await;
    let mut phone = Phone::new("Both");
    let document = phone.provisioned(&site).await;
    for (name, want) in
        [("MinDevicePasswordLength", "8"), ("MaxDevicePasswordFailedAttempts", "5"), ("AllowCamera", "0")]
    {
        assert_eq!(text_of(&document, name).as_deref(), Some(want), "{name}");
    }
    assert_eq!(own.lock().unwrap().acknowledged(), [PolicyOutcome::Applied]);
    assert_eq!(phone.ask(&site, "FolderSync").await, passed(), "its key went along at once");

    // It asks for more one day, and says so by refusing.
    own.lock().unwrap().document.set(Rule::MinDevicePasswordLength, Some(10)).unwrap();
    own.lock().unwrap().key += 1;
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Status(143), "a new edition");
    assert_eq!(own.lock().unwrap().acknowledged().len(), 1, "nothing is said for the client");
    phone.key = Presented::Zero;
    let first = phone.provision(&site, Said::Policy(PolicyType::Wbxml)).await.unwrap();
    assert_eq!(text_of(&first, "MinDevicePasswordLength").as_deref(), Some("10"));
    let key = key_of(&first).unwrap().parse().unwrap();
    let ack = Said::Ack { kind: PolicyType::Wbxml, key, outcome: Some(PolicyOutcome::Partly) };
    phone.key = Presented::header(key_of(&phone.provision(&site, ack).await.unwrap()).as_deref());
    assert_eq!(own.lock().unwrap().acknowledged(), [PolicyOutcome::Applied, PolicyOutcome::Partly]);
    assert_eq!(phone.ask(&site, "FolderSync").await, passed());

    // Who has no policy of ours holds the mail server's, until it asks for none.
    site.run(|tx, local| {
        let seen = policies::look_at_end(tx, "p")?;
        policies::delete(tx, &local, "p", seen)
    })
    .await;
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Status(143));
    let document = phone.provisioned(&site).await;
    assert_eq!(text_of(&document, "MinDevicePasswordLength").as_deref(), Some("10"));
    assert_eq!(text_of(&document, "MaxDevicePasswordFailedAttempts").as_deref(), Some(""));
    own.lock().unwrap().document = ProvisionDoc::default();
    own.lock().unwrap().key += 1;
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Status(143));
    assert_eq!(text_of(&phone.provisioned(&site).await, "AllowCamera").as_deref(), Some("1"));
    assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_however_framed_is_settled_and_the_request_sent_again() {
    let (site, own) = site().await;
    let mut phone = Phone::new("Framed");
    phone.provisioned(&site).await;
    for version in [Version::V12_1, Version::V16_1] {
        phone.version = version;
        for framing in [
            Framing::Http449,
            Framing::Whole(140),
            Framing::Whole(141),
            Framing::Whole(144),
            Framing::Chunked(142),
            Framing::Gzip(143),
        ] {
            let before = {
                let mut own = own.lock().unwrap();
                (own.framing, own.key) = (framing, own.key + 1);
                own.mail.len()
            };
            for (command, body) in [("FolderSync", "a body"), ("Settings", ""), ("Sync", "another")] {
                let answer = read(phone.post(&site, command, body).await).await;
                assert_eq!(answer, passed(), "{command} {framing:?} {version}");
            }
            let own = own.lock().unwrap();
            assert_eq!(own.mail[before], ("FolderSync".into(), 6), "whole, and once");
            assert_eq!(own.mail.len(), before + 3);
        }
    }
    phone.version = Version::V14_1;
    // What streamed is gone: the client comes again.
    own.lock().unwrap().key += 1;
    let large = || Full::from(vec![7_u8; 300_000]);
    assert_eq!(read(phone.post(&site, "SendMail", Body::new(large())).await).await, Got::Status(142));
    assert_eq!(read(phone.post(&site, "SendMail", Body::new(large())).await).await, passed());
    own.lock().unwrap().key += 1;
    assert_eq!(phone.ask(&site, "Ping").await, Got::Status(7), "FolderSync first");
    assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_server_that_refuses_on_end_is_not_asked_on_end() {
    let (site, own) = site().await;
    let (mut phone, mut old) = (Phone::new("Loop"), Phone { version: Version::V12_1, ..Phone::new("Old") });
    phone.provisioned(&site).await;
    old.provisioned(&site).await;
    (own.lock().unwrap().stubborn, own.lock().unwrap().framing) = (true, Framing::Whole(141));
    let before = own.lock().unwrap().heard.len();
    for _ in 0..20 {
        assert_eq!(phone.ask(&site, "FolderSync").await, Got::Status(111), "never 141, and no reason to provision");
        assert_eq!(old.ask(&site, "FolderSync").await, Got::Http(503));
    }
    assert!(own.lock().unwrap().heard.len() <= before + 2 * 2 * 3, "three rounds each, then a pause");
    own.lock().unwrap().stubborn = false;
    assert_eq!(old.ask(&site, "FolderSync").await, passed());
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_provisioned_is_asked_to_by_us_where_the_mail_server_asks_for_something() {
    let (site, own) = site().await;
    let mut phone = Phone::new("Fresh");
    own.lock().unwrap().framing = Framing::Whole(141);
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Status(142));
    assert!(own.lock().unwrap().acknowledged().is_empty(), "nothing is said for the client");
    phone.provisioned(&site).await;
    assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    // A policy that asks for nothing is held by everybody.
    own.lock().unwrap().document = ProvisionDoc::default();
    let other = Phone::new("Other");
    assert_eq!(other.ask(&site, "FolderSync").await, passed());
    site.end().await;
}

/// Waits for what goes on behind the client's back.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..400 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}");
}

async fn upstreams(site: &Site, name: &'static str) -> Vec<life::Command> {
    let device = site.device(name).await.unwrap().id;
    let all = site.run(move |tx, _| Ok(tx.all::<life::command::OfDevice>(&format!("{}/", device.short()))?)).await;
    let mut found = Vec::new();
    for of in all {
        found.push(site.command(of.command).await);
    }
    found.retain(|command| command.requested_by == "upstream");
    found
}

/// Of what the mail server has not heard, as the administrator sees it.
async fn untold(site: &Site) -> Vec<Line> {
    let lines = site.run(|tx, _| status::read(tx, &Default::default(), &Default::default())).await;
    lines.into_iter().filter(|line| line.code == Code::WipeUntold).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_to_which_its_user_moved_takes_no_order_back() {
    let (site, _) = site().await;
    Phone::new("Moves").provisioned(&site).await;
    let device = site.device("Moves").await.unwrap();
    let (id, enrolment) = (device.id, device.enrolments[0].id);
    let says = async |by: &'static str, wipe| {
        site.run(move |tx, _| {
            let mut device = keeper::by_id(tx, id)?;
            order::heard(tx, &mut device, enrolment, by, wipe)?;
            Ok(order::Ordered::of(&device, enrolment).is_some_and(|ordered| ordered.is_unsent(&device)))
        })
        .await
    };
    assert!(says("home:443", Some(WipeScope::Device)).await);
    assert!(says("elsewhere:443", None).await, "it knows of none");
    assert!(!says("home:443", None).await);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wipe_ordered_at_the_mail_server_reaches_the_phone_and_its_own_word_goes_back() {
    let (site, own) = site().await;
    let mut phone = Phone::new("Lost");
    phone.provisioned(&site).await;
    assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    (own.lock().unwrap().wipe, own.lock().unwrap().takes) = (Some(WipeScope::Device), false);
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Status(140), "it hears of it at once");
    for _ in 0..3 {
        let told = phone.provision(&site, Said::Policy(PolicyType::Wbxml)).await.unwrap();
        assert!(text_of(&told, "RemoteWipe").is_some());
        assert_eq!(text_of(&told, "MinDevicePasswordLength").as_deref(), Some("8"), "beside what is in force");
    }
    let [wipe] = <[life::Command; 1]>::try_from(upstreams(&site, "Lost").await).unwrap();
    assert_eq!((wipe.state, wipe.reason.as_str()), (life::State::Sent, "ordered at the mail server"));
    assert!(own.lock().unwrap().wiped().is_empty(), "nothing is said for the phone");

    phone.provision(&site, Said::WipeAck { scope: WipeScope::Device, ok: false }).await.unwrap();
    until("it is offered", || own.lock().unwrap().wiped().len() == 1).await;
    assert_eq!(site.command(wipe.id).await.state, life::State::Sent);
    assert!(text_of(&phone.provision(&site, Said::Empty).await.unwrap(), "RemoteWipe").is_some());
    phone.provision(&site, Said::WipeAck { scope: WipeScope::Device, ok: true }).await.unwrap();
    let ended = site.command(wipe.id).await;
    assert_eq!(ended.state, life::State::Confirmed);
    assert!(ended.evidence[0].detail.contains("in force"), "{:?}", ended.evidence);
    let last = (WipeScope::Device, true);
    until("it is offered", || own.lock().unwrap().wiped().contains(&last)).await;
    let [line] = <[Line; 1]>::try_from(untold(&site).await).unwrap();
    assert_eq!((line.code, line.subject), (Code::WipeUntold, wipe.id.to_string()));
    own.lock().unwrap().takes = true;
    until("it is taken", || own.lock().unwrap().wiped().iter().filter(|said| **said == last).count() > 1).await;
    while !untold(&site).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let said = own.lock().unwrap().wiped().len();
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Status(129));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(own.lock().unwrap().wiped().len(), said, "taken once it is over");

    // The mail server goes on saying it until somebody there is content: that is no second order.
    site.allow("Lost").await;
    phone.provisioned(&site).await;
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Status(111));
    assert_eq!(upstreams(&site, "Lost").await.len(), 1);
    own.lock().unwrap().wipe = None;
    assert_eq!(phone.ask(&site, "FolderSync").await, passed(), "it gives mail again, and so it is over");
    own.lock().unwrap().wipe = Some(WipeScope::Device);
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Status(140), "another one is");
    assert_eq!(upstreams(&site, "Lost").await.len(), 2);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_hastens_what_the_mail_server_is_to_hear() {
    let (site, own) = site().await;
    for (name, let_in) in [("Erased", false), ("LetIn", true)] {
        let mut phone = Phone::new(name);
        phone.provisioned(&site).await;
        (own.lock().unwrap().wipe, own.lock().unwrap().takes) = (Some(WipeScope::Device), false);
        own.lock().unwrap().heard.clear();
        assert_eq!(phone.ask(&site, "FolderSync").await, Got::Status(140));
        phone.provision(&site, Said::Empty).await.unwrap();
        phone.provision(&site, Said::WipeAck { scope: WipeScope::Device, ok: true }).await.unwrap();
        // The next one would come after ten seconds.
        until("it is offered twice", || own.lock().unwrap().wiped().len() == 2).await;
        own.lock().unwrap().takes = true;
        if let_in {
            site.allow(name).await;
        }
        let asked = clock::monotonic();
        phone.ask(&site, "FolderSync").await;
        until("it is offered with this request", || own.lock().unwrap().wiped().len() == 3).await;
        assert!(clock::since(asked) < Duration::from_secs(8));
        while !untold(&site).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        own.lock().unwrap().wipe = None;
    }
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wipe_ordered_at_the_mail_server_may_have_to_wait_and_may_be_taken_back() {
    let (site, own) = site().await;
    let mut first = Phone { version: Version::V16_1, ..Phone::new("First") };
    first.provisioned(&site).await;
    own.lock().unwrap().wipe = Some(WipeScope::Account);
    assert_eq!(first.ask(&site, "FolderSync").await, Got::Status(140));
    assert!(text_of(&first.provision(&site, Said::Empty).await.unwrap(), "AccountOnlyRemoteWipe").is_some());
    first.provision(&site, Said::WipeAck { scope: WipeScope::Account, ok: true }).await.unwrap();
    until("it is told", || own.lock().unwrap().wiped() == [(WipeScope::Account, true)]).await;
    own.lock().unwrap().wipe = None;
    own.lock().unwrap().heard.clear();

    let mut phone = Phone::new("Waits");
    phone.provisioned(&site).await;
    site.run(|tx, local| settings::set(tx, &local, "eas.upstream_wipe", "hold")).await;
    own.lock().unwrap().wipe = Some(WipeScope::Device);
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Status(111), "no mail comes from there meanwhile");
    let told = phone.provision(&site, Said::Policy(PolicyType::Wbxml)).await.unwrap();
    assert_eq!(text_of(&told, "RemoteWipe"), None);
    let [held] = <[life::Command; 1]>::try_from(upstreams(&site, "Waits").await).unwrap();
    assert_eq!(held.state, life::State::Held);
    let approval = held.approval.unwrap();
    site.run(move |tx, local| {
        wipe::approvals::look(tx, &local, approval)?;
        wipe::approvals::approve(tx, &local, approval)
    })
    .await;
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Status(140));
    own.lock().unwrap().wipe = None;
    let told = phone.provision(&site, Said::Policy(PolicyType::Wbxml)).await.unwrap();
    assert_eq!(text_of(&told, "RemoteWipe"), None, "taken back there before it was sent");
    assert_eq!(site.command(held.id).await.state, life::State::Cancelled);
    phone.provisioned(&site).await;
    assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    assert!(own.lock().unwrap().wiped().is_empty());
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_device_says_of_itself_reaches_the_mail_server() {
    let (site, own) = site().await;
    own.lock().unwrap().document = ProvisionDoc::default();
    let said = |model: &str| DeviceInformation {
        model: Some(model.into()),
        friendly_name: Some("Ann's".into()),
        os: Some("Android 9".into()),
        imei: Some("35".into()),
        ..DeviceInformation::default()
    };
    let provision = async |phone: &Phone, model: &str| {
        let body = Provision { device_information: Some(said(model)), body: Said::Policy(PolicyType::Wbxml) };
        phone.post(&site, "Provision", body.encode()).await
    };
    let (new, old) = (Phone::new("New"), Phone { version: Version::V14_0, ..Phone::new("Old") });
    provision(&new, "A").await;
    assert_eq!(own.lock().unwrap().told, [said("A")], "in a first phase of our own");
    assert_eq!(new.ask(&site, "FolderSync").await, passed());
    provision(&new, "B").await;
    own.lock().unwrap().told.dedup();
    assert_eq!(own.lock().unwrap().told, [said("A"), said("B")], "and what changes");

    // What was said while nothing reached the mail server, before or after 14.1.
    own.lock().unwrap().told.clear();
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "quarantine")).await;
    let late = Phone::new("Late");
    provision(&late, "C").await;
    let settings = lanyard_activesync::settings::relay(&said("D"));
    old.post(&site, "Settings", settings.clone()).await;
    assert!(own.lock().unwrap().told.is_empty());
    site.allow("Late").await;
    site.allow("Old").await;
    for phone in [&late, &old] {
        for _ in 0..2 {
            assert_eq!(phone.ask(&site, "FolderSync").await, passed());
        }
    }
    // The old one's key comes with its first command, and what it is after that.
    own.lock().unwrap().told.dedup();
    assert_eq!(own.lock().unwrap().told, [said("C"), said("D")]);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_was_changed_since_proves_no_wipe() {
    let (site, own) = site().await;
    let mut phone = Phone::new("Stolen");
    phone.provisioned(&site).await;
    assert_eq!(phone.ask(&site, "FolderSync").await, passed(), "its login is known");
    own.lock().unwrap().word = "changed";
    let wipe = site.wipe("Stolen", life::Scope::Full, 0).await;
    let ack = Said::WipeAck { scope: WipeScope::Device, ok: true };
    assert!(text_of(&phone.provision(&site, Said::Empty).await.unwrap(), "RemoteWipe").is_some(), "it hears of it");
    phone.provision(&site, ack.clone()).await.unwrap();
    assert_eq!(site.command(wipe.id).await.state, life::State::Sent, "anybody may have the former password");
    let owner = Phone { word: "changed", ..phone };
    owner.provision(&site, Said::Empty).await.unwrap();
    owner.provision(&site, ack).await.unwrap();
    assert_eq!(site.command(wipe.id).await.state, life::State::Confirmed);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_password_keeps_no_phone_from_the_mail_servers_wipe() {
    let (site, own) = site().await;
    let mut phone = Phone::new("Stolen");
    phone.provisioned(&site).await;
    let thief = Phone { word: "changed", ..phone.clone() };
    let asked = async |body| thief.provision(&site, body).await;
    assert_eq!(asked(Said::Policy(PolicyType::Wbxml)).await.unwrap_err(), 401);
    own.lock().unwrap().wipe = Some(WipeScope::Device);
    // The mail server is not asked at each of its tries.
    assert_eq!(asked(Said::Policy(PolicyType::Wbxml)).await.unwrap_err(), 401);
    let later = Phone { word: "changed, and later", ..thief.clone() };
    assert!(text_of(&later.provision(&site, Said::Policy(PolicyType::Wbxml)).await.unwrap(), "RemoteWipe").is_some());
    asked(Said::WipeAck { scope: WipeScope::Device, ok: true }).await.unwrap();
    let [wipe] = <[life::Command; 1]>::try_from(upstreams(&site, "Stolen").await).unwrap();
    assert_eq!(wipe.state, life::State::Sent, "what nobody known says ends nothing");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(own.lock().unwrap().wiped().is_empty(), "and goes nowhere");
    let stranger = Phone { id: "Unknown", ..thief.clone() };
    assert_eq!(stranger.provision(&site, Said::Policy(PolicyType::Wbxml)).await.unwrap_err(), 401);
    phone.provision(&site, Said::Empty).await.unwrap();
    phone.provision(&site, Said::WipeAck { scope: WipeScope::Device, ok: true }).await.unwrap();
    let ended = site.command(wipe.id).await;
    let detail = &ended.evidence[0].detail;
    assert!(detail.ends_with("policy in force there: the mail server's own"), "{detail}");
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_holds_the_mail_servers_policy_before_it_has_its_folders() {
    let (site, own) = site().await;
    site.policy("name: p\nassign: all\npasscode: {min_length: 12}\n").await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "quarantine")).await;
    let mut phone = Phone::new("Waits");
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Status(142), "of the mail server's asking, not of ours");
    assert!(own.lock().unwrap().acknowledged().is_empty(), "nothing is said for the client");
    let document = phone.provisioned(&site).await;
    assert_eq!(text_of(&document, "AllowCamera").as_deref(), Some("0"));
    assert_eq!(own.lock().unwrap().acknowledged(), [PolicyOutcome::Applied]);
    assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    assert_eq!(phone.ask(&site, "Sync").await, Got::Status(13), "answered here");
    let came: Vec<String> = own.lock().unwrap().mail.iter().map(|(command, _)| command.clone()).collect();
    assert_eq!(came, ["FolderSync"]);
    site.end().await;
}

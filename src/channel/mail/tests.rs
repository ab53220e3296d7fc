//! The gateway over real sockets and TLS, before a mail server of the test's own.

mod bearer;
mod load;
mod other_protocols;
mod own_policy;
mod quarantine;
mod redirects;
mod rules;
mod signon;

use crate::{
    clock,
    fleet::{
        actor::Actor,
        admins::{self},
        enrol::{access, invitation},
        keeper,
        life::{self, Channel, Claim, Device, Enrolment, EnrolmentState, Event, Life, Managed, Ownership, Platform},
        policies, queue,
        registry::lookup,
        settings, wipe,
    },
    http::{connector::trusted_roots, outgoing::Outgoing},
    serve::{self, Running},
    server::Server,
    store::Tx,
};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Method, Response, StatusCode, header},
    response::IntoResponse,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use lanyard_activesync::{
    Command, PolicyKey, Presented, Status, Version, pages,
    provision::{Body as Said, PolicyOutcome, PolicyType, Reply, Request as Provision, WipeScope},
    settings::DeviceInformation,
    status::{CONTENT_TYPE, refusal},
};
use lanyard_wbxml::{Element, Limits};
use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

const ANN: &str = "ann@example.org";
const ANN_S_NAMES: [&str; 4] = [ANN, "ann", "EX\\ann", "ANN@Example.org"];
const WORD: &str = "correct: horse";

/// What reached the mail server: command and the length of its body; `OPTIONS` for that.
type Seen = Arc<Mutex<Vec<(String, usize)>>>;

/// Whom the mail server answers.
#[derive(Clone, Copy, PartialEq)]
enum Door {
    /// The one user, by several names.
    Asks,
    /// OPTIONS of everybody.
    Open,
    /// OPTIONS of everybody who says a name: the password is for a proxy to look at.
    TakesAnyWord,
    /// It is no mail server.
    Other,
}

/// A mail server that knows one user.
async fn mail_server(door: Door) -> (String, Seen) {
    let seen = Seen::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/eas", listener.local_addr().unwrap());
    let router = Router::new().fallback(mail).with_state((seen.clone(), door));
    drop(tokio::spawn(async move { axum::serve(listener, router).await }));
    (url, seen)
}

async fn mail(State((seen, door)): State<(Seen, Door)>, request: Request) -> Response<Body> {
    let is_options = request.method() == Method::OPTIONS;
    if door == Door::Other {
        return "hello".into_response();
    }
    let said = request.headers().get(header::AUTHORIZATION);
    let known = ANN_S_NAMES.iter().any(|name| said.is_some_and(|v| v == &basic(name, WORD)));
    let lets = match door {
        Door::Open => true,
        Door::TakesAnyWord => said.is_some(),
        _ => false,
    };
    if !(known || lets && is_options) {
        seen.lock().unwrap().push(("refused".into(), 0));
        let offers = [(header::WWW_AUTHENTICATE, "NTLM"), (header::WWW_AUTHENTICATE, "Basic realm=\"m\"")];
        return (StatusCode::UNAUTHORIZED, axum::response::AppendHeaders(offers)).into_response();
    }
    if is_options {
        seen.lock().unwrap().push(("OPTIONS".into(), 0));
        let offers = [("MS-ASProtocolVersions", "12.1,14.1,16.1,99.0"), ("MS-ASProtocolCommands", "Sync,Ping")];
        return offers.into_response();
    }
    let key = request.headers().get("x-ms-policykey").map(|key| key.to_str().unwrap().to_string());
    let (path, host) = (request.uri().path().to_string(), request.headers()["host"].clone());
    let query = request.uri().query().unwrap_or_default().to_string();
    let command = query.split('&').find_map(|p| p.strip_prefix("Cmd=")).unwrap_or_default().to_string();
    if let Some(answer) = own_policy(&command, key.as_deref()) {
        return answer;
    }
    let body = request.into_body().collect().await.unwrap().to_bytes();
    seen.lock().unwrap().push((command.clone(), body.len()));
    if command == "FolderSync" && !body.is_empty() {
        return ([(header::CONTENT_TYPE, CONTENT_TYPE)], quarantine::folders(&body)).into_response();
    }
    match command.as_str() {
        "Ping" => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            StatusCode::OK.into_response()
        }
        // The user's mail is elsewhere; there, the path ends otherwise.
        "Find" if !path.ends_with("/other") => {
            let there = [("X-MS-Location", format!("http://{}/other", host.to_str().unwrap()))];
            (StatusCode::from_u16(451).unwrap(), there).into_response()
        }
        // Its head at once, its body never to the end.
        "Sync" => Body::new(Endless(false)).into_response().into_response(),
        _ => "from the mail server".into_response(),
    }
}

/// For one command the mail server has a policy of its own, whose key is 77.
fn own_policy(command: &str, key: Option<&str>) -> Option<Response<Body>> {
    let kind = Provision { device_information: None, body: Said::Policy(PolicyType::Wbxml) };
    let document = |reply: Reply| reply.answer(&kind, Version::V14_1, &Default::default()).body;
    let body = match (command, key) {
        ("Provision", Some("0")) => document(Reply::Policy(PolicyKey::new(5).unwrap())),
        ("Provision", Some("5")) => document(Reply::Key(PolicyKey::new(77).unwrap())),
        ("Search", Some("0")) => refusal(Version::V14_1, Command::Search, Status::NOT_PROVISIONED).body,
        (_, Some("0" | "77")) => return None,
        (_, key) => panic!("our key is not the mail server's: {key:?}"),
    };
    Some(([(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response())
}

/// One piece, then nothing more.
struct Endless(bool);

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = std::io::Error;
    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
        if std::mem::replace(&mut self.0, true) {
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(Bytes::from_static(b"piece")))))
    }
}

fn basic(user: &str, word: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{word}")))
}

struct Site {
    running: Mutex<Option<Running>>,
    server: Arc<Server>,
    folder: PathBuf,
    client: Outgoing,
    local: Actor,
    seen: Seen,
}

impl Site {
    async fn new() -> Self {
        Self::with(Door::Asks).await
    }

    async fn with(door: Door) -> Self {
        let (url, seen) = mail_server(door).await;
        Self::before(Some(url), seen).await
    }

    async fn before(eas_upstream: Option<String>, seen: Seen) -> Self {
        Self::started(serve::Options { eas_upstream, ..serve::Options::default() }, seen).await
    }

    /// With a server that takes mail.
    async fn telling(eas_upstream: Option<String>, seen: Seen, smtp: Option<String>) -> Self {
        let smtp_from = smtp.as_ref().map(|_| "Mail <no-reply@example.org>".into());
        Self::started(serve::Options { eas_upstream, smtp_from, smtp, ..serve::Options::default() }, seen).await
    }

    /// With these flags.
    async fn started(flags: serve::Options, seen: Seen) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("lanyard-eas-{}-{}", std::process::id(), COUNT.fetch_add(1, SeqCst));
        let folder = std::env::temp_dir().join(name);
        let options = serve::Options {
            data: Some(folder.clone()),
            device_addr: Some("127.0.0.1:0".parse().unwrap()),
            admin_addr: Some("127.0.0.1:0".parse().unwrap()),
            ..flags
        };
        let running = serve::start(&options).await.unwrap();
        let roots = trusted_roots(&std::fs::read(folder.join("ca.pem")).unwrap()).unwrap();
        let token = running.folder.local_token().unwrap();
        let local = running.server.store.run(move |tx| admins::authenticate(tx, &token, true)).await.unwrap().unwrap();
        let (server, running) = (running.server.clone(), Mutex::new(Some(running)));
        Self { running, server, folder, client: Outgoing::new(&roots).unwrap(), local, seen }
    }

    async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Tx<'_>, Actor) -> crate::error::Result<T> + Send + 'static,
    ) -> T {
        let local = self.local.clone();
        self.server.store.once(move |tx| call(tx, local)).await.unwrap()
    }

    async fn send(&self, request: axum::http::request::Builder, path: &str, body: Body) -> Response<Incoming> {
        let url = format!("{}{path}", self.server.public_url);
        self.client.send(request.uri(url).body(body).unwrap()).await.unwrap()
    }

    async fn device(&self, name: &'static str) -> Option<Device> {
        self.server.store.run(move |tx| lookup::device(tx, name)).await.ok()
    }

    async fn wipe(&self, name: &'static str, scope: life::Scope, delay: u64) -> life::Command {
        let delay = Some(Duration::from_secs(delay));
        let request = wipe::Request {
            scope,
            reason: "lost".into(),
            pin: None,
            how: life::Erasing::default(),
            delay,
            expires: None,
        };
        self.run(move |tx, local| wipe::ask(tx, &local, name, request, &crate::channel::support)).await
    }

    async fn command(&self, id: crate::ids::CommandId) -> life::Command {
        self.run(move |tx, _| queue::find(tx, id)).await
    }

    async fn policy(&self, text: &'static str) {
        let source = policies::Source::try_from(text.to_owned()).unwrap();
        self.run(move |tx, local| {
            let seen = policies::look(tx, &source)?;
            policies::apply(tx, &local, &source, seen)
        })
        .await;
    }

    async fn allow(&self, name: &'static str) {
        self.run(move |tx, local| access::set(tx, &local, name, None, life::Access::Allow, "known")).await;
    }

    fn came_through(&self) -> Vec<String> {
        self.seen
            .lock()
            .unwrap()
            .iter()
            .map(|(command, _)| command.clone())
            .filter(|c| c != "OPTIONS" && c != "refused")
            .collect()
    }

    async fn stop(&self) {
        let running = self.running.lock().unwrap().take().unwrap();
        running.stop().await;
    }

    async fn end(self) {
        self.stop().await;
        drop(std::fs::remove_dir_all(self.folder));
    }
}

/// A mail client.
#[derive(Clone)]
struct Phone {
    id: &'static str,
    user: &'static str,
    word: &'static str,
    version: Version,
    key: Presented,
}

/// An answer as a client reads it: the HTTP code, and the status in the document where there is one.
#[derive(Debug, Clone, PartialEq)]
enum Got {
    Http(u16),
    Status(u16),
    Mail(String),
}

impl Phone {
    fn new(id: &'static str) -> Self {
        Self { id, user: ANN, word: WORD, version: Version::V14_1, key: Presented::Zero }
    }

    async fn post(&self, site: &Site, command: &str, body: impl Into<Body>) -> Response<Incoming> {
        let path = format!("/Microsoft-Server-ActiveSync?Cmd={command}&DeviceId={}&DeviceType=iPhone&User=x", self.id);
        let request = axum::http::Request::post("/").header("authorization", basic(self.user, self.word));
        let request = request.header("MS-ASProtocolVersion", self.version.as_str());
        let request = match self.key {
            Presented::Absent => request,
            Presented::Zero => request.header("X-MS-PolicyKey", "0"),
            Presented::Key(key) => request.header("X-MS-PolicyKey", key.get().to_string()),
        };
        site.send(request, &path, body.into()).await
    }

    async fn ask(&self, site: &Site, command: &str) -> Got {
        read(self.post(site, command, Body::empty()).await).await
    }

    async fn provision(&self, site: &Site, body: Said) -> Result<Element, u16> {
        let told = DeviceInformation { model: Some("Phone9".into()), ..DeviceInformation::default() };
        let information = matches!(body, Said::Policy(_)).then_some(told);
        let body = Provision { device_information: information, body }.encode();
        let answer = self.post(site, "Provision", body).await;
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        lanyard_wbxml::decode(&bytes, &pages::PAGES, &Limits::SMALL).map(|document| document.root).map_err(|_| status)
    }

    /// Both phases; the policy document that came.
    async fn provisioned(&mut self, site: &Site) -> Element {
        self.key = Presented::Zero;
        let first = self.provision(site, Said::Policy(PolicyType::Wbxml)).await.unwrap();
        let key = key_of(&first).unwrap();
        self.key = Presented::header(Some(&key));
        let ack =
            Said::Ack { kind: PolicyType::Wbxml, key: key.parse().unwrap(), outcome: Some(PolicyOutcome::Applied) };
        let second = self.provision(site, ack).await.unwrap();
        self.key = Presented::header(key_of(&second).as_deref());
        first
    }
}

/// The first text of an element of this name.
fn text_of(root: &Element, name: &str) -> Option<String> {
    if root.name() == Some(name) {
        return Some(root.text().unwrap_or_default().to_string());
    }
    root.elements().find_map(|child| text_of(child, name))
}

fn key_of(root: &Element) -> Option<String> {
    text_of(root, "PolicyKey")
}

async fn read(answer: Response<Incoming>) -> Got {
    let status = answer.status();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    if !status.is_success() {
        return Got::Http(status.as_u16());
    }
    match lanyard_wbxml::decode(&bytes, &pages::PAGES, &Limits::SMALL) {
        Ok(document) => Got::Status(text_of(&document.root, "Status").unwrap().parse().unwrap()),
        Err(_) => Got::Mail(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

fn passed() -> Got {
    Got::Mail("from the mail server".into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_is_proved_by_the_mail_server_and_an_unknown_client_waits() {
    let site = Site::new().await;
    let request = || axum::http::Request::builder().method("OPTIONS");
    let offer = site.send(request().header("authorization", basic(ANN, WORD)), super::PATH, Body::empty()).await;
    assert_eq!(offer.headers()["ms-asprotocolversions"], "12.1,14.1,16.1");
    assert_eq!(offer.headers()["ms-asprotocolcommands"], "Sync,Ping,Provision");
    let stranger = site.send(request().header("authorization", basic(ANN, "no")), super::PATH, Body::empty()).await;
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
    assert_eq!(moved.headers()["x-ms-location"], format!("{}{}", site.server.public_url, super::PATH));
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
    let path = format!("{}?Cmd=Provision&DeviceId=a&DeviceType=b", super::PATH);
    assert_eq!(site.send(encoded, &path, Body::from("x")).await.status(), 415);
    site.end().await;
}

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

/// A mail server that answers one request on each connection, says nothing of closing it, and drops whatever comes next unanswered.
async fn one_answer_a_connection() -> (String, Arc<AtomicU32>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let dropped = Arc::new(AtomicU32::new(0));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/eas", listener.local_addr().unwrap());
    let counted = dropped.clone();
    drop(tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counted = counted.clone();
            drop(tokio::spawn(async move {
                let mut piece = [0; 16 * 1024];
                let read = stream.read(&mut piece).await.unwrap_or(0);
                let head = String::from_utf8_lossy(&piece[..read]).into_owned();
                let known = head.contains(&basic(ANN, WORD));
                let answer = match known {
                    true => {
                        "HTTP/1.1 200 OK\r\nMS-ASProtocolVersions: 14.1\r\nContent-Length: 20\r\n\r\nfrom the mail server"
                    }
                    false => {
                        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"m\"\r\nContent-Length: 0\r\n\r\n"
                    }
                };
                drop(stream.write_all(answer.as_bytes()).await);
                if stream.read(&mut piece).await.is_ok_and(|read| read > 0) {
                    counted.fetch_add(1, SeqCst);
                }
            }));
        }
    }));
    (url, dropped)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_server_that_closes_without_a_word_costs_no_503() {
    let (url, dropped) = one_answer_a_connection().await;
    let site = Site::before(Some(url), Seen::default()).await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "allow")).await;
    let phone = Phone::new("A1");
    for command in ["FolderSync", "SendMail", "Sync", "Ping", "SmartForward", "Settings", "SmartReply", "FolderSync"] {
        assert_eq!(phone.ask(&site, command).await, passed(), "{command}");
    }
    assert!(dropped.load(SeqCst) > 0, "connections that were kept broke");
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_step_that_fails_on_the_way_to_the_mail_server_is_named() {
    for (door, word, last, ok, part) in [
        (Door::Asks, WORD, "proof", true, "refuses a wrong password (401 Unauthorized)"),
        (Door::Asks, "wrong", "login", false, "does not take this name and password"),
        (Door::Open, WORD, "activesync", false, "answers OPTIONS without a login"),
        (Door::TakesAnyWord, WORD, "proof", false, "takes any password"),
        (Door::Other, WORD, "activesync", false, "no mail server that speaks ActiveSync"),
    ] {
        let site = Site::with(door).await;
        let steps = super::steps(&site.server, Some((ANN, Some(word)))).await;
        let end = steps.last().unwrap();
        assert_eq!((end.step, end.ok), (last, ok), "{steps:?}");
        assert!(end.detail.contains(part) && steps.iter().rev().skip(1).all(|step| step.ok), "{steps:?}");
        let wrong = super::check::wrong(&site.server).await;
        assert_eq!(wrong.is_some(), last == "activesync", "{wrong:?}");
        // It is looked for by itself, and told.
        while site.server.mail_server.wrong().is_some() != wrong.is_some() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        site.end().await;
    }
    // What was marked here came back.
    let (passed, loops) = ("x-lanyard-passed", StatusCode::LOOP_DETECTED);
    let back = async move |request: Request| {
        if request.headers().contains_key(passed) { loops } else { StatusCode::UNAUTHORIZED }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = format!("http://{}/eas", listener.local_addr().unwrap());
    drop(tokio::spawn(async move { axum::serve(listener, Router::new().fallback(back)).await }));
    for (upstream, last) in
        [("http://127.0.0.1:9/eas", "connection"), ("http://mail.invalid", "name"), (here.as_str(), "activesync")]
    {
        let site = Site::before(Some(upstream.into()), Seen::default()).await;
        let steps = super::steps(&site.server, None).await;
        assert_eq!(steps.last().map(|step| (step.step, step.ok)), Some((last, false)), "{steps:?}");
        site.end().await;
    }
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
async fn a_stolen_phone_hears_of_its_wipe_whatever_it_asks() {
    let site = Site::new().await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "allow")).await;
    let phone = Phone::new("A1");
    assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    let thief = Phone { word: "changed", ..phone.clone() };
    let offer = async |user: &str, device: &str| {
        let request = axum::http::Request::builder().method("OPTIONS").header("authorization", basic(user, "changed"));
        site.send(request, &format!("{}{device}", super::PATH), Body::empty()).await.status().as_u16()
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
    assert_eq!(site.send(offer, super::PATH, Body::empty()).await.status(), 503, "by whatever verb");
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
        assert_eq!(site.send(offer, super::PATH, Body::empty()).await.status(), 503);
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
        let url = format!("<Url>{}{}</Url>", site.server.public_url, super::PATH);
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

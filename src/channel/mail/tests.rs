//! The gateway over real sockets and TLS, before a mail server of the test's own: what all tests of it need.

mod bearer;
mod faults;
mod held;
mod load;
mod logins;
mod other_protocols;
mod own_policy;
mod quarantine;
mod redirects;
mod rules;
mod signon;
mod wipes;

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

//! Certificates beside logins, and in their place.

use super::*;
use crate::{
    channel::certificates,
    fleet::enrol::{self, Issued},
    http::connector::Identity,
    ids::{digest, hex},
};
use lanyard_certs::keys::PrivateKey;
use secrecy::ExposeSecret as _;

/// A mail client with a certificate.
pub(super) struct Holder {
    id: &'static str,
    client: Outgoing,
}

impl Site {
    /// A client that shows a certificate from an invitation for this user.
    pub(super) async fn holder(&self, id: &'static str, user: &'static str) -> Holder {
        let key = PrivateKey::p256().unwrap();
        let public = key.public_der().unwrap();
        let invite = move |tx: &mut Tx<'_>, local: Actor| {
            let made = invitation::create(tx, &local, Channel::Activesync, user, Ownership::Corporate, None)?;
            Ok(made.invitation)
        };
        let invitation = self.run(invite).await;
        let (certificate, der) = certificates::issue(&self.server, &public, invitation.enrolment).unwrap();
        let issued = Issued { enrolment: invitation.enrolment, certificate, der: hex(&der) };
        self.run(move |tx, _| enrol::spend(tx, invitation.id, &digest(&public), issued)).await;
        let chain = vec![der, self.server.authority.issuing_der().to_vec()];
        let identity = Identity::from_der(chain, key.pkcs8_der().unwrap().expose_secret().to_vec());
        let roots = trusted_roots(&std::fs::read(self.folder.join("ca.pem")).unwrap()).unwrap();
        Holder { id, client: Outgoing::showing(&roots, Some(identity)).unwrap() }
    }
}

impl Holder {
    async fn send(&self, site: &Site, request: axum::http::request::Builder, path: &str) -> Response<Incoming> {
        let url = format!("{}{path}", site.server.public_url);
        self.client.send(request.uri(url).body(Body::empty()).unwrap()).await.unwrap()
    }

    pub(super) async fn options(&self, site: &Site, headers: &[(&str, &str)]) -> Response<Incoming> {
        let request = axum::http::Request::builder().method("OPTIONS");
        self.send(site, with(request, headers), super::super::PATH).await
    }

    pub(super) async fn post(&self, site: &Site, command: &str, headers: &[(&str, &str)]) -> Response<Incoming> {
        let path = format!("/Microsoft-Server-ActiveSync?Cmd={command}&DeviceId={}&DeviceType=iPhone&User=x", self.id);
        let request = axum::http::Request::post("/").header("MS-ASProtocolVersion", "14.1");
        self.send(site, with(request, headers), &path).await
    }

    pub(super) async fn ask(&self, site: &Site, command: &str, headers: &[(&str, &str)]) -> Got {
        read(self.post(site, command, headers).await).await
    }
}

pub(super) fn with(request: axum::http::request::Builder, headers: &[(&str, &str)]) -> axum::http::request::Builder {
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

pub(super) async fn text(answer: Response<Incoming>) -> (u16, String) {
    let status = answer.status().as_u16();
    (status, String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_goes_with_its_own_users_login_alone() {
    let site = Site::new().await;
    // The mail server knows ANN as "ann" and "EX\ann" too: the right password of another user's, as far as anybody here can tell.
    let (bob, ann) = (site.holder("BOB1", "bob@example.org").await, site.holder("ANN1", ANN).await);
    for (row, holder, login, say) in [
        ("another's", &bob, ANN, "another user's"),
        ("it may be anybody's", &bob, "ann", "nothing says"),
        ("it may be anybody's", &ann, "EX\\ann", "nothing says"),
    ] {
        let login = basic(login, WORD);
        let said = [("authorization", login.as_str())];
        let refused = text(holder.post(&site, "FolderSync", &said).await).await;
        assert!(refused.0 == 403 && refused.1.contains(say), "{row}: {refused:?}");
        assert_eq!(holder.options(&site, &said).await.status(), 403, "{row}");
        let beside = with(axum::http::Request::get("/"), &said);
        assert_eq!(holder.send(&site, beside, "/owa/").await.status(), 403, "{row}");
    }
    assert_eq!(site.came_through(), [""; 0]);
    let login = basic("EX\\ann", WORD);
    site.run(|tx, local| settings::set(tx, &local, "eas.domain", "example.org")).await;
    assert_eq!(ann.ask(&site, "FolderSync", &[("authorization", &login)]).await, passed());
    assert_eq!(bob.ask(&site, "FolderSync", &[("authorization", &login)]).await, Got::Http(403));
    site.end().await;
}

/// What reached a mail server: method, command or path, and all headers.
type Came = Arc<Mutex<Vec<(Method, String, axum::http::HeaderMap)>>>;

const REMOTE: &str = "x-webobjects-remote-user";

/// As SOGo behind a proxy that it trusts: the user is whom the header names, else whom `Authorization` does, and nobody looks at a password.
async fn trusting() -> (String, Came) {
    let came = Came::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/eas", listener.local_addr().unwrap());
    let router = Router::new().fallback(trusted).with_state(came.clone());
    drop(tokio::spawn(async move { axum::serve(listener, router).await }));
    (url, came)
}

async fn trusted(State(came): State<Came>, request: Request) -> Response<Body> {
    let (head, _) = request.into_parts();
    let query = head.uri.query().unwrap_or_default().to_string();
    let command = query.split('&').find_map(|p| p.strip_prefix("Cmd=")).unwrap_or(head.uri.path()).to_string();
    if head.headers.contains_key("x-forwarded-for") {
        came.lock().unwrap().push((head.method.clone(), command.clone(), head.headers.clone()));
    }
    let said = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_string());
    let user = said(REMOTE).or_else(|| said("authorization"));
    match user.as_deref() {
        None => (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"m\"")]).into_response(),
        Some("nobody@example.org") => StatusCode::UNAUTHORIZED.into_response(),
        Some(_) if head.method == Method::OPTIONS => {
            [("MS-ASProtocolVersions", "14.1"), ("MS-ASProtocolCommands", "Sync")].into_response()
        }
        Some(_) => {
            let own = match command.as_str() {
                "Provision" | "Search" => own_policy(&command, said("x-ms-policykey").as_deref()),
                _ => None,
            };
            if command == "Ping" {
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            own.unwrap_or_else(|| "from the mail server".into_response())
        }
    }
}

/// A site before such a mail server, with a file of users.
async fn signed_on(users: Option<&str>) -> (Site, Came) {
    let (url, came) = trusting().await;
    let eas_users = users.map(|text| {
        let path = std::env::temp_dir().join(format!("lanyard-users-{}", uuid::Uuid::new_v4().simple()));
        std::fs::write(&path, text).unwrap();
        path
    });
    let flags = serve::Options {
        eas_upstream: Some(url),
        eas_signon: Some(format!("header:{REMOTE}")),
        eas_users: eas_users.clone(),
        ..serve::Options::default()
    };
    let site = Site::started(flags, Seen::default()).await;
    eas_users.into_iter().for_each(|path| std::fs::remove_file(path).unwrap());
    (site, came)
}

/// Whom each request named, which says it once, and no login beside it.
fn named(came: &Came) -> Vec<(String, String)> {
    let came = std::mem::take(&mut *came.lock().unwrap());
    let name = |headers: &axum::http::HeaderMap| {
        let all: Vec<_> = headers.get_all(REMOTE).iter().map(|v| v.to_str().unwrap().to_string()).collect();
        assert!(all.len() == 1 && !headers.contains_key("authorization"), "{headers:?}");
        all[0].clone()
    };
    came.iter().map(|(method, command, headers)| (format!("{method} {command}"), name(headers))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_stands_for_its_users_login_before_a_mail_server_that_believes_us() {
    let (site, came) = signed_on(None).await;
    let ann = site.holder("ANN1", ANN).await;
    let offer = ann.options(&site, &[]).await;
    assert_eq!((offer.status().as_u16(), offer.headers()["ms-asprotocolversions"].to_str().unwrap()), (200, "14.1"));
    let sent = [
        ("authorization", basic(ANN, "whatever")),
        (REMOTE, "bob@example.org".into()),
        ("X-WEBOBJECTS-REMOTE-USER", "bob@example.org".into()),
        ("x_webobjects_remote_user", "bob@example.org".into()),
        ("connection", REMOTE.into()),
    ];
    let sent: Vec<(&str, &str)> = sent.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for headers in [&[][..], &[("authorization", "Bearer of somebody")], &sent] {
        assert_eq!(ann.ask(&site, "FolderSync", headers).await, passed(), "{headers:?}");
        assert_eq!(ann.options(&site, headers).await.status(), 200);
    }
    assert_eq!(ann.ask(&site, "Search", &sent).await, passed(), "a policy of its own is asked for in the same name");
    for path in ["/ews/Exchange.asmx", "/owa/"] {
        assert_eq!(ann.send(&site, with(axum::http::Request::post("/"), &sent), path).await.status(), 200);
    }
    let all = named(&came);
    assert!(all.iter().all(|(_, name)| name == ANN), "{all:?}");
    for wanted in ["OPTIONS /eas", "POST FolderSync", "POST Provision", "POST Search", "POST /ews/Exchange.asmx"] {
        assert!(all.iter().any(|(request, _)| request == wanted), "{wanted} of {all:?}");
    }
    // Somebody else's login is no way to another's mail, and none to one's own.
    for login in ["bob@example.org", "ann", "EX\\ann"] {
        let login = basic(login, WORD);
        let said = [("authorization", login.as_str())];
        assert_eq!(ann.ask(&site, "FolderSync", &said).await, Got::Http(403));
        assert_eq!(ann.options(&site, &said).await.status(), 403);
        assert_eq!(ann.send(&site, with(axum::http::Request::get("/"), &said), "/owa/").await.status(), 403);
    }
    let (other, stolen) = (site.holder("BOB1", "bob@example.org").await, Holder { id: "ANN1", client: ann.client });
    assert_eq!(other.ask(&site, "FolderSync", &[]).await, passed());
    let stolen = Holder { id: "BOB1", ..stolen };
    assert_eq!(stolen.ask(&site, "FolderSync", &[]).await, Got::Http(403), "another's DeviceId");
    let mine = named(&came);
    assert!(mine.iter().all(|(_, name)| name == "bob@example.org"), "{mine:?}");
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_hold_for_what_is_no_activesync_too() {
    let (site, came) = signed_on(None).await;
    let ann = site.holder("ANN1", ANN).await;
    let ews = async || ann.send(&site, axum::http::Request::post("/"), "/ews/Exchange.asmx").await.status().as_u16();
    assert_eq!(ews().await, 403, "no rule has been asked about its device");
    assert_eq!(ann.ask(&site, "FolderSync", &[]).await, passed());
    assert_eq!(ews().await, 200);
    site.rules("default: block").await;
    came.lock().unwrap().clear();
    assert_eq!(ews().await, 403);
    assert_eq!(*came.lock().unwrap(), []);
    site.end().await;
}

/// A body that takes its time.
struct Slow {
    first: Option<&'static [u8]>,
    rest: std::pin::Pin<Box<tokio::time::Sleep>>,
    over: bool,
}

impl hyper::body::Body for Slow {
    type Data = Bytes;
    type Error = std::io::Error;
    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
        let frame = |bytes: &'static [u8]| std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(bytes.into()))));
        match self.first.take() {
            Some(first) => frame(first),
            None if self.over => std::task::Poll::Ready(None),
            None => match self.rest.as_mut().poll(cx) {
                std::task::Poll::Ready(()) => {
                    self.over = true;
                    frame(b"last")
                }
                std::task::Poll::Pending => std::task::Poll::Pending,
            },
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_begun_beside_activesync_ends_when_the_door_is_shut() {
    let (site, came) = signed_on(None).await;
    let ann = site.holder("ANN1", ANN).await;
    assert_eq!(ann.ask(&site, "FolderSync", &[]).await, passed());
    let url = format!("{}/ews/Exchange.asmx", site.server.public_url);
    for length in [8, 100_004] {
        site.allow("ANN1").await;
        came.lock().unwrap().clear();
        let rest = Box::pin(tokio::time::sleep(Duration::from_secs(3)));
        let body = Body::new(Slow { first: Some(b"0123"), rest, over: false });
        let request = axum::http::Request::post(&url).header("content-length", length).body(body).unwrap();
        let shut = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            site.run(|tx, local| access::set(tx, &local, "ANN1", None, life::Access::Block, "lost")).await;
            clock::monotonic()
        };
        let (answer, shut) = tokio::join!(ann.client.send(request), shut);
        assert!(clock::since(shut) < Duration::from_secs(2), "at once");
        // One that streams may be answered before it is whole.
        if let Ok(answer) = answer {
            assert!(answer.status() == 403 || length > 65_536);
        }
        let had = came.lock().unwrap().iter().filter(|(_, what, _)| what.starts_with("/ews")).count();
        assert!(had == 0 || length > 65_536, "a small one is not there before it is whole");
    }
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_in_without_a_certificate_where_the_mail_server_believes_a_header() {
    let (site, came) = signed_on(None).await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "allow")).await;
    let login = basic(ANN, WORD);
    for headers in [
        &[][..],
        &[("authorization", login.as_str())],
        &[("authorization", "Bearer x")],
        &[(REMOTE, ANN)],
        &[(REMOTE, ANN), ("authorization", &login)],
    ] {
        for (method, path) in [
            ("OPTIONS", "/Microsoft-Server-ActiveSync"),
            ("POST", "/Microsoft-Server-ActiveSync?Cmd=FolderSync&DeviceId=A&DeviceType=B"),
            ("POST", "/Microsoft-Server-ActiveSync?Cmd=Provision&DeviceId=A&DeviceType=B"),
            ("POST", "/ews/Exchange.asmx"),
            ("GET", "/owa/"),
        ] {
            let request = axum::http::Request::builder().method(method).header("MS-ASProtocolVersion", "14.1");
            let (status, words) = text(site.send(with(request, headers), path, Body::empty()).await).await;
            assert!(
                status == 401 && words.contains("a certificate of this server is needed"),
                "{method} {path} {words}"
            );
        }
    }
    assert_eq!(*came.lock().unwrap(), [], "nothing reached the mail server");
    assert!(site.device("A").await.is_none());
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mail_server_hears_the_name_that_it_knows() {
    let (site, came) = signed_on(Some("EX\\annb ann@example.org\nannb@corp.local ann@example.org\n")).await;
    site.run(|tx, local| settings::set(tx, &local, "eas.domain", "example.org")).await;
    for (id, user, want) in [
        ("A1", ANN, "EX\\annb"),
        ("A2", "ann", "EX\\annb"),
        ("A3", "annb@corp.local", "EX\\annb"),
        ("B1", "bob", "bob@example.org"),
    ] {
        let holder = site.holder(id, user).await;
        assert_eq!(holder.ask(&site, "FolderSync", &[]).await, passed(), "{user}");
        let all = named(&came);
        assert!(all.iter().all(|(_, name)| name == want), "{user}: {all:?}");
    }
    let ann = site.holder("A4", ANN).await;
    let login = basic("ANNB@corp.local", "");
    assert_eq!(ann.ask(&site, "FolderSync", &[("authorization", &login)]).await, passed(), "a login of the same user");
    let nobody = site.holder("N1", "nobody@example.org").await;
    assert_eq!(nobody.ask(&site, "FolderSync", &[]).await, Got::Http(503), "a 401 would ask people for a password");
    assert_eq!(nobody.options(&site, &[]).await.status(), 503);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whether_the_mail_server_takes_our_word_is_a_step_of_its_own() {
    let (site, _) = signed_on(Some("EX\\annb ann@example.org\n")).await;
    for (user, ok, part) in [
        (ANN, true, "takes our word for \"EX\\\\annb\" by x-webobjects-remote-user"),
        ("nobody@example.org", false, "does not take our word for \"nobody@example.org\""),
    ] {
        let steps = super::super::steps(&site.server, Some((user, None))).await;
        let end = steps.last().unwrap();
        assert!(end.step == "signon" && end.ok == ok && end.detail.contains(part), "{steps:?}");
    }
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_was_revoked_opens_nothing_on_a_kept_connection_either() {
    let (site, came) = signed_on(None).await;
    let ann = site.holder("ANN1", ANN).await;
    assert_eq!(ann.ask(&site, "FolderSync", &[]).await, passed());
    let device = site.device("ANN1").await.unwrap().id;
    let revoked = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        site.run(move |tx, _| enrol::revoke(tx, "local", device, None, "stolen").map(drop)).await;
    };
    let begun = clock::monotonic();
    let (held, ()) = tokio::join!(ann.ask(&site, "Ping", &[]), revoked);
    assert!(held != passed() && clock::since(begun) < Duration::from_secs(15), "{held:?}");
    came.lock().unwrap().clear();
    assert_eq!(ann.ask(&site, "FolderSync", &[]).await, Got::Http(403));
    assert_eq!(ann.options(&site, &[]).await.status(), 403);
    assert_eq!(ann.send(&site, axum::http::Request::get("/"), "/owa/").await.status(), 403);
    assert_eq!(*came.lock().unwrap(), []);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_shut_out_is_spoken_for_no_more() {
    let (site, came) = signed_on(None).await;
    let ann = site.holder("ANN1", ANN).await;
    assert_eq!(ann.ask(&site, "FolderSync", &[]).await, passed());
    site.run(|tx, local| access::set(tx, &local, "ANN1", None, life::Access::Block, "")).await;
    came.lock().unwrap().clear();
    assert_eq!(ann.ask(&site, "FolderSync", &[]).await, Got::Status(129));
    assert_eq!(ann.send(&site, axum::http::Request::get("/"), "/owa/").await.status(), 403);
    let all: Vec<_> = named(&came).into_iter().map(|(request, _)| request).collect();
    assert_eq!(all, [""; 0]);
    site.allow("ANN1").await;
    let wipe = site.wipe("ANN1", life::Scope::Full, 0).await;
    assert_eq!(ann.ask(&site, "FolderSync", &[]).await, Got::Status(140), "{wipe:?}");
    site.end().await;
}

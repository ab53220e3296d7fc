//! Before a mail server with a policy of its own.

use super::*;
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
        let own = Self { document, key: 70, framing, stubborn: false, heard: vec![], mail: vec![] };
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
        let reply = match &asked.body {
            Said::Policy(_) => Reply::Policy(PolicyKey::new(5).unwrap()),
            Said::Ack { key: 5, outcome: Some(_), .. } if key == "5" => {
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
    if headers.get(header::AUTHORIZATION).is_none_or(|v| v != &basic(ANN, WORD)) {
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
    if own.stubborn || key != own.key.to_string() {
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

//! Tokens, in which no name can be read.

use super::{
    signon::{text, with},
    *,
};
use lanyard_activesync::{pages::settings as tag, user_information};

const BOB: &str = "bob@example.org";
const OFFERS: [&str; 3] =
    ["Bearer client_id=\"0f\", authorization_uri=\"https://login.example.org\"", "NTLM", "Basic realm=\"m\""];

/// What reached the mail server: the command, `OPTIONS` for that, and `who` where it was asked whose mailbox it is; with the token.
type Came = Arc<Mutex<Vec<(String, String)>>>;

/// A mail server that takes tokens, such as `ann 1`, and knows whose they are; of `mute …` it does not say. What is `ended` it takes no more.
struct Exchange {
    url: String,
    came: Came,
    ended: Arc<Mutex<Option<String>>>,
}

impl Exchange {
    async fn new() -> Self {
        let (came, ended) = (Came::default(), Arc::<Mutex<Option<String>>>::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/eas", listener.local_addr().unwrap());
        let router = Router::new().fallback(serve_tokens).with_state((came.clone(), ended.clone()));
        drop(tokio::spawn(async move { axum::serve(listener, router).await }));
        Self { url, came, ended }
    }

    async fn site(&self) -> Site {
        Site::before(Some(self.url.clone()), Seen::default()).await
    }

    /// How often, since last asked.
    fn count(&self, what: &str) -> usize {
        let mut came = self.came.lock().unwrap();
        let count = came.iter().filter(|(command, _)| command == what).count();
        came.retain(|(command, _)| command != what);
        count
    }
}

type Shared = (Came, Arc<Mutex<Option<String>>>);

async fn serve_tokens(State((came, ended)): State<Shared>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    if !head.headers.contains_key("x-forwarded-for") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let body = body.collect().await.unwrap().to_bytes();
    let said = head.headers.get(header::AUTHORIZATION).map(|v| v.to_str().unwrap().to_string()).unwrap_or_default();
    let token = said.strip_prefix("Bearer ").unwrap_or_default().to_string();
    let whose = token.split('-').next().unwrap_or_default().to_string();
    let query = head.uri.query().unwrap_or_default();
    let command = query.split('&').find_map(|p| p.strip_prefix("Cmd=")).unwrap_or("OPTIONS").to_string();
    let is_question = command == "Settings" && body == user_information::request();
    came.lock().unwrap().push((if is_question { "who".into() } else { command.clone() }, said));
    let ended = ended.lock().unwrap().as_ref().is_some_and(|ended| *ended == token);
    if ended || !["ann", "bob", "mute"].contains(&whose.as_str()) {
        let offers = OFFERS.map(|offer| (header::WWW_AUTHENTICATE, offer));
        return (StatusCode::UNAUTHORIZED, axum::response::AppendHeaders(offers)).into_response();
    }
    if head.method == Method::OPTIONS {
        return [("MS-ASProtocolVersions", "14.1"), ("MS-ASProtocolCommands", "Sync")].into_response();
    }
    match (is_question, whose.as_str()) {
        (true, "mute") => ([(header::CONTENT_TYPE, CONTENT_TYPE)], mailbox(&[])).into_response(),
        (true, name) => {
            let own = format!("{name}@example.org");
            ([(header::CONTENT_TYPE, CONTENT_TYPE)], mailbox(&[&own, &format!("{name}.b@example.org")])).into_response()
        }
        _ => "from the mail server".into_response(),
    }
}

/// As from 14.1 on: beside a connected mailbox of somebody else's.
fn mailbox(addresses: &[&str]) -> Vec<u8> {
    let named = |tag, address: &str| Element::text_of(tag, address);
    let own = addresses.iter().map(|address| named(tag::SMTP_ADDRESS, address));
    let primary = addresses.first().map(|address| named(tag::PRIMARY_SMTP_ADDRESS, address));
    let own = Element::of(tag::ACCOUNT, [Element::of(tag::EMAIL_ADDRESSES, own.chain(primary))]);
    let boss = Element::of(tag::EMAIL_ADDRESSES, [named(tag::PRIMARY_SMTP_ADDRESS, "boss@example.org")]);
    let connected = Element::of(tag::ACCOUNT, [named(tag::ACCOUNT_ID, "7"), boss]);
    let told = Element::of(tag::GET, [Element::of(tag::ACCOUNTS, [connected, own])]);
    let status = || Element::text_of(tag::STATUS, "1");
    let root = Element::of(tag::SETTINGS, [status(), Element::of(tag::USER_INFORMATION, [status(), told])]);
    lanyard_wbxml::encode(&lanyard_wbxml::Header::ACTIVESYNC, &root)
}

async fn post(site: &Site, id: &str, command: &str, said: &str) -> Response<Incoming> {
    let path =
        format!("/Microsoft-Server-ActiveSync?Cmd={command}&DeviceId={id}&DeviceType=iPhone&User=ann@example.org");
    let request = axum::http::Request::post("/").header("MS-ASProtocolVersion", "14.1").header("authorization", said);
    site.send(request, &path, Body::empty()).await
}

async fn ask(site: &Site, id: &str, command: &str, said: &str) -> Got {
    read(post(site, id, command, said).await).await
}

fn offered(answer: &Response<Incoming>) -> Vec<String> {
    answer.headers().get_all("www-authenticate").iter().map(|v| v.to_str().unwrap().to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_its_users_as_the_mail_server_says() {
    let mail = Exchange::new().await;
    let site = mail.site().await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "allow")).await;
    for _ in 0..3 {
        assert_eq!(ask(&site, "ANN1", "FolderSync", "Bearer ann-1").await, passed());
    }
    let device = site.device("ANN1").await.unwrap();
    assert_eq!((device.user.as_str(), mail.count("who")), (ANN, 1), "asked once, and not the connected mailbox's");
    assert_eq!(ask(&site, "ANN1", "FolderSync", "Bearer ann-2").await, passed());
    assert_eq!(site.device("ANN1").await.unwrap().id, device.id, "another token of hers is the same client");
    assert_eq!(mail.count("who"), 1);
    // Somebody else's is somebody else, whatever the request says of its user.
    assert_eq!(ask(&site, "BOB1", "FolderSync", "Bearer bob-1").await, passed());
    assert_eq!(site.device("BOB1").await.unwrap().user, BOB);
    let went: Vec<_> = mail.came.lock().unwrap().iter().filter(|(c, _)| c == "FolderSync").cloned().collect();
    assert_eq!(went.last().unwrap().1, "Bearer bob-1", "it goes on as it came");
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_nobody_in_particular_gets_in_with_a_certificate_alone() {
    let mail = Exchange::new().await;
    let site = mail.site().await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "allow")).await;
    for _ in 0..3 {
        let answer = post(&site, "MUTE1", "FolderSync", "Bearer mute-1").await;
        assert_eq!(offered(&answer), [OFFERS[0]], "as the mail server says where tokens are had");
        let (status, words) = text(answer).await;
        assert!(status == 401 && words.contains("does not say whose this token is"), "{words}");
    }
    assert_eq!((mail.count("who"), mail.count("FolderSync")), (1, 0));
    assert!(site.device("MUTE1").await.is_none());
    // 2.5 cannot ask.
    let request = axum::http::Request::post("/").header("MS-ASProtocolVersion", "2.5");
    let path = "/Microsoft-Server-ActiveSync?Cmd=FolderSync&DeviceId=OLD1&DeviceType=iPhone&User=x";
    let old = site.send(request.header("authorization", "Bearer ann-9"), path, Body::empty()).await;
    assert_eq!(old.status(), 401);
    let ann = site.holder("ANN2", ANN).await;
    for (token, got) in [
        ("Bearer mute-1", passed()),
        ("Bearer ann-1", passed()),
        ("Bearer bob-1", Got::Http(403)),
        ("Bearer nobody", Got::Http(401)),
    ] {
        for _ in 0..2 {
            assert_eq!(ann.ask(&site, "FolderSync", &[("authorization", token)]).await, got, "{token}");
        }
    }
    assert_eq!(site.device("ANN2").await.unwrap().user, ANN);
    let other = site.holder("ANN3", "ann.b@example.org").await;
    assert_eq!(other.ask(&site, "FolderSync", &[("authorization", "Bearer ann-1")]).await, passed(), "by any address");
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_token_yet_hears_from_the_mail_server_where_to_get_one() {
    let mail = Exchange::new().await;
    let site = mail.site().await;
    for said in ["Bearer", "Bearer ", "bearer"] {
        let options = axum::http::Request::builder().method("OPTIONS");
        let options = site.send(with(options, &[("authorization", said)]), super::super::PATH, Body::empty()).await;
        let posted = post(&site, "A1", "FolderSync", said).await;
        for answer in [options, posted] {
            assert_eq!((answer.status().as_u16(), offered(&answer)), (401, vec![OFFERS[0].into(), OFFERS[2].into()]));
        }
    }
    assert_eq!(mail.count("OPTIONS"), 1, "asked once a minute");
    for number in 0..40 {
        assert_eq!(ask(&site, "A1", "FolderSync", &format!("Bearer made-up-{number}")).await, Got::Http(401));
    }
    assert_eq!(ask(&site, "A1", "FolderSync", "Bearer ann-1").await, passed(), "tokens end, and are no guesses");
    assert_eq!(site.device("A1").await.unwrap().state(), "quarantined");
    assert_eq!(mail.count("FolderSync"), 1, "its folders alone");
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_ended_keeps_no_phone_from_its_wipe() {
    let mail = Exchange::new().await;
    let site = mail.site().await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "allow")).await;
    assert_eq!(ask(&site, "ANN1", "FolderSync", "Bearer ann-1").await, passed());
    let wipe = site.wipe("ANN1", life::Scope::Full, 0).await;
    *mail.ended.lock().unwrap() = Some("ann-1".into());
    assert_eq!(ask(&site, "ANN1", "FolderSync", "Bearer ann-1").await, Got::Status(140), "as it is remembered");
    *mail.ended.lock().unwrap() = Some("ann-3".into());
    assert_eq!(ask(&site, "ANN1", "FolderSync", "Bearer ann-3").await, Got::Status(140), "as it says of itself");
    assert_eq!(ask(&site, "ANN9", "FolderSync", "Bearer ann-3").await, Got::Http(401));
    assert_eq!(site.command(wipe.id).await.evidence.len(), 0);
    site.end().await;
}

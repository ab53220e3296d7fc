//! What is no ActiveSync and comes here because the mail server's name does.

use super::*;
use axum::http::{HeaderMap, request::Builder};

/// What reached the mail server.
#[derive(Debug, Clone)]
struct Came {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

type Log = Arc<Mutex<Vec<Came>>>;

/// A mail server that asks for ANN's login where a path begins with `ews`, and sends browsers about.
async fn exchange() -> (String, Log) {
    let log = Log::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let router = Router::new().fallback(serve_other).with_state(log.clone());
    drop(tokio::spawn(async move { axum::serve(listener, router).await }));
    (format!("http://{at}/eas"), log)
}

async fn serve_other(State(log): State<Log>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let host = head.headers["host"].to_str().unwrap().to_string();
    let said = head.headers.get(header::AUTHORIZATION).cloned();
    let target = head.uri.path_and_query().unwrap().to_string();
    if !head.headers.contains_key("x-forwarded-for") {
        // Only a look whether it is there, once a minute, passes nothing on.
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let came = Came { method: head.method.clone(), target: target.clone(), headers: head.headers, body: body.clone() };
    log.lock().unwrap().push(came);
    let basic_offers = [(header::WWW_AUTHENTICATE, "Negotiate"), (header::WWW_AUTHENTICATE, "Basic realm=\"x\"")];
    let other_offers = [(header::WWW_AUTHENTICATE, "NTLM"), (header::WWW_AUTHENTICATE, "Bearer")];
    let path = target.to_ascii_lowercase();
    let knows = said.as_ref().is_some_and(|said| said == &basic(ANN, WORD) || said == "Bearer token");
    if path.starts_with("/eas") && head.method == Method::OPTIONS && knows {
        return [("MS-ASProtocolVersions", "14.1"), ("MS-ASProtocolCommands", "Sync")].into_response();
    }
    if path.contains("only-tokens") && !knows {
        return (StatusCode::UNAUTHORIZED, axum::response::AppendHeaders(other_offers)).into_response();
    }
    if (path.starts_with("/ews") || path.starts_with("/eas")) && !knows {
        return (StatusCode::UNAUTHORIZED, axum::response::AppendHeaders(basic_offers)).into_response();
    }
    let to = |place: String| (StatusCode::FOUND, [(header::LOCATION, place)]).into_response();
    match path.as_str() {
        "/owa" => to(format!("http://{host}/owa/auth?x=1")),
        "/owa/name" => to("https://mail.example.org/owa/".into()),
        "/owa/adfs" => to("https://adfs.example.org/adfs/ls".into()),
        "/oab/x" if head.method == Method::HEAD => [(header::CONTENT_LENGTH, "12345")].into_response(),
        _ => {
            let cookies = [(header::SET_COOKIE, "a=1; path=/"), (header::SET_COOKIE, "b=2; path=/")];
            (axum::response::AppendHeaders(cookies), [("X-Beside", "1")], [b"of ", &body[..]].concat()).into_response()
        }
    }
}

async fn text(answer: Response<Incoming>) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// ANN's login is known to be right.
async fn proved(site: &Site, log: &Log) {
    assert_eq!(site.send(ann("OPTIONS"), super::super::PATH, Body::empty()).await.status(), 200);
    log.lock().unwrap().clear();
}

fn by(method: &str) -> Builder {
    axum::http::Request::builder().method(method)
}

fn ann(method: &str) -> Builder {
    by(method).header(header::AUTHORIZATION, basic(ANN, WORD))
}

const OUTLOOK: &str = "<Autodiscover><Request><EMailAddress>ann@example.org</EMailAddress><AcceptableResponseSchema>\
http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema></Request></Autodiscover>";

async fn off(site: &Site) {
    site.run(|tx, local| settings::set(tx, &local, "eas.pass_other", "off")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_are_taken_in_any_letters() {
    let site = Site::new().await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "allow")).await;
    for path in ["/MICROSOFT-SERVER-ACTIVESYNC", "/microsoft-Server-activesync/", "/Microsoft-Server-Activesync"] {
        assert_eq!(site.send(ann("OPTIONS"), path, Body::empty()).await.status(), 200, "{path}");
        let request = ann("POST").header("MS-ASProtocolVersion", "14.1");
        let asked = format!("{path}?Cmd=FolderSync&DeviceId=ApplA&DeviceType=iPhone&User=x");
        assert_eq!(read(site.send(request, &asked, Body::empty()).await).await, passed(), "{path}");
        let wrong = site.send(ann("GET"), path, Body::empty()).await;
        assert_eq!((wrong.status().as_u16(), &wrong.headers()["allow"]), (405, &"POST,OPTIONS".parse().unwrap()));
    }
    for path in ["/AUTODISCOVER/AUTODISCOVER.XML", "/autoDiscover/autodiscover.Xml/"] {
        let asked = "<Autodiscover><Request><EMailAddress>a@b</EMailAddress></Request></Autodiscover>";
        let answer = site.send(by("POST"), path, Body::from(asked)).await;
        assert!(text(answer).await.contains("<Type>MobileSync</Type>"), "{path}");
        assert_eq!(site.send(by("GET"), path, Body::empty()).await.status(), 405);
    }
    for path in ["/", "/nothing", "/ecp/", "/autodiscover/", "/rpc/rpcproxy.dll", "/powershell", "/eas"] {
        assert_eq!(site.send(ann("GET"), path, Body::empty()).await.status(), 404, "{path}");
    }
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn autodiscover_in_json_names_us_and_leaves_the_rest_to_the_mail_server() {
    let (url, log) = exchange().await;
    let site = Site::before(Some(url), Seen::default()).await;
    let get = async |path: &str| {
        let answer = site.send(by("GET"), path, Body::empty()).await;
        (answer.status().as_u16(), text(answer).await)
    };
    let here = &site.server.public_url;
    let active_sync = format!("{{\"Protocol\":\"ActiveSync\",\"Url\":\"{here}/Microsoft-Server-ActiveSync\"}}");
    for path in [
        "/autodiscover/autodiscover.json?Email=ann%40example.org&Protocol=ActiveSync&RedirectCount=1",
        "/autodiscover/autodiscover.json?email=nobody%40example.org&protocol=ACTIVESYNC",
        "/Autodiscover/AutoDiscover.json/v1.0/ann%40example.org?Protocol=activesync",
        "/autodiscover/autodiscover.json/v1.0/nobody@example.net?Protocol=ActiveSync",
    ] {
        assert_eq!(get(path).await, (200, active_sync.clone()), "{path}");
    }
    let v1 = format!("{{\"Protocol\":\"AutodiscoverV1\",\"Url\":\"{here}/autodiscover/autodiscover.xml\"}}");
    assert_eq!(get("/autodiscover/autodiscover.json?Protocol=autodiscoverv1").await, (200, v1));
    let head = site.send(by("HEAD"), "/autodiscover/autodiscover.json?Protocol=ActiveSync", Body::empty()).await;
    assert_eq!(
        (head.status().as_u16(), head.headers()["content-type"].to_str().unwrap()),
        (200, "application/json; charset=utf-8")
    );
    assert_eq!(site.send(by("POST"), "/autodiscover/autodiscover.json", Body::empty()).await.status(), 405);
    assert!(log.lock().unwrap().is_empty(), "none of it is the mail server's to answer");
    let ews = "/autodiscover/autodiscover.json/v1.0/ann%40example.org?Protocol=Ews";
    assert_eq!(get(ews).await, (200, "of ".into()));
    assert_eq!(log.lock().unwrap()[0].target, ews);
    let missing = get("/autodiscover/autodiscover.json?Email=a%40b").await;
    assert!(missing.0 == 400 && missing.1.contains("MandatoryParameterMissing"), "{missing:?}");
    off(&site).await;
    let none = get(ews).await;
    assert!(none.0 == 400 && none.1.starts_with("{\"ErrorCode\":\"InvalidProtocol\",\"ErrorMessage\":"), "{none:?}");
    assert_eq!(log.lock().unwrap().len(), 1);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outlook_asks_the_mail_server_where_it_is() {
    let (url, log) = exchange().await;
    let site = Site::before(Some(url), Seen::default()).await;
    proved(&site, &log).await;
    for path in ["/autodiscover/autodiscover.xml", "/AUTODISCOVER/autodiscover.XML"] {
        let request = ann("POST").header(header::CONTENT_TYPE, "text/xml");
        let answer = site.send(request, path, Body::from(OUTLOOK)).await;
        assert_eq!((answer.status().as_u16(), text(answer).await), (200, format!("of {OUTLOOK}")));
        let came = log.lock().unwrap().pop().unwrap();
        assert_eq!(
            (came.target.as_str(), came.headers["authorization"].to_str().unwrap()),
            (path, basic(ANN, WORD).as_str())
        );
    }
    off(&site).await;
    let answer = site.send(ann("POST"), "/autodiscover/autodiscover.xml", Body::from(OUTLOOK)).await;
    assert!(text(answer).await.contains("<Message>This server answers mobile clients only.</Message>"));
    assert!(log.lock().unwrap().is_empty());
    site.end().await;
    let site = Site::before(None, Seen::default()).await;
    let answer = site.send(ann("POST"), "/autodiscover/autodiscover.xml", Body::from(OUTLOOK)).await;
    assert!(text(answer).await.contains("mobile clients only"));
    assert_eq!(site.send(ann("GET"), "/owa/", Body::empty()).await.status(), 404);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_the_mail_servers_goes_there_as_it_came() {
    let (url, log) = exchange().await;
    let site = Site::before(Some(url), Seen::default()).await;
    proved(&site, &log).await;
    let passed = [
        ("X-AnchorMailbox", "ann@example.org"),
        ("X-ClientInfo", "{1}:2"),
        ("X-RequestId", "{3}:4"),
        ("X-RequestType", "Connect"),
        ("client-request-id", "5"),
        ("SOAPAction", "\"GetFolder\""),
        ("Range", "bytes=1-2"),
        ("Cookie", "a=1"),
        ("Accept-Encoding", "gzip"),
        ("Content-Type", "text/xml"),
    ];
    for path in [
        "/EWS/Exchange.asmx?x=%2F..%2f&y",
        "/mapi/emsmdb/?MailboxId=a@b",
        "/oab/1/oab.xml",
        "/owa/",
        "/Autodiscover/Autodiscover.svc/WSSecurity",
    ] {
        for method in ["GET", "POST", "PUT", "DELETE", "PROPFIND"] {
            let mut request = ann(method).header("X-Forwarded-For", "1.2.3.4").header("Remote-User", "root");
            for (name, value) in passed {
                request = request.header(name, value);
            }
            let answer = site.send(request, path, Body::from("words")).await;
            assert_eq!(answer.status(), 200, "{method} {path}");
            assert_eq!(answer.headers()["x-beside"], "1");
            assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 2);
            assert_eq!(text(answer).await, "of words");
            let came = log.lock().unwrap().pop().unwrap();
            assert_eq!((came.method.as_str(), came.target.as_str(), &came.body[..]), (method, path, &b"words"[..]));
            for (name, value) in passed {
                assert_eq!(came.headers[name], value, "{name}");
            }
            assert_eq!(came.headers["authorization"], basic(ANN, WORD));
            assert_eq!(came.headers["x-forwarded-for"], "127.0.0.1");
            assert!(!came.headers.contains_key("remote-user") && !came.headers.contains_key("x-ms-policykey"));
        }
    }
    let large = vec![7_u8; 3_000_000];
    let answer = site.send(ann("POST"), "/ews/Exchange.asmx", Body::from(large)).await;
    assert_eq!(text(answer).await.len(), 3_000_003);
    assert_eq!(site.send(by("HEAD"), "/oab/x", Body::empty()).await.headers()["content-length"], "12345");
    log.lock().unwrap().clear();
    off(&site).await;
    for path in ["/ews/a", "/mapi/", "/oab", "/owa/", "/autodiscover/autodiscover.svc"] {
        assert_eq!(site.send(ann("POST"), path, Body::empty()).await.status(), 404, "{path}");
    }
    assert!(log.lock().unwrap().is_empty());
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_might_mean_another_path_is_refused() {
    let (url, log) = exchange().await;
    let site = Site::before(Some(url), Seen::default()).await;
    for path in
        ["/ews/../ecp", "/ews/%2e%2e/ecp", "/owa//x", "/owa/..%2fx", "/owa/a%5cb", "/ews/..;/x", "/owa/%252e%252e/"]
    {
        assert_eq!(site.send(ann("GET"), path, Body::empty()).await.status(), 400, "{path}");
    }
    assert!(log.lock().unwrap().is_empty());
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_beside_are_counted_like_all() {
    let (url, log) = exchange().await;
    let site = Site::before(Some(url), Seen::default()).await;
    site.run(|tx, local| settings::set(tx, &local, "eas.wrong_passwords_per_hour", "3")).await;
    let with = async |said: Option<String>, path: &str| {
        let request = said.into_iter().fold(by("POST"), |request, said| request.header("authorization", said));
        site.send(request, path, Body::empty()).await
    };
    let came = || std::mem::take(&mut *log.lock().unwrap());
    for said in [None, Some("NTLM abc".to_string()), Some("Negotiate abc".into()), Some("Bearer old".into())] {
        for _ in 0..4 {
            let answer = with(said.clone(), "/ews/a").await;
            assert_eq!(answer.status(), 401);
            let offers: Vec<_> = answer.headers().get_all("www-authenticate").iter().collect();
            assert_eq!(offers, ["Basic realm=\"x\""], "what holds for a connection is not offered");
        }
        let bearer = said.as_deref().filter(|said| said.starts_with("Bearer"));
        for came in came() {
            assert_eq!(came.headers.get("authorization").map(|v| v.to_str().unwrap()), bearer);
        }
    }
    assert_eq!(with(Some("Bearer token".into()), "/ews/a").await.status(), 200);
    for _ in 0..5 {
        // Passwords are not looked at there.
        assert_eq!(with(Some(basic(ANN, "other")), "/ews/only-tokens").await.status(), 401);
    }
    assert_eq!(came().len(), 6);
    for _ in 0..3 {
        assert_eq!(site.send(ann("POST"), "/ews/a", Body::empty()).await.status(), 200);
    }
    let asked = came().iter().filter(|came| came.method == Method::OPTIONS).count();
    assert_eq!(asked, 3, "its login is proved by ActiveSync, once; and that ActiveSync asks for one");
    for word in ["1", "2", "3"] {
        for _ in 0..3 {
            assert_eq!(with(Some(basic(ANN, word)), "/ews/a").await.status(), 401);
        }
    }
    assert_eq!(came().len(), 3, "the same again is refused here");
    for (user, path) in [(ANN, "/ews/a"), ("bob@example.org", "/owa/"), (ANN, "/eas")] {
        let path = if path == "/eas" { super::super::PATH } else { path };
        let request = by("OPTIONS").header("authorization", basic(user, "4"));
        let answer = site.send(request, path, Body::empty()).await;
        assert_eq!(answer.status(), 503, "{user} {path}: its user, or its address");
        assert!(answer.headers().contains_key("retry-after"));
    }
    assert_eq!(came().len(), 0);
    assert_eq!(site.send(ann("POST"), "/ews/a", Body::empty()).await.status(), 200, "who got in is shut out by nobody");
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_everybody_may_read_proves_no_login_and_hides_no_guess() {
    let (url, log) = exchange().await;
    let site = Site::before(Some(url), Seen::default()).await;
    site.run(|tx, local| settings::set(tx, &local, "eas.wrong_passwords_per_hour", "3")).await;
    let ask = async |path: &str, word: &str| {
        let request = by("GET").header("authorization", basic(ANN, word));
        site.send(request, path, Body::empty()).await.status().as_u16()
    };
    for word in ["1", "2", "3"] {
        assert_eq!(ask("/owa/auth", word).await, 200);
    }
    log.lock().unwrap().clear();
    assert_eq!(ask("/owa/auth", "4").await, 503);
    assert_eq!(ask("/ews/a", "1").await, 503, "no exception for what a page answered");
    assert!(log.lock().unwrap().is_empty());
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browsers_are_not_sent_past_us() {
    let (url, _) = exchange().await;
    let site = Site::before(Some(url), Seen::default()).await;
    let to = async |path: &str| {
        let answer = site.send(by("GET"), path, Body::empty()).await;
        assert_eq!(answer.status(), 302);
        answer.headers()["location"].to_str().unwrap().to_string()
    };
    let here = &site.server.public_url;
    assert_eq!(to("/owa").await, format!("{here}/owa/auth?x=1"));
    assert_eq!(to("/owa/name").await, format!("{here}/owa/"));
    assert_eq!(to("/owa/adfs").await, "https://adfs.example.org/adfs/ls");
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_wrong_passwords_at_once_are_no_more_beside_and_right_ones_wait_for_each_other() {
    let (url, log) = exchange().await;
    let site = Site::before(Some(url), Seen::default()).await;
    site.run(|tx, local| settings::set(tx, &local, "eas.wrong_passwords_per_hour", "3")).await;
    let at_once = async |word: fn(u16) -> String| {
        let asked = (0..20).map(|number| {
            let (client, url) = (site.client.clone(), format!("{}/ews/a", site.server.public_url));
            let request = by("POST").header("authorization", basic(ANN, &word(number))).uri(url).body(Body::empty());
            tokio::spawn(async move { client.send(request.unwrap()).await.unwrap().status().as_u16() })
        });
        let mut got = Vec::new();
        for asked in asked.collect::<Vec<_>>() {
            got.push(asked.await.unwrap());
        }
        got
    };
    let right = at_once(|_| WORD.into()).await;
    assert_eq!(right, [200; 20], "an office that comes at once");
    log.lock().unwrap().clear();
    let wrong = at_once(|number| number.to_string()).await;
    let count = |status| wrong.iter().filter(|got| **got == status).count();
    assert_eq!((count(401), count(503)), (3, 17));
    assert_eq!(log.lock().unwrap().len(), 3, "no more of them reach the mail server");
    site.end().await;
}

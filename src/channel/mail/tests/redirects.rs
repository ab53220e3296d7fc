//! Before a mail server that sends requests elsewhere.

use super::*;

/// What the first server says of where to ask, and what came to it and to the other.
struct Sends {
    /// Status and address; none: it answers itself.
    to: Option<(u16, String)>,
    first: Vec<String>,
    other: Vec<(String, usize)>,
}

type Shared = Arc<Mutex<Sends>>;

async fn listen(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(tokio::spawn(async move { axum::serve(listener, router).await }));
    url
}

/// Two of them, of which the first is the gateway's.
async fn two() -> (String, String, Shared) {
    let shared = Arc::new(Mutex::new(Sends { to: None, first: vec![], other: vec![] }));
    let first = listen(Router::new().fallback(first).with_state(shared.clone())).await;
    let other = listen(Router::new().fallback(other).with_state(shared.clone())).await;
    (first, other, shared)
}

fn offer(request: &Request) -> Option<Response<Body>> {
    let known = request.headers().get(header::AUTHORIZATION).is_some_and(|said| said == &basic(ANN, WORD));
    if !known {
        return Some((StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"m\"")]).into_response());
    }
    let offers = [("MS-ASProtocolVersions", "14.1"), ("MS-ASProtocolCommands", "Sync")];
    (request.method() == Method::OPTIONS).then(|| offers.into_response())
}

async fn first(State(shared): State<Shared>, request: Request) -> Response<Body> {
    assert_eq!(request.headers()["x-lanyard-passed"], "localhost");
    let target = request.uri().path_and_query().unwrap().to_string();
    let to = {
        let mut shared = shared.lock().unwrap();
        shared.first.push(format!("{} {target}", request.method()));
        shared.to.clone().filter(|_| !target.starts_with("/there"))
    };
    let Some((status, to)) = to else {
        return offer(&request).unwrap_or_else(|| "from the mail server".into_response());
    };
    let name = if status == 451 { "X-MS-Location" } else { "Location" };
    (StatusCode::from_u16(status).unwrap(), [(name, to)]).into_response()
}

async fn other(State(shared): State<Shared>, request: Request) -> Response<Body> {
    if let Some(answer) = offer(&request) {
        return answer;
    }
    let target = request.uri().path_and_query().unwrap().to_string();
    let length = request.into_body().collect().await.unwrap().to_bytes().len();
    shared.lock().unwrap().other.push((target, length));
    "from the other".into_response()
}

fn from_other() -> Got {
    Got::Mail("from the other".into())
}

async fn before(first: &str) -> Site {
    let site = Site::before(Some(format!("{first}/eas")), Seen::default()).await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "allow")).await;
    site
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_is_followed_whatever_was_asked() {
    let (first, other, shared) = two().await;
    for status in [301, 302, 307, 308] {
        let site = before(&first).await;
        shared.lock().unwrap().to = Some((status, "/there?x=1".into()));
        let options = axum::http::Request::builder().method("OPTIONS").header("authorization", basic(ANN, WORD));
        let offer = site.send(options, super::super::PATH, Body::empty()).await;
        assert_eq!(
            (offer.status().as_u16(), &offer.headers()["ms-asprotocolversions"]),
            (200, &"14.1".parse().unwrap())
        );
        let phone = Phone::new("ApplA");
        assert_eq!(phone.ask(&site, "FolderSync").await, passed(), "{status}");
        let last = shared.lock().unwrap().first.pop().unwrap();
        assert!(last.starts_with("POST /there?Cmd=FolderSync&"), "{last}");
        shared.lock().unwrap().to = Some((status, format!("{other}/else")));
        assert_eq!(read(phone.post(&site, "SendMail", vec![7; 60_000]).await).await, from_other(), "{status}");
        let (target, length) = shared.lock().unwrap().other.pop().unwrap();
        assert!(target.starts_with("/else?Cmd=SendMail&") && length == 60_000, "{target}: {length}");
        let wrong = Phone { word: "wrong", ..phone.clone() };
        assert_eq!(wrong.ask(&site, "FolderSync").await, Got::Http(401), "{status}");
        site.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_repeated_comes_again_and_goes_there() {
    let (first, other, shared) = two().await;
    let site = before(&first).await;
    let phone = Phone::new("ApplA");
    assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    shared.lock().unwrap().to = Some((307, format!("{other}/else")));
    for command in ["SendMail", "Ping"] {
        let body = vec![7; if command == "Ping" { 0 } else { 300_000 }];
        let sent = phone.post(&site, command, body.clone()).await;
        // The first is told to come again; the second goes there at once.
        if command == "SendMail" {
            assert_eq!(sent.status().as_u16(), 451);
            assert_eq!(sent.headers()["x-ms-location"], format!("{}{}", site.server.public_url, super::super::PATH));
            assert!(!sent.headers().contains_key("location"));
            assert_eq!(read(phone.post(&site, command, body).await).await, from_other());
        } else {
            assert_eq!(read(sent).await, from_other());
        }
    }
    assert_eq!(shared.lock().unwrap().other[0].1, 300_000);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_redirect_is_handed_on_or_followed_for_ever() {
    let (first, _, shared) = two().await;
    let site = before(&first).await;
    let phone = Phone::new("ApplA");
    assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    for (status, to) in
        [(302, "/eas"), (303, "/there"), (300, "/there"), (301, "ftp://x/y"), (308, "there"), (302, "//x/y")]
    {
        shared.lock().unwrap().first.clear();
        shared.lock().unwrap().to = Some((status, to.into()));
        for body in [vec![], vec![7; 300_000]] {
            let answer = phone.post(&site, "SendMail", body).await;
            assert_eq!(answer.status(), 503, "{status} {to}");
            assert!(!answer.headers().contains_key("location"));
        }
        assert!(shared.lock().unwrap().first.len() <= 5, "{status} {to}");
        let options = axum::http::Request::builder().method("OPTIONS").header("authorization", basic(ANN, "other"));
        assert_eq!(site.send(options, super::super::PATH, Body::empty()).await.status(), 503, "{status} {to}");
    }
    // A circle is found out by what our own requests carry.
    for (method, path) in [("OPTIONS", super::super::PATH), ("POST", super::super::PATH), ("GET", "/owa/")] {
        let back = axum::http::Request::builder().method(method).header("x-lanyard-passed", "localhost");
        let back = back.header("authorization", basic(ANN, WORD));
        assert_eq!(site.send(back, path, Body::empty()).await.status(), 508, "{method} {path}");
    }
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_moved_is_found_by_options_and_beside_too() {
    let (first, other, shared) = two().await;
    let site = before(&first).await;
    for (status, length) in [(302, 0), (307, 1000)] {
        shared.lock().unwrap().to = Some((status, format!("{other}/EWS/Exchange.asmx?x=1")));
        let request = axum::http::Request::post("/").header("authorization", basic(ANN, WORD));
        let answer = site.send(request, "/EWS/Exchange.asmx?x=1", Body::from(vec![7; length])).await;
        assert_eq!(read(answer).await, from_other());
        assert_eq!(shared.lock().unwrap().other.pop().unwrap(), ("/EWS/Exchange.asmx?x=1".to_string(), length));
    }
    shared.lock().unwrap().to = Some((451, format!("{other}/else")));
    let options = axum::http::Request::builder().method("OPTIONS").header("authorization", basic(ANN, WORD));
    let offer = site.send(options, super::super::PATH, Body::empty()).await;
    assert_eq!(offer.status(), 200);
    let phone = Phone::new("ApplA");
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Http(451), "to us, once");
    assert_eq!(phone.ask(&site, "FolderSync").await, from_other());
    site.end().await;
}

//! Mail servers that are at fault.

use super::*;

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
        let steps = super::super::steps(&site.server, Some((ANN, Some(word)))).await;
        let end = steps.last().unwrap();
        assert_eq!((end.step, end.ok), (last, ok), "{steps:?}");
        assert!(end.detail.contains(part) && steps.iter().rev().skip(1).all(|step| step.ok), "{steps:?}");
        let wrong = super::super::check::wrong(&site.server).await;
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
        let steps = super::super::steps(&site.server, None).await;
        assert_eq!(steps.last().map(|step| (step.step, step.ok)), Some((last, false)), "{steps:?}");
        site.end().await;
    }
}

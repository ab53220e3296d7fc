//! Clients that wait to be let in: an account, one message in it, and nothing else.

use super::*;
use crate::fleet::enrol::waiting::Waiting;
use lanyard_activesync::{
    pages::{air_sync, base, email, folders},
    ping,
};

const INBOX: &str = "7";

/// The mail server's own list: all folders, or that nothing has changed.
pub(super) fn folders(asked: &[u8]) -> Vec<u8> {
    let root = decoded(asked);
    let text = |tag, text: &str| Element::text_of(tag, text);
    let folder =
        |id: &str, kind: &str| Element::of(folders::ADD, [text(folders::SERVER_ID, id), text(folders::TYPE, kind)]);
    let all = root.child_text(folders::SYNC_KEY) == Some("0");
    let listed = if all { vec![folder("3", "4"), folder(INBOX, "2")] } else { vec![] };
    let parts = [text(folders::STATUS, "1"), text(folders::SYNC_KEY, "1"), Element::of(folders::CHANGES, listed)];
    encoded(&Element::of(folders::FOLDER_SYNC, parts))
}

fn decoded(body: &[u8]) -> Element {
    lanyard_wbxml::decode(body, &pages::PAGES, &Limits::SMALL).unwrap().root
}

fn encoded(root: &Element) -> Vec<u8> {
    lanyard_wbxml::encode(&lanyard_wbxml::Header::ACTIVESYNC, root)
}

fn folder_sync(key: &str) -> Vec<u8> {
    encoded(&Element::of(folders::FOLDER_SYNC, [Element::text_of(folders::SYNC_KEY, key)]))
}

fn sync(key: &str, wait: Option<u32>) -> Vec<u8> {
    let named = [Element::text_of(air_sync::SYNC_KEY, key), Element::text_of(air_sync::COLLECTION_ID, INBOX)];
    let all = Element::of(air_sync::COLLECTIONS, [Element::of(air_sync::COLLECTION, named)]);
    let wait = wait.map(|seconds| Element::text_of(air_sync::HEARTBEAT_INTERVAL, seconds.to_string()));
    encoded(&Element::of(air_sync::SYNC, [all].into_iter().chain(wait)))
}

fn pinged(seconds: u32) -> Vec<u8> {
    let folders = vec![ping::Folder { id: INBOX.into(), class: "Email".into() }];
    ping::Request { heartbeat_seconds: Some(seconds), folders: Some(folders) }.encode()
}

impl Phone {
    async fn said(&self, site: &Site, command: &str, body: Vec<u8>) -> Element {
        let answer = self.post(site, command, body).await;
        assert_eq!(answer.status(), 200);
        decoded(&answer.into_body().collect().await.unwrap().to_bytes())
    }

    /// Key and status of the inbox.
    async fn synced(&self, site: &Site, key: &str) -> (String, String) {
        let root = self.said(site, "Sync", sync(key, None)).await;
        (text_of(&root, "SyncKey").unwrap_or_default(), text_of(&root, "Status").unwrap())
    }

    /// The account is made: its folders, and the message in its inbox, with the key that has it.
    async fn set_up(&self, site: &Site) -> (Element, String) {
        let folders = self.said(site, "FolderSync", folder_sync("0")).await;
        assert!(text_of(&folders, "ServerId").is_some(), "the mail server's own folders");
        let (key, status) = self.synced(site, "0").await;
        assert_eq!(status, "1");
        let root = self.said(site, "Sync", sync(&key, None)).await;
        let mail = root.path(&[air_sync::COLLECTIONS, air_sync::COLLECTION, air_sync::COMMANDS, air_sync::ADD]);
        (mail.unwrap().clone(), text_of(&root, "SyncKey").unwrap())
    }
}

impl Site {
    async fn waiting(&self, name: &'static str) -> Waiting {
        let device = self.device(name).await.unwrap();
        Waiting::of(&device, device.enrolments[0].id).unwrap()
    }

    async fn quarantine(&self, name: &'static str) {
        self.run(move |tx, local| access::set(tx, &local, name, None, life::Access::Quarantine, "")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_has_an_account_with_one_message_in_it() {
    let site = Site::new().await;
    let phone = Phone::new("W1");
    let (mail, told) = phone.set_up(&site).await;
    let data = mail.path(&[air_sync::APPLICATION_DATA, base::BODY, base::DATA]).unwrap().text().unwrap();
    let (device, waiting) = (site.device("W1").await.unwrap(), site.waiting("W1").await);
    let link = format!("{}/claim/{}\r\n", site.server.enrol_url, device.id);
    assert!(data.contains(&link) && data.contains(&waiting.code) && data.contains("iPhone"), "{data}");
    assert_eq!(waiting.inbox.as_deref(), Some(INBOX));
    assert!(waiting.code.len() >= 14, "{}", waiting.code);
    assert_eq!(mail.path(&[air_sync::APPLICATION_DATA, email::TO]).unwrap().text(), Some(ANN));
    assert_eq!(phone.synced(&site, &told).await, (told.clone(), "1".into()), "once");
    assert_eq!(phone.synced(&site, "4711").await, ("0".into(), "3".into()));
    // What cannot be had yet is tried again later; nothing is denied for good.
    for command in ["SendMail", "Search", "MoveItems", "FolderCreate", "ResolveRecipients", "MeetingResponse"] {
        assert_eq!(phone.ask(&site, command).await, Got::Status(111), "{command}");
    }
    let old = Phone { version: Version::V12_1, ..phone.clone() };
    assert_eq!(old.ask(&site, "SendMail").await, Got::Http(503));
    assert_eq!(site.came_through(), ["FolderSync"]);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_let_in_a_client_begins_anew_and_the_message_is_gone() {
    let site = Site::new().await;
    let phone = Phone::new("L1");
    let (_, told) = phone.set_up(&site).await;
    let started = clock::monotonic();
    let decided = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        site.allow("L1").await;
    };
    let (pinged, synced, ()) = tokio::join!(
        async { read(phone.post(&site, "Ping", pinged(900)).await).await },
        async { phone.said(&site, "Sync", sync(&told, Some(900))).await },
        decided
    );
    assert!(clock::since(started) < Duration::from_secs(10));
    assert_eq!(pinged, Got::Status(7));
    let said = |root: &Element| (text_of(root, "SyncKey").unwrap(), text_of(root, "Status").unwrap());
    assert_eq!(said(&synced), ("0".into(), "3".into()), "a held Sync ends as well");
    assert_eq!(
        phone.synced(&site, &told).await,
        ("0".into(), "3".into()),
        "no mail server is asked what our key means"
    );
    assert_eq!(site.came_through(), ["FolderSync"]);
    let mut real = phone.post(&site, "Sync", sync("0", None)).await.into_body();
    assert_eq!(real.frame().await.unwrap().unwrap().into_data().unwrap(), "piece", "its own mail");
    assert_eq!(site.came_through(), ["FolderSync", "Sync"]);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_quarantined_later_asks_for_its_folders_anew_and_hears_why() {
    let site = Site::new().await;
    site.run(|tx, local| settings::set(tx, &local, "eas.unknown", "allow")).await;
    let phone = Phone::new("Q1");
    assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    let shut = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        site.quarantine("Q1").await;
    };
    let (held, ()) = tokio::join!(phone.ask(&site, "Ping"), shut);
    assert_eq!(held, Got::Status(7));
    let (got, want) = (phone.said(&site, "Sync", sync("88", None)).await, Some("12"));
    assert_eq!(text_of(&got, "Status").as_deref(), want, "its folders first: which is the inbox is not known");
    assert_eq!(read(phone.post(&site, "Ping", pinged(900)).await).await, Got::Status(7));
    let got = phone.said(&site, "FolderSync", folder_sync("1")).await;
    assert_eq!(text_of(&got, "Status").as_deref(), Some("9"), "all of them");
    let (first, told) = phone.set_up(&site).await;
    let before = site.waiting("Q1").await;
    // A second time of waiting has a message of its own.
    site.allow("Q1").await;
    assert_eq!(phone.synced(&site, &told).await.1, "3");
    site.quarantine("Q1").await;
    assert_eq!(phone.synced(&site, &told).await, (String::new(), "12".into()));
    let (second, _) = phone.set_up(&site).await;
    assert_ne!(text_of(&first, "ServerId"), text_of(&second, "ServerId"));
    assert_ne!(before.code, site.waiting("Q1").await.code);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heartbeat_is_of_a_length_that_is_taken_and_said_each_time() {
    let site = Site::new().await;
    let phone = Phone::new("H1");
    phone.set_up(&site).await;
    assert_eq!(phone.ask(&site, "Ping").await, Got::Status(3));
    assert_eq!(read(phone.post(&site, "Ping", pinged(5)).await).await, Got::Status(5));
    assert_eq!(read(phone.post(&site, "Ping", pinged(9999)).await).await, Got::Status(5));
    // A second one takes the first one's place.
    let second = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        drop(tokio::time::timeout(Duration::from_secs(1), phone.post(&site, "Ping", pinged(900))).await);
    };
    let (first, ()) = tokio::join!(async { read(phone.post(&site, "Ping", pinged(900)).await).await }, second);
    assert_eq!(first, Got::Status(1));
    assert_eq!(site.came_through(), ["FolderSync"]);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_five_phones_of_one_mailbox_have_a_message_each() {
    let site = Site::new().await;
    let names: Vec<&'static str> = (0..25).map(|n| &*format!("Day1x{n}").leak()).collect();
    let mut codes = std::collections::BTreeSet::new();
    for name in names {
        Phone::new(name).set_up(&site).await;
        codes.insert(site.waiting(name).await.code);
    }
    assert_eq!(codes.len(), 25);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wipe_comes_before_the_message_and_a_policy_after_it() {
    let site = Site::new().await;
    site.policy("name: p\nassign: all\npasscode: {min_length: 6}\n").await;
    let mut phone = Phone::new("P9");
    phone.set_up(&site).await;
    site.allow("P9").await;
    assert_eq!(phone.ask(&site, "FolderSync").await, Got::Status(142), "once it is let in");
    phone.provisioned(&site).await;
    assert_eq!(phone.ask(&site, "FolderSync").await, passed());
    site.quarantine("P9").await;
    site.wipe("P9", life::Scope::Full, 0).await;
    assert_eq!(read(phone.post(&site, "Sync", sync("0", None)).await).await, Got::Status(140));
    assert!(text_of(&phone.provision(&site, Said::Empty).await.unwrap(), "RemoteWipe").is_some());
    site.end().await;
}

/// What the page says to this form, and the code of HTTP.
async fn claim(site: &Site, path: &str, form: &[(&str, &str)]) -> (u16, String) {
    let percent = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let body: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect();
    let answer = site.send(axum::http::Request::post("/"), path, Body::from(body.join("&"))).await;
    let status = answer.status().as_u16();
    assert!(answer.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert!(!answer.headers().contains_key("www-authenticate"), "no browser asks by itself");
    (status, String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_person_claims_a_client_which_lets_nobody_in() {
    let site = Site::new().await;
    let phone = Phone::new("C1");
    phone.set_up(&site).await;
    let (device, code) = (site.device("C1").await.unwrap().id, site.waiting("C1").await.code);
    let path = format!("/claim/{device}");
    let shown = site.send(axum::http::Request::get("/"), &path, Body::empty()).await;
    assert_eq!(shown.status(), 200);
    assert_eq!(site.send(axum::http::Request::get("/"), "/claim/x", Body::empty()).await.status(), 400);
    let form = |word, code| [("user", ANN), ("password", word), ("code", code)];
    let (status, text) = claim(&site, &path, &form("wrong", &code)).await;
    assert_eq!((status, text.contains("does not take")), (403, true), "{text}");
    let (status, text) = claim(&site, &path, &form(WORD, "AAAA-BBBB-CCCC")).await;
    assert_eq!((status, text.contains("code is wrong")), (403, true), "{text}");
    let elsewhere = format!("/claim/{}", crate::ids::DeviceId(uuid::Uuid::new_v4()));
    assert_eq!(claim(&site, &elsewhere, &form(WORD, &code)).await.0, 403);
    // Another user's, with the right code.
    let anothers = |_: &str| false;
    let copied = code.clone();
    let refused = site.server.store.judge(move |tx| {
        let refused = crate::fleet::enrol::waiting::claim(tx, device, "bob@example.org", anothers, &copied, None);
        Ok::<_, crate::error::Denial<()>>(refused.is_err())
    });
    assert!(refused.await.unwrap());
    assert!(site.waiting("C1").await.claimed.is_none());
    let typed = code.to_lowercase().replace('-', " ");
    for _ in 0..2 {
        assert_eq!(claim(&site, &path, &form(WORD, &typed)).await.0, 200);
    }
    assert!(site.waiting("C1").await.claimed.is_some());
    assert_eq!(phone.ask(&site, "Search").await, Got::Status(111), "it still waits");
    let entries = site.run(|tx, _| crate::fleet::audit::list(tx, None, 100)).await;
    let entries = entries.iter().filter(|printed| printed.entry.action == "enrolment.claimed").count();
    assert_eq!(entries, 1, "once");
    // Wrong codes are counted; the right one is taken all the same.
    for tried in 0..12 {
        let (status, _) = claim(&site, &path, &form(WORD, "0000-0000-0000")).await;
        assert_eq!(status, if tried < 8 { 403 } else { 429 }, "{tried}");
    }
    assert_eq!(claim(&site, &path, &form(WORD, &code)).await.0, 200);
    site.allow("C1").await;
    assert_eq!(claim(&site, &path, &form(WORD, &code)).await.0, 429, "nothing waits there any more");
    site.end().await;
}

/// A server that takes mail, or refuses all of it; what came.
async fn post_office(refuses: bool) -> (String, Arc<Mutex<Vec<String>>>) {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let letters = Arc::new(Mutex::new(Vec::new()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, kept) = (format!("smtp://u:s%40cret@{}", listener.local_addr().unwrap()), letters.clone());
    drop(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let kept = kept.clone();
            drop(tokio::spawn(async move {
                let (read, mut write) = stream.into_split();
                let mut lines = BufReader::new(read).lines();
                let (mut letter, mut reading) = (String::new(), false);
                write.write_all(b"220 here\r\n").await.unwrap();
                while let Ok(Some(line)) = lines.next_line().await {
                    let answer = match (reading, line.as_str()) {
                        (true, ".") => {
                            reading = false;
                            kept.lock().unwrap().push(std::mem::take(&mut letter));
                            "250 taken"
                        }
                        (true, text) => {
                            letter.push_str(text);
                            letter.push('\n');
                            continue;
                        }
                        (false, "DATA") => {
                            reading = true;
                            "354 go on"
                        }
                        (false, text) if text.starts_with("EHLO") => "250-here\r\n250 AUTH PLAIN",
                        (false, text) if text.starts_with("AUTH") => {
                            letter = format!("{text}\n");
                            "235 known"
                        }
                        (false, text) if text.starts_with("RCPT") && refuses => "451 the disk is full",
                        (false, "QUIT") => "221 bye",
                        _ => "250 ok",
                    };
                    write.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
                }
            }));
        }
    }));
    (url, letters)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_mail_can_be_sent_its_person_is_told_once_and_the_inbox_stays_empty() {
    let (smtp, letters) = post_office(false).await;
    let (url, seen) = mail_server(Door::Asks).await;
    let site = Site::telling(Some(url), seen, Some(smtp)).await;
    let (phone, nameless) = (Phone::new("S1"), Phone { user: "ann", ..Phone::new("S2") });
    phone.said(&site, "FolderSync", folder_sync("0")).await;
    for _ in 0..100 {
        if site.waiting("S1").await.posted.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let waiting = site.waiting("S1").await;
    assert!(waiting.by_mail && waiting.posted.is_some());
    let [letter] = <[String; 1]>::try_from(letters.lock().unwrap().clone()).unwrap();
    let plain = letter.replace("=\n", "").replace("=3D", "=");
    for part in [
        format!("AUTH PLAIN {}\n", STANDARD.encode("\0u\0s@cret")),
        "To: ann@example.org\n".into(),
        "no-reply@example.org".into(),
        "Auto-Submitted: auto-generated\n".into(),
        format!("/claim/{}", site.device("S1").await.unwrap().id),
        waiting.code.clone(),
    ] {
        assert!(plain.contains(&part), "{part}: {plain}");
    }
    let (key, _) = phone.synced(&site, "0").await;
    assert_eq!(phone.synced(&site, &key).await, (key, "1".into()), "nothing in it");
    // A name that is no address hears in the client.
    nameless.set_up(&site).await;
    assert!(!site.waiting("S2").await.by_mail);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(letters.lock().unwrap().len(), 1);
    assert_eq!(site.server.smtp.as_ref().unwrap().trouble.wrong(), None);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_mail_server_does_not_take_is_told_of_without_its_password() {
    let (smtp, letters) = post_office(true).await;
    let (url, seen) = mail_server(Door::Asks).await;
    let site = Site::telling(Some(url), seen, Some(smtp)).await;
    Phone::new("S3").said(&site, "FolderSync", folder_sync("0")).await;
    let trouble = || site.server.smtp.as_ref().unwrap().trouble.wrong();
    for _ in 0..100 {
        if trouble().is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (text, _) = trouble().unwrap();
    assert!(text.contains("the disk is full") && !text.contains("s@cret"), "{text}");
    assert!(letters.lock().unwrap().is_empty() && site.waiting("S3").await.posted.is_none());
    site.end().await;
}

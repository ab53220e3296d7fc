use super::*;
use crate::pages::PAGES;
use crate::status::refusal;
use lanyard_wbxml::Limits;
use proptest::prelude::*;

fn notice() -> Notice {
    let message = Message {
        from: "\"Mail\" <no-reply@example.org>".into(),
        to: "ann@example.org".into(),
        subject: "Your device waits".into(),
        received: "2026-11-30T20:00:00.000Z".into(),
        text: "It waits.\r\nSign in at https://mdm.example.org/claim/x\r\n".into(),
    };
    Notice { id: "5f00".into(), inbox: Some("7".into()), message: Some(message) }
}

fn text(tag: Tag, text: &str) -> Element {
    Element::text_of(tag, text)
}

/// A Sync of these collections, key and id each, with what else stands in them.
fn sync(collections: &[(&str, &str, &[Element])]) -> Vec<u8> {
    let collections = collections.iter().map(|(key, id, more)| {
        let named = [text(tag::SYNC_KEY, key), text(tag::COLLECTION_ID, id)];
        Element::of(tag::COLLECTION, named.into_iter().chain(more.iter().cloned()))
    });
    crate::encode(&Element::of(tag::SYNC, [Element::of(tag::COLLECTIONS, collections)]))
}

fn root(answer: &Answer) -> Element {
    assert_eq!((answer.http, answer.content_type), (200, Some(crate::status::CONTENT_TYPE)));
    lanyard_wbxml::decode(&answer.body, &PAGES, &Limits::SMALL).unwrap().root
}

/// Key and status of each collection, and how many messages were added to it.
fn said(answer: &Answer) -> Vec<(String, String, usize)> {
    let root = root(answer);
    let all = root.child(tag::COLLECTIONS).unwrap();
    let one = |c: &Element| {
        let adds = c.child(tag::COMMANDS).map_or(0, |commands| commands.children_with(tag::ADD).count());
        (c.child_text(tag::SYNC_KEY).unwrap().to_owned(), c.child_text(tag::STATUS).unwrap().to_owned(), adds)
    };
    all.elements().map(one).collect()
}

fn row(key: &str, status: &str, adds: usize) -> (String, String, usize) {
    (key.to_owned(), status.to_owned(), adds)
}

#[test]
fn the_inbox_gets_one_message_and_the_others_nothing() {
    let notice = notice();
    let ask = |collections: &[(&str, &str, &[Element])]| {
        said(&notice.sync(&sync(collections), Version::V14_1).unwrap().answer)
    };
    let (fresh, told) = ("lanyard:5f00:0:0", "lanyard:5f00:1:0");
    assert_eq!(ask(&[("0", "7", &[]), ("0", "8", &[])]), [row(fresh, "1", 0), row(fresh, "1", 0)]);
    for _ in 0..2 {
        let got = ask(&[(fresh, "7", &[]), (fresh, "8", &[])]);
        assert_eq!(got, [row(told, "1", 1), row(fresh, "1", 0)], "a lost answer comes again");
    }
    assert_eq!(ask(&[(told, "7", &[])]), [row(told, "1", 0)], "once");
    assert_eq!(ask(&[(fresh, "7", &[text(tag::GET_CHANGES, "0")])]), [row(fresh, "1", 0)], "nobody asked for it");
    for key in ["1234567", "{uuid}3", "lanyard:0000:1:0", "lanyard:5f00", "lanyard:5f00:x:0", "lanyard:5f001:0:0", ""] {
        assert_eq!(ask(&[(key, "7", &[])]), [row("0", "3", 0)], "{key}");
    }
    let silent = Notice { message: None, ..notice.clone() };
    let got = silent.sync(&sync(&[(fresh, "7", &[])]), Version::V14_1).unwrap();
    assert_eq!(said(&got.answer), [row(fresh, "1", 0)]);
}

#[test]
fn a_sync_without_news_may_be_held_as_long_as_it_asks_for() {
    let body = |key: &str, wait: &str| {
        let collection = Element::of(tag::COLLECTION, [text(tag::SYNC_KEY, key), text(tag::COLLECTION_ID, "7")]);
        let all = Element::of(tag::COLLECTIONS, [collection]);
        crate::encode(&Element::of(tag::SYNC, [all, text(tag::HEARTBEAT_INTERVAL, wait)]))
    };
    for (key, wait, want) in [
        ("lanyard:5f00:1:0", "300", Some(300)),
        ("lanyard:5f00:1:0", "0", None),
        ("lanyard:5f00:0:0", "300", None),
        ("0", "300", None),
        ("17", "300", None),
    ] {
        let synced = notice().sync(&body(key, wait), Version::V14_1).unwrap();
        assert_eq!(synced.held_seconds, want, "{key} {wait}");
    }
}

#[test]
fn what_a_client_changes_is_answered_and_not_kept() {
    let id = |id: &str| text(tag::SERVER_ID, id);
    let commands = [Element::of(
        tag::COMMANDS,
        [
            Element::of(tag::CHANGE, [id("lanyard:5f00"), Element::of(tag::APPLICATION_DATA, [])]),
            Element::of(tag::CHANGE, [id("7:3")]),
            Element::of(tag::DELETE, [id("lanyard:5f00")]),
            Element::of(tag::ADD, [text(tag::CLIENT_ID, "c1")]),
            Element::of(tag::FETCH, [id("lanyard:5f00")]),
            Element::of(tag::FETCH, [id("7:3")]),
        ],
    )];
    let body = sync(&[("lanyard:5f00:1:4", "7", &commands)]);
    let synced = notice().sync(&body, Version::V2_5).unwrap();
    assert_eq!((said(&synced.answer), synced.held_seconds), (vec![row("lanyard:5f00:1:5", "1", 0)], None));
    let root = root(&synced.answer);
    let responses = root.path(&[tag::COLLECTIONS, tag::COLLECTION, tag::RESPONSES]).unwrap();
    let got: Vec<_> = responses.elements().map(|r| (r.name().unwrap(), r.child_text(tag::STATUS).unwrap())).collect();
    assert_eq!(got, [("Change", "8"), ("Add", "5"), ("Fetch", "1"), ("Fetch", "8")]);
    let body = responses.children_with(tag::FETCH).find_map(|r| r.path(&[tag::APPLICATION_DATA, email::BODY]));
    assert_eq!(body.unwrap().text(), Some(&*notice().message.unwrap().text));
}

#[test]
fn each_version_gets_the_body_that_it_reads() {
    for version in Version::ALL {
        let properties = Element::of(tag::APPLICATION_DATA, notice().message.unwrap().properties(version));
        let plain = properties.child_text(email::BODY);
        let typed = properties.path(&[base::BODY, base::DATA]).and_then(Element::text);
        let want = Some("It waits.\r\nSign in at https://mdm.example.org/claim/x\r\n");
        assert_eq!((plain, typed), if version == Version::V2_5 { (want, None) } else { (None, want) }, "{version}");
        assert_eq!(properties.child_text(email::SUBJECT), Some("Your device waits"));
    }
    let classed = sync(&[("0", "7", &[text(tag::CLASS, "Email")])]);
    let answer = notice().sync(&classed, Version::V2_5).unwrap().answer;
    assert_eq!(root(&answer).path(&[tag::COLLECTIONS, tag::COLLECTION, tag::CLASS]).unwrap().text(), Some("Email"));
}

#[test]
fn what_is_not_said_in_full_is_to_be_said_in_full() {
    let status = |body: &[u8], version| {
        let answer = notice().sync(body, version).unwrap().answer;
        root(&answer).child_text(tag::STATUS).unwrap().to_owned()
    };
    let bare = crate::encode(&Element::of(tag::SYNC, []));
    let partial = Element::of(tag::COLLECTION, [text(tag::SYNC_KEY, "0")]);
    let parts = [Element::empty(tag::PARTIAL), Element::of(tag::COLLECTIONS, [partial])];
    let partial = crate::encode(&Element::of(tag::SYNC, parts));
    assert_eq!(status(b"", Version::V12_1), "13");
    assert_eq!(status(&bare, Version::V14_1), "13");
    assert_eq!(status(&partial, Version::V14_1), "13");
    assert_eq!(status(&bare, Version::V2_5), "4");
    assert!(notice().sync(b"x", Version::V14_1).is_err());
}

#[test]
fn an_estimate_counts_the_message_until_it_is_there() {
    let body = |key: &str, id: &str| {
        let parts = [text(tag::SYNC_KEY, key), text(estimate::COLLECTION_ID, id)];
        let all = Element::of(estimate::COLLECTIONS, [Element::of(estimate::COLLECTION, parts)]);
        crate::encode(&Element::of(estimate::GET_ITEM_ESTIMATE, [all]))
    };
    for (key, id, status, count) in [
        ("lanyard:5f00:0:0", "7", "1", Some("1")),
        ("lanyard:5f00:1:0", "7", "1", Some("0")),
        ("lanyard:5f00:0:0", "8", "1", Some("0")),
        ("0", "7", "3", None),
        ("99", "7", "4", None),
    ] {
        let root = root(&notice().estimate(&body(key, id)).unwrap());
        let response = root.child(estimate::RESPONSE).unwrap();
        assert_eq!(response.child_text(estimate::STATUS), Some(status), "{key} {id}");
        let got = response.path(&[estimate::COLLECTION, estimate::ESTIMATE]).and_then(Element::text);
        assert_eq!(got, count, "{key} {id}");
    }
}

#[test]
fn the_message_can_be_fetched_by_itself() {
    let fetch = |id: &str| {
        let parts = [text(tag::COLLECTION_ID, "7"), text(tag::SERVER_ID, id)];
        Element::of(operations::FETCH, parts)
    };
    let body = Element::of(operations::ITEM_OPERATIONS, [fetch("lanyard:5f00"), fetch("7:1")]);
    let answer = notice().operations(&crate::encode(&body), Version::V16_1).unwrap().unwrap();
    let root = root(&answer);
    let fetched: Vec<&Element> = root.child(operations::RESPONSE).unwrap().elements().collect();
    assert_eq!(fetched[0].child_text(operations::STATUS), Some("1"));
    let data = fetched[0].path(&[operations::PROPERTIES, base::BODY, base::DATA]).unwrap();
    assert_eq!(data.text(), Some(&*notice().message.unwrap().text));
    assert_eq!((fetched.len(), fetched[1].child_text(operations::STATUS)), (2, Some("6")));
    let other = Element::of(operations::ITEM_OPERATIONS, [Element::empty(Tag::new(20, 0x16, "Move"))]);
    assert_eq!(notice().operations(&crate::encode(&other), Version::V16_1), Ok(None));
}

#[test]
fn the_inbox_is_found_among_all_folders() {
    let folder =
        |id: &str, kind: &str| Element::of(folders::ADD, [text(folders::SERVER_ID, id), text(folders::TYPE, kind)]);
    let list = |status: &str, folders: Vec<Element>| {
        let parts = [text(folders::STATUS, status), Element::of(folders::CHANGES, folders)];
        crate::encode(&Element::of(folders::FOLDER_SYNC, parts))
    };
    let long = "x".repeat(65);
    for (row, body, want) in [
        ("second", list("1", vec![folder("3", "4"), folder("7", "2")]), Inbox::Is("7".into())),
        ("none", list("1", vec![folder("3", "4")]), Inbox::None),
        ("too long", list("1", vec![folder(&long, "2")]), Inbox::None),
        ("refused", list("9", vec![folder("7", "2")]), Inbox::Untold),
        ("no list", refusal(Version::V14_1, Command::FolderSync, crate::Status::REFRESH).body, Inbox::Untold),
        ("nothing", vec![], Inbox::None),
    ] {
        assert_eq!(inbox(&body), want, "{row}");
    }
    let asks = |key| crate::encode(&Element::of(folders::FOLDER_SYNC, [text(folders::SYNC_KEY, key)]));
    assert!(asks_for_all(&asks("0")) && !asks_for_all(&asks("17")) && !asks_for_all(b""));
}

#[test]
fn a_key_of_ours_means_nothing_once_the_client_is_let_in() {
    let commands = [Element::of(tag::COMMANDS, [Element::of(tag::DELETE, [text(tag::SERVER_ID, "9:1")])])];
    let body = sync(&[("lanyard:5f00:1:0", "7", &[]), ("812", "8", &[]), ("813", "9", &commands)]);
    let got = said(&of_ours(Command::Sync, &body).unwrap());
    assert_eq!(got, [row("0", "3", 0), row("813", "16", 0)], "what was not heard is said again");
    assert_eq!(of_ours(Command::Sync, &sync(&[("812", "7", &[])])), None);
    let spoken = [text(tag::CLASS, "lanyard:5f00:1:0")];
    assert_eq!(of_ours(Command::Sync, &sync(&[("812", "7", &spoken)])), None, "as a text it is none");
    let parts = [text(tag::SYNC_KEY, "lanyard:5f00:1:0"), text(estimate::COLLECTION_ID, "7")];
    let all = Element::of(estimate::COLLECTIONS, [Element::of(estimate::COLLECTION, parts)]);
    let body = crate::encode(&Element::of(estimate::GET_ITEM_ESTIMATE, [all]));
    let got = root(&of_ours(Command::GetItemEstimate, &body).unwrap());
    assert_eq!(got.path(&[estimate::RESPONSE, estimate::STATUS]).unwrap().text(), Some("4"));
    assert_eq!(of_ours(Command::SendMail, &body), None);
}

#[test]
fn what_we_answer_ourselves_is_what_the_specification_prints() {
    assert_eq!(folders_first().body, [3, 1, 0x6A, 0, 0x45, 0x4E, 3, b'1', b'2', 0, 1, 1]);
    assert_eq!(all_folders().body, [3, 1, 0x6A, 0, 0, 7, 0x56, 0x4C, 3, b'9', 0, 1, 1]);
}

proptest! {
    #[test]
    fn no_bytes_panic_and_no_key_is_longer_than_may_be(
        bytes in prop::collection::vec(any::<u8>(), 0..80),
        told: bool,
        changes: u32,
    ) {
        let notice = Notice { id: "f".repeat(32), ..notice() };
        let _ = (notice.sync(&bytes, Version::V14_1), notice.estimate(&bytes), inbox(&bytes));
        let _ = (notice.operations(&bytes, Version::V16_1), of_ours(Command::Sync, &bytes));
        let key = notice.text(Reached { told, changes });
        prop_assert!(key.len() <= 64);
        let read = matches!(notice.key(&key), Key::Ours(read) if read == Reached { told, changes });
        prop_assert!(read, "{}", key);
    }
}

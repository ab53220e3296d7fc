//! Documents as they go over the wire, and the promise that what is written reads back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod tables;

use lanyard_wbxml::{
    Attributes, Charset, Element, Error, Header, Limits, Malformed, Node, PublicId, Tag, decode, encode,
};
use proptest::prelude::*;
use tables::{TABLES, fixture};

const SYNC: Tag = Tag::new(0, 0x05, "Sync");
const STATUS: Tag = Tag::new(0, 0x0E, "Status");

fn root(bytes: &[u8]) -> Result<Element, Error> {
    decode(bytes, &TABLES, &Limits::SMALL).map(|document| document.root)
}

fn body(bytes: &[u8]) -> Result<Element, Error> {
    root(&[&[0x03, 0x01, 0x6A, 0x00], bytes].concat())
}

#[test]
fn fixtures_read_and_write_to_the_same_bytes() {
    for name in ["sync-status", "syncml-number", "opaque"] {
        let bytes = fixture(name);
        let document = decode(&bytes, &TABLES, &Limits::SMALL).unwrap();
        assert_eq!(encode(&document.header, &document.root), bytes, "{name}");
    }
    let want = Element::of(SYNC, [Element::text_of(STATUS, "142")]);
    assert_eq!(root(&fixture("sync-status")), Ok(want));
}

#[test]
fn a_page_stays_until_it_is_switched() {
    let root = root(&fixture("pages")).unwrap();
    let tags: Vec<(u8, u8)> = root.elements().map(|element| (element.tag.page, element.tag.token)).collect();
    assert_eq!(tags, [(18, 0x16), (14, 0x0B), (14, 0x0C), (14, 0x06)]);
    assert_eq!(root.child_named("Policies").map(|element| element.children.len()), Some(0));
    let written = encode(&Header::ACTIVESYNC, &root);
    assert_eq!(decode(&written, &TABLES, &Limits::SMALL).unwrap().root, root);
}

#[test]
fn a_public_id_is_a_number_or_a_string() {
    let number = decode(&fixture("syncml-number"), &TABLES, &Limits::SMALL).unwrap();
    assert_eq!(number.header.public_id, PublicId::Number(0x1201));
    let bytes = fixture("syncml-string");
    let string = decode(&bytes, &TABLES, &Limits::SMALL).unwrap();
    assert_eq!(string.header.public_id, PublicId::Text("-//X//".into()));
    assert_eq!(string.root, number.root);
    let again = decode(&encode(&string.header, &string.root), &TABLES, &Limits::SMALL).unwrap();
    assert_eq!(again, string);
}

#[test]
fn attributes_are_refused_or_skipped() {
    let bytes = fixture("attributes");
    assert_eq!(root(&bytes), Err(Error::Attributes { token: 0xC5, at: 4 }));
    let limits = Limits { attributes: Attributes::Skip, ..Limits::SMALL };
    let root = decode(&bytes, &TABLES, &limits).unwrap().root;
    assert_eq!(root.child_text(STATUS), Some("1"));
}

#[test]
fn a_malformed_string_is_refused_or_handed_on_as_bytes() {
    let bytes = [0x03, 0x01, 0x6A, 0x03, 0xFF, b'c', 0, 0x45, 0x03, 0xC3, 0, 0x83, 0x00, 0x03, b'a', 0, 0x01];
    assert_eq!(root(&bytes), Err(Error::Text { at: 8 }));
    let limits = Limits { malformed: Malformed::AsBytes, ..Limits::SMALL };
    let children = decode(&bytes, &TABLES, &limits).unwrap().root.children;
    let want = [Node::Opaque(vec![0xC3]), Node::Opaque(vec![0xFF, b'c']), Node::Text("a".into())];
    assert_eq!(children, want);
}

#[test]
fn unknown_tokens_are_kept_and_passed_over() {
    let root = body(&[0x45, 0x7F, 0x03, b'x', 0, 1, 0, 77, 0x45, 1, 0, 0, 0x4E, 0x03, b'1', 0, 1, 1]).unwrap();
    let names: Vec<_> = root.elements().map(Element::name).collect();
    assert_eq!(names, [None, None, Some("Status")]);
    let tags: Vec<String> = root.elements().map(|element| element.tag.to_string()).collect();
    assert_eq!(tags, ["0/3F", "77/05", "Status"]);
    assert_eq!(root.path(&[STATUS]).and_then(Element::text), Some("1"));
}

#[test]
fn strings_are_joined_and_opaque_data_reads_as_text() {
    let split = body(&[0x45, 0x03, b'a', 0, 0x03, 0, 0x03, b'b', 0, 0x01]).unwrap();
    assert_eq!(split.children, [Node::Text("ab".into())]);
    let opaque = body(&[0x45, 0xC3, 2, b'h', b'i', 0x01]).unwrap();
    assert_eq!((opaque.text(), opaque.bytes()), (Some("hi"), Some(&b"hi"[..])));
    assert_eq!(body(&[0x45, 0xC3, 1, 0xFF, 0x01]).unwrap().text(), None);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (row, bytes, want) in [
        ("nothing", &[][..], Error::Short { field: "version", at: 0 }),
        ("1.0", &[0x00, 1, 0x6A, 0], Error::Version(0)),
        ("2.0", &[0x10, 1, 0x6A, 0], Error::Version(0x10)),
        ("latin-1", &[3, 1, 4, 0, 5], Error::Charset(4)),
        ("table cut", &[3, 1, 0x6A, 9, 5], Error::Short { field: "string table", at: 5 }),
        ("id outside", &[3, 0, 9, 0x6A, 1, 0, 5], Error::Reference { index: 9, at: 2 }),
        ("number of 6 bytes", &[3, 0x8F, 0xFF, 0xFF, 0xFF, 0xFF, 1], Error::Number { field: "public id", at: 1 }),
        ("no root", &[3, 1, 0x6A, 0], Error::NoRoot { at: 4 }),
        ("text first", &[3, 1, 0x6A, 0, 3, b'x', 0], Error::NoRoot { at: 4 }),
        ("end first", &[3, 1, 0x6A, 0, 1], Error::NoRoot { at: 4 }),
        ("cut", &[3, 1, 0x6A, 0, 0x45, 0x4E], Error::Short { field: "body", at: 6 }),
        ("string cut", &[3, 1, 0x6A, 0, 0x45, 3, b'x'], Error::Short { field: "string", at: 7 }),
        ("opaque cut", &[3, 1, 0x6A, 0, 0x45, 0xC3, 9, 1], Error::Short { field: "opaque data", at: 8 }),
        ("two roots", &[3, 1, 0x6A, 0, 5, 5], Error::Trailing { at: 5 }),
        ("literal", &[3, 1, 0x6A, 0, 4, 0], Error::Unsupported { token: 4, at: 4 }),
        ("entity", &[3, 1, 0x6A, 0, 0x45, 2, 0x20, 1], Error::Unsupported { token: 2, at: 5 }),
        ("extension", &[3, 1, 0x6A, 0, 0x45, 0xC0, 1], Error::Unsupported { token: 0xC0, at: 5 }),
        ("extension at the root", &[3, 1, 0x6A, 0, 0x41], Error::Unsupported { token: 0x41, at: 4 }),
        ("instruction", &[3, 1, 0x6A, 0, 0x43, 1], Error::Unsupported { token: 0x43, at: 4 }),
        ("not UTF-8", &[3, 1, 0x6A, 0, 0x45, 3, 0xFF, 0, 1], Error::Text { at: 5 }),
        ("not ASCII", &[3, 1, 3, 0, 0x45, 3, 0xC3, 0xA4, 0, 1], Error::Text { at: 5 }),
    ] {
        assert_eq!(root(bytes), Err(want), "{row}");
    }
}

#[test]
fn limits_hold() {
    let limits = Limits { max_bytes: 64, max_depth: 3, max_elements: 4, ..Limits::SMALL };
    let header = [3, 1, 0x6A, 0];
    // A long string of the table, referred to ten times.
    let table = [&[3, 1, 0x6A, 30][..], &[b'x'; 30], &[0x45], &[0x83, 0].repeat(10), &[1]].concat();
    for (row, bytes, what, limit) in [
        ("long", vec![3; 65], "document bytes", 64),
        ("deep", [&header[..], &[0x45; 5], &[1; 5]].concat(), "depth", 3),
        ("many", [&header[..], &[0x45], &[5; 9], &[1]].concat(), "elements", 4),
        ("many opaque", [&header[..], &[0x45], &[0xC3, 0].repeat(9), &[1]].concat(), "elements", 4),
        ("grown", table, "text bytes", 64),
    ] {
        assert_eq!(decode(&bytes, &TABLES, &limits), Err(Error::Limit { what, limit }), "{row}");
    }
    let deepest = [&header[..], &[0x45; 3], &[1; 3]].concat();
    assert!(decode(&deepest, &TABLES, &limits).is_ok());
}

#[test]
fn a_string_with_a_nul_is_written_as_opaque_data() {
    let written = encode(&Header::ACTIVESYNC, &Element::text_of(SYNC, "a\0b"));
    assert_eq!(root(&written).unwrap().text(), Some("a\0b"));
}

fn tags() -> impl Strategy<Value = Tag> {
    (prop::sample::select(vec![0u8, 1, 14, 18, 200]), 0x05u8..0x40).prop_map(|(page, token)| TABLES.tag(page, token))
}

/// Trees as decoding makes them: no empty strings, no two strings side by side.
fn elements() -> impl Strategy<Value = Element> {
    let leaf = tags().prop_map(Element::empty);
    leaf.prop_recursive(6, 60, 5, |inner| {
        let node = prop_oneof![
            inner.prop_map(Node::Element),
            "[^\0]{1,12}".prop_map(Node::Text),
            prop::collection::vec(any::<u8>(), 0..200).prop_map(Node::Opaque),
        ];
        (tags(), prop::collection::vec(node, 0..5)).prop_map(|(tag, mut children)| {
            children.dedup_by(|a, b| matches!((a, b), (Node::Text(_), Node::Text(_))));
            Element { tag, children }
        })
    })
}

fn headers() -> impl Strategy<Value = Header> {
    let id = prop_oneof![(1u32..).prop_map(PublicId::Number), "[ -~]{1,40}".prop_map(PublicId::Text),];
    (1u8..=3, id).prop_map(|(minor_version, public_id)| Header { minor_version, public_id, charset: Charset::Utf8 })
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_the_same(header in headers(), root in elements()) {
        let document = decode(&encode(&header, &root), &TABLES, &Limits::SMALL).unwrap();
        prop_assert_eq!(document.header, header);
        prop_assert_eq!(document.root, root);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = root(&bytes);
        let _ = body(&bytes);
        let _ = decode(&bytes, &TABLES, &Limits { attributes: Attributes::Skip, ..Limits::SMALL });
    }

    /// What decodes is written and read to the same tree, whatever form it came in.
    #[test]
    fn decoding_is_stable(bytes in prop::collection::vec(prop::sample::select(vec![0u8, 1, 3, 14, 0x41, 0x45, 0x4E, 0x0C, 0x82, 0xC3, b'a']), 0..40)) {
        if let Ok(root) = body(&bytes) {
            prop_assert_eq!(decode(&encode(&Header::ACTIVESYNC, &root), &TABLES, &Limits::SMALL).unwrap().root, root);
        }
    }
}

//! WBXML as ActiveSync writes it: a tree of elements under code pages, with text or children. [MS-ASWBXML].

use crate::error::{Error, Result};

const WHAT: &str = "WBXML";
const HEADER: [u8; 4] = [0x03, 0x01, 0x6A, 0x00];
const MAX_DEPTH: usize = 32;
const MAX_BYTES: usize = 16 << 20;

/// Code page and token.
pub(crate) type Tag = (u8, u8);

/// One element. Opaque data counts as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) tag: Tag,
    pub(crate) children: Vec<Element>,
    pub(crate) text: String,
}

/// An element with children; none make an empty tag.
pub(crate) fn node(tag: Tag, children: impl IntoIterator<Item = Element>) -> Element {
    Element { tag, children: children.into_iter().collect(), text: String::new() }
}

/// An element with text.
pub(crate) fn leaf(tag: Tag, text: impl ToString) -> Element {
    Element { tag, children: Vec::new(), text: text.to_string() }
}

impl Element {
    /// The document's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = HEADER.to_vec();
        self.write(&mut 0, &mut out);
        out
    }

    fn write(&self, page: &mut u8, out: &mut Vec<u8>) {
        let (wanted, token) = self.tag;
        if wanted != *page {
            out.extend([0x00, wanted]);
            *page = wanted;
        }
        if self.children.is_empty() && self.text.is_empty() {
            out.push(token);
            return;
        }
        out.push(token | 0x40);
        if !self.text.is_empty() {
            out.push(0x03);
            out.extend(self.text.bytes().filter(|b| *b != 0));
            out.push(0);
        }
        for child in &self.children {
            child.write(page, out);
        }
        out.push(0x01);
    }

    /// Reads a whole document: one root and nothing after it.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Element> {
        let short = || Error::malformed(WHAT, "cut short");
        if bytes.len() > MAX_BYTES {
            return Err(Error::malformed(WHAT, "too long"));
        }
        let mut rest = bytes.strip_prefix(&HEADER).ok_or_else(|| Error::malformed(WHAT, "not 03 01 6A 00"))?;
        let (mut page, mut stack) = (0, vec![Element::default()]);
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            let top = stack.last_mut().ok_or_else(short)?;
            match byte {
                0x00 => (page, rest) = rest.split_first().map(|(p, r)| (*p, r)).ok_or_else(short)?,
                0x01 => close(&mut stack)?,
                0x03 => {
                    let end = rest.iter().position(|b| *b == 0).ok_or_else(short)?;
                    let (text, after) = rest.split_at_checked(end).ok_or_else(short)?;
                    top.text += &String::from_utf8_lossy(text);
                    rest = after.get(1..).unwrap_or_default();
                }
                0xC3 => {
                    let (length, after) = multi_byte(rest)?;
                    let (data, after) = after.split_at_checked(length).ok_or_else(short)?;
                    top.text += &String::from_utf8_lossy(data);
                    rest = after;
                }
                token if token & 0x3F >= 0x05 && token & 0x80 == 0 => {
                    if stack.len() >= MAX_DEPTH {
                        return Err(Error::malformed(WHAT, "nested too deep"));
                    }
                    stack.push(Element { tag: (page, token & 0x3F), ..Element::default() });
                    if token & 0x40 == 0 {
                        close(&mut stack)?;
                    }
                }
                other => return Err(Error::malformed(WHAT, format!("token {other:#04x}"))),
            }
        }
        match (stack.pop(), stack.is_empty()) {
            (Some(mut document), true) if document.children.len() == 1 && document.text.is_empty() => {
                document.children.pop().ok_or_else(short)
            }
            _ => Err(Error::malformed(WHAT, "not one whole element")),
        }
    }

    /// The first child with this tag.
    pub(crate) fn child(&self, tag: Tag) -> Option<&Element> {
        self.children.iter().find(|c| c.tag == tag)
    }

    /// The first element at the end of this path below.
    pub(crate) fn at(&self, path: &[Tag]) -> Option<&Element> {
        path.iter().try_fold(self, |e, tag| e.child(*tag))
    }

    /// The text at the end of a path; empty if there is none.
    pub(crate) fn text_at(&self, path: &[Tag]) -> &str {
        self.at(path).map_or("", |e| e.text.as_str())
    }

    /// All children with this tag.
    pub(crate) fn all(&self, tag: Tag) -> impl Iterator<Item = &Element> {
        self.children.iter().filter(move |c| c.tag == tag)
    }
}

fn close(stack: &mut Vec<Element>) -> Result<()> {
    match (stack.pop(), stack.last_mut()) {
        (Some(done), Some(parent)) => {
            parent.children.push(done);
            Ok(())
        }
        _ => Err(Error::malformed(WHAT, "an end too many")),
    }
}

/// Seven bits a byte, the high bit set on all but the last.
fn multi_byte(input: &[u8]) -> Result<(usize, &[u8])> {
    let (mut value, mut rest) = (0usize, input);
    for _ in 0..4 {
        let Some((&byte, after)) = rest.split_first() else { break };
        value = value << 7 | usize::from(byte & 0x7F);
        rest = after;
        if byte & 0x80 == 0 {
            return Ok((value, rest));
        }
    }
    Err(Error::malformed(WHAT, "length of opaque data"))
}

/// The tags that mail clients and servers of this crate use.
pub(crate) mod tags {
    use super::Tag;

    pub(crate) mod air_sync {
        use super::Tag;
        pub(crate) const SYNC: Tag = (0, 0x05);
        pub(crate) const ADD: Tag = (0, 0x07);
        pub(crate) const SYNC_KEY: Tag = (0, 0x0B);
        pub(crate) const SERVER_ID: Tag = (0, 0x0D);
        pub(crate) const STATUS: Tag = (0, 0x0E);
        pub(crate) const COLLECTION: Tag = (0, 0x0F);
        pub(crate) const COLLECTION_ID: Tag = (0, 0x12);
        pub(crate) const GET_CHANGES: Tag = (0, 0x13);
        pub(crate) const COMMANDS: Tag = (0, 0x16);
        pub(crate) const COLLECTIONS: Tag = (0, 0x1C);
        pub(crate) const APPLICATION_DATA: Tag = (0, 0x1D);
    }

    /// Email's Subject.
    pub(crate) const SUBJECT: Tag = (2, 0x14);

    pub(crate) mod folder {
        use super::Tag;
        pub(crate) const DISPLAY_NAME: Tag = (7, 0x07);
        pub(crate) const SERVER_ID: Tag = (7, 0x08);
        pub(crate) const PARENT_ID: Tag = (7, 0x09);
        pub(crate) const TYPE: Tag = (7, 0x0A);
        pub(crate) const STATUS: Tag = (7, 0x0C);
        pub(crate) const CHANGES: Tag = (7, 0x0E);
        pub(crate) const ADD: Tag = (7, 0x0F);
        pub(crate) const SYNC_KEY: Tag = (7, 0x12);
        pub(crate) const FOLDER_SYNC: Tag = (7, 0x16);
        pub(crate) const COUNT: Tag = (7, 0x17);
    }

    pub(crate) mod ping {
        use super::Tag;
        pub(crate) const PING: Tag = (13, 0x05);
        pub(crate) const STATUS: Tag = (13, 0x07);
        pub(crate) const HEARTBEAT: Tag = (13, 0x08);
        pub(crate) const FOLDERS: Tag = (13, 0x09);
        pub(crate) const FOLDER: Tag = (13, 0x0A);
        pub(crate) const ID: Tag = (13, 0x0B);
        pub(crate) const CLASS: Tag = (13, 0x0C);
    }

    pub(crate) mod provision {
        use super::Tag;
        pub(crate) const PROVISION: Tag = (14, 0x05);
        pub(crate) const POLICIES: Tag = (14, 0x06);
        pub(crate) const POLICY: Tag = (14, 0x07);
        pub(crate) const POLICY_TYPE: Tag = (14, 0x08);
        pub(crate) const POLICY_KEY: Tag = (14, 0x09);
        pub(crate) const DATA: Tag = (14, 0x0A);
        pub(crate) const STATUS: Tag = (14, 0x0B);
        pub(crate) const REMOTE_WIPE: Tag = (14, 0x0C);
        pub(crate) const DOCUMENT: Tag = (14, 0x0D);
        pub(crate) const ACCOUNT_ONLY_REMOTE_WIPE: Tag = (14, 0x3B);
    }

    pub(crate) mod settings {
        use super::Tag;
        pub(crate) const SETTINGS: Tag = (18, 0x05);
        pub(crate) const STATUS: Tag = (18, 0x06);
        pub(crate) const SET: Tag = (18, 0x08);
        pub(crate) const DEVICE_INFORMATION: Tag = (18, 0x16);
        pub(crate) const MODEL: Tag = (18, 0x17);
        pub(crate) const FRIENDLY_NAME: Tag = (18, 0x19);
        pub(crate) const OS: Tag = (18, 0x1A);
        pub(crate) const OS_LANGUAGE: Tag = (18, 0x1B);
        pub(crate) const USER_AGENT: Tag = (18, 0x20);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    fn element() -> impl Strategy<Value = Element> {
        let tag = (0u8..26, 0x05u8..0x3F);
        let ends = (tag.clone(), "[ -~]{0,12}").prop_map(|(tag, text)| leaf(tag, text));
        ends.prop_recursive(5, 40, 5, move |inner| {
            (tag.clone(), proptest::collection::vec(inner, 0..5)).prop_map(|(tag, children)| node(tag, children))
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(element in element()) {
            prop_assert_eq!(Element::decode(&element.encode()).unwrap(), element);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Element::decode(&[&HEADER[..], &bytes[..]].concat());
        }
    }

    #[test]
    fn the_specifications_refusal_of_a_sync() {
        let refusal = node(tags::air_sync::SYNC, [leaf(tags::air_sync::STATUS, 142)]);
        assert_eq!(refusal.encode(), b"\x03\x01\x6A\x00\x45\x4E\x03142\x00\x01\x01");
        let opaque = b"\x03\x01\x6A\x00\x45\x4E\xC3\x03142\x01\x01";
        assert_eq!(Element::decode(opaque).unwrap(), refusal);
        for (row, bad) in [
            ("cut in the text", &b"\x03\x01\x6A\x00\x45\x4E\x03142"[..]),
            ("no end", b"\x03\x01\x6A\x00\x45"),
            ("two roots", b"\x03\x01\x6A\x00\x05\x05"),
            ("an end too many", b"\x03\x01\x6A\x00\x05\x01"),
            ("attributes", b"\x03\x01\x6A\x00\xC5\x01\x01"),
        ] {
            assert!(Element::decode(bad).is_err(), "{row}");
        }
    }

    #[test]
    fn libwbxml_reads_what_we_write() {
        use tags::folder;
        let add = node(folder::ADD, [leaf(folder::SERVER_ID, "5"), leaf(folder::DISPLAY_NAME, "Inbox")]);
        let doc = node(folder::FOLDER_SYNC, [leaf(folder::STATUS, 1), node(folder::CHANGES, [add])]);
        let file = std::env::temp_dir().join(format!("lanyard-sim-{}.wbxml", std::process::id()));
        std::fs::write(&file, doc.encode()).unwrap();
        let out = Command::new("wbxml2xml").args(["-l", "ACTIVESYNC", "-o", "-"]).arg(&file).output();
        std::fs::remove_file(&file).unwrap();
        let Ok(out) = out else {
            println!("skipped: wbxml2xml is not installed");
            return;
        };
        let xml = String::from_utf8_lossy(&out.stdout).into_owned();
        for part in ["FolderSync", "Status>1<", "ServerId>5<", "DisplayName>Inbox<"] {
            assert!(xml.contains(part), "{xml}");
        }
    }
}

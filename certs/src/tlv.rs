//! A lenient reader of tag-length-value bytes, for what strict parsers refuse from real devices.
//!
//! It walks one level at a time, never recurses, copies nothing, and keeps each value's bytes as they were sent, so
//! that signatures are checked over those. Definite lengths only: BER goes through OpenSSL first.

use der::asn1::ObjectIdentifier;

use crate::{Error, Result};

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0C;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
pub(crate) const T61_STRING: u8 = 0x14;
pub(crate) const IA5_STRING: u8 = 0x16;
pub(crate) const BMP_STRING: u8 = 0x1E;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
/// `[0]`, constructed.
pub(crate) const CONTEXT_0: u8 = 0xA0;
/// `[1]`, constructed.
pub(crate) const CONTEXT_1: u8 = 0xA1;
/// `[0]`, primitive: an implicitly tagged string.
pub(crate) const CONTEXT_0_PRIMITIVE: u8 = 0x80;

/// One value: its tag byte, its content, and all of it as sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'a> {
    pub(crate) tag: u8,
    pub(crate) body: &'a [u8],
    pub(crate) raw: &'a [u8],
}

/// Reads values one after the other; `what` names the structure in errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { rest: bytes, what }
    }

    pub(crate) fn error(&self, why: &'static str) -> Error {
        Error::Malformed { what: self.what, why }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next value, whatever it is.
    pub(crate) fn next(&mut self) -> Result<Item<'a>> {
        let (tag, length, head) = header(self.rest).ok_or_else(|| self.error("not a definite-length value"))?;
        let end = head.checked_add(length).filter(|end| *end <= self.rest.len());
        let raw = end.and_then(|end| self.rest.get(..end)).ok_or_else(|| self.error("a value ends early"))?;
        let body = raw.get(head..).unwrap_or_default();
        self.rest = self.rest.get(raw.len()..).unwrap_or_default();
        Ok(Item { tag, body, raw })
    }

    /// The next value, which must carry this tag.
    pub(crate) fn expect(&mut self, tag: u8, why: &'static str) -> Result<Item<'a>> {
        match self.next()? {
            item if item.tag == tag => Ok(item),
            _ => Err(self.error(why)),
        }
    }

    /// The next value if it carries this tag; else nothing is consumed.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<Item<'a>>> {
        if self.rest.first() == Some(&tag) { self.next().map(Some) } else { Ok(None) }
    }

    /// Goes into the next value, which must be a structure of this tag.
    pub(crate) fn enter(&mut self, tag: u8, why: &'static str) -> Result<Walk<'a>> {
        let item = self.expect(tag, why)?;
        Ok(self.inside(item))
    }

    /// Goes into a value already read.
    pub(crate) fn inside(&self, item: Item<'a>) -> Walk<'a> {
        Walk { rest: item.body, what: self.what }
    }

    /// The next value as an object identifier.
    pub(crate) fn oid(&mut self, why: &'static str) -> Result<ObjectIdentifier> {
        let item = self.expect(OID, why)?;
        ObjectIdentifier::from_bytes(item.body).map_err(|_| self.error(why))
    }

    /// The object identifier of an AlgorithmIdentifier; its parameters are passed over.
    pub(crate) fn algorithm(&mut self, why: &'static str) -> Result<ObjectIdentifier> {
        self.enter(SEQUENCE, why)?.oid(why)
    }
}

/// Tag, length of the content, and length of the header. Single-byte tags and at most four length bytes.
fn header(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (&tag, &first) = (bytes.first()?, bytes.get(1)?);
    if tag & 0x1F == 0x1F {
        return None;
    }
    if first < 0x80 {
        return Some((tag, usize::from(first), 2));
    }
    let count = usize::from(first & 0x7F);
    if !(1..=4).contains(&count) {
        return None;
    }
    let length = bytes.get(2..2 + count)?.iter().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
    Some((tag, length, 2 + count))
}

/// The text of a directory string. Trailing NULs go (Windows 10 sends one); what cannot be shown becomes U+FFFD.
///
/// For telling people what a stranger said, never for deciding anything: '!' in a PrintableString passes.
pub(crate) fn text(item: Item<'_>) -> Option<String> {
    let text: String = match item.tag {
        UTF8_STRING | PRINTABLE_STRING | IA5_STRING => String::from_utf8_lossy(item.body).into_owned(),
        T61_STRING => item.body.iter().map(|byte| char::from(*byte)).collect(),
        BMP_STRING => {
            let units = item.body.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair));
            char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        _ => return None,
    };
    let shown = text.trim_end_matches('\0').chars();
    Some(shown.map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect())
}

/// Writes one value of a structure of ours.
pub(crate) fn write(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    if length < 0x80 {
        out.push(length.to_le_bytes().first().copied().unwrap_or_default());
    } else {
        let bytes = length.to_be_bytes();
        let bytes = bytes.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<_>>();
        out.push(0x80 | u8::try_from(bytes.len()).unwrap_or_default());
        out.extend(bytes);
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_are_read_in_every_form() {
        for (row, bytes, want) in [
            ("short", &[0x04, 0x02, 1, 2, 9][..], Ok(2)),
            ("long", &[0x04, 0x81, 0x02, 1, 2], Ok(2)),
            ("long for no reason", &[0x04, 0x84, 0, 0, 0, 2, 1, 2], Ok(2)),
            ("indefinite", &[0x24, 0x80, 0, 0], Err("not a definite-length value")),
            ("five length bytes", &[0x04, 0x85, 0, 0, 0, 0, 1, 1], Err("not a definite-length value")),
            ("cut", &[0x04, 0x03, 1, 2], Err("a value ends early")),
            ("far too long", &[0x04, 0x84, 0xFF, 0xFF, 0xFF, 0xFF, 1], Err("a value ends early")),
            ("high tag", &[0x1F, 0x01, 0x00], Err("not a definite-length value")),
            ("nothing", &[], Err("not a definite-length value")),
        ] {
            let got = Walk::new("test", bytes).next().map(|item| item.body.len());
            assert_eq!(got.map_err(|error| error.to_string()), want.map_err(|why| format!("test: {why}")), "{row}");
        }
    }

    #[test]
    fn directory_strings_become_text() {
        for (row, tag, body, want) in [
            ("trailing NUL and bang", PRINTABLE_STRING, &b"A!B\0"[..], Some("A!B")),
            ("utf-8", UTF8_STRING, "Zoë".as_bytes(), Some("Zoë")),
            ("bmp", BMP_STRING, &[0, b'a', 0, b'b'], Some("ab")),
            ("control characters", UTF8_STRING, b"a\nb", Some("a\u{FFFD}b")),
            ("not a string", INTEGER, b"1", None),
        ] {
            assert_eq!(text(Item { tag, body, raw: body }).as_deref(), want, "{row}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(tag in 0_u8..0x1F, body in proptest::collection::vec(any::<u8>(), 0..70_000)) {
            let written = write(tag, &[&body]);
            let item = Walk::new("test", &written).next().unwrap();
            prop_assert_eq!((item.tag, item.body, item.raw), (tag, &body[..], &written[..]));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut walk = Walk::new("test", &bytes);
            while let Ok(item) = walk.next() { let _ = text(item); }
        }
    }
}

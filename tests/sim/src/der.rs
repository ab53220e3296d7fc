//! Just enough DER to write certificate requests and SCEP messages, and to read back the attributes that OpenSSL's bindings hide. X.690.

use crate::error::{Error, Result};

pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTETS: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const UTF8: u8 = 0x0C;
pub(crate) const PRINTABLE: u8 = 0x13;

/// Context-specific, constructed.
pub(crate) const fn context(n: u8) -> u8 {
    0xA0 | n
}

/// Tag, length and content, definite length.
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let len = content.len();
    match u8::try_from(len) {
        Ok(short @ 0..=0x7F) => out.push(short),
        _ => {
            let bytes: Vec<u8> = len.to_be_bytes().into_iter().skip_while(|b| *b == 0).collect();
            out.push(0x80 | u8::try_from(bytes.len()).unwrap_or(8));
            out.extend(bytes);
        }
    }
    out.extend_from_slice(content);
    out
}

/// The same in BER with an indefinite length, as macOS writes its CMS. The tag must be a constructed one.
pub(crate) fn indefinite(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag, 0x80];
    out.extend_from_slice(content);
    out.extend([0, 0]);
    out
}

/// A constructed element of ready parts.
pub(crate) fn of(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    tlv(tag, &parts.concat())
}

/// A SET OF: its members sorted by their encoding, as DER demands where it is signed.
pub(crate) fn set_of(tag: u8, mut members: Vec<Vec<u8>>) -> Vec<u8> {
    members.sort();
    tlv(tag, &members.concat())
}

/// A small non-negative INTEGER.
pub(crate) fn small(n: u8) -> Vec<u8> {
    if n > 0x7F { tlv(INTEGER, &[0, n]) } else { tlv(INTEGER, &[n]) }
}

/// An OBJECT IDENTIFIER from its dotted form. Arcs that are no numbers count as 0: callers pass constants.
pub(crate) fn oid(dotted: &str) -> Vec<u8> {
    let mut arcs = dotted.split('.').map(|a| a.parse::<u64>().unwrap_or(0));
    let first = arcs.next().unwrap_or(0) * 40 + arcs.next().unwrap_or(0);
    let mut body = Vec::new();
    for arc in std::iter::once(first).chain(arcs) {
        let mut groups = vec![u8::try_from(arc & 0x7F).unwrap_or(0)];
        let mut rest = arc >> 7;
        while rest > 0 {
            groups.push(0x80 | u8::try_from(rest & 0x7F).unwrap_or(0));
            rest >>= 7;
        }
        body.extend(groups.into_iter().rev());
    }
    tlv(OID, &body)
}

/// AlgorithmIdentifier with NULL parameters.
pub(crate) fn algorithm(dotted: &str) -> Vec<u8> {
    of(SEQUENCE, &[&oid(dotted), &[0x05, 0x00]])
}

/// One element of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tlv<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    /// With tag and length.
    pub(crate) whole: &'a [u8],
}

fn short() -> Error {
    Error::malformed("DER", "input ends early or has an odd length")
}

/// The first element and what follows it. Definite lengths and one-byte tags only.
pub(crate) fn read(input: &[u8]) -> Result<(Tlv<'_>, &[u8])> {
    let (&tag, rest) = input.split_first().ok_or_else(short)?;
    let (&first, mut rest) = rest.split_first().ok_or_else(short)?;
    let mut len = usize::from(first);
    if first > 0x80 {
        let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7F)).ok_or_else(short)?;
        if bytes.len() > 4 {
            return Err(short());
        }
        len = bytes.iter().fold(0, |n, b| n << 8 | usize::from(*b));
        rest = after;
    } else if first == 0x80 {
        return Err(Error::malformed("DER", "indefinite length"));
    }
    let (content, rest) = rest.split_at_checked(len).ok_or_else(short)?;
    let whole = input.get(..input.len() - rest.len()).unwrap_or(input);
    Ok((Tlv { tag, content, whole }, rest))
}

impl<'a> Tlv<'a> {
    /// The elements inside.
    pub(crate) fn children(&self) -> Result<Vec<Tlv<'a>>> {
        let (mut rest, mut out) = (self.content, Vec::new());
        while !rest.is_empty() {
            let (one, after) = read(rest)?;
            out.push(one);
            rest = after;
        }
        Ok(out)
    }

    /// The elements inside, if this is a `tag`.
    pub(crate) fn expect(&self, tag: u8, what: &'static str) -> Result<Vec<Tlv<'a>>> {
        if self.tag != tag {
            return Err(Error::malformed(what, format!("tag {:#04x} where {tag:#04x} belongs", self.tag)));
        }
        self.children()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_and_identifiers_are_as_x690_prints_them() {
        assert_eq!(oid("1.2.840.113549.1.7.2"), [6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 7, 2]);
        assert_eq!(tlv(OCTETS, &[0; 200])[..3], [4, 0x81, 200]);
        assert_eq!(tlv(OCTETS, &[0; 300])[..4], [4, 0x82, 1, 44]);
        assert_eq!(small(200), [2, 2, 0, 200]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(tag in 1u8.., content in proptest::collection::vec(any::<u8>(), 0..70_000)) {
            let bytes = [tlv(tag, &content), vec![1, 2, 3]].concat();
            let (one, rest) = read(&bytes).unwrap();
            prop_assert_eq!((one.tag, one.content, rest), (tag, &content[..], &[1u8, 2, 3][..]));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&bytes).and_then(|(t, _)| t.children().map(|c| c.len()));
        }
    }
}

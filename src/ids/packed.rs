//! For texts that hold ids: one of ours takes 17 bytes in the store instead of 36, one that a device wrote in capital hexadecimal
//! half of its length and two. In JSON they stand as text. `#[serde(with = "packed")]`.

use super::{hex, unhex};
use serde::{Deserializer, Serializer, de::Visitor};
use std::fmt;
use uuid::Uuid;

/// Before an id's bytes: no text has it in UTF-8.
const ID: u8 = 0xff;
const LENGTH: usize = 36;
/// Before the count of bytes and the bytes of a run of capital hexadecimal, another that no text has.
const HEX: u8 = 0xfe;
/// Digits of a run that is worth it, and of the longest.
const RUN: std::ops::RangeInclusive<usize> = 8..=510;

/// As bytes, where there is an id in it.
pub fn serialize<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    match pack(text).filter(|_| !serializer.is_human_readable()) {
        Some(packed) => serializer.serialize_bytes(&packed),
        None => serializer.serialize_str(text),
    }
}

/// Either form.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    deserializer.deserialize_any(Either)
}

/// The text with its ids as bytes; none where it holds none.
fn pack(text: &str) -> Option<Vec<u8>> {
    let (mut packed, mut rest, mut found) = (Vec::with_capacity(text.len()), text, false);
    while let Some(first) = rest.chars().next() {
        let id = rest.get(..LENGTH).filter(|id| is_id(id)).and_then(|id| Uuid::parse_str(id).ok());
        let run = run(rest);
        found |= id.is_some() || run.is_some();
        let taken = match (id, run) {
            (Some(id), _) => {
                packed.push(ID);
                packed.extend_from_slice(id.as_bytes());
                LENGTH
            }
            (None, Some(bytes)) => {
                packed.extend([HEX, u8::try_from(bytes.len()).ok()?]);
                packed.extend_from_slice(&bytes);
                bytes.len() * 2
            }
            (None, None) => {
                packed.extend(rest.bytes().take(first.len_utf8()));
                first.len_utf8()
            }
        };
        rest = rest.get(taken..)?;
    }
    found.then_some(packed)
}

/// The bytes of the capital hexadecimal that a text begins with.
fn run(text: &str) -> Option<Vec<u8>> {
    let digits = text.bytes().take(*RUN.end()).take_while(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(b)).count();
    text.get(..digits & !1).filter(|run| RUN.contains(&run.len())).and_then(unhex)
}

/// In the one form that is printed again.
fn is_id(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
    })
}

fn unpack(packed: &[u8]) -> Option<String> {
    let (mut text, mut rest) = (Vec::with_capacity(packed.len() * 2), packed);
    while let Some((first, after)) = rest.split_first() {
        rest = if *first == ID {
            let (id, after) = after.split_first_chunk::<16>()?;
            text.extend_from_slice(Uuid::from_bytes(*id).to_string().as_bytes());
            after
        } else if *first == HEX {
            let (count, after) = after.split_first()?;
            let (run, after) = after.split_at_checked(usize::from(*count))?;
            text.extend_from_slice(hex(run).to_ascii_uppercase().as_bytes());
            after
        } else {
            text.push(*first);
            after
        };
    }
    String::from_utf8(text).ok()
}

struct Either;

impl Visitor<'_> for Either {
    type Value = String;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or bytes that hold ids")
    }
    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.into())
    }
    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<String, E> {
        unpack(bytes).ok_or_else(|| E::custom("no packed text"))
    }
}

/// The same for a field that may be absent.
pub mod option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Text(#[serde(with = "super")] String);

    /// See there.
    pub fn serialize<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
        text.clone().map(Text).serialize(serializer)
    }

    /// See there.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
        Ok(Option::<Text>::deserialize(deserializer)?.map(|text| text.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_a_text_are_kept_as_bytes_and_every_text_comes_back() {
        let id = "01a228e2-c8aa-7004-b453-e038de2d6760";
        for (text, length) in [
            (id.to_string(), Some(17)),
            (format!("device {id}: lost"), Some(30)),
            (format!("{id}{id} ü {id}"), Some(55)),
            (id.to_uppercase(), Some(30)),
            ("1D2F3A4B5C6D7E8F".repeat(4), Some(34)),
            ("00008110-001A2D3C4E5F601E".into(), Some(6 + 1 + 10)),
            ("ABCDEF012 and 1234567".into(), Some(6 + 13)),
            (id.replace('-', "0"), None),
            ("C0FFEE".into(), None),
            ("né 01a228e2-".to_string(), None),
            (String::new(), None),
        ] {
            let packed = pack(&text);
            assert_eq!(packed.as_ref().map(Vec::len), length, "{text}");
            if let Some(packed) = packed {
                assert_eq!(unpack(&packed).unwrap(), text);
            }
        }
        assert_eq!(unpack(&[0xff, 1]), None);
        assert_eq!(unpack(&[0xc3]), None);
    }
}

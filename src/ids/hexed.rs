//! For text fields that hold hexadecimal: half as long in the store, and text in JSON. `#[serde(with = "hexed")]`.

use super::{hex, unhex};
use serde::{Deserializer, Serializer, de::Visitor};
use std::fmt;

/// As bytes, where the text is the hexadecimal of some.
pub fn serialize<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    let plain = |text: &&str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    match Some(text).filter(|_| !serializer.is_human_readable()).filter(plain).and_then(unhex) {
        Some(bytes) => serializer.serialize_bytes(&bytes),
        None => serializer.serialize_str(text),
    }
}

/// Either form.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    deserializer.deserialize_any(Either)
}

struct Either;

impl Visitor<'_> for Either {
    type Value = String;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or bytes")
    }
    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text.into())
    }
    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<String, E> {
        Ok(hex(bytes))
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

/// The same for the values of a map.
pub mod map {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Text(#[serde(with = "super")] String);

    /// See there.
    pub fn serialize<S: Serializer>(map: &BTreeMap<String, String>, serializer: S) -> Result<S::Ok, S::Error> {
        let map: BTreeMap<&String, Text> = map.iter().map(|(key, text)| (key, Text(text.clone()))).collect();
        map.serialize(serializer)
    }

    /// See there.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
        Ok(BTreeMap::<String, Text>::deserialize(deserializer)?.into_iter().map(|(k, v)| (k, v.0)).collect())
    }
}

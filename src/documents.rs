//! The documents of the admin API, each typed once: what `api` answers and takes, and what `cli` reads and sends. A field has its name
//! here and nowhere else, so that one that is renamed does not compile where the other side means it.
//!
//! In an answer every field is there, null where unknown, times in RFC 3339. What a docstring says here stands in `/api/openapi.json`.

pub(crate) mod admins;
pub(crate) mod audit;
pub(crate) mod breaker;
pub(crate) mod ca;
pub(crate) mod clock;
pub(crate) mod commands;
pub(crate) mod connectors;
pub(crate) mod devices;
pub(crate) mod groups;
pub(crate) mod invitations;
pub(crate) mod mail;
pub(crate) mod policies;
pub(crate) mod problem;
pub(crate) mod push_cert;
pub(crate) mod settings;
pub(crate) mod status;

use crate::clock::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::{borrow::Cow, fmt};

/// The header of every answer that says how many approvals wait that the asker has not looked at.
pub(crate) const WAITING: &str = "lanyard-waiting";
/// The header that says what is worst, where somebody must act on it; as [`in_header`] writes it.
pub(crate) const WORST: &str = "lanyard-worst";
/// The header under which a repeated POST acts once.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Text as a header may hold it: what is no plain ASCII, and `%`, as percent and hexadecimal.
pub(crate) fn in_header(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' => out.push_str("%25"),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The text of such a header; none where it is no text. No control characters: it goes to a terminal.
pub(crate) fn of_header(value: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(value.len()), value.bytes());
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(digit()? << 4 | digit()?);
    }
    let text = String::from_utf8(bytes).ok()?;
    Some(text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
}

/// A moment as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At(pub(crate) Timestamp);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map(Self).map_err(D::Error::custom)
    }
}

impl JsonSchema for At {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

/// A body that says nothing: any of its fields is one too many.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Empty {}

/// Part of a list.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// What to give as `after` for the rest; null at the end.
    pub(crate) next: Option<String>,
}

impl<T> Page<T> {
    /// `place` tells an item's cursor. A page that is not full is the last.
    pub(crate) fn of(items: Vec<T>, limit: usize, place: impl Fn(&T) -> String) -> Self {
        let next = items.last().filter(|_| items.len() >= limit).map(place);
        Self { items, next }
    }

    /// A list that stays short, whole.
    pub(crate) fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

/// The names of some of a document's fields, as they stand in JSON. One that it has not does not compile.
macro_rules! fields {
    ($document:ty: $($field:ident),+ $(,)?) => {{
        // None is renamed on its way to JSON: what is named here is what stands there.
        const _: fn(&$document) = |document| { $(let _ = &document.$field;)+ };
        &[$(stringify!($field)),+]
    }};
}
pub(crate) use fields;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_moment_is_read_as_it_was_written() {
        for text in
            ["2026-11-25T13:28:29Z", "2026-11-25T13:28:29.5Z", "2026-11-25T13:28:29.123Z", "1969-12-31T23:59:59.999Z"]
        {
            let at: At = serde_json::from_value(json!(text)).unwrap();
            assert_eq!((at.to_string().as_str(), json!(at)), (text, json!(text)));
        }
        assert!(serde_json::from_value::<At>(json!("yesterday")).is_err());
    }

    #[test]
    fn what_a_header_says_is_read_as_it_was_meant() {
        for (row, text, header) in [
            ("plain", "error stop_on: set by ann", "error stop_on: set by ann"),
            ("a name", "set by Zoë 100%", "set by Zo%C3%AB 100%25"),
            ("empty", "", ""),
        ] {
            assert_eq!((in_header(text).as_str(), of_header(header).as_deref()), (header, Some(text)), "{row}");
        }
        assert_eq!(of_header(&in_header("a\u{1b}[31m\n")).as_deref(), Some("a [31m "), "no escape reaches a terminal");
        for header in ["%", "%4", "%4g", "%ff"] {
            assert_eq!(of_header(header), None, "{header}");
        }
    }

    #[test]
    fn fields_are_named_as_json_has_them() {
        let page = json!(Page { items: vec![1], next: None });
        let names: &[&str] = fields!(Page<u8>: items, next);
        assert_eq!(page.as_object().unwrap().keys().collect::<Vec<_>>(), names);
    }
}

//! Taking a mapping of the policy file apart: known keys, types and ranges, each error with its place.

use super::super::bounds::element_names;
use super::super::error::PolicyError;
use super::super::nearest::nearest;
use super::super::node::Node;

/// Every mapping with fixed keys: where it stands, its keys. Items of lists are found by the list's name.
const KNOWN: [(&str, &[&str]); 6] = [
    ("", &["name", "assign", "passcode", "encryption", "camera", "apple", "windows", "activesync"]),
    (
        "passcode",
        &["required", "min_length", "alphanumeric", "max_failed", "max_idle_minutes", "expire_days", "history"],
    ),
    ("apple", &["profiles"]),
    ("windows", &["csp"]),
    ("apple.profiles", &["base64"]),
    ("windows.csp", &["path", "format", "data"]),
];

/// The entries of one mapping, all of them known.
pub(super) struct Fields {
    place: String,
    entries: Vec<(String, Node)>,
}

impl Fields {
    /// Takes a mapping at a place; an unknown key is an error.
    pub(super) fn read(node: Node, place: &str) -> Result<Fields, PolicyError> {
        let entries = match node {
            Node::Map(entries) => entries,
            node => {
                let shown = if place.is_empty() { "the policy file" } else { place };
                return Err(wrong(shown, "a mapping", &node));
            }
        };
        let kind = place.split('[').next().unwrap_or_default();
        let keys = KNOWN.iter().find(|(known, _)| *known == kind).map_or(&[][..], |(_, keys)| *keys);
        match entries.iter().find(|(key, _)| !keys.contains(&key.as_str())) {
            Some((key, _)) => Err(unknown(place, key, keys)),
            None => Ok(Fields { place: place.to_owned(), entries }),
        }
    }

    /// The value of a key; nothing written behind it is as good as no key.
    pub(super) fn take(&mut self, key: &str) -> Option<Node> {
        let at = self.entries.iter().position(|(known, _)| known == key)?;
        Some(self.entries.swap_remove(at).1).filter(|node| *node != Node::Null)
    }

    /// The value of a key that must be there.
    pub(super) fn need(&mut self, key: &str) -> Result<Node, PolicyError> {
        self.take(key).ok_or_else(|| PolicyError::Missing { place: join(&self.place, key) })
    }
}

/// A key that stands elsewhere in the file is better advice than a similar one here.
fn unknown(place: &str, key: &str, keys: &[&str]) -> PolicyError {
    let elsewhere = KNOWN
        .iter()
        .find(|(_, keys)| keys.contains(&key))
        .map(|(at, _)| join(at, key))
        .or_else(|| element_names().find(|name| *name == key).map(|name| join("activesync", name)));
    let here = || nearest(key, keys.iter().copied()).map(|near| join(place, near));
    PolicyError::UnknownKey { place: join(place, &cut(key)), nearest: elsewhere.or_else(here).unwrap_or_default() }
}

/// The place of a key in a mapping.
fn join(place: &str, key: &str) -> String {
    if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") }
}

/// Text of the file in a message: at most 80 characters, nothing that moves a terminal's cursor.
pub(super) fn cut(text: &str) -> String {
    text.escape_debug().take(80).collect()
}

pub(super) fn wrong(place: &str, expected: &'static str, found: &Node) -> PolicyError {
    PolicyError::WrongType { place: place.to_owned(), expected, found: found.kind().to_owned() }
}

pub(super) fn text(node: Node, place: &str) -> Result<String, PolicyError> {
    match node {
        Node::Text(text) => Ok(text),
        node => Err(wrong(place, "text", &node)),
    }
}

pub(super) fn truth(node: Node, place: &str) -> Result<bool, PolicyError> {
    match node {
        Node::Bool(value) => Ok(value),
        node => Err(wrong(place, "true or false", &node)),
    }
}

/// A whole number within a range; `note` tells what to do instead.
pub(super) fn number(node: Node, place: &str, low: u16, high: u16, note: &str) -> Result<u16, PolicyError> {
    let Node::Int(number) = node else {
        return Err(wrong(place, "a whole number", &node));
    };
    match u16::try_from(number) {
        Ok(number) if (low..=high).contains(&number) => Ok(number),
        _ => PolicyError::refused(place, format!("{number} is out of range, {low} to {high}: {note}")),
    }
}

/// The items of a list, each with its place.
pub(super) fn list(
    node: Node,
    place: &str,
    expected: &'static str,
    limit: usize,
) -> Result<Vec<(String, Node)>, PolicyError> {
    match node {
        Node::List(items) if items.len() > limit => Err(PolicyError::TooLarge { place: place.to_owned(), limit }),
        Node::List(items) => {
            Ok(items.into_iter().enumerate().map(|(n, item)| (format!("{place}[{n}]"), item)).collect())
        }
        node => Err(wrong(place, expected, &node)),
    }
}

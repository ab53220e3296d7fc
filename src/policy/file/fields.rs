//! Taking a mapping of the policy file apart: known keys, types and ranges, each error with its place.

use super::super::bounds::element_names;
use super::super::error::PolicyError;
use super::super::nearest::nearest;
use super::super::node::Node;
use super::super::reading::{cut, wrong};
use super::super::settings::Setting;

/// The mappings of raw parts: where each stands, its keys. Items of lists are found by the list's name.
const RAW: [(&str, &[&str]); 4] = [
    ("apple", &["profiles"]),
    ("windows", &["csp"]),
    ("apple.profiles", &["base64"]),
    ("windows.csp", &["path", "format", "data"]),
];

/// Every mapping with fixed keys: where it stands, its keys.
fn known() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut top = vec!["name", "assign"];
    let mut sections: Vec<(&str, Vec<&str>)> = Vec::new();
    for (section, key) in Setting::ALL.map(Setting::place) {
        match (section, sections.last_mut()) {
            (None, _) => top.push(key),
            (Some(section), Some((last, keys))) if section == *last => keys.push(key),
            (Some(section), _) => {
                top.push(section);
                sections.push((section, vec![key]));
            }
        }
    }
    top.extend(["apple", "windows", "activesync"]);
    let raw = RAW.map(|(at, keys)| (at, keys.to_vec()));
    std::iter::once(("", top)).chain(sections).chain(raw).collect()
}

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
        let keys = known().into_iter().find(|(known, _)| *known == kind).map_or_else(Vec::new, |(_, keys)| keys);
        match entries.iter().find(|(key, _)| !keys.contains(&key.as_str())) {
            Some((key, _)) => Err(unknown(place, key, &keys)),
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
    let elsewhere = known()
        .into_iter()
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

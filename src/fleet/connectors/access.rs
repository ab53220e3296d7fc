//! What an Exchange organisation decides of clients that no list names, as values: what it was found to have, what it is to have, and what of that
//! is otherwise.

use crate::{
    error::{Error, Result},
    fleet::actor,
};
use serde::{Deserialize, Serialize};

/// The level that lets in.
pub const ALLOW: &str = "allow";
const LEVELS: [&str; 3] = [ALLOW, "quarantine", "block"];
const CHARACTERISTICS: [&str; 5] = ["DeviceModel", "DeviceType", "DeviceOS", "UserAgent", "XMSWLHeader"];
/// Rules of one document.
const RULES: usize = 500;
/// Characters of a rule's text, of what users are told, and addresses.
const QUERY: usize = 256;
const INSERT: usize = 256;
const RECIPIENTS: usize = 50;

/// Of which clients a rule speaks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Which {
    pub characteristic: String,
    pub query: String,
}

/// An access rule of Exchange's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Whom it is for.
    pub which: Which,
    /// allow, quarantine or block.
    pub level: String,
}

/// What Exchange was found to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Found {
    pub default: String,
    pub recipients: Vec<String>,
    pub insert: String,
    pub rules: Vec<Rule>,
}

/// What it is to have. `None`: that is left as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Document {
    pub default: Option<String>,
    pub recipients: Option<Vec<String>>,
    pub insert: Option<String>,
    pub rules: Vec<Rule>,
}

/// A document with the rules that a former one made and it does not name: they go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Wanted {
    pub document: Document,
    pub without: Vec<Which>,
}

impl Which {
    pub(super) fn is(&self, other: &Self) -> bool {
        self.characteristic.eq_ignore_ascii_case(&other.characteristic) && self.query.eq_ignore_ascii_case(&other.query)
    }
}

pub(super) fn differences(wanted: &Wanted, found: &Found) -> Vec<String> {
    let Wanted { document, without } = wanted;
    let mut lines = Vec::new();
    let has = |which: &Which| found.rules.iter().find(|rule| rule.which.is(which));
    for Rule { which, level } in &document.rules {
        match has(which) {
            Some(rule) if rule.level == *level => {}
            Some(rule) => lines.push(format!("rule {which}: {} becomes {level}", rule.level)),
            None => lines.push(format!("rule {which}: {level}, made")),
        }
    }
    lines.extend(without.iter().filter(|which| has(which).is_some()).map(|which| format!("rule {which}: removed")));
    if let Some(default) = document.default.as_ref().filter(|default| **default != found.default) {
        lines.push(format!("default: {} becomes {default}", found.default));
    }
    if document.recipients.as_ref().is_some_and(|wanted| sorted(wanted) != sorted(&found.recipients)) {
        lines.push("who is told of clients that wait".into());
    }
    if document.insert.as_ref().is_some_and(|wanted| wanted.trim() != found.insert.trim()) {
        lines.push("what users are told".into());
    }
    lines
}

fn sorted(addresses: &[String]) -> Vec<String> {
    let mut all: Vec<String> = addresses.iter().map(|address| address.to_lowercase()).collect();
    all.sort();
    all
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.characteristic, self.query)
    }
}

/// A document that can be set, or why not.
pub(super) fn checked(document: &Document) -> Result<Document> {
    let level = |field: &'static str, level: &str| match LEVELS.contains(&level) {
        true => Ok(()),
        false => Err(Error::invalid(field, "allow, quarantine or block is needed")),
    };
    if let Some(default) = &document.default {
        level("default", default)?;
    }
    let text = |field: &'static str, text: &str, most: usize| match text.chars().count() {
        1.. if text.trim().is_empty() => Err(Error::invalid(field, "it says nothing")),
        count if count > most => Err(Error::invalid(field, format!("at most {most} characters"))),
        _ if actor::has_hidden(text) => Err(Error::invalid(field, "no characters that cannot be seen")),
        _ => Ok(()),
    };
    text("insert", document.insert.as_deref().unwrap_or_default(), INSERT)?;
    let recipients = document.recipients.as_deref().unwrap_or_default();
    if recipients.len() > RECIPIENTS || recipients.iter().any(|address| !address.contains('@') || address.contains(' '))
    {
        return Err(Error::invalid("recipients", format!("at most {RECIPIENTS} mail addresses")));
    }
    if document.rules.len() > RULES {
        return Err(Error::invalid("rules", format!("at most {RULES}")));
    }
    for (at, rule) in document.rules.iter().enumerate() {
        level("rules.level", &rule.level)?;
        if !CHARACTERISTICS.contains(&rule.which.characteristic.as_str()) {
            return Err(Error::invalid(
                "rules.characteristic",
                format!("one of {} is needed", CHARACTERISTICS.join(", ")),
            ));
        }
        text("rules.query", &rule.which.query, QUERY)?;
        if rule.which.query.is_empty() || rule.which.query.contains('*') {
            let why = "the whole text of the clients that are meant: Exchange knows no wildcards";
            return Err(Error::invalid("rules.query", why));
        }
        if document.rules.iter().take(at).any(|other| other.which.is(&rule.which)) {
            return Err(Error::invalid("rules", format!("{} stands there twice", rule.which)));
        }
    }
    Ok(document.clone())
}

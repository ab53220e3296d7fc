//! The policy document: all rules with their ranges, as WBXML and as the text of version 2.5. [MS-ASPROV] 2.2.2.
//!
//! A document is always whole: a client keeps what it was told before, so a rule that is dropped goes out with its
//! default or empty. A client counts what it cannot do as done; that it acknowledges proves no single rule.

mod rules;
mod wap;

use std::collections::BTreeMap;

use lanyard_wbxml::{Element, Tag};

use crate::pages::provision as tag;
use crate::{Error, Version};

pub use rules::Rule;

/// The list of built-in applications that may not run.
pub const UNAPPROVED: &str = "UnapprovedInROMApplicationList";
/// The list of hashes of applications that may run.
pub const APPROVED: &str = "ApprovedApplicationList";

/// A list longer than this is refused: the document must stay readable for a phone.
const MAX_LIST: usize = 500;

const UNAPPROVED_LIST: Tag = Tag::new(14, 0x37, UNAPPROVED);
const APPROVED_LIST: Tag = Tag::new(14, 0x39, APPROVED);

/// A whole policy. The default restricts nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvisionDoc {
    /// Every rule, in the order of the tokens; `None` is the empty element: no rule.
    values: BTreeMap<Rule, Option<i64>>,
    unapproved: Vec<String>,
    approved: Vec<String>,
}

impl Default for ProvisionDoc {
    fn default() -> ProvisionDoc {
        let values = Rule::ALL.iter().map(|rule| (*rule, rule.default())).collect();
        ProvisionDoc { values, unapproved: Vec::new(), approved: Vec::new() }
    }
}

impl ProvisionDoc {
    /// Sets a raw part: a name as in the specification, its value as [`Rule::read`] takes it. The two lists are separated
    /// by commas.
    pub fn apply(&mut self, name: &str, value: &str) -> Result<(), Error> {
        match name {
            UNAPPROVED => self.unapproved = list(UNAPPROVED, value)?,
            APPROVED => self.approved = hashes(value)?,
            _ => {
                let unknown = || Error::UnknownElement(name.chars().take(64).collect());
                let rule = Rule::from_name(name).ok_or_else(unknown)?;
                self.values.insert(rule, rule.read(value)?);
            }
        }
        Ok(())
    }

    /// Sets one rule; `None` for the empty element.
    pub fn set(&mut self, rule: Rule, value: Option<i64>) -> Result<(), Error> {
        rule.check(value)?;
        self.values.insert(rule, value);
        Ok(())
    }

    /// What a rule says; `None` for no rule.
    pub fn get(&self, rule: Rule) -> Option<i64> {
        self.values.get(&rule).copied().unwrap_or_else(|| rule.default())
    }

    /// File names of built-in applications that may not run.
    pub fn unapproved(&self) -> &[String] {
        &self.unapproved
    }

    /// SHA-1 hashes of applications that may run, 40 hex digits each; empty for all.
    pub fn approved(&self) -> &[String] {
        &self.approved
    }

    /// Rules that say something other than the default and do nothing, because no password is asked for.
    pub fn without_effect(&self) -> Vec<Rule> {
        if self.get(Rule::DevicePasswordEnabled) == Some(1) {
            return Vec::new();
        }
        Rule::ALL.iter().copied().filter(|rule| rule.is_of_password() && self.get(*rule) != rule.default()).collect()
    }

    /// `EASProvisionDoc{…}`, with the rules that the version knows: some came with 12.1.
    pub fn element(&self, version: Version) -> Element {
        let known = Rule::ALL.iter().filter(|rule| rule.since() <= version.max(Version::V12_0));
        let mut document = Element::of(
            tag::EAS_PROVISION_DOC,
            known.map(|rule| {
                let value = self.get(*rule).map(|value| value.to_string());
                Element::text_of(rule.tag(), value.unwrap_or_default())
            }),
        );
        if version >= Version::V12_1 {
            let entries = |tag, list: &[String]| {
                list.iter().map(|entry| Element::text_of(tag, &**entry)).collect::<Vec<Element>>()
            };
            document = document
                .with(Element::of(UNAPPROVED_LIST, entries(tag::APPLICATION_NAME, &self.unapproved)))
                .with(Element::of(APPROVED_LIST, entries(tag::HASH, &self.approved)));
        }
        document
    }

    /// Reads `EASProvisionDoc{…}`. What is absent has its default, what is unknown is passed over.
    pub fn parse(element: &Element) -> Result<ProvisionDoc, Error> {
        let mut document = ProvisionDoc::default();
        for child in element.elements() {
            let entries = || child.elements().filter_map(Element::text).collect::<Vec<&str>>().join(",");
            if child.tag == UNAPPROVED_LIST {
                document.unapproved = list(UNAPPROVED, &entries())?;
            } else if child.tag == APPROVED_LIST {
                document.approved = hashes(&entries())?;
            } else if let Some(rule) = Rule::ALL.iter().find(|rule| rule.tag() == child.tag) {
                document.values.insert(*rule, rule.read(child.text().unwrap_or("a structure").trim())?);
            }
        }
        Ok(document)
    }

    /// The document of version 2.5.
    pub fn wap_xml(&self) -> String {
        wap::encode(self)
    }
}

fn list(element: &'static str, value: &str) -> Result<Vec<String>, Error> {
    let refuse =
        |allowed: &str| Error::Value { element, value: value.chars().take(64).collect(), allowed: allowed.to_owned() };
    let entries: Vec<String> =
        value.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect();
    if entries.len() > MAX_LIST {
        return Err(refuse("a list of at most 500 entries"));
    }
    if entries.iter().any(|entry| entry.len() > 255 || entry.chars().any(char::is_control)) {
        return Err(refuse("a list of names of at most 255 bytes without control characters"));
    }
    Ok(entries)
}

fn hashes(value: &str) -> Result<Vec<String>, Error> {
    let entries = list(APPROVED, value)?;
    match entries.iter().find(|entry| entry.len() != 40 || !entry.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        None => Ok(entries),
        Some(wrong) => Err(Error::Value {
            element: APPROVED,
            value: wrong.clone(),
            allowed: "a SHA-1 hash of 40 hex digits".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests;

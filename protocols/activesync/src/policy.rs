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

/// The list of built-in applications that may not run. No policy carries it; it goes out empty.
pub const UNAPPROVED: &str = "UnapprovedInROMApplicationList";
/// The list of hashes of applications that may run; likewise.
pub const APPROVED: &str = "ApprovedApplicationList";

const UNAPPROVED_LIST: Tag = Tag::new(14, 0x37, UNAPPROVED);
const APPROVED_LIST: Tag = Tag::new(14, 0x39, APPROVED);

/// A whole policy. The default restricts nothing. It is kept as what differs from that.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(from = "BTreeMap<String, Option<i64>>", into = "BTreeMap<String, Option<i64>>")]
pub struct ProvisionDoc {
    /// Every rule, in the order of the tokens; `None` is the empty element: no rule.
    values: BTreeMap<Rule, Option<i64>>,
}

impl Default for ProvisionDoc {
    fn default() -> ProvisionDoc {
        let values = Rule::ALL.iter().map(|rule| (*rule, rule.default())).collect();
        ProvisionDoc { values }
    }
}

impl From<ProvisionDoc> for BTreeMap<String, Option<i64>> {
    fn from(document: ProvisionDoc) -> Self {
        let differs = document.values.into_iter().filter(|(rule, value)| *value != rule.default());
        differs.map(|(rule, value)| (rule.name().to_owned(), value)).collect()
    }
}

/// What no rule takes, of a later version perhaps, is left out.
impl From<BTreeMap<String, Option<i64>>> for ProvisionDoc {
    fn from(kept: BTreeMap<String, Option<i64>>) -> ProvisionDoc {
        let mut document = ProvisionDoc::default();
        for (rule, value) in kept.iter().filter_map(|(name, value)| Some((Rule::from_name(name)?, *value))) {
            if rule.check(value).is_ok() {
                document.values.insert(rule, value);
            }
        }
        document
    }
}

impl ProvisionDoc {
    /// Whether it asks for anything.
    pub fn restricts(&self) -> bool {
        self.values.iter().any(|(rule, value)| *value != rule.default())
    }

    /// Sets a raw part: a name as in the specification, its value as [`Rule::read`] takes it.
    pub fn apply(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let unknown = || Error::UnknownElement(name.chars().take(64).collect());
        let rule = Rule::from_name(name).ok_or_else(unknown)?;
        self.values.insert(rule, rule.read(value)?);
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
            document = document.with(Element::empty(UNAPPROVED_LIST)).with(Element::empty(APPROVED_LIST));
        }
        document
    }

    /// Reads `EASProvisionDoc{…}`. What is absent has its default, what is unknown is passed over.
    pub fn parse(element: &Element) -> Result<ProvisionDoc, Error> {
        let mut document = ProvisionDoc::default();
        for child in element.elements() {
            if let Some(rule) = Rule::ALL.iter().find(|rule| rule.tag() == child.tag) {
                document.values.insert(*rule, rule.read(child.text().unwrap_or("a structure").trim())?);
            }
        }
        Ok(document)
    }

    /// Reads what another server sends: a value that no rule takes (Z-Push sends a MaxAttachmentSize of -1) counts as absent.
    pub fn heard(element: &Element) -> ProvisionDoc {
        let mut document = ProvisionDoc::default();
        for child in element.elements() {
            let rule = Rule::ALL.iter().find(|rule| rule.tag() == child.tag);
            if let Some((rule, value)) =
                rule.and_then(|r| Some((*r, r.read(child.text().unwrap_or_default().trim()).ok()?)))
            {
                document.values.insert(rule, value);
            }
        }
        document
    }

    /// A document that asks for all that both ask for. Rules of the password count where their own document asks for one.
    #[must_use]
    pub fn stricter(&self, other: &ProvisionDoc) -> ProvisionDoc {
        let both = |rule: Rule| (rule, rule.stricter(self.counts(rule), other.counts(rule)));
        ProvisionDoc { values: Rule::ALL.iter().map(|rule| both(*rule)).collect() }
    }

    fn counts(&self, rule: Rule) -> Option<i64> {
        let void = rule.is_of_password() && self.get(Rule::DevicePasswordEnabled) != Some(1);
        if void { rule.default() } else { self.get(rule) }
    }

    /// The document of version 2.5.
    pub fn wap_xml(&self) -> String {
        wap::encode(self)
    }

    /// Reads a document of version 2.5. What is not understood is passed over.
    pub fn heard_wap(xml: &str) -> ProvisionDoc {
        wap::decode(xml)
    }
}

#[cfg(test)]
mod tests;

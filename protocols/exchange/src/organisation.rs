//! What an organisation decides of clients that no mailbox's list names: its default, its access rules, and what it mails then. Fields
//! follow `Get-ActiveSyncOrganizationSettings` and `Get-ActiveSyncDeviceAccessRule` of Exchange's PowerShell reference.

use crate::cmdlet::Row;
use crate::mailbox_policy::MailboxPolicy;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// Characters of `UserMailInsert`.
pub const INSERT: usize = 256;
/// Longer texts are cut.
const LONGEST: usize = 1024;
/// No more rules are reported.
const RULES: usize = 2000;

/// What becomes of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    /// It gets mail.
    Allow,
    /// It gets none.
    Block,
    /// It waits.
    Quarantine,
    /// A word that we do not know.
    #[serde(untagged)]
    Other(String),
}

impl Level {
    /// As Exchange spells it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Allow => "Allow",
            Self::Block => "Block",
            Self::Quarantine => "Quarantine",
            Self::Other(word) => word,
        }
    }

    fn read(word: &str) -> Self {
        match word {
            "Allow" => Self::Allow,
            "Block" => Self::Block,
            "Quarantine" => Self::Quarantine,
            other => Self::Other(other.into()),
        }
    }
}

/// Of which clients a rule speaks: of all whose `characteristic` is just `query`. There are no wildcards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Which {
    /// One of [`CHARACTERISTICS`], or a word that we do not know.
    pub characteristic: String,
    /// The whole text.
    pub query: String,
}

/// What a rule may go by.
pub const CHARACTERISTICS: [&str; 5] = ["DeviceModel", "DeviceType", "DeviceOS", "UserAgent", "XMSWLHeader"];

impl Which {
    /// Whether Exchange takes both for one: it has no two rules that differ by letter case alone.
    pub fn is(&self, other: &Self) -> bool {
        self.characteristic.eq_ignore_ascii_case(&other.characteristic) && self.query.eq_ignore_ascii_case(&other.query)
    }
}

/// An access rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Whom it is for.
    #[serde(flatten)]
    pub which: Which,
    /// What becomes of them.
    pub level: Level,
    /// What Exchange calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What an organisation has. What was not read is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organisation {
    /// `DefaultAccessLevel`.
    #[serde(default)]
    pub default: Option<Level>,
    /// `AdminMailRecipients`: who is told of clients that wait.
    #[serde(default)]
    pub recipients: Vec<String>,
    /// `UserMailInsert`: what their users are told.
    #[serde(default)]
    pub insert: String,
    /// Its rules.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// Mailbox policies that a server made; absent where they were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<Vec<MailboxPolicy>>,
}

impl Organisation {
    /// Of a row of `Get-ActiveSyncOrganizationSettings` and of all rules; none where either is not told.
    pub fn read(settings: &Row, rules: &[Row]) -> Option<Self> {
        let default = Some(Level::read(&text(settings, "DefaultAccessLevel")?));
        let insert = text(settings, "UserMailInsert").unwrap_or_default();
        let mut rules: Vec<Rule> = rules.iter().filter_map(rule).take(RULES).collect();
        rules.sort_by(|a, b| (&a.which.characteristic, &a.which.query).cmp(&(&b.which.characteristic, &b.which.query)));
        Some(Self { default, recipients: addresses(settings), insert, rules, policies: None })
    }

    /// The rule for these clients.
    pub fn rule(&self, which: &Which) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.which.is(which))
    }
}

fn rule(row: &Row) -> Option<Rule> {
    let which = Which { characteristic: text(row, "Characteristic")?, query: text(row, "QueryString")? };
    let name = text(row, "Guid").or_else(|| text(row, "Identity")).or_else(|| text(row, "Name"));
    Some(Rule { which, level: Level::read(&text(row, "AccessLevel")?), name })
}

/// A text, or an enumeration's word.
fn text(row: &Row, name: &str) -> Option<String> {
    let value = match row.get(name)? {
        Json::Object(inner) => inner.get("Value").or_else(|| inner.get("Guid")).or_else(|| inner.get("Name"))?,
        value => value,
    };
    let text: String = value.as_str()?.chars().take(LONGEST).collect();
    (!text.trim().is_empty()).then_some(text)
}

fn addresses(row: &Row) -> Vec<String> {
    let one = |value: &Json| value.as_str().or_else(|| value.get("Address")?.as_str()).map(ToString::to_string);
    let mut all: Vec<String> = match row.get("AdminMailRecipients") {
        Some(Json::Array(all)) => all.iter().filter_map(one).collect(),
        Some(value) => one(value).into_iter().filter(|text| !text.is_empty()).collect(),
        None => Vec::new(),
    };
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(value: Json) -> Row {
        let Json::Object(row) = value else { panic!("an object") };
        row
    }

    #[test]
    fn settings_and_rules_are_read_in_each_of_their_forms() {
        let rules = [
            row(
                json!({ "Name": "x", "Characteristic": "DeviceType", "QueryString": "iPhone", "AccessLevel": "Allow" }),
            ),
            row(
                json!({ "Guid": "g", "Characteristic": { "value": 0, "Value": "DeviceModel" }, "QueryString": "A", "AccessLevel": "Sometimes" }),
            ),
            row(json!({ "Characteristic": "DeviceType", "QueryString": null, "AccessLevel": "Allow" })),
        ];
        for (what, settings, recipients) in [
            (
                "a list",
                json!({ "DefaultAccessLevel": "Block", "AdminMailRecipients": ["b@x", "a@x"] }),
                &["a@x", "b@x"][..],
            ),
            ("one by itself", json!({ "DefaultAccessLevel": "Block", "AdminMailRecipients": "a@x" }), &["a@x"]),
            ("none", json!({ "DefaultAccessLevel": "Block", "AdminMailRecipients": null }), &[]),
        ] {
            let told = Organisation::read(&row(settings), &rules).unwrap();
            assert_eq!(told.default, Some(Level::Block), "{what}");
            assert_eq!(told.recipients, recipients, "{what}");
            let levels: Vec<&str> = told.rules.iter().map(|rule| rule.level.as_str()).collect();
            assert_eq!(levels, ["Sometimes", "Allow"], "{what}");
        }
        assert_eq!(Organisation::read(&row(json!({})), &rules), None, "nothing is told");
    }

    #[test]
    fn a_rule_is_found_whatever_its_letter_case_and_words_of_later_versions_are_kept() {
        let which = |query: &str| Which { characteristic: "DeviceType".into(), query: query.into() };
        assert!(which("iPhone").is(&which("IPHONE")) && !which("iPhone").is(&which("iPhone1")));
        let rule: Rule =
            serde_json::from_value(json!({ "characteristic": "X", "query": "q", "level": "Later" })).unwrap();
        assert_eq!(rule.level, Level::Other("Later".into()));
        assert_eq!(
            serde_json::to_value(&rule).unwrap(),
            json!({ "characteristic": "X", "query": "q", "level": "Later" })
        );
    }
}

//! Access rules of the mail gateway, the contract's "Mail rules": YAML text to [`MailRules`], and which of them fits a mail client. What
//! is not here is what a person decided, and from when a rule counts: that is the fleet's.

mod condition;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::error::PolicyError;
use super::nearest::nearest;
use super::node::Node;
use super::reading::{cut, list, text};
use super::target::Platform;
use crate::clock::{parse_duration, print_duration};
use condition::Condition;

/// Bytes of a file of rules.
const MAX_RULES_TEXT: usize = 64 * 1024;
/// Rules in one file: each may be asked at each request.
const MAX_RULES: usize = 200;
/// The longest a client that is to be cut keeps what it has.
const MAX_GRACE: Duration = Duration::from_secs(365 * 86_400);

/// What becomes of a mail client, the most open first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are the contract's")]
pub enum MailAccess {
    Allow,
    Quarantine,
    Block,
}

impl MailAccess {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Allow, Self::Quarantine, Self::Block];

    /// As the file and the setting `eas.unknown` write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Quarantine => "quarantine",
            Self::Block => "block",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|access| access.as_str() == name)
    }
}

/// Whether a device keeps to its policies, by what its enrolments other than mail say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Compliant,
    /// It does not.
    Noncompliant,
    /// It has no other enrolment or no policy, or has not answered yet.
    Unknown,
}

impl Standing {
    const ALL: [Self; 3] = [Self::Compliant, Self::Noncompliant, Self::Unknown];

    fn as_str(self) -> &'static str {
        match self {
            Self::Compliant => "compliant",
            Self::Noncompliant => "noncompliant",
            Self::Unknown => "unknown",
        }
    }
}

/// What is known of a mail client and its device. What is `None` fits no condition about it.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names are those of the conditions")]
pub struct MailClient<'a> {
    pub family: Platform,
    pub kind: Option<&'a str>,
    pub model: Option<&'a str>,
    pub os: Option<&'a str>,
    pub agent: Option<&'a str>,
    pub user: &'a str,
    pub groups: Vec<&'a str>,
    /// Whether it is its user's own.
    pub personal: bool,
    pub certificate: bool,
    pub compliance: Standing,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailRule {
    /// All must hold; there is one at least.
    when: Vec<Condition>,
    /// What then.
    pub then: MailAccess,
    /// For so long a client that is to be cut keeps what it has.
    pub grace: Option<Duration>,
}

impl MailRule {
    /// Its conditions as they are written, by their names.
    pub fn conditions(&self) -> BTreeMap<String, String> {
        self.when.iter().map(|condition| (condition.name().to_owned(), condition.said().to_owned())).collect()
    }

    fn fits(&self, client: &MailClient<'_>) -> bool {
        self.when.iter().all(|condition| condition.holds(client))
    }
}

/// The conditions in short: `family ios, os >=17.2`.
impl fmt::Display for MailRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, condition) in self.when.iter().enumerate() {
            let before = if at == 0 { "" } else { ", " };
            write!(f, "{before}{} {}", condition.name(), condition.said())?;
        }
        Ok(())
    }
}

/// A file of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailRules {
    /// For whom no rule fits.
    pub default: MailAccess,
    /// In their order: the first that fits counts.
    pub rules: Vec<MailRule>,
}

impl MailRules {
    /// Reads a file. What exists is whole: known keys, known words, and no rule that fits everybody.
    pub fn parse(source: &str) -> Result<Self, MailRulesError> {
        if source.len() > MAX_RULES_TEXT {
            return Err(PolicyError::TooLarge { place: "the rules".into(), limit: MAX_RULES_TEXT }.into());
        }
        let mut top = entries(Node::parse(source)?, "", &["default", "rules"])?;
        let default = access(need(&mut top, "", "default")?, "default")?;
        let rules = match take(&mut top, "rules") {
            Some(node) => list(node, "rules", "a list of rules", MAX_RULES)?,
            None => Vec::new(),
        };
        let rules = rules.into_iter().map(|(place, node)| rule(node, &place)).collect::<Result<_, _>>()?;
        Ok(Self { default, rules })
    }

    /// The first rule that fits, with its place from 0. `None`: the default counts.
    pub fn first(&self, client: &MailClient<'_>) -> Option<(usize, &MailRule)> {
        self.rules.iter().enumerate().find(|(_, rule)| rule.fits(client))
    }

    /// Whether any rule asks how a device keeps to its policies, which is more work to know than all else.
    pub fn ask_for_compliance(&self) -> bool {
        self.rules.iter().flat_map(|rule| &rule.when).any(|condition| condition.name() == condition::COMPLIANCE)
    }
}

/// What is wrong with a file of rules.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct MailRulesError(String);

impl From<PolicyError> for MailRulesError {
    fn from(error: PolicyError) -> Self {
        Self(match error {
            PolicyError::Yaml { text, .. } => format!("not a readable file of rules: {text}"),
            other => other.to_string(),
        })
    }
}

type Entries = Vec<(String, Node)>;

/// The entries of a mapping, all of them known.
fn entries(node: Node, place: &str, keys: &[&str]) -> Result<Entries, PolicyError> {
    let shown = if place.is_empty() { "the file" } else { place };
    let Node::Map(entries) = node else { return Err(super::reading::wrong(shown, "a mapping", &node)) };
    match entries.iter().find(|(key, _)| !keys.contains(&key.as_str())) {
        Some((key, _)) => Err(PolicyError::UnknownKey {
            place: join(place, &cut(key)),
            nearest: join(place, nearest(key, keys.iter().copied()).unwrap_or_default()),
        }),
        None => Ok(entries),
    }
}

fn take(entries: &mut Entries, key: &str) -> Option<Node> {
    let at = entries.iter().position(|(known, _)| known == key)?;
    Some(entries.swap_remove(at).1).filter(|node| *node != Node::Null)
}

fn need(entries: &mut Entries, place: &str, key: &str) -> Result<Node, PolicyError> {
    take(entries, key).ok_or_else(|| PolicyError::Missing { place: join(place, key) })
}

fn join(place: &str, key: &str) -> String {
    if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") }
}

/// One of some words; another one names the nearest.
fn word<T: Copy>(said: &str, place: &str, all: &[T], name: fn(T) -> &'static str) -> Result<T, PolicyError> {
    let found = all.iter().copied().find(|one| name(*one) == said);
    found.map_or_else(
        || {
            let near = nearest(said, all.iter().map(|one| name(*one))).unwrap_or_default();
            let words: Vec<&str> = all.iter().map(|one| name(*one)).collect();
            PolicyError::refused(place, format!("takes {}; the nearest is `{near}`", words.join(", ")))
        },
        Ok,
    )
}

fn access(node: Node, place: &str) -> Result<MailAccess, PolicyError> {
    word(&text(node, place)?, place, &MailAccess::ALL, MailAccess::as_str)
}

fn rule(node: Node, place: &str) -> Result<MailRule, PolicyError> {
    let mut fields = entries(node, place, &["when", "then", "grace"])?;
    let at = join(place, "when");
    let whole = entries(need(&mut fields, place, "when")?, &at, &condition::NAMES)?;
    let when = whole.into_iter().map(|(name, node)| {
        let place = join(&at, &name);
        Condition::read(&name, node, &place)
    });
    let when: Vec<Condition> = when.collect::<Result<_, _>>()?;
    if when.iter().all(Condition::is_of_all) {
        return PolicyError::refused(&at, "fits everybody: say it as `default`");
    }
    let then = access(need(&mut fields, place, "then")?, &join(place, "then"))?;
    let grace = take(&mut fields, "grace").map(|node| grace(node, &join(place, "grace"), then)).transpose()?;
    Ok(MailRule { when, then, grace })
}

fn grace(node: Node, place: &str, then: MailAccess) -> Result<Duration, PolicyError> {
    if then == MailAccess::Allow {
        return PolicyError::refused(place, "is for a rule that cuts: this one lets in");
    }
    match parse_duration(&text(node, place)?) {
        Ok(grace) if !grace.is_zero() && grace <= MAX_GRACE => Ok(grace),
        Ok(_) => PolicyError::refused(place, format!("takes a duration up to {}", print_duration(MAX_GRACE))),
        Err(why) => PolicyError::refused(place, why),
    }
}

#[cfg(test)]
mod tests;

//! One condition of an access rule: what is written, and whether it holds of a mail client.

use std::cmp::Ordering;

use super::super::error::PolicyError;
use super::super::node::Node;
use super::super::reading::{cut, wrong};
use super::super::target::Platform;
use super::{MailClient, Standing, word};

/// Whether a device keeps to its policies.
pub(super) const COMPLIANCE: &str = "compliance";

/// What a condition may be about.
pub(super) const NAMES: [&str; 10] =
    ["family", "type", "model", "os", "agent", "user", "group", "ownership", "certificate", COMPLIANCE];

/// Bytes of what a condition says.
const LONGEST: usize = 256;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    name: &'static str,
    said: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Family(Platform),
    Type(Pattern),
    Model(Pattern),
    Os(Vec<Bound>),
    Agent(Pattern),
    User(Pattern),
    Group(Pattern),
    Personal(bool),
    Certificate(bool),
    Compliance(Standing),
}

impl Condition {
    /// Of a name that is known. A number is taken for the text that it was written as.
    pub(super) fn read(name: &str, node: Node, place: &str) -> Result<Self, PolicyError> {
        let said = match node {
            Node::Text(text) => text.trim().to_owned(),
            Node::Int(number) => number.to_string(),
            Node::Bool(value) if name == "certificate" => (if value { "yes" } else { "no" }).to_owned(),
            node => return Err(wrong(place, "text", &node)),
        };
        if said.is_empty() || said.len() > LONGEST {
            return PolicyError::refused(place, format!("takes 1 to {LONGEST} bytes"));
        }
        let pattern = || Pattern::of(&said);
        let test = match name {
            "family" => Test::Family(word(&said, place, &Platform::ALL, Platform::as_str)?),
            "type" => Test::Type(pattern()),
            "model" => Test::Model(pattern()),
            "os" => Test::Os(said.split(',').map(|bound| Bound::read(bound, place)).collect::<Result<_, _>>()?),
            "agent" => Test::Agent(pattern()),
            "user" => Test::User(pattern()),
            "group" => Test::Group(pattern()),
            "ownership" => Test::Personal(word(&said, place, &[false, true], ownership)?),
            "certificate" => Test::Certificate(word(&said, place, &[false, true], yes_or_no)?),
            _ => Test::Compliance(word(&said, place, &Standing::ALL, Standing::as_str)?),
        };
        let name = NAMES.into_iter().find(|known| *known == name).unwrap_or(COMPLIANCE);
        Ok(Self { name, said, test })
    }

    /// What it is about.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// As it is written.
    pub(super) fn said(&self) -> &str {
        &self.said
    }

    /// Whether it leaves nobody out, whatever they say.
    pub(super) fn is_of_all(&self) -> bool {
        match &self.test {
            Test::Type(p) | Test::Model(p) | Test::Agent(p) | Test::User(p) | Test::Group(p) => p.is_of_all(),
            _ => false,
        }
    }

    pub(super) fn holds(&self, client: &MailClient<'_>) -> bool {
        let fits = |pattern: &Pattern, told: Option<&str>| told.is_some_and(|told| pattern.fits(told));
        match &self.test {
            Test::Family(family) => client.family == *family,
            Test::Type(pattern) => fits(pattern, client.kind),
            Test::Model(pattern) => fits(pattern, client.model),
            Test::Os(bounds) => {
                let told = client.os.and_then(Numbers::told);
                told.is_some_and(|told| bounds.iter().all(|bound| bound.holds(&told)))
            }
            Test::Agent(pattern) => fits(pattern, client.agent),
            Test::User(pattern) => pattern.fits(client.user),
            Test::Group(pattern) => client.groups.iter().any(|group| pattern.fits(group)),
            Test::Personal(personal) => client.personal == *personal,
            Test::Certificate(has) => client.certificate == *has,
            Test::Compliance(standing) => client.compliance == *standing,
        }
    }
}

fn ownership(personal: bool) -> &'static str {
    if personal { "personal" } else { "corporate" }
}

fn yes_or_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

/// Text without case, in which a `*` stands for anything.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern(Vec<String>);

impl Pattern {
    fn of(said: &str) -> Self {
        Self(said.to_lowercase().split('*').map(str::to_owned).collect())
    }

    fn is_of_all(&self) -> bool {
        self.0.len() > 1 && self.0.iter().all(String::is_empty)
    }

    fn fits(&self, told: &str) -> bool {
        let told = told.to_lowercase();
        let [first, between @ .., last] = self.0.as_slice() else {
            return self.0.first().is_some_and(|whole| *whole == told);
        };
        let Some(rest) = told.strip_prefix(first.as_str()).and_then(|rest| rest.strip_suffix(last.as_str())) else {
            return false;
        };
        let found = between.iter().try_fold(rest, |rest, piece| rest.split_once(piece.as_str()).map(|(_, rest)| rest));
        found.is_some()
    }
}

/// One bound of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bound {
    /// Which outcomes of the comparison are meant.
    takes: &'static [Ordering],
    numbers: Numbers,
}

/// As it is written; the longer first, since one begins with the other.
const COMPARISONS: [(&str, &[Ordering]); 5] = [
    (">=", &[Ordering::Greater, Ordering::Equal]),
    ("<=", &[Ordering::Less, Ordering::Equal]),
    (">", &[Ordering::Greater]),
    ("<", &[Ordering::Less]),
    ("=", &[Ordering::Equal]),
];

impl Bound {
    fn read(said: &str, place: &str) -> Result<Self, PolicyError> {
        let said = said.trim();
        let compared = COMPARISONS.iter().find_map(|(sign, takes)| Some((*takes, said.strip_prefix(sign)?)));
        let (takes, version) = compared.unwrap_or((&[Ordering::Equal], said));
        match Numbers::whole(version.trim()) {
            Some(numbers) => Ok(Self { takes, numbers }),
            None => {
                let text = format!("`{}` is no version to compare with: write \">=17.2\" (or <=, <, >, =)", cut(said));
                PolicyError::refused(place, text)
            }
        }
    }

    fn holds(&self, told: &Numbers) -> bool {
        self.takes.contains(&told.cmp(&self.numbers))
    }
}

/// The numbers of a version: `17.10` is newer than `17.9`, and `17` is `17.0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Numbers(Vec<u64>);

impl Numbers {
    /// A text that is a version and nothing else.
    fn whole(text: &str) -> Option<Self> {
        let numbers = text.split('.').map(|number| match number.bytes().all(|byte| byte.is_ascii_digit()) {
            true => number.parse().ok(),
            false => None,
        });
        Some(Self::of(numbers.collect::<Option<Vec<u64>>>()?))
    }

    /// As devices tell it: `17.2.1`, `iOS 17.2.1 21C66`, `Android 14`. The first word that begins with a digit.
    fn told(text: &str) -> Option<Self> {
        let version = text.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
        let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
        let numbers = version.get(..end)?.split('.').filter(|number| !number.is_empty());
        // What is too large for a number is newer than all.
        Some(Self::of(numbers.map(|number| number.parse().unwrap_or(u64::MAX)).collect()))
    }

    fn of(mut numbers: Vec<u64>) -> Self {
        while numbers.last() == Some(&0) {
            numbers.pop();
        }
        Self(numbers)
    }
}

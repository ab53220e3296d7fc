//! What a device has, as far as it answered, against what it must have: the parts to send and to take away.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::part::{Part, PartId};
use crate::ids::hexed;

/// What became of a part that was sent. Kept in the device's record, so short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The hash of the part as it was sent.
    #[serde(with = "hexed")]
    pub hash: String,
    /// The device's answer.
    pub outcome: Outcome,
    /// When it answered, to the second.
    #[serde(with = "time::serde::timestamp")]
    pub at: OffsetDateTime,
}

/// A device's answer to a part. Texts are cut to [`Outcome::MAX_TEXT`] characters by the constructors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done, as far as the device says. On ActiveSync: acknowledged with status 1, which proves no single setting.
    Enforced,
    /// Done in part (ActiveSync: status 2).
    Partly(String),
    /// Refused.
    Failed(String),
    /// The device has no such thing.
    Unsupported(String),
    /// It was to be taken away, and the device refused that.
    Stuck(String),
}

impl Outcome {
    /// Characters of a device's text that are kept.
    pub const MAX_TEXT: usize = 200;

    /// [`Outcome::Partly`] with the text cut.
    pub fn partly(text: &str) -> Outcome {
        Outcome::Partly(cut(text))
    }

    /// [`Outcome::Failed`] with the text cut.
    pub fn failed(text: &str) -> Outcome {
        Outcome::Failed(cut(text))
    }

    /// [`Outcome::Unsupported`] with the text cut.
    pub fn unsupported(text: &str) -> Outcome {
        Outcome::Unsupported(cut(text))
    }

    /// [`Outcome::Stuck`] with the text cut.
    pub fn stuck(text: &str) -> Outcome {
        Outcome::Stuck(cut(text))
    }
}

fn cut(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(Outcome::MAX_TEXT).collect()
}

/// Whether parts that a device refused are sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Only when their content has changed: asking again at each check-in would never end.
    OnChange,
    /// An administrator asked for it (`devices sync`), or the device was upgraded.
    Now,
}

/// What is to be done. Send what is to be installed first, in this order: taking away first would leave a gap.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// Parts to send, in order.
    pub install: Vec<PartId>,
    /// Parts to take away. Drop their record when the device has answered that they are gone, or were never there.
    pub remove: Vec<PartId>,
    /// Records of parts that the device never took and that are no longer wanted: drop them, nothing is sent.
    pub forget: Vec<PartId>,
}

impl Difference {
    /// Whether there is nothing to send (records to drop can wait for the next write).
    pub fn is_empty(&self) -> bool {
        self.install.is_empty() && self.remove.is_empty()
    }
}

/// Compares. A part that failed may still be there in its former content, so it is taken away like any other.
pub fn difference(desired: &BTreeMap<PartId, Part>, applied: &BTreeMap<PartId, Applied>, retry: Retry) -> Difference {
    let mut found = Difference::default();
    for (id, part) in desired {
        if applied.get(id).is_none_or(|applied| must_send(part, applied, retry)) {
            found.install.push(id.clone());
        }
    }
    for (id, applied) in applied.iter().filter(|(id, _)| !desired.contains_key(id)) {
        match &applied.outcome {
            Outcome::Unsupported(_) => found.forget.push(id.clone()),
            Outcome::Stuck(_) if retry == Retry::OnChange => {}
            _ => found.remove.push(id.clone()),
        }
    }
    found
}

fn must_send(part: &Part, applied: &Applied, retry: Retry) -> bool {
    if applied.hash != part.hash {
        return true;
    }
    match applied.outcome {
        Outcome::Enforced => false,
        Outcome::Partly(_) | Outcome::Failed(_) | Outcome::Unsupported(_) => retry == Retry::Now,
        // It is wanted again; whether it is still whole, nobody knows.
        Outcome::Stuck(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::super::effective::effective;
    use super::super::file::PolicyFile;
    use super::super::parts::desired;
    use super::super::settings::Setting;
    use super::super::target::{Channel, Platform, Target};
    use super::*;

    fn parts() -> BTreeMap<PartId, Part> {
        let policy = PolicyFile::parse("name: a\nassign: all\npasscode: {min_length: 8}\n").unwrap();
        desired(&effective([&policy]), Channel::Omadm, &Target::of(Platform::Windows))
    }

    #[test]
    fn each_answer_has_its_consequence() {
        let length = PartId::Setting(Setting::PasscodeMinLength);
        let hash = parts()[&length].hash.clone();
        let text = || "no".to_owned();
        for (row, hash, outcome, retry, sent) in [
            ("done", hash.as_str(), Outcome::Enforced, Retry::Now, false),
            ("changed", "other", Outcome::Enforced, Retry::OnChange, true),
            ("failed", &hash, Outcome::Failed(text()), Retry::OnChange, false),
            ("failed, again", &hash, Outcome::Failed(text()), Retry::Now, true),
            ("failed, changed", "other", Outcome::Failed(text()), Retry::OnChange, true),
            ("unsupported", &hash, Outcome::Unsupported(text()), Retry::OnChange, false),
            ("unsupported, again", &hash, Outcome::Unsupported(text()), Retry::Now, true),
            ("partly", &hash, Outcome::Partly(text()), Retry::OnChange, false),
            ("stuck, wanted again", &hash, Outcome::Stuck(text()), Retry::OnChange, true),
        ] {
            let record = Applied { hash: hash.to_owned(), outcome, at: OffsetDateTime::UNIX_EPOCH };
            let found = difference(&parts(), &BTreeMap::from([(length.clone(), record)]), retry);
            assert_eq!(found.install.contains(&length), sent, "{row}");
            assert!(found.install.contains(&PartId::Setting(Setting::PasscodeRequired)), "{row}");
            assert!(found.remove.is_empty() && found.forget.is_empty(), "{row}");
        }
    }

    #[test]
    fn what_is_no_longer_wanted_goes() {
        for (row, outcome, retry, want) in [
            ("enforced", Outcome::Enforced, Retry::OnChange, (1, 0)),
            ("failed", Outcome::failed("x"), Retry::OnChange, (1, 0)),
            ("never there", Outcome::unsupported("x"), Retry::OnChange, (0, 1)),
            ("stuck", Outcome::stuck("x"), Retry::OnChange, (0, 0)),
            ("stuck, again", Outcome::stuck("x"), Retry::Now, (1, 0)),
        ] {
            let record = Applied { hash: String::new(), outcome, at: OffsetDateTime::UNIX_EPOCH };
            let found = difference(&BTreeMap::new(), &BTreeMap::from([(PartId::Document, record)]), retry);
            assert_eq!((found.remove.len(), found.forget.len()), want, "{row}");
        }
    }

    #[test]
    fn records_keep_their_form() {
        let at = OffsetDateTime::UNIX_EPOCH;
        let record = |outcome| Applied { hash: "ab".into(), outcome, at };
        for (record, json) in [
            (record(Outcome::Enforced), r#"{"hash":"ab","outcome":"enforced","at":0}"#),
            (record(Outcome::failed("a\nb")), r#"{"hash":"ab","outcome":{"failed":"a b"},"at":0}"#),
        ] {
            assert_eq!(serde_json::to_string(&record).unwrap(), json);
            assert_eq!(serde_json::from_str::<Applied>(json).unwrap(), record);
        }
        assert_eq!(Outcome::failed(&"é".repeat(500)), Outcome::Failed("é".repeat(Outcome::MAX_TEXT)));
    }
}

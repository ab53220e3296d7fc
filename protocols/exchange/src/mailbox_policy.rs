//! A mobile device mailbox policy: which of its parameters are written from here, what numbers Exchange takes for each, and how what it
//! answers is read. Names and ranges: `Set-MobileDeviceMailboxPolicy` of Exchange's PowerShell reference.

use crate::cmdlet::Row;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// How the names of policies begin that a server made.
pub const OURS: &str = "Lanyard ";

/// A policy as it is to be, or as it was read: parameters by name. What was not told, or cannot be read, is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxPolicy {
    /// Its name.
    pub name: String,
    /// `PasswordEnabled` and the like; a number without a limit is null.
    #[serde(default)]
    pub settings: BTreeMap<String, Json>,
}

/// How a parameter is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Switch,
    /// From, to.
    Count(i64, i64),
    /// A span of time, counted in minutes.
    Minutes(i64, i64),
    /// Likewise in days.
    Days(i64, i64),
    /// A word, counted from the strictest on.
    Word(&'static [&'static str]),
}

const PARAMETERS: &[(&str, Form)] = &[
    ("AllowNonProvisionableDevices", Form::Switch),
    ("PasswordEnabled", Form::Switch),
    ("AlphanumericPasswordRequired", Form::Switch),
    ("MinPasswordLength", Form::Count(1, 16)),
    ("MaxPasswordFailedAttempts", Form::Count(4, 16)),
    ("MaxInactivityTimeLock", Form::Minutes(1, 60)),
    ("PasswordExpiration", Form::Days(1, 730)),
    ("PasswordHistory", Form::Count(0, 50)),
    ("RequireDeviceEncryption", Form::Switch),
    ("AllowCamera", Form::Switch),
    ("AllowBluetooth", Form::Word(&["Disable", "HandsfreeOnly", "Allow"])),
];

fn form(name: &str) -> Option<Form> {
    PARAMETERS.iter().find(|(known, _)| *known == name).map(|(_, form)| *form)
}

/// A parameter as Exchange takes it, and the number where it is another than was asked for: Exchange has an end where a policy may go
/// further. None for what is no parameter of ours.
pub fn written(name: &str, number: i64) -> Option<(Json, Option<i64>)> {
    let form = form(name)?;
    let near = match form {
        Form::Switch => number.clamp(0, 1),
        Form::Count(from, to) | Form::Minutes(from, to) | Form::Days(from, to) => number.clamp(from, to),
        Form::Word(words) => number.clamp(0, words.len() as i64 - 1),
    };
    Some((spelt(form, near), (near != number).then_some(near)))
}

fn spelt(form: Form, number: i64) -> Json {
    match form {
        Form::Switch => Json::from(number != 0),
        Form::Count(..) => Json::from(number),
        Form::Minutes(..) => Json::from(format!("{:02}:{:02}:00", number / 60, number % 60)),
        Form::Days(..) => Json::from(format!("{number}.00:00:00")),
        Form::Word(words) => Json::from(usize::try_from(number).ok().and_then(|at| words.get(at).copied())),
    }
}

/// A row of `Get-MobileDeviceMailboxPolicy`; none where it has no name.
pub fn read(row: &Row) -> Option<MailboxPolicy> {
    let name = row.get("Name").or_else(|| row.get("Identity"))?.as_str()?.to_string();
    let told = |(name, form): &(&str, Form)| Some(((*name).to_string(), told(*form, row.get(*name)?)?));
    Some(MailboxPolicy { name, settings: PARAMETERS.iter().filter_map(told).collect() })
}

/// A value as it is written; null: without a limit; none: it cannot be read.
fn told(form: Form, value: &Json) -> Option<Json> {
    let text = match value {
        Json::Object(inner) => inner.get("Value")?.as_str()?.trim(),
        Json::String(text) => text.trim(),
        Json::Bool(_) if form == Form::Switch => return Some(value.clone()),
        Json::Number(number) => return Some(spelt(form, number.as_i64()?)),
        _ => return None,
    };
    if text.eq_ignore_ascii_case("Unlimited") {
        return Some(Json::Null);
    }
    let number = match form {
        Form::Switch if text.eq_ignore_ascii_case("true") => 1,
        Form::Switch if text.eq_ignore_ascii_case("false") => 0,
        Form::Switch => return None,
        Form::Count(..) => text.parse().ok()?,
        Form::Minutes(..) => seconds(text)? / 60,
        Form::Days(..) => seconds(text)? / 86_400,
        Form::Word(words) => words.iter().position(|word| word.eq_ignore_ascii_case(text))? as i64,
    };
    Some(spelt(form, number))
}

/// A span of .NET's: `[days.]hours:minutes:seconds`.
fn seconds(text: &str) -> Option<i64> {
    let (days, clock) = match text.split_once('.') {
        Some((days, clock)) if clock.contains(':') => (days.parse::<u32>().ok()?, clock),
        _ => (0, text),
    };
    let mut parts = clock.split(':').map(|part| part.split('.').next().and_then(|whole| whole.parse::<u32>().ok()));
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    Some(i64::from(days) * 86_400 + i64::from(hours) * 3600 + i64::from(minutes) * 60 + i64::from(seconds))
}

impl MailboxPolicy {
    /// Whether all that `wanted` says is so here. What was not told counts as so: else it would be written for ever.
    pub fn has(&self, wanted: &BTreeMap<String, Json>) -> bool {
        wanted.iter().all(|(name, value)| self.settings.get(name).is_none_or(|told| told == value))
    }

    /// Whether a server made it.
    pub fn is_ours(&self) -> bool {
        self.name.starts_with(OURS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_written_as_exchange_takes_them_and_its_ends_are_said() {
        for (name, number, want, near) in [
            ("PasswordEnabled", 1, json!(true), None),
            ("AllowCamera", 0, json!(false), None),
            ("MinPasswordLength", 8, json!(8), None),
            ("MinPasswordLength", 0, json!(1), Some(1)),
            ("MaxPasswordFailedAttempts", 2, json!(4), Some(4)),
            ("MaxInactivityTimeLock", 5, json!("00:05:00"), None),
            ("MaxInactivityTimeLock", 60, json!("01:00:00"), None),
            ("MaxInactivityTimeLock", 99, json!("01:00:00"), Some(60)),
            ("PasswordExpiration", 90, json!("90.00:00:00"), None),
            ("PasswordExpiration", 0, json!("1.00:00:00"), Some(1)),
            ("PasswordHistory", 51, json!(50), Some(50)),
            ("AllowBluetooth", 0, json!("Disable"), None),
            ("AllowBluetooth", 2, json!("Allow"), None),
        ] {
            assert_eq!(written(name, number), Some((want, near)), "{name} {number}");
        }
        assert_eq!(written("IsDefault", 1), None);
    }

    #[test]
    fn each_form_of_a_value_is_read_as_it_is_written() {
        for (name, value, want) in [
            ("PasswordEnabled", json!("True"), Some(json!(true))),
            ("PasswordEnabled", json!(false), Some(json!(false))),
            ("PasswordEnabled", json!("perhaps"), None),
            ("MinPasswordLength", json!("8"), Some(json!(8))),
            ("MinPasswordLength", json!(null), None),
            ("MaxPasswordFailedAttempts", json!("Unlimited"), Some(json!(null))),
            ("MaxInactivityTimeLock", json!("00:15:00"), Some(json!("00:15:00"))),
            ("MaxInactivityTimeLock", json!("00:15:00.0000000"), Some(json!("00:15:00"))),
            ("MaxInactivityTimeLock", json!("15 minutes"), None),
            ("PasswordExpiration", json!("90.00:00:00"), Some(json!("90.00:00:00"))),
            ("AllowBluetooth", json!({ "value": 0, "Value": "Disable" }), Some(json!("Disable"))),
            ("AllowBluetooth", json!("Sometimes"), None),
        ] {
            let Json::Object(row) = json!({ "Name": "x", name: value }) else { panic!("an object") };
            assert_eq!(read(&row).unwrap().settings.get(name), want.as_ref(), "{name} {row:?}");
        }
    }

    #[test]
    fn what_was_not_told_makes_no_difference_and_what_was_told_does() {
        let policy =
            |settings: Json| MailboxPolicy { name: "x".into(), settings: serde_json::from_value(settings).unwrap() };
        let wanted = policy(json!({ "MinPasswordLength": 8, "AllowCamera": false })).settings;
        for (told, want) in [
            (json!({ "MinPasswordLength": 8, "AllowCamera": false, "PasswordHistory": 3 }), true),
            (json!({ "MinPasswordLength": 8 }), true),
            (json!({ "MinPasswordLength": null }), false),
            (json!({ "AllowCamera": true }), false),
        ] {
            assert_eq!(policy(told.clone()).has(&wanted), want, "{told}");
        }
    }
}

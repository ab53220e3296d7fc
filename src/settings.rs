//! Settings kept in the store: what guards wipes and what all nodes must agree on. A loosened guard waits.

use crate::{
    admins::{self, Actor},
    audit,
    clock::{Timestamp, parse_duration},
    error::{Error, Result},
    store::{Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a value may be.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Count,
    Span,
    Choice(&'static [&'static str]),
    /// Free text; the function says what is wrong with one.
    Text(fn(&str) -> Option<&'static str>),
}

/// Which change makes the guard weaker, and so waits for `wipe.newcomer`.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Guard {
    None,
    MoreIsLooser,
    LessIsLooser,
    AnyChangeIsLooser,
}

struct Spec {
    key: &'static str,
    default: &'static str,
    kind: Kind,
    guard: Guard,
}

const NONE: &str = "none";

const SPECS: [Spec; 16] = [
    Spec { key: "wipe.full.per_admin", default: "10", kind: Kind::Count, guard: Guard::MoreIsLooser },
    Spec { key: "wipe.full.per_tenant", default: "20", kind: Kind::Count, guard: Guard::MoreIsLooser },
    Spec { key: "wipe.other.per_admin", default: "100", kind: Kind::Count, guard: Guard::MoreIsLooser },
    Spec { key: "wipe.other.per_tenant", default: "200", kind: Kind::Count, guard: Guard::MoreIsLooser },
    Spec { key: "wipe.delay", default: "0s", kind: Kind::Span, guard: Guard::LessIsLooser },
    Spec { key: "wipe.newcomer", default: "24h", kind: Kind::Span, guard: Guard::LessIsLooser },
    Spec { key: "windows.poll", default: "60m", kind: Kind::Span, guard: Guard::None },
    Spec {
        key: "eas.unknown",
        default: "quarantine",
        kind: Kind::Choice(&["quarantine", "allow", "block"]),
        guard: Guard::None,
    },
    Spec {
        key: "eas.unknown_ownership",
        default: "corporate",
        kind: Kind::Choice(&["corporate", "personal"]),
        guard: Guard::None,
    },
    Spec { key: "eas.domain", default: NONE, kind: Kind::Text(any), guard: Guard::None },
    Spec { key: "apple.sign_messages", default: "off", kind: Kind::Choice(&["off", "on"]), guard: Guard::None },
    Spec { key: "apple.push_url", default: "https://api.push.apple.com", kind: Kind::Text(https), guard: Guard::None },
    // Whoever may name a proxy may speak for every device.
    Spec { key: "net.trusted_proxies", default: NONE, kind: Kind::Text(any), guard: Guard::AnyChangeIsLooser },
    Spec { key: "limit.connections_per_address", default: "1000", kind: Kind::Count, guard: Guard::None },
    Spec { key: "limit.wrong_codes_per_hour", default: "10", kind: Kind::Count, guard: Guard::MoreIsLooser },
    // The webhook tells administrators of held wipes: to silence it weakens the guard.
    Spec { key: "notify.webhook", default: NONE, kind: Kind::Text(http_or_none), guard: Guard::AnyChangeIsLooser },
];

fn any(_: &str) -> Option<&'static str> {
    None
}
fn https(text: &str) -> Option<&'static str> {
    (!text.starts_with("https://")).then_some("an https:// address is needed")
}
fn http_or_none(text: &str) -> Option<&'static str> {
    (text != NONE && !text.starts_with("https://") && !text.starts_with("http://"))
        .then_some("a http(s):// address or none")
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Stored {
    key: String,
    value: String,
    /// A loosened value and the counted time at which it was set.
    pending: Option<(String, i64)>,
}

impl Record for Stored {
    const KIND: &'static str = "setting";
    fn key(&self) -> String {
        self.key.clone()
    }
    fn subject(&self) -> Option<String> {
        Some("*".into())
    }
}

/// A setting as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its name.
    pub key: String,
    /// What counts now.
    pub value: String,
    /// What counts where nothing is set.
    pub default: String,
    /// A loosened value that does not count yet.
    pub pending: Option<String>,
    /// When it will.
    pub counts_from: Option<Timestamp>,
}

fn spec(key: &str) -> Result<&'static Spec> {
    SPECS.iter().find(|s| s.key == key).ok_or_else(|| Error::not_found("setting", key))
}

fn current(tx: &mut Tx<'_>, spec: &Spec) -> Result<Setting> {
    let stored = tx.get::<Stored>(spec.key)?;
    let mut setting = Setting {
        key: spec.key.into(),
        value: spec.default.into(),
        default: spec.default.into(),
        pending: None,
        counts_from: None,
    };
    let Some(stored) = stored else { return Ok(setting) };
    setting.value = stored.value;
    if let Some((value, since)) = stored.pending {
        // The wait for a shorter wait is the wait that counts until then.
        let wait = if spec.key == "wipe.newcomer" {
            parse_duration(&setting.value).unwrap_or_default()
        } else {
            newcomer(tx)?
        };
        let left = admins::left_to_wait(tx, since, wait)?;
        if left.is_zero() {
            setting.value = value;
        } else {
            setting.pending = Some(value);
            setting.counts_from = Some(tx.now().plus(left));
        }
    }
    Ok(setting)
}

/// All settings, in the order of the table in docs/operations.md.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<Setting>> {
    SPECS.iter().map(|s| current(tx, s)).collect()
}

/// One of them.
pub fn show(tx: &mut Tx<'_>, key: &str) -> Result<Setting> {
    current(tx, spec(key)?)
}

/// The text that counts now; `None` where it says `none`.
pub fn text(tx: &mut Tx<'_>, key: &str) -> Result<Option<String>> {
    Ok(Some(current(tx, spec(key)?)?.value).filter(|v| v != NONE))
}

/// A number that counts now.
pub fn count(tx: &mut Tx<'_>, key: &str) -> Result<usize> {
    current(tx, spec(key)?)?.value.parse().map_err(|_| Error::Internal(format!("setting {key}")))
}

/// A duration that counts now.
pub fn span(tx: &mut Tx<'_>, key: &str) -> Result<Duration> {
    parse_duration(&current(tx, spec(key)?)?.value).map_err(Error::Internal)
}

/// How long newcomers and loosened limits wait.
pub fn newcomer(tx: &mut Tx<'_>) -> Result<Duration> {
    span(tx, "wipe.newcomer")
}

/// Sets a value. One that loosens a guard counts after the newcomers' wait, or at once in a new store's first hour.
pub fn set(tx: &mut Tx<'_>, actor: &Actor, key: &str, value: &str) -> Result<Setting> {
    let spec = spec(key)?;
    check(spec, value)?;
    let now = current(tx, spec)?;
    let looser = loosens(spec, &now.value, value) && !admins::first_hour(tx)?;
    let stored = if looser {
        Stored { key: key.into(), value: now.value, pending: Some((value.into(), admins::counted(tx)?)) }
    } else {
        Stored { key: key.into(), value: value.into(), pending: None }
    };
    tx.put(&stored)?;
    audit::note(tx, &actor.id, "setting.set", key, if looser { "pending" } else { "ok" }, value)?;
    show(tx, key)
}

fn check(spec: &Spec, value: &str) -> Result<()> {
    let wrong = match spec.kind {
        Kind::Count => value.parse::<u32>().err().map(|_| "a whole number is needed".to_string()),
        Kind::Span => parse_duration(value).err(),
        Kind::Choice(of) => (!of.contains(&value)).then(|| format!("one of {} is needed", of.join(", "))),
        Kind::Text(wrong) => wrong(value).map(str::to_string),
    };
    match wrong {
        Some(text) => Err(Error::invalid("value", format!("{}: {text}", spec.key))),
        None if value.len() > 2000 => Err(Error::invalid("value", "too long")),
        None => Ok(()),
    }
}

fn loosens(spec: &Spec, old: &str, new: &str) -> bool {
    let number = |text: &str| match spec.kind {
        Kind::Span => parse_duration(text).map(|d| d.as_secs()).unwrap_or_default(),
        _ => text.parse().unwrap_or_default(),
    };
    match spec.guard {
        Guard::None => false,
        Guard::MoreIsLooser => number(new) > number(old),
        Guard::LessIsLooser => number(new) < number(old),
        Guard::AnyChangeIsLooser => new != old,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_names_each_with_its_default() {
        let page = include_str!("../docs/operations.md");
        let rows = page.lines().filter_map(|line| {
            let mut cells = line.split('|').map(|cell| cell.trim().trim_matches('`'));
            let (_, key, default) = (cells.next()?, cells.next()?, cells.next()?);
            SPECS.iter().any(|spec| spec.key == key).then_some((key, default))
        });
        let wanted: Vec<(&str, &str)> = SPECS.iter().map(|spec| (spec.key, spec.default)).collect();
        assert_eq!(rows.collect::<Vec<_>>(), wanted);
    }
}

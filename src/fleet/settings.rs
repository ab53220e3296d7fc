//! Settings kept in the store: what guards wipes and what all nodes must agree on. A loosened guard waits.

use crate::{
    clock::{Steady, Timestamp, parse_duration},
    error::{Error, Result},
    fleet::{
        actor::{self, Actor},
        audit::{self, Counts, Event},
        mailboxes::Mailboxes,
    },
    policy::nearest::nearest,
    store::{self, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a value may be.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A whole number from the first to the second.
    Count(u32, u32),
    /// A duration from the first to the second, both as they are written.
    Span(&'static str, &'static str),
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
    /// This value.
    Looser(&'static str),
}

struct Spec {
    key: &'static str,
    default: &'static str,
    kind: Kind,
    guard: Guard,
}

const NONE: &str = "none";
/// Of a key at least this is taken for its beginning.
const PART: usize = 4;
/// More than any fleet needs of anything that is counted: what is beyond it was mistyped.
const MOST: u32 = 1_000_000;
const CONNECTIONS: &str = "limit.connections_per_address";

/// More requests of one user wait, and then fail.
const REQUESTS: &str = "eas.requests_per_user";

const SPECS: [Spec; 29] = [
    Spec { key: "wipe.full.per_admin", default: "10", kind: Kind::Count(0, MOST), guard: Guard::MoreIsLooser },
    Spec { key: "wipe.full.per_tenant", default: "20", kind: Kind::Count(0, MOST), guard: Guard::MoreIsLooser },
    Spec { key: "wipe.other.per_admin", default: "100", kind: Kind::Count(0, MOST), guard: Guard::MoreIsLooser },
    Spec { key: "wipe.other.per_tenant", default: "200", kind: Kind::Count(0, MOST), guard: Guard::MoreIsLooser },
    Spec { key: "wipe.delay", default: "0s", kind: Kind::Span("0s", "30d"), guard: Guard::LessIsLooser },
    Spec { key: "wipe.grace", default: "15m", kind: Kind::Span("1s", "24h"), guard: Guard::MoreIsLooser },
    Spec { key: "wipe.newcomer", default: "24h", kind: Kind::Span("0s", "7d"), guard: Guard::LessIsLooser },
    Spec { key: "policy.verify", default: "24h", kind: Kind::Span("1m", "30d"), guard: Guard::None },
    Spec { key: "windows.poll", default: "60m", kind: Kind::Span("1m", "7d"), guard: Guard::MoreIsLooser },
    Spec {
        key: "eas.unknown",
        default: "quarantine",
        kind: Kind::Choice(&["quarantine", "allow", "block"]),
        guard: Guard::Looser("allow"),
    },
    Spec {
        key: "eas.unknown_ownership",
        default: "corporate",
        kind: Kind::Choice(&["corporate", "personal"]),
        guard: Guard::None,
    },
    // Who holds the mail server may erase phones by it.
    Spec {
        key: "eas.upstream_wipe",
        default: "pass",
        kind: Kind::Choice(&["pass", "hold"]),
        guard: Guard::Looser("pass"),
    },
    Spec { key: "eas.domain", default: NONE, kind: Kind::Text(domains), guard: Guard::None },
    Spec { key: "eas.pass_other", default: "on", kind: Kind::Choice(&["on", "off"]), guard: Guard::None },
    Spec { key: REQUESTS, default: "100", kind: Kind::Count(0, MOST), guard: Guard::None },
    Spec { key: "eas.wrong_passwords_per_hour", default: "30", kind: Kind::Count(1, MOST), guard: Guard::None },
    Spec { key: "apple.sign_messages", default: "off", kind: Kind::Choice(&["off", "on"]), guard: Guard::None },
    // Without it nobody knows of a lost device that it is lost.
    Spec { key: "apple.daily_wake", default: "on", kind: Kind::Choice(&["on", "off"]), guard: Guard::Looser("off") },
    // A push service or a poll that never comes holds every wipe back, and so any stop to a thief.
    Spec {
        key: "apple.push_url",
        default: "https://api.push.apple.com",
        kind: Kind::Text(https),
        guard: Guard::AnyChangeIsLooser,
    },
    // Whoever may name a proxy may speak for every device.
    Spec { key: "net.trusted_proxies", default: NONE, kind: Kind::Text(any), guard: Guard::AnyChangeIsLooser },
    Spec { key: CONNECTIONS, default: "1000", kind: Kind::Count(0, MOST), guard: Guard::None },
    Spec { key: "limit.wrong_codes_per_hour", default: "10", kind: Kind::Count(1, MOST), guard: Guard::MoreIsLooser },
    Spec { key: "exchange.full_every", default: "24h", kind: Kind::Span("1s", "30d"), guard: Guard::None },
    Spec { key: "exchange.delta_every", default: "5m", kind: Kind::Span("1s", "24h"), guard: Guard::None },
    Spec { key: "exchange.lease", default: "60s", kind: Kind::Span("3s", "10m"), guard: Guard::None },
    Spec { key: "queue.give_up", default: "7d", kind: Kind::Span("1s", "90d"), guard: Guard::None },
    // Who shortens them wants something forgotten.
    Spec { key: "keep.commands", default: "400d", kind: Kind::Span("7d", "3650d"), guard: Guard::LessIsLooser },
    Spec { key: "keep.system", default: "30d", kind: Kind::Span("7d", "3650d"), guard: Guard::LessIsLooser },
    // The webhook tells administrators of held wipes: to silence it weakens the guard.
    Spec { key: "notify.webhook", default: NONE, kind: Kind::Text(http_or_none), guard: Guard::AnyChangeIsLooser },
];

fn any(_: &str) -> Option<&'static str> {
    None
}
fn domains(text: &str) -> Option<&'static str> {
    Mailboxes::parse(text).err()
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
    /// A loosened value, and when it was set.
    pending: Option<(String, Steady)>,
    /// What counted before a newcomer tightened it: to set that back needs no wait.
    #[serde(default)]
    before_newcomer: Option<String>,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [store::Kind; 1] = [store::Kind::of::<Stored>()];

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
    SPECS.iter().find(|s| s.key == key).ok_or_else(|| {
        let keys = || SPECS.iter().map(|s| s.key);
        // Whoever types a part of a key means that one, whatever shorter one takes fewer letters to get at.
        let begun = keys().find(|known| key.len() >= PART && known.starts_with(key));
        let part = || {
            keys()
                .find(|known| key.len() >= PART && known.split_once('.').is_some_and(|(_, rest)| rest.starts_with(key)))
        };
        let near = begun.or_else(part).or_else(|| nearest(key, keys())).unwrap_or_default();
        Error::not_found_near("setting", key, near)
    })
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
        let left = actor::left_to_wait(tx, since, wait);
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
    // Who is new holds nothing back: neither devices that come, nor what somebody else wants to count soon.
    if now.pending.is_some() {
        actor.must_count("change what waits to count")?;
    }
    if [CONNECTIONS, REQUESTS].contains(&spec.key) && is_fewer(&now.value, value) {
        actor.must_count("have fewer connections or requests served")?;
    }
    // What a newcomer tightened is set back at once by anybody who counts: they hold nobody back.
    let before = tx.get::<Stored>(key)?.and_then(|stored| stored.before_newcomer);
    let counts = actor.newcomer_until.is_none();
    let from = before.as_ref().filter(|_| counts).unwrap_or(&now.value);
    let looser = loosens(spec, from, value) && !actor::first_hour(tx)?;
    let before_newcomer = (!counts).then(|| before.clone().unwrap_or(now.value.clone()));
    let stored = if looser {
        let pending = Some((value.into(), tx.steady()));
        Stored { key: key.into(), value: now.value, pending, before_newcomer: before }
    } else {
        Stored { key: key.into(), value: value.into(), pending: None, before_newcomer }
    };
    tx.put(&stored)?;
    let counts = if looser { Counts::Later } else { Counts::Now };
    audit::note(tx, actor, Event::SettingSet { key: key.into(), value: value.into(), counts })?;
    show(tx, key)
}

fn check(spec: &Spec, value: &str) -> Result<()> {
    // Before it is read: this goes on in the store's thread.
    if value.len() > 2000 {
        return Err(Error::invalid("value", "too long"));
    }
    let wrong = match spec.kind {
        Kind::Count(least, most) => count_wrong(value, least, most),
        Kind::Span(least, most) => span_wrong(value, least, most),
        Kind::Choice(of) => (!of.contains(&value)).then(|| format!("one of {} is needed", of.join(", "))),
        Kind::Text(wrong) => wrong(value).map(str::to_string),
    };
    match wrong {
        Some(text) => Err(Error::invalid("value", format!("{}: {text}", spec.key))),
        None => Ok(()),
    }
}

/// Whether a limit lets fewer through: 0 is none.
fn is_fewer(now: &str, value: &str) -> bool {
    let limit = |text: &str| text.parse().ok().filter(|limit| *limit > 0).unwrap_or(u32::MAX);
    limit(value) < limit(now)
}

fn count_wrong(value: &str, least: u32, most: u32) -> Option<String> {
    match value.parse::<u32>() {
        Ok(number) if (least..=most).contains(&number) => None,
        _ => Some(format!("a whole number from {least} to {most} is needed")),
    }
}

fn span_wrong(value: &str, least: &str, most: &str) -> Option<String> {
    let within = |span: Duration| {
        parse_duration(least).is_ok_and(|l| l <= span) && parse_duration(most).is_ok_and(|m| span <= m)
    };
    match parse_duration(value) {
        Ok(span) if within(span) => None,
        Ok(_) => Some(format!("a duration from {least} to {most} is needed")),
        Err(text) => Some(text),
    }
}

fn loosens(spec: &Spec, old: &str, new: &str) -> bool {
    let number = |text: &str| match spec.kind {
        Kind::Span(..) => parse_duration(text).map(|d| d.as_secs()).unwrap_or_default(),
        _ => text.parse().unwrap_or_default(),
    };
    match spec.guard {
        Guard::None => false,
        Guard::MoreIsLooser => number(new) > number(old),
        Guard::LessIsLooser => number(new) < number(old),
        Guard::AnyChangeIsLooser => new != old,
        Guard::Looser(value) => new == value && old != value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stay_within_their_range() {
        let long = "10.0.0.1, ".repeat(1000);
        for (key, value, part) in [
            ("net.trusted_proxies", long.as_str(), "too long"),
            ("wipe.delay", long.as_str(), "too long"),
            ("windows.poll", "1m", ""),
            ("windows.poll", "1w", ""),
            ("windows.poll", "59s", "a duration from 1m to 7d"),
            ("windows.poll", "8d", "a duration from 1m to 7d"),
            ("wipe.newcomer", "0s", ""),
            ("wipe.newcomer", "169h", "a duration from 0s to 7d"),
            ("wipe.delay", "30d", ""),
            ("wipe.delay", "5w", "a duration from 0s to 30d"),
            ("wipe.delay", "soon", "is not a duration"),
            ("wipe.full.per_admin", "0", ""),
            ("wipe.full.per_admin", "-1", "from 0 to 1000000"),
            ("wipe.full.per_admin", "1000000", ""),
            ("wipe.other.per_tenant", "1000001", "from 0 to 1000000"),
            ("limit.connections_per_address", "4294967295", "from 0 to 1000000"),
            ("limit.wrong_codes_per_hour", "1", ""),
            ("limit.wrong_codes_per_hour", "0", "from 1 to"),
        ] {
            let wrong = check(spec(key).unwrap(), value).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(wrong.contains(part) && wrong.is_empty() == part.is_empty(), "{key} {value}: {wrong}");
        }
    }

    #[test]
    fn every_default_is_within_its_range() {
        for spec in &SPECS {
            assert!(check(spec, spec.default).is_ok(), "{}", spec.key);
        }
    }

    #[test]
    fn what_weakens_a_guard_waits() {
        for (key, old, looser, tighter) in [
            ("wipe.full.per_admin", "10", "11", "9"),
            ("wipe.full.per_tenant", "20", "21", "0"),
            ("wipe.other.per_admin", "100", "101", "1"),
            ("wipe.other.per_tenant", "200", "201", "1"),
            ("wipe.delay", "1h", "59m", "2h"),
            ("wipe.grace", "15m", "16m", "1m"),
            ("wipe.newcomer", "24h", "23h", "2d"),
            ("windows.poll", "60m", "61m", "1m"),
            ("eas.unknown", "quarantine", "allow", "block"),
            ("apple.daily_wake", "on", "off", "on"),
            ("apple.push_url", "https://a", "https://b", "https://a"),
            ("net.trusted_proxies", "none", "10.0.0.1", "none"),
            ("limit.wrong_codes_per_hour", "10", "11", "9"),
            ("keep.commands", "400d", "399d", "401d"),
            ("keep.system", "30d", "29d", "31d"),
            ("notify.webhook", "none", "https://a", "none"),
        ] {
            let spec = spec(key).unwrap();
            assert!(loosens(spec, old, looser), "{key}");
            assert!(!loosens(spec, old, tighter) && !loosens(spec, looser, looser), "{key}");
        }
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let words = spec("windows.pol").err().map(|e| e.to_string()).unwrap_or_default();
        assert_eq!(words, "there is no setting \"windows.pol\"; the nearest is windows.poll");
        for (typed, near) in [
            ("wipe.ful", "wipe.full.per_admin"),
            ("wipe.full.per_tenat", "wipe.full.per_tenant"),
            ("grace", "wipe.grace"),
            ("limit", "limit.connections_per_address"),
            ("wipe.dealy", "wipe.delay"),
        ] {
            let words = spec(typed).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(words.ends_with(&format!("the nearest is {near}")), "{words}");
        }
    }

    #[test]
    fn the_documentation_names_each_with_its_default() {
        let page = include_str!("../../docs/operations.md");
        let rows = page.lines().filter_map(|line| {
            let mut cells = line.split('|').map(|cell| cell.trim().trim_matches('`'));
            let (_, key, default) = (cells.next()?, cells.next()?, cells.next()?);
            SPECS.iter().any(|spec| spec.key == key).then_some((key, default))
        });
        let wanted: Vec<(&str, &str)> = SPECS.iter().map(|spec| (spec.key, spec.default)).collect();
        assert_eq!(rows.collect::<Vec<_>>(), wanted);
    }
}

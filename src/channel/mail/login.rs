//! Name and password of a mail user: never kept, never logged. That the mail server took them is remembered for a short while, as a
//! salted hash.

use crate::{clock, error::Result, fleet::settings, store::Tx};
use axum::http::{HeaderMap, HeaderValue, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

/// How long a login counts as accepted. What passes carries it to the mail server each time, which may refuse it at once.
const REMEMBERED: Duration = Duration::from_secs(15 * 60);
/// More are not remembered: the mail server is asked again.
const MOST: usize = 100_000;

/// What came as `Authorization`.
#[derive(Clone)]
pub(super) struct Login {
    /// As it goes on to the mail server.
    value: HeaderValue,
    /// The name in it; only Basic says one.
    user: Option<String>,
}

impl Login {
    /// Basic or Bearer. NTLM and Negotiate hold for a connection, and ours to the mail server serve many.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        // A copy: what came shares the connection's read buffer, and logins are kept as long as a Ping is held.
        let mut value = HeaderValue::from_bytes(headers.get(header::AUTHORIZATION)?.as_bytes()).ok()?;
        value.set_sensitive(true);
        let (scheme, word) = value.to_str().ok()?.split_once(' ')?;
        let user = if scheme.eq_ignore_ascii_case("basic") {
            let plain = STANDARD.decode(word.trim()).ok()?;
            let name = plain.split(|byte| *byte == b':').next()?;
            // Old clients send Latin-1.
            let name =
                String::from_utf8(name.to_vec()).unwrap_or_else(|_| name.iter().map(|b| char::from(*b)).collect());
            Some(crate::fleet::enrol::invitation::user_name(&name).ok()?)
        } else if scheme.eq_ignore_ascii_case("bearer") {
            None
        } else {
            return None;
        };
        Some(Self { value, user })
    }

    /// The name that was typed.
    pub(super) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    pub(super) fn value(&self) -> &HeaderValue {
        &self.value
    }
}

/// A mail user as the registry knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    /// As the client sent it.
    pub(super) login: String,
    /// The name.
    pub(super) name: String,
    /// It names one mailbox in the world, so that other enrolments of the same name are the same person's.
    pub(super) whole: bool,
}

impl User {
    /// From a login: `u` and `D\u` are `u@DOMAIN` only where the setting `eas.domain` says so.
    pub(super) fn of(tx: &mut Tx<'_>, login: &str) -> Result<Self> {
        Ok(Self::with(login, settings::text(tx, "eas.domain")?.as_deref()))
    }

    fn with(login: &str, domain: Option<&str>) -> Self {
        let bare = login.rsplit('\\').next().filter(|bare| !bare.is_empty()).unwrap_or(login);
        match domain {
            _ if bare.contains('@') => Self { login: login.into(), name: bare.into(), whole: true },
            Some(domain) => Self { login: login.into(), name: format!("{bare}@{domain}"), whole: true },
            None => Self { login: login.into(), name: login.into(), whole: false },
        }
    }

    /// Whether the login may come with a certificate that was made for this name. Names that cannot be compared may.
    pub(super) fn may_be(&self, name: &str) -> bool {
        !self.whole || !name.contains('@') || self.name.to_lowercase() == name.to_lowercase()
    }
}

/// Logins that the mail server took lately.
pub(super) struct Logins {
    salt: [u8; 32],
    taken: Mutex<BTreeMap<[u8; 32], Instant>>,
    /// When the mail server last refused a request without a login.
    pub(super) asks: Mutex<Option<Instant>>,
}

impl Default for Logins {
    fn default() -> Self {
        let mut salt = [0; 32];
        // Without randomness the server has not come so far: its keys need it too.
        if openssl::rand::rand_bytes(&mut salt).is_err() {
            std::process::abort();
        }
        Self { salt, taken: Mutex::default(), asks: Mutex::default() }
    }
}

impl Logins {
    fn hash(&self, login: &Login) -> [u8; 32] {
        let mut hash = openssl::sha::Sha256::new();
        hash.update(&self.salt);
        hash.update(login.value.as_bytes());
        hash.finish()
    }

    pub(super) fn knows(&self, login: &Login) -> bool {
        let hash = self.hash(login);
        self.taken.lock().is_ok_and(|taken| taken.get(&hash).is_some_and(|at| clock::since(*at) < REMEMBERED))
    }

    pub(super) fn keep(&self, login: &Login) {
        let hash = self.hash(login);
        let Ok(mut taken) = self.taken.lock() else { return };
        if taken.len() >= MOST {
            taken.retain(|_, at| clock::since(*at) < REMEMBERED);
        }
        if taken.len() < MOST {
            taken.insert(hash, clock::monotonic());
        }
    }

    /// The mail server has refused it since.
    pub(super) fn forget(&self, login: &Login) {
        let hash = self.hash(login);
        if let Ok(mut taken) = self.taken.lock() {
            taken.remove(&hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_whole_only_where_something_says_so() {
        for (login, domain, name, whole) in [
            ("u@e.org", None, "u@e.org", true),
            ("D\\u", None, "D\\u", false),
            ("u", None, "u", false),
            ("u", Some("e.org"), "u@e.org", true),
            ("D\\u", Some("e.org"), "u@e.org", true),
            ("\\u@e.org", Some("x.org"), "u@e.org", true),
        ] {
            let user = User { login: login.into(), name: name.into(), whole };
            assert_eq!(User::with(login, domain), user, "{login} {domain:?}");
        }
        assert!(User::with("u", None).may_be("x@e.org") && User::with("U@e.org", None).may_be("u@E.org"));
        assert!(!User::with("u@e.org", None).may_be("x@e.org"));
    }

    #[test]
    fn logins_are_read_and_remembered() {
        let login = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::try_from(text).unwrap());
            Login::of(&headers)
        };
        let basic = |plain: &[u8]| login(&format!("Basic {}", STANDARD.encode(plain)));
        assert_eq!(basic(b"ann:pass:word").unwrap().user(), Some("ann"));
        assert_eq!(basic(b"\xe4nn:x").unwrap().user(), Some("änn"));
        assert_eq!(login("bearer abc").unwrap().user(), None);
        for wrong in ["NTLM abc", "Negotiate abc", "Basic", "Basic ??", "Basic Og=="] {
            assert!(login(wrong).is_none(), "{wrong}");
        }
        let (logins, ann, other) = (Logins::default(), basic(b"ann:1").unwrap(), basic(b"ann:2").unwrap());
        assert!(!logins.knows(&ann));
        logins.keep(&ann);
        assert!(logins.knows(&ann) && !logins.knows(&other));
        logins.forget(&ann);
        assert!(!logins.knows(&ann));
    }
}

//! Name and password of a mail user: never stored, never logged. That the mail server took them is remembered for a short while, as a
//! salted hash.

use crate::{
    clock,
    error::{Error, Result},
    fleet::{
        mailboxes::{Addresses, Mailboxes},
        registry::users,
        settings,
        terms::Ground,
    },
    store::Tx,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

/// How long a login counts as accepted. What passes carries it to the mail server each time, which may refuse it at once.
const REMEMBERED: Duration = Duration::from_secs(15 * 60);
/// How long it is known as one that was accepted, so that others' wrong guesses do not shut it out.
const LATELY: Duration = Duration::from_secs(86_400);
/// How long a refused one is refused here, without the mail server: clients repeat what they have.
const WRONG: Duration = Duration::from_secs(300);
/// The same word again within this is no new guess.
const COUNTED: Duration = Duration::from_secs(3600);
/// How often a login that something else let in is tried by ActiveSync.
const TRIED: Duration = Duration::from_secs(3600);
/// More are not remembered: the mail server is asked again.
const MOST: usize = 100_000;

/// What goes to the mail server as a login: what came as `Authorization`, or our own word.
#[derive(Clone)]
pub(super) struct Login {
    /// The header that it goes on by, and what it says there.
    name: HeaderName,
    value: HeaderValue,
    /// Whom a ticket names instead, another one for each request.
    ticket: Option<InTheNameOf>,
    /// The name in it; only Basic says one.
    typed: Option<String>,
    /// The address that it stands for, else the name.
    user: Option<String>,
}

impl Login {
    /// Basic or Bearer. NTLM and Negotiate hold for a connection, and ours to the mail server serve many.
    pub(super) fn of(headers: &HeaderMap, addresses: &Addresses) -> Option<Self> {
        // A copy: what came shares the connection's read buffer, and logins are kept as long as a Ping is held.
        let mut value = HeaderValue::from_bytes(headers.get(header::AUTHORIZATION)?.as_bytes()).ok()?;
        value.set_sensitive(true);
        let said = value.to_str().ok()?;
        // Outlook's cloud sends a token without a word in it, to be told where tokens are had.
        let (scheme, word) = said.split_once(' ').unwrap_or((said, ""));
        let typed = if scheme.eq_ignore_ascii_case("basic") {
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
        let user = typed.clone().map(|name| addresses.of(name));
        Some(Self { name: header::AUTHORIZATION, value, ticket: None, typed, user })
    }

    /// Our own word for a user, by a header that the mail server believes. `None`: no header can hold the name.
    pub(super) fn by_header(name: &HeaderName, user: &str) -> Option<Self> {
        let value = HeaderValue::from_bytes(user.as_bytes()).ok().filter(|_| !user.is_empty())?;
        Some(Self { name: name.clone(), value, ticket: None, typed: Some(user.into()), user: Some(user.into()) })
    }

    /// A token that is none.
    pub(super) fn empty_token() -> Self {
        let value = HeaderValue::from_static("Bearer");
        Self { name: header::AUTHORIZATION, value, ticket: None, typed: None, user: None }
    }

    /// Whether it is a token, in which no name can be read.
    pub(super) fn is_token(&self) -> bool {
        !self.is_our_word() && self.user.is_none()
    }

    /// Whether it is a token without a word in it.
    pub(super) fn is_empty(&self) -> bool {
        self.is_token() && self.value.to_str().is_ok_and(|said| said.split_whitespace().count() < 2)
    }

    /// Our own word for a user, by tickets of Kerberos.
    pub(super) fn by_ticket(user: &str) -> Self {
        let user = user.to_string();
        let ticket = Some(InTheNameOf(user.clone()));
        let (name, value) = (header::AUTHORIZATION, HeaderValue::from_static(""));
        Self { name, value, ticket, typed: Some(user.clone()), user: Some(user) }
    }

    /// Whether it is our own word.
    pub(super) fn is_our_word(&self) -> bool {
        self.ticket.is_some() || self.name != header::AUTHORIZATION
    }

    /// A name and a password. `None`: no header can hold them.
    pub(super) fn basic(name: &str, password: &str) -> Option<Self> {
        if name.contains(':') || name.chars().any(char::is_control) {
            return None;
        }
        let mut value =
            HeaderValue::try_from(format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))).ok()?;
        value.set_sensitive(true);
        Some(Self {
            name: header::AUTHORIZATION,
            value,
            ticket: None,
            typed: Some(name.into()),
            user: Some(name.into()),
        })
    }

    /// The same with another word in place of the password, or of the token: one that nobody has.
    pub(super) fn with_word(&self, word: &str) -> Option<Self> {
        let text = match &self.user {
            Some(_) => {
                let plain = STANDARD.decode(self.value.to_str().ok()?.split_once(' ')?.1.trim()).ok()?;
                let name = plain.split(|byte| *byte == b':').next()?;
                format!("Basic {}", STANDARD.encode([name, b":", word.as_bytes()].concat()))
            }
            None => format!("Bearer {word}"),
        };
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(Self {
            name: header::AUTHORIZATION,
            value,
            ticket: None,
            typed: self.typed.clone(),
            user: self.user.clone(),
        })
    }

    /// The name that was typed.
    pub(super) fn typed(&self) -> Option<&str> {
        self.typed.as_deref()
    }

    /// Whose login it is.
    pub(super) fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Has a request say it, and nothing else by that header. A ticket is had when it is sent.
    pub(super) fn put<B>(&self, request: &mut Request<B>) {
        match &self.ticket {
            Some(user) => drop(request.extensions_mut().insert(user.clone())),
            None => drop(request.headers_mut().insert(self.name.clone(), self.value.clone())),
        }
    }

    #[cfg(test)]
    fn value(&self) -> &HeaderValue {
        &self.value
    }
}

/// Goes along with a request that is to have a ticket in this user's name.
#[derive(Debug, Clone)]
pub(super) struct InTheNameOf(pub(super) String);

/// What the setting `eas.domain` says.
pub(in crate::channel) fn mailboxes(tx: &mut Tx<'_>) -> Result<Mailboxes> {
    let text = settings::text(tx, "eas.domain")?.unwrap_or_default();
    Mailboxes::parse(&text).map_err(|wrong| Error::Internal(format!("eas.domain: {wrong}")))
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
    /// From a login: `u` and `D\u` are `u@DOMAIN` only where the setting `eas.domain` says so; of several domains it is the first under
    /// which the registry knows somebody.
    pub(super) fn of(tx: &mut Tx<'_>, login: &str) -> Result<Self> {
        let may_be = mailboxes(tx)?.of(login);
        if may_be.len() > 1 {
            for name in &may_be {
                if users::of(tx, name)?.is_some() {
                    return Ok(Self { login: login.into(), name: name.clone(), whole: true });
                }
            }
        }
        Ok(Self::with(login, may_be.into_iter().next()))
    }

    fn with(login: &str, name: Option<String>) -> Self {
        let whole = name.is_some();
        Self { login: login.into(), name: name.unwrap_or_else(|| login.into()), whole }
    }

    /// Whether the login may come with a certificate that was made for this user; where not, why. A login of which nothing says whose it is
    /// may come with nobody's: it might be anybody's.
    pub(super) fn must_be(&self, other: &Self) -> std::result::Result<(), Ground> {
        match (self.name.to_lowercase() == other.name.to_lowercase(), self.whole && other.whole) {
            (true, _) => Ok(()),
            (false, true) => Err(Ground::OtherUser),
            (false, false) => Err(Ground::UnknownUser),
        }
    }
}

/// Logins that the mail server took or refused lately.
pub(super) struct Logins {
    salt: [u8; 32],
    taken: Mutex<BTreeMap<[u8; 32], Instant>>,
    refused: Mutex<BTreeMap<[u8; 32], Instant>>,
    tried: Mutex<BTreeMap<[u8; 32], Instant>>,
    /// Whose tokens are, as the mail server said: the addresses of their mailboxes; none where it did not.
    owners: Mutex<Owners>,
}

impl Default for Logins {
    fn default() -> Self {
        let mut salt = [0; 32];
        // Without randomness the server has not come so far: its keys need it too.
        if openssl::rand::rand_bytes(&mut salt).is_err() {
            std::process::abort();
        }
        Self {
            salt,
            taken: Mutex::default(),
            refused: Mutex::default(),
            tried: Mutex::default(),
            owners: Mutex::default(),
        }
    }
}

impl Logins {
    fn hash(&self, login: &Login) -> [u8; 32] {
        let mut hash = openssl::sha::Sha256::new();
        hash.update(&self.salt);
        hash.update(login.name.as_str().as_bytes());
        hash.update(b":");
        hash.update(login.value.as_bytes());
        hash.finish()
    }

    /// The mail server took it, and need not be asked again.
    pub(super) fn knows(&self, login: &Login) -> bool {
        within(&self.taken, &self.hash(login), REMEMBERED)
    }

    /// The mail server took it within the day.
    pub(super) fn was_taken(&self, login: &Login) -> bool {
        within(&self.taken, &self.hash(login), LATELY)
    }

    /// The mail server refused it within the hour: that was counted.
    pub(super) fn was_counted(&self, login: &Login) -> bool {
        within(&self.refused, &self.hash(login), COUNTED)
    }

    /// The mail server refused it a moment ago.
    pub(super) fn was_refused(&self, login: &Login) -> bool {
        within(&self.refused, &self.hash(login), WRONG)
    }

    /// Whether it was not tried within the hour; it counts as tried now.
    pub(super) fn may_be_tried(&self, login: &Login) -> bool {
        let hash = self.hash(login);
        let may = !within(&self.tried, &hash, TRIED);
        if may {
            insert(&self.tried, hash, TRIED);
        }
        may
    }

    pub(super) fn keep(&self, login: &Login) {
        let hash = self.hash(login);
        insert(&self.taken, hash, LATELY);
        remove(&self.refused, &hash);
    }

    /// Whose a token is, as the mail server said a while ago; none where it did not say.
    pub(super) fn owner(&self, login: &Login) -> Option<Vec<String>> {
        let (age, addresses) = self.kept_owner(login)?;
        (age < if addresses.is_empty() { WRONG } else { REMEMBERED }).then_some(addresses)
    }

    /// The same within the day: whose it was said to be, which proves nothing any more.
    pub(super) fn former_owner(&self, login: &Login) -> Option<String> {
        let (age, addresses) = self.kept_owner(login)?;
        addresses.into_iter().next().filter(|_| age < LATELY)
    }

    fn kept_owner(&self, login: &Login) -> Option<(Duration, Vec<String>)> {
        let owners = self.owners.lock().ok()?;
        owners.get(&self.hash(login)).map(|(at, addresses)| (clock::since(*at), addresses.clone()))
    }

    pub(super) fn keep_owner(&self, login: &Login, addresses: Vec<String>) {
        let Ok(mut owners) = self.owners.lock() else { return };
        if owners.len() >= MOST {
            owners.retain(|_, (at, _)| clock::since(*at) < REMEMBERED);
        }
        if owners.len() < MOST {
            owners.insert(self.hash(login), (clock::monotonic(), addresses));
        }
    }

    /// The mail server does not take it, or no more.
    pub(super) fn refuse(&self, login: &Login) {
        let hash = self.hash(login);
        remove(&self.taken, &hash);
        insert(&self.refused, hash, COUNTED);
    }
}

type Moments = Mutex<BTreeMap<[u8; 32], Instant>>;
type Owners = BTreeMap<[u8; 32], (Instant, Vec<String>)>;

fn within(moments: &Moments, hash: &[u8; 32], span: Duration) -> bool {
    moments.lock().is_ok_and(|moments| moments.get(hash).is_some_and(|at| clock::since(*at) < span))
}

fn insert(moments: &Moments, hash: [u8; 32], span: Duration) {
    let Ok(mut moments) = moments.lock() else { return };
    if moments.len() >= MOST {
        moments.retain(|_, at| clock::since(*at) < span);
    }
    if moments.len() < MOST {
        moments.insert(hash, clock::monotonic());
    }
}

fn remove(moments: &Moments, hash: &[u8; 32]) {
    if let Ok(mut moments) = moments.lock() {
        moments.remove(hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_goes_with_its_own_users_login_alone() {
        let user = |login: &str| User::with(login, login.contains('@').then(|| login.to_string()));
        for (login, certificate, want) in [
            ("U@e.org", "u@E.org", Ok(())),
            ("u", "U", Ok(())),
            ("D\\u", "d\\U", Ok(())),
            ("u@e.org", "x@e.org", Err(Ground::OtherUser)),
            ("u", "x@e.org", Err(Ground::UnknownUser)),
            ("u", "u@e.org", Err(Ground::UnknownUser)),
            ("u@e.org", "u", Err(Ground::UnknownUser)),
            ("D\\u", "u", Err(Ground::UnknownUser)),
            ("u", "x", Err(Ground::UnknownUser)),
        ] {
            assert_eq!(user(login).must_be(&user(certificate)), want, "{login} with a certificate of {certificate}");
        }
    }

    #[test]
    fn logins_are_read_and_remembered() {
        let login = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::try_from(text).unwrap());
            Login::of(&headers, &Addresses::default())
        };
        let basic = |plain: &[u8]| login(&format!("Basic {}", STANDARD.encode(plain)));
        assert_eq!(basic(b"ann:pass:word").unwrap().user(), Some("ann"));
        assert_eq!(basic(b"\xe4nn:x").unwrap().user(), Some("änn"));
        assert_eq!(login("bearer abc").unwrap().user(), None);
        assert!(login("Bearer").unwrap().is_empty() && login("Bearer  ").unwrap().is_empty());
        assert!(!login("bearer abc").unwrap().is_empty() && !basic(b"a:").unwrap().is_empty());
        for wrong in ["NTLM abc", "Negotiate abc", "Basic", "Basic ??", "Basic Og=="] {
            assert!(login(wrong).is_none(), "{wrong}");
        }
        let (logins, ann, other) = (Logins::default(), basic(b"ann:1").unwrap(), basic(b"ann:2").unwrap());
        assert!(!logins.knows(&ann));
        logins.keep(&ann);
        assert!(logins.knows(&ann) && logins.was_taken(&ann) && !logins.knows(&other));
        logins.refuse(&ann);
        assert!(!logins.knows(&ann) && !logins.was_taken(&ann) && logins.was_refused(&ann));
        logins.keep(&ann);
        assert!(logins.knows(&ann) && !logins.was_refused(&ann));
    }

    #[test]
    fn another_word_keeps_the_name_as_it_came() {
        let of = |text: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_bytes(text).unwrap());
            Login::of(&headers, &Addresses::default()).unwrap()
        };
        let login = of(format!("Basic {}", STANDARD.encode(b"\xe4nn:x:y")).as_bytes()).with_word("z").unwrap();
        assert_eq!(login.value(), format!("Basic {}", STANDARD.encode(b"\xe4nn:z")).as_str());
        assert_eq!(
            (login.user(), of(b"Bearer t").with_word("z").unwrap().value().as_bytes()),
            (Some("änn"), &b"Bearer z"[..])
        );
    }
}

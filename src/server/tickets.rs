//! Kerberos tickets for a service in its users' names, by constrained delegation: S4U2Self, then S4U2Proxy ([MS-SFU]), both by the system's
//! GSSAPI. Which keys and which KDC is its business: `KRB5_CLIENT_KTNAME`, `/etc/krb5.conf`. Built with the feature `kerberos` alone.

use http::HeaderValue;
use std::sync::Arc;

#[cfg(feature = "kerberos")]
mod gssapi;

/// Bytes of a user's name.
#[cfg(feature = "kerberos")]
const LONGEST: usize = 256;

/// Tickets for one service. Copies share what is kept.
#[derive(Clone)]
pub struct Tickets {
    spn: Arc<str>,
    #[cfg(feature = "kerberos")]
    kept: Arc<gssapi::Kept>,
}

impl Tickets {
    /// `spn`: the service as Kerberos names it, `HTTP/mail.example.org`, with `@REALM` where that is not the default one.
    pub fn new(spn: &str) -> Result<Self, String> {
        let (name, realm) = spn.split_once('@').map_or((spn, None), |(name, realm)| (name, Some(realm)));
        let (service, host) = name.split_once('/').unwrap_or_default();
        let is_plain = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
        };
        if !is_plain(service) || !is_plain(host) || realm.is_some_and(|realm| !is_plain(realm)) {
            return Err(format!("{spn:?} is no service of Kerberos, such as HTTP/mail.example.org"));
        }
        if !cfg!(feature = "kerberos") {
            return Err("this program was built without Kerberos (the feature `kerberos`)".into());
        }
        Ok(Self {
            spn: spn.into(),
            #[cfg(feature = "kerberos")]
            kept: Arc::default(),
        })
    }

    /// The service.
    pub fn spn(&self) -> &str {
        &self.spn
    }

    /// `Authorization` for one request in a user's name: good once. The error says which step failed.
    pub async fn negotiate(&self, user: &str) -> Result<HeaderValue, String> {
        #[cfg(feature = "kerberos")]
        return gssapi::negotiate(&self.kept, &self.spn, user).await;
        #[cfg(not(feature = "kerberos"))]
        Err(format!("{user:?}: no Kerberos in this program"))
    }

    /// Whether this server has a ticket of its own; in whose name.
    pub async fn own(&self) -> Result<String, String> {
        #[cfg(feature = "kerberos")]
        return gssapi::own(&self.kept).await;
        #[cfg(not(feature = "kerberos"))]
        Err("no Kerberos in this program".into())
    }
}

/// A user's principal, in the realm of this server's own. Only a domain that is that realm's is left away: two people may have one name in two
/// domains. A realm in capitals counts as one, and only `--eas-users` can have said it.
#[cfg(feature = "kerberos")]
fn principal(user: &str, realm: &str) -> Result<String, String> {
    let bare = user.rsplit('\\').next().unwrap_or(user);
    let (name, domain) = bare.split_once('@').map_or((bare, None), |(name, domain)| (name, Some(domain)));
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '/' | '\\' | '@' | '#');
    if name.is_empty() || user.len() > LONGEST || !name.chars().all(plain) {
        return Err(format!("{user:?} cannot be a user of Kerberos"));
    }
    match domain {
        None => Ok(format!("{name}@{realm}")),
        Some(domain) if domain.eq_ignore_ascii_case(realm) => Ok(format!("{name}@{realm}")),
        Some(other) if !other.chars().all(|c| plain(c) && !c.is_lowercase()) || other.is_empty() => Err(format!(
            "{user:?} is in no realm that is known here ({realm}): --eas-users must say the principal, such as {name}@{realm} {user}"
        )),
        Some(other) => Ok(format!("{name}@{other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_has_a_name_and_a_host() {
        for wrong in ["", "HTTP", "HTTP/", "/mail", "HTTP@mail", "HTTP/a b", "HTTP/mail@", "HTTP/mail/x", "HTTP/m@R@R"]
        {
            assert!(Tickets::new(wrong).is_err(), "{wrong}");
        }
        let built = Tickets::new("HTTP/mail.example.org@EXAMPLE.ORG");
        assert_eq!(built.is_ok(), cfg!(feature = "kerberos"));
    }

    #[cfg(feature = "kerberos")]
    #[test]
    fn a_user_is_a_principal_of_a_known_realm_or_none() {
        for (user, want) in [
            ("ann", Some("ann@EXAMPLE.ORG")),
            ("EX\\ann", Some("ann@EXAMPLE.ORG")),
            ("Ann@example.org", Some("Ann@EXAMPLE.ORG")),
            ("ann@CORP.LOCAL", Some("ann@CORP.LOCAL")),
            ("ann@example.com", None),
            ("krbtgt/EXAMPLE.ORG", None),
            ("HTTP/mail@EXAMPLE.ORG", None),
            ("a b", None),
            ("@example.org", None),
            ("", None),
        ] {
            assert_eq!(principal(user, "EXAMPLE.ORG").ok().as_deref(), want, "{user}");
        }
    }
}

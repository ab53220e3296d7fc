//! Which mailbox a login stands for: what the setting `eas.domain` and the file of `--eas-users` say.

use std::{collections::BTreeMap, sync::Arc};

/// The setting, read: the mail domains of names that say none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mailboxes(Vec<String>);

impl Mailboxes {
    /// `example.org` or `@example.org`, several with commas or blanks between them; `none` is no domain.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let entries = text.split([',', ' ']).filter(|entry| !entry.is_empty() && *entry != "none");
        let domains: Vec<String> = entries.map(|entry| entry.strip_prefix('@').unwrap_or(entry).to_string()).collect();
        match domains.iter().all(|domain| is_domain(domain)) {
            true => Ok(Self(domains)),
            false => Err("mail domains with commas between them, or none, are needed"),
        }
    }

    /// The domain of names that say none.
    pub fn first(&self) -> Option<&str> {
        self.0.first().map(String::as_str)
    }

    /// The mailboxes that a login may stand for, the likeliest first. None where nothing says so: then it is a name of its own.
    pub fn of(&self, login: &str) -> Vec<String> {
        let bare = login.rsplit('\\').next().filter(|bare| !bare.is_empty()).unwrap_or(login);
        match bare.contains('@') {
            true => vec![bare.to_string()],
            false => self.0.iter().map(|domain| format!("{bare}@{domain}")).collect(),
        }
    }
}

fn is_domain(text: &str) -> bool {
    (1..=253).contains(&text.len()) && text.chars().all(|c| c.is_alphanumeric() || "-.".contains(c))
}

/// Logins that are not their address, from the file of `--eas-users`. Copies share it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses(Arc<Lines>);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Lines {
    addresses: BTreeMap<String, String>,
    /// The first login of each address.
    logins: BTreeMap<String, String>,
}

impl Addresses {
    /// Lines `login address`; empty ones and those that begin with `#` say nothing. The error names the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut all = Lines::default();
        for (number, line) in text.lines().enumerate() {
            let mut words = line.split_whitespace();
            match (words.next(), words.next(), words.next()) {
                (None, ..) => {}
                (Some(first), ..) if first.starts_with('#') => {}
                (Some(login), Some(address), None) if address.contains('@') => {
                    all.logins.entry(address.to_lowercase()).or_insert_with(|| login.to_string());
                    if all.addresses.insert(login.to_lowercase(), address.to_string()).is_some() {
                        return Err(format!("line {}: {login:?} stands there twice", number + 1));
                    }
                }
                _ => {
                    return Err(format!(
                        "line {}: a login and a mail address are needed, such as EX\\ann ann@example.org",
                        number + 1
                    ));
                }
            }
        }
        Ok(Self(Arc::new(all)))
    }

    /// The address of a login, where the file names one; else the login.
    pub fn of(&self, login: String) -> String {
        self.0.addresses.get(&login.to_lowercase()).cloned().unwrap_or(login)
    }

    /// What the user of an address is called where they log in: the first login that the file names, else the address.
    pub fn login(&self, address: String) -> String {
        self.0.logins.get(&address.to_lowercase()).cloned().unwrap_or(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_mailboxes_only_where_something_says_so() {
        let none: &[&str] = &[];
        for (setting, login, want) in [
            ("none", "u@e.org", &["u@e.org"][..]),
            ("none", "D\\u", none),
            ("none", "u", none),
            ("e.org", "u", &["u@e.org"]),
            ("@e.org", "D\\u", &["u@e.org"]),
            ("e.org, @f.org", "u", &["u@e.org", "u@f.org"]),
            ("e.org f.org", "u@f.org", &["u@f.org"]),
            ("x.org", "\\u@e.org", &["u@e.org"]),
            ("e.org", "D\\", &["D\\@e.org"]),
        ] {
            assert_eq!(Mailboxes::parse(setting).unwrap().of(login), want, "{setting} {login}");
        }
        for wrong in ["e.org;f.org", "@", "@@e.org", "e org/x"] {
            assert!(Mailboxes::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_says_whose_address_is_not_the_login() {
        let all = Addresses::parse("# login address\n\nEX\\Ann  ann.b@e.org\nann@corp.local ann.b@e.org\r\n").unwrap();
        for (login, want) in [("ex\\ann", "ann.b@e.org"), ("ANN@corp.local", "ann.b@e.org"), ("ann", "ann")] {
            assert_eq!(all.of(login.into()), want);
        }
        assert_eq!(all.login("Ann.B@e.org".into()), "EX\\Ann", "the first");
        assert_eq!(all.login("bob@e.org".into()), "bob@e.org");
        for (wrong, line) in [("a", "line 1"), ("\na b", "line 2"), ("a b@c d", "line 1"), ("a b@c\nA d@e", "line 2")] {
            assert!(Addresses::parse(wrong).unwrap_err().starts_with(line), "{wrong}");
        }
    }
}

//! A trial: simulated devices against a server of somebody's own. They enrol as real ones do, live, and tell of what happens to them.

mod member;

pub use member::Member;

use tokio::sync::mpsc::UnboundedSender;

use crate::apple::profile;
use crate::error::{Error, Result};
use crate::http::{Client, Request, Settings};
use crate::mail::Verdict;
use crate::world::World;

/// By what devices get in.
#[derive(Clone)]
pub enum Entry {
    /// iPhones: the invitation's URL.
    Apple {
        /// Without `/profile`.
        url: String,
    },
    /// PCs: the user's name, and the invitation's code as password.
    Windows {
        /// As invited.
        user: String,
        /// As printed.
        code: String,
    },
    /// Mail apps: the user's name and password at the mail server.
    Mail {
        /// The mail server's name for the user.
        user: String,
        /// The password there.
        password: String,
        /// The invitation's URL and code, where a certificate comes by them.
        invitation: Option<(String, String)>,
    },
}

/// What a device tells of its life, besides the acts in its ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// It does not get through, or is refused. It tries again.
    Trouble(String),
    /// It gets through again.
    Through,
    /// How the server takes its mail app, whenever that is another.
    Mail(Verdict),
}

/// How a device's life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Everything on it is gone.
    Erased,
    /// What the organisation put there is gone.
    Left,
}

/// An account that the profile of an invitation for mail sets up.
pub struct Account {
    /// Host, and port where it is not 443.
    pub host: String,
    /// The mail server's name for the user.
    pub user: String,
}

/// Reads it as an iPhone would. Looking spends nothing.
pub async fn account_of(invitation_url: &str, world: &World) -> Result<Account> {
    let mut http = Client::new(world, None, Settings::default())?;
    let url = format!("{}/profile", invitation_url.trim_end_matches('/'));
    let answer = http.send(&Request::get(url)).await?.accepted("mail profile")?;
    let (_, content) = profile::open(&answer.body)?;
    let account = profile::payload(&content, "com.apple.eas.account");
    let account = account.ok_or_else(|| Error::malformed("mail profile", "no payload com.apple.eas.account"))?;
    Ok(Account { host: profile::text(account, "Host")?, user: profile::text(account, "UserName")? })
}

/// A device's voice: trouble is told of once, until it is another or over.
struct Voice {
    number: usize,
    to: UnboundedSender<(usize, News)>,
    trouble: Option<String>,
    mail: Option<Verdict>,
}

impl Voice {
    fn new(number: usize, to: UnboundedSender<(usize, News)>) -> Voice {
        Voice { number, to, trouble: None, mail: None }
    }

    fn tell(&self, news: News) {
        // Whoever has looked away is not told.
        let _ = self.to.send((self.number, news));
    }

    fn trouble(&mut self, error: &Error) {
        let text = error.to_string();
        if self.trouble.as_ref() != Some(&text) {
            self.tell(News::Trouble(text.clone()));
            self.trouble = Some(text);
        }
    }

    fn through(&mut self) {
        if self.trouble.take().is_some() {
            self.tell(News::Through);
        }
    }

    fn mail(&mut self, verdict: Verdict) {
        if self.mail.replace(verdict) != Some(verdict) && verdict != Verdict::Gone {
            self.tell(News::Mail(verdict));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_of_once_until_it_is_another_or_over() {
        let (to, mut told) = tokio::sync::mpsc::unbounded_channel();
        let mut voice = Voice::new(3, to);
        voice.through();
        for what in ["poll", "poll", "push"] {
            voice.trouble(&Error::Late(what));
        }
        for _ in 0..2 {
            voice.through();
        }
        voice.trouble(&Error::Late("push"));
        for verdict in [Verdict::Denied(129), Verdict::Denied(129), Verdict::Taken, Verdict::Gone] {
            voice.mail(verdict);
        }
        let mut news = Vec::new();
        while let Ok((3, one)) = told.try_recv() {
            news.push(one);
        }
        let late = |what: &str| News::Trouble(format!("{what}: no answer in time"));
        let mail = [News::Mail(Verdict::Denied(129)), News::Mail(Verdict::Taken)];
        assert_eq!(news[..4], [late("poll"), late("push"), News::Through, late("push")]);
        assert_eq!(news[4..], mail);
    }
}

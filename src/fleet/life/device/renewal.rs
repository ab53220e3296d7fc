//! How far the renewal of an enrolment's certificate has come, as it is kept. What happens to it is in `life/renewal.rs`.

use super::Push;
use crate::{
    clock::Steady,
    ids::{CommandId, Fingerprint, hexed},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far a renewal has come that the server asked for. Nothing is kept of one that is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal {
    /// The command that asks for it, or did last.
    pub(in crate::fleet::life) command: Option<CommandId>,
    /// The digest of the challenge that was handed out last.
    #[serde(default, with = "hexed::option")]
    pub(in crate::fleet::life) challenge: Option<String>,
    /// It is good for nothing from then on.
    pub(in crate::fleet::life) until: Steady,
    /// The certificate that came of one.
    pub(in crate::fleet::life) spent: Option<Spent>,
    /// A TokenUpdate came under it.
    pub(in crate::fleet::life) told: bool,
    /// What it told while it was set apart.
    pub(in crate::fleet::life) aside: Aside,
    /// Who has it is the device.
    pub(in crate::fleet::life) proved: bool,
    /// The device has acknowledged the command.
    pub(in crate::fleet::life) acknowledged: bool,
    /// So often it came to nothing.
    pub(in crate::fleet::life) tries: u32,
    /// It is not tried again before.
    pub(in crate::fleet::life) again: Option<Steady>,
    /// Why it came to nothing, the last time.
    pub(in crate::fleet::life) why: Option<String>,
}

/// What a challenge was spent on: it is good for one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::fleet::life) struct Spent {
    pub(in crate::fleet::life) command: CommandId,
    #[serde(with = "hexed")]
    pub(in crate::fleet::life) challenge: String,
    #[serde(with = "hexed")]
    pub(in crate::fleet::life) key: String,
    pub(in crate::fleet::life) sha256: Fingerprint,
}

/// What a certificate that is set apart told: it counts once that is proved to be the device's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::fleet::life) struct Aside {
    pub(in crate::fleet::life) push: Option<Push>,
    pub(in crate::fleet::life) noted: BTreeMap<String, Option<String>>,
}

/// A challenge that somebody shows, and the key that it is shown for: digests both.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Of the challenge.
    pub challenge: String,
    /// Of the public key.
    pub key: String,
}

/// What a challenge is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// A certificate.
    Open,
    /// The one that this key got for it.
    Same(Fingerprint),
    /// Nothing: it is another's, or another one has been handed out since.
    Wrong,
    /// Another key got a certificate for it.
    Spent,
    /// Its time is over.
    Over,
}

impl Renewal {
    /// How often it came to nothing, and why the last time; none where it never did.
    pub fn refused(&self) -> Option<(u32, &str)> {
        (self.tries > 0).then(|| (self.tries, self.why.as_deref().unwrap_or_default()))
    }

    /// How to wake who told that under a certificate that is set apart.
    pub fn push_aside(&self) -> Option<&Push> {
        self.aside.push.as_ref()
    }

    /// Whether it is this command that asks for it.
    pub fn is_of(&self, command: CommandId) -> bool {
        self.command == Some(command)
    }

    /// When it may be tried again.
    pub fn again(&self) -> Option<Steady> {
        self.again
    }

    /// What a challenge is good for at this moment.
    pub fn offer(&self, shown: &Shown, now: Steady) -> Offer {
        if self.challenge.as_ref() != Some(&shown.challenge) {
            return Offer::Wrong;
        }
        match self.spent.as_ref().filter(|spent| spent.challenge == shown.challenge) {
            Some(spent) if spent.key == shown.key => Offer::Same(spent.sha256),
            Some(_) => Offer::Spent,
            None if self.until <= now => Offer::Over,
            None => Offer::Open,
        }
    }

    /// Whether this certificate came of a challenge.
    pub(in crate::fleet::life) fn gave(&self, sha256: &Fingerprint) -> bool {
        self.spent.as_ref().is_some_and(|spent| spent.sha256 == *sha256)
    }

    /// It is tried again with the next message.
    pub(in crate::fleet::life) fn hasten(&mut self) {
        self.again = None;
    }

    /// What was handed out holds, and of what came of an earlier challenge nothing is left.
    pub(in crate::fleet::life) fn begin(&mut self) {
        (self.spent, self.aside) = (None, Aside::default());
        (self.told, self.proved, self.acknowledged) = (false, false, false);
    }
}

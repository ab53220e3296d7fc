//! Who acts, and the hour in which nobody is a newcomer yet.

use crate::{
    clock::{Steady, Timestamp},
    error::{Error, Result},
    fleet::{audit::By, life::Device},
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, time::Duration};

/// What is made this long after a new store was first ready, while no device is enrolled, counts at once.
const FIRST: Duration = Duration::from_secs(3600);

/// Who asks, found by a token.
#[derive(Debug, Clone)]
pub struct Actor {
    /// The administrator's id.
    pub id: String,
    /// The name, for `requested_by`.
    pub name: String,
    /// By which token: what it has read is kept by that.
    pub token: String,
    /// When person and token count; `None`: they do.
    pub newcomer_until: Option<Timestamp>,
    /// Who made this token or this person within the newcomers' wait, and who made those: none of them is a second person to it.
    pub sponsors: BTreeSet<String>,
}

impl Actor {
    /// Refused to who is new here: they hold nothing back and take nothing over.
    pub fn must_count(&self, what: &str) -> Result<()> {
        match self.newcomer_until {
            None => Ok(()),
            Some(until) => {
                Err(Error::forbidden("newcomer", format!("{} is new here and may {what} from {until}", self.name)))
            }
        }
    }
}

/// Whether a name holds what a reader cannot see: control characters, and marks that turn the direction of the text around them or have
/// no width. Two people must not look alike who are not the same.
pub fn has_hidden(name: &str) -> bool {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    name.chars().any(hidden)
}

/// As the audit log names the person.
impl From<&Actor> for By {
    fn from(actor: &Actor) -> Self {
        Self::Admin(actor.id.clone())
    }
}

/// When a server was ready on this store for the first time. Stores of former versions: when they were made.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Born {
    at: Steady,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 1] = [Kind::of::<Born>()];

impl Record for Born {
    const KIND: &'static str = "born";
    fn key(&self) -> String {
        String::new()
    }
}

/// The first hour begins now, where it has not.
pub(super) fn begin(tx: &mut Tx<'_>) -> Result<()> {
    let at = tx.steady();
    if tx.get::<Born>("")?.is_none() {
        tx.put(&Born { at })?;
    }
    Ok(())
}

/// What is left of a wait that began at `since`.
pub fn left_to_wait(tx: &Tx<'_>, since: Steady, wait: Duration) -> Duration {
    wait.saturating_sub(tx.steady().since(since))
}

/// Whether the store is in its first hour with no device enrolled: what is made now need not wait.
pub fn first_hour(tx: &mut Tx<'_>) -> Result<bool> {
    Ok(left_of_first_hour(tx)?.is_some())
}

/// How much is left of it. A clock that is set takes nothing of it and adds nothing: it is steady time.
pub(super) fn left_of_first_hour(tx: &mut Tx<'_>) -> Result<Option<Duration>> {
    // Before a server was ready nobody could use it.
    let begun = tx.get::<Born>("")?.map_or(tx.steady(), |born| born.at);
    let left = left_to_wait(tx, begun, FIRST);
    Ok((!left.is_zero() && tx.scan::<Device>("", None, 1)?.is_empty()).then_some(left))
}

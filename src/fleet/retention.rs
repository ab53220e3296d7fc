//! History ends: what is over is kept for so long and then forgotten, in small steps. Wipes and their evidence stay as long as the
//! audit log, which stays for ever; so do the pins of certificates.

use crate::{
    error::Result,
    fleet::{
        audit::recurring::Recurring,
        enrol::{
            invitation::{Invitation, Way},
            succession::{self, Succession},
            under_way::{self, Key},
        },
        life::{Action, Command},
        queue,
        registry::{credential::Revocation, journal::Journal, lookup::Name},
        settings,
        wipe::{Approval, approvals::Stage},
    },
    store::{Record, Tx},
};
use std::time::Duration;

/// Records looked at in one step.
pub const PAGE: usize = 500;

/// How long what is kept.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// Commands that people asked for, and what led to them.
    people: Duration,
    /// Facts and policy steps.
    system: Duration,
}

impl Kept {
    fn read(tx: &mut Tx<'_>) -> Result<Self> {
        Ok(Self { people: settings::span(tx, "keep.commands")?, system: settings::span(tx, "keep.system")? })
    }
}

/// A kind of record that is forgotten one day.
pub trait Ends: Record {
    /// Whether it has been over for so long.
    fn is_over(&self, tx: &mut Tx<'_>, kept: Kept) -> Result<bool>;
    /// Removes it, with what leads to it.
    fn forget(&self, tx: &mut Tx<'_>) -> Result<()> {
        Ok(tx.delete(self)?)
    }
}

/// The keys of those that are over, among the next after the key `after`; and where to go on, if there is more. Reads alone.
pub fn look<R: Ends>(tx: &mut Tx<'_>, after: Option<&str>) -> Result<(Vec<String>, Option<String>)> {
    let kept = Kept::read(tx)?;
    let page = tx.scan::<R>("", after, PAGE)?;
    let next = page.last().filter(|_| page.len() == PAGE).map(Record::key);
    let mut over = Vec::new();
    for record in page {
        if record.is_over(tx, kept)? {
            over.push(record.key());
        }
    }
    Ok((over, next))
}

/// Forgets those of them that still are over.
pub fn forget<R: Ends>(tx: &mut Tx<'_>, keys: &[String]) -> Result<()> {
    let kept = Kept::read(tx)?;
    for key in keys {
        if let Some(record) = tx.get::<R>(key)?
            && record.is_over(tx, kept)?
        {
            record.forget(tx)?;
        }
    }
    Ok(())
}

impl Ends for Command {
    fn is_over(&self, tx: &mut Tx<'_>, kept: Kept) -> Result<bool> {
        let keep = if queue::is_systems(self) { kept.system } else { kept.people };
        let ended = self.ended.filter(|_| self.state.is_final() && self.action() != Action::Wipe);
        Ok(ended.is_some_and(|ended| tx.steady().since(ended) >= keep))
    }
    fn forget(&self, tx: &mut Tx<'_>) -> Result<()> {
        tx.delete(&self.of_device())?;
        Ok(tx.delete(self)?)
    }
}

impl Ends for Invitation {
    fn is_over(&self, tx: &mut Tx<'_>, kept: Kept) -> Result<bool> {
        let over = self.spent.as_ref().map_or(self.expires, |spent| spent.at);
        Ok(!tx.time().doubted && tx.now().since(over) >= kept.people)
    }
}

/// One that is not complete in time ends, with all that it has begun.
impl Ends for Key {
    fn is_over(&self, tx: &mut Tx<'_>, _: Kept) -> Result<bool> {
        Ok(under_way::is_over(tx, self)?.is_some())
    }
    fn forget(&self, tx: &mut Tx<'_>) -> Result<()> {
        match under_way::is_over(tx, self)? {
            Some(why) => under_way::give_up(tx, self, why),
            None => Ok(()),
        }
    }
}

/// What went by the same name as a device that enrolled for nobody in particular is looked at again and again, until it is over.
impl Ends for Succession {
    fn is_over(&self, tx: &mut Tx<'_>, _: Kept) -> Result<bool> {
        Ok(succession::is_due(tx, self))
    }
    fn forget(&self, tx: &mut Tx<'_>) -> Result<()> {
        succession::look(tx, self)
    }
}

/// The ways to an invitation go with it.
impl Ends for Way {
    fn is_over(&self, tx: &mut Tx<'_>, _: Kept) -> Result<bool> {
        Ok(tx.get::<Invitation>(self.invitation)?.is_none())
    }
}

/// A certificate that has ended by itself need not stand on the list (RFC 5280 3.3).
impl Ends for Revocation {
    fn is_over(&self, tx: &mut Tx<'_>, kept: Kept) -> Result<bool> {
        Ok(!tx.time().doubted && tx.now().since(self.not_after) >= kept.system)
    }
}

/// What a device said goes once it has added nothing for so long.
impl Ends for Journal {
    fn is_over(&self, tx: &mut Tx<'_>, kept: Kept) -> Result<bool> {
        Ok(self.last().is_none_or(|last| tx.steady().since(last) >= kept.people))
    }
}

/// What has not come again for long begins anew when it does.
impl Ends for Recurring {
    fn is_over(&self, tx: &mut Tx<'_>, _: Kept) -> Result<bool> {
        Ok(self.is_of_the_past(tx.steady()))
    }
}

/// What a device was called before.
impl Ends for Name {
    fn is_over(&self, tx: &mut Tx<'_>, _: Kept) -> Result<bool> {
        self.is_former(tx)
    }
}

/// One that was decided goes with the last of its commands: that of a wipe stays.
impl Ends for Approval {
    fn is_over(&self, tx: &mut Tx<'_>, kept: Kept) -> Result<bool> {
        if self.stage == Stage::Waiting || tx.steady().since(self.asked) < kept.people {
            return Ok(false);
        }
        let commands = tx.get_many::<Command>(&self.commands)?;
        Ok(commands.iter().all(Option::is_none))
    }
}

//! When an enrolment was last heard. Idle devices are remembered and written in batches, apart from the device's record: that one was
//! heard changes nothing about it.

use crate::{
    clock::Timestamp,
    error::Result,
    fleet::life::Enrolment,
    ids::EnrolmentId,
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};

/// When an enrolment last had nothing to do: apart from the device's record, since a sight changes nothing about it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Seen {
    enrolment: EnrolmentId,
    /// When.
    pub at: Timestamp,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 1] = [Kind::of::<Seen>()];

impl Record for Seen {
    const KIND: &'static str = "seen";
    fn key(&self) -> String {
        self.enrolment.to_string()
    }
    fn lean(&self) -> Option<Self> {
        Some(Self { enrolment: EnrolmentId::NONE, at: self.at })
    }
    fn whole(self, rest: &str) -> Option<Self> {
        Some(Self { enrolment: rest.parse().ok()?, at: self.at })
    }
}

/// The later of what the device's record says and what was written since.
pub fn last_seen(tx: &mut Tx<'_>, enrolment: &Enrolment) -> Result<Option<Timestamp>> {
    Ok(tx.get::<Seen>(enrolment.id)?.map(|s| s.at).max(enrolment.last_seen))
}

/// What was written of these enrolments since their devices' records, in their order.
pub fn seen(tx: &mut Tx<'_>, enrolments: impl IntoIterator<Item = EnrolmentId>) -> Result<Vec<Option<Timestamp>>> {
    Ok(tx.get_many::<Seen>(enrolments)?.into_iter().map(|seen| Some(seen?.at)).collect())
}

/// Writes that an enrolment was seen just now: for messages that memory does not answer.
pub fn note_seen(tx: &mut Tx<'_>, enrolment: EnrolmentId) -> Result<()> {
    let at = tx.now();
    Ok(tx.put(&Seen { enrolment, at })?)
}

/// The enrolments are of a record that is no more.
pub(in crate::fleet) fn forget(tx: &mut Tx<'_>, enrolments: impl IntoIterator<Item = EnrolmentId>) -> Result<()> {
    for enrolment in enrolments {
        let at = tx.now();
        tx.delete(&Seen { enrolment, at })?;
    }
    Ok(())
}

/// Writes when these were seen.
pub fn note_all(tx: &mut Tx<'_>, seen: Vec<(EnrolmentId, Timestamp)>) -> Result<()> {
    for (enrolment, at) in seen {
        tx.put(&Seen { enrolment, at })?;
    }
    Ok(())
}

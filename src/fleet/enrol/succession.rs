//! The former record of a device that enrols, or enrolled, for nobody in particular: such an enrolment joins nothing and replaces nothing, since a
//! UDID or a serial number is a claim. What goes by the same name ends once it was silent for a day while the new one is heard; whatever
//! is still heard, or has a full wipe open, stays; a retire stays owed to the silent certificate, and is presumed after a month of it.

use crate::{
    clock::{Steady, Timestamp},
    error::Result,
    fleet::{
        keeper,
        life::{Channel, Device, Enrolment, EnrolmentState, Event},
        registry::{lookup, sights},
    },
    ids::{DeviceId, EnrolmentId},
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// So long the former must have been silent, and the new one be heard after it was complete.
const SILENT: Duration = Duration::from_secs(86_400);
/// Between two looks at one that is not over.
const PAUSE: Duration = Duration::from_secs(3600);
/// The same where nothing of it lives, and may live again: its wipe is presumed, and may be taken back when it is heard.
const LONG_PAUSE: Duration = Duration::from_secs(86_400);
/// Looks that must find it silent: while the server was away nobody could be heard, and after it who is silent is woken first.
const LOOKS: u32 = 3;

/// A new enrolment beside which something lives that goes by its names.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Succession {
    enrolment: EnrolmentId,
    device: DeviceId,
    /// Whether it enrolled for nobody in particular, whosever it is since.
    nobodys: bool,
    /// When it is looked at next.
    due: Steady,
    /// The formers that were silent at the last look.
    silent: BTreeMap<EnrolmentId, Silence>,
}

/// How long one was silent, as far as looks tell.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Silence {
    /// By the store's time, in which no jump of a clock counts.
    since: Steady,
    /// Its last word.
    spoke: Timestamp,
    /// Looks at which it had said no more.
    looks: u32,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 1] = [Kind::of::<Succession>()];

impl Record for Succession {
    const KIND: &'static str = "succession";
    fn key(&self) -> String {
        self.enrolment.to_string()
    }
}

/// An enrolment is complete, of nobody in particular or of somebody.
pub(super) fn begin(tx: &mut Tx<'_>, device: &Device, enrolment: EnrolmentId, nobodys: bool) -> Result<()> {
    let Some(mine) = device.enrolment(enrolment) else { return Ok(()) };
    if formers(tx, device, mine, nobodys)?.is_empty() {
        return Ok(());
    }
    let now = tx.steady();
    let mut of = Succession { enrolment, device: device.id, nobodys, due: now.plus(PAUSE), silent: BTreeMap::new() };
    ends_what_is_silent(tx, device, &mut of)?;
    Ok(tx.put(&of)?)
}

/// Whether it is time to look. A clock that nobody believes ends nothing.
pub fn is_due(tx: &mut Tx<'_>, of: &Succession) -> bool {
    !tx.time().doubted && of.due <= tx.steady()
}

/// Ends what is over of those that went by these names, and looks again later where something is not.
pub fn look(tx: &mut Tx<'_>, of: &Succession) -> Result<()> {
    match tx.get::<Device>(of.device)? {
        Some(device) => {
            let mut next = of.clone();
            match ends_what_is_silent(tx, &device, &mut next)? {
                true => Ok(tx.put(&next)?),
                false => Ok(tx.delete(of)?),
            }
        }
        None => Ok(tx.delete(of)?),
    }
}

/// True where something may be over later.
fn ends_what_is_silent(tx: &mut Tx<'_>, device: &Device, of: &mut Succession) -> Result<bool> {
    let (now, wall, enrolment) = (tx.steady(), tx.now(), of.enrolment);
    let Some(mine) = device.enrolment(enrolment).filter(|mine| mine.state == EnrolmentState::Enrolled) else {
        return Ok(false);
    };
    let heard = sights::last_seen(tx, mine)?.unwrap_or(mine.created);
    let (mut stays, mut often) = (false, false);
    for former in formers(tx, device, mine, of.nobodys)? {
        let mut former = keeper::load(tx, former)?;
        let lives = |e: &&Enrolment| e.state == EnrolmentState::Enrolled && is_older(e, mine, wall);
        let older: Vec<Enrolment> = former.enrolments.iter().filter(lives).cloned().collect();
        for older in older {
            let spoke = sights::last_seen(tx, &older)?.unwrap_or(older.created);
            let known = of.silent.get(&older.id).copied().filter(|known| known.spoke == spoke);
            let Silence { since, looks, .. } = known.unwrap_or(Silence { since: now, spoke, looks: 0 });
            of.silent.insert(older.id, Silence { since, spoke, looks: looks.saturating_add(1) });
            if looks >= LOOKS && now.since(since) >= SILENT && heard.since(spoke.max(mine.created)) >= SILENT {
                keeper::happen(tx, &mut former, Event::Succeeded { enrolment: older.id, by: (device.id, enrolment) })?;
            }
        }
        stays |= former.enrolments.iter().any(|e| is_older(e, mine, wall));
        often |= former.enrolments.iter().any(|e| lives(&e));
    }
    of.due = now.plus(if often { PAUSE } else { LONG_PAUSE });
    Ok(stays)
}

/// The records with something on this enrolment's channel that lives or may live again, is older, and goes by a name of its device's.
fn formers(tx: &mut Tx<'_>, device: &Device, mine: &Enrolment, nobodys: bool) -> Result<Vec<Device>> {
    let wall = tx.now();
    let mut found = lookup::claimants(tx, mine.channel.as_str(), &mine.identity)?;
    found.retain(|d| d.enrolments.iter().any(|e| e.channel == mine.channel && e.has_name_of(mine)));
    if let Some(serial) = &device.serial {
        let same = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
        let mut bearers = lookup::claimants(tx, lookup::SERIAL, serial)?;
        // PCs share serial numbers that are none, and images share their hardware id: both together are one machine's.
        let one_machine = |d: &Device| mine.channel != Channel::Omadm || same(&d.hardware_id, &device.hardware_id);
        bearers.retain(|d| same(&d.serial, &device.serial) && one_machine(d));
        found.extend(bearers);
    }
    let mut seen = vec![device.id];
    found.retain(|d| {
        let new = !seen.contains(&d.id);
        seen.push(d.id);
        // Somebody's device takes the place of nobody's and of another record of theirs (one that was given to them), and of no other person's.
        let theirs = nobodys || d.user.is_empty() || d.is_of(&device.user);
        new && theirs && d.enrolments.iter().any(|e| is_older(e, mine, wall))
    });
    Ok(found)
}

/// Whether it is older, and lives or may live again.
fn is_older(former: &Enrolment, mine: &Enrolment, now: Timestamp) -> bool {
    let may = former.state == EnrolmentState::Enrolled || former.may_live_again(now);
    may && former.channel == mine.channel && former.is_older_than(mine)
}

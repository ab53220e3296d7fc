//! A mail client that waits to be let in: what it is told meanwhile is kept with its enrolment, and its person can claim it. That lets nobody
//! in, since whoever has the password could do it; it tells who is to decide.

use super::invitation::{self, WrongCode};
use crate::{
    clock::{Steady, Timestamp},
    error::{Denial, Error, Judged, Result},
    fleet::{
        audit, keeper,
        life::{Device, EnrolmentState, Event, Managed},
    },
    ids::{DeviceId, EnrolmentId, hex},
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Where an enrolment's channel state keeps it.
pub const WAITING: &str = "waiting";

/// See the module. One time of waiting: the next one has another code.
#[derive(Clone, Serialize, Deserialize)]
pub struct Waiting {
    /// Which one it is: 16 hexadecimal digits.
    pub id: String,
    /// What its person says to claim it, as it is printed.
    pub code: String,
    /// Since when.
    pub since: Timestamp,
    /// The folder that a message for it goes to; empty where it has none.
    #[serde(default)]
    pub inbox: Option<String>,
    /// When its person claimed it.
    #[serde(default)]
    pub claimed: Option<Timestamp>,
    /// It was let in since.
    #[serde(default)]
    pub over: bool,
    /// Its person is told by mail: a letter waits for that, or has gone.
    #[serde(default)]
    pub by_mail: bool,
    /// When the mail server took the letter.
    #[serde(default)]
    pub posted: Option<Timestamp>,
}

/// A letter that is to go out, until the mail server has taken it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Letter {
    /// Whose.
    pub device: DeviceId,
    enrolment: EnrolmentId,
    /// Of which time of waiting.
    waiting: String,
    /// Not to be tried before.
    next: Steady,
    tries: u32,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 1] = [Kind::of::<Letter>()];

/// By the time they are next due: those that are refused stand in the way of no others.
impl Record for Letter {
    const KIND: &'static str = "letter";
    fn key(&self) -> String {
        format!("{:016x}/{}", self.next.0.max(0), self.enrolment)
    }
}

/// The node that took a letter has so long to send it, and waits so long at first until it is tried again.
const LEASE: Duration = Duration::from_secs(120);
/// The longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_secs(3600);

impl Waiting {
    /// What is kept of an enrolment, of its last time.
    pub fn of(device: &Device, enrolment: EnrolmentId) -> Option<Self> {
        let text = device.enrolment(enrolment)?.channel_state.get(WAITING)?;
        serde_json::from_str(text).ok()
    }

    fn begin(tx: &mut Tx<'_>) -> Self {
        let (id, code) = (hex(&tx.random::<8>()), invitation::letters(&tx.random::<12>()));
        Self { id, code, since: tx.now(), inbox: None, claimed: None, over: false, by_mail: false, posted: None }
    }

    /// Keeps it.
    pub fn keep(&self, tx: &mut Tx<'_>, device: &mut Managed, enrolment: EnrolmentId) -> Result<()> {
        let text = serde_json::to_string(self).map_err(|e| Error::Internal(e.to_string()))?;
        keeper::happen(tx, device, Event::Noted { enrolment, name: WAITING, value: Some(text) })?;
        Ok(())
    }
}

/// The waiting of a client that is heard, as it is by now: begun with the first request of one that is not let in, over with the first of one
/// that is.
pub fn look(tx: &mut Tx<'_>, device: &mut Managed, enrolment: EnrolmentId) -> Result<Option<Waiting>> {
    let Some(state) = device.enrolment(enrolment).map(|mine| mine.state) else { return Ok(None) };
    let kept = Waiting::of(device, enrolment);
    let now = match (state, kept.clone()) {
        (EnrolmentState::Quarantined, Some(kept)) if !kept.over => return Ok(Some(kept)),
        (EnrolmentState::Quarantined, _) => Waiting::begin(tx),
        (EnrolmentState::Enrolled, Some(kept)) if !kept.over => Waiting { over: true, ..kept },
        _ => return Ok(kept),
    };
    now.keep(tx, device, enrolment)?;
    Ok(Some(now))
}

/// Has a letter go out for a client that waits, once for each time of waiting.
pub fn write_letter(
    tx: &mut Tx<'_>,
    device: &mut Managed,
    enrolment: EnrolmentId,
    waiting: &Waiting,
) -> Result<Waiting> {
    let (id, next) = (waiting.id.clone(), tx.steady());
    tx.put(&Letter { device: device.id, enrolment, waiting: id, next, tries: 0 })?;
    let waiting = Waiting { by_mail: true, ..waiting.clone() };
    waiting.keep(tx, device, enrolment)?;
    Ok(waiting)
}

/// Takes the letters that are due, each with its device and enrolment. What is not [`posted`] in time is due again, later each time, for as
/// long as its client waits.
pub fn take_letters(tx: &mut Tx<'_>, count: usize) -> Result<Vec<(Letter, Device, EnrolmentId)>> {
    let now = tx.steady();
    let mut taken = Vec::new();
    for letter in tx.scan::<Letter>("", None, count)?.into_iter().take_while(|letter| letter.next <= now) {
        tx.delete(&letter)?;
        let Some(device) = tx.get::<Device>(letter.device)?.filter(|device| is_due(device, &letter)) else { continue };
        let pause = LEASE.saturating_mul(1 << letter.tries.min(8)).min(MAX_PAUSE);
        let later = Letter { next: now.plus(pause), tries: letter.tries.saturating_add(1), ..letter };
        tx.put(&later)?;
        let enrolment = later.enrolment;
        taken.push((later, device, enrolment));
    }
    Ok(taken)
}

fn is_due(device: &Device, letter: &Letter) -> bool {
    let waits = device.enrolment(letter.enrolment).is_some_and(|mine| mine.state == EnrolmentState::Quarantined);
    waits && Waiting::of(device, letter.enrolment).is_some_and(|now| now.id == letter.waiting && now.posted.is_none())
}

/// The mail server has it: this letter, as [`take_letters`] gave it.
pub fn posted(tx: &mut Tx<'_>, letter: &Letter) -> Result<()> {
    tx.delete(letter)?;
    let Some(device) = tx.get::<Device>(letter.device)?.filter(|device| is_due(device, letter)) else { return Ok(()) };
    let mut device = keeper::load(tx, device)?;
    let Some(waiting) = Waiting::of(&device, letter.enrolment) else { return Ok(()) };
    Waiting { posted: Some(tx.now()), ..waiting }.keep(tx, &mut device, letter.enrolment)
}

/// Its person, who has signed in, says the code of a client that waits. A wrong one is counted as any is, by user and by address; that the
/// client is another's is told no better. Said again it changes nothing, and is no news.
pub fn claim(
    tx: &mut Tx<'_>,
    device: DeviceId,
    user: &str,
    is_theirs: impl Fn(&str) -> bool,
    code: &str,
    address: Option<&str>,
) -> Judged<bool, WrongCode> {
    let known = tx.get::<Device>(device)?.filter(|device| is_theirs(&device.user));
    let waits = known.as_ref().and_then(|device| {
        let quarantined = device.enrolments.iter().filter(|e| e.state == EnrolmentState::Quarantined);
        let kept = quarantined.filter_map(|e| Some((e.id, Waiting::of(device, e.id)?)));
        kept.filter(|(_, waiting)| !waiting.over).find(|(_, waiting)| {
            let (said, right) = (invitation::normal(code), invitation::normal(&waiting.code));
            said.len() == right.len() && openssl::memcmp::eq(said.as_bytes(), right.as_bytes())
        })
    });
    let (Some(known), Some((enrolment, waiting))) = (known, waits) else {
        return Err(Denial::Refused(invitation::count_wrong(tx, Some(user), address)?));
    };
    let is_news = waiting.claimed.is_none();
    if is_news {
        let mut device = keeper::load(tx, known)?;
        Waiting { claimed: Some(tx.now()), ..waiting }.keep(tx, &mut device, enrolment)?;
        audit::note(tx, audit::By::Device, audit::Event::EnrolmentClaimed { enrolment, device: device.id })?;
    }
    Ok(is_news)
}

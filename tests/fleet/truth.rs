//! The truth beside the store: who asked for which wipe and when, whom it was about, who was heard and what they said; and what the
//! store must not say against it.

use crate::calls::{Handed, Said};
use lanyard::{
    clock::Steady,
    error::Result,
    fleet::{
        audit::Entry,
        keeper::timers,
        life::{Action, Channel, Command, Device, EnrolmentState, Outcome, Scope, State, command::Hold},
    },
    ids::{ApprovalId, CommandId, DeviceId, EnrolmentId},
    store::Tx,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const HOUR: Duration = Duration::from_secs(3600);
/// The settings `wipe.grace` and `wipe.full.per_tenant` are as they come; the limit for one person is the seed's.
const GRACE: Duration = Duration::from_secs(900);
const SILENCE: Duration = Duration::from_secs(30 * 86_400);

/// What is wrong, in words.
pub type Verdict = std::result::Result<(), String>;

macro_rules! must {
    ($holds:expr, $($words:tt)+) => {
        if !$holds {
            return Err(format!($($words)+));
        }
    };
}
pub(crate) use must;

/// Whose doing an event was.
#[derive(Debug, Clone)]
pub enum Cause {
    /// A device spoke under this enrolment; `apart`: by a certificate that nobody has shown to be the device's.
    Speech { enrolment: EnrolmentId, said: Option<Said>, shut_out: Option<CommandId>, apart: bool },
    /// A device came in, or told its names.
    Entry,
    /// Somebody with a token: the person, whether it was the thief, and what they released.
    Admin { person: String, thief: bool, approved: Option<ApprovalId> },
    /// The passing of time.
    Time,
}

/// A wipe as it was asked for, and as it last stood.
#[derive(Debug, Clone)]
pub struct Wipe {
    pub name: String,
    pub record: DeviceId,
    pub scope: Scope,
    /// What the record had when it was asked for.
    pub owed: BTreeSet<EnrolmentId>,
    /// What joined the record while it was open, and how often each was told.
    pub later: BTreeMap<EnrolmentId, u32>,
    pub asked_by: String,
    pub by_thief: bool,
    pub state: State,
    /// The breaker holds it.
    pub held: bool,
    /// In its undo window.
    pub waits: bool,
    pub carrier: EnrolmentId,
    pub channel: Channel,
    presumed: Option<Steady>,
    /// It was handed to one that it is owed to, or counts as if it had been.
    out: bool,
    /// It counts as done since the client is shut out.
    pub shut_out: bool,
}

/// One that went its way with nobody's consent but the asker's.
#[derive(Debug, Clone)]
struct Free {
    at: Steady,
    person: String,
    thief: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Truth {
    pub wipes: BTreeMap<CommandId, Wipe>,
    free: Vec<Free>,
    /// When each enrolment was last heard under a good certificate.
    heard: BTreeMap<EnrolmentId, Steady>,
    /// What each person has read of an approval.
    read: BTreeMap<(String, ApprovalId), BTreeSet<CommandId>>,
    pub stopped: bool,
    pub limit: usize,
    /// The place of the last entry of the audit log that was read.
    log: u64,
    /// How often what happened, in the log's words.
    pub happened: BTreeMap<String, u64>,
    names: BTreeMap<String, String>,
}

/// What became of the devices that changed, and what the log tells of it.
pub struct Look {
    pub devices: Vec<(Device, Vec<Command>)>,
    pub log: Vec<Entry>,
}

impl Look {
    pub fn take(tx: &mut Tx<'_>, changed: &BTreeSet<DeviceId>, after: u64) -> Result<Self> {
        let mut devices = Vec::new();
        for device in tx.get_many::<Device>(changed)?.into_iter().flatten() {
            let commands = timers::of_device(tx, &device)?;
            devices.push((device, commands));
        }
        // One by one: a scan in memory goes through all that lies before.
        let (mut log, node) = (Vec::new(), tx.node().to_string());
        while let Some(entry) = tx.get::<Entry>(format!("{node}/{:016}", after + 1 + log.len() as u64))? {
            log.push(entry);
        }
        Ok(Self { devices, log })
    }
}

fn is_open(state: State) -> bool {
    !state.is_final()
}

impl Truth {
    /// A short name for an id: `wipe-3`, `record-2`.
    pub fn name(&mut self, kind: &str, id: impl ToString) -> String {
        let next = self.names.values().filter(|name| name.starts_with(kind)).count() + 1;
        self.names.entry(id.to_string()).or_insert_with(|| format!("{kind}-{next}")).clone()
    }

    pub fn log_read_to(&self) -> u64 {
        self.log
    }

    /// An enrolment joined a record.
    pub fn joined(&mut self, record: DeviceId, enrolment: EnrolmentId, now: Steady) {
        self.heard.insert(enrolment, now);
        let open = self.wipes.values_mut().filter(|w| w.record == record && is_open(w.state));
        for wipe in open.filter(|w| !w.owed.contains(&enrolment)) {
            wipe.later.entry(enrolment).or_default();
        }
    }

    pub fn was_heard(&mut self, enrolment: EnrolmentId, now: Steady) {
        self.heard.insert(enrolment, now);
    }

    /// A person has read an approval as it stands.
    pub fn was_read(&mut self, person: &str, approval: ApprovalId, commands: &[CommandId]) {
        self.read.insert((person.into(), approval), commands.iter().copied().collect());
    }

    /// Something was handed out: only what may leave, to whom it is about.
    pub fn handed(&mut self, handed: Handed, to: EnrolmentId, record: DeviceId, personal: bool) -> Verdict {
        let Some(scope) = handed.scope else { return Ok(()) };
        must!(!self.stopped, "(b) a wipe left while the stop was on");
        let wipe = self.wipes.get_mut(&handed.command);
        let Some(wipe) = wipe else { return Err("(b) a wipe left that nobody asked for".into()) };
        let name = &wipe.name;
        must!(wipe.record == record, "(b) {name} left to a device that it was not asked for");
        must!(wipe.scope == scope, "(b) {name} left with another scope");
        must!(!wipe.held, "(b) {name} left while the breaker held it");
        if wipe.owed.contains(&to) {
            must!(wipe.state == State::Sent, "(b) {name} left, and is {:?}", wipe.state);
            wipe.out = true;
            return Ok(());
        }
        // What enrolled later is told beside its way.
        let is_out = matches!(wipe.state, State::Queued | State::Sent | State::NotNow);
        must!(is_out, "(b) {name} left, and is {:?}", wipe.state);
        let Some(told) = wipe.later.get_mut(&to) else {
            return Err(format!("(b) {name} left to an enrolment that joined after its end"));
        };
        *told += 1;
        must!(*told <= 2, "(b) {name} left {told} times to what enrolled later");
        must!(!(personal && scope == Scope::Full), "(b) {name}, a full wipe, left to a personal enrolment");
        Ok(())
    }

    /// Holds what changed against the truth.
    pub fn take(&mut self, look: Look, cause: &Cause, now: Steady) -> Verdict {
        let mut ends: Vec<(String, String)> = Vec::new();
        self.contradicted(&look, cause, now)?;
        for (device, commands) in &look.devices {
            self.take_device(device, commands, cause, now, &mut ends)?;
        }
        self.within_limits(now)?;
        self.log += look.log.len() as u64;
        for entry in &look.log {
            *self.happened.entry(format!("{} {}", entry.action, entry.outcome)).or_default() += 1;
        }
        let of_wipes = look.log.iter().filter(|e| e.action == "wipe.ended");
        let mut told: Vec<(String, String)> = of_wipes.map(|e| (e.subject.clone(), e.outcome.clone())).collect();
        told.sort();
        ends.sort();
        if told != ends {
            let mut short = |list: Vec<(String, String)>| -> Vec<String> {
                list.into_iter().map(|(id, end)| format!("{} {end}", self.name("wipe", id))).collect()
            };
            let (ends, told) = (short(ends), short(told));
            return Err(format!("(e) ends of wipes: {ends:?}, in the log: {told:?}"));
        }
        Ok(())
    }

    /// A message may contradict a presumed end and, in the same breath, answer once more.
    fn contradicted(&mut self, look: &Look, cause: &Cause, now: Steady) -> Verdict {
        for entry in look.log.iter().filter(|e| e.action == "wipe.contradicted") {
            let Ok(id) = entry.subject.parse::<CommandId>() else {
                return Err("(e) whose contradiction?".into());
            };
            let Some(wipe) = self.wipes.get(&id).cloned() else { return Err("(e) a wipe that nobody knows".into()) };
            must!(wipe.state == State::Presumed, "(b) {} was {:?}, and is contradicted", wipe.name, wipe.state);
            self.is_allowed(&wipe, id, State::Queued, cause, false, now)?;
            self.wipes.insert(id, Wipe { state: State::Queued, ..wipe });
        }
        Ok(())
    }

    fn take_device(
        &mut self,
        device: &Device,
        commands: &[Command],
        cause: &Cause,
        now: Steady,
        ends: &mut Vec<(String, String)>,
    ) -> Verdict {
        let open: BTreeSet<CommandId> = commands.iter().filter(|c| is_open(c.state)).map(|c| c.id).collect();
        let kept: BTreeSet<CommandId> = device.open.iter().copied().collect();
        must!(
            open == kept && kept.len() == device.open.len(),
            "(e) the device's open commands are others: {kept:?}, {open:?}"
        );
        let wipes = || commands.iter().filter(|c| c.action() == Action::Wipe);
        // Another wipe of the device may end it.
        let ended_now = wipes().any(|c| {
            matches!(c.state, State::Confirmed | State::Presumed)
                && self.wipes.get(&c.id).is_some_and(|known| known.state != c.state)
        });
        for command in wipes() {
            self.tried(device, command)?;
            let before = self.wipes.get(&command.id).map(|w| w.state);
            if command.state.is_final() && before != Some(command.state) {
                ends.push((command.id.to_string(), command.state.as_str().into()));
            }
            self.moved(device, command, cause, ended_now, now)?;
        }
        Ok(())
    }

    /// What is open rests with somebody who can be reached, and is woken.
    fn tried(&self, device: &Device, command: &Command) -> Verdict {
        if !matches!(command.state, State::Queued | State::Sent | State::NotNow) {
            return Ok(());
        }
        let name = self.wipes.get(&command.id).map_or("a new wipe", |w| w.name.as_str());
        let carrier = device.enrolment(command.enrolment).map(|e| e.state);
        let reached = match carrier {
            Some(EnrolmentState::Enrolled | EnrolmentState::Pending | EnrolmentState::Former) => true,
            Some(EnrolmentState::Blocked | EnrolmentState::Quarantined) => command.channel == Channel::Activesync,
            _ => false,
        };
        must!(reached, "(a) {name} is {:?} and rests with an enrolment that is {carrier:?}", command.state);
        must!(
            command.channel != Channel::Apple || command.wake_at.is_some(),
            "(a) {name} is {:?}, and nobody is ever woken for it",
            command.state
        );
        Ok(())
    }

    /// A wipe from where it stood to where it stands.
    fn moved(&mut self, device: &Device, command: &Command, cause: &Cause, ended_now: bool, now: Steady) -> Verdict {
        let (id, state) = (command.id, command.state);
        let held = state == State::Held && command.hold == Some(Hold::Breaker);
        let mut wipe = match self.wipes.get(&id) {
            Some(wipe) => wipe.clone(),
            None => self.new_wipe(device, command, cause)?,
        };
        let known = self.wipes.contains_key(&id);
        if let (true, Cause::Admin { thief, .. }) = (wipe.asked_by != command.asked_by, cause) {
            // Another took it over: it is another request, about the device as it is now.
            if device.live().next().is_some() {
                (wipe.owed, wipe.later) = (device.live().map(|e| e.id).collect(), BTreeMap::new());
            }
            wipe.by_thief = *thief;
            wipe.asked_by.clone_from(&command.asked_by);
        }
        if (!known || wipe.held) && !held && is_open(state) {
            self.released(&wipe, id, cause, now)?;
        }
        if known && wipe.state != state {
            self.is_allowed(&wipe, id, state, cause, ended_now, now)?;
        }
        if state == State::Presumed && wipe.state != State::Presumed {
            wipe.presumed = Some(now);
        }
        if let Cause::Speech { shut_out: Some(shut), .. } = cause {
            wipe.shut_out |= *shut == id;
            wipe.out |= *shut == id;
        }
        (wipe.state, wipe.held, wipe.waits) = (state, held, state == State::Held && !held);
        (wipe.carrier, wipe.channel, wipe.record) = (command.enrolment, command.channel, device.id);
        self.wipes.insert(id, wipe);
        Ok(())
    }

    fn new_wipe(&mut self, device: &Device, command: &Command, cause: &Cause) -> std::result::Result<Wipe, String> {
        let Cause::Admin { thief, .. } = cause else {
            return Err(format!("(b) a wipe that nobody asked for came of {cause:?}"));
        };
        let Some(scope) = command.scope() else { return Err("a wipe without a scope".into()) };
        Ok(Wipe {
            name: self.name("wipe", command.id),
            record: device.id,
            scope,
            owed: device.live().map(|e| e.id).collect(),
            later: BTreeMap::new(),
            asked_by: command.asked_by.clone(),
            by_thief: *thief,
            state: command.state,
            held: false,
            waits: false,
            carrier: command.enrolment,
            channel: command.channel,
            presumed: None,
            out: false,
            shut_out: false,
        })
    }

    /// It goes its way: by the asker's own limit, or by a second person who has read what they release.
    fn released(&mut self, wipe: &Wipe, id: CommandId, cause: &Cause, now: Steady) -> Verdict {
        let name = &wipe.name;
        let Cause::Admin { person, thief, approved } = cause else {
            return Err(format!("(d) {name} was released by {cause:?}"));
        };
        let Some(approval) = approved else {
            if wipe.scope == Scope::Full {
                self.free.push(Free { at: now, person: person.clone(), thief: *thief });
            }
            return Ok(());
        };
        must!(*person != wipe.asked_by, "(d) {name} was approved by who asked for it");
        must!(!(*thief && wipe.by_thief), "(d) the thief approved {name}, which the thief asked for");
        let read = self.read.get(&(person.clone(), *approval)).is_some_and(|read| read.contains(&id));
        must!(read, "(d) {name} was approved by somebody who had not read of it");
        Ok(())
    }

    fn within_limits(&self, now: Steady) -> Verdict {
        let lately: Vec<&Free> = self.free.iter().filter(|free| free.at > now.minus(HOUR)).collect();
        let of = |person: &str| lately.iter().filter(|free| free.person == person).count();
        let thiefs = lately.iter().filter(|free| free.thief).count();
        must!(thiefs <= self.limit, "(d) {thiefs} full wipes of the thief in an hour, the limit is {}", self.limit);
        for free in &lately {
            let count = of(&free.person);
            must!(count <= self.limit, "(d) {count} full wipes of one person in an hour, the limit is {}", self.limit);
        }
        must!(lately.len() <= 2 * self.limit, "(d) {} full wipes in an hour", lately.len());
        Ok(())
    }

    fn is_allowed(
        &self,
        wipe: &Wipe,
        id: CommandId,
        to: State,
        cause: &Cause,
        ended_now: bool,
        now: Steady,
    ) -> Verdict {
        let (name, from) = (&wipe.name, wipe.state);
        let (owed, said) = match cause {
            Cause::Speech { enrolment, said, .. } => (wipe.owed.contains(enrolment), said.as_ref()),
            _ => (false, None),
        };
        let says =
            |outcome: fn(&Outcome) -> bool| matches!(said, Some(Said::Of(of, what)) if *of == id && outcome(what));
        let leaves = matches!(said, Some(Said::Leaves));
        let shut_out = matches!(cause, Cause::Speech { shut_out: Some(shut), .. } if *shut == id);
        let apart = matches!(cause, Cause::Speech { apart: true, .. });
        let admin = matches!(cause, Cause::Admin { .. });
        must!(from != State::Confirmed, "(c) {name} was proved, and is {to:?}");
        match to {
            State::Confirmed => {
                let done = says(|o| matches!(o, Outcome::Done { .. })) || leaves && wipe.scope == Scope::Selective;
                must!(
                    owed && done && wipe.out && !apart,
                    "(c) {name} is confirmed, and nobody of whom it was asked said so: {cause:?}"
                );
            }
            State::Presumed => {
                let done_apart = apart && says(|o| matches!(o, Outcome::Done { .. }));
                let accepted = owed && (says(|o| matches!(o, Outcome::Presumed { .. })) || shut_out || done_apart);
                let silent = matches!(cause, Cause::Time) && self.were_silent(wipe, now);
                must!(accepted || silent, "(c) {name} is presumed without a ground: {cause:?}");
            }
            State::Failed => {
                let failed = owed && (leaves || says(|o| matches!(o, Outcome::Failed { .. })));
                let entry = matches!(cause, Cause::Entry);
                must!(failed || admin || ended_now || entry, "(a) {name} failed by {cause:?}");
            }
            State::Cancelled => must!(admin, "(a) {name} was cancelled by {cause:?}"),
            State::Expired => must!(matches!(cause, Cause::Time), "(a) {name} expired by {cause:?}"),
            State::Acknowledged => return Err(format!("(c) {name} was acknowledged")),
            State::Held | State::Queued | State::Sent | State::NotNow => {
                must!(from == State::Presumed || is_open(from), "(b) {name} was {from:?}, and is {to:?}");
                if from == State::Presumed {
                    let late = wipe.presumed.is_none_or(|at| now.since(at) >= GRACE);
                    must!(owed && late, "(b) {name} was presumed, and is {to:?} by {cause:?}");
                }
            }
        }
        Ok(())
    }

    /// All that it was asked of were silent for a month, give or take the hour to which that is kept.
    fn were_silent(&self, wipe: &Wipe, now: Steady) -> bool {
        let silent = |e: &EnrolmentId| self.heard.get(e).is_none_or(|at| now.since(*at) + 2 * HOUR >= SILENCE);
        wipe.owed.iter().all(silent)
    }
}

//! One seed: machines, administrators and a thief over one store, a few hundred events in an order that the seed says, and at the end
//! the question whether everything that was asked for was done.

use crate::{
    Fault,
    admin::{Admin, Thief},
    calls,
    dice::Dice,
    indexes,
    machine::{Identity, Kind, Machine},
    stage::Stage,
    truth::{Cause, Look, Truth, Verdict, must},
};
use lanyard::{
    fleet::{
        admins,
        life::{Channel, State},
        policies::rollout,
        settings,
        wipe::{self, approvals},
    },
    ids::{CommandId, DeviceId, EnrolmentId},
    store::Tx,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

pub const SECRET: &str = "the token of local";
const USERS: [&str; 3] = ["ann@example.org", "ben@example.org", "cy@example.org"];
/// Events of a seed, of whatever kind.
const EVENTS: usize = 300;
/// A theft is noticed before what the thief made counts.
const NOTICED: Duration = Duration::from_secs(20 * 3600);

/// See the module.
pub struct World {
    pub dice: Dice,
    pub stage: Stage,
    pub fault: Option<Fault>,
    pub machines: Vec<Machine>,
    pub admins: Vec<Admin>,
    pub thief: Option<Thief>,
    pub truth: Truth,
    pub events: usize,
    pub script: Vec<String>,
}

/// A seed that does not hold: what is wrong, and what happened until then.
pub struct Failure {
    pub what: String,
    pub script: Vec<String>,
}

/// What was played: how many events, and how often what came of them, in the audit log's words.
#[derive(Default)]
pub struct Played {
    pub events: usize,
    pub happened: BTreeMap<String, u64>,
}

/// Plays a seed.
pub fn play(seed: u64, fault: Option<Fault>) -> Result<Played, Box<Failure>> {
    let mut world = World {
        dice: Dice::new(seed),
        stage: Stage::new(seed),
        fault,
        machines: Vec::new(),
        admins: Vec::new(),
        thief: None,
        truth: Truth::default(),
        events: 0,
        script: Vec::new(),
    };
    let played = catch_unwind(AssertUnwindSafe(|| world.plays()));
    match played.unwrap_or_else(|_| Err("a panic, which is told above".into())) {
        Ok(()) => Ok(Played { events: world.events, happened: world.truth.happened }),
        Err(what) => Err(Box::new(Failure { what, script: world.script })),
    }
}

impl World {
    fn plays(&mut self) -> Verdict {
        self.begins()?;
        let stolen = self.dice.in_hundred(60).then(|| self.dice.below(EVENTS));
        let mut stolen = stolen;
        while self.events < EVENTS {
            self.events += 1;
            if stolen.is_some_and(|at| at <= self.events) {
                stolen = None;
                self.a_token_is_stolen();
            }
            self.something_happens()?;
        }
        self.ends()
    }

    fn begins(&mut self) -> Verdict {
        let limit = [2, 3, 10][self.dice.below(3)];
        self.truth.limit = limit;
        let begin = move |tx: &mut Tx<'_>| {
            admins::ensure_local(tx, SECRET)?;
            admins::begin_first_hour(tx)?;
            let local = calls::actor(tx, SECRET)?;
            for (key, value) in [("wipe.full.per_admin", limit), ("wipe.full.per_tenant", 2 * limit)] {
                settings::set(tx, &local, key, &value.to_string())?;
            }
            let mut made = Vec::new();
            for name in ["alice", "bob"] {
                let id = admins::add(tx, &local, name)?.id;
                let (_, secret) = admins::create_token(tx, &local, Some(&id))?;
                made.push(Admin { name: name.into(), id, secret });
            }
            Ok(made)
        };
        self.admins = self.stage.sure(begin)?;
        self.admins.insert(0, Admin { name: "local".into(), id: "local".into(), secret: SECRET.into() });
        let count = 6 + self.dice.below(8);
        for number in 0..count {
            let kind = [Kind::Phone, Kind::Phone, Kind::Mac, Kind::Pc, Kind::Pc, Kind::MailClient][self.dice.below(6)];
            let (user, old) = (USERS[self.dice.below(USERS.len())], self.dice.in_hundred(30));
            self.machines.push(Machine::new(number, kind, user, old));
        }
        (0..count).try_for_each(|_| self.somebody_enrols())
    }

    fn something_happens(&mut self) -> Verdict {
        if self.thief.is_some() && self.dice.in_hundred(25) {
            return self.the_thief_acts();
        }
        match self.dice.below(100) {
            0..19 => self.somebody_polls(),
            19..22 => self.somebody_is_renewed(),
            22..42 => self.somebody_acts(),
            42..54 => self.time_passes(),
            54..63 => self.a_wipe_is_asked_for(),
            63..65 => self.something_else_is_asked_for(),
            65..69 => self.a_wipe_is_cancelled(),
            69..74 => self.an_approval_is_decided(),
            74..76 => self.the_stop_is_used(),
            76..77 => self.an_enrolment_is_revoked(),
            77..79 => self.mail_is_let_in_or_not(),
            79..86 => self.somebody_enrols(),
            86..88 => self.somebody_adds_mail(),
            88..90 => self.a_script_claims(),
            90..91 => self.somebody_is_cloned(),
            91..93 => self.somebody_is_switched(),
            93..95 => self.somebody_is_backed_up(),
            95..97 => self.somebody_is_restored(),
            97..98 => self.somebody_leaves(),
            _ => self.somebody_repeats_itself(),
        }
    }

    fn time_passes(&mut self) -> Verdict {
        let mut by = self.dice.pause();
        if self.thief.is_some() {
            by = by.min(Duration::from_secs(3600));
        }
        let woken = self.passes(by)?;
        if let Some(thief) = &self.thief
            && self.stage.now().since(thief.since) > NOTICED
        {
            self.the_theft_is_noticed()?;
        }
        for at in 0..self.machines.len() {
            let machine = &self.machines[at];
            let wakes = machine.held.iter().any(|i| i.channel == Channel::Apple && woken.contains(&i.record));
            let by_itself = machine.kind != Kind::Phone && by >= Duration::from_secs(3600);
            // Pushes get lost, and who is switched off hears of none.
            if machine.on && (wakes && self.dice.in_hundred(75) || by_itself && self.dice.in_hundred(40)) {
                self.polls(at)?;
            }
        }
        Ok(())
    }

    /// Lets time pass, and does what goes on by itself. Says whom it wakes.
    fn passes(&mut self, by: Duration) -> Result<BTreeSet<DeviceId>, String> {
        self.stage.pass(by);
        self.tell(format!("{} s pass", by.as_secs()));
        let mut woken = BTreeSet::new();
        self.stage.sure(admins::look_at_clock)?;
        self.stage.sure(approvals::expire)?;
        loop {
            self.stage.sure(calls::ends_what_was_not_finished)?;
            let (wakes, more) = self.stage.sure(wipe::sweep)?;
            woken.extend(wakes.iter().map(|wake| wake.device));
            if !more {
                break;
            }
        }
        woken.extend(self.stage.sure(|tx| rollout::round(tx, usize::MAX))?);
        if self.fault == Some(Fault::NoRewake) {
            // Who was sent something is not woken again.
            let sent =
                |record: &DeviceId| self.truth.wipes.values().any(|w| w.record == *record && w.state == State::Sent);
            woken.retain(|record| !sent(record));
        }
        self.look(&Cause::Time)?;
        Ok(woken)
    }

    /// Reads what changed and holds it against the truth.
    pub fn look(&mut self, cause: &Cause) -> Verdict {
        let (changed, after) = (self.stage.take_changed(), self.truth.log_read_to());
        let look = self.stage.sure(move |tx| Look::take(tx, &changed, after))?;
        self.truth.take(look, cause, self.stage.now())
    }

    /// The thief is gone, everybody is on and does as it is told, no push is lost: whatever was asked for is done by then.
    fn ends(&mut self) -> Verdict {
        self.tell("the end begins: all are on, and obey".into());
        if self.thief.is_some() {
            self.the_theft_is_noticed()?;
        }
        self.the_stop_is_lifted()?;
        for machine in &mut self.machines {
            (machine.on, machine.todo) = (true, None);
        }
        const HOUR: u64 = 3600;
        for step in [60, 1200, HOUR, HOUR + 1, 2 * HOUR, 25 * HOUR, 1200, 2 * HOUR, 25 * HOUR, HOUR] {
            let woken = self.passes(Duration::from_secs(step))?;
            for at in 0..self.machines.len() {
                for identity in self.machines[at].held.clone() {
                    let concerned = self.truth.wipes.values().any(|w| w.record == identity.record);
                    // A phone may be heard by itself; that what is queued or sent for it comes to it must not rest on that.
                    let presumed = |w: &crate::truth::Wipe| w.record == identity.record && w.state == State::Presumed;
                    let asks = match identity.channel {
                        Channel::Apple => woken.contains(&identity.record) || self.truth.wipes.values().any(presumed),
                        _ => true,
                    };
                    let has = self.machines[at].held.iter().any(|i| i.shown == identity.shown);
                    if concerned && asks && has {
                        self.obeys(at, &identity)?;
                    }
                }
            }
        }
        self.nothing_rests()?;
        self.stage.sure(indexes::agree)?
    }

    /// No wipe is left that somebody who is heard owes.
    fn nothing_rests(&mut self) -> Verdict {
        let wipes: Vec<(CommandId, crate::truth::Wipe)> =
            self.truth.wipes.iter().map(|(id, wipe)| (*id, wipe.clone())).collect();
        for (_, wipe) in wipes {
            let due = matches!(wipe.state, State::Queued | State::Sent | State::NotNow | State::Presumed);
            if !due || wipe.shut_out {
                continue;
            }
            for at in 0..self.machines.len() {
                let machine = &self.machines[at];
                // Of clones one carries it; the others hear of it once it counts as done.
                let carries = |i: &Identity| i.enrolment == wipe.carrier || wipe.state == State::Presumed;
                let owes = |i: &&Identity| wipe.owed.contains(&i.enrolment) && i.channel == wipe.channel && carries(i);
                for identity in machine.held.iter().filter(owes).filter(|_| !machine.script) {
                    let shown = identity.shown;
                    // Of several that are one enrolment a liar may always be the first to ask: the others have what is still tried.
                    let shows = |m: &&Machine| m.held.iter().any(|i| i.enrolment == identity.enrolment);
                    if wipe.state != State::Presumed && self.machines.iter().filter(shows).count() > 1 {
                        continue;
                    }
                    let hears = self.stage.sure(move |tx| calls::hears(tx, &shown))?;
                    must!(
                        !hears,
                        "(a) {} is {:?}, and {} is heard under {} and was never told",
                        wipe.name,
                        wipe.state,
                        machine.name,
                        self.truth.name("enrolment", identity.enrolment)
                    );
                }
            }
        }
        Ok(())
    }

    pub fn tell(&mut self, what: String) {
        let at = self.stage.since_birth().as_secs();
        let (days, hours, minutes, seconds) = (at / 86_400, at / 3600 % 24, at / 60 % 60, at % 60);
        self.script.push(format!("{:4}  {days} d {hours:02}:{minutes:02}:{seconds:02}  {what}", self.events));
    }

    pub fn say(&mut self, at: usize, what: &str) {
        let name = self.machines[at].name.clone();
        self.tell(format!("{name} {what}"));
    }

    pub fn named(&mut self, enrolment: EnrolmentId) -> String {
        self.truth.name("enrolment", enrolment)
    }

    pub fn record_name(&mut self, record: DeviceId) -> String {
        self.truth.name("record", record)
    }

    pub fn wipe_name(&mut self, command: CommandId) -> String {
        match self.truth.wipes.get(&command) {
            Some(wipe) => wipe.name.clone(),
            None => self.truth.name("command", command),
        }
    }
}

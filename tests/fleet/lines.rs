//! Lines by seeds: devices that never answer some commands, answer some late, put them off, break off over one, are off for months, while
//! people ask for more and policies come. No command waits behind a silent one for more than its rounds, what is asked twice is done once,
//! what stays unanswered ends and says so, and who is woken has something to hear.

use crate::{
    calls,
    dice::Dice,
    seeds,
    stage::Stage,
    truth::{Verdict, must},
    world::SECRET,
};
use lanyard::{
    fleet::{
        admins, keeper,
        life::{
            Act, Action, Channel, Claim, Command, Contact, Event, Fate, Managed, Outcome, Ownership, Platform, State,
        },
        policies::{self, Source, rollout},
        queue::{self, Support},
        registry::sights,
        terms::{EvidenceKind, FailureCode},
        wipe::{self, Screen},
    },
    ids::{CommandId, DeviceId, EnrolmentId},
    policy::{Next, OnTheWay, Outcome as Part, Said},
    store::Tx,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What is planted on purpose, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// What was sent and not answered is sent again before all else, for ever.
    SilentBlocks,
    /// Asked again it is done again.
    TwiceIsTwice,
}

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const GIVE_UP: Duration = Duration::from_secs(7 * 86_400);
const EVENTS: usize = 120;
/// Hand-outs of a silent command before another may be.
const ROUNDS: u32 = 2;
/// More commands than any session has.
const SESSION: usize = 40;

/// How a device takes a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Obeys,
    Silent,
    /// So often it is silent first.
    Late(u32),
    /// So often it puts it off.
    PutsOff(u32),
    Refuses,
}

struct Machine {
    name: String,
    record: DeviceId,
    enrolment: EnrolmentId,
    channel: Channel,
    on: bool,
    /// Places at which it never answers.
    silent: BTreeSet<String>,
    /// Of a message with something that it is silent on it answers the rest.
    goes_on: bool,
    /// When it called, at the end.
    called: Option<Duration>,
}

/// What was asked for, or came up by itself.
#[derive(Debug, Clone, Copy)]
struct Line {
    mood: Mood,
    action: Action,
    handed: u32,
    first: Option<Duration>,
}

struct World {
    dice: Dice,
    stage: Stage,
    fault: Option<Fault>,
    machines: Vec<Machine>,
    lines: BTreeMap<CommandId, Line>,
    /// How often the second was handed out while the first waited.
    before: BTreeMap<(CommandId, CommandId), u32>,
    script: Vec<String>,
}

/// What a device hears, and who else waited.
struct Turn {
    waiting: Vec<CommandId>,
    command: Option<Command>,
    /// What is there to be set or taken away, by the command's own places.
    due: BTreeSet<usize>,
}

fn text(name: &str, which: usize) -> String {
    let what = [
        "camera: blocked\n",
        "camera: allowed\nbluetooth: blocked\n",
        "passcode: {required: true, min_length: 8}\n",
        "passcode: {required: true, min_length: 6}\nbluetooth: blocked\n",
        "windows: {csp: [{path: ./User/Vendor/MSFT/Policy/Config/Experience/AllowWindowsSpotlight, data: 0}]}\n",
    ];
    format!("name: {name}\nassign: all\n{}", what[which % what.len()])
}

fn play(seed: u64, fault: Option<Fault>) -> Result<(), String> {
    let mut world = World {
        dice: Dice::new(seed),
        stage: Stage::new(seed),
        fault,
        machines: Vec::new(),
        lines: BTreeMap::new(),
        before: BTreeMap::new(),
        script: Vec::new(),
    };
    world.plays().map_err(|what| {
        let from = world.script.len().saturating_sub(60);
        format!("{}\n{what}", world.script[from..].join("\n"))
    })
}

impl World {
    fn plays(&mut self) -> Verdict {
        self.stage.sure(|tx| admins::ensure_local(tx, SECRET))?;
        self.stage.sure(|tx| admins::begin_first_hour(tx).map(drop))?;
        for number in 0..4 {
            self.enrols(number)?;
        }
        for _ in 0..EVENTS {
            let at = self.dice.below(self.machines.len());
            match self.dice.below(100) {
                0..30 => self.somebody_asks(at)?,
                30..36 => self.a_policy_comes()?,
                36..40 => self.machines[at].on = !self.machines[at].on,
                40..55 => {
                    let pause = [HOUR / 60, HOUR, 5 * HOUR, 25 * HOUR, 60 * DAY][self.dice.below(5)];
                    self.passes(pause).map(drop)?;
                }
                _ if self.machines[at].on => self.session(at).map(drop)?,
                _ => {}
            }
        }
        self.ends()
    }

    fn tell(&mut self, what: String) {
        self.script.push(what);
    }

    fn named(&self, id: CommandId) -> String {
        let number = self.lines.keys().position(|known| *known == id);
        let action = self.lines.get(&id).map(|line| line.action.as_str());
        format!("{} {}", action.unwrap_or("something"), number.map_or("?".into(), |n| n.to_string()))
    }

    fn enrols(&mut self, number: usize) -> Verdict {
        let (channel, platform) = match number % 2 {
            0 => (Channel::Omadm, Platform::Windows),
            _ => (Channel::Apple, Platform::Ios),
        };
        let identity = format!("ID-{number}");
        let (os_version, facts) = match platform {
            Platform::Ios => (Some("18.6".to_owned()), vec![("supervised", "true".to_owned())]),
            _ => (None, Vec::new()),
        };
        let claim = Claim { identity, platform: Some(platform), os_version, facts, ..Claim::default() };
        let enrol = move |tx: &mut Tx<'_>| {
            let invitation = calls::invite(tx, SECRET, channel, "ann@example.org", Ownership::Corporate)?;
            let (shown, enrolment) = calls::spend(tx, invitation, &claim.identity)?;
            calls::bind(tx, &shown, &claim)?;
            let record = calls::complete(tx, &shown)?;
            let mut device = keeper::by_id(tx, record)?;
            keeper::happen(tx, &mut device, Event::FactsTold)?;
            Ok((record, enrolment))
        };
        let (record, enrolment) = self.stage.sure(enrol)?;
        let places = [
            "settings",
            "./User/Vendor/MSFT/Policy/Config/Experience/AllowWindowsSpotlight",
            "./Device/Vendor/MSFT/Policy/Config/Camera/AllowCamera",
            "./Device/Vendor/MSFT/Policy/Config/DeviceLock/MinDevicePasswordLength",
        ];
        let silent = places.into_iter().filter(|_| self.dice.in_hundred(25)).map(str::to_owned).collect();
        let (name, goes_on) = (format!("machine-{number}"), self.dice.in_hundred(50));
        self.tell(format!("{name} ({channel:?}) is silent on {silent:?}, goes on: {goes_on}"));
        self.machines.push(Machine { name, record, enrolment, channel, on: true, silent, goes_on, called: None });
        Ok(())
    }

    fn a_mood(&mut self) -> Mood {
        match self.dice.below(100) {
            0..20 => Mood::Silent,
            20..35 => Mood::Late(1 + u32::try_from(self.dice.below(4)).unwrap()),
            35..45 => Mood::PutsOff(1 + u32::try_from(self.dice.below(3)).unwrap()),
            45..50 => Mood::Refuses,
            _ => Mood::Obeys,
        }
    }

    /// Somebody asks for something, maybe for the second time.
    fn somebody_asks(&mut self, at: usize) -> Verdict {
        let action = [Action::Refresh, Action::Lock, Action::Restart, Action::ClearPasscode][self.dice.below(4)];
        let (record, enrolment, fault) = (self.machines[at].record, self.machines[at].enrolment, self.fault);
        let ask = move |tx: &mut Tx<'_>| {
            let actor = calls::actor(tx, SECRET)?;
            let yes = |_: &_, _: &_, _: Action, _: Option<_>| Support::Yes;
            let mut device = keeper::by_id(tx, record)?;
            let open: Vec<CommandId> = device
                .open()
                .filter(|c| c.action() == action && c.state != State::Held && c.asked_by == actor.id)
                .map(|c| c.id)
                .collect();
            let name = record.to_string();
            let command = match action {
                Action::Lock => wipe::ask_lock(tx, &actor, &name, "lost", Screen::default(), &yes)?,
                Action::ClearPasscode => wipe::ask_clear_passcode(tx, &actor, &name, &yes)?,
                _ if fault == Some(Fault::TwiceIsTwice) => {
                    let act = if action == Action::Restart { Act::Restart } else { Act::Refresh };
                    queue::ask_by_system(tx, &mut device, enrolment, act)?
                }
                Action::Restart => queue::ask(tx, &actor, &mut device, Act::Restart, &yes)?,
                _ => queue::ask(tx, &actor, &mut device, Act::Refresh, &yes)?,
            };
            let all = keeper::by_id(tx, record)?;
            let same = all.open().filter(|c| c.action() == action && c.state != State::Held).count();
            Ok((command, open, same))
        };
        let (command, open, same) = self.stage.sure(ask)?;
        let mood = self.a_mood();
        let line = Line { mood, action, handed: 0, first: None };
        let line = *self.lines.entry(command.id).or_insert(line);
        let name = self.named(command.id);
        self.tell(format!("{} is asked for {name}: {:?}", self.machines[at].name, line.mood));
        must!(open.first().is_none_or(|first| *first == command.id), "{name} is asked for twice, and is two");
        must!(same <= 1, "{} has {same} open of {action:?}", self.machines[at].name);
        Ok(())
    }

    fn a_policy_comes(&mut self) -> Verdict {
        let (name, which) = (["a", "b"][self.dice.below(2)], self.dice.below(5));
        self.tell(format!("policy {name} comes: {}", text(name, which).lines().last().unwrap_or_default()));
        self.stage.sure(move |tx| {
            let (actor, source) = (calls::actor(tx, SECRET)?, Source::try_from(text(name, which)).unwrap());
            let seen = policies::look(tx, &source)?;
            policies::apply(tx, &actor, &source, seen).map(drop)
        })
    }

    /// Lets time pass, and does what goes on by itself. Says whom it wakes.
    fn passes(&mut self, by: Duration) -> Result<BTreeSet<DeviceId>, String> {
        self.stage.pass(by);
        self.tell(format!("{} s pass", by.as_secs()));
        let mut woken = BTreeSet::new();
        self.stage.sure(admins::look_at_clock)?;
        loop {
            let (wakes, more) = self.stage.sure(wipe::sweep)?;
            woken.extend(wakes.iter().map(|wake| wake.device));
            if !more {
                break;
            }
        }
        woken.extend(self.stage.sure(|tx| rollout::next(tx, usize::MAX))?);
        woken.extend(self.stage.sure(|tx| rollout::round(tx, usize::MAX))?);
        Ok(woken)
    }

    fn turn(&self, at: usize, contact: Contact, done: &BTreeSet<CommandId>) -> Result<Turn, String> {
        let (record, enrolment, channel) =
            (self.machines[at].record, self.machines[at].enrolment, self.machines[at].channel);
        let (done, fault) = (done.clone(), self.fault);
        self.stage.sure(move |tx| {
            let mut device = keeper::by_id(tx, record)?;
            if contact == Contact::Fresh {
                sights::note_seen(tx, enrolment)?;
                keeper::contact(tx, &mut device, enrolment)?;
            }
            let now = tx.steady();
            let waits = |c: &&Command| c.state == State::Queued && c.not_before.is_none_or(|at| at <= now);
            let waiting = device.open().filter(waits).map(|c| c.id).collect();
            let blocks = device.open().find(|c| c.state == State::Sent).map(|c| c.id);
            if let Some(id) = blocks.filter(|_| fault == Some(Fault::SilentBlocks)) {
                keeper::happen(tx, &mut device, Event::HandedOut { enrolment, command: id })?;
                let (command, due) = (queue::find(tx, id)?, BTreeSet::new());
                return Ok(Turn { waiting, command: Some(command), due });
            }
            let ask = |tx: &mut Tx<'_>, device: &mut Managed| asks_what_is_due(tx, device, enrolment, channel);
            let command = queue::take_due(tx, &mut device, enrolment, contact, &done, ask)?;
            let (wanted, _) = policies::due(tx, &device, enrolment)?;
            let all = command.iter().flat_map(|c| c.act.parts().iter().enumerate());
            let is_due = |text: &str| text.parse().is_ok_and(|part: OnTheWay| part.is_due(&wanted));
            let due = all.filter(|(_, text)| is_due(text)).map(|(index, _)| index).collect();
            Ok(Turn { waiting, command, due })
        })
    }

    /// A device talks until nothing is due, or it is silent. True where it heard something.
    fn session(&mut self, at: usize) -> Result<bool, String> {
        let (mut contact, mut done) = (Contact::Fresh, BTreeSet::new());
        self.tell(format!("{} calls", self.machines[at].name));
        for turn in 0..SESSION {
            let Turn { waiting, command, due } = self.turn(at, contact, &done)?;
            let name = self.machines[at].name.clone();
            let Some(command) = command else {
                let forgotten = waiting.iter().find(|id| !done.contains(*id));
                must!(forgotten.is_none(), "{name} hears nothing, and {} waits", self.named(*forgotten.unwrap()));
                return Ok(turn > 0);
            };
            let id = command.id;
            let (passed, action) = (self.stage.since_birth(), command.action());
            let mood = if action == Action::Policy { Mood::Obeys } else { self.a_mood() };
            let line = self.lines.entry(id).or_insert(Line { mood, action, handed: 0, first: None });
            line.handed += 1;
            line.first.get_or_insert(passed);
            let line = *line;
            must!(command.attempts == line.handed, "{} counts {} hand-outs", self.named(id), command.attempts);
            let speaks = match action {
                Action::Policy => self.parts(at, &command, &due)?,
                _ => self.answers(at, &command, line)?,
            };
            self.tell(format!("{name} gets {}, and {}", self.named(id), if speaks { "answers" } else { "is silent" }));
            if !speaks {
                for waits in waiting.into_iter().filter(|waits| *waits != id) {
                    let times = self.before.entry((waits, id)).or_default();
                    *times += 1;
                    let times = *times;
                    must!(
                        times <= ROUNDS,
                        "{} waits for the {times}th time behind {}",
                        self.named(waits),
                        self.named(id)
                    );
                }
                return Ok(true);
            }
            if self.machines[at].channel == Channel::Omadm && action != Action::Policy {
                done.insert(id);
            }
            contact = Contact::Continued;
        }
        Err(format!("a session of {} has no end", self.machines[at].name))
    }

    /// True where it says something.
    fn answers(&mut self, at: usize, command: &Command, line: Line) -> Result<bool, String> {
        let outcome = match line.mood {
            Mood::Silent => return Ok(false),
            Mood::Late(times) if line.handed <= times => return Ok(false),
            Mood::PutsOff(times) if line.handed <= times => Outcome::NotNow,
            Mood::Refuses => Outcome::Failed { code: FailureCode::Protocol("500".into()), text: "no".into() },
            _ => Outcome::Done { kind: EvidenceKind::Status, detail: "Status 200".into() },
        };
        let (record, enrolment, id) = (self.machines[at].record, self.machines[at].enrolment, command.id);
        self.stage.sure(move |tx| {
            let mut device = keeper::by_id(tx, record)?;
            queue::settle(tx, &mut device, enrolment, id, outcome).map(drop)
        })?;
        Ok(true)
    }

    /// The parts of a policy that are with the device: on Apple's one by one, on a PC all in one message. True where it says something.
    fn parts(&mut self, at: usize, command: &Command, due: &BTreeSet<usize>) -> Result<bool, String> {
        let machine = &self.machines[at];
        let (record, enrolment, id) = (machine.record, machine.enrolment, command.id);
        let one_by_one = machine.channel == Channel::Apple;
        let mut parts: Vec<OnTheWay> = command.act.parts().iter().filter_map(|text| text.parse().ok()).collect();
        let (step, count) = (command.step as usize, parts.len());
        let mut fates = Vec::new();
        let (mut silent, mut looks) = (false, false);
        for (index, part) in parts.iter_mut().enumerate() {
            let with_it = part.next != Next::Nothing && (!one_by_one || index == step);
            if !with_it {
                continue;
            }
            let is_look = part.next == Next::ReadBack;
            looks |= is_look;
            if due.contains(&index) && machine.silent.contains(&*part.id.place()) && !(one_by_one && is_look) {
                silent = true;
                continue;
            }
            let fate = match part.next {
                Next::Remove => Fate::Gone,
                Next::ReadBack => Fate::Seen,
                _ => Fate::Sent { hash: part.hash.clone(), outcome: Part::Enforced },
            };
            if due.contains(&index) {
                fates.push((part.id.clone(), fate));
            }
            part.next = Next::Nothing;
        }
        if silent && (one_by_one || !machine.goes_on) {
            return Ok(false);
        }
        let over = if one_by_one { step + 1 >= count } else { parts.iter().all(|part| part.next == Next::Nothing) };
        let said = !fates.is_empty() || !silent;
        self.stage.sure(move |tx| {
            let mut device = keeper::by_id(tx, record)?;
            for (part, fate) in fates {
                keeper::happen(tx, &mut device, Event::Part { enrolment, part, fate })?;
            }
            if one_by_one && looks && over {
                // After the list of profiles it says of its passcode that it keeps to the rules.
                let (wanted, _) = policies::to_ask(tx, &device, enrolment)?;
                let rules = wanted.into_values().filter(|part| part.passcode);
                let parts = rules.map(|part| (part.id, Some(Said::Met))).collect();
                keeper::happen(tx, &mut device, Event::PasscodeTold { enrolment, parts })?;
            }
            if !one_by_one {
                let parts = parts.iter().map(ToString::to_string).collect();
                keeper::happen(tx, &mut device, Event::OnTheWay { command: id, parts })?;
            }
            let done = || Outcome::Done { kind: EvidenceKind::Status, detail: "all parts are answered".into() };
            if over || said {
                let outcome = if over { done() } else { Outcome::Step };
                queue::settle(tx, &mut device, enrolment, id, outcome)?;
            }
            Ok(())
        })?;
        Ok(!silent)
    }

    /// All are on. Apple devices call when they are woken, and not else; PCs by their schedule.
    fn ends(&mut self) -> Verdict {
        self.tell("the end begins".into());
        self.machines.iter_mut().for_each(|machine| machine.on = true);
        for _ in 0..2 * 25 {
            let woken = self.passes(12 * HOUR)?;
            for at in 0..self.machines.len() {
                let apple = self.machines[at].channel == Channel::Apple;
                if apple && !woken.contains(&self.machines[at].record) {
                    continue;
                }
                let now = self.stage.since_birth();
                let before = self.machines[at].called.replace(now);
                let open = self.open_on(at)?;
                // What it was woken for may have been given up by its call.
                let heard = self.session(at)? || self.open_on(at)? < open;
                // Once a day an Apple device is woken whatever waits.
                let daily = before.is_none_or(|before| now - before > 20 * HOUR);
                must!(heard || daily || !apple, "{} is woken for nothing", self.machines[at].name);
            }
            self.none_is_given_up_too_soon()?;
            if (0..self.machines.len()).all(|at| self.is_over(at).is_ok()) {
                return Ok(());
            }
        }
        (0..self.machines.len()).try_for_each(|at| self.is_over(at))
    }

    fn open_on(&self, at: usize) -> Result<usize, String> {
        let record = self.machines[at].record;
        self.stage.sure(move |tx| Ok(keeper::by_id(tx, record)?.open().count()))
    }

    fn none_is_given_up_too_soon(&mut self) -> Verdict {
        let ids: Vec<CommandId> = self.lines.keys().copied().collect();
        let all = self.stage.sure(move |tx| Ok(tx.get_many::<Command>(&ids)?))?;
        let now = self.stage.since_birth();
        for command in all.into_iter().flatten() {
            let no_answer = command.error.as_ref().is_some_and(|error| error.code == FailureCode::NoAnswer);
            let Some(line) = self.lines.get(&command.id).filter(|_| no_answer) else { continue };
            let name = self.named(command.id);
            must!(line.action != Action::Lock, "{name} was given up");
            must!(line.first.is_some_and(|first| now - first >= GIVE_UP), "{name} was given up too soon");
            must!(!matches!(line.mood, Mood::Refuses | Mood::PutsOff(_)), "{name} was answered, and given up");
        }
        Ok(())
    }

    /// What is left on the lines, and on the device.
    fn is_over(&self, at: usize) -> Verdict {
        let (record, enrolment, machine) = (self.machines[at].record, self.machines[at].enrolment, &self.machines[at]);
        let (device, commands, wanted) = self.stage.sure(move |tx| {
            let device = keeper::by_id(tx, record)?;
            let open: Vec<Command> = device.open().cloned().collect();
            let (wanted, _) = policies::due(tx, &device, enrolment)?;
            Ok((device.device().clone(), open, wanted))
        })?;
        for command in commands {
            let Some(line) = self.lines.get(&command.id) else { continue };
            let stays = line.mood == Mood::Silent && line.action == Action::Lock;
            let of_policy = line.action == Action::Policy && !machine.silent.is_empty();
            let held = command.state == State::Held;
            must!(stays || of_policy || held, "{} is {:?} at the end", self.named(command.id), command.state);
        }
        let applied = device.enrolment(enrolment).map(|mine| mine.applied.clone()).unwrap_or_default();
        for part in wanted.values() {
            let place = part.id.place();
            let there = applied.get(&part.id).is_some_and(|a| a.hash == part.hash && a.outcome == Part::Enforced);
            let silent = machine.silent.contains(&*place);
            must!(there || silent, "{} lacks {place}, on which it was not silent", machine.name);
        }
        Ok(())
    }
}

/// As the channels do: what a policy asks for, where no part of it is waited for.
fn asks_what_is_due(
    tx: &mut Tx<'_>,
    device: &mut Managed,
    enrolment: EnrolmentId,
    channel: Channel,
) -> lanyard::error::Result<()> {
    if device.waits_for(channel, Action::Policy) {
        return Ok(());
    }
    let (wanted, todo) = policies::to_ask(tx, device, enrolment)?;
    policies::keep_books(tx, device, enrolment, &wanted, &todo)?;
    let hash = |id: &_| wanted.get(id).map(|part| part.hash.clone()).unwrap_or_default();
    let way = |next, ids: Vec<_>| ids.into_iter().map(move |id| OnTheWay { next, hash: String::new(), id });
    let mut parts: Vec<OnTheWay> = way(Next::Install, todo.install).chain(way(Next::Remove, todo.remove)).collect();
    if parts.is_empty() || channel == Channel::Omadm {
        parts.extend(way(Next::ReadBack, todo.look));
    }
    parts.iter_mut().for_each(|part| part.hash = hash(&part.id));
    if parts.is_empty() {
        return Ok(());
    }
    policies::ask_for(tx, device, enrolment, &parts)?;
    let parts = parts.iter().map(ToString::to_string).collect();
    queue::ask_by_system(tx, device, enrolment, Act::Policy { parts }).map(drop)
}

#[test]
fn no_command_waits_behind_a_silent_one_for_more_than_its_rounds() {
    seeds::hold(100, |seed| play(seed, None));
}

#[test]
fn faults_with_lines_are_found_within_a_hundred_seeds() {
    seeds::are_found(&[Fault::SilentBlocks, Fault::TwiceIsTwice], |seed, fault| play(seed, Some(fault)));
}

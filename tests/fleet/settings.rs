//! Settings by seeds: PCs and phones that lose settings, refuse some once or for ever, let some not be read, are offline for months, break
//! off, while policies come, change, disagree and go. At the end every wanted setting that a device can hold is there, nothing else is
//! unless it was refused, and coverage says the truth of each, held against the device's own tree.

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
        life::{Channel, Claim, Event, Fate, Leaving, Ownership, Platform},
        policies::{self, Source},
    },
    ids::{DeviceId, EnrolmentId},
    policy::{Next, OnTheWay, Outcome, Part, PartId, Said, State},
    store::Tx,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What is planted on purpose, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// What a device refuses is taken as done.
    RefusedIsDropped,
    /// A phone's word on its passcode is not heard.
    InstalledIsEnough,
    /// A removal goes out though its place is wanted.
    DeleteHitsWanted,
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const LENGTH: &str = "./Device/Vendor/MSFT/Policy/Config/DeviceLock/MinDevicePasswordLength";
const CAMERA: &str = "./Device/Vendor/MSFT/Policy/Config/Camera/AllowCamera";
const HOUR: Duration = Duration::from_secs(3600);
const EVENTS: usize = 120;

/// How a device answers at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    RefusesOnce,
    Refuses,
    RefusesToLetGo,
    Silent,
}

struct Machine {
    name: String,
    record: DeviceId,
    enrolment: EnrolmentId,
    channel: Channel,
    platform: Platform,
    on: bool,
    /// What is set where, by the hash of the part that set it.
    tree: BTreeMap<String, String>,
    moods: BTreeMap<String, Mood>,
    /// What a phone says of its passcode; none: nothing.
    passcode: Option<Said>,
    /// A command that was handed out and not answered.
    way: Vec<OnTheWay>,
}

struct World {
    dice: Dice,
    stage: Stage,
    fault: Option<Fault>,
    machines: Vec<Machine>,
    script: Vec<String>,
}

fn text(name: &str, which: usize) -> String {
    let what = [
        "camera: blocked\n".to_string(),
        "camera: allowed\n".to_string(),
        "passcode: {required: true, min_length: 8}\n".to_string(),
        "passcode: {required: true, min_length: 6}\nbluetooth: blocked\n".to_string(),
        format!("windows: {{csp: [{{path: {LENGTH}, data: 8}}]}}\n"),
        format!("windows: {{csp: [{{path: {LENGTH}, data: 9}}, {{path: {CAMERA}, data: 0}}]}}\n"),
    ];
    format!("name: {name}\nassign: all\n{}", what[which % what.len()])
}

fn play(seed: u64, fault: Option<Fault>) -> Result<(), String> {
    let (dice, stage) = (Dice::new(seed), Stage::new(seed));
    let mut world = World { dice, stage, fault, machines: Vec::new(), script: Vec::new() };
    world.plays().map_err(|what| {
        let from = world.script.len().saturating_sub(40);
        format!("{}\n{what}", world.script[from..].join("\n"))
    })
}

impl World {
    fn plays(&mut self) -> Verdict {
        self.stage.sure(|tx| admins::ensure_local(tx, SECRET))?;
        self.stage.sure(|tx| admins::begin_first_hour(tx).map(drop))?;
        for number in 0..5 {
            self.enrols(number)?;
        }
        for _ in 0..EVENTS {
            match self.dice.below(100) {
                0..12 => self.a_policy_comes()?,
                12..18 => self.a_policy_goes()?,
                18..40 => {
                    let pause = [HOUR / 60, HOUR, 5 * HOUR, 25 * HOUR, 60 * 24 * HOUR][self.dice.below(5)];
                    self.stage.pass(pause);
                }
                40..48 => self.something_is_lost(),
                48..53 => self.somebody_is_switched(),
                53..57 => self.somebody_asks()?,
                57..59 => self.somebody_changes_hands()?,
                59..63 => self.somebody_changes_a_passcode(),
                _ => {
                    let at = self.dice.below(self.machines.len());
                    self.session(at, true)?;
                }
            }
        }
        self.ends()
    }

    fn enrols(&mut self, number: usize) -> Verdict {
        let (channel, platform) = match number {
            0 | 2 => (Channel::Omadm, Platform::Windows),
            4 => (Channel::Activesync, Platform::Android),
            _ => (Channel::Apple, Platform::Ios),
        };
        let (record, enrolment) = self.is_bound(number, channel, platform, "ann@example.org")?;
        let mut moods = BTreeMap::new();
        let places =
            [LENGTH, CAMERA, "settings", "document", "./Device/Vendor/MSFT/Policy/Config/Connectivity/AllowBluetooth"];
        for place in places {
            if !self.dice.in_hundred(45) {
                continue;
            }
            let mood = [Mood::RefusesOnce, Mood::Refuses, Mood::RefusesToLetGo, Mood::Silent][self.dice.below(4)];
            // A profile list names what is there, and a mail client acknowledges or has nothing.
            if !(channel != Channel::Omadm && mood == Mood::Silent) {
                moods.insert(place.to_owned(), mood);
            }
        }
        let passcode = self.says_of_its_passcode();
        let (name, tree, way) = (format!("machine-{number}"), BTreeMap::new(), Vec::new());
        self.script.push(format!("{name}: {moods:?}"));
        self.machines.push(Machine {
            name,
            record,
            enrolment,
            channel,
            platform,
            on: true,
            tree,
            moods,
            passcode,
            way,
        });
        Ok(())
    }

    /// It is reset, and enrolled anew, by its user or by the next.
    fn somebody_changes_hands(&mut self) -> Verdict {
        let at = self.dice.below(self.machines.len());
        let user = ["ann@example.org", "ben@example.org"][self.dice.below(2)];
        let (channel, platform) = (self.machines[at].channel, self.machines[at].platform);
        let (record, enrolment) = self.is_bound(at, channel, platform, user)?;
        let machine = &mut self.machines[at];
        self.script.push(format!("{} is {user}'s now", machine.name));
        (machine.record, machine.enrolment, machine.on) = (record, enrolment, true);
        (machine.tree, machine.way) = (BTreeMap::new(), Vec::new());
        Ok(())
    }

    fn is_bound(
        &self,
        number: usize,
        channel: Channel,
        platform: Platform,
        user: &'static str,
    ) -> Result<(DeviceId, EnrolmentId), String> {
        let (os_version, facts) = match platform {
            Platform::Ios => (Some("18.6".to_owned()), vec![("supervised", "true".to_owned())]),
            _ => (None, Vec::new()),
        };
        let identity = format!("ID-{number}");
        let claim = Claim { identity, platform: Some(platform), os_version, facts, ..Claim::default() };
        let enrol = move |tx: &mut Tx<'_>| {
            let invitation = calls::invite(tx, SECRET, channel, user, Ownership::Corporate)?;
            let (shown, enrolment) = calls::spend(tx, invitation, &claim.identity)?;
            calls::bind(tx, &shown, &claim)?;
            let record = calls::complete(tx, &shown)?;
            // It is asked for facts anew.
            let mut device = keeper::by_id(tx, record)?;
            keeper::happen(tx, &mut device, Event::Told(Box::new(claim)))?;
            Ok((record, enrolment))
        };
        self.stage.sure(enrol)
    }

    fn a_policy_comes(&mut self) -> Verdict {
        let (name, which) = (NAMES[self.dice.below(NAMES.len())], self.dice.below(6));
        self.script.push(format!("policy {name} comes: {}", text(name, which).lines().last().unwrap()));
        self.stage.sure(move |tx| {
            let (actor, source) = (calls::actor(tx, SECRET)?, Source::try_from(text(name, which)).unwrap());
            let seen = policies::look(tx, &source)?;
            policies::apply(tx, &actor, &source, seen).map(drop)
        })
    }

    fn a_policy_goes(&mut self) -> Verdict {
        let name = NAMES[self.dice.below(NAMES.len())];
        self.script.push(format!("policy {name} goes"));
        let gone = self.stage.call(move |tx| {
            let (actor, seen) = (calls::actor(tx, SECRET)?, policies::look_at_end(tx, name)?);
            policies::delete(tx, &actor, name, seen).map(drop)
        })?;
        drop(gone); // There may be none of that name.
        Ok(())
    }

    fn something_is_lost(&mut self) {
        let at = self.dice.below(self.machines.len());
        let places: Vec<String> = self.machines[at].tree.keys().cloned().collect();
        if let Some(place) = self.dice.pick(&places) {
            self.script.push(format!("{} loses {place}", self.machines[at].name));
            self.machines[at].tree.remove(&place);
        }
    }

    /// Its user changes the passcode, or takes it away.
    fn somebody_changes_a_passcode(&mut self) {
        let (at, said) = (self.dice.below(self.machines.len()), self.says_of_its_passcode());
        self.machines[at].passcode = said;
    }

    fn says_of_its_passcode(&mut self) -> Option<Said> {
        [Some(Said::Met), Some(Said::Met), Some(Said::Unmet), Some(Said::Absent), None][self.dice.below(5)]
    }

    fn somebody_is_switched(&mut self) {
        let at = self.dice.below(self.machines.len());
        self.machines[at].on = !self.machines[at].on;
    }

    fn somebody_asks(&mut self) -> Verdict {
        let record = self.machines[self.dice.below(self.machines.len())].record;
        self.stage.sure(move |tx| {
            let mut device = keeper::by_id(tx, record)?;
            policies::look_again(tx, &mut device)
        })
    }

    fn wanted(&self, at: usize) -> Result<BTreeMap<PartId, Part>, String> {
        let (record, enrolment) = (self.machines[at].record, self.machines[at].enrolment);
        self.stage.sure(move |tx| {
            let device = keeper::by_id(tx, record)?;
            Ok(policies::due(tx, &device, enrolment)?.0)
        })
    }

    /// A device talks until nothing is due. On a bad day messages get lost, before the deed or after it.
    fn session(&mut self, at: usize, bad_day: bool) -> Verdict {
        if !self.machines[at].on {
            return Ok(());
        }
        let (record, enrolment, fault) = (self.machines[at].record, self.machines[at].enrolment, self.fault);
        for _ in 0..8 {
            if self.machines[at].way.is_empty() {
                self.machines[at].way = self.stage.sure(move |tx| {
                    let mut device = keeper::by_id(tx, record)?;
                    let (wanted, mut todo) = policies::due(tx, &device, enrolment)?;
                    if fault == Some(Fault::DeleteHitsWanted) {
                        // As version 0.1.0 did: by who asked for it, and not by what is set.
                        todo.remove.append(&mut todo.forget);
                    }
                    policies::keep_books(tx, &mut device, enrolment, &wanted, &todo)?;
                    let hash = |id: &PartId| wanted.get(id).map(|part| part.hash.clone()).unwrap_or_default();
                    let way = |next, ids: Vec<PartId>| {
                        ids.into_iter().map(move |id| OnTheWay { next, hash: String::new(), id }).collect::<Vec<_>>()
                    };
                    let mut parts = way(Next::Install, todo.install);
                    parts.extend(way(Next::Remove, todo.remove));
                    parts.extend(way(Next::ReadBack, todo.look));
                    parts.iter_mut().for_each(|part| part.hash = hash(&part.id));
                    policies::ask_for(tx, &mut device, enrolment, &parts)?;
                    Ok(parts)
                })?;
            }
            if self.machines[at].way.is_empty() {
                return Ok(());
            }
            if bad_day && self.dice.in_hundred(15) {
                return Ok(()); // It was handed out, and stays on its way.
            }
            let parts = std::mem::take(&mut self.machines[at].way);
            for part in &parts {
                let lost = bad_day && self.dice.in_hundred(10);
                self.part(at, part, lost)?;
                if lost {
                    if self.dice.in_hundred(50) {
                        self.machines[at].way = parts;
                    }
                    return Ok(());
                }
            }
            let looks = parts.iter().any(|part| part.next == Next::ReadBack);
            if looks && self.machines[at].channel == Channel::Apple && !(bad_day && self.dice.in_hundred(10)) {
                self.tells_of_its_passcode(at)?;
            }
        }
        Ok(())
    }

    /// SecurityInfo is answered, after the list of profiles.
    fn tells_of_its_passcode(&mut self, at: usize) -> Verdict {
        let (record, enrolment, wanted) = (self.machines[at].record, self.machines[at].enrolment, self.wanted(at)?);
        let said =
            if self.fault == Some(Fault::InstalledIsEnough) { Some(Said::Met) } else { self.machines[at].passcode };
        self.script.push(format!("{} says of its passcode: {said:?}", self.machines[at].name));
        self.stage.sure(move |tx| {
            let mut device = keeper::by_id(tx, record)?;
            let Some(mine) = device.enrolment(enrolment) else { return Ok(()) };
            let holds = |part: &&Part| {
                let kept = mine.applied.get(&part.id);
                part.passcode && kept.is_some_and(|kept| kept.hash == part.hash && kept.outcome.holds() && !kept.out)
            };
            let parts = wanted.values().filter(holds).map(|part| (part.id.clone(), said)).collect();
            keeper::happen(tx, &mut device, Event::PasscodeTold { enrolment, parts }).map(drop)
        })
    }

    /// One part to its answer.
    fn part(&mut self, at: usize, part: &OnTheWay, lost: bool) -> Verdict {
        let wanted = self.wanted(at)?;
        if self.fault != Some(Fault::DeleteHitsWanted) && !part.is_due(&wanted) {
            return Ok(());
        }
        let (record, enrolment) = (self.machines[at].record, self.machines[at].enrolment);
        let place = part.id.place().into_owned();
        let leaving = match (part.next, wanted.get(&part.id)) {
            (Next::Install, Some(Part { hash, of, .. })) => {
                Some(Leaving::Set { part: part.id.clone(), hash: hash.clone(), of: of.clone() })
            }
            (Next::Install, None) => return Ok(()),
            (Next::Remove, _) => Some(Leaving::Away(part.id.clone())),
            _ => None,
        };
        self.stage.sure(move |tx| {
            let parts = leaving.into_iter().collect();
            let mut device = keeper::by_id(tx, record)?;
            keeper::happen(tx, &mut device, Event::PartsLeave { enrolment, parts }).map(drop)
        })?;
        let hash = wanted.get(&part.id).map(|part| part.hash.clone()).unwrap_or_default();
        let taken = wanted.keys().any(|other| other.place() == place);
        must!(
            part.next != Next::Remove || !taken,
            "{} is told to delete {place}, which is wanted",
            self.machines[at].name
        );
        // What a mail client holds only a new acknowledgement tells.
        let mail = self.machines[at].channel == Channel::Activesync;
        let next = match part.next {
            Next::ReadBack if mail && hash.is_empty() => return Ok(()),
            Next::ReadBack if mail => Next::Install,
            next => next,
        };
        let fate = self.does(at, next, &place, &hash);
        let Some(fate) = fate.filter(|_| !lost) else { return Ok(()) };
        self.script.push(format!("{} {:?} {}: {fate:?}", self.machines[at].name, part.next, part.id));
        let part = part.id.clone();
        self.stage.sure(move |tx| {
            let mut device = keeper::by_id(tx, record)?;
            keeper::happen(tx, &mut device, Event::Part { enrolment, part, fate }).map(drop)
        })
    }

    /// The deed, and what a channel makes of its answer.
    fn does(&mut self, at: usize, next: Next, place: &str, hash: &str) -> Option<Fate> {
        let dropped = self.fault == Some(Fault::RefusedIsDropped);
        let machine = &mut self.machines[at];
        let mood = machine.moods.get(place).copied();
        if mood == Some(Mood::RefusesOnce) && next != Next::ReadBack {
            machine.moods.remove(place);
        }
        let sent = |outcome| Some(Fate::Sent { hash: hash.to_owned(), outcome });
        match (next, mood) {
            (Next::Install, Some(Mood::RefusesOnce | Mood::Refuses)) => {
                sent(if dropped { Outcome::Enforced } else { Outcome::failed("Status 500") })
            }
            (Next::Install, _) => {
                machine.tree.insert(place.to_owned(), hash.to_owned());
                sent(if mood == Some(Mood::Silent) { Outcome::unread("Status 404") } else { Outcome::Enforced })
            }
            (Next::Remove, Some(Mood::RefusesOnce | Mood::RefusesToLetGo)) if machine.tree.contains_key(place) => {
                Some(if dropped { Fate::Gone } else { Fate::Stuck("Status 500".into()) })
            }
            (Next::Remove, _) => {
                machine.tree.remove(place);
                Some(Fate::Gone)
            }
            (Next::ReadBack, Some(Mood::Silent)) => None,
            (Next::ReadBack, _) if hash.is_empty() => (!machine.tree.contains_key(place)).then_some(Fate::Gone),
            (Next::ReadBack, _) if machine.tree.get(place).is_some_and(|set| set == hash) => Some(Fate::Seen),
            (Next::ReadBack, _) => Some(Fate::Lost),
            _ => None,
        }
    }

    /// All are on and nothing gets lost any more.
    fn ends(&mut self) -> Verdict {
        self.script.push("the end begins".into());
        self.machines.iter_mut().for_each(|machine| machine.on = true);
        for _ in 0..4 {
            self.stage.pass(25 * HOUR);
            (0..self.machines.len()).try_for_each(|at| self.session(at, false))?;
        }
        (0..self.machines.len()).try_for_each(|at| self.is_true(at))
    }

    /// What the device has, what it should have, and what coverage says.
    fn is_true(&self, at: usize) -> Verdict {
        let (machine, wanted) = (&self.machines[at], self.wanted(at)?);
        let (name, tree) = (&machine.name, &machine.tree);
        let mood = |place: &str| machine.moods.get(place).copied();
        for part in wanted.values() {
            let (place, there) = (part.id.place(), tree.get(&*part.id.place()) == Some(&part.hash));
            let cannot = matches!(mood(&place), Some(Mood::Refuses | Mood::Silent));
            must!(there || cannot, "{name} lacks {place}, which is wanted");
        }
        let places: BTreeSet<String> = wanted.keys().map(|id| id.place().into_owned()).collect();
        let left: Vec<&String> = tree.keys().filter(|place| !places.contains(*place)).collect();
        for place in &left {
            must!(mood(place) == Some(Mood::RefusesToLetGo), "{name} has {place}, which nobody wants");
        }
        let mut told_left = 0;
        for policy in NAMES {
            let Ok((covered, _)) = self.stage.call(move |tx| policies::coverage_page(tx, policy, None, 1000))? else {
                continue;
            };
            for row in covered.into_iter().filter(|row| row.device == machine.record).flat_map(|row| row.settings) {
                let part = wanted.values().find(|part| part.settings.contains(&row.setting));
                let there = part.is_some_and(|part| tree.get(&*part.id.place()) == Some(&part.hash));
                let place = part.map(|part| part.id.place().into_owned()).unwrap_or_default();
                let tells = row.setting.starts_with("passcode.") && part.is_some_and(|part| part.passcode);
                let said = machine.passcode.filter(|_| tells);
                let what = || format!("{name}: {} of {policy} is {:?} ({:?})", row.setting, row.state, row.why);
                match row.state {
                    State::Enforced if matches!(said, Some(Said::Unmet | Said::Absent)) => {
                        return Err(format!("{}, and it says {said:?}", what()));
                    }
                    State::Enforced => must!(there, "{}, and it is not there", what()),
                    State::Unmet => must!(there && tells && said != Some(Said::Met), "{}, and says {said:?}", what()),
                    // A phone that says nothing of its passcode is never compliant for that.
                    State::Pending if there && tells && said.is_none() => {}
                    State::Failed => must!(mood(&place) == Some(Mood::Refuses), "{}, and is not refused", what()),
                    State::Partly => must!(mood(&place) == Some(Mood::Silent), "{}, and can be read", what()),
                    State::LeftBehind => told_left += 1,
                    State::Pending => must!(part.is_none() && !left.is_empty(), "{}, at the end", what()),
                    _ => {}
                }
            }
        }
        let refused = machine.channel == Channel::Apple && mood("settings") == Some(Mood::Refuses);
        must!(
            refused || (told_left > 0) != left.is_empty(),
            "{name}: left are {left:?}, and coverage tells {told_left}"
        );
        Ok(())
    }
}

#[test]
fn every_setting_that_a_device_can_hold_is_there_and_coverage_says_the_truth() {
    seeds::hold(100, |seed| play(seed, None));
}

#[test]
fn faults_with_settings_are_found_within_a_hundred_seeds() {
    seeds::are_found(&[Fault::RefusedIsDropped, Fault::InstalledIsEnough, Fault::DeleteHitsWanted], |seed, fault| {
        play(seed, Some(fault))
    });
}

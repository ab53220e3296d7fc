//! Halls by seeds: one link for many devices, of which some break off, begin again, are slow, come late, or come twice. As many get in as the
//! link has uses, each as a record of its own in the link's group; nobody who is in, or has come as far as their device, is ended by another's
//! being complete while uses are left; and whoever goes straight through gets in as long as there are some.

use crate::{
    calls,
    dice::Dice,
    seeds,
    stage::Stage,
    truth::{Verdict, must},
    world::SECRET,
};
use lanyard::{
    channel::identity,
    clock::Steady,
    fleet::{
        admins,
        enrol::{
            invitation::{self, Invitation},
            under_way::{self, Why},
        },
        groups,
        life::{Channel, Claim, EnrolmentState, Ownership, Platform},
        registry::{Standing, lookup, sights},
    },
    ids::{DeviceId, Fingerprint, InvitationId},
    store::Tx,
};
use std::{collections::BTreeSet, time::Duration};

/// What is planted on purpose, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The first that is complete ends the others, as with a link for one.
    FirstEndsOthers,
    /// A device that is complete counts no use.
    NothingIsCounted,
}

const DAY: Duration = Duration::from_secs(86_400);
const EVENTS: usize = 150;
const GROUP: &str = "hall";

/// How far a device has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Out,
    /// It has a certificate.
    Issued(Fingerprint),
    /// It has shown that, at this time, and has had it since that one.
    Shown(Fingerprint, Steady, Steady),
    In(Fingerprint, DeviceId),
}

struct Tablet {
    name: String,
    keys: u32,
    way: Way,
    /// When its present key got its certificate.
    since: Steady,
}

struct Hall {
    dice: Dice,
    stage: Stage,
    fault: Option<Fault>,
    link: InvitationId,
    channel: Channel,
    uses: usize,
    tablets: Vec<Tablet>,
    script: Vec<String>,
}

fn play(seed: u64, fault: Option<Fault>) -> Result<(), String> {
    let mut dice = Dice::new(seed);
    let stage = Stage::new(seed);
    let uses = 1 + dice.below(8);
    let channel = if dice.in_hundred(70) { Channel::Apple } else { Channel::Omadm };
    let count = u32::try_from(uses).unwrap();
    let begin = move |tx: &mut Tx<'_>| {
        admins::ensure_local(tx, SECRET)?;
        admins::begin_first_hour(tx)?;
        let local = calls::actor(tx, SECRET)?;
        groups::create(tx, &local, GROUP)?;
        let (group, whose, lasts) = (Some(GROUP.to_string()), Ownership::Corporate, Some(DAY * 365));
        Ok(invitation::create_for_many(tx, &local, channel, count, group, whose, lasts)?.invitation.id)
    };
    let link = stage.sure(begin)?;
    let now = stage.now();
    let tablet = |n| Tablet { name: format!("tablet-{n}"), keys: 0, way: Way::Out, since: now };
    let tablets = (0..uses + dice.below(5)).map(tablet).collect();
    let mut hall = Hall { dice, stage, fault, link, channel, uses, tablets, script: Vec::new() };
    hall.plays().map_err(|what| format!("{}\n{what}", hall.script.join("\n")))
}

impl Hall {
    fn plays(&mut self) -> Verdict {
        for _ in 0..EVENTS {
            let at = self.dice.below(self.tablets.len());
            match self.dice.below(10) {
                0..7 => drop(self.goes_on(at)?),
                7 => self.breaks_off(at),
                _ => self.time_passes()?,
            }
            self.holds()?;
        }
        self.ends()
    }

    fn tell(&mut self, at: usize, what: &str) {
        self.script.push(format!("{} {what}", self.tablets[at].name));
    }

    fn left(&self) -> usize {
        self.uses.saturating_sub(self.inside().count())
    }

    fn inside(&self) -> impl Iterator<Item = (Fingerprint, DeviceId)> + '_ {
        self.tablets.iter().filter_map(|tablet| match tablet.way {
            Way::In(shown, device) => Some((shown, device)),
            _ => None,
        })
    }

    /// One message further. False where it was refused.
    fn goes_on(&mut self, at: usize) -> Result<bool, String> {
        let (link, now) = (self.link, self.stage.now());
        match self.tablets[at].way {
            Way::Out => {
                let key = format!("{}-{}", self.tablets[at].name, self.tablets[at].keys);
                let issued = self.stage.call(move |tx| calls::spend(tx, link, &key))?;
                self.tell(at, if issued.is_ok() { "gets a certificate" } else { "gets none" });
                let Ok((shown, _)) = issued else { return Ok(false) };
                (self.tablets[at].way, self.tablets[at].since) = (Way::Issued(shown), now);
            }
            Way::Issued(shown) => {
                let (name, apple) = (self.tablets[at].name.clone(), self.channel == Channel::Apple);
                let claim = Claim {
                    identity: format!("ID-{name}"),
                    platform: Some(if apple { Platform::Ipados } else { Platform::Windows }),
                    serial: Some(format!("S-{name}")),
                    hardware_id: (!apple).then(|| format!("HW-{name}")),
                    ..Claim::default()
                };
                let bound = self.stage.call(move |tx| calls::bind(tx, &shown, &claim))?;
                self.tell(at, if bound.is_ok() { "shows it" } else { "shows it in vain" });
                self.tablets[at].way = match bound {
                    Ok(_) => Way::Shown(shown, now, self.tablets[at].since),
                    Err(_) => Way::Out,
                };
                if bound_failed(&self.tablets[at]) {
                    self.tablets[at].keys += 1;
                    return Ok(false);
                }
            }
            Way::Shown(shown, heard, since) => return self.completes(at, shown, heard, since),
            Way::In(shown, _) => {
                self.tell(at, "is heard, and says that it is complete");
                self.stage.sure(move |tx| calls::complete(tx, &shown).map(drop))?;
            }
        }
        Ok(true)
    }

    fn completes(&mut self, at: usize, shown: Fingerprint, heard: Steady, since: Steady) -> Result<bool, String> {
        let (now, left, link) = (self.stage.now(), self.left(), self.link);
        let complete = self.stage.call(move |tx| calls::complete(tx, &shown))?;
        self.tell(at, if complete.is_ok() { "is complete" } else { "may not be complete" });
        // A PC's key gives way at once to a newer one.
        let stays = self.channel == Channel::Apple && now.since(heard) < DAY && now.since(since) < DAY * 7;
        match complete {
            Ok(device) => {
                must!(left > 0, "one more is complete than the link has uses");
                self.tablets[at].way = Way::In(shown, device);
                match self.fault {
                    Some(Fault::FirstEndsOthers) => self.stage.sure(move |tx| {
                        let invitation = tx.get::<Invitation>(link)?.unwrap();
                        under_way::end_all(tx, invitation, Why::Spent)
                    })?,
                    Some(Fault::NothingIsCounted) => self.stage.sure(move |tx| {
                        let mut json = serde_json::to_value(tx.get::<Invitation>(link)?.unwrap()).unwrap();
                        json["used"] = 0.into();
                        json["spent"] = serde_json::Value::Null;
                        Ok(tx.put(&serde_json::from_value::<Invitation>(json).unwrap())?)
                    })?,
                    None => {}
                }
                Ok(true)
            }
            Err(refused) => {
                must!(!(stays && left > 0), "{} was ended with {left} uses left: {refused}", self.tablets[at].name);
                (self.tablets[at].way, self.tablets[at].keys) = (Way::Out, self.tablets[at].keys + 1);
                Ok(false)
            }
        }
    }

    /// It is begun anew, with another key; the former one is left as it is.
    fn breaks_off(&mut self, at: usize) {
        if matches!(self.tablets[at].way, Way::Issued(_) | Way::Shown(..)) {
            self.tell(at, "breaks off");
            (self.tablets[at].way, self.tablets[at].keys) = (Way::Out, self.tablets[at].keys + 1);
        }
    }

    fn time_passes(&mut self) -> Verdict {
        let by = self.dice.pause().min(DAY * 3);
        self.stage.pass(by);
        self.script.push(format!("{} s pass", by.as_secs()));
        self.stage.sure(admins::look_at_clock)?;
        self.stage.sure(calls::ends_what_was_not_finished)
    }

    /// What must be so at any time.
    fn holds(&mut self) -> Verdict {
        let (link, inside, uses) = (self.link, self.inside().collect::<Vec<_>>(), self.uses);
        let count = inside.len();
        must!(count <= uses, "{count} are in by a link for {uses}");
        let records: BTreeSet<DeviceId> = inside.iter().map(|(_, device)| *device).collect();
        must!(records.len() == count, "two are one record");
        let look = move |tx: &mut Tx<'_>| {
            for (shown, device) in &inside {
                let (standing, credential, _) = identity::judge(tx, shown)?;
                let device = lookup::by_id(tx, *device)?;
                let mine = credential.and_then(|c| device.enrolment(c.enrolment).cloned());
                let whole = mine.is_some_and(|mine| mine.state == EnrolmentState::Enrolled);
                if standing != Standing::Good || !whole || !device.user.is_empty() || !device.groups.contains(GROUP) {
                    return Ok(Some(format!("{standing:?} {}", device.state())));
                }
                sights::note_seen(tx, device.enrolments[0].id)?;
            }
            Ok(None)
        };
        let wrong = self.stage.sure(look)?;
        must!(wrong.is_none(), "one that is in: {wrong:?}");
        let told =
            self.stage.sure(move |tx| Ok((tx.get::<Invitation>(link)?.unwrap().used(), groups::size(tx, GROUP)?)))?;
        must!((told.0 as usize, told.1 as usize) == (count, count), "{told:?} are counted, and {count} are in");
        Ok(())
    }

    /// Whoever goes straight through gets in, as long as uses are left, and nobody afterwards.
    fn ends(&mut self) -> Verdict {
        self.script.push("the end begins: a week later all go straight through".into());
        for at in 0..self.tablets.len() {
            self.breaks_off(at);
        }
        self.stage.pass(DAY * 8);
        self.stage.sure(admins::look_at_clock)?;
        self.stage.pass(Duration::from_secs(7200));
        self.stage.sure(admins::look_at_clock)?;
        self.stage.sure(calls::ends_what_was_not_finished)?;
        for at in 0..self.tablets.len() {
            if matches!(self.tablets[at].way, Way::In(..)) {
                continue;
            }
            let left = self.left();
            let came = self.goes_on(at)? && self.goes_on(at)? && self.goes_on(at)?;
            must!(came == (left > 0), "{} came in: {came}, with {left} uses left", self.tablets[at].name);
            self.holds()?;
        }
        must!(self.left() == 0, "{} uses are left", self.left());
        Ok(())
    }
}

fn bound_failed(tablet: &Tablet) -> bool {
    tablet.way == Way::Out
}

#[test]
fn as_many_get_in_by_one_link_as_it_has_uses_and_none_ends_another() {
    seeds::hold(200, |seed| play(seed, None));
}

#[test]
fn faults_with_halls_are_found_within_a_hundred_seeds() {
    seeds::are_found(&[Fault::FirstEndsOthers, Fault::NothingIsCounted], |seed, fault| play(seed, Some(fault)));
}

//! What a device was given and does not answer: nobody waits for it for ever.
//!
//! A device may be silent on one question for as long as it lives: a phone that never answers a query, a PC that breaks every session off
//! over a restart. So what is no wipe lets others pass after its second hand-out and comes behind them, after pauses that grow; what the
//! device was heard for long enough without answering ends as failed. A wipe is neither overtaken nor given up, a lock is not given up.

use super::{
    Command, Effect, Fate, Managed,
    act::{Act, Action},
    command::{CommandFields, State},
    device::Channel,
    ended::End,
};
use crate::{
    clock::Steady,
    fleet::{audit::By, terms::FailureCode},
    ids::{CommandId, EnrolmentId},
    policy::{Next, OnTheWay, Outcome, PartId, pause_after},
    store::Time,
};
use std::{collections::BTreeSet, time::Duration};

/// Hand-outs before others pass: one answer may be lost with its connection.
const ROUNDS: u32 = 2;
/// A lock is urgent for as long as it is open.
const LOCK_PAUSE: Duration = Duration::from_secs(3600);
/// Between two hand-outs the device counts as heard for so long at most: what was switched off for a month was not silent for a month.
const HEARD: Duration = Duration::from_secs(86_400);

const GIVEN_UP: &str = "the device was heard again and again and never answered this";

impl CommandFields {
    /// Whether others go before it: it was handed out twice without an answer.
    pub(crate) fn lets_pass(&self) -> bool {
        self.state == State::Sent && self.silent >= ROUNDS
    }

    /// Whether it is of this kind, and others of it wait for it: not for what is never answered, nor for what was put off.
    pub(crate) fn is_waited_for(&self, action: Action) -> bool {
        self.action() == action && !self.lets_pass() && self.state != State::NotNow
    }

    /// Whether there is an end to its being asked again.
    pub(crate) fn may_be_given_up(&self) -> bool {
        self.lets_pass() && !matches!(self.action(), Action::Wipe | Action::Lock)
    }

    /// It is handed out, and so was not answered since the last time.
    pub(super) fn given_again(&mut self, now: Steady) {
        self.heard_for = millis(self.heard_until(now));
        self.given = Some(now);
        self.silent = self.silent.saturating_add(1);
        if self.silent < ROUNDS {
            return;
        }
        let pause = pause_after(self.silent - ROUNDS + 1);
        let pause = if self.action() == Action::Lock { pause.min(LOCK_PAUSE) } else { pause };
        let due = now.plus(pause);
        self.not_before = Some(due);
        self.wake_at = self.wake_at.map(|at| at.max(due));
        self.narrow();
    }

    /// The device said something of it: the count begins anew.
    pub(super) fn was_answered(&mut self) {
        (self.silent, self.given, self.heard_for) = (0, None, 0);
        if self.action() != Action::Wipe {
            self.not_before = None;
        }
    }

    /// For how long the device was heard without answering.
    fn heard_until(&self, now: Steady) -> Duration {
        let since = self.given.map_or(Duration::ZERO, |given| now.since(given)).min(HEARD);
        Duration::from_millis(self.heard_for).saturating_add(since)
    }

    /// What is put off again and again keeps only itself waiting: the other parts of its policy are due with another command.
    pub(super) fn puts_off_no_other(&mut self) {
        let is_look = |part: &OnTheWay| part.next.is_look();
        if !self.parts_open().iter().all(is_look) {
            self.narrow();
        }
    }

    /// Whether it is a look of Apple's: nothing is set by it.
    fn only_reads_back(&self) -> bool {
        let mut parts = self.act.parts().iter().filter_map(|part| part.parse::<OnTheWay>().ok()).peekable();
        self.channel == Channel::Apple && parts.peek().is_some() && parts.all(|part| part.next.is_look())
    }

    /// One part of a policy shall not hold the others back: on a channel that asks for them one by one it is known which one is silent, of
    /// several in one message the half goes on without the rest. What is left out is due again, with another command.
    fn narrow(&mut self) {
        let (step, one_by_one) = (self.step as usize, self.channel == Channel::Apple);
        let Act::Policy { parts } = &mut self.act else { return };
        if one_by_one {
            parts.truncate(step.saturating_add(1));
            return;
        }
        let mut all: Vec<OnTheWay> = parts.iter().filter_map(|part| part.parse().ok()).collect();
        let open = all.iter().filter(|part| part.next != Next::Nothing).count();
        let left_out = all.iter_mut().filter(|part| part.next != Next::Nothing).skip(open.div_ceil(2));
        // They keep their places: an answer names its operation by it.
        left_out.for_each(|part| part.next = Next::Nothing);
        *parts = all.iter().map(OnTheWay::to_string).collect();
    }

    /// The parts of a policy that are with the device.
    fn parts_open(&self) -> Vec<OnTheWay> {
        // One list of profiles and one word on the passcode are about all that a look of Apple's is about.
        let done = if self.channel == Channel::Apple && !self.only_reads_back() { self.step as usize } else { 0 };
        let parts = self.act.parts().iter().skip(done).filter_map(|part| part.parse().ok());
        parts.filter(|part: &OnTheWay| part.next != Next::Nothing).collect()
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl Managed {
    /// Ends what this enrolment was heard for so long without answering.
    pub(super) fn unanswered(&mut self, from: EnrolmentId, give_up: Duration, time: Time, effects: &mut Vec<Effect>) {
        let over =
            |c: &&super::Command| c.enrolment == from && c.may_be_given_up() && c.heard_until(time.steady) >= give_up;
        let over: Vec<CommandId> = self.open().filter(over).map(|command| command.id).collect();
        for id in over {
            let Some(command) = self.lift(id) else { continue };
            let of_passcodes = command.only_reads_back() && command.step > 0;
            for part in command.parts_open() {
                let id = part.id.clone();
                match of_passcodes {
                    true => self.part(from, id, Fate::PasscodeUnread(GIVEN_UP.into()), time),
                    false => self.part_refused(from, part, time),
                }
            }
            let error = Some((FailureCode::NoAnswer, GIVEN_UP));
            self.end(command, End { error, by: By::System, ..End::of(State::Failed) }, time, effects);
        }
    }

    /// Silence for so long is a refusal. Of what it took before, it only does not tell whether it still has it.
    fn part_refused(&mut self, enrolment: EnrolmentId, part: OnTheWay, time: Time) {
        let kept = self.enrolment(enrolment).and_then(|mine| mine.applied.get(&part.id));
        let (just_set, tells) = kept.map_or((false, false), |kept| (kept.out, kept.tells() && kept.hash == part.hash));
        let fate = match part.next {
            Next::Remove => Fate::Stuck(GIVEN_UP.into()),
            next if next.is_look() && just_set => Fate::Sent { hash: part.hash, outcome: Outcome::unread(GIVEN_UP) },
            next if next.is_look() && tells => Fate::Unread(GIVEN_UP.into()),
            next if next.is_look() => return,
            _ => Fate::Sent { hash: part.hash, outcome: Outcome::failed(GIVEN_UP) },
        };
        let id = part.id.clone();
        self.part(enrolment, part.id, fate, time);
        if part.next.is_look() {
            return;
        }
        // It may be there all the same: nobody said that it is not.
        self.with(enrolment, |mine| mine.applied.get_mut(&id).into_iter().for_each(|kept| kept.out = true));
    }

    /// Whether something of this kind is open that others wait for.
    pub fn waits_for(&self, channel: Channel, action: Action) -> bool {
        self.open_on(channel).into_iter().any(|command| command.is_waited_for(action))
    }
}

/// The parts of the policy that are with this enrolment by these open commands, answered or not: they are not asked for beside that. And
/// those that are only read back: they are not read back beside that, and set all the same.
pub fn parts_on_the_way<'c>(
    open: impl Iterator<Item = &'c Command>,
    enrolment: EnrolmentId,
) -> (BTreeSet<PartId>, BTreeSet<PartId>) {
    let (looks, sets): (Vec<_>, Vec<_>) =
        open.filter(|command| command.enrolment == enrolment).partition(|command| command.only_reads_back());
    let parts =
        |of: Vec<&Command>| of.into_iter().flat_map(|command| command.parts_open()).map(|part| part.id).collect();
    (parts(sets), parts(looks))
}

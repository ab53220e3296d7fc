//! The device's side: what it was handed, and what it says of it.

use super::{
    Command, Effect, Managed, Outcome,
    act::{Act, Action},
    asked::pause,
    command::{Evidence, Failure, Later, SYSTEM, State},
    device::Channel,
    ended::End,
};
use crate::{
    fleet::{
        audit::{self, By},
        terms::EvidenceKind,
    },
    ids::{CommandId, EnrolmentId},
    store::Time,
};
use std::time::Duration;

/// What was put off is asked for again after so long.
const PUT_OFF: Duration = Duration::from_secs(600);
/// That somebody was heard is written so often at most.
const HEARD_EVERY: Duration = Duration::from_secs(3600);
/// Entries of evidence of one kind that are kept of an enrolment.
const ALIKE: usize = 10;

impl Managed {
    pub(super) fn handed_out(&mut self, enrolment: EnrolmentId, id: CommandId, time: Time, effects: &mut Vec<Effect>) {
        let Some(command) = self.command(id).filter(|c| !c.state.is_final()) else { return };
        let later = command.later(enrolment).is_some();
        let first = command.later(enrolment).map_or(command.state != State::Sent, |later| later.told == 0);
        // What is put off each time is told of ever more seldom.
        let told_of = command.state != State::NotNow || command.attempts.saturating_add(1).is_power_of_two();
        if first && told_of && command.asked_by != SYSTEM {
            let (device, action) = (self.id, command.action());
            let event = audit::Event::CommandSent { command: id, device, action, enrolment };
            effects.push(Effect::Note(By::Device, event));
        }
        let (wakes, wipe) = (command.channel == Channel::Apple, command.action() == Action::Wipe);
        self.change(id, |command| {
            command.attempts = command.attempts.saturating_add(1);
            if later {
                let mine = command.later.iter_mut().filter(|later| later.enrolment == enrolment);
                mine.for_each(|later| later.told = later.told.saturating_add(1));
                return;
            }
            command.state = State::Sent;
            command.sent.get_or_insert(time.now);
            // A connection may die before it is there, or before the answer is here.
            if first {
                command.wakes = 1;
                command.wake_at = wakes.then(|| time.steady.plus(pause(0)));
            }
            if !wipe {
                command.given_again(time.steady);
            }
        });
        self.owed_was_heard(id, enrolment, time);
    }

    /// A repeat changes nothing; evidence beats every end; an answer about something that was never sent ends nothing. A wipe is ended by
    /// those alone whom it is owed to.
    pub(super) fn answered(
        &mut self,
        enrolment: EnrolmentId,
        id: CommandId,
        outcome: Outcome,
        time: Time,
        effects: &mut Vec<Effect>,
    ) {
        let Some(command) = self.command(id) else { return };
        let (open, wipe) = (!command.state.is_final(), command.action() == Action::Wipe);
        let owed = !wipe || self.enrolment(enrolment).is_none_or(|mine| command.is_owed_to(mine));
        if let Some(later) = command.later(enrolment).filter(|later| later.told > 0) {
            self.answered_later(later.clone(), id, &outcome, time);
            return;
        }
        if command.sent.is_none() || !owed {
            effects.push(Effect::Unasked(enrolment, id));
            return;
        }
        let channel = self.enrolment(enrolment).map_or(command.channel, |e| e.channel);
        self.owed_was_heard(id, enrolment, time);
        match outcome {
            Outcome::Done { kind, detail } => {
                self.prove(id, Evidence { time: time.now, enrolment, channel, kind, detail });
                let end = if wipe { State::Confirmed } else { State::Acknowledged };
                self.ends(id, end, By::Device, time, effects);
            }
            Outcome::Presumed { kind, detail } => {
                self.prove(id, Evidence { time: time.now, enrolment, channel, kind, detail });
                let proved = self.command(id).is_some_and(|c| c.state == State::Confirmed);
                let end = if proved { State::Confirmed } else { State::Presumed };
                self.ends(id, end, By::Device, time, effects);
            }
            Outcome::Failed { .. } | Outcome::NotNow | Outcome::Step if !open => {}
            Outcome::Failed { code, text } => {
                self.change(id, |command| command.error = Some(Failure { code, text }));
                self.ends(id, State::Failed, By::Device, time, effects);
            }
            Outcome::NotNow => self.change(id, |command| {
                command.was_answered();
                (command.put_off, command.state) = (Some(time.now), State::NotNow);
                command.wake_at = Some(time.steady.plus(PUT_OFF));
                command.puts_off_no_other();
            }),
            Outcome::Step => self.change(id, |command| {
                command.was_answered();
                command.step = command.step.saturating_add(1);
            }),
        }
    }

    /// What enrolled while a wipe was open got it, and says this: that is kept, and ends nothing. From then on it is served.
    fn answered_later(&mut self, later: Later, id: CommandId, outcome: &Outcome, time: Time) {
        let (enrolment, kind) = (later.enrolment, EvidenceKind::LaterEnrolment);
        let Some(channel) = self.enrolment(enrolment).map(|mine| mine.channel) else { return };
        let said = match outcome {
            Outcome::Done { detail, .. } | Outcome::Presumed { detail, .. } => detail.as_str(),
            Outcome::Failed { text, .. } => text.as_str(),
            // It is told again, as often as it is told at all.
            Outcome::NotNow | Outcome::Step => return,
        };
        let detail = format!("enrolled after the wipe was asked for, got it once, and answered: {said}");
        self.prove(id, Evidence { time: time.now, enrolment, channel, kind, detail });
        self.change(id, |command| {
            let mine = command.later.iter_mut().filter(|later| later.enrolment == enrolment);
            mine.for_each(|later| later.answered = true);
        });
    }

    /// Notes that one of those that a wipe is owed to was heard, where the wipe would be presumed by their silence, now or one day.
    pub(super) fn owed_was_heard(&mut self, id: CommandId, enrolment: EnrolmentId, time: Time) {
        let old = |c: &Command| c.minds_silence() && c.heard.is_some_and(|at| time.steady.since(at) >= HEARD_EVERY);
        let owed = |c: &Command| self.enrolment(enrolment).is_some_and(|mine| c.is_owed_to(mine));
        if self.command(id).is_some_and(|c| old(c) && owed(c)) {
            self.change(id, |command| command.heard = Some(time.steady));
        }
    }

    /// Files evidence, once; of one kind and enrolment so much: what a device says in it, it may say in other words each time.
    pub(super) fn prove(&mut self, id: CommandId, entry: Evidence) {
        let alike = |e: &&Evidence| (&e.kind, e.enrolment) == (&entry.kind, entry.enrolment);
        let known = |command: &Command| {
            let mut alike = command.evidence.iter().filter(alike);
            alike.clone().any(|e| e.detail == entry.detail) || alike.nth(ALIKE - 1).is_some()
        };
        if !self.command(id).is_some_and(known) {
            self.change(id, |command| command.evidence.push(entry));
        }
    }

    /// Further proof of what has ended so changes nothing about the device, which may have been let in again since.
    pub(super) fn ends(&mut self, id: CommandId, end: State, by: By, time: Time, effects: &mut Vec<Effect>) {
        if self.command(id).is_some_and(|command| command.state != end)
            && let Some(command) = self.lift(id)
        {
            self.end(command, End { by, ..End::of(end) }, time, effects);
        }
    }

    pub(super) fn on_the_way(&mut self, id: CommandId, parts: Vec<String>) {
        let differs = |c: &Command| matches!(&c.act, Act::Policy { parts: before } if *before != parts);
        if self.command(id).is_some_and(differs) {
            self.change(id, |command| command.act = Act::Policy { parts });
        }
    }

    /// The open commands of one channel, wipes first, then by age.
    pub fn open_on(&self, channel: Channel) -> Vec<&Command> {
        let mut found: Vec<&Command> = self.open().filter(|command| command.channel == channel).collect();
        found.sort_by_key(|command| (command.action() != Action::Wipe, command.id));
        found
    }

    /// The open command of this kind on a channel, where there is one.
    pub fn find_open(&self, channel: Channel, action: Action) -> Option<&Command> {
        self.open_on(channel).into_iter().find(|command| command.action() == action)
    }
}

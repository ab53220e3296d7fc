//! The device's side: what it was handed, and what it says of it.

use super::{
    Command, Effect, Managed, Outcome,
    act::{Act, Action},
    command::{Evidence, Failure, SYSTEM, State},
    device::Channel,
    ended::End,
};
use crate::{
    fleet::audit::{self, By},
    ids::{CommandId, EnrolmentId},
    store::Time,
};
use std::time::Duration;

/// What was put off is asked for again after so long.
const PUT_OFF: Duration = Duration::from_secs(600);

impl Managed {
    pub(super) fn handed_out(&mut self, enrolment: EnrolmentId, id: CommandId, time: Time, effects: &mut Vec<Effect>) {
        let Some(command) = self.command(id).filter(|c| c.state != State::Sent && !c.state.is_final()) else { return };
        if command.asked_by != SYSTEM {
            let (device, action) = (self.id, command.action());
            let event = audit::Event::CommandSent { command: id, device, action, enrolment };
            effects.push(Effect::Note(By::Device, event));
        }
        self.change(id, |command| {
            command.state = State::Sent;
            command.sent.get_or_insert(time.now);
        });
    }

    /// A repeat changes nothing; evidence beats every end; an answer about something that was never sent ends nothing.
    pub(super) fn answered(
        &mut self,
        enrolment: EnrolmentId,
        id: CommandId,
        outcome: Outcome,
        time: Time,
        effects: &mut Vec<Effect>,
    ) {
        let Some(command) = self.command(id) else { return };
        if command.sent.is_none() {
            effects.push(Effect::Unasked(enrolment, id));
            return;
        }
        let channel = self.enrolment(enrolment).map_or(command.channel, |e| e.channel);
        let (open, wipe) = (!command.state.is_final(), command.action() == Action::Wipe);
        match outcome {
            Outcome::Done { kind, detail } => {
                self.prove(id, Evidence { time: time.now, enrolment, channel, kind, detail });
                let end = if wipe { State::Confirmed } else { State::Acknowledged };
                self.ends(id, end, time, effects);
            }
            Outcome::Presumed { kind, detail } => {
                self.prove(id, Evidence { time: time.now, enrolment, channel, kind, detail });
                let proved = self.command(id).is_some_and(|c| c.state == State::Confirmed);
                let end = if proved { State::Confirmed } else { State::Presumed };
                self.ends(id, end, time, effects);
            }
            Outcome::Failed { .. } | Outcome::NotNow | Outcome::Step if !open => {}
            Outcome::Failed { code, text } => {
                self.change(id, |command| command.error = Some(Failure { code, text }));
                self.ends(id, State::Failed, time, effects);
            }
            Outcome::NotNow => self.change(id, |command| {
                (command.put_off, command.state) = (Some(time.now), State::NotNow);
                command.wake_at = Some(time.steady.plus(PUT_OFF));
            }),
            Outcome::Step => self.change(id, |command| command.step = command.step.saturating_add(1)),
        }
    }

    /// Files evidence, once.
    fn prove(&mut self, id: CommandId, entry: Evidence) {
        let same = |e: &Evidence| (&e.kind, &e.detail, e.enrolment) == (&entry.kind, &entry.detail, entry.enrolment);
        if !self.command(id).is_some_and(|command| command.evidence.iter().any(same)) {
            self.change(id, |command| command.evidence.push(entry));
        }
    }

    /// Further proof of what has ended so changes nothing about the device, which may have been let in again since.
    fn ends(&mut self, id: CommandId, end: State, time: Time, effects: &mut Vec<Effect>) {
        let Some(command) = self.command(id).filter(|command| command.state != end) else { return };
        if command.action() == Action::Wipe {
            let event = audit::Event::WipeEnded { command: id, device: self.id, end };
            effects.extend([Effect::Note(By::Device, event), Effect::WipeEnded(id, end)]);
        }
        if let Some(command) = self.lift(id) {
            self.end(command, End::of(end), time, effects);
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

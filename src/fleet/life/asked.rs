//! What is asked of a device, until it leaves for it: held, in its undo window, queued; or withdrawn before.

use super::{
    Asker, Command, Effect, Enrolment, EnrolmentState, Managed, Order, Terms, Withdrawal,
    act::{Act, Action, Scope},
    command::{CommandFields, Evidence, Hold, SILENCE, SYSTEM, State},
    ended::End,
    kept::Kept,
};
use crate::{
    clock::Steady,
    fleet::{
        audit::{self, Cancelled, Pass},
        terms::EvidenceKind,
    },
    ids::{ApprovalId, CommandId, EnrolmentId},
    store::Time,
};
use std::time::Duration;

/// A wake is repeated so long after the one before until the command is answered; pushes get lost, and connections die.
const WAKES: [Duration; 4] =
    [Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(600), Duration::from_secs(3600)];

impl Managed {
    pub(super) fn asked(&mut self, order: Order, time: Time, effects: &mut Vec<Effect>) {
        let held = order.held;
        let mut command = Kept::new(new(order, self.id, time));
        let fields = command.write();
        if fields.action() == Action::Wipe {
            fields.owed_to = self.owes(fields.scope());
        }
        match held {
            Some(approval) => {
                (fields.state, fields.hold, fields.approval) = (State::Held, Some(Hold::Breaker), Some(approval));
            }
            None if fields.asked_by == SYSTEM => {}
            None => self.pass(fields, time, effects),
        }
        self.write().open.push(command.id);
        self.changed.new.insert(command.id);
        if command.asked_by != SYSTEM {
            let pass = if command.state == State::Held { Pass::Held } else { Pass::Free };
            self.note_asked(&command, pass, effects);
        }
        self.put(command);
    }

    /// All that lives owes a wipe; but what is begun as its user's own, and makes the device that only when it is complete, is never erased.
    fn owes(&self, scope: Option<Scope>) -> Vec<EnrolmentId> {
        let own = |e: &Enrolment| e.state == EnrolmentState::Pending && e.personal == Some(true);
        let owes = self.live().filter(|mine| scope != Some(Scope::Full) || !own(mine));
        owes.map(|mine| mine.id).collect()
    }

    /// A held wipe goes its way when somebody asks for it whom nothing hinders: who asked first, once the hour has room, or another.
    pub(super) fn asked_again(&mut self, id: CommandId, over: Option<Terms>, time: Time, effects: &mut Vec<Effect>) {
        let Some(mut command) = self.lift(id) else { return };
        let fields = command.write();
        fields.approval = None;
        if let Some(terms) = over {
            (fields.asked_by, fields.requested_by) = (terms.id, terms.name);
            (fields.reason, fields.delay, fields.expires) = (terms.reason, terms.delay, terms.expires);
            if let Act::Wipe { pin, how, .. } = &mut fields.act {
                (*pin, *how) = (terms.pin, terms.how);
            }
            self.about_now(fields, effects);
            self.note_asked(fields, Pass::Free, effects);
        }
        self.pass(fields, time, effects);
        self.put(command);
    }

    /// It is another request, about the device as it is now: carried by what carries now, and owed to nothing that was replaced.
    fn about_now(&mut self, wipe: &mut CommandFields, effects: &mut Vec<Effect>) {
        let Some(carrier) = self.carrier().map(|e| (e.id, e.channel)) else { return };
        (wipe.enrolment, wipe.channel) = carrier;
        (wipe.owed_to, wipe.later) = (self.owes(wipe.scope()), Vec::new());
        for former in self.owed(wipe.id) {
            self.restore(former, effects);
        }
    }

    /// A second person agreed: the undo window, where there is one, begins now.
    pub(super) fn approved(&mut self, id: CommandId, time: Time, effects: &mut Vec<Effect>) {
        let Some(mut command) = self.lift(id) else { return };
        if command.hold != Some(Hold::Breaker) || command.state != State::Held {
            self.commands.push(command);
            return;
        }
        let overtaken = |c: &Command| c.wipes(Scope::Full) && c.is_wipe_under_way();
        if command.wipes(Scope::Selective) && self.open().any(overtaken) {
            self.end(command, End::of(State::Cancelled), time, effects);
            self.note_cancelled(id, audit::By::System, Cancelled::FullWipeUnderWay, effects);
            return;
        }
        let fields = command.write();
        // Its time was to begin with the asking, and begins with the approval.
        let waited = time.steady.since(fields.asked);
        fields.expires = fields.expires.map(|expires| expires.plus(waited));
        self.pass(fields, time, effects);
        self.put(command);
    }

    pub(super) fn withdrawn(
        &mut self,
        id: CommandId,
        end: Withdrawal,
        open_mail: bool,
        told: Option<(String, Cancelled)>,
        time: Time,
        effects: &mut Vec<Effect>,
    ) {
        if !self.command(id).is_some_and(|command| command.may_be_taken_back()) {
            return;
        }
        let Some(command) = self.lift(id) else { return };
        self.end(command, End { open_mail, ..End::of(end.state()) }, time, effects);
        if let Some((by, why)) = told {
            self.note_cancelled(id, audit::By::Admin(by), why, effects);
        }
    }

    pub(super) fn suspended(&mut self, id: CommandId, approval: ApprovalId) {
        self.change(id, |command| {
            (command.state, command.hold, command.release_at) = (State::Held, Some(Hold::Breaker), None);
            command.approval = Some(approval);
        });
    }

    /// What time does: undo windows end, commands expire, devices are woken again.
    pub(super) fn due(&mut self, id: CommandId, time: Time, effects: &mut Vec<Effect>) {
        let Some(mut command) = self.lift(id) else { return };
        // One that has ended may have a timer for a wake, and one from before its end in the same sweep.
        let open = !command.state.is_final();
        let expired = open && command.expires.is_some_and(|at| at <= time.now);
        if expired && command.state != State::Sent {
            self.end(command, End { open_mail: true, ..End::of(State::Expired) }, time, effects);
            let event = audit::Event::CommandExpired { command: id, device: self.id };
            effects.push(Effect::Note(audit::By::System, event));
            return;
        }
        let fields = command.write();
        if open && fields.hold == Some(Hold::Delay) && fields.release_at.is_some_and(|at| at <= time.steady) {
            self.enqueue(fields, time);
            let event = audit::Event::CommandReleased { command: id, device: self.id };
            effects.push(Effect::Note(audit::By::System, event));
        }
        if wakes(fields, time.steady) {
            effects.push(Effect::Wake);
        }
        if fields.silent_since().is_some_and(|at| at.plus(SILENCE) <= time.steady) {
            let (enrolment, channel, kind) = (fields.enrolment, fields.channel, EvidenceKind::Silence);
            let said = fields.unproved.is_some_and(|at| at.plus(SILENCE) <= time.steady);
            let detail = match said {
                true => {
                    "a client that proved no login acknowledged it, and none that proved one was heard in the 30 days after"
                }
                false => "the certificates that it was asked for were not heard for 30 days",
            };
            let detail = detail.to_string();
            self.commands.push(command);
            self.prove(id, Evidence { time: time.now, enrolment, channel, kind, detail });
            self.ends(id, State::Presumed, audit::By::System, time, effects);
            return;
        }
        if expired {
            // Sent: it may be done already, so it ends only when it is answered.
            fields.expires = None;
        }
        self.put(command);
    }

    /// Past the breaker: into the undo window where there is one, else to the queue. Mail closes at once. A full wipe replaces a
    /// selective one that has not left yet, and follows one that has. The command is not among the device's meanwhile.
    fn pass(&mut self, command: &mut CommandFields, time: Time, effects: &mut Vec<Effect>) {
        if command.wipes(Scope::Full) {
            let replaced = |c: &&Command| c.is_wipe_under_way() && c.state != State::Sent && c.shares_with(command);
            let replaced: Vec<CommandId> = self.open().filter(replaced).map(|c| c.id).collect();
            for id in replaced {
                let Some(selective) = self.lift(id) else { continue };
                self.owe_instead(id, command);
                self.end(selective, End { open_mail: true, ..End::of(State::Cancelled) }, time, effects);
                let by = audit::By::Admin(command.asked_by.clone());
                self.note_cancelled(id, by, Cancelled::ReplacedByFullWipe, effects);
            }
        }
        if command.delay > 0 {
            (command.state, command.hold) = (State::Held, Some(Hold::Delay));
            command.release_at = Some(time.steady.plus(Duration::from_secs(command.delay)));
            self.under(command);
        } else {
            self.enqueue(command, time);
        }
    }

    fn note_asked(&self, command: &CommandFields, pass: Pass, effects: &mut Vec<Effect>) {
        let (id, device, action, reason) = (command.id, self.id, command.action(), command.reason.clone());
        let event = audit::Event::CommandAsked { command: id, device, action, pass, reason };
        effects.push(Effect::Note(audit::By::Admin(command.asked_by.clone()), event));
    }

    fn note_cancelled(&self, command: CommandId, by: audit::By, why: Cancelled, effects: &mut Vec<Effect>) {
        effects.push(Effect::Note(by, audit::Event::CommandCancelled { command, device: self.id, why }));
    }

    fn enqueue(&mut self, command: &mut CommandFields, time: Time) {
        (command.state, command.hold, command.release_at) = (State::Queued, None, None);
        command.wake_at = Some(time.steady);
        self.under(command);
    }
}

impl Managed {
    /// It was asked for again: its device is woken again. Who asks again waits for no pause of what was never answered.
    pub(super) fn woken_again(&mut self, id: CommandId, also: Option<String>, time: Time) {
        self.change(id, |command| {
            if command.action() != Action::Wipe {
                command.not_before = None;
            }
            if let Some(also) = also.filter(|also| !command.was_asked_by(also)) {
                command.also_asked.push(also);
            }
            (command.wakes, command.wake_at) = (0, command.not_before.max(Some(time.steady)));
        });
    }
}

/// Whether the device is to be woken now; then the next time is set.
fn wakes(command: &mut CommandFields, steady: Steady) -> bool {
    let due = command.wake_at.is_some_and(|at| at <= steady);
    if due {
        // A device that is woken in a pause would find nothing.
        let next = || steady.plus(pause(command.wakes)).max(command.not_before.unwrap_or(steady));
        command.wake_at = (!command.state.is_final()).then(next);
        command.wakes = command.wakes.saturating_add(1);
    }
    due
}

/// So long after so many wakes the next is due.
pub(super) fn pause(wakes: u32) -> Duration {
    WAKES.get(wakes as usize).or(WAKES.last()).copied().unwrap_or_default()
}

fn new(order: Order, device: crate::ids::DeviceId, time: Time) -> CommandFields {
    let (asked_by, requested_by) = match order.by {
        Asker::System => (SYSTEM.to_string(), SYSTEM.to_string()),
        Asker::Person { id, name } => (id, name),
    };
    CommandFields {
        id: order.id,
        device,
        channel: order.channel,
        enrolment: order.enrolment,
        act: order.act,
        state: State::Queued,
        hold: None,
        reason: order.reason,
        asked_by,
        requested_by,
        approval: None,
        created: time.now,
        asked: time.steady,
        release_at: None,
        delay: order.delay,
        sent: None,
        finished: None,
        expires: order.expires,
        evidence: Vec::new(),
        error: None,
        wake_at: None,
        wakes: 0,
        step: 0,
        put_off: None,
        ended: None,
        attempts: 0,
        owed_to: Vec::new(),
        later: Vec::new(),
        contradicted: 0,
        not_before: None,
        heard: None,
        silent: 0,
        given: None,
        heard_for: 0,
        also_asked: Vec::new(),
        unproved: None,
    }
}

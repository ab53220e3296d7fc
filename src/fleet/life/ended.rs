//! How a command ends, and what its end does to the device; how an enrolment ends, and what becomes of what it carried.

use super::{
    Command, Effect, Managed, Outcome,
    act::{Act, Action, Scope},
    command::{CommandFields, Evidence, Failure, State},
    device::{Certificate, Channel, Enrolment, EnrolmentState, GIVEN_UP, Life, Ownership, SUCCEEDED},
};
use crate::{
    fleet::{
        audit::{self, By},
        terms::{EvidenceKind, FailureCode},
    },
    ids::{CommandId, EnrolmentId, Fingerprint},
    store::Time,
};
use std::time::Duration;

/// An iPhone that acknowledged its RemoveProfile gets so long for its CheckOut.
const CHECKOUT: Duration = Duration::from_secs(600);

/// How a command ends.
pub(super) struct End {
    pub(super) state: State,
    /// What a wipe shut is opened again.
    pub(super) open_mail: bool,
    /// Why it failed: a code of ours, and words.
    pub(super) error: Option<(FailureCode, &'static str)>,
    /// Whose doing it is.
    pub(super) by: By,
}

impl End {
    pub(super) fn of(state: State) -> Self {
        Self { state, open_mail: false, error: None, by: By::System }
    }
}

/// Both certificates of an enrolment, in use and just renewed.
pub(super) fn certificates(enrolment: &Enrolment) -> impl Iterator<Item = Fingerprint> + use<> {
    let both: [Option<&Certificate>; 2] = [enrolment.certificate.as_ref(), enrolment.renewed.as_ref()];
    both.map(|certificate| certificate.map(|c| c.sha256)).into_iter().flatten()
}

pub(super) fn revoke(certificates: impl IntoIterator<Item = Fingerprint>, effects: &mut Vec<Effect>) {
    effects.extend(certificates.into_iter().map(|certificate| Effect::Revoke(certificate, Duration::ZERO)));
}

/// Of what was sent before the device left.
const LEFT_AFTER: &str =
    "this was sent, and the device left management without answering it: nothing proves that it was done";

/// Of mail that a wipe by another channel, or of another mail client, shut out.
const CLOSED: &str = "the same device's mail: closed when this wipe began, and its access stays blocked; what it had on the device goes with the device";

/// Of a client that another channel's wipe shut out in Exchange.
const BLOCKED: &str =
    "the same device's mail: its Exchange blocks this client; what it had on the device goes with the device";

impl Managed {
    /// Ends a command that was [lifted](Managed::lift).
    pub(super) fn end(&mut self, mut command: Command, end: End, time: Time, effects: &mut Vec<Effect>) {
        let fields = command.write();
        let before = fields.state;
        (fields.state, fields.hold) = (end.state, None);
        (fields.finished, fields.ended) = (Some(time.now), Some(time.steady));
        fields.wake_at = None;
        (fields.silent, fields.given, fields.heard_for) = (0, None, 0);
        if let Some((code, text)) = end.error {
            fields.error = Some(Failure { code, text: text.into() });
        }
        if matches!(end.state, State::Confirmed | State::Acknowledged) {
            fields.error = None;
        }
        // What became of each part stands with the enrolment. One that ended otherwise may still be answered.
        if let (State::Acknowledged, Act::Policy { parts }) = (end.state, &mut fields.act) {
            parts.clear();
        }
        let id = fields.id;
        self.write().open.retain(|open| *open != id);
        if command.action() == Action::Renew {
            self.renewal_ended(&command, time, effects);
        }
        if command.action() == Action::Wipe {
            // Every end of a wipe is on record, whoever brought it about.
            let event = audit::Event::WipeEnded { command: id, device: self.id, end: end.state };
            effects.extend([Effect::Note(end.by, event), Effect::WipeEnded(id, end.state)]);
            match (end.state, before) {
                (State::Confirmed, State::Confirmed) | (State::Presumed, State::Confirmed | State::Presumed) => {}
                (State::Confirmed, _) => {
                    self.mail_was_closed(&mut command, time);
                    self.wiped(&command, time, effects);
                }
                (State::Presumed, _) => {
                    self.mail_was_closed(&mut command, time);
                    self.presumed(&command, time, effects);
                }
                _ => self.not_wiped(&command, end.open_mail, effects),
            }
        }
        self.put(command);
    }

    /// A wipe came to nothing: the device is as it was, or under the wipe that this one stood before. Mail stays shut unless the
    /// administrator took the wipe back.
    fn not_wiped(&mut self, wipe: &Command, open_mail: bool, effects: &mut Vec<Effect>) {
        let id = wipe.id;
        for former in self.owed(id) {
            self.restore(former, effects);
        }
        if self.wipe != Some(id) {
            return;
        }
        if matches!(self.life, Life::Wiping | Life::Retiring) {
            self.write().life = Life::Enrolled;
        }
        if !self.under_first() && open_mail && self.mail_shut == Some(id) {
            self.write().mail_shut = None;
        }
    }

    /// The former enrolments that are owed this wipe.
    pub(super) fn owed(&self, wipe: CommandId) -> Vec<EnrolmentId> {
        self.enrolments.iter().filter(|e| e.owed == Some(wipe)).map(|e| e.id).collect()
    }

    /// One wipe takes the place of another: former enrolments to which both are owed are owed that one.
    pub(super) fn owe_instead(&mut self, replaced: CommandId, wipe: &CommandFields) {
        let both = |e: &&mut Enrolment| e.owed == Some(replaced) && wipe.is_owed_to(e);
        self.write().enrolments.iter_mut().filter(both).for_each(|e| e.owed = Some(wipe.id));
    }

    /// A former enrolment is owed another wipe; or nothing any more: a newer one has its place, or it is what it was.
    pub(super) fn restore(&mut self, former: EnrolmentId, effects: &mut Vec<Effect>) {
        let Some(was) = self.enrolment(former).cloned() else { return };
        let newer = |e: &Enrolment| e.id != former && e.takes_the_place_of(&was) && e.created >= was.created;
        let over = |mark| was.channel_state.contains_key(mark);
        let replaced = over(GIVEN_UP) || over(SUCCEEDED) || self.live().any(newer);
        let another = self.open().find(|c| c.action() == Action::Wipe && c.is_owed_to(&was)).map(|c| c.id);
        let Some(mine) = self.write().enrolment_mut(former) else { return };
        mine.owed = another.filter(|_| replaced);
        if mine.owed.is_some() {
            return;
        }
        if replaced {
            mine.end(EnrolmentState::Revoked);
            revoke(certificates(mine), effects);
        } else {
            mine.state = EnrolmentState::Enrolled;
        }
    }

    /// Puts the device under the first wipe that is under way. False: there is none.
    pub(super) fn under_first(&mut self) -> bool {
        let first = self.open().find(|command| command.is_wipe_under_way()).cloned();
        if let Some(wipe) = &first {
            self.under(wipe);
        }
        first.is_some()
    }

    /// The device is under this command, where it is a wipe: mail is shut, and once the undo window is over the device's state says so.
    pub(super) fn under(&mut self, wipe: &CommandFields) {
        let Some(scope) = wipe.scope() else { return };
        let device = self.write();
        (device.wipe, device.mail_shut) = (Some(wipe.id), Some(wipe.id));
        if wipe.state != State::Held {
            device.life = if scope == Scope::Full { Life::Wiping } else { Life::Retiring };
        }
    }

    /// The enrolments that a wipe is about, as far as they are not over: those that it is owed to, and the mail that joined a managed device
    /// meanwhile, and what never came to be whole. What else enrolled since may be another device, and goes on, with its mail.
    fn concerned(&self, wipe: &Command) -> Vec<EnrolmentId> {
        let mail = |e: &Enrolment| e.channel.is_mail();
        let pending = |e: &Enrolment| e.state == EnrolmentState::Pending;
        let anew = self.live().any(|e| !mail(e) && !pending(e) && !wipe.is_owed_to(e));
        let joined = |e: &Enrolment| mail(e) && !wipe.channel.is_mail() && !anew;
        // A former one may be owed another wipe beside this one, which waits for a second person.
        let its = |e: &Enrolment| match e.is_live() {
            true => wipe.is_owed_to(e) || pending(e) || joined(e),
            false => wipe.is_owed_to(e) && e.owed.is_some(),
        };
        self.enrolments.iter().filter(|e| its(e)).map(|e| e.id).collect()
    }

    /// A wipe names every channel that it closed: beside what its carrier proves, the mail that was shut out by it.
    fn mail_was_closed(&self, wipe: &mut Command, time: Time) {
        let (id, carrier) = (wipe.id, wipe.enrolment);
        for mail in self.concerned(wipe).into_iter().filter(|mail| *mail != carrier) {
            let shut = self.enrolment(mail).is_some_and(|e| e.channel == Channel::Activesync && e.is_live())
                && self.mail_is_shut(mail) == Some(id);
            let (channel, kind) = (Channel::Activesync, EvidenceKind::AccessBlocked);
            let known = wipe.evidence.iter().any(|entry| (entry.enrolment, entry.kind) == (mail, kind));
            if shut && !known {
                let entry = Evidence { time: time.now, enrolment: mail, channel, kind, detail: CLOSED.into() };
                wipe.write().evidence.push(entry);
            }
        }
    }

    /// Exchange says that this client is shut out: the wipe that shuts its mail has that in its evidence.
    pub(super) fn mail_closed(&mut self, enrolment: EnrolmentId, time: Time) {
        let Some(wipe) = self.mail_shut.or(self.wipe) else { return };
        let Some(mine) = self.enrolment(enrolment) else { return };
        let (channel, kind) = (mine.channel, EvidenceKind::AccessBlocked);
        let came_to_nothing = |c: &Command| matches!(c.state, State::Failed | State::Cancelled | State::Expired);
        let shuts = |c: &Command| c.action() == Action::Wipe && c.enrolment != enrolment && !came_to_nothing(c);
        if self.command(wipe).is_some_and(shuts) {
            self.prove(wipe, Evidence { time: time.now, enrolment, channel, kind, detail: BLOCKED.into() });
        }
    }

    /// The device was wiped.
    fn wiped(&mut self, command: &Command, time: Time, effects: &mut Vec<Effect>) {
        let full = command.scope() == Some(Scope::Full);
        let state = if full { EnrolmentState::Wiped } else { EnrolmentState::Retired };
        let carrier = command.enrolment;
        if !self.enrolment(carrier).is_some_and(|e| e.is_live() || e.owed.is_some()) {
            // Evidence of the past about a device that is back: it ends the command and nothing else.
            return;
        }
        let concerned = self.concerned(command);
        let later = if full { Duration::ZERO } else { CHECKOUT };
        for enrolment in self.write().enrolments.iter_mut().filter(|e| concerned.contains(&e.id)) {
            enrolment.end(state);
            let apple = enrolment.channel == Channel::Apple;
            let pause = if enrolment.id == carrier && apple { later } else { Duration::ZERO };
            // A mail client whose wipe is acknowledged may ask for the answer again; a PC reports once more after unenrolment.
            let keep = enrolment.id == carrier && !apple;
            if !keep {
                effects.extend(certificates(enrolment).map(|certificate| Effect::Revoke(certificate, pause)));
            }
        }
        self.gone(command, &concerned, time, effects);
    }

    /// The device cannot answer after the deed, or does not: it counts as wiped until it is heard again. So those of its enrolments that
    /// have a certificate can still be heard.
    fn presumed(&mut self, command: &Command, time: Time, effects: &mut Vec<Effect>) {
        if !command.can_be_contradicted() {
            return self.wiped(command, time, effects);
        }
        let full = command.scope() == Some(Scope::Full);
        let concerned = self.concerned(command);
        for enrolment in self.write().enrolments.iter_mut().filter(|e| concerned.contains(&e.id)) {
            if enrolment.certificate.is_some() && command.is_owed_to(enrolment) {
                (enrolment.state, enrolment.owed) = (EnrolmentState::Former, Some(command.id));
            } else {
                enrolment.end(if full { EnrolmentState::Wiped } else { EnrolmentState::Retired });
                revoke(certificates(enrolment), effects);
            }
        }
        self.gone(command, &concerned, time, effects);
    }

    /// What the end of a wipe does to the device beside the enrolments that it is about: what else was open on these can no longer be done.
    fn gone(&mut self, command: &Command, concerned: &[EnrolmentId], time: Time, effects: &mut Vec<Effect>) {
        let full = command.scope() == Some(Scope::Full);
        let text = if full { "the device was wiped" } else { "the device was retired" };
        let over = |c: &&Command| c.id != command.id && concerned.contains(&c.enrolment);
        let over: Vec<CommandId> = self.open().filter(over).map(|c| c.id).collect();
        for id in over {
            let Some(mut other) = self.lift(id) else { continue };
            let wipe = other.action() == Action::Wipe;
            let fields = other.write();
            fields.state = if wipe { State::Failed } else { State::Cancelled };
            (fields.finished, fields.ended) = (Some(time.now), Some(time.steady));
            (fields.hold, fields.wake_at) = (None, None);
            fields.error = Some(Failure { code: FailureCode::DeviceGone, text: text.into() });
            let end = fields.state;
            self.write().open.retain(|open| *open != id);
            self.put(other);
            if wipe {
                let event = audit::Event::WipeEnded { command: id, device: self.id, end };
                effects.extend([Effect::Note(By::System, event), Effect::WipeEnded(id, end)]);
            }
        }
        let lives = self.live().next().is_some();
        let device = self.write();
        if lives {
            // What enrolled since is managed on.
            if matches!(device.life, Life::Wiping | Life::Retiring) {
                device.life = Life::Enrolled;
            }
            if device.wipe == Some(command.id) {
                (device.wipe, device.mail_shut) = (None, None);
            }
            self.under_first();
            return;
        }
        device.life = if full { Life::Wiped } else { Life::Retired };
        device.wipe = Some(command.id);
        // By this wipe, and no more by one that was to follow it.
        device.mail_shut = device.mail_shut.map(|_| command.id);
    }

    /// An enrolment ended by the device's own word, or Exchange knows it no more. A wipe that it carried ends with it, where that is the device's
    /// word, or goes on by another enrolment, or fails; the rest is cancelled.
    pub(super) fn left(
        &mut self,
        enrolment: EnrolmentId,
        kind: EvidenceKind,
        detail: &str,
        time: Time,
        effects: &mut Vec<Effect>,
    ) {
        let Some(channel) = self.enrolment(enrolment).map(|mine| mine.channel) else { return };
        // That Exchange has a client no more is nobody's word that it removed anything.
        let tells = channel != Channel::Exchange;
        let proved = |c: &&Command| tells && c.enrolment == enrolment && c.wipes(Scope::Selective) && c.sent.is_some();
        // Evidence that comes after the end (the Acknowledged was first) is kept as well.
        let last = self.wipe.and_then(|id| self.command(id)).filter(proved).map(|c| c.id);
        let mut retires: Vec<CommandId> = self.open().filter(proved).map(|c| c.id).collect();
        retires.extend(last.filter(|last| !retires.contains(last)));
        for id in retires {
            let outcome = Outcome::Done { kind, detail: detail.into() };
            self.answered(enrolment, id, outcome, time, effects);
        }
        if let Some(gone) = self.write().enrolment_mut(enrolment) {
            // One that was retired is over by now, and one that was never whole is missed by nobody.
            if gone.is_live() && gone.state != EnrolmentState::Pending {
                effects.push(Effect::DeviceLeft);
            }
            if gone.is_live() || gone.owed.is_some() {
                gone.end(EnrolmentState::Retired);
            }
            revoke(certificates(gone), effects);
        }
        let event = audit::Event::EnrolmentLeft { enrolment, device: self.id, kind };
        effects.push(Effect::Note(By::Device, event));
        self.hand_over(enrolment, time, effects);
        if self.life == Life::Enrolled && self.live().next().is_none() {
            self.write().life = Life::Retired;
        }
    }

    pub(super) fn revoked(
        &mut self,
        only: Option<EnrolmentId>,
        by: &str,
        reason: &str,
        time: Time,
        effects: &mut Vec<Effect>,
    ) {
        let mut ended = Vec::new();
        let device = self.write();
        let ends = |e: &Enrolment| (e.is_live() || e.owed.is_some()) && only.is_none_or(|id| id == e.id);
        for enrolment in device.enrolments.iter_mut().filter(|e| ends(e)) {
            enrolment.end(EnrolmentState::Revoked);
            revoke(certificates(enrolment), effects);
            ended.push(enrolment.id);
        }
        for id in ended {
            let event = audit::Event::EnrolmentRevoked { enrolment: id, device: self.id, reason: reason.into() };
            effects.push(Effect::Note(By::Admin(by.into()), event));
            self.hand_over(id, time, effects);
        }
    }

    /// What an ended enrolment carried: an open wipe goes to the next strongest enrolment, or fails and says so.
    pub(super) fn hand_over(&mut self, gone: EnrolmentId, time: Time, effects: &mut Vec<Effect>) {
        let carried: Vec<CommandId> = self.open().filter(|c| c.enrolment == gone).map(|c| c.id).collect();
        for id in carried {
            // What ended by the end of one before it is no more to be handed over.
            let Some(command) = self.lift(id) else { continue };
            if command.state.is_final() {
                self.commands.push(command);
                continue;
            }
            // One of those that were there when it was asked for: what came later proves nothing of the device.
            let heir = self.heir(&command).map(|e| (e.id, e.channel));
            // What began as the organisation's device may be its user's own by now.
            let may_go_on = !(command.wipes(Scope::Full) && self.ownership == Ownership::Personal);
            match heir.filter(|_| command.action() == Action::Wipe && may_go_on) {
                Some(heir) => self.inherit(command, heir, time, effects),
                None => {
                    let wipe = command.action() == Action::Wipe;
                    let end = if wipe { State::Failed } else { State::Cancelled };
                    let sent = command.sent.is_some() && command.state != State::NotNow;
                    let why = if sent { LEFT_AFTER } else { "the device left management before this reached it" };
                    let error = Some((FailureCode::DeviceLeft, why));
                    self.end(command, End { error, ..End::of(end) }, time, effects);
                }
            }
        }
    }

    /// The strongest of those enrolments that a wipe is owed to and that can hear of it.
    fn heir(&self, wipe: &Command) -> Option<&Enrolment> {
        let owed = self.live().filter(|e| wipe.is_owed_to(e));
        owed.min_by_key(|e| (!e.hears(), e.channel, std::cmp::Reverse(e.created)))
    }

    pub(super) fn inherit(
        &mut self,
        mut command: Command,
        (enrolment, channel): (EnrolmentId, Channel),
        time: Time,
        effects: &mut Vec<Effect>,
    ) {
        let fields = command.write();
        let gone = std::mem::replace(&mut fields.enrolment, enrolment);
        fields.channel = channel;
        // It was sent to one that is gone, and not to this one: nothing follows from that any more.
        if fields.state == State::Sent {
            (fields.state, fields.sent, fields.step) = (State::Queued, None, 0);
            fields.wake_at = Some(time.steady);
        }
        let (id, to, from) = (fields.id, enrolment, gone);
        let event = audit::Event::WipeHandedOver { command: id, device: self.id, to, channel, from };
        effects.push(Effect::Note(By::System, event));
        self.put(command);
    }
}

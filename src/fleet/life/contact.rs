//! A device is heard: what that says against the presumed end of its wipe, after a proved one, and of a clone that has fallen silent.

use super::{
    Effect, Managed,
    act::Scope,
    command::{Evidence, State},
    device::{Enrolment, EnrolmentState},
};
use crate::{
    clock::Timestamp,
    fleet::{audit, terms::EvidenceKind},
    ids::{CommandId, EnrolmentId},
    store::Time,
};
use std::time::Duration;

/// A wipe that was contradicted is sent again: at once, then so long after it was contradicted again.
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_secs(3600), Duration::from_secs(86_400)];
/// Of two that share their hardware the former ends when it was silent for so long while the new one was heard.
const SILENT: Duration = Duration::from_secs(86_400);

impl Managed {
    /// An authenticated message. `seen`: when others of its enrolments were last heard, as far as that was written apart.
    pub(super) fn contact(
        &mut self,
        enrolment: EnrolmentId,
        grace: Duration,
        seen: &[(EnrolmentId, Timestamp)],
        time: Time,
        effects: &mut Vec<Effect>,
    ) {
        let Some(mine) = self.enrolment(enrolment).cloned() else { return };
        self.unproved_no_more(&mine);
        match mine.owed {
            Some(wipe) => {
                self.owed_was_heard(wipe, enrolment, time);
                self.contradict(&mine, wipe, grace, time, effects);
            }
            None if mine.state == EnrolmentState::Enrolled => {
                let open: Vec<CommandId> = self.open().filter(|c| c.is_owed_to(&mine)).map(|c| c.id).collect();
                open.into_iter().for_each(|wipe| self.owed_was_heard(wipe, enrolment, time));
                self.end_silent(&mine, seen, time, effects);
            }
            None => {}
        }
    }

    /// Whoever said that a wipe is done has proved nothing, and somebody that it is owed to is heard.
    fn unproved_no_more(&mut self, mine: &Enrolment) {
        let said = |c: &&super::Command| c.unproved.is_some() && c.is_owed_to(mine);
        let open: Vec<CommandId> = self.open().filter(said).map(|c| c.id).collect();
        open.into_iter().for_each(|wipe| self.change(wipe, |command| command.unproved = None));
    }

    /// See [`super::Event::DoneUnproved`].
    pub(super) fn done_unproved(&mut self, id: CommandId, time: Time) {
        let sent = |c: &super::Command| c.scope().is_some() && c.state == State::Sent && c.unproved.is_none();
        if self.command(id).is_some_and(sent) {
            self.change(id, |command| command.unproved = Some(time.steady));
        }
    }

    /// The wipe counts as done, and here is the device: it is sent again, to the certificate that spoke and to no other.
    fn contradict(&mut self, mine: &Enrolment, id: CommandId, grace: Duration, time: Time, effects: &mut Vec<Effect>) {
        let Some(wipe) = self.command(id).filter(|c| c.state == State::Presumed) else { return };
        if wipe.ended.is_some_and(|ended| time.steady.since(ended) < grace) {
            return;
        }
        let pause = PAUSES.get(wipe.contradicted as usize).or(PAUSES.last()).copied().unwrap_or_default();
        self.note_contact(mine, id, time);
        let due = time.steady.plus(pause);
        self.change(id, |wipe| {
            (wipe.state, wipe.finished, wipe.ended) = (State::Queued, None, None);
            (wipe.enrolment, wipe.channel, wipe.step) = (mine.id, mine.channel, 0);
            // It left in its time: what that was to end is over.
            wipe.expires = None;
            (wipe.not_before, wipe.wake_at, wipe.wakes) = (Some(due), Some(due), 0);
            wipe.contradicted = wipe.contradicted.saturating_add(1);
            wipe.heard = wipe.heard.map(|_| time.steady);
        });
        self.write().open.push(id);
        if self.live().next().is_none()
            && let Some(wipe) = self.command(id).cloned()
        {
            self.under(&wipe);
        }
        let event = audit::Event::WipeContradicted { command: id, device: self.id, enrolment: mine.id };
        effects.extend([Effect::Note(audit::By::Device, event), Effect::WipeContradicted(id)]);
    }

    /// The device was erased, and its certificate is heard: it is back from a backup, or somebody copied the key. It stays refused.
    pub(super) fn heard_after_end(&mut self, enrolment: EnrolmentId, time: Time, effects: &mut Vec<Effect>) {
        let Some(mine) = self.enrolment(enrolment).cloned() else { return };
        let proved = |c: &&super::Command| c.wipes(Scope::Full) && c.state == State::Confirmed && c.is_owed_to(&mine);
        let Some(id) = self.wipe.and_then(|id| self.command(id)).filter(proved).map(|c| c.id) else { return };
        if self.note_contact(&mine, id, time) {
            effects.push(Effect::HeardAfterWipe(id));
        }
    }

    /// One entry, which counts. True where it is the first.
    fn note_contact(&mut self, mine: &Enrolment, id: CommandId, time: Time) -> bool {
        let of_this = |e: &Evidence| e.kind == EvidenceKind::Contact && e.enrolment == mine.id;
        let known = self.command(id).and_then(|wipe| wipe.evidence.iter().find(|e| of_this(e)).cloned());
        let before = known.as_ref().and_then(|e| e.detail.rsplit(' ').next()?.parse::<u32>().ok()).unwrap_or(0);
        let detail = format!("heard under the same certificate after its end, times: {}", before.saturating_add(1));
        let entry =
            Evidence { time: time.now, enrolment: mine.id, channel: mine.channel, kind: EvidenceKind::Contact, detail };
        self.change(id, |wipe| match wipe.evidence.iter_mut().find(|e| of_this(e)) {
            Some(known) => *known = entry,
            None => wipe.evidence.push(entry),
        });
        known.is_none()
    }

    /// Of those that share the hardware with this one, another name each, what has been silent for long is over.
    fn end_silent(
        &mut self,
        mine: &Enrolment,
        seen: &[(EnrolmentId, Timestamp)],
        time: Time,
        effects: &mut Vec<Effect>,
    ) {
        if time.now.since(mine.created) < SILENT {
            return;
        }
        let heard = |e: &Enrolment| {
            let apart = seen.iter().filter(|(id, _)| *id == e.id).map(|(_, at)| *at).max();
            e.last_seen.max(apart).unwrap_or(e.created)
        };
        let older = self.enrolments.iter().take_while(|e| e.id != mine.id);
        let over = older.filter(|e| e.is_live() && e.channel == mine.channel && time.now.since(heard(e)) >= SILENT);
        let over: Vec<EnrolmentId> = over.map(|e| e.id).collect();
        for former in over {
            self.superseded(former, mine.id, time, effects);
        }
    }
}

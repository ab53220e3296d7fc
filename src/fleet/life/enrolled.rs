//! How a device comes in: an enrolment begins, is whole, takes the place of a former one; and who lets it in.

use super::{
    Access, Command, Effect, Managed,
    act::{Action, Scope},
    command::{Evidence, Later, State},
    device::{Channel, Enrolment, EnrolmentState, GIVEN_UP, Grace, Life, Ownership, SUCCEEDED},
    ended::{End, certificates, revoke},
};
use crate::{
    clock::Timestamp,
    fleet::{
        audit::{self, By, Proof},
        terms::{EvidenceKind, FailureCode},
    },
    ids::{CommandId, DeviceId, EnrolmentId, Fingerprint},
    store::Time,
};
use std::collections::BTreeMap;

/// Under this name a mail enrolment keeps how far its Provision has come.
pub const PROVISIONING: &str = "provisioning";
/// Under this one the DeviceType that its client gives itself.
pub const MAIL_TYPE: &str = "device type";
/// Under this one the client's User-Agent.
pub const MAIL_AGENT: &str = "user agent";

impl Managed {
    /// A wipe that is open is owed to what was there when it was asked for. What joins now gets it once, and does not make the device its
    /// user's own: anybody with an invitation could shield it so.
    pub(super) fn begun(&mut self, enrolment: Enrolment, personal: bool, time: Time, effects: &mut Vec<Effect>) {
        let (id, pending) = (enrolment.id, enrolment.state == EnrolmentState::Pending);
        let wipes: Vec<CommandId> = self.open().filter(|c| c.action() == Action::Wipe).map(|c| c.id).collect();
        // Whose a device is that is managed already, only what is complete says: a link that is begun and never finished is a claim.
        let claims = pending && self.is_managed_beside(id);
        let complete = (!pending).then_some(time.steady);
        self.write().enrolments.push(Enrolment { complete, ..enrolment });
        self.back(effects);
        if personal && wipes.is_empty() && !claims {
            self.make_personal(time, effects);
        }
        for wipe in wipes {
            self.change(wipe, |wipe| {
                // A personal enrolment has not even the right to erase.
                let answered = personal && wipe.wipes(Scope::Full);
                wipe.later.push(Later { enrolment: id, told: 0, answered });
            });
        }
    }

    /// Whether something else of this device is complete and lives.
    pub fn is_managed_beside(&self, enrolment: EnrolmentId) -> bool {
        self.live().any(|other| other.id != enrolment && other.state != EnrolmentState::Pending)
    }

    /// From now on the device is its user's own: a full wipe that has not been sent comes to nothing.
    pub(super) fn make_personal(&mut self, time: Time, effects: &mut Vec<Effect>) {
        self.write().ownership = Ownership::Personal;
        let unsent =
            |c: &&Command| c.wipes(Scope::Full) && matches!(c.state, State::Held | State::Queued | State::NotNow);
        let unsent: Vec<CommandId> = self.open().filter(unsent).map(|c| c.id).collect();
        for id in unsent {
            let Some(wipe) = self.lift(id) else { continue };
            let text = "the device is its user's own since: only the organisation's data can be removed";
            let end = End { open_mail: true, error: Some((FailureCode::Personal, text)), ..End::of(State::Failed) };
            self.end(wipe, end, time, effects);
        }
    }

    pub(super) fn completed(
        &mut self,
        enrolment: EnrolmentId,
        shown: &Fingerprint,
        time: Time,
        effects: &mut Vec<Effect>,
    ) {
        self.speaks_under(enrolment, shown, effects);
        let Some(mine) = self.write().enrolment_mut(enrolment) else { return };
        let pending = mine.state == EnrolmentState::Pending;
        if pending {
            (mine.state, mine.created, mine.complete) = (EnrolmentState::Enrolled, time.now, Some(time.steady));
            let new = mine.clone();
            let formers: Vec<EnrolmentId> =
                self.enrolments.iter().filter(|former| new.takes_the_place_of(former)).map(|e| e.id).collect();
            let anew = !formers.is_empty() || matches!(self.life, Life::Retired | Life::Wiped);
            let wiped = self.open().any(|c| c.action() == Action::Wipe);
            if new.personal == Some(true) && self.ownership == Ownership::Corporate && !wiped {
                self.make_personal(time, effects);
                let owned = audit::Event::DeviceOwned { device: self.id, ownership: Ownership::Personal.as_str() };
                effects.push(Effect::Note(By::Device, owned));
            }
            self.note_enrolled_anew(&new, time);
            for former in formers {
                self.superseded(former, enrolment, time, effects);
            }
            self.begin_anew(&new, anew);
            let event = audit::Event::EnrolmentComplete { enrolment, device: self.id, proof: Proof::Certificate };
            effects.push(Effect::Note(By::Device, event));
        }
    }

    /// A wipe that was asked for meanwhile stays owed to its certificate: it is heard for that, and for nothing else.
    pub(super) fn given_up(
        &mut self,
        enrolment: EnrolmentId,
        why: &'static str,
        time: Time,
        effects: &mut Vec<Effect>,
    ) {
        let pending = |e: &&Enrolment| e.state == EnrolmentState::Pending;
        let Some(was) = self.enrolment(enrolment).filter(pending).cloned() else { return };
        let wipe = self.open().find(|c| c.action() == Action::Wipe && c.is_owed_to(&was)).map(|c| c.id);
        let event = audit::Event::EnrolmentGivenUp { enrolment, device: self.id, why };
        effects.push(Effect::Note(By::System, event));
        let Some(mine) = self.write().enrolment_mut(enrolment) else { return };
        mine.channel_state.insert(GIVEN_UP.into(), String::new());
        match wipe {
            Some(wipe) => {
                (mine.state, mine.owed) = (EnrolmentState::Former, Some(wipe));
                self.silence_begins(wipe, time);
            }
            None => {
                mine.end(EnrolmentState::Revoked);
                revoke(certificates(&was), effects);
                self.hand_over(enrolment, time, effects);
            }
        }
    }

    /// What it was to do is of the past. That the same machine enrolled anew is a claim, so a wipe that is open goes on here and nowhere
    /// else: under a full one it stays as it is, a retire is owed to its certificate as to any that was silent while another came.
    pub(super) fn succeeded(
        &mut self,
        enrolment: EnrolmentId,
        (by, newer): (DeviceId, EnrolmentId),
        time: Time,
        effects: &mut Vec<Effect>,
    ) {
        let enrolled = |e: &&Enrolment| e.state == EnrolmentState::Enrolled;
        let Some(was) = self.enrolment(enrolment).filter(enrolled).cloned() else { return };
        let open = |c: &&Command| c.action() == Action::Wipe && c.is_owed_to(&was);
        if self.open().filter(open).any(|c| c.wipes(Scope::Full)) {
            return;
        }
        let retire = self.open().find(open).map(|c| c.id);
        let event = audit::Event::EnrolmentSucceeded { enrolment, device: self.id, by };
        effects.push(Effect::Note(By::System, event));
        if let Some(mine) = self.write().enrolment_mut(enrolment) {
            mine.channel_state.insert(SUCCEEDED.into(), by.to_string());
        }
        self.superseded(enrolment, newer, time, effects);
        if let Some(retire) = retire {
            // It is another record's, which gets nothing of this; without one that enrolled later silence does not count (`silent_since`).
            self.change(retire, |retire| retire.later.push(Later { enrolment: newer, told: 0, answered: true }));
        }
    }

    /// That the same hardware enrolls again proves nothing: a clone has the same id, and a reset that broke off ends so too. It is on record
    /// with the wipes that it might be about.
    fn note_enrolled_anew(&mut self, new: &Enrolment, time: Time) {
        let of_former = |c: &&Command| {
            let mut formers = self.enrolments.iter().filter(|e| e.id != new.id && e.channel == new.channel);
            c.action() == Action::Wipe
                && (c.is_wipe_under_way() || c.state == State::Presumed)
                && formers.any(|former| c.is_owed_to(former))
        };
        let wipes: Vec<CommandId> = self.commands.iter().filter(of_former).map(|c| c.id).collect();
        for id in wipes {
            let (enrolment, channel, kind) = (new.id, new.channel, EvidenceKind::EnrolledAnew);
            let detail = "the device enrolled anew, which proves nothing".to_string();
            self.prove(id, Evidence { time: time.now, enrolment, channel, kind, detail });
        }
    }

    /// A newer enrolment took its place. What it was to do is of the past, save a wipe: that stays owed to its certificate.
    pub(super) fn superseded(
        &mut self,
        former: EnrolmentId,
        newer: EnrolmentId,
        time: Time,
        effects: &mut Vec<Effect>,
    ) {
        let Some(was) = self.enrolment(former).cloned() else { return };
        let of_past = |c: &&Command| c.enrolment == former && c.action() != Action::Wipe;
        let of_past: Vec<CommandId> = self.open().filter(of_past).map(|c| c.id).collect();
        for id in of_past {
            let Some(command) = self.lift(id) else { continue };
            let why = match command.state {
                State::Sent => "this was sent, and the device enrolled anew without answering it",
                _ => "the device enrolled anew before this reached it",
            };
            let error = Some((FailureCode::EnrolledAnew, why));
            self.end(command, End { error, ..End::of(State::Cancelled) }, time, effects);
        }
        let wipe = self.open().find(|c| c.action() == Action::Wipe && c.is_owed_to(&was)).map(|c| c.id);
        let Some(mine) = self.write().enrolment_mut(former) else { return };
        mine.applied.clear();
        match wipe.filter(|_| was.is_live() && was.certificate.is_some()) {
            Some(wipe) => {
                (mine.state, mine.owed) = (EnrolmentState::Former, Some(wipe));
                self.silence_begins(wipe, time);
                self.goes_on_by(wipe, former, newer, time, effects);
            }
            // A presumed wipe of the past, or one that was contradicted and is open.
            None if was.owed.is_some() => was.owed.into_iter().for_each(|wipe| self.silence_begins(wipe, time)),
            None => {
                // One that a wipe has ended keeps its certificate for a last word; now that is over too.
                if was.is_live() {
                    mine.end(EnrolmentState::Revoked);
                }
                revoke(certificates(&was), effects);
                self.hand_over(former, time, effects);
            }
        }
    }

    /// From now on it counts when those were heard that an open wipe is owed to.
    fn silence_begins(&mut self, wipe: CommandId, time: Time) {
        if self.command(wipe).is_some_and(|wipe| !wipe.state.is_final()) {
            self.change(wipe, |wipe| wipe.heard = wipe.heard.or(Some(time.steady)));
        }
    }

    /// A wipe goes on by the newer one of two that it is owed to: that had its certificate already when it was asked for.
    fn goes_on_by(
        &mut self,
        id: CommandId,
        former: EnrolmentId,
        newer: EnrolmentId,
        time: Time,
        effects: &mut Vec<Effect>,
    ) {
        let Some(heir) = self.enrolment(newer).cloned() else { return };
        let goes = |c: &Command| c.enrolment == former && c.is_owed_to(&heir);
        if self.command(id).is_some_and(goes)
            && let Some(wipe) = self.lift(id)
        {
            self.inherit(wipe, (heir.id, heir.channel), time, effects);
        }
    }

    /// The device is managed again; where a wipe is still under way, it is under that. `anew`: what was known of it is of the past.
    fn begin_anew(&mut self, new: &Enrolment, anew: bool) {
        if new.channel.is_mail() {
            return self.invited_again();
        }
        if anew {
            let device = self.write();
            (device.life, device.wipe, device.mail_shut) = (Life::Enrolled, None, None);
            device.facts.clear();
        }
        self.write().asked = None;
        self.under_first();
    }

    /// A wipe that has ended shuts out the mail that was there. An invitation is an administrator's word, and what comes of it begins anew.
    fn invited_again(&mut self) {
        if matches!(self.life, Life::Retired | Life::Wiped) {
            self.write().life = Life::Enrolled;
        }
        let gone = |c: &Command| !self.enrolment(c.enrolment).is_some_and(Enrolment::is_live);
        let over = |id| {
            self.command(id).is_none_or(|c| match c.state {
                State::Confirmed | State::Presumed => true,
                // It failed since the enrolment that carried it was ended.
                State::Failed | State::Expired => gone(c),
                _ => false,
            })
        };
        if self.mail_shut.is_some_and(over) {
            self.write().mail_shut = None;
        }
    }

    pub(super) fn admitted(
        &mut self,
        enrolments: &[EnrolmentId],
        access: Access,
        by: &str,
        reason: &str,
        effects: &mut Vec<Effect>,
    ) {
        let (mut freed, mut mail) = (false, true);
        for id in enrolments {
            let Some(enrolment) = self.write().enrolment_mut(*id) else { continue };
            if matches!(enrolment.state, EnrolmentState::Retired | EnrolmentState::Wiped) {
                // It begins anew: what it acknowledged before proves nothing about what it gets from now on.
                enrolment.channel_state.remove(PROVISIONING);
                enrolment.applied.clear();
                freed = true;
            }
            mail &= enrolment.channel.is_mail();
            (enrolment.state, enrolment.decided) = (access.state(), Some(true));
            enrolment.graces.clear();
            let (enrolment, device, reason) = (*id, self.id, reason.to_string());
            let event = match access {
                Access::Allow => audit::Event::EnrolmentAllowed { enrolment, device, reason },
                Access::Block => audit::Event::EnrolmentBlocked { enrolment, device, reason },
                Access::Quarantine => audit::Event::EnrolmentQuarantined { enrolment, device, reason },
            };
            effects.push(Effect::Note(By::Admin(by.into()), event));
        }
        if access == Access::Allow && mail {
            let device = self.write();
            device.mail_shut = None;
            if freed && matches!(device.life, Life::Retired | Life::Wiped) {
                device.life = Life::Enrolled;
            }
        }
    }

    /// A rule neither frees what has ended, nor undoes a person's word or a wipe.
    pub(super) fn ruled(&mut self, enrolment: EnrolmentId, access: Access, graces: BTreeMap<String, Grace>) {
        let Some(mine) = self.enrolment(enrolment) else { return };
        if self.is_ruled(mine) && (mine.state != access.state() || mine.graces != graces) {
            self.with(enrolment, |mine| (mine.state, mine.graces) = (access.state(), graces));
        }
    }

    /// What an Exchange does with a client, where no person decided, and when it was heard there. A report frees nothing that has ended, and
    /// undoes neither a person's word nor a wipe.
    pub(super) fn found(&mut self, enrolment: EnrolmentId, access: Access, seen: Option<Timestamp>) {
        let free = self.life == Life::Enrolled && self.mail_shut.is_none();
        let Some(mine) = self.enrolment(enrolment) else { return };
        let open =
            matches!(mine.state, EnrolmentState::Enrolled | EnrolmentState::Quarantined | EnrolmentState::Blocked);
        let ours = mine.channel == Channel::Exchange && open;
        if ours && free && !mine.is_decided() && mine.state != access.state() {
            self.with(enrolment, |mine| mine.state = access.state());
        }
        if ours && self.enrolment(enrolment).is_some_and(|mine| mine.last_seen < seen) {
            self.with(enrolment, |mine| mine.last_seen = seen);
        }
    }

    /// The other's record goes; its commands, which have all ended, are the caller's to move.
    pub(super) fn adopted(&mut self, other: Managed, time: Time, effects: &mut Vec<Effect>) {
        let device = self.write();
        device.enrolments.extend(other.enrolments.iter().cloned());
        // What shut its mail keeps it shut, what it was in it stays in, and what was done to it is told of this one.
        device.mail_shut = device.mail_shut.or(other.mail_shut);
        device.wipe = device.wipe.or(other.wipe);
        device.groups.extend(other.groups.iter().cloned());
        // By an invitation it was said whose the device is; a setting for unknown clients says nothing of a managed one.
        let invited = other.enrolments.iter().any(|e| e.certificate.is_some());
        if other.ownership == Ownership::Personal && invited {
            self.make_personal(time, effects);
        }
    }

    /// A command of a record that was adopted, as this device's.
    pub fn inherited(&self, mut command: Command) -> Command {
        command.write().device = self.id;
        command
    }
}

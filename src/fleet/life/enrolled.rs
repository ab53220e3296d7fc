//! How a device comes in: an enrolment begins, is whole, takes the place of a former one; and who lets it in.

use super::{
    Access, Command, Effect, Managed, Outcome,
    act::Scope,
    command::State,
    device::{Certificate, Channel, Enrolment, EnrolmentState, Life, Ownership},
    ended::{End, certificates, revoke},
};
use crate::{
    fleet::{
        audit::{self, By, Proof},
        terms::{EvidenceKind, FailureCode},
    },
    ids::{CommandId, EnrolmentId, Fingerprint},
    store::Time,
};

/// Under this name a mail enrolment keeps how far its Provision has come.
pub const PROVISIONING: &str = "provisioning";

impl Managed {
    pub(super) fn begun(&mut self, enrolment: Enrolment, personal: bool, time: Time, effects: &mut Vec<Effect>) {
        self.write().enrolments.push(enrolment);
        if personal {
            self.make_personal(time, effects);
        }
    }

    /// From now on the device is its user's own: a full wipe that has not been sent comes to nothing.
    fn make_personal(&mut self, time: Time, effects: &mut Vec<Effect>) {
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
        let Some(mine) = self.write().enrolment_mut(enrolment) else { return };
        let mut ended: Vec<Fingerprint> = Vec::new();
        if mine.renewed.as_ref().is_some_and(|c| c.sha256 == *shown) {
            let former = std::mem::replace(&mut mine.certificate, mine.renewed.take());
            ended.extend(former.map(|c| c.sha256));
        }
        if mine.state == EnrolmentState::Pending {
            mine.state = EnrolmentState::Enrolled;
            let (channel, identity) = (mine.channel, mine.identity.to_lowercase());
            if channel != Channel::Activesync {
                self.end_of_former(enrolment, channel, time, effects);
            } else if matches!(self.life, Life::Retired | Life::Wiped) {
                self.write().life = Life::Enrolled;
            }
            for former in &mut self.write().enrolments {
                let same = former.channel == channel
                    && (channel != Channel::Activesync || former.identity.to_lowercase() == identity);
                if former.id != enrolment && same {
                    // One that a wipe has ended keeps its certificate for a last word; now that is over too.
                    ended.extend(certificates(former));
                    if former.is_live() {
                        former.end(EnrolmentState::Revoked);
                    }
                }
            }
            let event = audit::Event::EnrolmentComplete { enrolment, device: self.id, proof: Proof::Certificate };
            effects.push(Effect::Note(By::Device, event));
            revoke(ended, effects);
            if channel == Channel::Activesync {
                self.invited_again(time, effects);
            }
        } else {
            revoke(ended, effects);
        }
    }

    /// What a new enrolment says of what its channel's former one was to do: a full wipe that was sent and could not be answered is
    /// proved by the hardware's return (OMA-DM) or presumed; everything else is of the past. What another channel carries goes on.
    fn end_of_former(&mut self, new: EnrolmentId, channel: Channel, time: Time, effects: &mut Vec<Effect>) {
        let presumed = self.wipe.filter(|_| self.life == Life::Wiped);
        let of_past: Vec<CommandId> = self.device.open.iter().copied().chain(presumed).collect();
        for id in of_past {
            let of_former = |c: &&Command| c.enrolment != new && c.channel == channel;
            let Some(command) = self.command(id).filter(of_former) else { continue };
            if command.wipes(Scope::Full) && command.sent.is_some() && command.state != State::Confirmed {
                let detail = "the same hardware enrolled anew".to_string();
                let outcome = match channel {
                    Channel::Omadm => Outcome::Done { kind: EvidenceKind::EnrolledAnew, detail },
                    _ => Outcome::Presumed { kind: EvidenceKind::EnrolledAnew, detail },
                };
                self.answered(new, id, outcome, time, effects);
            } else if !command.state.is_final()
                && let Some(command) = self.lift(id)
            {
                let error = Some((FailureCode::EnrolledAnew, "the device enrolled anew before this reached it"));
                self.end(command, End { open_mail: true, error, ..End::of(State::Cancelled) }, time, effects);
            }
        }
        let device = self.write();
        (device.life, device.wipe, device.mail_shut) = (Life::Enrolled, None, None);
        // What another channel still has to do.
        self.under_first();
        let device = self.write();
        device.facts.clear();
        device.asked = None;
        for former in device.enrolments.iter_mut().filter(|e| e.id != new && e.channel == channel) {
            former.applied.clear();
        }
        // The end of a wipe ended the enrolments that were there; this one is newer than it.
        if let Some(mine) = device.enrolment_mut(new) {
            (mine.state, mine.created) = (EnrolmentState::Enrolled, time.now);
        }
    }

    /// A wipe that has ended shuts out the mail that was there. An invitation is an administrator's word, and what comes of it begins anew;
    /// what a dead enrolment still carried goes on by this one.
    fn invited_again(&mut self, time: Time, effects: &mut Vec<Effect>) {
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
        let dead: Vec<EnrolmentId> = self.enrolments.iter().filter(|e| !e.is_live()).map(|e| e.id).collect();
        for former in dead {
            self.hand_over(former, time, effects);
        }
    }

    pub(super) fn renewed(&mut self, enrolment: EnrolmentId, certificate: Certificate, effects: &mut Vec<Effect>) {
        let Some(mine) = self.write().enrolment_mut(enrolment) else { return };
        let unused = mine.renewed.replace(certificate);
        revoke(unused.map(|unused| unused.sha256), effects);
        let event = audit::Event::CertificateRenewed { enrolment, device: self.id };
        effects.push(Effect::Note(By::Device, event));
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
            mail &= enrolment.channel == Channel::Activesync;
            enrolment.state = access.state();
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

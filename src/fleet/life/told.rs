//! What a device says of itself, and what its channel keeps about it.

use super::{
    Claim, Effect, Managed,
    device::{Enrolment, EnrolmentState, Platform, Push},
    effect::Named,
};
use crate::{
    fleet::audit::{self, By},
    ids::EnrolmentId,
    store::Time,
};

/// Bytes of a name or a fact that are kept; a longer one is none.
const LONGEST: usize = 512;

fn good(text: &str) -> Option<&str> {
    let text = text.trim();
    (!text.is_empty() && text.len() <= LONGEST).then_some(text)
}

impl Managed {
    /// What is said as it was before changes nothing, so that nothing is written.
    pub(super) fn told(&mut self, claim: Claim, effects: &mut Vec<Effect>) {
        if let Some(platform) = claim.platform.filter(|p| *p != Platform::Other && *p != self.platform) {
            self.write().platform = platform;
        }
        let Claim { serial, name, mail_id, hardware_id, model, os_version, facts, .. } = claim;
        let before = &self.device;
        let said = [
            (Some(Named::Serial), serial, before.serial.clone()),
            (Some(Named::Name), name, before.name.clone()),
            (Some(Named::MailId), mail_id, before.mail_id.clone()),
            (Some(Named::Hardware), hardware_id, before.hardware_id.clone()),
            (None, model, before.model.clone()),
            (None, os_version, before.os_version.clone()),
        ];
        for (at, (named, new, before)) in said.into_iter().enumerate() {
            let Some(new) = new.as_deref().and_then(good).filter(|new| before.as_deref() != Some(new)) else {
                continue;
            };
            let device = self.write();
            let fields = [
                &mut device.serial,
                &mut device.name,
                &mut device.mail_id,
                &mut device.hardware_id,
                &mut device.model,
                &mut device.os_version,
            ];
            if let Some(field) = fields.into_iter().nth(at) {
                *field = Some(new.to_string());
            }
            // A device that calls itself something else each day is found by what it is called now, and keeps one name.
            effects.extend(named.zip(before).map(|(named, before)| Effect::Unname(named, before)));
            effects.extend(named.map(|named| Effect::Name(named, new.to_string())));
        }
        for (name, value) in facts {
            if let Some(value) = good(&value).filter(|value| self.facts.get(name).map(String::as_str) != Some(value)) {
                self.write().facts.insert(name.into(), value.into());
            }
        }
    }

    pub(super) fn with(&mut self, enrolment: EnrolmentId, how: impl FnOnce(&mut Enrolment)) {
        if self.enrolment(enrolment).is_some()
            && let Some(mine) = self.write().enrolment_mut(enrolment)
        {
            how(mine);
        }
    }

    pub(super) fn heard(&mut self, enrolment: EnrolmentId, time: Time) {
        self.with(enrolment, |mine| mine.last_seen = Some(time.now));
    }

    /// Nothing revives an enrolment that has ended.
    pub(super) fn push_told(&mut self, enrolment: EnrolmentId, push: Push, time: Time) {
        let good = |e: &Enrolment| {
            matches!(e.state, EnrolmentState::Pending | EnrolmentState::Enrolled | EnrolmentState::Former)
        };
        if self.enrolment(enrolment).is_some_and(good) {
            self.with(enrolment, |mine| {
                mine.push = Some(Push { told: Some(time.now), ..push });
                mine.last_seen = Some(time.now);
            });
        }
    }

    pub(super) fn push_retired(
        &mut self,
        enrolment: EnrolmentId,
        token: &str,
        since: Option<u64>,
        effects: &mut Vec<Effect>,
    ) {
        let since = since.and_then(|ms| i64::try_from(ms).ok());
        let older = |push: &Push| since.zip(push.told).is_none_or(|(since, told)| told.0 <= since);
        let of_this = |push: &&Push| push.token == token && !push.retired && older(push);
        if self.enrolment(enrolment).and_then(|mine| mine.push.as_ref()).filter(of_this).is_none() {
            return;
        }
        self.with(enrolment, |mine| {
            if let Some(push) = &mut mine.push {
                push.retired = true;
            }
        });
        let event = audit::Event::PushRetired { enrolment, device: self.id };
        effects.push(Effect::Note(By::System, event));
    }

    pub(super) fn user_told(&mut self, enrolment: EnrolmentId, id: &str, name: Option<String>, push: Push, time: Time) {
        if self.enrolment(enrolment).is_some_and(|mine| mine.state == EnrolmentState::Enrolled) {
            let push = Push { told: Some(time.now), ..push };
            self.with(enrolment, |mine| mine.note_user(id, name, push, time.now));
        }
    }

    pub(super) fn noted(&mut self, enrolment: EnrolmentId, name: &str, value: Option<String>) {
        let kept = self.enrolment(enrolment).and_then(|mine| mine.channel_state.get(name));
        if kept == value.as_ref() {
            return;
        }
        self.with(enrolment, |mine| match value {
            Some(value) => drop(mine.channel_state.insert(name.into(), value)),
            None => drop(mine.channel_state.remove(name)),
        });
    }

    pub(super) fn grouped(&mut self, group: String, inside: bool) {
        if self.groups.contains(&group) == inside {
            return;
        }
        let groups = &mut self.write().groups;
        if inside {
            groups.insert(group);
        } else {
            groups.remove(&group);
        }
    }
}

//! An enrolment's certificate is renewed before it ends: when the server asks for that, how far it has come, and from when on the new one
//! is the pin.
//!
//! PCs and clients of SCEP come by themselves and show the present certificate: the first use of the new one makes it the pin. An Apple
//! device is asked, by a command that brings its enrolment profile anew with a challenge in it, and whoever has that gets a certificate. So
//! what came of a challenge is set apart until it shows that it is the device: by answering the command, whose id stands in no profile, or
//! by the push token and magic that the device alone was given. It is the pin once a TokenUpdate came under it and the command is
//! acknowledged, in whatever order; until then the former one counts as well.

use super::{
    Command, Effect, Managed,
    command::{Evidence, State},
    device::{
        Certificate, Enrolment, Push,
        renewal::{Aside, Renewal, Shown, Spent},
    },
};
use crate::{
    clock::Timestamp,
    fleet::{
        audit::{self, By},
        terms::{EvidenceKind, FailureCode},
    },
    ids::{CommandId, EnrolmentId, Fingerprint},
    policy::pause_after,
    store::Time,
};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
/// A renewal is asked for when a third of a certificate's life is left, or so much where that is less. Early, since it costs one message, and a
/// device may lie in a drawer for months: with 30 days of a year others lost some, and went to 180 (fleetdm/fleet#37880, #21747). What
/// still stands among the certificates that end within a month has been asked for five by then.
const EARLY: Duration = DAY.saturating_mul(180);
/// A challenge is good for so long after it was handed out. The device asks with it at once; with the next hand-out it gets another.
const OFFERED: Duration = Duration::from_secs(3600);
/// So near to its end …
const NEAR: Duration = DAY.saturating_mul(7);
/// … what came to nothing is tried again after so long at most.
const URGENT: Duration = Duration::from_secs(3600);
/// The former certificate is heard for so long after the new one is the pin: a connection under it may still be open, with an answer on the
/// way.
const OVERLAP: Duration = Duration::from_secs(600);

impl Enrolment {
    /// Whether this certificate came of a challenge, and nothing has shown yet that the device has it.
    pub fn is_set_apart(&self, sha256: &Fingerprint) -> bool {
        self.renewal.as_ref().is_some_and(|renewal| renewal.gave(sha256) && !renewal.proved)
    }

    /// The certificate that ends last, of those that are surely the device's.
    pub fn newest(&self) -> Option<&Certificate> {
        let renewed = self.renewed.as_ref().filter(|renewed| !self.is_set_apart(&renewed.sha256));
        renewed.or(self.certificate.as_ref())
    }

    /// From when on another certificate is asked for.
    pub fn renews_from(&self) -> Option<Timestamp> {
        let Certificate { not_before, not_after, .. } = self.newest()?;
        Some(not_after.minus((not_after.since(*not_before) / 3).min(EARLY)))
    }

    /// Whether one is to be asked for now. Never by a clock that is doubted; and what has ended is heard no more.
    pub fn renewal_is_due(&self, time: Time) -> bool {
        let waits = self.renewal.as_ref().and_then(|renewal| renewal.again).is_some_and(|again| again > time.steady);
        let ended = self.newest().is_none_or(|newest| newest.not_after <= time.now);
        !time.doubted && !waits && !ended && self.renews_from().is_some_and(|from| from <= time.now)
    }

    /// Whoever has the renewed certificate is the device: what it told counts.
    fn proves(&mut self) {
        let Some(renewal) = self.renewal.as_mut().filter(|renewal| !renewal.proved) else { return };
        renewal.proved = true;
        let Aside { push, noted } = std::mem::take(&mut renewal.aside);
        self.push = push.or(self.push.take());
        for (name, value) in noted {
            match value {
                Some(value) => drop(self.channel_state.insert(name, value)),
                None => drop(self.channel_state.remove(&name)),
            }
        }
    }

    /// The renewed certificate is the pin. Answers the former one.
    fn take_over(&mut self) -> Option<Fingerprint> {
        let renewed = self.renewed.take()?;
        self.certificate.replace(renewed).map(|former| former.sha256)
    }
}

impl Managed {
    /// A challenge is handed out with the command; one before it is good for nothing any more.
    pub(super) fn renewal_offered(&mut self, enrolment: EnrolmentId, id: CommandId, challenge: String, time: Time) {
        self.with(enrolment, |mine| {
            let renewal = mine.renewal.get_or_insert_default();
            (renewal.command, renewal.challenge) = (Some(id), Some(challenge));
            renewal.until = time.steady.plus(OFFERED);
        });
    }

    /// A certificate for a new key was issued, to who showed the present one or (`shown`) a challenge.
    pub(super) fn renewed(
        &mut self,
        enrolment: EnrolmentId,
        certificate: Certificate,
        shown: Option<Shown>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(mine) = self.write().enrolment_mut(enrolment) else { return };
        // What the device surely has may be all that it has: it is not replaced before the next one is proved.
        if mine.renewal.as_ref().is_some_and(|renewal| renewal.proved) {
            effects.extend(mine.take_over().map(|former| Effect::Revoke(former, OVERLAP)));
        }
        let sha256 = certificate.sha256;
        let unused = mine.renewed.replace(certificate);
        effects.extend(unused.map(|unused| Effect::Revoke(unused.sha256, Duration::ZERO)));
        if let Some(renewal) = &mut mine.renewal {
            renewal.begin();
            let asked = shown.zip(renewal.command);
            renewal.spent = asked.map(|(Shown { challenge, key }, command)| Spent { command, challenge, key, sha256 });
        }
        let event = audit::Event::CertificateRenewed { enrolment, device: self.id };
        effects.push(Effect::Note(By::Device, event));
    }

    /// The enrolment speaks under its renewed certificate: as soon as all that it takes is there, that is the pin.
    pub(super) fn speaks_under(&mut self, enrolment: EnrolmentId, shown: &Fingerprint, effects: &mut Vec<Effect>) {
        let Some(mine) = self.write().enrolment_mut(enrolment) else { return };
        if mine.renewed.as_ref().is_none_or(|renewed| renewed.sha256 != *shown) {
            return;
        }
        match mine.renewal.as_mut().filter(|renewal| renewal.gave(shown)) {
            Some(renewal) => {
                renewal.told = true;
                self.becomes_the_pin(enrolment, effects);
            }
            None => {
                mine.renewal = None;
                effects.extend(mine.take_over().map(|former| Effect::Revoke(former, Duration::ZERO)));
            }
        }
    }

    /// It is on record, and ends nothing.
    pub(super) fn said_apart(&mut self, enrolment: EnrolmentId, id: CommandId, detail: String, time: Time) {
        let Some(channel) = self.enrolment(enrolment).map(|mine| mine.channel) else { return };
        let kind = EvidenceKind::LaterEnrolment;
        self.prove(id, Evidence { time: time.now, enrolment, channel, kind, detail });
    }

    /// Who has a certificate that is set apart told how to be woken (`push`), and what the channel keeps (`noted`).
    pub(super) fn told_aside(
        &mut self,
        enrolment: EnrolmentId,
        push: Option<Push>,
        noted: Vec<(&'static str, Option<String>)>,
        time: Time,
    ) {
        self.with(enrolment, |mine| {
            let Some(renewal) = &mut mine.renewal else { return };
            renewal.told |= push.is_some();
            renewal.aside.noted.extend(noted.into_iter().map(|(name, value)| (name.to_string(), value)));
            let Some(push) = push else { return };
            let same = |known: &Push| known.token == push.token && known.magic == push.magic;
            let proved = mine.push.as_ref().is_some_and(same);
            renewal.aside.push = Some(Push { told: Some(time.now), ..push });
            if proved {
                mine.proves();
            }
        });
    }

    /// The command that asked for a renewal has ended so.
    pub(super) fn renewal_ended(&mut self, command: &Command, time: Time, effects: &mut Vec<Effect>) {
        let (id, enrolment) = (command.id, command.enrolment);
        let Some(mine) = self.write().enrolment_mut(enrolment) else { return };
        let spent = mine.renewal.as_ref().and_then(|renewal| renewal.spent.as_ref());
        let came = spent.is_some_and(|spent| spent.command == id);
        match (command.state, &command.error) {
            (State::Acknowledged, _) if came => {
                mine.proves();
                if let Some(renewal) = &mut mine.renewal {
                    renewal.acknowledged = true;
                }
                self.becomes_the_pin(enrolment, effects);
            }
            (State::Acknowledged, _) => mine.in_vain("it was acknowledged, and no certificate was asked for", time),
            (State::Failed, error) => {
                let error = error.as_ref();
                // Who never answers may have it nevertheless, and say so one day.
                let silent = error.is_some_and(|error| error.code == FailureCode::NoAnswer);
                mine.in_vain(error.map_or("", |error| error.text.as_str()), time);
                if came && !silent {
                    mine.give_back(effects);
                }
            }
            (State::Cancelled, _) => mine.in_vain("it was taken back", time),
            _ => {}
        }
    }

    fn becomes_the_pin(&mut self, enrolment: EnrolmentId, effects: &mut Vec<Effect>) {
        let Some(mine) = self.write().enrolment_mut(enrolment) else { return };
        let whole = |renewal: &Renewal| renewal.told && renewal.acknowledged;
        if mine.renewal.as_deref().is_some_and(whole) {
            mine.renewal = None;
            effects.extend(mine.take_over().map(|former| Effect::Revoke(former, OVERLAP)));
        }
    }
}

impl Enrolment {
    /// It is tried again after a pause that grows, near the end within the hour.
    fn in_vain(&mut self, why: &str, time: Time) {
        let near = self.newest().is_some_and(|newest| newest.not_after.since(time.now) <= NEAR);
        let renewal = self.renewal.get_or_insert_default();
        renewal.tries = renewal.tries.saturating_add(1);
        let pause = pause_after(renewal.tries);
        renewal.again = Some(time.steady.plus(if near { pause.min(URGENT) } else { pause }));
        renewal.why = Some(why.into());
    }

    /// The device refused: what somebody got for the challenge counts for nothing.
    fn give_back(&mut self, effects: &mut Vec<Effect>) {
        let Some(renewal) = self.renewal.as_mut().filter(|renewal| !renewal.proved) else { return };
        renewal.begin();
        renewal.challenge = None;
        let unused = self.renewed.take();
        effects.extend(unused.map(|unused| Effect::Revoke(unused.sha256, Duration::ZERO)));
    }
}

#[cfg(test)]
mod tests;

//! Phones, Macs, PCs and mail clients as they are in the world: they break off, lie, die, come back, are cloned and claimed.

use crate::{
    calls::{self, Handed, Message, Said},
    truth::{Cause, Verdict},
    world::World,
};
use lanyard::{
    fleet::{
        life::{Channel, Claim, Outcome, Ownership, Platform, Scope},
        registry::Standing,
        terms::{EvidenceKind, FailureCode},
    },
    ids::{CommandId, DeviceId, EnrolmentId, Fingerprint, InvitationId},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Phone,
    Mac,
    Pc,
    MailClient,
}

impl Kind {
    pub fn channel(self) -> Channel {
        match self {
            Self::Phone | Self::Mac => Channel::Apple,
            Self::Pc => Channel::Omadm,
            Self::MailClient => Channel::Activesync,
        }
    }

    fn platform(self) -> Platform {
        match self {
            Self::Phone => Platform::Ios,
            Self::Mac => Platform::Macos,
            Self::Pc => Platform::Windows,
            Self::MailClient => Platform::Android,
        }
    }
}

/// A certificate that a machine holds, and what it is good for.
#[derive(Debug, Clone)]
pub struct Identity {
    pub shown: Fingerprint,
    pub enrolment: EnrolmentId,
    pub channel: Channel,
    pub personal: bool,
    /// The record that it was bound to.
    pub record: DeviceId,
}

/// How far an enrolment has come that broke off.
#[derive(Debug, Clone)]
enum Entering {
    Invited(InvitationId),
    Issued(Fingerprint, EnrolmentId),
    Bound(Identity),
}

/// One thing of glass and metal, or a script that says that it is one.
#[derive(Debug, Clone)]
pub struct Machine {
    pub name: String,
    pub kind: Kind,
    user: &'static str,
    /// UDID or DeviceID.
    identity: String,
    hardware: Option<String>,
    mail_id: String,
    pub on: bool,
    /// It says what suits it and does nothing.
    pub script: bool,
    /// A mail client before ActiveSync 16.1.
    pub old: bool,
    pub held: Vec<Identity>,
    backup: Vec<Identity>,
    entering: Option<(Entering, Channel, Ownership)>,
    /// The link that it had last, and how many keys it has made.
    link: Option<(InvitationId, Channel, Ownership)>,
    keys: usize,
    pub todo: Option<(Handed, Fingerprint)>,
    /// What it has said, to be said again.
    memory: Vec<(Fingerprint, CommandId, Outcome)>,
}

impl Machine {
    pub fn new(number: usize, kind: Kind, user: &'static str, old: bool) -> Self {
        let name = match kind {
            Kind::Phone => "phone",
            Kind::Mac => "mac",
            Kind::Pc => "pc",
            Kind::MailClient => "mail",
        };
        Self {
            name: format!("{name}-{number}"),
            kind,
            user,
            identity: format!("ID-{number}"),
            hardware: (kind == Kind::Pc).then(|| format!("HW-{number}")),
            mail_id: format!("MAIL{number}"),
            on: true,
            script: false,
            old,
            held: Vec::new(),
            backup: Vec::new(),
            entering: None,
            link: None,
            keys: 0,
            todo: None,
            memory: Vec::new(),
        }
    }

    /// Another one with all that this one has.
    fn clone_of(&self, number: usize) -> Self {
        Self { name: format!("{}-clone-{number}", self.name), ..self.clone() }
    }

    fn claim(&self, channel: Channel) -> Claim {
        let identity = if channel == Channel::Activesync { &self.mail_id } else { &self.identity };
        Claim {
            identity: identity.clone(),
            platform: Some(self.kind.platform()),
            serial: Some(format!("S{}", self.identity)),
            hardware_id: self.hardware.clone().filter(|_| channel == Channel::Omadm),
            ..Claim::default()
        }
    }

    /// All of it is gone; what a backup holds is not.
    fn erased(&mut self) {
        (self.held, self.todo, self.entering) = (Vec::new(), None, None);
        self.memory.clear();
    }

    fn lose(&mut self, shown: &Fingerprint) {
        self.held.retain(|i| i.shown != *shown);
    }
}

/// Answers as the channels make them of what came over the wire.
fn done() -> Outcome {
    Outcome::Done { kind: EvidenceKind::Acknowledged, detail: "Acknowledged".into() }
}

fn accepted(kind: EvidenceKind) -> Outcome {
    Outcome::Presumed { kind, detail: kind.as_str().into() }
}

fn failed() -> Outcome {
    Outcome::Failed { code: FailureCode::Protocol("12021".into()), text: "no".into() }
}

impl World {
    fn a_machine(&mut self, fits: impl Fn(&Machine) -> bool) -> Option<usize> {
        let fitting: Vec<usize> = (0..self.machines.len()).filter(|at| fits(&self.machines[*at])).collect();
        self.dice.pick(&fitting)
    }

    /// Somebody enrols, or goes on where it broke off.
    pub fn somebody_enrols(&mut self) -> Verdict {
        let fresh = self.a_machine(|m| m.on && (m.held.is_empty() || m.entering.is_some()));
        let at = match fresh {
            Some(at) => at,
            // Who is enrolled enrols anew, with all that it has or after a reset of the user's.
            None => match self.a_machine(|m| m.on) {
                Some(at) => at,
                None => return Ok(()),
            },
        };
        if self.machines[at].entering.is_none() {
            let channel = self.machines[at].kind.channel();
            let whose = if self.dice.in_hundred(8) { Ownership::Personal } else { Ownership::Corporate };
            if !self.machines[at].held.is_empty() && self.dice.in_hundred(50) {
                self.say(at, "is reset by its user");
                self.machines[at].erased();
            }
            self.invite(at, channel, whose)?;
        }
        let steps = self.dice.below(6);
        (0..steps).try_for_each(|_| self.enters(at))
    }

    /// A phone or PC reads mail as well.
    pub fn somebody_adds_mail(&mut self) -> Verdict {
        let Some(at) = self.a_machine(|m| m.on && m.kind != Kind::MailClient && m.entering.is_none()) else {
            return Ok(());
        };
        if self.machines[at].held.iter().any(|i| i.channel == Channel::Activesync) {
            return self.tells_mail_id(at);
        }
        if self.dice.in_hundred(50) {
            self.tells_mail_id(at)?;
        }
        self.invite(at, Channel::Activesync, Ownership::Corporate)?;
        (0..3).try_for_each(|_| self.enters(at))
    }

    fn tells_mail_id(&mut self, at: usize) -> Verdict {
        let machine = &self.machines[at];
        let strong = machine.held.iter().find(|i| i.channel != Channel::Activesync).cloned();
        let Some(strong) = strong else { return Ok(()) };
        self.say(at, "tells the name of its mail client");
        let mail_id = self.machines[at].mail_id.clone();
        if let Ok((record, enrolments)) = self.stage.call(move |tx| calls::tell_mail_id(tx, &strong.shown, &mail_id))? {
            // Its mail may have joined.
            for machine in &mut self.machines {
                let its = |i: &&mut Identity| enrolments.contains(&i.enrolment);
                machine.held.iter_mut().chain(&mut machine.backup).filter(its).for_each(|i| i.record = record);
            }
        }
        self.look(&Cause::Entry)
    }

    fn invite(&mut self, at: usize, channel: Channel, whose: Ownership) -> Verdict {
        let (secret, user) = (self.admins[0].secret.clone(), self.machines[at].user);
        self.say(at, &format!("is invited to {} as {whose:?}", channel.as_str()));
        let invited = self.stage.sure(move |tx| calls::invite(tx, &secret, channel, user, whose))?;
        self.machines[at].entering = Some((Entering::Invited(invited), channel, whose));
        self.machines[at].link = Some((invited, channel, whose));
        Ok(())
    }

    /// An install that came to nothing half-way is begun again by the same link; it makes another key.
    fn breaks_off(&mut self, at: usize) {
        let machine = &self.machines[at];
        let Some((entering, ..)) = machine.entering.clone() else { return };
        let Some((link, channel, whose)) = machine.link.filter(|_| !matches!(entering, Entering::Invited(_))) else {
            return;
        };
        self.say(at, "breaks off, and begins again by the same link");
        let machine = &mut self.machines[at];
        if let Entering::Bound(identity) = &entering {
            machine.lose(&identity.shown);
        }
        machine.keys += 1;
        machine.entering = Some((Entering::Invited(link), channel, whose));
    }

    /// One message further on the way in.
    fn enters(&mut self, at: usize) -> Verdict {
        self.events += 1;
        if self.dice.in_hundred(10) {
            self.breaks_off(at);
        }
        let Some((entering, channel, whose)) = self.machines[at].entering.clone() else { return Ok(()) };
        let lost = self.dice.in_hundred(10);
        let next = match entering {
            Entering::Invited(invitation) => {
                let key = format!("{}-{}", self.machines[at].name, self.machines[at].keys);
                let Ok((shown, enrolment)) = self.stage.call(move |tx| calls::spend(tx, invitation, &key))? else {
                    self.machines[at].entering = None;
                    return Ok(());
                };
                Some(Entering::Issued(shown, enrolment))
            }
            Entering::Issued(shown, enrolment) => self.binds(at, shown, enrolment, channel, whose)?,
            Entering::Bound(identity) => {
                self.completes(at, &identity)?;
                None
            }
        };
        if !lost {
            let machine = &mut self.machines[at];
            machine.entering = next.map(|next| (next, channel, whose));
        }
        Ok(())
    }

    fn completes(&mut self, at: usize, identity: &Identity) -> Verdict {
        let (shown, name) = (identity.shown, self.named(identity.enrolment));
        self.say(at, &format!("completes {name}"));
        if identity.channel == Channel::Omadm {
            // A PC's first session does.
            let handed = self.speaks(at, identity, None)?;
            self.takes(at, identity, handed);
            return Ok(());
        }
        if self.stage.call(move |tx| calls::complete(tx, &shown))?.is_ok() {
            self.truth.was_heard(identity.enrolment, self.stage.now());
        }
        self.look(&Cause::Entry)
    }

    fn binds(
        &mut self,
        at: usize,
        shown: Fingerprint,
        enrolment: EnrolmentId,
        channel: Channel,
        whose: Ownership,
    ) -> std::result::Result<Option<Entering>, String> {
        let claim = self.machines[at].claim(channel);
        let Ok(record) = self.stage.call(move |tx| calls::bind(tx, &shown, &claim))? else { return Ok(None) };
        let personal = whose == Ownership::Personal;
        let identity = Identity { shown, enrolment, channel, personal, record };
        let (name, of) = (self.named(enrolment), self.record_name(record));
        self.say(at, &format!("begins {name} of {of}"));
        self.truth.joined(record, enrolment, self.stage.now());
        // What it had for this channel has no place beside the new one.
        let machine = &mut self.machines[at];
        machine.held.retain(|i| i.channel != channel || i.shown == shown);
        if machine.held.iter().all(|i| i.shown != shown) {
            machine.held.push(identity.clone());
        }
        self.look(&Cause::Entry)?;
        Ok(Some(Entering::Bound(identity)))
    }

    /// A script enrols under a machine's name, by an invitation for the same user.
    pub fn a_script_claims(&mut self) -> Verdict {
        let Some(of) = self.a_machine(|m| !m.script && m.held.iter().any(|i| i.channel == m.kind.channel())) else {
            return Ok(());
        };
        let number = self.machines.len();
        let mut script = self.machines[of].clone_of(number);
        (script.held, script.entering, script.todo) = (Vec::new(), None, None);
        (script.script, script.on, script.name) = (true, true, format!("script-{number}"));
        let channel = script.kind.channel();
        self.machines.push(script);
        self.say(number, &format!("claims to be {}", self.machines[of].name));
        let whose = if self.dice.in_hundred(25) { Ownership::Personal } else { Ownership::Corporate };
        match self.machines[of].link.filter(|_| self.dice.in_hundred(30)) {
            Some((link, channel, whose)) => {
                self.say(number, "has its link too");
                self.machines[number].entering = Some((Entering::Invited(link), channel, whose));
            }
            None => self.invite(number, channel, whose)?,
        }
        (0..3).try_for_each(|_| self.enters(number))
    }

    /// Two with one certificate, or with one hardware id.
    pub fn somebody_is_cloned(&mut self) -> Verdict {
        let Some(of) = self.a_machine(|m| !m.script && !m.held.is_empty()) else { return Ok(()) };
        let number = self.machines.len();
        let mut clone = self.machines[of].clone_of(number);
        clone.todo = None;
        if self.dice.in_hundred(60) && clone.kind == Kind::Pc {
            // Set up by itself: it has another name, and the same hardware id.
            (clone.held, clone.entering, clone.identity) = (Vec::new(), None, format!("ID-{number}"));
        }
        self.machines.push(clone);
        self.say(number, &format!("is a clone of {}", self.machines[of].name));
        Ok(())
    }

    pub fn somebody_is_switched(&mut self) -> Verdict {
        let Some(at) = self.a_machine(|_| true) else { return Ok(()) };
        let on = !self.machines[at].on;
        self.machines[at].on = on;
        self.say(at, if on { "is switched on" } else { "is switched off" });
        Ok(())
    }

    pub fn somebody_is_backed_up(&mut self) -> Verdict {
        let Some(at) = self.a_machine(|m| m.on && !m.held.is_empty()) else { return Ok(()) };
        self.say(at, "is backed up");
        let machine = &mut self.machines[at];
        machine.backup.clone_from(&machine.held);
        Ok(())
    }

    pub fn somebody_is_restored(&mut self) -> Verdict {
        let Some(at) = self.a_machine(|m| !m.backup.is_empty()) else { return Ok(()) };
        self.say(at, "comes back from its backup");
        let machine = &mut self.machines[at];
        (machine.held, machine.on, machine.todo, machine.entering) = (machine.backup.clone(), true, None, None);
        Ok(())
    }

    pub fn somebody_leaves(&mut self) -> Verdict {
        let Some(at) = self.a_machine(|m| m.on && m.held.iter().any(|i| i.channel != Channel::Activesync)) else {
            return Ok(());
        };
        let which: Vec<Identity> =
            self.machines[at].held.iter().filter(|i| i.channel != Channel::Activesync).cloned().collect();
        let Some(identity) = self.dice.pick(&which) else { return Ok(()) };
        if self.dice.in_hundred(70) {
            self.speaks(at, &identity, Some(Said::Leaves))?;
        }
        self.machines[at].lose(&identity.shown);
        Ok(())
    }

    /// A machine that is on asks what is due. What it is handed may never reach it.
    pub fn somebody_polls(&mut self) -> Verdict {
        let Some(at) = self.a_machine(|m| m.on && !m.held.is_empty()) else { return Ok(()) };
        self.polls(at)
    }

    pub fn polls(&mut self, at: usize) -> Verdict {
        let held = self.machines[at].held.clone();
        let Some(identity) = self.dice.pick(&held) else { return Ok(()) };
        let handed = self.speaks(at, &identity, None)?;
        self.takes(at, &identity, handed);
        Ok(())
    }

    fn takes(&mut self, at: usize, identity: &Identity, handed: Option<Handed>) {
        if let Some(handed) = handed {
            match self.dice.in_hundred(25) {
                true => self.say(at, "… and never gets it"),
                false => self.machines[at].todo = Some((handed, identity.shown)),
            }
        }
    }

    /// A machine does, or says that it does, what it was handed.
    pub fn somebody_acts(&mut self) -> Verdict {
        let Some(at) = self.a_machine(|m| m.on && m.todo.is_some()) else { return self.somebody_polls() };
        let Some((handed, shown)) = self.machines[at].todo.take() else { return Ok(()) };
        let Some(identity) = self.machines[at].held.iter().find(|i| i.shown == shown).cloned() else { return Ok(()) };
        let kind = self.machines[at].kind;
        let Some(scope) = handed.scope else {
            let outcome = if self.dice.in_hundred(80) { done() } else { Outcome::NotNow };
            return self.answers(at, &identity, handed.command, outcome);
        };
        let script = self.machines[at].script;
        let (outcome, does) = match (identity.channel, self.dice.below(100)) {
            (_, 0..60) if script => (Some(done()), false),
            (_, 60..90) if script => (Some(accepted(EvidenceKind::Status)), false),
            (_, 0..10) => (Some(Outcome::NotNow), false),
            (_, 10..18) => (Some(failed()), false),
            // It does it, and its answer is lost.
            (_, 18..28) => (None, true),
            // It never comes to it.
            (_, 28..36) => (None, false),
            (Channel::Omadm, 36..70) if scope == Scope::Full => (Some(accepted(EvidenceKind::Status)), true),
            (Channel::Omadm, _) if scope == Scope::Full => (Some(accepted(EvidenceKind::Status)), false),
            (Channel::Apple, 36..55) if kind == Kind::Mac && scope == Scope::Full => {
                (Some(accepted(EvidenceKind::Error)), self.dice.in_hundred(50))
            }
            // It lies.
            (_, 92..) => (Some(done()), false),
            _ => (Some(done()), true),
        };
        match outcome {
            Some(_) if identity.channel == Channel::Omadm && scope == Scope::Selective && does => {
                self.speaks(at, &identity, Some(Said::Leaves)).map(drop)?;
            }
            Some(outcome) => {
                self.answers(at, &identity, handed.command, outcome.clone())?;
                if self.dice.in_hundred(15) {
                    self.answers(at, &identity, handed.command, outcome)?;
                }
            }
            None => {}
        }
        if does {
            self.does(at, &identity, scope)?;
        }
        Ok(())
    }

    fn answers(&mut self, at: usize, identity: &Identity, command: CommandId, outcome: Outcome) -> Verdict {
        self.machines[at].memory.push((identity.shown, command, outcome.clone()));
        let handed = self.speaks(at, identity, Some(Said::Of(command, outcome)))?;
        self.takes(at, identity, handed);
        Ok(())
    }

    /// The deed.
    fn does(&mut self, at: usize, identity: &Identity, scope: Scope) -> Verdict {
        if scope == Scope::Full {
            self.say(at, "is erased");
            self.machines[at].erased();
            return Ok(());
        }
        self.say(at, "forgets the organisation's data");
        if identity.channel == Channel::Apple && self.dice.in_hundred(60) {
            self.speaks(at, identity, Some(Said::Leaves))?;
        }
        self.machines[at].lose(&identity.shown);
        Ok(())
    }

    /// The server asks an Apple device for another certificate. It refuses, breaks off anywhere on the way, or goes through with it.
    pub fn somebody_is_renewed(&mut self) -> Verdict {
        let apple = |i: &Identity| i.channel == Channel::Apple;
        let Some(at) = self.a_machine(|m| m.on && !m.script && m.held.iter().any(apple)) else { return Ok(()) };
        let Some(old) = self.machines[at].held.iter().find(|i| apple(i)).cloned() else { return Ok(()) };
        let shown = old.shown;
        let asked = self.stage.sure(move |tx| calls::asks_to_renew(tx, &shown))?;
        self.look(&Cause::Entry)?;
        let Some((command, challenge)) = asked else { return Ok(()) };
        self.say(at, "is asked for another certificate");
        match self.dice.below(100) {
            0..12 => return Ok(()),
            12..24 => return self.answers(at, &old, command, failed()),
            _ => {}
        }
        let key = format!("{} {}", self.machines[at].name, self.events);
        let Ok(shown) = self.stage.call(move |tx| calls::renewed(tx, &challenge, &key))? else { return Ok(()) };
        if self.dice.in_hundred(15) {
            self.say(at, "… gets one, and breaks off");
            return self.look(&Cause::Entry);
        }
        let new = Identity { shown, ..old.clone() };
        let first = self.dice.in_hundred(30);
        if first {
            self.answers(at, &old, command, done())?;
        }
        // What it is pushed with may stay the same.
        let magic = if self.dice.in_hundred(50) { "one" } else { "another" };
        let updated = self.stage.call(move |tx| calls::token_update(tx, &shown, magic))?;
        self.look(&Cause::Entry)?;
        if updated.is_err() {
            return Ok(());
        }
        self.say(at, "… and speaks under it");
        let held = self.machines[at].held.iter_mut().filter(|i| i.shown == old.shown);
        held.for_each(|i| i.shown = shown);
        match self.dice.below(100) {
            _ if first => Ok(()),
            // Its word is lost.
            0..20 => Ok(()),
            20..50 => self.answers(at, &old, command, done()),
            _ => self.answers(at, &new, command, done()),
        }
    }

    /// A machine says of a wipe that it is done, whether or not it ever heard of it.
    fn somebody_claims(&mut self) -> Verdict {
        let Some(at) = self.a_machine(|m| m.on && !m.held.is_empty()) else { return Ok(()) };
        let held = self.machines[at].held.clone();
        let Some(identity) = self.dice.pick(&held) else { return Ok(()) };
        let wipes: Vec<CommandId> =
            self.truth.wipes.iter().filter(|(_, w)| w.record == identity.record).map(|(id, _)| *id).collect();
        match self.dice.pick(&wipes) {
            Some(wipe) => self.answers(at, &identity, wipe, done()),
            None => Ok(()),
        }
    }

    /// What was said once is said again, much later.
    pub fn somebody_repeats_itself(&mut self) -> Verdict {
        if self.dice.in_hundred(30) {
            return self.somebody_claims();
        }
        let Some(at) = self.a_machine(|m| m.on && !m.memory.is_empty()) else { return Ok(()) };
        let memory = self.machines[at].memory.clone();
        let Some((shown, command, outcome)) = self.dice.pick(&memory) else { return Ok(()) };
        let Some(identity) = self.machines[at].held.iter().find(|i| i.shown == shown).cloned() else { return Ok(()) };
        self.answers(at, &identity, command, outcome)
    }

    /// One message to its answer, held against the truth.
    pub fn speaks(
        &mut self,
        at: usize,
        identity: &Identity,
        said: Option<Said>,
    ) -> std::result::Result<Option<Handed>, String> {
        self.events += 1;
        let (fault, old) = (self.fault, self.machines[at].old);
        let message = Message { shown: identity.shown, said: said.clone(), old };
        let heard = self.stage.sure(move |tx| calls::check_in(tx, &message, fault))?;
        let words = match &said {
            None => "asks".to_string(),
            Some(Said::Leaves) => "leaves".to_string(),
            Some(Said::Of(command, outcome)) => format!("says {} of {}", words(outcome), self.wipe_name(*command)),
        };
        let gets = match (heard.handed, heard.shut_out, heard.standing) {
            (Some(handed), ..) => format!(", gets {}", self.wipe_name(handed.command)),
            (_, Some(wipe), _) => format!(", is shut out by {}", self.wipe_name(wipe)),
            (_, _, Standing::Good) => String::new(),
            (_, _, refused) => format!(", is refused: {refused:?}"),
        };
        let name = self.named(identity.enrolment);
        self.say(at, &format!("{words} under {name}{gets}"));
        if heard.standing == Standing::Good && heard.counts {
            self.truth.was_heard(identity.enrolment, self.stage.now());
        }
        if heard.standing == Standing::Ended && identity.channel == Channel::Apple {
            self.machines[at].lose(&identity.shown);
        }
        let (enrolment, apart) = (identity.enrolment, heard.apart);
        let cause = Cause::Speech { enrolment, said, shut_out: heard.shut_out, apart };
        self.look(&cause)?;
        if let Some(handed) = heard.handed {
            self.truth.handed(handed, identity.enrolment, identity.record, identity.personal)?;
        }
        Ok(heard.handed)
    }

    /// At last everybody does as it is told, and nothing is lost.
    pub fn obeys(&mut self, at: usize, identity: &Identity) -> Verdict {
        for _ in 0..4 {
            let Some(handed) = self.speaks(at, identity, None)? else { return Ok(()) };
            let script = self.machines[at].script;
            let full = handed.scope == Some(Scope::Full);
            let said = match identity.channel {
                Channel::Omadm if full => Said::Of(handed.command, accepted(EvidenceKind::Status)),
                Channel::Omadm if handed.scope.is_some() => Said::Leaves,
                _ => Said::Of(handed.command, done()),
            };
            self.speaks(at, identity, Some(said))?;
            match handed.scope {
                Some(_) if script => {}
                Some(Scope::Full) => {
                    self.say(at, "is erased");
                    self.machines[at].erased();
                    return Ok(());
                }
                Some(Scope::Selective) => {
                    self.machines[at].lose(&identity.shown);
                    return Ok(());
                }
                None => {}
            }
        }
        Ok(())
    }
}

fn words(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done { .. } => "done",
        Outcome::Presumed { .. } => "accepted",
        Outcome::Failed { .. } => "failed",
        Outcome::NotNow => "not now",
        Outcome::Step => "step",
    }
}

//! What the channels do in one call on the store, without a wire: who is admitted, what is filed, what goes out.

use crate::Fault;
use lanyard::{
    channel::identity,
    error::{Error, Result},
    fleet::{
        actor::Actor,
        admins,
        enrol::{
            self, Issued,
            invitation::{self, Invitation},
            renewal,
            under_way::{self, Key, Whose},
        },
        keeper,
        life::{
            Act, Action, Channel, Claim, Contact, EnrolmentState, Event, Managed, Outcome, Ownership, Scope,
            device::{Certificate, Push},
        },
        queue,
        registry::{Credential, Standing, sights},
        retention,
        terms::EvidenceKind,
        wipe::stop,
    },
    ids::{CommandId, DeviceId, EnrolmentId, Fingerprint, InvitationId, hex},
    store::Tx,
};
use std::time::Duration;

/// A message of a device.
#[derive(Debug, Clone)]
pub struct Message {
    pub shown: Fingerprint,
    pub said: Option<Said>,
    /// A mail client before ActiveSync 16.1.
    pub old: bool,
}

#[derive(Debug, Clone)]
pub enum Said {
    /// What became of a command.
    Of(CommandId, Outcome),
    /// It leaves management.
    Leaves,
}

/// What came of a message.
#[derive(Debug, Clone)]
pub struct Heard {
    pub standing: Standing,
    pub handed: Option<Handed>,
    /// A wipe that the client is too old for: it was shut out instead.
    pub shut_out: Option<CommandId>,
    /// It showed a certificate that came of a challenge, and nothing has shown that the device has it.
    pub apart: bool,
    /// It counts as heard.
    pub counts: bool,
}

/// What a device was handed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handed {
    pub command: CommandId,
    /// None: no wipe.
    pub scope: Option<Scope>,
}

/// A check-in: judged, heard, filed, answered.
pub fn check_in(tx: &mut Tx<'_>, message: &Message, fault: Option<Fault>) -> Result<Heard> {
    let (standing, credential, device) = identity::judge(tx, &message.shown)?;
    let mut heard = Heard { standing, handed: None, shut_out: None, apart: false, counts: false };
    let Some(credential) = credential else { return Ok(heard) };
    let mail = credential.channel == Channel::Activesync;
    // A mail client is told in the protocol's own words.
    let served = standing == Standing::Good || mail && matches!(standing, Standing::Ended | Standing::Blocked);
    let Some(device) = device.filter(|_| served) else {
        identity::note_refusal(tx, &credential, standing.into())?;
        return Ok(heard);
    };
    let mut device = keeper::load(tx, device)?;
    let mine = credential.enrolment;
    sights::note_seen(tx, mine)?;
    heard.apart = device.enrolment(mine).is_some_and(|e| e.is_set_apart(&message.shown));
    heard.counts = !heard.apart || device.enrolment(mine).is_some_and(|e| e.owed.is_some());
    if fault != Some(Fault::PresumedIsFinal) && heard.counts {
        keeper::contact(tx, &mut device, mine)?;
    }
    if heard.apart && !shows_itself(&device, mine, message) {
        set_apart(tx, &mut device, mine, message, &mut heard)?;
        return Ok(heard);
    }
    let is = |device: &Managed, state| device.enrolment(mine).is_some_and(|e| e.state == state);
    if credential.channel != Channel::Apple && is(&device, EnrolmentState::Pending) {
        enrol::complete(tx, &mut device, mine, &message.shown)?;
    }
    let contact = if message.said.is_some() { Contact::Continued } else { Contact::Fresh };
    match message.said.clone() {
        Some(Said::Of(command, outcome)) => file(tx, &mut device, mine, command, outcome, fault)?,
        Some(Said::Leaves) => {
            leave(tx, &mut device, &credential)?;
            return Ok(heard);
        }
        None => {}
    }
    if mail {
        next_for_mail(tx, &mut device, mine, message.old, &mut heard)?;
    } else if is(&device, EnrolmentState::Enrolled) || is(&device, EnrolmentState::Former) {
        let next = queue::take_next(tx, &mut device, mine, contact)?;
        heard.handed = next.map(|c| Handed { command: c.id, scope: c.scope() });
    }
    Ok(heard)
}

/// Whether it names the command that brought its challenge.
fn shows_itself(device: &Managed, mine: EnrolmentId, message: &Message) -> bool {
    let renewal = device.enrolment(mine).and_then(|e| e.renewal.as_ref());
    matches!(&message.said, Some(Said::Of(command, _)) if renewal.is_some_and(|r| r.is_of(*command)))
}

/// Who has a certificate that is set apart gets a wipe and nothing else; what it says of that ends nothing.
fn set_apart(
    tx: &mut Tx<'_>,
    device: &mut Managed,
    mine: EnrolmentId,
    message: &Message,
    heard: &mut Heard,
) -> Result<()> {
    if let Some(Said::Of(command, _)) = message.said
        && device.open().any(|c| c.id == command && c.action() == Action::Wipe)
    {
        let said = "set apart".into();
        return keeper::happen(tx, device, Event::SaidApart { enrolment: mine, command, said }).map(drop);
    }
    let others = device.open().filter(|c| c.action() != Action::Wipe).map(|c| c.id).collect();
    let contact = if message.said.is_some() { Contact::Continued } else { Contact::Fresh };
    let next = queue::take_due(tx, device, mine, contact, &others, |_, _| Ok(()))?;
    heard.handed = next.map(|c| Handed { command: c.id, scope: c.scope() });
    Ok(())
}

/// The server asks for another certificate. Comes back with the challenge, where that is what is handed out.
pub fn asks_to_renew(tx: &mut Tx<'_>, shown: &Fingerprint) -> Result<Option<(CommandId, String)>> {
    let Ok((credential, Some(mut device))) = admitted(tx, shown) else { return Ok(None) };
    let mine = credential.enrolment;
    let asks = device.is_served(mine) && device.enrolment(mine).is_some_and(|e| !e.is_set_apart(shown));
    if !asks {
        return Ok(None);
    }
    if device.find_open(Channel::Apple, Action::Renew).is_none() {
        queue::ask_by_system(tx, &mut device, mine, Act::Renew)?;
    }
    match queue::take_next(tx, &mut device, mine, Contact::Fresh)? {
        Some(command) if command.action() == Action::Renew => {
            Ok(Some((command.id, renewal::challenge(tx, &mut device, &command)?)))
        }
        _ => Ok(None),
    }
}

/// A certificate for a challenge.
pub fn renewed(tx: &mut Tx<'_>, challenge: &str, key: &str) -> Result<Fingerprint> {
    renewal::asked(tx, challenge, key)?;
    let certificate = certificate(tx);
    Ok(renewal::spend(tx, challenge, key, certificate, String::new())?.certificate.sha256)
}

/// TokenUpdate under it.
pub fn token_update(tx: &mut Tx<'_>, shown: &Fingerprint, magic: &str) -> Result<()> {
    let (credential, device) = admitted(tx, shown)?;
    let mut device = device.ok_or_else(|| Error::forbidden("unbound", "nobody knows it"))?;
    let enrolment = credential.enrolment;
    let push = Push { token: "ab".into(), magic: magic.into(), topic: "t".into(), retired: false, told: None };
    if device.enrolment(enrolment).is_some_and(|e| e.is_set_apart(shown)) {
        let told = Event::ToldAside { enrolment, push: Some(push), noted: Vec::new() };
        return keeper::happen(tx, &mut device, told).map(drop);
    }
    keeper::happen(tx, &mut device, Event::PushTold { enrolment, push })?;
    enrol::complete(tx, &mut device, enrolment, shown).map(drop)
}

fn file(
    tx: &mut Tx<'_>,
    device: &mut Managed,
    mine: EnrolmentId,
    command: CommandId,
    outcome: Outcome,
    fault: Option<Fault>,
) -> Result<()> {
    let later = device.command(command).filter(|c| c.later(mine).is_some());
    let by = match fault {
        Some(Fault::ClaimConfirms) => later.map_or(mine, |c| c.enrolment),
        _ => mine,
    };
    queue::settle(tx, device, by, command, outcome).map(drop)
}

fn leave(tx: &mut Tx<'_>, device: &mut Managed, credential: &Credential) -> Result<()> {
    let kind = match credential.channel {
        Channel::Apple => EvidenceKind::Checkout,
        _ => EvidenceKind::Unenrolled,
    };
    let left = Event::Left { enrolment: credential.enrolment, kind, detail: kind.as_str().into() };
    keeper::happen(tx, device, left).map(drop)
}

/// Mail can do nothing but wipe.
fn next_for_mail(tx: &mut Tx<'_>, device: &mut Managed, mine: EnrolmentId, old: bool, heard: &mut Heard) -> Result<()> {
    let stopped = stop::is_on(tx)?;
    let next = device.next(mine, Contact::Fresh, stopped, tx.steady());
    let Some(scope) = next.filter(|c| c.action() == Action::Wipe).and_then(|c| c.scope()) else { return Ok(()) };
    let Some(taken) = queue::take_next(tx, device, mine, Contact::Fresh)? else { return Ok(()) };
    if scope == Scope::Selective && old {
        heard.shut_out = Some(taken.id);
        let outcome = Outcome::Presumed { kind: EvidenceKind::AccessBlocked, detail: "too old".into() };
        return queue::settle(tx, device, mine, taken.id, outcome).map(drop);
    }
    heard.handed = Some(Handed { command: taken.id, scope: Some(scope) });
    Ok(())
}

/// Who this token belongs to.
pub fn actor(tx: &mut Tx<'_>, secret: &str) -> Result<Actor> {
    admins::authenticate(tx, secret, true)?.ok_or_else(|| Error::forbidden("token", "the token opens nothing"))
}

pub fn invite(tx: &mut Tx<'_>, secret: &str, channel: Channel, user: &str, whose: Ownership) -> Result<InvitationId> {
    let actor = actor(tx, secret)?;
    Ok(invitation::create(tx, &actor, channel, user, whose, None)?.invitation.id)
}

/// Installs that were not finished in time end.
pub fn ends_what_was_not_finished(tx: &mut Tx<'_>) -> Result<()> {
    let (over, _) = retention::look::<Key>(tx, None)?;
    retention::forget::<Key>(tx, &over)
}

/// A certificate for an invitation; the same key gets the same.
pub fn spend(tx: &mut Tx<'_>, invitation: InvitationId, key: &str) -> Result<(Fingerprint, EnrolmentId)> {
    let invited = tx.get::<Invitation>(invitation)?.ok_or_else(|| Error::not_found("invitation", invitation))?;
    let credential = match under_way::whose(tx, &invited, key)? {
        Whose::Before(credential) => *credential,
        Whose::New(enrolment) => {
            let issued = Issued { enrolment, certificate: certificate(tx), der: String::new() };
            enrol::spend(tx, invitation, key, issued)?
        }
    };
    Ok((credential.certificate.sha256, credential.enrolment))
}

pub fn certificate(tx: &mut Tx<'_>) -> Certificate {
    let serial = hex(&tx.random::<16>());
    // Longer than any seed lasts: certificates that end are the store contract's.
    let not_after = tx.now().plus(Duration::from_secs(20 * 366 * 86_400));
    Certificate { serial, sha256: Fingerprint(tx.random()), not_before: tx.now(), not_after }
}

/// The certificate is shown for the first time, or again.
pub fn bind(tx: &mut Tx<'_>, shown: &Fingerprint, claim: &Claim) -> Result<DeviceId> {
    admitted(tx, shown)?;
    let (mut device, _) = enrol::bind(tx, shown, claim)?;
    keeper::happen(tx, &mut device, Event::Told(Box::new(claim.clone())))?;
    Ok(device.id)
}

/// The enrolment is whole.
pub fn complete(tx: &mut Tx<'_>, shown: &Fingerprint) -> Result<DeviceId> {
    let (credential, mut device) = admitted(tx, shown)?;
    let device = device.as_mut().ok_or_else(|| Error::forbidden("unbound", "nobody knows it"))?;
    keeper::contact(tx, device, credential.enrolment)?;
    if device.enrolment(credential.enrolment).is_some_and(|e| e.state == EnrolmentState::Pending) {
        enrol::complete(tx, device, credential.enrolment, shown)?;
    }
    Ok(device.id)
}

/// Whether who shows this certificate is told anything: not one whose enrolment was never whole.
pub fn hears(tx: &mut Tx<'_>, shown: &Fingerprint) -> Result<bool> {
    let (standing, credential, device) = identity::judge(tx, shown)?;
    let Some((credential, device)) = credential.zip(device) else { return Ok(false) };
    let state = device.enrolment(credential.enrolment).map(|e| e.state);
    Ok(standing == Standing::Good && state.is_some_and(|state| state != EnrolmentState::Pending))
}

fn admitted(tx: &mut Tx<'_>, shown: &Fingerprint) -> Result<(Credential, Option<Managed>)> {
    let (standing, credential, device) = identity::judge(tx, shown)?;
    match credential.filter(|_| standing == Standing::Good) {
        Some(credential) => Ok((credential, device.map(|device| keeper::load(tx, device)).transpose()?)),
        None => Err(Error::forbidden("refused", standing.ground())),
    }
}

/// The device tells the name of its mail client; comes back with all that it has then.
pub fn tell_mail_id(tx: &mut Tx<'_>, shown: &Fingerprint, mail_id: &str) -> Result<(DeviceId, Vec<EnrolmentId>)> {
    let (_, device) = admitted(tx, shown)?;
    let mut device = device.ok_or_else(|| Error::forbidden("unbound", "nobody knows it"))?;
    let claim = Claim { mail_id: Some(mail_id.into()), ..Claim::default() };
    keeper::happen(tx, &mut device, Event::Told(Box::new(claim)))?;
    enrol::adopt_mail(tx, &mut device)?;
    Ok((device.id, device.enrolments.iter().map(|e| e.id).collect()))
}

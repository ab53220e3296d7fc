//! From an invitation to an enrolment: the certificate that is issued once, and the device it is bound to at its first check-in.
//!
//! A serial number is a claim. Enrolments join one device only for the same user; a name that another user's enrolment holds makes
//! a record of its own beside it and takes nothing over.

pub mod access;
pub mod invitation;

use invitation::{Invitation, Spent};

use crate::{
    clock::Timestamp,
    error::{Error, Result},
    fleet::{
        audit::{self, By, Event, Proof},
        groups,
        queue::{
            self, Command, Outcome, Scope, State,
            command::{Failure, OfDevice},
        },
        registry::{
            Channel, Credential, Device, Enrolment, EnrolmentState, Life, Ownership, Platform, Standing, credential,
            device::Certificate, lookup, tries, users,
        },
        terms::{EvidenceKind, FailureCode},
    },
    ids::{CommandId, DeviceId, EnrolmentId, Fingerprint, InvitationId},
    store::Tx,
};

/// Renewals of one enrolment's certificate in an hour.
const RENEWALS: usize = 5;

/// Spends an invitation on a certificate, or answers the one that the same key got before. Several calls with one invitation: the
/// first wins, whichever node it comes to.
pub fn spend(
    tx: &mut Tx<'_>,
    id: InvitationId,
    key: &str,
    certificate: Certificate,
    der: String,
) -> Result<Credential> {
    let mut invitation = tx.get::<Invitation>(id)?.ok_or_else(|| Error::not_found("invitation", id))?;
    if let Some(before) = issued_to(tx, &invitation, key)? {
        return Ok(before);
    }
    if invitation.spent.is_some() {
        return Err(Error::forbidden("invitation_spent", "the invitation has been used"));
    }
    if invitation.expires <= tx.now() {
        return Err(Error::forbidden("invitation_expired", "the invitation has expired"));
    }
    let credential = Credential {
        der,
        enrolment: invitation.enrolment,
        device: None,
        channel: invitation.channel,
        user: invitation.user.clone(),
        ownership: invitation.ownership,
        invitation: Some(id),
        revoked: None,
        certificate,
    };
    invitation.spent = Some(Spent { key: key.into(), sha256: credential.certificate.sha256, at: tx.now() });
    tx.put(&invitation)?;
    tx.put(&credential)?;
    let event = Event::CertificateIssued { enrolment: credential.enrolment, invitation: id };
    audit::note(tx, By::Device, event)?;
    Ok(credential)
}

/// The certificate that this key got for this invitation.
pub fn issued_to(tx: &mut Tx<'_>, invitation: &Invitation, key: &str) -> Result<Option<Credential>> {
    match invitation.spent.as_ref().filter(|s| s.key == key) {
        Some(spent) => Ok(tx.get::<Credential>(spent.sha256)?),
        None => Ok(None),
    }
}

/// A certificate for a new key of an enrolment that shows its present one. Both are good until the new one is used.
pub fn renew(tx: &mut Tx<'_>, old: &Fingerprint, certificate: Certificate, der: String) -> Result<Credential> {
    let unknown = || Error::forbidden("not_pinned", "the certificate is no enrolment's");
    let before = tx.get::<Credential>(old)?.ok_or_else(unknown)?;
    let device = before.device.ok_or_else(unknown)?;
    let mut device = lookup::by_id(tx, device)?;
    let standing = credential::judge(tx.time(), &before, Some(&device));
    if standing != Standing::Good {
        return Err(Error::forbidden("not_good", standing.ground()));
    }
    // Each leaves a credential and a revocation for ever.
    let tries = tries::within(tx, &format!("renewal {}", before.enrolment), RENEWALS)?;
    let too_many = || Error::forbidden("too_many_renewals", "the certificate was renewed too often within the hour");
    tries.ok_or_else(too_many)?.count(tx)?;
    let enrolment = device.enrolment_mut(before.enrolment).ok_or_else(unknown)?;
    let unused = enrolment.renewed.replace(certificate.clone());
    if let Some(unused) = unused {
        credential::revoke(tx, &unused.sha256)?;
    }
    let credential = Credential { certificate, der, revoked: None, ..before };
    tx.put(&credential)?;
    tx.put(&device)?;
    let event = Event::CertificateRenewed { enrolment: credential.enrolment, device: device.id };
    audit::note(tx, By::Device, event)?;
    Ok(credential)
}

/// What a device says of itself when it first shows its certificate.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Its own name in the protocol.
    pub identity: String,
    /// Its kind.
    pub platform: Platform,
    /// Serial number.
    pub serial: Option<String>,
    /// The name people gave it.
    pub name: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// Version of its system.
    pub os_version: Option<String>,
    /// The name of its mail client (EASDeviceIdentifier, ExchangeID).
    pub mail_id: Option<String>,
    /// The hardware's own id.
    pub hardware_id: Option<String>,
}

/// Binds a certificate to the device that shows it, or checks that it is the one it was bound to. The enrolment is `Pending` until
/// [`complete`]; a former one works on until then.
pub fn bind(tx: &mut Tx<'_>, sha256: &Fingerprint, claim: &Claim) -> Result<(Device, EnrolmentId)> {
    let unknown = || Error::forbidden("not_pinned", "the certificate is no enrolment's");
    let mut credential = tx.get::<Credential>(sha256)?.ok_or_else(unknown)?;
    if let Some(id) = credential.device {
        let device = lookup::by_id(tx, id)?;
        let bound = device.enrolment(credential.enrolment).ok_or_else(unknown)?;
        if bound.identity.to_lowercase() != claim.identity.to_lowercase() {
            return Err(Error::forbidden("other_identity", "the certificate belongs to another device"));
        }
        return Ok((device, credential.enrolment));
    }
    let mut device = match join(tx, &credential, claim)? {
        Some(device) => device,
        None => Device::new(tx.new_id(), &credential.user, credential.ownership, claim.platform, tx.now()),
    };
    credential.device = Some(device.id);
    tx.put(&credential)?;
    let (id, now) = (credential.enrolment, tx.now());
    let new = Enrolment::new(id, credential.channel, &claim.identity, EnrolmentState::Pending, now);
    let certificate = Some(credential.certificate.clone());
    device.enrolments.push(Enrolment { certificate, last_seen: Some(now), ..new });
    // One personal enrolment makes the device its user's own: what must not be erased cannot be.
    if credential.ownership == Ownership::Personal {
        make_personal(tx, &mut device)?;
    }
    lookup::claim(tx, credential.channel.as_str(), &claim.identity, device.id)?;
    users::join(tx, &device)?;
    describe(tx, &mut device, claim)?;
    tx.put(&device)?;
    let event = Event::EnrolmentBegun { enrolment: credential.enrolment, device: device.id };
    audit::note(tx, By::Device, event)?;
    Ok((device, credential.enrolment))
}

/// Takes over what a device says of itself. The record is the caller's to write.
pub fn describe(tx: &mut Tx<'_>, device: &mut Device, claim: &Claim) -> Result<()> {
    let id = device.id;
    for (kind, new, field) in [
        (Some(lookup::SERIAL), &claim.serial, &mut device.serial),
        (Some(lookup::NAMED), &claim.name, &mut device.name),
        (Some(lookup::MAIL_ID), &claim.mail_id, &mut device.mail_id),
        (Some(lookup::HARDWARE), &claim.hardware_id, &mut device.hardware_id),
        (None, &claim.model, &mut device.model),
        (None, &claim.os_version, &mut device.os_version),
    ] {
        let Some(new) = new.as_ref().map(|n| n.trim()).filter(|n| !n.is_empty() && n.len() <= 512) else { continue };
        if field.as_deref() != Some(new) {
            *field = Some(new.to_string());
            if let Some(kind) = kind {
                lookup::claim(tx, kind, new, id)?;
            }
        }
    }
    Ok(())
}

/// The device of the same user that this enrolment belongs to: by its name on the channel, by its mail id, by its hardware.
fn join(tx: &mut Tx<'_>, credential: &Credential, claim: &Claim) -> Result<Option<Device>> {
    let channel = credential.channel.as_str();
    let mut ways: Vec<(&str, &str)> = vec![(channel, &claim.identity)];
    match credential.channel {
        Channel::Activesync => ways.push((lookup::MAIL_ID, &claim.identity)),
        _ => ways.extend(claim.mail_id.as_deref().map(|id| ("activesync", id))),
    }
    ways.extend(claim.hardware_id.as_deref().map(|id| (lookup::HARDWARE, id)));
    for (kind, name) in ways {
        let found = lookup::claimants(tx, kind, name)?;
        let strangers = !found.is_empty();
        let own = found.into_iter().find(|d| d.user.to_lowercase() == credential.user.to_lowercase());
        match own {
            Some(device) => return Ok(Some(device)),
            None if strangers => {
                audit::note(tx, By::Device, Event::DeviceNameTaken { enrolment: credential.enrolment })?;
            }
            None => {}
        }
    }
    Ok(None)
}

/// The enrolment is complete (TokenUpdate, first session): it takes the place of a former one of the same channel, and the device
/// begins with an empty queue. For an enrolment that was complete already nothing changes, save a renewal that is now in use.
pub fn complete(tx: &mut Tx<'_>, device: &mut Device, enrolment: EnrolmentId, shown: &Fingerprint) -> Result<bool> {
    let now = tx.now();
    let Some(mine) = device.enrolment_mut(enrolment) else { return Ok(false) };
    let mut ended: Vec<Fingerprint> = Vec::new();
    if mine.renewed.as_ref().is_some_and(|c| c.sha256 == *shown) {
        let former = std::mem::replace(&mut mine.certificate, mine.renewed.take());
        ended.extend(former.map(|c| c.sha256));
    }
    let first = mine.state == EnrolmentState::Pending;
    let (channel, identity) = (mine.channel, mine.identity.to_lowercase());
    if first {
        mine.state = EnrolmentState::Enrolled;
        if channel != Channel::Activesync {
            end_of_former(tx, device, enrolment, channel, now)?;
        } else if matches!(device.life, Life::Retired | Life::Wiped) {
            device.life = Life::Enrolled;
        }
        for former in &mut device.enrolments {
            let same = former.channel == channel
                && (channel != Channel::Activesync || former.identity.to_lowercase() == identity);
            if former.id != enrolment && same {
                // One that a wipe has ended keeps its certificate for a last word; now that is over too.
                ended.extend([&former.certificate, &former.renewed].into_iter().flatten().map(|c| c.sha256));
                if former.is_live() {
                    former.end(EnrolmentState::Revoked);
                }
            }
        }
        let event = Event::EnrolmentComplete { enrolment, device: device.id, proof: Proof::Certificate };
        audit::note(tx, By::Device, event)?;
    }
    for certificate in ended {
        credential::revoke(tx, &certificate)?;
    }
    tx.put(device)?;
    Ok(first)
}

/// What a new enrolment says of what its channel's former one was to do: a full wipe that was sent and could not be answered is
/// proved by the hardware's return (OMA-DM) or presumed; everything else is of the past. What another channel carries goes on.
fn end_of_former(
    tx: &mut Tx<'_>,
    device: &mut Device,
    new: EnrolmentId,
    channel: Channel,
    now: Timestamp,
) -> Result<()> {
    let presumed = device.wipe.filter(|_| device.life == Life::Wiped);
    let open: Vec<CommandId> = device.open.iter().copied().chain(presumed).collect();
    for id in open {
        let of_former = |c: &Command| c.enrolment != new && c.channel == channel;
        let Some(mut command) = tx.get::<Command>(id)?.filter(of_former) else { continue };
        if command.wipes(Scope::Full) && command.sent.is_some() && command.state != State::Confirmed {
            let detail = "the same hardware enrolled anew".to_string();
            let outcome = match channel {
                Channel::Omadm => Outcome::Done { kind: EvidenceKind::EnrolledAnew, detail },
                _ => Outcome::Presumed { kind: EvidenceKind::EnrolledAnew, detail },
            };
            queue::settle(tx, device, new, id, outcome)?;
        } else if !command.state.is_final() {
            let text = "the device enrolled anew before this reached it";
            command.error = Some(Failure { code: FailureCode::EnrolledAnew, text: text.into() });
            queue::ending::end_on(tx, device, &mut command, State::Cancelled, true)?;
        }
    }
    begin_anew(tx, device)?;
    device.facts.clear();
    for former in device.enrolments.iter_mut().filter(|e| e.id != new && e.channel == channel) {
        former.applied.clear();
    }
    device.asked = None;
    // The end of a wipe ended the enrolments that were there; this one is newer than it.
    if let Some(mine) = device.enrolment_mut(new) {
        mine.state = EnrolmentState::Enrolled;
        mine.created = now;
    }
    Ok(())
}

/// The device is managed again; where a wipe is still under way, it is under that.
fn begin_anew(tx: &mut Tx<'_>, device: &mut Device) -> Result<()> {
    (device.life, device.wipe, device.mail_shut) = (Life::Enrolled, None, None);
    for id in device.open.clone() {
        if let Some(wipe) = tx.get::<Command>(id)?.filter(Command::is_wipe_under_way) {
            queue::ending::under(device, &wipe);
            break;
        }
    }
    Ok(())
}

/// From now on the device is its user's own: a full wipe that has not been sent comes to nothing. The record is the caller's to write.
fn make_personal(tx: &mut Tx<'_>, device: &mut Device) -> Result<()> {
    device.ownership = Ownership::Personal;
    for id in device.open.clone() {
        let full = |c: &Command| c.wipes(Scope::Full) && matches!(c.state, State::Held | State::Queued | State::NotNow);
        let Some(mut wipe) = tx.get::<Command>(id)?.filter(full) else { continue };
        let text = "the device is its user's own since: only the organisation's data can be removed";
        wipe.error = Some(Failure { code: FailureCode::Personal, text: text.into() });
        queue::ending::end_on(tx, device, &mut wipe, State::Failed, true)?;
    }
    Ok(())
}

/// Ends an enrolment's certificate and nothing else: the device gets plain refusals and must enrol anew.
pub fn revoke(
    tx: &mut Tx<'_>,
    actor: &str,
    device: DeviceId,
    only: Option<EnrolmentId>,
    reason: &str,
) -> Result<Device> {
    let mut device = lookup::by_id(tx, device)?;
    if let Some(id) = only
        && device.enrolment(id).is_none()
    {
        return Err(Error::not_found("enrolment", id));
    }
    let mut certificates = Vec::new();
    let mut ended = Vec::new();
    for enrolment in device.enrolments.iter_mut().filter(|e| e.is_live() && only.is_none_or(|id| id == e.id)) {
        enrolment.end(EnrolmentState::Revoked);
        certificates.extend([&enrolment.certificate, &enrolment.renewed].into_iter().flatten().map(|c| c.sha256));
        ended.push(enrolment.id);
    }
    for certificate in certificates {
        credential::revoke(tx, &certificate)?;
    }
    for id in ended {
        let event = Event::EnrolmentRevoked { enrolment: id, device: device.id, reason: reason.into() };
        audit::note(tx, By::Admin(actor.into()), event)?;
        queue::ending::hand_over(tx, &mut device, id)?;
    }
    tx.put(&device)?;
    Ok(device)
}

/// A mail enrolment that came before its device told the mail client's name: it is one device's after all, if it is the same
/// user's and nothing is under way on it.
pub fn adopt_mail(tx: &mut Tx<'_>, device: &mut Device) -> Result<()> {
    let Some(mail_id) = device.mail_id.clone() else { return Ok(()) };
    for other in lookup::claimants(tx, Channel::Activesync.as_str(), &mail_id)? {
        let same_user = other.user.to_lowercase() == device.user.to_lowercase();
        let mail_only = other.enrolments.iter().all(|e| e.channel == Channel::Activesync);
        if other.id == device.id || !same_user || !mail_only || !other.open.is_empty() {
            continue;
        }
        for enrolment in &other.enrolments {
            for certificate in [&enrolment.certificate, &enrolment.renewed].into_iter().flatten() {
                if let Some(mut credential) = tx.get::<Credential>(certificate.sha256)? {
                    credential.device = Some(device.id);
                    tx.put(&credential)?;
                }
            }
            lookup::claim(tx, Channel::Activesync.as_str(), &enrolment.identity, device.id)?;
            let event = Event::EnrolmentJoined { enrolment: enrolment.id, device: device.id, former: other.id };
            audit::note(tx, By::System, event)?;
        }
        device.enrolments.extend(other.enrolments.iter().cloned());
        // What shut its mail keeps it shut, what it was in it stays in, and what was done to it is told of this one.
        device.mail_shut = device.mail_shut.or(other.mail_shut);
        device.wipe = device.wipe.or(other.wipe);
        groups::take_over(tx, &other, device)?;
        for mut command in queue::timers::of_device(tx, &other)? {
            tx.delete(&OfDevice { device: other.id, command: command.id })?;
            command.device = device.id;
            tx.put(&OfDevice { device: device.id, command: command.id })?;
            tx.put(&command)?;
        }
        // By an invitation it was said whose the device is; a setting for unknown clients says nothing of a managed one.
        let invited = other.enrolments.iter().any(|e| e.certificate.is_some());
        if other.ownership == Ownership::Personal && invited {
            make_personal(tx, device)?;
        }
        users::leave(tx, &other)?;
        tx.delete(&other)?;
        tx.put(device)?;
    }
    Ok(())
}

//! From an invitation to an enrolment: a certificate for each key that asks (`under_way.rs`), the device that it is bound to at its first
//! check-in, and the device's being complete, which spends the invitation.
//!
//! A serial number is a claim. Enrolments join one device only for the same user; a name that another user's enrolment holds makes
//! a record of its own beside it and takes nothing over.

pub mod access;
pub mod invitation;
pub mod many;
pub mod renewal;
pub mod succession;
pub mod under_way;
pub mod waiting;

use invitation::Invitation;
use under_way::Whose;

use crate::{
    error::{Error, Result},
    fleet::{
        audit::{self, By, recurring},
        groups,
        keeper::{self, timers},
        life::{
            Channel, Claim, Device, Enrolment, EnrolmentState, Event, Managed, Ownership, Platform, command::OfDevice,
            device::Certificate,
        },
        registry::{Credential, Standing, credential, lookup, tries, users},
    },
    ids::{DeviceId, EnrolmentId, Fingerprint, InvitationId},
    store::Tx,
};
use std::time::Duration;

/// Renewals of one enrolment's certificate in an hour.
const RENEWALS: usize = 5;
/// So many may come one after the other; then with pauses that grow to a day.
const MANY_RENEWALS: u32 = 10;
const DAY: Duration = Duration::from_secs(86_400);

/// A certificate that was made for a key, and the enrolment that it names.
#[derive(Clone)]
pub struct Issued {
    /// As [`under_way::whose`] said.
    pub enrolment: EnrolmentId,
    /// What it says.
    pub certificate: Certificate,
    /// Its DER, hexadecimal.
    pub der: String,
}

/// Spends a certificate on a key of an invitation, or answers the one that the same key got before. Several calls with one invitation are
/// judged one after the other, whichever node they come to.
pub fn spend(tx: &mut Tx<'_>, id: InvitationId, key: &str, issued: Issued) -> Result<Credential> {
    let mut invitation = tx.get::<Invitation>(id)?.ok_or_else(|| Error::not_found("invitation", id))?;
    if let Whose::Before(before) = under_way::whose(tx, &invitation, key)? {
        return Ok(*before);
    }
    let place = under_way::place_for_one_more(tx, &invitation)?;
    if invitation.begun && issued.enrolment == invitation.enrolment {
        // Two keys asked at the same moment; the second asks again.
        return Err(Error::forbidden("overtaken", "Another install began at the same moment. Try again."));
    }
    under_way::count_key(tx, &mut invitation)?;
    let Issued { enrolment, certificate, der } = issued;
    let credential = Credential {
        der,
        enrolment,
        device: None,
        channel: invitation.channel,
        user: invitation.user.clone(),
        ownership: invitation.ownership,
        invitation: Some(id),
        revoked: None,
        signs: invitation.signs,
        key: under_way::short(key).into(),
        profile: (enrolment != invitation.enrolment).then_some(invitation.enrolment),
        certificate,
    };
    tx.put(&credential)?;
    under_way::begin(tx, invitation, key, &credential, place)?;
    let event = audit::Event::CertificateIssued { enrolment, invitation: id };
    audit::note(tx, By::Device, event)?;
    Ok(credential)
}

/// A certificate for a new key of an enrolment that shows its present one. Both are good until the new one is used.
pub fn renew(tx: &mut Tx<'_>, old: &Fingerprint, certificate: Certificate, der: String) -> Result<Credential> {
    let unknown = || Error::forbidden("not_pinned", "the certificate is no enrolment's");
    let before = tx.get::<Credential>(old)?.ok_or_else(unknown)?;
    let device = before.device.ok_or_else(unknown)?;
    let mut device = keeper::by_id(tx, device)?;
    let standing = credential::judge(tx.time(), &before, Some(&device));
    // What came of a challenge and is nobody's yet would get past that by its own signature.
    let may = |mine: &Enrolment| mine.is_live() && !mine.is_set_apart(old);
    let live = device.enrolment(before.enrolment).is_some_and(may);
    if standing != Standing::Good || !live {
        let ground = if standing == Standing::Good { Standing::Superseded } else { standing };
        return Err(Error::forbidden("not_good", ground.ground()));
    }
    // Each leaves a credential and a revocation for ever.
    let tries = tries::within(tx, &format!("renewal {}", before.enrolment), RENEWALS)?;
    let too_many = || Error::forbidden("too_many_renewals", "the certificate was renewed too often");
    tries.ok_or_else(too_many)?.count(tx)?;
    let often = format!("renewal {}", before.enrolment);
    if !recurring::is_due(tx, &often, MANY_RENEWALS, DAY)? {
        return Err(too_many());
    }
    let enrolment = device.enrolment(before.enrolment).ok_or_else(unknown)?.id;
    keeper::contact(tx, &mut device, enrolment)?;
    // The new key is no invitation's.
    let credential = Credential { certificate: certificate.clone(), der, revoked: None, key: String::new(), ..before };
    tx.put(&credential)?;
    keeper::happen(tx, &mut device, Event::Renewed { enrolment, certificate: Box::new(certificate), shown: None })?;
    Ok(credential)
}

/// Binds a certificate to the device that shows it, or checks that it is the one it was bound to. The enrolment is `Pending` until
/// [`complete`]; a former one works on until then.
pub fn bind(tx: &mut Tx<'_>, sha256: &Fingerprint, claim: &Claim) -> Result<(Managed, EnrolmentId)> {
    let unknown = || Error::forbidden("not_pinned", "the certificate is no enrolment's");
    let mut credential = tx.get::<Credential>(sha256)?.ok_or_else(unknown)?;
    let enrolment = credential.enrolment;
    if let Some(id) = credential.device {
        let device = keeper::by_id(tx, id)?;
        let bound = device.enrolment(enrolment).ok_or_else(unknown)?;
        if bound.identity.to_lowercase() != claim.identity.to_lowercase() {
            return Err(Error::forbidden("other_identity", "the certificate belongs to another device"));
        }
        return Ok((device, enrolment));
    }
    let mut device = match join(tx, &credential, claim)? {
        Some(device) => keeper::load(tx, device)?,
        None => {
            let platform = claim.platform.unwrap_or(Platform::Other);
            Managed::new(tx.new_id(), &credential.user, credential.ownership, platform, tx.time())
        }
    };
    credential.device = Some(device.id);
    tx.put(&credential)?;
    let now = tx.now();
    let new = Enrolment::new(enrolment, credential.channel, &claim.identity, EnrolmentState::Pending, now);
    // One personal enrolment makes the device its user's own: what must not be erased cannot be.
    let personal = credential.ownership == Ownership::Personal;
    let certificate = Some(credential.certificate.clone());
    let new = Enrolment { certificate, last_seen: Some(now), personal: Some(personal), ..new };
    keeper::happen(tx, &mut device, Event::Begun { enrolment: Box::new(new), personal })?;
    lookup::claim(tx, credential.channel.as_str(), &claim.identity, device.id)?;
    users::join(tx, &device)?;
    // Of which kind a device is that was there before, its strongest channel says.
    tell(tx, &mut device, enrolment, Claim { platform: None, ..claim.clone() })?;
    audit::note(tx, By::Device, audit::Event::EnrolmentBegun { enrolment, device: device.id })?;
    Ok((device, enrolment))
}

/// What a device says of itself as it enrols. Beside what is complete and lives an enrolment that is not is a claim: it tells only what nobody
/// told before, until it is complete and the device is asked.
pub fn tell(tx: &mut Tx<'_>, device: &mut Managed, enrolment: EnrolmentId, mut claim: Claim) -> Result<()> {
    let pending = device.enrolment(enrolment).is_some_and(|mine| mine.state == EnrolmentState::Pending);
    if pending && device.is_managed_beside(enrolment) {
        claim = Claim {
            identity: claim.identity,
            platform: None,
            serial: claim.serial.filter(|_| device.serial.is_none()),
            name: claim.name.filter(|_| device.name.is_none()),
            model: claim.model.filter(|_| device.model.is_none()),
            os_version: claim.os_version.filter(|_| device.os_version.is_none()),
            mail_id: claim.mail_id.filter(|_| device.mail_id.is_none()),
            hardware_id: claim.hardware_id.filter(|_| device.hardware_id.is_none()),
            facts: Vec::new(),
        };
    }
    keeper::happen(tx, device, Event::Told(Box::new(claim))).map(drop)
}

/// The device of the same user that this enrolment belongs to: by its name on the channel, by its mail id, by its hardware. One that is for
/// nobody in particular belongs to none (`succession.rs`).
fn join(tx: &mut Tx<'_>, credential: &Credential, claim: &Claim) -> Result<Option<Device>> {
    let invitation = match credential.invitation {
        Some(id) => tx.get::<Invitation>(id)?,
        None => None,
    };
    // A thief with a new token invites themselves in somebody's name.
    let apart = invitation.is_some_and(|invitation| invitation.apart);
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
        let own = found.into_iter().filter(|d| !apart && d.is_of(&credential.user)).collect();
        match which(tx, own, credential.channel, &claim.identity)? {
            Some(device) => return Ok(Some(device)),
            None if strangers => {
                audit::note(tx, By::Device, audit::Event::DeviceNameTaken { enrolment: credential.enrolment })?;
            }
            None => {}
        }
    }
    Ok(None)
}

/// Which of several records of one user's a new enrolment belongs to: with what was given to them there may be two of one machine. That under a
/// wipe, which must not be left behind; else what lives under this name, and of those the newest.
fn which(tx: &mut Tx<'_>, found: Vec<Device>, channel: Channel, name: &str) -> Result<Option<Device>> {
    if found.len() < 2 {
        return Ok(found.into_iter().next());
    }
    let mut best = None;
    for device in found {
        let device = keeper::load(tx, device)?;
        let its = |e: &&Enrolment| e.channel == channel && e.identity.to_lowercase() == name.to_lowercase();
        let newest = device.live().filter(its).max_by_key(|e| (e.complete, e.created)).map(|e| (e.complete, e.created));
        let rank = (device.open().any(|command| command.is_wipe_under_way()), newest, device.created);
        if best.as_ref().is_none_or(|(before, _)| *before < rank) {
            best = Some((rank, device.device().clone()));
        }
    }
    Ok(best.map(|(_, device)| device))
}

/// The enrolment is complete ([`Event::Completed`]), and spends its invitation. True where it was not before.
pub fn complete(tx: &mut Tx<'_>, device: &mut Managed, enrolment: EnrolmentId, shown: &Fingerprint) -> Result<bool> {
    let first = device.enrolment(enrolment).is_some_and(|mine| mine.state == EnrolmentState::Pending);
    if first {
        under_way::may_complete(tx, shown)?;
    }
    keeper::happen(tx, device, Event::Completed { enrolment, shown: *shown })?;
    if first {
        under_way::completed(tx, device, shown)?;
    }
    Ok(first)
}

/// Ends an enrolment's certificate and nothing else: the device gets plain refusals and must enrol anew.
pub fn revoke(
    tx: &mut Tx<'_>,
    actor: &str,
    device: DeviceId,
    only: Option<EnrolmentId>,
    reason: &str,
) -> Result<Managed> {
    let mut device = keeper::by_id(tx, device)?;
    if let Some(id) = only
        && device.enrolment(id).is_none()
    {
        return Err(Error::not_found("enrolment", id));
    }
    let (by, reason) = (actor.to_string(), reason.to_string());
    keeper::happen(tx, &mut device, Event::Revoked { only, by, reason })?;
    Ok(device)
}

/// A mail enrolment that came before its device told the mail client's name: it is one device's after all, if it is the same
/// user's and nothing is under way on it.
pub fn adopt_mail(tx: &mut Tx<'_>, device: &mut Managed) -> Result<()> {
    let Some(mail_id) = device.mail_id.clone() else { return Ok(()) };
    let mut others = lookup::claimants(tx, Channel::Activesync.as_str(), &mail_id)?;
    for other in lookup::claimants(tx, Channel::Exchange.as_str(), &mail_id)? {
        if others.iter().all(|known| known.id != other.id) {
            others.push(other);
        }
    }
    for other in others {
        let same_user = other.is_of(&device.user);
        let mail_only = other.enrolments.iter().all(|e| e.channel.is_mail());
        let fits = other.id != device.id && same_user && mail_only && other.open.is_empty();
        if fits && !is_apart(tx, device)? && !is_apart(tx, &other)? {
            adopt(tx, device, other)?;
        }
    }
    Ok(())
}

/// Whether something that lives here came of a newcomer's invitation, which joins no device that is there.
fn is_apart(tx: &mut Tx<'_>, device: &Device) -> Result<bool> {
    for certificate in device.live().filter_map(|mine| mine.certificate.as_ref()) {
        let invitation = tx.get::<Credential>(certificate.sha256)?.and_then(|credential| credential.invitation);
        if let Some(id) = invitation
            && tx.get::<Invitation>(id)?.is_some_and(|invitation| invitation.apart)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn adopt(tx: &mut Tx<'_>, device: &mut Managed, other: Device) -> Result<()> {
    for enrolment in &other.enrolments {
        for certificate in [&enrolment.certificate, &enrolment.renewed].into_iter().flatten() {
            if let Some(mut credential) = tx.get::<Credential>(certificate.sha256)? {
                credential.device = Some(device.id);
                tx.put(&credential)?;
            }
        }
        lookup::claim(tx, enrolment.channel.as_str(), &enrolment.identity, device.id)?;
        let event = audit::Event::EnrolmentJoined { enrolment: enrolment.id, device: device.id, former: other.id };
        audit::note(tx, By::System, event)?;
    }
    groups::take_over(tx, &other, device)?;
    for command in timers::of_device(tx, &other)? {
        tx.delete(&OfDevice { device: other.id, command: command.id })?;
        tx.put(&OfDevice { device: device.id, command: command.id })?;
        let moved = device.inherited(command);
        tx.put(&moved)?;
        device.know(moved);
    }
    users::leave(tx, &other)?;
    lookup::forget(tx, &other)?;
    tx.delete(&other)?;
    let other = keeper::load(tx, other)?;
    keeper::happen(tx, device, Event::Adopted(Box::new(other)))?;
    Ok(())
}

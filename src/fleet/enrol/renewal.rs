//! A certificate that the server asks a device to get anew, by a challenge that goes out with its enrolment profile: bound to the
//! enrolment, good for one key, and for a while. What comes of it counts by and by ([`Renewal`](crate::fleet::life::Renewal)).

use super::RENEWALS;
use crate::{
    error::{Error, Result},
    fleet::{
        keeper,
        life::{Command, Enrolment, Event, Managed, Offer, Shown, State, device::Certificate},
        registry::{Credential, Standing, credential, tries},
    },
    ids::{DeviceId, EnrolmentId, digest, hex},
    store::Tx,
};
use std::str::FromStr;

/// Before a challenge of this kind stand these letters, which no other has. It then names the device, so that it is found.
const OURS: &str = "renew-";

/// What a challenge leads to.
pub struct Asked {
    /// The enrolment whose certificate is renewed.
    pub enrolment: EnrolmentId,
    /// What the same key got for it before.
    pub before: Option<Credential>,
}

/// Whether a challenge is one for a renewal.
pub fn is_ours(challenge: &str) -> bool {
    challenge.starts_with(OURS)
}

/// A challenge that goes out with this command, in place of one that went before. Its digest alone is kept.
pub fn challenge(tx: &mut Tx<'_>, device: &mut Managed, command: &Command) -> Result<String> {
    let challenge = format!("{OURS}{}-{}", device.id.0.simple(), hex(&tx.random::<20>()));
    let (enrolment, command) = (command.enrolment, command.id);
    let kept = digest(challenge.as_bytes());
    keeper::happen(tx, device, Event::RenewalOffered { enrolment, command, challenge: kept })?;
    Ok(challenge)
}

/// The enrolment that a challenge was handed out to, and what this key (a digest) got for it. Reads alone.
pub fn asked(tx: &mut Tx<'_>, challenge: &str, key: &str) -> Result<Asked> {
    let (device, shown) = (of(tx, challenge)?, Shown { challenge: digest(challenge.as_bytes()), key: key.into() });
    let (enrolment, offer) = offered(tx, &device, &shown)?;
    let before = match offer {
        Offer::Same(sha256) => tx.get::<Credential>(sha256)?,
        _ => None,
    };
    Ok(Asked { enrolment, before })
}

/// Spends a challenge on a certificate, or answers the one that the same key got before.
pub fn spend(tx: &mut Tx<'_>, challenge: &str, key: &str, certificate: Certificate, der: String) -> Result<Credential> {
    let (mut device, shown) = (of(tx, challenge)?, Shown { challenge: digest(challenge.as_bytes()), key: key.into() });
    let (enrolment, offer) = offered(tx, &device, &shown)?;
    if let Offer::Same(sha256) = offer {
        return tx.get::<Credential>(sha256)?.ok_or_else(wrong);
    }
    // Each leaves a credential and a revocation for ever.
    let tries = tries::within(tx, &format!("renewal {enrolment}"), RENEWALS)?;
    let too_many = || Error::forbidden("too_many_renewals", "the certificate was renewed too often within the hour");
    tries.ok_or_else(too_many)?.count(tx)?;
    let present = device.enrolment(enrolment).and_then(|mine| mine.certificate.as_ref()).map(|c| c.sha256);
    let before = tx.get::<Credential>(present.ok_or_else(wrong)?)?.ok_or_else(wrong)?;
    // The new key is no invitation's.
    let credential = Credential { certificate: certificate.clone(), der, revoked: None, key: String::new(), ..before };
    tx.put(&credential)?;
    let (certificate, shown) = (Box::new(certificate), Some(shown));
    keeper::happen(tx, &mut device, Event::Renewed { enrolment, certificate, shown })?;
    Ok(credential)
}

fn wrong() -> Error {
    Error::forbidden("wrong_challenge", "no renewal has this challenge")
}

fn of(tx: &mut Tx<'_>, challenge: &str) -> Result<Managed> {
    let named = challenge.strip_prefix(OURS).and_then(|rest| rest.split_once('-')).map(|(device, _)| device);
    let id = named.and_then(|device| uuid::Uuid::from_str(device).ok()).ok_or_else(wrong)?;
    match keeper::by_id(tx, DeviceId(id)) {
        Err(Error::NotFound { .. }) => Err(wrong()),
        other => other,
    }
}

/// The enrolment of this device that has such a challenge under way: it is managed, its command is open and its present certificate good.
fn offered(tx: &mut Tx<'_>, device: &Managed, shown: &Shown) -> Result<(EnrolmentId, Offer)> {
    let offer = |mine: &Enrolment| mine.renewal.as_ref().map_or(Offer::Wrong, |r| r.offer(shown, tx.steady()));
    let live = device.live().filter(|mine| device.is_served(mine.id));
    let found = live.map(|mine| (mine, offer(mine))).find(|(_, offer)| *offer != Offer::Wrong);
    let (mine, offer) = found.ok_or_else(wrong)?;
    match offer {
        Offer::Spent => return Err(Error::forbidden("challenge_spent", "the challenge has been used")),
        Offer::Over => return Err(Error::forbidden("challenge_expired", "the challenge has expired")),
        Offer::Open | Offer::Same(_) | Offer::Wrong => {}
    }
    let open = device.open().any(|command| {
        command.enrolment == mine.id
            && mine.renewal.as_ref().is_some_and(|r| r.is_of(command.id))
            && command.state == State::Sent
    });
    let (id, present) = (mine.id, mine.certificate.as_ref().map(|certificate| certificate.sha256));
    let present = tx.get::<Credential>(present.ok_or_else(wrong)?)?.ok_or_else(wrong)?;
    let standing = credential::judge(tx.time(), &present, Some(device));
    if open && standing == Standing::Good { Ok((id, offer)) } else { Err(wrong()) }
}

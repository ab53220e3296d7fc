//! Keys that got a certificate for an invitation and whose device is not complete yet: how many there may be, which of them gives way,
//! and how they end.
//!
//! An invitation is spent by devices that are complete (Apple: TokenUpdate; Windows: first session; mail: first request), so that an install
//! which failed half-way is repeated by the same link or code. Until then it gives a few keys a certificate each, and an enrolment each. No
//! key ends another by less than being complete, save one that nobody has ever shown: whoever has the link as well must not end what is
//! between Authenticate and TokenUpdate.

use super::{
    invitation::{Invitation, Spent},
    succession,
};
use crate::{
    clock::Timestamp,
    error::{Error, Result},
    fleet::{
        actor::Actor,
        audit, groups,
        keeper::{self, timers},
        life::{Channel, Device, EnrolmentState, Event, GIVEN_UP, Managed},
        registry::{Credential, credential, lookup, sights, users},
    },
    ids::{EnrolmentId, Fingerprint, InvitationId, hexed},
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// Keys that may be under way beyond the devices for which the invitation is: with one device, three installs of it. Those that broke off
/// in a hall of many must not keep the last of them from beginning, so that the complete ones are not taken off.
const SPARE: u32 = 2;
/// Keys that get a certificate within an hour, beyond three for each device for which the invitation is.
const TRIES: u32 = 20;
const HOUR: Duration = Duration::from_secs(3600);
/// So long a key may take from its certificate on, however long the invitation itself lives.
pub const LASTS: Duration = Duration::from_secs(7 * 86_400);
/// After so long without a word one that was shown gives way too.
const SILENT: Duration = Duration::from_secs(86_400);
/// An install that is not complete after so long is stuck.
const STUCK: Duration = Duration::from_secs(3600);
/// Keys among which the oldest is looked for, and that a revocation ends at once; the rest ends with the next tidying.
const PAGE: usize = 200;

/// A key under way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Key {
    /// Whose it is.
    pub invitation: InvitationId,
    /// Digest of the public key.
    #[serde(with = "hexed")]
    key: String,
    /// The certificate that it got.
    sha256: Fingerprint,
    /// The enrolment that is to come of it.
    enrolment: EnrolmentId,
    /// When it got it.
    at: Timestamp,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 1] = [Kind::of::<Key>()];

impl Record for Key {
    const KIND: &'static str = "invitation-key";
    fn key(&self) -> String {
        place(self.invitation, &self.key)
    }
    fn lean(&self) -> Option<Self> {
        Some(Self { invitation: InvitationId::NONE, key: String::new(), ..self.clone() })
    }
    fn whole(self, rest: &str) -> Option<Self> {
        let (invitation, key) = rest.split_once('/')?;
        Some(Self { invitation: invitation.parse().ok()?, key: key.into(), ..self })
    }
}

/// A key's digest as it is kept: 128 bits, so that nobody makes another key of the same.
pub(super) fn short(key: &str) -> &str {
    key.get(..32).unwrap_or(key)
}

fn place(invitation: InvitationId, key: &str) -> String {
    format!("{invitation}/{}", short(key))
}

/// Why a key comes to nothing. The words are the audit log's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The invitation was spent by others.
    Spent,
    /// Nobody had shown it, or not for long, and a newer one came.
    GaveWay,
    /// It was not complete in time.
    TooLate,
    /// The invitation was revoked.
    Revoked,
    /// The person asked for a new one before this was used (mail).
    AskedAnew,
}

impl Why {
    fn words(self) -> &'static str {
        match self {
            Self::Spent => "another device completed the invitation first",
            Self::GaveWay => "a newer install by the same invitation took its place",
            Self::TooLate => "it was not complete within seven days of its certificate",
            Self::Revoked => "the invitation was revoked",
            Self::AskedAnew => "another certificate was asked for before this one was used",
        }
    }
}

/// Where there is place for one more key.
#[derive(Debug)]
pub enum Place {
    /// Beside the others.
    Free,
    /// In the place of this one.
    Of(Box<Key>),
}

/// Whether the invitation gives a certificate to one more key. The refusals are for who opens it.
pub fn place_for_one_more(tx: &mut Tx<'_>, invitation: &Invitation) -> Result<Place> {
    must_be_good(tx, invitation)?;
    if invitation.under_way < invitation.uses.saturating_add(SPARE) {
        return Ok(Place::Free);
    }
    let mut giving = None::<Key>;
    for key in page(tx, invitation.id)? {
        if giving.as_ref().is_none_or(|oldest| key.at < oldest.at) && gives_way(tx, &key)? {
            giving = Some(key);
        }
    }
    match giving {
        Some(key) => Ok(Place::Of(Box::new(key))),
        None => {
            let invitation = invitation.id;
            tx.log(move || tracing::warn!(%invitation, "as many installs as may be are under way by one invitation"));
            let text = "As many installs as this invitation allows are under way, and each has come as far as its device. Finish one \
                        of them, try again in a day, or ask for a new invitation.";
            Err(Error::forbidden("invitation_busy", text))
        }
    }
}

/// Installs by one invitation that are as many as may be, and of which none has come on for long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jam {
    /// By which.
    pub invitation: InvitationId,
    /// For whom it is; empty: for nobody in particular.
    pub user: String,
    /// How many.
    pub installs: u32,
    /// Since when the last of them has its certificate.
    pub since: Timestamp,
}

/// The invitations that give nobody else a certificate, since all that may be under way by them is, and is stuck.
pub fn jams(tx: &mut Tx<'_>) -> Result<Vec<Jam>> {
    let (mut last, mut after) = (BTreeMap::<InvitationId, Timestamp>::new(), None::<String>);
    loop {
        let page = tx.scan::<Key>("", after.as_deref(), PAGE)?;
        for key in &page {
            let at = last.entry(key.invitation).or_insert(key.at);
            *at = key.at.max(*at);
        }
        match page.last() {
            Some(key) if page.len() == PAGE => after = Some(key.key()),
            _ => break,
        }
    }
    let long = |at: &Timestamp| tx.now().since(*at) >= STUCK;
    let last: Vec<(InvitationId, Timestamp)> = last.into_iter().filter(|(_, at)| long(at)).collect();
    let mut found = Vec::new();
    for (id, since) in last {
        let Some(invitation) = tx.get::<Invitation>(id)? else { continue };
        let is_full = invitation.under_way >= invitation.uses.saturating_add(SPARE);
        if is_full && must_be_good(tx, &invitation).is_ok() {
            let (user, installs) = (invitation.user.clone(), invitation.under_way);
            found.push(Jam { invitation: id, user, installs, since });
        }
    }
    Ok(found)
}

/// Neither revoked nor used up nor over.
pub fn must_be_good(tx: &mut Tx<'_>, invitation: &Invitation) -> Result<()> {
    let refused = |code, text: &str| Err(Error::forbidden(code, text));
    if invitation.revoked {
        refused("invitation_revoked", "This invitation was revoked. Ask for a new one.")
    } else if invitation.is_spent() {
        refused("invitation_spent", "This invitation has been used. Ask for a new one.")
    } else if invitation.expires <= tx.now() {
        refused("invitation_expired", "This invitation has expired. Ask for a new one.")
    } else {
        Ok(())
    }
}

fn page(tx: &mut Tx<'_>, invitation: InvitationId) -> Result<Vec<Key>> {
    Ok(tx.scan::<Key>(&format!("{invitation}/"), None, PAGE)?)
}

/// One that no device has ever shown, or that has not been heard for long. A PC's is bound with its issue: that proves no more than the
/// code does.
fn gives_way(tx: &mut Tx<'_>, key: &Key) -> Result<bool> {
    let Some(credential) = tx.get::<Credential>(key.sha256)? else { return Ok(true) };
    let device = match credential.device {
        Some(id) => tx.get::<Device>(id)?,
        None => None,
    };
    let Some(device) = device else { return Ok(true) };
    let Some(mine) = device.enrolment(key.enrolment) else { return Ok(true) };
    let heard = sights::last_seen(tx, mine)?.unwrap_or(key.at);
    Ok(credential.channel == Channel::Omadm || tx.now().since(heard) >= SILENT)
}

/// What a key gets for an invitation.
#[derive(Debug)]
pub enum Whose {
    /// It got this before.
    Before(Box<Credential>),
    /// A certificate for this enrolment. The first key's is the one made ahead, whose id stands in the profile as well.
    New(EnrolmentId),
}

/// Which certificate is a key's. Writes nothing: the certificate is made beside the writer, and [`super::spend`] judges once more.
pub fn whose(tx: &mut Tx<'_>, invitation: &Invitation, key: &str) -> Result<Whose> {
    if invitation.revoked {
        must_be_good(tx, invitation)?;
    }
    if let Some(before) = issued_to(tx, invitation, key)? {
        return Ok(Whose::Before(Box::new(before)));
    }
    place_for_one_more(tx, invitation)?;
    Ok(Whose::New(next_enrolment(tx, invitation)))
}

/// The enrolment of the next key.
pub fn next_enrolment(tx: &mut Tx<'_>, invitation: &Invitation) -> EnrolmentId {
    if invitation.begun { tx.new_id() } else { invitation.enrolment }
}

/// The certificate that this key got for this invitation.
fn issued_to(tx: &mut Tx<'_>, invitation: &Invitation, key: &str) -> Result<Option<Credential>> {
    let under_way = tx.get::<Key>(place(invitation.id, key))?.map(|key| key.sha256);
    let spent = invitation.spent.as_ref().filter(|spent| short(&spent.key) == short(key)).map(|spent| spent.sha256);
    match under_way.or(spent) {
        Some(sha256) => Ok(tx.get::<Credential>(sha256)?),
        None => Ok(None),
    }
}

/// Counts a certificate for one more key. Each leaves a credential and entries in the log for ever, and whoever has the link could ask
/// for any number.
pub(super) fn count_key(tx: &mut Tx<'_>, invitation: &mut Invitation) -> Result<()> {
    let now = tx.steady();
    if now.since(invitation.hour) >= HOUR {
        (invitation.hour, invitation.keys) = (now, 0);
    }
    if invitation.keys >= invitation.uses.saturating_mul(3).saturating_add(TRIES) {
        let text = "This invitation was tried too often within the hour. Try again later, or ask for a new one.";
        return Err(Error::forbidden("invitation_busy", text));
    }
    invitation.keys = invitation.keys.saturating_add(1);
    Ok(())
}

/// From now on this key is under way.
pub(super) fn begin(
    tx: &mut Tx<'_>,
    mut invitation: Invitation,
    key: &str,
    of: &Credential,
    place: Place,
) -> Result<()> {
    if let Place::Of(oldest) = place {
        end(tx, &oldest, Why::GaveWay, None)?;
        invitation.under_way = invitation.under_way.saturating_sub(1);
    }
    let (sha256, enrolment, at) = (of.certificate.sha256, of.enrolment, tx.now());
    tx.put(&Key { invitation: invitation.id, key: short(key).into(), sha256, enrolment, at })?;
    invitation.under_way = invitation.under_way.saturating_add(1);
    invitation.begun = true;
    Ok(tx.put(&invitation)?)
}

/// Whether an enrolment that shows this certificate may become complete: not once its invitation is revoked, or spent by others.
pub(super) fn may_complete(tx: &mut Tx<'_>, shown: &Fingerprint) -> Result<()> {
    match of_certificate(tx, shown)? {
        Some((_, invitation)) if invitation.revoked => must_be_good(tx, &invitation),
        Some((_, invitation)) if invitation.is_spent() => {
            // In an older store the certificate's issue spent it.
            let its_own = invitation.spent.as_ref().is_some_and(|spent| spent.sha256 == *shown);
            if its_own { Ok(()) } else { must_be_good(tx, &invitation) }
        }
        _ => Ok(()),
    }
}

/// A device is complete, and its invitation spent by it. Where that was the last one, what else is under way ends.
pub(super) fn completed(tx: &mut Tx<'_>, device: &mut Managed, shown: &Fingerprint) -> Result<()> {
    let Some((credential, mut invitation)) = of_certificate(tx, shown)? else { return Ok(()) };
    match tx.get::<Key>(place(invitation.id, &credential.key))? {
        Some(key) => {
            tx.delete(&key)?;
            invitation.under_way = invitation.under_way.saturating_sub(1);
        }
        // Of a time when the certificate's issue spent it.
        None if invitation.spent.as_ref().is_some_and(|spent| spent.sha256 == *shown) => return Ok(()),
        None => {}
    }
    if let Some(group) = &invitation.group
        && !groups::join(tx, device, group)?
    {
        let (invitation, device) = (invitation.id, device.id);
        tx.log(move || tracing::warn!(%invitation, %device, "the invitation's group is no more: it is in none"));
    }
    // A newcomer's ends nothing that is there.
    if !invitation.apart {
        succession::begin(tx, device, credential.enrolment, credential.user.is_empty())?;
    }
    invitation.used = invitation.used().saturating_add(1);
    if invitation.used >= invitation.uses {
        invitation.spent = Some(Spent { key: credential.key, sha256: *shown, at: tx.now() });
        end_others(tx, &mut invitation, Why::Spent, Some(device))?;
    }
    Ok(tx.put(&invitation)?)
}

fn of_certificate(tx: &mut Tx<'_>, shown: &Fingerprint) -> Result<Option<(Credential, Invitation)>> {
    let Some(credential) = tx.get::<Credential>(shown)? else { return Ok(None) };
    let Some(id) = credential.invitation else { return Ok(None) };
    Ok(tx.get::<Invitation>(id)?.map(|invitation| (credential, invitation)))
}

/// Ends what is under way, as much as one call may.
pub fn end_all(tx: &mut Tx<'_>, mut invitation: Invitation, why: Why) -> Result<()> {
    end_others(tx, &mut invitation, why, None)?;
    Ok(tx.put(&invitation)?)
}

/// The same, where the caller writes the invitation. `here`: a device that the caller has in hand.
fn end_others(tx: &mut Tx<'_>, invitation: &mut Invitation, why: Why, mut here: Option<&mut Managed>) -> Result<()> {
    for key in page(tx, invitation.id)? {
        end(tx, &key, why, here.as_deref_mut())?;
        invitation.under_way = invitation.under_way.saturating_sub(1);
    }
    Ok(())
}

/// Takes an invitation back: from now on nobody enrols by it. What is under way by it ends; what has enrolled stays. Not for newcomers,
/// who hold nobody back. Done twice it changes nothing.
pub fn revoke(tx: &mut Tx<'_>, actor: &Actor, id: InvitationId) -> Result<Invitation> {
    let mut found = tx.get::<Invitation>(id)?.ok_or_else(|| Error::not_found("invitation", id))?;
    if found.revoked {
        return Ok(found);
    }
    actor.must_count("revoke an invitation")?;
    end_others(tx, &mut found, Why::Revoked, None)?;
    // Of a time when a certificate's issue spent it.
    if let Some(spent) = &found.spent
        && tx.get::<Credential>(spent.sha256)?.is_some_and(|c| c.device.is_none() && c.revoked.is_none())
    {
        credential::revoke(tx, &spent.sha256)?;
    }
    let expires = found.expires.min(tx.now());
    let found = Invitation { expires, revoked: true, ..found };
    tx.put(&found)?;
    audit::note(tx, actor, audit::Event::InvitationRevoked { invitation: id })?;
    Ok(found)
}

/// Why a key is over that nobody ended yet.
pub fn is_over(tx: &mut Tx<'_>, key: &Key) -> Result<Option<Why>> {
    match tx.get::<Invitation>(key.invitation)? {
        Some(invitation) if invitation.revoked => return Ok(Some(Why::Revoked)),
        Some(invitation) if invitation.is_spent() => return Ok(Some(Why::Spent)),
        Some(_) | None => {}
    }
    let late = !tx.time().doubted && tx.now().since(key.at) >= LASTS;
    Ok(late.then_some(Why::TooLate))
}

/// Ends one that is over.
pub fn give_up(tx: &mut Tx<'_>, key: &Key, why: Why) -> Result<()> {
    end(tx, key, why, None)?;
    if let Some(mut invitation) = tx.get::<Invitation>(key.invitation)? {
        invitation.under_way = invitation.under_way.saturating_sub(1);
        tx.put(&invitation)?;
    }
    Ok(())
}

/// Its certificate is revoked and its enrolment, where that has begun, is given up; a record that was nothing else is gone.
fn end(tx: &mut Tx<'_>, key: &Key, why: Why, here: Option<&mut Managed>) -> Result<()> {
    tx.delete(key)?;
    let Some(credential) = tx.get::<Credential>(key.sha256)? else { return Ok(()) };
    let Some(id) = credential.device else { return credential::revoke(tx, &key.sha256) };
    let event = Event::GivenUp { enrolment: key.enrolment, why: why.words() };
    if let Some(device) = here.filter(|device| device.id == id) {
        return keeper::happen(tx, device, event).map(drop);
    }
    let Some(device) = tx.get::<Device>(id)? else { return credential::revoke(tx, &key.sha256) };
    let mut device = keeper::load(tx, device)?;
    keeper::happen(tx, &mut device, event)?;
    forget_empty(tx, &device)
}

/// A record of which nothing ever came, and of which nothing is told: nobody was managed by it.
fn forget_empty(tx: &mut Tx<'_>, device: &Device) -> Result<()> {
    let came_to_nothing =
        device.enrolments.iter().all(|e| e.state == EnrolmentState::Revoked && e.channel_state.contains_key(GIVEN_UP));
    if !came_to_nothing || !device.groups.is_empty() || !timers::of_device(tx, device)?.is_empty() {
        return Ok(());
    }
    for sha256 in device.enrolments.iter().filter_map(|e| e.certificate.as_ref()).map(|c| c.sha256) {
        if let Some(credential) = tx.get::<Credential>(sha256)? {
            tx.put(&Credential { device: None, ..credential })?;
        }
    }
    lookup::forget(tx, device)?;
    sights::forget(tx, device.enrolments.iter().map(|e| e.id))?;
    users::leave(tx, device)?;
    Ok(tx.delete(device)?)
}

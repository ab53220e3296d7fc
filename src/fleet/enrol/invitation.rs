//! Invitations: one use, seven days, for a named user; or many uses, for nobody in particular. Spent when their device is complete (`under_way.rs`), never by looking.
//!
//! The `url` holds a secret of its own; people type the `code`. Both are kept as digests, by which the invitation is found.
//! The SCEP challenge is derived from the secret in the url, and stands for it.

use crate::{
    clock::{Steady, Timestamp},
    error::{Denial, Error, Judged, Result},
    fleet::{
        actor::Actor,
        audit::{self, Event, Invited},
        groups,
        life::device::{Channel, Ownership},
        registry::tries,
        settings,
    },
    ids::{EnrolmentId, Fingerprint, InvitationId, digest, hex, hexed},
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long an invitation lives where nothing is said.
pub const LIFETIME: Duration = Duration::from_secs(7 * 86_400);
/// Devices that may enrol by one invitation.
pub const MOST: u32 = 100_000;
/// Crockford's base32: no I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// See the module.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Invitation {
    pub id: InvitationId,
    pub channel: Channel,
    /// Whom it names; empty: nobody in particular.
    pub user: String,
    pub ownership: Ownership,
    pub created: Timestamp,
    pub expires: Timestamp,
    /// The enrolment of the first key that gets a certificate, and what its profiles call themselves: made ahead.
    pub enrolment: EnrolmentId,
    /// Set by the device that completes it, the last of its uses. In an older store by the issue of the certificate.
    pub spent: Option<Spent>,
    /// Made by somebody who was new here: what enrols by it joins no device that is there.
    #[serde(default)]
    pub apart: bool,
    /// Whether a profile that it gave asks Apple devices to sign their messages. None: not known, it was made before that was kept.
    #[serde(default)]
    pub signs: Option<bool>,
    /// Taken back by an administrator, who made it expire by that.
    #[serde(default)]
    pub revoked: bool,
    /// How many devices may become complete by it.
    #[serde(default = "one")]
    pub uses: u32,
    /// How many have; see [`Invitation::used`].
    #[serde(default)]
    pub(super) used: u32,
    /// How many keys got a certificate and are not complete yet.
    #[serde(default)]
    pub under_way: u32,
    /// Whether the enrolment made ahead is a key's.
    #[serde(default)]
    pub begun: bool,
    /// What enrols by it comes into this group.
    #[serde(default)]
    pub group: Option<String>,
    /// Keys that got a certificate within an hour that began then.
    #[serde(default)]
    pub(super) hour: Steady,
    #[serde(default)]
    pub(super) keys: u32,
}

fn one() -> u32 {
    1
}

impl Invitation {
    /// How many devices enrolled by it.
    pub fn used(&self) -> u32 {
        self.used.max(u32::from(self.spent.is_some()))
    }

    /// Whether no more may.
    pub fn is_spent(&self) -> bool {
        self.used() >= self.uses
    }
}

/// What an invitation was spent on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Spent {
    /// Digest of the public key.
    #[serde(with = "hexed")]
    pub key: String,
    /// The certificate that key got.
    pub sha256: Fingerprint,
    /// When.
    pub at: Timestamp,
}

/// Leads from a secret's digest to its invitation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Way {
    #[serde(with = "hexed")]
    digest: String,
    /// Which.
    pub(crate) invitation: InvitationId,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 2] = [Kind::of::<Invitation>(), Kind::of::<Way>()];

impl Record for Invitation {
    const KIND: &'static str = "invitation";
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn lean(&self) -> Option<Self> {
        Some(Self { id: InvitationId::NONE, ..self.clone() })
    }
    fn whole(self, rest: &str) -> Option<Self> {
        Some(Self { id: rest.parse().ok()?, ..self })
    }
}
impl Record for Way {
    const KIND: &'static str = "way";
    fn key(&self) -> String {
        self.digest.clone()
    }
    fn lean(&self) -> Option<Self> {
        Some(Self { digest: String::new(), ..*self })
    }
    fn whole(self, rest: &str) -> Option<Self> {
        Some(Self { digest: rest.into(), ..self })
    }
}

/// A new invitation with the secrets that are shown this once.
pub struct Made {
    /// The record.
    pub invitation: Invitation,
    /// The last part of its url.
    pub key: String,
    /// Sixteen letters and digits in fours.
    pub code: String,
}

/// The SCEP challenge that goes with the secret part of an invitation's url.
pub fn challenge(key: &str) -> String {
    digest(format!("scep challenge {key}").as_bytes()).chars().take(40).collect()
}

/// A code as it is printed, of five bits of each random byte.
pub(in crate::fleet) fn letters(random: &[u8]) -> String {
    let letters: Vec<char> =
        random.iter().map(|b| char::from(*ALPHABET.get(usize::from(b % 32)).unwrap_or(&b'0'))).collect();
    let fours: Vec<String> = letters.chunks(4).map(|four| four.iter().collect()).collect();
    fours.join("-")
}

/// A code as it is compared: upper case, no dashes or blanks, Crockford's look-alikes as what they were meant for.
pub fn normal(code: &str) -> String {
    let wanted = code.chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| c.to_ascii_uppercase());
    wanted
        .map(|c| {
            if c == 'O' {
                '0'
            } else if c == 'I' || c == 'L' {
                '1'
            } else {
                c
            }
        })
        .collect()
}

fn way(kind: &str, secret: &str) -> String {
    let mut digest = digest(format!("{kind} {secret}").as_bytes());
    // 128 bits: nobody finds another secret of the same.
    digest.truncate(32);
    digest
}

/// A user's name as it is kept: no blanks around it, and not empty. Case is kept, and ignored when comparing.
pub fn user_name(user: &str) -> Result<String> {
    let user = user.trim();
    if user.is_empty() || user.len() > 320 || crate::fleet::actor::has_hidden(user) {
        return Err(Error::invalid(
            "user",
            "1 to 320 characters, none that cannot be seen (control characters, marks of direction)",
        ));
    }
    Ok(user.to_string())
}

/// Makes an invitation.
pub fn create(
    tx: &mut Tx<'_>,
    actor: &Actor,
    channel: Channel,
    user: &str,
    ownership: Ownership,
    lifetime: Option<Duration>,
) -> Result<Made> {
    let whom = Whom { user: user_name(user)?, uses: 1, group: None };
    let made = make(tx, actor, channel, whom, ownership, lifetime)?;
    let Invitation { id: invitation, user, .. } = made.invitation.clone();
    audit::note(tx, actor, Event::InvitationMade { invitation, whom: Invited::User(user) })?;
    Ok(made)
}

/// Makes one by which so many devices enrol for nobody in particular, and come into a group. Not for mail, where a login says whose it is.
pub fn create_for_many(
    tx: &mut Tx<'_>,
    actor: &Actor,
    channel: Channel,
    uses: u32,
    group: Option<String>,
    ownership: Ownership,
    lifetime: Option<Duration>,
) -> Result<Made> {
    if !(1..=MOST).contains(&uses) {
        return Err(Error::invalid("uses", format!("1 to {MOST}")));
    }
    if !matches!(channel, Channel::Apple | Channel::Omadm) {
        return Err(Error::invalid("uses", "mail is somebody's: invite each user by name"));
    }
    if let Some(group) = &group {
        groups::size(tx, group)?;
    }
    let made = make(tx, actor, channel, Whom { user: String::new(), uses, group }, ownership, lifetime)?;
    let Invitation { id: invitation, group, .. } = made.invitation.clone();
    audit::note(tx, actor, Event::InvitationMade { invitation, whom: Invited::Many(uses, group) })?;
    Ok(made)
}

/// Who may enrol.
struct Whom {
    user: String,
    uses: u32,
    group: Option<String>,
}

fn make(
    tx: &mut Tx<'_>,
    actor: &Actor,
    channel: Channel,
    whom: Whom,
    ownership: Ownership,
    lifetime: Option<Duration>,
) -> Result<Made> {
    let Whom { user, uses, group } = whom;
    let lifetime = lifetime.unwrap_or(LIFETIME);
    if lifetime.is_zero() || lifetime > Duration::from_secs(366 * 86_400) {
        return Err(Error::invalid("expires", "more than nothing and at most a year"));
    }
    let key = hex(&tx.random::<24>());
    let code = letters(&tx.random::<16>());
    // The profile of one for many is many devices': none of their enrolments has its id.
    let begun = user.is_empty();
    let invitation = Invitation {
        id: tx.new_id(),
        channel,
        user,
        ownership,
        created: tx.now(),
        expires: tx.now().plus(lifetime),
        enrolment: tx.new_id(),
        spent: None,
        apart: actor.newcomer_until.is_some(),
        signs: Some(false),
        revoked: false,
        uses,
        used: 0,
        under_way: 0,
        begun,
        group,
        hour: tx.steady(),
        keys: 0,
    };
    for digest in [way("code", &normal(&code)), way("challenge", &challenge(&key))] {
        tx.put(&Way { digest, invitation: invitation.id })?;
    }
    tx.put(&invitation)?;
    Ok(Made { invitation, key, code })
}

/// Notes that a profile was made which asks for signatures. Which of several the device took is not known: one that asks is enough.
pub fn note_signing(tx: &mut Tx<'_>, id: InvitationId) -> Result<()> {
    if let Some(invitation) = tx.get::<Invitation>(id)?.filter(|i| i.signs != Some(true)) {
        tx.put(&Invitation { signs: Some(true), ..invitation })?;
    }
    Ok(())
}

fn by(tx: &mut Tx<'_>, kind: &str, secret: &str) -> Result<Option<Invitation>> {
    match tx.get::<Way>(way(kind, secret))? {
        Some(found) => Ok(tx.get::<Invitation>(found.invitation)?),
        None => Ok(None),
    }
}

/// The invitation whose url ends with this; spent and expired ones too.
pub fn by_url(tx: &mut Tx<'_>, key: &str) -> Result<Option<Invitation>> {
    by_challenge(tx, &challenge(key))
}

/// The invitation with this SCEP challenge; spent and expired ones too.
pub fn by_challenge(tx: &mut Tx<'_>, challenge: &str) -> Result<Option<Invitation>> {
    by(tx, "challenge", challenge)
}

/// Why a code was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrongCode {
    /// No such code for this user, channel or url; or spent with another key, or expired: strangers are not told which.
    Wrong,
    /// Wrong, and one of too many this hour.
    TooMany,
}

impl WrongCode {
    /// For the log, with what [`misfit`] says.
    pub fn and_why(self, why: &str) -> String {
        match self {
            Self::Wrong => why.into(),
            Self::TooMany => format!("{why}, and there were too many wrong codes within the hour"),
        }
    }
}

/// The invitation, open or with a key that got a certificate, that fits code, user (where one was typed; one for nobody in
/// particular takes any, and believes none) and channel. A right code is taken whatever was tried
/// before: its 80 bits guard it, and a stranger's tries shut nobody out. Wrong ones are counted by user and, where it says who asks, by
/// address.
pub fn by_code(
    tx: &mut Tx<'_>,
    code: &str,
    channel: Channel,
    user: Option<&str>,
    address: Option<&str>,
) -> Judged<Invitation, WrongCode> {
    let found = by(tx, "code", &normal(code))?
        .filter(|i| i.channel == channel && (i.user.is_empty() || user.is_none_or(|user| same_user(user, &i.user))));
    // The same key gets its certificate again, also of one that is spent or has expired since.
    match found.filter(|i| !i.revoked && (i.used() > 0 || i.under_way > 0 || i.expires > tx.now())) {
        Some(invitation) => Ok(invitation),
        None => Err(Denial::Refused(count_wrong(tx, user, address)?)),
    }
}

/// Why a code was not taken, for those who run the server: whoever tried it is not told. Reads alone.
pub fn misfit(tx: &mut Tx<'_>, code: &str, channel: Channel, user: Option<&str>) -> Result<&'static str> {
    let Some(found) = by(tx, "code", &normal(code))? else { return Ok("no invitation has this code") };
    let anothers = !found.user.is_empty() && user.is_some_and(|user| !same_user(user, &found.user));
    Ok(match found {
        _ if found.channel != channel => "the code is of an invitation for another protocol",
        _ if anothers => "the code is another user's",
        _ if found.revoked => "the invitation was revoked",
        _ => "the invitation has expired",
    })
}

fn same_user(typed: &str, invited: &str) -> bool {
    typed.trim().to_lowercase() == invited.to_lowercase()
}

/// Counts a wrong code. One over the limit is not written, so that nobody lengthens the wait or fills the store.
pub(in crate::fleet) fn count_wrong(tx: &mut Tx<'_>, user: Option<&str>, address: Option<&str>) -> Result<WrongCode> {
    let limit = settings::count(tx, "limit.wrong_codes_per_hour")?;
    // What cannot be a user's name has no invitation, and is not kept.
    let name = user.and_then(|user| user_name(user).ok());
    let by_user = name.map(|user| format!("user {}", user.to_lowercase()));
    let tried = by_user.into_iter().chain(address.map(|address| format!("address {address}")));
    let mut counted = Vec::new();
    for who in tried {
        match tries::within(tx, &who, limit)? {
            Some(tries) => counted.push(tries),
            None => return Ok(WrongCode::TooMany),
        }
    }
    for tries in counted {
        tries.count(tx)?;
    }
    Ok(WrongCode::Wrong)
}

//! A device and its enrolments, as they are kept and as the API shows them.

pub mod renewal;

use super::kept::Kept;
use crate::{
    clock::{Steady, Timestamp},
    error::Result,
    ids::{CommandId, DeviceId, EnrolmentId, Fingerprint, hexed, packed},
    policy::{self, Applied, PartId},
    store::{Kind, Record, Tx},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

/// The kind of device.
pub use crate::policy::Platform;

pub use crate::fleet::terms::Channel;

use renewal::Renewal;

/// Whose the device is. A personal one cannot be fully wiped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Ownership {
    /// The organisation's.
    Corporate,
    /// The user's own.
    Personal,
}

impl Ownership {
    /// As it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Corporate => "corporate",
            Self::Personal => "personal",
        }
    }
}

/// Where a device stands as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Life {
    /// Managed.
    Enrolled,
    /// A selective wipe is under way.
    Retiring,
    /// It ended.
    Retired,
    /// A full wipe is under way.
    Wiping,
    /// It ended.
    Wiped,
}

/// The states of a device as the API shows them.
pub const STATES: [&str; 7] = ["enrolled", "retiring", "retired", "wiping", "wiped", "blocked", "quarantined"];

/// Where one enrolment stands by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EnrolmentState {
    /// Certificate shown, enrolment not complete (no TokenUpdate yet).
    Pending,
    /// Good.
    Enrolled,
    /// Ended by a selective wipe, its own CheckOut or unenrolment.
    Retired,
    /// Ended by a full wipe.
    Wiped,
    /// Refused by an administrator.
    Blocked,
    /// Unknown mail client, waiting for an administrator.
    Quarantined,
    /// Its certificate was revoked, or a newer enrolment took its place.
    Revoked,
    /// It is over, but for a wipe that it is owed: its certificate is heard for that, and for nothing else.
    Former,
}

/// What an enrolment's certificate says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Serial number, hexadecimal.
    #[serde(with = "hexed")]
    pub serial: String,
    /// SHA-256 of the DER.
    pub sha256: Fingerprint,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
}

/// The binding of a device to a user, a channel and a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// Its id.
    pub id: EnrolmentId,
    /// The protocol.
    pub channel: Channel,
    /// The device's own name in it, as sent.
    #[serde(with = "packed")]
    pub identity: String,
    /// See there.
    pub state: EnrolmentState,
    /// What it is pinned to; none for mail by password.
    pub certificate: Option<Certificate>,
    /// A renewed certificate not used yet.
    #[serde(default)]
    pub renewed: Option<Certificate>,
    /// When made.
    pub created: Timestamp,
    /// Last check-in, as last written.
    pub last_seen: Option<Timestamp>,
    /// How a push reaches it (Apple).
    #[serde(default)]
    pub push: Option<Push>,
    /// What the channel keeps about it (sealed where secret): the mail gateway's provisioning, Apple's unlock token …
    #[serde(default, with = "hexed::map")]
    pub channel_state: BTreeMap<String, String>,
    /// What of the policy is in place over it. A new enrolment has confirmed nothing.
    #[serde(default)]
    pub applied: BTreeMap<PartId, Applied>,
    /// A Mac's users with a channel of their own, by the id they have on it.
    #[serde(default)]
    pub users: BTreeMap<String, MacUser>,
    /// The wipe that a former enrolment is owed.
    #[serde(default)]
    pub owed: Option<CommandId>,
    /// A renewal of its certificate that the server asked for, until it is done.
    #[serde(default)]
    pub renewal: Option<Box<Renewal>>,
    /// It enrolled as its user's own: its profile gave no right to erase it, and rights only shrink, whatever is said of the device since. None:
    /// not known, it is older than this.
    #[serde(default)]
    pub personal: Option<bool>,
    /// When it was complete, by the time that counts for waits: of two the later one is newer, however the wall clock was set between. None: it is
    /// not complete, or older than this.
    #[serde(default)]
    pub complete: Option<Steady>,
    /// A person let it in or shut it out, which stands above the rules of mail. None: not known, it is older than this.
    #[serde(default)]
    pub decided: Option<bool>,
    /// Rules of mail that gave it time before they cut it, by their words.
    #[serde(default)]
    pub graces: BTreeMap<String, Grace>,
}

/// How long a mail client has fitted a rule that gives time before it cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grace {
    /// Since when.
    pub since: Steady,
    /// It fits it no more since then: one that comes and goes shall not begin anew each time.
    pub left: Option<Steady>,
}

/// A user of a Mac, who is managed beside the Mac itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MacUser {
    /// What the Mac calls them: the account's short name, or the full one where it tells no other.
    pub name: Option<String>,
    /// How a push reaches them.
    pub push: Option<Push>,
    /// What of the policy is in place for them.
    #[serde(default)]
    pub applied: BTreeMap<PartId, Applied>,
    /// When they were last heard, as last written.
    pub last_seen: Option<Timestamp>,
}

/// Where to push to wake a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// The token, hexadecimal.
    #[serde(with = "hexed")]
    pub token: String,
    /// Apple's PushMagic.
    pub magic: String,
    /// The topic it was given under.
    pub topic: String,
    /// APNs said 410: no pushes until a new token comes.
    pub retired: bool,
    /// When the device told it.
    #[serde(default)]
    pub told: Option<Timestamp>,
}

/// Under this name an enrolment that never was complete keeps, among what its channel keeps, that it is over.
pub const GIVEN_UP: &str = "given up";

/// Likewise one whose name another record bears that is heard.
pub const SUCCEEDED: &str = "succeeded";

/// Users of one Mac that are kept. A Mac says who they are, so there must be an end.
pub const MAC_USERS: usize = 64;

/// One phone, tablet or PC. What it is, and what becomes of it, changes by events alone ([`super::Managed::on`]).
pub type Device = Kept<DeviceFields>;

/// See [`Device`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct DeviceFields {
    pub id: DeviceId,
    pub user: String,
    pub ownership: Ownership,
    pub platform: Platform,
    pub life: Life,
    pub serial: Option<String>,
    pub name: Option<String>,
    pub model: Option<String>,
    pub os_version: Option<String>,
    /// The name the device's mail client goes by, where another channel told us.
    #[serde(default, with = "packed::option")]
    pub mail_id: Option<String>,
    /// The hardware's own id (Windows), for telling that a wiped PC is back.
    #[serde(default, with = "packed::option")]
    pub hardware_id: Option<String>,
    pub created: Timestamp,
    pub enrolments: Vec<Enrolment>,
    #[serde(default)]
    pub groups: BTreeSet<String>,
    /// Commands that have not ended, oldest first.
    #[serde(default)]
    pub open: Vec<CommandId>,
    /// The wipe that is under way or was the last to end.
    #[serde(default)]
    pub wipe: Option<CommandId>,
    /// Mail is shut by a wipe that was asked for (this command), whatever its enrolments say.
    #[serde(default)]
    pub mail_shut: Option<CommandId>,
    /// Facts the device told (encryption, passcode …), for compliance.
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
    /// When the facts were last asked for.
    #[serde(default)]
    pub asked: Option<Steady>,
    /// Since when an administrator wants to see no more of it: it ended, and until it is heard again it is in no list.
    #[serde(default)]
    pub removed: Option<Timestamp>,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 1] = [Kind::of::<Device>()];

impl Record for Device {
    const KIND: &'static str = "device";
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn subject(&self) -> Option<String> {
        Some(self.id.to_string())
    }
    const COUNTED: bool = true;
    fn counted(&self) -> Option<String> {
        Census::of(self).map(|census| census.to_string())
    }
}

/// What policies ask of how many devices: those that are alike in this are counted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Census {
    /// Wrong tries of its passcode, where a policy limits them, erase it ([`policy::erases`] on any of its channels).
    pub erasing: bool,
    /// The groups that it is in.
    pub groups: Vec<String>,
}

impl Census {
    /// Of a device that is still managed.
    fn of(device: &Device) -> Option<Self> {
        device.live().next()?;
        let mut channels = device.live().filter_map(|e| e.channel.for_policy());
        let personal = device.ownership == Ownership::Personal;
        let erasing = channels.any(|channel| policy::erases(channel, device.platform, personal));
        Some(Self { erasing, groups: device.groups.iter().cloned().collect() })
    }

    /// How many devices there are of each kind.
    pub fn take(tx: &mut Tx<'_>) -> Result<Vec<(Self, u64)>> {
        let counts = tx.counts::<Device>()?;
        Ok(counts.into_iter().filter_map(|(name, count)| Some((name.parse().ok()?, count))).collect())
    }
}

/// No group's name holds a slash.
impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.erasing { "erasing" } else { "" })?;
        self.groups.iter().try_for_each(|group| write!(f, "/{group}"))
    }
}

impl FromStr for Census {
    type Err = ();

    fn from_str(name: &str) -> std::result::Result<Self, ()> {
        let mut parts = name.split('/');
        let erasing = match parts.next() {
            Some("") => false,
            Some("erasing") => true,
            _ => return Err(()),
        };
        Ok(Self { erasing, groups: parts.map(str::to_string).collect() })
    }
}

impl DeviceFields {
    /// A new one, without an enrolment yet.
    pub(super) fn new(id: DeviceId, user: &str, ownership: Ownership, platform: Platform, now: Timestamp) -> Self {
        Self {
            id,
            user: user.into(),
            ownership,
            platform,
            life: Life::Enrolled,
            serial: None,
            name: None,
            model: None,
            os_version: None,
            mail_id: None,
            hardware_id: None,
            created: now,
            enrolments: Vec::new(),
            groups: BTreeSet::new(),
            open: Vec::new(),
            wipe: None,
            mail_shut: None,
            facts: BTreeMap::new(),
            asked: None,
            removed: None,
        }
    }

    /// Whether it is this user's. Nobody's is not the same as nobody's: two shared devices have nothing in common by that.
    pub fn is_of(&self, user: &str) -> bool {
        !user.is_empty() && self.user.to_lowercase() == user.to_lowercase()
    }

    /// One of its enrolments.
    pub fn enrolment(&self, id: EnrolmentId) -> Option<&Enrolment> {
        self.enrolments.iter().find(|e| e.id == id)
    }

    /// One of its enrolments, to change it.
    pub(super) fn enrolment_mut(&mut self, id: EnrolmentId) -> Option<&mut Enrolment> {
        self.enrolments.iter_mut().find(|e| e.id == id)
    }

    /// The enrolments that still bind the device.
    pub fn live(&self) -> impl Iterator<Item = &Enrolment> {
        self.enrolments.iter().filter(|e| e.is_live())
    }

    /// The strongest live enrolment: the one that would carry a wipe. One that hears us goes before one that does not: a new
    /// enrolment may never be completed, and a blocked one is refused.
    pub fn carrier(&self) -> Option<&Enrolment> {
        self.live().min_by_key(|e| (!e.hears(), e.channel, std::cmp::Reverse(e.created)))
    }

    /// The channel the API names: the carrier's, or that of the last enrolment where none lives.
    pub fn channel(&self) -> Option<Channel> {
        self.carrier().or(self.enrolments.last()).map(|e| e.channel)
    }

    /// The state the API shows, one of [`STATES`].
    pub fn state(&self) -> &'static str {
        self.state_with(|enrolment| enrolment.state)
    }

    /// The same where its enrolments stand otherwise than is kept: rules of mail may have changed.
    pub fn state_with(&self, of: impl Fn(&Enrolment) -> EnrolmentState) -> &'static str {
        let mail_only = self.enrolments.iter().all(|e| e.channel.is_mail());
        let ends = |state| !self.enrolments.is_empty() && self.enrolments.iter().all(|e| of(e) == state);
        match self.life {
            Life::Retiring => "retiring",
            Life::Retired => "retired",
            Life::Wiping => "wiping",
            Life::Wiped => "wiped",
            Life::Enrolled if mail_only && ends(EnrolmentState::Blocked) => "blocked",
            Life::Enrolled if mail_only && ends(EnrolmentState::Quarantined) => "quarantined",
            Life::Enrolled if self.live().next().is_none() && !self.enrolments.is_empty() => "retired",
            Life::Enrolled => "enrolled",
        }
    }

    /// Whether rules of mail may say of this enrolment if it is let in: it has not ended, no person decided on it, and no wipe shuts it.
    pub fn is_ruled(&self, enrolment: &Enrolment) -> bool {
        let open =
            matches!(enrolment.state, EnrolmentState::Enrolled | EnrolmentState::Quarantined | EnrolmentState::Blocked);
        let free = self.life == Life::Enrolled && self.mail_shut.is_none();
        enrolment.channel == Channel::Activesync && open && free && !enrolment.is_decided()
    }

    /// The latest of its enrolments' check-ins.
    pub fn last_seen(&self) -> Option<Timestamp> {
        self.enrolments.iter().filter_map(|e| e.last_seen).max()
    }
}

impl Enrolment {
    /// A new one, of which nothing more is known.
    pub fn new(id: EnrolmentId, channel: Channel, identity: &str, state: EnrolmentState, now: Timestamp) -> Self {
        Self {
            id,
            channel,
            identity: identity.into(),
            state,
            certificate: None,
            renewed: None,
            created: now,
            last_seen: None,
            push: None,
            channel_state: BTreeMap::new(),
            applied: BTreeMap::new(),
            users: BTreeMap::new(),
            owed: None,
            renewal: None,
            personal: None,
            complete: None,
            decided: Some(false),
            graces: BTreeMap::new(),
        }
    }

    /// Whether it is a person's word that it is let in or not. One that was blocked before that was kept is not let in by a rule.
    pub fn is_decided(&self) -> bool {
        self.decided.unwrap_or(self.state == EnrolmentState::Blocked)
    }

    /// It binds no more. Its users cannot be reached by it either.
    pub(super) fn end(&mut self, state: EnrolmentState) {
        (self.state, self.owed, self.renewal) = (state, None, None);
        for user in self.users.values_mut() {
            user.push = None;
        }
    }

    /// Takes over what a Mac says of one of its users. What is in place for them stays. Of more than [`MAC_USERS`] the one that was
    /// not heard for longest makes room.
    pub(super) fn note_user(&mut self, id: &str, name: Option<String>, push: Push, now: Timestamp) {
        // An older record may have more.
        let room = if self.users.contains_key(id) { MAC_USERS } else { MAC_USERS - 1 };
        while self.users.len() > room {
            let others = self.users.iter().filter(|(other, _)| *other != id);
            let Some(longest) = others.min_by_key(|(_, user)| user.last_seen).map(|(id, _)| id.clone()) else { break };
            self.users.remove(&longest);
        }
        let new = MacUser { name: None, push: None, applied: BTreeMap::new(), last_seen: None };
        let user = self.users.entry(id.into()).or_insert(new);
        user.name = name.or(user.name.take());
        (user.push, user.last_seen) = (Some(push), Some(now));
    }

    /// Whether it still binds: a blocked or quarantined one does, an ended one does not.
    pub fn is_live(&self) -> bool {
        !matches!(
            self.state,
            EnrolmentState::Retired | EnrolmentState::Wiped | EnrolmentState::Revoked | EnrolmentState::Former
        )
    }

    /// Whether it can be told something. Mail that is blocked or quarantined is still told of a wipe.
    pub fn hears(&self) -> bool {
        match self.state {
            EnrolmentState::Enrolled => true,
            EnrolmentState::Blocked | EnrolmentState::Quarantined => self.channel.is_mail(),
            EnrolmentState::Pending
            | EnrolmentState::Retired
            | EnrolmentState::Wiped
            | EnrolmentState::Revoked
            | EnrolmentState::Former => false,
        }
    }

    /// The state the API shows: a wipe that is under way shows on every enrolment that still binds.
    pub fn state_within(&self, life: Life) -> &'static str {
        Self::shown(self.state, life)
    }

    /// The same of a state.
    pub fn shown(state: EnrolmentState, life: Life) -> &'static str {
        match (state, life) {
            (EnrolmentState::Blocked, _) => "blocked",
            (EnrolmentState::Quarantined, _) => "quarantined",
            (EnrolmentState::Revoked, _) => "revoked",
            (EnrolmentState::Retired, _) => "retired",
            (EnrolmentState::Wiped, _) => "wiped",
            (_, Life::Retiring) => "retiring",
            (_, Life::Wiping) => "wiping",
            (EnrolmentState::Former, Life::Retired) => "retired",
            (EnrolmentState::Former, Life::Wiped) => "wiped",
            (EnrolmentState::Former, Life::Enrolled) => "revoked",
            (EnrolmentState::Pending, _) => "pending",
            (EnrolmentState::Enrolled, _) => "enrolled",
        }
    }

    /// Whether this one, once it is whole, ends the other: the same name on the same channel. Other names may be clones of one another.
    pub fn takes_the_place_of(&self, former: &Enrolment) -> bool {
        self.id != former.id && self.channel == former.channel && self.has_name_of(former)
    }

    /// Whether it was complete before the other. One of before that was kept is older than one since.
    pub fn is_older_than(&self, other: &Enrolment) -> bool {
        match (self.complete, other.complete) {
            (None, None) => (self.created, self.id) < (other.created, other.id),
            (mine, its) => (mine, self.id) < (its, other.id),
        }
    }

    /// Whether it is owed a wipe that has ended or not, and is what it was before as soon as that comes to nothing: nothing has taken its place, and
    /// it can be heard.
    pub fn may_live_again(&self, now: Timestamp) -> bool {
        let over = [GIVEN_UP, SUCCEEDED].iter().any(|mark| self.channel_state.contains_key(*mark));
        let heard = self.certificate.as_ref().is_some_and(|certificate| certificate.not_after > now);
        self.state == EnrolmentState::Former && !over && heard
    }

    /// Whether the two go by one name in their protocol.
    pub fn has_name_of(&self, other: &Self) -> bool {
        self.identity.to_lowercase() == other.identity.to_lowercase()
    }

    /// Whether this certificate is its own, in use or just renewed.
    pub fn is_pinned_to(&self, sha256: &Fingerprint) -> bool {
        [&self.certificate, &self.renewed].into_iter().flatten().any(|c| c.sha256 == *sha256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn push(magic: &str) -> Push {
        Push { token: "ab".into(), magic: magic.into(), topic: "t".into(), retired: false, told: None }
    }

    #[test]
    fn wrong_tries_erase_no_apple_device_that_is_its_users_own() {
        let census = |ownership, channel| {
            let id = DeviceId(Uuid::nil());
            let mut device = DeviceFields::new(id, "ann", ownership, Platform::Ios, Timestamp(0));
            let enrolment = EnrolmentId(Uuid::nil());
            device.enrolments.push(Enrolment::new(enrolment, channel, "ID", EnrolmentState::Enrolled, Timestamp(0)));
            Census::of(&Kept::new(device)).map(|census| census.erasing)
        };
        for (row, ownership, channel, erasing) in [
            ("an iPhone of the organisation's", Ownership::Corporate, Channel::Apple, true),
            ("its user's own", Ownership::Personal, Channel::Apple, false),
            ("one's own that reads mail alone", Ownership::Personal, Channel::Activesync, true),
        ] {
            assert_eq!(census(ownership, channel), Some(erasing), "{row}");
        }
    }

    #[test]
    fn of_a_macs_users_the_one_not_heard_for_longest_makes_room() {
        let id = EnrolmentId(Uuid::nil());
        let mut mac = Enrolment::new(id, Channel::Apple, "UDID", EnrolmentState::Enrolled, Timestamp(0));
        for at in 0..64 {
            mac.note_user(&format!("U{at}"), Some(format!("u{at}")), push("first"), Timestamp(at));
        }
        mac.users
            .get_mut("U0")
            .unwrap()
            .applied
            .insert(PartId::Settings, Applied::new("ab", crate::policy::Outcome::Enforced, Timestamp(0).to_datetime()));
        mac.note_user("U0", None, push("second"), Timestamp(100));
        let first = &mac.users["U0"];
        assert_eq!((first.name.as_deref(), first.applied.len()), (Some("u0"), 1), "what is not said anew stays");
        assert_eq!((first.push.as_ref().unwrap().magic.as_str(), first.last_seen), ("second", Some(Timestamp(100))));
        mac.note_user("U64", None, push("first"), Timestamp(101));
        assert_eq!(mac.users.len(), MAC_USERS);
        assert!(!mac.users.contains_key("U1") && mac.users.contains_key("U0") && mac.users.contains_key("U64"));
        for at in 0..200 {
            let user = MacUser { name: None, push: None, applied: BTreeMap::new(), last_seen: None };
            mac.users.insert(format!("old {at}"), user);
        }
        mac.note_user("U64", None, push("first"), Timestamp(102));
        assert_eq!(mac.users.len(), MAC_USERS, "what an older version piled up goes");
        assert!(mac.users.contains_key("U64") && mac.users.keys().all(|id| !id.starts_with("old")));
        mac.end(EnrolmentState::Retired);
        assert!(mac.users.values().all(|user| user.push.is_none()), "nobody is woken by an enrolment that has ended");
    }
}

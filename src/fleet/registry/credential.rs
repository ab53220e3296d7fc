//! A certificate that we issued: whom it stands for, and whether it still does. Found by its fingerprint.

use crate::{
    clock::{Steady, Timestamp},
    error::Result,
    fleet::{
        audit::{self, By, Event},
        life::{Channel, Device, EnrolmentState, Life, Ownership, device::Certificate},
    },
    ids::{DeviceId, EnrolmentId, Fingerprint, InvitationId, hexed},
    store::{Kind, Record, Time, Tx},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// See the module.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Credential {
    /// What it says.
    pub certificate: Certificate,
    /// The DER, to answer the same key with the same certificate.
    #[serde(with = "hexed")]
    pub der: String,
    /// The enrolment it speaks for; made when it was issued, bound to a device at the first check-in.
    pub enrolment: EnrolmentId,
    /// That device.
    pub device: Option<DeviceId>,
    /// The protocol it was issued for.
    pub channel: Channel,
    /// Whose.
    pub user: String,
    /// As the invitation said.
    pub ownership: Ownership,
    /// Where it came from, where somebody was invited.
    pub invitation: Option<InvitationId>,
    /// From then on it counts for nothing (may lie ahead: a retired iPhone gets ten minutes for its CheckOut).
    pub revoked: Option<Steady>,
    /// Whether its profile asked the device to sign its messages: such a signature counts then, and nowhere else, since a message that
    /// somebody captured says the same for ever. None: not known, it was issued before that was kept.
    #[serde(default)]
    pub signs: Option<bool>,
    /// Digest of the public key that asked by the invitation; empty where no invitation knows it.
    #[serde(default, with = "hexed")]
    pub key: String,
    /// What the enrolment profile that it came by calls itself (PayloadUUID), where that is not the enrolment's id: of an install that was
    /// repeated. A profile that is to take its place must bear this one.
    #[serde(default)]
    pub profile: Option<EnrolmentId>,
}

impl Credential {
    /// The PayloadUUID of the enrolment profile that the device got with it.
    pub fn profile(&self) -> EnrolmentId {
        self.profile.unwrap_or(self.enrolment)
    }
}

/// A revoked serial number, for the revocation list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Revocation {
    /// Serial number, hexadecimal.
    #[serde(with = "hexed")]
    pub serial: String,
    /// From when on, as people read it.
    pub at: Timestamp,
    /// From when on it counts.
    from: Steady,
    /// The certificate's own end: after it the list need not name it.
    pub(crate) not_after: Timestamp,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 3] = [Kind::of::<Credential>(), Kind::of::<Revocation>(), Kind::of::<Revocations>()];

impl Record for Credential {
    const KIND: &'static str = "credential";
    fn key(&self) -> String {
        self.certificate.sha256.to_string()
    }
    fn lean(&self) -> Option<Self> {
        let certificate = Certificate { sha256: Fingerprint::NONE, ..self.certificate.clone() };
        Some(Self { certificate, ..self.clone() })
    }
    fn whole(mut self, rest: &str) -> Option<Self> {
        self.certificate.sha256 = rest.parse().ok()?;
        Some(self)
    }
    fn subject(&self) -> Option<String> {
        self.device.map(|d| d.to_string())
    }
}
impl Record for Revocation {
    const KIND: &'static str = "revocation";
    fn key(&self) -> String {
        self.serial.clone()
    }
}

/// How many there are: who keeps a signed list sees by it whether it still holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Revocations {
    count: u64,
}

impl Record for Revocations {
    const KIND: &'static str = "revocations";
    fn key(&self) -> String {
        String::new()
    }
}

pub use crate::fleet::terms::Standing;

/// Judges a certificate by the store, at its time.
pub fn judge(time: Time, credential: &Credential, device: Option<&Device>) -> Standing {
    let enrolment = device.and_then(|d| d.enrolment(credential.enrolment));
    let final_end = device.zip(enrolment).is_some_and(|(d, e)| {
        matches!(d.life, Life::Retired | Life::Wiped)
            && matches!(e.state, EnrolmentState::Retired | EnrolmentState::Wiped)
    });
    if final_end && credential.revoked.is_none_or(|at| at <= time.steady) {
        return Standing::Ended;
    }
    if credential.revoked.is_some_and(|at| at <= time.steady) {
        return Standing::Revoked;
    }
    if credential.certificate.not_after <= time.now {
        return Standing::Expired;
    }
    match enrolment.map(|e| e.state) {
        // What its wipe is owed to is heard, for that and for nothing else.
        Some(EnrolmentState::Former) => Standing::Good,
        Some(EnrolmentState::Blocked) => Standing::Blocked,
        Some(EnrolmentState::Revoked) => Standing::Superseded,
        // Its device is managed anew, by another enrolment; only a retired iPhone's has a while for its CheckOut.
        Some(EnrolmentState::Retired | EnrolmentState::Wiped) if credential.revoked.is_none() => Standing::Superseded,
        _ => Standing::Good,
    }
}

/// Ends a certificate now, in the list too.
pub fn revoke(tx: &mut Tx<'_>, sha256: &Fingerprint) -> Result<()> {
    revoke_after(tx, sha256, Duration::ZERO)
}

/// Ends it after so long.
pub fn revoke_after(tx: &mut Tx<'_>, sha256: &Fingerprint, pause: Duration) -> Result<()> {
    let at = tx.steady().plus(pause);
    let Some(mut credential) = tx.get::<Credential>(sha256)? else { return Ok(()) };
    if credential.revoked.is_some_and(|before| before <= at) {
        return Ok(());
    }
    credential.revoked = Some(at);
    let count = revocations(tx)?.saturating_add(1);
    tx.put(&Revocations { count })?;
    let Certificate { serial, not_after, .. } = credential.certificate.clone();
    tx.put(&Revocation { serial, at: tx.wall_of(at), from: at, not_after })?;
    tx.put(&credential)?;
    let Credential { enrolment, device, .. } = credential;
    audit::note(tx, By::System, Event::CertificateRevoked { enrolment, device })
}

/// How often something was revoked so far.
pub fn revocations(tx: &mut Tx<'_>) -> Result<u64> {
    Ok(tx.get::<Revocations>("")?.unwrap_or_default().count)
}

/// What belongs on the revocation list at this moment.
pub fn revoked(tx: &mut Tx<'_>) -> Result<Vec<Revocation>> {
    let now = tx.steady();
    Ok(tx.all::<Revocation>("")?.into_iter().filter(|r| r.from <= now).collect())
}

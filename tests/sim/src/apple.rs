//! A simulated Apple device: enrols from an invitation, polls, does as it is told and writes that down.

mod checkin;
mod commands;
mod facts;
mod poll;
pub(crate) mod profile;

use std::collections::BTreeMap;

use openssl::pkey::{PKey, Private};
use tokio::sync::mpsc::UnboundedReceiver;

pub use facts::{Facts, Kind};
pub use poll::Poll;
pub use profile::{EnrolmentProfile, Scep};

use crate::conduct::Conduct;
use crate::error::{Error, Result};
use crate::http::{Client, Settings};
use crate::keys::{self, Identity};
use crate::world::World;

/// What has become of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not yet, or not yet whole: no TokenUpdate has been taken.
    New,
    /// Managed.
    Enrolled,
    /// The enrolment profile is gone, and what came with it; the user's things are not.
    Unenrolled,
    /// Erased.
    Erased,
}

/// One device. Methods that speak to the server may be called again after an error: what was not heard is said again.
pub struct AppleDevice {
    /// What it says of itself.
    pub facts: Facts,
    /// How well it behaves; may be changed at any time.
    pub conduct: Conduct,
    world: World,
    http: Client,
    state: State,
    profile: Option<EnrolmentProfile>,
    unpushed: bool,
    key: Option<PKey<Private>>,
    identity: Option<Identity>,
    authenticated: bool,
    push: Push,
    profiles: BTreeMap<String, plist::Dictionary>,
    passcode: bool,
    encrypted: bool,
    locked: bool,
    report: Option<poll::Report>,
}

/// What a push service and a server need to wake the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// 32 random bytes.
    pub token: Vec<u8>,
    /// A UUID in upper case.
    pub magic: String,
    /// Lets a passcode be cleared; Macs have none.
    pub unlock_token: Option<Vec<u8>>,
}

impl Push {
    fn random(kind: Kind) -> Result<Push> {
        let unlock_token = if kind == Kind::Mac { None } else { Some(keys::random::<64>()?.to_vec()) };
        Ok(Push { token: keys::random::<32>()?.to_vec(), magic: facts::uuid(), unlock_token })
    }

    /// The token in lower-case hexadecimal, as it stands in the path of a push.
    pub fn token_hex(&self) -> String {
        keys::hex(&self.token)
    }
}

impl AppleDevice {
    /// A device out of its box. Nothing is sent.
    pub fn new(facts: Facts, world: &World, settings: Settings) -> Result<AppleDevice> {
        let (http, push) = (Client::new(world, None, settings)?, Push::random(facts.kind)?);
        Ok(AppleDevice {
            facts,
            conduct: Conduct::default(),
            world: world.clone(),
            http,
            state: State::New,
            profile: None,
            unpushed: false,
            key: None,
            identity: None,
            authenticated: false,
            push,
            profiles: BTreeMap::new(),
            passcode: false,
            encrypted: false,
            locked: false,
            report: None,
        })
    }

    /// An iPhone, enrolled.
    pub async fn enrol(invitation_url: &str, world: &World) -> Result<AppleDevice> {
        AppleDevice::enrol_as(Facts::random(Kind::IPhone), invitation_url, world).await
    }

    /// A device of this kind, enrolled.
    pub async fn enrol_as(facts: Facts, invitation_url: &str, world: &World) -> Result<AppleDevice> {
        let mut device = AppleDevice::new(facts, world, Settings::default())?;
        device.continue_enrolment(invitation_url).await?;
        Ok(device)
    }

    /// Does the steps of enrolment that are not done yet: profile, certificate, Authenticate, TokenUpdate. After an error, call it
    /// again: a key once made is kept, so the server sees the same request.
    pub async fn continue_enrolment(&mut self, invitation_url: &str) -> Result<()> {
        if self.profile.is_none() {
            self.fetch_profile(invitation_url).await?;
        }
        if self.identity.is_none() {
            self.obtain_identity().await?;
        }
        if !self.authenticated {
            self.authenticate().await?;
        }
        if self.state == State::New {
            self.token_update().await?;
        }
        Ok(())
    }

    /// Starts over as a device that was erased or whose profile was removed: new key, tokens and profiles, the same UDID and serial.
    pub fn reset(&mut self) -> Result<()> {
        let mut fresh = AppleDevice::new(self.facts.clone(), &self.world, self.http.settings())?;
        fresh.conduct = self.conduct.clone();
        *self = fresh;
        Ok(())
    }

    /// What has become of it.
    pub fn state(&self) -> State {
        self.state
    }

    /// Its name on the wire and in the ledger.
    pub fn udid(&self) -> &str {
        &self.facts.udid
    }

    /// Its push token and magic.
    pub fn push(&self) -> &Push {
        &self.push
    }

    /// The enrolment profile, once fetched.
    pub fn enrolment(&self) -> Option<&EnrolmentProfile> {
        self.profile.as_ref()
    }

    /// The server said with the profile that it has no push certificate: nothing of it can wake the device.
    pub fn is_unpushed(&self) -> bool {
        self.unpushed
    }

    /// Its certificate, once it has one.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Shows another certificate from now on, or none: another device's, a stranger's, an old one.
    pub fn show_identity(&mut self, identity: Option<&Identity>) -> Result<()> {
        self.http.set_identity(identity)
    }

    /// Its HTTP client, for settings, addresses and requests of a test's own.
    pub fn http(&mut self) -> &mut Client {
        &mut self.http
    }

    /// Profiles installed by the server, by PayloadIdentifier; the enrolment profile is not among them.
    pub fn profiles(&self) -> &BTreeMap<String, plist::Dictionary> {
        &self.profiles
    }

    /// Whether a passcode is set.
    pub fn has_passcode(&self) -> bool {
        self.passcode
    }

    /// Sets or clears the passcode, as its user would.
    pub fn set_passcode(&mut self, set: bool) {
        self.passcode = set;
    }

    /// Whether it was locked by a command.
    pub fn is_locked(&self) -> bool {
        self.locked
    }

    /// Lives until it is erased, unenrolled or nobody can wake it any more: polls at each wake-up, and again by itself while its last
    /// word was NotNow or went unheard.
    pub async fn live(mut self, mut wakes: UnboundedReceiver<()>) -> AppleDevice {
        let pause = std::time::Duration::from_millis(200);
        while self.state == State::Enrolled {
            let again = match self.poll().await {
                Ok(poll) => poll.last_not_now,
                Err(e) => e.is_transport() || e.status().is_some_and(|s| s >= 500),
            };
            if again {
                tokio::time::sleep(pause).await;
            } else if wakes.recv().await.is_none() {
                break;
            }
        }
        self
    }

    fn the_profile(&self) -> Result<&EnrolmentProfile> {
        self.profile.as_ref().ok_or(Error::Gone("no enrolment profile"))
    }

    /// The MDM profile goes, and what the server installed with it.
    fn unenrol(&mut self) {
        self.state = State::Unenrolled;
        self.profiles.clear();
        self.report = None;
        self.http.close();
    }
}

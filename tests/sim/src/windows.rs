//! A simulated Windows PC: enrols by MS-MDE2 with a user name and an invitation's code, then holds OMA-DM sessions over mutual TLS.

mod csr;
mod enrol;
mod perform;
mod provisioning;
mod session;
mod soap;
mod syncml;
mod tree;

pub use csr::CsrStyle;
pub use provisioning::Account;
pub use session::{End, Session};
pub use tree::{Node, Tree};

use std::time::Duration;

use uuid::Uuid;

use crate::conduct::Conduct;
use crate::error::{Error, Result};
use crate::http::{Client, Settings};
use crate::keys::Identity;
use crate::world::World;

/// What has become of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not enrolled.
    New,
    /// Managed.
    Enrolled,
    /// Told to unenrol, or its user chose to: the next session says so, and then it is over.
    Leaving,
    /// Unenrolled: certificate, policies and account are gone.
    Unenrolled,
    /// Reset.
    Wiped,
}

/// What a PC says of itself; change what a test needs before enrolling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// 32 hexadecimal digits: its name in the protocol.
    pub device_id: String,
    /// 64 hexadecimal digits. Clones share it.
    pub hw_dev_id: String,
    /// Computer name.
    pub name: String,
    /// From the firmware.
    pub serial: String,
    /// Maker.
    pub manufacturer: String,
    /// Model.
    pub model: String,
    /// Four numbers.
    pub os_version: String,
    /// The number of the edition; 4 is Enterprise.
    pub edition: u32,
    /// The DeviceId under which its mail app speaks EAS (DMClient ExchangeID), where it has one.
    pub exchange_id: Option<String>,
    /// A phone: it can be locked.
    pub phone: bool,
}

impl Facts {
    /// A Windows 11 PC that nobody has seen before.
    pub fn random() -> Facts {
        let unique = || Uuid::new_v4().simple().to_string().to_uppercase();
        let device_id = unique();
        let tail: String = device_id.chars().take(7).collect();
        Facts {
            hw_dev_id: unique() + &unique(),
            name: format!("PC-{tail}"),
            serial: format!("SN{tail}"),
            manufacturer: "Example Manufacturer".into(),
            model: "Simulated PC".into(),
            os_version: "10.0.26200.9278".into(),
            edition: 4,
            exchange_id: None,
            phone: false,
            device_id,
        }
    }
}

/// One PC.
pub struct WindowsDevice {
    /// What it says of itself.
    pub facts: Facts,
    /// How well it behaves; may be changed at any time.
    pub conduct: Conduct,
    /// Its settings, as configuration service providers show them.
    pub tree: Tree,
    /// How often a message is sent again when nobody answered, 100 ms apart, as CONNRETRYFREQ asks. 0 unless set.
    pub retries: u32,
    /// Who is logged in: `user`, `others` or `none`.
    pub login_status: String,
    /// How it writes its certificate request.
    pub csr: CsrStyle,
    world: World,
    http: Client,
    state: State,
    /// Kept from before the first request, so that asking again asks for the same.
    key: Option<openssl::pkey::PKey<openssl::pkey::Private>>,
    identity: Option<Identity>,
    account: Option<Account>,
    sessions: u32,
}

impl WindowsDevice {
    /// A PC that is not enrolled. Nothing is sent.
    pub fn new(facts: Facts, world: &World, settings: Settings) -> Result<WindowsDevice> {
        Ok(WindowsDevice {
            tree: Tree::of_device(&facts),
            facts,
            conduct: Conduct::default(),
            retries: 0,
            login_status: "user".into(),
            csr: CsrStyle::Windows11,
            world: world.clone(),
            http: Client::new(world, None, settings)?,
            state: State::New,
            key: None,
            identity: None,
            account: None,
            sessions: 0,
        })
    }

    /// A PC, enrolled for `user` with an invitation's code as password. It has not held a session yet.
    pub async fn enrol(user: &str, code: &str, world: &World) -> Result<WindowsDevice> {
        let mut device = WindowsDevice::new(Facts::random(), world, Settings::default())?;
        device.continue_enrolment(user, code).await?;
        Ok(device)
    }

    /// Starts over as after a reset: the same hardware and DeviceID, nothing else.
    pub fn reset(&mut self) -> Result<()> {
        let mut fresh = WindowsDevice::new(self.facts.clone(), &self.world, self.http.settings())?;
        (fresh.conduct, fresh.retries, fresh.csr) = (self.conduct.clone(), self.retries, self.csr);
        *self = fresh;
        Ok(())
    }

    /// What has become of it.
    pub fn state(&self) -> State {
        self.state
    }

    /// Its name on the wire and in the ledger.
    pub fn device_id(&self) -> &str {
        &self.facts.device_id
    }

    /// Its certificate, once it has one.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Shows another certificate from now on, or none.
    pub fn show_identity(&mut self, identity: Option<&Identity>) -> Result<()> {
        self.http.set_identity(identity)
    }

    /// What the provisioning document said.
    pub fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// Its HTTP client, for settings, addresses and requests of a test's own.
    pub fn http(&mut self) -> &mut Client {
        &mut self.http
    }

    /// Its user disconnects the account: one session that says so, and it is over.
    pub async fn unenrol_by_user(&mut self) -> Result<Session> {
        if self.state == State::Enrolled {
            self.state = State::Leaving;
        }
        self.sync().await
    }

    /// Lives until it is unenrolled or wiped, with a session at each pause: a simulated PC need not keep to its hourly schedule. Where
    /// it was told to unenrol, or a session broke off, the next one comes at once.
    pub async fn live(mut self, pause: Duration) -> WindowsDevice {
        while matches!(self.state, State::Enrolled | State::Leaving) {
            let pause = match self.sync().await {
                Ok(Session { end: End::Unenrolling, .. }) => Duration::from_millis(100),
                _ => pause,
            };
            tokio::time::sleep(pause).await;
        }
        self
    }

    fn the_account(&self) -> Result<&Account> {
        self.account.as_ref().ok_or(Error::Gone("no account"))
    }

    /// Everything the organisation put there goes.
    fn forget(&mut self, state: State) {
        self.state = state;
        self.tree = Tree::of_device(&self.facts);
        (self.key, self.identity, self.account) = (None, None, None);
        self.http.close();
    }
}

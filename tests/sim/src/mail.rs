//! A simulated mail app that speaks Exchange ActiveSync: account set-up, Provision, folders and mail, a Ping held open, and both wipes.

mod exchange;
mod folders;
mod provision;

use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use tokio::sync::watch;
use uuid::Uuid;

pub(crate) use exchange::percent;
pub use folders::PingEnd;
pub use provision::Provisioned;

use crate::conduct::Conduct;
use crate::error::{Error, Result};
use crate::http::{Client, Request, Settings};
use crate::keys::Identity;
use crate::world::World;

/// What has become of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Set up, or about to be.
    Live,
    /// Account-only wipe: mail, contacts and calendar are gone, the device and the user's own things are not.
    AccountGone,
    /// The whole device was erased.
    Wiped,
}

/// How the server took a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was done.
    Taken,
    /// So it was; but all that there is to read is the gateway's word that the device waits to be let in.
    Waits,
    /// Access is denied: the EAS status (129 and its kin), or the HTTP status where the version has none.
    Denied(u16),
    /// The account or the device was wiped on the way.
    Gone,
}

/// What a mail app says of its device, and for whom it reads mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Letters and digits, at most 32; an iPhone's is its EASDeviceIdentifier.
    pub device_id: String,
    /// DeviceType in the query.
    pub device_type: String,
    /// Model.
    pub model: String,
    /// What its user calls it.
    pub friendly_name: String,
    /// Operating system.
    pub os: String,
    /// As in the HTTP header.
    pub user_agent: String,
    /// The mail server's name for the user.
    pub user: String,
    /// The user's password there.
    pub password: String,
    /// The newest protocol version it speaks.
    pub newest: Version,
}

/// A protocol version, as two numbers.
pub type Version = (u8, u8);

/// The versions a client knows, newest first.
const VERSIONS: &[Version] = &[(16, 1), (16, 0), (14, 1), (14, 0), (12, 1), (12, 0), (2, 5)];

impl Facts {
    /// The mail app of an iPhone with this EASDeviceIdentifier; speaks 16.1.
    pub fn iphone(device_id: &str, user: &str, password: &str) -> Facts {
        Facts {
            device_id: device_id.to_owned(),
            device_type: "iPhone".into(),
            model: "iPhone17C1".into(),
            friendly_name: "iPhone".into(),
            os: "iOS 26.1 23B85".into(),
            user_agent: "Apple-iPhone17C1/2302.85".into(),
            user: user.to_owned(),
            password: password.to_owned(),
            newest: (16, 1),
        }
    }

    /// A phone of another maker, up to 14.1.
    pub fn android(user: &str, password: &str) -> Facts {
        Facts {
            device_id: device_id("SEC1"),
            device_type: "Android".into(),
            model: "SM-S921B".into(),
            friendly_name: "Galaxy S24".into(),
            os: "Android 14".into(),
            user_agent: "Android-Mail/2024.11".into(),
            newest: (14, 1),
            ..Facts::iphone("", user, password)
        }
    }
}

/// A DeviceId that nobody has used before: the maker's four letters and 28 digits.
pub fn device_id(maker: &str) -> String {
    let unique = Uuid::new_v4().simple().to_string().to_uppercase();
    let room = 32usize.saturating_sub(maker.len());
    format!("{maker}{}", unique.chars().take(room).collect::<String>())
}

/// One mail app with one account.
pub struct MailClient {
    /// What it says of itself.
    pub facts: Facts,
    /// How well it behaves. `fail` takes RemoteWipe and AccountOnlyRemoteWipe.
    pub conduct: Conduct,
    /// Provisions before its first command, as most do; else when it is told to (Windows 8.1's mail).
    pub provisions_first: bool,
    /// HeartbeatInterval of its Pings, 60 to 3540 s by the protocol.
    pub heartbeat: Duration,
    /// How long it waits before it asks again where access is denied.
    pub patience: Duration,
    world: World,
    http: Client,
    state: State,
    version: Option<Version>,
    key: u32,
    policy: BTreeMap<u8, String>,
    settled: bool,
    folders: BTreeMap<String, String>,
    folder_key: String,
    sync_keys: BTreeMap<String, String>,
    mail: Vec<String>,
    /// A wipe that was begun and whose acknowledgement nobody confirmed.
    ack: Option<provision::Ack>,
    wipes: u32,
    verdicts: watch::Sender<Option<Verdict>>,
}

impl MailClient {
    /// An account that has not spoken yet.
    pub fn new(facts: Facts, world: &World, settings: Settings) -> Result<MailClient> {
        Ok(MailClient {
            facts,
            conduct: Conduct::default(),
            provisions_first: true,
            heartbeat: Duration::from_secs(480),
            patience: Duration::from_secs(1),
            world: world.clone(),
            http: Client::new(world, None, settings)?,
            state: State::Live,
            version: None,
            key: 0,
            policy: BTreeMap::new(),
            settled: false,
            folders: BTreeMap::new(),
            folder_key: "0".into(),
            sync_keys: BTreeMap::new(),
            mail: Vec::new(),
            ack: None,
            wipes: 0,
            verdicts: watch::Sender::new(None),
        })
    }

    /// Gets the certificate that an invitation promises, opens the file with the code as printed, and shows it from now on.
    pub async fn obtain_identity(&mut self, invitation_url: &str, code: &str) -> Result<Identity> {
        let url = format!("{}/identity.p12", invitation_url.trim_end_matches('/'));
        let form = "application/x-www-form-urlencoded";
        let request = Request::with_body(Method::POST, url, form, format!("code={code}"));
        let answer = self.http.send(&request).await?.accepted("identity.p12")?;
        if !answer.header("content-type").starts_with("application/x-pkcs12") {
            let detail = format!("Content-Type {:?}", answer.header("content-type"));
            return Err(Error::malformed("identity.p12", detail));
        }
        let identity = Identity::from_pkcs12(&answer.body, code)?;
        self.http.set_identity(Some(&identity))?;
        Ok(identity)
    }

    /// Shows this certificate from now on, or none.
    pub fn show_identity(&mut self, identity: Option<&Identity>) -> Result<()> {
        self.http.set_identity(identity)
    }

    /// How the server took the last check for mail, for who looks on while the client lives.
    pub fn verdicts(&self) -> watch::Receiver<Option<Verdict>> {
        self.verdicts.subscribe()
    }

    /// Sets the account up or goes on with it: versions, Provision, folders, new mail. After an error, call it again.
    pub async fn check_mail(&mut self) -> Result<Verdict> {
        let result = self.check().await;
        if let Ok(verdict) = result {
            self.verdicts.send_replace(Some(verdict));
        }
        result
    }

    async fn check(&mut self) -> Result<Verdict> {
        if self.ack.is_some() {
            self.finish_wipe().await?;
            return Ok(Verdict::Gone);
        }
        if self.state != State::Live {
            return Err(Error::Gone("wiped"));
        }
        if self.version.is_none() {
            self.options().await?;
        }
        if self.provisions_first && !self.settled {
            match self.provision().await? {
                Provisioned::Wiped => return Ok(Verdict::Gone),
                Provisioned::Denied(status) => return Ok(Verdict::Denied(status)),
                Provisioned::Key | Provisioned::NoPolicy => {}
            }
        }
        match self.folder_sync().await? {
            Verdict::Taken => self.read_mail().await,
            other => Ok(other),
        }
    }

    /// Lives until account or device is wiped: checks for mail, then holds a Ping open, and so on. Ends with the task that runs it.
    pub async fn live(mut self) -> MailClient {
        while self.state == State::Live {
            let pause = match self.check_mail().await {
                Ok(Verdict::Taken | Verdict::Waits) => match self.ping().await {
                    Ok(PingEnd::Denied(_)) => self.patience,
                    Ok(_) => Duration::ZERO,
                    Err(_) => Duration::from_millis(200),
                },
                Ok(Verdict::Gone) => Duration::ZERO,
                // A password that is not taken either: the user types it again some time.
                Ok(Verdict::Denied(_)) | Err(_) => self.patience,
            };
            tokio::time::sleep(pause).await;
        }
        self
    }

    /// What has become of the account.
    pub fn state(&self) -> State {
        self.state
    }

    /// The version in use, once the server has said which it speaks.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// The policy key in force; 0: none.
    pub fn policy_key(&self) -> u32 {
        self.key
    }

    /// Sends another policy key from now on, as a client out of step would.
    pub fn set_policy_key(&mut self, key: u32) {
        self.key = key;
    }

    /// The policy in force: elements of EASProvisionDoc by their tokens on page 14.
    pub fn policy(&self) -> &BTreeMap<u8, String> {
        &self.policy
    }

    /// Names of folders by ServerId.
    pub fn folders(&self) -> &BTreeMap<String, String> {
        &self.folders
    }

    /// Subjects of the mail it has read; empty after a wipe.
    pub fn mail(&self) -> &[String] {
        &self.mail
    }

    /// Its HTTP client, for settings, addresses and requests of a test's own.
    pub fn http(&mut self) -> &mut Client {
        &mut self.http
    }

    /// The account and what came with it is forgotten.
    fn forget(&mut self, state: State) {
        self.state = state;
        self.mail.clear();
        self.folders.clear();
        self.sync_keys.clear();
        self.policy.clear();
        self.folder_key = "0".into();
        self.key = 0;
        self.http.close();
    }
}

//! One device of a trial: names by which anybody sees that it is simulated, its enrolment, and its life until it is wiped or leaves.

use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;

use super::{End, Entry, News, Voice};
use crate::apple::{self, AppleDevice};
use crate::error::Result;
use crate::http::Settings;
use crate::mail::{self, MailClient, PingEnd, Verdict};
use crate::windows::{self, WindowsDevice};
use crate::world::World;

/// It asks by itself this often, whatever push or schedule a real one waits for.
pub(super) const PACE: Duration = Duration::from_secs(3);
/// Where its last word was NotNow, or it was told to leave and says goodbye.
const SOON: Duration = Duration::from_millis(200);
/// Between two rounds of a mail app whose Ping was answered.
const BREATH: Duration = Duration::from_secs(1);

/// See the module.
pub struct Member {
    /// What people are shown.
    pub name: String,
    /// By which the server's verbs find it alone: a serial number, of a mail app the DeviceId.
    pub serial: String,
    /// Its name in its protocol, and in the ledger.
    pub identity: String,
    /// It enrolled with a server that has no push certificate.
    pub unpushed: bool,
    device: Device,
}

enum Device {
    Apple(Box<AppleDevice>),
    Windows(Box<WindowsDevice>),
    Mail(Box<MailClient>),
}

/// `SIM` and nine letters and digits.
fn serial() -> String {
    let unique = Uuid::new_v4().simple().to_string().to_uppercase();
    format!("SIM{}", unique.chars().take(9).collect::<String>())
}

impl Member {
    /// The `number`th of its kind. Nothing is sent.
    pub fn new(entry: &Entry, number: usize, world: &World) -> Result<Member> {
        match entry {
            Entry::Apple { .. } => {
                let name = format!("Simulated iPhone {number}");
                let random = apple::Facts::random(apple::Kind::IPhone);
                // Supervised, so that all can be tried.
                let facts = apple::Facts { name: name.clone(), serial: serial(), supervised: true, ..random };
                let (serial, identity) = (facts.serial.clone(), facts.udid.clone());
                let device = AppleDevice::new(facts, world, Settings::default())?;
                Ok(Member { name, serial, identity, unpushed: false, device: Device::Apple(Box::new(device)) })
            }
            Entry::Windows { .. } => {
                let name = format!("Simulated-PC-{number}");
                let facts = windows::Facts { name: name.clone(), serial: serial(), ..windows::Facts::random() };
                let (serial, identity) = (facts.serial.clone(), facts.device_id.clone());
                let device = WindowsDevice::new(facts, world, Settings::default())?;
                Ok(Member { name, serial, identity, unpushed: false, device: Device::Windows(Box::new(device)) })
            }
            Entry::Mail { user, password, .. } => {
                let name = format!("Simulated mail {number}");
                let random = mail::Facts::iphone(&mail::device_id("SIM"), user, password);
                let facts = mail::Facts { friendly_name: name.clone(), ..random };
                let identity = facts.device_id.clone();
                let device = MailClient::new(facts, world, Settings::default())?;
                let device = Device::Mail(Box::new(device));
                Ok(Member { name, serial: identity.clone(), identity, unpushed: false, device })
            }
        }
    }

    /// All the steps until the server holds it for enrolled; a mail app may yet be refused its mail.
    pub async fn enrol(&mut self, entry: &Entry) -> Result<()> {
        match (&mut self.device, entry) {
            (Device::Apple(device), Entry::Apple { url }) => {
                device.continue_enrolment(url).await?;
                self.unpushed = device.is_unpushed();
            }
            (Device::Windows(device), Entry::Windows { user, code }) => {
                device.continue_enrolment(user, code).await?;
                device.sync().await?;
            }
            (Device::Mail(device), Entry::Mail { invitation, .. }) => {
                if let Some((url, code)) = invitation {
                    device.obtain_identity(url, code).await?;
                }
                device.check_mail().await?;
            }
            // It was made for another entry: it stays as it is.
            _ => {}
        }
        Ok(())
    }

    /// Lives until it is erased or has left; tells `to` of it under this number.
    pub async fn live(self, number: usize, to: UnboundedSender<(usize, News)>) -> End {
        let voice = Voice::new(number, to);
        match self.device {
            Device::Apple(device) => live_apple(*device, voice).await,
            Device::Windows(device) => live_windows(*device, voice).await,
            Device::Mail(device) => live_mail(*device, voice).await,
        }
    }
}

async fn live_apple(mut device: AppleDevice, mut voice: Voice) -> End {
    while device.state() == apple::State::Enrolled {
        let mut pause = PACE;
        match device.poll().await {
            Ok(poll) => {
                voice.through();
                if poll.last_not_now {
                    pause = SOON;
                }
            }
            Err(e) => voice.trouble(&e),
        }
        if device.state() == apple::State::Enrolled {
            tokio::time::sleep(pause).await;
        }
    }
    if device.state() == apple::State::Erased { End::Erased } else { End::Left }
}

async fn live_windows(mut device: WindowsDevice, mut voice: Voice) -> End {
    loop {
        match device.state() {
            windows::State::Wiped => return End::Erased,
            windows::State::Enrolled | windows::State::Leaving => {}
            windows::State::New | windows::State::Unenrolled => return End::Left,
        }
        tokio::time::sleep(if device.state() == windows::State::Leaving { SOON } else { PACE }).await;
        match device.sync().await {
            Ok(_) => voice.through(),
            Err(e) => voice.trouble(&e),
        }
    }
}

async fn live_mail(mut device: MailClient, mut voice: Voice) -> End {
    loop {
        match device.state() {
            mail::State::Wiped => return End::Erased,
            mail::State::AccountGone => return End::Left,
            mail::State::Live => {}
        }
        let pause = match device.check_mail().await {
            Ok(verdict) => {
                voice.through();
                voice.mail(verdict);
                if matches!(verdict, Verdict::Taken | Verdict::Waits) {
                    wait_for_mail(&mut device, &mut voice).await
                } else {
                    PACE
                }
            }
            Err(e) => {
                voice.trouble(&e);
                PACE
            }
        };
        if device.state() == mail::State::Live {
            tokio::time::sleep(pause).await;
        }
    }
}

/// Holds a Ping open, and says how long to wait before the next round: a server that answers at once is not asked in a hurry.
async fn wait_for_mail(device: &mut MailClient, voice: &mut Voice) -> Duration {
    match device.ping().await {
        Ok(PingEnd::Elapsed | PingEnd::Changes | PingEnd::Folders) => BREATH,
        Ok(PingEnd::Other(_) | PingEnd::Denied(_)) => PACE,
        Err(e) => {
            voice.trouble(&e);
            PACE
        }
    }
}

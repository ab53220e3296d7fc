//! The thirty devices: who they are, how they enrol, and their lives as tasks.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Stage;
use crate::admin::Admin;
use crate::apple::{self, AppleDevice};
use crate::error::Result;
use crate::http::Settings;
use crate::mail::{self, MailClient, Verdict};
use crate::windows::{self, WindowsDevice};
use crate::world::World;

/// A simulated PC polls this often, whatever its schedule says.
const POLL: Duration = Duration::from_secs(1);
/// How long the iPhone that reads mail takes over a command: long enough to see that its mail is shut before it answers.
const THINK: Duration = Duration::from_secs(3);
const PASSWORD: &str = "demonstration";

/// What kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    IPhone,
    /// An iPhone whose mail app speaks EAS.
    Reader,
    Mac,
    Pc,
    /// A mail app whose account came with a certificate.
    MailByCertificate,
    /// A mail app with nothing but the user's password.
    MailByPassword,
}

/// How many of each; together thirty.
const CAST: [(Kind, usize); 6] = [
    (Kind::IPhone, 9),
    (Kind::Reader, 1),
    (Kind::Mac, 4),
    (Kind::Pc, 8),
    (Kind::MailByCertificate, 4),
    (Kind::MailByPassword, 4),
];

impl Kind {
    /// What its devices are called on the board.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Kind::IPhone | Kind::Reader => "iPhones",
            Kind::Mac => "Macs",
            Kind::Pc => "PCs",
            Kind::MailByCertificate | Kind::MailByPassword => "mail apps",
        }
    }
}

/// One of the thirty.
pub(super) struct Member {
    pub(super) kind: Kind,
    /// For people.
    pub(super) label: String,
    pub(super) user: String,
    /// Its name in its own protocol, and in the ledger.
    pub(super) identity: String,
    /// The DeviceId of its mail app, where it has one beside.
    pub(super) mail_identity: Option<String>,
    /// Its id on the server, once it is known there.
    pub(super) id: String,
    /// How its mail app was last received.
    pub(super) mail: Option<watch::Receiver<Option<Verdict>>>,
    facts: Facts,
}

#[derive(Clone)]
enum Facts {
    Apple(apple::Facts),
    Windows(windows::Facts),
    Mail(mail::Facts),
}

/// A device that is enrolled and lives, and what is to be known of its mail app.
pub(super) struct Life {
    tasks: Vec<JoinHandle<()>>,
    pub(super) mail: Option<watch::Receiver<Option<Verdict>>>,
}

/// All of them. Dropping it ends their lives.
pub(super) struct Crew {
    world: World,
    pub(super) members: Vec<Member>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Crew {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Crew {
    /// Who will play; nothing is sent.
    pub(super) fn plan(world: &World) -> Crew {
        let kinds = CAST.iter().flat_map(|(kind, count)| std::iter::repeat_n(*kind, *count));
        let members = kinds.enumerate().map(|(n, kind)| Member::new(kind, n + 1)).collect();
        Crew { world: world.clone(), members, tasks: Vec::new() }
    }

    pub(super) fn world(&self) -> &World {
        &self.world
    }

    /// The `n`th of a kind, counted from 0.
    pub(super) fn nth(&self, kind: Kind, n: usize) -> Option<&Member> {
        self.members.iter().filter(|m| m.kind == kind).nth(n)
    }

    /// The serial number of an iPhone that the piece names for no wipe.
    pub(super) fn untouched_iphone(&self) -> Option<String> {
        let last = self.members.iter().rfind(|member| member.kind == Kind::IPhone);
        last.and_then(|member| match &member.facts {
            Facts::Apple(facts) => Some(facts.serial.clone()),
            Facts::Windows(_) | Facts::Mail(_) => None,
        })
    }

    /// Takes on a life that was begun for member `at`.
    pub(super) fn take_on(&mut self, at: usize, life: Life) {
        self.tasks.extend(life.tasks);
        if let Some(member) = self.members.get_mut(at) {
            member.mail = life.mail;
        }
    }
}

impl Member {
    fn new(kind: Kind, number: usize) -> Member {
        let user = format!("user{number:02}@example.org");
        let eas = mail::device_id("APPL");
        let (facts, identity, name) = match kind {
            Kind::IPhone | Kind::Reader | Kind::Mac => {
                let facts = match kind {
                    Kind::Reader => apple::Facts::iphone_with_mail(&eas),
                    Kind::Mac => apple::Facts::random(apple::Kind::Mac),
                    _ => apple::Facts::random(apple::Kind::IPhone),
                };
                (Facts::Apple(facts.clone()), facts.udid, facts.name)
            }
            Kind::Pc => {
                let facts = windows::Facts::random();
                (Facts::Windows(facts.clone()), facts.device_id, facts.name)
            }
            Kind::MailByCertificate => {
                let facts = mail::Facts::iphone(&eas, &user, PASSWORD);
                (Facts::Mail(facts.clone()), facts.device_id, "iPhone Mail".into())
            }
            Kind::MailByPassword => {
                let facts = mail::Facts::android(&user, PASSWORD);
                (Facts::Mail(facts.clone()), facts.device_id, "Android Mail".into())
            }
        };
        let label = match kind {
            Kind::Reader => format!("{name} + mail"),
            Kind::MailByCertificate | Kind::MailByPassword => format!("{name} {number:02}"),
            _ => name,
        };
        let mail_identity = (kind == Kind::Reader).then_some(eas);
        Member { kind, label, user, identity, mail_identity, id: String::new(), mail: None, facts }
    }

    /// What is needed to enrol it, apart from this list.
    pub(super) fn part(&self) -> Part {
        Part {
            kind: self.kind,
            user: self.user.clone(),
            mail_identity: self.mail_identity.clone(),
            facts: self.facts.clone(),
        }
    }
}

/// One member's enrolment, to be run beside others.
pub(super) struct Part {
    kind: Kind,
    user: String,
    mail_identity: Option<String>,
    facts: Facts,
}

impl Part {
    /// From an invitation to a device that lives; a mail app with a password just begins to ask.
    pub(super) async fn enrol(self, stage: &Stage, admin: &Admin, world: &World) -> Result<Life> {
        match self.facts.clone() {
            Facts::Apple(facts) => self.enrol_apple(facts, stage, admin, world).await,
            Facts::Windows(facts) => {
                let invitation = admin.invite("windows", &self.user).await?;
                let mut pc = WindowsDevice::new(facts, world, Settings::default())?;
                pc.continue_enrolment(&invitation.user, &invitation.code).await?;
                Ok(Life { tasks: vec![tokio::spawn(async move { drop(pc.live(POLL).await) })], mail: None })
            }
            Facts::Mail(facts) => {
                stage.mail.set_user(&self.user, PASSWORD);
                let with = self.kind == Kind::MailByCertificate;
                let (task, seen) = read_mail(facts, with, admin, world).await?;
                Ok(Life { tasks: vec![task], mail: Some(seen) })
            }
        }
    }

    async fn enrol_apple(self, facts: apple::Facts, stage: &Stage, admin: &Admin, world: &World) -> Result<Life> {
        let invitation = admin.invite("apple", &self.user).await?;
        let mut device = AppleDevice::new(facts, world, Settings::default())?;
        // Before the server knows its token: no push is lost.
        let woken = stage.apns.register(device.push());
        device.continue_enrolment(&invitation.url).await?;
        let Some(eas) = self.mail_identity else {
            return Ok(Life { tasks: vec![tokio::spawn(async move { drop(device.live(woken).await) })], mail: None });
        };
        device.conduct.think = THINK;
        stage.mail.set_user(&self.user, PASSWORD);
        let (mail, seen) = read_mail(mail::Facts::iphone(&eas, &self.user, PASSWORD), true, admin, world).await?;
        let stop = mail.abort_handle();
        let phone = tokio::spawn(async move {
            let device = device.live(woken).await;
            // What erases the phone erases its mail app.
            if device.state() == apple::State::Erased {
                stop.abort();
            }
        });
        Ok(Life { tasks: vec![phone, mail], mail: Some(seen) })
    }
}

type Seen = watch::Receiver<Option<Verdict>>;

/// A mail app that begins to live; with a certificate from an invitation, or with the password alone.
async fn read_mail(facts: mail::Facts, invited: bool, admin: &Admin, world: &World) -> Result<(JoinHandle<()>, Seen)> {
    let user = facts.user.clone();
    let mut client = MailClient::new(facts, world, Settings::default())?;
    if invited {
        let invitation = admin.invite("activesync", &user).await?;
        client.obtain_identity(&invitation.url, &invitation.code).await?;
    }
    let seen = client.verdicts();
    Ok((tokio::spawn(async move { drop(client.live().await) }), seen))
}

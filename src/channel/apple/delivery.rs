//! What goes out: a command of the queue as a command of Apple's, and whether a device can be asked for it.

use super::{
    checkin::UNLOCK_TOKEN,
    enrolment::{self, ENROLMENT_PROFILE, Enrolling},
    push_cert, settings,
};
use crate::{
    error::{Error, Result},
    fleet::{
        enrol::renewal,
        keeper,
        life::{
            Act, Action, Command, Device, Enrolment, Erasing, Event, Leaving, Managed, Obliteration, Ownership,
            Platform, Scope,
        },
        policies,
        queue::{self, Support},
        registry::Credential,
    },
    policy::{Next, OnTheWay, PartContent, PartId, Value, bounds},
    server::Server,
    store::Tx,
};
use lanyard_apple::{
    ReturnToService, Secret,
    command::{
        ClearPasscode, Command as Wire, CommandKind, DeviceInformationQuery, DeviceLock, EraseDevice, InstallProfile,
        ObliterationBehavior, Pin, ProfileList, RemoveProfile, RestartDevice, Settings,
    },
    profile::ProfileMeta,
    support::{self, OsVersion, Target},
};
use uuid::Uuid;

/// The settings profile's PayloadIdentifier and UUID: devices keep them for ever.
pub(in crate::channel) const SETTINGS_PROFILE: &str = "org.lanyard.settings";
pub(in crate::channel) const SETTINGS_UUID: Uuid = Uuid::from_u128(0x6c61_6e79_6172_4473_8574_7469_6e67_7300);

/// A command ready to be written out, but for what only the server's keys can do.
pub(super) struct Delivery {
    uuid: String,
    what: What,
}

enum What {
    Plain(Box<Wire>),
    /// To be signed.
    Profile(Vec<u8>),
    /// The enrolment profile anew, for another certificate.
    Enrolment(Box<Enrolling>),
    Erase {
        pin: Option<String>,
        how: Erasing,
    },
    Lock {
        pin: Option<String>,
        message: Option<String>,
        phone: Option<String>,
    },
    Clear {
        token: String,
    },
}

/// What became of the attempt to turn a command into a delivery.
pub(super) enum Prepared {
    Go(Delivery),
    /// This step has become needless: the policy changed meanwhile.
    Skip,
    /// This part cannot be had on this device.
    Unsupported(String),
    /// The device lacks what it takes.
    Cannot(String),
}

/// The command of Apple's that decides whether an act can be asked for, as its table names it: a RequestType, or an item of Settings
/// (`Settings.DeviceName`).
fn name(action: Action, scope: Option<Scope>) -> &'static str {
    let kind = match action {
        Action::Rename => return "Settings.DeviceName",
        Action::Wipe if scope == Some(Scope::Full) => CommandKind::EraseDevice,
        Action::Wipe => CommandKind::RemoveProfile,
        Action::Lock => CommandKind::DeviceLock,
        Action::ClearPasscode => CommandKind::ClearPasscode,
        Action::Restart => CommandKind::RestartDevice,
        Action::Refresh => CommandKind::DeviceInformation,
        Action::Policy | Action::Renew => CommandKind::InstallProfile,
    };
    kind.request_type()
}

/// A full wipe of what is the organisation's by now.
const PERSONAL_ONCE: (Ownership, Ownership, Action, Option<Scope>) =
    (Ownership::Personal, Ownership::Corporate, Action::Wipe, Some(Scope::Full));

/// By Apple's own table of what runs where. What the table does not know at all is tried: the device answers for itself.
pub(in crate::channel) fn support(
    device: &Device,
    enrolment: &Enrolment,
    action: Action,
    scope: Option<Scope>,
) -> Support {
    let Some(platform) = device.platform.of_apple() else { return Support::Yes };
    // By the profile that it enrolled with, and by whose it is since.
    let enrolled_as = if enrolment.personal == Some(true) { Ownership::Personal } else { device.ownership };
    if (enrolled_as, device.ownership, action, scope) == PERSONAL_ONCE {
        let text = "it enrolled as its user's own and gave no right to be erased, which no approval changes: invite its user anew";
        return Support::No(text.into());
    }
    let rights = enrolment::rights(enrolled_as);
    let version = device.os_version.as_deref().and_then(OsVersion::parse);
    let supervised = device.facts.get("supervised").map(|fact| fact == "true");
    let target = Target { supervised, ..Target::device(platform, version, rights) };
    match support::supports_item(&target, name(action, scope)) {
        support::Support::Yes => Support::Yes,
        support::Support::No(why) => Support::No(why.to_string()),
    }
}

/// How many messages a command takes.
pub(super) fn steps(command: &Command) -> u32 {
    match &command.act {
        Act::Refresh => 2,
        Act::Policy { .. } if is_look(command) => 2,
        Act::Policy { parts } => u32::try_from(parts.len()).unwrap_or(u32::MAX),
        _ => 1,
    }
}

/// Whether a command reads back what is set: it asks for the profiles, then how the device is protected.
pub(super) fn is_look(command: &Command) -> bool {
    let mut parts = parts(command).peekable();
    parts.peek().is_some() && parts.all(|part| part.next == Next::ReadBack)
}

/// The parts that a command is about.
pub(super) fn parts(command: &Command) -> impl Iterator<Item = OnTheWay> {
    command.act.parts().iter().filter_map(|text| text.parse().ok())
}

/// The PayloadIdentifier of the profile that carries a part.
pub(super) fn identifier(part: &PartId) -> Option<&str> {
    match part {
        PartId::Settings => Some(SETTINGS_PROFILE),
        PartId::Profile(identifier) => Some(identifier),
        PartId::Setting(_) | PartId::Csp(_) | PartId::Document => None,
    }
}

/// The part that the command's present step is about.
pub(super) fn part(command: &Command) -> Option<OnTheWay> {
    command.act.parts().get(command.step as usize)?.parse().ok()
}

/// Turns the present step of a command into a delivery.
pub(super) fn prepare(tx: &mut Tx<'_>, device: &mut Managed, command: &Command) -> Result<Prepared> {
    let what = match (&command.act, command.step) {
        (Act::Wipe { scope: Scope::Full, how, .. }, _) if would_be_ignored(device, *how) => {
            let text = "before macOS 12 a Mac does not know DoNotObliterate, and would be erased all the same";
            return Ok(Prepared::Cannot(text.into()));
        }
        (Act::Wipe { scope: Scope::Full, pin, how }, _) => What::Erase { pin: pin.clone(), how: *how },
        (Act::Wipe { scope: Scope::Selective, .. }, _) => {
            plain(Wire::RemoveProfile(RemoveProfile { identifier: ENROLMENT_PROFILE.into() }))
        }
        (Act::Lock { pin, message, phone }, _) => {
            What::Lock { pin: pin.clone(), message: message.clone(), phone: phone.clone() }
        }
        (Act::ClearPasscode, _) => {
            let token = device.enrolment(command.enrolment).and_then(|e| e.channel_state.get(UNLOCK_TOKEN));
            match token {
                Some(token) => What::Clear { token: token.clone() },
                None => return Ok(Prepared::Cannot("the device has given no unlock token".into())),
            }
        }
        (Act::Restart, _) => plain(Wire::RestartDevice(RestartDevice::default())),
        (Act::Refresh, 0) => plain(Wire::DeviceInformation(DeviceInformationQuery::all())),
        (Act::Refresh, _) => plain(Wire::SecurityInfo),
        (Act::Rename { name }, _) => plain(Wire::Settings(Settings::DeviceName(name.clone()))),
        (Act::Policy { .. }, 0) if is_look(command) => plain(Wire::ProfileList(ProfileList::default())),
        (Act::Policy { .. }, _) if is_look(command) => plain(Wire::SecurityInfo),
        (Act::Policy { .. }, _) => return prepare_part(tx, device, command),
        (Act::Renew, _) => match prepare_renewal(tx, device, command)? {
            Some(of) => What::Enrolment(Box::new(of)),
            None => return Ok(Prepared::Cannot("the enrolment has no certificate".into())),
        },
    };
    Ok(Prepared::Go(Delivery { uuid: uuid(command), what }))
}

/// Whether a Mac is too old for the word that it must not obliterate itself.
fn would_be_ignored(device: &Device, how: Erasing) -> bool {
    let version = device.os_version.as_deref().and_then(OsVersion::parse);
    let since = OsVersion::parse("12.0");
    how.obliteration == Some(Obliteration::DoNotObliterate)
        && device.platform == Platform::Macos
        && version.is_some_and(|version| Some(version) < since)
}

/// How a device erases itself, as Apple says it.
fn erase(pin: Option<Pin>, how: Erasing) -> EraseDevice {
    let behaviour = |one| match one {
        Obliteration::Default => ObliterationBehavior::Default,
        Obliteration::DoNotObliterate => ObliterationBehavior::DoNotObliterate,
        Obliteration::ObliterateWithWarning => ObliterationBehavior::ObliterateWithWarning,
        Obliteration::Always => ObliterationBehavior::Always,
    };
    EraseDevice {
        pin,
        preserve_data_plan: how.preserve_data_plan,
        obliteration_behavior: how.obliteration.map(behaviour),
        return_to_service: how
            .return_to_service
            .then(|| ReturnToService { enabled: true, ..ReturnToService::default() }),
        ..EraseDevice::default()
    }
}

fn plain(wire: Wire) -> What {
    What::Plain(Box::new(wire))
}

/// On Apple's a command keeps one id; the further messages of one are told apart by a number behind it.
fn uuid(command: &Command) -> String {
    if command.step == 0 { command.id.to_string() } else { format!("{}.{}", command.id, command.step) }
}

/// The profile by which the device enrolled, with a challenge of its own.
fn prepare_renewal(tx: &mut Tx<'_>, device: &mut Managed, command: &Command) -> Result<Option<Enrolling>> {
    let Some(mine) = device.enrolment(command.enrolment) else { return Ok(None) };
    let told = mine.push.as_ref().map(|push| push.topic.clone()).filter(|topic| !topic.is_empty());
    let Some(present) = mine.certificate.as_ref().map(|certificate| certificate.sha256) else { return Ok(None) };
    let Some(credential) = tx.get::<Credential>(present)? else { return Ok(None) };
    // Of another topic or with other rights the device would not take it.
    let topic = match told {
        Some(topic) => topic,
        None => push_cert::topic(tx)?,
    };
    let signs = super::signature_counts(tx, &credential)?;
    let challenge = Secret::new(renewal::challenge(tx, device, command)?);
    let (uuid, ownership) = (credential.profile().0, credential.ownership);
    Ok(Some(Enrolling { uuid, enrolment: credential.enrolment, ownership, topic, signs, challenge }))
}

fn prepare_part(tx: &mut Tx<'_>, device: &mut Managed, command: &Command) -> Result<Prepared> {
    let Some(way) = part(command) else { return Ok(Prepared::Skip) };
    let go = |what| Ok(Prepared::Go(Delivery { uuid: uuid(command), what }));
    let (wanted, _) = policies::due(tx, device, command.enrolment)?;
    if !way.is_due(&wanted) {
        return Ok(Prepared::Skip);
    }
    let OnTheWay { next, id, .. } = way;
    if next == Next::Remove {
        // As for what is sent: a record may be older than a rule, and no removal ends the enrolment.
        if let Err(refused) = bounds::check_remove(&id) {
            return Ok(Prepared::Unsupported(refused.to_string()));
        }
        let Some(identifier) = identifier(&id).map(str::to_owned) else { return Ok(Prepared::Skip) };
        leave(tx, device, command, Leaving::Away(id))?;
        return go(plain(Wire::RemoveProfile(RemoveProfile { identifier })));
    }
    let Some(now_wanted) = wanted.get(&id) else { return Ok(Prepared::Skip) };
    // The hash of what is really sent is what the answer will be about.
    let mut parts = command.act.parts().to_vec();
    if let Some(text) = parts.get_mut(command.step as usize) {
        *text = OnTheWay { next, id: id.clone(), hash: now_wanted.hash.clone() }.to_string();
    }
    keeper::happen(tx, device, Event::OnTheWay { command: command.id, parts })?;
    // Checked when it was applied, and again now: nothing that acts leaves as a setting.
    if let Err(refused) = policies::may_be_sent(now_wanted) {
        return Ok(Prepared::Unsupported(refused.to_string()));
    }
    let bytes = match &now_wanted.content {
        PartContent::Settings(values) => match settings_profile(values, device.platform)? {
            Some(bytes) => bytes,
            None => return Ok(Prepared::Unsupported("this platform has none of these settings".into())),
        },
        PartContent::AppleProfile { bytes, .. } => bytes.clone(),
        _ => return Ok(Prepared::Skip),
    };
    let (hash, of) = (now_wanted.hash.clone(), now_wanted.of.clone());
    leave(tx, device, command, Leaving::Set { part: id, hash, of })?;
    go(What::Profile(bytes))
}

/// From now on nobody knows how the part stands, until the device says.
fn leave(tx: &mut Tx<'_>, device: &mut Managed, command: &Command, part: Leaving) -> Result<()> {
    let (enrolment, parts) = (command.enrolment, vec![part]);
    keeper::happen(tx, device, Event::PartsLeave { enrolment, parts }).map(drop)
}

fn settings_profile(values: &[Value], platform: Platform) -> Result<Option<Vec<u8>>> {
    let meta = ProfileMeta {
        identifier: SETTINGS_PROFILE.into(),
        uuid: SETTINGS_UUID,
        display_name: "Settings of your organisation".into(),
        description: None,
        organisation: None,
    };
    let made = settings::of(values).profile(&meta, platform.of_apple().unwrap_or(support::Platform::Other));
    made.map_err(|e| Error::Internal(e.to_string()))
}

/// Writes a delivery out. Signs a profile with the CA's key: not for the writer's thread.
pub(super) fn encode(server: &Server, delivery: Delivery) -> Result<Vec<u8>> {
    let pin = |sealed: Option<String>| -> Result<Option<Pin>> {
        let Some(sealed) = sealed else { return Ok(None) };
        let plain =
            String::from_utf8(server.unseal(queue::PIN, &sealed)?).map_err(|e| Error::Internal(e.to_string()))?;
        Pin::parse(&plain).map(Some).map_err(|e| Error::Internal(e.to_string()))
    };
    let wire = match delivery.what {
        What::Plain(wire) => *wire,
        What::Profile(plain) => {
            Wire::InstallProfile(InstallProfile { payload: Secret::new(server.sign_profile(&plain)?) })
        }
        What::Enrolment(of) => {
            Wire::InstallProfile(InstallProfile { payload: Secret::new(enrolment::profile(server, *of)?) })
        }
        What::Erase { pin: sealed, how } => Wire::EraseDevice(erase(pin(sealed)?, how)),
        What::Lock { pin: sealed, message, phone } => {
            Wire::DeviceLock(DeviceLock { message, phone_number: phone, pin: pin(sealed)? })
        }
        What::Clear { token } => {
            Wire::ClearPasscode(ClearPasscode { unlock_token: Secret::new(server.unseal(UNLOCK_TOKEN, &token)?) })
        }
    };
    Ok(wire.encode(&delivery.uuid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{Steady, Timestamp},
        fleet::life::{Channel, Claim, EnrolmentState},
        ids::DeviceId,
        store::Time,
    };

    fn apple(platform: Platform, version: &str, supervised: Option<&str>) -> Device {
        let id = DeviceId(uuid::Uuid::from_u128(1));
        let time = Time { now: Timestamp(0), steady: Steady(0), doubted: false };
        let device = Managed::new(id, "nurse@example.org", Ownership::Corporate, platform, time);
        let facts = supervised.map(|fact| ("supervised", fact.to_string())).into_iter().collect();
        let claim = Claim { os_version: Some(version.into()), facts, ..Claim::default() };
        device.on(Event::Told(Box::new(claim)), time).0.device().clone()
    }

    fn enrolled(personal: Option<bool>) -> Enrolment {
        let id = crate::ids::EnrolmentId(uuid::Uuid::from_u128(2));
        let new = Enrolment::new(id, Channel::Apple, "UDID", EnrolmentState::Enrolled, Timestamp(0));
        Enrolment { personal, ..new }
    }

    #[test]
    fn rights_are_those_of_the_profile_whatever_is_said_of_the_device_since() {
        let corporate = apple(Platform::Ios, "18.6", None);
        let time = Time { now: Timestamp(0), steady: Steady(0), doubted: false };
        let personal = Managed::new(corporate.id, "nurse@example.org", Ownership::Personal, Platform::Ios, time);
        for (row, device, enrolled_as, erased) in [
            ("the organisation's", &corporate, Some(false), true),
            ("of before that was kept", &corporate, None, true),
            ("enrolled as the user's, the organisation's since", &corporate, Some(true), false),
            ("enrolled as the organisation's, the user's since", personal.device(), Some(false), false),
        ] {
            let can = support(device, &enrolled(enrolled_as), Action::Wipe, Some(Scope::Full));
            assert_eq!(can == Support::Yes, erased, "{row}");
            let can = support(device, &enrolled(enrolled_as), Action::Wipe, Some(Scope::Selective));
            assert_eq!(can, Support::Yes, "{row}");
        }
        let refused = support(&corporate, &enrolled(Some(true)), Action::Wipe, Some(Scope::Full));
        assert!(matches!(refused, Support::No(why) if why.contains("invite its user anew")));
    }

    #[test]
    fn apple_devices_are_asked_for_what_they_have() {
        let no = |why: &str| Support::No(why.into());
        for (device, action, want) in [
            (apple(Platform::Ios, "18.6", None), Action::Lock, Support::Yes),
            (apple(Platform::Tvos, "18.6", None), Action::Lock, no("this platform has no such command")),
            (apple(Platform::Macos, "15.1", None), Action::ClearPasscode, no("this platform has no such command")),
            (
                apple(Platform::Macos, "11.2", None),
                Action::Lock,
                no("it would deactivate a Mac with Apple silicon before macOS 11.5"),
            ),
            (apple(Platform::Ios, "18.6", None), Action::Restart, no("the device is not known to be supervised")),
            (apple(Platform::Ios, "18.6", Some("true")), Action::Restart, Support::Yes),
            (apple(Platform::Macos, "15.1", None), Action::Restart, Support::Yes),
            (apple(Platform::Ios, "18.6", None), Action::Rename, no("the device is not known to be supervised")),
            (apple(Platform::Ios, "18.6", Some("true")), Action::Rename, Support::Yes),
            (apple(Platform::Tvos, "18.6", Some("true")), Action::Rename, Support::Yes),
            (apple(Platform::Watchos, "11.0", Some("true")), Action::Rename, no("this platform has no such command")),
            (apple(Platform::Macos, "15.1", None), Action::Rename, Support::Yes),
            (apple(Platform::Macos, "10.9", None), Action::Rename, no("it needs version 10.10 of the system")),
            (apple(Platform::Other, "1.0", None), Action::Wipe, Support::Yes),
        ] {
            assert_eq!(
                support(&device, &enrolled(None), action, Some(Scope::Full)),
                want,
                "{action:?} {:?}",
                device.platform
            );
        }
    }
}

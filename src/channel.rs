//! Where the protocols meet the house. A channel does four things: it says what it can do on a device, it turns messages into calls on
//! registry and queue, it encodes the next command, and it wakes the device.

pub mod apple;
pub mod certificates;
#[cfg(test)]
mod for_ever;
pub mod identity;
pub mod invitations;
pub mod mail;
pub mod scep;
mod span;
pub mod windows;

use crate::{
    fleet::{
        queue::{Action, Scope, Support},
        registry::{Channel, Device, Enrolment, Ownership, Platform},
    },
    server::Server,
};
use lanyard_apple::{
    command::CommandKind,
    support::{self, AccessRights, OsVersion, Target},
};
use std::sync::Arc;

/// All that devices and their users reach.
pub fn router(server: &Arc<Server>) -> axum::Router {
    apple::router(server.clone())
        .merge(windows::router(server.clone()))
        .merge(mail::router(server.clone()))
        .merge(scep::router(server.clone()))
        .merge(invitations::router(server.clone()))
}

/// What the channels do by themselves: Apple devices are woken by pushes, held mail requests looked at. Ends with the runtime.
pub fn start(server: &Arc<Server>) {
    apple::push::start(server);
    mail::start(server);
}

/// Whether, and how well, the enrolment's channel can do an action on the device.
pub fn support(device: &Device, enrolment: &Enrolment, action: Action, scope: Option<Scope>) -> Support {
    match enrolment.channel {
        Channel::Apple => apple_support(device, action, scope),
        Channel::Omadm => omadm_support(device, action),
        Channel::Activesync => activesync_support(action, scope),
        Channel::Exchange => Support::No("no connector is set up".into()),
    }
}

/// By Apple's own table of what runs where. What the table does not know at all is tried: the device answers for itself.
fn apple_support(device: &Device, action: Action, scope: Option<Scope>) -> Support {
    let Some(platform) = device.platform.of_apple() else { return Support::Yes };
    let command = match action {
        Action::Wipe if scope == Some(Scope::Full) => CommandKind::EraseDevice,
        Action::Wipe => CommandKind::RemoveProfile,
        Action::Lock => CommandKind::DeviceLock,
        Action::ClearPasscode => CommandKind::ClearPasscode,
        Action::Restart => CommandKind::RestartDevice,
        Action::Sync => CommandKind::DeviceInformation,
        Action::Policy => CommandKind::InstallProfile,
    };
    let rights = match device.ownership {
        Ownership::Corporate => AccessRights::ALL,
        Ownership::Personal => AccessRights::PERSONAL,
    };
    let version = device.os_version.as_deref().and_then(OsVersion::parse);
    let supervised = device.facts.get("supervised").map(|fact| fact == "true");
    let target = Target { supervised, ..Target::device(platform, version, rights) };
    match support::supports(&target, command) {
        support::Support::Yes => Support::Yes,
        support::Support::No(why) => Support::No(why.to_string()),
    }
}

fn omadm_support(device: &Device, action: Action) -> Support {
    match action {
        Action::Lock if device.platform == Platform::Windows => {
            Support::No("Windows 10 and 11 PCs cannot be locked from afar: RemoteLock exists on phones only".into())
        }
        Action::ClearPasscode => Support::No("Windows has no way to clear a passcode".into()),
        Action::Wipe | Action::Lock | Action::Restart | Action::Sync | Action::Policy => Support::Yes,
    }
}

fn activesync_support(action: Action, scope: Option<Scope>) -> Support {
    match (action, scope) {
        (Action::Wipe | Action::Sync, _) => Support::Yes,
        _ => Support::No("mail alone can do nothing but wipe".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Timestamp, ids::DeviceId};

    fn apple(platform: Platform, version: &str, supervised: Option<&str>) -> Device {
        let id = DeviceId(uuid::Uuid::from_u128(1));
        let mut device = Device::new(id, "nurse@example.org", Ownership::Corporate, platform, Timestamp(0));
        device.os_version = Some(version.into());
        device.facts.extend(supervised.map(|fact| ("supervised".to_string(), fact.to_string())));
        device
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
            (apple(Platform::Other, "1.0", None), Action::Wipe, Support::Yes),
        ] {
            assert_eq!(apple_support(&device, action, Some(Scope::Full)), want, "{action:?} {:?}", device.platform);
        }
    }
}

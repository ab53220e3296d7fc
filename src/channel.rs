//! Where the protocols meet the house. A channel does four things: it says what it can do on a device, it turns messages into calls on
//! registry and queue, it encodes the next command, and it wakes the device.

pub mod activesync;
pub mod apple;
pub mod certificates;
#[cfg(test)]
mod for_ever;
pub mod identity;
pub mod invitations;
pub mod omadm;
pub mod scep;

use crate::{
    queue::{Action, Scope, Support},
    registry::{Channel, Device, Enrolment, Platform},
    server::Server,
};
use std::sync::Arc;

/// All that devices and their users reach.
pub fn router(server: &Arc<Server>) -> axum::Router {
    apple::router(server.clone())
        .merge(omadm::router(server.clone()))
        .merge(activesync::router(server.clone()))
        .merge(scep::router(server.clone()))
        .merge(invitations::router(server.clone()))
}

/// What the channels do by themselves: Apple devices are woken by pushes, held mail requests looked at. Ends with the runtime.
pub fn start(server: &Arc<Server>) {
    apple::push::start(server);
    activesync::start(server);
}

/// Whether, and how well, the enrolment's channel can do an action on the device.
pub fn support(device: &Device, enrolment: &Enrolment, action: Action, scope: Option<Scope>) -> Support {
    match enrolment.channel {
        Channel::Apple => apple_support(device, action),
        Channel::Omadm => omadm_support(device, action),
        Channel::Activesync => activesync_support(action, scope),
        Channel::Exchange => Support::No("no connector is set up".into()),
    }
}

fn apple_support(device: &Device, action: Action) -> Support {
    match action {
        Action::ClearPasscode if device.platform == Platform::Macos => {
            Support::No("a Mac has no passcode to clear".into())
        }
        Action::Restart
            if device.facts.get("supervised").map(String::as_str) != Some("true")
                && device.platform != Platform::Macos =>
        {
            Support::No("only a supervised device can be restarted".into())
        }
        Action::Wipe | Action::Lock | Action::ClearPasscode | Action::Restart | Action::Sync | Action::Policy => {
            Support::Yes
        }
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

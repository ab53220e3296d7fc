//! Where the protocols meet the house. A channel does four things: it says what it can do on a device, it turns messages into calls on
//! registry and queue, it encodes the next command, and it wakes the device.

pub mod apple;
pub mod certificates;
pub mod exchange;
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
        life::{Action, Channel, Device, Enrolment, Scope},
        queue::Support,
    },
    server::Server,
};
use std::sync::Arc;

/// All that devices and their users reach.
pub fn router(server: &Arc<Server>) -> axum::Router {
    apple::router(server.clone())
        .merge(windows::router(server.clone()))
        .merge(mail::router(server.clone()))
        .merge(exchange::router(server.clone()))
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
        Channel::Apple => apple::support(device, enrolment, action, scope),
        Channel::Omadm => windows::support(device, action),
        Channel::Activesync => activesync_support(action, scope),
        Channel::Exchange => exchange::support(enrolment, action, scope),
    }
}

fn activesync_support(action: Action, scope: Option<Scope>) -> Support {
    match (action, scope) {
        (Action::Wipe | Action::Refresh, _) => Support::Yes,
        _ => Support::No("mail alone can do nothing but wipe".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::{Steady, Timestamp},
        fleet::life::{Managed, Ownership, Platform},
        ids::DeviceId,
        store::Time,
    };

    #[test]
    fn who_cannot_be_renamed_is_told_why() {
        let id = DeviceId(uuid::Uuid::from_u128(1));
        let time = Time { now: Timestamp(0), steady: Steady(0), doubted: false };
        let pc = Managed::new(id, "nurse@example.org", Ownership::Corporate, Platform::Windows, time);
        let no = |why: &str| Support::No(why.into());
        let renamed = windows::support(&pc, Action::Rename);
        assert_eq!(renamed, no("only Apple devices can be renamed from here"));
        assert_eq!(activesync_support(Action::Rename, None), no("mail alone can do nothing but wipe"));
    }
}

//! Who may come in: an administrator allows, blocks or quarantines an enrolment. Meant for mail, where nothing but the gateway's
//! door can be shut; another channel's enrolment is blocked or allowed only when it is named.

use crate::{
    error::{Error, Result},
    fleet::{
        actor::Actor,
        audit::{self, Event},
        queue::{Action, Command},
        registry::{Channel, Credential, Device, EnrolmentState, Life, lookup},
    },
    ids::{DeviceId, EnrolmentId},
    store::Tx,
};

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Come in; frees one that was blocked, quarantined, retired or wiped.
    Allow,
    /// Stay out.
    Block,
    /// Wait at the door.
    Quarantine,
}

impl Access {
    fn state(self) -> EnrolmentState {
        match self {
            Self::Allow => EnrolmentState::Enrolled,
            Self::Block => EnrolmentState::Blocked,
            Self::Quarantine => EnrolmentState::Quarantined,
        }
    }
    fn event(self, enrolment: EnrolmentId, device: DeviceId, reason: String) -> Event {
        match self {
            Self::Allow => Event::EnrolmentAllowed { enrolment, device, reason },
            Self::Block => Event::EnrolmentBlocked { enrolment, device, reason },
            Self::Quarantine => Event::EnrolmentQuarantined { enrolment, device, reason },
        }
    }
}

/// Sets the access of one enrolment, or of all of the device's mail enrolments.
pub fn set(
    tx: &mut Tx<'_>,
    actor: &Actor,
    device: &str,
    only: Option<EnrolmentId>,
    access: Access,
    reason: &str,
) -> Result<Device> {
    let mut device = lookup::device(tx, device)?;
    let wanted: Vec<EnrolmentId> = match only {
        Some(id) => vec![device.enrolment(id).ok_or_else(|| Error::not_found("enrolment", id))?.id],
        None => device.enrolments.iter().filter(|e| e.channel == Channel::Activesync).map(|e| e.id).collect(),
    };
    if wanted.is_empty() {
        let text = "the device reads no mail through this server; name the enrolment that is meant";
        return Err(Error::refused("no_mail", text));
    }
    let others = wanted.iter().any(|id| device.enrolment(*id).is_some_and(|e| e.channel != Channel::Activesync));
    match (access, others) {
        (Access::Allow, false) => refuse_under_wipe(tx, &device, Command::is_wipe_under_way)?,
        // To let it in is to let it hear of the wipe.
        (Access::Allow, true) => {}
        // Mail that is shut out is still told of a wipe; another channel's enrolment would not be.
        (_, true) => refuse_under_wipe(tx, &device, |c| c.action() == Action::Wipe && !c.state.is_final())?,
        (_, false) => {}
    }
    let mut freed = false;
    for id in wanted {
        let Some(enrolment) = device.enrolment_mut(id) else { continue };
        match (enrolment.state, access) {
            (EnrolmentState::Revoked, _) => {
                let text = "its certificate is revoked: it must enrol anew";
                return Err(Error::refused("revoked", text));
            }
            (EnrolmentState::Retired | EnrolmentState::Wiped, Access::Allow)
                if enrolment.channel == Channel::Activesync =>
            {
                for certificate in [&enrolment.certificate, &enrolment.renewed].into_iter().flatten() {
                    let issued = tx.get::<Credential>(certificate.sha256)?;
                    if issued.is_some_and(|credential| credential.revoked.is_some()) {
                        let text = "its certificate is revoked: it must enrol anew";
                        return Err(Error::refused("revoked", text));
                    }
                }
                // It begins anew: what it acknowledged before proves nothing about what it gets from now on.
                enrolment.channel_state.remove("provisioning");
                enrolment.applied.clear();
                freed = true;
            }
            (EnrolmentState::Retired | EnrolmentState::Wiped | EnrolmentState::Pending, _) => {
                return Err(Error::refused("ended", "the enrolment has ended, or has not begun"));
            }
            _ => {}
        }
        enrolment.state = access.state();
        audit::note(tx, actor, access.event(id, device.id, reason.into()))?;
    }
    if access == Access::Allow && !others {
        device.mail_shut = None;
        if freed && matches!(device.life, Life::Retired | Life::Wiped) {
            device.life = Life::Enrolled;
        }
    }
    tx.put(&device)?;
    Ok(device)
}

/// A wipe that is open shuts mail, and must be heard of: both change when it is cancelled.
fn refuse_under_wipe(tx: &mut Tx<'_>, device: &Device, which: impl Fn(&Command) -> bool) -> Result<()> {
    for id in &device.open {
        if let Some(wipe) = tx.get::<Command>(id)?.filter(&which) {
            return Err(Error::refused("under_wipe", format!("a wipe is under way: cancel command {} first", wipe.id)));
        }
    }
    Ok(())
}

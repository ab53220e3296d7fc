//! Who may come in: an administrator allows, blocks or quarantines an enrolment. Meant for mail, where nothing but the gateway's
//! door can be shut; another channel's enrolment is blocked or allowed only when it is named.

use crate::{
    error::{Error, Result},
    fleet::{
        actor::Actor,
        keeper,
        life::{Access, Action, Command, Enrolment, EnrolmentState, Event, Managed},
        registry::Credential,
    },
    ids::EnrolmentId,
    store::Tx,
};

/// Sets the access of one enrolment, or of all of the device's mail enrolments.
pub fn set(
    tx: &mut Tx<'_>,
    actor: &Actor,
    device: &str,
    only: Option<EnrolmentId>,
    access: Access,
    reason: &str,
) -> Result<Managed> {
    let mut device = keeper::find(tx, device)?;
    let wanted: Vec<EnrolmentId> = match only {
        Some(id) => vec![device.enrolment(id).ok_or_else(|| Error::not_found("enrolment", id))?.id],
        None => device.enrolments.iter().filter(|e| e.channel.is_mail()).map(|e| e.id).collect(),
    };
    if wanted.is_empty() {
        let text = "the device reads no mail through this server; name the enrolment that is meant";
        return Err(Error::refused("no_mail", text));
    }
    let others = wanted.iter().any(|id| device.enrolment(*id).is_some_and(|e| !e.channel.is_mail()));
    match (access, others) {
        (Access::Allow, false) => refuse_under_wipe(&device, |c| c.is_wipe_under_way())?,
        // To let it in is to let it hear of the wipe.
        (Access::Allow, true) => {}
        // Mail that is shut out is still told of a wipe; another channel's enrolment would not be.
        (_, true) => refuse_under_wipe(&device, |c| c.action() == Action::Wipe && !c.state.is_final())?,
        (_, false) => {}
    }
    for enrolment in wanted.iter().filter_map(|id| device.enrolment(*id)) {
        may_change(tx, enrolment, access)?;
    }
    let (by, reason) = (actor.id.clone(), reason.to_string());
    keeper::happen(tx, &mut device, Event::Access { enrolments: wanted, access, by, reason })?;
    Ok(device)
}

/// What has ended comes back through mail alone, and not under a certificate that is revoked.
fn may_change(tx: &mut Tx<'_>, enrolment: &Enrolment, access: Access) -> Result<()> {
    let revoked = || Err(Error::refused("revoked", "its certificate is revoked: it must enrol anew"));
    match (enrolment.state, access) {
        (EnrolmentState::Revoked | EnrolmentState::Former, _) => revoked(),
        (EnrolmentState::Retired | EnrolmentState::Wiped, Access::Allow) if enrolment.channel.is_mail() => {
            for certificate in [&enrolment.certificate, &enrolment.renewed].into_iter().flatten() {
                let issued = tx.get::<Credential>(certificate.sha256)?;
                if issued.is_some_and(|credential| credential.revoked.is_some()) {
                    return revoked();
                }
            }
            Ok(())
        }
        (EnrolmentState::Retired | EnrolmentState::Wiped | EnrolmentState::Pending, _) => {
            Err(Error::refused("ended", "the enrolment has ended, or has not begun"))
        }
        (EnrolmentState::Enrolled | EnrolmentState::Blocked | EnrolmentState::Quarantined, _) => Ok(()),
    }
}

/// A wipe that is open shuts mail, and must be heard of: both change when it is cancelled.
fn refuse_under_wipe(device: &Managed, which: impl Fn(&Command) -> bool) -> Result<()> {
    match device.open().find(|command| which(command)) {
        Some(wipe) => {
            Err(Error::refused("under_wipe", format!("a wipe is under way: cancel command {} first", wipe.id)))
        }
        None => Ok(()),
    }
}

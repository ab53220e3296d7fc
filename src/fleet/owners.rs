//! A fleet changes hands: whose a device is, to whom a shared one is given, and that an ended record is seen no more.

use crate::{
    error::{Error, Result},
    fleet::{
        actor::Actor,
        enrol::{self, invitation::user_name},
        groups, keeper,
        life::{Device, EnrolmentState, Event, Managed, Ownership, Scope, Stays},
        registry::{Credential, journal, lookup, users},
        wipe::{
            self, Approval,
            approvals::{self, Subject},
        },
    },
    ids::DeviceId,
    store::Tx,
};

/// Records that are looked at of those that took one another's place: a school's iPad has one a year.
const CHAIN: usize = 32;

/// Removes the record of a device that has ended, and whose end was proved: guarded like a retire. Its commands, the evidence and the
/// pins of its certificates stay, and it is listed again once it is heard. Of one that was removed before nothing changes.
pub fn remove(tx: &mut Tx<'_>, actor: &Actor, device: &str) -> Result<Device> {
    let device = lookup::ever(tx, device)?;
    if device.removed.is_some() {
        return Ok(device);
    }
    let device = keeper::load(tx, device)?;
    let refused = |code, text: &str| Err(Error::refused(code, text));
    match device.may_be_removed() {
        Err(Stays::Lives) => return refused("not_ended", "it is managed, or something is under way: wipe it first"),
        Err(Stays::Presumed) => {
            let text = "its wipe is presumed and not proved: the device may be heard yet, and is then wiped again";
            return refused("presumed", text);
        }
        Err(Stays::Unproved) => {
            let text = "its certificates were revoked, and nothing proves that the organisation's data is gone from it";
            return refused("not_proved", text);
        }
        Err(Stays::Succeeded(newer)) if !is_accounted_for(tx, newer)? => {
            let text = format!(
                "device {newer} took its place and has ended without proof: wipe that one, or remove this one once that is proved"
            );
            return refused("not_proved", &text);
        }
        Err(Stays::Succeeded(_)) | Ok(()) => wipe::count_act(tx, actor)?,
    }
    let id = device.id.to_string();
    for group in device.groups.clone() {
        groups::set(tx, actor, &group, &id, false)?;
    }
    let mut device = keeper::by_id(tx, device.id)?;
    keeper::happen(tx, &mut device, Event::Removed { by: actor.id.clone() })?;
    journal::forget(tx, device.id)?;
    Ok(device.device().clone())
}

/// Whether a record that took another's place is managed, or its end was proved, or the same holds for what took its place.
fn is_accounted_for(tx: &mut Tx<'_>, mut newer: DeviceId) -> Result<bool> {
    for _ in 0..CHAIN {
        let Some(device) = tx.get::<Device>(newer)? else { return Ok(false) };
        let device = keeper::load(tx, device)?;
        if device.live().any(|mine| mine.state == EnrolmentState::Enrolled) {
            return Ok(true);
        }
        match device.may_be_removed() {
            Err(Stays::Succeeded(next)) => newer = next,
            other => return Ok(other.is_ok()),
        }
    }
    Ok(false)
}

/// What came of saying whose a device is.
pub enum Set {
    /// It is so.
    Done(Box<Device>),
    /// It waits for a second person.
    Waits(Box<Approval>),
}

/// Says whose a device is. To make a user's own the organisation's, so that it can be erased, takes a second person. To make it the
/// user's own keeps it from being erased: so it is refused while that is under way, and to newcomers, who hold nothing back.
pub fn own(tx: &mut Tx<'_>, actor: &Actor, device: &str, ownership: Ownership) -> Result<Set> {
    let mut device = keeper::find(tx, device)?;
    let corporate = Subject::DeviceOwnership(device.id);
    match ownership {
        _ if device.ownership == ownership => {}
        Ownership::Corporate => {
            let id = device.id;
            let detail = format!(
                "{} ({id}) of {} is to be the organisation's, which can then erase it; an iPhone or Mac must enrol anew for that",
                called(&device),
                whose(&device)
            );
            return Ok(Set::Waits(Box::new(approvals::ask_once(tx, actor, corporate, &detail)?)));
        }
        Ownership::Personal => {
            actor.must_count("make a device its user's own")?;
            if let Some(wipe) = device.open().find(|command| command.wipes(Scope::Full)) {
                let text = format!("a full wipe is open: cancel command {} first", wipe.id);
                return Err(Error::refused("under_wipe", text));
            }
            keeper::happen(tx, &mut device, Event::Owned { ownership, by: actor.id.clone() })?;
            approvals::lapse(tx, actor, &corporate)?;
        }
    }
    Ok(Set::Done(Box::new(device.device().clone())))
}

fn called(device: &Device) -> &str {
    let name = [&device.name, &device.model, &device.serial].into_iter().flatten().find(|text| !text.is_empty());
    name.map_or("a device", String::as_str)
}

fn whose(device: &Device) -> &str {
    if device.user.is_empty() { "nobody" } else { &device.user }
}

/// Gives a shared device its person, or another one. A device that somebody was invited for by name stays theirs.
pub fn give(tx: &mut Tx<'_>, actor: &Actor, device: &str, user: &str) -> Result<Device> {
    let user = user_name(user)?;
    let mut device = keeper::find(tx, device)?;
    if device.user == user {
        return Ok(device.device().clone());
    }
    actor.must_count("give a device to a person")?;
    if !is_shared(tx, &device)? {
        let text = format!("it was enrolled for {}: retire it, and invite whom it is for now", device.user);
        return Err(Error::refused("not_shared", text));
    }
    users::leave(tx, &device)?;
    keeper::happen(tx, &mut device, Event::Given { user, by: actor.id.clone() })?;
    users::join(tx, &device)?;
    enrol::adopt_mail(tx, &mut device)?;
    Ok(device.device().clone())
}

/// Whether it enrolled for nobody in particular: none of what lives on it names a user.
fn is_shared(tx: &mut Tx<'_>, device: &Managed) -> Result<bool> {
    let pinned: Vec<_> = device.live().map(|e| e.certificate.as_ref().map(|c| c.sha256)).collect();
    let mut shared = !pinned.is_empty();
    for certificate in pinned {
        let issued = match certificate {
            Some(sha256) => tx.get::<Credential>(sha256)?,
            None => None,
        };
        shared &= issued.is_some_and(|credential| credential.user.is_empty());
    }
    Ok(shared)
}

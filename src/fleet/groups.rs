//! Groups of devices, by which policies are assigned. Who is in one stands in the device's record.

use crate::{
    error::{Error, Result},
    fleet::{
        actor::Actor,
        audit, keeper,
        life::{Device, Event, Managed},
        registry::lookup,
    },
    ids::DeviceId,
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};

/// A group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
}

/// How many devices are in a group. Apart from its record, whose change concerns everybody.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Size {
    group: String,
    size: u64,
}

/// One membership, so that a group's devices are found without reading all.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Member {
    group: String,
    device: DeviceId,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 3] = [Kind::of::<Group>(), Kind::of::<Member>(), Kind::of::<Size>()];

impl Record for Group {
    const KIND: &'static str = "group";
    fn key(&self) -> String {
        self.name.clone()
    }
    fn subject(&self) -> Option<String> {
        Some("*".into())
    }
}
impl Record for Size {
    const KIND: &'static str = "group-size";
    fn key(&self) -> String {
        self.group.clone()
    }
}
impl Record for Member {
    const KIND: &'static str = "group-member";
    fn key(&self) -> String {
        format!("{}/{}", self.group, self.device)
    }
}

fn named(tx: &mut Tx<'_>, name: &str) -> Result<Group> {
    tx.get::<Group>(name)?.ok_or_else(|| Error::not_found("group", name))
}

/// Makes one.
pub fn create(tx: &mut Tx<'_>, actor: &Actor, name: &str) -> Result<Group> {
    let fits = |c: char| c.is_alphanumeric() || "-_.@ ".contains(c);
    if name.trim() != name || name.is_empty() || name.len() > 100 || !name.chars().all(fits) || name == "all" {
        return Err(Error::invalid("name", "1 to 100 letters, digits, blanks or any of -_.@, and not \"all\""));
    }
    if tx.get::<Group>(name)?.is_some() {
        return Err(Error::refused("group_exists", format!("there is a group {name:?}")));
    }
    let group = Group { name: name.into() };
    tx.put(&group)?;
    audit::note(tx, actor, audit::Event::GroupMade { group: name.into() })?;
    Ok(group)
}

/// Those after the name `after`, at most `limit`.
pub fn page(tx: &mut Tx<'_>, after: Option<&str>, limit: usize) -> Result<Vec<Group>> {
    Ok(tx.scan("", after, limit)?)
}

/// How many devices are in it.
pub fn size(tx: &mut Tx<'_>, name: &str) -> Result<u64> {
    named(tx, name)?;
    match tx.get::<Size>(name)? {
        Some(size) => Ok(size.size),
        // Of a store that did not keep it yet.
        None => Ok(members(tx, name, None, usize::MAX)?.len() as u64),
    }
}

/// The ids of its devices after the id `after`, at most `limit`.
pub fn members(tx: &mut Tx<'_>, name: &str, after: Option<&str>, limit: usize) -> Result<Vec<DeviceId>> {
    named(tx, name)?;
    let after = after.map(|after| format!("{name}/{after}"));
    Ok(tx.scan::<Member>(&format!("{name}/"), after.as_deref(), limit)?.into_iter().map(|m| m.device).collect())
}

/// Removes a group; its devices stay, and are named.
pub fn delete(tx: &mut Tx<'_>, actor: &Actor, name: &str) -> Result<Vec<DeviceId>> {
    let group = named(tx, name)?;
    let devices = members(tx, name, None, usize::MAX)?;
    for device in &devices {
        set(tx, actor, name, &device.to_string(), false)?;
    }
    tx.delete(&group)?;
    tx.delete(&Size { group: name.into(), size: 0 })?;
    audit::note(tx, actor, audit::Event::GroupDeleted { group: name.into() })?;
    Ok(devices)
}

/// Puts one device in the place of another, whose record goes. The new one's own is written with the event that adopts it.
pub(super) fn take_over(tx: &mut Tx<'_>, former: &Device, device: &Device) -> Result<()> {
    for group in &former.groups {
        tx.delete(&Member { group: group.clone(), device: former.id })?;
        tx.put(&Member { group: group.clone(), device: device.id })?;
    }
    Ok(())
}

/// Puts a device that the caller has in hand into a group. False: there is no such group any more.
pub(super) fn join(tx: &mut Tx<'_>, device: &mut Managed, name: &str) -> Result<bool> {
    if tx.get::<Group>(name)?.is_none() {
        return Ok(false);
    }
    if !device.groups.contains(name) {
        let size = size(tx, name)?.saturating_add(1);
        tx.put(&Member { group: name.into(), device: device.id })?;
        tx.put(&Size { group: name.into(), size })?;
        keeper::happen(tx, device, Event::Grouped { group: name.into(), inside: true })?;
        audit::note(tx, audit::By::System, audit::Event::GroupAdded { group: name.into(), device: device.id })?;
    }
    Ok(true)
}

/// Puts a device in or takes it out; says which.
pub fn set(tx: &mut Tx<'_>, actor: &Actor, name: &str, device: &str, inside: bool) -> Result<DeviceId> {
    let size = size(tx, name)?;
    let device = lookup::device(tx, device)?;
    let changed = device.groups.contains(name) != inside;
    let member = Member { group: name.into(), device: device.id };
    if inside {
        tx.put(&member)?
    } else {
        tx.delete(&member)?
    }
    if changed {
        let size = if inside { size.saturating_add(1) } else { size.saturating_sub(1) };
        tx.put(&Size { group: name.into(), size })?;
        let mut device = keeper::load(tx, device)?;
        keeper::happen(tx, &mut device, Event::Grouped { group: name.into(), inside })?;
        let (group, device) = (name.into(), member.device);
        let event = match inside {
            true => audit::Event::GroupAdded { group, device },
            false => audit::Event::GroupRemoved { group, device },
        };
        audit::note(tx, actor, event)?;
    }
    Ok(member.device)
}

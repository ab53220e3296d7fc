//! Groups of devices, by which policies are assigned. Who is in one stands in the device's record.

use super::{Device, lookup};
use crate::{
    admins::Actor,
    audit,
    error::{Error, Result},
    ids::DeviceId,
    store::{Record, Tx},
};
use serde::{Deserialize, Serialize};

/// A group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
}

/// One membership, so that a group's devices are found without reading all.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Member {
    group: String,
    device: DeviceId,
}

impl Record for Group {
    const KIND: &'static str = "group";
    fn key(&self) -> String {
        self.name.clone()
    }
    fn subject(&self) -> Option<String> {
        Some("*".into())
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
    audit::note(tx, &actor.id, "group.made", name, "ok", "")?;
    Ok(group)
}

/// All names.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<Group>> {
    Ok(tx.all("")?)
}

/// The ids of its devices.
pub fn members(tx: &mut Tx<'_>, name: &str) -> Result<Vec<DeviceId>> {
    named(tx, name)?;
    Ok(tx.all::<Member>(&format!("{name}/"))?.into_iter().map(|m| m.device).collect())
}

/// Removes a group; its devices stay.
pub fn delete(tx: &mut Tx<'_>, actor: &Actor, name: &str) -> Result<()> {
    let group = named(tx, name)?;
    for device in members(tx, name)? {
        set(tx, actor, name, &device.to_string(), false)?;
    }
    tx.delete(&group);
    audit::note(tx, &actor.id, "group.deleted", name, "ok", "")
}

/// Puts one device in the place of another, whose record goes. The new one's is the caller's to write.
pub(super) fn take_over(tx: &mut Tx<'_>, former: &Device, device: &mut Device) -> Result<()> {
    for group in &former.groups {
        tx.delete(&Member { group: group.clone(), device: former.id });
        tx.put(&Member { group: group.clone(), device: device.id })?;
        device.groups.insert(group.clone());
    }
    Ok(())
}

/// Puts a device in or takes it out; says which.
pub fn set(tx: &mut Tx<'_>, actor: &Actor, name: &str, device: &str, inside: bool) -> Result<DeviceId> {
    named(tx, name)?;
    let mut device: Device = lookup::device(tx, device)?;
    let member = Member { group: name.into(), device: device.id };
    let changed = if inside {
        tx.put(&member)?;
        device.groups.insert(name.into())
    } else {
        tx.delete(&member);
        device.groups.remove(name)
    };
    if changed {
        tx.put(&device)?;
        let action = if inside { "group.added" } else { "group.removed" };
        audit::note(tx, &actor.id, action, device.id, "ok", name)?;
    }
    Ok(device.id)
}

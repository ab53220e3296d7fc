//! Users: whose the devices are, and what each channel calls them. A user's devices are found without reading all.

use super::lookup::part;
use crate::{
    clock::Timestamp,
    error::Result,
    fleet::life::{Channel, Device},
    ids::DeviceId,
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Names that are kept of one user in one channel. Logins are written in some ways; a phone must not make up more.
const NAMES: usize = 16;

/// See the module. Names of users are compared without case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// As it was first written.
    pub name: String,
    /// What they are called in each channel, as it was sent: the login of their mail, a Windows user name.
    pub names: BTreeMap<Channel, BTreeSet<String>>,
    /// When first heard of.
    pub created: Timestamp,
}

/// Leads from a user to a device of theirs.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct OfUser {
    /// The user's name as a part of the key.
    part: String,
    device: DeviceId,
}

impl OfUser {
    fn of(device: &Device) -> Self {
        Self { part: part(&device.user), device: device.id }
    }
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 2] = [Kind::of::<User>(), Kind::of::<OfUser>()];

impl Record for User {
    const KIND: &'static str = "user";
    fn key(&self) -> String {
        part(&self.name)
    }
}
impl Record for OfUser {
    const KIND: &'static str = "user-device";
    fn key(&self) -> String {
        format!("{}/{}", self.part, self.device.short())
    }
    fn lean(&self) -> Option<Self> {
        Some(Self { part: String::new(), device: DeviceId::NONE })
    }
    fn whole(self, rest: &str) -> Option<Self> {
        let (part, device) = rest.split_once('/')?;
        Some(Self { part: part.into(), device: DeviceId::of_short(device)? })
    }
}

/// The user of this name.
pub fn of(tx: &mut Tx<'_>, name: &str) -> Result<Option<User>> {
    Ok(tx.get::<User>(part(name))?)
}

/// The ids of their devices, ended ones too.
pub fn devices(tx: &mut Tx<'_>, name: &str) -> Result<Vec<DeviceId>> {
    Ok(tx.all::<OfUser>(&format!("{}/", part(name)))?.into_iter().map(|found| found.device).collect())
}

/// Notes what a channel calls a user.
pub fn note(tx: &mut Tx<'_>, channel: Channel, name: &str, login: &str) -> Result<()> {
    let known = of(tx, name)?;
    let is_new = known.is_none();
    let mut user = known.unwrap_or_else(|| new(name, tx.now()));
    let names = user.names.entry(channel).or_default();
    let added = names.len() < NAMES && names.insert(login.into());
    // An older record may have more.
    let many = names.len() > NAMES;
    while names.len() > NAMES
        && let Some(other) = names.iter().rev().find(|name| *name != login).cloned()
    {
        names.remove(&other);
    }
    if added || many || is_new {
        tx.put(&user)?;
    }
    Ok(())
}

/// Notes whose a device is, unless it is nobody's.
pub fn join(tx: &mut Tx<'_>, device: &Device) -> Result<()> {
    if device.user.is_empty() {
        return Ok(());
    }
    if of(tx, &device.user)?.is_none() {
        tx.put(&new(&device.user, tx.now()))?;
    }
    let theirs = OfUser::of(device);
    if tx.get::<OfUser>(theirs.key())?.is_none() {
        tx.put(&theirs)?;
    }
    Ok(())
}

/// The device's record goes.
pub(in crate::fleet) fn leave(tx: &mut Tx<'_>, device: &Device) -> Result<()> {
    Ok(tx.delete(&OfUser::of(device))?)
}

fn new(name: &str, created: Timestamp) -> User {
    User { name: name.into(), names: BTreeMap::new(), created }
}

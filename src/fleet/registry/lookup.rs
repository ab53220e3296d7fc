//! Finding a device by its id or by any name that fits one alone of those that live.

use crate::{
    error::{Candidate, Error, Result},
    fleet::{
        life::{Channel, Device},
        registry::sights,
    },
    ids::{DeviceId, EnrolmentId, digest},
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Leads from a name (serial, UDID, Windows DeviceID, mail DeviceId …) to those that claim it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Name {
    kind: String,
    /// The name as a part of the key.
    part: String,
    device: DeviceId,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 1] = [Kind::of::<Name>()];

impl Record for Name {
    const KIND: &'static str = "name";
    fn key(&self) -> String {
        format!("{}/{}/{}", self.kind, self.part, self.device.short())
    }
    fn lean(&self) -> Option<Self> {
        Some(Self { kind: String::new(), part: String::new(), device: DeviceId::NONE })
    }
    fn whole(self, rest: &str) -> Option<Self> {
        let (kind, rest) = rest.split_once('/')?;
        let (part, device) = rest.split_once('/')?;
        Some(Self { kind: kind.into(), part: part.into(), device: DeviceId::of_short(device)? })
    }
}

/// Names read at a time.
const PAGE: usize = 100;
/// Bytes of a name that stand in a key; a longer one ends in its digest.
const LONGEST: usize = 400;

/// A name that a device, a mail client or a person chose, as a part of a key. Names are compared without case; a slash must not end
/// the part, and no store keeps control characters in a key.
pub(crate) fn part(name: &str) -> String {
    let mut part = String::new();
    for c in name.to_lowercase().chars() {
        match c {
            '%' | '/' => part += &format!("%{:02x}", u32::from(c)),
            c if c.is_control() => part += &format!("%{:02x}", u32::from(c)),
            c => part.push(c),
        }
    }
    if part.len() <= LONGEST {
        return part;
    }
    let head: String = part.chars().take(LONGEST / 8).collect();
    format!("{head}%%{}", digest(part.as_bytes()))
}

/// Mail clients write one and the same id as `{GUID}`, with hyphens and without, and mail servers take it for one.
fn of_kind(kind: &str, name: &str) -> String {
    match [Channel::Activesync.as_str(), Channel::Exchange.as_str(), MAIL_ID].contains(&kind) {
        true => part(&mail_id(name)),
        false => part(name),
    }
}

/// A mail client's DeviceId as it is compared: its letters and digits, where it has any.
fn mail_id(name: &str) -> String {
    let folded: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    if folded.is_empty() { name.to_lowercase() } else { folded }
}

/// Whether two names are one in this channel.
pub fn is_same(channel: Channel, one: &str, other: &str) -> bool {
    match channel {
        Channel::Activesync | Channel::Exchange => mail_id(one) == mail_id(other),
        _ => one.to_lowercase() == other.to_lowercase(),
    }
}

fn place(kind: &str, name: &str) -> String {
    format!("{kind}/{}", of_kind(kind, name))
}

/// What a name is in: one of these, or a channel's own.
pub const SERIAL: &str = "serial";
/// Windows hardware id.
pub const HARDWARE: &str = "hardware";
/// A mail client's id as another channel told it (EASDeviceIdentifier, ExchangeID).
pub const MAIL_ID: &str = "mail";
/// What people called the device.
pub const NAMED: &str = "named";

/// Notes that the device goes by this name.
pub fn claim(tx: &mut Tx<'_>, kind: &str, name: &str, device: DeviceId) -> Result<()> {
    if !name.is_empty() && name.len() <= 512 {
        tx.put(&Name { kind: kind.into(), part: of_kind(kind, name), device })?;
    }
    Ok(())
}

/// The device goes by this name no more.
pub(in crate::fleet) fn unclaim(tx: &mut Tx<'_>, kind: &str, name: &str, device: DeviceId) -> Result<()> {
    Ok(tx.delete(&Name { kind: kind.into(), part: of_kind(kind, name), device })?)
}

/// What a device is called now, each name with what it is in.
fn names(device: &Device) -> impl Iterator<Item = (&str, &str)> {
    let said =
        [(SERIAL, &device.serial), (NAMED, &device.name), (MAIL_ID, &device.mail_id), (HARDWARE, &device.hardware_id)];
    let said = said.into_iter().filter_map(|(kind, name)| Some((kind, name.as_deref()?)));
    said.chain(device.enrolments.iter().map(|e| (e.channel.as_str(), e.identity.as_str())))
}

/// The device's record goes, and the names with it by which it is called now.
pub(in crate::fleet) fn forget(tx: &mut Tx<'_>, device: &Device) -> Result<()> {
    names(device).try_for_each(|(kind, name)| unclaim(tx, kind, name, device.id))
}

impl Name {
    /// Whether nobody goes by it any more: a device keeps one name of each kind, and older versions left it all that it ever had.
    pub(in crate::fleet) fn is_former(&self, tx: &mut Tx<'_>) -> Result<bool> {
        let Some(device) = tx.get::<Device>(self.device)? else { return Ok(true) };
        Ok(names(&device).all(|(kind, name)| kind != self.kind || of_kind(kind, name) != self.part))
    }
}

/// The devices that went by this name first, at most a hundred: what enrols and is one of those beyond gets a record of its own.
pub fn claimants(tx: &mut Tx<'_>, kind: &str, name: &str) -> Result<Vec<Device>> {
    let names = tx.scan::<Name>(&format!("{}/", place(kind, name)), None, PAGE)?;
    let mut devices = Vec::new();
    for name in names {
        devices.extend(tx.get::<Device>(name.device)?);
    }
    Ok(devices)
}

/// Of an id at least this is taken for it.
const BEGINNING: usize = 6;

/// Whether the text may stand for an id that begins so.
pub fn is_beginning(text: &str) -> bool {
    (BEGINNING..36).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

/// A beginning as it was shown, without the mark that more follows.
pub fn as_shown(text: &str) -> &str {
    text.trim_end_matches(['…', '.'])
}

/// The keys of those of this kind whose id begins so, at most a hundred: people are shown ids by their beginning. None where the text
/// is too short or no part of an id.
fn beginning<R: Record>(tx: &mut Tx<'_>, text: &str) -> Result<Vec<String>> {
    let text = as_shown(text);
    if !is_beginning(text) {
        return Ok(Vec::new());
    }
    Ok(tx.scan_keys::<R>(&text.to_ascii_lowercase(), None, PAGE)?)
}

/// The id that is given, whole or by a beginning that one record of this kind has alone.
pub fn id<R: Record, I: FromStr>(tx: &mut Tx<'_>, what: &'static str, given: &str) -> Result<I> {
    if let Ok(id) = given.parse() {
        return Ok(id);
    }
    match beginning::<R>(tx, given)?.as_slice() {
        [] => Err(Error::not_found(what, given)),
        [one] => one.parse().map_err(|_| Error::not_found(what, given)),
        several => Err(several_begin_so(given, several)),
    }
}

/// A beginning of an id that leaves open which is meant.
pub fn several_begin_so(given: &str, ids: &[String]) -> Error {
    let (named, more) = ids.split_at(ids.len().min(10));
    let more = if more.is_empty() { "" } else { " and more" };
    Error::refused("ambiguous", format!("several ids begin with {given:?}: {}{more}", named.join(", ")))
}

/// The device of this id.
pub fn by_id(tx: &mut Tx<'_>, id: DeviceId) -> Result<Device> {
    tx.get::<Device>(id)?.ok_or_else(|| Error::not_found("device", id))
}

/// As [`device`], and by its id, or what that alone begins with, one whose record was removed: what it did is still told.
pub fn ever(tx: &mut Tx<'_>, wanted: &str) -> Result<Device> {
    if let Ok(id) = wanted.parse::<DeviceId>()
        && let Some(device) = tx.get::<Device>(id)?
    {
        return Ok(device);
    }
    match device(tx, wanted) {
        Err(Error::NotFound { what, id, near }) => removed(tx, wanted)?.ok_or(Error::NotFound { what, id, near }),
        found => found,
    }
}

/// The one of this id, or of an id that alone begins so, whose record was removed.
pub fn removed(tx: &mut Tx<'_>, wanted: &str) -> Result<Option<Device>> {
    let found = match wanted.parse::<DeviceId>() {
        Ok(id) => tx.get::<Device>(id)?,
        Err(_) => match begin_so(tx, wanted)?.as_slice() {
            [one] => Some(one.clone()),
            _ => None,
        },
    };
    Ok(found.filter(|device| device.removed.is_some()))
}

/// The device of this id, serial or name in a protocol, or of an id that begins so. A name means the one that lives and bears it, whatever bore it before; it is
/// refused where several live, or several have ended and none lives, or where another's id begins so.
pub fn device(tx: &mut Tx<'_>, wanted: &str) -> Result<Device> {
    if let Ok(id) = wanted.parse::<DeviceId>()
        && let Some(device) = tx.get::<Device>(id)?.filter(|device| device.removed.is_none())
    {
        return Ok(device);
    }
    let mut found = Bearers::default();
    for kind in [SERIAL, "apple", "omadm", "exchange", "activesync", NAMED] {
        found.gather(tx, kind, wanted)?;
    }
    // A device says itself what it is called: it shall not stand before another whose id was meant.
    let begun = begin_so(tx, wanted)?;
    let Bearers { mut living, mut ended } = found;
    for named in [&mut living, &mut ended] {
        named.retain(|one| begun.iter().all(|other| other.id != one.id));
    }
    match (living.as_slice(), ended.as_slice(), begun.as_slice()) {
        ([one], _, []) | ([], [one], []) => Ok(one.clone()),
        ([], [], [one]) if one.removed.is_none() => Ok(one.clone()),
        ([], [], [] | [_]) => Err(Error::not_found("device", wanted)),
        (living, ended, begun) => {
            let all = living.iter().chain(begun).chain(ended);
            let candidates = all.map(|device| candidate(tx, device)).collect::<Result<_>>()?;
            Err(Error::Ambiguous { name: wanted.into(), candidates })
        }
    }
}

/// The devices whose id begins so, also those whose record was removed: what was shown of one shall not mean another afterwards.
fn begin_so(tx: &mut Tx<'_>, wanted: &str) -> Result<Vec<Device>> {
    let ids = beginning::<Device>(tx, wanted)?;
    Ok(tx.get_many::<Device>(ids)?.into_iter().flatten().collect())
}

fn candidate(tx: &mut Tx<'_>, device: &Device) -> Result<Candidate> {
    let apart = sights::seen(tx, device.enrolments.iter().map(|e| e.id))?.into_iter().flatten().max();
    let (id, user) = (device.id.to_string(), Some(device.user.clone()).filter(|user| !user.is_empty()));
    Ok(Candidate { id, user, state: device.state(), last_seen: apart.max(device.last_seen()) })
}

/// Those that bear a name, of each sort as many as anybody wants to read.
#[derive(Default)]
struct Bearers {
    living: Vec<Device>,
    ended: Vec<Device>,
}

impl Bearers {
    /// Adds those that bear it as a name of this kind. However many have ended that bore it: one that lives is found.
    fn gather(&mut self, tx: &mut Tx<'_>, kind: &str, wanted: &str) -> Result<()> {
        let (prefix, mut after) = (format!("{}/", place(kind, wanted)), None::<String>);
        while self.living.len() < PAGE {
            let names = tx.scan::<Name>(&prefix, after.as_deref(), PAGE)?;
            for name in &names {
                if let Some(device) = tx.get::<Device>(name.device)?.filter(|device| bears(device, kind, wanted)) {
                    self.add(device);
                }
            }
            match names.last() {
                Some(last) if names.len() == PAGE => after = Some(last.key()),
                _ => break,
            }
        }
        Ok(())
    }

    fn add(&mut self, device: Device) {
        let lives = device.live().next().is_some();
        let of_its_sort = if lives { &mut self.living } else { &mut self.ended };
        if of_its_sort.len() < PAGE && of_its_sort.iter().all(|d| d.id != device.id) {
            of_its_sort.push(device);
        }
    }
}

/// A name once borne and since changed fits no more, nor that of a record that was removed.
fn bears(device: &Device, kind: &str, wanted: &str) -> bool {
    if device.removed.is_some() {
        return false;
    }
    match kind {
        SERIAL => device.serial.as_deref().is_some_and(|s| s.eq_ignore_ascii_case(wanted)),
        NAMED => device.name.as_deref().is_some_and(|n| n.to_lowercase() == wanted.to_lowercase()),
        _ => true,
    }
}

/// The enrolment of this channel that goes by this name and belongs to this user, with its device.
pub fn enrolment(
    tx: &mut Tx<'_>,
    channel: Channel,
    identity: &str,
    user: &str,
) -> Result<Option<(Device, EnrolmentId)>> {
    let same = |name: &str| is_same(channel, name, identity);
    for device in claimants(tx, channel.as_str(), identity)? {
        let fits = device.enrolments.iter().rev().find(|e| e.channel == channel && same(&e.identity));
        if let Some(id) = fits.map(|e| e.id)
            && device.is_of(user)
        {
            return Ok(Some((device, id)));
        }
    }
    Ok(None)
}

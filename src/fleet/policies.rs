//! Policies as they are kept: stored once with a revision. What a device must have is computed when it checks in; a change writes one
//! record, whatever the number of devices.

pub mod rollout;

use crate::{
    clock::{Steady, Timestamp},
    error::{Error, Result},
    fleet::{
        actor::Actor,
        audit::{self, Event},
        groups::Group,
        keeper,
        life::{Device, Enrolment, Event as Happening, Managed, Ownership, device::Census, parts_on_the_way},
        settings,
    },
    ids::{DeviceId, EnrolmentId},
    policy::{
        self, Assign, ChannelView, Compliance, DeviceState, Difference, Effective, Next, OnTheWay, Overridden, Part,
        PartContent, PartId, PolicyError, PolicyFile, Problem, SettingCoverage, Standing, Subject, Target, Touched,
        Version, bounds, compliance, coverage_of, desired, device_state, diff, difference, effective, left, of_policy,
        problems, verified,
    },
    store::{Kind, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};
use time::OffsetDateTime;

/// A policy as stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// Grows by one with each change.
    pub revision: u64,
    /// The file, profiles inlined.
    pub text: String,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 1] = [Kind::of::<Policy>()];

impl Record for Policy {
    const KIND: &'static str = "policy";
    fn key(&self) -> String {
        self.name.clone()
    }
    fn subject(&self) -> Option<String> {
        Some("*".into())
    }
}

/// What applying a file does, or would do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Change {
    /// The policy.
    pub name: String,
    /// Its revision after the change.
    pub revision: u64,
    /// Whether it was carried out.
    pub applied: bool,
    /// Lines for people, warnings at the end.
    pub diff: String,
    /// How many devices have it before or after.
    pub devices: u64,
}

/// A policy's text as somebody sends it, with what it says. It is read as the field of a body is: before the store is asked, since
/// how long that takes is the text's to say.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Source {
    text: String,
    file: Arc<PolicyFile>,
}

impl Source {
    /// What it says.
    pub fn file(&self) -> &PolicyFile {
        &self.file
    }
}

impl TryFrom<String> for Source {
    type Error = PolicyError;

    fn try_from(text: String) -> std::result::Result<Self, PolicyError> {
        let file = Arc::new(PolicyFile::parse(&text)?);
        Ok(Self { text, file })
    }
}

/// The policy of this name.
pub fn find(tx: &mut Tx<'_>, name: &str) -> Result<Policy> {
    tx.get::<Policy>(name)?.ok_or_else(|| Error::not_found("policy", name))
}

/// All of them.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<Policy>> {
    Ok(tx.all("")?)
}

/// Texts read before: every check-in needs them, and YAML is slow to read. Emptied when it has grown to this many.
static READ: LazyLock<Mutex<BTreeMap<String, Arc<PolicyFile>>>> = LazyLock::new(Mutex::default);
const REMEMBERED: usize = 256;

/// The file of a stored policy.
pub fn file(policy: &Policy) -> Result<Arc<PolicyFile>> {
    let known = READ.lock().ok().and_then(|read| read.get(&policy.text).cloned());
    if let Some(known) = known {
        return Ok(known);
    }
    let kept = PolicyFile::parse_kept(&policy.text).map_err(|e| Error::invalid("text", e.to_string()))?;
    for why in &kept.1 {
        tracing::warn!(policy = %policy.name, %why, "a part that this version refuses is left out: apply the policy anew");
    }
    let file = Arc::new(kept.0);
    remember(&policy.text, &file);
    Ok(file)
}

fn remember(text: &str, file: &Arc<PolicyFile>) {
    if let Ok(mut read) = READ.lock() {
        if read.len() >= REMEMBERED {
            read.clear();
        }
        read.insert(text.to_owned(), file.clone());
    }
}

/// What applying this file would do.
pub fn look(tx: &mut Tx<'_>, source: &Source) -> Result<Change> {
    let old = tx.get::<Policy>(&source.file.name)?;
    let revision = next_revision(old.as_ref(), source);
    Ok(Change { revision, ..preview(tx, old.as_ref(), Some(&source.file))? })
}

/// Applies the file, which was [`look`]ed at. Refused where the policy was changed since.
pub fn apply(tx: &mut Tx<'_>, actor: &Actor, source: &Source, seen: Change) -> Result<Change> {
    let Source { text, file: new } = source;
    let old = tx.get::<Policy>(&new.name)?;
    if next_revision(old.as_ref(), source) != seen.revision {
        return Err(changed(&new.name));
    }
    if old.is_none_or(|o| o.text != *text) {
        tx.put(&Policy { name: new.name.clone(), revision: seen.revision, text: text.clone() })?;
        // What may be applied loses nothing when it is read again as a kept one.
        remember(text, new);
        rollout::begin(tx)?;
        let (policy, diff) = (new.name.clone(), seen.diff.clone());
        audit::note(tx, actor, Event::PolicyApplied { policy, diff })?;
    }
    Ok(Change { applied: true, ..seen })
}

fn next_revision(old: Option<&Policy>, source: &Source) -> u64 {
    old.map_or(1, |old| old.revision + u64::from(old.text != source.text))
}

fn changed(name: &str) -> Error {
    Error::refused("policy_changed", format!("somebody else changed policy {name:?} meanwhile: look again"))
}

/// What the end of a policy would do. Likewise.
pub fn look_at_end(tx: &mut Tx<'_>, name: &str) -> Result<Change> {
    let old = find(tx, name)?;
    Ok(Change { revision: old.revision, ..preview(tx, Some(&old), None)? })
}

/// Ends a policy that was [`look_at_end`]ed.
pub fn delete(tx: &mut Tx<'_>, actor: &Actor, name: &str, seen: Change) -> Result<Change> {
    let old = find(tx, name)?;
    if old.revision != seen.revision {
        return Err(changed(name));
    }
    tx.delete(&old)?;
    rollout::begin(tx)?;
    audit::note(tx, actor, Event::PolicyDeleted { policy: name.into() })?;
    Ok(Change { applied: true, ..seen })
}

fn preview(tx: &mut Tx<'_>, old: Option<&Policy>, new: Option<&PolicyFile>) -> Result<Change> {
    let old = old.map(file).transpose()?;
    let covers = |file: Option<&PolicyFile>, groups: &[String]| file.is_some_and(|f| f.assign.covers(groups));
    let mut touched = Touched { devices: 0, erasing: 0 };
    for (census, devices) in Census::take(tx)? {
        let (before, after) = (covers(old.as_deref(), &census.groups), covers(new, &census.groups));
        touched.devices += if before || after { devices } else { 0 };
        touched.erasing += if after && census.erasing { devices } else { 0 };
    }
    let name = new.or(old.as_deref()).map(|f| f.name.clone()).unwrap_or_default();
    let devices = touched.devices;
    let mut diff = diff(old.as_deref(), new, touched);
    if let Some(Assign::Groups(groups)) = new.map(|file| &file.assign) {
        for group in groups {
            if tx.get::<Group>(group)?.is_none() {
                diff.warnings.push(format!("there is no group {group:?}: lanyard group create makes it"));
            }
        }
    }
    if new.is_some() {
        diff.warnings.extend(disagreements(tx, &name, new)?);
    }
    Ok(Change { name, revision: 0, applied: false, diff: diff.to_string(), devices })
}

/// What of this policy others would hold over, and what it would hold over of theirs, with the number of devices that have both.
fn disagreements(tx: &mut Tx<'_>, name: &str, new: Option<&PolicyFile>) -> Result<Vec<String>> {
    let stored = list(tx)?;
    let others = stored.iter().filter(|policy| policy.name != name).map(file).collect::<Result<Vec<_>>>()?;
    let all: Vec<&PolicyFile> = others.iter().map(AsRef::as_ref).chain(new).collect();
    // Those that no device has yet may be had by one tomorrow.
    let mut kinds: Vec<(Vec<String>, u64)> = vec![(Vec::new(), 0)];
    for policy in &all {
        if let Assign::Groups(groups) = &policy.assign {
            kinds.extend(groups.iter().map(|group| (vec![group.clone()], 0)));
        }
    }
    kinds.extend(Census::take(tx)?.into_iter().map(|(census, devices)| (census.groups, devices)));
    let mut found: BTreeMap<Overridden, u64> = BTreeMap::new();
    for (groups, devices) in kinds {
        let its = all.iter().copied().filter(|policy| policy.assign.covers(&groups));
        let lost = effective(its).overridden;
        let concerned = lost.into_iter().filter(|lost| lost.policy == name || lost.by == name);
        concerned.for_each(|lost| *found.entry(lost).or_default() += devices);
    }
    let line = |(lost, devices): (Overridden, u64)| {
        let whose = if lost.policy == name { String::new() } else { format!(" of {}", lost.policy) };
        let on = if devices == 1 { "1 device".to_owned() } else { format!("{devices} devices") };
        format!("{}{whose}: overridden by {} on {on}", lost.setting, lost.by)
    };
    Ok(found.into_iter().map(line).collect())
}

fn groups(device: &Device) -> Vec<String> {
    device.groups.iter().cloned().collect()
}

/// What a device has told of itself that decides which settings it keeps.
fn target(device: &Device) -> Target {
    Target {
        platform: device.platform,
        version: device.os_version.as_deref().and_then(Version::parse),
        supervised: device.facts.get("supervised").and_then(|fact| fact.parse().ok()),
        edition: device.facts.get("edition").and_then(|fact| fact.parse().ok()),
        personal: device.ownership == Ownership::Personal,
    }
}

/// Raw profiles that were found good, by their parts' hashes. Emptied when it has grown to this many.
static GOOD: LazyLock<Mutex<BTreeSet<String>>> = LazyLock::new(Mutex::default);
const REMEMBERED_GOOD: usize = 4096;

/// Whether a part may be sent: [`bounds::check`]. A raw profile is read for that (some milliseconds where it is large), and this is
/// asked on the store's thread for each device: content that was found good is known by its hash from then on.
pub fn may_be_sent(part: &Part) -> std::result::Result<(), bounds::Refused> {
    let costly = matches!(part.content, PartContent::AppleProfile { .. });
    if costly && GOOD.lock().is_ok_and(|good| good.contains(&part.hash)) {
        return Ok(());
    }
    bounds::check(&part.content)?;
    if costly && let Ok(mut good) = GOOD.lock() {
        if good.len() >= REMEMBERED_GOOD {
            good.clear();
        }
        good.insert(part.hash.clone());
    }
    Ok(())
}

/// All policies of the tenant, read once for all devices of a call. What those that are alike must have is worked out once.
pub struct Assigned {
    files: Vec<Arc<PolicyFile>>,
    /// By which of the files a device has.
    merged: RefCell<BTreeMap<Vec<bool>, Rc<Merged>>>,
    now: Steady,
    /// How often what is set is read back.
    verify: Duration,
}

/// Several policies as one.
struct Merged {
    effective: Effective,
    parts: RefCell<BTreeMap<(policy::Channel, Target), Parts>>,
}

/// What a channel must have in place.
type Parts = Rc<BTreeMap<PartId, Part>>;

impl Merged {
    fn desired(&self, channel: policy::Channel, target: Target) -> Parts {
        let mut known = self.parts.borrow_mut();
        known.entry((channel, target)).or_insert_with(|| Rc::new(desired(&self.effective, channel, &target))).clone()
    }
}

impl Assigned {
    /// Reads them.
    pub fn load(tx: &mut Tx<'_>) -> Result<Self> {
        let files = list(tx)?.iter().map(file).collect::<Result<_>>()?;
        let (now, verify) = (tx.steady(), settings::span(tx, "policy.verify")?);
        Ok(Self { files, merged: RefCell::default(), now, verify })
    }

    /// What a device must have, of all policies assigned to it.
    fn merged(&self, device: &Device) -> Rc<Merged> {
        let groups = groups(device);
        let has: Vec<bool> = self.files.iter().map(|file| file.assign.covers(&groups)).collect();
        if let Some(known) = self.merged.borrow().get(&has) {
            return known.clone();
        }
        let its = self.files.iter().zip(&has).filter(|(_, has)| **has).map(|(file, _)| file.as_ref());
        let merged = Rc::new(Merged { effective: effective(its), parts: RefCell::default() });
        self.merged.borrow_mut().insert(has, merged.clone());
        merged
    }

    /// The parts that a device must have in place over an enrolment, and what is to be done about it.
    pub fn due(&self, device: &Device, enrolment: &Enrolment) -> (Parts, Difference) {
        let Some(of_policy) = enrolment.channel.for_policy() else { return Default::default() };
        let wanted = self.merged(device).desired(of_policy, target(device));
        let todo = difference(&wanted, &enrolment.applied, self.now, self.verify);
        (wanted, todo)
    }

    /// What mail clients of a device are to keep to, whoever tells them.
    pub fn mail_document(&self, device: &Device) -> Option<Part> {
        let wanted = self.merged(device).desired(policy::Channel::Activesync, target(device));
        wanted.get(&PartId::Document).cloned()
    }

    /// Coverage of one device by everything assigned to it.
    pub fn coverage(&self, device: &Device) -> Vec<SettingCoverage> {
        self.coverage_over(device, |_| true)
    }

    fn coverage_over(&self, device: &Device, which: impl Fn(&ChannelView<'_>) -> bool) -> Vec<SettingCoverage> {
        let encrypted = device.facts.get("encrypted").and_then(|v| v.parse().ok());
        let channels = views(device).filter(which).collect();
        let (merged, target) = (self.merged(device), target(device));
        let desired = |channel| merged.desired(channel, target);
        coverage_of(&merged.effective, &Subject { target, encrypted, channels }, desired)
    }

    /// Coverage by one policy: of its file, where it is assigned to the device, and what is left there of it.
    fn coverage_by(&self, name: &str, file: Option<&PolicyFile>, device: &Device) -> Vec<SettingCoverage> {
        let (merged, target) = (self.merged(device), target(device));
        let has = |channel| views(device).any(|view| view.channel == channel);
        let asked = file.filter(|file| file.assign.covers(&groups(device)));
        let mut rows =
            asked.map(|file| of_policy(self.coverage(device), file, &merged.effective, has)).unwrap_or_default();
        rows.extend(views(device).flat_map(|view| left(name, &view, &merged.desired(view.channel, target))));
        rows
    }

    /// What a device refuses of its policies, to be set or to be taken away.
    pub fn problems(&self, device: &Device) -> Vec<Problem> {
        let (merged, target) = (self.merged(device), target(device));
        views(device).flat_map(|view| problems(&view, &merged.desired(view.channel, target))).collect()
    }

    /// Whether a device keeps to its policies; `None` without one, and once nothing binds it any more.
    pub fn compliance(&self, device: &Device) -> Option<Compliance> {
        device.live().next()?;
        let rows = self.coverage(device);
        (!rows.is_empty()).then(|| compliance(&rows))
    }
}

impl Assigned {
    /// How a device keeps to its policies by what its enrolments other than mail say: mail's own word proves little. Of one that has not
    /// answered yet it is not known.
    pub fn standing_beside_mail(&self, device: &Device) -> Standing {
        let beside = |view: &ChannelView<'_>| view.channel != policy::Channel::Activesync;
        if !views(device).any(|view| beside(&view)) {
            return Standing::Unknown;
        }
        let rows = self.coverage_over(device, beside);
        match (rows.is_empty(), compliance(&rows)) {
            (false, Compliance::Compliant) => Standing::Compliant,
            (false, Compliance::Noncompliant) => Standing::Noncompliant,
            (true, _) | (false, Compliance::Pending) => Standing::Unknown,
        }
    }
}

/// What a device has answered, by channel.
fn views(device: &Device) -> impl Iterator<Item = ChannelView<'_>> {
    device.live().filter_map(|e| Some(ChannelView::new(e.channel.for_policy()?, &e.applied)))
}

/// See [`Assigned::due`].
pub fn due(tx: &mut Tx<'_>, device: &Device, enrolment: EnrolmentId) -> Result<(BTreeMap<PartId, Part>, Difference)> {
    let Some(enrolment) = device.enrolment(enrolment) else { return Ok(Default::default()) };
    let (wanted, todo) = Assigned::load(tx)?.due(device, enrolment);
    Ok((Rc::unwrap_or_clone(wanted), todo))
}

/// The same without what is with the device already: a part that it does not answer keeps no other back, and is not asked for twice.
pub fn to_ask(
    tx: &mut Tx<'_>,
    device: &Managed,
    enrolment: EnrolmentId,
) -> Result<(BTreeMap<PartId, Part>, Difference)> {
    let (wanted, mut todo) = due(tx, device, enrolment)?;
    let (sent, looked_at) = parts_on_the_way(device.open(), enrolment);
    todo.leave_out(&sent, &looked_at);
    Ok((wanted, todo))
}

/// How well one policy holds on a device.
pub struct Covered {
    /// Which.
    pub device: DeviceId,
    /// All settings together.
    pub state: DeviceState,
    /// When it was last seen to hold.
    pub verified: Option<OffsetDateTime>,
    /// One by one.
    pub settings: Vec<SettingCoverage>,
}

/// How well a policy holds on those of the devices after `after` that have it, or something of it; looks at `limit` devices at most, and
/// says where to go on. One that was deleted is known as long as something of it is left.
pub fn coverage_page(
    tx: &mut Tx<'_>,
    name: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<(Vec<Covered>, Option<String>)> {
    let file = tx.get::<Policy>(name)?.map(|policy| file(&policy)).transpose()?;
    let assigned = Assigned::load(tx)?;
    let mut from = after.map(str::to_owned);
    loop {
        let page = tx.scan::<Device>("", from.as_deref(), limit)?;
        let next = page.last().filter(|_| page.len() == limit).map(Record::key);
        let covered: Vec<Covered> =
            page.iter().filter_map(|device| covered(&assigned, name, file.as_deref(), device)).collect();
        if file.is_some() || !covered.is_empty() {
            return Ok((covered, next));
        }
        // Whether there was such a policy, only what is left of it tells.
        match next {
            Some(next) => from = Some(next),
            None if after.is_none() => return Err(Error::not_found("policy", name)),
            None => return Ok((covered, None)),
        }
    }
}

fn covered(assigned: &Assigned, name: &str, file: Option<&PolicyFile>, device: &Device) -> Option<Covered> {
    device.live().next()?;
    let settings = assigned.coverage_by(name, file, device);
    if settings.is_empty() && !file.is_some_and(|file| file.assign.covers(&groups(device))) {
        return None;
    }
    let (state, verified) = (device_state(&settings), verified(&settings));
    Some(Covered { device: device.id, state, verified, settings })
}

/// Brings what is kept of a device's parts up to date where nothing needs to be sent for it.
pub fn keep_books(
    tx: &mut Tx<'_>,
    device: &mut Managed,
    enrolment: EnrolmentId,
    wanted: &BTreeMap<PartId, Part>,
    todo: &Difference,
) -> Result<()> {
    keeper::happen(tx, device, Happening::PartsForgotten { enrolment, parts: todo.forget.clone() })?;
    let adopted = todo.adopt.iter().filter_map(|id| Some((id.clone(), wanted.get(id)?.of.clone())));
    let parts = adopted.collect();
    keeper::happen(tx, device, Happening::PartsAdopted { enrolment, parts }).map(drop)
}

/// Notes that the device is asked whether it still has those of the parts that are only to be read back.
pub fn ask_for(tx: &mut Tx<'_>, device: &mut Managed, enrolment: EnrolmentId, parts: &[OnTheWay]) -> Result<()> {
    let parts = parts.iter().filter(|part| part.next == Next::ReadBack).map(|part| part.id.clone()).collect();
    keeper::happen(tx, device, Happening::PartsAsked { enrolment, parts }).map(drop)
}

/// Until when policies ask nothing of an enrolment, as far as it is a matter of time; none where something is due now.
pub fn quiet_until(tx: &mut Tx<'_>, device: &Device, enrolment: EnrolmentId) -> Result<Option<Timestamp>> {
    let (_, todo) = due(tx, device, enrolment)?;
    let forever = Timestamp(i64::MAX);
    Ok(todo.is_empty().then(|| todo.next.map_or(forever, |at| tx.wall_of(at))))
}

/// Somebody wants to know how a device stands: what it refused is tried again, and all that is set is read back.
pub fn look_again(tx: &mut Tx<'_>, device: &mut Managed) -> Result<()> {
    keeper::happen(tx, device, Happening::LookAgain).map(drop)
}

/// How many devices each policy is assigned to.
pub fn devices_of(tx: &mut Tx<'_>, policies: &[Policy]) -> Result<Vec<u64>> {
    let census = Census::take(tx)?;
    let count = |file: Arc<PolicyFile>| {
        let its = census.iter().filter(|(census, _)| file.assign.covers(&census.groups));
        its.map(|(_, devices)| devices).sum()
    };
    policies.iter().map(|policy| Ok(count(file(policy)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(kind: &str) -> Part {
        let bytes = format!(
            "<plist version=\"1.0\"><dict><key>PayloadType</key><string>Configuration</string><key>PayloadUUID</key><string>u</string>\
             <key>PayloadIdentifier</key><string>com.example.a</string><key>PayloadContent</key><array><dict>\
             <key>PayloadType</key><string>{kind}</string></dict></array></dict></plist>"
        );
        let identifier = "com.example.a".to_owned();
        Part {
            id: PartId::Profile(identifier.clone()),
            hash: format!("of {kind}"),
            settings: Vec::new(),
            of: BTreeMap::new(),
            passcode: false,
            content: PartContent::AppleProfile { identifier, bytes: bytes.into_bytes() },
        }
    }

    #[test]
    fn a_profile_that_acts_is_refused_each_time() {
        for _ in 0..2 {
            assert_eq!(may_be_sent(&profile("com.apple.wifi.managed")), Ok(()));
            let refused = may_be_sent(&profile("com.apple.mdm")).unwrap_err();
            assert!(refused.to_string().contains("com.apple.mdm is refused"), "{refused}");
        }
    }
}

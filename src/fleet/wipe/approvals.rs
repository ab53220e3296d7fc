//! What waits for a second person: held commands (all that one person asked for in an hour is one), lifting the stop, removing
//! an administrator, making the organisation's what was a user's own.

use crate::{
    clock::{Steady, Timestamp},
    error::{Error, Result},
    fleet::{
        actor::Actor,
        admins::{self, AdminView},
        audit::{self, By, Decision},
        keeper,
        life::{Command, Device, Event, Ownership, State, Withdrawal, command::Hold},
        notices::{self, News},
        queue::stop,
    },
    ids::{ApprovalId, CommandId, DeviceId},
    store::{Kind, Record, Tx},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const ONE_REQUEST: Duration = Duration::from_secs(3600);
/// What nobody decided in a week is of no use any more.
const LIFETIME: Duration = Duration::from_secs(7 * 86_400);

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    /// Commands that the breaker holds.
    #[serde(rename = "commands")]
    Commands,
    /// Lifting the emergency stop.
    #[serde(rename = "stop.off")]
    StopOff,
    /// Removing an administrator.
    #[serde(rename = "admin.remove")]
    AdminRemove(String),
    /// A device that is its user's own is to be the organisation's.
    #[serde(rename = "device.ownership")]
    DeviceOwnership(DeviceId),
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Stage {
    Waiting,
    Approved,
    Rejected,
    Expired,
}

impl Subject {
    /// As it is written everywhere.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Commands => "commands",
            Self::StopOff => "stop.off",
            Self::AdminRemove(_) => "admin.remove",
            Self::DeviceOwnership(_) => "device.ownership",
        }
    }
}

/// See the module.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Approval {
    pub id: ApprovalId,
    pub stage: Stage,
    pub subject: Subject,
    /// Administrator ids.
    pub asked_by: String,
    pub decided_by: Option<String>,
    pub commands: Vec<CommandId>,
    /// Why it is held, in words.
    pub detail: String,
    pub created: Timestamp,
    /// The same by the time that counts for waits.
    pub asked: Steady,
    /// Who has seen it as it stands; the others are told at each of their calls.
    pub seen: BTreeSet<String>,
    /// Who has seen it before it grew: they must look again before they approve.
    #[serde(default)]
    pub outdated: BTreeSet<String>,
    /// Who stood behind those who asked, as newcomers ([`Actor::sponsors`]).
    #[serde(default)]
    pub sponsors: BTreeSet<String>,
    /// Grows with each command that joins. 0 in older records, which nobody has read.
    #[serde(default)]
    pub revision: u64,
    /// At which revision each of the commands joined, in their order.
    #[serde(default)]
    pub joined: Vec<u64>,
    /// Which revision each token has read, by its id.
    #[serde(default)]
    pub read: BTreeMap<String, u64>,
}

impl Approval {
    /// When it comes to nothing, if nobody decides.
    pub fn lapses(&self) -> Steady {
        self.asked.plus(LIFETIME)
    }

    /// The commands that joined since this token read it; all of them where it never did.
    fn unread(&self, token: &str) -> Vec<CommandId> {
        let read = self.read.get(token).copied().unwrap_or(0);
        let joined = self.joined.iter().copied().chain(std::iter::repeat(u64::MAX));
        self.commands.iter().zip(joined).filter(|(_, at)| *at > read).map(|(id, _)| *id).collect()
    }
}

/// The approval that a person's further held commands join.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Current {
    person: String,
    approval: ApprovalId,
}

/// One that waits, so that those need no search.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Waiting {
    approval: ApprovalId,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [Kind; 3] = [Kind::of::<Approval>(), Kind::of::<Current>(), Kind::of::<Waiting>()];

impl Record for Approval {
    const KIND: &'static str = "approval";
    fn key(&self) -> String {
        self.id.to_string()
    }
}
impl Record for Current {
    const KIND: &'static str = "approval-of";
    fn key(&self) -> String {
        self.person.clone()
    }
}
impl Record for Waiting {
    const KIND: &'static str = "approval-waiting";
    fn key(&self) -> String {
        self.approval.to_string()
    }
}

/// The approval of this id.
pub fn find(tx: &mut Tx<'_>, id: ApprovalId) -> Result<Approval> {
    tx.get::<Approval>(id)?.ok_or_else(|| Error::not_found("approval", id))
}

/// Those after `after`, oldest first, marked as seen by who looks.
pub fn list(tx: &mut Tx<'_>, actor: &Actor, after: Option<&str>, limit: usize) -> Result<Vec<Approval>> {
    let page = tx.scan::<Approval>("", after, limit)?;
    for approval in &page {
        mark_seen(tx, actor, approval)?;
    }
    Ok(page)
}

/// One of them, marked as seen.
pub fn look(tx: &mut Tx<'_>, actor: &Actor, id: ApprovalId) -> Result<Approval> {
    let approval = find(tx, id)?;
    mark_seen(tx, actor, &approval)?;
    Ok(approval)
}

fn mark_seen(tx: &mut Tx<'_>, actor: &Actor, approval: &Approval) -> Result<()> {
    let read = approval.read.get(&actor.token) == Some(&approval.revision);
    if approval.stage == Stage::Waiting && !(read && approval.seen.contains(&actor.id)) {
        let mut seen = approval.clone();
        seen.seen.insert(actor.id.clone());
        seen.outdated.remove(&actor.id);
        seen.read.insert(actor.token.clone(), seen.revision);
        tx.put(&seen)?;
    }
    Ok(())
}

/// How many wait that this administrator has not looked at.
pub fn unseen(tx: &mut Tx<'_>, actor: &Actor) -> Result<usize> {
    let mut count = 0;
    for waiting in tx.all::<Waiting>("")? {
        let approval = tx.get::<Approval>(waiting.approval)?;
        count += usize::from(approval.is_some_and(|a| !a.seen.contains(&actor.id)));
    }
    Ok(count)
}

/// Makes one that waits.
fn create(tx: &mut Tx<'_>, actor: &Actor, subject: Subject, detail: &str) -> Result<Approval> {
    let approval = Approval {
        id: tx.new_id(),
        stage: Stage::Waiting,
        subject,
        asked_by: actor.id.clone(),
        decided_by: None,
        commands: Vec::new(),
        detail: detail.into(),
        created: tx.now(),
        asked: tx.steady(),
        // Who asks is told by the answer.
        seen: [actor.id.clone()].into(),
        outdated: BTreeSet::new(),
        sponsors: actor.sponsors.clone(),
        revision: 1,
        joined: Vec::new(),
        read: BTreeMap::new(),
    };
    tx.put(&approval)?;
    tx.put(&Waiting { approval: approval.id })?;
    audit::note(tx, actor, audit::Event::ApprovalAsked { approval: approval.id, detail: detail.into() })?;
    notices::tell(tx, News::ApprovalWaiting(approval.id, detail.into()))?;
    Ok(approval)
}

/// Puts a held command into the person's approval of this hour.
pub(super) fn hold(tx: &mut Tx<'_>, actor: &Actor, command: CommandId, why: &str) -> Result<ApprovalId> {
    let current = match tx.get::<Current>(&actor.id)? {
        Some(current) => tx.get::<Approval>(current.approval)?,
        None => None,
    };
    let since = tx.steady().minus(ONE_REQUEST);
    let joined = current.filter(|a| a.stage == Stage::Waiting && a.asked > since);
    let mut approval = match joined {
        Some(approval) => approval,
        None => create(tx, actor, Subject::Commands, why)?,
    };
    if !approval.commands.is_empty() {
        approval.revision = approval.revision.saturating_add(1);
    }
    approval.joined.resize(approval.commands.len(), 0);
    approval.commands.push(command);
    approval.joined.push(approval.revision);
    approval.sponsors.extend(actor.sponsors.iter().cloned());
    // It is another request now: who has seen the former is told of this one.
    let before = std::mem::replace(&mut approval.seen, [actor.id.clone()].into());
    approval.outdated.extend(before.into_iter().filter(|id| *id != actor.id));
    tx.put(&approval)?;
    tx.put(&Current { person: actor.id.clone(), approval: approval.id })?;
    Ok(approval.id)
}

/// Takes a command out: its asker found room for it after all.
pub(super) fn withdraw(tx: &mut Tx<'_>, command: &Command) -> Result<()> {
    let Some(id) = command.approval else { return Ok(()) };
    // After an accepted loss there may be commands without their approval.
    let Some(mut approval) = tx.get::<Approval>(id)? else { return Ok(()) };
    if let Some(at) = approval.commands.iter().position(|c| *c == command.id) {
        approval.commands.remove(at);
        if at < approval.joined.len() {
            approval.joined.remove(at);
        }
    }
    if approval.commands.is_empty() && approval.subject == Subject::Commands {
        approval.stage = Stage::Rejected;
        tx.delete(&Waiting { approval: id })?;
    }
    Ok(tx.put(&approval)?)
}

pub(super) fn decide(tx: &mut Tx<'_>, actor: &Actor, mut approval: Approval, stage: Stage) -> Result<Approval> {
    approval.stage = stage;
    approval.decided_by = Some(actor.id.clone());
    tx.put(&approval)?;
    tx.delete(&Waiting { approval: approval.id })?;
    let decision = if stage == Stage::Approved { Decision::Approved } else { Decision::Rejected };
    audit::note(tx, actor, audit::Event::ApprovalDecided { approval: approval.id, decision })?;
    Ok(approval)
}

/// Asks a second person for something other than commands. Asked again by the same person it answers the first request.
pub(crate) fn ask_once(tx: &mut Tx<'_>, actor: &Actor, subject: Subject, detail: &str) -> Result<Approval> {
    let before = about(tx, &subject)?.into_iter().find(|a| a.asked_by == actor.id);
    match before {
        Some(asked) => Ok(asked),
        None => create(tx, actor, subject, detail),
    }
}

/// All that wait, oldest first. After an accepted loss there may be one that is no more: nothing waits for it.
pub fn open(tx: &mut Tx<'_>) -> Result<Vec<Approval>> {
    let waiting = tx.all::<Waiting>("")?;
    let found = tx.get_many::<Approval>(waiting.into_iter().map(|waiting| waiting.approval))?;
    Ok(found.into_iter().flatten().collect())
}

/// Those that wait for this.
fn about(tx: &mut Tx<'_>, subject: &Subject) -> Result<Vec<Approval>> {
    let mut found = open(tx)?;
    found.retain(|approval| approval.subject == *subject);
    Ok(found)
}

/// Ends those that are about what is no more, such as a stop that was lifted or set anew.
pub(in crate::fleet) fn lapse(tx: &mut Tx<'_>, actor: &Actor, subject: &Subject) -> Result<()> {
    for approval in about(tx, subject)? {
        decide(tx, actor, approval, Stage::Rejected)?;
    }
    Ok(())
}

/// Ends those that nobody decided, and what they hold. To be called now and then.
pub fn expire(tx: &mut Tx<'_>) -> Result<()> {
    let before = tx.steady().minus(LIFETIME);
    for waiting in tx.all::<Waiting>("")? {
        let Some(approval) = tx.get::<Approval>(waiting.approval)? else {
            tx.delete(&waiting)?;
            continue;
        };
        if approval.asked > before {
            continue;
        }
        end_held(tx, &approval, Withdrawal::Expired)?;
        tx.put(&Approval { stage: Stage::Expired, ..approval })?;
        tx.delete(&waiting)?;
        let event = audit::Event::ApprovalDecided { approval: waiting.approval, decision: Decision::Expired };
        audit::note(tx, By::System, event)?;
    }
    Ok(())
}

fn end_held(tx: &mut Tx<'_>, approval: &Approval, end: Withdrawal) -> Result<()> {
    for id in &approval.commands {
        let Some(mut device) = keeper::of_command(tx, *id)? else { continue };
        if device.command(*id).is_some_and(|c| c.state == State::Held && c.hold == Some(Hold::Breaker)) {
            keeper::happen(tx, &mut device, Event::Withdrawn { command: *id, end, open_mail: true, told: None })?;
        }
    }
    Ok(())
}

/// Closes one that waits for nothing any more: each of its commands was cancelled one way or another.
pub(crate) fn close_if_empty(tx: &mut Tx<'_>, actor: &Actor, id: ApprovalId) -> Result<()> {
    let waits = |a: &Approval| a.stage == Stage::Waiting && a.subject == Subject::Commands;
    let Some(approval) = tx.get::<Approval>(id)?.filter(waits) else { return Ok(()) };
    let commands = tx.get_many::<Command>(approval.commands.iter())?;
    if commands.iter().flatten().any(|command| command.state == State::Held) {
        return Ok(());
    }
    decide(tx, actor, approval, Stage::Rejected).map(drop)
}

fn waiting(tx: &mut Tx<'_>, id: ApprovalId) -> Result<Approval> {
    let approval = find(tx, id)?;
    match approval.stage {
        Stage::Waiting => Ok(approval),
        _ => Err(Error::refused("decided", "it has been decided already")),
    }
}

/// Refused to who asked, and to who stood behind them then.
fn second_person(asked_by: &str, sponsors: &BTreeSet<String>, person: &str) -> Result<()> {
    if asked_by == person {
        return Err(Error::forbidden("own_request", "a second person must approve what you asked for"));
    }
    if sponsors.contains(person) {
        let text =
            "you made who asked for this, or their token, within the newcomers' wait: another person must approve";
        return Err(Error::forbidden("own_newcomer", text));
    }
    Ok(())
}

/// Those of these people who may decide now what this one asks for, or asked for: second persons who count.
pub fn may_decide(people: &[AdminView], now: Timestamp, asked_by: &str, sponsors: &BTreeSet<String>) -> Vec<AdminView> {
    let may = |person: &&AdminView| person.counts_from <= now && second_person(asked_by, sponsors, &person.id).is_ok();
    people.iter().filter(may).cloned().collect()
}

/// A second person says yes: not who asked, not who made them lately, no newcomer, and by a token that has read it as it stands.
pub fn approve(tx: &mut Tx<'_>, actor: &Actor, id: ApprovalId) -> Result<Approval> {
    let approval = waiting(tx, id)?;
    actor.must_count("approve")?;
    second_person(&approval.asked_by, &approval.sponsors, &actor.id)?;
    if approval.read.get(&actor.token) != Some(&approval.revision) {
        let added = approval.unread(&actor.token).iter().map(CommandId::to_string).collect();
        let code = "approval_grew";
        let text = format!(
            "your token has not read this as it stands: look at it (lanyard approvals show {id}) before you approve"
        );
        return Err(Error::Refused { code, text, added });
    }
    match &approval.subject {
        Subject::Commands if stop::is_on(tx)? => {
            return Err(Error::refused("stopped", "the emergency stop is on: lift it first"));
        }
        Subject::Commands => {
            for command in &approval.commands {
                if let Some(mut device) = keeper::of_command(tx, *command)? {
                    keeper::happen(tx, &mut device, Event::Approved(*command))?;
                }
            }
        }
        Subject::StopOff => stop::lift(tx, &actor.id)?,
        Subject::AdminRemove(who) => match admins::remove(tx, &actor.id, who) {
            Err(Error::NotFound { .. }) => return comes_too_late(tx, actor, approval, "the administrator is no more"),
            removed => removed?,
        },
        Subject::DeviceOwnership(device) => {
            let (ownership, by) = (Ownership::Corporate, actor.id.clone());
            let Some(device) = tx.get::<Device>(*device)?.filter(|device| device.removed.is_none()) else {
                return comes_too_late(tx, actor, approval, "the device's record is no more");
            };
            let mut device = keeper::load(tx, device)?;
            keeper::happen(tx, &mut device, Event::Owned { ownership, by })?;
        }
    }
    let (subject, decided) = (approval.subject.clone(), decide(tx, actor, approval, Stage::Approved)?);
    if subject != Subject::Commands {
        lapse(tx, actor, &subject)?;
    }
    Ok(decided)
}

/// What was to be decided is no more: it ends rejected, and says why; so do others about the same.
fn comes_too_late(tx: &mut Tx<'_>, actor: &Actor, approval: Approval, why: &str) -> Result<Approval> {
    let subject = approval.subject.clone();
    let detail = format!("{}; nothing was done: {why}", approval.detail);
    let decided = decide(tx, actor, Approval { detail, ..approval }, Stage::Rejected)?;
    lapse(tx, actor, &subject)?;
    Ok(decided)
}

/// Says no; who asked may take it back so. All its held commands are cancelled, in one act.
pub fn reject(tx: &mut Tx<'_>, actor: &Actor, id: ApprovalId) -> Result<Approval> {
    let approval = waiting(tx, id)?;
    if approval.asked_by != actor.id {
        actor.must_count("reject what others asked for")?;
    }
    end_held(tx, &approval, Withdrawal::Cancelled)?;
    decide(tx, actor, approval, Stage::Rejected)
}

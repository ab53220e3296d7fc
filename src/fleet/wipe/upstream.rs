//! A wipe that somebody ordered at the mail server, past us. It goes through the breaker like any other, under a name of its own: the mail
//! server's console may be in a thief's hands as well.

use super::{Kind, approvals, limits, stop};
use crate::{
    clock::Timestamp,
    error::{Error, Result},
    fleet::{
        actor::Actor,
        audit::{self, By, Cancelled},
        keeper,
        life::{Act, Asker, Enrolment, Erasing, Event, Managed, Order, Ownership, Scope, Withdrawal, command::Hold},
        queue, settings,
    },
    ids::{CommandId, DeviceId, EnrolmentId},
    store::{self, Record, Tx},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Under which name it is counted and shown. No administrator has it as an id.
pub const NAME: &str = "upstream";
const REASON: &str = "ordered at the mail server";

/// The device has said what it makes of the order, and the mail server has not heard it: it shows the wipe as open, or sends it again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Untold {
    /// The wipe.
    pub command: CommandId,
    /// Its device.
    pub device: DeviceId,
    /// When the device spoke.
    pub since: Timestamp,
}

/// What this file keeps in the store.
pub(crate) const KINDS: [store::Kind; 1] = [store::Kind::of::<Untold>()];

impl Record for Untold {
    const KIND: &'static str = "untold-wipe";
    fn key(&self) -> String {
        self.command.to_string()
    }
}

/// Takes the order, as a wipe that the mail enrolment itself carries; a wipe of it that is under way already answers it.
pub fn ask(tx: &mut Tx<'_>, device: &mut Managed, enrolment: EnrolmentId, scope: Scope) -> Result<CommandId> {
    let carrier = device.enrolment(enrolment).cloned().ok_or_else(|| Error::not_found("enrolment", enrolment))?;
    if let Some(first) = answers(device, &carrier, scope) {
        return Ok(first);
    }
    let act = Act::Wipe { scope, pin: None, how: Erasing::default() };
    let by = Asker::Person { id: NAME.into(), name: NAME.into() };
    let order = queue::order(tx, &carrier, act, by);
    let delay = settings::span(tx, "wipe.delay")?.as_secs();
    let mut order = Order { reason: REASON.into(), delay, ..order };
    let kind = if scope == Scope::Full { Kind::Full } else { Kind::Other };
    match hindrance(tx, device, scope, kind)? {
        None => limits::count(tx, NAME, kind)?,
        Some(why) => order.held = Some(approvals::hold(tx, &mail_server(), order.id, &why)?),
    }
    Ok(queue::place(tx, device, order)?.id)
}

/// What is held at the mail server's word is its own, and another's to let go; whatever else is open and enough answers.
fn answers(device: &Managed, carrier: &Enrolment, scope: Scope) -> Option<CommandId> {
    let enough = |wipes: bool, hold| wipes && hold != Some(Hold::Breaker);
    let mine = device.open().filter(|c| c.is_owed_to(carrier) && c.enrolment == carrier.id);
    mine.filter(|c| enough(c.wipes(Scope::Full) || c.wipes(scope), c.hold)).map(|c| c.id).next()
}

fn hindrance(tx: &mut Tx<'_>, device: &Managed, scope: Scope, kind: Kind) -> Result<Option<String>> {
    if settings::text(tx, "eas.upstream_wipe")?.as_deref() == Some("hold") {
        return Ok(Some("a wipe ordered at the mail server waits for an approval (eas.upstream_wipe)".into()));
    }
    if stop::is_on(tx)? {
        return Ok(Some("the emergency stop is on".into()));
    }
    if device.ownership == Ownership::Personal && scope == Scope::Full {
        return Ok(Some("the mail server ordered a full wipe of a device that is its user's own".into()));
    }
    limits::over_tenant(tx, kind)
}

fn mail_server() -> Actor {
    let (id, name) = (NAME.to_string(), NAME.to_string());
    Actor { id, name, token: String::new(), newcomer_until: None, sponsors: BTreeSet::new() }
}

/// The order stands at the mail server no more. What was not sent ends here too; says whether it did.
pub fn withdraw(tx: &mut Tx<'_>, device: &mut Managed, id: CommandId) -> Result<bool> {
    let theirs = |id| device.command(id).filter(|c| c.asked_by == NAME && c.sent.is_none() && c.may_be_taken_back());
    let Some(approval) = theirs(id).map(|command| command.approval) else { return Ok(false) };
    let (end, told) = (Withdrawal::Cancelled, Some((NAME.to_string(), Cancelled::AtMailServer)));
    keeper::happen(tx, device, Event::Withdrawn { command: id, end, open_mail: true, told })?;
    if let Some(approval) = approval {
        approvals::close_if_empty(tx, &mail_server(), approval)?;
    }
    Ok(true)
}

/// The device has spoken, and the mail server is to hear of it.
pub fn owes(tx: &mut Tx<'_>, device: &Managed, command: CommandId) -> Result<()> {
    match tx.get::<Untold>(command)? {
        Some(_) => Ok(()),
        None => Ok(tx.put(&Untold { command, device: device.id, since: tx.now() })?),
    }
}

/// There is nothing that the mail server is to hear of it any more.
pub fn owes_no_more(tx: &mut Tx<'_>, command: CommandId) -> Result<()> {
    match tx.get::<Untold>(command)? {
        Some(untold) => Ok(tx.delete(&untold)?),
        None => Ok(()),
    }
}

/// The mail server took the device's own acknowledgement.
pub fn told(tx: &mut Tx<'_>, device: &Managed, command: CommandId, erases: bool) -> Result<()> {
    owes_no_more(tx, command)?;
    audit::note(tx, By::System, audit::Event::WipeToldUpstream { command, device: device.id, erases })
}

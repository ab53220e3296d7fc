//! What a client lacks to stand in Exchange as was decided here: computed from device and report whenever either changes, and never kept. So a
//! decision cannot be missed, and none is carried out that was taken back.

use super::{
    Organisation,
    mailboxes::{self, Spell},
    orders::{self, What},
    partnerships::{self, Listed, Partnership, Wiping},
};
use crate::{
    clock::Steady,
    error::Result,
    fleet::{
        keeper,
        life::{Action, Command, Contact, Enrolment, EnrolmentState, Managed, Outcome, Scope, State},
        queue,
        registry::lookup::part,
        terms::{EvidenceKind, FailureCode},
    },
    ids::DeviceId,
    store::{Record, Tx},
};

/// A client that is to be watched.
#[derive(Debug, Clone)]
pub struct Watched {
    /// Under which key it is kept.
    pub key: String,
    /// Whose change concerns it.
    pub device: Option<DeviceId>,
    /// When it is due by itself.
    pub at: Option<Steady>,
}

/// Clients of an organisation, by key, after this one.
pub fn some(tx: &mut Tx<'_>, org: &str, after: Option<&str>, limit: usize) -> Result<Vec<String>> {
    let found = tx.scan::<Partnership>(&format!("{}/", part(org)), after, limit)?;
    Ok(found.iter().map(Record::key).collect())
}

/// Puts on record what these clients and their mailboxes lack. `spell`: how Exchange is told what mail clients are to keep to.
pub fn look(tx: &mut Tx<'_>, org: &mut Organisation, keys: &[String], spell: Spell<'_>) -> Result<Vec<Watched>> {
    let (mut watched, mut at_mailboxes) = (Vec::new(), mailboxes::Look::new(spell));
    for key in keys {
        let Some(mut kept) = tx.get::<Partnership>(key)? else { continue };
        if let Some(order) = kept.order
            && !orders::is_open(tx, &kept.org, order)?
        {
            kept.order = None;
        }
        let device = partnerships::owner(tx, &kept)?;
        let id = device.as_ref().map(|device| device.id);
        if let Some(device) = device.filter(|_| kept.order.is_none() && !kept.gone) {
            let before = kept.clone();
            let mut device = keeper::load(tx, device)?;
            if let Some(what) = lacks(tx, org, &mut device, &mut kept)? {
                orders::place(tx, org, &mut kept, what)?;
            }
            if kept != before {
                tx.put(&kept)?;
            }
        }
        let of_mailbox = mailboxes::look(tx, org, &kept, &mut at_mailboxes)?;
        let at = orders::next_time(&kept).filter(|_| !kept.gone && kept.order.is_none());
        let at = [at, of_mailbox].into_iter().flatten().min();
        watched.push(Watched { key: key.clone(), device: id, at });
    }
    Ok(watched)
}

fn lacks(tx: &mut Tx<'_>, org: &Organisation, device: &mut Managed, kept: &mut Partnership) -> Result<Option<What>> {
    let now = tx.steady();
    let waits = kept.not_before.is_some_and(|at| at > now);
    if let Some(wiping) = kept.wiping.clone() {
        return Ok(under_way(tx, device, kept, &wiping, now)?.filter(|_| !waits));
    }
    if let Some(what) = next(tx, org, device, kept)? {
        // A wipe waits for no pause of what failed before it.
        return Ok(Some(what));
    }
    if waits {
        return Ok(None);
    }
    let Some(mine) = device.enrolment(kept.enrolment).cloned() else { return Ok(None) };
    if let Some(what) = list(device, &mine, kept) {
        return Ok(Some(what));
    }
    if is_over(&mine) && acknowledged(device, &mine) {
        return Ok(Some(What::Remove));
    }
    let looks = kept.asked.is_some() || kept.look_at.is_some_and(|at| at <= now);
    Ok(looks.then_some(What::Look))
}

/// A wipe that was handed to Exchange, until it ends.
fn under_way(
    tx: &mut Tx<'_>,
    device: &Managed,
    kept: &mut Partnership,
    wiping: &Wiping,
    now: Steady,
) -> Result<Option<What>> {
    let command = match device.command(wiping.command).cloned() {
        Some(command) => Some(command),
        None => tx.get::<Command>(wiping.command)?,
    };
    match command.map(|command| command.state) {
        Some(State::Sent | State::Queued) if wiping.taken => {
            Ok(kept.look_at.is_some_and(|at| at <= now).then_some(What::Look))
        }
        // Under the stop nothing that is guarded leaves, a second time either.
        Some(State::Sent | State::Queued) if queue::stop::is_on(tx)? => Ok(None),
        Some(State::Sent | State::Queued) => {
            let (account_only, since) = (wiping.account_only, wiping.since);
            Ok(Some(What::Wipe { account_only: account_only || kept.outlook, since }))
        }
        Some(State::Cancelled | State::Expired) if wiping.taken => Ok(Some(What::Cancel)),
        _ => {
            (kept.wiping, kept.look_at) = (None, None);
            Ok(None)
        }
    }
}

/// What the queue has for this enrolment. It is marked as sent in the call that puts its order on record.
fn next(tx: &mut Tx<'_>, org: &Organisation, device: &mut Managed, kept: &mut Partnership) -> Result<Option<What>> {
    let Some(command) = queue::take_next(tx, device, kept.enrolment, Contact::Fresh)? else { return Ok(None) };
    let (id, enrolment, since) = (command.id, kept.enrolment, tx.now());
    let settle = |tx: &mut Tx<'_>, device: &mut Managed, outcome| {
        queue::settle(tx, device, enrolment, id, outcome).map(|_| None)
    };
    match (command.action(), command.scope()) {
        (Action::Wipe, Some(Scope::Full)) if kept.outlook => {
            let text = "the Outlook app only ever loses its own account: the device cannot be erased through it";
            settle(tx, device, Outcome::Failed { code: FailureCode::Unsupported, text: text.into() })
        }
        (Action::Wipe, Some(Scope::Selective)) if !loses_its_account(org, kept) => {
            let detail = "the client or its Exchange cannot remove the account alone (ActiveSync 16.1, Exchange 2016 and later can): it is \
                          blocked; data already on the device stays";
            settle(tx, device, Outcome::Presumed { kind: EvidenceKind::AccessBlocked, detail: detail.into() })
        }
        (Action::Wipe, scope) => {
            let selective = scope == Some(Scope::Selective);
            let account_only = selective && !kept.outlook;
            kept.before = kept.before.or(kept.listed);
            kept.wiping = Some(Wiping { command: id, since, account_only, taken: false, requested: None });
            Ok(Some(What::Wipe { account_only: selective, since }))
        }
        (Action::Refresh, _) => {
            kept.asked = Some(id);
            Ok(Some(What::Look))
        }
        _ => {
            let text = "Exchange can do nothing but wipe".into();
            settle(tx, device, Outcome::Failed { code: FailureCode::Unsupported, text })
        }
    }
}

/// Whether a selective wipe can be asked for: of Outlook by a plain one, of others where client and Exchange know it.
fn loses_its_account(org: &Organisation, kept: &Partnership) -> bool {
    kept.outlook || (kept.takes_account_wipe && org.account_only())
}

fn is_over(mine: &Enrolment) -> bool {
    !mine.is_live()
}

/// Whether its end was a wipe that Exchange carried: then its object goes.
fn acknowledged(device: &Managed, mine: &Enrolment) -> bool {
    let wipe = device.wipe.and_then(|wipe| device.command(wipe));
    wipe.is_some_and(|wipe| wipe.enrolment == mine.id && matches!(wipe.state, State::Confirmed | State::Presumed))
}

/// The list on which it should be and is not.
fn list(device: &Managed, mine: &Enrolment, kept: &mut Partnership) -> Option<What> {
    // Under its own wipe too, as long as that waits: it is taken off the list when its time has come.
    let shut = is_over(mine) || device.mail_is_shut(mine.id).is_some();
    let wanted = match mine.state {
        _ if shut => Some(Listed::Blocked),
        _ if !mine.is_decided() => kept.before,
        EnrolmentState::Enrolled => Some(Listed::Allowed),
        EnrolmentState::Blocked => Some(Listed::Blocked),
        EnrolmentState::Quarantined => Some(Listed::Neither),
        _ => None,
    }?;
    if shut {
        kept.before = kept.before.or(kept.listed);
    } else if kept.listed == Some(wanted) && kept.wrote.is_none_or(|wrote| wrote == wanted) {
        // As it was before the wipe that came to nothing.
        kept.before = None;
        kept.wrote = kept.wrote.filter(|_| mine.is_decided());
    }
    if kept.wrote == Some(wanted) && kept.listed.is_none_or(|listed| listed == wanted) {
        return None;
    }
    Some(match wanted {
        Listed::Allowed => What::Allow,
        Listed::Blocked => What::Block,
        Listed::Neither => What::Quarantine,
    })
}

//! What a connector says: what it reports, and what came of its orders, each once.

use super::{
    Organisation, exchange, mailboxes,
    orders::{Ended, LONGEST_PAUSE, Order, Read, What, cut, pause},
    partnerships::{self, Listed, Partnership, Seen, Told, Wiping},
};
use crate::{
    clock::Steady,
    error::Result,
    fleet::{
        keeper,
        life::{Event, Outcome},
        queue,
        registry::{
            journal::{self, Said},
            lookup::part,
        },
        settings,
        terms::{EvidenceKind, FailureCode},
    },
    store::Tx,
};
use std::time::Duration;
use uuid::Uuid;

/// A pending wipe is looked at so often at first, and so often; then each minute for its first hour, then with each delta.
const SOON: Duration = Duration::from_secs(10);
const FIRST: u32 = 6;
const LOOK: Duration = Duration::from_secs(60);
const LOOKS: u32 = 66;

/// Files a report of a client and of its mailbox.
pub fn note(tx: &mut Tx<'_>, org: &Organisation, told: &Told, seen: Seen) -> Result<()> {
    let Some((client, device)) = partnerships::note(tx, org, told, seen)? else { return Ok(()) };
    mailboxes::note(tx, &client, device, told.policy.as_ref(), seen)
}

/// Files what came of an order, once.
pub fn file(tx: &mut Tx<'_>, org: &Organisation, id: Uuid, ended: Ended, read: Read) -> Result<()> {
    let Some(order) = tx.get::<Order>(format!("{}/{id}", part(&org.name)))? else { return Ok(()) };
    tx.delete(&order)?;
    if let What::Access(wanted) = order.what {
        return exchange::file(tx, &org.name, id, wanted, &ended, read.organisation);
    }
    let key = partnerships::key(&org.name, order.mailbox, &order.device_id);
    let Some(mut kept) = tx.get::<Partnership>(&key)? else { return Ok(()) };
    if let What::Policy(under) = &order.what {
        mailboxes::file(tx, &order, under, &ended)?;
        match &ended {
            Ended::Gone => partnerships::vanished(tx, &mut kept)?,
            Ended::Done => {}
            Ended::Cannot { text, .. } | Ended::Later { text } => said(tx, &kept, &order.what, text)?,
        }
        tx.put(&kept)?;
    } else {
        if let (What::Wipe { .. }, Ended::Done, Some(told), Some(wiping)) =
            (&order.what, &ended, &read.client, &mut kept.wiping)
        {
            // The connector compared it with what was there before: it is ours, by whatever clock.
            let times = if wiping.account_only { told.account_wipe } else { told.wipe };
            let same = (told.mailbox, &told.device_id) == (order.mailbox, &order.device_id);
            wiping.requested = times.filter(|_| same).and_then(|times| times.requested).or(wiping.requested);
        }
        of_client(tx, &mut kept, &order, ended)?;
    }
    match read.client {
        // It speaks of the client that the order was for, or of none.
        Some(told) if !kept.gone && (told.mailbox, &told.device_id) == (order.mailbox, &order.device_id) => {
            let seen = Seen { run: None, read: tx.now() };
            note(tx, org, &told, seen)
        }
        _ => Ok(()),
    }
}

fn of_client(tx: &mut Tx<'_>, kept: &mut Partnership, order: &Order, ended: Ended) -> Result<()> {
    let what = &order.what;
    if kept.order == Some(order.id) {
        kept.order = None;
    }
    match ended {
        Ended::Done => done(tx, kept, what)?,
        Ended::Gone => gone(tx, kept, what)?,
        Ended::Cannot { code, text } => {
            said(tx, kept, what, &text)?;
            cannot(tx, kept, what, code, text)?;
        }
        Ended::Later { text } => {
            said(tx, kept, what, &text)?;
            let pause = pause(kept.failed);
            (kept.failed, kept.not_before) = (kept.failed.saturating_add(1), Some(tx.steady().plus(pause)));
        }
    }
    kept.written = Some(tx.now());
    Ok(tx.put(kept)?)
}

/// Among the device's events: what Exchange did not do, and why.
fn said(tx: &mut Tx<'_>, kept: &Partnership, what: &What, text: &str) -> Result<()> {
    let Some(device) = partnerships::owner(tx, kept)? else { return Ok(()) };
    let text = cut(text);
    journal::note(tx, device.id, [Said::Alert { kind: "exchange".into(), text: format!("{}: {text}", what.as_str()) }])
}

fn done(tx: &mut Tx<'_>, kept: &mut Partnership, what: &What) -> Result<()> {
    (kept.failed, kept.not_before) = (0, None);
    let put_on = |kept: &mut Partnership, listed| (kept.wrote, kept.listed) = (Some(listed), Some(listed));
    match what {
        What::Allow => put_on(kept, Listed::Allowed),
        What::Quarantine => put_on(kept, Listed::Neither),
        What::Block => {
            put_on(kept, Listed::Blocked);
            closed(tx, kept)?;
        }
        What::Wipe { .. } => {
            if let Some(wiping) = &mut kept.wiping {
                wiping.taken = true;
            }
            // Taken off the blocked list for it.
            kept.wrote = kept.wrote.filter(|wrote| *wrote != Listed::Blocked);
            (kept.looks, kept.look_at) = (0, Some(next_look(tx, 0)?));
        }
        What::Cancel => kept.wiping = None,
        What::Remove => kept.gone = true,
        What::Look => {
            kept.looks = kept.looks.saturating_add(1);
            kept.look_at = if kept.wiping.is_some() { Some(next_look(tx, kept.looks)?) } else { None };
            answered(tx, kept)?;
        }
        What::Policy(_) | What::Access(_) => {}
    }
    Ok(())
}

fn next_look(tx: &mut Tx<'_>, looks: u32) -> Result<Steady> {
    let pause = match looks {
        ..FIRST => SOON,
        FIRST..LOOKS => LOOK,
        _ => settings::span(tx, "exchange.delta_every")?.max(LOOK),
    };
    Ok(tx.steady().plus(pause))
}

/// Mail was shut by a wipe that another channel carries: its evidence says so.
fn closed(tx: &mut Tx<'_>, kept: &Partnership) -> Result<()> {
    let Some(device) = partnerships::owner(tx, kept)? else { return Ok(()) };
    let mut device = keeper::load(tx, device)?;
    keeper::happen(tx, &mut device, Event::MailClosed { enrolment: kept.enrolment }).map(drop)
}

/// Who wanted to know how it stands is answered.
fn answered(tx: &mut Tx<'_>, kept: &mut Partnership) -> Result<()> {
    let Some(command) = kept.asked.take() else { return Ok(()) };
    let Some(device) = partnerships::owner(tx, kept)? else { return Ok(()) };
    let mut device = keeper::load(tx, device)?;
    let outcome = Outcome::Done { kind: EvidenceKind::Seen, detail: "Exchange was asked".into() };
    queue::settle(tx, &mut device, kept.enrolment, command, outcome).map(drop)
}

fn gone(tx: &mut Tx<'_>, kept: &mut Partnership, what: &What) -> Result<()> {
    if let (What::Wipe { .. }, Some(_)) = (what, &kept.wiping) {
        let text = "Exchange has no such partnership any more: nothing was wiped through it".to_string();
        failed(tx, kept, FailureCode::DeviceGone, text)?;
    }
    partnerships::vanished(tx, kept)
}

fn cannot(tx: &mut Tx<'_>, kept: &mut Partnership, what: &What, code: String, text: String) -> Result<()> {
    let text = cut(&text);
    match what {
        What::Wipe { .. } => failed(tx, kept, FailureCode::Protocol(code), text)?,
        // It is over, and the wipe with it or not: what Exchange says of that is looked at.
        What::Cancel => kept.wiping = None,
        // As far as it can be said it is so.
        What::Quarantine => kept.wrote = Some(Listed::Neither),
        What::Allow | What::Block | What::Remove | What::Look | What::Policy(_) | What::Access(_) => {
            (kept.failed, kept.not_before) = (kept.failed.saturating_add(1), Some(tx.steady().plus(LONGEST_PAUSE)));
        }
    }
    Ok(())
}

fn failed(tx: &mut Tx<'_>, kept: &mut Partnership, code: FailureCode, text: String) -> Result<()> {
    let Some(Wiping { command, .. }) = kept.wiping.take() else { return Ok(()) };
    let Some(device) = partnerships::owner(tx, kept)? else { return Ok(()) };
    let mut device = keeper::load(tx, device)?;
    queue::settle(tx, &mut device, kept.enrolment, command, Outcome::Failed { code, text }).map(drop)
}

//! A wipe that was ordered at the mail server, as it is kept: it becomes a command here, and what the phone says of that is kept until the
//! mail server has taken it.

use crate::{
    error::{Error, Result},
    fleet::{
        keeper,
        life::{Device, Event, Managed, Scope},
        wipe::upstream,
    },
    ids::{CommandId, EnrolmentId},
    store::Tx,
};
use lanyard_activesync::provision::WipeScope;
use serde::{Deserialize, Serialize};

/// Where an enrolment's channel state keeps the mail server's order.
const ORDERED: &str = "mail_server_wipe";
/// An order, as long as it stands at the mail server. Repeated in each of its answers it is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ordered {
    /// What it became here.
    pub(super) command: CommandId,
    pub(super) scope: WipeScope,
    /// What the phone said of it (whether it erases), until the mail server has taken that.
    pub(super) said: Option<bool>,
    /// Which mail server ordered it, by its name and port: another one says nothing about it. `None`: kept by a former version.
    #[serde(default)]
    pub(super) by: Option<String>,
}

impl Ordered {
    pub(super) fn of(device: &Device, enrolment: EnrolmentId) -> Option<Self> {
        serde_json::from_str(device.enrolment(enrolment)?.channel_state.get(ORDERED)?).ok()
    }

    /// Whether the mail server may still take it back: the phone was not told.
    pub(super) fn is_unsent(&self, device: &Managed) -> bool {
        device.command(self.command).is_some_and(|c| c.sent.is_none() && !c.state.is_final())
    }

    pub(super) fn keep(
        tx: &mut Tx<'_>,
        device: &mut Managed,
        enrolment: EnrolmentId,
        kept: Option<&Self>,
    ) -> Result<()> {
        let text = kept.map(serde_json::to_string).transpose().map_err(|e| Error::Internal(e.to_string()))?;
        keeper::happen(tx, device, Event::Noted { enrolment, name: ORDERED, value: text })?;
        Ok(())
    }
}

/// The phone's own word on a wipe, in the transaction that files it.
pub(super) fn note_word(
    tx: &mut Tx<'_>,
    device: &mut Managed,
    enrolment: EnrolmentId,
    wipe: CommandId,
    erases: bool,
) -> Result<()> {
    match Ordered::of(device, enrolment).filter(|ordered| ordered.command == wipe) {
        Some(ordered) => {
            let said = Ordered { said: Some(erases), ..ordered };
            Ordered::keep(tx, device, enrolment, Some(&said))?;
            upstream::owes(tx, device, wipe)
        }
        None => Ok(()),
    }
}

/// What an answer of this mail server's to Provision says of a wipe.
pub(super) fn heard(
    tx: &mut Tx<'_>,
    device: &mut Managed,
    enrolment: EnrolmentId,
    by: &str,
    wipe: Option<WipeScope>,
) -> Result<()> {
    let before = Ordered::of(device, enrolment);
    match (before, wipe) {
        (None, None) => Ok(()),
        (Some(before), Some(scope)) if before.scope == scope => Ok(()),
        (before, Some(scope)) => {
            if let Some(before) = before {
                upstream::owes_no_more(tx, before.command)?;
            }
            let much = if scope == WipeScope::Device { Scope::Full } else { Scope::Selective };
            let command = upstream::ask(tx, device, enrolment, much)?;
            Ordered::keep(tx, device, enrolment, Some(&Ordered { command, scope, said: None, by: Some(by.into()) }))
        }
        // Its user has moved to another server since, which knows of no order.
        (Some(before), None) if before.by.as_deref().is_some_and(|ordered| ordered != by) => Ok(()),
        (Some(before), None) => {
            let over = upstream::withdraw(tx, device, before.command)?
                || device.command(before.command).is_none_or(|command| command.state.is_final());
            // One that was sent may still be answered.
            if !over {
                return Ok(());
            }
            upstream::owes_no_more(tx, before.command)?;
            Ordered::keep(tx, device, enrolment, None)
        }
    }
}

//! What a message tells beside answers: the alerts of the device, which are kept for people to see, and what of it could not be read.

use super::answers;
use crate::{
    error::Result,
    fleet::{
        life::{Action, Command, Managed},
        registry::journal,
    },
    ids::CommandId,
    store::Tx,
};
use lanyard_omadm::session::{ClientEvent, Output};
use std::collections::BTreeSet;

const UNENROLLED: &str = "com.microsoft:mdm.unenrollment.userrequest";

/// Notes it. Who is logged in, and for whom a session is, is told with each and is no news.
pub(super) fn note(tx: &mut Tx<'_>, device: &Managed, told: &[Output]) -> Result<()> {
    let (mut answered, mut spoilt) = (BTreeSet::new(), BTreeSet::new());
    for output in told {
        match output {
            Output::Event(event) => {
                let kind = event.kind.clone().unwrap_or_else(|| event.code.to_string());
                journal::alerted(tx, device.id, &kind, &text(event))?;
            }
            Output::Unenrolled => journal::alerted(tx, device.id, UNENROLLED, "the device leaves")?,
            Output::OpStatus { op, .. } => answered.extend(answers::parts(op).map(|(id, _)| id)),
            Output::Unreadable { op, spoilt: found } => {
                let id = op.as_deref().and_then(answers::parts).map(|(id, _)| id);
                spoilt.extend(id);
                let what = match action(tx, device, id)? {
                    Some(action) => answer_to(action),
                    None => format!("{} of a session", found.command),
                };
                let node = found.node.as_ref().map(|node| format!("{node}: ")).unwrap_or_default();
                journal::unreadable(tx, device.id, &format!("{what}: {node}{}", found.why), id)?;
            }
            _ => {}
        }
    }
    for id in answered.difference(&spoilt) {
        if let Some(action @ (Action::Refresh | Action::Policy)) = action(tx, device, Some(*id))? {
            journal::read_well(tx, device.id, &answer_to(action), *id)?;
        }
    }
    Ok(())
}

fn answer_to(action: Action) -> String {
    format!("the answer to {}", action.as_str())
}

/// What a command of this device is about.
fn action(tx: &mut Tx<'_>, device: &Managed, id: Option<CommandId>) -> Result<Option<Action>> {
    let Some(id) = id else { return Ok(None) };
    Ok(tx.get::<Command>(id)?.filter(|command| command.device == device.id).map(|command| command.action()))
}

/// What an alert is about, and what it says.
fn text(event: &ClientEvent) -> String {
    let said =
        [&event.source, &event.data].into_iter().flatten().map(|text| text.trim()).filter(|text| !text.is_empty());
    said.collect::<Vec<_>>().join(": ")
}

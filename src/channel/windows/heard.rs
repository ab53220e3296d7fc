//! What a message tells beside answers: the alerts of the device, which are kept for people to see, and what of it could not be read.

use super::answers;
use crate::{
    error::Result,
    fleet::{
        life::{Action, Command, Managed},
        registry::journal::{self, Said},
    },
    ids::CommandId,
    store::Tx,
};
use lanyard_omadm::session::{ClientEvent, Output};
use std::collections::BTreeSet;

const UNENROLLED: &str = "com.microsoft:mdm.unenrollment.userrequest";

/// Alerts of one message that are noted: of a device no more are kept. One message may hold tens of thousands.
const ALERTS: usize = 50;
/// What cannot be read of one message, as noted: each may be a line in the log.
const SPOILT: usize = 5;

/// Notes it. Who is logged in, and for whom a session is, is told with each and is no news.
pub(super) fn note(tx: &mut Tx<'_>, device: &Managed, told: &[Output]) -> Result<()> {
    let mut said: Vec<Said> = last_alerts(told).into_iter().map(|(kind, text)| Said::Alert { kind, text }).collect();
    let (mut answered, mut spoilt, mut noted) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for output in told {
        match output {
            Output::OpStatus { op, .. } => answered.extend(answers::parts(op).map(|(id, _)| id)),
            Output::Unreadable { op, spoilt: found } => {
                let id = op.as_deref().and_then(answers::parts).map(|(id, _)| id);
                spoilt.extend(id);
                if noted.len() < SPOILT && noted.insert((id, &found.command, &found.node, &found.why)) {
                    let what = match action(tx, device, id)? {
                        Some(action) => answer_to(action),
                        None => format!("{} of a session", found.command),
                    };
                    let node = found.node.as_ref().map(|node| format!("{node}: ")).unwrap_or_default();
                    said.push(Said::Unreadable { what: format!("{what}: {node}{}", found.why), by: id });
                }
            }
            _ => {}
        }
    }
    for id in answered.difference(&spoilt) {
        if let Some(action @ (Action::Refresh | Action::Policy)) = action(tx, device, Some(*id))? {
            said.push(Said::ReadWell { beginning: answer_to(action), by: *id });
        }
    }
    journal::note(tx, device.id, said)
}

/// The last alerts of a message, each once, oldest first: their kinds and what they say.
fn last_alerts(told: &[Output]) -> Vec<(String, String)> {
    let mut seen = BTreeSet::new();
    let alerts = told.iter().rev().filter_map(|output| match output {
        Output::Event(event) => Some((event.kind.clone().unwrap_or_else(|| event.code.to_string()), text(event))),
        Output::Unenrolled => Some((UNENROLLED.to_owned(), "the device leaves".to_owned())),
        _ => None,
    });
    let mut last: Vec<_> = alerts.filter(|alert| seen.insert(alert.clone())).take(ALERTS).collect();
    last.reverse();
    last
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

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(text: &str) -> Output {
        let (kind, data) = (Some("k".to_owned()), Some(text.to_owned()));
        Output::Event(ClientEvent { code: 1226, kind, mark: None, source: None, correlator: None, data })
    }

    #[test]
    fn of_a_flood_of_alerts_the_last_count_and_each_once() {
        let flood = |text: fn(usize) -> String| {
            let first = [alert("first"), Output::Unenrolled];
            let told: Vec<_> = first.into_iter().chain((0..24_000).map(|n| alert(&text(n)))).collect();
            last_alerts(&told).into_iter().map(|(_, text)| text).collect::<Vec<_>>()
        };
        assert_eq!(flood(|n| (n % 3).to_string()), ["first", "the device leaves", "0", "1", "2"]);
        let last = flood(|n| n.to_string());
        assert_eq!((last.len(), last.first(), last.last()), (ALERTS, Some(&"23950".into()), Some(&"23999".into())));
        assert!(last_alerts(&[Output::RepeatOfLast]).is_empty());
    }
}
